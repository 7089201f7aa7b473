import openpyxl
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import given

HEADER = ['database', 'subject', 'clip', 'label', 'prediction']
ROW = ['casme2', 'sub01', 'EP02_01f', 1, 2]
PRINTED = 'lr=0.1\nSubject: sub01\nBest Predicted : [1]\nGround Truth : [1]\n'


def book(path, *sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for number, rows in enumerate(sheets):
        sheet = made.create_sheet(f'sheet {number}')
        for row in rows:
            sheet.append(row)
    made.save(path)
    return made


def test_a_workbook_is_read_by_the_sheet_that_has_the_header(tmp_path):
    path = tmp_path / 'predictions.anything'
    rows = [[], HEADER, ROW, [], ['samm', 6, 7.0, 0.0, '1.0']]
    book(path, [['notes'], ['of mine']], rows)
    found = given.read(path)
    assert found.form == 'a workbook'
    assert found.table[HEADER].to_numpy().tolist() == [ROW, ['samm', '6', '7', 0, 1]]
    assert found.notes == ()


def test_hidden_rows_of_a_workbook_are_told(tmp_path):
    path = tmp_path / 'predictions.xlsx'
    made = book(path, [HEADER, ROW, ['samm', '006', 'c', 0, 0]])
    made.active.row_dimensions[3].hidden = True
    made.save(path)
    assert given.read(path).notes == ("1 hidden rows of the worksheet 'sheet 0' are read too.",)


@pytest.mark.parametrize(
    ('sheets', 'says'),
    [
        ([[]], 'an empty workbook'),
        ([[ROW]], r"worksheet 'sheet 0': the header is missing: the first line is 'casme2, sub01, EP02"),
        ([[HEADER[1:], ROW[1:]]], r"worksheet 'sheet 0': missing columns: database"),
        ([[HEADER, ROW, ['samm', None, 'c', 1, 1]]], 'line 3: subject is .*; expected a value'),
        ([[HEADER, ROW, ['samm', '006', 'c', 'x', 1]]], "line 3: label is 'x'"),
    ],
)  # fmt: skip
def test_a_faulty_workbook_is_named(tmp_path, sheets, says):
    book(tmp_path / 'book.xlsx', *sheets)
    with pytest.raises(InputError, match=says):
        given.read(tmp_path / 'book.xlsx')


def test_a_run_s_folder_is_its_predictions(tmp_path):
    with pytest.raises(
        InputError, match=r'is a folder without predictions.csv; expected a file of predictions'
    ):
        given.read(tmp_path)
    (tmp_path / 'predictions.csv').write_text(f'{",".join(HEADER)}\n{",".join(map(str, ROW))}\n')
    found = given.read(tmp_path)
    assert found.table[HEADER].to_numpy().tolist() == [ROW]
    assert found.notes == ()
    (tmp_path / 'results.json').write_text('{"notice": "SMOKE TEST", "dataset": {"release": "synthetic"}}')
    found = given.read(tmp_path)
    assert found.notes == ()
    assert found.notice == 'SMOKE TEST\nThe clips are synthetic: these are not scores of real faces.'


def test_columns_that_are_not_read_are_told(tmp_path):
    path = tmp_path / 'file.csv'
    path.write_text(f'{",".join(HEADER)},age\n{",".join(map(str, ROW))},30\n')
    note = 'Not read: the column age; name it by --point if it is a hyperparameter.'
    assert given.read(path).notes == (note,)
    assert given.read(path, points=['age']).notes == ()
    path.write_text(f'{",".join(HEADER)},age,sex\n{",".join(map(str, ROW))},30,f\n')
    note = 'Not read: the columns age, sex; name by --point those that are hyperparameters.'
    assert given.read(path).notes == (note,)


@pytest.mark.parametrize('mark', [' ', '\t', '  \t '])
def test_a_challenge_log_may_have_tabs(tmp_path, mark):
    (tmp_path / 'log').write_text(f'\ncasme2{mark}sub01{mark}\na{mark}1{mark}2\n')
    found = given.read(tmp_path / 'log')
    assert (found.form, found.labels, len(found.table)) == ('a challenge log', schema.LABELS, 1)


def test_a_printed_log_says_what_it_does_not_know_and_that_it_leaks(tmp_path):
    (tmp_path / 'log').write_text(PRINTED)
    found = given.read(tmp_path / 'log')
    assert not found.named
    assert found.selection == 'best epoch on the left-out subject, WHICH LEAKS'
    assert [note.split()[0] for note in found.notes] == ['The', 'The', 'LEAKS:']
    (tmp_path / 'log').write_text(PRINTED.replace('Best ', '').replace('sub01', 'spNO.1'))
    found = given.read(tmp_path / 'log')
    assert found.selection is None
    assert found.notes[1].startswith('The log names no databases')


@settings(max_examples=100, deadline=None, derandomize=True)
@given_by(
    content=st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            ['Subject: a\n', 'Predicted: [1]\n', 'Ground Truth: [1]\n', 'casme2 s\n', 'c 1 1\n', 'c\t1\t1\n']
            + [f'{mark.join(HEADER)}\n' for mark in ',;\t']
            + [f'{mark.join(map(str, ROW))}\n' for mark in ',;\t']
            + ['PK\x03\x04', '\n', ',,,,\n', '"', '\x00', '\ufeff', '\x1b[2J']
        ),
        max_size=6,
    ).map(lambda parts: ''.join(parts).encode())
)
@pytest.mark.slow
def test_any_file_is_a_table_or_an_input_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / 'anything'
    path.write_bytes(content)
    try:
        found = given.read(path)
    except InputError:
        return
    assert len(found.table)
    assert found.table[['label', 'prediction']].max(axis=None) < len(found.labels)
