import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax import schema
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
    return read_both(path, content)[0]


def read_both(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return predictions.read(path)


def chances(labels=schema.LABELS):
    return [f'prob_{label}' for label in labels]


POINT = ['loss.cosine_weight', 'loss.name']  # two fields of a config, which are hyperparameters

LABEL_SETS = [
    schema.LABELS,
    ('truthful', 'deceptive'),
    ('happiness', 'surprise', 'disgust', 'Fear', 'others'),
]


@st.composite
def prediction_tables(draw):
    """Tables as an engine would hand them over: float32 probabilities, a grid, seeds; and their classes."""
    classes = draw(st.sampled_from(LABEL_SETS))
    databases = st.sampled_from(['casme2', 'smic', 'samm', 'casme3'])
    keys = draw(st.lists(st.tuples(databases, NAMES, NAMES), min_size=1, max_size=4, unique=True))
    numbers = st.integers(0, len(classes) - 1)
    labels = draw(st.lists(numbers, min_size=len(keys), max_size=len(keys)))
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
    columns = ['trial', 'seed', *predictions.CLIP_KEY, 'label', *POINT]
    table = pd.DataFrame(rows, columns=columns).astype({POINT[0]: 'float32'})
    probabilities = rng.dirichlet(np.ones(len(classes)), size=len(table)).astype('float32')
    table['prediction'] = probabilities.argmax(axis=1)
    table[chances(classes)] = probabilities
    return table, classes


@settings(max_examples=30, deadline=None)
@given(drawn=prediction_tables())
@pytest.mark.slow
def test_a_table_survives_the_file(path, drawn):
    table, classes = drawn
    predictions.write(table, path)
    found, labels = predictions.read(path)
    assert labels == classes
    assert list(found) == [*predictions.COLUMNS, *chances(classes), *POINT]
    for name in chances(classes):
        assert (found[name].astype('float32') == table[name]).all()
    assert (found[POINT[0]].astype('float32') == table[POINT[0]]).all()
    same = [*predictions.CLIP_KEY, 'trial', 'seed', 'label', 'prediction', POINT[1]]
    assert found[same].to_numpy().tolist() == table[same].to_numpy().tolist()
    predictions.write(found, path)
    pd.testing.assert_frame_equal(predictions.read(path)[0], found)


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
        ('label', '1.5', "label is '1.5'"),
        ('label', '1.0e0', "label is '1.0e0'"),
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
            "the header is missing: the first line is 'hello world'; expected one that names",
        ),
        (VALID.split('\n', 1)[1], "the header is missing: the first line is 'casme2, sub01, EP02_01f, 1, 1'"),
        (VALID.split('\n', 1)[1].replace(',', ';'), 'the header is missing'),
        (
            'y_true,y_pred\n1,1\n',
            "the first line, 'y_true, y_pred', names none of the columns needed",
        ),
        (VALID.replace('label', 'truth'), 'missing columns: label'),
        (VALID.replace('subject', 'clip'), 'the columns clip are there twice'),
        (',' + VALID, 'column 1 has no name'),
        (VALID + 'casme2,sub02\n', 'line 4: 2 values; expected 5'),
        (VALID + 'casme2,sub02,c,1,1,9\n', 'line 4: 6 values; expected 5'),
        (VALID + '"casme2', 'line 4: not CSV'),
        (VALID + 'casme2;sub02;c;1;1\n', 'line 4: 1 values; expected 5'),
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
    with pytest.raises(InputError, match=r'No such file|it is a folder'):
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
    header = f'{HEADER},{",".join(chances())}'
    with pytest.raises(InputError) as error:
        read(path, f'{header}\nsmic,s01,c1,0,{cells}\n')
    assert message in str(error.value)


def test_rounded_and_tied_probabilities_are_taken(path):
    header = f'{HEADER},{",".join(chances())}'
    table = read(path, f'{header}\nsmic,s01,c1,0,2,0.333,0.333,0.333\nsmic,s01,c2,0,0,0.5004,0.5,0\n')
    assert table['prediction'].tolist() == [2, 0]


FIVE = ('happiness', 'surprise', 'disgust', 'repression', 'others')


def five(*rows):
    return f'{HEADER},{",".join(chances(FIVE))}\n' + ''.join(
        f'casme2,s,c{k},{row}\n' for k, row in enumerate(rows)
    )


def test_the_columns_of_probabilities_number_the_classes(path):
    table, labels = read_both(path, five('4,Disgust,0,0,1,0,0', 'repression,1,0.2,0.6,0.1,0.1,0'))
    assert labels == FIVE
    assert table[['label', 'prediction']].to_numpy().tolist() == [[4, 2], [3, 1]]
    assert table['prob_surprise'].tolist() == [0, 0.6]
    assert predictions.hyperparameters(table) == []


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        (
            '5,0,1,0,0,0,0',
            "label is '5'; expected one of 0 (happiness), 1 (surprise), 2 (disgust), 3 (repression)",
        ),
        ('negative,0,1,0,0,0,0', "label is 'negative'"),
        ('0,4,0,0,1,0,0', "prediction is '4'; expected the class of the highest prob_*"),
        ('0,0,0.5,0,0,0.1,0', 'sum of prob_* is 0.6'),
    ],
)
def test_bad_rows_of_five_classes_are_refused(path, row, message):
    with pytest.raises(InputError) as error:
        read(path, five(row))
    assert message in str(error.value)


def test_the_challenge_numbers_its_classes_in_whatever_order_the_columns_stand(path):
    table, labels = read_both(
        path, f'{HEADER},prob_surprise,prob_negative,prob_positive\nsmic,s01,c1,2,0,0.3,0.6,0.1\n'
    )
    assert labels == schema.LABELS
    assert table[['label', 'prediction', *chances()]].to_numpy().tolist() == [[2, 0, 0.6, 0.1, 0.3]]


@pytest.mark.parametrize(
    ('cells', 'classes'),
    [
        (['0,2'], schema.LABELS),
        (['negative,positive'], schema.LABELS),
        (['negative,2', '1,Surprise'], schema.LABELS),
        (['Truthful,deceptive', 'deceptive,deceptive'], ('deceptive', 'truthful')),
        (['surprise,others', 'others,negative'], ('negative', 'others', 'surprise')),
    ],
)
def test_without_probabilities_the_labels_tell_the_classes(path, cells, classes):
    rows = ''.join(f'casme3,s,c{k},{row}\n' for k, row in enumerate(cells))
    table, labels = read_both(path, f'{HEADER}\n{rows}')
    assert labels == classes
    for name, place in (('label', 0), ('prediction', 1)):
        words = [row.split(',')[place].lower() for row in cells]
        assert [{str(code), classes[code]} >= {word} for code, word in zip(table[name], words, strict=True)]
        assert all(word in (str(code), classes[code]) for code, word in zip(table[name], words, strict=True))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (f'{HEADER},prob_positive\nsmic,s01,c1,0,0,1\n', '1 classes (positive); expected 2 to 20'),
        (
            f'{HEADER},prob_a,prob_A\nsmic,s01,c1,0,0,1,0\n',
            "the classes 'a' and 'A' have one name (columns prob_LABEL)",
        ),
        (
            f'{HEADER},prob_a,prob_0\nsmic,s01,c1,0,0,1,0\n',
            "the class '0', number 1, is called like another number",
        ),
        (f'{HEADER},prob_a,prob_\nsmic,s01,c1,0,0,1,0\n', "the class '' is empty"),
        (f'{HEADER}\nsmic,s01,c1,happy,happy\n', '1 classes (happy); expected 2 to 20'),
        (f'{HEADER}\n' + ''.join(f's,s,c{k},word{k},a\n' for k in range(40)), '41 classes (a, word0, word1,'),
        (f'{HEADER}\nsmic,s01,c1,1.5,0.0\n', "label is '1.5'; expected one of 0 (negative)"),
        (f'{HEADER}\nsmic,s01,c1,happy,nan\n', "label is 'happy'; expected one of 0 (negative)"),
    ],
)
def test_labels_that_tell_no_classes_are_refused(path, content, message):
    with pytest.raises(InputError) as error:
        read(path, content)
    assert message in str(error.value)


def test_columns_in_the_order_of_numbers_may_be_called_by_them(path):
    assert read_both(path, f'{HEADER},prob_0,prob_1\nsmic,s01,c1,0,1,0,1\n')[1] == ('0', '1')


def test_a_clip_may_stand_once_for_each_seed_and_point(path):
    header = f'{HEADER},seed,loss.weight\n'
    rows = [f'smic,s01,c1,0,1,{seed},{weight}\n' for seed in (0, 1) for weight in (0.1, 1)]
    table = read(path, header + ''.join(rows))
    assert [(point, len(part)) for point, part in predictions.points(table)] == [
        ({'loss.weight': 0.1}, 2),
        ({'loss.weight': 1}, 2),
    ]
    with pytest.raises(
        InputError, match=r'line 6: clip is .* expected each clip once for each seed and loss.weight'
    ):
        read(path, header + ''.join(rows) + rows[2])


def test_seeds_hold_the_same_clips(path):
    rows = 'smic,s01,c1,0,1,0\nsmic,s01,c2,0,1,0\nsmic,s01,c1,0,1,7\n'
    with pytest.raises(InputError, match='seed 7 has 1 of the 2 clips'):
        read(path, f'{HEADER},seed\n{rows}')


AGES = f'{HEADER},age,duration\nsmic,s01,c1,1,1,20,0.5\nsmic,s02,c2,0,1,30,0.4\n'


def test_a_column_that_nobody_has_named_is_no_hyperparameter(path):
    table = read(path, AGES)
    assert list(table) == predictions.COLUMNS
    assert predictions.unread(AGES.splitlines()[0].split(',')) == ['age', 'duration']
    assert predictions.unread(['epoch', 'loss.name', 'prob_x', 'age', 'a', 'Loss.Name'], ['a']) == [
        'age',
        'Loss.Name',
    ]


def test_a_column_that_is_named_is_a_hyperparameter(path):
    two = AGES + 'smic,s01,c1,1,1,40,0.5\nsmic,s02,c2,0,1,40,0.4\n'
    with pytest.raises(InputError, match=r'line 4: clip is .*once for each seed \(of the columns age, dur'):
        read(path, two)
    path.write_text(two.replace('30', '20'))
    table, _ = predictions.read(path, points=['age'])
    assert [point for point, _ in predictions.points(table)] == [{'age': 20}, {'age': 40}]
    with pytest.raises(InputError, match='no column weight to be a hyperparameter; found database, subject'):
        predictions.read(path, points=['weight'])


@pytest.mark.parametrize('delimiter', [';', '\t'])
def test_semicolons_and_tabs_set_values_apart_and_then_a_comma_may_be_a_point(path, delimiter):
    rows = [
        [*HEADER.split(','), *chances(), 'loss.weight'],
        ['smic', 's01', 'c,1', '0', '1', '0,25', '0,5', '0,25', '0,5'],
    ]
    table = read(path, '\n'.join(map(delimiter.join, rows)))
    expected = ['smic', 's01', 'c,1', 0, 1, 0.25, 0.5, 0.25, 0.5]
    assert table.drop(columns=['trial', 'seed']).to_numpy().tolist() == [expected]


def test_numbers_as_spreadsheets_write_them_and_names_of_columns_in_any_case(path):
    table = read(path, 'Database,Subject,Clip,Label,Prediction,Seed\nsmic,6.0,1.0,1.0,2.,3.0\n')
    assert table.drop(columns='trial').to_numpy().tolist() == [[3, 'smic', '6.0', '1.0', 1, 2]]


def test_rows_of_empty_cells_are_skipped(path):
    assert len(read(path, VALID + ',,,,\n , ,,,\n')) == 2


def test_classes_may_be_given_where_labels_are_numbers(path):
    path.write_text(f'{HEADER}\ncasme3,s,c,4,3\n')
    table, labels = predictions.read(path, labels=FIVE)
    assert (labels, table[['label', 'prediction']].to_numpy().tolist()) == (FIVE, [[4, 3]])


def test_inner_predictions_are_no_scores(path):
    with pytest.raises(InputError, match="no system's scores"):
        read(path, f'{HEADER},left_out,inner\ncasme2,s,c,0,0,smic/s1,1\n')


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
