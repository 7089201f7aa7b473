"""The tables of `python -m dualatme_jax.limits` as one page in Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import bounds, hard_clips, power, predictions, scores, tables

_DETAILS = (schema.ACTION_UNITS, schema.EMOTION)
_UNKNOWN = 'not known'
_PEOPLE = 8  # subjects that are listed


def page(
    systems: Mapping[str, pd.DataFrame],
    labels: Sequence[str],
    clips: pd.DataFrame,
    powers: Mapping[tuple[str, str], pd.DataFrame],
    *,
    notes: Sequence[str] = (),
) -> str:
    """The page.

    Args:
      systems: name -> predictions of one point.
      labels: the classes by their numbers.
      clips: of `hard_clips.table`, perhaps with `action_units` and `emotion`.
      powers: names of two systems -> `power.curve` of them.
      notes: what stands above it all.
    """
    number, subjects = predictions.count(clips)
    parts = [
        '# What holds the systems back',
        f'{number} clips of {subjects} subjects; {_seeds(systems)}.',
        *notes,
        '## Bounds',
        'All rows but the systems and `vote` look at the scored labels: they are bounds, not scores.',
        _scores(bounds.bounds(systems)),
        '\n'.join(f'- `{name}`: {what}.' for name, what in bounds.BOUNDS.items()),
        '## Wrong labels',
        _relabelled(systems),
        '## Agreement',
        _agreement(bounds.agreement(systems)),
        '## Clips that no system gets right with any seed',
        _groups(clips, labels),
        _hard(hard_clips.never_right(clips), labels),
        '## Power',
        _power(powers),
    ]
    return '\n\n'.join(part.rstrip('\n') for part in parts if part) + '\n'


def _seeds(systems: Mapping[str, pd.DataFrame]) -> str:
    return ', '.join(
        f'{name} with {seeds} seed{"s" * (seeds > 1)}'
        for name, seeds in ((name, table['seed'].nunique()) for name, table in systems.items())
    )


def _scores(found: pd.DataFrame) -> str:
    heads = ['', *(tables.HEADINGS[metric] for metric in scores.METRICS), 'clips wrong']
    rows = [
        [row['name'], *(tables.short(row[metric]) for metric in scores.METRICS), f'{row["wrong"]:g}']
        for row in found.round({'wrong': 1}).to_dict('records')
    ]
    return tables.markdown(heads, rows)


def _relabelled(systems: Mapping[str, pd.DataFrame]) -> str:
    number, found = bounds.relabelled(systems)
    if not number:
        return 'There is no clip of which all systems with all seeds predict the same other class.'
    return (
        f'Of {number} clips all systems with all seeds predict one and the same class, and it is not the '
        'label. Assume that this class is the truth of each of them, and that every other label is right: '
        'then the systems would score as below, and a system that knew the truth (`truth`) would score so by '
        'the labels as they are. Systems that read the same pictures err alike for other reasons too, so '
        'this is the most that wrong labels of this kind explain, and no estimate of how many there are.\n\n'
        + _scores(found)
    )


def _agreement(found: pd.DataFrame) -> str:
    if found.empty:
        return 'One system with one seed: nothing to compare.'
    columns = list(found)[2:]
    found = found.assign(b=found['b'].where(found['a'] != found['b'], 'its other seeds'))
    rows = [
        [row['a'], row['b'], *(tables.short(row[name]) for name in columns)]
        for row in found.to_dict('records')
    ]
    heads = ['', 'and', 'same', 'kappa', 'both', 'together']
    return (
        tables.markdown(heads, rows)
        + "\nsame: predicted alike, and kappa: Cohen's; both: both wrong, a share of all clips; together: of "
        'the clips that one of the two gets wrong, the share that both do. Means over pairs of seeds.'
    )


def _groups(clips: pd.DataFrame, labels: Sequence[str]) -> str:
    """How many clips nothing gets right, by database, class, emotion word, and of which subjects most are."""
    never = pd.Series(clips.index.isin(hard_clips.never_right(clips).index), clips.index)
    groups = {
        'database': clips[schema.DATABASE].map(schema.title),
        'class': clips[schema.LABEL].map(lambda label: labels[label]),
    }
    if schema.EMOTION in clips:
        groups['emotion word'] = clips[schema.EMOTION].replace('', _UNKNOWN)
    counts = {name: never.groupby(values).agg(['sum', 'size']) for name, values in groups.items()}
    people = never.groupby(clips[schema.DATABASE] + '/' + clips[schema.SUBJECT]).agg(['sum', 'size'])
    most = people[people['sum'] > 0].sort_values('sum', ascending=False, kind='stable')[:_PEOPLE]
    counts[f'subject, the {len(most)} with the most'] = most
    rows = [
        [name, str(value), str(wrong), str(number), tables.short(wrong / number, 2)]
        for name, found in counts.items()
        for value, wrong, number in found.itertuples()
    ]
    return tables.markdown(['', '', 'never right', 'clips', 'share'], rows)


def _hard(hard: pd.DataFrame, labels: Sequence[str]) -> str:
    details = [name for name in _DETAILS if name in hard]
    heads = ['clip', 'label', 'predicted most', *(name.replace('_', ' ') for name in details)]
    rows = [
        [
            '/'.join(row[key] for key in predictions.CLIP_KEY),
            labels[row[schema.LABEL]],
            labels[row['predicted']],
            *(row[name] for name in details),
        ]
        for row in hard.sort_values(predictions.CLIP_KEY).to_dict('records')
    ]
    return tables.markdown(heads, rows) if rows else ''


def _power(powers: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    if not powers:
        return 'It needs two systems with a seed in common.'
    parts = [
        'The share of experiments in which the paired test of UF1 (randomisation by subject, as in the sweep '
        f'and the leaderboard) finds p <= {power.LEVEL} where the true difference is d. Each table is of a '
        'family of pairs of systems that are as correlated as the two it is named after; its last row is the '
        f'd that {power.GOAL:.0%} of experiments show.'
    ]
    for (a, b), every in powers.items():
        by_size = dict(iter(every.groupby('subjects')))
        known = {size: found.set_index('difference')['power'] for size, found in by_size.items()}
        rows = [
            [tables.short(d, 2), *(tables.short(own[d], 2) if d in own else '-' for own in known.values())]
            for d in sorted(set(every['difference']))
        ]
        least = [_least(found) for found in by_size.values()]
        heads = ['d', *(f'{size} subjects' for size in by_size)]
        parts.append(f'{a}, {b}:\n\n{tables.markdown(heads, [*rows, [f"{power.GOAL:.0%} at", *least]])}')
    return '\n\n'.join(parts)


def _least(found: pd.DataFrame) -> str:
    """The difference that most experiments show."""
    least = power.shown(found)
    return f'above {tables.short(found["difference"].max(), 2)}' if np.isnan(least) else tables.short(least)
