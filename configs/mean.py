"""MEAN on windows of long videos, leave-one-subject-out: which of them meet an expression.

Paper    Liong, See, Chan: Spot-then-recognize: a micro-expression analysis network for seamless evaluation of
         long videos, Signal Processing: Image Communication 110, 2023. Published F1 of spotting
         micro-expressions: CAS(ME)^2 .1214, SAMM Long Videos .0949, with a threshold that was chosen on the
         test results.
Command  python -m data_prep windows --source VIDEOS --form mean --out data/windows_mean
         python -m dualatme_jax.main --config=configs/mean.py
         python -m dualatme_jax.spot runs/mean --source VIDEOS
Expect   docs/spotting.md has a shortened run on synthetic videos. Not yet run on real ones.
"""

from ml_collections import ConfigDict

from configs import softnet


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. It takes no argument: no long videos are embedded."""
    config = softnet.get_config(dataset)
    config.data.path = 'data/windows_mean'
    config.data.undersample = 5.0  # windows without an expression for each with one; the paper
    config.model.name = 'mean'
    config.optimizer.name = 'adam'
    config.training.batch_size = 32
    return config
