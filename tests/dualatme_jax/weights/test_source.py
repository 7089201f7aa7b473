"""Folders of weights as training programs leave them; in safetensors, which need no PyTorch."""

import ml_dtypes
import numpy as np
import pytest
from published_tensors import bits, dual_atme_shapes, filled, rcn_shapes, safetensors_file, ststnet_shapes

from dualatme_jax.errors import InputError
from dualatme_jax.outside import guarded
from dualatme_jax.weights import names
from dualatme_jax.weights import source as source_lib

pytest.importorskip('safetensors', reason='.safetensors files need safetensors')


@pytest.fixture(autouse=True)
def read_here(monkeypatch):
    """Not in a process of its own, which `test_reader.py` does."""
    monkeypatch.setattr(guarded, 'call', lambda function, *args, **limits: function(*args))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'in').mkdir()
    return tmp_path / 'in'


def save(path, state_dict):
    path.write_bytes(safetensors_file(state_dict))


def read(folder, model='ststnet', variant=None):
    scratch = folder.parent / 'scratch'
    scratch.mkdir(exist_ok=True)
    return source_lib.read_folds(folder, model, variant, scratch)


def refused(folder, model='ststnet', variant=None):
    with pytest.raises(InputError) as error:
        read(folder, model, variant)
    return str(error.value)


def first(found):
    """The state_dict of the first fold, as PyTorch would have it."""
    return sorted(bits(names.to_torch(found.model, _first(found.variables))))


def _first(tree):
    return {name: _first(leaf) if isinstance(leaf, dict) else leaf[0] for name, leaf in tree.items()}


def test_names_of_files_and_what_is_not_taken(folder):
    for seed, name in enumerate(('model_006', 'STSTNet_s01_best', 'sub01', 'Subject-007', 'smic_s02')):
        save(folder / f'{name}.safetensors', filled(ststnet_shapes(), seed))
    for name in ('README.md', '._sub01.pth', 'optimizer.onnx'):
        (folder / name).touch()
    (folder / 'old').mkdir()
    found, notes = read(folder)
    assert sorted(found.subjects) == ['006', '007', 's01', 'smic_s02', 'sub01']
    np.testing.assert_array_equal(
        found.variables['params']['classifier']['kernel'][found.subjects.index('006')].T,
        filled(ststnet_shapes(), 0)['fc.weight'],
    )
    assert set(notes) == {
        'not taken, hidden: ._sub01.pth',
        'not taken, another ending: README.md, optimizer.onnx',
        'not taken, a folder: old',
        'STSTNet_s01_best.safetensors is of s01, Subject-007.safetensors is of 007, '
        'model_006.safetensors is of 006',
    }


def test_a_subject_with_two_files_is_refused(folder):
    for name in ('006.safetensors', 'model_006.pt'):
        (folder / name).touch()
    assert 'both 006.safetensors and model_006.pt are of the subject' in refused(folder)


@pytest.mark.parametrize('name', ['fold_6', 's01.v2', 'mode_l'])
def test_other_words_of_a_name_are_a_subject_s(folder, name):
    save(folder / f'{name}.safetensors', filled(ststnet_shapes()))
    assert read(folder)[0].subjects == (name,)


def test_a_name_that_no_table_can_hold_is_refused(folder):
    (folder / 'a\nb.pth').touch()
    assert 'has a character that cannot be printed' in refused(folder)


@pytest.mark.parametrize(
    ('wrapped', 'count', 'note'),
    [
        (lambda name: f'module.{name}', 23, 'module.bn1.bias is bn1.bias'),
        (lambda name: f'_orig_mod.{name}', 23, '_orig_mod.bn1.bias is bn1.bias'),
        (lambda name: f'model.{name}', 23, 'model.bn1.bias is bn1.bias'),
        (lambda name: f'module._orig_mod.model.{name}', 23, 'module._orig_mod.model.bn1.bias is bn1.bias'),
        (lambda name: f'model.net.module.{name}', 23, 'model.net.module.bn1.bias is bn1.bias'),
        (lambda name: name.replace('bn1.', 'bn1._orig_mod.'), 5, 'bn1._orig_mod.bias is bn1.bias'),
    ],
)
def test_wrappers_are_taken_off_the_names(folder, wrapped, count, note):
    state_dict = filled(ststnet_shapes())
    save(folder / '1.safetensors', {wrapped(name): tensor for name, tensor in state_dict.items()})
    found, notes = read(folder)
    assert first(found) == sorted(bits(state_dict))
    assert notes == [f'1.safetensors: took wrappers off {count} names: {note}']


def test_a_network_of_one_layer_keeps_its_name(folder):
    save(folder / '1.safetensors', {'fc.weight': np.zeros((3, 400), np.float32)})
    assert ' surplus: ' not in refused(folder)


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float64'])
def test_other_kinds_of_float_are_cast_and_said(folder, dtype):
    state_dict = filled(ststnet_shapes())
    kind = ml_dtypes.bfloat16 if dtype == 'bfloat16' else dtype
    for name in ('1', '2'):
        save(
            folder / f'{name}.safetensors', {name: tensor.astype(kind) for name, tensor in state_dict.items()}
        )
    found, notes = read(folder)
    rounded = {
        name: tensor.astype(kind).astype(tensor.dtype) if tensor.ndim else tensor
        for name, tensor in state_dict.items()
    }
    assert first(found) == sorted(bits(rounded))
    assert sorted(notes) == [
        f'all 2 files: cast 20 tensors from {dtype} to float32',
        f'all 2 files: cast 3 tensors from {dtype} to int64',
    ]


def test_what_is_done_to_some_files_is_said_of_those(folder):
    state_dict = filled(ststnet_shapes())
    for name in '123':
        wrapper = 'module.' if name == '2' else ''
        save(folder / f'{name}.safetensors', {wrapper + name: tensor for name, tensor in state_dict.items()})
    assert read(folder)[1] == [
        '1 of 3 files (2.safetensors): took wrappers off 23 names: module.bn1.bias is bn1.bias'
    ]


def test_numbers_that_float32_cannot_hold_are_refused(folder):
    state_dict = filled(ststnet_shapes())
    save(folder / '1.safetensors', state_dict | {'fc.bias': np.array([0, 1e39, 0])})
    assert '1.safetensors: fc.bias holds float64 numbers that float32 cannot hold' in refused(folder)


@pytest.mark.parametrize(
    ('shapes', 'variant'),
    [
        (dual_atme_shapes(), 'code'),
        (dual_atme_shapes(branches=(2,), attention=False), 'hars'),
        (dual_atme_shapes(branches=(2,)), 'hars+attention'),
        (dual_atme_shapes(branches=(1,)), 'aars'),
    ],
)
def test_published_files_of_dual_atme_are_of_the_variant_of_its_code(folder, shapes, variant):
    state_dict = filled(shapes)
    save(folder / 'model_sub01.safetensors', state_dict)
    found, notes = read(folder, 'dual_atme')
    assert (found.variant, found.classes) == (variant, 3)
    assert first(found) == sorted(bits(state_dict))
    assert any('--variant=paper' in note for note in notes) == (variant == 'code')
    if variant == 'code':
        assert read(folder, 'dual_atme', 'paper')[0].variant == 'paper'
    else:
        assert 'not the weights of dual_atme, variant code' in refused(folder, 'dual_atme', 'code')


@pytest.mark.parametrize(
    ('model', 'variant', 'left_out'),
    [
        ('rcn_a', 'paper', None),
        ('rcn_s', 'paper', 'dbl.0.conv3.0, dbl.0.conv3.1'),
        ('rcn_w', 'paper', None),
        (
            'rcn_c',
            'paper',
            'dbl.0.conv3.0, dbl.0.conv3.1, ebl.conv1.0, ebl.conv1.1, ebl.conv2.0, ebl.conv2.1',
        ),
        ('rcn_f', 'code', 'stream3.0, stream3.2'),
    ],
)
def test_files_of_the_published_rcn(folder, model, variant, left_out):
    state_dict = filled(rcn_shapes(model))
    save(folder / '006.safetensors', state_dict)
    found, notes = read(folder, model)
    assert found.variant == variant
    layers = left_out.split(', ') if left_out else []
    kept = {name: tensor for name, tensor in state_dict.items() if name.rpartition('.')[0] not in layers}
    assert first(found) == sorted(bits(kept))
    said = [note for note in notes if 'left out' in note]
    assert said == [f'006.safetensors: left out what no forward pass reads: {left_out}'] * bool(left_out)
    for name in ('extra.0.weight', 'dbl.1.conv3.0.weight', 'stream4.0.weight'):
        save(folder / '006.safetensors', state_dict | {name: np.zeros(1, np.float32)})
        assert f'surplus: {name}, float32 [1]' in refused(folder, model)


def test_rcn_f_of_the_paper_reads_its_third_stream(folder):
    state_dict = filled(rcn_shapes('rcn_f'))
    save(folder / '006.safetensors', state_dict)
    found, notes = read(folder, 'rcn_f', 'paper')
    assert first(found) == sorted(bits(state_dict))
    assert not notes


@pytest.mark.parametrize('asked', ['rcn_a', 'rcn_s'])
@pytest.mark.parametrize('model', ['rcn_s', 'rcn_w', 'rcn_c', 'rcn_f'])
def test_published_files_of_another_rcn_are_recognised(folder, model, asked):
    if model != asked:
        save(folder / '006.safetensors', filled(rcn_shapes(model)))
        assert refused(folder, asked).splitlines()[0].endswith(f'; by their names they are those of {model}')


def test_more_problems_than_a_screen_takes_are_counted(folder):
    surplus = {f'layer{number}.weight': np.zeros(1, np.float32) for number in range(5000)}
    save(folder / '006.safetensors', filled(ststnet_shapes()) | surplus)
    _, line = refused(folder).splitlines()
    assert line.startswith('  5000 surplus: layer')
    assert line.endswith('; and 4996 more')
