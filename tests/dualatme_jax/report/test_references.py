import importlib.resources
import re

import pytest

from dualatme_jax import models, report, schema
from dualatme_jax.report import references

TEXT = importlib.resources.files(report).joinpath('references.bib').read_text(encoding='utf-8')


def fields(entry):
    return dict(re.findall(r'^  (\w+) = \{(.*)\},$', entry, re.MULTILINE))


def test_the_file_is_nothing_but_entries_with_keys_of_their_own():
    keys = re.findall(r'^@\w+\{([a-z0-9]+),$', TEXT, re.MULTILINE)
    assert len(keys) == len(set(keys)) == TEXT.count('@')
    assert list(references.entries()) == keys
    rest = TEXT
    for entry in references.entries().values():
        rest = rest.replace(entry, '')
    assert all(line.startswith('%') for line in rest.split('\n') if line)


@pytest.mark.parametrize('key', references.entries())
def test_an_entry_parses(key):
    entry = references.entries()[key]
    assert entry.isascii()
    depth = 0
    for character in entry:
        depth += (character == '{') - (character == '}')
        assert depth >= 0
    assert depth == 0
    found = fields(entry)
    assert (
        len(found) == len(entry.strip().splitlines()) - 2
    )  # each line between the first and the last is one
    assert {'author', 'title'} <= found.keys()
    assert 'year' in found or key == references.OURS
    venue = {'article': 'journal', 'inproceedings': 'booktitle', 'misc': 'title'}
    assert venue[re.match(r'@(\w+)', entry)[1]] in found
    assert re.fullmatch(r'(19|20)\d\d', found.get('year', '2000'))
    assert re.fullmatch(r'10\.\d{4}/\S+', found.get('doi', '10.0000/x'))
    assert all(', ' in name or name.startswith('{') for name in found['author'].split(' and '))


def test_every_system_and_database_has_one():
    for system in models.SYSTEMS.values():
        assert system.papers, system.name
        assert set(system.papers) <= references.entries().keys(), system.name
    assert references.DATABASES.keys() == set(schema.DATABASES)
    named = {references.MEGC2019, references.HOLM, references.OURS, references.JAX, references.FLAX}
    named |= {references.OPTAX, references.SKLEARN, *references.DATABASES.values()}
    assert named <= references.entries().keys()
    cited = {key for system in models.SYSTEMS.values() for key in system.papers}
    assert named | cited == references.entries().keys()  # nothing stands there for nobody


def test_a_file_holds_what_is_used_once_and_no_key_of_ones_own():
    text = references.used(['he2016resnet', 'jax2018', 'he2016resnet', 'somebody2027'])
    assert re.findall(r'^@\w+\{(\w+)', text, re.MULTILINE) == ['he2016resnet', 'jax2018']
