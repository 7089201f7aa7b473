import hashlib
import io
import os
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.files import cache as cache_module
from data_prep.files.cache import Cache, Form

FORMS = {'a': Form((3,), np.float32), 'b': Form((), np.int64, 0, 9)}


@pytest.fixture
def calls():
    return []


def computing(calls, value):
    def compute():
        calls.append(value)
        return {'a': np.full(3, value, np.float32), 'b': np.array(5)}

    return compute


def test_a_result_is_computed_once(tmp_path, calls):
    for cache in (Cache(tmp_path / 'new folder'), Cache(tmp_path / 'new folder')):  # another process's too
        found = cache.arrays('flow', {'n': 1}, computing(calls, 7), FORMS)
        np.testing.assert_array_equal(found['a'], np.full(3, 7, np.float32))
        assert found['b'] == 5
    assert calls == [7]


@pytest.mark.parametrize(
    ('kind', 'key'), [('flow', {'n': 2}), ('flow', {'n': 1, 'm': None}), ('landmarks', {'n': 1})]
)
def test_another_key_is_another_result(tmp_path, calls, kind, key):
    cache = Cache(tmp_path)
    cache.arrays('flow', {'n': 1}, computing(calls, 1), FORMS)
    assert cache.arrays(kind, key, computing(calls, 2), FORMS)['a'][0] == 2


def test_the_order_of_a_key_does_not_matter(tmp_path, calls):
    cache = Cache(tmp_path)
    cache.arrays('flow', {'a': 1, 'b': [2.5]}, computing(calls, 1), FORMS)
    cache.arrays('flow', {'b': [2.5], 'a': 1}, computing(calls, 2), FORMS)
    assert calls == [1]


@pytest.mark.parametrize('damage', [lambda data: b'', lambda data: data[:50], lambda data: b'x' + data[1:]])
def test_a_damaged_file_is_computed_anew(tmp_path, calls, damage):
    cache = Cache(tmp_path)
    cache.arrays('flow', {'n': 1}, computing(calls, 1), FORMS)
    (file,) = tmp_path.rglob('*.npz')
    file.write_bytes(damage(file.read_bytes()))
    cache.arrays('flow', {'n': 1}, computing(calls, 2), FORMS)
    assert cache.arrays('flow', {'n': 1}, computing(calls, 3), FORMS)['a'][0] == 2


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
@pytest.mark.slow
def test_no_damage_changes_a_result_or_is_an_error(tmp_path_factory, data):
    arrays = {'a': np.arange(6, dtype=np.int16).reshape(2, 3), 'b': np.array([0.5])}
    forms = {'a': Form((2, 3), np.int16), 'b': Form((1,), np.float64)}
    folder = tmp_path_factory.mktemp('cache')
    Cache(folder).arrays('flow', {}, lambda: arrays, forms)
    (file,) = folder.rglob('*.npz')
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    new = data.draw(st.binary(max_size=8))
    content[start : start + data.draw(st.integers(0, 8))] = new
    file.write_bytes(content)
    for _ in range(2):
        found = Cache(folder).arrays('flow', {}, lambda: arrays, forms)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ('owner', 'name', 'value'), [(cache_module, 'VERSION', 0), (cv2, '__version__', '3.0.0')]
)
def test_another_version_computes_anew(tmp_path, calls, monkeypatch, owner, name, value):
    Cache(tmp_path).arrays('flow', {}, computing(calls, 1), FORMS)
    monkeypatch.setattr(owner, name, value)
    assert Cache(tmp_path).arrays('flow', {}, computing(calls, 2), FORMS)['a'][0] == 2


def test_nothing_is_kept_of_a_failure(tmp_path):
    cache = Cache(tmp_path)
    with pytest.raises(ZeroDivisionError):
        cache.arrays('flow', {}, lambda: {'a': np.array(1 / 0)}, FORMS)
    assert not list(tmp_path.rglob('*.npz'))


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path, calls):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        Cache(tmp_path / 'file').arrays('flow', {}, computing(calls, 1), FORMS)


def test_a_cache_without_a_folder_keeps_nothing(calls):
    for value in (1, 2):
        assert Cache(None).arrays('flow', {}, computing(calls, value), FORMS)['a'][0] == value
    assert calls == [1, 2]


GOOD = {'a': np.full(3, 1, np.float32), 'b': np.array(5)}


def npz(arrays, *, compressed=False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def zipped(members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def header(shape: str) -> bytes:
    """An .npy that has no values below its header."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text


OTHERS = {
    'nothing': b'',
    'no archive': b'PK is how it begins',
    'an array alone': header('(3,)') + bytes(12),
    'no arrays': npz({}),
    'a name too few': npz({'a': GOOD['a']}),
    'a name too many': npz(GOOD | {'c': GOOD['a']}),
    'another name': npz({'A': GOOD['a'], 'b': GOOD['b']}),
    'another shape': npz(GOOD | {'a': np.ones((3, 1), np.float32)}),
    'another length': npz(GOOD | {'a': np.ones(4, np.float32)}),
    'another type': npz(GOOD | {'a': np.ones(3)}),
    'another order of bytes': npz(GOOD | {'a': GOOD['a'].astype('>f4')}),
    'text': npz(GOOD | {'a': np.array(['x', 'y', 'z'])}),
    'objects': npz(GOOD | {'a': np.array([{}, None, 1], object)}),
    'NaN': npz(GOOD | {'a': np.array([1, np.nan, 1], np.float32)}),
    'infinity': npz(GOOD | {'a': np.array([1, -np.inf, 1], np.float32)}),
    'a value out of range': npz(GOOD | {'b': np.array(10)}),
    'no numbers': zipped({'a.npy': b'x', 'b.npy': b'y'}),
    'a huge shape': zipped({'a.npy': header(f'({10**12},)'), 'b.npy': b''}),
    'a wild header': zipped({'a.npy': header('__import__("os")'), 'b.npy': b''}),
    'a bomb': npz(GOOD | {'a': np.zeros(2**22, np.float32)}, compressed=True),
}


@pytest.mark.parametrize('content', OTHERS.values(), ids=OTHERS)
def test_other_content_with_a_valid_checksum_is_computed_anew(tmp_path, calls, content):
    cache = Cache(tmp_path)
    cache.arrays('flow', {}, computing(calls, 1), FORMS)
    (file,) = tmp_path.rglob('*.npz')
    file.write_bytes(content + hashlib.sha256(content).digest())
    assert cache.arrays('flow', {}, computing(calls, 2), FORMS)['a'][0] == 2
    assert cache.arrays('flow', {}, computing(calls, 3), FORMS)['a'][0] == 2  # and kept again


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_an_entry_holds_only_its_forms_come_back(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp('cache')
    Cache(folder).arrays('flow', {}, lambda: GOOD, FORMS)
    (file,) = folder.rglob('*.npz')
    content = bytearray(file.read_bytes()[:-32])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content) - 1))
        content[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    file.write_bytes(bytes(content) + hashlib.sha256(content).digest())
    found = Cache(folder).arrays('flow', {}, lambda: GOOD, FORMS)
    assert found.keys() == FORMS.keys()
    assert all(form.fits(found[name]) for name, form in FORMS.items())


def test_a_pipe_in_an_entry_s_place_does_not_hang(tmp_path, calls):
    Cache(tmp_path).arrays('flow', {}, computing(calls, 1), FORMS)
    (file,) = tmp_path.rglob('*.npz')
    file.unlink()
    os.mkfifo(file)
    assert Cache(tmp_path).arrays('flow', {}, computing(calls, 2), FORMS)['a'][0] == 2
    assert file.is_file()
