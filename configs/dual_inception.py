"""Dual-Inception on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Zhou, Mao, Xue: Dual-Inception network for cross-database micro-expression recognition, IEEE FG 2019.
         UF1 .7322, UAR .7278. The batch and the scale of the input are those of configs/cd.py. The authors'
         code has other settings: Adam 1e-4, 40 epochs, batches of 3, the best epoch by a fifth of the
         training subjects.
Command  python -m dualatme_jax.main --config=configs/dual_inception.py
         python -m dualatme_jax.main --config=configs/dual_inception.py:synthetic
Expect   not yet fully trained: 4 hours on 2 CPU cores, estimated from one epoch.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'dual_inception'
    config.loss.name = 'cross_entropy'
    config.training.epochs = 501
    return config
