"""A sweep's points side by side: scores, their spread, and a paired test against the reference.

The rows are scored on the left-out subjects. To pick the best of them is to select on the test, and the
tables say so; `nested` gives the score of a tuned system.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from dualatme_jax import schema
from dualatme_jax.files import replacing
from dualatme_jax.report import latex, scores, tables

CSV, MARKDOWN, LATEX = 'sweep.csv', 'sweep.md', 'sweep.tex'

COMPARED = 'uf1'  # what the paired test compares

WARNING = (
    'The rows are scored on the left-out subjects: picking the best row of this table is picking on the '
    'test. The honest score of a tuned system is that of config.selection.name=nested.'
)
_SHOWN = ('uar', 'uf1')  # where there is no room for all metrics
_DIFFERENCE = [f'difference_{part}' for part in ('mean', 'low', 'high')]
_TEST = [*_DIFFERENCE, 'p', 'p_holm', 'reference']
_SPREAD = ('mean', 'sd', 'low', 'high')


def compare(table: pd.DataFrame, reference: Mapping, *, resamples: int = 1000) -> pd.DataFrame:
    """Scores every point of a sweep, and compares each with the reference.

    Args:
      table: the sweep's predictions, see `predictions.points`.
      reference: the swept fields of the point that the others are compared with; if its trials failed, so
        that it is absent, nothing is compared.
      resamples: draws of the bootstrap over subjects.

    Returns:
      One row per point in order of appearance, with NaN for what is unknown or meaningless: the swept fields;
      `seeds`, their number; for all clips `METRIC_mean`, `METRIC_sd` (over seeds), `METRIC_low` and
      `METRIC_high` (95% bootstrap over subjects); the same by database, `DATABASE_METRIC_PART`, if there are
      several; UF1 minus the reference's on the seeds that both have, `difference_mean`,
      `difference_low`, `difference_high`, its `p` (see `scores.paired`) and `p_holm`, corrected by Holm
      over the points; `reference`, whether the row is it.
    """
    fields = list(reference)
    groups = table.groupby(fields, sort=False, dropna=False)
    points = [(dict(zip(fields, values, strict=True)), rows) for values, rows in groups]
    home = next((place for place, (values, _) in enumerate(points) if _equal(values, reference)), None)
    rows = []
    for place, (values, own) in enumerate(points):
        found = scores.score_run(own, resamples=resamples)['scores']
        test = against(own, points[home][1], resamples) if home not in (None, place) else {}
        rows.append(values | {'seeds': own['seed'].nunique()} | score_columns(found) | test)
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[name for name in frame if name not in _TEST] + _TEST)
    return frame.assign(p_holm=holm(frame['p']), reference=np.arange(len(points)) == home)


def holm(p: Sequence[float]) -> np.ndarray:
    """p corrected for several tests, so that all are right at once (Holm 1979); NaN do not count."""
    p = np.asarray(p, float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    corrected = np.full(p.shape, np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return corrected


def against(own: pd.DataFrame, other: pd.DataFrame, resamples: int) -> dict[str, float]:
    """The paired test of UF1 with the reference on the seeds that both have; nothing where there are none.

    Returns:
      `difference_mean`, `difference_low`, `difference_high` and `p`, see `scores.paired`.
    """
    shared = set(own['seed']) & set(other['seed'])
    if not shared:
        return {}
    parts = [rows[rows['seed'].isin(shared)] for rows in (own, other)]
    found = scores.paired(*parts, resamples=resamples)[COMPARED]
    low, high = found['interval'] or (np.nan, np.nan)
    return dict(zip([*_DIFFERENCE, 'p'], [found['difference'], low, high, found['p']], strict=True))


def score_columns(found: Mapping) -> dict[str, float]:
    """What `scores.score_run` found: `METRIC_PART` of all clips, and `DATABASE_METRIC_PART` of several."""
    single = [name for name in found if name != schema.FULL]
    sets = {schema.FULL: ''} | ({name: f'{name}_' for name in single} if len(single) > 1 else {})
    cells = {}
    for name, prefix in sets.items():
        for metric in scores.METRICS:
            spread = found[name][metric]
            values = [spread['mean'], spread['sd'], *(spread['interval'] or (None, None))]
            cells |= {f'{prefix}{metric}_{part}': value for part, value in zip(_SPREAD, values, strict=True)}
    return {name: np.nan if value is None else value for name, value in cells.items()}


def write(frame: pd.DataFrame, folder: str | os.PathLike, *, notice: str = '') -> None:
    """Writes what `compare` returned as sweep.csv, .md and .tex, each whole or not at all.

    Args:
      frame: of `compare`.
      folder: where the files go.
      notice: stands above the table, such as that it is no result.
    """
    folder = pathlib.Path(folder)
    with replacing(folder / CSV) as temporary:
        frame.to_csv(temporary, index=False, lineterminator='\n')
    with replacing(folder / MARKDOWN) as temporary:
        temporary.write_text(_markdown(frame, notice), encoding='utf-8', newline='\n')
    latex.write(_latex(frame, notice), folder / LATEX)


def rich_table(frame: pd.DataFrame, *, notice: str = '') -> Table:
    """The sweep for a terminal of 80 columns; Acc and single databases stand in the files only."""
    view = tables.plain(
        '\n'.join(filter(None, ['Sweep', notice])), '\n' + ' '.join([*_notes(frame), WARNING])
    )
    heads = [*map(tables.HEADINGS.get, _SHOWN), 'UF1 - ref.', 'p\nHolm']
    fields = _fields(frame)
    view.add_column(fields[0] if len(fields) == 1 else 'what differs', overflow='fold', min_width=12)
    for head in heads:
        view.add_column(head, justify='right', no_wrap=True)
    for row, label in zip(frame.to_dict('records'), _labels(frame), strict=True):
        cells = [tables.estimate_lines(row, metric) for metric in _SHOWN]
        if row['reference']:
            test = ['reference', '']
        else:
            test = [
                tables.estimate_lines(row, 'difference', sign=True),
                f'{tables.p_value(row["p"])}\n{tables.p_value(row["p_holm"])}',
            ]
        view.add_row(Text(label), *cells, *test)
    return view


def _equal(values: Mapping, reference: Mapping) -> bool:
    # Words that went through a file are text, a tuple too; numbers are numbers.
    return all(
        name in reference and (value == reference[name] or str(value) == str(reference[name]))
        for name, value in values.items()
    )


def _fields(frame: pd.DataFrame) -> list[str]:
    return list(frame.columns[: frame.columns.get_loc('seeds')])


def _values(row: Mapping, frame: pd.DataFrame) -> list[str]:
    return [f'{row[name]:g}' if isinstance(row[name], float) else str(row[name]) for name in _fields(frame)]


def _labels(frame: pd.DataFrame) -> list[str]:
    """Of each point its value; of several fields those that differ from the reference's, which has all."""
    values = [dict(zip(_fields(frame), _values(row, frame), strict=True)) for row in frame.to_dict('records')]
    if len(_fields(frame)) == 1:
        return [value for own in values for value in own.values()]
    home = next((own for own, is_home in zip(values, frame['reference'], strict=True) if is_home), {})
    return [
        '\n'.join(
            f'{name.rpartition(".")[2]} {value}'
            for name, value in own.items()
            if own is home or value != home.get(name)
        )
        for own in values
    ]


def _databases(frame: pd.DataFrame) -> list[str]:
    end = '_uar_mean'
    return [name.removesuffix(end) for name in frame if name.endswith(end)]


def _notes(frame: pd.DataFrame) -> list[str]:
    """What the columns are, in words."""
    seeds = sorted(set(frame['seeds']))
    spread = 'One seed' if seeds == [1] else f'Mean ± sd over {" to ".join(map(str, seeds))} seeds'
    which = 'none: its trials failed, so nothing is compared'
    for home in frame[frame['reference']].to_dict('records'):
        pairs = zip(_fields(frame), _values(home, frame), strict=True)
        which = ', '.join(f'{name} = {value}' for name, value in pairs)
    return [
        f'{spread}; [low, high]: 95% bootstrap over subjects.',
        f'Reference: {which}.',
        "UF1 - ref.: UF1 minus the reference's, on the same subjects and seeds; p: randomisation test that "
        'swaps the two by subject; Holm: p corrected for the number of points.',
    ]


def _cells(frame: pd.DataFrame) -> tables.Cells:
    single = _databases(frame)
    heads = [
        *_fields(frame),
        *map(tables.HEADINGS.get, scores.METRICS),
        *(f'{schema.title(name)} UAR/UF1' for name in single),
        'UF1 - ref.',
        'p',
        'Holm',
    ]
    rows = []
    for row in frame.to_dict('records'):
        cells = [' '.join(tables.estimate(row, metric)).strip() for metric in scores.METRICS]
        cells += [
            '/'.join(tables.short(row[f'{name}_{metric}_mean']) for metric in _SHOWN) for name in single
        ]
        if row['reference']:
            cells += ['reference', '', '']
        else:
            cells += [
                ' '.join(tables.estimate(row, 'difference', sign=True)).strip(),
                tables.p_value(row['p']),
                tables.p_value(row['p_holm']),
            ]
        rows.append([*_values(row, frame), *cells])
    return heads, rows


def _by_database(frame: pd.DataFrame) -> tables.Cells | None:
    titled = [{'title': ', '.join(_values(row, frame))} | row for row in frame.to_dict('records')]
    return tables.by_database(titled)


def _markdown(frame: pd.DataFrame, notice: str) -> str:
    notes = '\n'.join(f'- {note}' for note in _notes(frame))
    marked = f'**{notice}**\n\n' if notice else ''
    text = f'# Sweep\n\n{marked}{tables.markdown(*_cells(frame))}\n{notes}\n\n**{WARNING}**\n'
    single = _by_database(frame)
    return f'{text}\n## By database\n\n{tables.markdown(*single)}' if single else text


def _latex(frame: pd.DataFrame, notice: str) -> str:
    notices = notice.splitlines()
    notes = [*_notes(frame), WARNING]
    made = latex.table(*_cells(frame), caption='Sweep', label='tab:sweep', notes=notes, notices=notices)
    if single := _by_database(frame):
        made += '\n' + latex.table(
            *single,
            caption='Sweep, by database',
            label='tab:sweep-databases',
            notes=[notes[0], WARNING],
            notices=notices,
        )
    return made
