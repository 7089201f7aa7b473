"""Dual-ATME on SMIC-HS alone: 164 clips, 16 subjects, leave-one-subject-out.

Paper    As configs/cd.py, but trained within one database; the paper trains on all three together and
         reports this one's clips of that run, so its figures are not comparable.
Command  python -m dualatme_jax.main --config=configs/smic.py
         python -m dualatme_jax.main --config=configs/smic.py:synthetic
Expect   UAR .595, UF1 .591 on the public flow images, measured before a seed drew other values.
         :synthetic: UAR .602, UF1 .592 on 28 clips of 4 subjects, measured before
         a seed drew other values.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.data.databases = ('smic',)
    return config
