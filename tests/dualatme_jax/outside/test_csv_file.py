import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.outside import csv_file


def test_a_row_has_the_number_of_its_last_line():
    text = csv_file.text(b'\xef\xbb\xbfa,"b\nc"\r\n\r\n\xc3\xbc, d\n', 'x.csv')
    assert list(csv_file.rows(text, 'x.csv')) == [(2, ['a', 'b\nc']), (3, []), (4, ['ü', ' d'])]
    assert list(csv_file.rows('a;b,c', 'x.csv', delimiter=';')) == [(1, ['a', 'b,c'])]


def test_what_is_no_csv_is_refused_from_there_on():
    rows = csv_file.rows('a,b\n' + 'x' * 200_000, 'the list x.csv')  # a field longer than the reader takes
    assert next(rows) == (1, ['a', 'b'])
    with pytest.raises(InputError, match=r'the list x\.csv, line 2: field larger .*: expected CSV'):
        next(rows)


def test_another_encoding_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r'x\.csv is not text in UTF-8 .*: save it as CSV in UTF-8'):
        csv_file.text('ü'.encode('latin-1'), 'x.csv')
