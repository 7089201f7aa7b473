"""The rooms of both packages stand on floors: imports go downward only, so there are no circles."""

import ast
import collections
import functools
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# From the ground up; rooms of one floor do not know each other. Single files above all rooms are commands.
FLOORS = {
    'data_prep': ['files', 'releases', 'face', 'views', 'dataset', 'pictures synthetic video'],
    'dualatme_jax': [
        'schema errors kinds',
        'files scratch',
        'outside machines',
        'data',
        'models',
        'report',
        'training',
        'weights',
        'run',
    ],
}
# What the data stage may use of the trainer: its words, and what reads files.
SHARED = {'schema', 'errors', 'files', 'scratch', 'outside', 'data'}


@functools.cache
def modules(root, package):
    """(dotted name, dotted names of everything that it imports) of every module."""
    found = []
    for path in sorted((root / package).rglob('*.py')):
        dotted = '.'.join(path.relative_to(root).with_suffix('').parts).removesuffix('.__init__')
        found.append((dotted, list(imported(ast.parse(path.read_text())))))
    return found


def imported(tree):
    """Yields the dotted name of everything that a module imports, also inside of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'a relative import'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def arrows(package, target):
    """(room, room of `target`) -> the modules of the first that import something of the second."""
    found = collections.defaultdict(set)
    for module, names in modules(ROOT, package):
        for name in names:
            if name.startswith(f'{target}.'):
                found[room(module), room(name)].add(module)
    return found


def room(dotted):
    return [*dotted.split('.'), ''][1]


@pytest.mark.parametrize('package', FLOORS)
def test_imports_go_downward_only(package):
    floor_of = {name: floor for floor, names in enumerate(FLOORS[package]) for name in names.split()}
    rooms = {path.parent.name for path in (ROOT / package).glob('*/__init__.py')}
    assert rooms <= floor_of.keys(), 'say in FLOORS where the new room stands'
    top = len(FLOORS[package])  # of commands, and of the package's own names such as `dualatme_jax.load`
    upward = {
        f'{here} -> {there}: {", ".join(sorted(who))}'
        for (here, there), who in arrows(package, package).items()
        if floor_of.get(there, top) >= floor_of.get(here, top + 1) and here != there
    }
    assert upward == set()


def test_the_data_stage_uses_little_of_the_trainer_and_the_trainer_nothing_of_it():
    assert {there for _, there in arrows('data_prep', 'dualatme_jax')} <= SHARED
    assert not arrows('dualatme_jax', 'data_prep')


@pytest.mark.parametrize(('package', 'foreign'), [('dualatme_jax', 'cv2'), ('data_prep', 'jax')])
def test_each_package_does_without_the_heavy_library_of_the_other(package, foreign):
    heads = {module: {name.partition('.')[0] for name in names} for module, names in modules(ROOT, package)}
    assert [module for module, own in heads.items() if foreign in own] == []


def test_an_upward_import_is_found(tmp_path, monkeypatch):
    for name, text in {'files': 'from data_prep.face import apex', 'face': 'import numpy'}.items():
        (tmp_path / 'data_prep' / name).mkdir(parents=True)
        (tmp_path / 'data_prep' / name / '__init__.py').write_text(text)
    monkeypatch.setitem(globals(), 'ROOT', tmp_path)
    with pytest.raises(AssertionError, match=r'files -> face: data_prep\.files'):
        test_imports_go_downward_only('data_prep')
