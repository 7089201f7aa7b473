"""Which action units a micro-expression of each class shows, and what more of them do than the rendered faces.

Combinations and their weights follow EMFACS (Friesen and Ekman, 1983: which action units stand for which
emotion), the emotions that MEGC2019 puts into each class (See et al., FG 2019: happiness is positive; anger,
contempt, disgust, fear, sadness and repression are negative), and how often the releases code them: brows that
lower (4, 4+7) make most of the negative clips of CASME II (Yan et al., PLoS ONE 9(1), 2014) and of SAMM (Davison
et al., IEEE TAC 9(1), 2018), a smile (12, 6+12) nearly all positive ones, raised brows (1+2) most surprised ones.
They are round numbers, not counted in any clip.
"""

import numpy as np

from data_prep.synthetic.action_units import ACTION_UNITS
from dualatme_jax import schema

# As `action_units.ACTION_UNITS`: bumps (x, y, width, height, dx, dy) of the left half, which the right mirrors.
UNITS = ACTION_UNITS | {
    '11': [(11.0, 17.5, 1.5, 2.0, -0.3, -0.6)],  # nasolabial deepener
    '13': [(9.3, 20.5, 1.8, 2.0, -0.1, -1.0)],  # cheek puffer, sharp lip puller
    '16': [(12.5, 23.5, 2.2, 1.2, 0.0, 0.8)],  # lower lip depressor
    '20': [(9.3, 21.6, 2.2, 1.8, -0.9, 0.15)],  # lip stretcher
    '23': [(11.5, 20.5, 2.2, 1.0, 0.1, 0.5), (11.5, 22.6, 2.2, 1.0, 0.1, -0.5)],  # lip tightener
    '24': [(12.0, 20.4, 2.4, 1.0, 0.0, 0.7), (12.0, 22.8, 2.4, 1.0, 0.0, -0.7)],  # lip pressor
    '45': [(8.5, 7.7, 2.2, 0.9, 0.0, 0.9)],  # blink
}
BLINK = '45'
# Both eyes turn the same way, whatever the side: no bump mirrors the other.
GAZE = (8.5, 8.2, 1.6, 0.8)

# Class -> (action units, weight); `u` behind one: on one side of the face alone.
COMBINATIONS = {
    'negative': (
        # Disgust, anger, and what is coded as either.
        ('4+7', 10),
        ('4', 8),
        ('7', 4),
        ('4+9', 3),
        ('10', 2),
        ('9+10', 2),
        ('4+7+9', 2),
        ('9', 1),
        ('4+10', 1),
        ('4+5', 1),
        ('4+24', 1),
        ('23', 1),
        # Repression.
        ('14', 4),
        ('15', 3),
        ('17', 3),
        ('15+17', 2),
        ('14+17', 1),
        ('24', 1),
        ('4+14', 1),
        # Sadness and fear.
        ('1+4', 3),
        ('4+15', 1),
        ('4+17', 1),
        ('1+4+15', 1),
        ('1+4+7', 1),
        ('1', 1),
        ('20', 1),
        # Contempt.
        ('14u', 3),
        ('10+14u', 1),
    ),
    'positive': (
        ('12', 10),
        ('6+12', 8),
        ('12u', 3),
        ('6', 2),
        ('12+25', 2),
        ('6+12+25', 2),
        ('12+14', 2),
        ('6+7+12', 2),
        ('12+15', 1),  # a smile that is held back
        ('12+17', 1),
        ('12+24', 0.5),
        ('13', 0.5),
    ),
    'surprise': (
        ('1+2', 10),
        ('1+2+5', 4),
        ('2', 3),
        ('5', 3),
        ('1+2+25', 2),
        ('1+2+26', 2),
        ('25+26', 2),
        ('2u', 2),
        ('1', 1),
        ('1+2+5+26', 1),
        ('5+26', 1),
        ('26', 1),
        ('25', 1),
    ),
}
assert COMBINATIONS.keys() == {*schema.LABELS}


def draw(random: np.random.Generator, label: str) -> str:
    """Returns a combination of a class, such as `6+12`."""
    combinations, weights = zip(*COMBINATIONS[label], strict=True)
    return combinations[random.choice(len(weights), p=np.divide(weights, sum(weights)))]
