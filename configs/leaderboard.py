"""Every system on MEGC2019-CD under one protocol: the same clips and folds, no choice on the test.

Paper    Each system by its own config, which names its paper and the settings: configs/ststnet.py, ...
Command  python -m dualatme_jax.main --config=configs/leaderboard.py
         python -m dualatme_jax.main --config=configs/leaderboard.py:small --config.seeds='(0,)'
         python -m dualatme_jax.main --config=configs/leaderboard.py:quick
         python -m dualatme_jax.main --config=configs/leaderboard.py:all,quick,synthetic
Expect   leaderboard.md, leaderboard.csv and leaderboard.png in the workdir: see the README. All epochs of all
         papers need a GPU. Words after the colon, with commas between them: `flow` (which none means),
         `faces`, `clips`, `classical` and `all` are what systems read, see `GROUPS`; a system whose view is
         not in the dataset is listed with the command that builds it, and the others are trained. `small`
         gives ResNet-18 the 28x28 pixels of the other systems, a quarter of its work; `quick` does the same,
         trains the epochs of `GROUPS` with one seed, builds the small views of `QUICK_VIEWS` and trains the
         smaller networks of `QUICK_NETWORKS`. Both are marked wherever they are shown.
"""

import importlib
from typing import Any

from ml_collections import ConfigDict

from configs import cd

# The systems that are compared, by what they read: each by the config with its paper's settings, and the
# epochs of the shortened form, a few minutes each on 2 CPU cores. This experiment chooses them; the package's
# record of each is in `models.SYSTEMS`, which is not read here, since it needs JAX.
GROUPS = {
    'flow': {
        'cd': 6,
        'ststnet': 30,
        'off_apexnet': 12,
        'dual_inception': 5,
        **dict.fromkeys(('rcn_a', 'rcn_s', 'rcn_w', 'rcn_c', 'rcn_f'), 10),
        'resnet18': 1,
        'htnet': 1,
    },
    'faces': {'micro_attention': 2, 'mmnet': 3, 'capsulenet': 3, 'kfc_mer': 2},
    'clips': {},
    'classical': dict.fromkeys(('lbp_top', 'bi_woof'), 1),  # which have no epochs
}
# With which options the shortened form builds views, and what it says of them: a system of large pictures
# takes minutes per fold on a CPU. By config; the others have what their own config asks for.
QUICK_VIEWS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(('mmnet', 'capsulenet', 'kfc_mer'), ('--face-size 64', 'faces of 64x64 pixels')),
    'micro_attention': ('--face-size 60', 'Micro-Attention on faces of 56x56 pixels'),
}
# Which options of their own make networks smaller in the shortened form, and what it says of that.
QUICK_NETWORKS: dict[str, tuple[dict[str, Any], str]] = {
    'htnet': ({'width': 32}, 'HTNet with an eighth of its channels'),
    'capsulenet': ({'width': 16, 'kernel': 3}, 'CapsuleNet with a quarter of its channels, kernels of 3x3'),
}
QUICK_SIZES = {'micro_attention': 56}  # of what such a system reads of them, where it resizes its input

# After the name of this file and a colon.
ALL = 'all'
ARGUMENTS = (*GROUPS, ALL, 'small', 'quick', 'synthetic')

# What systems may differ in. Where the data lies is that of the leaderboard.
SECTIONS = ('input', 'model', 'augment', 'loss', 'optimizer', 'training')


def get_config(argument: str = '') -> ConfigDict:
    """All fields of the experiment; `argument` is any of `ARGUMENTS`, with commas between them."""
    words = [word for word in argument.split(',') if word]
    if set(words) - set(ARGUMENTS):
        raise ValueError(
            f"the config's argument is {argument!r}; expected some of {', '.join(ARGUMENTS)}, with commas "
            'between them, or none'
        )
    quick, small = 'quick' in words, bool({'quick', 'small'} & set(words))
    groups = [*GROUPS] if ALL in words else [group for group in GROUPS if group in words] or ['flow']
    epochs = {name: number for group in groups for name, number in GROUPS[group].items()}
    synthetic = 'synthetic' in words
    config = cd.get_config('synthetic' if synthetic else '')
    config.sweep = tuple(point(name, quick=quick and number, small=small) for name, number in epochs.items())
    config.seeds = (0,) if quick else (0, 1, 2)
    config.selection.every = 1 if quick else 5
    config.checkpoint.keep_weights = False
    config.report.leaderboard = True
    shortened = ['fewer epochs than in the papers', 'one seed'] if quick else []
    shortened += ['ResNet-18 on 28x28 pixels'] if small and 'resnet18' in epochs else []
    for smaller in (QUICK_VIEWS, QUICK_NETWORKS):
        shortened += dict.fromkeys(about for name, (_, about) in smaller.items() if quick and name in epochs)
    config.report.shortened = ', '.join(shortened)
    return config


def point(name: str, *, quick: int, small: bool) -> dict[str, Any]:
    """The fields in which the config `name` differs from that of Dual-ATME, and its system.

    `quick` is the number of its epochs in the shortened form, or 0.
    """
    home, own = cd.get_config(), importlib.import_module(f'configs.{name}').get_config()
    if quick:
        own.training.epochs = quick
        own.data.build_options, _ = QUICK_VIEWS.get(name, (own.data.build_options, ''))
        own.input.size = QUICK_SIZES.get(name, own.input.size)
        own.model.update(QUICK_NETWORKS.get(name, ({}, ''))[0])
    if small and own.model.name == 'resnet18':
        own.model.variant = 'small'
    differing = {
        f'{section}.{field}': value
        for section in SECTIONS
        for field, value in own[section].items()
        if value != home[section].get(field)
    }
    if own.data.build_options:
        differing['data.build_options'] = own.data.build_options
    return {'model.name': own.model.name} | differing
