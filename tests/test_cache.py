import numpy as np
import pytest

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


def test_nothing_is_kept_of_a_failure(tmp_path):
    cache = Cache(tmp_path)
    with pytest.raises(ZeroDivisionError):
        cache.arrays('flow', {}, lambda: {'a': np.array(1 / 0)})
    assert not list(tmp_path.rglob('*.npz'))


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path, calls):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        Cache(tmp_path / 'file').arrays('flow', {}, computing(calls, 1))
