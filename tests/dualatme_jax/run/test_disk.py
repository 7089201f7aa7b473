"""What a run will keep on the disk, in words."""

import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.run import disk


@pytest.mark.parametrize(
    ('weights', 'checkpoint', 'says'),
    [
        (2**20, 2**30, '1 MiB of weights and 2 GiB of checkpoints'),
        (2**20, 0, '1 MiB of weights'),
        (0, 2**20, '2 MiB of checkpoints'),
        (0, 0, ''),
    ],
)
def test_only_what_takes_room_is_told(tmp_path, monkeypatch, weights, checkpoint, says):
    monkeypatch.setattr(disk, 'CHECKPOINTS_AT_ONCE', 2)
    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda folder: Free(2**40))
    sizes = {'weights': weights, 'checkpoint': checkpoint, 'reused': tmp_path}
    assert disk.check(tmp_path, **sizes) == says
    if says:
        monkeypatch.setattr(disk.shutil, 'disk_usage', lambda folder: Free(2**10))
        with pytest.raises(InputError, match=f': {says}; keep no weights'):
            disk.check(tmp_path, **sizes)


class Free:
    """What `disk_usage` finds."""

    def __init__(self, free):
        self.free = free
