"""A run grows: seeds, points of its sweep and epochs are added to what a workdir holds.

What has ended stays as it is, and what is new is trained. A trial's random key comes from its seed and its
fold alone (`training.trials`), so the new ones are those that a run of all seeds and points at once has. The
learning rate of an epoch depends on its number alone (`training.optimizers`), so what was trained for some
epochs is trained on, if its last state was kept: parameters, running statistics and the optimizer's numbers.
"""

import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from rich.console import Console

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.run import fields, workdir
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.run.programs import epochs_of
from dualatme_jax.run.sweep import Point, Sweep
from dualatme_jax.run.trial_table import MOST_BYTES, PENDING, UNPLANNED, TrialTable

EPOCHS = 'training.epochs'
_SHOWN = 3  # points that a message names


@dataclasses.dataclass(frozen=True)
class Growth:
    """What a run may grow to.

    Attributes:
      folder: the workdir.
      console: where it is said what is trained on.
      identity: the config, as the workdir keeps it.
      swept: its points.
      table_of: from the points of a config to its table of trials.
      follows: from points, and the program here of each of their programs, to what follows from them in a
        config.json, see `workdir.FOLLOWS`.
    """

    folder: pathlib.Path
    console: Console
    identity: Mapping[str, Any]
    swept: Sweep
    table_of: Callable[[Sweep], pd.DataFrame]
    follows: Callable[[Sweep, Mapping[int, int]], Mapping[str, Any]]

    def __call__(self, there: Mapping[str, Any]) -> tuple[Mapping[str, Any], Callable[[pathlib.Path], None]]:
        """See `workdir.Grow`.

        Raises:
          InputError: the run that is there has trials or epochs that this one lacks, was trained on other
            data, or its states or predictions are not there.
        """
        try:
            before = _numbered(_points(self.swept, there), self.folder / workdir.TRIALS)
        except (InputError, KeyError, TypeError, ValueError) as error:  # as of an older version
            lines = workdir.differences(there, self.identity).values()
            raise workdir.other_run(self.folder, lines) from error
        places = self._places(before)
        programs = {
            point.program: self.swept.points[places[point.number]].program
            for point in before.points
            if point.number in places
        }
        if len(places) == len(before.points):  # else that is what is wrong
            self._check_data(there, before, programs)
        again = self._continued(before, places)
        table = TrialTable.open(self.folder / workdir.TRIALS, self.table_of(before))
        trials = self.table_of(self.swept)
        staying = table.staying(trials, places)
        if staying is None:
            raise self._fewer(there, before, places)
        if len(staying):
            self._check_data(there, before, programs)
        self._check_waves(table)
        for point in before.points:
            if programs.get(point.program) in again:
                self._check_states(table, point)
        for wave in {*table.table['wave'][len(staying) :]}:
            workdir.forget_checkpoints(self.folder, wave)
        if again:
            rows = trials.iloc[staying]
            self.console.print(
                f'{rows["program"].isin(again).sum()} trials that are there are trained on, from epoch '
                f'{before.config.training.epochs} to {self.swept.config.training.epochs}',
                soft_wrap=True,
            )
        config = workdir.with_absent(_renumbered(there, programs), self.identity)
        return config, table.grown(trials, staying, again=again).write

    def _places(self, before: Sweep) -> dict[int, int]:
        """Number of a point that is there -> its number here, of those that are here."""
        here = {self._key(point, before): point.number for point in self.swept.points}
        keys = {point.number: self._key(point, before) for point in before.points}
        return {number: here[key] for number, key in keys.items() if key in here}

    def _key(self, point: Point, before: Sweep) -> str:
        """What a point trains; without its epochs, where all points have the config's."""
        flat = fields.flat(point.config)
        found = {field: value for field, value in flat.items() if sweep_lib.can_be_swept(field)}
        if not self._epochs_swept(before):
            del found[EPOCHS]
        return json.dumps(found, sort_keys=True)

    def _epochs_swept(self, before: Sweep) -> bool:
        return EPOCHS in (*before.fields, *self.swept.fields)

    def _continued(self, before: Sweep, places: Mapping[int, int]) -> set[int]:
        """The programs here that have more epochs than there."""
        pairs = [
            (point, self.swept.points[places[point.number]])
            for point in before.points
            if point.number in places
        ]
        if any(epochs_of(here.config) < epochs_of(point.config) for point, here in pairs):
            epochs = before.config.training.epochs
            raise InputError(
                f'{self.folder} holds a run of {epochs} epochs, and this config has '
                f'{self.swept.config.training.epochs}: what is trained cannot be taken back. Give '
                f'--config.training.epochs={epochs} or more, or another --workdir; of a run with '
                'config.selection.every the predictions of earlier epochs are in epoch_predictions.csv'
            )
        return {here.program for point, here in pairs if epochs_of(here.config) > epochs_of(point.config)}

    def _check_data(self, there: Mapping[str, Any], before: Sweep, programs: Mapping[int, int]) -> None:
        """Raises InputError where the points that are there would be trained on other data now."""
        now = dict.fromkeys(workdir.FOLLOWS) | dict(self.follows(before, programs))
        found = workdir.differences(there, {**self.identity, **now})
        lines = [line for name, line in found.items() if name not in workdir.GROWS]
        if lines:
            raise workdir.other_run(self.folder, lines)

    def _fewer(self, there: Mapping[str, Any], before: Sweep, places: Mapping[int, int]) -> InputError:
        """The error where trials that have ended are not among those of this config."""
        seeds, own = tuple(there['seeds']), self.identity['seeds']
        lacking = [f'the seeds {", ".join(map(str, gone))}'] if (gone := sorted({*seeds} - {*own})) else []
        points = [point for point in before.points if point.number not in places]
        if points:
            shown = '; '.join(self._named(point, before) for point in points[:_SHOWN])
            more = f'; and {len(points) - _SHOWN} more' if len(points) > _SHOWN else ''
            lacking.append(f'{len(points)} of its {len(before.points)} points ({shown}{more})')
        union = tuple(dict.fromkeys((*seeds, *own)))
        return InputError(
            f'{self.folder} holds a run with more than this config: {" and ".join(lacking)}. A run grows, '
            'and nothing of it is deleted: give what is there as well '
            f"(--config.seeds='{union}'; its sweep is in {workdir.CONFIG}), or another --workdir"
        )

    def _named(self, point: Point, before: Sweep) -> str:
        """A point that is there, in words: its swept fields, or where nothing varies what is other here."""
        flat, here = fields.flat(point.config), fields.flat(self.swept.points[0].config)
        names = dict.fromkeys((*before.fields, *self.swept.fields))
        names = names or [name for name, value in flat.items() if here.get(name) != value]
        return sweep_lib.named({name: flat.get(name) for name in names})

    def _check_waves(self, table: TrialTable) -> None:
        """Raises InputError where predictions of what has ended are gone, which the report needs."""
        for wave in table.ended:
            if not (self.folder / workdir.WAVES / workdir.wave_name(wave)).exists():
                raise InputError(
                    f'{self.folder / workdir.WAVES} has no {workdir.wave_name(wave)}, so this run can be '
                    'reported and cannot grow; restore it from a copy, or give another --workdir'
                )

    def _check_states(self, table: TrialTable, point: Point) -> None:
        """Raises InputError unless what has ended of a point can be trained on."""
        epochs, rows = epochs_of(point.config), table.table[table.table['point'] == point.number]
        for wave in sorted({*rows.loc[rows['status'] != PENDING, 'wave']} - {UNPLANNED}):
            state = self.folder / workdir.CHECKPOINTS / workdir.wave_name(wave) / str(epochs)
            if not state.exists():
                raise InputError(
                    f'{self.folder} holds a run of {epochs} epochs, which ended without its last state '
                    f'(none in {state}), so it cannot be trained on to '
                    f'{self.swept.config.training.epochs}: train these in another --workdir, and with '
                    '--config.checkpoint.keep_state=True that one can be trained on'
                )
            files.check_checksums(state, 'last state of the wave')


def _points(swept: Sweep, there: Mapping[str, Any]) -> Sweep:
    """The points of a run that differs from this one in what may grow alone."""
    config = swept.config.copy_and_resolve_references().unlock()
    config.seeds = fields.of_json(there['seeds'])
    config.sweep = fields.of_json(there['sweep'])
    config.training.epochs = there['training']['epochs']
    return sweep_lib.points(config.lock())


def _numbered(swept: Sweep, trials: pathlib.Path) -> Sweep:
    """The points with the numbers that they have in a table of trials, and in that order.

    A config.json has the fields of a grid sorted, so the product of its axes has another order.
    """
    if not swept.fields:
        return swept
    text = {'dtype': str, 'keep_default_na': False}
    table = io.BytesIO(files.read_bytes(trials, limit=MOST_BYTES, what='table of trials'))
    there = pd.read_csv(table, usecols=['point', 'program', *swept.fields], **text).drop_duplicates('point')
    numbers = {
        cells: (int(point), int(program))
        for point, program, *cells in there[['point', 'program', *swept.fields]].itertuples(index=False)
        for cells in [tuple(cells)]
    }
    # As a table has them: tuples as text, numbers as pandas writes them.
    own = [
        {field: str(cell) if isinstance(cell, tuple) else cell for field, cell in point.cells.items()}
        for point in swept.points
    ]
    cells = pd.read_csv(io.StringIO(pd.DataFrame(own)[swept.fields].to_csv(index=False)), **text)
    found = [numbers[row] for row in cells.itertuples(index=False, name=None)]
    points = [
        dataclasses.replace(point, number=number, program=program)
        for point, (number, program) in zip(swept.points, found, strict=True)
    ]
    return dataclasses.replace(swept, points=sorted(points, key=lambda point: point.number))


def _renumbered(there: Mapping[str, Any], programs: Mapping[int, int]) -> dict[str, Any]:
    """The config of a leaderboard, whose systems are named by their programs, with the numbers from here."""

    def named(section: Any) -> Any:
        if not isinstance(section, Mapping):
            return section
        parts = [(*name.partition(' '), own) for name, own in section.items()]
        return {
            f'{programs[int(number)]} {name}': own
            for number, _, name, own in parts
            if int(number) in programs
        }

    found = dict(there)
    if isinstance(found.get('stages'), Mapping):
        found['stages'] = named(found['stages'])
    if 'systems' in (found.get('dataset') or {}):
        found['dataset'] = found['dataset'] | {'systems': named(found['dataset']['systems'])}
    return found
