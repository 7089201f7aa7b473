"""MMEW (Ben et al., IEEE TPAMI 2022): clips of micro-expressions by emotion; the sheet came later.

A clip lies in `Micro_Expression/anger/S13-07-001`, its files are `1.jpg` and so on. Without the sheet the
folders name subject and emotion, and onset and offset are the first and the last frame.
"""

import pathlib
import re
from collections.abc import Mapping

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.files.folders import Tree
from data_prep.releases import annotations, find_frames, protocols
from data_prep.releases.annotations import Findings
from data_prep.releases.clip import Clip, Survey
from data_prep.releases.protocols import THREE_CLASSES
from data_prep.releases.record import Release
from dualatme_jax.errors import InputError

DATABASE = 'mmew'
SUBJECT = annotations.numbered('s(?:ub)?', 'S{:02}')  # its spelling
COLUMNS = {
    'subject': ('Subject',),
    'clip': ('Filename',),
    'onset': ('OnsetFrame', 'Onset'),
    'apex': ('ApexFrame', 'Apex'),
    'offset': ('OffsetFrame', 'Offset'),
    'action_units': ('Action Units', 'AUs', 'AU'),
    'emotion': ('Estimated Emotion', 'Emotion', 'Label'),
    'notes': annotations.NOTES,
}
EXAMPLE = 'Micro_Expression/anger/S13-07-001'

_MACRO = r'\Amacro'
_CLIP = re.compile(r's0*(\d+)-\d+-\d+')


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    column: Mapping[str, str] | None = None,
) -> Survey:
    """Reads the micro-expressions of MMEW.

    Args:
      source: the folder of the release.
      sheet: the sheet, where it lies elsewhere or there are several.
      column: field -> the header of its column, where `COLUMNS` lacks it.

    Raises:
      InputError: a sheet that cannot be read, several sheets, or neither sheet nor clips.
    """
    tree = folders.walk(source).without(_MACRO)
    findings = annotations.Findings()
    try:
        table = sheets.find(
            tree, sheet, COLUMNS, official='MMEW*Exp*', optional=('action_units', 'notes'), named=column
        )
    except sheets.NoSheetError:
        if sheet or any('mmew' in folders.fold(path.name) for path in tree.sheets):
            raise
        return _without_sheet(tree, findings)
    clips = annotations.clips(table, DATABASE, findings, subject=SUBJECT, example='13 or S13')
    sources = find_frames.by_trail(clips, tree, lambda clip: [(clip.emotion, clip.clip), (clip.clip,)])
    clips = find_frames.add_frames(clips, sources, tree, findings, example=EXAMPLE)
    others = (folder for folder in tree.folders if folder.image and _CLIP.fullmatch(folder.name))
    find_frames.note_others(sources, others, tree, findings)
    return findings.survey(DATABASE, tree, table.variant, clips, aligned=False)


def _without_sheet(tree: Tree, findings: Findings) -> Survey:
    clips, sources = {}, {}
    for folder in tree.folders:
        if match := _CLIP.fullmatch(folder.name):
            # Some copies have the subject's folder between emotion and clip.
            words = [word for word in folder.parts[-3:-1][::-1] if protocols.emotion(word)]
            clip = Clip(
                database=DATABASE,
                subject=f'S{int(match[1]):02}',
                clip=folder.path.name,
                emotion=words[0] if words else folder.parent,  # a problem will name what is none
                row=tree.show(folder.path),
            )
            clips.setdefault(clip.key, clip)
            sources.setdefault(clip.key, []).append(folder)
    if not clips:
        raise InputError(
            f'neither a sheet (MMEW_Micro_Exp.xlsx) nor clips below {tree.source}: expected folders such as '
            + EXAMPLE
        )
    findings.note('', 'no sheet: onset and offset are the first and the last frame of a clip, apex unknown')
    clips = find_frames.add_frames(list(clips.values()), sources, tree, findings, example=EXAMPLE, whole=True)
    return findings.survey(DATABASE, tree, 'none', clips, aligned=False)


RELEASE = Release(
    database=DATABASE,
    citation='Ben et al.: Video-based Facial Micro-Expression Analysis: A Survey, IEEE TPAMI 44(9), 2022',
    survey=survey,
    frame_rate=90,
    protocols=(THREE_CLASSES,),
    spelt=lambda subject, clip: (SUBJECT(subject) or subject, clip),
)
