"""CASME II (Yan et al., PLOS ONE 2014): one sheet; frames, and the aligned faces cut from them.

A clip lies in `Cropped/sub01/EP02_01f` or `CASME2_RAW_selected/sub01/EP02_01f`; its files are
`reg_img46.jpg` or `img46.jpg`, by the sheet's frame numbers.
"""

import pathlib

from data_prep import folders
from data_prep import sheet as sheets
from data_prep.clip import Survey
from data_prep.releases import annotations, attach

DATABASE = 'casme2'
COLUMNS = {
    'subject': ('Subject', 'Sub'),
    'clip': ('Filename', 'Clip', 'Video'),
    'onset': ('OnsetFrame', 'Onset', 'OnsetF'),
    'apex': ('ApexFrame', 'Apex', 'ApexF'),
    'offset': ('OffsetFrame', 'Offset', 'OffsetF'),
    'action_units': ('Action Units', 'Action Unit', 'AUs', 'AU'),
    'emotion': ('Estimated Emotion', 'Emotion'),
}


def survey(source: pathlib.Path, *, sheet: pathlib.Path | None = None, frames: str | None = None) -> Survey:
    """Reads CASME II.

    Args:
      source: the folder of the release, or that of its frames.
      sheet: the sheet, where it lies elsewhere or there are several.
      frames: one of `attach.FORMS`, where the frames are there in both.

    Raises:
      InputError: no sheet, several sheets, or frames in both forms.
    """
    tree = folders.walk(source)
    table = sheets.find(tree, sheet, COLUMNS, official='CASME2*coding*', optional=('action_units',))
    findings = annotations.Findings()
    subject = annotations.numbered('sub(?:ject)?', 'sub{:02}')
    clips = annotations.clips(table, DATABASE, findings, subject=subject, example='1 or sub01')
    sources = attach.by_trail(clips, tree, lambda clip: [(clip.subject, clip.clip)])
    sources, form = attach.choose_form(sources, attach.form, frames)
    clips = attach.attach(clips, sources, tree, findings, example='sub01/EP02_01f')
    others = (folder for folder in tree.folders if folder.image and attach.form(folder) == form)
    attach.note_others(sources, others, tree, findings)
    return findings.survey(DATABASE, tree, table.variant, clips, aligned=form == 'cropped')
