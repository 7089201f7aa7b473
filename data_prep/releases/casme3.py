"""CAS(ME)3 (Li et al., IEEE TPAMI 2023): part A, videos watched; part C, a mock crime.

Part A comes as whole videos, `spNO.1/b/color/175.jpg`, and as clips,
`Part_A_ME_clip/frame/spNO.1_b_166/166.jpg`: their folders carry the onset. A subject's file (`b`) repeats in
the sheet: a clip is a file and its onset. Part C, whole videos such as `01/a/color/373.jpg`, has no apex.
Both have depth images of the same names, which are left alone.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, errata, find_frames
from data_prep.releases.clip import Clip, Erratum, Survey
from data_prep.releases.protocols import FOUR_CLASSES, THREE_CLASSES, Complete, Protocol
from data_prep.releases.record import Release
from dualatme_jax import schema
from dualatme_jax.errors import InputError

DATABASE = 'casme3'
PARTS = ('a', 'c')
COLUMNS = {
    'a': {
        'subject': ('Subject',),
        'clip': ('Filename',),
        'onset': ('Onset', 'OnsetFrame'),
        'apex': ('Apex', 'ApexFrame'),
        'offset': ('Offset', 'OffsetFrame'),
        'type': ('Type',),
        'action_units': ('AU', 'AUs', 'Action Units'),
        'emotion': ('emotion', 'Estimated Emotion', 'Label'),
        'notes': annotations.NOTES,
    },
    'c': {
        'subject': ('sub', 'Subject'),
        'clip': ('count',),
        'onset': ('onset',),
        'offset': ('offset',),
        'type': ('type',),
        'action_units': ('au', 'AUs', 'Action Units'),
        'emotion': ('emotion', 'Label'),
        'notes': annotations.NOTES,
    },
}

_OFFICIAL = {'a': 'part_A_ME_label_JpgIndex', 'c': 'part_C_ME'}
_SUBJECT = {'a': ('sp(?:NO)?', 'spNO.{}'), 'c': ('sub(?:ject)?|s', '{:02}')}
_EXAMPLE = {'a': 'spNO.1/b/color or frame/spNO.1_b_166 (166 is the onset)', 'c': '01/a/color'}

# Depth images, and clips of macro-expressions, which are called like those of micro-expressions.
_OTHERS = r'\Adepth|[\W_]mae([\W_]|\Z)'

ERRATA = (
    Erratum(
        key=('casme3', 'spNO.149', 'd_112'),
        says={'onset': 112, 'apex': 83, 'offset': 358},
        taken={'apex': 160},
        why='the apex lies before the onset',
        source=errata.MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.214', 'c_5'),
        says={'onset': 5, 'apex': 5, 'offset': 3460},
        taken={'offset': 34},
        why='the clip would last two minutes',
        source=errata.MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.216', 'e_0'),
        says={'onset': 0, 'apex': 0},
        taken={'onset': 1, 'apex': 1},
        why='the first frame of a video is 1',
        source=errata.MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.40', 'e_1812'),
        says={'onset': 1812, 'offset': 0},
        taken={'offset': 1845},
        why='the offset is not given',
        source=errata.MEB,
    ),
    Erratum(
        key=('casme3', 'spNO.40', 'e_2327'),
        says={'onset': 2327, 'offset': 0},
        taken={'offset': 2403},
        why='the offset is not given',
        source=errata.MEB,
    ),
)


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    part: str = 'a',
    column: Mapping[str, str] | None = None,
) -> Survey:
    """Reads one part of CAS(ME)3.

    Args:
      source: the folder of the release.
      sheet: the sheet, where it lies elsewhere or there are several.
      part: one of `PARTS`.
      column: field -> the header of its column, where `COLUMNS` lacks it.

    Raises:
      InputError: no sheet, several sheets, or no such part.
    """
    if part not in PARTS:
        raise InputError(f'unknown --part {part}: expected one of {", ".join(PARTS)}')
    tree = folders.walk(source).without(_OTHERS)
    table = sheets.find(
        tree,
        sheet,
        COLUMNS[part],
        official=f'*{_OFFICIAL[part]}*',
        optional=('type', 'action_units', 'notes'),
        named=column,
    )
    findings = annotations.Findings()
    clips = annotations.clips(
        table,
        DATABASE,
        findings,
        subject=annotations.numbered(*_SUBJECT[part]),
        example=_SUBJECT[part][1].format(1),
        known=ERRATA,
        clip=_name,
    )
    sources = find_frames.by_trail(clips, tree, {'a': _trails_a, 'c': _trails_c}[part])
    clips = find_frames.add_frames(clips, sources, tree, findings, example=_EXAMPLE[part])
    variant = f'part {part.upper()}: {table.variant}'
    return findings.survey(DATABASE, tree, variant, clips, aligned=False, version=f'part {part.upper()}')


def _name(file: str, onset: int) -> str:
    return f'{file}_{"unknown" if onset == schema.UNKNOWN_FRAME else onset}'


def _trails_a(clip: Clip) -> Iterator[Sequence[str]]:
    file = clip.clip.rpartition('_')[0]
    own = f'{clip.subject}_{clip.clip}'
    yield from [('frame', own), (own,), (clip.subject, file, 'color'), (clip.subject, file)]


def _trails_c(clip: Clip) -> Iterator[Sequence[str]]:
    count = clip.clip.rpartition('_')[0]
    own = [(clip.subject, count, 'color'), (clip.subject, 'color', f'{clip.subject}_{count}')]
    yield from [*own, (clip.subject, '*', 'color'), (clip.subject, 'color')]


_THREE = {'negative': 457, 'positive': 55, 'surprise': 187}
_SEVEN = {
    'disgust': 250,
    'surprise': 187,
    'others': 161,
    'fear': 86,
    'anger': 64,
    'sadness': 57,
    'happiness': 55,
}
_PART_C = {'part C': Complete(annotated=165)}  # whose counts by class are not known

# The clips of part A that the published figures of three classes leave out, without a reason.
_NOT_PUBLISHED = {
    'spNO.186': ('f_448', 'l_3634', 'l_3677'),
    'spNO.217': ('a_233', 'c_2302', 'g_739', 'k_1412', 'l_164', 'l_3201'),
    'spNO.9': ('g_234', 'g_980', 'h_4'),
}

RELEASE = Release(
    database=DATABASE,
    citation='Li et al.: CAS(ME)3: A Third Generation Facial Spontaneous Micro-Expression Database, '
    'IEEE TPAMI 45(3), 2023',
    survey=survey,
    frame_rate=30,
    protocols=(
        dataclasses.replace(
            THREE_CLASSES,
            complete=Complete(clips=_THREE),
            versions=_PART_C,
            note='published figures are of 687 clips (449, 54, 184): --protocol 3class-687',
        ),
        dataclasses.replace(
            THREE_CLASSES,
            name='3class-687',
            source='Wang et al.: HTNet for Micro-Expression Recognition, Neurocomputing 2024; its list',
            excluded={
                (subject, clip): 'not among the 687 clips of the published figures'
                for subject, clips in _NOT_PUBLISHED.items()
                for clip in clips
            },
            complete=Complete(clips={'negative': 449, 'positive': 54, 'surprise': 184}),
            versions=_PART_C,
        ),
        dataclasses.replace(
            FOUR_CLASSES, complete=Complete(clips=_THREE | {'others': 161}), versions=_PART_C
        ),
        Protocol(
            name='7class',
            labels=tuple(_SEVEN),
            classes={label: label for label in _SEVEN},
            source='Li et al.: CAS(ME)3, IEEE TPAMI 2023',
            complete=Complete(subjects=94, clips=_SEVEN),
            versions=_PART_C,
        ),
    ),
    errata=ERRATA,
)
