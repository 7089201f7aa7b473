"""CAS(ME)3 (Li et al., IEEE TPAMI 2023): part A, videos watched; part C, a mock crime.

Part A comes as whole videos, `spNO.1/b/color/175.jpg`, and as clips,
`Part_A_ME_clip/frame/spNO.1_b_166/166.jpg`: their folders carry the onset. A subject's file (`b`) repeats in
the sheet: a clip is a file and its onset. Part C, whole videos such as `01/a/color/373.jpg`, has no apex.
Both have depth images of the same names, which are left alone.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, find_frames
from data_prep.releases.clip import Clip, Survey
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
      column: field -> the header of its column, where that is none of `COLUMNS`.

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
        clip=_name,
    )
    sources = find_frames.by_trail(clips, tree, {'a': _trails_a, 'c': _trails_c}[part])
    clips = find_frames.attach(clips, sources, tree, findings, example=_EXAMPLE[part])
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
