"""AMAN on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Wei, Peng, Lu, Li, Yan, Zhao: A novel micro-expression recognition approach using attention-based
         magnification-adaptive networks, ICASSP 2022. Accuracy and F1 on single databases, none on the
         composite: CASME II, 5 classes, .754, .71; SAMM, 5 classes, .689, .67; SMIC-HS, 3 classes, .799, .77
         (as quoted elsewhere; the kind of F1 is not known). Its program keeps, for each subject, the epoch
         that is best on that very subject, and stops where it is right on all: LEAKS. The program is set to
         27 subjects and 5 classes, which is SAMM without disgust, fear and sadness (136 clips).
         The settings are the program's. Its magnifier and extractor need two files, which are not in here:
         --config.model.magnifier=learned --config.model.extractor=pretrained
         --config.stage.weights=magnifier=learning_based_mag.pth.tar,extractor=Resnet18_FER+_pytorch.pth.tar
         (the first is in github.com/weimengting/AMAN, the second is that of Emotion-FAN; any ResNet-18 with
         torchvision's names will do). Without them frames are not magnified, the extractor has random
         weights, and every table says so. models/aman.py lists what the paper leaves open.
Command  python -m data_prep build ... --view frames --frame-count 11 --frame-choice even --frame-size 224
         python -m dualatme_jax.main --config=configs/aman.py
         python -m dualatme_jax.main --config=configs/aman.py:synthetic --config.smoke=True
Expect   Not yet trained with all epochs. A clip's maps are 1 MiB without a magnifier, 9.5 MiB with its nine
         factors, twice as much with --config.model.half=False. The smoke test with
         --config.model.frames=3 takes 100 s of one CPU core and no file, a third of that for the stage.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.data.build_options = '--frame-count 11 --frame-choice even --frame-size 224'
    config.model.name = 'aman'
    config.loss.name = 'cross_entropy'
    config.optimizer.name = 'rmsprop'
    config.optimizer.learning_rate = 1e-3
    config.optimizer.rms_decay = 0.99
    config.optimizer.weight_decay = 1e-4
    config.optimizer.coupled_decay = True
    config.optimizer.schedule = 'step'
    config.optimizer.step_epochs = 30
    config.optimizer.step_factor = 0.2
    config.training.epochs = 50
    config.training.batch_size = 4
    return config
