import errno
import signal
import subprocess
import sys

import pytest

from dualatme_jax import scratch
from dualatme_jax.errors import InputError


def test_the_folder_is_there_for_the_block_alone(tmp_path):
    with scratch.held(tmp_path / 'new' / 'out') as folder:
        assert folder == tmp_path / 'new' / '.out.building'
        (folder / 'file').touch()
    assert list((tmp_path / 'new').iterdir()) == []


def test_what_a_living_process_holds_is_not_cleared(tmp_path):
    with scratch.held(tmp_path / 'out') as folder:
        (folder / 'file').touch()
        with pytest.raises(InputError, match='another process is writing'), scratch.held(tmp_path / 'out'):
            pass
        assert (folder / 'file').exists()


def test_what_a_killed_process_left_is_there_once_more_and_then_goes(tmp_path):
    code = (
        'import os, pathlib, sys\n'
        'from dualatme_jax import scratch\n'
        'with scratch.held(pathlib.Path(sys.argv[1])) as folder:\n'
        "    (folder / 'made').mkdir()\n"
        '    os.kill(os.getpid(), 9)\n'
    )
    ended = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'out')], check=False)
    assert ended.returncode == -signal.SIGKILL
    with scratch.held(tmp_path / 'out') as folder:
        assert (folder / 'made').is_dir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('target', ['folder', 'file', 'nothing'])
def test_a_link_in_its_place_is_not_followed(tmp_path, target):
    other = tmp_path / 'other'
    (other / 'made').mkdir(parents=True)
    (other / 'file').touch()
    (tmp_path / '.out.building').symlink_to({'folder': other, 'file': other / 'file'}.get(target, 'nowhere'))
    with pytest.raises(InputError, match='is a link or a file'), scratch.held(tmp_path / 'out'):
        pass
    assert sorted(path.name for path in other.iterdir()) == ['file', 'made']


def test_a_new_folder_is_empty_whatever_a_killed_process_left(tmp_path):
    left = tmp_path / '.out.building'
    (left / 'made' / 'half').mkdir(parents=True)
    (left / 'tensors').mkdir()
    with scratch.new_folder(tmp_path / 'out') as folder:
        assert list(folder.iterdir()) == []
        assert list(folder.parent.iterdir()) == [folder]
        (folder / 'file').touch()
        assert not (tmp_path / 'out').exists()
    assert [path.name for path in tmp_path.rglob('*')] == ['out', 'file']


def test_a_new_folder_of_a_block_that_fails_goes(tmp_path):
    with pytest.raises(KeyError), scratch.new_folder(tmp_path / 'out'):
        raise KeyError
    with (
        pytest.raises(InputError, match=r'cannot write --out .*: No space left on device; make room'),
        scratch.new_folder(tmp_path / 'out'),
    ):
        raise OSError(errno.ENOSPC, 'No space left on device')
    assert list(tmp_path.iterdir()) == []
