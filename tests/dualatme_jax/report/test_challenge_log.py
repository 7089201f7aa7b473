import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax.errors import InputError
from dualatme_jax.report import challenge_log, predictions

VALID = 'casme2 sub01\nEP02_01f 1 1\nEP19_05f 0 2\nsamm 006\n006_1_2 0 0\n'
NAMES = st.text(st.characters(exclude_categories=('C', 'Z')), min_size=1, max_size=8)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('log') / 'log.txt'


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return challenge_log.read(path)


def test_the_form(path):
    table = read(path, VALID)
    assert table.to_numpy().tolist() == [
        [0, 0, 'casme2', 'sub01', 'EP02_01f', 1, 1],
        [0, 0, 'casme2', 'sub01', 'EP19_05f', 0, 2],
        [0, 0, 'samm', '006', '006_1_2', 0, 0],
    ]
    challenge_log.write(table, path)
    assert path.read_bytes() == VALID.encode()


def test_layout_does_not_matter(path):
    wild = '\ufeff\r\n' + VALID.replace(' ', ' \t ').replace('\n', '  \r\n\r\n').replace('samm', 'SAMM')
    pd.testing.assert_frame_equal(read(path, wild), read(path, VALID))


def test_it_is_a_predictions_table(path, tmp_path):
    table = read(path, VALID)
    predictions.write(table, tmp_path / 'predictions.csv')
    pd.testing.assert_frame_equal(predictions.read(tmp_path / 'predictions.csv')[0], table)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(['casme2', 'smic', 'samm']), NAMES, NAMES, st.integers(0, 2), st.integers(0, 2)
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda row: row[:3],
    )
)
@pytest.mark.slow
def test_a_table_survives_the_log(path, rows):
    table = pd.DataFrame(rows, columns=[*predictions.CLIP_KEY, 'label', 'prediction'])
    challenge_log.write(table, path)
    found = challenge_log.read(path)
    assert sorted(found[table.columns].itertuples(index=False, name=None)) == sorted(rows)


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=100) | st.text(st.sampled_from('\n\r ab012\t\0é'), max_size=40).map(str.encode)
)
def test_any_bytes_are_a_table_or_an_input_error(path, content):
    try:
        table = read(path, content)
    except InputError:
        return
    assert len(table)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'an empty file'),
        (b'\xff\xd8', 'not UTF-8'),
        ('EP02_01f 1 1\n', "line 1: clip 'EP02_01f' stands before any subject"),
        (VALID + 'word\n', "line 6: found 1 words ('word')"),
        (VALID + 'a 1 1 1\n', 'line 6: found 4 words'),
        (VALID + 'EP02_01f 1\n', "line 6: 'EP02_01f 1' is a clip without its prediction"),
        (VALID + 'c 1 3\n', "line 6: prediction is '3'"),
        (VALID + 'c x 1\n', "line 6: label is 'x'"),
        ('casme2 sub01\nc1 disgust happiness\n', "line 2: label is 'disgust'; expected one of 0 (negative)"),
        (VALID + '006_1_2 0 0\n', "line 6: clip is 'samm 006 006_1_2'; expected each clip once"),
        (VALID + 'smic s01\n', "line 6: subject 'smic s01' has no clips"),
        ('smic s01\n\n' + VALID, "line 1: subject 'smic s01' has no clips"),
        ('full s01\nc 1 1\n', "line 2: database is 'full'"),
    ],
)
def test_a_bad_log_is_refused(path, content, message):
    with pytest.raises(InputError) as error:
        read(path, content)
    assert message in str(error.value)


def test_a_subject_may_be_called_as_a_label(path):
    assert read(path, 'SAMM 1\nc 1 1\n')['subject'].tolist() == ['1']


@pytest.mark.parametrize(
    'names', [('samm', 'two words', 'c'), ('samm', '006', 'c\t1'), ('samm', '', 'c'), ('zoo', '2', 'c')]
)
def test_names_that_the_form_cannot_hold_are_refused(tmp_path, names):
    table = pd.DataFrame([[*names, 0, 0]], columns=[*predictions.CLIP_KEY, 'label', 'prediction'])
    with pytest.raises(InputError, match='Rename it'):
        challenge_log.write(table, tmp_path / 'log.txt')
    assert not list(tmp_path.iterdir())


def test_a_log_holds_one_seed(path, tmp_path):
    table = read(path, VALID)
    with pytest.raises(ValueError, match='one seed'):
        challenge_log.write(pd.concat([table, table.assign(seed=1)]), tmp_path / 'log.txt')
