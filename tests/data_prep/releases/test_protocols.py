import collections
import csv
import pathlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import releases
from data_prep.releases import protocols
from data_prep.releases.clip import Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError

LIST = pathlib.Path(__file__).parents[4] / 'shared/data/megc2019_flow28/combined_3class_gt.csv'


def clip(database, emotion, subject='s', name='c'):
    return Clip(database=database, subject=subject, clip=name, emotion=emotion)


PROTOCOLS = [
    (database, protocol) for database in releases.FILES for protocol in releases.of(database).protocols
]


@pytest.mark.parametrize(
    ('database', 'protocol'), PROTOCOLS, ids=[f'{database} {each.name}' for database, each in PROTOCOLS]
)
def test_a_protocol_is_consistent(database, protocol):
    assert releases.of(database).database == database
    assert protocol.source
    assert set(protocol.classes) <= set(protocols.EMOTIONS)
    assert set(protocol.classes.values()) == set(protocol.labels)
    assert set(protocol.dropped) <= set(protocol.classes)
    for complete in (protocol.complete, *protocol.versions.values()):
        assert set(complete.clips) in (set(protocol.labels), set())


def test_the_expected_counts_of_the_composite_are_the_challenges():
    counts = [releases.of(database).protocol(None).complete for database in schema.COMPOSITE]
    assert sum(each.subjects for each in counts) == 68
    assert [sum(each.clips.values()) for each in counts] == [145, 164, 133]


@pytest.mark.skipif(not LIST.is_file(), reason="the challenge's list is not here")
def test_the_expected_counts_are_those_of_the_list():
    with LIST.open() as file:
        rows = list(csv.reader(file))
    for database in schema.COMPOSITE:
        own = [row for row in rows if row[0] == database]
        classes = collections.Counter(schema.LABELS[int(row[3])] for row in own)
        complete = releases.of(database).protocol('3class').complete
        assert (complete.subjects, complete.clips) == (len({row[1] for row in own}), classes)


@pytest.mark.parametrize(
    ('database', 'emotion', 'label'),
    [
        ('casme2', 'happiness', 'positive'),
        ('casme2', 'repression', 'negative'),
        ('samm', 'Fear', 'negative'),
        ('samm', ' Contempt ', 'negative'),
        ('meview', 'comtempt', 'negative'),
        ('meview', 'fear?', 'negative'),
        ('smic', 'surprise', 'surprise'),
        ('casme3', 'Sad', 'negative'),
        ('casme3', 'happy', 'positive'),
        ('samm', 'contempt/disgust', 'negative'),
        ('4dme', 'Negative / Repression', 'negative'),
        ('4dme', 'Surprise+surprised', 'surprise'),
        ('mmew', 'sadness and fear', 'negative'),
    ],
)
def test_three_classes(database, emotion, label):
    protocol = releases.of(database).protocol('3class')
    assert protocols.label_of(clip(database, emotion), protocol) == (label, '')


@pytest.mark.parametrize(
    ('left_out', 'reason'),
    [
        (clip('casme2', 'others'), 'others is no class of 3class'),
        (clip('casme2', 'fear'), 'leaves out fear'),
        (clip('casme2', 'sadness'), 'leaves out sadness'),
        (clip('casme2', 'disgust', 'sub04', 'EP12_01f'), 'apex'),
        (clip('casme2', 'repression', 'sub05', 'EP09_05f'), 'not in the challenge'),
        (clip('samm', 'Other'), 'others is no class'),
        (clip('meview', ''), 'no emotion is given'),
        (clip('meview', schema.UNKNOWN_TEXT), 'no emotion is given'),
        (clip('meview', '?'), 'no emotion is given'),
        (clip('meview', 'N/A'), 'no emotion is given'),
        (clip('casme2', 'fear/sadness'), 'leaves out fear'),
    ],
)
def test_what_is_left_out_has_a_reason(left_out, reason):
    label, why = protocols.label_of(left_out, releases.of(left_out.database).protocol('3class'))
    assert label is None
    assert reason in why


@pytest.mark.parametrize('word', ['hapiness', 'Negative/Represion', '4+R12', 'disgust/', '/'.join('ab')])
def test_an_unknown_emotion_is_refused_with_the_known_ones(word):
    with pytest.raises(
        InputError, match=re.escape(f"'{word}' is no known emotion") + '.*happiness, surprise'
    ):
        protocols.label_of(clip('4dme', word), releases.of('4dme').protocol('3class'))


def test_words_of_several_classes_are_refused_with_the_classes():
    with pytest.raises(InputError, match=r'contempt is negative, surprise is surprise\): keep one'):
        protocols.label_of(clip('samm', 'contempt/surprise'), releases.of('samm').protocol('3class'))
    with pytest.raises(InputError, match='disgust is negative, fear is left out'):
        protocols.label_of(clip('casme2', 'disgust/fear'), releases.of('casme2').protocol('3class'))
    # The same words may be two classes of one protocol and one of another.
    with pytest.raises(InputError, match='keep one'):
        protocols.label_of(clip('samm', 'anger/contempt'), releases.of('samm').protocol('5class'))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    words=st.lists(
        st.sampled_from(sorted({word for words in protocols.EMOTIONS.values() for word in words})),
        min_size=1,
        max_size=3,
    ),
    between=st.sampled_from(['/', ' / ', '+', ', ', ' and ', ' or ', '; ', '|']),
    own=st.sampled_from(PROTOCOLS),
    upper=st.booleans(),
)
def test_words_have_the_class_that_each_of_them_has(words, between, own, upper):
    database, protocol = own
    each = {protocols.label_of(clip(database, word), protocol)[0] for word in words}
    text = between.join(words)
    together = clip(database, text.upper() if upper else text)
    if len(each) == 1:
        assert {protocols.label_of(together, protocol)[0]} == each
    else:
        with pytest.raises(InputError, match='different classes'):
            protocols.label_of(together, protocol)


def test_the_published_687_clips_of_casme3_leave_out_twelve_by_name():
    protocol = releases.of('casme3').protocol('3class-687')
    assert len(protocol.excluded) == 12
    label, reason = protocols.label_of(clip('casme3', 'disgust', 'spNO.9', 'h_4'), protocol)
    assert (label, 'published' in reason) == (None, True)
    assert protocols.label_of(clip('casme3', 'disgust', 'spNO.9', 'h_5'), protocol)[0] == 'negative'
    whole = releases.of('casme3').protocol('3class').complete.clips
    published = protocol.complete.clips
    assert list(published.values()) == [449, 54, 184]
    assert sum(whole.values()) - sum(published.values()) == 12


def test_the_two_sheets_of_casme2_have_counts_of_their_own():
    for name, total in (('3class', {'2014': 145, '2019': 148}), ('5class', {'2014': 246, '2019': 249})):
        protocol = releases.of('casme2').protocol(name)
        for version, clips in total.items():
            assert sum(protocol.complete_of(version).clips.values()) == clips


def test_part_c_of_casme3_is_not_compared_with_part_a():
    for protocol in releases.of('casme3').protocols:
        assert protocol.complete_of('part C') == protocols.Complete(annotated=165)
        assert protocol.complete_of('part A') == protocol.complete


def test_five_classes_are_the_databases_own():
    assert releases.of('casme2').protocol('5class').labels != releases.of('samm').protocol('5class').labels
    assert protocols.label_of(clip('samm', 'Other'), releases.of('samm').protocol('5class')) == ('others', '')
    assert protocols.label_of(clip('casme2', 'sadness'), releases.of('casme2').protocol('5class'))[0] is None


def test_the_five_classes_of_casme2_are_246_clips():
    classes = releases.of('casme2').protocol('5class').complete.clips
    assert sum(classes.values()) == 246
    # Disgust and repression make the challenge's 88 negative ones, which lack the two clips it leaves out.
    assert classes['disgust'] + classes['repression'] == 88 + 2


def test_an_unknown_protocol_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"'7class' of casme2: expected one of 3class, 5class"):
        releases.of('casme2').protocol('7class')
    assert releases.of('deception').protocol(None).labels == ('truthful', 'deceptive')
