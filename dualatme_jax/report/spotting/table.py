"""Scores of spotting as a table for the terminal, 80 columns wide."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from dualatme_jax.report import tables
from dualatme_jax.report.spotting import metrics

HEADINGS = {
    'f1': 'F1 of spotting',
    'precision': 'Precision of spotting',
    'recall': 'Recall of spotting',
    metrics.ALARMS: 'False alarms an hour',
    'f1_analysis': 'F1 of analysis (of P and R)',
    'precision_analysis': 'P: mean precision over classes',
    'recall_analysis': 'R: mean recall over classes',
    'uf1': 'UF1 of analysis',
    'uar': 'UAR of analysis',
    'acc': 'Acc of analysis',
    'strs': 'STRS = F1 x F1 of analysis',
}
_GROUPS = {'subject': 'subjects', 'video': 'videos'}


def scores_table(result: Mapping, *, title: str = '') -> Table:
    """What `metrics.score` gives, one row per metric."""
    groups = f'{result["groups"]["number"]} {_GROUPS[result["groups"]["by"]]}'
    counts = f'TP {result["tp"]}, FP {result["fp"]}, FN {result["fn"]}; all videos as one'
    view = tables.plain(title or None, f'{counts}. [low, high]: 95% bootstrap over {groups}.')
    for heading, justify in (('', 'left'), ('value', 'right'), ('interval', 'right')):
        view.add_column(heading, justify=justify)
    for name, heading in HEADINGS.items():
        if own := result['metrics'].get(name):
            digits = 1 if name == metrics.ALARMS else 3
            value = '-' if own['value'] is None else f'{own["value"]:.{digits}f}'
            low_high = own['interval'] and ', '.join(f'{end:.{digits}f}' for end in own['interval'])
            view.add_row(heading, value, Text(f'[{low_high}]' if low_high else '-', style='dim'))
    return view


def tool_table(found: Mapping[str, float]) -> Table:
    """What `metrics.by_public_tool` gives, under its names."""
    view = tables.plain(
        'The same by the definitions of the public STRS-Metric',
        'Its UAR is the mean precision; it looks only at subjects with predictions, and at videos with '
        'expressions.',
    )
    view.add_column('')
    view.add_column('value', justify='right')
    for name, value in found.items():
        view.add_row(name, str(value) if isinstance(value, int) else f'{value:.4f}')
    return view
