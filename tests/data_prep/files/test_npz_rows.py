import zipfile

import numpy as np
import pytest

from data_prep.files import npz_rows
from dualatme_jax.errors import InputError

ROWS = np.arange(42, dtype=np.float32).reshape(7, 3, 2)


@pytest.fixture
def path(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.npz', 'w', zipfile.ZIP_DEFLATED) as file:
        npz_rows.write(file, 'numbers', [np.arange(7)], 7)
        npz_rows.write(file, 'points', [ROWS[:2], ROWS[2:3], ROWS[3:]], 7)
    return tmp_path / 'a.npz'


def test_rows_are_those_of_numpy(path, tmp_path):
    with np.load(path) as found:
        np.testing.assert_array_equal(found['points'], ROWS)
        np.testing.assert_array_equal(found['numbers'], range(7))
    np.testing.assert_array_equal(list(npz_rows.read(path, 'points')), ROWS)
    np.savez_compressed(tmp_path / 'b.npz', points=ROWS)
    np.testing.assert_array_equal(list(npz_rows.read(tmp_path / 'b.npz', 'points')), ROWS)


def test_what_is_damaged_is_named(path, tmp_path):
    with pytest.raises(InputError, match=r'a\.npz: other cannot be read'):
        next(npz_rows.read(path, 'other'))
    content = path.read_bytes()
    for place in (6, 8):  # from an entry of the list of files to the version it needs, and what it is
        damaged = bytearray(content)
        damaged[damaged.rfind(b'PK\x01\x02') + place] = 0xFF
        path.write_bytes(damaged)
        with pytest.raises(InputError, match='points cannot be read'):
            list(npz_rows.read(path, 'points'))
    path.write_bytes(content[:200])
    with pytest.raises(InputError, match='points cannot be read'):
        list(npz_rows.read(path, 'points'))
    np.savez(tmp_path / 'c.npz', points=np.array([{}, 'an object'], object))
    with pytest.raises(InputError, match='points cannot be read'):
        list(npz_rows.read(tmp_path / 'c.npz', 'points'))
