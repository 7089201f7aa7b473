"""Whether JSON that lies in a workdir has the shape that pages, papers and methods read."""

import types
from typing import Any

from dualatme_jax.report.scores import METRICS

NUMBER = int | float
_SPREAD = {'mean': NUMBER, 'sd?': NUMBER, 'interval?': (NUMBER, NUMBER)}
_METRICS = dict.fromkeys(METRICS, _SPREAD)
CONFIG = {
    'model?': {'name?': str},
    'training?': dict,
    'optimizer?': dict,
    'loss?': dict,
    'selection?': dict,
    'input?': dict,
    'report?': dict,
    'engine?': dict,
    'data?': dict,
    'dataset?': dict,
    'trained_on?': {'subjects?': {'*': list}},
    'seeds?': [int],
}
RESULTS = {
    'notice?': str,
    'labels?': [str],
    'dataset?': dict,
    'frozen?': [str],
    'failed?': [dict],
    'seconds?': NUMBER,
    'scores?': {'full': _METRICS, '*': _METRICS},
    'per_seed?': [{'seed': int, 'full': dict.fromkeys(METRICS, NUMBER)}],
    'chosen?': [{'seed': int, 'left_out': str}],
    'leaderboard?': [dict],
    'sweep?': [dict],
}
PROVENANCE = {
    'commands': [{'versions?': {'*': str}, 'changed?': {'*': (object, object)}}],
}


def check(found: Any, shape: Any, place: str = 'it') -> None:
    """Raises ValueError that names the first part of another shape.

    Args:
      found: what the JSON holds.
      shape: a type; a list with the shape of every element; a tuple with one shape per element; or a dict
        with one shape per key, of which `NAME?` may lack or be null, and `*` is every other key. Keys that it
        does not name may hold anything.
      place: the name of `found`.
    """
    if isinstance(shape, type | types.UnionType):
        if not isinstance(found, shape) or (isinstance(found, bool) and shape is not object):
            raise ValueError(f'{place} is {_short(found)}; expected {_named(shape)}')
    elif isinstance(shape, dict):
        check(found, dict, place)
        for key, part in shape.items():
            name = key.removesuffix('?')
            if key == '*':
                for other in {*found} - {*shape}:
                    check(found[other], part, f'{place}.{other}')
            elif name in found and (name == key or found[name] is not None):
                check(found[name], part, f'{place}.{name}')
            elif name == key:
                raise ValueError(f'{place} has no {name}')
    else:
        check(found, list, place)
        parts = shape * len(found) if isinstance(shape, list) else shape
        if len(parts) != len(found):
            raise ValueError(f'{place} has {len(found)} parts; expected {len(parts)}')
        for number, (own, part) in enumerate(zip(found, parts, strict=True)):
            check(own, part, f'{place}[{number}]')


def _named(shape: Any) -> str:
    words = {dict: 'an object', list: 'a list', str: 'text', int: 'an integer'}
    return words.get(shape, 'a number')


def _short(found: Any) -> str:
    text = repr(found)
    return text if len(text) < 60 else f'{text[:60]}...'
