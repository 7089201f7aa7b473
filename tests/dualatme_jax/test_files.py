import os
import pathlib

import pytest

from dualatme_jax import files
from dualatme_jax.errors import InputError


def test_a_home_folder_is_put_in(monkeypatch):
    monkeypatch.setenv('HOME', '/some/home')
    assert files.expanded('~/data', '--out') == pathlib.Path('/some/home/data')
    assert files.expanded('data/~x', '--out') == pathlib.Path('data/~x')


def test_the_home_of_nobody_is_refused():
    with pytest.raises(InputError, match=r"--out ~nosuchuser/data: the home folder of '~nosuchuser'"):
        files.expanded('~nosuchuser/data', '--out')


@pytest.mark.parametrize(
    ('path', 'says'),
    [
        ('a' * 300, r'--out a{60}\.\.\.: the path is too long \(300 characters\)'),
        ('a/' * 3000, r'too long \(6000 characters\)'),
        ('a\0b', r'--out a\\x00b: a path cannot hold a zero byte'),
        ('a\udcffb', r'--out a\\udcffb: the path is not UTF-8'),
    ],
)
def test_a_path_that_no_file_can_have_is_refused(path, says):
    with pytest.raises(InputError, match=says):
        files.expanded(path, '--out')


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: path.symlink_to('/dev/zero')])
def test_only_regular_files_are_read(tmp_path, make):
    make(tmp_path / 'it')
    with pytest.raises(InputError, match=r'cannot read the sheet .*/it: it is a .*; expected a regular file'):
        files.read_bytes(tmp_path / 'it', limit=10, what='sheet')


@pytest.mark.parametrize('name', ['absent', 'zero\0byte', 'half\ud800', 'long' * 100])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r'cannot read the sheet .*; expected a file that exists'):
        files.read_bytes(tmp_path / name, limit=10, what='sheet')


def test_a_file_has_a_limit(tmp_path):
    (tmp_path / 'ten').write_bytes(b'0123456789')
    (tmp_path / 'link').symlink_to('ten')
    assert files.read_bytes(tmp_path / 'link', limit=10, what='sheet') == b'0123456789'
    with pytest.raises(InputError, match=r'the sheet .*ten has 0\.0 MiB; expected 0\.0 MiB at most'):
        files.read_bytes(tmp_path / 'ten', limit=9, what='sheet')


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'sub' / 'a').write_text('a')
    (tmp_path / 'b').write_text('b')
    files.write_checksums(tmp_path)
    return tmp_path


def test_a_sealed_folder_is_as_it_was_written(sealed):
    files.check_checksums(sealed, 'weights')
    files.write_checksums(sealed)  # once more
    files.check_checksums(sealed, 'weights')


@pytest.mark.parametrize(
    ('harm', 'says'),
    [
        (lambda folder: (folder / 'sub' / 'a').write_text('A'), 'sub/a is damaged'),
        (lambda folder: (folder / 'sub' / 'a').unlink(), 'sub/a is missing'),
        (lambda folder: (folder / 'sub' / 'new').write_text(''), 'sub/new is new'),
        (lambda folder: (folder / 'link').symlink_to('/etc'), 'link is new'),
        (lambda folder: (folder / files.CHECKSUMS).write_text('[1]'), 'checksums.json is damaged'),
        (lambda folder: (folder / files.CHECKSUMS).write_text('[' * 9999), 'checksums.json is damaged'),
        (lambda folder: (folder / files.CHECKSUMS).unlink(), 'cannot read the checksums of the weights'),
    ],
)
def test_harm_to_a_sealed_folder_is_told_by_name(sealed, harm, says):
    harm(sealed)
    with pytest.raises(InputError, match=says):
        files.check_checksums(sealed, 'weights')


def test_of_some_files_only_those_are_compared(sealed):
    name = next(
        path.name for path in sorted(sealed.iterdir()) if path.is_file() and path.name != files.CHECKSUMS
    )
    (sealed / 'new').touch()
    files.check_checksums(sealed, 'weights', only=[name])
    (sealed / name).unlink()
    for only, match in (([name], f'{name} is missing'), (['new'], 'new is damaged')):
        with pytest.raises(InputError, match=match):
            files.check_checksums(sealed, 'weights', only=only)


def test_of_a_sealed_folder_within_the_checksums_count(sealed, tmp_path):
    files.write_checksums(sealed / 'sub')
    files.write_checksums(sealed)
    (sealed / 'sub' / 'a').write_text('A')
    files.check_checksums(sealed, 'wave')  # says nothing of what is sealed by itself
    with pytest.raises(InputError, match='a is damaged'):
        files.check_checksums(sealed / 'sub', 'weights')
    files.write_checksums(sealed / 'sub')
    with pytest.raises(InputError, match=r'sub/checksums\.json is damaged'):
        files.check_checksums(sealed, 'wave')


def test_code_is_all_files_of_packages_whatever_they_are(tmp_path, monkeypatch):
    for name in ('written_one', 'written_other'):
        (tmp_path / name / '__pycache__').mkdir(parents=True)
        (tmp_path / name / '__init__.py').write_text('raise ImportError')
        (tmp_path / name / 'table.csv').write_text('1')
    monkeypatch.syspath_prepend(tmp_path)
    of = files.code.__wrapped__  # which remembers nothing
    before = of('written_one', 'written_other')
    assert len({before, of('written_one'), of('written_other')}) == 3
    (tmp_path / 'written_one' / '__pycache__' / 'a.pyc').write_bytes(b'1')
    assert of('written_one', 'written_other') == before
    (tmp_path / 'written_one' / 'table.csv').write_text('2')
    assert of('written_one', 'written_other') != before
