"""MMNet on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Li, Sui, Zhu, Zhao: MMNet: muscle motion-guided network for micro-expression recognition, IJCAI 2022.
         Settings of its public 3-class script: AdamW with a decay of .7, 99 epochs of batches of 24, the rate
         times .987 behind each of the first 50. `:5class` has those of the other one: .6, 74 epochs, 32.
         Its figures are not MEGC2019-CD's, and selected on the test fold twice: the accuracy is that of the
         epoch with most hits, the F1 that of the epoch with the best F1 of the fold. Accuracy and F1 on
         CASME II with 5 classes .8835, .8676; SAMM with 5 .8014, .7291; CASME II with 3 .9551, .9494
         (second hand). Dual-ATME's authors ran it on MEGC2019-CD: UF1 .528, UAR .514.
Command  python -m data_prep build --release megc2019_cd --source RELEASES --view apex --out data/megc2019_cd
         python -m dualatme_jax.main --config=configs/mmnet.py
         python -m dualatme_jax.main --config=configs/mmnet.py:synthetic
Expect   not yet trained as the paper has it, which needs a GPU. :synthetic has faces of 112x112, a quarter of
         the work; its smoke test takes 5 minutes of CPU time. Faces of 64x64 (--config.data.build_options=
         '--face-size 64'), 3 parts of the subjects and 12 epochs: 7 minutes of CPU time, 2.7 GiB, UAR .333,
         UF1 .283, no better than guessing. After these 36 steps the running statistics of its normalisation
         lag behind: each network names one class for all clips, those that it was trained on included; by a
         batch's own statistics one of them was right on .55 of these and on .46 of the left-out ones.
"""

from ml_collections import ConfigDict

from configs import cd

# By the public script: weight decay, epochs, batch, degrees of rotation, pixels of padding.
SCRIPTS = {'5class': (0.6, 74, 32, 3.0, 15), '3class': (0.7, 99, 24, 4.0, 4)}
PIXELS = 224


def get_config(argument: str = '') -> ConfigDict:
    """All fields of an experiment. Words with commas between: a script's name, `synthetic`."""
    words = [word for word in argument.split(',') if word]
    scripts = [word for word in words if word in SCRIPTS]
    if len(scripts) > 1 or set(words) - {*SCRIPTS, 'synthetic'}:
        raise ValueError(
            f"the config's argument is {argument!r}; expected one of {', '.join(SCRIPTS)}, synthetic"
        )
    variant = scripts[0] if scripts else '3class'
    config = cd.get_config('synthetic' if 'synthetic' in words else '')
    config.model.name = 'mmnet'
    config.model.variant = variant
    config.input.scale = 'imagenet'
    config.loss.name = 'cross_entropy'
    decay, epochs, batch, degrees, padding = SCRIPTS[variant]
    config.optimizer.learning_rate = 8e-4
    config.optimizer.weight_decay = decay
    config.optimizer.schedule = 'step'
    config.optimizer.step_epochs = 1
    config.optimizer.step_factor = 0.987
    config.optimizer.step_until = 50
    config.training.epochs = epochs
    config.training.batch_size = batch
    config.augment.mirror = 0.5
    config.augment.rotation = degrees
    config.augment.crop = padding / PIXELS
    if 'synthetic' in words:  # whose faces have no more pixels, a quarter of the work
        config.data.build_options = '--face-size 112'
    return config
