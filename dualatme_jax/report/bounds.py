"""How far several systems together could come, how alike they are, and what wrong labels could explain.

All of it uses the labels that are scored: these are bounds, and no score of a system. Systems are as in
`hard_clips`.

Axes: N seeds, C clips.
"""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import hard_clips, predictions, scores

VOTE, BEST_SYSTEM, ORACLE = 'vote', 'best_system', 'oracle'

BOUNDS = {
    VOTE: 'each clip as most systems predict it: the one row that needs no label',
    BEST_SYSTEM: 'each clip right that most seeds of some system get right, the others as most predict them',
    ORACLE: 'each clip right that some seed of some system gets right: only those that none gets right are '
    'wrong',
}


def bounds(systems: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The scores of the systems, and of what could be chosen from them clip by clip.

    Returns:
      One row per system, then one per row of `BOUNDS`: `name`, `acc`, `uar`, `uf1` (of a system the mean over
      seeds), `wrong`, how many clips are wrong (the mean over seeds).
    """
    clips = hard_clips.table(systems)
    by_system = clips.filter(regex=f'^{hard_clips.WRONG}_')
    right = {
        VOTE: np.zeros(len(clips), bool),
        BEST_SYSTEM: (by_system < 0.5).any(axis=1),
        ORACLE: (by_system < 1).any(axis=1),
    }
    rows = [{'name': name} | _scored(table) for name, table in systems.items()]
    for name, known in right.items():
        prediction = clips[schema.LABEL].where(known, clips['predicted'])
        rows.append({'name': name} | _scored(clips.assign(seed=0, prediction=prediction)))
    return pd.DataFrame(rows)


def agreement(
    systems: Mapping[str, pd.DataFrame], pairs: Iterable[tuple[str, str]] | None = None
) -> pd.DataFrame:
    """How alike the systems are, pair by pair, and the seeds of each.

    Args:
      systems: see above.
      pairs: of which; by default all, and the seeds of each.

    Returns:
      One row per pair: `a`, `b`, the same name twice for the seeds of a system that has several; each number
      is the mean over pairs of their seeds: `same`, the share of clips that are predicted alike; `kappa`,
      Cohen's; `both_wrong`, the share of clips that both get wrong; `wrong_together`, of the clips that one
      of the two gets wrong the share that both do.
    """
    label, predicted = arrays(systems)
    classes = 1 + max(own.max() for own in predicted.values())
    counted = {name: _Counted(own, label, classes) for name, own in predicted.items()}
    rows = []
    for a, b in itertools.combinations_with_replacement(systems, 2) if pairs is None else pairs:
        found = _alike(counted[a], counted[b], len(label))
        if a == b:
            first = np.triu_indices(len(predicted[a]), 1)
            found = {name: values[first] for name, values in found.items()}
        if found['same'].size:
            # Of seeds that always predict one and the same class kappa is 0 / 0, and does not count.
            means = {name: pd.Series(values.ravel()).mean() for name, values in found.items()}
            rows.append({'a': a, 'b': b} | means)
    return pd.DataFrame(rows, columns=['a', 'b', 'same', 'kappa', 'both_wrong', 'wrong_together'])


def relabelled(systems: Mapping[str, pd.DataFrame]) -> tuple[int, pd.DataFrame]:
    """What wrong labels could explain, if every clip on which all agree against its label were mislabelled.

    The assumption: wherever all systems with all seeds predict one and the same class, and it is not the
    label, that class is the truth; everywhere else the label is. Systems that read the same pictures and are
    trained on the same labels err alike for other reasons too, so this is the most that wrong labels of such
    clips can explain, and no estimate of how many there are.

    Returns:
      How many clips that are, and the scores by the labels of the assumption, see `bounds`: one row per
      system, and `truth`: what a system that knew these labels would score by the given ones, the best that
      can be reached.
    """
    label, predicted = arrays(systems)
    every = np.concatenate(list(predicted.values()))
    agreed = (every == every[0]).all(0) & (every[0] != label)
    clips = _clips(systems)
    truth = pd.Series(
        np.where(agreed, every[0], label), pd.MultiIndex.from_frame(clips[predictions.CLIP_KEY])
    )
    rows = []
    for name, table in systems.items():
        own = truth[pd.MultiIndex.from_frame(table[predictions.CLIP_KEY])].to_numpy()
        rows.append({'name': name} | _scored(table.assign(label=own)))
    rows.append({'name': 'truth'} | _scored(clips.assign(seed=0, prediction=truth.to_numpy())))
    return int(agreed.sum()), pd.DataFrame(rows)


def arrays(systems: Mapping[str, pd.DataFrame]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The labels [C], and by system the predictions [N, C] of its seeds; clips sorted by name."""
    key = ['seed', *predictions.CLIP_KEY]
    predicted = {
        name: table.sort_values(key)['prediction'].to_numpy().reshape(table['seed'].nunique(), -1)
        for name, table in systems.items()
    }
    return _clips(systems)[schema.LABEL].to_numpy(), predicted


def _clips(systems: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    first = next(iter(systems.values()))
    clips = first[[*predictions.CLIP_KEY, schema.LABEL]].drop_duplicates()
    return clips.sort_values(predictions.CLIP_KEY, ignore_index=True)


class _Counted:
    """Predictions [N, C] of a system as rows of zeros and ones, whose matrix products count clips.

    Attributes:
      classes: [K, N, C], where each class is predicted.
      wrong: [N, C].
    """

    def __init__(self, predicted: np.ndarray, label: np.ndarray, classes: int):
        self.classes = np.stack([predicted == number for number in range(classes)]).astype(float)
        self.wrong = (predicted != label).astype(float)


def _alike(a: _Counted, b: _Counted, clips: int) -> dict[str, np.ndarray]:
    """How alike each seed of one system is to each of another, [N, M]; see `agreement`."""
    same = sum(own @ other.T for own, other in zip(a.classes, b.classes, strict=True)) / clips
    by_chance = np.einsum('kn,km->nm', a.classes.sum(-1), b.classes.sum(-1)) / clips**2
    both = a.wrong @ b.wrong.T
    either = a.wrong.sum(1)[:, None] + b.wrong.sum(1) - both
    with np.errstate(invalid='ignore'):
        kappa = (same - by_chance) / (1 - by_chance)  # Cohen 1960
    return {
        'same': same,
        'kappa': kappa,
        'both_wrong': both / clips,
        'wrong_together': np.where(either > 0, both / np.maximum(either, 1), 1.0),
    }


def _scored(table: pd.DataFrame) -> dict[str, float]:
    """The metrics, and the number of clips that are wrong: means over seeds."""
    found = [
        scores.score(own) | {'wrong': int((own['prediction'] != own[schema.LABEL]).sum())}
        for _, own in table.groupby('seed')
    ]
    return pd.DataFrame(found).mean().to_dict()
