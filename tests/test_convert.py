"""Weights from PyTorch and back. The files are made here, with the names of the published ones."""

import json
import os

import jax
import numpy as np
import pandas as pd
import pytest

from dualatme_jax import models
from dualatme_jax.convert import folds
from dualatme_jax.convert.__main__ import main

SUBJECTS = ('006', 's01', 'sub01')


@pytest.fixture
def torch():
    return pytest.importorskip('torch', reason='.pth files need PyTorch')


def ststnet(torch, seed=0, classes=3):
    """The published network, written anew, with statistics as after training."""
    nn = torch.nn

    class STSTNet(nn.Module):
        def __init__(self):
            super().__init__()
            for k, features in enumerate((3, 5, 8), start=1):
                setattr(self, f'conv{k}', nn.Conv2d(3, features, 3, padding=2))
                setattr(self, f'bn{k}', nn.BatchNorm2d(features))
            self.fc = nn.Linear(400, classes)

        def forward(self, x):
            streams = []
            for k in (1, 2, 3):
                y = getattr(self, f'bn{k}')(torch.relu(getattr(self, f'conv{k}')(x)))
                streams.append(nn.functional.max_pool2d(y, 3, 3, 1))
            return self.fc(nn.functional.avg_pool2d(torch.cat(streams, 1), 2).flatten(1))

    torch.manual_seed(seed)
    network = STSTNet().eval()
    for name, tensor in network.state_dict().items():
        if 'bn' in name:
            tensor.copy_(torch.full((), 30 + seed) if not tensor.ndim else torch.rand(tensor.shape) + 0.5)
    return network


@pytest.fixture
def source(torch, tmp_path):
    """A folder of weights as they are published: one file in the form before PyTorch 1.6."""
    folder = tmp_path / 'STSTNet_Weights'
    folder.mkdir()
    for seed, subject in enumerate(SUBJECTS):
        torch.save(
            ststnet(torch, seed).state_dict(),
            folder / f'{subject}.pth',
            _use_new_zipfile_serialization=subject != 's01',
        )
    return folder


def command(capsys, *arguments, status=0):
    found = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert found == status, captured
    assert not captured.out if status else not captured.err
    return captured.err if status else captured.out


def converted(capsys, source, out, status=0):
    return command(capsys, '--model', 'ststnet', '--source', source, '--out', out, status=status)


def bits(state_dict):
    return [
        (name, np.asarray(tensor).dtype, np.asarray(tensor).tobytes()) for name, tensor in state_dict.items()
    ]


def test_there_and_back_is_the_same_bit_for_bit(capsys, torch, source, tmp_path):
    told = converted(capsys, source, tmp_path / 'ours' / 'ststnet')
    assert told == f'wrote 3 folds of ststnet, variant paper, with 3 classes to {tmp_path}/ours/ststnet\n'
    files = tmp_path / 'ours' / 'ststnet'
    assert {path.name for path in files.iterdir()} == {'convert.json', 'folds.csv', 'weights'}
    assert json.loads((files / 'convert.json').read_text()) == {
        'model': 'ststnet',
        'variant': 'paper',
        'classes': 3,
    }
    assert pd.read_csv(files / 'folds.csv', dtype=str).to_dict('list') == {
        'subject': list(SUBJECTS),
        'file': [f'{subject}.pth' for subject in SUBJECTS],
    }

    told = command(
        capsys, '--model', 'ststnet', '--to-torch', '--source', files, '--out', tmp_path / 'theirs'
    )
    assert told == f'wrote 3 files of ststnet to {tmp_path}/theirs, such as 006.pth\n'
    assert sorted(path.name for path in (tmp_path / 'theirs').iterdir()) == sorted(os.listdir(source))
    for seed, subject in enumerate(SUBJECTS):
        before = torch.load(source / f'{subject}.pth', weights_only=True)
        after = torch.load(tmp_path / 'theirs' / f'{subject}.pth', weights_only=True)
        assert sorted(bits(after)) == sorted(bits(before))
        assert after['bn2.num_batches_tracked'] == 30 + seed
        ststnet(torch).load_state_dict(after)


def test_the_converted_network_computes_the_same(capsys, torch, source, tmp_path):
    converted(capsys, source, tmp_path / 'ours')
    found = folds.load(tmp_path / 'ours')
    assert (found.model, found.variant, found.classes, found.subjects) == ('ststnet', 'paper', 3, SUBJECTS)

    flow = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 3)).astype(np.float32)
    network = models.build('ststnet', variant='paper', classes=3, dropout=0.5, init='torch')
    logits = jax.jit(
        jax.vmap(lambda variables: network.apply(variables, flow, flow, mask=np.ones(4), train=False).logits)
    )(found.variables)
    for seed in range(len(SUBJECTS)):
        with torch.no_grad():
            expected = ststnet(torch, seed)(torch.from_numpy(flow.transpose(0, 3, 1, 2).copy()))
        np.testing.assert_allclose(logits[seed], expected, rtol=1e-5, atol=1e-5)
