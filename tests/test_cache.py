import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import cache as cache_module
from data_prep.cache import Cache


@pytest.fixture
def calls():
    return []


def computing(calls, value):
    def compute():
        calls.append(value)
        return {'a': np.full(3, value, np.float32), 'b': np.array(['x'])}

    return compute


def test_a_result_is_computed_once(tmp_path, calls):
    for cache in (Cache(tmp_path / 'new folder'), Cache(tmp_path / 'new folder')):  # another process's too
        found = cache.arrays('flow', {'n': 1}, computing(calls, 7))
        np.testing.assert_array_equal(found['a'], np.full(3, 7, np.float32))
        assert found['b'].tolist() == ['x']
    assert calls == [7]


@pytest.mark.parametrize(
    ('kind', 'key'), [('flow', {'n': 2}), ('flow', {'n': 1, 'm': None}), ('landmarks', {'n': 1})]
)
def test_another_key_is_another_result(tmp_path, calls, kind, key):
    cache = Cache(tmp_path)
    cache.arrays('flow', {'n': 1}, computing(calls, 1))
    assert cache.arrays(kind, key, computing(calls, 2))['a'][0] == 2


def test_the_order_of_a_key_does_not_matter(tmp_path, calls):
    cache = Cache(tmp_path)
    cache.arrays('flow', {'a': 1, 'b': [2.5]}, computing(calls, 1))
    cache.arrays('flow', {'b': [2.5], 'a': 1}, computing(calls, 2))
    assert calls == [1]


@pytest.mark.parametrize('damage', [lambda data: b'', lambda data: data[:50], lambda data: b'x' + data[1:]])
def test_a_damaged_file_is_computed_anew(tmp_path, calls, damage):
    cache = Cache(tmp_path)
    cache.arrays('flow', {'n': 1}, computing(calls, 1))
    (file,) = tmp_path.rglob('*.npz')
    file.write_bytes(damage(file.read_bytes()))
    cache.arrays('flow', {'n': 1}, computing(calls, 2))
    assert cache.arrays('flow', {'n': 1}, computing(calls, 3))['a'][0] == 2


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_no_damage_changes_a_result_or_is_an_error(tmp_path_factory, data):
    arrays = {'a': np.arange(6, dtype=np.int16).reshape(2, 3), 'b': np.array(['x'])}
    folder = tmp_path_factory.mktemp('cache')
    Cache(folder).arrays('flow', {}, lambda: arrays)
    (file,) = folder.rglob('*.npz')
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    new = data.draw(st.binary(max_size=8))
    content[start : start + data.draw(st.integers(0, 8))] = new
    file.write_bytes(content)
    for _ in range(2):
        found = Cache(folder).arrays('flow', {}, lambda: arrays)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ('owner', 'name', 'value'), [(cache_module, 'VERSION', 0), (cv2, '__version__', '3.0.0')]
)
def test_another_version_computes_anew(tmp_path, calls, monkeypatch, owner, name, value):
    Cache(tmp_path).arrays('flow', {}, computing(calls, 1))
    monkeypatch.setattr(owner, name, value)
    assert Cache(tmp_path).arrays('flow', {}, computing(calls, 2))['a'][0] == 2


def test_nothing_is_kept_of_a_failure(tmp_path):
    cache = Cache(tmp_path)
    with pytest.raises(ZeroDivisionError):
        cache.arrays('flow', {}, lambda: {'a': np.array(1 / 0)})
    assert not list(tmp_path.rglob('*.npz'))


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path, calls):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        Cache(tmp_path / 'file').arrays('flow', {}, computing(calls, 1))
