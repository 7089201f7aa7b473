"""STSTNet on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Liong, Gan, See, Khor, Huang: Shallow triple stream three-dimensional CNN, IEEE FG 2019. UF1 .7353,
         UAR .7186 (the .7605 that it prints as UAR is the mean precision); .7209, .7250 by its PyTorch code.
         The settings are that code's: flows as bytes, channels in the order of pictures read as blue, green,
         red, and no shuffling. Its order of files is by class; here it is the dataset's.
Command  python -m dualatme_jax.main --config=configs/ststnet.py
         python -m dualatme_jax.main --config=configs/ststnet.py:synthetic
Expect   UF1 .688, UAR .672 on the public flow images, seed 0, after 28 seconds on an H200 in tf32.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'ststnet'
    config.input.scale = 'byte'
    config.input.channels = ('strain', 'v', 'u')
    config.loss.name = 'cross_entropy'
    config.optimizer.learning_rate = 5e-5
    config.training.epochs = 800
    config.training.batch_size = 256
    config.training.shuffle = False
    return config
