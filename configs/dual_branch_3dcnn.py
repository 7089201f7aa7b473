r"""The dual-branch 3DCNN on the frames of clips, one database, leave-one-subject-out.

Paper    Fang, Liu, Liu: dual-branch 3DCNN with EC-CBAM, GRU and multi-scale attention, 2024, and its six
         public scripts, which differ: `:casme2` (which no word means), `:samm`, `:smic`, `:casme3`,
         `:casme_sq`, `:deception` have the settings of each, see `SCRIPTS`.
         Published UF1/UAR: CASME II .944/.956, SAMM .860/.885, SMIC .745/.751, CAS(ME)3 with 3 classes
         .804/.816; accuracy of the deception trial .836. Each is the best epoch on the left-out subject, and
         the mean over folds, of which one without an error counts as UF1 1; clips are scaled by the mean and
         the maximum of all clips; and crops are those of the tested clip's annotated action units. No such
         number is a result on unseen people.
         `:casme2,as_published` and the like show in a table what each of these leaks adds to the honest
         score: folds are trained on data/casme2, on data/casme2_action_units (--frame-crop action_units), and
         there by the other scale, and the predictions of all epochs are kept.
Command  python -m data_prep build --release casme2 --source CASME2 --view frames --frame-count 30 \
             --frame-face frame --frame-choice next --frame-crop landmarks --out data/casme2
         python -m dualatme_jax.main --config=configs/dual_branch_3dcnn.py
         python -m dualatme_jax.main --config=configs/dual_branch_3dcnn.py:casme2,as_published
         python -m dualatme_jax.main --config=configs/dual_branch_3dcnn.py:smic,synthetic
Expect   not yet trained for all epochs. A smoke test of `:smic,synthetic`, 2 folds and one epoch with the
         build of the clips and cold compilation, takes 66 s of CPU time and 2.4 GB. A step of 8 clips of 10
         frames of 128x128 takes 5.8 s of CPU time (PyTorch's network 3.6 s) and 1.2 GiB for one fold.
"""

from ml_collections import ConfigDict

from configs import cd

# By database: frames of a clip, which they are, the crop, weights of the classes, dropout, epochs, and those
# between two steps of the rate. (Of the deception trial the script takes the 5th to the 20th frame.)
SCRIPTS = {
    'casme2': (30, 'next', 'landmarks', (0.3, 0.35, 0.35), 0.5, 200, 40),
    'samm': (30, 'even', 'landmarks', (0.3, 0.35, 0.35), 0.3, 200, 40),
    'smic': (10, 'first', 'whole', (0.3, 0.35, 0.35), 0.3, 200, 40),
    'casme3': (30, 'next', 'landmarks', (0.3, 0.35, 0.35), 0.5, 100, 20),
    'casme_sq': (8, 'next', 'landmarks', (0.2, 0.3, 0.3, 0.2), 0.5, 100, 20),
    'deception': (16, 'first', 'whole', (0.5, 0.5), 0.3, 100, 0),
}
AS_PUBLISHED, SYNTHETIC = 'as_published', 'synthetic'
LEAKS = ('whole_set_scaling', 'best_epoch', 'folds_averaged', 'uf1_of_one')


def get_config(argument: str = '') -> ConfigDict:
    """All fields of an experiment. Words with commas between: a database, `as_published`, `synthetic`."""
    words, known = [word for word in argument.split(',') if word], (*SCRIPTS, AS_PUBLISHED, SYNTHETIC)
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"the config's argument is {unknown[0]!r}; expected some of {', '.join(known)}")
    databases = [word for word in words if word in SCRIPTS]
    if len(databases) > 1:
        raise ValueError(f"the config's argument names {' and '.join(databases)}; expected one of them")
    variant = databases[0] if databases else 'casme2'
    config = cd.get_config(SYNTHETIC if SYNTHETIC in words else '')
    frames, choice, crop, weights, dropout, epochs, step = SCRIPTS[variant]
    config.data.databases = (variant,)
    config.data.build_options = (
        f'--frame-count {frames} --frame-face frame --frame-choice {choice} --frame-crop {crop}'
    )
    if config.data.build_synthetic:
        config.data.build_options += ' --frame-size 64'  # a quarter of the work
        # Of the databases the release has three, and of classes.
        config.data.databases = (variant,) if variant in ('casme2', 'samm', 'smic') else ()
        weights = SCRIPTS['casme2'][3]
    else:
        config.data.path = f'data/{variant}'
    if AS_PUBLISHED in words:
        config.as_published = LEAKS
        if crop == 'landmarks':  # beside the honest crops those by action units
            config.as_published = ('action_units', *LEAKS)
            path, built = config.data.path, config.data.build_options
            both = {'data.path': (path, f'{path}_action_units')}
            if config.data.build_synthetic:
                both = {'data.build_options': (built, built.replace(crop, 'action_units'))}
            config.sweep = (both,)
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
