"""What a config may hold: refused before anything is read, built or trained."""

import math

from ml_collections import ConfigDict

from dualatme_jax import sweep
from dualatme_jax.errors import InputError
from dualatme_jax.models.layers import lowering
from dualatme_jax.report import scores
from dualatme_jax.report.selection import BEST_ON_TEST, LAST, NESTED
from dualatme_jax.training import devices, encoding

# What numbers of the config may be: (section, field, least, most).
RANGES = [
    ('training', 'epochs', 1, math.inf),
    ('training', 'batch_size', 1, math.inf),
    ('checkpoint', 'every', 1, math.inf),
    ('selection', 'every', 0, math.inf),
    ('report', 'resamples', 1, scores.MOST_RESAMPLES),
    ('engine', 'max_trials', 0, math.inf),
    ('optimizer', 'learning_rate', 0, math.inf),
    ('optimizer', 'momentum', 0, 1),
    ('optimizer', 'weight_decay', 0, math.inf),
    ('optimizer', 'step_factor', 0, 1),
    ('loss', 'focal_gamma', 0, math.inf),
    ('loss', 'focal_alpha', 0, math.inf),
    ('loss', 'cosine_weight', 0, math.inf),
]

# Those that must stay below 1, since 1 minus them is divided by.
FRACTIONS = [('optimizer', 'beta1'), ('optimizer', 'beta2'), ('model', 'dropout')]


def check_ranges(config: ConfigDict) -> None:
    """Raises InputError for a number out of its range, or an input that cannot be.

    It is called before anything is read or built.
    """
    encoding.encoder(**config.input)
    for section, field, low, high in RANGES:
        value = config[section][field]
        if not (low <= value <= high and math.isfinite(value)):
            upwards = f'to {high}' if high < math.inf else 'or more'
            raise InputError(f'config.{section}.{field} is {value}; expected {low} {upwards}')
    for section, field in FRACTIONS:
        if not 0 <= config[section][field] < 1:
            raise InputError(
                f'config.{section}.{field} is {config[section][field]}; expected a fraction in [0, 1)'
            )


def check_engine(engine: ConfigDict) -> None:
    """Raises InputError for devices that are not there, or a way to train that does not exist."""
    devices.check(mapping=engine.mapping, dispatch=engine.dispatch, precision=engine.precision)
    lowering.check(engine.lowering)
    devices.choose(engine.devices)


def check_evaluation(config: ConfigDict, swept: sweep.Sweep) -> None:
    """Raises InputError where weights from elsewhere are to be evaluated, and fields ask for training."""
    if not config.evaluate_only:
        return
    trained = {
        'config.smoke': config.smoke,
        'config.sweep': len(swept.points) > 1,
        'config.seeds': len(config.seeds) > 1,
        'config.selection.name': config.selection.name != LAST,
        'config.selection.every': config.selection.every > 0,
    }
    for field, given in trained.items():
        if given:
            raise InputError(
                f'config.evaluate_only is {config.evaluate_only!r}, which trains nothing and scores one '
                f'network for each subject, and {field} asks for something else; leave one of the two out'
            )


def check_selection(config: ConfigDict, swept: sweep.Sweep) -> None:
    """Raises InputError for a selection that does not exist, or has nothing to choose from."""
    for field, choices in (('name', (LAST, NESTED, BEST_ON_TEST)), ('metric', scores.METRICS)):
        if config.selection[field] not in choices:
            raise InputError(
                f'unknown selection {config.selection[field]!r}: '
                f'config.selection.{field} takes {", ".join(map(repr, choices))}'
            )
    every = config.selection.every
    epochs = max(point.config.training.epochs for point in swept.points)
    several = bool(every) and (epochs - 1) // every > 0  # the last one is kept always
    if config.selection.name == NESTED and len(swept.points) < 2 and not several:
        raise InputError(
            f'config.selection.name is {NESTED!r} and there is one point to choose from; '
            f'expected a sweep of two or more, such as {sweep.EXAMPLE}, or several kept epochs, such as '
            '--config.selection.every=1'
        )
    if config.report.leaderboard and (not every or config.selection.name == BEST_ON_TEST):
        raise InputError(
            f'config.report.leaderboard needs kept epochs and an honest selection, and config.selection has '
            f'every = {every} and name = {config.selection.name!r}; expected every = 1 or more, and '
            f'{LAST!r} or {NESTED!r}: see configs/leaderboard.py'
        )
    if config.selection.name == BEST_ON_TEST and not several:
        raise InputError(
            f'config.selection.name is {BEST_ON_TEST!r}, and no epoch but the last is kept; '
            'expected epochs to choose from, such as --config.selection.every=1'
        )
