"""KFC-MER in PyTorch: `dualatme_jax/models/kfc_mer.py` says what it is."""

import itertools

import torch
from torch import nn
from torch.nn import functional


def build(name: str, *, classes: int, width: int = 64) -> nn.Module:
    """The network; the options are those of ours."""
    del name
    return KfcMer(classes, width)


def convs(*channels: int) -> list[nn.Module]:
    """1x1 convolutions with LeakyReLU between."""
    made = []
    for before, behind in itertools.pairwise(channels):
        made += [nn.LeakyReLU(0.1), nn.Conv2d(before, behind, 1)]
    return made[1:]


class SplitAttention(nn.Module):
    """Two convolutions of a half of the channels each, mixed channel by channel."""

    def __init__(self, planes: int):
        super().__init__()
        self.conv = nn.Conv2d(planes, 2 * planes, 3, padding=1, groups=2, bias=False)
        self.bn0 = nn.BatchNorm2d(2 * planes)
        within = max(planes // 2, 32)
        self.fc1, self.bn1 = nn.Conv2d(planes, within, 1), nn.BatchNorm2d(within)
        self.fc2 = nn.Conv2d(within, 2 * planes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        halves = self.bn0(self.conv(x)).relu().unflatten(1, (2, -1))
        pooled = halves.sum(1).mean((2, 3), keepdim=True)
        shares = self.fc2(self.bn1(self.fc1(pooled)).relu()).unflatten(1, (2, -1)).softmax(1)
        return (halves * shares).sum(1)


class Bottleneck(nn.Module):
    """ResNeSt's; the `first` of a stage has its own shortcut."""

    def __init__(self, channels: int, planes: int, stride: int, *, first: bool):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2 = SplitAttention(planes)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = nn.Conv2d(planes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.downsample = nn.Identity()
        if first:
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            conv = nn.Conv2d(channels, 4 * planes, 1, bias=False)
            self.downsample = nn.Sequential(pool, conv, nn.BatchNorm2d(4 * planes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pool(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


class Stream(nn.Module):
    """One picture, with maps of the parts of the face."""

    def __init__(self, width: int):
        super().__init__()
        half = width // 2

        def conv(channels, features, stride=1):
            return nn.Conv2d(channels, features, 3, stride, padding=1, bias=False)

        self.conv1 = nn.Sequential(
            conv(3, half, 2),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            conv(half, half),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            conv(half, width),
        )
        self.bn1 = nn.BatchNorm2d(width)
        four = nn.Conv2d(10, width, 4, 4)
        self.condition = nn.Sequential(four, nn.LeakyReLU(0.1), *convs(*[width] * 4, half))
        self.sft = nn.Module()
        for kind in ('scale', 'shift'):
            first, _, second = convs(half, half, width)
            self.sft.add_module(f'{kind}0', first)
            self.sft.add_module(f'{kind}1', second)
        self.layer1 = nn.Sequential(
            Bottleneck(width, width, 1, first=True), Bottleneck(4 * width, width, 1, first=False)
        )
        self.layer2 = nn.Sequential(
            Bottleneck(4 * width, 2 * width, 2, first=True), Bottleneck(8 * width, 2 * width, 1, first=False)
        )

    def forward(self, x: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, padding=1)
        condition = self.condition(maps)
        scale, shift = (
            self.sft.get_submodule(f'{kind}1')(
                functional.leaky_relu(self.sft.get_submodule(f'{kind}0')(condition), 0.1)
            )
            for kind in ('scale', 'shift')
        )
        x = self.layer2(self.layer1(x * (scale + 1) + shift))
        return functional.avg_pool2d(x, 3, 2, padding=1)


class KfcMer(nn.Module):
    """The network, of pictures of `size` pixels."""

    def __init__(self, classes: int = 3, width: int = 64, size: int = 224):
        super().__init__()
        self.flow, self.strain = Stream(width), Stream(width)
        self.fc1 = nn.Linear(16 * width * (size // 16) ** 2, 4 * width)
        self.fc2 = nn.Linear(4 * width, classes)

    def forward(self, flow: torch.Tensor, strain: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.flow(flow, maps), self.strain(strain, maps)], 1)
        return self.fc2(self.fc1(x.flatten(1)).relu())
