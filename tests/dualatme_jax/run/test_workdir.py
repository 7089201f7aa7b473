"""The folder of a run: one config, one process at a time."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.run import workdir

CONFIG = {
    'checkpoint': {'every': 10},
    'data': {'path': 'data/megc2019_cd'},
    'dataset': {'clips': 442, 'sha256': 'ab'},
    'engine': {'max_trials': 0},
    'input': {'scale': 'signed', 'channels': ('u', 'v', 'strain')},
    'loss': {'name': 'focal', 'class_weights': (0.2857, 0.1329, 0.1695)},
    'model': {'name': 'dual_atme', 'variant': 'paper'},
    'optimizer': {'name': 'adam', 'learning_rate': 1e-3},
    'report': {'resamples': 1000},
    'seeds': (0, 1),
    'selection': {'name': 'last'},
    'sweep': (),
    'training': {'epochs': 60},
}


def changed(section, **fields):
    return CONFIG | {section: CONFIG[section] | fields}


def claim(path, config=CONFIG):
    with workdir.claim(path, config) as folder:
        return folder


def refusal(path, config=CONFIG):
    with pytest.raises(InputError) as error:
        claim(path, config)
    return str(error.value)


@pytest.fixture
def folder(tmp_path):
    """A run of CONFIG that was begun."""
    claim(tmp_path / 'run')
    (tmp_path / 'run' / 'trials.csv').write_text('trial\n')
    return tmp_path / 'run'


def test_a_new_folder_is_made_and_holds_its_config(tmp_path):
    path = tmp_path / 'runs' / 'cd'
    assert claim(path) == path
    assert json.loads((path / 'config.json').read_text()) == json.loads(json.dumps(CONFIG))


def test_a_sweep_is_the_same_when_it_comes_back_from_the_file(tmp_path):
    config = CONFIG | {'sweep': ({'b.c': (1, 2), 'a.d': ('x', 'y')},)}
    claim(tmp_path, config)
    (tmp_path / 'trials.csv').touch()
    assert claim(tmp_path, config) == tmp_path


def test_an_empty_folder_or_a_text_for_its_path_will_do(tmp_path):
    assert claim(str(tmp_path)) == tmp_path


def test_the_same_config_continues(folder):
    assert claim(folder) == folder
    assert (folder / 'trials.csv').read_text() == 'trial\n'


@pytest.mark.parametrize('section', ['checkpoint', 'data', 'engine', 'report'])
def test_what_does_not_decide_the_result_may_change_and_is_kept(folder, section):
    config = changed(section, **dict.fromkeys(CONFIG[section], 7))
    claim(folder, config)
    assert json.loads((folder / 'config.json').read_text())[section] == config[section]


@pytest.mark.parametrize(
    ('config', 'difference'),
    [
        (CONFIG | {'draws': 2}, 'draws is None there and 2 here'),
        (changed('dataset', clips=441), 'dataset.clips is 442 there and 441 here'),
        (
            changed('loss', class_weights=(1, 1, 1)),
            'loss.class_weights is [0.2857, 0.1329, 0.1695] there and (1, 1, 1) here',
        ),
        (changed('input', scale='byte'), "input.scale is 'signed' there and 'byte' here"),
        (changed('loss', name='cross_entropy'), "loss.name is 'focal' there and 'cross_entropy' here"),
        (changed('model', variant='code'), "model.variant is 'paper' there and 'code' here"),
        (changed('model', width=6), 'model.width is None there and 6 here'),
        (CONFIG | {'models': [{'width': 3}]}, "models is None there and [{'width': 3}] here"),
        (changed('optimizer', learning_rate=0.1), 'optimizer.learning_rate is 0.001 there and 0.1 here'),
        (CONFIG | {'sweep': ({'a.b': (1,)},)}, "sweep is [] there and ({'a.b': (1,)},) here"),
        (changed('selection', name='nested'), "selection.name is 'last' there and 'nested' here"),
        (CONFIG | {'seeds': (0,)}, 'seeds is [0, 1] there and (0,) here'),
        (changed('training', epochs=61), 'training.epochs is 60 there and 61 here'),
    ],
)
def test_another_config_is_refused_by_the_field_that_differs(folder, config, difference):
    before = (folder / 'config.json').read_text()
    message = refusal(folder, config)
    assert [line for line in message.splitlines() if line.startswith('  ')] == [f'  {difference}']
    assert (folder / 'config.json').read_text() == before
    claim(folder)  # the refusal lets go of the folder


def test_fields_of_an_encoding_decide_where_it_reads_them(folder):
    """The run of CONFIG is of a version that had none of them."""
    claim(folder, changed('input', encoding='minmax', percentile=90.0, clip=3.0))
    claim(folder, changed('input', encoding='minmax', percentile=95.0, clip=4.0))
    robust = changed('input', encoding='robust', percentile=95.0, clip=3.0)
    lines = [line for line in refusal(folder, robust).splitlines() if line.startswith('  ')]
    assert lines == [
        '  input.clip is 4.0 there and 3.0 here',
        "  input.encoding is 'minmax' there and 'robust' here",
    ]


def test_all_fields_that_differ_are_listed(folder):
    config = changed('model', name='other', variant='code') | {'seeds': (9,)}
    listed = [line.split()[0] for line in refusal(folder, config).splitlines() if line.startswith('  ')]
    assert listed == ['model.name', 'model.variant', 'seeds']


@pytest.mark.parametrize('place', ['file', 'file/run'])
def test_a_file_in_the_way_is_refused(tmp_path, place):
    (tmp_path / 'file').write_text('mine')
    message = refusal(tmp_path / place)
    assert f'cannot write to the workdir {tmp_path / place}' in message
    assert '--workdir' in message
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.parametrize('name', ['trials.csv', 'predictions.csv', 'results.json', 'waves', 'checkpoints'])
def test_results_without_a_config_are_nobody_s(tmp_path, name):
    (tmp_path / name).touch() if '.' in name else (tmp_path / name).mkdir()
    assert f'{tmp_path} holds {name} but no config.json' in refusal(tmp_path)
    assert not (tmp_path / 'config.json').exists()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'{"data": ',
        b'\xff\xfe',
        b'[]',
        b'null',
    ],
)
def test_a_corrupt_config_is_refused_and_kept(folder, content):
    (folder / 'config.json').write_bytes(content)
    assert f'{folder / "config.json"} is not' in refusal(folder)
    assert (folder / 'config.json').read_bytes() == content


HOLDER = """
import sys
from dualatme_jax.run import workdir
with workdir.claim(sys.argv[1], dict.fromkeys(workdir.DECISIVE)):
    print('held', flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    config = dict.fromkeys(workdir.DECISIVE)
    process = subprocess.Popen(
        [sys.executable, '-c', HOLDER, str(tmp_path)],
        cwd=pathlib.Path(workdir.__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b'held\n'
        assert f'another process is running in {tmp_path}' in refusal(tmp_path, config)
        # Another run's config is not what is wrong, even if it differs.
        assert 'another process' in refusal(tmp_path)
    finally:
        process.kill()
        process.communicate()
    claim(tmp_path, config)


def test_the_folder_is_let_go_when_the_run_fails(tmp_path):
    with pytest.raises(RuntimeError, match='boom'), workdir.claim(tmp_path, CONFIG):
        raise RuntimeError('boom')
    claim(tmp_path)


def test_the_lock_empties_nothing(tmp_path):
    (tmp_path / '.lock').write_text('mine')
    claim(tmp_path)
    assert (tmp_path / '.lock').read_text() == 'mine'


def link(path):
    target = path.parent.parent / 'mine'
    target.write_text('mine')
    path.symlink_to(target)


def link_to_folder(path):
    target = path.parent.parent / 'ours'
    (target / 'wave_000').mkdir(parents=True)
    path.symlink_to(target)


def link_to_nothing(path):
    path.symlink_to('nowhere')


NAMES = ('.lock', 'config.json', 'trials.csv', 'predictions.csv', 'results.json', 'waves', 'checkpoints')


@pytest.mark.parametrize('name', [*NAMES, 'tensorboard', 'network', 'pictures'])
@pytest.mark.parametrize('make', [link, link_to_folder, link_to_nothing, os.mkfifo, 'another kind'])
def test_a_link_or_a_pipe_in_place_of_what_a_run_keeps_is_refused_and_left(tmp_path, name, make):
    folder = tmp_path / 'run'
    claim(folder)
    (folder / name).unlink(missing_ok=True)
    if make == 'another kind':
        make = os.mkdir if '.' in name else pathlib.Path.touch
    make(folder / name)
    before = sorted(tmp_path.rglob('*'))
    assert f'{folder / name} is a' in refusal(folder)
    assert sorted(tmp_path.rglob('*')) == before
    assert not (tmp_path / 'mine').exists() or (tmp_path / 'mine').read_text() == 'mine'


@pytest.mark.parametrize(
    'place', ['waves/wave_000', 'checkpoints/wave_000/2/states', 'tensorboard/wave_000/x', 'network/weights']
)
def test_a_link_deep_in_a_folder_of_the_run_is_refused(folder, tmp_path, place):
    (tmp_path / 'elsewhere').mkdir()
    (folder / place).parent.mkdir(parents=True)
    (folder / place).symlink_to(tmp_path / 'elsewhere')
    assert f'{folder / place} is a link' in refusal(folder)


def test_a_workdir_may_be_a_link_itself_and_hold_links_of_its_owner(tmp_path):
    (tmp_path / 'scratch').mkdir()
    (tmp_path / 'run').symlink_to(tmp_path / 'scratch')
    (tmp_path / 'scratch' / 'paper').symlink_to('/nowhere')
    assert claim(tmp_path / 'run') == tmp_path / 'run'
    assert (tmp_path / 'scratch' / 'config.json').exists()


@pytest.mark.parametrize('path', ['~nosuchuser/run', 'a' * 300, 'a\0b'])
def test_a_path_that_cannot_be_is_refused(path):
    assert f'--workdir {path[:20]}'.split('\0')[0] in refusal(path)


def test_a_system_of_a_leaderboard_that_is_absent_once_is_kept_in_mind(tmp_path):
    def board(stages=(), **systems):
        return CONFIG | {'dataset': {'clips': 442, 'systems': systems}, 'stages': dict(stages)}

    claim(tmp_path, board(one='ab', two='cd', stages={'two': 'maps 1'}))
    (tmp_path / 'trials.csv').touch()
    claim(tmp_path, board(one='ab'))
    claim(tmp_path, board(one='ab', three='ef'))
    kept = json.loads((tmp_path / 'config.json').read_text())
    assert kept['dataset']['systems'] == {'one': 'ab', 'two': 'cd', 'three': 'ef'}
    assert kept['stages'] == {'two': 'maps 1'}
    assert 'dataset.systems.two' in refusal(tmp_path, board(one='ab', two='other'))
    assert 'stages.two' in refusal(tmp_path, board(one='ab', stages={'two': 'maps 2'}))
