"""Which clips several systems get wrong, and how often.

Systems are name -> predictions of one point, see `predictions`; all of the same clips with the same labels.
A system counts as one, however many seeds it has.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions

WRONG = 'wrong'  # the column of the mean over systems, and with `_` and a name behind it of one of them

_SHOWN = 10  # clips that a message names


def check_same(systems: Mapping[str, pd.DataFrame], labels: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError unless all systems have the classes, clips and labels of the first, in each seed.

    Args:
      systems: name -> predictions of one point.
      labels: name -> classes by their numbers.
    """
    first, *others = systems
    truth = _truth(first, systems[first])
    for name in others:
        if tuple(labels[name]) != tuple(labels[first]):
            raise InputError(
                f'{name} has the classes {", ".join(labels[name])}, and {first} {", ".join(labels[first])}; '
                'expected runs of the same classes in the same order'
            )
        both = pd.concat([truth, _truth(name, systems[name])], axis=1, keys=[first, name])
        differing = both[both[first] != both[name]]
        if len(differing):
            found = '; '.join(
                f'{"/".join(clip)} {_of(row[first], labels[first])} and {_of(row[name], labels[first])}'
                for clip, row in differing[:_SHOWN].iterrows()
            )
            raise InputError(
                f'{len(differing)} clips differ between {first} and {name}: {found}'
                f'{" ..." if len(differing) > _SHOWN else ""}; expected runs on the same clips'
            )


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


def _truth(name: str, rows: pd.DataFrame) -> pd.Series:
    """The label of each clip; raises InputError unless each seed has each of them once."""
    times = rows.groupby(predictions.CLIP_KEY)['seed'].agg(['size', 'nunique'])
    wrong = times[(times != rows['seed'].nunique()).any(axis=1)]
    if len(wrong):
        raise InputError(
            f'{name}: {len(wrong)} clips do not stand once in each of its {rows["seed"].nunique()} seeds, '
            f'such as {"/".join(wrong.index[0])}; expected the predictions of a finished run'
        )
    return rows.groupby(predictions.CLIP_KEY)[schema.LABEL].first()


def _of(label: float, labels: Sequence[str]) -> str:
    return 'absent' if pd.isna(label) else labels[int(label)]
