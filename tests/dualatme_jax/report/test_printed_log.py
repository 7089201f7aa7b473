import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import printed_log, scores

# The first two subjects of the log that the authors of STSTNet published with their PyTorch program, and what
# it says of them.
STSTNET = """lr=0.000050, epochs=800, device=cuda

Subject: 006\x20
Predicted   : [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2]\x20
Ground Truth: [0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2]\x20
UF1: 0.5185 | UAR: nan\x20
Subject: 007\x20
Predicted   : [1, 1, 0, 1, 1, 0, 0, 1]\x20
Ground Truth: [0, 1, 1, 1, 1, 1, 2, 2]\x20
Evaluation until this subject:\x20
UF1: 0.5576 | UAR: 0.55\x20
"""
HTNET = """['sub01', 's1']
Subject: sub01
train
Best Predicted    : [0, 1]
Ground Truth : [0, 2]
best UF1: 0.5 | best UAR: 0.5
Subject: s01
Best Predicted    : [2]
Ground Truth : [2]
"""


def read(text, **options):
    return printed_log.read(text, 'log.txt', **options)


def test_the_published_log_scores_as_it_says():
    table, labels, kind = read(STSTNET)
    assert (labels, kind) == (schema.LABELS, printed_log.PREDICTED)
    assert table['subject'].tolist() == ['006'] * 11 + ['007'] * 8
    assert set(table['database']) == {'samm'}
    assert table['clip'].tolist() == [str(k) for k in (*range(1, 12), *range(1, 9))]
    found = scores.score(table)
    assert (round(found['uf1'], 4), round(found['uar'], 4)) == (0.5576, 0.55)


@pytest.mark.parametrize(
    'printed',
    [
        '[0, 2, 1]',
        '[0 2 1]',
        '[0. 2. 1.]',
        'tensor([0, 2, 1], device="cuda:0")',
        'array([0, 2, 1])',
        '[np.int64(0), np.int64(2), np.int64(1)]',
        "[tensor(0, device='cuda:0'), tensor(2, device='cuda:0'), tensor(1)]",
    ],
)
def test_lists_as_python_numpy_and_pytorch_print_them(printed):
    table, _, _ = read(f'Subject: 006\nPredicted: {printed}\nGround Truth: [0, 1, 1]\n')
    assert table['prediction'].tolist() == [0, 2, 1]


def test_the_best_epoch_s_predictions_are_known_as_such():
    table, _, kind = read(HTNET)
    assert kind == printed_log.BEST_PREDICTED
    assert table[['database', 'subject', 'label', 'prediction']].to_numpy().tolist() == [
        ['casme2', 'sub01', 0, 0],
        ['casme2', 'sub01', 2, 1],
        ['smic', 's01', 2, 2],
    ]


def test_where_both_stand_the_honest_ones_are_read():
    both = HTNET.replace('Best Predicted    : [0, 1]', 'Predicted: [2, 2]\nBest Predicted: [0, 1]')
    both = both.replace('Best Predicted    : [2]', 'Best Predicted: [2]\nPredicted: [0]')
    table, _, kind = read(both)
    assert kind == printed_log.PREDICTED
    assert table['prediction'].tolist() == [2, 2, 0]


@pytest.mark.parametrize(
    'form', ['[0, 1]', 'tensor([0, 1])', '[0 1]', '[0.0, 1.0]', "tensor([0., 1.], device='cuda:0')"]
)
def test_lists_are_read_as_python_numpy_and_pytorch_print_them(form):
    table, _, _ = read(f'SUBJECT : x\npredicted: {form}\r\nGround truth:{form}\n')
    assert table[['label', 'prediction']].to_numpy().tolist() == [[0, 0], [1, 1]]
    assert set(table['database']) == {'unknown'}


def test_one_name_that_is_not_the_composite_s_leaves_all_databases_unknown():
    table, _, _ = read(STSTNET.replace('007', 'spNO.7'))
    assert set(table['database']) == {'unknown'}


def test_subjects_of_samm_may_be_spelled_as_in_the_challenge_s_list():
    long, short = read(STSTNET)[0], read(STSTNET.replace('00', ''))[0]
    assert set(long['database']) == {'samm'}
    pd.testing.assert_frame_equal(short, long)
    for other in ('5', '38', '0006'):  # none of SAMM's
        assert set(read(STSTNET.replace('007', other))[0]['database']) == {'unknown'}


def test_classes_may_be_those_of_a_dataset():
    four = ('anger', 'disgust', 'fear', 'joy')
    table, labels, _ = read('Subject: a\nPredicted: [3]\nGround Truth: [2]\n', labels=four)
    assert labels == four
    assert table['label'].tolist() == [2]


@pytest.mark.parametrize(
    ('old', 'new', 'says'),
    [
        ('Subject: 007', 'Subject: 006', "line 7: subject '006' stands in line 3 already: the log"),
        ('[1, 1, 0, 1, 1, 0, 0, 1]', '[1, 1]', "line 7: subject '007' has 2 predictions and 8 labels"),
        ('Predicted   : [1', 'Predicting  : [1', "subject '007' has no line `Predicted: [...]`"),
        ('Ground Truth: [0, 1', 'Truth: [0, 1', "subject '007' has no line `Ground Truth: [...]`"),
        ('Subject: 007', 'Subject 007', "line 8: 'Predicted' stands there twice for one subject"),
        ('Subject: 006', 'Subject 006', "line 4: 'Predicted' stands before any subject"),
        ('0, 2, 2]', '0, 2, 3]', "line 5: label is '3'; expected one of 0 (negative)"),
        ('0, 2, 2]', '0, 2, x]', "line 5: label is 'x'"),
        ('0, 2, 2]', '0, 2, 2', "line 5: no list in '[0, 0, 0"),
        ('Subject: 007', 'Subject:', "line 9: subject is ''"),
    ],
)  # fmt: skip
def test_a_faulty_log_is_named_by_its_line(old, new, says):
    assert old in STSTNET
    with pytest.raises(InputError) as error:
        read(STSTNET.replace(old, new))
    assert says in str(error.value)


@pytest.mark.parametrize(
    'text', ['', 'Subject: a', 'casme2 sub01\na 1 1\n', 'Predicted: [1]\n', 'subject,clip\n']
)
def test_other_texts_are_no_such_log(text):
    assert not printed_log.is_one(text)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    subjects=st.dictionaries(
        st.text(st.characters(exclude_categories=('C', 'Z')), min_size=1, max_size=5),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    noise=st.lists(st.sampled_from(['', 'train', 'UF1: 0.5 | UAR: nan', 'Epoch 3/800: 100%']), max_size=3),
)
@pytest.mark.slow
def test_what_is_printed_is_read_back(subjects, noise):
    text = ''.join(
        f'Subject: {name}\n'
        + ''.join(f'{line}\n' for line in noise)
        + f'Predicted    : {[p for _, p in pairs]}\nGround Truth : {[t for t, _ in pairs]}\n'
        for name, pairs in subjects.items()
    )
    assert printed_log.is_one(text)
    table, _, _ = read(text)
    truth, prediction = np.array([pair for pairs in subjects.values() for pair in pairs]).T
    assert table['subject'].tolist() == [name for name, pairs in subjects.items() for _ in pairs]
    assert scores.score(table)['uf1'] == pytest.approx(metrics.f1_score(truth, prediction, average='macro'))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    place=st.integers(0, len(STSTNET)),
    length=st.integers(0, 40),
    content=st.text(st.sampled_from('\n\r[], 012x:Subject\x1b'), max_size=8),
)
def test_any_damage_is_a_table_or_an_input_error(place, length, content):
    text = STSTNET[:place] + content + STSTNET[place + length :]
    if not printed_log.is_one(text):
        return
    try:
        table, _, _ = read(text)
    except InputError:
        return
    assert isinstance(table, pd.DataFrame)
    assert table[['label', 'prediction']].isin([0, 1, 2]).all(axis=None)
