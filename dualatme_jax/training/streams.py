"""The streams of randomness that a trial's key is split into: each number once, and never another's."""

import enum


class Stream(enum.IntEnum):
    """A number that is folded into a trial's key (`jax.random.fold_in`)."""

    INIT = 0
    SHUFFLE = 1
    DROPOUT = 2
    INNER = 3  # of inner trials, whose keys are split again
    AUGMENT = 4
    SAMPLE = 5
    MIXUP = 6
    CROP = 7
    PARTNER = 8  # of mixup, where a batch is in no random order
