"""AMAN in PyTorch; see `dualatme_jax.models.aman`."""

import torch
from torch import nn

from benchmarks.torch_systems.flow_images import Residual


def build(name: str, *, classes: int, variant: str = 'slices', **options) -> nn.Module:
    """The network; the options of its frozen stage are not read."""
    del name, options
    return AMAN(variant, classes=classes)


class AMAN(nn.Module):
    """The network on maps [B, channels, frames, factors, H, W]."""

    def __init__(self, variant: str, channels: int = 256, width: int = 512, *, classes: int = 3):
        super().__init__()
        self.variant = variant
        self.layer4 = nn.Sequential(Residual(channels, width, 2), Residual(width, width, 1))
        self.alpha = nn.Sequential(nn.Linear(width, 1), nn.Sigmoid())
        self.beta = nn.Sequential(nn.Linear(width, 1), nn.Sigmoid())
        self.pred_fc = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        slices = x.permute(2, 3, 0, 1, 4, 5).flatten(0, 1)  # of one frame and factor each
        if self.variant == 'slices':
            features = torch.stack([self.layer4(each).mean((2, 3)) for each in slices])
        else:
            features = self.layer4(slices.flatten(0, 1)).mean((2, 3))
        features = features.view(x.shape[2], x.shape[3], len(x), -1)
        alpha = self.alpha(features)
        frames = (alpha * features).sum(1) / alpha.sum(1)
        beta = self.beta(frames)
        return self.pred_fc((beta * frames).sum(0) / beta.sum(0))
