"""Sweeps: from grids over fields of a config to points, each a config of its own.

`config.sweep` is a tuple of grids. A grid maps dotted fields to a value or to a list or tuple of values, an
axis; its points are the product of its axes, the last varying fastest. The sweep's points are those of all
grids, one grid after the other. A field that is itself a tuple (`loss.class_weights`) is an axis only if its
elements are lists or tuples.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from dualatme_jax.errors import InputError
from dualatme_jax.kinds import shown
from dualatme_jax.run import fields

# What a sweep may vary; the rest of a config says which trials there are and how they are run.
SECTIONS = ('input', 'model', 'augment', 'loss', 'optimizer', 'training')
FIELDS = ('data.path', 'data.regions')

# More take minutes to plan, and each trains every left-out subject.
MOST_POINTS = 20_000

EXAMPLE = '''--config.sweep="[{'loss.cosine_weight': (0, 0.001, 0.01)}]"'''


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes:
      number: its place in the sweep.
      values: those of the fields that vary in the sweep, by dotted field.
      program: number of the points that share one compiled program with this one.
      config: all fields.
    """

    number: int
    values: dict[str, Any]
    program: int
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
    own = fields.flat(config)
    axes = [_axes(grid, own) for grid in _grids(config.sweep)]
    count = sum(math.prod(map(len, grid.values())) for grid in axes)
    if count > MOST_POINTS:
        raise InputError(
            f'config.sweep has {count} points; expected {MOST_POINTS} at most: leave out values, or axes'
        )
    products = [(grid, itertools.product(*grid.values())) for grid in axes]
    given = [dict(zip(grid, values, strict=True)) for grid, product in products for values in product]
    given = given or [{}]
    swept = list(dict.fromkeys(field for point in given for field in point))
    every = [{field: point.get(field, own[field]) for field in swept} for point in given]

    firsts: dict[tuple, dict[str, Any]] = {}
    repeated = [values for values in every if firsts.setdefault(tuple(values.values()), values) is not values]
    distinct = list(firsts.values())
    varying = [field for field in swept if any(values[field] != distinct[0][field] for values in distinct)]
    programs: dict[tuple, int] = {}
    found = []
    for number, values in enumerate(distinct):
        fixed = tuple(values[field] for field in varying if not is_column(field))
        program = programs.setdefault(fixed, len(programs))
        own_values = {field: values[field] for field in varying}
        found.append(Point(number, own_values, program, _applied(config, values)))
    home = firsts.get(tuple(own[field] for field in swept))
    return Sweep(found, repeated, found[distinct.index(home) if home else 0])


def is_column(field: str) -> bool:
    """Whether trials that differ in `field` share one compiled program; any other field splits them."""
    return field == 'model.dropout' or (
        field.startswith(('augment.', 'loss.', 'optimizer.'))
        and field not in ('optimizer.name', 'loss.cosine_pair')
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


def _axes(grid: Mapping, own: Mapping[str, Any]) -> dict[str, list]:
    return {field: _axis(field, value, own) for field, value in grid.items()}


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
    if isinstance(like, float) and type(value) is int and fields.FIELDS[field].fits(value):
        value = float(value)
    if type(value) is not type(like):
        raise InputError(
            f'config.sweep has {shown(value)} for {field}; '
            f'expected type {type(like).__name__}, such as {like!r}'
        )
    fields.check_value(field, value)
    return value


def _no_field(field: Any, own: Mapping[str, Any]) -> str:
    expected = f'expected a field of {", ".join(SECTIONS)}, or {", ".join(FIELDS)}'
    named = f'config.sweep names {shown(field)}'
    if field in own or field in {name.partition('.')[0] for name in own}:
        return f'{named}, which cannot be swept; {expected}'
    hint = fields.hint(field, filter(_can_be_swept, own))
    return f'{named}, and there is no such field; {expected}{hint}'


def _can_be_swept(field: str) -> bool:
    return field in FIELDS or field.partition('.')[0] in SECTIONS


def _applied(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    changed = config.copy_and_resolve_references()
    changed.update_from_flattened_dict(values)
    return changed
