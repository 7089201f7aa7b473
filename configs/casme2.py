"""Dual-ATME on CASME II alone: 145 clips, 24 subjects, leave-one-subject-out.

Paper    As configs/cd.py, but trained within one database; the paper trains on all three together and
         reports this one's clips of that run, so its figures are not comparable.
Command  python -m dualatme_jax.main --config=configs/casme2.py
         python -m dualatme_jax.main --config=configs/casme2.py:synthetic
Expect   on the public flow images not run yet.
         :synthetic: UAR .615, UF1 .648 on 28 clips of 4 subjects, measured before
         a seed drew other values.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.data.databases = ('casme2',)
    return config
