"""The dual-branch 3DCNN in PyTorch; see `dualatme_jax/models/dual_branch_3dcnn.py`.

Axes: B clips, C channels, T steps, H and W pixels, D features, K classes.
"""

import torch
from torch import nn
from torch.nn import functional

from dualatme_jax.models.dual_branch_3dcnn import FORMS, HEADS, Form


def build(name: str, *, classes: int, variant: str = 'casme2', dropout: float = 0.5) -> nn.Module:
    """The network; the options are those of ours."""
    return DualBranch3DCNN(FORMS[variant], classes, dropout)


def leaky(x: torch.Tensor) -> torch.Tensor:
    """The activation of all layers."""
    return functional.leaky_relu(x, 0.2)


def pooled(x: torch.Tensor, edge: int) -> torch.Tensor:
    """Keras's pooling of padding `same`: what is short is filled up at both ends, at the far one first."""
    sides = []
    for size in reversed(x.shape[2:]):
        short = -size % edge
        sides += [short // 2, short - short // 2]
    return functional.max_pool3d(functional.pad(x, sides, value=-torch.inf), edge)


class MLP(nn.Module):
    """[B, C] to the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, channels // 8), nn.Linear(channels // 8, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.excite(leaky(self.squeeze(x)))


class ECCBAM(nn.Module):
    """[B, C, T, H, W] to the same shape."""

    def __init__(self, channels: int, difference: bool):
        super().__init__()
        self.difference, self.max, self.mean = difference, MLP(channels), MLP(channels)
        self.places = nn.Conv3d(2, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        most, mean = self.max(x.amax((2, 3, 4))), self.mean(x.mean((2, 3, 4)))
        channels = (most - mean) / 2 if self.difference else most + mean
        places = self.places(torch.stack([x.amax(1), x.mean(1)], 1))
        return x * channels.sigmoid()[..., None, None, None] * places.sigmoid()


class Attention(nn.Module):
    """[B, T, D] to [B, D']: of the eight pooled over its scores, of the causal one over its steps."""

    def __init__(self, features: int, width: int, heads: int = 1, causal: bool = False):
        super().__init__()
        self.heads, self.causal = heads, causal
        for name in ('query', 'key', 'value'):
            self.add_module(name, nn.Linear(features, heads * width))
        self.out = nn.Linear(heads * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.causal:
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            scores = query @ key.mT / query.shape[-1] ** 0.5
            mixed = scores.amax(2, keepdim=True).softmax(-1) @ value
        return self.out(mixed.transpose(1, 2).flatten(2)).amax(1)


class DualBranch3DCNN(nn.Module):
    """The network; widths as ours."""

    def __init__(
        self,
        form: Form,
        classes: int = 3,
        dropout: float = 0.0,
        *,
        places: int = 225,
        branch: int = 32,
        dense: int = 128,
        state: int = 512,
        heads: int = HEADS,
        widest: int = 256,
    ):
        super().__init__()
        self.form, half = form, dense // 2
        self.whole, self.local = nn.Conv3d(3, branch, 5, padding=2), nn.Conv3d(3, branch, 3, padding=1)
        self.merge = nn.Conv3d(2 * branch, form.maps, 3, padding=1)
        self.gate = ECCBAM(form.maps, form.difference)
        self.step1, self.step2 = nn.Linear(places * form.maps, dense), nn.Linear(dense, half)
        self.gru = nn.GRU(half, state, batch_first=True)
        widths = [widest // 2**number for number in range(heads)]
        self.heads = nn.ModuleList(Attention(state, width) for width in widths)
        self.causal = Attention(state, state, 4, causal=True) if form.causal else None
        self.dense1 = nn.Linear(sum(widths) + state * form.causal, dense)
        self.dense2, self.classifier = nn.Linear(dense, half), nn.Linear(half, classes)
        before, behind = form.dropout_head
        self.before_step, self.before_gru = nn.Dropout(dropout), nn.Dropout(form.dropout_gru)
        self.before_head, self.behind = nn.Dropout(before), nn.Dropout(behind)

    def forward(self, whole: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
        edge = self.form.pool
        local = local if self.form.crop else whole
        # Pooled before the activation, which is the same.
        x = torch.cat([leaky(pooled(self.whole(whole), edge)), leaky(pooled(self.local(local), edge))], 1)
        x = self.gate(leaky(pooled(self.merge(x), edge)))
        x = x.permute(0, 2, 3, 4, 1).flatten(2)  # [B, T, H * W * C]
        for layer in (self.step1, self.step2):
            x = leaky(layer(self.before_step(x)))
        x, _ = self.gru(self.before_gru(x))
        heads = [*self.heads, self.causal] if self.form.causal else self.heads
        x = self.before_head(torch.cat([head(x) for head in heads], 1))
        for layer in (self.dense1, self.dense2):
            x = self.behind(leaky(layer(x)))
        return self.classifier(x)
