"""Several datasets as one: their common classes, everybody once, and what is said where they differ."""

import dataclasses

import numpy as np
import pytest

import dualatme_jax as dj
from dualatme_jax import schema
from dualatme_jax.data import several
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.machines import host_memory

FOUR = (*schema.LABELS, 'others')


def made(clips, labels=schema.LABELS, *, seed=0, size=28, metadata=None):
    """A dataset of (database, subject, clip, label), with random flows."""
    random = np.random.default_rng(seed)
    shape = (len(clips), size, size, 3)
    database, subject, clip, label = zip(*clips, strict=True)
    return Dataset(
        inputs={key: random.integers(0, 256, shape, np.uint8) for key in schema.VIEWS['flow']},
        label=np.array([labels.index(name) for name in label], np.int32),
        database=np.array(database),
        subject=np.array(subject),
        clip=np.array(clip),
        labels=labels,
        metadata={'release': 'tiny', 'regions': {'pair': 'EM'}, 'flow_puzzled': 'cut'} | (metadata or {}),
    )


ONE = made([('casme2', 'sub01', 'a', 'positive'), ('samm', '6', 'a', 'negative')])
OTHER = made(
    [
        ('casme3', 'spNO.1', 'b_1', 'others'),
        ('casme3', 'spNO.1', 'b_9', 'surprise'),
        ('casme2', 'sub01', 'z', 'negative'),
        ('samm', '006', 'b', 'positive'),
    ],
    ('others', *schema.LABELS),
    seed=1,
    metadata={
        'release': 'else',
        'labels': 'emotion',
        'landmarks': {'samm': {'sha256': '0'}},
        'flow': {'algorithm': 'tvl1'},
        'combinations': {'negative': {'4+7': 10}},  # which motions were drawn, not how
    },
)
PATHS = ('one', 'other')


@pytest.fixture(scope='module')
def both():
    return several.together([ONE, OTHER], PATHS)


def test_clips_of_all_stand_in_the_schemas_order_with_their_own_inputs_and_labels(both):
    labels = [both.labels[label] for label in both.label]
    found = zip(both.database, both.subject, both.clip, labels, strict=True)
    assert list(found) == [
        ('casme2', 'sub01', 'a', 'positive'),
        ('casme2', 'sub01', 'z', 'negative'),
        ('samm', '6', 'a', 'negative'),
        ('samm', '6', 'b', 'positive'),  # 006 of the other one: the same person by one name
        ('casme3', 'spNO.1', 'b_9', 'surprise'),
    ]
    assert both.labels == schema.LABELS
    assert both.label.dtype == np.int32
    for key, array in both.inputs.items():
        from_one, from_other = ONE.inputs[key], OTHER.inputs[key]
        expected = [from_one[0], from_other[2], from_one[1], from_other[3], from_other[1]]
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == np.uint8


def test_measures_that_all_have_stay_by_clip_and_so_does_the_unit_of_motion():
    def measured(dataset, size, **more):
        flow = dataset.metadata.get('flow', {}) | {'computed_at': [size, size]}
        rates = np.arange(dataset.size, dtype=np.float32) + 10 * dataset.size
        return dataclasses.replace(
            dataset, metadata=dataset.metadata | {'flow': flow}, measures={'frame_rate': rates} | more
        )

    one = measured(ONE, 224, eye_distance=np.ones(2, np.float32))
    both = several.together([one, measured(OTHER, 224)], PATHS)
    assert {key: array.tolist() for key, array in both.measures.items()} == {
        'frame_rate': [20, 42, 21, 43, 41]
    }
    assert both.motion_unit == {'computed_at': [224, 224], 'unit': 'pixels'}
    assert several.together([one, measured(OTHER, 112)], PATHS).motion_unit == {}


def test_what_is_left_out_who_is_common_and_how_inputs_differ_is_said(both):
    assert several.lines(both) == [
        '2 datasets; the classes that all of them have: negative, positive, surprise',
        'one: 2 clips of 2 subjects',
        'other: 3 clips of 3 subjects; left out, of other classes: 1 others',
        'one and other have clips of the same 2 subjects, each of whom is one person: casme2/sub01, samm/6',
        'inputs of one and other were made in different ways: flow.algorithm not stated and tvl1',
    ]
    assert several.lines(ONE) == []
    one, other = both.metadata['datasets']
    assert (one['left_out'], other['left_out']) == ({}, {'others': 1})
    assert (other['clips'], other['subjects'], other['databases']) == (3, 3, ['casme2', 'samm', 'casme3'])
    assert other['recipe'] == OTHER.metadata
    assert both.origin == 'tiny + else; puzzled flow (EM): cut'
    assert not both.synthetic
    assert not both.leaks


@pytest.mark.parametrize(
    ('own', 'expected'),
    [
        (('surprise', 'positive', 'negative', 'others'), ('surprise', 'positive', 'others')),  # the first's
        (('Surprise', 'sad', 'Negative'), ('Surprise', 'Negative')),  # its spelling
        (('surprise', 'Positive', 'negative'), schema.LABELS),  # the challenge's order, with all three
    ],
)
def test_the_order_of_the_classes(own, expected):
    first = made([('one', 's', str(place), name) for place, name in enumerate(own)], own)
    there = schema.LABELS if 'others' not in expected else ('others', 'surprise', 'positive')
    second = made([('two', 's', str(place), name) for place, name in enumerate(there)], there, seed=1)
    both = several.together([first, second], PATHS)
    assert both.labels == expected
    words = {
        (name, str(place)): label.lower()
        for name, labels in (('one', own), ('two', there))
        for place, label in enumerate(labels)
    }
    for database, clip, label in zip(both.database, both.clip, both.label, strict=True):
        assert words[database, clip] == both.labels[label].lower()


def test_rendered_clips_and_leaks_mark_the_whole():
    rendered = dataclasses.replace(OTHER, metadata=OTHER.metadata | {'release': schema.SYNTHETIC})
    mark = {schema.LEAKS: {schema.FLOW: 'placed by action units'}}
    leaking = dataclasses.replace(ONE, metadata=ONE.metadata | mark | {'regions': {'pair': 'EN'}})
    both = several.together([leaking, rendered], PATHS)
    assert both.synthetic
    assert both.metadata['synthetic'] == ['synthetic']
    assert both.leaks == 'LEAKS: flow: placed by action units'
    assert both.origin == 'tiny + synthetic; puzzled flow (EN + EM): cut'
    assert any('regions.pair EN and EM' in line for line in several.lines(both))
    notice = 'SYNTHETIC CLIPS AMONG REAL ONES: casme2, samm, casme3 of other: no score of real faces alone'
    assert several.drawn_among_real(both) == notice
    assert not any(map(several.drawn_among_real, (ONE, rendered, several.together([ONE, OTHER], PATHS))))
    some = dataclasses.replace(OTHER, metadata=OTHER.metadata | {'synthetic': ['samm']})
    assert several.drawn_among_real(some).startswith('SYNTHETIC CLIPS AMONG REAL ONES: samm of the dataset:')


def test_the_reasons_of_two_datasets_for_the_same_input_are_both_shown():
    def leaking(own, **reasons):
        return dataclasses.replace(own, metadata=own.metadata | {schema.LEAKS: reasons})

    one = leaking(ONE, flow='placed by action units')
    both = several.together([one, leaking(OTHER, flow='scaled by all clips')], PATHS)
    assert both.leaks == 'LEAKS: flow: placed by action units and scaled by all clips'
    same = several.together([one, leaking(OTHER, flow='placed by action units', flow_puzzled='cut')], PATHS)
    assert same.leaks == 'LEAKS: flow: placed by action units; flow_puzzled: cut'


def test_databases_are_chosen_over_all():
    both = several.together([ONE, OTHER], PATHS, ('samm', 'casme2'))
    assert set(both.database) == {'casme2', 'samm'}
    assert both.metadata['datasets'][1]['left_out'] == {}  # its clip of others is of no such database
    with pytest.raises(InputError, match=r'no dataset has clips of .smic.. They have casme2, samm, casme3'):
        several.together([ONE, OTHER], PATHS, ('smic',))
    only = made([('casme3', 's', 'c', 'negative')], seed=2)
    with pytest.raises(InputError, match=r'other has none of them, but casme3. Take all by --config.data'):
        several.together([ONE, only], PATHS, ('samm',))


SAME_NAME = made([('samm', '006', 'a', 'negative')], seed=3)
SAME_INPUTS = dataclasses.replace(ONE, subject=np.array(['x', 'y']))
FLOATS = dataclasses.replace(OTHER, inputs={key: array / 255 for key, array in OTHER.inputs.items()})
NO_OTHERS = made([('own', 's', 'c', 'others')], FOUR, seed=4)


@pytest.mark.parametrize(
    ('first', 'second', 'says'),
    [
        (ONE, SAME_NAME, 'one and other both have 1 clips: samm/6/a'),
        (
            ONE,
            SAME_INPUTS,
            '2 clips of other have the very inputs of clips of one.*casme2/x/a is casme2/sub01',
        ),
        (
            ONE,
            made([('own', 's', 'c', 'positive')], size=56),
            r'flow is uint8 \(28, 28, 3\) in one, and uint8 ',
        ),
        (ONE, FLOATS, r'and float64 \(28, 28, 3\) in other'),
        (ONE, ONE.of(['flow']), 'other gives flow, and one flow, flow_puzzled'),
        (ONE, made([('own', 's', 'c', 'joy')], ('joy', 'grief')), 'share no class.*other has joy, grief'),
        (ONE, made([('own', 's', 'c', 'joy')], ('joy', 'positive')), 'share only the class positive'),
        (ONE, NO_OTHERS, 'other has no clip of negative, positive, surprise'),
        (
            made([('own', 's', 'c', 'x')], ('x', '1', 'y')),
            made([('own', 's', 'd', 'y')], ('1', 'y'), seed=1),
            'the classes that the datasets share.*number',
        ),
    ],
)
def test_what_cannot_be_one_dataset_is_named(first, second, says):
    with pytest.raises(InputError, match=says):
        several.together([first, second], PATHS)


def test_faces_that_do_not_move_are_not_one_clip():
    still = {key: np.full((2, 28, 28, 3), 128, np.uint8) for key in ONE.inputs}
    one, other = (dataclasses.replace(each, inputs=still) for each in (ONE, SAME_INPUTS))
    assert several.together([one, other], PATHS).size == 4


def test_memory_for_one_more_copy_is_asked_for(monkeypatch):
    monkeypatch.setattr(host_memory, 'free', lambda: 100)
    with pytest.raises(InputError, match=r'one and other take 0.0 GiB once more'):
        several.together([ONE, OTHER], PATHS)


def test_a_name_with_commas(tmp_path):
    own = tmp_path / 'a,b'
    own.mkdir()
    assert several.paths_of(str(own)) == [str(own)]
    assert several.paths_of('data/a, data/b') == ['data/a', 'data/b']
    assert several.paths_of('~nobody-of-this-name/a,' + 5000 * 'b') == ['~nobody-of-this-name/a', 5000 * 'b']
    with pytest.raises(InputError, match='nothing beside a comma'):
        several.paths_of('data/a,')


def test_lists_that_name_no_dataset(tmp_path):
    with pytest.raises(InputError, match='one folder or more'):
        dj.load([])
    with pytest.raises(InputError, match='no dataset at'):
        dj.load([tmp_path / 'nowhere', tmp_path])
