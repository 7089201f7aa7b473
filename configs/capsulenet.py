r"""CapsuleNet on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Van Quang, Chun, Tokuyama: CapsuleNet for micro-expression recognition, IEEE FG 2019. UF1 .6520, UAR
         .6506 on 435 clips: for each subject the epoch that is best on that very subject, which LEAKS. The
         settings are those of its public program, which resizes faces to 234x240 pixels, turns them by 8
         degrees at most, mirrors them and cuts 224x224 out at random; here the aligned face of 224x224 is
         moved by 8 pixels at most. See models/capsulenet.py for what else differs.
Command  python -m data_prep build ... --view apex
         python -m dualatme_jax.main --config=configs/capsulenet.py
         python -m dualatme_jax.main --config=configs/capsulenet.py:synthetic
         with torchvision's weights of ImageNet, of which the program freezes the first 15 tensors:
         python -m dualatme_jax.main --config=configs/capsulenet.py --config.init_from=resnet18.pth \
             --config.freeze="('params/stem_*', 'params/stage1_*')"
Expect   Not yet trained with all epochs, which needs a GPU: a trial takes 4.3 GB. On faces of 64x64 pixels,
         `--config.data.build_options='--face-size 64' --config.model.width=16 --config.model.kernel=3`, an
         epoch of 70 clips takes a trial about 5 seconds on a busy CPU.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'capsulenet'
    config.input.scale = 'unit'
    config.loss.name = 'margin'
    config.augment.mirror = 0.5
    config.augment.rotation = 8.0
    config.augment.shift = 8 / 224
    config.augment.colour = 0.2
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = 'step'
    config.optimizer.step_epochs = 1
    config.optimizer.step_factor = 0.9
    config.training.epochs = 30
    config.training.batch_size = 32
    config.training.balanced = True
    return config
