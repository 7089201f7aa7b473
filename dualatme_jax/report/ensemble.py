"""Ensembles: what several members say of a clip, as one prediction, which is scored once.

Members are the seeds of a system, the points of a sweep, or the systems of a leaderboard. The probabilities
of a clip are averaged over them (`mean`), or each has one vote, its prediction (`vote`). Every member must
have predicted each clip by a network that has not seen it, which is so in all folds: then nothing leaks, as
long as the members were not chosen by their scores on these clips.

Axes: N clips, and seeds where each has an ensemble of its own; K classes.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing
from dualatme_jax.report import latex, predictions, scores, sweep, tables

CSV, MARKDOWN, LATEX = 'ensemble_predictions.csv', 'ensemble.md', 'ensemble.tex'

# How members are combined, and over what: `points` are systems where the points of a sweep are. Of `both`
# every seed of every point is one member.
MEAN, VOTE = WAYS = ('mean', 'vote')
SEEDS, POINTS, BOTH = OVER = ('seeds', 'points', 'both')

NAME = 'ensemble'  # in the place of a system's name

_WORDS = {
    MEAN: 'their probabilities are averaged',
    VOTE: 'the class with most votes counts, of equals the one with the higher mean probability',
}
_MOST_NAMED = 20  # in a sentence; tables and results.json have all of them
_MOST_COMPARED = 2000  # members that are compared with it; a table of more takes gigabytes


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Some members, and what they predict together.

    Attributes:
      how: one of `WAYS`.
      over: one of `OVER`.
      members: name -> predictions of its seeds.
      absent: name of what is no member of those that were asked for -> why.
      table: a predictions table, without trials; where the members are seeds, of the one seed 0.
    """

    how: str
    over: str
    members: Mapping[str, pd.DataFrame]
    absent: Mapping[str, str]
    table: pd.DataFrame

    @property
    def pooled(self) -> bool:
        """Whether seeds are among what is combined, so that it has none itself."""
        return self.over != POINTS

    @property
    def title(self) -> str:
        """`Ensemble of 5 seeds (mean)`."""
        return f'Ensemble of {self.counted} ({self.how}{", all seeds" if self.over == BOTH else ""})'

    @property
    def counted(self) -> str:
        """`5 seeds`."""
        return f'{len(self.members)} {"seeds" if self.over == SEEDS else "members"}'

    @property
    def words(self) -> str:
        """What it is made of, and what it lacks, in words."""
        each = {SEEDS: '', POINTS: ' at each seed', BOTH: ' over all seeds'}[self.over]
        named = ', '.join(self.members) if len(self.members) <= _MOST_NAMED else self.counted
        lacking = [f'; left out: {name} ({why})' for name, why in self.absent.items()]
        more = f'; and {len(lacking) - _MOST_NAMED} more' if len(lacking) > _MOST_NAMED else ''
        return f'{named}{each}; {_WORDS[self.how]}, and scored once{"".join(lacking[:_MOST_NAMED])}{more}'

    def at(self, seeds: Collection[int]) -> pd.DataFrame:
        """Its predictions at some seeds, to be compared with those of others; the same if it has none."""
        if self.pooled:
            return pd.concat([self.table.assign(seed=seed) for seed in sorted(seeds)], ignore_index=True)
        return self.table[self.table['seed'].isin(seeds)]


def combine(
    members: Mapping[str, pd.DataFrame],
    *,
    how: str,
    over: str,
    seeds: Collection[int],
    absent: Mapping[str, str] | None = None,
) -> Ensemble:
    """The ensemble of some members.

    A member that lacks clips of the others is left out and named. Where each seed has its own ensemble, one
    that lacks a seed is left out of all of them; where seeds are combined, the seeds that it has count.

    Args:
      members: name -> a predictions table of one point; of `SEEDS` a member is one seed.
      how: one of `WAYS`.
      over: one of `OVER`.
      seeds: that each member was asked for.
      absent: name -> why it has no predictions at all.

    Raises:
      InputError: fewer than two members are left, or probabilities are to be averaged that are not there.
    """
    absent = dict(absent or {})
    whole = {}
    if members:
        clips, _ = predictions.count(pd.concat(members.values()))
        there = set().union(*(table['seed'] for table in members.values()))
    for name, table in members.items():
        own = table.groupby('seed').size()
        lacking = sorted(({*seeds} if over == BOTH else there) - {*own.index}) if over != SEEDS else []
        listed = f'seed{"s" * (len(lacking) > 1)} {", ".join(map(str, lacking))}'
        if (own < clips).any():
            absent[name] = f'it has {own.min()} of {clips} clips'
        elif lacking and over == POINTS:
            absent[name] = f'it lacks {listed}'
        else:
            whole[name] = table
            if lacking:
                absent[f'{listed} of {name}'] = 'a trial failed'
    number = sum(table['seed'].nunique() for table in whole.values()) if over != POINTS else len(whole)
    if number < 2:
        named = '; '.join(f'{name}: {why}' for name, why in absent.items()) or 'none is left out'
        raise InputError(f'no ensemble, since it takes two members and {number} can be combined ({named})')
    return Ensemble(how, over, whole, absent, _combined(whole, how, pooled=over != POINTS))


def _combined(members: Mapping[str, pd.DataFrame], how: str, *, pooled: bool) -> pd.DataFrame:
    """One row per clip, and per seed unless they are pooled."""
    rows = pd.concat(members.values(), ignore_index=True)
    chances = predictions.probabilities(rows.columns)
    if rows[chances].isna().any(axis=None) or (how == MEAN and not chances):
        raise InputError('no ensemble, since a member has no probabilities of the classes to be averaged')
    rows = rows.assign(seed=0) if pooled else rows
    group = rows.groupby(key := ['seed', *predictions.CLIP_KEY], sort=False).ngroup().to_numpy()
    first = rows.drop_duplicates(key)[[*key, schema.LABEL]].reset_index(drop=True)
    size = np.bincount(group)[:, None]

    def total(values: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(first), values.shape[1]))  # float64, whatever the members have
        np.add.at(sums, group, values)
        return sums

    classes = len(chances) or 1 + int(rows[[schema.LABEL, 'prediction']].max(axis=None))
    mean = total(rows[chances].to_numpy()) / size if chances else np.zeros((len(first), classes))
    found, prediction = mean, mean.argmax(1)
    if how == VOTE:
        votes = total(np.eye(classes)[rows['prediction']])
        most = votes == votes.max(1, keepdims=True)
        found, prediction = votes / size, np.where(most, mean, -1).argmax(1)
    columns = dict(zip(chances, found.astype(np.float32).T, strict=False))
    return predictions.ordered(first.assign(prediction=prediction, **columns))


def score(own: Ensemble, *, resamples: int = 1000) -> dict[str, Any]:
    """What results.json holds of it.

    Returns:
      `how`, `over`; `members`: for each its `name`, `seeds` and `scores`; `absent`; `scores` and `per_seed`
      as `scores.score_run` has them; `gain`, the paired test of the ensemble against the mean of its members
      (`scores.paired`; None where they are too many).
    """
    score_of = functools.partial(scores.score_run, resamples=resamples)
    members = [
        {
            'name': name,
            'seeds': sorted(map(int, table['seed'].unique())),
            'scores': score_of(table)['scores'],
        }
        for name, table in own.members.items()
    ]
    return {
        'how': own.how,
        'over': own.over,
        'members': members,
        'absent': dict(own.absent),
        'gain': _gain(own, resamples),
        **score_of(own.table),
    }


def _gain(own: Ensemble, resamples: int) -> dict[str, dict] | None:
    """Each seed of each member is as one more seed of one system, and the ensemble that of all of them."""
    singles = [rows for table in own.members.values() for _, rows in table.groupby('seed')]
    if len(singles) > _MOST_COMPARED:
        return None
    theirs = [rows.assign(seed=place) for place, rows in enumerate(singles)]
    ours = [own.at(rows['seed'].unique()).assign(seed=place) for place, rows in enumerate(singles)]
    return scores.paired(
        *map(functools.partial(pd.concat, ignore_index=True), (ours, theirs)), resamples=resamples
    )


def _rows(own: Ensemble, scored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The members, and the ensemble below them, as tables show rows of estimates."""
    nothing = dict.fromkeys(('difference_mean', 'difference_low', 'difference_high', 'p'), np.nan)
    gain = scored['gain'] and scored['gain'][sweep.COMPARED]
    difference = {}
    if gain:
        low, high = gain['interval'] or (np.nan, np.nan)
        difference = {'difference_mean': gain['difference'], 'difference_low': low, 'difference_high': high}
        difference |= {'p': gain['p']}
    named = [(member['name'], member['scores'], {}) for member in scored['members']]
    named.append((own.title, scored['scores'], difference))
    return [nothing | {'title': title} | sweep.score_columns(found) | more for title, found, more in named]


def rich_table(own: Ensemble, scored: Mapping[str, Any], *, notice: str = '') -> Table:
    """Members and ensemble for a terminal of 80 columns; single databases of members stand in the file."""
    view = tables.plain('\n'.join(filter(None, ['Ensemble', notice])), '\n' + ' '.join(_notes(own)))
    view.add_column('', overflow='fold', min_width=12)
    for head in (*tables.HEADINGS.values(), 'UF1 -\nmembers', 'p'):
        view.add_column(head, justify='right', no_wrap=True)
    for row in _rows(own, scored):
        view.add_row(
            Text(row['title']),
            *(tables.estimate_lines(row, metric) for metric in scores.METRICS),
            *_test(row),
        )
    return view


def _test(row: Mapping[str, Any]) -> list[Text | str]:
    if np.isnan(row['difference_mean']):
        return ['', '']
    return [tables.estimate_lines(row, 'difference', sign=True), tables.p_value(row['p'])]


def _notes(own: Ensemble) -> list[str]:
    return [
        f'{own.title}: {own.words}.',
        '[low, high]: 95% bootstrap over subjects.',
        'UF1 - members: UF1 minus the mean of its members, on the same subjects; p: randomisation test that '
        'swaps the two by subject.',
    ]


def write(own: Ensemble, scored: Mapping[str, Any], folder: str | os.PathLike, *, notice: str = '') -> None:
    """Writes its predictions, which `python -m dualatme_jax.score` reads, and its members beside it."""
    folder = pathlib.Path(folder)
    write_predictions(own, folder)
    rows = _rows(own, scored)
    cells = [
        [
            row['title'],
            *(' '.join(tables.estimate(row, metric)).strip() for metric in scores.METRICS),
            ' '.join(tables.estimate(row, 'difference', sign=True)).strip(),
            tables.p_value(row['p']),
        ]
        for row in rows
    ]
    whole = ['', *tables.HEADINGS.values(), 'UF1 - members', 'p'], cells
    single = tables.by_database(rows)
    marked = f'**{notice}**\n\n' if notice else ''
    notes = '\n'.join(f'- {note}' for note in _notes(own))
    text = f'# Ensemble\n\n{marked}{tables.markdown(*whole)}\n{notes}\n'
    if single:
        text += f'\n## By database\n\n{tables.markdown(*single)}'
    with replacing(folder / MARKDOWN) as temporary:
        temporary.write_text(text, encoding='utf-8', newline='\n')
    below = {'notes': _notes(own), 'notices': notice.splitlines()}
    made = latex.table(*whole, caption='Ensemble', label='tab:ensemble', **below)
    if single:
        made += '\n' + latex.table(
            *single, caption='Ensemble, by database', label='tab:ensemble-databases', **below
        )
    latex.write(made, folder / LATEX)


def write_predictions(own: Ensemble, folder: str | os.PathLike) -> None:
    """Writes its predictions alone, whole or not at all."""
    predictions.write(own.table, pathlib.Path(folder) / CSV)
