"""The spotters of long videos, SOFTNet and MEAN, in PyTorch; see the package. Windows are [B, 3, 42, 42]."""

import torch
from torch import nn
from torch.nn import functional


def build(name: str, *, classes: int, dropout: float = 0.3, dropout_last: float = 0.2) -> nn.Module:
    """The system called `name`; the options are those of ours."""
    return SOFTNet(classes) if name == 'softnet' else MEAN(classes, dropout, dropout_last)


def convolution(channels: int, features: int) -> nn.Conv2d:
    """5x5; maps keep their size."""
    return nn.Conv2d(channels, features, 5, padding=2)


def logits(outputs: torch.Tensor) -> torch.Tensor:
    """[B, K] of [B, K - 1]: the first class has the rest."""
    return torch.cat([1 - outputs.sum(1, keepdim=True), outputs], 1)


class SOFTNet(nn.Module):
    """A stream of each channel, and two dense layers."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (convolution(1, features) for features in (3, 5, 8))
        self.fc1, self.fc2 = nn.Linear(784, 400), nn.Linear(400, classes - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        convs = (self.conv1, self.conv2, self.conv3)
        maps = [functional.max_pool2d(conv(x[:, k : k + 1]).relu(), 3) for k, conv in enumerate(convs)]
        return logits(self.fc2(self.fc1(functional.max_pool2d(torch.cat(maps, 1), 2).flatten(1)).relu()))


class MEAN(nn.Module):
    """A normalised stream of each channel, a convolution and a dense layer."""

    def __init__(self, classes: int = 3, dropout: float = 0.0, dropout_last: float = 0.0):
        super().__init__()
        for number, features in enumerate((3, 3, 8), start=1):
            self.add_module(f'conv{number}', convolution(1, features))
            self.add_module(f'bn{number}', nn.BatchNorm2d(features, eps=1e-3, momentum=0.01))
        self.conv4, self.fc = convolution(14, 8), nn.Linear(392, classes - 1)
        self.dropout, self.dropout_last = nn.Dropout(dropout), nn.Dropout(dropout_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        streams = [(self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)]
        maps = [
            self.dropout(functional.max_pool2d(norm(conv(x[:, k : k + 1]).relu()), 3))
            for k, (conv, norm) in enumerate(streams)
        ]
        maps = functional.max_pool2d(self.conv4(torch.cat(maps, 1)).relu(), 2)
        return logits(self.fc(self.dropout_last(maps).flatten(1)))
