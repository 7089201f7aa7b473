"""Micro-Attention in PyTorch; see the package."""

import torch
from torch import nn
from torch.nn import functional


def build(name: str, *, classes: int, width: int = 64) -> nn.Module:
    """The network; `width` is ours."""
    del name
    return MicroAttention(classes, width)


class BatchNorm(nn.BatchNorm2d):
    """Caffe's: running values are the mean over all batches, each weighing .999 of the next."""

    FRACTION = 0.999

    def __init__(self, features: int):
        super().__init__(features)
        self.register_buffer('running_weight', torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.running_weight = 1 + self.FRACTION * self.running_weight
            self.momentum = 1 / self.running_weight.item()
        return super().forward(x)


class Stage(nn.Module):
    """A residual block whose sum is weighed place by place."""

    def __init__(self, channels: int, features: int):
        super().__init__()
        self.first = channels == features
        stride = 1 if self.first else 2
        if not self.first:
            self.bn1 = BatchNorm(channels)
            self.conv_expand = nn.Conv2d(channels, features, 1, stride, bias=False)
        self.conv1 = nn.Conv2d(channels, features, 3, stride, 1, bias=False)
        self.bn2 = BatchNorm(features)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.attention = nn.Conv2d(3 * features, features, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.first:
            x = self.bn1(x).relu()
        inner = self.bn2(self.conv1(x)).relu()
        outer = self.conv2(inner)
        shortcut = x if self.first else self.conv_expand(x)
        weights = self.attention(torch.cat([shortcut, inner, outer], 1)).mean(1, keepdim=True).sigmoid()
        summed = outer + shortcut
        return summed * weights + summed


class MicroAttention(nn.Module):
    """ResNet-10 with attention: [B, 1, H, W] to [B, classes]."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.data_bn = BatchNorm(1)
        self.conv1 = nn.Conv2d(1, width, 7, 2, 3)
        self.conv1_bn = BatchNorm(width)
        channels = width
        for number in range(4):
            features = width * 2**number
            self.add_module(f'layer_{64 * 2**number}_1', Stage(channels, features))
            channels = features
        self.last_bn = BatchNorm(channels)
        self.score = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1_bn(self.conv1(self.data_bn(x))).relu()
        x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        for stage in (self.layer_64_1, self.layer_128_1, self.layer_256_1, self.layer_512_1):
            x = stage(x)
        return self.score(self.last_bn(x).relu().mean((2, 3)))
