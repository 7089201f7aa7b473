"""Bi-WOOF on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out, a linear support vector machine.

Paper    Liong, See, Wong, Phan: Less is more, Signal Processing: Image Communication 62, 2018. Not on
         MEGC2019-CD: F-scores of .61 on CASME II, .62 on SMIC-HS, .58 on SMIC-VIS and on -NIR with onset and
         apex, each database by itself, one subject left out. On MEGC2019-CD others quote UF1 .6296, UAR .6227
         (SMIC .5727, .5829; CASME II .7805, .8026; SAMM .5211, .5139); Dual-ATME's authors report .604, .593.
         Blocks and histograms are those of its program, `data_prep build --view bi_woof`, which drops the
         directions above 135 degrees; with `--bi-woof-histogram full-circle` they count too.
Command  python -m dualatme_jax.main --config=configs/bi_woof.py
         python -m dualatme_jax.main --config=configs/bi_woof.py:synthetic
         python -m dualatme_jax.main --config=configs/bi_woof.py --config.selection.name=nested \
           --config.sweep="[{'model.C': (1.0, 10.0, 100.0, 10000.0)}]"
Expect   :synthetic: UF1 .438, UAR .431: the heads of that release move as much as its faces, and a histogram
         of directions counts both alike (without the median of each clip's flow: above .8); half a minute to
         build on one core, a few seconds for the 12 folds. On the synthetic composite (data_prep/README.md,
         with `--view bi_woof`) UF1 .869, UAR .871; 68 folds in 15 seconds on two busy cores. Not measured on
         the databases.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'bi_woof'
    return config
