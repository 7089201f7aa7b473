"""The paper's table of lambda, the weight of the cosine loss; one sweep.

Paper    Zhou et al., Entropy 25(3):460, 2023. UAR / UF1 on MEGC2019-CD: 0 .647 / .646, 0.0001 .668 / .666,
         0.001 .668 / .668, 0.01 .680 / .679, 0.1 .649 / .651.
Command  python -m dualatme_jax.main --config=configs/table_lambda.py
         python -m dualatme_jax.main --config=configs/table_lambda.py:synthetic
Expect   the paper's cells beside ours, in the terminal and as paper.md; not run yet.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.sweep = ({'loss.cosine_weight': (0.0, 1e-4, 1e-3, 1e-2, 1e-1)},)
    config.report.paper = 'lambda'
    return config
