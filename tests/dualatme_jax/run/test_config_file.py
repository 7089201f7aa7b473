"""Config files: found from any folder, loaded or refused by name, and explained field by field."""

import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.run import config_file, fields

CD = config_file.ROOT / 'configs' / 'cd.py'


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setattr(sys, 'path', list(sys.path))
    monkeypatch.setattr(sys, 'argv', ['main'])


def test_configs_are_found_from_any_folder_and_by_whole_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert config_file.load('configs/ststnet.py').model.name == 'ststnet'
    whole = config_file.ROOT / 'configs' / 'ststnet.py'
    assert config_file.load(f'{whole}:synthetic').data.build_synthetic


def test_a_config_of_one_s_own_may_be_made_from_ours_wherever_it_lies(monkeypatch, tmp_path):
    own = tmp_path / 'configs' / 'mine.py'
    own.parent.mkdir()
    own.write_text(
        'from configs import ststnet\n'
        'def get_config(epochs="3"):\n'
        '    config = ststnet.get_config()\n'
        '    config.training.epochs = int(epochs)  # as few as do\n'
        '    return config\n'
    )
    monkeypatch.chdir(tmp_path)
    config = config_file.load('configs/mine.py:7')
    assert (config.model.name, config.training.epochs) == ('ststnet', 7)
    lines = config_file.described('configs/mine.py:7', config).splitlines()
    assert lines[lines.index('config.training.epochs = 7') + 1] == '    as few as do'
    # The grandparent says what the parent does not.
    assert lines[lines.index("config.optimizer.name = 'adam'") + 1] == "    'adam', 'sgd' or 'rmsprop'"


def test_the_current_folder_comes_first(monkeypatch, tmp_path):
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs' / 'cd.py').write_text(CD.read_text().replace('epochs = 60', 'epochs = 61'))
    monkeypatch.chdir(tmp_path)
    assert config_file.load('configs/cd.py').training.epochs == 61


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('def get_config(:\n', 'line 1: SyntaxError'),
        ('\n\nimport no_such_module\n', "line 3: ModuleNotFoundError: No module named 'no_such_module'"),
        ('def get_config():\n    return 1 / 0\n', 'line 2: ZeroDivisionError'),
        ('def get_config():\n    return get_config()\n', 'line 2: RecursionError'),
        ('raise SystemExit(5)\n', 'line 1: SystemExit: 5'),
        ('x = 3\n', "AttributeError: module .* has no attribute 'get_config'"),
        ('get_config = 3\n', "TypeError: 'int' object is not callable"),
        ('def get_config():\n    return {"a": 1}\n', r"returns \{'a': 1\}; expected a ConfigDict"),
        ('def get_config(a, b):\n    return 1\n', 'TypeError: get_config.* missing 2 required'),
        ('\x7fELF\0\0', 'expected a Python file whose get_config'),
        ('', "has no attribute 'get_config'"),
    ],
)
def test_a_file_that_is_no_config_is_named_with_the_line(tmp_path, text, says):
    path = tmp_path / 'odd.py'
    path.write_text(text)
    with pytest.raises(InputError, match=says) as error:
        config_file.load(str(path))
    assert str(path) in str(error.value)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode('utf-8', 'replace'))
)
def test_whatever_a_file_holds_it_is_refused_by_a_sentence(content, tmp_path_factory):
    path = tmp_path_factory.mktemp('odd') / 'odd.py'
    path.write_bytes(content)
    with pytest.raises(InputError):
        config_file.load(str(path))


def test_a_missing_file_lists_those_there_are(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for name in ('configs/nowhere.py', str(tmp_path), str(tmp_path / 'pipe'), '', '/dev/zero'):
        with pytest.raises(InputError) as error:
            config_file.load(name)
        text = str(error.value)
        assert f'--config={name}' in text
        assert 'configs/cd.py                Dual-ATME on MEGC2019-CD: 442 clips' in text
        assert all(f'configs/{path.name}' in text for path in CD.parent.glob('*.py'))


@pytest.mark.parametrize(
    ('name', 'says'),
    [
        ('~no-such-user/x.py', "the home folder of '~no-such-user' is not known"),
        ('a' * 5000, 'the path is too long'),
        ('configs/cd.py\0', 'zero byte'),
        ('configs/\udcff.py', 'not UTF-8'),
    ],
)
def test_a_path_that_no_file_can_have_is_refused(name, says):
    with pytest.raises(InputError, match=says):
        config_file.load(name)


def test_a_file_too_large_to_be_a_config_is_not_read(tmp_path):
    path = tmp_path / 'large.py'
    with path.open('w') as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r'expected 1\.0 MiB at most'):
        config_file.load(str(path))


def test_every_field_of_the_home_config_is_explained():
    assert config_file.comments(CD).keys() == fields.FIELDS.keys()


@pytest.mark.parametrize(
    ('flag', 'says'),
    [
        ('--config.lr=1', r'--config\.lr: .* did you mean --config\.optimizer\.learning_rate\?'),
        ('-config.learning_rate', r'did you mean --config\.optimizer\.learning_rate\?'),
        (
            '--config.optimizer=adam',
            r'is a section, not a field; did you mean --config\.optimizer\.name=adam\?',
        ),
        ('--config.input=robust', r'input is a section, .* mean --config\.input\.encoding=robust\?; it has'),
        ('--config.optimizer=lion', r'is a section, not a field; did you mean --config\.optimizer\.name\?'),
        ('--config.optimizer={}', r'is a section, .* it has optimizer\.beta1, optimizer\.beta2, '),
        ('--noconfig.training.shufle', r'did you mean --config\.training\.shuffle\?'),
        ('--config.xyz=1', 'the config has no such field; list them by --fields'),
        ('--config.=1', 'the config has no such field'),
    ],
)
def test_a_flag_of_no_field_says_which_was_meant(monkeypatch, flag, says):
    monkeypatch.setattr(sys, 'argv', ['main', '--config=configs/cd.py', '--config.training.epochs=3', flag])
    with pytest.raises(InputError, match=says):
        config_file.Parser('config').parse('configs/cd.py')


def test_the_parser_s_config_is_locked():
    config = config_file.Parser('config').parse('configs/cd.py')
    with pytest.raises((AttributeError, KeyError)):
        config.optimizer.lr = 3


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('cd', 'configs/cd.py'),
        ('configs/cd', 'configs/cd.py'),
        ('ststnet', 'configs/ststnet.py'),
        ('configs/STSTNet.yaml', 'configs/ststnet.py'),
        ('configs/ststnt.py', 'configs/ststnet.py'),
        ('mine', 'mine.py'),
    ],
)
def test_the_config_that_was_meant_stands_before_the_list(monkeypatch, tmp_path, name, meant):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').touch()
    with pytest.raises(InputError) as error:
        config_file.load(name)
    first, second, *listed = str(error.value).splitlines()
    assert first == f'--config={name}: there is no such file; did you mean {meant}?'
    assert second == 'expected a file of your own, or one of'
    assert listed


def test_of_a_name_like_no_config_s_nothing_is_meant():
    with pytest.raises(InputError, match='there is no such file; expected a file of your own'):
        config_file.load('zzzzzz')


def test_a_wrong_argument_ends_with_what_was_expected_of_it():
    with pytest.raises(InputError, match=r"is 'synthetc'; expected 'synthetic' or none$"):
        config_file.load('configs/cd.py:synthetc')


@pytest.mark.parametrize('model', sorted(models.SYSTEMS))
def test_the_config_of_a_system_trains_it(model):
    assert config_file.of_system(models.SYSTEMS[model].config).model.name == model


def test_a_system_may_have_no_config_or_one_that_is_not_there():
    assert config_file.of_system('') is None
    assert config_file.of_system('configs/own.py') is None
