"""The result: scores with their intervals, what leaks beside it, by database and by seed."""

from collections.abc import Mapping
from typing import Any

from dualatme_jax import schema
from dualatme_jax.report import as_published, predictions, selection, tables
from dualatme_jax.report.page.blocks import Block, Column, Facts, Section, Table, Text
from dualatme_jax.report.record import Record
from dualatme_jax.report.sections import drawings

_SUBJECTS = (
    'The interval is over subjects: if as many are drawn at random, with replacement, 95 % of such draws '
    'score within it. It shows how much the result depends on who was recorded.'
)
_SEEDS = {
    True: 'The deviation is over seeds, and shows how much depends on chance in training.',
    False: 'One seed shows nothing of chance in training.',
}
_FINDING = (
    'Systems whose intervals overlap may still differ: a paired test on the same clips decides, by python -m '
    'dualatme_jax.compare.'
)
_HONEST = (
    'The scores are of the last epoch: nothing was selected on whom a fold leaves out. What such a selection '
    'would pretend stands here where epochs are kept, by --config.selection.every=1.'
)
METRICS = {  # in the order that is shown, with what each is
    'uf1': "the mean of the classes' F1 over the predictions of all folds",
    'uar': "the mean of the classes' recalls",
    'acc': 'the share of clips that are right',
}


def lead(record: Record) -> list[Block]:
    """The headline: each metric on all clips, big."""
    if not record.scored:
        return []
    own = record.scored['scores'][schema.FULL]
    clips, subjects = predictions.count(record.selected)
    seeds = len(record.scored['per_seed'])
    pairs = [(tables.HEADINGS[metric], big(own[metric])) for metric in METRICS]
    pairs.append(('Clips', f'{clips}\nof {subjects} subjects\n{seeds} seed{"s" * (seeds > 1)}'))
    return [
        Facts(pairs),
        Text('\n\n'.join(filter(None, [_which(record), ' '.join([_SUBJECTS, _SEEDS[seeds > 1], _FINDING])]))),
    ]


def _which(record: Record) -> str:
    """Of which point the result is, where there are several."""
    if record.sweep is None:
        return ''
    if (record.results or {}).get('selection') == selection.NESTED:
        return 'The result is of the points that nested selection chose for each fold by its other subjects.'
    return 'The result is of the reference, with which the other points are compared.'


def big(spread: Mapping[str, Any]) -> str:
    """A mean, and in lines below it its deviation and its interval, each as far as it is known."""
    lines = [f'{spread["mean"]:.3f}']
    if spread.get('sd') is not None:
        lines.append(f'± {spread["sd"]:.3f} over seeds')
    if spread.get('interval'):
        low, high = spread['interval']
        lines.append(f'[{low:.2f}, {high:.2f}] over subjects')
    return '\n'.join(lines)


def section(record: Record) -> Section | None:
    """By set of clips, by seed, and what other selections would have given."""
    if not record.scored:
        return None
    return Section('Scores', [_by_database(record), *_leaks(record), *_by_seed(record)])


def _by_database(record: Record) -> Table:
    found = record.scored['scores']
    rows = []
    for name, (title, own) in predictions.titled_subsets(record.selected).items():
        clips, subjects = predictions.count(own)
        metrics = [cell(found[name][metric]) for metric in METRICS]
        rows.append([title, clips, subjects, *metrics, *_two_classes(found[name])])
    heads = metric_columns()
    if rows and len(rows[0]) > 6:
        heads += [
            Column('AUC', number=True, hint='the area under the ROC curve'),
            Column('Acc by subject', number=True, hint="the mean of the subjects' own accuracies"),
        ]
    note = '± is the standard deviation over seeds; [low, high] the 95 % bootstrap interval over subjects.'
    columns = [Column('Database'), Column('Clips', number=True), Column('Subjects', number=True), *heads]
    return Table('By database', columns, rows, note)


def _two_classes(found: Mapping[str, Any]) -> list[str]:
    names = ('auc', 'acc_by_subject')
    return [cell(found[name]) if name in found else '' for name in names] if {*names} & {*found} else []


def cell(spread: Mapping[str, Any]) -> str:
    """`0.688 ± 0.016`, and in a line below `[0.63, 0.75]`, each as far as it is known."""
    text = f'{spread["mean"]:.3f}'
    if spread.get('sd') is not None:
        text += f' ± {spread["sd"]:.3f}'
    if spread.get('interval'):
        low, high = spread['interval']
        text += f'\n[{low:.2f}, {high:.2f}]'
    return text


def metric_columns() -> list[Column]:
    """A column for each metric."""
    return [Column(tables.HEADINGS[metric], number=True, hint=hint) for metric, hint in METRICS.items()]


def _leaks(record: Record) -> list[Block]:
    """The selections side by side; leaks of a paper, one after the other."""
    found, blocks = record.results or {}, []
    if ways := found.get('selections'):
        rows = [
            [name, 'LEAKS' if own['leaks'] else 'no', *_means(own['scores'][schema.FULL]), own['gap']]
            for name, own in ways.items()
        ]
        note = (
            f'{selection.BEST_ON_TEST} takes for each fold the epoch that is best on the very clips that it '
            'leaves out: a score that no system has on new people.'
        )
        columns = [Column('Selection of the epoch'), Column('Leaks'), *metric_columns()]
        columns.append(
            Column('UF1 - last', number=True, hint='by how much it is above that of the last epoch')
        )
        blocks.append(Table('The honest score beside what leaks', columns, rows, note))
    elif record.trained and found.get('selection') == selection.LAST:
        blocks.append(Text(_HONEST))
    if steps := found.get('as_published'):
        rows = [
            [
                f'+ {row["step"]}' if row['leaks'] else row['step'],
                as_published.LEAKS.get(row['step'], ''),
                *(row[metric] for metric in METRICS),
                row['gap'],
            ]
            for row in steps
        ]
        columns = [
            Column('Step'),
            Column('What leaks'),
            *metric_columns(),
            Column('UF1 - first', number=True),
        ]
        note = 'Each row has one leak more than the row above; only the first is a score of a system.'
        blocks.append(Table('As published', columns, rows, note))
    return blocks


def _means(own: Mapping[str, Any]) -> list[float]:
    return [own[metric]['mean'] for metric in METRICS]


def _by_seed(record: Record) -> list[Block]:
    seeds = record.scored['per_seed']
    if len(seeds) < 2:
        return []
    sets = predictions.titled_subsets(record.selected)
    single = [name for name in sets if name != schema.FULL] if len(sets) > 1 else []
    rows = [
        [
            str(entry['seed']),
            *(entry[schema.FULL][metric] for metric in METRICS),
            *(entry[name]['uf1'] for name in single),
        ]
        for entry in seeds
    ]
    columns = [Column('Seed', number=True), *metric_columns()]
    columns += [Column(f'UF1, {sets[name][0]}', number=True) for name in single]
    own = record.scored['scores'][schema.FULL]['uf1']
    values = [entry[schema.FULL]['uf1'] for entry in seeds]
    note = (
        f'UF1 goes from {min(values):.3f} to {max(values):.3f}. The best of {len(seeds)} seeds is '
        f'{max(values) - own["mean"]:.3f} above their mean by chance alone.'
    )
    return [*drawings.pictures(record, 'seeds'), Table('By seed', columns, rows, note)]
