"""The paper's table of modules: one branch or both, with and without attention; one sweep.

Paper    Table 1 of Zhou et al., Entropy 25(3):460, 2023. UAR / UF1 on MEGC2019-CD: HARS .645 / .648, AARS
         .633 / .632, HARS with attention + AARS .662 / .662, HARS + AARS .680 / .679. The third is taken to
         be `code`, one CBAM on both branches, as published.
Command  python -m dualatme_jax.main --config=configs/table_modules.py
         python -m dualatme_jax.main --config=configs/table_modules.py:synthetic
Expect   the paper's cells beside ours, in the terminal and as paper.md; not run yet.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.sweep = ({'model.variant': ('hars', 'aars', 'code', 'paper')},)
    config.report.paper = 'modules'
    return config
