"""OFF-ApexNet on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Gan, Liong, Yau, Huang, Tan: OFF-ApexNet on micro-expression recognition system, Signal Processing:
         Image Communication 74, 2019. UF1 .7196, UAR .7096, as published for this protocol. It trains for up
         to 3000 epochs; the batch and the scale of the input are those of configs/cd.py.
Command  python -m dualatme_jax.main --config=configs/off_apexnet.py
         python -m dualatme_jax.main --config=configs/off_apexnet.py:synthetic
Expect   not yet fully trained: an epoch of all folds takes 40 ms on an H200, 3000 epochs take 2 minutes.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'off_apexnet'
    config.loss.name = 'cross_entropy'
    config.optimizer.learning_rate = 1e-4
    config.training.epochs = 3000
    return config
