"""What the papers report on MEGC2019-CD, from where we have it, and whether that selects on the test.

`selects` is whether the epoch, or the run, that was reported was chosen by the left-out subjects' own labels:
'no' where a public training program shows that it was not, 'yes' where one shows that it was, 'not stated'
where neither paper nor program lets us tell. It says nothing about settings that were tuned beforehand.
"""

import dataclasses

NO, YES, NOT_STATED = 'no', 'yes', 'not stated'


@dataclasses.dataclass(frozen=True)
class Figure:
    """One published score on the 442 clips.

    Attributes:
      uf1: in [0, 1].
      uar: in [0, 1].
      source: who reports it.
      selects: 'no', 'yes' or 'not stated', see above.
      basis: of `selects`.
    """

    uf1: float
    uar: float
    source: str
    selects: str
    basis: str


@dataclasses.dataclass(frozen=True)
class System:
    """A system of the field.

    Attributes:
      title: its name in tables.
      epochs: of its paper's training.
      figures: its published scores, the authors' own first.
    """

    title: str
    epochs: int
    figures: tuple[Figure, ...]


_LAST_EPOCH = 'its public program scores the weights after the last of a fixed number of epochs'


def _again(uf1: float, uar: float, remark: str = '') -> Figure:
    """What Dual-ATME's authors report of somebody else's system, in their table of comparisons."""
    return Figure(
        uf1,
        uar,
        f'Zhou et al., Dual-ATME, Entropy 25(3):460, 2023, table of comparisons{remark}',
        NOT_STATED,
        'the program published with that paper trains Dual-ATME alone',
    )


SYSTEMS = {
    'ststnet': System(
        'STSTNet',
        800,
        (
            Figure(
                0.7353,
                0.7186,
                'Liong et al., STSTNet, FG 2019; the UAR of .7605 that the paper prints is macro precision',
                NO,
                _LAST_EPOCH,
            ),
            Figure(0.7209, 0.7250, 'the PyTorch program of the authors of STSTNet', NO, _LAST_EPOCH),
            _again(0.624, 0.610),
        ),
    ),
    'off_apexnet': System(
        'OFF-ApexNet',
        3000,
        (
            Figure(
                0.7196,
                0.7096,
                'Gan et al., OFF-ApexNet, Signal Processing: Image Communication 74, 2019',
                NOT_STATED,
                'no public training program was found',
            ),
        ),
    ),
    'dual_inception': System(
        'Dual-Inception',
        501,
        (
            Figure(
                0.7322,
                0.7278,
                'Zhou et al., Dual-Inception, FG 2019',
                NOT_STATED,
                'its public program takes the epoch with the least loss on other subjects, but repeats all '
                'folds 100 times, and which of these is reported is not said',
            ),
            _again(0.629, 0.631),
        ),
    ),
    'rcn_a': System(
        'RCN-a',
        20,
        (
            Figure(
                0.7432,
                0.7190,
                'Xia et al., RCN, IEEE Transactions on Image Processing, 2020',
                NO,
                _LAST_EPOCH,
            ),
            _again(0.634, 0.635),
        ),
    ),
    'rcn_s': System('RCN-s', 20, ()),
    'rcn_w': System('RCN-w', 20, (_again(0.600, 0.590),)),
    'rcn_c': System('RCN-c', 20, (_again(0.616, 0.598),)),
    'rcn_f': System('RCN-f', 20, (_again(0.607, 0.595),)),
    'resnet18': System(
        'ResNet-18',
        60,
        (_again(0.586, 0.575, '; its row equals that of LBP-TOP, so one of the two is a slip'),),
    ),
    'dual_atme': System(
        'Dual-ATME',
        60,
        (Figure(0.679, 0.680, 'Zhou et al., Dual-ATME, Entropy 25(3):460, 2023', NO, _LAST_EPOCH),),
    ),
}


def title(name: str) -> str:
    """A system's name in tables: as published, or as the config has it."""
    return SYSTEMS[name].title if name in SYSTEMS else name
