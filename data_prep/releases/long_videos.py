"""A folder of long videos, see `files.long_videos`: each interval of a table is a clip.

The table is truth.csv, or another one in its place, such as the intervals that a spotter has found: where it
names no emotions the clips have no label, and are for `python -m dualatme_jax.predict` alone. By the name of
a clip, see `schema.clip_of`, `python -m dualatme_jax.score --emotions` knows the interval.
"""

import dataclasses
import pathlib

from data_prep.files import folders, frames, long_videos
from data_prep.files.frames import Images, Video
from data_prep.files.long_videos import Expression, LongVideo
from data_prep.releases.clip import Clip, Problem, Survey
from data_prep.releases.protocols import FOUR_CLASSES, THREE_CLASSES
from data_prep.releases.record import Release
from dualatme_jax import schema
from dualatme_jax.errors import InputError

DATABASE = 'long_videos'


def survey(source: pathlib.Path, *, sheet: pathlib.Path | None = None, kind: str | None = None) -> Survey:
    """Reads the intervals of a table.

    Args:
      source: the folder.
      sheet: the table, in the place of truth.csv.
      kind: `micro` or `macro`, which alone is taken; None: all.

    Raises:
      InputError: no such folder, or a faulty table. A video that cannot be read is a problem of its clips.
    """
    if not source.is_dir():
        raise InputError(f'{source} is not a folder; expected one with videos/ and {long_videos.VIDEOS}')
    table = sheet or source / long_videos.TRUTH
    clips, problems = [], []
    for video in long_videos.read(source, table):
        own = [each for each in video.expressions if kind in (None, each.kind)]
        made = _clips(video, own, table)
        try:
            clips += _with_frames(made, video.path) if made else []
        except InputError as error:
            clips += made
            problems += [Problem.of(clip, error) for clip in made]
    if not clips:
        raise InputError(f'{table} has no interval{f" of kind {kind}" if kind else ""}; expected some')
    labelled = any(clip.emotion != schema.UNKNOWN_TEXT for clip in clips)
    unlabelled = f'names no emotion: its {len(clips)} clips have no label, and are for `predict` alone'
    return Survey(
        database=DATABASE,
        source=source,
        sheet=table.name,
        aligned=False,
        clips=clips,
        problems=problems,
        notes=[] if labelled else [Problem(row=table.name, text=unlabelled)],
        labelled=labelled,
    )


def _clips(video: LongVideo, intervals: list[Expression], table: pathlib.Path) -> list[Clip]:
    """A clip for each interval: of two kinds a spotter may find the same one, which is one clip."""
    found = {}
    for interval in intervals:
        clip = _clip(video, interval, table)
        if found.setdefault(clip.key, clip) != clip:
            raise InputError(
                f'{table} has {video.subject}/{clip.clip} twice, with another emotion or '
                'apex; expected it once'
            )
    return list(found.values())


def _clip(video: LongVideo, interval: Expression, table: pathlib.Path) -> Clip:
    return Clip(
        database=DATABASE,
        subject=video.subject,
        clip=schema.clip_of(video.name, interval.onset, interval.offset),
        onset=interval.onset,
        apex=interval.apex,
        offset=interval.offset,
        emotion=interval.emotion or schema.UNKNOWN_TEXT,
        row=f'{table.name}, {video.name}',
    )


def _with_frames(clips: list[Clip], path: pathlib.Path) -> list[Clip]:
    """Clips with their frames; those that reach over the first or the last one begin or end there."""
    listed = folders.listing(path).paths if path.is_dir() else {}
    numbers = sorted(listed) if path.is_dir() else range(frames.count(path))
    if not numbers:
        raise InputError(f'{path} holds no image with a number in its name')
    found = []
    for clip in clips:
        onset, offset = max(clip.onset, numbers[0]), min(clip.offset, numbers[-1])
        if onset > offset:
            raise InputError(f'{path} has the frames {numbers[0]} to {numbers[-1]}, and not {clip.clip}')
        inside = {number: listed[number] for number in range(onset, offset + 1) if number in listed}
        own = Images(inside) if path.is_dir() else Video(path, len(numbers))
        found.append(dataclasses.replace(clip, onset=onset, offset=offset, frames=own))
    return found


RELEASE = Release(
    database=DATABASE,
    citation='That of the videos.',
    survey=survey,
    protocols=(THREE_CLASSES, FOUR_CLASSES),
)
