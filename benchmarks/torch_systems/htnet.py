"""HTNet in PyTorch, with the names of the published code."""

import torch
from torch import nn
from torch.nn import functional

from dualatme_jax.models.htnet import CENTRES

PATCH = 7


def build(
    name: str,
    *,
    classes: int,
    variant: str = 'published',
    width: int = 256,
    heads: int = 3,
    blocks: tuple[int, ...] = (2, 2, 10),
    centres: str = 'template',
    swapped: bool = False,
) -> nn.Module:
    """The system; the options are those of ours."""
    middles = [centre[::-1] if swapped else centre for centre in CENTRES[centres]]
    return HTNet(classes, 2 if variant == 'windows' else 1, width, heads, blocks, middles)


class ChannelNorm(nn.Module):
    """Layer normalisation of maps over their channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.g = nn.Parameter(torch.empty(1, channels, 1, 1))
        self.b = nn.Parameter(torch.empty(1, channels, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As it starts."""
        nn.init.ones_(self.g)
        nn.init.zeros_(self.b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        var, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt() * self.g + self.b


class Normed(nn.Module):
    """A layer on normalised maps, added to them."""

    def __init__(self, channels: int, fn: nn.Module):
        super().__init__()
        self.norm, self.fn = ChannelNorm(channels), fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fn(self.norm(x))


class Attention(nn.Module):
    """Attention among all places of a map."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads, inner = heads, channels // heads * heads
        self.to_qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(inner, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, *size = x.shape
        queries = self.to_qkv(x).view(batch, 3, self.heads, -1, size[0] * size[1]).transpose(3, 4)
        mixed = functional.scaled_dot_product_attention(*queries.unbind(1))
        return self.to_out(mixed.transpose(2, 3).reshape(batch, -1, *size))


class Mlp(nn.Module):
    """Two convolutions of 1x1."""

    def __init__(self, channels: int):
        super().__init__()
        wide = 4 * channels
        self.net = nn.Sequential(
            nn.Conv2d(channels, wide, 1), nn.GELU(), nn.Identity(), nn.Conv2d(wide, channels, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Transformer(nn.Module):
    """The blocks of one level, within windows of `edge` x `edge` places."""

    def __init__(self, channels: int, heads: int, blocks: int, edge: int):
        super().__init__()
        self.edge = edge
        self.pos_emb = nn.Parameter(torch.empty(edge**2))
        self.reset_parameters()
        self.layers = nn.ModuleList(
            nn.ModuleList([Normed(channels, Attention(channels, heads)), Normed(channels, Mlp(channels))])
            for _ in range(blocks)
        )

    def reset_parameters(self) -> None:
        """As it starts."""
        nn.init.normal_(self.pos_emb)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        edge = min(self.edge, height)
        x = x.view(batch, channels, height // edge, edge, width // edge, edge)
        x = x.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, edge, edge)
        x = x + self.pos_emb[: edge**2].view(edge, edge)
        for attention, mlp in self.layers:
            x = mlp(attention(x))
        x = x.view(batch, height // edge, width // edge, channels, edge, edge)
        return x.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, height, width)


class HTNet(nn.Module):
    """The network; `middles` are (row, column) of the four crops."""

    def __init__(self, classes, edge, width, heads, blocks, middles):
        super().__init__()
        self.middles = middles
        channels = [width * 2**level for level in range(len(blocks))]
        self.to_patch_embedding = nn.Sequential(nn.Identity(), nn.Conv2d(3 * PATCH**2, width, 1))
        self.layers = nn.ModuleList()
        for level, number in enumerate(blocks):
            merge = nn.Identity()
            if level + 1 < len(blocks):
                conv = nn.Conv2d(channels[level], channels[level + 1], 3, padding=1)
                merge = nn.Sequential(conv, ChannelNorm(channels[level + 1]), nn.MaxPool2d(3, 2, padding=1))
            level_blocks = Transformer(channels[level], heads * 2**level, number, edge)
            self.layers.append(nn.ModuleList([level_blocks, merge]))
        self.mlp_head = nn.Sequential(
            ChannelNorm(channels[-1]), nn.Identity(), nn.Linear(channels[-1], classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch = len(x)
        crops = [x[:, :, row - 7 : row + 7, column - 7 : column + 7] for row, column in self.middles]
        x = torch.cat([torch.cat(crops[:2], 3), torch.cat(crops[2:], 3)], 2)
        edge = x.shape[2] // PATCH
        x = functional.unfold(x, PATCH, stride=PATCH).view(batch, 3, PATCH**2, edge, edge)
        x = self.to_patch_embedding(x.transpose(1, 2).reshape(batch, -1, edge, edge))
        for transformer, merge in self.layers:
            x = merge(transformer(x))
        norm, _, classifier = self.mlp_head
        return classifier(norm(x).mean((2, 3)))
