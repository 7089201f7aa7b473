"""RCN-f on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    As configs/rcn_a.py: another network of its family, with the same settings: three wide
         streams, attention within the block of shortcuts. Its code applies the second stream twice and
         never the third: --config.model.variant=code.
Command  python -m dualatme_jax.main --config=configs/rcn_f.py
         python -m dualatme_jax.main --config=configs/rcn_f.py:synthetic
Expect   UF1 .695, UAR .688 on the public flow images, seed 0, after 3 minutes on 2 CPU cores.
"""

from ml_collections import ConfigDict

from configs import rcn_a


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = rcn_a.get_config(dataset)
    config.model.name = 'rcn_f'
    return config
