"""The small CNN of this package on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Command  python -m dualatme_jax.main --config=configs/small_cnn.py
         python -m dualatme_jax.main --config=configs/small_cnn.py:synthetic
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'small_cnn'
    config.model.dropout = 0.3
    config.input.encoding = 'robust'
    config.input.mirror_at_test = True
    config.augment.mirror = 0.5
    config.loss.name = 'cross_entropy'
    config.loss.class_balance = 1.0
    config.optimizer.learning_rate = 2e-3
    config.training.epochs = 60
    config.training.batch_size = 64
    return config
