"""Dual-ATME on SAMM alone: 133 clips, 28 subjects, leave-one-subject-out.

Paper    As configs/cd.py, but trained within one database; the paper trains on all three together and
         reports the clips of this database, so its figures are not comparable.
Command  python -m dualatme_jax.main --config=configs/samm.py
         python -m dualatme_jax.main --config=configs/samm.py:synthetic
Expect   UAR .563, UF1 .569 on the public flow images, seed 0, after 4 minutes on 2 CPU cores.
         :synthetic: UAR .486, UF1 .495 on 28 clips of 4 subjects, after 15 seconds.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.data.databases = ('samm',)
    return config
