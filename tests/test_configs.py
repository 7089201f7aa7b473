"""The config files: complete, locked, the paper's."""

import importlib

import pytest

from dualatme_jax import experiment
from dualatme_jax.schema import COMPOSITE, LABELS

SYNTHETIC = {'cd': COMPOSITE, 'casme2': ('casme2',), 'smic': ('smic',), 'samm': ('samm',)}
DATABASES_OF = SYNTHETIC | {'casme3': ('casme3',)}


@pytest.fixture(params=DATABASES_OF)
def module(request):
    return importlib.import_module(f'configs.{request.param}')


def test_a_config_is_locked_and_can_be_used(module):
    config = module.get_config()
    with pytest.raises((AttributeError, KeyError)):
        config.training.epoch = 3
    assert config.data.databases == DATABASES_OF[module.__name__.split('.')[1]]
    experiment.make_training(config, LABELS)
    assert set(experiment.hyperparameters(config)) == {
        'learning_rate', 'momentum', 'cosine_weight', 'focal_gamma', 'focal_alpha'
    }  # fmt: skip


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


def test_what_the_synthetic_release_does_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"'synthetic'; expected none for CAS\(ME\)3"):
        importlib.import_module('configs.casme3').get_config('synthetic')


def test_the_defaults_are_the_papers():
    config = importlib.import_module('configs.cd').get_config()
    assert (config.training.epochs, config.training.batch_size) == (60, 128)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ('adam', 1e-3)
    assert config.optimizer.schedule == 'constant'
    assert (config.loss.name, config.loss.focal_gamma, config.loss.focal_alpha) == ('focal', 2, 1)
    assert config.loss.cosine_weight == 0.01
    assert config.loss.class_weights == (0.2857, 0.1329, 0.1695)
    assert (config.model.variant, config.model.dropout, config.model.init) == ('paper', 0.5, 'torch')
