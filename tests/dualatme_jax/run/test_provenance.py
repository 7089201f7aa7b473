import json
import subprocess

import pytest

from configs import cd, ststnet
from dualatme_jax.report import record
from dualatme_jax.run import provenance


def test_each_command_adds_what_is_known_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr('sys.orig_argv', ['/usr/bin/python', '-m', 'x', '--a=b c'])
    config = cd.get_config()
    config.training.epochs = 3
    provenance.add(tmp_path, config)
    provenance.add(tmp_path, config)
    first, second = record.Record(tmp_path).provenance
    assert first['command'] == second['command'] == "python -m x '--a=b c'"
    assert first['default'] == 'configs/cd.py'
    assert first['changed'] == {'training.epochs': [60, 3]}
    assert first['versions']['jax']
    assert first['device'].startswith('4 x ')


@pytest.mark.parametrize('content', ['{"commands": [', '{"commands": 5}'])
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    (tmp_path / 'provenance.json').write_text(content)
    provenance.add(tmp_path, cd.get_config())
    assert len(json.loads((tmp_path / 'provenance.json').read_text())['commands']) == 1


def test_a_config_is_compared_with_that_of_its_system():
    assert provenance.difference(ststnet.get_config()) == ('configs/ststnet.py', {})


@pytest.mark.parametrize(('change', 'mark'), [('', ''), ('changed', '-dirty')])
def test_the_commit_says_whether_files_differ_from_it(tmp_path, change, mark):
    def git(*words):
        command = ['git', '-C', str(tmp_path), '-c', 'user.name=a', '-c', 'user.email=a@b', *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git('init', '-q')
    (tmp_path / 'a').write_text('a')
    git('add', 'a')
    git('commit', '-qm', 'a')
    (tmp_path / 'a').write_text(f'a{change}')
    assert provenance.commit(tmp_path) == git('rev-parse', 'HEAD') + mark


def test_a_folder_in_no_checkout_has_no_commit(tmp_path):
    assert provenance.commit(tmp_path) == ''
