import datetime
import os
import pathlib

import numpy as np
import openpyxl
import pytest
import tiny_release

from data_prep.files import cells, folders, sheet
from dualatme_jax import schema
from dualatme_jax.errors import InputError

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')

COLUMNS = {
    'subject': ('Subject', 'sub'),
    'clip': ('Filename',),
    'onset': ('Onset Frame', 'Onset'),
    'emotion': ('Emotion',),
}
HEADER = ['Subject', 'Filename', 'Onset Frame', 'Emotion']
ROW = [1, 'EP02_01f', 46, 'happiness']


def find(folder: pathlib.Path, chosen: pathlib.Path | None = None, **options) -> sheet.Table:
    return sheet.find(folders.walk(folder), chosen, COLUMNS, official='codes*', **options)


@pytest.mark.parametrize(
    'cell',
    [46, 46.0, '46', ' 46 ', '46.0', np.int64(46), np.float64(46), '0046', '\N{FULLWIDTH DIGIT FOUR}6'],
)
def test_a_frame_number_may_be_typed_in_many_ways(cell):
    assert cells.frame(cell) == 46


@pytest.mark.parametrize(
    'cell',
    [
        '/',
        '-',
        '',
        ' ',
        float('nan'),
        None,
        '\N{EN DASH}',
        'NaN',
        '?',
        'N/A',
        '#N/A',
        '\N{FULLWIDTH QUESTION MARK}',
    ],
)
def test_a_frame_that_is_not_given_is_unknown(cell):
    assert cells.frame(cell) == schema.UNKNOWN_FRAME


@pytest.mark.parametrize(
    'cell',
    [
        'abc',
        '46-50',
        '46,5',
        46.5,
        -1,
        True,
        float('inf'),
        10**400,
        '9' * 5000,
        '#REF!',
        '4_6',
        '\N{SUPERSCRIPT TWO}',
        datetime.datetime(2014, 5, 8),
        datetime.time(1, 2),
    ],
)
def test_anything_else_is_no_frame_number(cell):
    with pytest.raises(ValueError, match='no frame number'):
        cells.frame(cell)


@pytest.mark.parametrize(
    ('cell', 'words'),
    [
        (4.0, '4'),
        (4, '4'),
        ('\N{FULLWIDTH LATIN CAPITAL LETTER E}P\N{IDEOGRAPHIC SPACE}1', 'EP 1'),
        ('46\N{SUPERSCRIPT TWO}', '46\N{SUPERSCRIPT TWO}'),
        ('?', ''),
        (4.5, '4.5'),
        (' 4+\n7 ', '4+ 7'),
        ('/', ''),
        (None, ''),
        (True, 'True'),
    ],
)
def test_cells_in_words(cell, words):
    assert cells.text(cell) == words


def test_the_header_is_found_below_titles_and_rows_keep_the_numbers_of_excel(tmp_path):
    above = [['Micro-expressions'], [], [None, 'Subject: who', 'Emotion'], []]
    rows = [ROW, [None, None], HEADER, [2, 'EP01_11f', 5, 'others']]
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [*above, HEADER, *rows])
    table = find(tmp_path)
    assert [row.place for row in table.rows] == ['codes.xlsx, row 6', 'codes.xlsx, row 9']
    assert table.rows[0].cells == {'subject': 1, 'clip': 'EP02_01f', 'onset': 46, 'emotion': 'happiness'}
    assert 'header in row 5' in table.variant


def test_columns_are_found_by_name_in_any_order_and_spelling(tmp_path):
    header = ['EMOTION ', None, 'onset_frame', 'Notes', 'file\nname', ' Sub']
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [header, ['fear', None, 7, 'x', 'a', 3]])
    [row] = find(tmp_path).rows
    assert row.cells == {'subject': 3, 'clip': 'a', 'onset': 7, 'emotion': 'fear'}


def test_the_better_name_of_a_column_goes_first(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [['Onset', *HEADER], [99, *ROW]])
    assert find(tmp_path).rows[0].cells['onset'] == 46


def test_missing_columns_are_named_beside_those_that_are_there(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [['title'], ['Subject', 'Filename', 'Beginn', 'Emotion'], ROW])
    with pytest.raises(InputError) as caught:
        find(tmp_path)
    message = str(caught.value)
    assert 'codes.xlsx, row 2: has the columns Subject, Filename, Beginn, Emotion' in message
    assert 'without Onset Frame' in message
    assert 'the columns Subject, Filename, Onset Frame, Emotion' in message


def test_optional_columns_may_be_missing(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [HEADER[:3], ROW[:3]])
    assert find(tmp_path, optional=('emotion',)).rows[0].cells.keys() == {'subject', 'clip', 'onset'}


def test_a_column_of_another_name_is_named_by_the_user(tmp_path):
    tiny_release.xlsx(
        tmp_path / 'codes.xlsx', [['Subject', 'Filename', 'Begin', 'Onset', 'Felt'], [*ROW[:3], 9, 'fear']]
    )
    with pytest.raises(InputError, match=r'without Emotion.*--column emotion=HEADER'):
        find(tmp_path)
    [row] = find(tmp_path, named={'emotion': 'felt ', 'onset': 'Begin'}).rows
    assert (row.cells['emotion'], row.cells['onset']) == ('fear', 46)
    with pytest.raises(InputError, match='Felt; without Feeling'):
        find(tmp_path, named={'emotion': 'Feeling'}, optional=('emotion',))
    with pytest.raises(InputError, match='--column label: no such field; expected one of subject, clip'):
        find(tmp_path, named={'label': 'Felt'})


def test_hidden_rows_are_read_and_told(tmp_path):
    path = tiny_release.xlsx(tmp_path / 'codes.xlsx', [HEADER, ROW, ROW, [], ROW])
    book = openpyxl.load_workbook(path)
    for number in (1, 3, 4):
        book.active.row_dimensions[number].hidden = True
    book.save(path)
    table = find(tmp_path)
    assert len(table.rows) == 3
    assert table.hidden == ['codes.xlsx, row 3']


def test_two_columns_of_one_name_are_refused(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [[*HEADER, 'Subject'], [*ROW, 2]])
    with pytest.raises(InputError, match='two are called Subject'):
        find(tmp_path)


def test_every_worksheet_is_searched(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [['about this file']], data=[HEADER, ROW], form=[HEADER])
    assert 'worksheet data' in find(tmp_path).variant


def test_two_fitting_worksheets_are_refused(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [HEADER, ROW], old=[HEADER, ROW])
    with pytest.raises(InputError, match='save the right worksheet as a file of its own'):
        find(tmp_path)


def test_two_sheets_are_refused_until_one_is_chosen(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes_v1.xlsx', [HEADER, ROW])
    second = tiny_release.xlsx(tmp_path / 'sub folder' / 'codes_v2.xlsx', [HEADER, [9, 'b', 1, 'fear']])
    with pytest.raises(InputError, match='choose one by --sheet') as caught:
        find(tmp_path)
    assert 'codes_v1.xlsx' in str(caught.value)
    assert 'codes_v2.xlsx' in str(caught.value)
    assert find(tmp_path, second).rows[0].cells['subject'] == 9


def test_a_copy_of_the_sheet_is_no_second_one(tmp_path):
    path = tiny_release.xlsx(tmp_path / 'codes.xlsx', [HEADER, ROW])
    (tmp_path / 'Cropped').mkdir()
    (tmp_path / 'Cropped' / 'codes.xlsx').write_bytes(path.read_bytes())
    assert len(find(tmp_path).rows) == 1


def test_a_renamed_sheet_is_found_among_others(tmp_path):
    tiny_release.xlsx(tmp_path / 'my labels.xlsx', [HEADER, ROW])
    tiny_release.xlsx(tmp_path / 'landmarks.xlsx', [['x', 'y'], [1, 2]])
    (tmp_path / '~$my labels.xlsx').write_bytes(b'lock')
    (tmp_path / 'broken.csv').write_bytes(b'\xff\xfe\x00')
    assert find(tmp_path).path.name == 'my labels.xlsx'


def test_no_sheet_at_all_tells_what_was_looked_for_and_where(tmp_path):
    with pytest.raises(sheet.NoSheetError) as caught:
        find(tmp_path)
    for words in (str(tmp_path), 'codes*', 'Onset Frame', '--sheet'):
        assert words in str(caught.value)
    with pytest.raises(InputError, match='No such file'):
        find(tmp_path, tmp_path / 'nowhere.xlsx')
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(InputError, match='pipe: it is a pipe, a device or the like; expected a regular file'):
        find(tmp_path, tmp_path / 'pipe')


def test_of_many_columns_some_are_named(tmp_path):
    tiny_release.xlsx(tmp_path / 'codes.xlsx', [[*HEADER[:-1], *(f'x{number}' for number in range(136))]])
    with pytest.raises(sheet.NoSheetError, match=r'x20, x21, .* and 109 more; without') as caught:
        find(tmp_path)
    assert 'x40' not in str(caught.value)


@pytest.mark.parametrize('name', ['codes.xls', 'codes.xlsx', 'codes.csv'])
def test_old_workbooks_are_known_by_content(tmp_path, name):
    tiny_release.xls(tmp_path / name, {'empty': [], 'data': [[], HEADER, [1.0, 'EP02_01f', 46.0, 'fear']]})
    [row] = find(tmp_path).rows
    assert row.place == f'{name}, row 3'
    assert cells.frame(row.cells['onset']) == 46


@pytest.mark.parametrize('delimiter', [',', ';', '\t'])
@pytest.mark.parametrize('name', ['codes.csv', 'codes.xlsx'])
def test_csv_is_read_with_or_without_its_mark(tmp_path, delimiter, name):
    lines = ['', delimiter.join(HEADER), '', delimiter.join(['01', 'a_ü', '46', 'fear'])]
    for mark in ('', '\N{BYTE ORDER MARK}'):
        (tmp_path / name).write_text(mark + '\r\n'.join(lines), encoding='utf-8')
        [row] = find(tmp_path).rows
        assert row.place == f'{name}, row 4'
        assert row.cells['clip'] == 'a_ü'


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 no zip', b'\xd0\xcf\x11\xe0 no book', b'\xff\xfe\x00'])
def test_a_file_that_is_no_sheet_is_an_error(tmp_path, content):
    (tmp_path / 'codes.xlsx').write_bytes(content)
    with pytest.raises(InputError, match=r'codes\.xlsx'):
        find(tmp_path, tmp_path / 'codes.xlsx')
