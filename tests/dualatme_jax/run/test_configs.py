"""The config files: complete, locked, the paper's."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from configs import leaderboard, table_comparison
from data_prep.face.regions import PAIRS
from dualatme_jax import models
from dualatme_jax.data.dataset import FLOWS
from dualatme_jax.errors import InputError
from dualatme_jax.report import paper
from dualatme_jax.run import experiment, model_section, programs, sweep
from dualatme_jax.schema import COMPOSITE, FLOW_CHANNELS, LABELS, WINDOW_LABELS
from dualatme_jax.training import losses, optimizers

QUICK = (
    'fewer epochs than in the papers, one seed, ResNet-18 on 28x28 pixels, '
    'HTNet with an eighth of its channels'
)
TABLES = ('modules', 'regions', 'lambda', 'loss')
SYNTHETIC = {'cd': COMPOSITE, 'casme2': ('casme2',), 'smic': ('smic',), 'samm': ('samm',)}
SYNTHETIC |= dict.fromkeys((f'table_{name}' for name in TABLES), COMPOSITE)
# Each paper's settings: optimizer, learning rate, epochs, batch, how parameters start, scale of the input.
SYSTEMS = {
    'ststnet': ('adam', 5e-5, 800, 256, 'torch', 'byte'),
    'off_apexnet': ('adam', 1e-4, 3000, 128, 'torch', 'signed'),
    'dual_inception': ('adam', 1e-3, 501, 128, 'torch', 'signed'),
    **dict.fromkeys(('rcn_a', 'rcn_s', 'rcn_w', 'rcn_c', 'rcn_f'), ('sgd', 5e-4, 20, 64, 'kaiming', 'unit')),
    'resnet18': ('adam', 1e-3, 60, 128, 'kaiming', 'signed'),
    'htnet': ('adam', 5e-5, 800, 256, 'torch', 'byte'),
    'micro_attention': ('sgd', 1e-2, 30, 10, 'caffe', 'byte'),
}
# Those of another loss and schedule.
CAPSULENET = {'capsulenet': ('adam', 1e-4, 30, 32, 'torch', 'unit')}
SPOTTERS = {'softnet': ('sgd', 5e-4, 10, 12, 'glorot_uniform', 'unit')}
SPOTTERS |= {'mean': ('adam', 5e-4, 10, 32, 'glorot_uniform', 'unit')}
AS_READ = ('ststnet', 'htnet')  # whose programs take pictures as blue, green, red, in the order of files
FITTED = ('lbp_top', 'bi_woof', 'kernel_ridge', 'kernel_ridge_steps', 'best')  # without a network
SYNTHETIC |= dict.fromkeys((*SYSTEMS, *CAPSULENET, *FITTED, 'aman'), COMPOSITE)
DATABASES_OF = SYNTHETIC | {'casme3': ('casme3',), 'dfme': ('dfme',)}


@pytest.fixture(params=DATABASES_OF)
def module(request):
    return importlib.import_module(f'configs.{request.param}')


def test_a_config_is_locked_and_can_be_used(module):
    config = module.get_config()
    with pytest.raises((AttributeError, KeyError)):
        config.training.epoch = 3
    assert config.data.databases == DATABASES_OF[module.__name__.split('.')[1]]
    config = model_section.completed(config)
    programs.make_training(config, LABELS)
    name = module.__name__.split('.')[1]
    numbers = programs.hyperparameters(config, LABELS)
    if name in FITTED:
        assert not numbers
        return
    known = SYSTEMS | CAPSULENET
    assert numbers['learning_rate'] == pytest.approx(known[name][1] if name in known else 1e-3)
    assert numbers['cosine_weight'] == 0.01


def settings(config):
    """In the order of `SYSTEMS`."""
    optimizer, training = config.optimizer, config.training
    init = model_section.complete(config.model)['init']
    trained = (optimizer.name, optimizer.learning_rate, training.epochs, training.batch_size)
    return (*trained, init, config.input.scale)


def test_capsules_are_trained_as_their_paper_has_it():
    config = importlib.import_module('configs.capsulenet').get_config()
    assert settings(config) == CAPSULENET['capsulenet']
    numbers = programs.hyperparameters(config, LABELS)
    assert [numbers[name] for name in losses.MARGINS] == [0.99, 0.01, 0.5]
    assert [optimizers.rate(numbers, epoch) for epoch in (0, 1, 29)] == pytest.approx(
        [1e-4, 0.9e-4, 1e-4 * 0.9**29]
    )


@pytest.mark.parametrize('name', SPOTTERS)
def test_a_spotter_is_trained_as_its_paper_has_it(name):
    config = importlib.import_module(f'configs.{name}').get_config()
    assert settings(config) == SPOTTERS[name]
    assert (config.loss.name, config.optimizer.schedule, config.data.databases) == (
        'squared_error',
        'constant',
        (),
    )
    assert name == 'mean' or config.optimizer.momentum == 0
    assert 'squared_error' in programs.make_training(model_section.completed(config), WINDOW_LABELS).active
    with pytest.raises(ValueError, match='expected none for long videos'):
        importlib.import_module(f'configs.{name}').get_config('synthetic')


@pytest.mark.parametrize('name', SYSTEMS)
def test_a_system_is_trained_as_its_paper_has_it(name):
    config = importlib.import_module(f'configs.{name}').get_config()
    model = model_section.complete(config.model)
    first = models.SYSTEMS[name].variants[0]
    assert (model['name'], model.get('variant', first), config.loss.name) == (name, first, 'cross_entropy')
    assert settings(config) == SYSTEMS[name]
    assert (config.optimizer.momentum, config.optimizer.schedule) == (0.9, 'constant')
    assert config.training.shuffle == (name not in AS_READ)
    assert config.input.channels == (('strain', 'v', 'u') if name in AS_READ else FLOW_CHANNELS)


def test_aman_is_trained_as_its_program_has_it():
    config = importlib.import_module('configs.aman').get_config()
    optimizer, training = config.optimizer, config.training
    assert (optimizer.name, optimizer.learning_rate, optimizer.rms_decay) == ('rmsprop', 1e-3, 0.99)
    assert (optimizer.weight_decay, optimizer.coupled_decay) == (1e-4, True)
    assert (optimizer.schedule, optimizer.step_epochs, optimizer.step_factor) == ('step', 30, 0.2)
    assert (training.epochs, training.batch_size, training.shuffle) == (50, 4, True)
    assert config.loss.name == 'cross_entropy'


@pytest.mark.parametrize('name', sorted(models.SYSTEMS.keys() - {'dual_atme'}))
def test_every_system_has_a_config(name):
    stem = 'best' if name == 'kernel_ridge' else name
    config = importlib.import_module(f'configs.{stem}').get_config()
    assert config.model.name == name
    assert models.SYSTEMS[name].config == f'configs/{stem}.py'
    programs.make_training(model_section.completed(config), LABELS)


@pytest.mark.parametrize('module', SYNTHETIC, indirect=True)
def test_synthetic_differs_in_its_data_alone(module):
    real, synthetic = module.get_config().to_dict(), module.get_config('synthetic').to_dict()
    assert synthetic['data'].pop('build_synthetic')
    assert not real['data'].pop('build_synthetic')
    assert synthetic['data'].pop('path') != real['data'].pop('path')
    assert synthetic == real


def test_another_argument_is_refused(module):
    with pytest.raises(ValueError, match='expected'):
        module.get_config('artificial')


@pytest.mark.parametrize(('name', 'title'), [('casme3', r'CAS\(ME\)3'), ('dfme', 'DFME')])
def test_what_the_synthetic_release_does_not_hold_is_refused(name, title):
    with pytest.raises(ValueError, match=f"'synthetic'; expected none for {title}"):
        importlib.import_module(f'configs.{name}').get_config('synthetic')


def test_the_defaults_are_the_papers():
    config = importlib.import_module('configs.cd').get_config()
    assert (config.training.epochs, config.training.batch_size) == (60, 128)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ('adam', 1e-3)
    assert config.optimizer.schedule == 'constant'
    assert (config.loss.name, config.loss.focal_gamma, config.loss.focal_alpha) == ('focal', 2, 1)
    assert config.loss.cosine_weight == 0.01
    assert config.loss.class_weights == (0.2857, 0.1329, 0.1695)
    assert model_section.complete(config.model) == {
        'name': 'dual_atme',
        'variant': 'paper',
        'dropout': 0.5,
        'init': 'torch',
    }


@pytest.mark.parametrize('name', TABLES)
@pytest.mark.parametrize('dataset', ['', 'synthetic'])
def test_a_table_of_the_paper_is_swept_row_by_row(name, dataset):
    config = importlib.import_module(f'configs.table_{name}').get_config(dataset)
    swept = sweep.points(config)
    table = paper.TABLES[name]
    assert {tuple(point.values[field] for field in table.fields) for point in swept.points} == {
        values for _, values, _ in table.rows
    }
    assert not swept.repeated
    paper.check(config.report.paper, swept.fields)
    # The reference is the paper's best run, which all its tables share, and configs/cd.py is.
    own = tuple(swept.reference.values[field] for field in table.fields)
    assert {values: cells for _, values, cells in table.rows}[own] == paper.BEST
    cd = model_section.completed(importlib.import_module('configs.cd').get_config(dataset)).to_dict()
    found = swept.reference.config.to_dict()
    differing = {section for section in cd if cd[section] != found[section]}
    assert differing == {'sweep', 'report'} | ({'data'} if name == 'regions' else set())


def test_the_comparison_is_a_leaderboard_of_the_paper_s_rows():
    config = table_comparison.get_config('quick,synthetic')
    swept = sweep.points(config)
    rows = [values for _, values, _ in paper.TABLES['comparison'].rows]
    assert sorted((point.config.model.name,) for point in swept.points) == sorted(rows)
    assert swept.reference.config.model.name == 'dual_atme'
    assert config.report.leaderboard
    paper.check(config.report.paper, swept.fields)
    with pytest.raises(ValueError, match="argument is 'all'; expected some of small, quick, synthetic, with"):
        table_comparison.get_config('all')


def test_each_regions_dataset_lies_in_its_own_folder():
    swept = sweep.points(importlib.import_module('configs.table_regions').get_config())
    paths = [experiment.data_paths(point.config.data) for point in swept.points]
    assert paths == [[f'data/regions/{pair}'] for pair in ('EN', 'EM', 'FN', 'FM', 'full')]
    assert all(pair in PAIRS for pair in ('EN', 'EM', 'FN', 'FM', 'full'))


def test_a_synthetic_dataset_is_built_with_its_regions(monkeypatch, tmp_path):
    data = importlib.import_module('configs.table_regions').get_config('synthetic').data
    data.path, data.regions = str(tmp_path / '{regions}'), 'FM'
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr(subprocess, 'run', run)
    with pytest.raises(InputError, match='could not be built in'):
        experiment.load_dataset(data, FLOWS)
    out = ['--out', str(tmp_path / 'FM')]
    assert commands[0][1:] == ['-m', 'data_prep', 'build', '--release', 'synthetic', *out, '--regions', 'FM']


def test_a_synthetic_dataset_is_built_with_the_options_of_its_views_in_a_folder_of_its_own(
    monkeypatch, tmp_path
):
    data = importlib.import_module('configs.cd').get_config('synthetic').data
    data.path, data.build_options = str(tmp_path / 'synthetic'), '--frame-count 11 --frame-size 64'
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr(subprocess, 'run', run)
    with pytest.raises(InputError, match='could not be built in'):
        experiment.load_dataset(data, ('face_frames',))
    out = str(tmp_path / 'synthetic-frames-frame-count-11-frame-size-64')
    assert commands[0][6:] == ['--out', out, '--view', 'frames', *data.build_options.split()]
    data.build_options = '--frame-size 64 --frame-count=11'  # the same folder
    with pytest.raises(InputError, match='could not be built in'):
        experiment.load_dataset(data, ('face_frames',))
    assert commands[1][7] == out
    data.build_options = "--frame-count '11"
    with pytest.raises(InputError, match=r'build_options is .*No closing quotation'):
        experiment.load_dataset(data, ('face_frames',))


def test_who_lacks_a_dataset_reads_with_which_options_it_is_built(small_dataset_dir):
    data = importlib.import_module('configs.cd').get_config().data
    data.path, data.build_options = str(small_dataset_dir), '--frame-count 11'
    with pytest.raises(
        InputError, match=r'lacks face_frames.*build \.\.\. --view frames --frame-count 11 --'
    ):
        experiment.load_dataset(data, ('face_frames',))


def test_a_dataset_built_by_the_options_of_a_config_is_taken_and_another_size_refused(
    small_dataset_dir, tmp_path
):
    data = importlib.import_module('configs.cd').get_config().data
    data.path, data.build_options = str(tmp_path / 'own'), '--size 28'
    beside = tmp_path / 'own-flow-size-28'
    shutil.copytree(small_dataset_dir, beside)
    assert experiment.load_dataset(data, ('flow',)).inputs['flow'].shape[1:3] == (28, 28)
    shutil.copytree(small_dataset_dir, tmp_path / 'own')
    data.build_options = '--size 56'
    with pytest.raises(
        InputError, match=r'flow of .*own has 28x28, and .* 56x56: .*--out .*own-flow-size-56'
    ):
        experiment.load_dataset(data, ('flow',))
    for wrong in ('--size x', "--size '56"):
        data.build_options = wrong
        with pytest.raises(InputError, match=r'build_options is .*; expected options of `data_prep build`'):
            experiment.load_dataset(data, ('flow',))
    data.build_options = ''
    assert experiment.load_dataset(data, ('flow',)).size


@pytest.mark.parametrize(
    ('name', 'argument', 'says'),
    [
        ('mmnet', '5clas', r"argument is '5clas'; expected one of 5class, 3class, synthetic"),
        ('mmnet', '3class,5class', r"argument is '3class,5class'; expected one of"),
        ('dual_branch_3dcnn', 'casme2,samm', r'names casme2 and samm; expected one of them'),
    ],
)
def test_words_that_do_not_go_together_are_refused(name, argument, says):
    with pytest.raises(ValueError, match=says):
        importlib.import_module(f'configs.{name}').get_config(argument)


def test_another_dataset_is_not_taken_for_the_synthetic_one(small_dataset_dir):
    data = importlib.import_module('configs.cd').get_config('synthetic').data
    data.path = str(small_dataset_dir)
    with pytest.raises(InputError, match=r'holds another dataset \(small\); to train on that one leave :syn'):
        experiment.load_dataset(data, FLOWS)


def test_a_dataset_of_other_regions_is_refused(small_dataset_dir):
    data = importlib.import_module('configs.cd').get_config().data
    data.path, data.regions = str(small_dataset_dir), 'EN'
    with pytest.raises(InputError, match=r"data\.regions is 'EN', but .* made of 'unknown'.*--regions EN"):
        experiment.load_dataset(data, FLOWS)


@pytest.mark.parametrize('argument', ['', 'synthetic'])
@pytest.mark.parametrize('path', ['~nosuchuser/cd', 'a\0b', 'x' * 5000, os.fsdecode(b'caf\xe9')])
def test_paths_of_a_dataset_that_cannot_be_are_refused(argument, path):
    data = importlib.import_module('configs.cd').get_config(argument).data
    data.path = path
    with pytest.raises(InputError, match=r'config\.data\.path'):
        experiment.load_dataset(data, FLOWS)


@pytest.mark.parametrize(
    ('argument', 'variant', 'shortened', 'seeds'),
    [
        ('all', 'paper', '', 3),
        ('all,small', 'small', 'ResNet-18 on 28x28 pixels', 3),
        ('quick', 'small', QUICK, 1),
    ],
)
def test_the_leaderboard_trains_every_system_by_its_own_config_or_says_what_is_shorter(
    argument, variant, shortened, seeds
):
    config = leaderboard.get_config(argument)
    assert (config.report.shortened, len(config.seeds), config.report.leaderboard) == (shortened, seeds, True)
    points = {point.config.model.name: point.config for point in sweep.points(config).points}
    stems = {name: Path(row.config).stem for name, row in models.SYSTEMS.items()}
    flow = {name for name, stem in stems.items() if stem in leaderboard.GROUPS['flow']}
    every = models.SYSTEMS.keys() - SPOTTERS  # which answer another question
    assert points.keys() == (flow | {'kernel_ridge'} if argument == 'quick' else every)
    epochs = {name: number for group in leaderboard.GROUPS.values() for name, number in group.items()}
    for name, found in points.items():
        stem = stems[name]
        own = importlib.import_module(f'configs.{stem}').get_config()
        own = model_section.completed(own)
        with own.unlocked():
            if name == 'resnet18':
                own.model.variant = variant
            if argument == 'quick':
                own.training.epochs = epochs[stem]
                for field, value in leaderboard.QUICK.get(stem, ('', {}))[1].items():
                    section, key = field.split('.')
                    own[section][key] = value
        for section in leaderboard.SECTIONS:
            assert found[section] == own[section], (name, section)


def test_the_leaderboard_takes_systems_and_the_synthetic_release_too_and_no_other_word():
    config = leaderboard.get_config('quick,synthetic')
    assert config.data.build_synthetic
    assert config.report.shortened.startswith('fewer epochs')
    some = leaderboard.get_config('rcn_f,best,classical')
    names = [point.config.model.name for point in sweep.points(some).points]
    assert names == ['rcn_f', 'lbp_top', 'bi_woof', 'kernel_ridge']
    with pytest.raises(
        ValueError,
        match=r"argument is 'smal'; expected some of flow, .*, all, small, quick, synthetic, cd, .*, with",
    ):
        leaderboard.get_config('smal')
