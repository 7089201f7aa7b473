"""Frame numbers that the official sheets have wrong, and what is known to be right.

An erratum is applied only where the sheet says exactly what stands here: a corrected copy is left as it is.
"""

import dataclasses

from data_prep.releases.clip import Clip, Erratum

_MEB = (
    'Varanka et al.: Data Leakage and Evaluation Issues in Micro-Expression Analysis, IEEE TAC 2023; '
    'its code, tvaranka/meb, datasets.py'
)

ERRATA = (
    Erratum(
        key=('samm', '28', '028_4_1'),
        says={'onset': 1071, 'apex': 1143, 'offset': 1134},
        taken={'apex': 1105},
        why='the apex lies behind the offset',
        source=_MEB,
    ),
    Erratum(
        key=('samm', '32', '032_3_1'),
        says={'onset': 4896, 'apex': 1930, 'offset': 4970},
        taken={'apex': 4930},
        why='the apex lies before the onset: one digit is wrong',
        source='another copy of the sheet, which has 4930',
    ),
    Erratum(
        key=('casme3', 'spNO.149', 'd_112'),
        says={'onset': 112, 'apex': 83, 'offset': 358},
        taken={'apex': 160},
        why='the apex lies before the onset',
        source=_MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.214', 'c_5'),
        says={'onset': 5, 'apex': 5, 'offset': 3460},
        taken={'offset': 34},
        why='the clip would last two minutes',
        source=_MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.216', 'e_0'),
        says={'onset': 0, 'apex': 0},
        taken={'onset': 1, 'apex': 1},
        why='the first frame of a video is 1',
        source=_MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.40', 'e_1812'),
        says={'onset': 1812, 'offset': 0},
        taken={'offset': 1845},
        why='the offset is not given',
        source=_MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.40', 'e_2327'),
        says={'onset': 2327, 'offset': 0},
        taken={'offset': 2403},
        why='the offset is not given',
        source=_MEB,
    ),
)
_BY_KEY = {erratum.key: erratum for erratum in ERRATA}


def corrected(clip: Clip) -> tuple[Clip, Erratum | None]:
    """Returns a clip with its known error corrected, and the erratum; the clip as it is if there is none."""
    erratum = _BY_KEY.get(clip.key)
    if erratum is None or any(getattr(clip, frame) != number for frame, number in erratum.says.items()):
        return clip, None
    return dataclasses.replace(clip, **erratum.taken), erratum
