"""What an experiment refuses before it trains, and what it says."""

import pytest

from configs import cd
from dualatme_jax import experiment
from dualatme_jax.errors import InputError


@pytest.mark.parametrize(
    ('field', 'value', 'says'),
    [
        ('data.path', 'nowhere', 'python -m data_prep build'),
        ('data.databases', ('casme3',), 'casme3'),
        ('model.name', 'resnet', "config.model.name takes 'dual_atme'"),
        ('model.variant', 'best', "config.model.variant takes 'paper', 'code'"),
        ('model.init', 'zeros', 'zeros'),
        ('model.dropout', 1.0, 'config.model.dropout is 1.0'),
        ('loss.name', 'hinge', 'config.loss.name takes'),
        ('loss.class_weights', (1.0, 2.0), 'one for each of negative, positive, surprise'),
        ('optimizer.name', 'lion', 'config.optimizer.name takes'),
        ('optimizer.schedule', 'cosine', "takes 'constant', 'step'"),
        ('training.batch_size', 0, 'config.training.batch_size is 0'),
        ('training.epochs', 0, 'config.training.epochs is 0'),
        ('checkpoint.every', 0, 'config.checkpoint.every is 0'),
        ('report.resamples', 0, 'config.report.resamples is 0'),
        ('engine.max_trials', -1, 'config.engine.max_trials is -1'),
        ('engine.memory_gib', -1.0, 'config.engine.memory_gib is -1'),
        ('engine.memory_gib', 0.01, 'no memory for one trial: it needs 0.'),
        ('seeds', (0, 0), r'config.seeds is \(0, 0\)'),
        ('seeds', ('a',), 'whole numbers'),
        ('seeds', (), 'one or more'),
    ],
)
def test_what_cannot_be_used_is_named(small_dataset_dir, tmp_path, field, value, says):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=says):
        experiment.run(config, tmp_path / 'run')


def test_a_workdir_that_cannot_be_written_is_named(small_dataset_dir, tmp_path):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='cannot write to the workdir'):
        experiment.run(config, tmp_path / 'file' / 'run')
