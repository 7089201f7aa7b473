"""The expressions of a recording as clips, so that every view can be made of them as of a release's."""

import collections
import dataclasses
import io
import json
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from data_prep.face.aligned_clip import AlignedClip
from data_prep.files import npz_rows
from data_prep.files.cache import Cache
from data_prep.releases.clip import Clip
from data_prep.video import drawing
from data_prep.video.events import INPUTS, RECIPE, Found, Progress
from data_prep.video.spotter import Event
from data_prep.views import View
from dualatme_jax.errors import InputError, one_line
from dualatme_jax.files import replacing

DATABASE = 'video'  # of the clips, which are of no release
LEFT_OUT = 'left_out'


@dataclasses.dataclass(frozen=True)
class Held:
    """The frames of one event, in memory; see `frames.Images` for what others ask of them.

    Attributes:
      path: of the recording.
      pictures: frame number -> [H, W, 3] uint8, blue first.
      rate: frames a second, of those that are held.
    """

    path: pathlib.Path
    pictures: Mapping[int, np.ndarray]
    rate: float

    @property
    def numbers(self) -> list[int]:
        """The frame numbers, ascending."""
        return sorted(self.pictures)

    @property
    def place(self) -> pathlib.Path:
        """The folder in which the recording lies."""
        return self.path.parent

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the frames of `numbers`; raises InputError where there is no such frame."""
        for number in numbers:
            if number not in self.pictures:
                raise InputError(f'{self.path}: frame {number} is not one that is looked at')
            yield self.pictures[number]

    def digest(self, number: int) -> str:
        """Returns what distinguishes a frame from any other of its recording."""
        return f'{self.path} {number}'

    def name(self, number: int) -> str:
        """The frame in words."""
        return f'{self.path}, frame {number}'


@dataclasses.dataclass(frozen=True)
class Followed:
    """The landmarks of the face as it was followed: a source for `AlignedClip`.

    Attributes:
      landmarks: [68, 2], of the onset frame.
      detector: the name of what found them.
    """

    landmarks: np.ndarray
    detector: str
    whole_frame = False

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values."""
        del clip
        return {'name': self.detector, 'followed': True}

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the landmarks of the onset frame."""
        del frame, clip
        return self.landmarks


def aligned(
    found: Found,
    event: Event,
    pictures: Mapping[int, np.ndarray],
    *,
    landmarks: np.ndarray,
    number: int,
    detector: str,
) -> AlignedClip:
    """An event as a clip with its face found and aligned.

    Args:
      found: the recording and what was found in it.
      event: one of its events.
      pictures: its frames, number -> [H, W, 3] uint8, blue first.
      landmarks: [68, 2], of its onset frame.
      number: of the event, its name.
      detector: the name of what found the face.

    Raises:
      InputError: the face lies partly outside of the frame.
    """
    rate = found.recording.rate / found.recording.step
    clip = Clip(
        database=DATABASE,
        subject=found.recording.path.stem,
        clip=f'{number}',
        onset=event.onset,
        apex=event.apex,
        offset=event.offset,
        apex_choice='sheet',
        frames=Held(found.recording.path, pictures, rate),
        row=f'{found.recording.path}, event {number}',
    )
    return AlignedClip(clip, Followed(landmarks, detector), Cache(None))


def _pictures(found: Found, progress: Progress) -> Iterator[tuple[int, Event, dict[int, np.ndarray]]]:
    """Yields the number of each expression, it, and its frames, which go by once for all of them.

    Those in memory are of events that have begun and not ended: no more than the longest event has.
    """
    waiting = [(number, event) for number, event in enumerate(found.events) if event.expression]
    if not waiting:
        return
    first, last = min(event.onset for _, event in waiting), max(event.offset for _, event in waiting)
    waiting = collections.deque(sorted(waiting, key=lambda each: each[1].onset))
    begun: dict[int, tuple[Event, dict[int, np.ndarray]]] = {}
    total = int(((found.frames.numbers >= first) & (found.frames.numbers <= last)).sum())
    for frame in progress(found.recording.frames(first, last), 'clips', total):
        while waiting and waiting[0][1].onset <= frame.number:
            number, event = waiting.popleft()
            begun[number] = event, {}
        for number, (event, pictures) in list(begun.items()):
            pictures[frame.number] = frame.picture
            if event.offset <= frame.number:
                yield number, event, begun.pop(number)[1]


def write(
    found: Found,
    views: Sequence[View],
    out: pathlib.Path,
    *,
    detector: str,
    progress: Progress = lambda frames, *_: frames,
) -> dict[int, str]:
    """Writes what the views make of the expressions that were found, in the order in which they end.

    `inputs.npz` holds, by the schema's keys, one row per expression, and `event`, the number of each among
    all events; `inputs.json` the recipe of the views, and as `LEFT_OUT` what is returned; `frames/` pictures
    of each, see `drawing`.

    Returns:
      The numbers of the expressions that could not be made ready, and why.

    Raises:
      OSError: the files cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix='.clips-') as folder:
        rows, faults = _rows(found, views, out, pathlib.Path(folder), detector, progress)
        with replacing(out / INPUTS) as temporary, zipfile.ZipFile(temporary, 'w') as file:
            npz_rows.write(file, 'event', [np.array([*rows], int)], len(rows))
            for key in np.load(next(iter(rows.values()))).files if rows else ():
                npz_rows.write(file, key, (np.load(row)[key][None] for row in rows.values()), len(rows))
    recipe = {'release': DATABASE, 'landmarks': {DATABASE: {'name': detector, 'followed': True}}}
    recipe |= {key: value for view in views for key, value in view.recipe().items()}
    recipe[LEFT_OUT] = faults
    with replacing(out / RECIPE) as temporary:
        temporary.write_text(json.dumps(recipe, indent=2) + '\n', encoding='utf-8')
    return faults


def remove(out: pathlib.Path) -> None:
    """Removes what `write` has left of another recording, or of the same one with other options."""
    for name in (INPUTS, RECIPE):
        (out / name).unlink(missing_ok=True)
    for onset in (out / drawing.FRAMES).glob('[0-9]*/onset.png'):
        shutil.rmtree(onset.parent)


def _rows(
    found: Found,
    views: Sequence[View],
    out: pathlib.Path,
    folder: pathlib.Path,
    detector: str,
    progress: Progress,
) -> tuple[dict[int, pathlib.Path], dict[int, str]]:
    """Makes the row of each expression, a file in a folder: frames of many are more than memory has.

    Returns:
      The file of each, and why others have none, by the number of the event.
    """
    rows, faults = {}, {}
    onsets = np.searchsorted(found.frames.numbers, [event.onset for event in found.events])
    landmarks = found.kept.landmarks(onsets)
    for number, event, pictures in _pictures(found, progress):
        try:
            own = {'landmarks': landmarks[number], 'number': number, 'detector': detector}
            clip = aligned(found, event, pictures, **own)
            made = [view.make(clip, Cache(None)) for view in views]
            drawing.expression(clip, out / drawing.FRAMES / str(number))
        except InputError as error:
            faults[number] = one_line(error)
            continue
        rows[number] = folder / f'{number}.npz'
        np.savez(rows[number], **{key: _array(value) for each in made for key, value in each.items()})
    return rows, faults


def _array(value: bytes | list[bytes] | np.ndarray) -> np.ndarray:
    """What a view has made, as an array; pictures are decoded."""
    if isinstance(value, list):
        return np.stack([_array(each) for each in value])
    return np.asarray(Image.open(io.BytesIO(value))) if isinstance(value, bytes) else np.asarray(value)
