"""CASME II (Yan et al., PLOS ONE 2014): one sheet; frames, and the aligned faces cut from them.

A clip lies in `Cropped/sub01/EP02_01f` or `CASME2_RAW_selected/sub01/EP02_01f`; its files are
`reg_img46.jpg` or `img46.jpg`, by the sheet's frame numbers.
"""

import pathlib
from collections.abc import Mapping, Sequence

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, find_frames, protocols
from data_prep.releases.clip import Clip, Survey

DATABASE = 'casme2'
SUBJECT = annotations.numbered('sub(?:ject)?', 'sub{:02}')  # its spelling
COLUMNS = {
    'subject': ('Subject', 'Sub'),
    'clip': ('Filename', 'Clip', 'Video'),
    'onset': ('OnsetFrame', 'Onset', 'OnsetF'),
    'apex': ('ApexFrame', 'Apex', 'ApexF'),
    'offset': ('OffsetFrame', 'Offset', 'OffsetF'),
    'action_units': ('Action Units', 'Action Unit', 'AUs', 'AU'),
    'emotion': ('Estimated Emotion', 'Emotion', 'Label'),
    'notes': annotations.NOTES,
}


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    frames: str | None = None,
    column: Mapping[str, str] | None = None,
) -> Survey:
    """Reads CASME II.

    Args:
      source: the folder of the release, or that of its frames.
      sheet: the sheet, where it lies elsewhere or there are several.
      frames: one of `find_frames.FORMS`, where the frames are there in both.
      column: field -> the header of its column, where that is none of `COLUMNS`.

    Raises:
      InputError: no sheet, several sheets, or frames in both forms.
    """
    tree = folders.walk(source)
    table = sheets.find(
        tree, sheet, COLUMNS, official='CASME2*coding*', optional=('action_units', 'notes'), named=column
    )
    findings = annotations.Findings()
    clips = annotations.clips(table, DATABASE, findings, subject=SUBJECT, example='1 or sub01')
    sources = find_frames.by_trail(clips, tree, lambda clip: [(clip.subject, clip.clip)])
    sources, form = find_frames.choose_form(sources, find_frames.form, frames)
    clips = find_frames.attach(clips, sources, tree, findings, example='sub01/EP02_01f')
    others = (folder for folder in tree.folders if folder.image and find_frames.form(folder) == form)
    find_frames.note_others(sources, others, tree, findings)
    version = _version(clips)
    if version == '2019':
        names = ', '.join('/'.join(key[1:]) for key in protocols.CASME2_DIFFERENT)
        text = (
            f'{names} are surprise in this sheet, of 2019, and sadness in that of 2014, which the challenge '
            'and most papers took: --labels challenge takes it too'
        )
        findings.note(table.path.name, text)
    named = f'version {version}' if version else 'no known version'
    variant = f'{named}, {len(clips)} clips: {table.variant}'
    return findings.survey(DATABASE, tree, variant, clips, aligned=form == 'cropped', version=version)


def _version(clips: Sequence[Clip]) -> str:
    """Returns which of the two sheets it is, by the clips that differ; empty if it is neither."""
    found = {protocols.emotion(clip.emotion) for clip in clips if clip.key in protocols.CASME2_DIFFERENT}
    return next((name for name, emotion in protocols.CASME2_VERSIONS.items() if found == {emotion}), '')
