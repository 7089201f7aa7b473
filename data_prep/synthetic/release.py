"""Writes synthetic releases to disk in the layouts of the real ones, with the truth beside.

Beside what the real release holds, it has the file `synthetic.json`, its mark, and its folder `truth` holds

    landmarks.csv           68 points of each clip's onset frame, in pixels, as `--landmarks` takes them
    apex.csv                subject, clip, onset, apex and offset
    flow/SUBJECT/CLIP.npz   what moved from onset to apex, see `truth.TrueMotion`
    dirty.csv               what was made dirty, if anything was

`megc2019_cd` holds a release of each of its databases, `landmarks.csv` of them all, and `list.csv`: the rows
that the challenge uses, in the form of its own list.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from data_prep import releases
from data_prep.dataset import processes
from data_prep.face import apex
from data_prep.face.landmarks import file as landmark_file
from data_prep.releases import protocols, synthetic_mark
from data_prep.releases.clip import Clip
from data_prep.synthetic import action_units, corruptions, sheets
from data_prep.synthetic.layout import Layout, Listed, SyntheticClip
from data_prep.synthetic.layouts import casme2, casme3, deception, dfme, samm, smic
from data_prep.synthetic.render_clip import Job, render, stream
from dualatme_jax import schema, scratch
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded
from dualatme_jax.outside import challenge_list

LAYOUTS = {module.LAYOUT.database: module.LAYOUT for module in (casme2, smic, samm, casme3, dfme, deception)}
COMPOSITE = 'megc2019_cd'
RELEASES = (*LAYOUTS, COMPOSITE)

FRAMES = 9  # of a clip

Progress = Callable[[Iterable, int], Iterable]


@dataclasses.dataclass(frozen=True)
class _Part:
    """One database of what is written.

    Attributes:
      layout: how it is released.
      rows: its clips.
      folder: where it is written.
    """

    layout: Layout
    rows: Sequence[SyntheticClip]
    folder: pathlib.Path

    @property
    def truth(self) -> pathlib.Path:
        return self.folder / 'truth'

    def key(self, row: SyntheticClip) -> tuple[str, str, str]:
        return self.layout.database, row.subject, row.clip

    def label(self, row: SyntheticClip) -> str | None:
        """Returns the row's class in the database's first protocol, None if that leaves it out."""
        database = self.layout.database
        clip = Clip(database=database, subject=row.subject, clip=row.clip, emotion=row.emotion)
        return protocols.label_of(clip, releases.of(database).protocol(None))[0]

    def job(self, row: SyntheticClip, seed: int) -> Job:
        files = (self.folder / self.layout.frame(row, number) for number in row.numbers)
        return Job(
            seed=seed,
            database=self.layout.database,
            row=row,
            camera=self.layout.camera,
            files=tuple(dict.fromkeys(files)),  # all frames of a video are in one
            truth=self.truth / 'flow' / row.subject / f'{row.clip}.npz',
        )


def synthesize(
    release: str,
    out: str | os.PathLike,
    *,
    seed: int = 0,
    subjects: int | None = None,
    dirty: bool = False,
    frames_per_clip: int = FRAMES,
    rows: str | os.PathLike | None = None,
    workers: int | None = None,
    progress: Progress = lambda clips, total: clips,
) -> None:
    """Renders a release and writes it to the folder `out`, whole or not at all.

    Args:
      release: one of `RELEASES`.
      out: a folder that is new or empty; its parents are made.
      seed: another seed gives other faces, other motions and other faults; the rows stay.
      subjects: only the first so many of each database; all by default.
      dirty: whether the sheets are made untidy and some clips faulty.
      frames_per_clip: frames from onset to offset; videos have their own number.
      rows: a list as the challenge's, from which database, subject, clip and label are taken; by default they
        are made up, with the challenge's numbers of clips and subjects. What it leaves out is always made up.
      workers: how many processes render, one per processor by default; the files do not depend on it.
      progress: wraps an iterable that yields as each clip is done, given their number.

    Raises:
      InputError: an argument out of range, a list that cannot be read or does not fit, an `out` that is not
        empty or cannot be written, or a worker that died.
    """
    _check(release, seed, subjects, frames_per_clip)
    listed = _read_list(expanded(rows, '--list'), release) if rows else {}
    out = expanded(out, '--out').resolve()
    with scratch.new_folder(out) as folder:
        parts = _parts(release, folder, listed, seed, subjects, frames_per_clip)
        jobs = [part.job(row, seed) for part in parts for row in part.rows]
        rendered = processes.in_order(render, [(job,) for job in jobs], workers or processes.available())
        landmarks = list(progress(rendered, len(jobs)))
        _write_tables(folder, parts, landmarks, composite=release == COMPOSITE)
        for part in parts:
            synthetic_mark.write(part.folder, database=part.layout.database, seed=seed, dirty=dirty)
            _write_sheets(part, stream(seed, part.layout.database, 'dirt') if dirty else None)


def _check(release: str, seed: int, subjects: int | None, frames: int) -> None:
    if release not in RELEASES:
        raise InputError(f'unknown release {release!r}: expected one of {", ".join(RELEASES)}')
    if seed < 0:
        raise InputError(f'--seed {seed} is negative: expected 0 or more')
    if subjects is not None and subjects < 1:
        raise InputError(f'--subjects {subjects}: expected 1 or more')
    if frames < 3:
        raise InputError(f'{frames} frames per clip: expected 3 or more, onset, apex and offset')


def _read_list(path: pathlib.Path, release: str) -> dict[str, Listed]:
    """Returns database -> the clips that a list has of it."""
    databases = schema.COMPOSITE if release == COMPOSITE else (release,)
    found, problems = challenge_list.read_list(path)
    for row in found:
        if row.subject not in LAYOUTS[row.database].subjects:
            known = LAYOUTS[row.database].subjects
            problems.append(
                f'list, line {row.line}: {row.database} has no subject {row.subject!r}: '
                f'its subjects are {known[0]} to {known[-1]}'
            )
        if pathlib.PurePath(row.clip).name != row.clip:
            problems.append(f'list, line {row.line}: {row.clip!r} cannot be the name of a folder')
    problems += [
        f'it has no clip of {name}' for name in databases if all(row.database != name for row in found)
    ]
    if problems:
        listing = '\n'.join(f'  {problem}' for problem in problems)
        raise InputError(f'{path} is not a list to make {release} from:\n{listing}')
    return {
        name: [(row.subject, row.clip, row.label) for row in found if row.database == name]
        for name in databases
    }


def _parts(
    release: str,
    folder: pathlib.Path,
    listed: dict[str, Listed],
    seed: int,
    subjects: int | None,
    frames: int,
) -> list[_Part]:
    parts = []
    for database in schema.COMPOSITE if release == COMPOSITE else (release,):
        layout = LAYOUTS[database]
        kept = set(layout.subjects[:subjects])
        rows = [
            dataclasses.replace(row, units=_units(seed, database, row))
            for row in layout.rows(listed.get(database), layout.frames or frames)
            if row.subject in kept
        ]
        parts.append(_Part(layout, rows, folder / database if release == COMPOSITE else folder))
    return parts


def _units(seed: int, database: str, row: SyntheticClip) -> dict[str, float]:
    random = stream(seed, database, row.subject, row.clip, 'units')
    return action_units.choose(random, action_units.EMOTIONS[protocols.emotion(row.emotion)])


def _write_tables(
    folder: pathlib.Path, parts: Sequence[_Part], landmarks: Sequence[np.ndarray], *, composite: bool
) -> None:
    found, everything = iter(landmarks), []
    for part in parts:
        lines = [[*part.key(row), *np.round(next(found).ravel(), 3).tolist()] for row in part.rows]
        everything += lines
        sheets.write(part.truth / 'landmarks.csv', [landmark_file.COLUMNS, *lines])
        frames = [[row.subject, row.clip, row.onset, row.apex, row.offset] for row in part.rows]
        sheets.write(part.truth / 'apex.csv', [apex.COLUMNS, *frames])
    if composite:
        labels = [(part.key(row), part.label(row)) for part in parts for row in part.rows]
        used = [[*key, schema.LABELS.index(label)] for key, label in labels if label]
        sheets.write(folder / 'landmarks.csv', [landmark_file.COLUMNS, *everything])
        sheets.write(folder / 'list.csv', used)


def _write_sheets(part: _Part, random: np.random.Generator | None) -> None:
    """Writes a database's tables, and makes it dirty if there are random numbers to do so."""
    tables = part.layout.sheets(part.rows)
    lines = [[*table.above, table.header, *table.cells] for table in tables]
    if random:
        own = part.rows[: len(tables[0].cells)] if tables else part.rows  # of the first table
        used = [row for row in own if part.label(row)]
        faults = corruptions.choose(random, part.layout, part.rows, used)
        record = corruptions.corrupt_files(part.folder, part.layout, faults)
        if tables:
            lines[0], found = corruptions.corrupt_sheet(random, tables[0], own, faults)
            record = found + record
        header = [field.name for field in dataclasses.fields(corruptions.Corruption)]
        sheets.write(part.truth / 'dirty.csv', [header, *map(dataclasses.astuple, record)])
    for table, rows in zip(tables, lines, strict=True):
        sheets.write(part.folder / table.file, rows)
