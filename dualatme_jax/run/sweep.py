"""Sweeps: from grids over fields of a config to points, each a config of its own.

`config.sweep` is a tuple of grids. A grid maps dotted fields to a value or to a list or tuple of values, an
axis; its points are the product of its axes, the last varying fastest. The sweep's points are those of all
grids, one grid after the other. A field that is itself a tuple (`loss.class_weights`) is an axis only if its
elements are lists or tuples.

A point has the options of its own system. If that is another than the config's, those that the config gives
and the system takes too stay, and the rest are the system's defaults; a point that names an option which its
system does not have is an error.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from dualatme_jax import kinds, models
from dualatme_jax.errors import InputError
from dualatme_jax.kinds import shown
from dualatme_jax.run import fields, model_section

# What a sweep may vary; the rest of a config says which trials there are and how they are run.
SECTIONS = ('input', 'model', 'augment', 'loss', 'optimizer', 'training')
TRAIN_SUBJECTS = 'data.train_subjects'
FIELDS = ('data.path', 'data.build_options', 'data.regions', TRAIN_SUBJECTS, 'stage.weights')

# More take minutes to plan, and each trains every left-out subject.
MOST_POINTS = 20_000


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes:
      number: its place in the sweep.
      values: those of the fields that vary in the sweep, by dotted field; None of an option that its system
        does not have.
      cells: the same as a table holds them: a field that is an option of some points' systems only is text,
        and empty where it is none.
      program: number of the points that share one compiled program with this one.
      config: all fields, with all options of its system.
    """

    number: int
    values: dict[str, Any]
    cells: dict[str, Any]
    program: int
    config: ConfigDict


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The points of a config, at least one.

    Attributes:
      config: what is swept over, with all options of its system.
      points: in their order, no two of them equal.
      repeated: values of the points that came again, which are trained once.
      reference: the point that the others are compared with: the config's own values, else the first point.
    """

    config: ConfigDict
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
    whole = model_section.completed(config)
    own = fields.flat(whole)
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
    sections = [_section(config.model, point) for point in given]
    rest = {field: value for field, value in own.items() if not fields.is_option(field)}
    every = [
        {field: flat.get(field) for field in swept}
        for flat in (rest | point | _flat(section) for point, section in zip(given, sections, strict=True))
    ]

    firsts: dict[tuple, int] = {}
    places = [firsts.setdefault(tuple(values.values()), place) for place, values in enumerate(every)]
    repeated = [values for place, values in enumerate(every) if places[place] != place]
    distinct = [every[place] for place in firsts.values()]
    varying = [field for field in swept if any(values[field] != distinct[0][field] for values in distinct)]
    partial = [field for field in varying if any(values[field] is None for values in distinct)]
    programs: dict[tuple, int] = {}
    found = []
    for number, place in enumerate(firsts.values()):
        values = {field: every[place][field] for field in varying}
        cells = values | {field: '' if values[field] is None else str(values[field]) for field in partial}
        system = sections[place]['name']
        program = tuple(value for field, value in values.items() if not is_column(field, system))
        program = programs.setdefault(program, len(programs))
        applied = _applied(whole, every[place], sections[place])
        found.append(Point(number, values, cells, program, applied))
    home = firsts.get(tuple(own.get(field) for field in swept))
    return Sweep(whole, found, repeated, found[[*firsts.values()].index(home) if home is not None else 0])


def is_column(field: str, system: str) -> bool:
    """Whether trials of a system that differ in `field` share one compiled program; else they have two."""
    if fields.is_option(field):
        return _option(field) in models.system(system).traced
    if field == TRAIN_SUBJECTS:  # whose clips a trial trains on is a mask
        return True
    return field.startswith(('augment.', 'loss.', 'optimizer.')) and field not in (
        'optimizer.name',
        'optimizer.coupled_decay',
        'optimizer.bias_rate',
        'loss.cosine_pair',
    )


def _section(given: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """The section `model` of a point, complete, from that which the config gives."""
    name = point.get(f'{fields.MODEL}.name', given['name'])
    base = given if name == given['name'] else model_section.of_another(given, name)
    named = {_option(field): value for field, value in point.items() if fields.is_option(field)}
    try:
        return model_section.complete({**base, **named})
    except InputError as error:
        raise InputError(f'config.sweep: {error}') from error


def _option(field: str) -> str:
    return field.removeprefix(f'{fields.MODEL}.')


def _flat(section: Mapping[str, Any]) -> dict[str, Any]:
    return {f'{fields.MODEL}.{name}': value for name, value in section.items()}


def named(values: Mapping[str, Any]) -> str:
    """The values of a point in words, or its cells, without the options that its system does not have."""
    return ', '.join(
        f'{field} = {value}'
        for field, value in values.items()
        if not (fields.is_option(field) and value in (None, ''))
    )


def systems(swept: Sweep) -> dict[str, Point]:
    """The points of a leaderboard by the names of their networks, with what distinguishes namesakes."""
    names = [point.config.model.name for point in swept.points]

    def told_apart(name: str, point: Point) -> str:
        others = {field: value for field, value in point.values.items() if field != 'model.name'}
        return name if names.count(name) == 1 else f'{name}, {named(others)}'

    return {told_apart(name, point): point for name, point in zip(names, swept.points, strict=True)}


def _grids(sweep: Any) -> list[Mapping]:
    grids = [sweep] if isinstance(sweep, Mapping) else list(sweep)
    for number, grid in enumerate(grids, start=1):
        if isinstance(grid, str):
            raise InputError(
                f'config.sweep holds the name {grid!r} where a grid belongs: '
                f'put brackets around the mapping, as in {fields.GRID_EXAMPLE}'
            )
        if not isinstance(grid, Mapping) or not grid:
            raise InputError(
                f'grid {number} of config.sweep is {grid!r}; expected a mapping from fields to values, '
                f'such as {fields.GRID_EXAMPLE}; () is no sweep'
            )
    return grids


def _axes(grid: Mapping, own: Mapping[str, Any]) -> dict[str, list]:
    name = f'{fields.MODEL}.name'
    # Their options are those of the first system of the grid; that all have them is seen point by point.
    system = _axis(name, grid[name], own[name])[0] if name in grid else own[name]
    options = _flat(model_section.complete({'name': system}))
    known = {field: value for field, value in own.items() if not fields.is_option(field)} | options
    for field in grid:
        if field not in known or not can_be_swept(field):
            raise InputError(_no_field(field, known))
    return {field: _axis(field, value, known[field]) for field, value in grid.items()}


def _axis(field: str, value: Any, like: Any) -> list:
    """The values of one field of a grid, in the field's type."""
    several = isinstance(value, list | tuple)
    if several and isinstance(like, tuple):
        several = all(isinstance(element, list | tuple) for element in value)
    values = list(value) if several else [value]
    if not values:
        raise InputError(
            f'config.sweep has no value for {field}; expected one or more, such as {field}: ({like!r},)'
        )
    return [_typed(field, element, like) for element in values]


def _typed(field: str, value: Any, like: Any) -> Any:
    if isinstance(like, tuple) and isinstance(value, list):
        value = tuple(value)
    if isinstance(like, float) and type(value) is int and kinds.NUMBER.fits(value):
        value = float(value)
    if type(value) is not type(like):
        raise InputError(
            f'config.sweep has {shown(value)} for {field}; '
            f'expected type {type(like).__name__}, such as {like!r}'
        )
    if not fields.is_option(field):  # whose kinds their system knows
        fields.check_value(field, value)
    return value


def _no_field(field: Any, own: Mapping[str, Any]) -> str:
    expected = f'expected a field of {", ".join(SECTIONS)}, or {", ".join(FIELDS)}'
    named = f'config.sweep names {shown(field)}'
    if field in own or field in {name.partition('.')[0] for name in own}:
        return f'{named}, which cannot be swept; {expected}'
    hint = fields.hint(field, filter(can_be_swept, own))
    return f'{named}, and there is no such field; {expected}{hint}'


def can_be_swept(field: str) -> bool:
    """Whether a sweep may vary a field."""
    return field in FIELDS or field.partition('.')[0] in SECTIONS


def _applied(config: ConfigDict, values: Mapping[str, Any], section: Mapping[str, Any]) -> ConfigDict:
    changed = config.copy_and_resolve_references().unlock()
    changed.update_from_flattened_dict(values)
    changed.model = ConfigDict(section)
    return changed.lock()
