import pathlib

import numpy as np
import pandas as pd
import pytest

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import given, predictions, truth

LIST = (
    'casme2,sub01,EP02_01f,1\nsmic,s18,s18_sur_03,2\nsamm,6,006_5_9,2\nsamm,6,006_5_10,0\nsamm,6,006_5_11,0\n'
)
REAL = pathlib.Path(__file__).parents[4] / 'shared' / 'data' / 'megc2019_flow28' / 'combined_3class_gt.csv'


@pytest.fixture
def challenge(tmp_path):
    (tmp_path / 'list.csv').write_text(LIST)
    return truth.of_list(tmp_path / 'list.csv')


def predicted(rows, labels=schema.LABELS, *, named=True):
    table = pd.DataFrame(rows, columns=[*predictions.CLIP_KEY, 'label']).assign(prediction=0, seed=0, trial=0)
    return given.Given('a test', table, labels, named=named)


# As the list of Dual-ATME's program has SAMM's subject 6, and without one clip of SMIC.
OWN = [
    ('casme2', 'sub01', 'EP02_01f', 1),
    ('smic', 's18', 's18_sur_04', 2),
    ('samm', '006', '006_5_9', 0),
    ('samm', '006', '006_5_10', 0),
    ('samm', '006', '006_5_11', 2),
]


def test_differences_are_named_clip_by_clip(challenge):
    found = truth.compare(predicted(OWN), challenge)
    assert found.labels == {
        'samm/006/006_5_9': ('negative', 'surprise'),
        'samm/006/006_5_11': ('surprise', 'negative'),
    }
    assert found.absent == ['smic/s18/s18_sur_03']
    assert found.unknown == ['smic/s18/s18_sur_04']
    assert found.databases == []
    assert found.sentences('LIST') == [
        '2 labels differ: samm/006/006_5_9 is negative here and surprise in LIST; '
        'samm/006/006_5_11 is surprise here and negative in LIST',
        '1 clip of LIST has no prediction: smic/s18/s18_sur_03',
        '1 predicted clip is not in LIST: smic/s18/s18_sur_04',
    ]


def test_a_database_without_predictions_is_one_sentence(challenge):
    found = truth.compare(predicted(OWN[:1]), challenge)
    assert found.databases == ['smic', 'samm']
    assert found.sentences('LIST') == ['no clip is of smic, samm, which LIST has']


def test_several_seeds_count_once_and_equal_truths_say_so(challenge):
    rows = [('samm', '6', '006_5_9', 2), ('samm', '6', '006_5_10', 0), ('samm', '6', '006_5_11', 0)]
    own = predicted(rows)
    two = given.Given('', pd.concat([own.table, own.table.assign(seed=1)]), own.labels)
    assert truth.compare(two, truth.Truth('L', schema.LABELS, {
        clip: label for clip, label in challenge.clips.items() if clip[0] == 'samm'
    })).sentences('L') == ['all clips and labels are those of L']  # fmt: skip


def test_without_names_of_clips_the_classes_of_each_subject_are_compared(challenge):
    rows = [('samm', '006', '1', 0), ('samm', '006', '2', 0), ('samm', '006', '3', 0)]
    found = truth.compare(predicted(rows, named=False), challenge)
    assert found.labels == {'samm/006': ('3 negative', '2 negative and 1 surprise')}
    rows[2] = ('samm', '006', '3', 2)
    assert truth.compare(predicted(rows, named=False), challenge).labels == {}


def test_without_names_of_clips_it_is_subjects_that_are_counted(challenge):
    rows = [('samm', '006', '1', 0), ('casme2', 'sub02', '1', 0)]
    assert truth.compare(predicted(rows, named=False), challenge).sentences('LIST') == [
        'the labels of 1 subject differ: samm/006 is 1 negative here and 2 negative and 1 surprise in LIST',
        '1 subject of LIST has no prediction: casme2/sub01',
        '1 predicted subject is not in LIST: casme2/sub02',
        'no clip is of smic, which LIST has',
    ]
    own = predicted([('casme2', 'sub01', '1', 1)], named=False)
    clips = {clip: label for clip, label in challenge.clips.items() if clip[0] == 'casme2'}
    alike = truth.compare(own, truth.Truth('L', schema.LABELS, clips))
    assert alike.sentences('L') == ['all subjects and the numbers of their labels are those of L']


def test_many_differences_are_counted_and_some_named(challenge):
    rows = [('casme2', 'sub01', f'c{k}', 0) for k in range(30)]
    told = truth.compare(predicted(rows), challenge).sentences('LIST')[1]
    assert told.startswith('30 predicted clips are not in LIST: casme2/sub01/c0, ')
    assert told.endswith('casme2/sub01/c9, and 20 more')


def test_a_bad_list_is_refused(tmp_path):
    (tmp_path / 'list.csv').write_text(LIST + 'casme2,sub02,x,9\n')
    with pytest.raises(InputError, match=r"line 6: unknown label '9'.*leave --list out"):
        truth.of_list(tmp_path / 'list.csv')


def test_a_dataset_s_labels_are_its_own(five_class_dataset_dir):
    known = truth.of_dataset(five_class_dataset_dir)
    assert known.labels == ('happiness', 'surprise', 'disgust', 'repression', 'others')
    rows = [
        (*clip, (known.labels.index(label) + (clip[2] == 'clip0')) % 5) for clip, label in known.clips.items()
    ]
    found = truth.compare(predicted(rows, known.labels), known)
    assert len(found.labels) == sum(clip[2] == 'clip0' for clip in known.clips) == 4
    assert not found.absent


@pytest.mark.skipif(not REAL.exists(), reason='the list of the challenge is not here')
def test_the_published_log_of_ststnet_fits_the_challenge_s_list():
    known = truth.of_list(REAL)
    counts = {name: sum(clip[0] == name for clip in known.clips) for name in schema.COMPOSITE}
    assert counts == {'casme2': 145, 'smic': 164, 'samm': 133}
    # Subject 006 of STSTNet's log, which names no clips.
    rows = [('samm', '006', str(k), label) for k, label in enumerate(np.repeat([0, 2], [9, 2]))]
    assert truth.compare(predicted(rows, named=False), known).labels == {}
