import datetime
import os
import zipfile

import openpyxl
import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.files import cells
from dualatme_jax.errors import InputError
from dualatme_jax.outside import workbook

ROWS = [['Subject', 'Onset'], *([number, f'EP{number}'] for number in range(40))]


def test_cells_of_any_type_are_read(tmp_path):
    row = [True, datetime.datetime(2014, 5, 8), datetime.time(1), '=1/0', 'NA', '#REF!', 1e300]
    path = tiny_release.xlsx(tmp_path / 'codes.xlsx', [row])
    [worksheet] = workbook.read(path)
    assert worksheet.rows[0][4] == 'NA'
    assert all(isinstance(cells.text(cell), str) for cell in worksheet.rows[0])


def test_both_kinds_give_the_same_cells(tmp_path):
    rows = [['a', 1, 2.0, 0.5, ''], ['', '', '', '', ''], ['', 'b', '', '', 3]]
    new = tiny_release.xlsx(tmp_path / 'new.xlsx', rows)
    old = tiny_release.xls(tmp_path / 'old.xls', {'Sheet1': rows})
    [one], [other] = workbook.read(new), workbook.read(old)
    assert one.rows == other.rows == rows
    assert type(one.rows[0][2]) is type(other.rows[0][2]) is int


def test_rows_that_a_program_hides_are_marked(tmp_path):
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    for number in (3, 7):
        book.active.row_dimensions[number].hidden = True
    book.save(tmp_path / 'hidden.xlsx')
    [worksheet] = workbook.read(tmp_path / 'hidden.xlsx')
    assert worksheet.hidden == {3, 7}
    assert [list(row) for row in worksheet.rows] == ROWS


def test_cells_that_are_only_formatted_are_none(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(['a'])
    book.active['XFD1048576'].font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / 'bold.xlsx')
    [worksheet] = workbook.read(tmp_path / 'bold.xlsx')
    assert worksheet.rows == [['a']]


def far_cell(path):
    book = openpyxl.Workbook()
    book.active['XFD1048576'] = 1
    book.save(path)


def far_row(path):
    """A row of a number that no spreadsheet program has."""
    tiny_release.xlsx(path, ROWS)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = next(name for name in parts if name.endswith('sheet1.xml'))
    parts[sheet] = parts[sheet].replace(b'r="41"', b'r="1000000000"').replace(b'A41', b'A1000000000')
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def long_csv(path):
    path.write_text('a,b\n' * 100_001)


def wide_csv(path):
    path.write_text('a,' * 1001)


@pytest.mark.parametrize('make', [far_cell, far_row, long_csv, wide_csv])
def test_more_rows_or_columns_than_a_sheet_has_are_refused(tmp_path, make):
    make(tmp_path / 'far.xlsx')
    with pytest.raises(InputError, match=r'far\.xlsx has a worksheet .* rows and .* columns \(expected'):
        workbook.read(tmp_path / 'far.xlsx')


def test_what_unpacks_to_too_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'bomb.xlsx', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('xl/worksheets/sheet1.xml', bytes(65 * 2**20))
    assert (tmp_path / 'bomb.xlsx').stat().st_size < 2**17
    with pytest.raises(InputError, match=r'bomb\.xlsx unpacks to 65 MiB \(expected 64 at most\)'):
        workbook.read(tmp_path / 'bomb.xlsx')


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / 'sheet.xlsx')
    with pytest.raises(InputError, match=r'sheet\.xlsx: it is a .*; expected a regular file'):
        workbook.read(tmp_path / 'sheet.xlsx')


@pytest.fixture(scope='module')
def books(tmp_path_factory):
    folder = tmp_path_factory.mktemp('books')
    new = tiny_release.xlsx(folder / 'new.xlsx', ROWS)
    old = tiny_release.xls(folder / 'old.xls', {'Sheet1': ROWS})
    return new.read_bytes(), old.read_bytes(), folder / 'damaged.xlsx'


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    old=st.booleans(),
    end=st.floats(0.1, 1),
    bytes_=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=20),
)
@pytest.mark.slow
def test_damaged_workbooks_are_errors(books, old, end, bytes_):
    content = bytearray(books[old])
    for place, value in bytes_:
        content[8 + int(place * (len(content) - 9))] = value
    books[2].write_bytes(content[: max(8, int(end * len(content)))])
    try:
        said = [type(worksheet.rows) for worksheet in workbook.read(books[2])]
    except InputError as error:
        said = str(error)
    assert 'damaged' in said or set(said) <= {list}
