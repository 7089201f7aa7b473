"""Files of torch.save: what is found in them, what is refused, and what is written."""

import argparse
import collections
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys
import warnings

import numpy as np
import pytest
from published_tensors import bits, filled, ststnet_shapes

from dualatme_jax.errors import InputError
from dualatme_jax.weights import pth

torch = pytest.importorskip('torch', reason='.pth files need PyTorch')

PATH = pathlib.Path('model_006.pth')


def saved(found, **options):
    content = io.BytesIO()
    torch.save(found, content, **options)
    return content.getvalue()


def refused(found):
    with pytest.raises(InputError) as error:
        pth.parsed(saved(found), PATH)
    assert str(error.value).startswith('model_006.pth: ')
    return str(error.value)


@pytest.fixture
def weights():
    return {name: torch.as_tensor(tensor) for name, tensor in filled(ststnet_shapes()).items()}


def lightning(weights):
    """The keys of a checkpoint of PyTorch Lightning 2."""
    return {
        'epoch': 60,
        'global_step': 240,
        'pytorch-lightning_version': '2.5.0',
        'state_dict': {f'model.{name}': tensor for name, tensor in weights.items()},
        'loops': {'fit_loop': {'state_dict': {}, 'epoch_progress': {'total': {'ready': 60}}}},
        'callbacks': {"ModelCheckpoint{'monitor': 'uf1'}": {'best_model_score': torch.tensor(0.7)}},
        'optimizer_states': [{'state': {0: {'exp_avg': torch.zeros(3)}}, 'param_groups': [{'lr': 1e-3}]}],
        'lr_schedulers': [],
        'hparams_name': 'kwargs',
        'hyper_parameters': {'lr': 1e-3},
    }


@pytest.mark.parametrize(
    ('wrapped', 'note'),
    [
        (lambda weights: weights, None),
        (lambda weights: {'state_dict': weights}, "took the state_dict out of 'state_dict'"),
        (
            lambda weights: {
                'epoch': 800,
                'model_state_dict': weights,
                'optimizer_state_dict': {'state': {0: {'exp_avg': torch.zeros(3)}}, 'param_groups': []},
                'loss': torch.tensor(0.5),
            },
            "took the state_dict out of 'model_state_dict', "
            "and left out 'epoch', 'optimizer_state_dict', 'loss'",
        ),
        (
            lambda weights: {'ema': dict(weights), 'state_dict': weights},
            "took the state_dict out of 'state_dict', and left out 'ema'",
        ),
        (
            lambda weights: {'checkpoint': {'net': weights, 'ema': dict(weights)}, 'epoch': 3},
            "took the state_dict out of 'checkpoint'/'net', and left out 'epoch', 'checkpoint'/'ema'",
        ),
        (
            lambda weights: {'best': weights, 'uf1': 0.7},
            "took the state_dict out of 'best', and left out 'uf1'",
        ),
    ],
)
def test_the_state_dict_is_found_in_a_checkpoint(weights, wrapped, note):
    tensors, origin, notes = pth.parsed(saved(wrapped(weights)), PATH)
    assert bits(tensors) == bits(weights)
    assert not origin
    assert notes == ([note] if note else [])


def test_a_checkpoint_of_pytorch_lightning(weights):
    tensors, _, notes = pth.parsed(saved(lightning(weights)), PATH)
    assert list(tensors) == [f'model.{name}' for name in weights]
    assert notes[0].startswith(
        "took the state_dict out of 'state_dict', and left out 'epoch', 'global_step', "
    )


def test_parameters_alone_are_tensors(weights):
    found = {name: torch.nn.Parameter(weights[name]) for name in ('fc.weight', 'fc.bias')}
    assert bits(pth.parsed(saved(found), PATH)[0]) == bits({name: weights[name] for name in found})


def test_bfloat16_keeps_its_bits(weights):
    half = weights['fc.weight'].bfloat16().T  # not contiguous
    found = pth.parsed(saved({'fc.weight': half}), PATH)[0]['fc.weight']
    np.testing.assert_array_equal(found.astype(np.float32), half.float())


@pytest.mark.slow
def test_a_whole_network_is_refused_with_the_line_that_saves_its_state_dict(tmp_path, weights):
    """The line is run as it stands, on a class that lies beside the files, and on a checkpoint."""
    (tmp_path / 'me_model.py').write_text('import torch\nclass Net(torch.nn.Linear): pass\n')
    make = 'import torch, me_model; torch.save(me_model.Net(2, 3), "model_1.pth")'
    run(sys.executable, '-c', make, cwd=tmp_path)
    with pytest.raises(InputError) as error:
        pth.parsed((tmp_path / 'model_1.pth').read_bytes(), pathlib.Path('model_1.pth'))
    assert 'model_1.pth: holds a pickled me_model.Net, and loading that would run code' in str(error.value)
    line = str(error.value).splitlines()[-1]
    assert re.fullmatch(r' +python -c .* NEW_FOLDER model_1\.pth', line)
    arguments = shlex.split(line.replace('NEW_FOLDER', 'new') + ' model_2.pth')
    content = saved({'best': np.float64(0.7), 'state_dict': weights})
    (tmp_path / 'model_2.pth').write_bytes(content)
    with pytest.raises(InputError, match=r'holds a pickled numpy.*multiarray\.scalar,.* or a checkpoint, of'):
        pth.parsed(content, PATH)
    further = {'model_3.pth': {'args': argparse.Namespace(lr=1), 'model_state_dict': weights}}
    further['model_4.pth'] = dict(weights)
    for name, found in further.items():
        torch.save(found, tmp_path / name)
    run(sys.executable, *arguments[1:], *further, cwd=tmp_path)
    for name in further:
        assert bits(pth.parsed((tmp_path / 'new' / name).read_bytes(), PATH)[0]) == bits(weights)
    assert list(pth.parsed((tmp_path / 'new' / 'model_1.pth').read_bytes(), PATH)[0]) == ['weight', 'bias']
    assert bits(pth.parsed((tmp_path / 'new' / 'model_2.pth').read_bytes(), PATH)[0]) == bits(weights)


@pytest.mark.parametrize('value', [argparse.Namespace(lr=1e-3), pathlib.PosixPath('data')])
def test_settings_in_a_checkpoint_are_refused_with_the_line_too(weights, value):
    assert 'python -c ' in refused({'args': value, 'state_dict': weights})


@pytest.mark.parametrize('function', [os.mkdir, eval, subprocess.run])
def test_what_is_no_network_is_refused_without_the_line(function):
    error = refused({'a': Rebuilt(function, 'x')})
    assert 'nothing of it was run' in error
    assert 'python -c' not in error


def run(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)


def test_a_program_is_refused():
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # PyTorch has newer ones
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), content)
    with pytest.raises(InputError, match=r'model_006\.pth: holds a TorchScript program, which is code'):
        pth.parsed(content.getvalue(), PATH)


def test_an_expanded_view_is_refused(weights):
    expanded = weights | {'fc.weight': torch.zeros(1).expand(10**9, 400)}
    assert len(saved(expanded)) < 20_000
    error = refused(expanded)
    assert 'fc.weight is [1000000000, 400], and 4 bytes are stored: an expanded view' in error
    shared = torch.zeros(3)
    tied = pth.parsed(saved(weights | {'conv1.bias': shared, 'bn1.bias': shared}), PATH)[0]
    assert tied['conv1.bias'].shape == tied['bn1.bias'].shape == (3,)


class Rebuilt:
    """Unpickles as a call of a function that `weights_only` allows, with arguments of one's own."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_tensor_larger_than_what_is_stored_is_refused():
    storage = torch.ones(4).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    for size, stride in (((10**9,), (1,)), ((2,), (10**12,)), ((-1,), (1,))):
        broken = Rebuilt(
            torch._utils._rebuild_tensor_v2, typed, 0, size, stride, False, collections.OrderedDict()
        )
        assert 'truncated, damaged, or not a file that torch.save wrote' in refused({'fc.weight': broken})


def test_what_is_written_says_whence_it_is(tmp_path):
    state_dict = filled(ststnet_shapes())
    pth.write(tmp_path / '1.pth', state_dict, {'variant': 'paper'})
    content = (tmp_path / '1.pth').read_bytes()
    tensors, origin, notes = pth.parsed(content, PATH)
    assert bits(tensors) == bits(state_dict)
    assert (origin, notes) == ({'variant': 'paper'}, [])
    layer = torch.nn.Linear(400, 3)
    own = {name.removeprefix('fc.'): tensor for name, tensor in state_dict.items() if name.startswith('fc.')}
    pth.write(tmp_path / '2.pth', own, {'variant': 'paper'})
    layer.load_state_dict(torch.load(tmp_path / '2.pth', weights_only=True))
    np.testing.assert_array_equal(layer.weight.detach(), state_dict['fc.weight'])


@pytest.mark.parametrize('metadata', [None, 5, {'dualatme_jax': 'paper'}, {'dualatme_jax': {'variant': []}}])
def test_metadata_of_others_is_no_origin(weights, metadata):
    found = collections.OrderedDict(weights)
    found._metadata = metadata
    assert pth.parsed(saved(found), PATH)[1].get('variant') in (None, [])
