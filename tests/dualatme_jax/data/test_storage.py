"""Datasets from elsewhere: none of them runs, or makes a file outside be read; all is refused by name."""

import copy
import json
import os
import sys

import pytest
from array_record.python import array_record_module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_dataset import TINY, example, release, rewritten, shard_of

from data_prep.dataset import writer
from dualatme_jax import files, schema
from dualatme_jax.data import dataset, names, storage
from dualatme_jax.errors import InputError

JSON = ('dataset_info.json', 'features.json', 'metadata.json')
LABELS = 'label.labels.txt'
EVIL = "import pathlib; pathlib.Path('evil_was_here').touch()\nraise RuntimeError('evil')"


@pytest.fixture(scope='module')
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'tiny'
    writer.write(TINY, folder)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A dataset to be damaged, in the current folder, with a module beside it that must not be imported."""
    writer.write(TINY, tmp_path / 'tiny')
    (tmp_path / 'evil.py').write_text(EVIL)
    (tmp_path / 'tiny' / 'evil.py').write_text(EVIL)
    files.write_checksums(tmp_path / 'tiny')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend('')
    return tmp_path / 'tiny'


def refused(folder, match):
    with pytest.raises(InputError, match=match):
        dataset.load(folder)
    assert 'evil' not in sys.modules
    assert not (folder.parent / 'evil_was_here').exists()


def a_class(name, **content):
    return lambda features: features['featuresDict']['features'].update(
        extra={'pythonClassName': name} | (content or {'jsonFeature': {'json': '{}'}})
    )


INNER = {'pythonClassName': 'evil.Feature', 'text': {}}
SEQUENCE = 'tensorflow_datasets.core.features.sequence_feature.Sequence'
DICT = 'tensorflow_datasets.core.features.features_dict.FeaturesDict'
CLASSES = {
    'elsewhere': a_class('evil.Feature'),
    'elsewhere, as a known kind': a_class('evil.Feature', text={}),
    'elsewhere, as a known name': a_class('evil.text_feature.Text', text={}),
    'known, of another kind': a_class('tensorflow_datasets.core.features.text_feature.Text'),
    'of TFDS, but runs ffmpeg': a_class('tensorflow_datasets.core.features.video_feature.Video', video={}),
    'within a sequence': a_class(SEQUENCE, sequence={'feature': INNER}),
    'within features': a_class(DICT, featuresDict={'features': {'inner': INNER}}),
    'of all': lambda features: features.update(pythonClassName='evil.Feature'),
    'none': lambda features: features.pop('pythonClassName'),
}


@pytest.mark.parametrize('kind', CLASSES)
def test_a_feature_of_an_unknown_class_is_refused_and_not_imported(folder, kind):
    rewritten(folder, 'features.json', CLASSES[kind])
    refused(folder, r'names a feature of the class .* none of those that data_prep writes')


def test_the_old_form_of_features_is_refused(folder):
    legacy = {'type': 'evil.Feature', 'content': {}, 'proto_cls': 'evil.Proto'}
    rewritten(folder, 'features.json', lambda features: (features.clear(), features.update(legacy)))
    refused(folder, r'features.json: .*Build it again')


def split(**changes):
    return lambda info: info['splits'][0].update(changes)


OUTSIDE = {
    'absolute': split(filepathTemplate='/etc/{SHARD_X_OF_Y}'),
    'above': split(filepathTemplate='../other/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'),
    'a URL': split(filepathTemplate='gs://bucket/{SHARD_X_OF_Y}'),
    'name above': lambda info: info.update(name='../other/tiny'),
    'absolute name': lambda info: info.update(name='/etc/tiny'),
    'URL name': lambda info: info.update(name='http://evil.example/tiny'),
    'no name': lambda info: info.pop('name'),
    'another format': lambda info: info.update(fileFormat='tfrecord'),
    'a negative length': split(shardLengths=['5', '-1']),
    'many shards': split(shardLengths=['1'] * 10_001),
    'a length that is no number': split(shardLengths=['many']),
    'a length of more than 64 bits': split(shardLengths=[10**30]),
    'twice': lambda info: info['splits'].append(info['splits'][0]),
}


@pytest.mark.parametrize('kind', OUTSIDE)
def test_shards_elsewhere_or_absurd_are_refused(folder, kind):
    rewritten(folder, 'dataset_info.json', OUTSIDE[kind])
    refused(folder, 'Build it again')


@pytest.mark.parametrize('length', [10**12, 10**18])
def test_more_clips_than_fit_the_memory_are_refused_before_any_is_read(folder, length):
    shard_of(folder).write_bytes(b'never opened')
    rewritten(folder, 'dataset_info.json', split(shardLengths=[str(length)]))
    refused(folder, rf'says that it holds {length} clips, which take .* GiB of memory')


@pytest.mark.parametrize('name', [*JSON, LABELS, 'shard'])
def test_links_out_of_the_folder_are_refused(folder, name):
    path = shard_of(folder) if name == 'shard' else folder / name
    path.rename(folder.parent / 'moved')
    path.symlink_to(folder.parent / 'moved')
    refused(folder, 'is a link to .*moved, outside of the dataset')
    path.unlink()
    path.symlink_to(path.name)  # a circle
    refused(folder, 'Build it again|holds no dataset')


def test_a_folder_may_be_a_link_and_links_within_it_are_followed(folder):
    shard = shard_of(folder)
    shard.rename(folder / 'kept')
    shard.symlink_to('kept')
    (folder / files.CHECKSUMS).unlink()  # as datasets of earlier versions are
    (folder.parent / 'link').symlink_to(folder)
    assert dataset.load(folder.parent / 'link').size == 4


@pytest.mark.parametrize('name', [*JSON[1:], LABELS, 'shard'])
def test_pipes_and_devices_are_refused_at_once(folder, name):
    path = shard_of(folder) if name == 'shard' else folder / name
    path.unlink()
    os.mkfifo(path)
    refused(folder, r'a pipe, a device or the like.*Build it again')
    path.unlink()
    path.mkdir()
    refused(folder, r'it is a folder.*Build it again')


def test_a_description_that_is_far_too_large_is_refused(folder):
    with (folder / 'metadata.json').open('wb') as file:
        file.truncate(2**40)  # takes no room on the disk
    refused(folder, r'has 1048576.0 MiB; expected 8.0 MiB at most')


def test_a_shard_that_is_far_larger_than_its_clips_is_refused_unread(folder):
    os.truncate(shard_of(folder), 2**40)
    refused(folder, r'has 1099511627776 bytes; 4 clips take \d+ at the most.*Build it again')


def test_files_that_somebody_lays_beside_a_dataset_do_no_harm(folder):
    (folder / '.DS_Store').write_bytes(b'')
    (folder / 'notes.txt').write_text('from the lab')
    assert dataset.load(folder).size == 4


def written_shard(folder, *records):
    path = shard_of(folder)
    writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')
    for record in records:
        writer.write(record)
    writer.close()
    rewritten(folder, 'dataset_info.json', split(shardLengths=[str(len(records))]))


@pytest.mark.parametrize('mebibytes', [2, 280])
def test_a_shard_that_unpacks_to_more_than_its_clips_is_refused(folder, mebibytes):
    written_shard(folder, bytes(mebibytes * 2**20))
    assert shard_of(folder).stat().st_size < 2**18
    refused(folder, 'holds a clip of 2097152 bytes' if mebibytes == 2 else 'took more than')


@pytest.mark.parametrize('records', [[b''], [b'no protocol buffer'], [b'\x0a\x00'] * 3])
def test_records_of_another_form_are_refused(folder, records):
    written_shard(folder, *records)
    refused(folder, r'cannot be read \(tiny-clips.* Build it again')


@pytest.mark.parametrize('count', ['3', '5'])
def test_another_number_of_clips_than_declared_is_refused(folder, count):
    rewritten(folder, 'dataset_info.json', split(shardLengths=[count]))
    refused(folder, f'holds 4 clips instead of {count}')


LABEL_FILES = {
    'missing': None,
    'of one class less': 'negative\npositive\n',
    'of one class more': 'negative\npositive\nsurprise\nothers\n',
    'repeated': 'negative\npositive\npositive\n',
    'repeated in capitals': 'negative\npositive\nPositive\n',
    'empty': '',
    'with an empty name': 'negative\n\nsurprise\n',
    'numbers': '1\n2\n3\n',
    'with controls': 'negative\npositive\nsur\x1b[31mprise\n',
    'no text': b'\xff\xfe\x00',
}


@pytest.mark.parametrize('kind', LABEL_FILES)
def test_names_of_classes_that_are_not_whole_are_refused(folder, kind):
    content = LABEL_FILES[kind]
    if content is None:
        (folder / LABELS).unlink()
    else:
        (folder / LABELS).write_bytes(content if isinstance(content, bytes) else content.encode())
    files.write_checksums(folder)
    refused(folder, rf'{LABELS}.*Build it again')


@pytest.mark.parametrize('name', [*JSON, LABELS, 'shard'])
def test_a_file_that_is_not_as_it_was_written_is_refused(folder, name):
    """Also where what stands there could be: a name that is cut off within a word, other metadata."""
    path = shard_of(folder) if name == 'shard' else folder / name
    content = path.read_bytes()
    for old, new in (
        (b'surprise', b'surpris'),
        (b'tiny', b'tinY'),
        (b'Text', b'Text '),
        (b'"n": 1', b'"n": 2'),
    ):
        content = content.replace(old, new)
    path.write_bytes(content + b'\n' if name == 'shard' else content)
    refused(folder, 'Build it again|none of those that data_prep writes')


METADATA = {
    'NaN': '{"release": "tiny", "threshold": NaN}',
    'infinity': '{"release": "tiny", "threshold": -Infinity}',
    'a number too large': '{"release": "tiny", "threshold": 1e999}',
    'half a surrogate pair': r'{"release": "tiny", "sheet": "caf\udce9"}',
    'half of one as a key': r'{"release": "tiny", "\ud800": 1}',
    'regions as text': '{"release": "tiny", "regions": "EM"}',
    'regions as list': '{"release": "tiny", "regions": ["EM"]}',
    'no regions': '{"release": "tiny", "regions": null}',
    'a number as pair': '{"release": "tiny", "regions": {"pair": 7}}',
    'a number as release': '{"release": 7}',
    'a list as puzzled flow': '{"flow_puzzled": []}',
    'a list': '["release", "tiny"]',
    'nothing in it': '{}',
    'deep': '{"release": ' + '[' * 100_000 + ']' * 100_000 + '}',
    'a long number': '{"release": "tiny", "n": ' + '9' * 10_000 + '}',
    'no text': b'\xff\xfe{}',
    'empty': '',
}


@pytest.mark.parametrize('kind', METADATA)
def test_metadata_that_no_report_could_hold_is_refused(folder, kind):
    content = METADATA[kind]
    (folder / 'metadata.json').write_bytes(content if isinstance(content, bytes) else content.encode())
    files.write_checksums(folder)
    refused(folder, r'is not a whole dataset \(metadata.json.*Build it again')


def test_metadata_reaches_the_terminal_without_controls(folder):
    rewritten(folder, 'metadata.json', lambda metadata: metadata.update(release='\x1b[2Jtiny'))
    assert dataset.load(folder).origin.startswith(r'\x1b[2Jtiny; puzzled flow (unknown)')


@pytest.mark.parametrize(
    ('key', 'match'),
    [
        (('samm', '', 'c'), "the subject '' is empty"),
        (('samm', 's', ' '), "the clip ' ' is empty"),
        (('samm', 's\r', 'c'), 'cannot be printed'),
        (('full', 's', 'c'), 'for something else'),
        (('SAMM', 's', 'c'), 'not in lower case'),
    ],
)
def test_names_that_no_report_could_hold_are_refused(folder, monkeypatch, key, match):
    with monkeypatch.context() as patch:
        patch.setattr(names, 'fault_of_clip', lambda *key: None)  # data_prep does not write them
        writer.write(release(example(*key)), folder.parent / 'bad')
    refused(folder.parent / 'bad', f'names that no table of predictions can hold: .*{match}')


@pytest.mark.parametrize(
    'path', ['a\0b', 'x' * 5000, os.fsdecode(b'caf\xe9'), '~nosuchuser/data', '/dev/null', '/dev/null/data']
)
def test_paths_that_cannot_be_are_refused(path):
    with pytest.raises(InputError):
        dataset.load(path)


HOSTILE = (
    None,
    True,
    0,
    -1,
    10**9,
    10**30,
    1.5,
    '',
    'evil.Feature',
    '../x',
    '\x1b[31m',
    [],
    {},
    [[]],
    {'a': {}},
)


@st.composite
def mutations(draw):
    """A JSON file's name, and a function that changes its value in one place."""
    name = draw(st.sampled_from(JSON))
    steps = draw(st.lists(st.integers(0, 20), min_size=1, max_size=6))
    new = draw(st.sampled_from(HOSTILE))
    delete = draw(st.booleans())

    def change(value):
        for depth, step in enumerate(steps, start=1):
            keys = sorted(value) if isinstance(value, dict) else range(len(value))
            if not keys:
                return
            key = keys[step % len(keys)]
            if not isinstance(value[key], dict | list) or depth == len(steps):
                break
            value = value[key]
        if delete:
            del value[key]
        else:
            value[key] = copy.deepcopy(new)

    return name, change


@given(st.lists(mutations(), min_size=1, max_size=3))
@settings(derandomize=True, max_examples=100, deadline=None)
@pytest.mark.slow
def test_any_change_of_a_description_is_described_or_refused(pristine, changes):
    content = {name: (pristine / name).read_text() for name in JSON}
    try:
        for name, change in changes:
            value = json.loads((pristine / name).read_text())
            change(value)
            (pristine / name).write_text(json.dumps(value))
        try:
            stored = storage.describe(
                pristine, inputs=(schema.FLOW, schema.FLOW_PUZZLED), texts=(schema.SUBJECT, schema.CLIP)
            )
        except InputError:
            return
        assert stored.labels == schema.LABELS
        assert all(path.parent == pristine for path, _ in stored.shards)
    finally:
        for name in JSON:
            (pristine / name).write_text(content[name])
        assert 'evil' not in sys.modules


@given(st.data())
@settings(derandomize=True, max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_any_damage_of_a_shard_is_found(pristine, data):
    """Without the checksums, which would find it before."""
    path = shard_of(pristine)
    whole, sums = path.read_bytes(), (pristine / files.CHECKSUMS).read_bytes()
    expected = dataset.load(pristine)
    used = [place for place, byte in enumerate(whole) if byte]
    damaged = bytearray(whole)
    for place in data.draw(st.lists(st.sampled_from(used), min_size=1, max_size=4, unique=True)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(damaged)
        (pristine / files.CHECKSUMS).unlink()
        try:
            found = dataset.load(pristine)
        except InputError:
            return
        assert found.inputs['flow'].tobytes() == expected.inputs['flow'].tobytes()
        assert dataset.difference(found, expected) is None
    finally:
        path.write_bytes(whole)
        (pristine / files.CHECKSUMS).write_bytes(sums)
