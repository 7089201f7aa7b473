"""Systems side by side: scores, paired tests, agreement, and the clips on which they differ.

Axes: N seeds, C clips, K classes.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import bounds, predictions, scores
from dualatme_jax.report import sweep as sweep_report
from dualatme_jax.report.systems import Systems

MOST_PAIRS = 30  # systems of which all pairs are tested; of more, each with the reference

_TEST = [f'difference_{part}' for part in ('mean', 'low', 'high')] + ['p']


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
      systems: of which.
      reference: the name of the system that the others are compared with.
      scores: one row per system: `system`, `seeds`, `clips`, `subjects`; for all clips `METRIC_mean`,
        `METRIC_sd` (over seeds), `METRIC_low`, `METRIC_high` (95% bootstrap over subjects), and the same by
        database, `DATABASE_METRIC_PART`, if there are several; `paired_seeds`, and UF1 minus the reference's
        on them, `difference_mean`, `difference_low`, `difference_high`, its `p` and `p_holm`, corrected for
        the number of systems; `reference`, whether the row is it; `notice`.
      pairs: one row per pair `a`, `b`, each in the order of the systems: `paired_seeds`, `difference_*` (UF1
        of a minus that of b), `p`, and `p_holm`, corrected for the number of pairs; `same`, `kappa`,
        `both_wrong`, `wrong_together`, see `bounds.agreement`.
      clips: one row per clip that not all systems predict alike, by what most seeds say (of equals the first
        class): `database`, `subject`, `clip`, `label`; of each system `predicted_NAME`, a number of a class,
        and `right_NAME`, the share of its seeds that are right; `right`, how many systems are right by most
        seeds. Those that divide systems most stand first.
    """

    systems: Systems
    reference: str
    scores: pd.DataFrame
    pairs: pd.DataFrame
    clips: pd.DataFrame


def compare(systems: Systems, *, reference: str = '', resamples: int = 1000) -> Comparison:
    """Compares two systems or more.

    Args:
      systems: on the same clips, see `systems.read`.
      reference: the system that the others are compared with; the first by default.
      resamples: draws of the bootstrap over subjects.

    Raises:
      InputError: there is one system only, or none of the reference's name.
    """
    names = list(systems.tables)
    if len(names) < 2:
        raise InputError(
            f'{names[0]} is the only system; expected two or more to compare: for the scores of one there is '
            '`python -m dualatme_jax.score`'
        )
    home = reference or names[0]
    if home not in names:
        raise InputError(f'--reference is {home!r}; expected one of {", ".join(names)}')
    pairs = _pairs(systems, home, resamples)
    return Comparison(systems, home, _scores(systems, home, pairs, resamples), pairs, _differing(systems))


def paired_seeds(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two systems on seeds that can be paired: those that both have.

    Where they have none in common, as many as the one with fewer has, each system's by rising number: the
    number of a seed means nothing to another program, and the test exchanges whole systems.
    """
    of_a, of_b = (sorted(table['seed'].unique().tolist()) for table in (a, b))
    shared = sorted({*of_a} & {*of_b})
    found = []
    for table, own in ((a, of_a), (b, of_b)):
        kept = shared or own[: min(len(of_a), len(of_b))]
        number = {seed: place for place, seed in enumerate(kept)}
        rows = table[table['seed'].isin(kept)]
        found.append(rows.assign(seed=rows['seed'].map(number)))
    return tuple(found)


def _pairs(systems: Systems, home: str, resamples: int) -> pd.DataFrame:
    tables = systems.tables
    chosen = list(itertools.combinations(tables, 2))
    if len(tables) > MOST_PAIRS:
        chosen = [pair for pair in chosen if home in pair]
    rows = []
    for a, b in chosen:
        parts = paired_seeds(tables[a], tables[b])
        test = sweep_report.against(*parts, resamples)
        rows.append({'a': a, 'b': b, 'paired_seeds': parts[0]['seed'].nunique()} | test)
    frame = pd.DataFrame(rows).reindex(columns=['a', 'b', 'paired_seeds', *_TEST])
    frame = frame.assign(p_holm=sweep_report.holm(frame['p']))
    return frame.merge(bounds.agreement(tables, chosen), on=['a', 'b'], how='left')


def _scores(systems: Systems, home: str, pairs: pd.DataFrame, resamples: int) -> pd.DataFrame:
    rows, tests = [], both_ways(pairs)
    for name, table in systems.tables.items():
        clips, subjects = predictions.count(table)
        found = scores.score_run(table, resamples=resamples)['scores']
        rows.append(
            {'system': name, 'seeds': table['seed'].nunique(), 'clips': clips, 'subjects': subjects}
            | sweep_report.score_columns(found)
            | tests.get((name, home), {})
            | {'reference': name == home, 'notice': ' '.join(systems.notices[name])}
        )
    frame = pd.DataFrame(rows)
    last = ['paired_seeds', *_TEST, 'p_holm', 'reference', 'notice']
    frame['p_holm'] = sweep_report.holm(frame['p'])
    return frame[[name for name in frame if name not in last] + last]


def both_ways(pairs: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Of two names, in each order: `paired_seeds`, `difference_*` (first minus second), `p` and `p_holm`."""
    found = {}
    for row in pairs[['a', 'b', 'paired_seeds', *_TEST, 'p_holm']].to_dict('records'):
        a, b, mean, low, high = (row.pop(name) for name in ('a', 'b', *_TEST[:3]))
        found[a, b] = row | dict(zip(_TEST, (mean, low, high), strict=False))
        mirrored = (0.0 - mean, 0.0 - high, 0.0 - low)  # 0 without a sign
        found[b, a] = row | dict(zip(_TEST, mirrored, strict=False))
    return found


def _differing(systems: Systems) -> pd.DataFrame:
    """The clips on which systems differ, see `Comparison.clips`."""
    label, predicted = bounds.arrays(systems.tables)
    classes = len(systems.labels)
    first = next(iter(systems.tables.values()))
    clips = first[[*predictions.CLIP_KEY, schema.LABEL]].drop_duplicates(predictions.CLIP_KEY)
    clips = clips.sort_values(predictions.CLIP_KEY, ignore_index=True)
    most = {name: _votes(own, classes).argmax(0) for name, own in predicted.items()}
    columns = {}
    for name, own in predicted.items():
        columns |= {f'predicted_{name}': most[name], f'right_{name}': (own == label).mean(0)}
    right = sum((own == label).astype(int) for own in most.values())
    frame = pd.concat([clips.assign(right=right), pd.DataFrame(columns)], axis=1)
    every = np.stack(list(most.values()))
    differing = frame[(every != every[0]).any(0)]
    divided = (differing['right'] - len(most) / 2).abs()
    return differing.iloc[np.argsort(divided.to_numpy(), kind='stable')].reset_index(drop=True)


def _votes(predicted: np.ndarray, classes: int) -> np.ndarray:
    """[K, C]: how many of predictions [N, C] are of each class."""
    return np.stack([(predicted == number).sum(0) for number in range(classes)])


def is_right(row: Mapping, names: Sequence[str]) -> list[bool]:
    """Of a row of `Comparison.clips`, which systems are right by most seeds."""
    return [row[f'predicted_{name}'] == row[schema.LABEL] for name in names]
