"""The fields of a config: their dotted names, what each may hold, and which one was meant by another name."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError
from dualatme_jax.kinds import FRACTION, SWITCH, TEXT, Kind, is_text, number, several, shown, whole

MOST_GIB = 2**20

MODEL = 'model'

_NAMED = 3  # fields that a message suggests

# What people call a field that has no word of that name.
_ALIASES = {
    'lambda': 'loss.cosine_weight',
    'network': 'model.name',
    'dataset': 'data.path',
    'gpus': 'engine.devices',
}


def _are_seeds(value: Any) -> bool:
    return _SEED_TUPLE.fits(value) and 0 < len(value) == len(set(value))


PATH = Kind('a path, or no text', is_text)
PATHS = Kind('a path, or several with commas between', lambda value: is_text(value) and bool(value))
# jax.random.key takes 32 bits: a larger seed would be a smaller one's twin.
_SEED_TUPLE = several(whole(0, 2**32 - 1))
SEEDS = Kind('one or more different whole numbers from 0 to 2**32 - 1', _are_seeds)
PAIR = Kind(
    'a tuple of two names of features',
    lambda value: type(value) is tuple and len(value) == 2 and all(map(is_text, value)),
)
GRID_EXAMPLE = '''--config.sweep="[{'loss.cosine_weight': (0, 0.001, 0.01)}]"'''
GRIDS = Kind('a tuple of grids', lambda value: type(value) is tuple)

# Every field of a config, see `configs/cd.py`, but the options of its system, which are in the section MODEL
# too. Names (of a system, a loss, ...) are checked where they are looked up.
FIELDS = {
    'data.path': PATHS,
    'data.build_synthetic': SWITCH,
    'data.build_options': TEXT,
    'data.regions': TEXT,
    'data.databases': several(TEXT),
    'data.allow_missing_class': SWITCH,
    'data.train_subjects': whole(0),
    'data.undersample': number(0),
    'input.encoding': TEXT,
    'input.percentile': number(0, 100),
    'input.clip': number(0),
    'input.scale': TEXT,
    'input.channels': several(TEXT),
    'input.size': whole(0, 4096),
    'input.random_crop': SWITCH,
    'input.mirror_at_test': SWITCH,
    'stage.weights': PATH,
    'stage.batch_size': whole(1),
    'model.name': TEXT,
    'loss.name': TEXT,
    'loss.focal_gamma': number(0),
    'loss.focal_alpha': number(0),
    'loss.class_weights': several(number(0)),
    'loss.margin_present': number(0, 1),
    'loss.margin_absent': number(0, 1),
    'loss.margin_others': number(0),
    'loss.cosine_weight': number(0),
    'loss.cosine_pair': PAIR,
    'loss.label_smoothing': FRACTION,
    'loss.mixup': number(0),
    'loss.class_balance': number(0, 1),
    'loss.floor': FRACTION,
    'loss.mean_over_clips': SWITCH,
    'augment.mirror': number(0, 1),
    'augment.shift': FRACTION,
    'augment.rotation': number(0, 180),
    'augment.scale': FRACTION,
    'augment.erase': FRACTION,
    'augment.noise': number(0),
    'augment.strength': FRACTION,
    'augment.crop': FRACTION,
    'augment.colour': number(0, 0.5),
    'optimizer.name': TEXT,
    'optimizer.learning_rate': number(0),
    'optimizer.momentum': number(0, 1),
    'optimizer.beta1': FRACTION,
    'optimizer.beta2': FRACTION,
    'optimizer.rms_decay': FRACTION,
    'optimizer.epsilon': number(0),
    'optimizer.weight_decay': number(0),
    'optimizer.coupled_decay': SWITCH,
    'optimizer.bias_rate': number(0),
    'optimizer.schedule': TEXT,
    'optimizer.step_epochs': whole(1),
    'optimizer.step_factor': number(0, 1),
    'optimizer.step_until': whole(0),
    'as_published': several(TEXT),
    'evaluate_only': PATH,
    'init_from': PATH,
    'freeze': several(TEXT),
    'training.epochs': whole(1),
    'training.batch_size': whole(1),
    'training.shuffle': SWITCH,
    'training.balanced': SWITCH,
    'folds': TEXT,
    'fold_parts': whole(2),
    'seeds': SEEDS,
    'smoke': SWITCH,
    'sweep': GRIDS,
    'selection.name': TEXT,
    'selection.every': whole(0),
    'selection.parts': whole(2),
    'selection.metric': TEXT,
    'report.resamples': whole(1, schema.MOST_RESAMPLES),
    'report.pictures': SWITCH,
    'report.tracker': TEXT,
    'report.paper': TEXT,
    'report.leaderboard': SWITCH,
    'report.caveat': TEXT,
    'report.shortened': TEXT,
    'report.reference': TEXT,
    'report.ensemble': TEXT,
    'report.ensemble_over': TEXT,
    'report.ensemble_members': several(TEXT),
    'report.attention': SWITCH,
    'checkpoint.every': whole(1),
    'checkpoint.keep_weights': SWITCH,
    'checkpoint.keep_state': SWITCH,
    'engine.max_trials': whole(0),
    'engine.memory_gib': number(0, MOST_GIB),
    'engine.rematerialise': TEXT,
    'engine.micro_batch': whole(0),
    'engine.devices': whole(0),
    'engine.mapping': TEXT,
    'engine.dispatch': TEXT,
    'engine.precision': TEXT,
    'engine.lowering': TEXT,
    'engine.cache': PATH,
}


def flat(config: ConfigDict) -> dict[str, Any]:
    """Every field by its dotted name, with its value."""
    found = {}
    for section, value in config.items():
        within = value.items() if isinstance(value, ConfigDict) else []
        found |= {f'{section}.{name}': inner for name, inner in within} or {section: value}
    return found


def of_json(value: Any) -> Any:
    """A value as JSON has it with the tuples that a config holds."""
    if isinstance(value, Mapping):
        return {key: of_json(inner) for key, inner in value.items()}
    return tuple(map(of_json, value)) if isinstance(value, list) else value


def check(config: ConfigDict) -> None:
    """Raises InputError for a field that is missing or unknown, or for a value that it cannot hold."""
    found = flat(config)
    for field in FIELDS.keys() - found.keys():
        raise InputError(
            f'the config lacks config.{field}; expected all fields of configs/cd.py: begin with '
            '`config = cd.get_config()`, as the other files there do'
        )
    for field, value in found.items():
        if is_option(field):
            continue  # see `model_section`
        if field not in FIELDS:
            raise InputError(
                f'the config has config.{field}, and there is no such field{hint(field, FIELDS, "config.")}'
            )
        check_value(field, value)


def is_option(field: str) -> bool:
    """Whether a field is one of the options of a system."""
    return field.startswith(f'{MODEL}.') and field != f'{MODEL}.name'


def check_value(field: str, value: Any) -> None:
    """Raises InputError for a value that a field of `FIELDS` cannot hold."""
    kind = FIELDS[field]
    if not kind.fits(value):
        raise InputError(f'config.{field} is {shown(value)}; expected {kind.expected}')
    if kind in (PATH, PATHS):
        for path in value.split(',') if kind is PATHS else [value]:
            files.expanded(path, f'config.{field}')


def hint(name: Any, known: Iterable[str], prefix: str = '') -> str:
    """The end of a message about a field that does not exist: which of the `known` ones was meant, if any."""
    close = ' or '.join(f'{prefix}{field}' for field in meant(str(name), known))
    return f'; did you mean {close}?' if close else ''


def meant(name: str, known: Iterable[str]) -> list[str]:
    """The fields that a name may stand for, the closest first; none if nothing is like it.

    `optimizer` stands for its `name`; `learning_rate`, `gamma` and `lr` for the fields that have that last
    part, have that word in it, or have those initials.
    """
    known = list(known)
    last = name.lower().replace('-', '_').rpartition('.')[2]
    for found in _ways(name, last, known):
        if found:
            return found[:_NAMED]
    return []


def _ways(name: str, last: str, known: list[str]) -> Iterator[list[str]]:
    words = {field: field.rpartition('.')[2].split('_') for field in known}
    yield [field for field in known if field == f'{name}.name']
    yield difflib.get_close_matches(name, known, n=_NAMED, cutoff=0.85)
    yield [field for field in known if field == f'{last}.name']
    yield [field for field in known if '_'.join(words[field]) == last]
    yield [field for field in known if field == _ALIASES.get(last)]
    yield [field for field in known if last in words[field]]
    yield [field for field in known if len(words[field]) > 1 and ''.join(w[0] for w in words[field]) == last]
    of_last = {'_'.join(parts): field for field, parts in words.items()}
    yield [of_last[part] for part in difflib.get_close_matches(last, of_last, n=_NAMED, cutoff=0.75)]
    yield difflib.get_close_matches(name, known, n=_NAMED, cutoff=0.6)
