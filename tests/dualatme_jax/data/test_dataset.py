import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from configs import kernel_ridge_steps
from data_prep.dataset import writer
from data_prep.dataset.example import Example
from data_prep.files import images
from data_prep.views import flow as flow_view
from data_prep.views.apex import ApexView
from data_prep.views.frames import FramesView
from dualatme_jax import files, schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError
from dualatme_jax.run import experiment
from dualatme_jax.training import prepare

KEYS = (('samm', '6', 'b'), ('casme2', 'sub02', 'a'), ('casme2', 'sub01', 'z'), ('samm', '6', 'a'))


def example(database, subject, clip, number=0) -> Example:
    flow = np.random.default_rng(number).integers(0, 256, (2, *schema.FLOW_SHAPE), dtype=np.uint8)
    return Example(
        views={'flow': {schema.FLOW: flow[0], schema.FLOW_PUZZLED: flow[1]}},
        label=schema.LABELS[number % 3],
        database=database,
        subject=subject,
        clip=clip,
        onset=7,
    )


def release(*examples) -> writer.Contents:
    return writer.Contents(
        name='tiny',
        description='',
        citation='',
        licence='',
        recipe={'release': 'tiny', 'nested': {'n': 1}},
        views={'flow': writer.ViewFormat(features=flow_view.features(), recipe={})},
        examples=examples,
        size=len(examples),
    )


TINY = release(*(example(*key, number) for number, key in enumerate(KEYS)))
TWO = ('casme2', 'samm')


@pytest.fixture
def folder(tmp_path):
    """A dataset of two databases in a folder that may be damaged."""
    writer.write(TINY, tmp_path / 'dätä set')
    return tmp_path / 'dätä set'


def rewritten(folder, name, change):
    """Changes a JSON file of a dataset as somebody would who means harm: with a checksum that fits."""
    value = json.loads((folder / name).read_text())
    change(value)
    (folder / name).write_text(json.dumps(value))
    files.write_checksums(folder)


def shard_of(folder):
    return next(folder.glob('*.array_record*'))


def test_what_is_written_is_read_in_the_schemas_order(folder):
    data = dataset.load(folder, databases=TWO)
    assert data.size == 4
    assert list(data.subjects) == ['casme2/sub01', 'casme2/sub02', 'samm/6', 'samm/6']
    assert list(data.clip) == ['z', 'a', 'a', 'b']
    for row, number in enumerate((2, 1, 3, 0)):
        expected = TINY.examples[number].views['flow']
        np.testing.assert_array_equal(data.inputs['flow'][row], expected[schema.FLOW])
        np.testing.assert_array_equal(data.inputs['flow_puzzled'][row], expected[schema.FLOW_PUZZLED])
    assert data.inputs['flow'].dtype == np.uint8
    assert data.label.dtype == np.int32
    np.testing.assert_array_equal(data.label, (2, 1, 0, 0))
    assert data.labels == schema.LABELS
    assert data.metadata == TINY.recipe


def test_every_field_is_stored(folder):
    record = next(iter(tfds.builder_from_directory(folder).as_data_source(schema.SPLIT)))
    common = {field.name for field in dataclasses.fields(Example)} - {'views', 'padded'}
    assert set(record) == common | {schema.FLOW, schema.FLOW_PUZZLED}
    assert record[schema.ONSET] == 7
    assert record[schema.OFFSET] == schema.UNKNOWN_FRAME
    assert record[schema.EMOTION].decode() == schema.UNKNOWN_TEXT


def test_action_units_and_emotions_are_read_where_they_are_known(folder, tmp_path):
    assert dataset.annotations(folder, beside='flow') == {key: {} for key in KEYS}
    known = dataclasses.replace(example('samm', '6', 'a'), action_units='4+7')
    writer.write(release(known, example('smic', 's01', 'b')), tmp_path / 'known')
    assert dataset.annotations(tmp_path / 'known', beside='flow') == {
        ('samm', '6', 'a'): {'action_units': '4+7'},
        ('smic', 's01', 'b'): {'action_units': ''},
    }


def test_measures_are_read_where_they_are_there(folder, tmp_path):
    ranges = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    examples = [
        dataclasses.replace(
            each,
            views={'flow': each.views['flow'] | {'flow_range': own, 'eye_distance': 80.5}},
            frame_rate=200.0,
        )
        for each, own in zip(TINY.examples, ranges, strict=True)
    ]
    features = flow_view.features() | flow_view.measures(['flow'])
    views = {'flow': writer.ViewFormat(features=features, recipe={})}
    writer.write(dataclasses.replace(release(*examples), views=views), tmp_path / 'measured')
    data = dataset.load(tmp_path / 'measured')
    np.testing.assert_array_equal(data.measures['flow_range'], ranges[[2, 1, 3, 0]])
    assert data.measures['eye_distance'].tolist() == [80.5] * 4
    assert data.measures['frame_rate'].tolist() == [200] * 4
    assert dataset.load(folder).measures['frame_rate'].tolist() == [schema.UNKNOWN_MEASURE] * 4
    other_features(folder, lambda features: features.pop('frame_rate'))  # as of an older version
    assert dataset.load(folder).measures == {}


def test_a_measure_of_another_form_is_refused(tmp_path):
    features = flow_view.features() | flow_view.measures(['flow'])
    each = TINY.examples[0]
    views = {
        'flow': each.views['flow'] | {'flow_range': np.full((3, 2), np.nan, np.float32), 'eye_distance': 1.0}
    }
    made = release(dataclasses.replace(each, views=views))
    made = dataclasses.replace(made, views={'flow': writer.ViewFormat(features=features, recipe={})})
    writer.write(made, tmp_path / 'broken')
    with pytest.raises(InputError, match=r'flow_range is \[\[nan'):
        dataset.load(tmp_path / 'broken')
    other_features(
        tmp_path / 'broken',
        lambda features: features['flow_range']['tensor']['shape'].update(dimensions=['3', '4']),
    )
    with pytest.raises(InputError, match=r'flow_range is float32 \(3, 4\)'):
        dataset.load(tmp_path / 'broken')


def test_the_order_does_not_depend_on_the_files(folder, tmp_path):
    writer.write(release(*reversed(TINY.examples)), tmp_path / 'other')
    once, again = dataset.load(folder, databases=TWO), dataset.load(tmp_path / 'other', databases=TWO[::-1])
    np.testing.assert_array_equal(once.inputs['flow'], again.inputs['flow'])
    np.testing.assert_array_equal(once.subjects, again.subjects)


@pytest.mark.slow
def test_the_same_release_gives_the_same_bytes_in_another_process(folder, tmp_path):
    script = 'import sys, test_dataset as t; t.writer.write(t.TINY, sys.argv[1])'
    here = pathlib.Path(__file__)
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(here.parents[3]), str(here.parent)])}
    other = tmp_path / 'other'
    subprocess.run([sys.executable, '-c', script, other], env=environment, check=True)
    assert shard_of(folder).read_bytes() == shard_of(other).read_bytes()


def test_one_database_of_several_and_all_if_none_is_named(folder):
    data = dataset.load(folder, databases=('samm',))
    assert set(data.database) == {'samm'}
    assert data.size == 2
    every, two = (dataset.load(folder, databases=names).inputs['flow'] for names in ((), TWO))
    np.testing.assert_array_equal(every, two)


def test_any_database_and_any_classes(five_class_dataset_dir):
    data = dataset.load(five_class_dataset_dir)
    assert data.labels == ('happiness', 'surprise', 'disgust', 'repression', 'others')
    assert list(dict.fromkeys(data.database)) == ['casme3', '4dme']
    # The class is a band of four rows that is 60 brighter.
    rows = data.inputs['flow'].astype(float).mean((2, 3))[:, :20].reshape(-1, 5, 4).mean(2)
    np.testing.assert_array_equal(rows.argmax(1), data.label)


def test_a_moved_dataset_and_its_parents_are_found(folder, tmp_path):
    (tmp_path / 'elsewhere' / 'tiny').mkdir(parents=True)
    shutil.move(folder, tmp_path / 'elsewhere' / 'tiny' / '1.0.0')
    (tmp_path / 'elsewhere' / '.tiny.cut_off').mkdir()
    shutil.copy(next(tmp_path.rglob('dataset_info.json')), tmp_path / 'elsewhere' / '.tiny.cut_off')
    assert dataset.load(tmp_path / 'elsewhere', databases=TWO).size == 4


def test_a_parent_of_several_is_refused(folder, tmp_path):
    writer.write(TINY, tmp_path / 'other')
    with pytest.raises(InputError, match='2 datasets: dätä set, other'):
        dataset.load(tmp_path)


def test_of_the_views_of_one_build_the_flow_is_read(folder, tmp_path):
    build = tmp_path / 'build'
    for view in ('apex', 'frames', 'flow'):
        shutil.copytree(folder, build / view)
    writer.write(release(example('smic', 's', 'c')), build / 'flow', overwrite=True)
    assert list(dataset.load(build).database) == ['smic']
    (build / 'flow').rename(build / 'other')
    with pytest.raises(InputError, match='3 datasets: apex, frames, other'):
        dataset.load(build)


def test_a_missing_dataset_names_the_commands_that_make_it(tmp_path):
    for path in (tmp_path / 'nowhere', tmp_path):
        with pytest.raises(
            InputError, match=r'data_prep build --release megc2019_cd .* flow_images .* synthetic --out'
        ):
            dataset.load(path)


@pytest.mark.parametrize(
    ('name', 'source'),
    [('sub01_EP02.png', '{}'), ('u/sub01/EP02.JPG', '{}'), ('notes.txt', 'IMAGES'), ('.hidden', 'IMAGES')],
)
def test_a_folder_of_other_things_is_not_advised_as_the_new_dataset_s(tmp_path, name, source):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    with pytest.raises(InputError) as error:
        dataset.load(tmp_path)
    source = source.format(tmp_path)
    assert f'build --release flow_images --source {source} --out data/NAME`' in str(error.value)
    assert f'--out {tmp_path}' not in str(error.value)


DAMAGE = {
    'no shard': lambda folder: shard_of(folder).unlink(),
    'half a shard': lambda folder: os.truncate(shard_of(folder), shard_of(folder).stat().st_size // 2),
    'an empty shard': lambda folder: os.truncate(shard_of(folder), 0),
    'no features': lambda folder: (folder / 'features.json').unlink(),
    'broken features': lambda folder: (folder / 'features.json').write_text('{'),
    'broken info': lambda folder: (folder / 'dataset_info.json').write_text('{'),
    'no metadata': lambda folder: (folder / 'metadata.json').unlink(),
    'broken metadata': lambda folder: (folder / 'metadata.json').write_text('{'),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_dataset_is_refused(folder, damage):
    DAMAGE[damage](folder)
    with pytest.raises(InputError, match='Build it again'):
        dataset.load(folder)


@pytest.mark.parametrize('splits', [[], [{'name': schema.SPLIT, 'shardLengths': []}]])
def test_a_dataset_without_clips_is_refused(folder, splits):
    info = json.loads((folder / 'dataset_info.json').read_text())
    (folder / 'dataset_info.json').write_text(json.dumps(info | {'splits': splits}))
    with pytest.raises(InputError, match='no clips'):
        dataset.load(folder)


def other_features(folder, change):
    rewritten(folder, 'features.json', lambda value: change(value['featuresDict']['features']))


def test_other_features_are_refused_by_name(folder):
    other_features(folder, lambda features: [features.pop(key) for key in (schema.FLOW_PUZZLED, schema.CLIP)])
    with pytest.raises(InputError, match='lacks flow_puzzled, clip; it has'):
        dataset.load(folder)


@pytest.mark.parametrize('shape', [(56, 56, 3), (30, 42, 3)])
def test_flow_of_another_size_is_read(tmp_path, shape):
    flows = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    views = {'flow': dict(zip((schema.FLOW, schema.FLOW_PUZZLED), flows, strict=True))}
    features = flow_view.features(shape[:2])
    clip = dataclasses.replace(example(*KEYS[0]), views=views)
    made = dataclasses.replace(release(clip), views={'flow': writer.ViewFormat(features=features, recipe={})})
    writer.write(made, tmp_path / 'other')
    data = dataset.load(tmp_path / 'other')
    np.testing.assert_array_equal([data.inputs['flow'][0], data.inputs['flow_puzzled'][0]], flows)


def test_pictures_of_another_size_than_declared_are_refused_before_they_are_unpacked(folder):
    def enlarge(features):
        for key in (schema.FLOW, schema.FLOW_PUZZLED):
            features[key]['image']['shape']['dimensions'] = ['56', '56', '3']

    other_features(folder, enlarge)
    with pytest.raises(InputError, match='28x28 pixels instead of 56x56'):
        dataset.load(folder)


def test_raw_flow_is_refused_with_what_to_build(tmp_path):
    raw = writer.ViewFormat(features=flow_view.features(encoding='raw'), recipe={})
    flow = {key: np.zeros(schema.FLOW_SHAPE, np.float32) for key in (schema.FLOW, schema.FLOW_PUZZLED)}
    clip = dataclasses.replace(example(*KEYS[0]), views={'flow': flow})
    writer.write(dataclasses.replace(release(clip), views={'flow': raw}), tmp_path / 'raw')
    data = dataset.load(tmp_path / 'raw')
    assert data.inputs['flow'].dtype == np.float32
    with pytest.raises(InputError, match=r'is float32 \(28, 28, 3\); .*--encoding minmax_uint8'):
        prepare.check_stored('signed', data.inputs)


def test_a_vector_may_be_longer_than_a_picture_is_wide(tmp_path):
    numbers = np.arange(4425, dtype=np.float32)  # uniform codes of 8 neighbours, three planes, 5x5 blocks
    clip = dataclasses.replace(example(*KEYS[0]), views={'flow': {'numbers': numbers}})
    stored = {'numbers': tfds.features.Tensor(shape=numbers.shape, dtype=np.float32)}
    view = writer.ViewFormat(features=stored, recipe={})
    writer.write(dataclasses.replace(release(clip), views={'flow': view}), tmp_path / 'vectors')
    np.testing.assert_array_equal(
        dataset.load(tmp_path / 'vectors', reads=['numbers']).inputs['numbers'][0], numbers
    )


def faces(rng, size=20):
    """Inputs of one clip by view, as `data_prep build` stores them."""
    picture = lambda depth: rng.integers(0, 256, (size, size, depth), np.uint8)  # noqa: E731
    return {
        'flow': {key: rng.integers(0, 256, schema.FLOW_SHAPE, np.uint8) for key in schema.VIEWS['flow']},
        'apex': {key: picture(len(schema.CHANNELS[key])) for key in schema.VIEWS['apex']},
        'frames': {key: np.stack([picture(3) for _ in range(4)]) for key in schema.VIEWS['frames']}
        | {schema.FRAME_NUMBERS: np.arange(3, 7, dtype=np.int32)},
    }


@pytest.fixture(scope='module')
def views(tmp_path_factory):
    """A build of three views of two clips, and what was stored."""
    rng = np.random.default_rng(0)
    stored = [faces(rng) for _ in KEYS[:2]]

    def encoded(view):
        return {key: [*map(images.encode_png, x)] if x.ndim == 4 else x for key, x in view.items()}

    clips = [
        dataclasses.replace(example(*key), views={name: encoded(view) for name, view in own.items()})
        for key, own in zip(KEYS, stored, strict=False)
    ]
    formats = {
        'flow': writer.ViewFormat(features=flow_view.features(), recipe={}),
        'apex': writer.ViewFormat(features=ApexView(face_size=20).features(), recipe={}),
        'frames': writer.ViewFormat(features=FramesView(frames=4, size=20).features(), recipe={}),
    }
    folder = tmp_path_factory.mktemp('views') / 'build'
    writer.write(dataclasses.replace(release(*clips), views=formats), folder)
    return folder, stored


def test_inputs_of_any_view_are_read_as_they_are_stored(views):
    folder, stored = views
    reads = ('apex_face_grey', 'flow', 'crop_frames', 'onset_face', 'frame_numbers')
    data = dataset.load(folder, reads=reads)
    assert tuple(data.inputs) == reads
    assert {key: (x.shape, str(x.dtype)) for key, x in data.inputs.items()} == {
        'apex_face_grey': ((2, 20, 20, 1), 'uint8'),
        'flow': ((2, 28, 28, 3), 'uint8'),
        'crop_frames': ((2, 4, 20, 20, 3), 'uint8'),
        'onset_face': ((2, 20, 20, 3), 'uint8'),
        'frame_numbers': ((2, 4), 'int32'),
    }
    place = {clip: row for row, clip in enumerate(data.clip)}
    for key, clip in zip(KEYS, stored, strict=False):
        own = {name: value for view in clip.values() for name, value in view.items()}
        for name, array in data.inputs.items():
            np.testing.assert_array_equal(array[place[key[2]]], own[name])


def test_one_of_several_large_pictures_of_a_clip_is_read(tmp_path):
    """A record holds all of them, and may be larger than the one that is read."""
    clip = dataclasses.replace(
        example(*KEYS[0]), views={'apex': faces(np.random.default_rng(0), 160)['apex']}
    )
    formats = {'apex': writer.ViewFormat(features=ApexView(face_size=160).features(), recipe={})}
    writer.write(dataclasses.replace(release(clip), views=formats), tmp_path / 'apex')
    data = dataset.load(tmp_path / 'apex', reads=('apex_face_grey',))
    np.testing.assert_array_equal(data.inputs['apex_face_grey'][0], clip.views['apex']['apex_face_grey'])


def test_an_input_that_no_view_has_is_refused_with_the_view_to_build(views, tmp_path):
    folder, _ = views
    shutil.copytree(folder / 'flow', tmp_path / 'flow')
    with pytest.raises(InputError, match=r'lacks apex_face, face_frames; .* --view apex frames'):
        dataset.load(tmp_path, reads=('flow', 'apex_face', 'face_frames'))
    with pytest.raises(InputError, match='lacks histogram; it has'):
        dataset.load(folder, reads=('flow', 'histogram'))


def test_flow_images_without_frames_are_not_sent_to_a_build(tmp_path):
    images = dataclasses.replace(release(example(*KEYS[0])), recipe={'release': schema.FLOW_IMAGES})
    writer.write(images, tmp_path / 'images')
    with pytest.raises(InputError, match=r'lacks flow_steps; .* without frames: no build gives it more'):
        dataset.load(tmp_path / 'images', reads=('flow_steps',))
    config = kernel_ridge_steps.get_config()
    with pytest.raises(InputError, match='no build gives it more') as refused:
        experiment.load_one(str(tmp_path / 'images'), config.data, ('flow_steps',), ())
    assert '--view' not in str(refused.value), 'it must not send to a build either'


def test_windows_that_are_not_there_are_made_by_their_own_command(tmp_path):
    data = kernel_ridge_steps.get_config().data
    with pytest.raises(InputError, match='reads what `python -m data_prep windows --source VIDEOS --out'):
        experiment.load_one(str(tmp_path / 'none'), data, ('windows',), ())


def test_views_of_different_clips_are_refused(views, tmp_path):
    folder, stored = views
    shutil.copytree(folder / 'apex', tmp_path / 'build' / 'apex')
    clip = dataclasses.replace(example(*KEYS[0]), views={'flow': stored[0]['flow']})
    flows = {'flow': writer.ViewFormat(features=flow_view.features(), recipe={})}
    writer.write(dataclasses.replace(release(clip), views=flows), tmp_path / 'build' / 'flow')
    with pytest.raises(InputError, match=r'are views of different clips: .* is absent and not'):
        dataset.load(tmp_path / 'build', reads=('apex_face', 'flow'))


@pytest.mark.parametrize(
    ('names', 'says'),
    [
        (('positive', 'negative', 'surprise'), 'order of the challenge'),
        (('negative',), 'expected 2 to 20'),
    ],
)
def test_labels_that_cannot_be_are_refused(folder, names, says):
    (folder / 'label.labels.txt').write_text('\n'.join(names))
    other_features(folder, lambda features: features['label']['classLabel'].update(numClasses=len(names)))
    with pytest.raises(InputError, match=says):
        dataset.load(folder)


def test_duplicates_are_refused(tmp_path):
    writer.write(release(*TINY.examples, example(*KEYS[1])), tmp_path / 'twice')
    with pytest.raises(InputError, match='more than once: casme2/sub02/a'):
        dataset.load(tmp_path / 'twice', databases=TWO)


def test_own_databases_follow_the_known_ones(tmp_path):
    own = ('zoo', 'samm', 'my lab', 'casme2')
    clips = (example(name, 's', 'c', number) for number, name in enumerate(own))
    writer.write(release(*clips), tmp_path / 'own')
    assert list(dataset.load(tmp_path / 'own').database) == ['casme2', 'samm', 'my lab', 'zoo']
    assert dataset.load(tmp_path / 'own', databases=('zoo',)).size == 1
    with pytest.raises(InputError, match='It has: casme2 1 clips, samm 1 clips, my lab 1 clips, zoo 1 clips'):
        dataset.load(tmp_path / 'own', databases=('mmew',))


@pytest.mark.parametrize('databases', [schema.COMPOSITE, ('mmew',), ('zoo',)])
def test_a_database_without_clips_is_refused_with_what_is_there(folder, databases):
    with pytest.raises(InputError, match=r'It has: casme2 2 clips, samm 2 clips\. Take them all by --config'):
        dataset.load(folder, databases=databases)


def test_reading_needs_neither_tensorflow_nor_jax(folder):
    script = (
        'import sys; from dualatme_jax.data import dataset\n'
        'dataset.load(sys.argv[1], databases=("samm",)); print({"tensorflow", "jax"} & set(sys.modules))'
    )
    done = subprocess.run([sys.executable, '-c', script, folder], capture_output=True, text=True, check=True)
    assert done.stdout == 'set()\n'
    assert done.stderr == ''


def test_reading_does_without_opencv(folder):
    script = (
        'import sys; sys.modules["cv2"] = None\n'
        'from dualatme_jax.data import dataset\n'
        'print(dataset.load(sys.argv[1], databases=("samm",)).inputs["flow"].shape)'
    )
    done = subprocess.run([sys.executable, '-c', script, folder], capture_output=True, text=True, check=True)
    assert done.stdout == '(2, 28, 28, 3)\n'


def test_a_dataset_is_replaced_only_on_demand(folder):
    with pytest.raises(InputError, match='--overwrite'):
        writer.write(TINY, folder)
    writer.write(release(example('smic', 's', 'c')), folder, overwrite=True)
    assert dataset.load(folder, databases=('smic',)).size == 1


def test_other_peoples_files_are_never_deleted(folder, tmp_path):
    (folder / 'thesis.txt').write_text('years of work')
    licensed = tmp_path / 'repository'
    licensed.mkdir()
    (licensed / 'LICENSE').write_text('')
    for out, name in ((folder, 'thesis.txt'), (licensed, 'LICENSE')):
        with pytest.raises(InputError, match=f'other files, such as {name!r}'):
            writer.write(TINY, out, overwrite=True)
    assert (folder / 'thesis.txt').exists()


def test_an_empty_folder_will_do_and_a_file_will_not(tmp_path):
    (tmp_path / 'empty').mkdir()
    writer.write(TINY, tmp_path / 'empty')
    assert dataset.load(tmp_path / 'empty', databases=TWO).size == 4
    (tmp_path / 'file').touch()
    for out in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        with pytest.raises(InputError, match='file'):
            writer.write(TINY, out)


def test_a_build_that_fails_leaves_nothing_and_keeps_what_was_there(folder, tmp_path):
    def failing():
        yield TINY.examples[0]
        raise RuntimeError('the power went')

    broken = dataclasses.replace(TINY, examples=failing())
    with pytest.raises(RuntimeError, match='the power went'):
        writer.write(broken, tmp_path / 'new')
    broken = dataclasses.replace(TINY, examples=failing())
    with pytest.raises(RuntimeError, match='the power went'):
        writer.write(broken, folder, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert dataset.load(folder, databases=TWO).size == 4


def test_a_disk_that_takes_no_more_is_an_input_error(tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, path, options): ...

        def write(self, record):
            raise RuntimeError('write() failed: No space left on device')

        def close(self): ...

    monkeypatch.setattr(writer.array_record_module, 'ArrayRecordWriter', FullDisk)
    with pytest.raises(InputError, match='No space left'):
        writer.write(TINY, tmp_path / 'out')
    assert not list(tmp_path.iterdir())
