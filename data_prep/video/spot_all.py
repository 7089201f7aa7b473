"""The training-free spotter over many videos: one table of what it finds, each video kept once it is done.

Into the folder goes, for each video, SUBJECT/VIDEO/ with the tables of `events` and `kept.json`, which says
of what they were made: as long as that is the same, they are not made again. A video that was stopped goes
on. `predicted.csv` has one row per expression, `subject,video,onset,offset,kind`.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from data_prep.dataset import processes
from data_prep.files.long_videos import LongVideo
from data_prep.video import detectors, events, kept, long_releases, recording
from dualatme_jax.errors import InputError, one_line
from dualatme_jax.files import replacing

KEPT, PREDICTED = 'kept.json', 'predicted.csv'
HEADER = ('subject', 'video', 'onset', 'offset', 'kind')


@dataclasses.dataclass(frozen=True)
class Spotted:
    """What was found in a video.

    Attributes:
      video: the video.
      intervals: onset, offset and kind of each expression.
      remarks: what makes that uncertain.
      fault: why nothing could be looked at; empty if something could.
    """

    video: LongVideo
    intervals: Sequence[tuple[int, int, str]] = ()
    remarks: Sequence[str] = ()
    fault: str = ''


def spot(
    videos: Sequence[LongVideo], out: pathlib.Path, *, landmarks: str, workers: int
) -> Iterator[Spotted]:
    """Yields what is found in each video, in order; nothing that is kept is looked at again.

    Args:
      videos: the videos.
      out: the folder, which is made.
      landmarks: `auto`, or a key of `detectors.DETECTORS`.
      workers: how many processes.

    Raises:
      InputError: no such detector, a subject whose name cannot be that of a folder, or a worker died.
    """
    for video in videos:
        if pathlib.PurePath(video.subject).name != video.subject or video.subject == '..':
            raise InputError(f'the subject {video.subject!r} of {video.path} cannot be the name of a folder')
    name = detectors.detector(landmarks).name  # of `auto` too; what is missing is said before all else
    jobs = [(video, name, out / video.subject / video.name) for video in videos]
    return processes.in_order(of_video, jobs, workers)


def write(found: Iterable[Spotted], out: pathlib.Path) -> None:
    """Writes `predicted.csv`; raises OSError if it cannot be written."""
    rows = [[each.video.subject, each.video.name, *row] for each in found for row in each.intervals]
    long_releases.table(out / PREDICTED, HEADER, rows)


def of_video(video: LongVideo, landmarks: str, folder: pathlib.Path) -> Spotted:
    """What is found in one video; a fault of its own is said and not raised."""
    keep = folder / kept.FOLDER
    try:
        shown = recording.find(video.path, rate=video.rate)
        made_of = kept.made_of(shown, landmarks)
        if _kept(folder).get('made_of') != made_of or _expressions(folder) is None:
            detector = detectors.detector(landmarks)
            found = events.find(shown, detector, keep=keep)
            events.write(found, detector, folder)
            about = {'made_of': made_of, 'seconds': float(found.frames.times[-1]), 'flags': found.flags}
            with replacing(folder / KEPT) as temporary:
                temporary.write_text(json.dumps(about) + '\n', encoding='utf-8')
            kept.remove(keep)
    except InputError as error:
        kept.remove(keep)
        return Spotted(video, fault=one_line(error))
    rows = _expressions(folder)
    about, whole = _kept(folder), (video.frames - 1) / video.rate
    remarks = [flag for flag in about['flags'] if not flag.startswith(events.BROKEN)]
    if whole - about['seconds'] > min(1, 0.1 * whole):
        remarks.append(f'it breaks off after {about["seconds"]:.1f} of {whole:.1f} seconds')
    return Spotted(video, tuple(rows.itertuples(index=False, name=None)), tuple(remarks))


def _expressions(folder: pathlib.Path) -> pd.DataFrame | None:
    """Onset, offset and kind of what was found; None if the table is missing or damaged."""
    try:
        table = pd.read_csv(folder / events.EVENTS)
        return table.loc[table['expression'], ['onset', 'offset', 'kind']]
    except (OSError, ValueError, KeyError):
        return None


def _kept(folder: pathlib.Path) -> dict:
    try:
        found = json.loads((folder / KEPT).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
