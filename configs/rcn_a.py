"""RCN-a on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Xia, Peng, Khor, Feng, Zhao: Revealing the invisible with model and data shrinking for
         composite-database micro-expression recognition, IEEE TIP 29, 2020. UF1 .7432, UAR .7190, the best of
         the family. Its code halves the learning rate every 10 epochs, but never steps that schedule;
         --config.optimizer.schedule=step does. That code scales flows to 0..1.
Command  python -m dualatme_jax.main --config=configs/rcn_a.py
         python -m dualatme_jax.main --config=configs/rcn_a.py:synthetic
Expect   UF1 .614, UAR .601 on the public flow images, seed 0, after 4 minutes on 2 CPU cores.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'rcn_a'
    config.model.init = 'kaiming'
    config.input.scale = 'unit'
    config.loss.name = 'cross_entropy'
    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 5e-4
    config.optimizer.momentum = 0.9
    config.optimizer.schedule = 'constant'
    config.training.epochs = 20
    config.training.batch_size = 64
    return config
