"""MMNet in PyTorch: `dualatme_jax/models/mmnet.py` says what it is."""

import torch
from torch import nn
from torch.nn import functional


def build(name: str, *, classes: int, variant: str = '5class', antialias: bool = False) -> nn.Module:
    """The network; the options are those of ours."""
    del name
    return MMNet(variant, classes=classes, antialias=antialias)


def unit(channels: int, features: int, size: int, stride: int = 1) -> list[nn.Module]:
    """Convolution without bias, batch normalisation."""
    conv = nn.Conv2d(channels, features, size, stride, padding=size // 2, bias=False)
    return [conv, nn.BatchNorm2d(features)]


class AttentiveBlock(nn.Module):
    """A residual block whose places are weighed by a map that is passed on."""

    def __init__(self, channels: int, features: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = unit(channels, features, 3, stride)
        self.conv2, self.bn2 = unit(features, features, 1)
        self.gate = nn.Sequential(*unit(2, 1, 1))
        same = stride == 1 and channels == features
        self.downsample = nn.Identity() if same else nn.Sequential(*unit(channels, features, 1, stride))

    def forward(self, x: torch.Tensor, before: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        y = (y + self.downsample(x)).relu()
        gate = self.gate(torch.stack([y.mean(1), y.amax(1)], 1)).sigmoid()
        gate = gate if before is None else before * gate
        return y * gate, gate


class Attention(nn.Module):
    """Each of [B, T, D] by all of them, in several heads."""

    def __init__(self, size: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        split = [
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        ]
        return self.out(functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A transformer layer, normalised before each branch."""

    def __init__(self, size: int, heads: int, widening: int, drop_path: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size, eps=1e-6), nn.LayerNorm(size, eps=1e-6)
        self.attention = Attention(size, heads)
        self.mlp = nn.Sequential(
            nn.Linear(size, widening * size), nn.GELU(), nn.Linear(widening * size, size)
        )
        self.drop_path = drop_path

    def kept(self, branch: torch.Tensor) -> torch.Tensor:
        keep = 1 - self.drop_path
        if not self.training or keep == 1:
            return branch
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep) / keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.kept(self.attention(self.norm1(x)))
        return x + self.kept(self.mlp(self.norm2(x)))


class Position(nn.Module):
    """What the onset shows at each place."""

    def __init__(self, size: int, edge: int, heads: int, design: tuple[int, int, float], *, antialias: bool):
        super().__init__()
        depth, widening, drop_path = design
        self.edge, self.antialias = edge, antialias
        self.pixels = nn.Conv2d(3, size, 1)
        self.places = nn.Embedding(edge * edge, size)
        rates = [drop_path * number / (depth - 1) for number in range(depth)]
        self.layers = nn.ModuleList(Layer(size, heads, widening, rate) for rate in rates)
        self.norm = nn.LayerNorm(size, eps=1e-6)

    def forward(self, onset: torch.Tensor) -> torch.Tensor:
        size = (self.edge, self.edge)
        x = functional.interpolate(onset, size, mode='bilinear', antialias=self.antialias)
        x = self.pixels(x).flatten(2).transpose(1, 2) + self.places.weight
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).transpose(1, 2).unflatten(2, size)


class MMNet(nn.Module):
    """The network, of faces of `size` pixels."""

    def __init__(
        self,
        variant: str,
        *,
        classes: int = 3,
        antialias: bool = False,
        size: int = 224,
        stem: int = 180,
        width: int = 128,
        heads: int = 4,
        drop_path: float | None = None,
    ):
        super().__init__()
        depth, widening, usual = {'5class': (2, 4, 0.0), '3class': (3, 2, 0.3)}[variant]
        design = depth, widening, usual if drop_path is None else drop_path
        self.stem = nn.Sequential(
            *unit(3, stem, 3, 2), nn.ReLU(inplace=True), *unit(stem, width, 3), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(
            [
                AttentiveBlock(width, width, 1),
                AttentiveBlock(width, width, 2),
                AttentiveBlock(width, 2 * width, 2),
                AttentiveBlock(2 * width, 4 * width, 2),
            ]
        )
        edge = size // 16
        self.position = Position(4 * width, edge, heads, design, antialias=antialias)
        self.fc = nn.Linear(4 * width * edge * edge, classes)

    def forward(self, onset: torch.Tensor, apex: torch.Tensor) -> torch.Tensor:
        x, gate = self.stem(apex - onset), None
        for block in self.blocks:
            gate = gate if gate is None else functional.max_pool2d(gate, 3, 2, padding=1)
            x, gate = block(x, gate)
        return self.fc((x + self.position(onset)).flatten(1))
