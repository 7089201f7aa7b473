"""4DME (Li et al., IEEE TAC 2023): one sheet; the release comes as several kinds of video of the same clips.

A clip lies in `SUB_ID/FOLD_NAME` below the folder of its kind, such as `gray_micro`.
"""

import pathlib
from collections.abc import Mapping

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, find_frames
from data_prep.releases.clip import Survey
from data_prep.releases.protocols import THREE_CLASSES
from data_prep.releases.record import Release

DATABASE = '4dme'
COLUMNS = {
    'subject': ('sub_ID', 'Subject', 'sub'),
    'clip': ('fold_name', 'folder_name', 'video_number', 'Filename'),
    'onset': ('Onset', 'OnsetFrame'),
    'apex': ('Apex', 'ApexFrame'),
    'offset': ('Offset', 'OffsetFrame'),
    'action_units': ('AUs', 'AU', 'Action Units'),
    'emotion': (
        'Emotion',
        'Estimated Emotion',
        'Emotion label',
        'Emotion labels',
        'Emotion type',
        'Emotions',
        'Label',
    ),
    'notes': annotations.NOTES,
}


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    column: Mapping[str, str] | None = None,
) -> Survey:
    """Reads the micro-expressions of 4DME.

    Args:
      source: the folder of one kind of video; or of the release, if it holds one kind only.
      sheet: the sheet, where it lies elsewhere or there are several.
      column: field -> the header of its column, where `COLUMNS` lacks it.

    Raises:
      InputError: no sheet, or several sheets.
    """
    tree = folders.walk(source)
    table = sheets.find(
        tree, sheet, COLUMNS, official='4DME*Micro*', optional=('action_units', 'notes'), named=column
    )
    findings = annotations.Findings()
    # Apostrophes are left over from making the sheet: without them Excel took the cells for numbers.
    clips = annotations.clips(
        table,
        DATABASE,
        findings,
        subject=lambda text: text.strip("'") or None,
        example='S13',
        clip=lambda name, onset: name.strip("'"),
    )
    sources = find_frames.by_trail(clips, tree, lambda clip: [(clip.subject, clip.clip), (clip.clip,)])
    clips = find_frames.add_frames(clips, sources, tree, findings, example='gray_micro/S13/S13_1st_001_01_1')
    find_frames.note_others(sources, (folder for folder in tree.folders if folder.image), tree, findings)
    return findings.survey(DATABASE, tree, table.variant, clips, aligned=False)


RELEASE = Release(
    database=DATABASE,
    citation='Li et al.: 4DME: A Spontaneous 4D Micro-Expression Dataset, IEEE TAC 14(4), 2023',
    survey=survey,
    protocols=(THREE_CLASSES,),
)
