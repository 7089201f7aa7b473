"""SAMM (Davison et al., IEEE TAC 2018): one sheet, its header on row 14; grey frames of the whole scene.

A clip lies in `006/006_1_2`; its files are `006_05562.jpg`, in some clips with another prefix: the number
counts.
"""

import pathlib
from collections.abc import Mapping

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, find_frames
from data_prep.releases.clip import Survey

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
      column: field -> the header of its column, where that is none of `COLUMNS`.

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
    clips = annotations.clips(table, DATABASE, findings, subject=SUBJECT, example='006')
    sources = find_frames.by_trail(
        clips, tree, lambda clip: [(clip.subject.zfill(3), clip.clip), (clip.clip,)]
    )
    clips = find_frames.attach(clips, sources, tree, findings, example='006/006_1_2')
    find_frames.note_others(sources, (folder for folder in tree.folders if folder.image), tree, findings)
    return findings.survey(DATABASE, tree, table.variant, clips, aligned=False)
