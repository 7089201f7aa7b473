"""RCN-c on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    As configs/rcn_a.py: another network of its family, with the same settings: three wide
         streams, attention on the input, shortcuts.
Command  python -m dualatme_jax.main --config=configs/rcn_c.py
         python -m dualatme_jax.main --config=configs/rcn_c.py:synthetic
Expect   UF1 .682, UAR .672 on the public flow images, seed 0, after 3 minutes on 2 CPU cores.
"""

from ml_collections import ConfigDict

from configs import rcn_a


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = rcn_a.get_config(dataset)
    config.model.name = 'rcn_c'
    return config
