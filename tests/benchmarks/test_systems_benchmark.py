"""The throughput of all systems: what PyTorch's side trains, the arithmetic, and what goes wrong."""

import json

import jax
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from benchmarks import loso, systems, workload  # noqa: E402
from benchmarks import pytorch as baseline  # noqa: E402
from dualatme_jax import models, schema  # noqa: E402
from dualatme_jax.errors import InputError  # noqa: E402
from dualatme_jax.run import model_section  # noqa: E402


def clips(count=24):
    random = np.random.default_rng(0)
    flows = random.integers(0, 256, (2, count, *schema.FLOW_SHAPE), np.uint8)
    return dict(zip(schema.VIEWS['flow'], flows, strict=True)), np.arange(count) % 3


def make(config, *data):
    return baseline.Baseline(*(data or clips()), classes=3, options=baseline.Options(), config=config)


def test_every_system_has_its_config():
    assert set(workload.SYSTEMS) <= set(models.SYSTEMS)
    for name in workload.SYSTEMS:
        assert workload.config(name).model.name == name


# Those that a CPU trains in a second.
FLOW = [
    name for name in models.NETWORKS if models.SYSTEMS[name].stored in (('flow',), ('flow', 'flow_puzzled'))
]
SMALL = [name for name in FLOW if name != 'htnet']


@pytest.mark.parametrize('name', workload.SYSTEMS)
def test_pytorch_s_network_is_as_large_as_ours_and_drops_out_where_ours_does(name):
    config = workload.config(name)
    model = model_section.complete(config.model)
    network = models.build(classes=5, **model)
    read = {key: workload.shape(key, config) for key in models.SYSTEMS[name].reads}
    shapes = models.shapes(network, {key: (channels, *size) for key, (*size, channels) in read.items()})
    with torch.device('meta'):  # no parameter is drawn
        theirs = baseline.build(config.model, 5)
    expected = sum(leaf.size for leaf in jax.tree.leaves(shapes['params']))
    assert sum(parameter.numel() for parameter in theirs.parameters()) == expected
    rates = {layer.p for layer in theirs.modules() if isinstance(layer, torch.nn.Dropout)}
    assert rates - {0.0} == ({model['dropout']} if 'dropout' in model else set())


@pytest.mark.parametrize('name', SMALL)
def test_pytorch_trains_every_system_of_small_images(name):
    found = make(workload.config(name), *clips(12)).train([np.arange(4)] * 2, epochs=1)
    for probabilities in found:
        assert probabilities.shape == (4, 3)
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert not np.allclose(*found)  # the second fold is another network


class Recorder(torch.nn.Module):
    """A network that keeps the batches that it is given in training."""

    def __init__(self):
        super().__init__()
        self.batches, self.fc = [], torch.nn.Linear(3, 3)

    def forward(self, x):
        if self.training:
            self.batches.append(x.permute(0, 2, 3, 1).numpy())
        return self.fc(x.mean((2, 3)))


def batches_of(name, count, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(baseline, 'build', lambda model, classes: recorder)
    make(workload.config(name), *clips(count)).train([np.arange(4)], epochs=1)
    return recorder.batches


def test_ststnet_reads_bytes_from_strain_to_u_in_the_order_of_the_dataset(monkeypatch):
    (batch,) = batches_of('ststnet', 40, monkeypatch)
    np.testing.assert_array_equal(batch, clips(40)[0]['flow'][4:, ..., ::-1])


def test_rcn_reads_shuffled_batches_of_64_from_0_to_1(monkeypatch):
    found = batches_of('rcn_a', 80, monkeypatch)
    assert [len(batch) for batch in found] == [64, 12]
    expected = clips(80)[0]['flow'][4:] / np.float32(255)
    found = np.concatenate(found)
    assert not np.allclose(found, expected)
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), rtol=1e-6)


def test_optimizers_are_those_of_the_configs():
    parameters = [torch.nn.Parameter(torch.ones(2))]
    sgd = baseline.make_optimizer(parameters, workload.config('rcn_s').optimizer)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults['lr'], sgd.defaults['momentum']) == (5e-4, 0.9)
    adam = baseline.make_optimizer(parameters, workload.config('off_apexnet').optimizer)
    assert type(adam) is torch.optim.Adam
    assert (adam.defaults['lr'], adam.defaults['betas']) == (1e-4, (0.9, 0.999))


def test_decay_is_decoupled_as_ours():
    settings = workload.config('off_apexnet').optimizer
    settings.weight_decay = 0.6
    decayed = baseline.make_optimizer([torch.nn.Parameter(torch.ones(2))], settings)
    assert isinstance(decayed, torch.optim.AdamW)
    assert decayed.defaults['weight_decay'] == 0.6


def test_an_epoch_of_few_batches_has_whole_ones_and_is_scaled_to_that_of_the_composite():
    config = workload.config('rcn_a')  # of 64
    data = workload.random_clips(config, batches=2)
    work = loso.Work(data, folds=3, epochs=1, system='rcn_a')
    assert {data.size - len(own) for own in work.held_out} == {128}
    assert workload.full_epochs(config, 2) == 7 / 2
    assert workload.full_epochs(config, 0) == 1


def test_inputs_have_the_size_that_the_config_has_them_built_in():
    config = workload.config('rcn_a').copy_and_resolve_references()
    config.data.build_options = '--face-size 240 --frame-count 11 --frame-choice even'
    sizes = {key: workload.shape(key, config) for key in ('flow', 'apex_face_grey', 'face_frames')}
    assert sizes == {
        'flow': (28, 28, 3),
        'apex_face_grey': (240, 240, 1),
        'face_frames': (11, 128, 128, 3),
    }


def test_trials_a_minute_are_of_the_paper_s_epochs():
    assert systems.trials_per_minute(0.02, 3000) == pytest.approx(1)
    assert systems.trials_per_minute(0.5, 60) == pytest.approx(2)


def test_a_variant_that_is_not_the_paper_s_is_told():
    assert systems.title('resnet18') == 'resnet18 (small)'
    assert systems.title('rcn_a') == 'rcn_a'


@pytest.fixture
def sides(monkeypatch):
    """PyTorch takes 0.15 seconds a fold-epoch and ours 0.05; RCN-c fails. Returns what was run."""
    started = []

    def in_a_process(side, options, cache):
        started.append((options.system, side))
        if options.system == 'rcn_c':
            raise InputError(f"{side}'s process ended with status 1:\nno memory")
        each = 0.15 if side == loso.PYTORCH else 0.05
        seconds = each * options.folds * options.epochs
        return {
            'seconds': seconds,
            'seconds_per_fold_epoch': each,
            'samples_per_second': 1 / seconds,
            'compile_seconds': 1.0,
            'gpu': False,
            'device': 'cpu',
            'versions': {},
        }

    monkeypatch.setattr(loso, '_in_a_process', in_a_process)
    return started


def test_the_command_tells_every_system(sides, tmp_path, capsys):
    file, picture = tmp_path / 'found.json', tmp_path / 'found.png'
    arguments = ['--systems=rcn_a,resnet18', '--rounds=2', f'--json={file}', f'--plot={picture}']
    assert systems.main(arguments) == 0
    assert sides == [(name, side) for name in ('rcn_a', 'resnet18') for side in (loso.PYTORCH, loso.OURS) * 2]
    shown = capsys.readouterr().out
    assert 'resnet18 (small)' in shown
    assert 'ratio [min, max]' in shown
    assert '3.00 [3.00, 3.00]' in shown
    found = json.loads(file.read_text())
    rcn, resnet = found['rows']
    assert [(row['system'], row['paper_epochs']) for row in found['rows']] == [
        ('rcn_a', 20),
        ('resnet18', 60),
    ]
    assert rcn['ours_trials_per_minute'] == pytest.approx(60)  # 20 epochs of 0.05 seconds
    assert resnet['pytorch_trials_per_minute'] == pytest.approx(60 / 9)
    assert picture.read_bytes().startswith(b'\x89PNG')


def test_a_system_that_fails_is_told_and_the_others_are_measured(sides, tmp_path, capsys):
    file = tmp_path / 'found.json'
    assert systems.main(['--systems=rcn_a,rcn_c,rcn_f', '--rounds=1', f'--json={file}']) == 2
    shown = capsys.readouterr()
    assert 'rcn_c failed' in shown.err
    assert 'no memory' in shown.err
    found = json.loads(file.read_text())
    assert [row['system'] for row in found['rows']] == ['rcn_a', 'rcn_f']
    assert list(found['failed']) == ['rcn_c']


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        (
            '--systems=ststnet,vgg',
            "--systems ststnet,vgg: there is no system 'vgg'; expected some of dual_atme",
        ),
        ('--systems=', "there is no system ''"),
        ('--folds=69', '--folds 69: the dataset has 68 subjects'),
        ('--epochs=0', '--epochs is 0; expected 1 or more'),
        ('--rounds=0', '--rounds is 0'),
        ('--plot=nowhere/file.png', '--plot nowhere/file.png: its folder does not exist'),
    ],
)
def test_what_cannot_be_measured_is_refused(argument, message, sides, capsys):
    assert systems.main([argument]) == 2
    assert message in capsys.readouterr().err
    assert not sides


@pytest.mark.slow
def test_a_small_system_is_trained_by_both_sides(tmp_path):
    file = tmp_path / 'found.json'
    arguments = ['--systems=off_apexnet', '--folds=2', '--epochs=1', '--rounds=1', f'--json={file}']
    assert systems.main(arguments) == 0
    (row,) = json.loads(file.read_text())['rows']
    assert row['ratio'] == pytest.approx(
        row['ours_trials_per_minute'] / row['pytorch_trials_per_minute'], rel=1e-6
    )
    assert row['versions']['jax'] == jax.__version__
    assert row['versions']['torch'] == torch.__version__
