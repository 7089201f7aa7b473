"""Folders of converted weights: read as they were written, or refused by name."""

import json
import os
import shutil

import jax
import numpy as np
import pytest
from flax import traverse_util
from hypothesis import given, settings
from hypothesis import strategies as st
from published_tensors import filled, ststnet_shapes

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.training.checkpoint import save_weights
from dualatme_jax.weights import folds, names


def variables():
    """Two networks of STSTNet."""
    one = names.from_torch('ststnet', 'paper', 3, filled(ststnet_shapes()))
    return jax.tree.map(lambda leaf: np.stack([leaf, leaf + 1]), one)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole') / 'weights'
    folder.mkdir()
    folds.save(folds.Folds('ststnet', 'paper', 3, ('1', '2'), variables()), folder)
    return folder


@pytest.fixture
def ours(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / 'weights')


def refused(folder):
    with pytest.raises(InputError) as error:
        folds.load(folder)
    assert str(folder) in str(error.value)
    return str(error.value)


def test_what_is_saved_is_loaded(ours):
    found = folds.load(ours)
    assert (found.model, found.variant, found.classes, found.subjects) == ('ststnet', 'paper', 3, ('1', '2'))
    jax.tree.map(np.testing.assert_array_equal, found.variables, variables())
    assert folds.about(ours) == ('ststnet', 'paper', 3)


def replaced(path, change):
    """Leaves with another one in the place of `path`; None takes it away."""
    leaves = traverse_util.flatten_dict(variables())
    leaf = leaves.pop(path)
    if (changed := change(leaf)) is not None:
        leaves[path] = changed
    return traverse_util.unflatten_dict(leaves)


def without(collection):
    return {name: leaves for name, leaves in variables().items() if name != collection}


KERNEL = ('params', 'classifier', 'kernel')
MEAN = next(path for path in traverse_util.flatten_dict(variables()) if path[-1] == 'mean')
WEIGHTS = {
    'a missing leaf': (replaced(KERNEL, lambda _: None), 'params/classifier/kernel is missing'),
    'a missing statistic': (replaced(MEAN, lambda _: None), f'{"/".join(MEAN)} is missing'),
    'no params': (without('params'), 'params/classifier/kernel is missing'),
    'no statistics': (without('batch_stats'), f'{"/".join(MEAN)} is missing'),
    'a surplus leaf': (
        variables() | {'opt_state': {'count': np.zeros(2, np.int32)}},
        'opt_state/count is none of the network',
    ),
    'integers': (
        replaced(KERNEL, lambda leaf: leaf.astype(np.int32)),
        'params/classifier/kernel is int32 [2, 400, 3]; expected float32 [2, 400, 3]',
    ),
    'float64': (replaced(KERNEL, lambda leaf: leaf.astype(np.float64)), 'kernel is float64 [2, 400, 3]'),
    'another shape': (
        replaced(KERNEL, lambda leaf: leaf.swapaxes(1, 2)),
        'params/classifier/kernel is float32 [2, 3, 400]; expected float32 [2, 400, 3]',
    ),
    'one fold short': (replaced(MEAN, lambda leaf: leaf[:1]), f'{"/".join(MEAN)} is float32 [1, '),
    'all folds short': (jax.tree.map(lambda leaf: leaf[:1], variables()), 'expected float32 [2, 400, 3]'),
    'more folds': (
        jax.tree.map(lambda leaf: np.concatenate([leaf, leaf]), variables()),
        'is float32 [4, 400, 3]; expected float32 [2, 400, 3]',
    ),
    'not a number': (
        replaced(KERNEL, lambda leaf: leaf * np.nan),
        'kernel holds numbers that are not finite',
    ),
    'infinity': (replaced(MEAN, lambda leaf: leaf + np.inf), 'holds numbers that are not finite'),
}


@pytest.mark.parametrize('case', WEIGHTS)
def test_weights_that_are_not_the_network_s_are_refused(ours, case):
    """Sealed anew, as by somebody who made them so."""
    changed, says = WEIGHTS[case]
    shutil.rmtree(ours / 'weights')
    save_weights(ours / 'weights', changed)
    files.write_checksums(ours)
    error = refused(ours)
    assert says in error
    assert 'these converted weights are damaged' in error


TABLES = {
    'a short table': ('folds.csv', 'subject,file\n1,1.pth\n', 'expected float32 [1, 400, 3]'),
    'a long table': (
        'folds.csv',
        'subject,file\n1,1.pth\n2,2.pth\n3,3.pth\n',
        'expected float32 [3, 400, 3]',
    ),
    'no fold': ('folds.csv', 'subject,file\n', 'expected float32 [0, 400, 3]'),
    'an empty table': ('folds.csv', '', 'folds.csv is no table of subject and file'),
    'no header': ('folds.csv', '1,1.pth\n2,2.pth\n', 'folds.csv is no table of subject and file'),
    'other columns': (
        'folds.csv',
        'fold,file\n1,1.pth\n2,2.pth\n',
        'folds.csv is no table of subject and file',
    ),
    'a short row': ('folds.csv', 'subject,file\n1,1.pth\n2\n', 'folds.csv is no table of subject and file'),
    'a subject twice': ('folds.csv', 'subject,file\n1,1.pth\n1,2.pth\n', 'folds.csv has a subject twice'),
    'no subject': ('folds.csv', 'subject,file\n1,1.pth\n,2.pth\n', "a subject is called ''"),
    'a subject elsewhere': ('folds.csv', 'subject,file\n1,1.pth\n../2,2.pth\n', "a subject is called '../2'"),
    'bytes': ('folds.csv', b'subject,file\n1,1.pth\n\xff,2.pth\n', 'damaged'),
    'no JSON': ('convert.json', '{', 'damaged'),
    'a list': ('convert.json', '[]', 'convert.json holds other fields than model, variant and classes'),
    'nested': ('convert.json', '[' * 100_000, 'damaged'),
    'a field short': (
        'convert.json',
        json.dumps({'model': 'ststnet', 'variant': 'paper'}),
        'convert.json holds other fields than model, variant and classes',
    ),
    **{
        f'{field} {value!r}': (
            'convert.json',
            json.dumps({'model': 'ststnet', 'variant': 'paper', 'classes': 3} | {field: value}),
            says,
        )
        for field, value, says in [
            ('model', 'vgg', "names 'vgg', variant 'paper', which is none of the networks"),
            ('model', ['ststnet'], 'which is none of the networks'),
            ('model', 'off_apexnet', 'is missing'),
            ('variant', 'code', "names 'ststnet', variant 'code', which is none of the networks"),
            ('classes', 0, 'has classes = 0; expected 2 to 20'),
            ('classes', 10**9, 'has classes = 1000000000; expected 2 to 20'),
            ('classes', '3', "has classes = '3'"),
            ('classes', True, 'has classes = True'),
            ('classes', 3.0, 'has classes = 3.0'),
            ('classes', None, 'has classes = None'),
            ('classes', 5, 'expected float32 [2, 400, 5]'),
        ]
    },
}


@pytest.mark.parametrize('case', TABLES)
def test_tables_that_are_not_the_weights_are_refused(ours, case):
    """Sealed anew too."""
    name, content, says = TABLES[case]
    (ours / name).write_bytes(content.encode() if isinstance(content, str) else content)
    files.write_checksums(ours)
    assert says in refused(ours)
    if name == 'convert.json' and 'expected float32' not in says and says != 'is missing':
        with pytest.raises(InputError, match='these converted weights are damaged'):
            folds.about(ours)


def parts(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_every_change_of_a_file_is_refused(whole, tmp_path_factory, data):
    """A flipped bit, a cut, an addition, another kind of file: in any file of the folder."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp('changed') / 'weights')
    path = folder / data.draw(st.sampled_from(parts(whole)))
    content = bytearray(path.read_bytes())
    kinds = ['add', 'delete', 'pipe', 'folder', *(['flip', 'cut'] if content else [])]
    kind = data.draw(st.sampled_from(kinds))
    if kind == 'flip':
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == 'cut':
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    elif kind == 'add':
        content += b'\0'
    path.unlink()
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        path.mkdir()
    elif kind != 'delete':
        path.write_bytes(content)
    if path.name == 'checksums.json' and kind == 'flip':
        # A letter of what it says may be another one's case; whatever is read is as it was written then.
        try:
            found = folds.load(folder)
        except InputError:
            return
        jax.tree.map(np.testing.assert_array_equal, found.variables, variables())
    else:
        refused(folder)


def test_a_file_that_was_not_written_is_refused(ours):
    (ours / 'weights' / 'd' / 'more').touch()
    assert 'd/more is new' in refused(ours)


@pytest.mark.parametrize(
    ('model', 'variant', 'classes', 'says'),
    [
        (
            'dual_atme',
            'paper',
            3,
            r'Give --config=configs/ststnet\.py, which has the input that ststnet reads, or other weights',
        ),
        ('ststnet', 'code', 3, r'classes\. Give --config\.model\.variant=paper, or other weights'),
        ('ststnet', 'paper', 5, 'Give weights, or a dataset, of as many classes'),
    ],
)
def test_weights_of_another_network_name_the_config_that_reads_them(whole, model, variant, classes, says):
    with pytest.raises(InputError, match=says):
        folds.places(folds.load(whole), [], model=model, variant=variant, classes=classes)
