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


def test_a_challenge_log(capsys, tmp_path):
    path = tmp_path / 'log.txt'
    path.write_text('\n' + LOG)
    status, out, _ = command(capsys, path)
    assert status == 0
    assert 'a challenge log, 3 clips of 2 subjects' in out
    assert 'not the complete MEGC2019-CD: in all 3 of 442 clips, 2 of 68 subjects; CASME II 2 of 145' in out


def test_each_point_of_a_sweep_has_its_table(capsys, tmp_path):
    path = tmp_path / 'sweep.csv'
    sweep = [table(seed=seed, weight=weight, loss='focal') for weight in (0, 1) for seed in (0, 1)]
    predictions.write(pd.concat(sweep), path)
    status, out, _ = command(
        capsys, path, '--json', tmp_path / 's.json', '--plot', tmp_path / 'p.png', '--resamples', 5
    )
    assert status == 0
    titles = [line.strip() for line in out.splitlines() if 'weight' in line]
    assert titles == ['weight = 0', 'weight = 1']
    points = json.loads((tmp_path / 's.json').read_text())['points']
    assert [point['hyperparameters'] for point in points] == [{'weight': 0}, {'weight': 1}]
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
        assert per_seed[name] == pytest.approx(
            {
                'acc': metrics.accuracy_score(truth[rows], prediction[rows]),
                'uar': metrics.balanced_accuracy_score(truth[rows], prediction[rows]),
                'uf1': metrics.f1_score(truth[rows], prediction[rows], average='macro'),
            }
        )


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'an empty file'),
        (b'\x89PNG\r\n\x1a\n', 'not UTF-8'),
        (b'one', "the first line is 'one'; expected a CSV header"),
        (b'database;subject;clip;label;prediction\n', 'expected a CSV header'),
        (b'a,b\n1,2\n', 'are missing'),
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


@pytest.mark.parametrize('resamples', ['0', '-3', 'many'])
def test_resamples_are_positive(capsys, complete, resamples):
    with pytest.raises(SystemExit, match='2'):
        score.main([str(complete), '--resamples', resamples])
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


def test_the_command_runs_without_jax(complete):
    program = (
        'import sys; from dualatme_jax import score; '
        'status = score.main([sys.argv[1], "--resamples", "2"]); '
        'sys.exit(status or "jax" in sys.modules)'
    )
    subprocess.run([sys.executable, '-c', program, str(complete)], capture_output=True, check=True)
