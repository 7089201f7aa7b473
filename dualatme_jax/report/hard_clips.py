"""Which clips several systems get wrong, and how often.

Systems are name -> predictions of one point, see `predictions`; all of the same clips with the same labels
(`systems.check_same`).
A system counts as one, however many seeds it has.
"""

from collections.abc import Mapping

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import predictions

WRONG = 'wrong'  # the column of the mean over systems, and with `_` and a name behind it of one of them


def table(systems: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What the systems make of each clip.

    Returns:
      One row per clip, those that are wrong most often first: `database`, `subject`, `clip`, `label`;
      `predicted`, the class that is predicted most (of equals the first); `wrong`, the mean over systems of
      `wrong_NAME`, the share of its seeds in which a system is wrong; 1 is a clip that nothing gets right.
    """
    rows = pd.concat([own.assign(system=name) for name, own in systems.items()], ignore_index=True)
    rows = rows.assign(
        wrong=rows['prediction'] != rows[schema.LABEL],
        weight=1 / rows.groupby('system')['seed'].transform('nunique'),
    )
    by_system = rows.groupby([*predictions.CLIP_KEY, 'system'])[WRONG].mean().unstack()[list(systems)]
    votes = rows.groupby([*predictions.CLIP_KEY, 'prediction'])['weight'].sum().unstack(fill_value=0)
    clips = rows[[*predictions.CLIP_KEY, schema.LABEL]].drop_duplicates(ignore_index=True)
    index = pd.MultiIndex.from_frame(clips[predictions.CLIP_KEY])
    found = clips.assign(
        predicted=votes.round(9).idxmax(axis=1)[index].to_numpy(),
        wrong=by_system.mean(axis=1)[index].to_numpy(),
        **{f'{WRONG}_{name}': by_system.loc[index, name].to_numpy() for name in systems},
    )
    return found.sort_values(WRONG, ascending=False, kind='stable', ignore_index=True)


def never_right(clips: pd.DataFrame) -> pd.DataFrame:
    """The rows of `table` of the clips that no system gets right with any seed."""
    return clips[clips[[name for name in clips if name.startswith(f'{WRONG}_')]].eq(1).all(axis=1)]
