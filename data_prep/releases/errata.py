"""Frame numbers that the official sheets have wrong, and what is known to be right: in each record.

An erratum is applied only where the sheet says exactly what stands here: a corrected copy is left as it is.
"""

import dataclasses
from collections.abc import Sequence

from data_prep.releases.clip import Clip, Erratum

MEB = (
    'Varanka et al.: Data Leakage and Evaluation Issues in Micro-Expression Analysis, IEEE TAC 2023; '
    'its code, tvaranka/meb, datasets.py'
)


def corrected(clip: Clip, errata: Sequence[Erratum]) -> tuple[Clip, Erratum | None]:
    """Returns a clip with its known error corrected, and the erratum; the clip as it is if there is none."""
    erratum = next((each for each in errata if each.key == clip.key), None)
    if erratum is None or any(getattr(clip, frame) != number for frame, number in erratum.says.items()):
        return clip, None
    return dataclasses.replace(clip, **erratum.taken), erratum
