"""Micro-Attention on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Wang, Peng, Bi, Chen: Micro-attention for micro-expression recognition, Neurocomputing 410, 2020. Its
         network, input, crops, batch and loss, from the published Caffe definition: faces of 240 pixels, in
         training a window of 224 anywhere, in prediction the face resized to 224. Its solver is not public:
         optimizer, rate, decay and epochs are chosen here, after that of the network that it begins with
         (cvjena's ResNet-10). It is pre-trained on posed expressions (CK+, Oulu-CASIA, JAFFE, MUG), which
         docs/fine_tuning.md does for any folder of faces; by itself this config starts fresh.
         Reported, within one database, one subject left out, epoch not stated, and unverified here: CASME II
         in 5 classes accuracy .659, F1 .539; SAMM .485, .402; SMIC in 3 classes .494, .496. None is of
         MEGC2019-CD.
Command  python -m data_prep build --release megc2019_cd --source DIR --view apex --face-size 240 --out DIR
         python -m dualatme_jax.main --config=configs/micro_attention.py --config.data.path=DIR
         python -m dualatme_jax.main --config=configs/micro_attention.py:synthetic
Expect   not yet fully trained. --config.smoke=True (6 folds, 1 epoch) takes 3 minutes of CPU time, compiling
         included, and 5.4 GB with two networks side by side. A small form (16 channels, faces of 56 pixels,
         halves of the subjects left out) gives on :synthetic after 20 epochs UF1 .242, the most frequent
         class for every clip: one face may not show motions of up to two pixels. The same form learns what
         one picture does show: stripes in three directions, 96 pictures, UF1 1.000 after 15 epochs.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.data.build_options = '--face-size 240'
    config.model.name = 'micro_attention'
    config.input.scale = 'byte'
    config.input.size = 224
    config.input.random_crop = True
    config.loss.name = 'cross_entropy'
    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 1e-2
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 1e-4
    config.optimizer.coupled_decay = True  # as Caffe has it
    config.optimizer.bias_rate = 2.0  # the definition's
    config.training.epochs = 30
    config.training.batch_size = 10
    return config
