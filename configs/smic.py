"""Dual-ATME on SMIC-HS alone: 164 clips, 16 subjects, leave-one-subject-out.

Paper    As configs/cd.py, but trained within one database; the paper trains on all three together and
         reports the clips of this database, so its figures are not comparable.
Command  python -m dualatme_jax.main --config=configs/smic.py
         python -m dualatme_jax.main --config=configs/smic.py:synthetic
Expect   UAR .567, UF1 .566 on the public flow images, seed 0, after 3 minutes on 2 CPU cores.
         :synthetic: UAR .440, UF1 .419 on 28 clips of 4 subjects, after 15 seconds.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.data.databases = ('smic',)
    return config
