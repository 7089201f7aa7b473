"""The predictions of a run: put together from its waves, and checked against its table of trials."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from rich.console import Console

from dualatme_jax import files, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions, results
from dualatme_jax.run import workdir
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.run.trial_table import DONE, TrialTable
from dualatme_jax.training import trials

_ANEW = 'restore it from a copy, or train in another --workdir'
_WORDS = dict.fromkeys((*predictions.CLIP_KEY, schema.LEFT_OUT), str)


@dataclasses.dataclass(frozen=True)
class Collected:
    """The tables of predictions of a run, each with the fold and the swept fields as columns.

    Attributes:
      tables: name of the file -> its rows; empty where no wave has ended.
      sums: name of the file -> its SHA-256; empty of a run without a workdir.
    """

    tables: Mapping[str, pd.DataFrame]
    sums: Mapping[str, str]


def collect(
    trial_table: TrialTable,
    swept: Sweep,
    dataset: Dataset,
    kept: Kept,
    console: Console,
    *,
    finished: bool = False,
) -> Collected:
    """Puts the waves' predictions of all folds, and inner ones if there are any, into tables.

    They are written, if the run has a workdir. What this process has trained is taken from memory, what an
    earlier one has left is read and checked.

    Scores pool the predictions of all folds, so a seed and point of which a trial failed, or was not trained,
    is left out as a whole; what its other trials predicted stays with their waves.

    Args:
      trial_table: of the run.
      swept: the points.
      dataset: the clips.
      kept: what the waves left.
      console: where notes are shown.
      finished: whether the run has been reported: then the tables are there, and a note says what differs.
        The waves may be gone then; the tables are checked all the same.

    Raises:
      InputError: predictions are missing or damaged, or are not those of the trials.
    """
    if not trial_table.ended:
        return Collected({}, {})
    folder = kept.folder
    gone = [wave for wave in trial_table.ended if folder and not kept.wave(wave).exists()]
    if gone and finished:
        tables = _tables_of_report(trial_table, swept, dataset, folder)
        sums, known = _check_reported(folder, tables)
        fitted = f'{workdir.TRIALS} and {workdir.RESULTS}' if known else workdir.TRIALS
        console.print(
            f'{workdir.WAVES}/ has no {workdir.wave_name(gone[0])}: the tables of predictions are taken as '
            f'they are, since they fit {fitted}'
            + ('' if known else f'; {workdir.RESULTS} does not say whether they were changed'),
            soft_wrap=True,
        )
        return Collected(tables, sums)
    rows = pd.concat(
        [_wave(trial_table, wave, dataset, kept) for wave in trial_table.ended], ignore_index=True
    )
    places = _places(trial_table, swept)
    rows = rows.sort_values('trial', kind='stable', key=lambda trials: trials.map(places))
    tables, sums = _tables(rows, trial_table, swept), {}
    for name, table in tables.items() if folder else ():
        path = folder / name
        before = files.sha256(path, 'table of predictions') if finished and path.exists() else None
        # The fold of what is no inner prediction follows from its trial.
        named = name == workdir.INNER_PREDICTIONS
        sums[name] = predictions.write(table if named else table.drop(columns=schema.LEFT_OUT), path)
        if finished and before != sums[name]:
            found = 'was missing' if before is None else f'was not what {workdir.WAVES}/ holds'
            console.print(f'{name} {found}: it is written anew', soft_wrap=True)
    return Collected(tables, sums)


def _places(trial_table: TrialTable, swept: Sweep) -> pd.Series:
    """Trial -> its place in the table of a run that had all trials at once: one that has grown has others."""
    table = trial_table.table
    seeds = {seed: place for place, seed in enumerate(swept.config.seeds)}
    order = np.lexsort([table['fold'], table['seed'].map(seeds), table['inner'], table['point']])
    return pd.Series(np.argsort(order), table['trial'])


def read(file: pathlib.Path) -> pd.DataFrame:
    """Predictions that this run has written.

    Raises:
      InputError: they are missing, or are not readable as such a table.
    """
    try:
        with files.open_regular(file, 'table of predictions') as content:
            table = pd.read_csv(content, dtype=_WORDS, keep_default_na=False, index_col=False)
        lacking = {*schema.PREDICTION_COLUMNS} - {*table}
        if lacking:
            raise ValueError(f'no columns {", ".join(sorted(lacking))}')
        return _typed(table)
    except InputError:
        raise
    except ValueError as error:  # of pandas, and of the encoding
        raise InputError(f'{file} is no table of predictions of a run ({error}); {_ANEW}') from error


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Predictions with the types that they have in memory, wherever they come from."""
    numbers = ['trial', 'seed', schema.LABEL, 'prediction', *({schema.EPOCH} & {*table})]
    types = dict.fromkeys(numbers, np.int64) | dict.fromkeys({*_WORDS} & {*table}, str)
    return table.astype(types | dict.fromkeys(predictions.probabilities(table.columns), np.float32))


def _with_fields(table: pd.DataFrame, trial_table: TrialTable, swept: Sweep) -> pd.DataFrame:
    """Predictions with their fold and the swept fields as the table of trials has them, whatever the file."""
    trial = trial_table.table.set_index('trial').loc[table['trial']]
    return table.assign(**{field: trial[field].to_numpy() for field in (schema.LEFT_OUT, *swept.fields)})


def _tables(rows: pd.DataFrame, trial_table: TrialTable, swept: Sweep) -> dict[str, pd.DataFrame]:
    """Name of a file -> its table, from the predictions of all waves in the order of their trials."""
    trial = trial_table.table.set_index('trial').loc[rows['trial']]
    whole = rows['trial'].isin(_whole(trial_table)['trial']).to_numpy()
    inner = trial['inner'].to_numpy() > 0
    rows = _with_fields(rows, trial_table, swept)
    last = (rows[schema.EPOCH] == rows.groupby('trial')[schema.EPOCH].transform('max')).to_numpy()
    without = rows.drop(columns=schema.EPOCH)
    found = {workdir.PREDICTIONS: without[whole & ~inner & last]}
    if swept.reference.config.selection.every:
        found[workdir.EPOCH_PREDICTIONS] = rows[whole & ~inner]
    else:
        rows = without
    if inner.any():
        found[workdir.INNER_PREDICTIONS] = rows.assign(inner=trial['inner'].to_numpy())[whole & inner]
    return {name: predictions.ordered(table).reset_index(drop=True) for name, table in found.items()}


def _tables_of_report(
    trial_table: TrialTable, swept: Sweep, dataset: Dataset, folder: pathlib.Path
) -> dict[str, pd.DataFrame]:
    """The tables that an earlier report has left, checked; see `_check`."""
    whole = _whole(trial_table)
    outer, inner = whole[whole['inner'] == 0], whole[whole['inner'] > 0]
    expected = {workdir.PREDICTIONS: outer}
    expected |= {workdir.EPOCH_PREDICTIONS: outer} if swept.reference.config.selection.every else {}
    expected |= {workdir.INNER_PREDICTIONS: inner} if len(inner) else {}
    found = {}
    for name, own in expected.items():
        if len(own):
            table = read(folder / name)
            _check(table, own, dataset, folder / name)
            found[name] = predictions.ordered(_with_fields(table, trial_table, swept))
    return found


def _check_reported(folder: pathlib.Path, tables: Iterable[str]) -> tuple[dict[str, str], bool]:
    """The checksums of `tables`; and whether the last report has them: older and damaged ones do not.

    Raises:
      InputError: it has others.
    """
    sums = {name: files.sha256(folder / name, 'table of predictions') for name in tables}
    try:
        result = results.read(folder / workdir.RESULTS)
    except InputError:  # the report that follows writes it anew
        return sums, False
    for name, found in sums.items():
        if result.get(results.checksum_of(name)) not in (None, found):
            raise InputError(f'{folder / name} is not what {workdir.RESULTS} was made from; {_ANEW}')
    return sums, results.checksum_of(workdir.PREDICTIONS) in result


def _whole(trial_table: TrialTable) -> pd.DataFrame:
    """The trials of seeds and points of which no trial failed or is still to be trained."""
    lacking = pd.concat([trial_table.failed, trial_table.unfinished])
    pair = pd.MultiIndex.from_frame(trial_table.table[['seed', 'point']])
    return trial_table.table[~pair.isin(pd.MultiIndex.from_frame(lacking[['seed', 'point']]))]


def _wave(trial_table: TrialTable, wave: int, dataset: Dataset, kept: Kept) -> pd.DataFrame:
    """The predictions of one wave, from memory, or as they were written."""
    if wave in kept.predictions:
        return _typed(kept.predictions[wave])
    path = kept.wave(wave) / workdir.PREDICTIONS
    try:
        files.check_if_sealed(path.parent, 'files of the wave', only=[path.name])
    except InputError as error:
        raise InputError(f'{error}; {_ANEW}') from error
    rows = read(path)
    table = trial_table.table
    _check(rows, table[(table['wave'] == wave) & (table['status'] == DONE)], dataset, path)
    return rows


def _check(rows: pd.DataFrame, own: pd.DataFrame, dataset: Dataset, path: pathlib.Path) -> None:
    """Raises InputError unless `rows` are each clip that the trials `own` left out, once at each epoch."""
    clips = pd.MultiIndex.from_arrays([dataset.database, dataset.subject, dataset.clip])
    place = clips.get_indexer(pd.MultiIndex.from_frame(rows[predictions.CLIP_KEY]))
    known = place >= 0
    if not (known.all() and (dataset.label[place] == rows[schema.LABEL]).all()):
        line = 2 + np.argmin(known & (dataset.label[place] == rows[schema.LABEL]))
        raise InputError(f'{path}, line {line}: no clip of the dataset with that label; {_ANEW}')
    # A trial and a clip in one number.
    expected = np.sort(
        [
            number * len(clips) + clip
            for number, row in zip(own['trial'], own.to_dict('records'), strict=True)
            for clip in trials.held_out_clips(row, dataset)
        ]
    )
    pair = rows['trial'].to_numpy() * len(clips) + place
    epoch = rows[schema.EPOCH].to_numpy() if schema.EPOCH in rows else np.zeros(len(rows), int)
    for number in np.unique(epoch) if len(rows) else [0]:
        found = np.sort(pair[epoch == number])
        if not np.array_equal(found, expected):
            times = pd.Series(found).value_counts().reindex(np.union1d(found, expected), fill_value=0)
            wrong = times[times != np.isin(times.index, expected)]
            trial, clip = divmod(int(wrong.index[0]), len(clips))
            raise InputError(
                f'{path} has the clip {"/".join(clips[clip])} of trial {trial} {wrong.iloc[0]} times; '
                f'{workdir.TRIALS} asks for {int(wrong.index[0] in expected)}, and so on with {len(wrong)} '
                f'clips; {_ANEW}'
            )
