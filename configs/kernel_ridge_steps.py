"""Kernel ridge regression on the flow in several steps, from frames: leave-one-subject-out.

Paper    None: a system of this project, and no published figures. Everything but the input is that of
         configs/kernel_ridge.py; how many steps there are and which is chosen at the build.
Command  python -m data_prep build --release megc2019_cd --source DIR --landmarks FILE --view flow_steps \
           --flow-steps two --head-motion affine --out data/megc2019_cd_steps
         python -m dualatme_jax.main --config=configs/kernel_ridge_steps.py \
           --config.data.path=data/megc2019_cd_steps
         python -m dualatme_jax.main --config=configs/kernel_ridge_steps.py:synthetic
"""

from ml_collections import ConfigDict

from configs import kernel_ridge


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = kernel_ridge.get_config(dataset)
    config.model.name = 'kernel_ridge_steps'
    return config
