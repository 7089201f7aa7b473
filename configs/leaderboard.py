"""Every system on MEGC2019-CD under one protocol: the same clips and folds, no choice on the test.

Paper    Each system by its own config, which names its paper and the settings: configs/ststnet.py, ...
Command  python -m dualatme_jax.main --config=configs/leaderboard.py
         python -m dualatme_jax.main --config=configs/leaderboard.py:small --config.seeds='(0,)'
         python -m dualatme_jax.main --config=configs/leaderboard.py:quick
         python -m dualatme_jax.main --config=configs/leaderboard.py:best,rcn_a,rcn_f
         python -m dualatme_jax.main --config=configs/leaderboard.py:all,quick,synthetic
Expect   leaderboard.md, leaderboard.csv and leaderboard.png in the workdir: see docs/leaderboard.md. All
         epochs of all papers need a GPU. Words after the colon, with commas between them: `flow`, `faces`,
         `clips`, `classical`, `solved` and `all`, see `GROUPS`, are systems by what they read, and each name
         there is one; without any of these it is `flow,best`. A system whose view is not in the dataset is
         listed with the command that builds it, and the others are trained. `small` gives ResNet-18 the 28x28
         pixels of the other systems, a quarter of its work; `quick` does the same, trains the epochs of
         `GROUPS` with one seed and makes systems smaller as `QUICK` has it. Both are marked wherever they are
         shown.
"""

import importlib
from collections.abc import Collection, Sequence
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
        'small_cnn': 10,
    },
    'faces': {'micro_attention': 2, 'mmnet': 3, 'capsulenet': 3, 'kfc_mer': 2},
    'clips': {'dual_branch_3dcnn': 10, 'aman': 1},
    'classical': dict.fromkeys(('lbp_top', 'bi_woof'), 1),  # which have no epochs
    'solved': dict.fromkeys(('best', 'kernel_ridge_steps'), 1),  # nor have these
}
# What of a system is smaller in the shortened form, in words and as fields of its config: one of large
# pictures or with many parameters takes minutes per fold on a CPU.
QUICK: dict[str, tuple[str, dict[str, Any]]] = {
    'htnet': ('HTNet with an eighth of its channels', {'model.width': 32}),
    'micro_attention': (
        'Micro-Attention on faces of 56x56 pixels',
        {'data.build_options': '--face-size 60', 'input.size': 56},
    ),
    'mmnet': ('faces of 64x64 pixels', {'data.build_options': '--face-size 64'}),
    'kfc_mer': ('faces of 64x64 pixels', {'data.build_options': '--face-size 64'}),
    'dual_branch_3dcnn': (
        'clips of 10 frames of 48x48 pixels',
        {'data.build_options': '--frame-count 10 --frame-size 48'},
    ),
    'aman': (
        'AMAN on 3 frames of 112x112 pixels',
        {'data.build_options': '--frame-count 3 --frame-choice even --frame-size 112', 'model.frames': 3},
    ),
    'capsulenet': (
        'CapsuleNet on faces of 64x64 pixels, with a quarter of its channels and kernels of 3x3',
        {'data.build_options': '--face-size 64', 'model.width': 16, 'model.kernel': 3},
    ),
}

# After the name of this file and a colon.
ALL = 'all'
NAMES = tuple(name for group in GROUPS.values() for name in group)
USUAL = ('flow', 'best')
ARGUMENTS = (*GROUPS, ALL, 'small', 'quick', 'synthetic', *NAMES)

# What systems may differ in. Where the data lies is that of the leaderboard.
SECTIONS = ('input', 'model', 'augment', 'loss', 'optimizer', 'training')


def get_config(argument: str = '') -> ConfigDict:
    """All fields of the experiment; `argument` is any of `ARGUMENTS`, with commas between them."""
    words = words_of(argument, ARGUMENTS)
    asked = set(words) & {*GROUPS, ALL, *NAMES} or {*USUAL}
    names = [name for group, members in GROUPS.items() for name in members if asked & {ALL, group, name}]
    return board(names, words)


def words_of(argument: str, known: Collection[str]) -> list[str]:
    """The words of an argument; raises ValueError for one that is not among those that are known."""
    words = [word for word in argument.split(',') if word]
    if set(words) - set(known):
        raise ValueError(
            f"the config's argument is {argument!r}; expected some of {', '.join(known)}, with commas "
            'between them, or none'
        )
    return words


def board(names: Sequence[str], words: Collection[str]) -> ConfigDict:
    """The leaderboard of some configs of `GROUPS`; `words` are of `ARGUMENTS`."""
    quick, small = 'quick' in words, bool({'quick', 'small'} & set(words))
    config = cd.get_config('synthetic' if 'synthetic' in words else '')
    config.sweep = tuple(point(name, quick=quick, small=small) for name in names)
    config.seeds = (0,) if quick else (0, 1, 2)
    config.selection.every = 1 if quick else 5
    config.checkpoint.keep_weights = False
    config.report.leaderboard = True
    shortened = ['fewer epochs than in the papers', 'one seed'] if quick else []
    shortened += ['ResNet-18 on 28x28 pixels'] if small and 'resnet18' in names else []
    shortened += dict.fromkeys(QUICK[name][0] for name in names if quick and name in QUICK)
    config.report.shortened = ', '.join(shortened)
    return config


def point(name: str, *, quick: bool, small: bool) -> dict[str, Any]:
    """The fields in which the config `name` differs from that of Dual-ATME, and its system."""
    home, own = cd.get_config(), importlib.import_module(f'configs.{name}').get_config()
    if quick:
        own.training.epochs = next(epochs[name] for epochs in GROUPS.values() if name in epochs)
        _, fields = QUICK.get(name, ('', {}))
        for section, field in (key.split('.') for key in fields):
            own[section][field] = fields[f'{section}.{field}']
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
