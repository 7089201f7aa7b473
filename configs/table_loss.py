"""The paper's table of losses and optimizers; one sweep of four points.

Paper    Table 5 of Zhou et al., Entropy 25(3):460, 2023. UAR / UF1 on MEGC2019-CD: cross-entropy with SGD
         .644 / .642, with Adam .673 / .671, weighted cross-entropy with Adam .668 / .666, focal with Adam
         .680 / .679. SGD has momentum 0.9; the paper gives no learning rate for it, so it has that of
         configs/cd.py, Adam's 1e-3. The paper does not say whether the cosine loss stays: it does here.
Command  python -m dualatme_jax.main --config=configs/table_loss.py
         python -m dualatme_jax.main --config=configs/table_loss.py:synthetic
Expect   the paper's cells beside ours, in the terminal and as paper.md; not run yet.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.sweep = (
        {'loss.name': 'cross_entropy', 'optimizer.name': 'sgd'},
        {'loss.name': 'cross_entropy', 'optimizer.name': 'adam'},
        {'loss.name': 'weighted_cross_entropy', 'optimizer.name': 'adam'},
        {'loss.name': 'focal', 'optimizer.name': 'adam'},
    )
    config.report.paper = 'loss'
    return config
