import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax import schema
from dualatme_jax.data import names

GOOD = [schema.LABELS, ('0', '1'), ('a', 'b c', 'é'), tuple(f'c{n}' for n in range(20))]
BAD = {
    ('negative',): '1 classes (negative); expected 2 to 20',
    tuple(f'c{n}' for n in range(21)): '21 classes (c0, c1, c2, c3, c4, ...); expected 2 to 20',
    ('A', 'b', 'a'): "the classes 'A' and 'a' have one name",
    ('1', '0'): "the class '1', number 0, is called like another number",
    ('0', '1.0'): "the class '1.0', number 1,",
    ('a', '7'): "the class '7', number 1,",
    ('nan', 'a'): "the class 'nan', number 0,",
    ('a', '\N{SUPERSCRIPT TWO}'): 'number 1,',
    ('a', ''): "the class '' is empty",
    ('a', 'b '): 'has spaces around it',
    ('a', 'b\r'): 'cannot be printed',
}


@pytest.mark.parametrize('labels', GOOD)
def test_classes_that_can_be(labels):
    assert names.fault_of_classes(labels) is None


@pytest.mark.parametrize('labels', BAD)
def test_classes_that_cannot_be(labels):
    assert BAD[labels] in names.fault_of_classes(labels)


@pytest.mark.parametrize('place', range(3))
@pytest.mark.parametrize(
    ('name', 'fault'),
    [
        ('', 'is empty'),
        (' \t', 'is empty'),
        ('a\rb', 'cannot be printed'),
        ('a\x1b[31m', 'cannot be printed'),
        ('a\N{RIGHT-TO-LEFT OVERRIDE}', 'cannot be printed'),
        ('\ud800', 'cannot be printed'),
        (' a', 'has spaces around it'),
        ('a' * 201, 'has 201 characters'),
    ],
)
def test_names_that_no_cell_can_hold(name, fault, place):
    key = ['own', 's 1', 'ä/b, "c"']
    assert names.fault_of_clip(*key) is None
    key[place] = name
    told = names.fault_of_clip(*key)
    assert fault in told
    assert told.startswith(f'the {(schema.DATABASE, schema.SUBJECT, schema.CLIP)[place]} ')


@pytest.mark.parametrize(
    ('database', 'fault'),
    [
        ('full', 'for something else'),
        ('guesser', 'for something else'),
        ('Own', 'lower case'),
        ('a/b', 'slash'),
    ],
)
def test_databases_that_cannot_be(database, fault):
    assert fault in names.fault_of_clip(database, 's', 'c')


@given(st.text(max_size=10))
@settings(derandomize=True, max_examples=200)
def test_a_good_name_survives_a_table(name):
    if names.fault_of_name(name) is None:
        file = io.StringIO(newline='')
        csv.writer(file).writerow([name, 'x'])
        assert [cell.strip() for cell in next(csv.reader(io.StringIO(file.getvalue())))] == [name, 'x']
        assert name.encode().decode() == name


def test_own_databases_follow_the_known_ones():
    found = names.known_first(['zoo', 'samm', 'aa', 'casme2', 'zoo'])
    assert found == ['casme2', 'samm', 'aa', 'zoo']
