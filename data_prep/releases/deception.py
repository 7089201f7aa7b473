"""Real-life trial data (Perez-Rosas et al., ICMI 2015): videos of people who lie or tell the truth.

A clip is `Clips/Deceptive/trial_lie_001.mp4` or `Clips/Truthful/trial_truth_001.mp4`. The release does not
say who speaks, though several clips show the same person: the user gives a table of speakers, or says that
clips may be split without it. `Annotation/All_Gestures_Deceptive and Truthful.csv` repeats each clip's class.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from data_prep.files import cells, folders
from data_prep.files import sheet as sheets
from data_prep.files.folders import Tree
from data_prep.releases import annotations, find_frames
from data_prep.releases.annotations import Findings
from data_prep.releases.clip import Clip, Survey
from data_prep.releases.protocols import Complete, Protocol
from data_prep.releases.record import Release
from dualatme_jax import schema
from dualatme_jax.errors import InputError

DATABASE = 'deception'
CLASSES = ('deceptive', 'truthful')
SPEAKERS = {'clip': ('clip', 'id', 'video', 'filename'), 'speaker': ('speaker', 'subject', 'person')}
GESTURES = {'clip': ('id',), 'class': ('class',)}
EXAMPLE = 'Clips/Deceptive/trial_lie_001.mp4'


def survey(
    source: pathlib.Path,
    *,
    sheet: pathlib.Path | None = None,
    speakers: pathlib.Path | None = None,
    split_by_clip: bool = False,
) -> Survey:
    """Reads the trial data; a clip is a whole video, from frame 0 to its last.

    Args:
      source: the folder of the release.
      sheet: the annotation of gestures, where it lies elsewhere.
      speakers: a table with the columns clip and speaker.
      split_by_clip: take every clip for a subject of its own.

    Raises:
      InputError: no videos, or neither speakers nor `split_by_clip`.
    """
    if split_by_clip == (speakers is not None):
        raise InputError(
            'the release does not say who speaks, and clips of one person on both sides of a split leak '
            'identity: give a table with the columns clip and speaker by --speakers, or, knowing this, take '
            'every clip for a subject by --split-by-clip; not both'
        )
    tree = folders.walk(source)
    videos = [path for path in tree.videos if folders.fold(path.parent.name) in CLASSES]
    if not videos:
        raise InputError(f'no videos of trials below {tree.source}: expected files such as {EXAMPLE}')
    findings = annotations.Findings()
    persons = _speakers(tree, pathlib.Path(speakers), findings) if speakers else {}
    clips, sources = {}, {}
    for path in videos:
        name = path.stem
        clip = Clip(
            database=DATABASE,
            subject=name if split_by_clip else persons.get(folders.fold(name), schema.UNKNOWN_TEXT),
            clip=name,
            emotion=folders.fold(path.parent.name),
            row=tree.show(path),
        )
        clips.setdefault(clip.key, clip)
        sources.setdefault(clip.key, []).append(path)
        if clip.subject == schema.UNKNOWN_TEXT:
            findings.problem(
                clip.row, f'{speakers} does not say who speaks: add the row {name},SPEAKER', clip
            )
    clips = find_frames.add_frames(list(clips.values()), sources, tree, findings, example=EXAMPLE, whole=True)
    variant = _check_classes(tree, sheet, clips, findings)
    return findings.survey(DATABASE, tree, variant, clips, aligned=False)


def _speakers(tree: Tree, path: pathlib.Path, findings: Findings) -> dict[str, str]:
    """Reads who speaks in which clip."""
    table = sheets.find(tree, path, SPEAKERS, official='a table', flag='--speakers')
    persons, places = {}, {}
    for row in table.rows:
        name, speaker = _stem(row.cells['clip']), cells.text(row.cells['speaker'])
        if not (name and speaker):
            findings.problem(row.place, 'expected a clip and its speaker; one of them is empty')
        elif persons.setdefault(name, speaker) != speaker:
            findings.problem(row.place, f'{name} is spoken by {persons[name]} in {places[name]}')
        places.setdefault(name, row.place)
    there = {folders.fold(path.stem) for path in tree.videos}
    for name in sorted(persons.keys() - there):
        findings.note(places[name], f'there is no video of {name}')
    return persons


def _check_classes(tree: Tree, sheet: pathlib.Path | None, clips: Sequence[Clip], findings: Findings) -> str:
    """Compares the folders' classes with the annotation, if there is one; returns which it is."""
    try:
        table = sheets.find(tree, sheet, GESTURES, official='All_Gestures*')
    except sheets.NoSheetError:
        if sheet or any('gestures' in folders.fold(path.name) for path in tree.sheets):
            raise
        return 'none'
    by_name = {folders.fold(clip.clip): clip for clip in clips}
    places: dict[str, str] = {}
    for row in table.rows:
        name, found = _stem(row.cells['clip']), cells.text(row.cells['class'])
        clip = by_name.get(name)
        if name in places:
            findings.problem(row.place, f'{name} is in {places[name]} already; keep one', clip)
        elif name and clip is None:
            findings.problem(row.place, f'there is no video of {name}')
        elif name and found.lower() != clip.emotion:
            text = f'{name} is {found!r}, but its video lies among the {clip.emotion} ones'
            findings.problem(row.place, text, clip)
        if name:
            places.setdefault(name, row.place)
    for name in sorted(by_name.keys() - places.keys()):
        findings.note(by_name[name].row, f'{name} is not in {table.path.name}', by_name[name])
    return table.variant


def _stem(cell: Any) -> str:
    """The name of a clip, with or without its suffix in the table."""
    name = folders.fold(cells.text(cell))
    stem, _, suffix = name.rpartition('.')
    return stem if suffix in folders.VIDEOS else name


RELEASE = Release(
    database=DATABASE,
    citation='Perez-Rosas et al.: Deception Detection using Real-life Trial Data, ICMI 2015',
    survey=survey,
    protocols=(
        Protocol(
            name='2class',
            labels=('truthful', 'deceptive'),
            classes={'truthful': 'truthful', 'deceptive': 'deceptive'},
            source='Perez-Rosas et al.: Deception Detection using Real-life Trial Data, ICMI 2015',
            complete=Complete(clips={'truthful': 60, 'deceptive': 61}),
        ),
    ),
    apex_choices=('spotted',),  # half a minute of speech has no middle that would mean anything
)
