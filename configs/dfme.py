"""Dual-ATME on DFME alone, over the classes that the dataset was built with, ten parts of whole subjects.

Paper    As configs/cd.py; the paper does not report this database, whose own paper has ten such folds.
Command  python -m dualatme_jax.main --config=configs/dfme.py
Expect   not run yet.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. It takes no argument: no synthetic DFME is embedded."""
    if dataset:
        raise ValueError(f"the config's argument is {dataset!r}; expected none for DFME")
    config = cd.get_config()
    config.data.path = 'data/dfme'
    config.data.databases = ('dfme',)
    config.folds, config.fold_parts = 'parts', 10
    return config
