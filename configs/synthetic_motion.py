"""Small CNNs trained on motions drawn from action units, without one real label: 5 seeds, nobody left out.

Command  python -m data_prep build --release synthetic_motion --out data/synthetic_motion
         python -m dualatme_jax.main --config=configs/synthetic_motion.py
Score    python -m dualatme_jax.main --config=configs/synthetic_motion.py \\
           --config.evaluate_only=runs/synthetic_motion --config.data.path=data/megc2019_cd \\
           --config.report.ensemble=mean --workdir=runs/zero_shot
Expect   UF1 .690 on the public flow images, standard deviation .010 over the seeds; .707 and .014 on CASME II
         and SAMM, which no choice has seen; ten minutes of training on 2 busy CPU cores.
More     docs/synthetic_motion.md
"""

from ml_collections import ConfigDict

from configs import small_cnn


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. It takes no argument: its motions are synthetic anyway."""
    if dataset:
        raise ValueError(f"the config's argument is {dataset!r}; expected none: its motions are synthetic")
    config = small_cnn.get_config()
    config.data.path = 'data/synthetic_motion'
    config.data.databases = ()
    config.folds = 'all'
    config.seeds = (0, 1, 2, 3, 4)
    config.optimizer.schedule = 'step'
    config.optimizer.step_epochs = 2
    config.training.epochs = 6
    return config
