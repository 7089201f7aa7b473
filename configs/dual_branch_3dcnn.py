"""The dual-branch 3DCNN on the frames of clips, one database, leave-one-subject-out.

Paper    Fang, Liu, Liu: dual-branch 3DCNN with EC-CBAM, GRU and multi-scale attention, 2024, and its six
         public scripts, which differ: `:casme2` (which no word means), `:samm`, `:smic`, `:casme3`,
         `:casme_sq`, `:deception` have the settings of each, see `SCRIPTS`.
         Published UF1/UAR: CASME II .944/.956, SAMM .860/.885, SMIC .745/.751, CAS(ME)3 with 3 classes
         .804/.816; accuracy of the deception trial .836. Each is the best epoch on the left-out subject, and
         the mean over folds, of which one without an error counts as UF1 1; clips are scaled by the mean and
         the maximum of all clips; and crops are those of the tested clip's annotated action units. No such
         number is a result on unseen people.
Command  python -m data_prep build --release casme2 --source CASME2 --view frames --out data/casme2
         python -m dualatme_jax.main --config=configs/dual_branch_3dcnn.py
         python -m dualatme_jax.main --config=configs/dual_branch_3dcnn.py:smic,synthetic
"""

from ml_collections import ConfigDict

from configs import cd

# By database: frames of a clip, weights of the classes, dropout, epochs, and those between two steps of the
# rate.
SCRIPTS = {
    'casme2': (30, (0.3, 0.35, 0.35), 0.5, 200, 40),
    'samm': (30, (0.3, 0.35, 0.35), 0.3, 200, 40),
    'smic': (10, (0.3, 0.35, 0.35), 0.3, 200, 40),
    'casme3': (30, (0.3, 0.35, 0.35), 0.5, 100, 20),
    'casme_sq': (8, (0.2, 0.3, 0.3, 0.2), 0.5, 100, 20),
    'deception': (16, (0.5, 0.5), 0.3, 100, 0),
}


def get_config(argument: str = '') -> ConfigDict:
    """All fields of an experiment. Words with commas between: a database, `synthetic`."""
    words = [word for word in argument.split(',') if word]
    if unknown := [word for word in words if word not in (*SCRIPTS, 'synthetic')]:
        raise ValueError(f"the config's argument is {unknown[0]!r}; expected {', '.join(SCRIPTS)}, synthetic")
    variant = next((word for word in words if word in SCRIPTS), 'casme2')
    config = cd.get_config('synthetic' if 'synthetic' in words else '')
    frames, weights, dropout, epochs, step = SCRIPTS[variant]
    config.data.path = config.data.path if config.data.build_synthetic else f'data/{variant}'
    config.data.databases = (variant,)
    config.data.build_options = f'--frame-count {frames}'
    if config.data.build_synthetic:  # smaller frames, a quarter of the work
        config.data.build_options += ' --frame-size 64'
        # Of the databases the release has three, and of classes.
        config.data.databases = (variant,) if variant in ('casme2', 'samm', 'smic') else ()
        weights = SCRIPTS['casme2'][1]
    config.input.scale = 'fold'
    config.input.channels = ('blue', 'green', 'red')  # as OpenCV reads them
    config.model.name = 'dual_branch_3dcnn'
    config.model.variant = variant
    config.model.dropout = dropout
    config.loss.name = 'weighted_cross_entropy'
    config.loss.class_weights = weights
    config.loss.floor = 1e-15
    config.loss.mean_over_clips = True
    config.optimizer.epsilon = 1e-7
    if step:
        config.optimizer.schedule = 'step'
        config.optimizer.step_epochs = step
        config.optimizer.step_factor = 0.9
    config.training.epochs = epochs
    config.training.batch_size = 8
    return config
