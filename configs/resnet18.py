"""ResNet-18 on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016; here from scratch, as a
         baseline beside Dual-ATME with its optimizer, rate, batch and epochs. It enlarges its input to 224,
         four times the work of --config.model.variant=small, which takes 28x28 as it is.
Command  python -m dualatme_jax.main --config=configs/resnet18.py
         python -m dualatme_jax.main --config=configs/resnet18.py:synthetic
Expect   not yet fully trained; 60 epochs of 17 folds on 28x28 pixels take 18 seconds on an H200.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'resnet18'
    config.model.init = 'kaiming'
    config.loss.name = 'cross_entropy'
    return config
