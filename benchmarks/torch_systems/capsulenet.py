"""CapsuleNet in PyTorch, with the names of the published code."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_systems.flow_images import Residual


def build(
    name: str, *, classes: int, width: int = 64, capsules: int = 32, kernel: int = 9, size: int = 224
) -> nn.Module:
    """The system; the options are those of ours, and the edge of the faces."""
    return CapsuleNet(classes, width, capsules, kernel, size)


def margin_loss(
    logits: torch.Tensor, labels: torch.Tensor, *, present: float, absent: float, others: float
) -> torch.Tensor:
    """Of logits that are the logarithms of the capsules' lengths: the mean over the examples."""
    lengths, right = logits.exp(), functional.one_hot(labels, logits.shape[1])
    short, long = (present - lengths).relu() ** 2, (lengths - absent).relu() ** 2
    return (right * short + others * (1 - right) * long).sum(1).mean()


def squash(x: torch.Tensor) -> torch.Tensor:
    """Vectors of length l along the last axis, shortened to l^2 / (1 + l^2)."""
    long = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return long / (1 + long**2) * x


class DigitCaps(nn.Module):
    """Routing by agreement: [B, N, 8] to [B, K, 16]."""

    def __init__(self, classes: int, number: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, number, 16, 8))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As it starts."""
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        said = torch.einsum('knoi,bni->bkno', self.weight, x)
        agreement = said.new_zeros(said.shape[:3])
        for _ in range(2):
            found = squash(torch.einsum('bkn,bkno->bko', agreement.softmax(1), said.detach()))
            agreement = agreement + torch.einsum('bko,bkno->bkn', found, said.detach())
        return squash(torch.einsum('bkn,bkno->bko', agreement.softmax(1), said))


class CapsuleNet(nn.Module):
    """The network; its logits are the logarithms of the lengths."""

    def __init__(self, classes: int, width: int, capsules: int, kernel: int, size: int):
        super().__init__()
        resnet = self.conv = nn.Module()
        resnet.model = nn.Module()
        resnet.model.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        resnet.model.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage in (1, 2, 3):
            features = width * 2 ** (stage - 1)
            first = Residual(channels, features, 1 if stage == 1 else 2)
            resnet.model.add_module(f'layer{stage}', nn.Sequential(first, Residual(features, features, 1)))
            channels = features
        self.conv1 = nn.Conv2d(channels, channels, kernel)
        self.primarycaps = nn.Module()
        self.primarycaps.conv2d = nn.Conv2d(channels, capsules * 8, kernel, 2)
        edge = (size // 8 - 2 * kernel + 1) // 2 + 1
        self.digitcaps = DigitCaps(classes, capsules * edge**2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        resnet = self.conv.model
        x = resnet.layer3(resnet.layer2(resnet.layer1(resnet.bn1(resnet.conv1(x)).relu_())))
        x = self.primarycaps.conv2d(functional.relu(self.conv1(x)))
        x = squash(x.permute(0, 2, 3, 1).reshape(len(x), -1, 8))
        return torch.linalg.vector_norm(self.digitcaps(x), dim=-1).log()
