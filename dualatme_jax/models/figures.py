"""What papers report on MEGC2019-CD, from where we have it, and whether that selects on the test."""

import dataclasses

NO, YES, NOT_STATED = 'no', 'yes', 'not stated'


@dataclasses.dataclass(frozen=True)
class Figure:
    """One published score on the 442 clips.

    `selects` is whether the epoch, or the run, that was reported was chosen by the left-out subjects' own
    labels: 'no' where a public training program shows that it was not, 'yes' where one shows that it was,
    'not stated' where neither paper nor program shows it. It says nothing about settings that were tuned
    beforehand.

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


# A basis of NO.
LAST_EPOCH = 'its public program scores the weights after the last of a fixed number of epochs'


def compared_by_dual_atme(uf1: float, uar: float, remark: str = '') -> Figure:
    """What Dual-ATME's authors report of somebody else's system, in their table of comparisons."""
    return Figure(
        uf1,
        uar,
        f'Zhou et al., Dual-ATME, Entropy 25(3):460, 2023, table of comparisons{remark}',
        NOT_STATED,
        'the program published with that paper trains Dual-ATME alone',
    )
