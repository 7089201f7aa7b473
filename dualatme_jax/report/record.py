"""Everything that the workdir of a run holds, finished or half: what pages, papers and methods are made from.

Nothing is trained or loaded for it, so that a page made at the end of a run and one made years later from its
folder are the same.
"""

import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import (
    attention,
    curves,
    marks,
    nested,
    predictions,
    results,
    scores,
    selection,
    shape,
)
from dualatme_jax.report.attention import Attention
from dualatme_jax.report.curves import Curves

CONFIG, TRIALS, RESULTS = 'config.json', 'trials.csv', 'results.json'
PREDICTIONS, EPOCH_PREDICTIONS = 'predictions.csv', 'epoch_predictions.csv'
PROVENANCE = 'provenance.json'

_FURTHER = (EPOCH_PREDICTIONS, 'inner_predictions.csv')  # which results.json has checksums of too
_MOST_CONFIG = 64 * 2**20  # bytes: more than the config of any sweep has
_MOST_TRIALS = 2**30  # bytes of a table of trials
_WORDS = ('folds', schema.LEFT_OUT, 'status', 'chosen')  # columns of trials that are text, NA among it


class Record:
    """What a workdir holds; each part is read when it is asked for, and None where the folder lacks it.

    Curves and attention are None too where their files are damaged, see `damaged`.

    Raises (each other part, as it is read):
      InputError: a file is there and damaged.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._damaged: dict[str, str] = {}

    @functools.cached_property
    def config(self) -> dict[str, Any] | None:
        """The config that the run was given, with what else decides what is trained."""
        return self._json(CONFIG, _MOST_CONFIG, 'config of the run', shape.CONFIG)

    @functools.cached_property
    def results(self) -> dict[str, Any] | None:
        """What the run reported; None of one that has not reported yet."""
        path = self.folder / RESULTS
        if not path.exists():
            return None
        found = results.read(path)
        try:
            shape.check(found, shape.RESULTS)
        except ValueError as error:
            raise InputError(
                f'{path} is not the results of a run ({error}); delete it, and the command of the run makes '
                'it anew'
            ) from error
        return found

    @functools.cached_property
    def provenance(self) -> list[dict[str, Any]]:
        """How it was made, one entry per command that trained some of it; see `run.provenance`."""
        found = self._json(PROVENANCE, _MOST_CONFIG, 'provenance of the run', shape.PROVENANCE)
        return found['commands'] if found else []

    @functools.cached_property
    def trials(self) -> pd.DataFrame | None:
        """One row per trial: who is left out, the seed, the swept fields, and what became of it."""
        path = self.folder / TRIALS
        if not path.exists():
            return None
        files.read_bytes(path, limit=_MOST_TRIALS, what='table of trials')  # refuses pipes and the like
        try:
            found = pd.read_csv(path, dtype=dict.fromkeys(_WORDS, str), na_values=[''], keep_default_na=False)
            lacking = {'trial', 'seed', 'status', 'loss', 'seconds'} - {*found}
            if lacking:
                raise ValueError(f'no columns {", ".join(sorted(lacking))}')
        except ValueError as error:
            raise InputError(f'{path} is not the table of trials of a run ({error})') from error
        return found

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes by their numbers; the challenge's where nothing names them."""
        return tuple((self.results or {}).get('labels') or schema.LABELS)

    @functools.cached_property
    def predictions(self) -> pd.DataFrame | None:
        """The predictions of each point's last epoch, see `report.predictions`."""
        return self._table(PREDICTIONS)

    @functools.cached_property
    def epoch_predictions(self) -> pd.DataFrame | None:
        """Those of every kept epoch, with the fold as the column `left_out`."""
        return self._table(EPOCH_PREDICTIONS)

    @functools.cached_property
    def curves(self) -> Curves | None:
        """The loss of each trial by epoch, NaN where it was not trained."""
        return self._unless_damaged(curves.FILE, curves.read)

    @functools.cached_property
    def attention(self) -> Attention | None:
        """Where its networks looked."""
        return self._unless_damaged(attention.FILE, attention.read)

    @property
    def damaged(self) -> dict[str, str]:
        """Name of a file that a page can do without, and is damaged -> what is wrong with it."""
        for name in ('curves', 'attention'):
            getattr(self, name)
        return self._damaged

    @property
    def leaderboard(self) -> pd.DataFrame | None:
        """The systems side by side, see `leaderboard.compare`; None of what is no leaderboard."""
        return self._frame('leaderboard')

    @property
    def sweep(self) -> pd.DataFrame | None:
        """The points side by side, see `sweep.compare`; None where nothing was swept."""
        return self._frame('sweep')

    @property
    def swept(self) -> list[str]:
        """The fields that differ between its points."""
        return [] if self.predictions is None else predictions.hyperparameters(self.predictions)

    @property
    def unfinished(self) -> int:
        """Trials that are still to be trained."""
        return 0 if self.trials is None else int((self.trials['status'] == 'pending').sum())

    @property
    def trained(self) -> bool:
        """Whether its trials were trained epoch by epoch; not fitted, solved in closed form, or evaluated."""
        return self.trials is not None and bool(self.trials['loss'].notna().any())

    @functools.cached_property
    def changed(self) -> list[str]:
        """The tables of predictions that are others than those that the run reported."""
        tables = {results.checksum_of(name): name for name in (PREDICTIONS, *_FURTHER)}
        known = {name: (self.results or {}).get(key) for key, name in tables.items()}
        return [
            name
            for name, digest in known.items()
            if digest
            and (self.folder / name).exists()
            and files.sha256(self.folder / name, 'predictions') != digest
        ]

    @property
    def recipe(self) -> dict[str, Any] | None:
        """The config of what is reported: one that grows has another until its new trials are trained."""
        config, found = self.config, self.results or {}
        if config is None:
            return None
        training = (config.get('training') or {}) | ({'epochs': found['epochs']} if 'epochs' in found else {})
        return config | {'training': training, 'seeds': found.get('seeds') or config.get('seeds')}

    @property
    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Field -> its value in the default config, and that which is reported; by the last command."""
        changed = (self.provenance[-1].get('changed') or {}) if self.provenance else {}
        found, own = {}, self.recipe or {}
        here = {'training.epochs': (own.get('training') or {}).get('epochs'), 'seeds': own.get('seeds')}
        for field, (before, value) in changed.items():
            value = value if here.get(field) is None else here[field]
            if value != before:
                found[field] = (before, value)
        return found

    @property
    def grown(self) -> str:
        """Of which epochs, seeds and points the scores are, if the run has others now; else empty."""
        config, found, trials = self.config or {}, self.results or {}, self.trials
        points = None if trials is None or 'point' not in trials else int(trials['point'].nunique())
        epochs = (config.get('training') or {}).get('epochs')
        now = {'epochs': epochs, 'seeds': config.get('seeds'), 'points': points}
        differ = {name for name in now if None not in (now[name], found.get(name))}
        differ = {name for name in differ if found[name] != now[name]}
        if not differ:
            return ''
        words = {
            'epochs': f'{found.get("epochs")} epoch{"s" * (found.get("epochs") != 1)}',
            'seeds': 'seeds ' + ', '.join(map(str, found.get('seeds') or ())),
            'points': f'{found.get("points")} point{"s" * (found.get("points") != 1)}',
        }
        if not ({'epochs'} & differ or self.trained):
            del words['epochs']
        if 'points' not in differ:
            del words['points']
        return ', '.join(words.values())

    @property
    def made_with(self) -> dict[str, list[str]]:
        """`device`, `commit` and each package -> what the commands that trained it had, each value once."""
        found: dict[str, dict[str, None]] = {}
        for entry in self.provenance:
            own = {name: entry.get(name) for name in ('device', 'commit')} | (entry.get('versions') or {})
            for name, value in own.items():
                if value is not None:
                    found.setdefault(name, {})[value] = None
        return {name: [*values] for name, values in found.items()}

    @property
    def undecided(self) -> bool:
        """Whether there are several points, and nothing says which one is the result."""
        found = self.results or {}
        nested_by = found.get('selection') == selection.NESTED and found.get('chosen')
        if self.predictions is None or self.sweep is not None or found.get('leaderboard') or nested_by:
            return False
        return len(predictions.points(self.predictions)) > 1

    @property
    def notices(self) -> list[str]:
        """What must stand wherever the run's result is shown, one sentence or mark each."""
        lines = [*marks.of_selection(self.results or {}), *self.notices_of_predictions]
        if self.undecided:
            points = predictions.points(self.predictions)
            first = ', '.join(f'{field} = {value}' for field, value in points[0][0].items())
            lines.append(
                f'Nothing in the folder says which of the {len(points)} points is the result. This is the '
                f'first: {first}.'
            )
        return lines

    @property
    def notices_of_predictions(self) -> list[str]:
        """Those of all its predictions, whichever of them are its result."""
        lines = marks.of_predictions(self.results or {})
        if self.results is None and (self.config or {}).get('smoke'):
            lines.append(marks.SMOKE)
        if self.grown:
            lines.append(f'These are the scores of the run before it grew: {self.grown}.')
        if self.unfinished:
            total = len(self.trials)
            lines.append(
                f'Not finished: {total - self.unfinished} of {total} trials are trained; '
                'the command of the run goes on with the rest.'
            )
        lines += [
            f'{name} is not what the run has reported; the command of the run writes it anew.'
            for name in self.changed
        ]
        return lines

    @functools.cached_property
    def selected(self) -> pd.DataFrame | None:
        """The predictions that are the run's result: of one point, chosen as the config says.

        None of a leaderboard, which has several, and where there are none.
        """
        table, found = self.predictions, self.results or {}
        if table is None or found.get('leaderboard'):
            return None
        chosen = found.get('chosen') if found.get('selection') == selection.NESTED else None
        if chosen:
            return self._nested(pd.DataFrame(chosen))
        if found.get('selection') == selection.BEST_ON_TEST and self.epoch_predictions is not None:
            return selection.best_on_test(self._reference(self.epoch_predictions))
        return self._reference(table)

    @functools.cached_property
    def scored(self) -> dict[str, Any] | None:
        """What `scores.score_run` says of the result: as it was reported, else made from the predictions."""
        found = self.results or {}
        if found.get('scores') and self.selected is not None and not self.changed:
            return found
        table = self.selected
        return None if table is None or table.empty else scores.score_run(table)

    def _reference(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of the point that the others are compared with; of the first one if none is known."""
        fields = predictions.hyperparameters(table.drop(columns=schema.EPOCH, errors='ignore'))
        if not fields:
            return table
        rows = self.sweep[self.sweep['reference'].astype(bool)] if self.sweep is not None else table
        home = _comparable((rows if len(rows) else table)[fields].iloc[:1]).iloc[0]
        return table[(_comparable(table[fields]) == home).all(axis=1)].drop(columns=fields)

    def _nested(self, chosen: pd.DataFrame) -> pd.DataFrame:
        """The predictions of each fold by the point, and epoch, that was chosen for it."""
        by_epoch = schema.EPOCH in chosen and self.epoch_predictions is not None
        table = self.epoch_predictions if by_epoch else self.predictions
        fields = predictions.hyperparameters(table)
        keys = {name: _comparable(frame[fields]) for name, frame in (('table', table), ('chosen', chosen))}
        return nested.predictions(table.assign(**keys['table']), chosen.assign(**keys['chosen']))

    def _table(self, name: str) -> pd.DataFrame | None:
        path = self.folder / name
        if not path.exists() or _has_no_row(path):
            return None
        labels = (self.results or {}).get('labels') or ()
        if name == EPOCH_PREDICTIONS:
            cells = pd.read_csv(path, dtype=dict.fromkeys(predictions.CLIP_KEY, str), keep_default_na=False)
            table = cells.astype({schema.LABEL: int, 'prediction': int})
        else:
            table, classes = predictions.read(path, labels=labels)
            if labels and len(classes) > len(labels):
                raise InputError(
                    f'{self.folder / RESULTS} has the classes {", ".join(labels)}, and {name} has '
                    f'{", ".join(classes)}; restore the file that was changed'
                )
        if self.trials is not None and schema.LEFT_OUT in self.trials:
            folds = self.trials.set_index('trial')[schema.LEFT_OUT]
            table[schema.LEFT_OUT] = folds.reindex(table['trial']).to_numpy()
        return table

    def _frame(self, key: str) -> pd.DataFrame | None:
        rows = (self.results or {}).get(key)
        return pd.DataFrame(rows).fillna(np.nan).infer_objects() if rows else None

    def _unless_damaged(self, name: str, read: Callable[[pathlib.Path], Any]) -> Any:
        path = self.folder / name
        try:
            return read(path) if path.exists() else None
        except InputError as error:
            self._damaged[name] = str(error)
            return None

    def _json(self, name: str, limit: int, what: str, shaped: Any) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.exists():
            return None
        try:
            found = json.loads(files.read_bytes(path, limit=limit, what=what))
            if not isinstance(found, dict):
                raise ValueError(f'it holds a {type(found).__name__}')
            shape.check(found, shaped)
        except (ValueError, RecursionError) as error:
            raise InputError(f'{path} is not the {what} ({error})') from error
        return found


def read(folder: pathlib.Path) -> Record:
    """The record of a workdir; its parts are read when they are asked for.

    Raises:
      InputError: there is no such folder, or no run has kept anything in it.
    """
    if not folder.is_dir():
        raise InputError(f'{folder} is no folder; expected the workdir of a run')
    known = (CONFIG, TRIALS, RESULTS, PREDICTIONS)
    if not any((folder / name).is_file() for name in known):
        raise InputError(
            f'{folder} holds none of {", ".join(known)}; expected the workdir of a run, as '
            '`python -m dualatme_jax.main --workdir=...` makes it'
        )
    return Record(folder)


def _has_no_row(path: pathlib.Path) -> bool:
    """Whether a table has a header alone, as where nobody is left out."""
    with files.open_regular(path, 'predictions') as file:
        header = file.readline()
        return bool(header.strip()) and not file.readline().strip()


def _comparable(cells: pd.DataFrame) -> pd.DataFrame:
    """Swept values as text that is equal for equal values, whether from CSV or from JSON."""
    return cells.apply(lambda column: column.map(_text))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return str(tuple(value))
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)
