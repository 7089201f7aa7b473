"""MEVIEW (Husak, Cech, Matas, CVWW 2017): videos of poker games and interviews, with a sheet and no apex.

One video may hold several expressions, so a clip is a video and its onset. Frames of a video are numbered
from 0; folders of frames, where somebody has unpacked the videos, by their files.
"""

import pathlib

from data_prep import folders
from data_prep import sheet as sheets
from data_prep.clip import Survey
from data_prep.releases import annotations, attach
from dualatme_jax import schema

DATABASE = 'meview'
COLUMNS = {
    'subject': ('Subject', 'Subject ID', 'Person', 'Person ID', 'Individual', 'Actor', 'Player', 'sub'),
    'clip': ('Filename', 'Video', 'Video name', 'File', 'File name', 'Clip', 'Name', 'Sequence'),
    'onset': ('Onset', 'Onset Frame', 'Start', 'Start Frame', 'Begin', 'From'),
    'offset': ('Offset', 'Offset Frame', 'End', 'End Frame', 'Stop', 'To'),
    'action_units': ('FACS', 'FACS coding', 'Action Units', 'AUs', 'AU'),
    'emotion': ('Emotion', 'Emotion type', 'Emotions', 'Expression', 'Estimated Emotion'),
}


def survey(source: pathlib.Path, *, sheet: pathlib.Path | None = None) -> Survey:
    """Reads MEVIEW.

    Args:
      source: the folder of the release.
      sheet: the sheet, where it lies elsewhere or there are several.

    Raises:
      InputError: no sheet, or several sheets.
    """
    tree = folders.walk(source)
    table = sheets.find(tree, sheet, COLUMNS, official='*MEVIEW*', optional=('action_units',))
    findings = annotations.Findings()
    clips = annotations.clips(table, DATABASE, findings, subject=lambda text: text, example='1', clip=_name)
    sources = attach.by_trail(clips, tree, lambda clip: [(_video(clip.clip),)])
    videos = {clip.key: [path for path in tree.videos if _is(path, clip.clip)] for clip in clips}
    filled = {key: [folder for folder in found if folder.image] for key, found in sources.items()}
    sources = {key: filled[key] or videos[key] or found for key, found in sources.items()}
    clips = attach.attach(clips, sources, tree, findings, example='01.mp4 or 01/0001.jpg')
    attach.note_others(sources, tree.videos, tree, findings)
    return findings.survey(DATABASE, tree, table.variant, clips, aligned=False)


def _name(video: str, onset: int) -> str:
    stem, _, suffix = video.rpartition('.')
    video = stem if suffix.lower() in folders.VIDEOS else video
    return f'{video}_{"unknown" if onset == schema.UNKNOWN_FRAME else onset}'


def _video(clip: str) -> str:
    return clip.rpartition('_')[0]


def _is(path: pathlib.Path, clip: str) -> bool:
    return folders.fold(path.stem) == folders.fold(_video(clip))
