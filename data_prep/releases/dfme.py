"""DFME (Zhao et al., IEEE TAC 2024), as far as public programs describe the three sets that were given out.

A set is a sheet and a folder: `training_full_with_AU.xlsx`, `testA_full_with_AU.xlsx` and
`testB_full_with_AU.xlsx` beside `train_data`, `test_data_A` and `test_data_B`, in which a clip is a folder by
its `Filename`, and a frame `00012.png`. All sets that are there are read, or one by `--part`. Nobody is in
two of them.

Known from programs: the columns Subject, Filename, OnsetFrame, ApexFrame and Emotion, subjects such as
`sub0003`, and the counts of each set. Not known: the header of the action units, what the numbers of the
column EmotionId in the challenge's own tables mean (`--column emotion=HEADER` names a column of words), who
was filmed with 500, 300 or 200 frames a second, and any sheet of all 7,526 clips that the paper counts.
"""

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.files.folders import Tree
from data_prep.files.sheet import Table
from data_prep.releases import annotations, find_frames
from data_prep.releases.annotations import Findings
from data_prep.releases.clip import Survey
from data_prep.releases.protocols import THREE_CLASSES, Complete, Protocol
from data_prep.releases.record import Release
from dualatme_jax.errors import InputError

DATABASE = 'dfme'
COLUMNS = {
    'subject': ('Subject',),
    'clip': ('Filename',),
    'onset': ('OnsetFrame', 'Onset'),
    'apex': ('ApexFrame', 'Apex'),
    'offset': ('OffsetFrame', 'Offset'),
    'action_units': ('AU', 'AUs', 'Action Units'),
    'emotion': ('Emotion', 'Estimated Emotion'),
    'notes': annotations.NOTES,
}
# Set -> what names of its sheet and folder have.
PARTS = {
    'train': re.compile(r'train', re.IGNORECASE),
    'test_a': re.compile(r'test[\W_]*(data)?[\W_]*a(?![a-z])', re.IGNORECASE),
    'test_b': re.compile(r'test[\W_]*(data)?[\W_]*b(?![a-z])', re.IGNORECASE),
}
EXAMPLE = 'train_data/FILENAME/00012.png'

_OFFICIAL = '*full_with_AU'
_OPTIONAL = ('offset', 'action_units', 'notes')
_MOST_SHEETS = 50  # more are tables of something else, and only those with the name of a set are opened


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    part: str | None = None,
    column: Mapping[str, str] | None = None,
) -> Survey:
    """Reads the sets of DFME.

    Args:
      source: the folder of the release.
      sheet: the only sheet to read.
      part: the only set to read, one of `PARTS`; None for all that are there.
      column: field -> the header of its column, where `COLUMNS` lacks it.

    Raises:
      InputError: no sheet, several sheets of one set, or no such set.
    """
    if part not in (None, *PARTS):
        raise InputError(f'unknown --part {part}: expected one of {", ".join(PARTS)}, or none for all sets')
    tree = folders.walk(source)
    findings = annotations.Findings()
    tables = _tables(tree, sheet, part, column, findings)
    clips = []
    for table in tables.values():
        own = annotations.clips(
            table,
            DATABASE,
            findings,
            subject=annotations.numbered('sub(?:ject)?', 'sub{:04}'),
            example='sub0003',
        )
        known = {clip.key: clip for clip in clips}
        for clip in own:
            if clip.key in known:
                text = f'{clip.subject}/{clip.clip} is in {known[clip.key].row} already; keep one'
                findings.problem(clip.row, text, clip)
            else:
                clips.append(clip)
    sources = find_frames.by_trail(clips, tree, lambda clip: [(clip.clip,)])
    clips = find_frames.add_frames(clips, sources, tree, findings, example=EXAMPLE)
    variant = '; '.join(table.variant for table in tables.values())
    version = ', '.join(name for name in PARTS if name in tables)
    return findings.survey(DATABASE, tree, variant, clips, aligned=False, version=version)


def _tables(
    tree: Tree,
    chosen: pathlib.Path | None,
    part: str | None,
    column: Mapping[str, str] | None,
    findings: Findings,
) -> dict[str, Table]:
    """Set -> its sheet; '' where no name says which set it is."""

    def read(path: pathlib.Path | None) -> Table:
        return sheets.find(tree, path, COLUMNS, official=_OFFICIAL, optional=_OPTIONAL, named=column)

    if chosen:
        return {part or _set_of(chosen, tree): read(chosen)}
    named = [(path, _set_of(path, tree)) for path in tree.sheets]
    if len(named) > _MOST_SHEETS:
        named = [(path, name) for path, name in named if _in(path.name)]
    found: dict[str, Table] = {}
    for path, name in named:
        if not name or part not in (None, name):
            continue
        try:
            table = read(path)
        except sheets.NoSheetError as error:
            findings.note(tree.show(path), f'not read as a label sheet: {error}')
            continue
        if name in found:
            raise InputError(
                f'{tree.show(found[name].path)} and {tree.show(path)} could both be the label sheet of '
                f'{name}: choose one by --sheet'
            )
        found[name] = table
    if found:
        return {name: found[name] for name in PARTS if name in found}
    if part:
        raise sheets.NoSheetError(
            f'no label sheet of {part} below {tree.source}: expected {_OFFICIAL} (.xlsx, .xls or .csv) with '
            f'{part} in its name, or in that of its folder; name it by --sheet'
        )
    return {'': read(None)}


def _set_of(path: pathlib.Path, tree: Tree) -> str:
    """The set that a file's name, or that of the closest folder below the source, has; '' if none."""
    below = path.relative_to(tree.source) if path.is_relative_to(tree.source) else pathlib.Path(path.name)
    return next(filter(None, map(_in, reversed(below.parts))), '')


def _in(name: str) -> str:
    return next((part for part, pattern in PARTS.items() if pattern.search(name)), '')


_LABELS = ('disgust', 'surprise', 'sadness', 'fear', 'happiness', 'anger', 'contempt')
# Set -> subjects and clips of each class.
_COUNTS = {
    'train': (176, (548, 298, 278, 265, 206, 161, 100)),
    'test_a': (42, (129, 101, 46, 62, 63, 39, 34)),
    'test_b': (41, (58, 48, 35, 38, 42, 41, 37)),
}
_SOURCE = 'counts: the split of github.com/LanEinstein/DAD-Net, no_leak_protocol'


def _versions(protocol: Protocol) -> Iterator[tuple[str, Complete]]:
    """What each choice of sets has under a protocol."""
    for number in range(1, len(_COUNTS) + 1):
        for parts in itertools.combinations(_COUNTS, number):
            yield ', '.join(parts), _complete(protocol, parts)


def _complete(protocol: Protocol, parts: Sequence[str]) -> Complete:
    clips = dict.fromkeys(protocol.labels, 0)
    for part in parts:
        for emotion, count in zip(_LABELS, _COUNTS[part][1], strict=True):
            clips[protocol.classes[emotion]] += count
    return Complete(subjects=sum(_COUNTS[part][0] for part in parts), clips=clips)


def _counted(protocol: Protocol) -> Protocol:
    return dataclasses.replace(protocol, versions=dict(_versions(protocol)), note=_SOURCE)


RELEASE = Release(
    database=DATABASE,
    citation='Zhao et al.: DFME: A New Benchmark for Dynamic Facial Micro-Expression Recognition, '
    'IEEE TAC 15(3), 2024',
    survey=survey,
    protocols=(
        _counted(THREE_CLASSES),
        _counted(
            Protocol(
                name='7class',
                labels=_LABELS,
                classes={label: label for label in _LABELS},
                source='Zhao et al.: DFME, IEEE TAC 2024',
            )
        ),
    ),
)
