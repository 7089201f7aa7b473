"""SAMM (Davison et al., IEEE TAC 2018): one sheet, its header on row 14; grey frames of the whole scene.

A clip lies in `006/006_1_2`; its files are `006_05562.jpg`, in some clips with another prefix: the number
counts.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, errata, find_frames
from data_prep.releases.clip import Erratum, Survey
from data_prep.releases.protocols import THREE_CLASSES, Complete, Protocol
from data_prep.releases.record import Release

DATABASE = 'samm'
SUBJECT = annotations.numbered('sub(?:ject)?', '{}')  # its spelling
COLUMNS = {
    'subject': ('Subject',),
    'clip': ('Filename', 'Clip', 'Video'),
    'onset': ('Onset Frame', 'Onset'),
    'apex': ('Apex Frame', 'Apex'),
    'offset': ('Offset Frame', 'Offset'),
    'type': ('Micro', 'Type'),
    'action_units': ('Action Units', 'Action Unit', 'AUs', 'AU'),
    'emotion': ('Estimated Emotion', 'Emotion', 'Label'),
    'notes': annotations.NOTES,
}

ERRATA = (
    Erratum(
        key=('samm', '28', '028_4_1'),
        says={'onset': 1071, 'apex': 1143, 'offset': 1134},
        taken={'apex': 1105},
        why='the apex lies behind the offset',
        source=errata.MEB,
    ),
    Erratum(
        key=('samm', '32', '032_3_1'),
        says={'onset': 4896, 'apex': 1930, 'offset': 4970},
        taken={'apex': 4930},
        why='the apex lies before the onset: one digit is wrong',
        source='another copy of the sheet, which has 4930',
    ),
)


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    column: Mapping[str, str] | None = None,
) -> Survey:
    """Reads SAMM.

    Args:
      source: the folder of the release, or that of its frames.
      sheet: the sheet, where it lies elsewhere or there are several.
      column: field -> the header of its column, where `COLUMNS` lacks it.

    Raises:
      InputError: no sheet, or several sheets.
    """
    tree = folders.walk(source)
    optional = ('type', 'action_units', 'notes')
    table = sheets.find(
        tree, sheet, COLUMNS, official='SAMM*Micro_FACS_Codes*', optional=optional, named=column
    )
    findings = annotations.Findings()
    # The challenge's list writes 6 for 006.
    clips = annotations.clips(table, DATABASE, findings, subject=SUBJECT, example='006', known=ERRATA)
    sources = find_frames.by_trail(
        clips, tree, lambda clip: [(clip.subject.zfill(3), clip.clip), (clip.clip,)]
    )
    clips = find_frames.add_frames(clips, sources, tree, findings, example='006/006_1_2')
    find_frames.note_others(sources, (folder for folder in tree.folders if folder.image), tree, findings)
    return findings.survey(DATABASE, tree, table.variant, clips, aligned=False)


_FIVE = ('anger', 'happiness', 'others', 'surprise', 'contempt')

# Clips of each subject, by `schema.LABELS`: the challenge's list, See et al., MEGC 2019, FG 2019.
_SUBJECTS = {
    '6': (9, 0, 2), '7': (1, 5, 2), '9': (3, 0, 1), '10': (4, 0, 0), '11': (13, 7, 0), '12': (2, 0, 1),
    '13': (6, 0, 0), '14': (2, 7, 1), '15': (2, 0, 1), '16': (2, 1, 2), '17': (3, 0, 1), '18': (2, 0, 1),
    '19': (0, 1, 0), '20': (2, 2, 0), '21': (2, 0, 0), '22': (3, 2, 0), '23': (1, 0, 0), '24': (1, 0, 0),
    '26': (9, 0, 0), '28': (1, 0, 2), '30': (3, 0, 0), '31': (1, 0, 0), '32': (4, 0, 0), '33': (4, 1, 0),
    '34': (3, 0, 0), '35': (7, 0, 1), '36': (1, 0, 0), '37': (1, 0, 0),
}  # fmt: skip

RELEASE = Release(
    database=DATABASE,
    citation='Davison et al.: SAMM: A Spontaneous Micro-Facial Movement Dataset, IEEE TAC 9(1), 2018',
    survey=survey,
    frame_rate=200,
    protocols=(
        dataclasses.replace(
            THREE_CLASSES,
            complete=Complete(
                subjects=28,
                clips={'negative': 92, 'positive': 26, 'surprise': 15},
                by_subject=_SUBJECTS,
            ),
        ),
        Protocol(
            name='5class',
            labels=_FIVE,
            classes={label: label for label in _FIVE},
            source='Davison et al.: SAMM, IEEE TAC 2018',
            complete=Complete(
                clips={'anger': 57, 'happiness': 26, 'others': 26, 'surprise': 15, 'contempt': 12}
            ),
        ),
    ),
    errata=ERRATA,
    spelt=lambda subject, clip: (SUBJECT(subject) or subject, clip),
)
