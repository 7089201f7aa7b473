import dataclasses
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep.dataset import writer
from data_prep.dataset.example import Example
from data_prep.files import images
from data_prep.views import flow as flow_view
from data_prep.views.apex import ApexView
from data_prep.views.frames import FramesView
from dualatme_jax import schema, scratch
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError

APEX = ApexView(face_size=32)
FRAMES = FramesView(frames=4, size=28)


def pixels(number, *shape):
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def example(number):
    faces = {
        schema.ONSET_FACE: images.encode_png(pixels(number, 32, 32, 3)),
        schema.APEX_FACE: images.encode_png(pixels(number + 1, 32, 32, 3)),
        schema.ONSET_FACE_GREY: images.encode_png(pixels(number, 32, 32)),
        schema.APEX_FACE_GREY: images.encode_png(pixels(number + 1, 32, 32)),
    }
    frames = [images.encode_png(pixels(number + n, 28, 28, 3)) for n in range(4)]
    return Example(
        views={
            'flow': {schema.FLOW: pixels(number, 28, 28, 3), schema.FLOW_PUZZLED: pixels(number, 28, 28, 3)},
            'raw': {
                schema.FLOW: pixels(number, 56, 56, 3).astype(np.float32) / 7,
                schema.FLOW_PUZZLED: np.zeros((56, 56, 3), np.float32),
            },
            'apex': faces,
            'frames': {
                schema.FACE_FRAMES: frames,
                schema.CROP_FRAMES: frames[::-1],
                schema.FRAME_NUMBERS: np.arange(4, dtype=np.int32) + number,
            },
        },
        label='happy',
        database='casme3',
        subject='spNO.1',
        clip=f'{number}',
        apex=3,
        apex_choice='spotted',
    )


VIEWS = {
    'flow': writer.ViewFormat(features=flow_view.features(), recipe={'own': 1}),
    'raw': writer.ViewFormat(features=flow_view.features((56, 56), 'raw'), recipe={}),
    'apex': writer.ViewFormat(features=APEX.features(), recipe=APEX.recipe()),
    'frames': writer.ViewFormat(features=FRAMES.features(), recipe=FRAMES.recipe()),
}


def release(*views, number=3, **changes):
    return writer.Contents(
        name='tiny',
        description='d',
        citation='c',
        licence='l',
        labels=('sad', 'happy'),
        recipe={'release': 'tiny'},
        views={view: VIEWS[view] for view in views},
        examples=(example(n) for n in range(number)),
        size=number,
        **changes,
    )


def read(folder):
    return list(tfds.builder_from_directory(str(folder)).as_data_source(schema.SPLIT))


def test_every_view_is_a_dataset_of_its_own(tmp_path):
    writer.write(release(*VIEWS), tmp_path / 'out')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == sorted(VIEWS)
    flow, raw, apex, clip_frames = (read(tmp_path / 'out' / view) for view in VIEWS)
    for n in range(3):
        np.testing.assert_array_equal(flow[n][schema.FLOW], pixels(n, 28, 28, 3))
        np.testing.assert_array_equal(raw[n][schema.FLOW], pixels(n, 56, 56, 3).astype(np.float32) / 7)
        np.testing.assert_array_equal(apex[n][schema.APEX_FACE], pixels(n + 1, 32, 32, 3))
        np.testing.assert_array_equal(apex[n][schema.ONSET_FACE_GREY][..., 0], pixels(n, 32, 32))
        np.testing.assert_array_equal(clip_frames[n][schema.CROP_FRAMES][0], pixels(n + 3, 28, 28, 3))
        np.testing.assert_array_equal(clip_frames[n][schema.FRAME_NUMBERS], np.arange(4) + n)
        for view in (flow, raw, apex, clip_frames):
            assert view[n][schema.LABEL] == 1
            assert view[n][schema.CLIP] == str(n).encode()
            assert view[n][schema.APEX_CHOICE] == b'spotted'
    info = tfds.builder_from_directory(str(tmp_path / 'out/flow')).info
    assert info.full_name == f'tiny/flow/{writer.VERSION}'
    assert info.metadata == {'release': 'tiny', 'own': 1}
    assert info.features[schema.LABEL].names == ['sad', 'happy']
    assert (
        'pixels' in tfds.builder_from_directory(str(tmp_path / 'out/raw')).info.features[schema.FLOW].doc.desc
    )


def test_one_view_is_the_folder_itself(tmp_path):
    writer.write(release('apex'), tmp_path / 'out')
    assert len(read(tmp_path / 'out')) == 3


def test_a_large_dataset_is_cut_into_files(tmp_path, monkeypatch):
    writer.write(release('apex', number=6), tmp_path / 'whole')
    size = sum(len(value) for value in example(0).views['apex'].values())
    monkeypatch.setattr(writer, 'SHARD_BYTES', int(2.5 * size))
    writer.write(release('apex', number=6), tmp_path / 'cut')
    files = sorted(path.name for path in (tmp_path / 'cut').glob('*array_record*'))
    assert files == [f'tiny-clips.array_record-0000{n}-of-00003' for n in range(3)]
    for whole, cut in zip(read(tmp_path / 'whole'), read(tmp_path / 'cut'), strict=True):
        np.testing.assert_array_equal(whole[schema.APEX_FACE], cut[schema.APEX_FACE])


def test_examples_are_written_as_they_come(tmp_path):
    """No example waits for the last one: each is written when the next one is asked for."""
    alive = []

    class Counted(dict):
        def __init__(self, *args):
            super().__init__(*args)
            alive.append(1)

        def __del__(self):
            alive.pop()

    most = []

    def examples():
        for n in range(20):
            yield dataclasses.replace(example(n), views=Counted(example(n).views))
            most.append(len(alive))

    writer.write(dataclasses.replace(release('apex'), examples=examples()), tmp_path / 'out')
    assert len(read(tmp_path / 'out')) == 20
    assert max(most) <= 2


def test_the_recipe_is_read_last(tmp_path):
    tiny = release('flow')

    def examples():
        yield example(0)
        tiny.recipe['skipped'] = ['a clip']

    writer.write(dataclasses.replace(tiny, examples=examples()), tmp_path / 'out')
    assert tfds.builder_from_directory(str(tmp_path / 'out')).info.metadata['skipped'] == ['a clip']


@pytest.mark.parametrize('views', [('flow',), ('flow', 'apex')])
def test_a_dataset_is_replaced_only_on_demand(tmp_path, views):
    writer.write(release('apex', 'flow'), tmp_path / 'out')
    with pytest.raises(InputError, match='--overwrite'):
        writer.write(release(*views), tmp_path / 'out')
    writer.write(release(*views, number=2), tmp_path / 'out', overwrite=True)
    flow = tmp_path / 'out' if len(views) == 1 else tmp_path / 'out/flow'
    assert len(read(flow)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ['out']


@pytest.mark.parametrize('place', ['notes.txt', 'flow/notes.txt', 'mine/notes.txt'])
def test_somebodys_own_files_are_not_replaced(tmp_path, place):
    writer.write(release('apex', 'flow'), tmp_path / 'out')
    own = tmp_path / 'out' / place
    own.parent.mkdir(exist_ok=True)
    own.write_text('mine')
    with pytest.raises(InputError, match='holds other files, such as'):
        writer.write(release('flow'), tmp_path / 'out', overwrite=True)
    assert own.read_text() == 'mine'


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import dataclasses
import test_writer
from data_prep.dataset import writer

def examples():
    yield test_writer.example(0)
    os.kill(os.getpid(), signal.{signal})
    yield test_writer.example(1)

tiny = dataclasses.replace(test_writer.release('flow', 'apex'), examples=examples())
writer.write(tiny, {out!r}, overwrite=True)
"""


@pytest.mark.parametrize('name', ['SIGKILL', 'SIGINT'])
@pytest.mark.slow
def test_a_build_that_is_killed_leaves_what_was_there(tmp_path, name):
    out = tmp_path / 'out'
    writer.write(release('flow'), out)
    code = KILLED.format(tests=os.path.dirname(__file__), signal=name, out=str(out))  # noqa: PTH120
    ended = subprocess.run([sys.executable, '-c', code], check=False, capture_output=True)
    assert ended.returncode in (-signal.Signals[name], 1)
    assert len(read(out)) == 3
    writer.write(release('flow', number=1), out, overwrite=True)
    assert len(read(out)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ['out']  # nor does it leave rubbish for ever


def test_a_build_that_was_killed_between_its_two_renames_is_undone(tmp_path):
    out = tmp_path / 'out'
    writer.write(release('flow'), out)
    left = tmp_path / '.out.building'
    left.mkdir()
    out.rename(left / 'old')

    def failing():
        yield example(0)
        raise InputError('bad clip')

    with pytest.raises(InputError, match='bad clip'):
        writer.write(dataclasses.replace(release('flow'), examples=failing()), out)
    assert len(read(out)) == 3


def test_two_builds_of_one_dataset_do_not_mix(tmp_path):
    def examples():
        yield example(0)
        with pytest.raises(InputError, match='another process is writing'):
            writer.write(release('flow'), tmp_path / 'out')

    writer.write(dataclasses.replace(release('flow'), examples=examples()), tmp_path / 'out')
    assert len(read(tmp_path / 'out')) == 1


def test_a_build_that_locks_a_folder_which_its_holder_deletes_begins_again(tmp_path, monkeypatch):
    """The holder ends between this build's opening of the scratch folder and its lock."""
    real, deleted = scratch.fcntl.flock, []

    def flock(handle, how):
        if not deleted:
            deleted.append((tmp_path / '.out.building').rmdir())
        elif len(deleted) == 1:  # now a third build has made it anew
            (tmp_path / '.out.building').rmdir()
            deleted.append((tmp_path / '.out.building').mkdir())
        real(handle, how)

    monkeypatch.setattr(scratch.fcntl, 'flock', flock)

    def examples():
        yield example(0)
        with pytest.raises(InputError, match='another process is writing'):
            writer.write(release('flow'), tmp_path / 'out')

    writer.write(dataclasses.replace(release('flow'), examples=examples()), tmp_path / 'out')
    assert len(deleted) == 2
    assert len(read(tmp_path / 'out')) == 1


@pytest.mark.parametrize(
    ('name', 'match'),
    [
        ('x' * 250, 'File name too long'),  # with what is put around it, over 255
        (os.fsdecode(b'caf\xe9'), 'not UTF-8'),
        ('~nosuchuser/out', 'home folder'),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_work(tmp_path, monkeypatch, name, match):
    monkeypatch.chdir(tmp_path)

    def examples():
        pytest.fail('work was done')
        yield

    with pytest.raises(InputError, match=match):
        writer.write(dataclasses.replace(release('flow'), examples=examples()), name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'subject': ' \r'}, "the subject ' .r' is empty: rename it in the release"),
        ({'database': 'full'}, 'for something else'),
        ({'clip': 'a\x07'}, 'cannot be printed'),
    ],
)
def test_names_that_no_report_could_hold_are_refused(tmp_path, changes, match):
    bad = dataclasses.replace(example(0), **changes)
    with pytest.raises(InputError, match=match):
        writer.write(dataclasses.replace(release('flow'), examples=[bad]), tmp_path / 'out')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'labels', [('happy', 'Happy'), ('happy', '7'), tuple(f'happy{n}' for n in range(21))]
)
def test_classes_that_no_report_could_hold_are_refused(tmp_path, labels):
    with pytest.raises(InputError, match=r'tiny: .*class'):
        writer.write(dataclasses.replace(release('flow'), labels=labels), tmp_path / 'out')


def test_the_metadata_of_files_whose_names_are_no_text_can_be_read(tmp_path):
    made = dataclasses.replace(release('flow'), recipe={'sheet': os.fsdecode(b'caf\xe9.csv')})
    writer.write(made, tmp_path / 'out')
    assert dataset.load(tmp_path / 'out').metadata['sheet'] == 'caf?.csv'


def test_a_mount_point_is_refused():
    with pytest.raises(InputError, match='mount point'):
        writer.check_free(pathlib.Path('/proc'), True)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(pathlib.Path, 'iterdir', denied)  # root may read whatever its mode
    with pytest.raises(InputError, match='Permission denied'):
        writer.check_free(tmp_path, False)
