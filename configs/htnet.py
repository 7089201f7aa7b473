"""HTNet on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Wang, Zhang, Luo, Sankaranarayana: HTNet for micro-expression recognition, arXiv 2307.14637, 2023.
         UF1 .8603, UAR .8475 (SMIC .8049, .7905; CASME II .9532, .9516; SAMM .8131, .8124): for each subject
         the epoch that is best on that very subject, which LEAKS; users of its program report .648 to .655.
         The settings are those of the program: flows as bytes, channels in the order of pictures read as
         blue, green, red, no shuffling. Its crops lie around landmarks of each face, ours at fixed places of
         the aligned one. Two more of its ways are options, see models/htnet.py: with
         `--config.model.swapped=True` rows are taken for columns, as it does; with
         `--config.model.variant=windows` attention sees more than one token, which it does not.
Command  python -m dualatme_jax.main --config=configs/htnet.py
         python -m dualatme_jax.main --config=configs/htnet.py:synthetic
         python -m dualatme_jax.main --config=configs/htnet.py --config.model.width=32
Expect   Not yet trained with all epochs, which needs a GPU. Weights and both moments of Adam take 1.7 GB for
         each trial, gradients another 0.6, so few trials stand side by side; 32 clips take 5.5 seconds of one
         CPU core. No weights are kept, which would be 38 GB. With `--config.model.width=32` a batch of 256
         takes 0.25 seconds; so, with --config.folds=parts --config.fold_parts=3 and 60 epochs, UF1 .615 and
         UAR .619 on the public flow images, seed 0.
"""

from ml_collections import ConfigDict

from configs import cd


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    config = cd.get_config(dataset)
    config.model.name = 'htnet'
    config.input.scale = 'byte'
    config.input.channels = ('strain', 'v', 'u')
    config.loss.name = 'cross_entropy'
    config.optimizer.learning_rate = 5e-5
    config.training.epochs = 800
    config.training.batch_size = 256
    config.training.shuffle = False
    config.checkpoint.keep_weights = False
    return config
