"""The one system that a run reports as its result, from what its folder keeps."""

import pathlib

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import nested, predictions, results, selection

_RESULTS, _TRIALS, _EPOCHS = 'results.json', 'trials.csv', 'epoch_predictions.csv'


def read(folder: pathlib.Path, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The predictions by which a run scores itself: of the chosen points and epochs, or of its reference.

    Args:
      folder: of the run.
      table: its predictions.csv.

    Returns:
      A predictions table of one point, and what must stand beside its scores.

    Raises:
      InputError: nothing in the folder says which of several points is the result.
    """
    result = results.read(folder / _RESULTS) if (folder / _RESULTS).exists() else {}
    if result.get('selection') == selection.NESTED and result.get('chosen'):
        chosen = pd.DataFrame(result['chosen'])
        kept = _with_folds(folder, _epochs(folder) if schema.EPOCH in chosen else table)
        fields = predictions.hyperparameters(kept)
        if lacking := [name for name in fields if name not in chosen and kept[name].nunique() > 1]:
            raise InputError(
                f'{folder / _RESULTS} does not say what was chosen of {", ".join(lacking)}; compare each '
                'point: --points each'
            )
        fields = [name for name in fields if name in chosen]
        as_text = dict.fromkeys(fields, str)  # as which JSON and CSV agree on words and tuples
        own = nested.predictions(
            kept[[name for name in kept if name not in predictions.hyperparameters(kept)] + fields].astype(
                as_text
            ),
            chosen.astype(as_text),
        )
        return own.drop(columns=schema.LEFT_OUT), ('Selection: nested, by the other subjects.',)
    if result.get('selection') == selection.BEST_ON_TEST:
        kept = _of_reference(folder, _with_folds(folder, _epochs(folder)), result)
        own = selection.best_on_test(kept).drop(columns=schema.LEFT_OUT)
        return own, ('LEAKS: the best epoch on whom a fold leaves out; no score of a system.',)
    return _of_reference(folder, table, result), ()


def _of_reference(folder: pathlib.Path, table: pd.DataFrame, result: dict) -> pd.DataFrame:
    """The rows of the point that is the reference of a sweep; all of them where there is one point."""
    fields = [name for name in predictions.hyperparameters(table) if name != schema.EPOCH]
    points = table[fields].drop_duplicates()
    if len(points) > 1:
        home = [row for row in result.get('sweep') or () if row.get('reference')]
        if len(home) != 1 or not set(fields) <= home[0].keys():
            raise InputError(
                f'{folder} has {len(points)} points, and nothing in it says which one is its result; compare '
                'each of them: --points each'
            )
        [home] = pd.DataFrame(home)[fields].astype(str).to_dict('records')
        same = (table[fields].astype(str) == pd.Series(home)).all(axis=1)
        table = table[same]
    return table.drop(columns=fields)


def _epochs(folder: pathlib.Path) -> pd.DataFrame:
    table, _ = predictions.read(folder / _EPOCHS)
    return table


def _with_folds(folder: pathlib.Path, table: pd.DataFrame) -> pd.DataFrame:
    """The rows with `left_out`, which trials.csv has by the number of the trial."""
    cells = pd.read_csv(folder / _TRIALS, dtype=str, keep_default_na=False)
    folds = dict(zip(cells['trial'].astype(int), cells[schema.LEFT_OUT], strict=True))
    return table.assign(**{schema.LEFT_OUT: table['trial'].map(folds)})
