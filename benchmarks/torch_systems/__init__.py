"""The systems in PyTorch, as short as possible: the baseline of `python -m benchmarks.systems`.

`tests/dualatme_jax/models/test_torch_systems.py` compares outputs, gradients and statistics with ours.
Modules have the names of the published code, or those that `torch_names` of the system's record gives where
none is published; they have the default init of PyTorch's layers. A network is called with what its
record `reads`, in that order, each [B, C, *S], and returns logits [B, K].

One file per system, with a function `build(name, *, classes, **options)`; the systems of one small flow image
share one.
"""

import importlib

from torch import nn

# The file of a system that has none of its own name.
SHARED = dict.fromkeys(
    (
        'ststnet',
        'off_apexnet',
        'dual_inception',
        'rcn_a',
        'rcn_s',
        'rcn_w',
        'rcn_c',
        'rcn_f',
        'resnet18',
        'small_cnn',
    ),
    'flow_images',
) | dict.fromkeys(('softnet', 'mean'), 'windows')


def build(name: str, *, classes: int, **options) -> nn.Module:
    """The system called `name`; the options are those of ours."""
    file = importlib.import_module(f'{__name__}.{SHARED.get(name, name)}')
    return file.build(name, classes=classes, **options)
