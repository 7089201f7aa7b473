"""SOFTNet on windows of long videos, leave-one-subject-out: which of them meet an expression.

Paper    Liong, See, Wong: Shallow optical flow three-stream CNN for macro- and micro-expression spotting from
         long videos, IEEE ICIP 2021. Published F1 of spotting: CAS(ME)^2 .2022, SAMM Long Videos .1881, with
         a threshold that was chosen on the test results.
Command  python -m data_prep windows --source VIDEOS --form softnet --out data/windows
         python -m dualatme_jax.main --config=configs/softnet.py
         python -m dualatme_jax.spot runs/softnet --source VIDEOS
Expect   docs/spotting.md has a shortened run on synthetic videos. Not yet run on real ones.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. It takes no argument: no long videos are embedded."""
    if dataset:
        raise ValueError(f"the config's argument is {dataset!r}; expected none for long videos")
    config = cd.get_config()
    config.data.path = 'data/windows'
    config.data.databases = ()
    config.data.undersample = 0.5  # of the windows without an expression; the paper
    config.model.name = 'softnet'
    config.input.scale = 'unit'
    config.loss.name = 'squared_error'
    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 5e-4
    config.optimizer.momentum = 0.0
    config.training.epochs = 10
    config.training.batch_size = 12
    return config
