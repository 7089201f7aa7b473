"""KFC-MER on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Su, Zhang, Liu, Zhai: Key facial components guided micro-expression recognition based on first and
         second-order motion, ICME 2021. Its training is not public: from the names of its weight files 50
         epochs, the last one's weights; optimizer, rate, batch and augmentation are ours. Its figures are not
         MEGC2019-CD's: re-scored from the published confusion matrices (left-out subjects pooled) UF1 and
         UAR are .7310, .7156 on CASME II with 5 classes, .5683, .5620 on SAMM with 5, .6624, .6697 on SMIC.
         The F1 that its program prints is the harmonic mean of macro precision and recall. Dual-ATME's
         authors ran it on MEGC2019-CD: UF1 .255, UAR .235.
Command  python -m data_prep build --release megc2019_cd --source RELEASES --view parts --out data/megc2019_cd
         python -m dualatme_jax.main --config=configs/kfc_mer.py
         python -m dualatme_jax.main --config=configs/kfc_mer.py:synthetic
Expect   not yet trained at full size, which needs a GPU. :synthetic has pictures of 112x112, a quarter of the
         work: two folds side by side take up to 6.2 GiB, its smoke test 5 minutes of CPU time. Pictures of
         64x64 (--config.data.build_options='--face-size 64'), 3 parts of the subjects, 10 epochs, 20 steps:
         4 minutes of CPU time, 3.5 GiB, UAR .333, UF1 .261, no better than guessing, though the training loss
         falls to .2: each network names one class for almost all clips, as MMNet does, see there.
         With batches of 8 clips and 8 epochs, 56 steps, two of these networks name all classes: UF1 .342.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'kfc_mer'
    config.input.scale = 'imagenet'
    config.input.channels = ('u', 'v', 'magnitude')  # of the flow; the others as they are stored
    config.loss.name = 'cross_entropy'
    config.optimizer.learning_rate = 1e-4
    config.training.epochs = 50
    config.training.batch_size = 32
    if dataset:  # a quarter of the work, and of the first dense layer
        config.data.build_options = '--face-size 112'
    return config
