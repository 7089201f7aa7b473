import pathlib

import numpy as np
import pytest

from dualatme_jax import predict
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.run import predicting, video


@pytest.fixture(scope='module')
def found():
    return predicting.load(predict.WEIGHTS)


def dataset(found, count):
    random = np.random.default_rng(0)
    return Dataset(
        inputs={'flow': random.integers(0, 256, (count, 28, 28, 3), np.uint8)},
        label=np.zeros(count, np.int32),
        database=np.array(['unknown'] * count),
        subject=np.array(['v'] * count),
        clip=np.array([str(number) for number in range(count)]),
        labels=found.labels,
        metadata={},
    )


@pytest.mark.slow
def test_every_network_gives_probabilities_and_a_clip_does_not_depend_on_the_others(found, console):
    five = dataset(found, 5)
    chances = predicting.probabilities(found, five, console)
    assert chances.shape == (found.size, 5, 3)
    np.testing.assert_allclose(chances.sum(-1), 1, rtol=1e-5)
    assert np.ptp(chances, axis=0).max() > 0
    alone = Dataset(
        **{name: getattr(five, name)[3:4] for name in ('label', 'database', 'subject', 'clip')},
        inputs={'flow': five.inputs['flow'][3:4]},
        labels=five.labels,
        metadata={},
    )
    np.testing.assert_allclose(
        predicting.probabilities(found, alone, console)[:, 0], chances[:, 3], rtol=1e-4
    )


@pytest.fixture
def console():
    from rich.console import Console

    return Console(quiet=True)


def test_clips_of_another_form_are_refused(found, console):
    small = dataset(found, 2)
    with pytest.raises(InputError, match=r'read flow of shape \[28, 28, 3\], uint8, and the clips have'):
        predicting.probabilities(
            found,
            Dataset(**{**vars(small), 'inputs': {'flow': small.inputs['flow'].astype(np.float32)}}),
            console,
        )


def test_what_cannot_be_answered_is_named_and_ends_with_status_2(capsys, tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty').mkdir()
    arguments = [str(tmp_path / name) for name in ('text.mp4', 'missing.mp4', 'empty')]
    status = predict.main([*arguments, '--out', str(tmp_path / 'out')])
    err = capsys.readouterr().err
    assert status == 2
    assert 'not a video' in err
    assert 'no such file' in err
    assert 'holds no frames' in err
    assert 'Traceback' not in err


def test_two_videos_of_one_name_are_refused(tmp_path):
    paths = [pathlib.Path('a/clip.mp4'), pathlib.Path('b/clip.avi')]
    with pytest.raises(InputError, match="several videos are called 'clip'"):
        predict._folders(paths, tmp_path)


def test_damaged_inputs_are_named(found, tmp_path):
    (tmp_path / video.INPUTS).write_bytes(b'PK nonsense')
    (tmp_path / video.RECIPE).write_text('{}')
    with pytest.raises(InputError, match='is not what the data stage writes'):
        video.clips(tmp_path, found)
