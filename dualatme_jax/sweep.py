"""Sweeps: from grids over fields of a config to points, each a config of its own.

`config.sweep` is a tuple of grids. A grid maps dotted fields to a value or to a list or tuple of values, an
axis; its points are the product of its axes, the last varying fastest. The sweep's points are those of all
grids, one grid after the other. A field that is itself a tuple (`loss.class_weights`) is an axis only if its
elements are lists or tuples.
"""

import dataclasses
import difflib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from dualatme_jax.errors import InputError

# What a sweep may vary; the rest of a config says which trials there are and how they are run.
SECTIONS = ('input', 'model', 'loss', 'optimizer', 'training')
FIELDS = ('data.path', 'data.regions')

EXAMPLE = '''--config.sweep="[{'loss.cosine_weight': (0, 0.001, 0.01)}]"'''


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes:
      number: its place in the sweep.
      values: those of the fields that vary in the sweep, by dotted field.
      group: number of the points that share one compiled program with this one.
      config: all fields.
    """

    number: int
    values: dict[str, Any]
    group: int
    config: ConfigDict


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The points of a config, at least one.

    Attributes:
      points: in their order, no two of them equal.
      repeated: values of the points that came again, which are trained once.
      reference: the point that the others are compared with: the config's own values, else the first point.
    """

    points: list[Point]
    repeated: list[dict[str, Any]]
    reference: Point

    @property
    def fields(self) -> list[str]:
        """The fields that vary."""
        return list(self.points[0].values)


def points(config: ConfigDict) -> Sweep:
    """The sweep of a config; without grids it is the config itself, with nothing swept.

    Raises:
      InputError: no such field, one that cannot be swept, nothing to sweep over, or a value of another type.
    """
    own = _flat(config)
    given = [point for grid in _grids(config.sweep) for point in _product(grid, own)] or [{}]
    swept = list(dict.fromkeys(field for point in given for field in point))
    every = [{field: (own | point)[field] for field in swept} for point in given]

    distinct = [values for place, values in enumerate(every) if values not in every[:place]]
    repeated = [values for place, values in enumerate(every) if values in every[:place]]
    varying = [field for field in swept if any(values[field] != distinct[0][field] for values in distinct)]
    groups: dict[tuple, int] = {}
    found = []
    for number, values in enumerate(distinct):
        program = tuple(values[field] for field in varying if not is_column(field))
        group = groups.setdefault(program, len(groups))
        own_values = {field: values[field] for field in varying}
        found.append(Point(number, own_values, group, _applied(config, values)))
    home = {field: own[field] for field in swept}
    return Sweep(found, repeated, found[distinct.index(home) if home in distinct else 0])


def is_column(field: str) -> bool:
    """Whether trials that differ in `field` share one compiled program; any other field splits them."""
    return field == 'model.dropout' or (
        field.startswith(('loss.', 'optimizer.')) and field != 'optimizer.name'
    )


def named(values: Mapping[str, Any]) -> str:
    """The values of a point in words."""
    return ', '.join(f'{field} = {value}' for field, value in values.items())


def _grids(sweep: Any) -> list[Mapping]:
    grids = [sweep] if isinstance(sweep, Mapping) else list(sweep)
    for number, grid in enumerate(grids, start=1):
        if isinstance(grid, str):
            raise InputError(
                f'config.sweep holds the name {grid!r} where a grid belongs: '
                f'put brackets around the mapping, as in {EXAMPLE}'
            )
        if not isinstance(grid, Mapping) or not grid:
            raise InputError(
                f'grid {number} of config.sweep is {grid!r}; expected a mapping from fields to values, '
                f'such as {EXAMPLE}; () is no sweep'
            )
    return grids


def _product(grid: Mapping, own: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    axes = {field: _axis(field, value, own) for field, value in grid.items()}
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _axis(field: Any, value: Any, own: Mapping[str, Any]) -> list:
    """The values of one field of a grid, in the field's type."""
    if field not in own or not _can_be_swept(field):
        raise InputError(_no_field(field, own))
    several = isinstance(value, list | tuple)
    if several and isinstance(own[field], tuple):
        several = all(isinstance(element, list | tuple) for element in value)
    values = list(value) if several else [value]
    if not values:
        raise InputError(
            f'config.sweep has no value for {field}; expected one or more, such as {field}: ({own[field]!r},)'
        )
    return [_typed(field, element, own[field]) for element in values]


def _typed(field: str, value: Any, like: Any) -> Any:
    if isinstance(like, tuple) and isinstance(value, list):
        value = tuple(value)
    if isinstance(like, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(like):
        raise InputError(
            f'config.sweep has {value!r} for {field}; expected type {type(like).__name__}, such as {like!r}'
        )
    return value


def _no_field(field: Any, own: Mapping[str, Any]) -> str:
    expected = f'expected a field of {", ".join(SECTIONS)}, or {", ".join(FIELDS)}'
    if field in own or field in {name.partition('.')[0] for name in own}:
        return f'config.sweep names {field!r}, which cannot be swept; {expected}'
    sweepable = [name for name in own if _can_be_swept(name)]
    # A name without its section is meant for the field of that name.
    close = [name for name in sweepable if name.endswith(f'.{field}')]
    close = close or difflib.get_close_matches(str(field), sweepable, n=3, cutoff=0.5)
    hint = f'; did you mean {" or ".join(close)}?' if close else ''
    return f'config.sweep names {field!r}, and there is no such field; {expected}{hint}'


def _can_be_swept(field: str) -> bool:
    return field in FIELDS or field.partition('.')[0] in SECTIONS


def _flat(config: ConfigDict) -> dict[str, Any]:
    """Every field by its dotted name."""
    flat = {}
    for section, value in config.items():
        fields = value.items() if isinstance(value, ConfigDict) else []
        flat |= {f'{section}.{name}': inner for name, inner in fields} or {section: value}
    return flat


def _applied(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    changed = config.copy_and_resolve_references()
    changed.update_from_flattened_dict(values)
    return changed
