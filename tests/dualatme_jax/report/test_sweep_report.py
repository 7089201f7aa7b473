import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from dualatme_jax.report import scores, sweep

FIELD = 'loss.cosine_weight'


def point(share_right, seeds=2, databases=('casme2', 'smic', 'samm'), **values):
    """90 clips of 15 subjects; a given share of the predictions is right, in each seed other ones."""
    rows = [(databases[number % len(databases)], f's{number % 15}', f'c{number}') for number in range(90)]
    truth = pd.DataFrame(rows, columns=['database', 'subject', 'clip']).assign(
        label=np.arange(90) % 3, trial=0
    )
    tables = []
    for seed in range(seeds):
        right = np.random.default_rng([seed, int(100 * share_right)]).random(90) < share_right
        prediction = np.where(right, truth['label'], (truth['label'] + 1) % 3)
        tables.append(truth.assign(seed=seed, prediction=prediction))
    return pd.concat(tables).assign(**values)


def points(field=FIELD, **options):
    shares = {0.0: 0.5, 0.001: 0.95, 0.01: 0.6}
    return {value: point(share, **{field: value}, **options) for value, share in shares.items()}


def swept(**options):
    return pd.concat(points(**options).values(), ignore_index=True)


def shown(frame):
    console = Console(width=80, file=io.StringIO())
    console.print(sweep.rich_table(frame))
    return console.file.getvalue()


def test_a_row_holds_the_scores_of_its_point_and_the_test_against_the_reference():
    frame = sweep.compare(swept(), {FIELD: 0.01}, resamples=50)
    assert list(frame[FIELD]) == [0, 0.001, 0.01]
    assert list(frame['reference']) == [False, False, True]
    assert list(frame['seeds']) == [2, 2, 2]
    of_points = points()
    for row in frame.to_dict('records'):
        own = of_points[row[FIELD]]
        found = scores.score_run(own, resamples=50)['scores']
        for metric in scores.METRICS:
            spread = found['full'][metric]
            expected = [spread['mean'], spread['sd'], *spread['interval']]
            assert [row[f'{metric}_{part}'] for part in ('mean', 'sd', 'low', 'high')] == expected
        for name in ('casme2', 'smic', 'samm'):
            assert row[f'{name}_uf1_mean'] == found[name]['uf1']['mean']
            low, high = found[name]['uar']['interval']
            assert (row[f'{name}_uar_low'], row[f'{name}_uar_high']) == (low, high)
        if not row['reference']:
            test = scores.paired(own, of_points[0.01], resamples=50)['uf1']
            assert [row['difference_low'], row['difference_high']] == test['interval']
            assert (row['difference_mean'], row['p']) == (test['difference'], test['p'])
    assert frame[frame['reference']][['difference_mean', 'p', 'p_holm']].isna().all(axis=None)
    assert frame['p'][1] < 0.01 < frame['p'][0]


@pytest.mark.parametrize(
    ('p', 'corrected'),
    [  # R: p.adjust(p, 'holm')
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]),
        ([0.9, 0.5], [1, 1]),
        ([np.nan, 0.01, np.nan, 0.04], [np.nan, 0.02, np.nan, 0.04]),
        ([np.nan], [np.nan]),
    ],
)
def test_holm(p, corrected):
    assert sweep.holm(p) == pytest.approx(corrected, nan_ok=True)


def test_the_reference_is_found_through_a_file_or_nothing_is_compared():
    table = pd.concat([point(0.5, field='(0.2, 0.3)'), point(0.6, field='(1.0, 2.0)')])
    assert list(sweep.compare(table, {'field': (1.0, 2.0)}, resamples=5)['reference']) == [False, True]
    absent = sweep.compare(table, {'field': (3.0, 2.0)}, resamples=5)
    assert not absent['reference'].any()
    assert absent[['difference_mean', 'p', 'p_holm']].isna().all(axis=None)
    assert 'nothing is compared' in ' '.join(shown(absent).split())


def test_a_field_of_which_one_value_is_left_still_tells_the_points():
    left = pd.concat([point(0.5, rate=0.01, loss='focal'), point(0.6, rate=0.01, loss='ce')])
    frame = sweep.compare(left, {'rate': 0.001, 'loss': 'focal'}, resamples=5)
    assert list(frame['rate']) == [0.01, 0.01]
    assert not frame['reference'].any()


def test_points_are_compared_on_the_seeds_that_both_have():
    lacking = pd.concat([point(0.9, seeds=1, **{FIELD: 0.0}), point(0.5, seeds=3, **{FIELD: 1.0})])
    frame = sweep.compare(lacking, {FIELD: 1.0}, resamples=5)
    expected = scores.paired(point(0.9, seeds=1), point(0.5, seeds=1), resamples=5)['uf1']
    assert frame['difference_mean'][0] == expected['difference']
    assert '1 to 3 seeds' in shown(frame)
    other = pd.concat([point(0.9, seeds=1, **{FIELD: 0.0}), point(0.5, **{FIELD: 1.0})[90:]])
    frame = sweep.compare(other, {FIELD: 1.0}, resamples=5)
    assert frame[['difference_mean', 'p', 'p_holm']].isna().all(axis=None)
    assert shown(frame)


def test_the_files_can_be_read(tmp_path):
    frame = sweep.compare(swept(), {FIELD: 0.01}, resamples=50)
    sweep.write(frame, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['sweep.csv', 'sweep.md', 'sweep.tex']
    back = pd.read_csv(tmp_path / 'sweep.csv')
    pd.testing.assert_frame_equal(back, frame, check_dtype=False, rtol=1e-12)

    text = (tmp_path / 'sweep.md').read_text()
    rows, by_database = (
        [line for line in part.splitlines() if line.startswith('|')] for part in text.split('## By database')
    )
    assert len(rows) == len(by_database) == 2 + 3
    estimate = [frame[f'samm_uf1_{part}'].iloc[-1] for part in ('mean', 'sd', 'low', 'high')]
    expected = '{:.3f} ± {:.3f} [{:.2f}, {:.2f}] |'.format(*estimate).replace('0.', '.')
    assert by_database[-1].endswith(expected)
    assert len({row.count('|') for row in rows}) == 1
    best = frame.iloc[1]
    expected = (
        f'{best["uf1_mean"]:.3f} ± {best["uf1_sd"]:.3f} [{best["uf1_low"]:.2f}, {best["uf1_high"]:.2f}]'
    )
    assert f'| {expected.replace("0.", ".")} |' in rows[3]
    assert rows[4].endswith('| reference |  |  |')
    of_latex, _ = latex_rows(tmp_path / 'sweep.tex')
    assert of_latex == [cells(row) for row in rows[2:]]
    for words in (
        'Reference: loss.cosine_weight = 0.01',
        'picking on the test',
        'config.selection.name=nested',
    ):
        assert words in text


def cells(row):
    return [cell.strip() for cell in row.strip('|').split('|')]


def latex_rows(path):
    """The rows of each table of a file, as Markdown has them."""
    bodies = (
        path.read_text()
        .replace('$-$', '-')
        .replace(r'$\pm$', '±')
        .replace(r'\textless{}', '<')
        .split(r'\midrule')[1:]
    )
    bodies = [body[: body.index(r'\bottomrule')].strip().splitlines() for body in bodies]
    return [
        [[cell.strip() for cell in row.removesuffix(r'\\').split('&')] for row in body] for body in bodies
    ]


def test_the_terminal_table_fits_80_columns_and_warns():
    optimizers = ('adam', 'sgd', 'sgd')
    tables = zip(points('optimizer.learning_rate').values(), optimizers, strict=True)
    table = pd.concat([part.assign(**{'optimizer.name': name}) for part, name in tables])
    reference = {'optimizer.learning_rate': 0.0, 'optimizer.name': 'adam'}
    frame = sweep.compare(table, reference, resamples=20)
    text = shown(frame)
    assert max(map(len, text.splitlines())) <= 80
    assert '…' not in text
    first = [line.split('  ')[0].strip() for line in text.splitlines()]
    rows = first[first.index('what differs') + 2 :]
    assert [row for row in rows[:5] if row] == [
        'learning_rate 0',
        'name adam',
        'learning_rate 0.001',
        'name sgd',
        'learning_rate 0.01',
    ]
    words = ' '.join(text.split())
    assert 'picking the best row of this table is picking on the test' in words
    assert 'config.selection.name=nested' in words
    assert 'Mean ± sd over 2 seeds' in words


def test_one_seed_one_database_and_one_subject_have_what_they_can():
    frame = sweep.compare(swept(seeds=1, databases=('smic',)), {FIELD: 0.0}, resamples=5)
    assert frame['uf1_sd'].isna().all()
    assert not [name for name in frame if name.startswith('smic')]
    assert 'One seed' in shown(frame)
    alone = swept(seeds=1, databases=('smic',)).assign(subject='1')
    frame = sweep.compare(alone, {FIELD: 0.0}, resamples=5)
    assert frame['uf1_low'].isna().all()
    assert list(frame['p'])[1:] == [1, 1]
    assert '[' not in shown(frame).split('[low, high]')[0]


def test_one_point_is_its_own_reference():
    frame = sweep.compare(point(0.5, **{FIELD: 0.0}), {FIELD: 0.0}, resamples=5)
    assert list(frame['reference']) == [True]


def test_a_notice_stands_above_the_table_and_in_the_file(tmp_path):
    frame = sweep.compare(swept(), {FIELD: 0.01}, resamples=5)
    console = Console(file=io.StringIO(), width=100)
    console.print(sweep.rich_table(frame, notice='SMOKE TEST'))
    sweep.write(frame, tmp_path, notice='SMOKE TEST')
    assert console.file.getvalue().split()[:3] == ['Sweep', 'SMOKE', 'TEST']
    assert (tmp_path / 'sweep.md').read_text().startswith('# Sweep\n\n**SMOKE TEST**\n\n|')
    captions = [line for line in (tmp_path / 'sweep.tex').read_text().splitlines() if r'\caption' in line]
    assert len(captions) == 2
    assert all(line.endswith(r'\textbf{SMOKE TEST}}') for line in captions)
