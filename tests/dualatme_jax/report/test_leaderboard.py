import io
import pathlib

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from sklearn import metrics

from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.models import figures
from dualatme_jax.report import (
    guesser,
    leaderboard,
    leaderboard_view,
    scores,
    selection,
    sweep,
)

SPECIFICATION = pathlib.Path(__file__).parents[4] / 'shared/spec'
REASON = 'trial 3, casme2/s0 left out, seed 0: not finite in epoch 2'


def kept(share_right, epochs=(10, 20, 30), seeds=(0, 1), databases=('casme2', 'smic', 'samm')):
    """90 clips of 15 subjects at some epochs; a given share of the predictions is right, each time others."""
    rows = [(databases[number % len(databases)], f's{number % 15}', f'c{number}') for number in range(90)]
    truth = pd.DataFrame(rows, columns=['database', 'subject', 'clip']).assign(
        label=np.arange(90) % 3, trial=0, left_out=lambda table: table['database'] + '/' + table['subject']
    )
    tables = []
    for seed in seeds:
        for epoch in epochs:
            right = np.random.default_rng([seed, epoch, int(100 * share_right)]).random(90) < share_right
            prediction = np.where(right, truth['label'], (truth['label'] + 1) % 3)
            tables.append(truth.assign(seed=seed, epoch=epoch, prediction=prediction))
    return pd.concat(tables, ignore_index=True)


def tables():
    return {
        'ststnet': kept(0.6),
        'dual_atme': kept(0.7, epochs=(60,)),
        'mine': kept(0.95, epochs=(1, 2, 3, 4, 5)),
    }


@pytest.fixture(scope='module')
def frame():
    return leaderboard.compare(
        tables(),
        {'rcn_f': REASON},
        resamples=50,
        shortened='a tenth of the epochs',
        paper_epochs={'dual_atme': 60, 'ststnet': 800},
    )


def shown(frame):
    console = Console(width=80, file=io.StringIO())
    console.print(leaderboard_view.rich_table(frame))
    return console.file.getvalue()


def markdown(frame, folder):
    leaderboard_view.write(frame, folder, origin='made-up flow')
    return (folder / 'leaderboard.md').read_text(encoding='utf-8')


def test_rows_are_systems_by_their_honest_score_then_the_floor_then_failures(frame):
    assert list(frame['system']) == ['mine', 'dual_atme', 'ststnet', 'guesser', 'guesser_best', 'rcn_f']
    assert list(frame['status']) == ['scored'] * 3 + ['floor'] * 2 + ['failed']
    assert list(frame['title'])[:3] == ['mine', 'Dual-ATME', 'STSTNet']
    assert list(frame['epochs'])[:3] == [5, 60, 30]
    assert list(frame['paper_epochs'])[1:3] == [60, 800]
    assert list(frame['kept_epochs'])[:5] == [5, 1, 3, pytest.approx(np.nan, nan_ok=True), 5]


def test_a_system_has_its_scores_at_the_last_epoch(frame):
    for row in frame[frame['status'] == 'scored'].to_dict('records'):
        table = tables()[row['system']]
        last = table[table['epoch'] == table['epoch'].max()]
        found = scores.score_run(last, resamples=50)['scores']
        for metric in scores.METRICS:
            spread = found['full'][metric]
            expected = [spread['mean'], spread['sd'], *spread['interval']]
            assert [row[f'{metric}_{part}'] for part in ('mean', 'sd', 'low', 'high')] == expected
        for name in ('casme2', 'smic', 'samm'):
            assert row[f'{name}_uf1_mean'] == found[name]['uf1']['mean']
            assert row[f'{name}_uar_mean'] == found[name]['uar']['mean']


def test_what_leaks_stands_beside_it_with_the_gap_and_what_a_guesser_gains(frame):
    for row in frame[frame['status'] == 'scored'].to_dict('records'):
        best = selection.best_on_test(tables()[row['system']])
        of_seeds = [
            metrics.f1_score(rows['label'], rows['prediction'], average='macro')
            for _, rows in best.groupby('seed')
        ]
        assert row['best_on_test_uf1'] == pytest.approx(np.mean(of_seeds))
        assert row['gap'] == pytest.approx(row['best_on_test_uf1'] - row['uf1_mean'])
        floor = guesser.floor(best, row['kept_epochs'])['full']['uf1']['mean']
        assert row['guesser_uf1'] == floor
    by = frame.set_index('system')
    assert by['gap']['ststnet'] > 0.05
    assert by['gap']['dual_atme'] == 0  # there was one epoch to take


def test_the_floor_is_a_guess_and_the_best_of_as_many_as_the_most_epochs(frame):
    by = frame.set_index('system')
    single = guesser.floor(kept(0.5))['full']['uf1']
    best = guesser.floor(kept(0.5), 5)['full']['uf1']
    assert [by[f'uf1_{part}']['guesser'] for part in ('mean', 'sd')] == [single['mean'], single['sd']]
    assert np.isnan(by['uf1_mean']['guesser_best'])  # it is no honest score
    assert by['best_on_test_uf1']['guesser_best'] == best['mean']
    assert by['gap']['guesser_best'] == best['mean'] - single['mean']


def test_systems_are_compared_with_dual_atme_and_p_is_corrected(frame):
    by = frame.set_index('system')
    assert list(by.index[by['reference']]) == ['dual_atme']
    last = {name: selection.last(table) for name, table in tables().items()}
    expected = {
        name: scores.paired(last[name], last['dual_atme'], resamples=50)['uf1']
        for name in ('mine', 'ststnet')
    }
    for name, test in expected.items():
        assert by['difference_mean'][name] == test['difference']
        assert [by['difference_low'][name], by['difference_high'][name]] == test['interval']
        assert by['p'][name] == test['p']
    corrected = sweep.holm([test['p'] for test in expected.values()])
    assert list(by['p_holm'][list(expected)]) == list(corrected)
    assert by[['difference_mean', 'p', 'p_holm']].drop(list(expected)).isna().all(axis=None)


@pytest.mark.slow
def test_without_dual_atme_the_first_system_is_the_reference():
    left = {name: table for name, table in tables().items() if name != 'dual_atme'}
    frame = leaderboard.compare(left, {'dual_atme': REASON}, resamples=5)
    assert list(frame[frame['reference']]['system']) == ['ststnet']
    assert 'minus that of STSTNet' in ' '.join(shown(frame).split())
    frame = leaderboard.compare(tables(), {}, reference='mine', resamples=5)
    assert list(frame[frame['reference']]['system']) == ['mine']


def test_systems_are_compared_on_the_seeds_that_both_have():
    lacking = {'dual_atme': kept(0.6, seeds=(1,)), 'ststnet': kept(0.9, seeds=(0, 1))}
    frame = leaderboard.compare(lacking, {'dual_atme': REASON}, resamples=5).set_index('system')
    last = {name: selection.last(table[table['seed'] == 1]) for name, table in lacking.items()}
    test = scores.paired(last['ststnet'], last['dual_atme'], resamples=5)['uf1']
    assert frame['difference_mean']['ststnet'] == test['difference']
    # A system that failed in part is scored, and says so.
    assert frame['status']['dual_atme'] == 'scored'
    assert frame['reason']['dual_atme'] == REASON
    assert 'Dual-ATME failed in part: trial 3' in ' '.join(shown(frame.reset_index()).split())


def inner_of(table, best):
    """Inner predictions that are all right at one epoch and all wrong at the others."""
    right = (table['epoch'] == best).to_numpy()
    tables = []
    for name in table['left_out'].unique():
        own = (table['left_out'] == name).to_numpy()
        prediction = np.where(right, table['label'], (table['label'] + 1) % 3)
        tables.append(table.assign(prediction=prediction, left_out=name, inner=1)[~own])
    return pd.concat(tables, ignore_index=True)


def test_with_inner_predictions_the_honest_epoch_is_theirs(tmp_path):
    table = kept(0.6, seeds=(0,))
    frame = leaderboard.compare({'ststnet': table}, {}, inner={'ststnet': inner_of(table, 20)}, resamples=5)
    expected = scores.score(table[table['epoch'] == 20])
    assert frame['uf1_mean'][0] == expected['uf1']
    assert list(frame['selection']) == ['nested', '', '']
    assert 'best on other subjects (nested)' in markdown(frame, tmp_path)
    with pytest.raises(InputError, match='mine: no inner predictions'):
        leaderboard.compare({'mine': table}, {}, inner={})


def test_the_files_can_be_read(frame, tmp_path):
    text = markdown(frame, tmp_path)
    names = [f'leaderboard.{end}' for end in ('csv', 'md', 'png', 'tex')]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    back = pd.read_csv(tmp_path / 'leaderboard.csv', keep_default_na=False, na_values={
        name: [''] for name in frame if pd.api.types.is_numeric_dtype(frame[name])
    })  # fmt: skip
    pd.testing.assert_frame_equal(back, frame, check_dtype=False, rtol=1e-12)
    assert set(back['shortened']) == {'a tenth of the epochs'}

    lines = text.splitlines()
    assert lines[0] == '# Leaderboard'
    assert lines[2] == '**SHORTENED RUN: a tenth of the epochs; epochs: STSTNet 30 of 800**'
    end = lines.index('## By database')
    rows, by_database = (
        [line for line in part if line.startswith('|')] for part in (lines[:end], lines[end:])
    )
    assert (len(rows), len(by_database)) == (2 + 6, 2 + 3)
    assert len({row.count('|') for row in rows}) == 1
    [ststnet] = [row for row in rows if row.startswith('| STSTNet')]
    row = frame.set_index('system').loc['ststnet']
    honest = f'{row["uf1_mean"]:.3f} ± {row["uf1_sd"]:.3f} [{row["uf1_low"]:.2f}, {row["uf1_high"]:.2f}]'
    assert f'| {honest.replace("0.", ".")} |' in ststnet
    leaking = f'| {row["best_on_test_uf1"]:.3f} | {row["gap"]:+.3f} | {row["guesser_uf1"]:.3f} |'
    assert leaking.replace('0.', '.') in ststnet
    assert '| 30 of 800 |' in ststnet
    assert '| .735/.719 | no |' in ststnet
    assert '| RCN-f (failed) |' in text
    for words in (
        'LEAKS: best epoch on the test subject',
        f'- RCN-f failed: {REASON}',
        'It is not a score of a system',
        'Input: made-up flow.',
        'These are 90 clips of 15 subjects and not the 442 of 68',
        'UF1 .7209, UAR .7250; the PyTorch program',
        'Selects on the test subject: not stated',
    ):
        assert words in text


def test_the_terminal_table_fits_80_columns(frame):
    long = frame.assign(title=[*frame['title'][:2], 'Dual-Inception', *frame['title'][3:]])
    for table in (frame, long):
        text = shown(table)
        assert max(map(len, text.splitlines())) <= 80
        assert '…' not in text
        words = ' '.join(text.split())
        assert words.startswith('Leaderboard SHORTENED RUN: a tenth of the epochs')
        for part in ('LEAKS', 'Guesser, best', 'of 5', '30 of 800', '.735/.719', f'RCN-f failed: {REASON}'):
            assert part in words


def test_a_run_that_was_not_shortened_says_nothing_of_it(tmp_path):
    frame = leaderboard.compare({'ststnet': kept(0.6)}, {}, resamples=5)
    assert 'SHORTENED' not in shown(frame) + markdown(frame, tmp_path)
    assert set(frame['shortened']) == {''}


def test_a_leak_of_the_whole_run_stands_below_the_heading(tmp_path):
    frame = leaderboard.compare({'ststnet': kept(0.6)}, {}, resamples=5, shortened='one epoch')
    leaderboard_view.write(frame, tmp_path, origin='flow', notice='LEAKS: all of them')
    lines = (tmp_path / 'leaderboard.md').read_text(encoding='utf-8').split('\n\n')
    assert lines[:2] == ['# Leaderboard', '**LEAKS: all of them**']
    assert lines[2].startswith('**SHORTENED RUN: one epoch')
    made = (tmp_path / 'leaderboard.tex').read_text()
    assert made.count(r'\textbf{LEAKS: all of them} \textbf{SHORTENED RUN: one epoch') == 2
    assert r'\shortstack[r]{LEAKS: best\\epoch on the\\test subject,\\UF1}' in made
    console = Console(width=80, file=io.StringIO())
    console.print(leaderboard_view.rich_table(frame, notice='LEAKS: all of them'))
    assert 'LEAKS: all of them' in console.file.getvalue()


def test_one_seed_one_database_and_one_system_have_what_they_can(tmp_path):
    frame = leaderboard.compare({'mine': kept(0.6, seeds=(4,), databases=('smic',))}, {}, resamples=5)
    assert frame['uf1_sd'].isna()[0]
    assert leaderboard.databases(frame) == []
    assert list(frame['reference']) == [True, False, False]
    assert 'One seed' in shown(frame)
    assert '## Published' not in markdown(frame, tmp_path)


@pytest.mark.slow
def test_beside_synthetic_clips_there_is_no_published_score(tmp_path, monkeypatch):
    systems = {'ststnet': kept(0.6), 'rcn_a': kept(0.7)}
    labels = []
    legend = Figure.legend

    def keeping(figure, handles, names, **options):
        labels.extend(names)
        return legend(figure, handles, names, **options)

    monkeypatch.setattr(Figure, 'legend', keeping)
    for synthetic in (False, True):
        frame = leaderboard.compare(systems, {'rcn_f': REASON}, resamples=5, synthetic=synthetic)
        labels.clear()
        texts = shown(frame), markdown(frame, tmp_path)
        for text in texts:
            words = ' '.join(text.split())
            told = 'The clips are synthetic: published scores, of real faces, are not shown.'
            assert (told in words) == synthetic
            assert ('.735/.719' in words) != synthetic
            assert ('elects' in words) != synthetic
        assert ('.7353' in texts[1]) != synthetic
        assert ('UF1 as published' in labels) != synthetic
        assert frame['published_uf1'].isna().all() == synthetic
        assert set(frame['published_source']) == {''} or not synthetic
        table, _ = texts[1].split('## By database')
        rows = [line for line in table.splitlines() if line.startswith('|')]
        assert len({row.count('|') for row in rows}) == 1


def test_if_all_fail_that_is_told_and_there_is_no_picture(tmp_path):
    frame = leaderboard.compare({}, {'dual_atme': REASON, 'mine': 'no memory'}, resamples=5)
    assert list(frame['status']) == ['failed', 'failed']
    for text in (shown(frame), markdown(frame, tmp_path)):
        assert 'No system was scored.' in text
        assert 'mine failed: no memory' in text
    assert not (tmp_path / 'leaderboard.png').exists()
    with pytest.raises(InputError, match='no system'):
        leaderboard.compare({}, {})


def test_the_picture_shows_every_score_and_the_floor(frame, tmp_path, monkeypatch):
    figures = []
    save = Figure.savefig

    def keeping(figure, *arguments, **options):
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, 'savefig', keeping)
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        leaderboard_view.write(frame, tmp_path / folder, origin='')
    first, second = ((tmp_path / folder / 'leaderboard.png').read_bytes() for folder in ('a', 'b'))
    assert first == second
    [axes] = figures[0].axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ['mine', 'Dual-ATME', 'STSTNet']
    drawn = {line.get_label(): list(line.get_xdata()) for line in axes.get_lines()}
    scored = frame[frame['status'] == 'scored']
    assert next(x for label, x in drawn.items() if 'honest' in label) == list(scored['uf1_mean'])
    leaking = next(x for label, x in drawn.items() if label.startswith('LEAKS: UF1'))
    assert leaking == list(scored['best_on_test_uf1'])
    assert drawn['guesser, one guess'] == [frame.set_index('system')['uf1_mean']['guesser']] * 2
    title = figures[0].get_suptitle()
    assert 'SHORTENED RUN: a tenth of the epochs' in title
    assert 'Failed: RCN-f' in title
    height, width, _ = matplotlib.image.imread(tmp_path / 'a' / 'leaderboard.png').shape
    assert width > 1000
    assert height > 400


def test_published_figures_are_scores_and_say_what_they_rest_on():
    titles = [known.title for known in models.SYSTEMS.values()]
    assert len(set(titles)) == len(titles)
    for known in models.SYSTEMS.values():
        for figure in known.figures:
            assert 0 < figure.uf1 < 1
            assert 0 < figure.uar < 1
            assert figure.selects in (figures.NO, figures.YES, figures.NOT_STATED)
            assert figure.source
            assert figure.basis


@pytest.mark.skipif(not SPECIFICATION.is_dir(), reason='the notes on the systems are not here')
def test_published_figures_are_those_of_the_notes():
    systems = (SPECIFICATION / 'models_flow.md').read_text(encoding='utf-8')
    others = (SPECIFICATION / 'models_video.md').read_text(encoding='utf-8')
    paper = (SPECIFICATION / 'dual_atme.md').read_text(encoding='utf-8')
    for known in models.SYSTEMS.values():
        for figure in known.figures:
            if 'table of comparisons' in figure.source or known.title == 'Dual-ATME':
                name = known.title.replace('-', '_') if known.title.startswith('RCN') else known.title
                name = name.replace('ResNet-18', 'ResNet18')
                row = next(part for part in paper.split('Comparison table')[1].split(', ') if name in part)
                assert f'/{figure.uar:.3f}/{figure.uf1:.3f}'.replace('0.', '.') in row
            else:
                rows = [line for line in systems.splitlines() if line.startswith(f'| **{known.title}**')]
                row = rows[0] if rows else others[others.index(known.title) :]
                assert f'{figure.uf1:.4f}/{figure.uar:.4f}'.replace('0.', '.') in row
