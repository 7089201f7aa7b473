"""Several processes as one run: what it gives, who writes it, and that none outlives another unknowingly."""

import io
import json
import os
import socket
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from small_run import TINY

from configs import cd
from dualatme_jax.errors import InputError
from dualatme_jax.machines import processes
from dualatme_jax.run import experiment
from dualatme_jax.training.checkpoint import load_weights

EPOCHS = 12  # one process must die before they are over
# SGD does not scale the rounding of gradients that are zero up to full steps.
FIELDS = {
    'model.name': TINY,
    'optimizer.name': 'sgd',
    'optimizer.learning_rate': 0.01,
    'training.epochs': EPOCHS,
    'training.batch_size': 11,
    'report.resamples': 20,
    'report.pictures': False,
    'checkpoint.every': 1,
    'selection.every': 2,
    'engine.max_trials': 8,
}


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def start(command, number, port):
    flags = [f'--coordinator=127.0.0.1:{port}', '--processes=2', f'--process={number}']
    environment = os.environ | {'JAX_NUM_CPU_DEVICES': '1'}
    return subprocess.Popen(
        [*command, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def pair(command, *, kill=None, at=None):
    """Status and output of both processes; `kill` dies when the first has said `at`."""
    port = free_port()
    both = [start(command, number, port) for number in range(2)]
    try:
        said = ''
        for line in both[0].stdout:
            said += line
            if at and at in line:
                both[kill].kill()
        outputs = [said, both[1].communicate(timeout=60)[0]]
        return [process.wait(timeout=60) for process in both], outputs
    finally:
        for process in both:
            process.kill()


@pytest.fixture(scope='module')
def config(small_dataset_dir):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    config.update_from_flattened_dict(FIELDS)
    return config


@pytest.fixture(scope='module')
def killed(config, tmp_path_factory):
    """A run of two processes that lost one, then was continued; with what each command gave."""
    folder = tmp_path_factory.mktemp('runs') / 'two'
    command = [
        sys.executable,
        '-m',
        'dualatme_jax.main',
        '--config=configs/cd.py',
        f'--workdir={folder}',
    ]
    command += [f'--config.{field}={value}' for field, value in FIELDS.items()]
    command += [f'--config.data.path={config.data.path}']
    return folder, [pair(command, kill=1, at=f'epoch 3/{EPOCHS}'), pair(command)]


@pytest.fixture(scope='module')
def alone(config, tmp_path_factory):
    """The same run in one process, on one device, not interrupted."""
    folder = tmp_path_factory.mktemp('runs') / 'one'
    with config.unlocked():
        config.engine.devices = 1
    experiment.run(config, folder, Console(file=io.StringIO()))
    return folder


def assert_named(found, dead):
    statuses, outputs = found
    assert statuses[dead] == -9
    assert statuses[1 - dead] == 3
    assert f'error: process {dead} ({socket.gethostname()}) died' in outputs[1 - dead]
    assert 'the same command continues from the last checkpoint' in outputs[1 - dead]


@pytest.mark.slow
def test_a_process_that_dies_is_named_by_the_other_which_ends(killed):
    assert_named(killed[1][0], 1)


@pytest.mark.slow
def test_what_two_processes_began_the_same_command_continues(killed):
    statuses, (said, _) = killed[1][1]
    assert int(said.partition('continued after epoch ')[2].split()[0]) >= 2
    assert statuses == [0, 0]


@pytest.mark.slow
def test_the_first_process_alone_talks(killed):
    said, other = killed[1][-1][1]
    assert '8 trials, 8 side by side, on 2 x cpu' in said
    assert 'All databases' in said
    assert [line for line in other.splitlines() if not line.startswith('[Gloo]')] == []


@pytest.mark.slow
def test_two_processes_give_what_one_gives(killed, alone):
    two = killed[0]
    one, other = (pd.read_csv(folder / 'predictions.csv') for folder in (alone, two))
    chances = [name for name in one if name.startswith('prob_')]
    np.testing.assert_allclose(other[chances], one[chances], atol=2e-3)
    assert other.drop(columns=chances).equals(one.drop(columns=chances))
    one, other = (pd.read_csv(folder / 'trials.csv') for folder in (alone, two))
    np.testing.assert_allclose(other['loss'], one['loss'], rtol=2e-3)
    assert other.drop(columns=['loss', 'seconds']).equals(one.drop(columns=['loss', 'seconds']))
    one, other = (json.loads((folder / 'results.json').read_text()) for folder in (alone, two))
    assert one['scores'] == other['scores']
    one, other = (load_weights(folder / 'waves' / 'wave_000' / 'weights') for folder in (alone, two))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), one, other)


@pytest.mark.slow
def test_all_is_written_once(killed, alone):
    def files(folder):
        kept = [path.relative_to(folder) for path in folder.iterdir()]
        return sorted(str(path) for path in kept if path.name != 'tensorboard')

    two = killed[0]
    assert files(two) == files(alone)
    # One file a command that trained.
    assert len(list((two / 'tensorboard' / 'training').iterdir())) == 2


def agreeing(body, tmp_path, **death):
    """Runs `body` in two processes that have joined."""
    program = tmp_path / 'program.py'
    lines = """\
        import pathlib, sys
        import jax
        from dualatme_jax.machines import processes
        from dualatme_jax.errors import InputError
        coordinator, count, own = (flag.partition('=')[2] for flag in sys.argv[1:])
        own = int(own)
        processes.start(coordinator, int(count), own)
        try:
    """
    end = """\
        except InputError as error:
            processes.leave(f'error: {error}', 2)
        processes.finish()
    """
    text = textwrap.dedent(lines) + textwrap.indent(textwrap.dedent(body), '    ') + textwrap.dedent(end)
    program.write_text(text)
    return pair([sys.executable, str(program)], **death)


@pytest.mark.slow
def test_processes_agree(tmp_path):
    statuses, outputs = agreeing(
        """\
        assert processes.is_first() == (own == 0)
        assert processes.exchanged({'own': own}) == [{'own': 0}, {'own': 1}]
        assert processes.agreed(own + 5) == 5
        processes.check_same('number', 3)
        processes.check_shared(pathlib.Path(__file__).parent)
        with processes.first_before_others():
            file = pathlib.Path(__file__).with_name('once')
            if not file.exists():
                file.write_text(str(own))
        assert file.read_text() == '0'
        try:
            with processes.failing_together():
                if own:
                    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')
        except jax.errors.JaxRuntimeError as error:
            print(error)
        """,
        tmp_path,
    )
    assert statuses == [0, 0], outputs
    for said in outputs:
        assert 'RESOURCE_EXHAUSTED: out of memory (process 1)' in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ['once', 'program.py']


@pytest.mark.slow
def test_the_first_process_is_named_too(tmp_path):
    body = "print('joined', flush=True)\nwhile True:\n    processes.exchanged(None)\n"
    assert_named(agreeing(body, tmp_path, kill=0, at='joined'), 0)


@pytest.mark.parametrize(
    ('body', 'says'),
    [
        ('processes.check_same("dataset", own)\n', 'has another dataset than process 0'),
        (
            'processes.SHARED_SECONDS = 1\n'
            'folder = pathlib.Path(__file__).with_name(f"own{own}")\n'
            'folder.mkdir()\n'
            'processes.check_shared(folder)\n',
            'expected a --workdir on a file system that all machines share',
        ),
    ],
)
@pytest.mark.slow
def test_a_process_that_refuses_ends_all_with_its_reason(tmp_path, body, says):
    statuses, outputs = agreeing(body + 'processes.exchanged(None)\n', tmp_path)
    assert statuses == [3, 2]
    assert says in outputs[1]
    assert says in outputs[0]
    assert f'process 1 ({socket.gethostname()}) ended' in outputs[0]


@pytest.mark.parametrize(
    ('given', 'says'),
    [
        ({'coordinator': 'localhost:1234'}, '--processes, --process is not given'),
        ({'processes': 2, 'process': 0}, '--coordinator is not given'),
        ({'coordinator': 'localhost:1', 'distributed': True}, '--distributed finds by itself'),
        ({'coordinator': 'localhost', 'processes': 2, 'process': 0}, 'is no HOST:PORT'),
        ({'coordinator': 'localhost:99999', 'processes': 2, 'process': 0}, 'is no HOST:PORT'),
        ({'coordinator': 'localhost:1234', 'processes': 2, 'process': 2}, '--process=2 of --processes=2'),
        ({'coordinator': 'localhost:1234', 'processes': 0, 'process': 0}, '--process=0 of --processes=0'),
    ],
)
def test_flags_that_do_not_go_together(given, says):
    with pytest.raises(InputError, match=says):
        processes.start(**given)


def test_a_process_alone_agrees_with_itself(tmp_path):
    processes.start()
    assert processes.is_first()
    assert processes.agreed(4) == 4
    processes.check_same('number', 3)
    processes.check_shared(tmp_path / 'nowhere')
    processes.finish()
