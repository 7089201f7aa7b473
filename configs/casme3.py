"""Dual-ATME on CAS(ME)3 alone, over the classes that the dataset was built with, leave-one-subject-out.

Paper    As configs/cd.py; the paper does not report this database.
Command  python -m dualatme_jax.main --config=configs/casme3.py
Expect   not run yet.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. It takes no argument: no synthetic CAS(ME)3 is embedded."""
    if dataset:
        raise ValueError(f"the config's argument is {dataset!r}; expected none for CAS(ME)3")
    config = cd.get_config()
    config.data.path = 'data/casme3'
    config.data.databases = ('casme3',)
    return config
