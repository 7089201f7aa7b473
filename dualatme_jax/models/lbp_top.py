"""LBP-TOP (Zhao, Pietikäinen, PAMI 2007) with a linear support vector machine: the baseline of MEGC2019.

Input [1200], histograms of local binary patterns as the view `lbp_top` stores them
(data_prep/views/lbp_top.py, which says what the guideline leaves open). The guideline does not name the
classifier: the linear machine and its C are what papers of that time compare with.
"""

from dualatme_jax.models import linear_svm
from dualatme_jax.models.figures import NOT_STATED, Figure, compared_by_dual_atme
from dualatme_jax.models.system import SKLEARN, System

SYSTEM = System(
    name='lbp_top',
    title='LBP-TOP',
    papers=('zhao2007lbptop',),
    build=linear_svm.build,
    reads=('lbp_top',),
    learner=SKLEARN,
    config='configs/lbp_top.py',
    figures=(
        Figure(
            0.5882,
            0.5785,
            'See et al., MEGC2019, FG 2019, the baseline of the challenge',
            NOT_STATED,
            'no program is published',
        ),
        compared_by_dual_atme(
            0.586,
            0.575,
            '; its row of ResNet-18 has the same figures in all 12 columns: one of the two is a copy',
        ),
    ),
)
