"""Every system on MEGC2019-CD under one protocol: the same clips and folds, no choice on the test.

Paper    Each system by its own config, which names its paper and the settings: configs/ststnet.py, ...
Command  python -m dualatme_jax.main --config=configs/leaderboard.py
         python -m dualatme_jax.main --config=configs/leaderboard.py:quick
         python -m dualatme_jax.main --config=configs/leaderboard.py:quick,synthetic
Expect   leaderboard.md, leaderboard.csv and leaderboard.png in the workdir. All epochs of all papers are work
         for a GPU; `:quick` trains those of `QUICK`, with one seed, and ResNet-18 on 28x28 pixels, and says
         so wherever it is shown: see the README.
"""

import importlib
from typing import Any

from ml_collections import ConfigDict

from configs import cd

SYSTEMS = (
    'dual_atme',
    'ststnet',
    'off_apexnet',
    'dual_inception',
    'rcn_a',
    'rcn_s',
    'rcn_w',
    'rcn_c',
    'rcn_f',
    'resnet18',
)

# Epochs of the shortened form, a few minutes each on 2 CPU cores.
QUICK = {
    'dual_atme': 6,
    'ststnet': 30,
    'off_apexnet': 12,
    'dual_inception': 5,
    **dict.fromkeys(('rcn_a', 'rcn_s', 'rcn_w', 'rcn_c', 'rcn_f'), 10),
    'resnet18': 1,
}

# What systems may differ in.
SECTIONS = ('input', 'model', 'loss', 'optimizer', 'training')


def get_config(argument: str = '') -> ConfigDict:
    """All fields of the experiment. `:quick` is shortened, `:synthetic` takes the synthetic release."""
    words = [word for word in argument.split(',') if word]
    if set(words) - {'quick', 'synthetic'}:
        raise ValueError(
            f"the config's argument is {argument!r}; expected 'quick', 'synthetic', both or none"
        )
    dataset, quick = 'synthetic' if 'synthetic' in words else '', 'quick' in words
    config = cd.get_config(dataset)
    config.sweep = tuple(point(name, quick=quick) for name in SYSTEMS)
    config.seeds = (0,) if quick else (0, 1, 2)
    config.selection.every = 1 if quick else 5
    config.checkpoint.keep_weights = False
    config.report.leaderboard = True
    if quick:
        config.report.shortened = 'fewer epochs than in the papers, one seed, ResNet-18 on 28x28 pixels'
    return config


def point(name: str, *, quick: bool) -> dict[str, Any]:
    """The fields in which a system's own config differs from that of Dual-ATME, and its name."""
    home, own = cd.get_config(), cd.get_config()
    if name != home.model.name:
        own = importlib.import_module(f'configs.{name}').get_config()
    if quick:
        own.training.epochs = QUICK.get(name, own.training.epochs)
        own.model.variant = 'small' if name == 'resnet18' else own.model.variant
    differing = {
        f'{section}.{field}': value
        for section in SECTIONS
        for field, value in own[section].items()
        if value != home[section][field]
    }
    return {'model.name': name} | differing
