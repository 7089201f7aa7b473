"""Dual-ATME on CASME II alone: 145 clips, 24 subjects, leave-one-subject-out.

Paper    As configs/cd.py, but trained within one database; the paper trains on all three together and
         reports the clips of this database, so its figures are not comparable.
Command  python -m dualatme_jax.main --config=configs/casme2.py
         python -m dualatme_jax.main --config=configs/casme2.py:synthetic
Expect   UAR .812, UF1 .796 on the public flow images, seed 0, after 3 minutes on 2 CPU cores.
         :synthetic: UAR .776, UF1 .768 on 28 clips of 4 subjects, after 15 seconds.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.data.databases = ('casme2',)
    return config
