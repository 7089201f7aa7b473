"""LBP-TOP on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out, a linear support vector machine.

Paper    The baseline of the MEGC2019 guideline, after Zhao, Pietikäinen, PAMI 2007: UF1 .5882, UAR .5785
         (SMIC .2000, .5280, which do not fit each other; CASME II .7026, .7429; SAMM .3954, .4102).
         Dual-ATME's authors report .586, .575 for it, and the same figures in all 12 columns for ResNet-18.
         The guideline gives radii 1, 1, 4, 4 neighbours, 5x5 blocks and 10 frames, as `data_prep build --view
         lbp_top` has them, and neither size of the face nor classifier; C is what Bi-WOOF's authors take.
Command  python -m dualatme_jax.main --config=configs/lbp_top.py
         python -m dualatme_jax.main --config=configs/lbp_top.py:synthetic
         python -m dualatme_jax.main --config=configs/lbp_top.py --config.selection.name=nested \
           --config.sweep="[{'model.C': (1.0, 10.0, 100.0, 10000.0)}]"
Expect   :synthetic: UF1 .678, UAR .668; 10 seconds to build, and a few for the 12 folds. On the synthetic
         composite (data_prep/README.md, `--view lbp_top`) UF1 .920, UAR .915; 68 folds in 19 seconds on two
         busy cores. Not measured on the databases.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'lbp_top'
    return config
