"""The systems of one small flow image, and Dual-ATME, in PyTorch.

A network is called with flows [B, 3, 28, 28], and Dual-ATME's with those of the puzzled face as well.

Axes: B clips of a batch, C channels, H and W pixels, K classes.
"""

import torch
from torch import nn
from torch.nn import functional


def build(
    name: str, *, classes: int, variant: str = 'paper', dropout: float = 0.5, width: int = 16
) -> nn.Module:
    """The system of one flow called `name`; the options are those of ours."""
    match name:
        case 'ststnet':
            return STSTNet(classes, dropout)
        case 'off_apexnet':
            return OffApexNet(classes)
        case 'dual_inception':
            return DualInception(classes)
        case 'resnet18':
            return ResNet18(variant, classes=classes)
        case 'small_cnn':
            return SmallCnn(classes, width, dropout)
        case _:
            return RCN(name, variant=variant, classes=classes, dropout=dropout)


def unit(channels: int, features: int, size: int, padding: int | None = None) -> list[nn.Module]:
    """Convolution, batch normalisation, ReLU; without `padding` the size of maps stays."""
    padding = size // 2 if padding is None else padding
    return [
        nn.Conv2d(channels, features, size, padding=padding),
        nn.BatchNorm2d(features),
        nn.ReLU(inplace=True),
    ]


class STSTNet(nn.Module):
    """Three shallow streams."""

    def __init__(self, classes: int = 3, dropout: float = 0.0):
        super().__init__()
        for number, features in enumerate((3, 5, 8), start=1):
            self.add_module(f'conv{number}', nn.Conv2d(3, features, 3, padding=2))
            self.add_module(f'bn{number}', nn.BatchNorm2d(features))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(400, classes)

    def forward(self, x: torch.Tensor, _=None) -> torch.Tensor:
        streams = [(self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)]
        maps = [functional.max_pool2d(bn(conv(x).relu_()), 3, 3, padding=1) for conv, bn in streams]
        return self.fc(functional.avg_pool2d(self.dropout(torch.cat(maps, 1)), 2).flatten(1))


class OffApexNet(nn.Module):
    """A stream on each of the flow's two components."""

    def __init__(self, classes: int = 3):
        super().__init__()
        for name in ('u', 'v'):
            stream = nn.Module()
            stream.conv1, stream.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5, padding=2)
            self.add_module(name, stream)
        self.fc1, self.fc2, self.fc3 = nn.Linear(1568, 1024), nn.Linear(1024, 1024), nn.Linear(1024, classes)

    def forward(self, x: torch.Tensor, _=None) -> torch.Tensor:
        maps = []
        for stream, channel in ((self.u, x[:, :1]), (self.v, x[:, 1:2])):
            halved = functional.max_pool2d(stream.conv1(channel).relu_(), 2)
            maps.append(functional.max_pool2d(stream.conv2(halved).relu_(), 2))
        return self.fc3(self.fc2(self.fc1(torch.cat(maps, 1).flatten(1)).relu_()).relu_())


class SmallCnn(nn.Module):
    """Three convolutions and a dense layer."""

    def __init__(self, classes: int = 3, width: int = 16, dropout: float = 0.0):
        super().__init__()
        channels = 3, width, width * 3 // 2, width * 2
        for number in (1, 2, 3):
            self.add_module(f'conv{number}', nn.Conv2d(*channels[number - 1 : number + 1], 3, padding=1))
        self.dropout, self.fc = nn.Dropout(dropout), nn.Linear(channels[-1] * 9, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in (self.conv1, self.conv2, self.conv3):
            x = functional.max_pool2d(conv(x).relu_(), 2)
        return self.fc(self.dropout(x.flatten(1)))


class Inception(nn.Module):
    """Four branches of `width` channels: [B, C, H, W] to [B, 4 * width, H, W]."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.branch1x1 = nn.Sequential(*unit(channels, width, 1))
        self.branch3x3 = nn.Sequential(*unit(channels, 6, 1), *unit(6, width, 3))
        self.branch5x5 = nn.Sequential(*unit(channels, 6, 1), *unit(6, width, 5))
        self.branch_pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), *unit(channels, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.branch1x1(x), self.branch3x3(x), self.branch5x5(x), self.branch_pool(x)], 1)


class DualInception(nn.Module):
    """Two Inception blocks on each of the flow's two components."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.Inception1_1, self.Inception1_2 = Inception(1, 6), Inception(24, 16)
        self.Inception2_1, self.Inception2_2 = Inception(1, 6), Inception(24, 16)
        self.fc = nn.Sequential(nn.Linear(6272, 1024), nn.ReLU(inplace=True), nn.Linear(1024, classes))

    def forward(self, x: torch.Tensor, _=None) -> torch.Tensor:
        pool = functional.max_pool2d
        u = pool(self.Inception1_2(pool(self.Inception1_1(x[:, :1]), 2)), 2)
        v = pool(self.Inception2_2(pool(self.Inception2_1(x[:, 1:2]), 2)), 2)
        return self.fc(torch.cat([u.flatten(1), v.flatten(1)], 1))


class CBAM(nn.Module):
    """Channel attention, then spatial attention, of 48 channels."""

    def __init__(self):
        super().__init__()
        self.shared_MLP = nn.Sequential(nn.Linear(48, 3), nn.ReLU(), nn.Linear(3, 48))
        self.conv2d = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * (self.shared_MLP(x.mean((2, 3))) + self.shared_MLP(x.amax((2, 3)))).sigmoid()[..., None, None]
        return x * self.conv2d(torch.stack([x.mean(1), x.amax(1)], 1)).sigmoid()


class DualATME(nn.Module):
    """Dual-ATME with the published names, without dropout; `benchmarks.pytorch` has one that is faster."""

    def __init__(self, variant: str):
        super().__init__()
        self.variant = variant
        self.Inception1_1, self.Inception1_2 = Inception(3, 6), Inception(24, 12)
        self.Inception2_1, self.Inception2_2 = Inception(3, 6), Inception(24, 12)
        self.cbam = CBAM()
        self.fc = nn.Sequential(
            nn.Linear(4704, 1024), nn.BatchNorm1d(1024), nn.ReLU(), nn.Dropout(0.0), nn.Linear(1024, 3)
        )

    def forward(self, x: torch.Tensor, puzzled: torch.Tensor) -> torch.Tensor:
        pool = functional.max_pool2d
        x = self.cbam(pool(self.Inception1_2(pool(self.Inception1_1(x), 2)), 2))
        puzzled = pool(self.Inception2_2(pool(self.Inception2_1(puzzled), 2)), 2)
        puzzled = self.cbam(puzzled) if self.variant == 'code' else puzzled
        return self.fc(torch.cat([x.flatten(1), puzzled.flatten(1)], 1))


class Block(nn.Module):
    """RCN's: `first` and `shared` under the names that the published code has for them there."""

    def __init__(self, features: int, first: str, shared: str, *, times: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.first, self.shared, self.times = first, shared, times
        self.add_module(first, nn.Sequential(*unit(features, features, 1)))
        self.add_module(shared, nn.Sequential(*unit(features, features, 3)))

    def forward(self, x: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        first, shared = getattr(self, self.first), getattr(self, self.shared)
        y = first(x)
        if attended is not None:
            y = functional.interpolate(attended, y.shape[2:]) * y
        if self.times == 2:
            return self.dropout(functional.max_pool2d(shared(x + shared(x + y)), 2))
        z = shared(x + y)
        e = shared(x + y + z)
        return self.dropout(functional.max_pool2d(shared(x + y + z + e), 2))


class RCN(nn.Module):
    """The network of the family called `name`; the `code` of RCN-f has its second stream twice."""

    def __init__(
        self,
        name: str,
        features: int = 32,
        *,
        variant: str = 'paper',
        classes: int = 3,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.name = name
        self.streams = (1, 2, 2) if variant == 'code' else (1, 2, 3)
        if name in ('rcn_a', 'rcn_s'):
            parts = [*unit(3, features, 5, padding=0), nn.MaxPool2d(2), nn.Dropout(dropout)]
            self.conv1 = nn.Sequential(*parts)
        else:
            for number in sorted(set(self.streams)):
                width = features // 2 if number == 1 else features // 4
                conv = nn.Conv2d(3, width, 3, stride=3, padding=number, dilation=number)
                parts = [conv, nn.ReLU(inplace=True), nn.BatchNorm2d(width), nn.Dropout(dropout)]
                self.add_module(f'stream{number}', nn.Sequential(*parts))
        if name in ('rcn_a', 'rcn_w'):
            self.rcls = nn.Sequential(Block(features, 'ffconv', 'rrconv', times=2, dropout=dropout))
        elif name == 'rcn_f':
            self.ebl = Block(features, 'conv1', 'conv2', times=3, dropout=dropout)
        else:
            self.dbl = nn.Sequential(Block(features, 'conv1', 'conv2', times=3, dropout=dropout))
        self.classifier = nn.Linear(25 * features, classes)

    def attention(self, maps: torch.Tensor, over_channels: bool = False) -> torch.Tensor:
        """How much the places of maps speak for any class: [B, 1, 5, 5]."""
        maps = functional.adaptive_avg_pool2d(maps, 5)
        each = []
        for row in self.classifier.weight:
            weights = row.reshape(-1, 5, 5)
            weights = weights.mean(0, keepdim=True) if over_channels else weights
            activation = (weights * maps).mean(1, keepdim=True)
            activation = activation - activation.amin((2, 3), keepdim=True)
            most = activation.amax((2, 3), keepdim=True)
            each.append(activation / torch.where(most > 0, most, 1))
        return torch.cat(each, 1).mean(1, keepdim=True)

    def last_maps(self, x: torch.Tensor) -> torch.Tensor:
        """What the classifier reads: [B, features, 5, 5]."""
        pool, interpolate = functional.adaptive_avg_pool2d, functional.interpolate
        if self.name in ('rcn_a', 'rcn_s'):
            maps = self.conv1(x)
        else:
            maps = torch.cat([getattr(self, f'stream{number}')(x) for number in self.streams], 1)
        match self.name:
            case 'rcn_a':
                return pool(self.rcls(maps), 5) * self.attention(maps)
            case 'rcn_w':
                return pool(self.rcls(maps), 5)
            case 'rcn_s':
                return pool(self.dbl(maps), 5)
            case 'rcn_c':
                return pool(self.dbl(interpolate(self.attention(x, True), maps.shape[2:]) * maps), 5)
            case 'rcn_f':
                return pool(self.ebl(maps, self.attention(maps)), 5)

    def forward(self, x: torch.Tensor, _=None) -> torch.Tensor:
        return self.classifier(self.last_maps(x).flatten(1))


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels: int, features: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, features, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(features)
        self.downsample = nn.Sequential()
        if stride > 1:
            conv = nn.Conv2d(channels, features, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu_())) + self.downsample(x)).relu_()


class ResNet18(nn.Module):
    """ResNet-18 at 224x224 (variant `paper`) or at 28x28 (`small`)."""

    def __init__(self, variant: str, width: int = 64, *, classes: int = 3):
        super().__init__()
        self.large = variant == 'paper'
        size, stride = (7, 2) if self.large else (3, 1)
        self.conv1 = nn.Conv2d(3, width, size, stride, padding=size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage in (1, 2, 3, 4):
            features = width * 2 ** (stage - 1)
            first = Residual(channels, features, 1 if stage == 1 else 2)
            self.add_module(f'layer{stage}', nn.Sequential(first, Residual(features, features, 1)))
            channels = features
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor, _=None) -> torch.Tensor:
        x = functional.interpolate(x, (224, 224), mode='bilinear', align_corners=False) if self.large else x
        x = self.bn1(self.conv1(x)).relu_()
        x = functional.max_pool2d(x, 3, 2, padding=1) if self.large else x
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))
