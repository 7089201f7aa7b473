"""The paper's comparison with other systems, each by the config of its own paper; a leaderboard.

Paper    Table 3 of Zhou et al., Entropy 25(3):460, 2023. UAR / UF1 on MEGC2019-CD: LBP-TOP .575 / .586,
         Bi-WOOF .593 / .604, ResNet18 .575 / .586 (the numbers of LBP-TOP: one of the two rows is a slip),
         STSTNet .610 / .624, Dual-Inception .631 / .629, RCN-a .635 / .634, RCN-w .590 / .600, RCN-c .598 /
         .616, RCN-f .595 / .607, KFC-MER .235 / .255, MMNet .514 / .528, Dual-ATME .680 / .679. How its
         authors trained the other systems is not stated; here each has the settings of its own paper.
Command  python -m dualatme_jax.main --config=configs/table_comparison.py
         python -m dualatme_jax.main --config=configs/table_comparison.py:quick,synthetic
Expect   the paper's cells beside ours, in the terminal and as paper.md, and the files of a leaderboard. The
         words after the colon are those of configs/leaderboard.py.
"""

from ml_collections import ConfigDict

from configs import leaderboard

# The paper's rows by their configs, first the one that the others are compared with.
SYSTEMS = (
    'cd',
    'lbp_top',
    'bi_woof',
    'resnet18',
    'ststnet',
    'dual_inception',
    'rcn_a',
    'rcn_w',
    'rcn_c',
    'rcn_f',
    'kfc_mer',
    'mmnet',
)
ARGUMENTS = ('small', 'quick', 'synthetic')


def get_config(argument: str = '') -> ConfigDict:
    """All fields of the experiment; `argument` is any of `ARGUMENTS`, with commas between them."""
    config = leaderboard.board(SYSTEMS, leaderboard.words_of(argument, ARGUMENTS))
    config.report.paper = 'comparison'
    return config
