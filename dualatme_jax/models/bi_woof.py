"""Bi-WOOF (Liong, See, Wong, Phan, Signal Processing: Image Communication 62, 2018), with a linear SVM.

Input [200], directions of the flow from onset to apex, weighted by magnitude and strain, as the view
`bi_woof` stores them (data_prep/views/bi_woof.py). The published program computes these from a flow; neither
the flow nor the machine is in it. Its C of 10 000 is second hand, as are the figures on MEGC2019-CD, which
are later than the paper.
"""

from dualatme_jax.models import linear_svm
from dualatme_jax.models.figures import NOT_STATED, Figure, compared_by_dual_atme
from dualatme_jax.models.system import SKLEARN, System

SYSTEM = System(
    name='bi_woof',
    title='Bi-WOOF',
    papers=('liong2018biwoof',),
    build=linear_svm.build,
    reads=('bi_woof',),
    learner=SKLEARN,
    config='configs/bi_woof.py',
    figures=(
        Figure(
            0.6296,
            0.6227,
            'quoted by the authors of HTNet, arXiv 2307.14637',
            NOT_STATED,
            'the public program computes the numbers of a clip alone',
        ),
        compared_by_dual_atme(0.604, 0.593),
    ),
)
