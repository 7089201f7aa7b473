"""What a computed flow shows of each action unit, and which units a micro-expression of each class shows.

Combinations and weights follow EMFACS (Friesen and Ekman, 1983: which units stand for which emotion), the
emotions that MEGC2019 puts into each class (See et al., FG 2019: happiness is positive; anger, contempt,
disgust, fear, sadness and repression are negative), and what the releases mostly code: brows that lower
(4, 4+7) most of the negative clips of CASME II (Yan et al., PLoS ONE 9(1), 2014) and SAMM (Davison et al.,
IEEE TAC 9(1), 2018), a smile (12, 6+12) nearly all positive ones, raised brows (1+2) most surprised ones.
They are round numbers, not counted in any clip.

Where and how far a unit moves the skin follows FACS; how wide, and what of it TV-L1 finds (folds and edges,
hardly smooth skin), was drawn by looking at the mean flow of the classes of SMIC, the development database
(docs/synthetic_motion.md).
"""

import numpy as np

# Action unit -> bumps of the left half of the picture, which the right half mirrors: (x, y, width, height,
# dx, dy) in the template's units; width and height are standard deviations, (dx, dy) the peak's direction.
UNITS = {
    '1': [(10.8, 3.4, 2.2, 1.8, 0.0, -1.0), (11.5, 1.4, 2.4, 1.4, 0.0, -0.5)],  # inner brow raiser, forehead
    '2': [(5.2, 4.4, 2.2, 1.5, 0.0, -1.0), (7.0, 2.4, 2.4, 1.6, 0.0, -0.6)],  # outer brow raiser, forehead
    '4': [(10.3, 5.4, 2.2, 1.5, 0.5, 0.9), (6.5, 6.4, 2.2, 1.1, 0.1, 0.7)],  # brow lowerer
    '5': [(6.4, 7.0, 2.0, 0.8, 0.0, -0.9)],  # upper lid raiser
    '6': [  # cheek raiser: below the eye, beside it, and the lower lid
        (6.6, 12.6, 1.8, 1.4, 0.0, -0.9),
        (3.4, 13.2, 1.6, 1.4, -0.9, -0.2),
        (6.4, 8.9, 2.0, 0.7, 0.0, -0.5),
    ],
    '7': [(7.0, 8.9, 2.2, 0.8, 0.1, -0.7), (6.4, 7.3, 2.0, 0.7, 0.0, 0.6)],  # lid tightener
    '9': [  # nose wrinkler: beside the nose, the inner brow, the wings of the nose
        (12.0, 12.5, 1.4, 2.4, 0.0, -1.0),
        (11.5, 5.6, 1.6, 1.3, 0.3, 0.6),
        (10.3, 15.8, 1.2, 1.3, -0.2, -0.8),
    ],
    '10': [(11.6, 18.6, 1.9, 1.3, 0.0, -0.9), (9.5, 16.8, 1.2, 1.8, -0.1, -0.6)],  # upper lip raiser
    '11': [(9.8, 17.0, 1.4, 2.0, -0.3, -0.6)],  # nasolabial deepener
    '12': [  # lip corner puller: the corner, the fold up to the cheek, the cheek's side, the lower cheek
        (9.4, 20.8, 1.5, 1.5, -0.6, -0.7),
        (8.2, 17.6, 1.4, 1.8, -0.2, -1.0),
        (6.8, 14.8, 1.5, 1.8, -0.2, -0.9),
        (3.6, 13.8, 1.7, 1.6, -0.9, -0.1),
        (5.6, 19.0, 2.0, 2.0, -0.6, -0.2),
    ],
    '13': [(9.2, 20.3, 1.6, 2.0, -0.1, -1.0)],  # sharp lip puller
    '14': [(9.2, 21.2, 1.5, 1.6, -0.8, 0.1), (7.4, 20.0, 1.6, 1.8, -0.4, 0.1)],  # dimpler
    '15': [(9.5, 22.5, 1.9, 1.8, -0.2, 1.0)],  # lip corner depressor
    '16': [(12.5, 23.5, 2.2, 1.2, 0.0, 0.8)],  # lower lip depressor
    '17': [(13.0, 25.0, 2.4, 1.7, 0.0, -0.9), (12.5, 22.6, 2.2, 0.9, 0.0, -0.5)],  # chin raiser
    '20': [(9.3, 21.6, 2.0, 1.7, -0.9, 0.15)],  # lip stretcher
    '23': [(11.5, 20.5, 2.2, 0.9, 0.1, 0.5), (11.5, 22.4, 2.2, 0.9, 0.1, -0.5)],  # lip tightener
    '24': [(12.0, 20.4, 2.6, 0.9, 0.0, 0.7), (12.0, 22.4, 2.6, 0.9, 0.0, -0.7)],  # lip pressor
    '25': [(12.5, 20.3, 2.4, 0.9, 0.0, -0.4), (12.5, 22.8, 2.4, 1.0, 0.0, 0.8)],  # lips part
    '26': [(12.5, 25.0, 3.6, 2.2, 0.0, 1.1), (12.5, 22.6, 3.0, 1.2, 0.0, 0.8)],  # jaw drop
    '45': [(6.2, 7.5, 1.8, 0.85, 0.0, 1.0)],  # blink
}
BLINK = '45'
# An eye that looks to the right of the picture: the other one does the same, and does not mirror it.
GAZE = (6.8, 7.9, 1.6, 0.8, 1.0, 0.0)

# Class -> (action units, weight); `u` behind one: mostly on one side of the face.
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


def draw(random: np.random.Generator, label: str) -> str:
    """Returns a combination of a class, such as `6+12`."""
    combinations, weights = zip(*COMBINATIONS[label], strict=True)
    return combinations[random.choice(len(weights), p=np.divide(weights, sum(weights)))]
