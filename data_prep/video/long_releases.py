"""Releases of long videos: CAS(ME)^2 and SAMM Long Videos, read from their sheets and folders of frames.

CAS(ME)^2 (Qu et al., IEEE TAC 9(4), 2018): frames of whole videos in `rawpic/s15/15_0401girlcrashing`, 30 a
second, and the sheet that `releases.casme_sq` reads. SAMM Long Videos (Yap et al., FG 2020): frames in
`SAMM_longvideos/006_1`, 200 a second, and the sheet `SAMM_LongVideos_V2_Release.xlsx`, its header on row 10
of the worksheet `FACS_Movement_Only`; the row `006_1_2` is of the video 006_1.

Frame numbers are those of the files. Where the sheets give no offset (0), the apex is taken; an expression
without an onset is left out, as Liong et al. (SOFTNet, ICIP 2021) do both; one that ends after the last frame
there is ends with it.
"""

import collections
import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from data_prep.files import cells, folders, sheet
from data_prep.files.folders import Folder, Tree
from data_prep.files.long_videos import FOLDER, TRUTH, VIDEOS, Expression, LongVideo
from data_prep.files.sheet import NoSheetError, Table
from data_prep.releases import annotations, casme_sq, samm
from data_prep.releases.annotations import Findings
from data_prep.releases.clip import Clip, Problem
from data_prep.video.spotter import MACRO, MICRO
from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing

_SAMM_VIDEO = re.compile(r'(\d{3})_(\d+)')
_WORKSHEET = 'facsmovementonly'  # of SAMM's sheet, as `sheet.normalise` writes it
_SAMM_COLUMNS = {
    field: samm.COLUMNS[field] for field in ('subject', 'clip', 'onset', 'apex', 'offset', 'type')
}
_SHOWN = 10  # problems that are listed


@dataclasses.dataclass(frozen=True)
class LongRelease:
    """A release of long videos.

    Attributes:
      database: its name.
      frame_rate: frames a second.
      known: what the whole release has, by what it is.
      read: (tree, sheet that the user names) -> its sheet and folders.
    """

    database: str
    frame_rate: float
    known: Mapping[str, int]
    read: Callable[[Tree, pathlib.Path | None, Findings], '_Annotated']


@dataclasses.dataclass(frozen=True)
class _Annotated:
    """A sheet, and how its rows belong to folders.

    Attributes:
      table: its rows.
      subject: the subject that a cell means.
      example: of such a cell.
      video: (subject, name of a row) -> key of its video.
      folders: key of a video -> its folders of frames.
    """

    table: Table
    subject: Callable[[str], str | None]
    example: str
    video: Callable[[str, str], tuple[str, str]]
    folders: Mapping[tuple[str, str], Sequence[Folder]]


@dataclasses.dataclass(frozen=True)
class Source:
    """What a release holds.

    Attributes:
      videos: every video there is a folder of, with its expressions.
      notes: what is left out, is odd or differs from the whole release, one line each.
    """

    videos: Sequence[LongVideo]
    notes: Sequence[str]


def read(name: str, source: str | os.PathLike, *, chosen: pathlib.Path | None = None) -> Source:
    """Reads a release; no frame is decoded.

    Args:
      name: a key of `RELEASES`.
      source: its folder.
      chosen: the sheet, where it lies elsewhere or there are several.

    Raises:
      InputError: no sheet, several ones, or no video.
    """
    release, tree, findings = RELEASES[name], folders.walk(source), Findings()
    annotated = release.read(tree, chosen, findings)
    expressions = collections.defaultdict(list)
    for kind, clip in _clips(annotated, release.database, findings):
        of_sheet = clip.clip.rpartition('#')[0]
        expressions[annotated.video(clip.subject, of_sheet)].append((kind, clip))
    for key in sorted(expressions.keys() - annotated.folders.keys()):
        lost = expressions.pop(key)
        findings.problem(
            lost[0][1].row, f'no folder of the video {"/".join(key)}; {len(lost)} expressions are left out'
        )
    videos = [
        _video(key, found, expressions[key], release, findings)
        for key, found in sorted(annotated.folders.items())
    ]
    if not videos:
        raise InputError(
            f'{tree.source}: no folder of frames of a long video; expected such as {_EXAMPLES[name]}'
        )
    for video in videos:
        if fault := names.fault_of_clip(release.database, video.subject, video.name):
            raise InputError(f'{video.path}: {fault}')
    return Source(
        videos,
        [
            *_said(findings.problems, 'problems'),
            *_said(findings.notes, 'notes'),
            *_deviations(release, videos),
        ],
    )


def write(source: Source, out: pathlib.Path) -> None:
    """Writes a release as a folder of long videos, see `long_videos`; its videos are links.

    Raises:
      InputError: something else lies in their place.
      OSError: it cannot be written.
    """
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    for video in source.videos:
        link, target = out / FOLDER / video.name, video.path.resolve()
        if not link.is_symlink() and not link.exists():
            link.symlink_to(target, target_is_directory=True)
        elif link.resolve() != target:
            raise InputError(f'{link} is another video than {target}; expected an --out of its own')
    rows = [
        [video.subject, video.name, each.onset, each.offset, each.emotion, each.kind]
        for video in source.videos
        for each in video.expressions
    ]
    header = ['subject', 'video', schema.ONSET, schema.OFFSET, schema.EMOTION, 'kind']
    if any(row[4] == '' for row in rows):  # a table names every emotion, or none
        header, rows = [*header[:4], 'kind'], [[*row[:4], row[5]] for row in rows]
    table(out / TRUTH, header, rows)
    lengths = [[video.subject, video.name, video.frames, f'{video.rate:g}'] for video in source.videos]
    table(out / VIDEOS, ['subject', 'video', 'frames', schema.FRAME_RATE], lengths)


def table(path: pathlib.Path, header: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Writes a CSV table, whole or not at all; raises OSError if it cannot be written."""
    with replacing(path) as temporary:
        pd.DataFrame(rows, columns=header).to_csv(temporary, index=False, lineterminator='\n')


def _clips(annotated: _Annotated, database: str, findings: Findings) -> Iterator[tuple[str, Clip]]:
    """(kind, clip) of every sound row; what is called the same differs in its onset."""
    of_kind = {MICRO: [], MACRO: []}
    for row in annotated.table.rows:
        word = sheet.normalise(row.cells['type'])
        kind = next((kind for kind in of_kind if word.startswith(kind)), None)
        if kind:
            cleared = dataclasses.replace(row, cells={**row.cells, 'type': None})
            of_kind[kind].append(cleared)
        elif annotations.has_frames(row):
            findings.problem(row.place, f'{cells.text(row.cells["type"])!r}: expected micro or macro')
    for kind, rows in of_kind.items():
        if not rows:
            continue
        made = annotations.clips(
            dataclasses.replace(annotated.table, rows=rows, hidden=()),
            database,
            findings,
            subject=annotated.subject,
            example=annotated.example,
            clip=lambda name, onset: f'{name}#{onset}',
        )
        faulty = {problem.key for problem in findings.problems}
        yield from ((kind, clip) for clip in made if clip.key not in faulty)


def _video(
    key: tuple[str, str],
    found: Sequence[Folder],
    expressions: Sequence[tuple[str, Clip]],
    release: LongRelease,
    findings: Findings,
) -> LongVideo:
    if len(found) > 1:
        others = ', '.join(str(folder.path) for folder in found[1:])
        findings.note(str(found[0].path), f'is taken for the video {"/".join(key)}, and not {others}')
    path = found[0].path
    numbers = list(folders.listing(path).paths)
    last = max(numbers, default=0)
    spans = (_span(kind, clip, last, findings) for kind, clip in expressions)
    return LongVideo(
        subject=key[0],
        name=path.name,
        path=path,
        frames=max(last, len(numbers)),
        rate=release.frame_rate,
        expressions=tuple(sorted(filter(None, spans))),
    )


def _span(kind: str, clip: Clip, last: int, findings: Findings) -> Expression | None:
    """The expression of a row, None (and a note) if it is not known where it begins."""
    name = f'{clip.subject}/{clip.clip.rpartition("#")[0]}'
    offset = clip.offset if clip.offset > 0 else clip.apex
    if clip.onset <= 0 or offset < clip.onset or clip.onset > last:
        text = f'from frame {clip.onset} to {offset} of {last}: the {kind}-expression is left out'
        findings.note(clip.row, f'{name}: {text}')
        return None
    if offset > last:
        text = f'the offset, {offset}, is after the last frame, {last}, which is taken'
        findings.note(clip.row, f'{name}: {text}')
    emotion = '' if clip.emotion == schema.UNKNOWN_TEXT else clip.emotion
    return Expression(clip.onset, min(offset, last), emotion, kind)


def _said(found: Sequence[Problem], what: str) -> list[str]:
    more = len(found) - _SHOWN
    return [*map(str, found[:_SHOWN]), *([f'and {more} more {what} of the sheet'] if more > 0 else [])]


def _deviations(release: LongRelease, videos: Sequence[LongVideo]) -> list[str]:
    """Where counts are not those of the whole release."""
    kinds = collections.Counter(each.kind for video in videos for each in video.expressions)
    found = {
        'micro-expressions': kinds[MICRO],
        'macro-expressions': kinds[MACRO],
        'subjects': len({video.subject for video in videos}),
        'videos': len(videos),
        'videos with an expression': sum(bool(video.expressions) for video in videos),
        'videos with a micro-expression': sum(
            any(each.kind == MICRO for each in video.expressions) for video in videos
        ),
    }
    return [
        f'{found[what]} {what}; the whole release has {number}'
        for what, number in release.known.items()
        if found[what] != number
    ]


def _casme_sq(tree: Tree, chosen: pathlib.Path | None, findings: Findings) -> _Annotated:
    known = casme_sq.read_sheet(tree, chosen, findings)
    return _Annotated(
        table=known.table,
        subject=known.subject,
        example=casme_sq.EXAMPLE,
        video=lambda subject, name: (subject, known.video(name) or name),
        folders=casme_sq.whole_videos(tree),
    )


def _samm_long(tree: Tree, chosen: pathlib.Path | None, findings: Findings) -> _Annotated:
    del findings

    def official(worksheet) -> Table:
        if worksheet.name and sheet.normalise(worksheet.name) != _WORKSHEET:
            raise InputError(f'{worksheet.path.name}: the worksheet {worksheet.name}')
        return by_columns(worksheet)

    def by_columns(worksheet) -> Table:
        return sheet.by_columns(worksheet, _SAMM_COLUMNS)

    wanted = ', '.join(names[-1] for names in _SAMM_COLUMNS.values())
    options = {'official': 'SAMM_LongVideos*', 'wanted': f'the columns {wanted}'}
    try:
        found = sheet.choose(tree, chosen, official, **options)
    except NoSheetError:  # other versions may call the worksheet otherwise
        found = sheet.choose(tree, chosen, by_columns, **options)
    of_video = collections.defaultdict(list)
    for folder in tree.folders:
        if folder.image and (match := _SAMM_VIDEO.fullmatch(folder.name)):
            of_video[samm.SUBJECT(match[1]), match[0]].append(folder)
    return _Annotated(
        table=found,
        subject=samm.SUBJECT,
        example='006',
        video=lambda subject, name: (subject, '_'.join(name.split('_')[:2])),
        folders=of_video,
    )


_EXAMPLES = {'casme_sq': 'rawpic/s15/15_0401girlcrashing', 'samm_long': 'SAMM_longvideos/006_1'}
# Counts: Li et al., MEGC 2019 (CAS(ME)^2), and Yap et al., SAMM Long Videos, FG 2020.
RELEASES = {
    'casme_sq': LongRelease(
        database='casme_sq',
        frame_rate=30,
        known={
            'micro-expressions': 57,
            'macro-expressions': 300,
            'subjects': 22,
            'videos with an expression': 87,
        },
        read=_casme_sq,
    ),
    'samm_long': LongRelease(
        database='samm_long',
        frame_rate=200,
        known={
            'micro-expressions': 159,
            'macro-expressions': 343,
            'videos': 147,
            'videos with a micro-expression': 79,
        },
        read=_samm_long,
    ),
}
