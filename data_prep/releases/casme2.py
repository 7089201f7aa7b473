"""CASME II (Yan et al., PLOS ONE 2014): one sheet; frames, and the aligned faces cut from them.

A clip lies in `Cropped/sub01/EP02_01f` or `CASME2_RAW_selected/sub01/EP02_01f`; its files are
`reg_img46.jpg` or `img46.jpg`, by the sheet's frame numbers.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, find_frames, protocols
from data_prep.releases.clip import Clip, Survey
from data_prep.releases.protocols import THREE_CLASSES, Complete, Protocol
from data_prep.releases.record import Release

DATABASE = 'casme2'
# The sheet came in 2014 and again in 2019, with three clips of another emotion: the challenge took the first.
VERSIONS = {'2014': 'sadness', '2019': 'surprise'}
DIFFERENT = tuple(('sub24', clip) for clip in ('EP07_01', 'EP07_04f', 'EP10_03'))
CHALLENGE_VERSION = '2014'

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
      column: field -> the header of its column, where `COLUMNS` lacks it.

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
    clips = find_frames.add_frames(clips, sources, tree, findings, example='sub01/EP02_01f')
    others = (folder for folder in tree.folders if folder.image and find_frames.form(folder) == form)
    find_frames.note_others(sources, others, tree, findings)
    version = _version(clips)
    if version == '2019':
        names = ', '.join(map('/'.join, DIFFERENT))
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
    found = {protocols.emotion(clip.emotion) for clip in clips if (clip.subject, clip.clip) in DIFFERENT}
    return next((name for name, emotion in VERSIONS.items() if found == {emotion}), '')


_FIVE = ('happiness', 'surprise', 'disgust', 'repression', 'others')

# Clips of each subject. The challenge's list: See et al., MEGC 2019, FG 2019; by `schema.LABELS`.
_THREE = {
    'sub01': (2, 1, 0), 'sub02': (5, 1, 3), 'sub03': (4, 0, 1), 'sub04': (2, 0, 0), 'sub05': (0, 1, 5),
    'sub06': (1, 1, 2), 'sub07': (5, 0, 0), 'sub08': (1, 0, 0), 'sub09': (5, 5, 0), 'sub11': (4, 0, 0),
    'sub12': (5, 2, 4), 'sub13': (0, 2, 0), 'sub14': (0, 3, 0), 'sub15': (1, 1, 1), 'sub16': (1, 2, 0),
    'sub17': (23, 7, 1), 'sub19': (3, 3, 5), 'sub20': (2, 0, 0), 'sub21': (1, 0, 0), 'sub22': (2, 0, 0),
    'sub23': (7, 1, 0), 'sub24': (2, 0, 1), 'sub25': (3, 0, 2), 'sub26': (9, 2, 0),
}  # fmt: skip
# The code of Khor et al.: Enriched Long-term Recurrent Convolutional Network, FG 2018; all together.
_ALL = dict(
    zip(
        (f'sub{number:02}' for number in range(1, 27)),
        (9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8, 4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 7, 7, 16),
        strict=True,
    )
)


def _complete(*, surprise: int, by_subject: Mapping[str, tuple[int, ...]]) -> Complete:
    clips = {'negative': 88, 'positive': 32, 'surprise': surprise}
    return Complete(subjects=24, clips=clips, by_subject=by_subject)


def _complete_of_five(*, surprise: int, by_subject: Mapping[str, int]) -> Complete:
    clips = {'happiness': 32, 'surprise': surprise, 'disgust': 63, 'repression': 27, 'others': 99}
    return Complete(subjects=26, clips=clips, by_subject=by_subject)


RELEASE = Release(
    database=DATABASE,
    citation='Yan et al.: CASME II: An Improved Spontaneous Micro-Expression Database, PLOS ONE 9(1), 2014',
    survey=survey,
    frame_rate=200,
    protocols=(
        dataclasses.replace(
            THREE_CLASSES,
            dropped={
                'fear': 'the challenge leaves out fear of CASME II',
                'sadness': 'the challenge leaves out sadness of CASME II',
            },
            excluded={
                ('sub04', 'EP12_01f'): "not in the challenge's list (its apex is '/')",
                ('sub05', 'EP09_05f'): "not in the challenge's list",
            },
            complete=_complete(surprise=25, by_subject=_THREE),
            versions={'2019': _complete(surprise=28, by_subject=_THREE | {'sub24': (2, 0, 4)})},
        ),
        Protocol(
            name='5class',
            labels=_FIVE,
            classes={label: label for label in _FIVE},
            source='Yan et al.: CASME II, PLOS ONE 2014',
            complete=_complete_of_five(surprise=25, by_subject=_ALL),
            versions={'2019': _complete_of_five(surprise=28, by_subject=_ALL | {'sub24': 10})},
            note='papers count 246 clips (249 by the sheet of 2019), or 247 by an older sheet',
        ),
    ),
    spelt=lambda subject, clip: (SUBJECT(subject) or subject, clip),
    challenge_emotions=dict.fromkeys(DIFFERENT, VERSIONS[CHALLENGE_VERSION]),
    challenge_version=CHALLENGE_VERSION,
)
