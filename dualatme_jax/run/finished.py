"""A run that has ended, in memory."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from dualatme_jax.report import predictions
from dualatme_jax.report.curves import Curves
from dualatme_jax.run import workdir
from dualatme_jax.run.kept import Kept

if TYPE_CHECKING:
    from dualatme_jax.run.finish import Report  # which imports what draws


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run has given. Of several processes the first has the predictions and the results.

    Attributes:
      complete: whether every trial ended well.
      trials: the table of trials, one row per trial: who is left out, the seed, the swept fields, and
        what became of it (`status`, `failed_epoch`, `loss`, `seconds`).
      kept: what its waves left.
      tables: the predictions, by the names that their files have in a workdir.
      outcome: scores and tables.
      curves: the loss of every trial by epoch.
    """

    complete: bool
    trials: pd.DataFrame
    kept: Kept
    tables: Mapping[str, pd.DataFrame] = dataclasses.field(default_factory=dict)
    outcome: 'Report | None' = None
    curves: Curves | None = None

    @property
    def predictions(self) -> pd.DataFrame:
        """One row per left-out clip, of the last epoch: see `report.predictions` for the columns.

        A seed and point of which a trial failed is left out as a whole.
        """
        return self.tables.get(workdir.PREDICTIONS, pd.DataFrame(columns=predictions.COLUMNS))

    @property
    def epoch_predictions(self) -> pd.DataFrame | None:
        """As `predictions`, of every epoch that config.selection.every keeps; None if it keeps none."""
        return self.tables.get(workdir.EPOCH_PREDICTIONS)

    @property
    def inner_predictions(self) -> pd.DataFrame | None:
        """By which nested selection has chosen; None if it was not asked for."""
        return self.tables.get(workdir.INNER_PREDICTIONS)

    @property
    def results(self) -> dict[str, Any]:
        """What `results.json` holds."""
        return self.outcome.results

    @property
    def scores(self) -> dict[str, Any] | None:
        """Set of clips -> metric -> `mean`, `sd`, `interval`, see `scores.score_run`.

        None where no seed is whole.
        """
        return self.results['scores']

    @property
    def variables(self) -> dict[str, Any]:
        """The trained networks: `params` and `batch_stats`, each leaf [trials, ...] in NumPy.

        Raises:
          InputError: they were not kept, or the trials have networks of several kinds: see `variables_of`.
        """
        return self.variables_of(self.trials['trial'])

    def variables_of(self, trials: Iterable[int]) -> dict[str, Any]:
        """The networks of some trials, by their numbers, in that order; see `variables`."""
        return self.kept.variables(self.trials, list(trials))

    def report(self, console: Console | None = None) -> None:
        """Prints the tables of results."""
        self.outcome.show(console or Console(markup=False, highlight=False))
