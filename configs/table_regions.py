r"""The paper's table of regions: which two of them make the puzzled face; one sweep over five datasets.

Paper    Zhou et al., Entropy 25(3):460, 2023. UAR / UF1 on MEGC2019-CD: eyes and nose .630 / .631, eyes and
         mouth .680 / .679, forehead and nose .624 / .631, forehead and mouth .622 / .629, the full face
         .663 / .670. The paper does not define the forehead: see data_prep/face/regions.py.
Command  for pair in EN EM FN FM full; do
           python -m data_prep build --release flow_images --source IMAGES --regions $pair \
             --out data/regions/$pair
         done
         python -m dualatme_jax.main --config=configs/table_regions.py
         python -m dualatme_jax.main --config=configs/table_regions.py:synthetic
Expect   the paper's cells beside ours, in the terminal and as paper.md; not run yet.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` builds the synthetic release with each pair instead."""
    config = cd.get_config(dataset)
    config.data.path = 'data/synthetic_regions/{regions}' if dataset else 'data/regions/{regions}'
    config.data.regions = 'EM'
    config.sweep = ({'data.regions': ('EN', 'EM', 'FN', 'FM', 'full')},)
    config.report.paper = 'regions'
    return config
