"""trials.csv: the table of trials, the wave of each, and what became of it."""

import io
import json
import pathlib
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes, replacing, sha256
from dualatme_jax.machines import processes
from dualatme_jax.training.memory import Way
from dualatme_jax.training.wave import Wave

PENDING, DONE, FAILED = 'pending', 'done', 'failed'
UNPLANNED = -1

# What is added to the columns of the trials themselves.
OUTCOME = ('wave', 'status', 'failed_epoch', 'loss', 'seconds', 'micro_batch', 'recomputed', 'chosen')

# What says which trial a row is, of the tables of one dataset.
KEY = ('point', 'seed', 'fold', 'inner')

_WHOLE = {'micro_batch': 0, 'recomputed': 0}
_FRESH = {'status': PENDING, 'failed_epoch': 0, 'loss': np.nan, 'seconds': np.nan}
_ABSENT = {
    'subjects': 0,
    'undersample': 0.0,
    'chosen': '',
    **_WHOLE,
}  # what tables of older versions do not have

MOST_BYTES = 2**30  # of trials.csv: more than any table that can be planned


class TrialTable:
    """The table of trials, one row per trial, kept in a file; in memory alone where there is no path.

    Beside the trial itself each row has `wave` (-1 until it is planned), `status` (pending, done, failed),
    `failed_epoch` (from 1; 0 if none), `loss` (of the last epoch), `seconds` (the wave's, for all its trials
    together), and how it is trained, see `memory.Way`: `micro_batch` and `recomputed` (0 or 1). `chosen` is
    the setting that a learner has chosen for the trial itself, as JSON, if it does. A wave holds trials of
    one program only. The number of a trial is its place, which it keeps when the table grows: later trials
    stand behind those that were there.
    """

    def __init__(self, path: pathlib.Path | None, table: pd.DataFrame):
        self._path = path
        self.table = table

    @classmethod
    def create(cls, path: pathlib.Path | None, trials: pd.DataFrame) -> 'TrialTable':
        """A new table: every trial is pending, none is planned; it is written once some are."""
        return cls(path, trials.assign(wave=UNPLANNED, **_FRESH, **_WHOLE, chosen=''))

    @classmethod
    def open(cls, path: pathlib.Path, trials: pd.DataFrame) -> 'TrialTable':
        """The table that an earlier process left of these trials; raises InputError if it is not one."""
        check_sum(path)
        try:
            content = read_bytes(path, limit=MOST_BYTES, what='table of trials')
            # A subject may be called NA: only numbers can be missing.
            words = [*trials.select_dtypes(exclude='number').columns, 'chosen']
            # Of a hyperparameter that the system of a row does not have, too.
            empty = {name: [''] for name in ('loss', 'seconds', *trials.columns.difference(pd.Index(words)))}
            table = pd.read_csv(
                io.BytesIO(content), dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=empty
            )
            table = table.assign(**{name: value for name, value in _ABSENT.items() if name not in table})
            own = trials.iloc[_places(table, trials)].assign(trial=range(len(table))).reset_index(drop=True)
            same = len(table) == len(trials) and table[[*trials]].astype(str).equals(own.astype(str))
            # In the types that they have in memory: a truth value is a word in a file.
            table = pd.concat([own, table[[*OUTCOME]]], axis=1)
            _check_outcome(table)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f'{path} is not the table of a run ({error}); or give another --workdir'
            ) from error
        if not same:
            raise InputError(f'{path} lists other trials than this run has; give another --workdir')
        return cls(path, table)

    def staying(self, trials: pd.DataFrame, points: Mapping[int, int]) -> np.ndarray | None:
        """Of the first trials here, as many as stay in a table of others, where in `trials` each stands.

        Trials that nothing is known of yet may go, from the end. None where others would have to.

        Args:
          trials: the others, in any order.
          points: number of a point here -> its number there, of those that are there.
        """
        own = self.table.assign(point=self.table['point'].map(points).fillna(-1).astype(int))
        places = _places(own, trials)
        stay = places[: int((places >= 0).sum())]
        gone = self.table['status'][len(stay) :]
        return None if (stay < 0).any() or (gone != PENDING).any() else stay

    def grown(
        self, trials: pd.DataFrame, staying: np.ndarray, *, again: Collection[int] = ()
    ) -> 'TrialTable':
        """The table of more trials, not written yet: what is known of those that stay is kept.

        Args:
          trials: all of them, in any order.
          staying: see there.
          again: programs, as `trials` has them, of which what has ended is trained on.
        """
        here = len(staying)
        rest = np.setdiff1d(np.arange(len(trials)), staying)
        table = trials.iloc[[*staying, *rest]].reset_index(drop=True)
        table = TrialTable.create(None, table.assign(trial=range(len(table)))).table
        for name in OUTCOME:  # in their types, which NaN would change
            table[name] = [*self.table[name][:here], *table[name][here:]]
        table.loc[table['program'].isin(again) & (table['status'] != PENDING), [*_FRESH]] = [*_FRESH.values()]
        found = TrialTable(None, table)
        for program in table['program'].unique():
            found._plan_rest(program)
        return found

    def _plan_rest(self, program: int) -> None:
        """Where waves of a program are pending, plans what is in none: further waves, of the same size."""
        size = self.wave_size(program)
        rest = self._pending(program) & (self.table['wave'] == UNPLANNED)
        if size and rest.any():
            first = self.table['wave'].max() + 1
            self.table.loc[rest, 'wave'] = first + np.arange(rest.sum()) // size
            planned = self.table[self._pending(program) & ~rest].iloc[0]
            self.table.loc[rest, [*_WHOLE]] = planned[[*_WHOLE]].tolist()

    @property
    def waves(self) -> list[int]:
        """The numbers of the planned waves."""
        return sorted(set(self.table['wave'].tolist()) - {UNPLANNED})

    @property
    def ended(self) -> list[int]:
        """The numbers of the waves whose trials are all done or failed."""
        return sorted(set(self.waves) - set(self.table.loc[self.table['status'] == PENDING, 'wave']))

    @property
    def seconds(self) -> float:
        """Training time of the waves that have ended."""
        return float(self.table.groupby('wave')['seconds'].first().sum())

    @property
    def failed(self) -> pd.DataFrame:
        """The rows of trials that diverged."""
        return self.table[self.table['status'] == FAILED]

    @property
    def unfinished(self) -> pd.DataFrame:
        """The rows of trials that are still to be trained."""
        return self.table[self.table['status'] == PENDING]

    def trials(self, program: int) -> pd.DataFrame:
        """The rows of a program, without what became of them."""
        return self.table[self.table['program'] == program].drop(columns=list(OUTCOME))

    def chosen(self, point: int) -> pd.DataFrame:
        """Seed, fold and setting of each trial of a point that has chosen one; empty where none has."""
        outer = self.table[(self.table['point'] == point) & (self.table['inner'] == 0)]
        own = outer[outer['chosen'] != '']
        settings = pd.DataFrame([*map(json.loads, own['chosen'])], own.index)
        return pd.concat([own[['seed', 'left_out']], settings], axis=1).reset_index(drop=True)

    def wave_size(self, program: int) -> int:
        """Trials in the program's largest wave that is pending; 0 if none is planned."""
        planned = self.table[self._pending(program) & (self.table['wave'] != UNPLANNED)]
        return int(planned['wave'].value_counts().max()) if len(planned) else 0

    def before(self, program: int) -> tuple[int, Way] | None:
        """Size and way of waves for what is pending of a program, as those have it that have ended.

        None where none has; or where the only one was as large as there were trials, and now there are more.
        """
        ended = self.table[(self.table['program'] == program) & (self.table['status'] != PENDING)]
        sizes = ended['wave'].value_counts()
        left = int(self._pending(program).sum())
        if sizes.empty or (len(sizes) == 1 and sizes.max() < left):
            return None
        return min(int(sizes.max()), left), _way(ended.iloc[-1])

    def pending_waves(self, program: int) -> list[int]:
        """The numbers of the waves of a program that are still to be trained."""
        return np.unique(self.table.loc[self._pending(program), 'wave']).tolist()

    def pending_trials(self, program: int) -> pd.DataFrame:
        """The rows of a program that are still to be trained, wave by wave, without what became of them."""
        return self.table[self._pending(program)].drop(columns=list(OUTCOME))

    def pending(self, program: int) -> list[tuple[int, pd.DataFrame]]:
        """Number and trials of each wave of a program that is still to be trained."""
        # Waves follow each other in the table, and thousands of slices are made quickly.
        waves, starts = np.unique(self.table.loc[self._pending(program), 'wave'], return_index=True)
        rows = self.pending_trials(program)
        ends = np.append(starts, len(rows))[1:]
        return [(int(wave), rows.iloc[a:b]) for wave, a, b in zip(waves, starts, ends, strict=True)]

    def way(self, program: int) -> Way:
        """How the pending trials of a program are trained, as it was planned."""
        return _way(self.table[self._pending(program)].iloc[0])

    def plan(self, program: int, wave_size: int, way: Way | None = None) -> None:
        """Cuts what is pending of a program into waves, for the first time or again; others keep theirs.

        Its trials are trained in another `way` if one is given.
        """
        pending = self._pending(program)
        first = self.table.loc[~pending, 'wave'].max() + 1 if (~pending).any() else 0
        self.table.loc[pending, 'wave'] = first + np.arange(pending.sum()) // wave_size
        if way:
            self.table.loc[pending, [*_WHOLE]] = way.micro_batch, int(way.recompute)
        self._write()

    def close_wave(self, number: int, wave: Wave) -> None:
        """Enters what became of a wave's trials."""
        rows = self.table['wave'] == number
        self.table.loc[rows, 'failed_epoch'] = wave.failed_epoch
        self.table.loc[rows, 'status'] = np.where(wave.failed_epoch > 0, FAILED, DONE)
        self.table.loc[rows, 'loss'] = wave.losses[-1]
        self.table.loc[rows, 'seconds'] = wave.seconds
        if wave.chosen:
            self.table.loc[rows, 'chosen'] = [json.dumps(own) for own in wave.chosen]
        self._write()

    def _pending(self, program: int) -> pd.Series:
        return (self.table['program'] == program) & (self.table['status'] == PENDING)

    def _write(self) -> None:
        if self._path is not None and processes.is_first():
            self.write(self._path)

    def write(self, path: pathlib.Path) -> None:
        """Writes it to a file, with its checksum beside it."""
        with replacing(path) as temporary:
            self.table.to_csv(temporary, index=False)
            # Both are the table's until one has taken the other's place.
            found = [sha256(file, 'table of trials') for file in (path, temporary) if file.exists()]
            with replacing(sums(path)) as sidecar:
                sidecar.write_text('\n'.join(found) + '\n')


def _places(rows: pd.DataFrame, trials: pd.DataFrame) -> np.ndarray:
    """Where in `trials` each of some rows stands, by its `KEY`; -1 where it is not there."""
    names = [name for name in KEY if name in trials]
    keys = [pd.MultiIndex.from_frame(table[names].astype(str)) for table in (trials, rows)]
    return keys[0].get_indexer(keys[1])


def _way(row: pd.Series) -> Way:
    return Way(int(row['micro_batch']), bool(row['recomputed']))


def sums(path: pathlib.Path) -> pathlib.Path:
    """Beside a table: the checksums that it may have."""
    return path.with_name(f'.{path.name}.sha256')


def check_sum(path: pathlib.Path) -> None:
    """Raises InputError unless a table is as it was written; those of older versions have no checksums."""
    if not sums(path).exists():
        return
    known = read_bytes(sums(path), limit=2**10, what='checksums').decode(errors='replace').split()
    if sha256(path, 'table of trials') not in known:
        raise InputError(
            f'{path} is not as it was written: put a copy in its place; if it was changed on purpose, '
            f'delete {sums(path).name} beside it'
        )


def _check_outcome(table: pd.DataFrame) -> None:
    """Raises ValueError for what no run enters in a table of trials."""
    if not table['status'].isin([PENDING, DONE, FAILED]).all():
        raise ValueError(f'expected a status of {PENDING}, {DONE} or {FAILED}')
    for name, kinds in {
        'wave': 'i',
        'failed_epoch': 'i',
        'loss': 'f',
        'seconds': 'f',
        **dict.fromkeys(_WHOLE, 'i'),
    }.items():
        if table[name].dtype.kind not in kinds:
            raise ValueError(f'expected numbers as {name}')
    if (table['wave'] < UNPLANNED).any() or (table[['failed_epoch', *_WHOLE]] < 0).any(axis=None):
        raise ValueError('expected no negative wave, epoch or size')
    if (table[table['wave'] != UNPLANNED].groupby('wave')['program'].nunique() > 1).any():
        raise ValueError('expected the trials of a wave to be of one program')
