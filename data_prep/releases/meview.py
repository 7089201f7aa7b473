"""MEVIEW (Husak, Cech, Matas, CVWW 2017): videos of poker games and interviews, with a sheet and no apex.

One video may hold several expressions, so a clip is a video and its onset. Frames of a video are numbered
from 0; folders of frames, where somebody has unpacked the videos, by their files.
"""

import pathlib
from collections.abc import Mapping

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.files.folders import Folder, Tree
from data_prep.releases import annotations, find_frames
from data_prep.releases.clip import Survey
from data_prep.releases.protocols import THREE_CLASSES
from data_prep.releases.record import Release
from dualatme_jax import schema

DATABASE = 'meview'
COLUMNS = {
    'subject': ('Subject', 'Subject ID', 'Person', 'Person ID', 'Individual', 'Actor', 'Player', 'sub'),
    'clip': ('Filename', 'Video', 'Video name', 'File', 'File name', 'Clip', 'Name', 'Sequence'),
    'onset': ('Onset', 'Onset Frame', 'Start', 'Start Frame', 'Begin', 'From'),
    'offset': ('Offset', 'Offset Frame', 'End', 'End Frame', 'Stop', 'To'),
    'action_units': ('FACS', 'FACS coding', 'Action Units', 'AUs', 'AU'),
    'emotion': ('Emotion', 'Emotion type', 'Emotions', 'Expression', 'Estimated Emotion', 'Label'),
    'notes': annotations.NOTES,
}


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    column: Mapping[str, str] | None = None,
) -> Survey:
    """Reads MEVIEW.

    Args:
      source: the folder of the release.
      sheet: the sheet, where it lies elsewhere or there are several.
      column: field -> the header of its column, where `COLUMNS` lacks it.

    Raises:
      InputError: no sheet, or several sheets.
    """
    tree = folders.walk(source)
    table = sheets.find(
        tree, sheet, COLUMNS, official='*MEVIEW*', optional=('action_units', 'notes'), named=column
    )
    findings = annotations.Findings()
    clips = annotations.clips(table, DATABASE, findings, subject=lambda text: text, example='1', clip=_name)
    sources = {clip.key: _sources(tree, folders.fold(_video(clip.clip))) for clip in clips}
    clips = find_frames.add_frames(clips, sources, tree, findings, example='01.mp4 or 01/0001.jpg')
    find_frames.note_others(sources, tree.videos, tree, findings)
    return findings.survey(DATABASE, tree, table.variant, clips, aligned=False)


def _name(video: str, onset: int) -> str:
    stem, _, suffix = video.rpartition('.')
    video = stem if suffix.lower() in folders.VIDEOS else video
    return f'{video}_{"unknown" if onset == schema.UNKNOWN_FRAME else onset}'


def _video(clip: str) -> str:
    return clip.rpartition('_')[0]


def _sources(tree: Tree, video: str) -> list[find_frames.FrameSource]:
    """Returns the folders with frames of a video, or else its files, or else folders that are empty."""
    filled = [folder for folder in tree.folders if folder.image]
    empty = [folder for folder in tree.folders if not folder.image]
    for same in (str.__eq__, _same_number):
        for candidates in (filled, tree.videos, empty):
            if found := [each for each in candidates if same(_title(each), video)]:
                return found
    return []


def _title(source: find_frames.FrameSource) -> str:
    return source.name if isinstance(source, Folder) else folders.fold(source.stem)


def _same_number(name: str, other: str) -> bool:
    """Whether two names are one number: spreadsheet programs make 1 of 01."""
    return name.isdecimal() and other.isdecimal() and name.lstrip('0') == other.lstrip('0')


RELEASE = Release(
    database=DATABASE,
    citation='Husak, Cech, Matas: Spotting Facial Micro-Expressions "In the Wild", CVWW 2017',
    survey=survey,
    protocols=(THREE_CLASSES,),
)
