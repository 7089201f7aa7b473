"""Weights from PyTorch and back. The files are made here, with the names of the published ones."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import types

import jax
import numpy as np
import pandas as pd
import pytest
from inputs import of_network
from published_tensors import bits, dual_atme_shapes, filled, rcn_shapes, ststnet_shapes
from rich.console import Console

from configs import cd
from dualatme_jax import models, scratch
from dualatme_jax.convert import main
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError
from dualatme_jax.outside import guarded
from dualatme_jax.run import experiment, init_from, trained
from dualatme_jax.weights import folds, names

SUBJECTS = ('006', 's01', 'sub01')


@pytest.fixture
def torch():
    return pytest.importorskip('torch', reason='.pth files need PyTorch')


@pytest.fixture(autouse=True)
def read_here(request, monkeypatch):
    """Files are read in this process; in one of its own, which imports PyTorch anew, for `own_process`."""
    if 'own_process' not in request.fixturenames:
        monkeypatch.setattr(guarded, 'call', lambda function, *args, **limits: function(*args))


@pytest.fixture
def own_process():
    """As users have it: whatever is read is read in a process of its own, within limits."""


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


@pytest.mark.slow
def test_there_and_back_is_the_same_bit_for_bit(capsys, torch, source, tmp_path, own_process):
    told = converted(capsys, source, tmp_path / 'ours' / 'ststnet')
    assert told == f'wrote 3 folds of ststnet, variant paper, with 3 classes to {tmp_path}/ours/ststnet\n'
    files = tmp_path / 'ours' / 'ststnet'
    assert {path.name for path in files.iterdir()} == {
        'checksums.json',
        'convert.json',
        'folds.csv',
        'weights',
    }
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
    assert {path.name for path in (tmp_path / 'theirs').iterdir()} == {f'{name}.pth' for name in SUBJECTS}
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
    network = models.build('ststnet', classes=3)
    logits = jax.jit(
        jax.vmap(
            lambda variables: network.apply(variables, of_network(flow), mask=np.ones(4), train=False).logits
        )
    )(found.variables)
    for seed in range(len(SUBJECTS)):
        with torch.no_grad():
            expected = ststnet(torch, seed)(torch.from_numpy(flow.transpose(0, 3, 1, 2).copy()))
        np.testing.assert_allclose(logits[seed], expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope='module')
def workdir(small_dataset_dir, tmp_path_factory):
    """A run of STSTNet with two seeds, in several waves."""
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    config.model.name = 'ststnet'
    config.loss.name = 'cross_entropy'
    config.seeds = (0, 1)
    config.training.epochs = 1
    config.engine.max_trials = 5
    config.engine.devices = 1
    config.report.resamples = 2
    config.report.pictures = False
    folder = tmp_path_factory.mktemp('runs') / 'ststnet'
    experiment.run(config, folder, Console(quiet=True))
    return folder


def exported(capsys, source, out, *options, status=0):
    options = ('--model', 'ststnet', '--to-torch', '--source', source, '--out', out, *options)
    return command(capsys, *options, status=status)


@pytest.mark.slow
def test_the_networks_of_a_run_predict_the_same_in_pytorch(
    capsys, torch, workdir, small_dataset_dir, tmp_path
):
    exported(capsys, workdir, tmp_path / 'out', '--seed', 1)
    clips = dataset.load(small_dataset_dir)
    assert {path.stem for path in (tmp_path / 'out').iterdir()} == set(clips.subject)
    table = pd.read_csv(workdir / 'predictions.csv', dtype={'subject': str, 'clip': str})
    of_clip = table[table['seed'] == 1].set_index(['database', 'subject', 'clip'])
    for subject in set(clips.subject):
        network = ststnet(torch)
        network.load_state_dict(torch.load(tmp_path / 'out' / f'{subject}.pth', weights_only=True))
        rows = clips.subject == subject
        flow = ((clips.inputs['flow'][rows] / 255 - 0.5) / 0.5).astype(np.float32)
        with torch.no_grad():
            probabilities = network(torch.from_numpy(flow.transpose(0, 3, 1, 2).copy())).softmax(1)
        keys = zip(clips.database[rows], clips.subject[rows], clips.clip[rows], strict=True)
        expected = of_clip.loc[list(keys), [f'prob_{label}' for label in clips.labels]]
        np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)


def test_what_a_run_started_from_goes_with_its_weights(capsys, torch, workdir, tmp_path):
    """To PyTorch, back, and there again: scores of such weights are marked LEAKS as those of the run."""
    run, files_of = tmp_path / 'run', [tmp_path / 'torch', tmp_path / 'again']
    shutil.copytree(workdir, run)
    assert init_from.earlier(str(run)) is None
    about = json.loads((run / 'config.json').read_text())
    start = {'path': 'before', 'leaks': {'smic': ['s1']}, 'subjects': {'smic': ['s1']}}
    (run / 'config.json').write_text(json.dumps(about | {'start': start}))
    exported(capsys, run, files_of[0], '--seed', 1)
    for number, folder in enumerate(files_of):
        convert = ('--model', 'ststnet', '--source', folder, '--out', tmp_path / f'converted{number}')
        command(capsys, *convert)
        assert folds.load(tmp_path / f'converted{number}').start == start
        assert init_from.earlier(str(tmp_path / f'converted{number}')).notice.startswith('LEAKS: ')
        if number == 0:
            exported(capsys, tmp_path / 'converted0', files_of[1])
    exported(capsys, workdir, tmp_path / 'clean', '--seed', 1)
    other = sorted((tmp_path / 'clean').iterdir())[-1]
    shutil.copy(other, files_of[0])
    convert = ('--model', 'ststnet', '--source', files_of[0], '--out', tmp_path / 'mixed')
    assert 'did not start from the same weights' in command(capsys, *convert, status=2)


def test_a_run_that_is_not_clear_is_refused(capsys, torch, workdir, tmp_path):
    def refused(source, *options):
        error = exported(capsys, source, tmp_path / 'out', *options, status=2)
        assert not (tmp_path / 'out').exists()
        return error

    assert 'has several seeds; name one of 0, 1 by --seed' in refused(workdir)
    assert 'has no seed 2; name one of 0, 1' in refused(workdir, '--seed', 2)
    assert 'has no point 1; name one of 0' in refused(workdir, '--seed', 0, '--point', 1)
    assert "trained 'ststnet'; give that as --model, and not 'dual_atme'" in refused(
        workdir, '--seed', 0, '--model', 'dual_atme'
    )
    assert '--variant is known from --source' in refused(workdir, '--variant', 'paper')
    assert 'neither the workdir of a run nor a folder' in refused(tmp_path)

    copy = tmp_path / 'run'
    shutil.copytree(workdir, copy)
    table = pd.read_csv(copy / 'trials.csv')
    table.loc[1, 'status'] = 'failed'
    table.to_csv(copy / 'trials.csv', index=False)
    (copy / '.trials.csv.sha256').unlink()  # as one does who has changed it on purpose
    assert f'{table["left_out"][1]} (failed)' in refused(copy, '--seed', 0)
    shutil.rmtree(copy / 'waves' / 'wave_003' / 'weights')
    assert 'keep_weights was True' in refused(copy, '--seed', 1)


def test_names_that_two_databases_share_carry_the_database():
    table = pd.DataFrame(
        [(4, 'casme2/sub01'), (5, 'smic/sub01'), (6, 'samm/6')], columns=['trial', 'left_out']
    )
    assert trained.names_of(table) == {4: 'casme2_sub01', 5: 'smic_sub01', 6: '006'}


def test_networks_of_other_folds_are_called_as_these():
    table = pd.DataFrame([(0, 'casme2'), (1, 'part 2'), (2, 'nobody')], columns=['trial', 'left_out'])
    assert trained.names_of(table) == {0: 'casme2', 1: 'part 2', 2: 'nobody'}


@pytest.mark.parametrize(
    ('variant', 'shapes'),
    [
        ('paper', dual_atme_shapes()),
        ('code', dual_atme_shapes()),
        ('hars', dual_atme_shapes(branches=(2,), attention=False)),
        ('aars', dual_atme_shapes(branches=(1,))),
    ],
)
def test_dual_atme_has_the_tensors_of_its_published_code(variant, shapes):
    state_dict = filled(shapes)
    variables = names.from_torch('dual_atme', variant, 3, state_dict)
    assert sorted(bits(names.to_torch('dual_atme', variables))) == sorted(bits(state_dict))
    weight = state_dict['fc.4.weight']
    np.testing.assert_array_equal(variables['params']['classifier']['kernel'][5], weight[:, 5])
    branch = 'puzzled' if variant == 'hars' else 'entire'
    weight = state_dict[f'Inception{2 if variant == "hars" else 1}_2.branch5x5.3.weight']
    kernel = variables['params'][branch]['inception2']['branch5x5']['conv']['kernel']
    np.testing.assert_array_equal(kernel[4, 1, 2, 3], weight[3, 2, 4, 1])


def test_a_variant_that_shares_its_tensors_comes_back_as_itself(capsys, torch, tmp_path):
    """RCN-f of the paper has all that its published code declares, and the code a stream less."""
    (tmp_path / 'in').mkdir()
    state_dict = {name: torch.as_tensor(tensor) for name, tensor in filled(rcn_shapes('rcn_f')).items()}
    torch.save(state_dict, tmp_path / 'in' / 'model_006.pth')

    def convert(source, out, *options):
        arguments = ('--model', 'rcn_f', '--source', tmp_path / source, '--out', tmp_path / out, *options)
        return command(capsys, *arguments)

    told = convert('in', 'code')
    assert 'taken for the variant code, which the published PyTorch code computes; paper has the same' in told
    assert 'model_006.pth: left out what no forward pass reads: stream3.0, stream3.2' in told
    assert 'variant code, with 3 classes' in told
    assert 'declares stream3.0, stream3.2, which it never reads' in convert('code', 'theirs', '--to-torch')
    after = torch.load(tmp_path / 'theirs' / '006.pth', weights_only=True)
    assert {name.partition('.')[0] for name in state_dict.keys() - after.keys()} == {'stream3'}

    assert 'variant paper' in convert('in', 'paper', '--variant', 'paper')
    assert 'declares' not in convert('paper', 'ours', '--to-torch')
    told = convert('ours', 'again')
    assert 'wrote 1 folds of rcn_f, variant paper' in told
    assert 'taken for' not in told


def test_a_dense_layer_may_be_a_convolution_of_one_place():
    state_dict = filled(dual_atme_shapes())
    weight = state_dict['cbam.shared_MLP.0.weight']
    variables = names.from_torch(
        'dual_atme', 'paper', 3, state_dict | {'cbam.shared_MLP.0.weight': weight[:, :, None, None]}
    )
    np.testing.assert_array_equal(variables['params']['cbam']['mlp_squeeze']['kernel'], weight.T)


def test_every_tensor_that_does_not_fit_is_named():
    state_dict = filled(ststnet_shapes())
    del state_dict['bn1.bias'], state_dict['conv3.weight']
    del state_dict['bn3.num_batches_tracked']  # which old files lack
    state_dict['layer9.weight'] = np.zeros((1, 2), np.float32)
    state_dict['conv2.weight'] = state_dict['conv2.weight'][:, :, :1]
    state_dict['conv1.bias'] = state_dict['conv1.bias'].astype(np.float64)
    state_dict['bn2.running_var'][1] = np.inf
    state_dict['fc.weight'][:] = np.nan
    with pytest.raises(InputError) as error:
        names.from_torch('ststnet', 'paper', 3, state_dict)
    assert str(error.value).splitlines() == [
        'not the weights of ststnet, variant paper, with 3 classes',
        '  2 missing: conv3.weight, float32 [8, 3, 3, 3]; bn1.bias, float32 [3]',
        '  2 misshapen: conv1.bias is float64 [3], not float32 [3]; '
        'conv2.weight is float32 [5, 3, 1, 3], not float32 [5, 3, 3, 3]',
        '  1 surplus: layer9.weight, float32 [1, 2]',
        '  2 not finite: fc.weight; bn2.running_var',
    ]


@pytest.mark.parametrize(
    ('owner', 'shapes', 'asked'),
    [
        ('dual_atme', dual_atme_shapes(), 'ststnet'),
        ('dual_atme', dual_atme_shapes(branches=(1,)), 'ststnet'),
        ('ststnet', ststnet_shapes(), 'dual_atme'),
    ],
)
def test_weights_of_another_model_are_recognised(owner, shapes, asked):
    with pytest.raises(InputError, match='not the weights') as error:
        names.from_torch(asked, 'paper', 3, filled(shapes))
    first, *kinds = str(error.value).splitlines()
    assert first.endswith(f'; by their names they are those of {owner}')
    surplus = len(shapes.keys() - names.tensors(asked, 'paper', 3).keys())
    assert any(line.startswith(f'  {surplus} surplus: ') and line.endswith(' more') for line in kinds)


# Of 140 and 53 million parameters, which take long to fill; names of their tensors: test_torch_systems.py.
LARGE = {'htnet', 'kfc_mer'}


@pytest.mark.parametrize('model', [model for model in models.NETWORKS if model not in LARGE])
@pytest.mark.slow
def test_every_model_goes_there_and_back_and_is_told_from_the_others(model):
    variant = models.system(model).variants[0]
    shapes = {name: tensor.shape for name, tensor in names.tensors(model, variant, 4).items()}
    state_dict = filled(shapes)
    variables = names.from_torch(model, variant, 4, state_dict)
    assert variables.keys() >= {'params', 'batch_stats'}
    assert sorted(bits(names.to_torch(model, variables))) == sorted(bits(state_dict))
    asked = 'ststnet' if model == 'rcn_a' else 'rcn_a'
    with pytest.raises(InputError, match=f'by their names they are those of {model}\n'):
        names.from_torch(asked, 'paper', 4, state_dict)


def test_unknown_names_are_refused(capsys, source, tmp_path):
    arguments = ('--source', source, '--out', tmp_path / 'out')
    assert "unknown model 'vgg'" in command(capsys, '--model', 'vgg', *arguments, status=2)
    error = command(capsys, '--model', 'lbp_top', *arguments, status=2)
    assert (
        "'lbp_top' has no weights: it is fitted by scikit-learn; expected a network, such as dual_atme"
        in error
    )
    error = command(capsys, '--model', 'ststnet', '--variant', 'big', *arguments, status=2)
    assert "unknown variant 'big': ststnet has 'paper'" in error
    assert '--seed chooses from a trained run' in command(
        capsys, '--model', 'ststnet', '--seed', 0, *arguments, status=2
    )


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_no_code_of_a_file_is_run(capsys, torch, source, tmp_path):
    marker = tmp_path / 'marker'
    path = source / 's01.pth'
    weights = ststnet(torch).state_dict()
    for content in (Bomb(marker), weights | {'conv1.weight': Bomb(marker)}):
        for new in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=new)
            error = converted(capsys, source, tmp_path / 'out', status=2)
            assert f'{path}: holds a pickled posix.mkdir, ' in error
            assert 'nothing of it was run' in error
            assert 'weights_only' not in error  # PyTorch tells how to run it all the same
            assert not marker.exists()
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps(Bomb(marker), protocol))
        assert str(path) in converted(capsys, source, tmp_path / 'out', status=2)
        assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()  # it would have


def test_what_is_no_state_dict_is_refused(capsys, torch, source, tmp_path):
    weights = ststnet(torch).state_dict()
    for content, says in [
        (torch.nn.Linear(2, 2), 'holds a pickled torch.nn.modules.linear.Linear'),
        (weights['fc.weight'], 'not a state_dict but a Tensor'),
        ([1, 2], 'not a state_dict but a list'),
        ({}, 'not a state_dict but an empty one'),
        (weights | {'epoch': 800}, "not a state_dict: 'epoch' is no tensor"),
        (weights | {7: weights['fc.weight']}, 'not a state_dict: 7 is no tensor'),
        ({'optimizer': {'state': {0: weights}}}, "not a state_dict: 'optimizer' is no tensor"),
        ({'student': weights, 'teacher': weights}, "several state_dicts ('student', 'teacher')"),
        (weights | {'fc.weight': weights['fc.weight'].to_sparse()}, 'fc.weight is another kind of tensor'),
        (weights | {'fc.weight': weights['fc.weight'].to('meta')}, 'fc.weight is another kind of tensor'),
        (weights | {'fc.bias': weights['fc.bias'].double() * 1e300}, 'numbers that float32 cannot hold'),
        (weights | {'fc.bias': torch.zeros(3, dtype=torch.int64)}, 'fc.bias is int64 [3], not float32'),
        (weights | {'fc.bias': torch.zeros(3, dtype=torch.complex64)}, 'fc.bias is complex64 [3]'),
        ({'a.module.b': weights['fc.bias'], 'a.b': weights['fc.bias']}, 'several tensors are b once'),
    ]:
        torch.save(content, source / 's01.pth')
        error = converted(capsys, source, tmp_path / 'out', status=2)
        assert f'{source}/s01.pth: ' in error
        assert says in error


@pytest.mark.parametrize('name', ['006', 's01'])
def test_a_truncated_file_is_refused(capsys, source, tmp_path, name):
    path = source / f'{name}.pth'
    content = path.read_bytes()
    for length in (0, 1, 10, len(content) // 3, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:length])
        error = converted(capsys, source, tmp_path / 'out', status=2)
        assert f'{path}: truncated, damaged, or not a file that torch.save wrote' in error
    path.unlink()
    path.mkdir()
    assert f'{path}: it is a folder; expected a regular file' in converted(
        capsys, source, tmp_path / 'out', status=2
    )
    path.rmdir()
    os.mkfifo(path)  # which nobody ever writes to
    assert f'{path}: it is a pipe' in converted(capsys, source, tmp_path / 'out', status=2)


def test_folds_that_differ_are_refused(capsys, torch, source, tmp_path):
    torch.save(ststnet(torch, classes=5).state_dict(), source / 'sub01.pth')
    error = converted(capsys, source, tmp_path / 'out', status=2)
    assert 'sub01.pth: not the weights of ststnet, variant paper, with 3 classes' in error
    assert 'fc.weight is float32 [5, 400], not float32 [3, 400]' in error
    old = {name: tensor for name, tensor in ststnet(torch).state_dict().items() if 'batches' not in name}
    torch.save(old, source / 'sub01.pth')
    assert 'sub01.pth: of it and 006.pth only one counts' in converted(
        capsys, source, tmp_path / 'out', status=2
    )


def test_other_numbers_of_classes_and_old_files(capsys, torch, tmp_path):
    (tmp_path / 'in').mkdir()
    state_dict = ststnet(torch, classes=5).state_dict()
    old = {name: tensor for name, tensor in state_dict.items() if 'batches' not in name}
    torch.save(old, tmp_path / 'in' / '1.pth')
    assert 'with 5 classes' in converted(capsys, tmp_path / 'in', tmp_path / 'ours')
    exported(capsys, tmp_path / 'ours', tmp_path / 'theirs')
    after = torch.load(tmp_path / 'theirs' / '1.pth', weights_only=True)
    assert sorted(bits(after)) == sorted(bits(old))
    ststnet(torch, classes=5).load_state_dict(after)


def test_a_folder_without_files_is_refused(capsys, torch, tmp_path):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / '._sub01.pth').touch()
    (tmp_path / 'in' / 'log.txt').touch()
    error = converted(capsys, tmp_path / 'in', tmp_path / 'out', status=2)
    assert f'no file of weights in {tmp_path}/in (.pth.tar, ' in error
    assert 'not taken, hidden: ._sub01.pth' in error
    assert 'not taken, another ending: log.txt' in error
    assert 'is not a folder' in converted(capsys, tmp_path / 'none', tmp_path / 'out', status=2)


def test_what_is_there_is_not_touched(capsys, source, tmp_path):
    (tmp_path / 'out').mkdir()
    converted(capsys, source, tmp_path / 'out')  # an empty one is as good as none
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')}
    error = converted(capsys, source, tmp_path / 'out', status=2)
    assert f'--out {tmp_path}/out holds something already' in error
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')} == before
    (tmp_path / 'file').touch()
    assert 'holds something already' in converted(capsys, source, tmp_path / 'file', status=2)
    assert 'cannot write --out' in converted(capsys, source, tmp_path / 'file' / 'out', status=2)


def test_a_failed_conversion_leaves_nothing(capsys, source, tmp_path):
    (source / 'sub01.pth').write_bytes(b'')
    converted(capsys, source, tmp_path / 'new' / 'out', status=2)
    assert not list((tmp_path / 'new').iterdir())


def test_what_a_killed_conversion_left_is_cleared_by_the_next(capsys, source, tmp_path):
    left = tmp_path / 'new' / '.out.building'
    (left / 'tensors').mkdir(parents=True)
    (left / 'tensors' / '0.npz').write_bytes(b'of another time')
    (left / 'made').mkdir()
    converted(capsys, source, tmp_path / 'new' / 'out')
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['out']


def test_pytorch_is_asked_for_where_it_is_needed(capsys, monkeypatch, tmp_path):
    (tmp_path / 'sub01.pth').touch()
    monkeypatch.setitem(sys.modules, 'torch', None)
    error = converted(capsys, tmp_path, tmp_path / 'out', status=2)
    assert "`pip install 'torch>=2.6'`" in error
    monkeypatch.setitem(sys.modules, 'torch', types.SimpleNamespace(__version__='2.5.1+cpu'))
    error = converted(capsys, tmp_path, tmp_path / 'out', status=2)
    assert 'PyTorch 2.5.1+cpu can be made to run code by a file' in error


@pytest.fixture
def ours(tmp_path):
    """Converted weights, made without PyTorch."""
    variables = names.from_torch('ststnet', 'paper', 3, filled(ststnet_shapes()))
    with scratch.new_folder(tmp_path / 'ours') as folder:
        stacked = jax.tree.map(lambda leaf: np.stack([leaf, leaf + 1]), variables)
        folds.save(folds.Folds('ststnet', 'paper', 3, ('1', '2'), stacked), folder)
    return tmp_path / 'ours'


def test_converted_weights_are_refused_unless_whole(capsys, ours, tmp_path):
    assert folds.load(ours).subjects == ('1', '2')
    for name in ('folds.csv', 'checksums.json', 'convert.json'):
        before = (ours / name).read_bytes()
        (ours / name).write_bytes(before[:-3])
        with pytest.raises(InputError, match=rf'{ours}.*{name} is damaged'):
            folds.load(ours)
        (ours / name).unlink()
        with pytest.raises(InputError, match=str(ours)):
            folds.load(ours)
        (ours / name).write_bytes(before)
    (ours / 'convert.json').unlink()
    with pytest.raises(InputError, match=r'no converted weights in .*; expected a folder that'):
        folds.load(ours)


def test_converted_weights_go_back_as_their_own_model(capsys, torch, ours, tmp_path):
    error = exported(capsys, ours, tmp_path / 'out', '--model', 'dual_atme', status=2)
    assert "holds 'ststnet'; give that as --model, and not 'dual_atme'" in error
    assert '--seed chooses from a trained run, which' in exported(
        capsys, ours, tmp_path / 'out', '--seed', 0, status=2
    )


PEOPLE = [('casme2', 'sub01'), ('smic', 's01'), ('samm', '6'), ('samm', '16')]


@pytest.mark.parametrize(
    'subjects',
    [('006', '016', 's01', 'sub01'), ('16', '6', 's01', 'casme2_sub01'), ('samm_006', '16', 's01', 'sub01')],
)
def test_each_person_has_its_own_fold(subjects):
    order = folds.match(subjects, PEOPLE)
    assert [subjects[place].removeprefix('casme2_') for place in order[:2]] == ['sub01', 's01']
    assert [int(subjects[place].removeprefix('samm_')) for place in order[2:]] == [6, 16]


def test_subjects_of_a_dataset_may_be_padded():
    assert folds.match(['7', '006'], [('samm', '006'), ('samm', '007')]) == [1, 0]


@pytest.mark.parametrize(
    ('subjects', 'says'),
    [
        (['sub01', '006', '016'], ['smic/s01 has no weights']),
        (['sub01', 's01', '006'], ['samm/16 has no weights']),
        (['sub01', 's01', '006', '016', 's02'], ["'s02' is nobody in the dataset"]),
        (['sub01', 's1', '006', '016'], ["'s1' is nobody in the dataset", 'smic/s01 has no weights']),
        (['sub01', 's01', '006', '6', '016'], ["samm/6 has several: '006' and '6'"]),
    ],
)
def test_folds_and_people_that_differ_are_named(subjects, says):
    with pytest.raises(InputError) as error:
        folds.match(subjects, PEOPLE)
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == says


def test_a_name_that_two_databases_share_is_ambiguous():
    people = [('casme2', 'sub01'), ('smic', 'sub01')]
    with pytest.raises(
        InputError, match="'sub01' is casme2/sub01 and smic/sub01; call it casme2_sub01 or smic_sub01"
    ):
        folds.match(['sub01'], people)
    assert folds.match(['smic_sub01', 'casme2_sub01'], people) == [1, 0]


def test_help_waits_for_nothing_heavy():
    program = 'import sys, dualatme_jax.convert; print(*sys.modules)'
    loaded = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert not {'jax', 'numpy', 'pandas', 'torch', 'orbax'} & set(loaded.stdout.split())
    helped = subprocess.run(
        [sys.executable, '-m', 'dualatme_jax.convert', '--help'], capture_output=True, text=True, check=True
    )
    assert '--to-torch' in helped.stdout


@pytest.mark.parametrize('subject', ['../escaped', '/tmp/escaped', 'a/b', 'a\\b', ''])
def test_a_subject_that_is_no_file_s_name_is_refused(subject):
    with pytest.raises(InputError, match='no name of a file; expected one without slashes'):
        folds.file_name(subject)
