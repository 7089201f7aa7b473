import collections
import csv
import pathlib

import pytest

from data_prep import releases
from data_prep.releases import complete
from data_prep.releases.clip import Clip
from dualatme_jax import schema

LIST = pathlib.Path(__file__).parents[4] / 'shared/data/megc2019_flow28/combined_3class_gt.csv'


BY_SUBJECT = [
    (database, protocol)
    for database in releases.FILES
    for protocol in releases.of(database).protocols
    if protocol.complete.by_subject
]


def differences(database, name, version, items):
    protocol = releases.of(database).protocol(name)
    return complete.differences(protocol.complete_of(version), protocol.labels, items)


def of_three_classes(database):
    return releases.of(database).protocol('3class').complete.by_subject


def items(database, subjects):
    """Clips of these subjects, {subject: {label: names}}."""
    return [
        (Clip(database=database, subject=subject, clip=name), label)
        for subject, classes in subjects.items()
        for label, names in classes.items()
        for name in names
    ]


def whole(database):
    """The complete clips of a database of three classes; SMIC's by their names."""
    short = {'negative': 'ne', 'positive': 'po', 'surprise': 'sur'}
    return {
        subject: {
            label: [f'{subject}_{short[label]}_{number:02}' for number in range(1, count + 1)]
            for label, count in zip(schema.LABELS, counts, strict=True)
        }
        for subject, counts in of_three_classes(database).items()
    }


@pytest.mark.parametrize(('database', 'protocol'), BY_SUBJECT)
def test_subjects_add_up_to_the_expected_counts(database, protocol):
    for version in ('', *protocol.versions):
        whole = protocol.complete_of(version)
        counts = list(whole.by_subject.values())
        assert len(counts) == whole.subjects, database
        if protocol.labels == schema.LABELS:
            assert tuple(map(sum, zip(*counts, strict=True))) == tuple(map(whole.clips.get, schema.LABELS))
        else:
            assert sum(counts) == sum(whole.clips.values())


def test_the_subjects_of_the_composite_are_known():
    assert {database for database, _ in BY_SUBJECT} == set(schema.COMPOSITE)


@pytest.mark.skipif(not LIST.is_file(), reason="the challenge's list is not here")
def test_subjects_are_those_of_the_list():
    found = {database: collections.defaultdict(lambda: [0, 0, 0]) for database in schema.COMPOSITE}
    with LIST.open(newline='') as file:
        for database, subject, _, label in csv.reader(file):
            found[database][subject][int(label)] += 1
    for database, subjects in found.items():
        listed = {subject: tuple(counts) for subject, counts in subjects.items()}
        assert listed == of_three_classes(database)


def test_the_complete_clips_differ_nowhere():
    for database in schema.COMPOSITE:
        assert differences(database, '3class', '', items(database, whole(database))) == []


def test_a_missing_clip_of_smic_is_named():
    subjects = whole('smic')
    subjects['s18']['surprise'].remove('s18_sur_03')
    subjects['s01']['positive'].append('s01_po_09')
    assert differences('smic', '3class', '', items('smic', subjects)) == [
        's01 has 3 positive instead of 2 (more s01_po_09)',
        's18 has 4 surprise instead of 5 (missing s18_sur_03)',
    ]


def test_clips_among_which_the_difference_lies_are_named():
    subjects = whole('casme2')
    subjects['sub24']['surprise'] += ['EP07_01', 'EP07_04f', 'EP10_03']
    del subjects['sub04'], subjects['sub26']['positive'][:]
    subjects['sub99'] = {'negative': ['EP1']}
    first, second, third, fourth = differences('casme2', '3class', '2014', items('casme2', subjects))
    assert first == 'no clip of sub04'
    assert second.startswith('sub24 has 4 surprise instead of 1 (')
    assert second.endswith('EP07_01, EP07_04f, EP10_03)')
    assert third == 'sub26 has 0 positive instead of 2'
    assert fourth == 'sub99 is no subject of it (EP1)'
    del subjects['sub99']
    found = differences('casme2', '3class', '2019', items('casme2', subjects))
    assert [sentence for sentence in found if 'sub24' in sentence] == []


def test_a_small_part_of_a_release_and_an_unknown_one_name_nothing():
    assert differences('casme2', '3class', '', items('casme2', {'sub01': {'negative': ['a']}})) == []
    assert differences('casme3', '3class', '', []) == []


def test_five_classes_are_compared_by_their_sum():
    subjects = {
        subject: {'others': [f'EP{number}' for number in range(count)]}
        for subject, count in releases.of('casme2').protocol('5class').complete.by_subject.items()
    }
    subjects['sub07']['others'].pop()
    assert differences('casme2', '5class', '', items('casme2', subjects)) == [
        'sub07 has 8 clips instead of 9 (EP0, EP1, EP2, EP3, EP4, EP5, EP6, EP7)'
    ]
