import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions

HEADER = 'database,subject,clip,label,prediction'
VALID = f'{HEADER}\ncasme2,sub01,EP02_01f,1,1\nsamm,006,006_1_2,0,2\n'

# Names as a file system or a spreadsheet may hold them, commas and quotes included.
NAMES = st.text(st.characters(exclude_categories=('C', 'Z')), min_size=1, max_size=8)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('predictions') / 'predictions.csv'


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return predictions.read(path)


@st.composite
def prediction_tables(draw):
    """Tables as an engine would hand them over: float32 probabilities, a grid, several seeds."""
    databases = st.sampled_from(['casme2', 'smic', 'samm', 'casme3'])
    keys = draw(st.lists(st.tuples(databases, NAMES, NAMES), min_size=1, max_size=4, unique=True))
    labels = draw(st.lists(st.integers(0, 2), min_size=len(keys), max_size=len(keys)))
    seeds = draw(st.lists(st.integers(-5, 10**12), min_size=1, max_size=2, unique=True))
    weights = draw(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=2, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = [
        (trial, seed, *key, label, weight, loss)
        for trial, (seed, weight, loss) in enumerate(
            (s, w, k) for s in seeds for w in weights for k in ('ce', '')
        )
        for key, label in zip(keys, labels, strict=True)
    ]
    columns = ['trial', 'seed', *predictions.CLIP_KEY, 'label', 'weight', 'loss']
    table = pd.DataFrame(rows, columns=columns).astype({'weight': 'float32'})
    probabilities = rng.dirichlet(np.ones(3), size=len(table)).astype('float32')
    table['prediction'] = probabilities.argmax(axis=1)
    table[predictions.PROBABILITIES] = probabilities
    return table


@settings(max_examples=30, deadline=None)
@given(table=prediction_tables())
def test_a_table_survives_the_file(path, table):
    predictions.write(table, path)
    found = predictions.read(path)
    assert list(found) == [*predictions.COLUMNS, 'weight', 'loss']
    for name in predictions.PROBABILITIES:
        assert (found[name].astype('float32') == table[name]).all()
    assert (found['weight'].astype('float32') == table['weight']).all()
    same = [*predictions.CLIP_KEY, 'trial', 'seed', 'label', 'prediction', 'loss']
    assert found[same].to_numpy().tolist() == table[same].to_numpy().tolist()
    predictions.write(found, path)
    pd.testing.assert_frame_equal(predictions.read(path), found)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
def test_any_bytes_are_a_table_or_an_input_error(path, content):
    try:
        table = read(path, content)
    except InputError:
        return
    assert len(table)


@settings(max_examples=150, deadline=None)
@given(
    place=st.integers(0, len(VALID)),
    length=st.integers(0, 12),
    content=st.text(st.sampled_from('\n\r",; 0129abc\0é\t'), max_size=6),
)
def test_any_damage_is_a_table_or_an_input_error(path, place, length, content):
    try:
        table = read(path, VALID[:place] + content + VALID[place + length :])
    except InputError:
        return
    assert table[['label', 'prediction']].isin([0, 1, 2]).all(axis=None)
    assert not table.duplicated([*predictions.CLIP_KEY, 'seed', *predictions.hyperparameters(table)]).any()


def test_defaults_and_types(path):
    table = read(path, VALID)
    assert table['subject'].tolist() == ['sub01', '006']
    assert table[['trial', 'seed', 'label', 'prediction']].to_numpy().tolist() == [[0, 0, 1, 1], [0, 0, 0, 2]]


def test_words_case_blanks_crlf_and_mark_are_taken(path):
    text = '\ufeffclip, subject ,database,label,prediction\r\n'
    table = read(path, text + '\r\nc1,006,SAMM,Surprise, negative\r\n"c, 2",NA,samm,positive,1')
    assert table[['database', 'subject', 'clip']].to_numpy().tolist() == [
        ['samm', '006', 'c1'],
        ['samm', 'NA', 'c, 2'],
    ]
    assert table[['label', 'prediction']].to_numpy().tolist() == [[2, 0], [1, 1]]


def with_cell(column, value):
    """A table whose first row, line 2, is good and whose second has the given cell."""
    names = [*HEADER.split(','), 'seed', 'trial']
    good = dict(zip(names, ['samm', '006', '006_1_2', '0', '2', '0', '0'], strict=True))
    rows = [good, good | {'clip': '006_1_3', column: value}]
    return '\n'.join([','.join(good), *(','.join(row.values()) for row in rows)])


@pytest.mark.parametrize(
    ('column', 'value', 'message'),
    [
        ('label', '3', "line 3: label is '3'; expected one of 0 (negative), 1 (positive), 2 (surprise)"),
        ('label', '1.0', "label is '1.0'"),
        ('label', '-1', "label is '-1'"),
        ('label', 'happy', "label is 'happy'"),
        ('prediction', 'nan', "prediction is 'nan'"),
        ('label', '', "line 3: label is ''; expected a value"),
        ('subject', ' ', "line 3: subject is ''; expected a value"),
        ('clip', '', "line 3: clip is ''"),
        ('database', '', "line 3: database is ''"),
        ('database', 'full', "line 3: database is 'full'"),
        ('seed', '0.5', "line 3: seed is '0.5'; expected an integer"),
        ('seed', '', "line 3: seed is ''"),
        ('trial', 'one', "line 3: trial is 'one'; expected an integer"),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(path, column, value, message):
    with pytest.raises(InputError) as error:
        read(path, with_cell(column, value))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'an empty file'),
        (' \n\r\n', 'an empty file'),
        (HEADER + '\n', 'a header and no predictions'),
        (b'\x89PNG\r\n\x1a\n\0\0', 'not UTF-8'),
        (VALID.encode('utf-16'), 'not UTF-8'),
        ('a\0b', 'a binary file'),
        (
            'hello world',
            'the columns database, subject, clip, label, prediction are missing; found hello world',
        ),
        (VALID.replace('label', 'truth'), 'the columns label are missing'),
        (VALID.replace('subject', 'clip'), 'the columns clip stand there twice'),
        (',' + VALID, 'column 1 has no name'),
        (VALID + 'casme2,sub02\n', 'line 4: 2 values; expected 5'),
        (VALID + 'casme2,sub02,c,1,1,9\n', 'line 4: 6 values; expected 5'),
        (VALID + '"casme2', 'line 4: not CSV'),
        (
            VALID + 'SAMM,006,006_1_2,0,1\n',
            "line 4: clip is 'samm 006 006_1_2'; expected each clip once for each seed",
        ),
    ],
)
def test_a_bad_file_is_refused(path, content, message):
    with pytest.raises(InputError) as error:
        read(path, content)
    assert message in str(error.value)


@pytest.mark.parametrize('place', ['missing.csv', '.'])
def test_an_unreadable_file_is_refused(tmp_path, place):
    with pytest.raises(InputError, match=r'No such file|directory'):
        predictions.read(tmp_path / place)


@pytest.mark.parametrize(
    ('cells', 'message'),
    [
        ('0,0.2,0.7,0.1', "line 2: prediction is '0'; expected the class of the highest prob_*"),
        ('1,0.2,0.7,0.2', 'line 2: sum of prob_* is 1.1; expected 1'),
        ('1,-0.1,1,0.1', "line 2: prob_negative is '-0.1'; expected a probability from 0 to 1"),
        ('1,0,1.5,0', "line 2: prob_positive is '1.5'"),
        ('1,0,x,0', "line 2: prob_positive is 'x'"),
        ('1,0,nan,0', "line 2: prob_positive is 'nan'"),
        ('1,0,1,', "line 2: prob_surprise is ''; expected a value"),
    ],
)
def test_bad_probabilities_are_refused(path, cells, message):
    header = f'{HEADER},{",".join(predictions.PROBABILITIES)}'
    with pytest.raises(InputError) as error:
        read(path, f'{header}\nsmic,s01,c1,0,{cells}\n')
    assert message in str(error.value)


def test_rounded_and_tied_probabilities_are_taken(path):
    header = f'{HEADER},{",".join(predictions.PROBABILITIES)}'
    table = read(path, f'{header}\nsmic,s01,c1,0,2,0.333,0.333,0.333\nsmic,s01,c2,0,0,0.5004,0.5,0\n')
    assert table['prediction'].tolist() == [2, 0]


def test_probabilities_come_for_all_classes(path):
    with pytest.raises(InputError, match='the columns prob_negative, prob_surprise are missing'):
        read(path, f'{HEADER},prob_positive\nsmic,s01,c1,0,1,1\n')


def test_a_clip_may_stand_once_for_each_seed_and_point(path):
    header = f'{HEADER},seed,weight\n'
    rows = [f'smic,s01,c1,0,1,{seed},{weight}\n' for seed in (0, 1) for weight in (0.1, 1)]
    table = read(path, header + ''.join(rows))
    assert [(point, len(part)) for point, part in predictions.points(table)] == [
        ({'weight': 0.1}, 2),
        ({'weight': 1}, 2),
    ]
    with pytest.raises(
        InputError, match=r'line 6: clip is .* expected each clip once for each seed and weight'
    ):
        read(path, header + ''.join(rows) + rows[2])


def test_seeds_hold_the_same_clips(path):
    rows = 'smic,s01,c1,0,1,0\nsmic,s01,c2,0,1,0\nsmic,s01,c1,0,1,7\n'
    with pytest.raises(InputError, match='seed 7 has 1 of the 2 clips'):
        read(path, f'{HEADER},seed\n{rows}')


def test_a_column_that_is_no_hyperparameter_is_named(path):
    with pytest.raises(InputError, match=r'emotion happiness has 1 of the 2 clips.*drop columns'):
        read(path, f'{HEADER},emotion\nsmic,s01,c1,1,1,happiness\nsmic,s01,c2,0,1,fear\n')


def test_a_clip_has_one_ground_truth(path):
    with pytest.raises(InputError, match='line 3: label is 2; expected the ground truth'):
        read(path, f'{HEADER},seed\nsmic,s01,c1,0,1,0\nsmic,s01,c1,2,1,1\n')


def test_one_point_has_no_name(path):
    table = read(path, f'{HEADER},weight\nsmic,s01,c1,0,1,0.5\n')
    [(point, rows)] = predictions.points(table)
    assert point == {}
    assert rows is table


def test_sets_come_in_the_tables_order(path):
    rows = ''.join(f'{database},1,c,0,1\n' for database in ('zoo', 'samm', 'casme3', 'casme2', 'smic'))
    table = read(path, f'{HEADER}\n{rows}')
    assert list(predictions.subsets(table)) == ['full', 'casme2', 'smic', 'samm', 'casme3', 'zoo']
    assert predictions.count(table) == (5, 5)
