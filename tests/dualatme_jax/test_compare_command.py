"""The command that compares systems: how runs are named and read, and what it refuses."""

import pathlib
import shlex

import numpy as np
import pandas as pd
import people
import pytest

from dualatme_jax import compare
from dualatme_jax.report import comparison_view, marks, results, scores, systems

COLUMNS = ['seed', 'database', 'subject', 'clip', 'label', 'prediction']


def table(wrong=(), seeds=(0,)):
    clips = people.clips(6, 6).drop(columns='left_out')
    at = np.isin(np.arange(len(clips)), list(wrong))
    prediction = np.where(at, (clips['label'] + 1) % 3, clips['label'])
    return pd.concat([clips.assign(seed=seed, prediction=prediction) for seed in seeds], ignore_index=True)


def log(rows):
    """A challenge log, whose SAMM subjects lack their zeros."""
    lines = []
    for (database, subject), own in rows.groupby(['database', 'subject']):
        lines.append(f'{database} {subject.lstrip("0") or "0" if database == "samm" else subject}')
        lines += [f'{row.clip} {row.label} {row.prediction}' for row in own.itertuples()]
    return '\n'.join(lines) + '\n'


@pytest.fixture
def run_folder(tmp_path):
    def make(name, rows, **result):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        rows[[name for name in rows if name != 'left_out']].to_csv(folder / 'predictions.csv', index=False)
        results.write(result, folder / 'results.json')
        return folder

    return make


def command(capsys, *arguments):
    status = compare.main([str(argument) for argument in [*arguments, '--resamples', 5]])
    captured = capsys.readouterr()
    assert 'Traceback' not in captured.err
    return status, captured.out, captured.err


def scored(folder):
    return pd.read_csv(folder / 'compare.csv', keep_default_na=False).set_index('system')


def test_runs_tables_and_logs_are_compared_by_names_that_differ(capsys, run_folder, tmp_path):
    first = run_folder('x/v1.0', table({0}, seeds=(0, 1)), notice='LEAKS: one reason.\nSMOKE RUN')
    second = run_folder('y/v1.0', table({1}))
    (tmp_path / 'theirs.txt').write_text(log(table({2, 3})))
    arguments = (first, second, f'their  log={tmp_path / "theirs.txt"}', '--reference', 'their log')
    status, shown, errors = command(capsys, *arguments, '--out', tmp_path / 'out')
    assert (status, errors) == (0, '')
    found = scored(tmp_path / 'out')
    assert found.index.tolist() == ['x/v1.0', 'y/v1.0', 'their log']
    assert found['notice'].tolist() == ['LEAKS: one reason. SMOKE RUN', '', '']
    assert found['reference'].tolist() == [False, False, True]
    assert float(found.loc['x/v1.0', 'paired_seeds']) == 1
    assert (tmp_path / 'out' / 'compare.md').read_text() in shown
    assert '**x/v1.0: LEAKS: one reason.**' in shown
    assert {path.name for path in (tmp_path / 'out').iterdir()} == set(comparison_view.FILES)


def test_intervals_are_those_of_the_run_however_others_spell_its_subjects(run_folder, tmp_path):
    rows = table({6, 7, 8, 9, 21})
    rows = rows[rows['database'] == 'samm'].replace({'subject': {'000': '4', '001': '12', '002': '6'}})
    ours, theirs = run_folder('ours', rows), tmp_path / 'theirs.csv'
    padded = rows.assign(subject=rows['subject'].str.zfill(3))
    padded.to_csv(theirs, index=False)
    found = systems.read([str(ours), str(theirs)]).tables
    expected, other, *both = (
        scores.score_run(each, resamples=3)['scores'] for each in (rows, padded, *found.values())
    )
    assert other != expected  # the order of the names is another one
    assert both == [expected] * 2


def test_the_command_of_the_guide_gives_the_files_that_it_names(capsys, run_folder, tmp_path, monkeypatch):
    guide = (pathlib.Path(__file__).parents[2] / 'docs/compare.md').read_text()
    *runs, last = guide.split('```bash\n')[1].split('```')[0].splitlines()
    for place, line in enumerate(runs):
        run_folder(line.partition('--workdir=')[2], table({place}))
    monkeypatch.chdir(tmp_path)
    program, arguments = last.split('dualatme_jax.compare ')
    assert program == 'python -m '
    assert command(capsys, *shlex.split(arguments))[::2] == (0, '')
    assert scored(tmp_path / 'compare').index.tolist() == ['kernel_ridge', 'fixed']
    assert all(f'`{name}`' in guide for name in comparison_view.FILES)


@pytest.fixture
def sweep(run_folder):
    """Two points of one seed and six folds; the first is wrong of clip 0 and the second of clips 7 and 8."""
    rows = [table(wrong).assign(**{'loss.x': x}) for wrong, x in (((0,), 0.5), ((7, 8), 1.0))]
    people_of = rows[0]['database'] + '/' + rows[0]['subject']
    folds = people_of.unique().tolist()
    trials = [
        {'trial': place * 6 + fold, 'seed': 0, 'left_out': name, 'status': 'done', 'loss': 0, 'seconds': 0}
        for place in range(2)
        for fold, name in enumerate(folds)
    ]
    number = {name: fold for fold, name in enumerate(folds)}
    rows = [own.assign(trial=people_of.map(number) + 6 * place) for place, own in enumerate(rows)]
    choice = [
        {'seed': 0, 'left_out': name, 'loss.x': 1.0 if name == folds[0] else 0.5, 'uf1': 0.5}
        for name in folds
    ]

    def make(name, **result):
        folder = run_folder(name, pd.concat(rows), **result)
        pd.DataFrame(trials).to_csv(folder / 'trials.csv', index=False)
        return folder

    return make, choice


def test_of_a_sweep_each_point_is_a_system_or_its_own_result_is(capsys, sweep, tmp_path):
    make, choice = sweep
    points = [{'loss.x': 0.5, 'reference': False}, {'loss.x': 1.0, 'reference': True}]
    last = make('last', selection='last', sweep=points)
    nested = make('nested', selection='nested', chosen=choice, sweep=points)
    assert command(capsys, last, '--out', tmp_path / 'each')[0] == 0
    assert scored(tmp_path / 'each').index.tolist() == ['last (loss.x = 0.5)', 'last (loss.x = 1.0)']
    assert command(capsys, last, nested, '--points', 'result', '--out', tmp_path / 'result')[0] == 0
    found = scored(tmp_path / 'result')
    assert found['acc_mean'].astype(float).to_dict() == pytest.approx({'last': 34 / 36, 'nested': 1})
    assert found['notice'].tolist() == ['', 'Selection: nested, by the other subjects.']
    table_alone = (last / 'predictions.csv').rename(tmp_path / 'alone.csv')  # of which nothing is the result
    assert command(capsys, nested, table_alone, '--points', 'result', '--out', tmp_path / 'file')[0] == 0
    assert scored(tmp_path / 'file').index.tolist()[1:] == ['alone (loss.x = 0.5)', 'alone (loss.x = 1.0)']
    unknown = make('unknown', selection='last')
    status, _, errors = command(capsys, nested, unknown, '--points', 'result', '--out', tmp_path / 'none')
    assert status == 2
    assert 'unknown has several points, and nothing in it says which one is its result' in errors


def test_the_best_epoch_on_the_test_leaks_as_a_result_too(capsys, sweep, tmp_path):
    make, _ = sweep
    folder = make('best', selection='best_on_test', sweep=[{'loss.x': 0.5, 'reference': True}])
    kept = pd.read_csv(folder / 'predictions.csv', dtype={'subject': str})
    early = kept.assign(epoch=1, prediction=kept['label'])
    pd.concat([early, kept.assign(epoch=2)]).to_csv(folder / 'epoch_predictions.csv', index=False)
    (tmp_path / 'other.csv').write_text(table({3})[COLUMNS].to_csv(index=False))
    status, _, errors = command(
        capsys, folder, tmp_path / 'other.csv', '--points', 'result', '--out', tmp_path / 'out'
    )
    assert (status, errors) == (0, '')
    found = scored(tmp_path / 'out')
    assert found.loc['best', 'notice'].startswith(marks.BEST_ON_TEST)
    assert float(found.loc['best', 'acc_mean']) == 1


def test_numbers_of_classes_are_those_of_a_run_that_names_them(capsys, run_folder, tmp_path):
    names = ('happy', 'sad', 'none', 'rare')
    last = {name: {2: 3} for name in ('label', 'prediction')}
    rows = table({0}).replace(last)
    chances = {f'prob_{name}': 1.0 * (rows['prediction'] == place) for place, name in enumerate(names)}
    named = run_folder('named', rows.assign(**chances))
    numbers = spoilt(table({1})[COLUMNS].replace(last), tmp_path / 'numbers.csv')
    status, shown, errors = command(capsys, numbers, named, '--out', tmp_path / 'out')
    assert (status, errors) == (0, '')
    assert '4 classes: happy, sad, none, rare' in shown
    other = spoilt(table({1})[COLUMNS].replace({'label': {2: 'angry'}}), tmp_path / 'other.csv')
    for pair, expected in (((named, other), '0 (happy), 1 (sad)'), ((numbers, other), '0 (negative), 1')):
        status, _, errors = command(capsys, *pair, '--out', tmp_path / 'out')
        assert status == 2
        assert f'expected one of {expected}' in errors


def spoilt(rows, path):
    rows.to_csv(path, index=False)
    return path


def test_what_cannot_be_compared_is_named(capsys, run_folder, tmp_path):
    good = table({0})[COLUMNS]
    one = spoilt(good, tmp_path / 'one.csv')
    (tmp_path / 'sub').mkdir()
    fewer = spoilt(good[good['clip'] != 'c3'], tmp_path / 'fewer.csv')
    labelled = spoilt(good.assign(label=good['label'].where(good.index > 0, 1)), tmp_path / 'labelled.csv')
    other = {key: {0: 'x', 1: 'y', 2: 'z'} for key in ('label', 'prediction')}
    words = spoilt(good.replace(other), tmp_path / 'words.csv')
    people_of = (good['database'] + '/' + good['subject']).drop_duplicates().sort_values()
    clips = ', '.join(f'{person}/c3' for person in people_of[:5])
    half = run_folder('half', good, reason='nobody was left out')
    for arguments, says in (
        ([one], 'one is the only system; expected two or more'),
        ([one, one], 'one of them twice; expected different runs'),
        ([f'n={one}', f'n={fewer}'], "two runs are called 'n'; expected different names: NAME=PATH"),
        ([f'={one}', fewer], 'expected PATH or NAME=PATH'),
        (
            [one, fewer],
            'one (36 clips) and fewer (30) are of different clips: '
            f'6 clips ({clips}, ...) of one are not in fewer; expected',
        ),
        ([fewer, one], f'6 clips ({clips}, ...) of one are not in fewer'),
        (
            [one, labelled],
            '1 clips have another label in labelled than in one: casme2/000/c0 negative and positive',
        ),
        ([one, words], 'words has the classes x, y, z, and one negative, positive, surprise'),
        ([one, tmp_path / 'sub'], 'is a folder without predictions.csv'),
        ([one, half], 'nobody was left out'),
        ([one, tmp_path / 'absent.csv'], 'absent.csv'),
    ):
        status, _, errors = command(capsys, *arguments, '--out', tmp_path / 'out')
        assert status == 2, says
        assert says in errors
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'file').write_text('')
    status, _, errors = command(capsys, one, spoilt(good, tmp_path / 'two.csv'), '--out', tmp_path / 'file')
    assert status == 2
    assert 'cannot write to' in errors
