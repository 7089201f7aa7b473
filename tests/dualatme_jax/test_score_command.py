import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from dualatme_jax import score
from dualatme_jax.report import predictions, scores

COUNTS = {'casme2': (145, 24), 'smic': (164, 16), 'samm': (133, 28)}
LOG = 'casme2 sub01\nEP02_01f 1 1\nEP19_05f 0 2\nSAMM 006\n006_1_2 0 0\n'


def table(**columns):
    rows = [
        (database, f's{clip % subjects:02d}', f'c{clip:03d}', clip % 3, clip % 4 % 3)
        for database, (total, subjects) in COUNTS.items()
        for clip in range(total)
    ]
    names = [*predictions.CLIP_KEY, 'label', 'prediction']
    return pd.DataFrame(rows, columns=names).assign(**{'trial': 0, 'seed': 0} | columns)


@pytest.fixture
def complete(tmp_path):
    path = tmp_path / 'predictions.csv'
    predictions.write(table(), path)
    return path


def command(capsys, *arguments):
    status = score.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert 'Traceback' not in captured.err
    return status, captured.out, captured.err


def test_a_complete_table(capsys, complete, tmp_path):
    outputs = tmp_path / 'scores.json', tmp_path / 'confusion.png'
    status, out, err = command(
        capsys, complete, '--json', outputs[0], '--plot', outputs[1], '--resamples', 50
    )
    assert (status, err) == (0, '')
    assert 'a predictions table, 442 clips of 68 subjects, 3 classes: negative, positive, surprise' in out
    assert 'Note' not in out
    expected = scores.score_run(predictions.read(complete)[0], resamples=50)
    assert json.loads(outputs[0].read_text()) == expected
    assert f'{expected["scores"]["full"]["uf1"]["mean"]:.3f}' in out
    assert outputs[1].read_bytes().startswith(b'\x89PNG')


def test_the_notice_of_a_run_stands_above_its_scores_and_in_what_is_written(capsys, complete, tmp_path):
    notice = {'notice': 'SMOKE TEST', 'dataset': {'release': 'synthetic'}}
    (tmp_path / 'results.json').write_text(json.dumps(notice))
    out = tmp_path / 'scores.json'
    status, shown, _ = command(capsys, tmp_path, '--json', out, '--resamples', 20)
    expected = 'SMOKE TEST\nThe clips are synthetic: these are not scores of real faces.'
    assert status == 0
    assert json.loads(out.read_text())['notice'] == expected
    above = shown.partition('All databases')[0] or shown.partition('MEGC2019-CD ')[0]
    assert [line.strip() for line in above.splitlines()].count('SMOKE TEST') == 1


def test_a_challenge_log(capsys, tmp_path):
    path = tmp_path / 'log.txt'
    path.write_text('\n' + LOG)
    status, out, _ = command(capsys, path)
    assert status == 0
    assert 'a challenge log, 3 clips of 2 subjects' in out
    assert 'not the complete MEGC2019-CD: in all 3 of 442 clips, 2 of 68 subjects; CASME II 2 of 145' in out


@pytest.mark.slow
def test_each_point_of_a_sweep_has_its_table(capsys, tmp_path):
    path = tmp_path / 'sweep.csv'
    sweep = [
        table(seed=seed, **{'loss.weight': weight, 'loss.name': 'focal'})
        for weight in (0, 1)
        for seed in (0, 1)
    ]
    predictions.write(pd.concat(sweep), path)
    status, out, _ = command(
        capsys, path, '--json', tmp_path / 's.json', '--plot', tmp_path / 'p.png', '--resamples', 5
    )
    assert status == 0
    titles = [line.strip() for line in out.splitlines() if 'weight' in line]
    assert titles == ['loss.weight = 0', 'loss.weight = 1']
    points = json.loads((tmp_path / 's.json').read_text())['points']
    assert [point['hyperparameters'] for point in points] == [{'loss.weight': 0}, {'loss.weight': 1}]
    assert {path.name for path in tmp_path.iterdir()} == {'sweep.csv', 's.json', 'p-1.png', 'p-2.png'}


@pytest.mark.parametrize(
    'labels', [('truthful', 'deceptive'), ('anger', 'happiness', 'others', 'surprise', 'contempt')]
)
@pytest.mark.parametrize('form', ['probabilities', 'words'])
def test_other_classes_score_as_scikit_learn_does(capsys, tmp_path, labels, form):
    rng = np.random.default_rng(len(labels))
    probabilities = rng.dirichlet(np.ones(len(labels)), 120)
    truth, prediction = rng.integers(len(labels), size=120), probabilities.argmax(1)
    found = pd.DataFrame(
        {
            'database': np.where(np.arange(120) < 50, 'casme3', 'mmew'),
            'subject': np.arange(120) % 10,
            'clip': np.arange(120),
            'label': truth,
            'prediction': prediction,
        }
    )
    if form == 'probabilities':
        found[[f'prob_{label}' for label in labels]] = probabilities
    else:
        found = found.replace({name: dict(enumerate(labels)) for name in ('label', 'prediction')})
    path, out_path = tmp_path / 'predictions.csv', tmp_path / 'scores.json'
    found.to_csv(path, index=False)
    picture = tmp_path / 'p.png'
    status, out, _ = command(capsys, path, '--json', out_path, '--plot', picture, '--resamples', 5)
    assert status == 0
    assert f'{len(labels)} classes: ' in out
    assert 'MEGC2019' not in out
    assert picture.exists()
    [per_seed] = json.loads(out_path.read_text())['per_seed']
    for name, rows in {'full': slice(None), 'casme3': slice(50), 'mmew': slice(50, None)}.items():
        expected = {
            'acc': metrics.accuracy_score(truth[rows], prediction[rows]),
            'uar': metrics.balanced_accuracy_score(truth[rows], prediction[rows]),
            'uf1': metrics.f1_score(truth[rows], prediction[rows], average='macro'),
        }
        if len(labels) == 2:
            right = (truth == prediction)[rows]
            people = found['database'].str.cat(found['subject'].astype(str))[rows]
            expected['acc_by_subject'] = pd.Series(right).groupby(people.to_numpy()).mean().mean()
            if form == 'probabilities':
                expected['auc'] = metrics.roc_auc_score(truth[rows], probabilities[rows, 1])
        assert per_seed[name] == pytest.approx(expected)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'an empty file'),
        (b'\x89PNG\r\n\x1a\n', 'not UTF-8'),
        (b'one', "the first line is 'one'; expected a table whose first line names the columns"),
        (b'database;subject;clip;label;prediction\n', 'a header and no predictions'),
        (b'a,b\n1,2\n', 'none of the columns'),
        (b'subject,b\n1,2\n', 'missing columns: database, clip, label, prediction; found subject, b'),
        (LOG.encode() + b'c 1 9\n', "line 6: prediction is '9'"),
    ],
)
def test_a_bad_file_is_an_error_and_no_traceback(capsys, tmp_path, content, message):
    path = tmp_path / 'file'
    path.write_bytes(content)
    status, out, err = command(capsys, path)
    assert (status, out) == (2, '')
    assert err.startswith('error: ')
    assert message in err
    assert str(path) in err


def test_a_missing_file_is_an_error(capsys, tmp_path):
    status, _, err = command(capsys, tmp_path / 'none.csv')
    assert status == 2
    assert 'No such file' in err


@pytest.mark.parametrize('option', ['--json', '--plot'])
def test_an_output_that_cannot_be_written_is_an_error(capsys, complete, tmp_path, option):
    status, _, err = command(capsys, complete, '--resamples', 2, option, tmp_path / 'none' / 'out')
    assert status == 2
    assert err.startswith('error: cannot write')


@pytest.mark.parametrize('resamples', ['0', '-3', 'many', '1000000000'])
def test_resamples_are_positive(capsys, complete, resamples):
    try:
        status = score.main([str(complete), '--resamples', resamples])
    except SystemExit as stopped:  # of argparse
        status = stopped.code
    assert status == 2
    assert '--resamples' in capsys.readouterr().err


def test_help_names_the_options():
    command_line = [sys.executable, '-m', 'dualatme_jax.score', '--help']
    helped = subprocess.run(command_line, capture_output=True, text=True, check=True)
    assert '--resamples' in helped.stdout


@pytest.mark.parametrize('module', ['dualatme_jax.score', 'dualatme_jax.main', 'data_prep.__main__'])
def test_help_waits_for_nothing_heavy(module):
    program = f'import sys, {module}; print(*sys.modules)'
    loaded = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    heavy = {'jax', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'rich', 'cv2', 'tensorflow_datasets'}
    assert not heavy & set(loaded.stdout.split())


@pytest.mark.slow
def test_the_command_runs_without_jax(complete):
    program = (
        'import sys; from dualatme_jax import score; '
        'status = score.main([sys.argv[1], "--resamples", "2"]); '
        'sys.exit(status or "jax" in sys.modules)'
    )
    subprocess.run([sys.executable, '-c', program, str(complete)], capture_output=True, check=True)


def test_labels_are_compared_with_a_list(capsys, tmp_path):
    (tmp_path / 'log.txt').write_text(LOG)
    (tmp_path / 'list.csv').write_text('casme2,sub01,EP02_01f,1\ncasme2,sub01,EP19_05f,1\nsamm,6,006_1_2,0\n')
    out_path = tmp_path / 'scores.json'
    status, out, _ = command(
        capsys, tmp_path / 'log.txt', '--list', tmp_path / 'list.csv', '--json', out_path, '--resamples', 2
    )
    assert status == 0
    assert 'Compared: 1 label differs: casme2/sub01/EP19_05f is negative here and positive in' in out
    assert json.loads(out_path.read_text())['compared'] == {
        'with': str(tmp_path / 'list.csv'),
        'labels': {'casme2/sub01/EP19_05f': ['negative', 'positive']},
        'absent': [],
        'unknown': [],
        'databases': [],
        'named': True,
    }


def test_labels_are_compared_with_a_dataset_whose_classes_number_them(
    capsys, tmp_path, five_class_dataset_dir
):
    (tmp_path / 'p.csv').write_text('database,subject,clip,label,prediction\ncasme3,000,clip0,4,3\n')
    status, out, err = command(
        capsys, tmp_path / 'p.csv', '--dataset', five_class_dataset_dir, '--resamples', 2
    )
    assert status == 0, err
    assert '5 classes: happiness, surprise, disgust, repression, others' in out
    assert 'Compared: 1 label differs: casme3/000/clip0 is others here and happiness in' in out
    assert 'no clip is of 4dme' in out


def test_a_printed_log_that_leaks_is_marked_where_it_is_scored(capsys, tmp_path):
    (tmp_path / 'log.txt').write_text('Subject: sub01\nBest Predicted : [0, 1]\nGround Truth : [0, 2]\n')
    out_path = tmp_path / 'scores.json'
    status, out, _ = command(capsys, tmp_path / 'log.txt', '--json', out_path, '--resamples', 2)
    assert status == 0
    assert 'the log of a PyTorch program, 2 clips of 1 subjects' in out
    assert 'selection: best epoch on the left-out subject, WHICH LEAKS' in ' '.join(out.split())
    assert json.loads(out_path.read_text())['selection'] == 'best epoch on the left-out subject, WHICH LEAKS'


def test_a_column_is_a_hyperparameter_by_option(capsys, tmp_path):
    sweep = [table(age=age) for age in (1, 2)]
    pd.concat(sweep).to_csv(tmp_path / 'p.csv', index=False)
    status, _, err = command(capsys, tmp_path / 'p.csv')
    assert status == 2
    assert 'name a hyperparameter by --point' in err
    status, out, _ = command(capsys, tmp_path / 'p.csv', '--point', 'age', '--resamples', 2)
    assert status == 0
    assert 'age = 2' in out


@pytest.mark.parametrize('option', ['--json', '--plot', '--list', '--dataset', ''])
def test_a_path_that_no_file_can_have_is_an_error(capsys, complete, option):
    given = [complete, option, '~nobody-at-all/x', '--resamples', 2] if option else ['x' * 5000]
    status, _, err = command(capsys, *given)
    assert status == 2
    assert err.startswith(f'error: {option or "FILE"}')


def test_controls_in_names_do_not_reach_the_terminal(capsys, tmp_path):
    (tmp_path / 'p.csv').write_text(
        'database,subject,clip,label,prediction,\x1b[2J\nsmic,s1,a,0,1,2\n', encoding='utf-8'
    )
    status, out, _ = command(capsys, tmp_path / 'p.csv', '--resamples', 2)
    assert status == 0
    assert '\x1b' not in out
    assert '\\x1b[2J' in out
