"""What is known of the frames of a recording, kept in a folder: after a stop the same command goes on.

FOLDER/key.json   what decides it: the recording, the options, the code
FOLDER/NNN.npz    some seconds each

Each file ends with a frame in which the face was detected: all that comes after follows from that frame and
those of the last `limits.WINDOW` before it. So what is found does not depend on where it was interrupted.
"""

import itertools
import json
import pathlib
import shutil
import zipfile
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import scipy

from data_prep.files import film
from data_prep.video import detectors, limits, motion, track
from data_prep.video.detectors import Detector
from data_prep.video.motion import Moved
from data_prep.video.recording import Recording
from data_prep.video.track import Tracked
from dualatme_jax import files
from dualatme_jax.files import replacing

EVERY = 10.0  # seconds in a file, at least
_KEY = 'key.json'
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
_FIELDS = ('number', 'time', 'flow', 'head', 'landmarks', 'faces', 'grey', 'sharpness', 'found')


def signal(
    recording: Recording, detector: Detector, folder: pathlib.Path | None = None, *, face: int | None = 0
) -> Iterator[Moved]:
    """Yields what is known of each frame, and keeps it; what a folder has already is read from there.

    Args:
      recording: the recording.
      detector: finds faces.
      folder: where it is kept, which is made; None: nowhere. `remove` it when it is not needed any more.
      face: which face, see `track.follow`.

    Raises:
      OSError: it cannot be written.
    """
    rows: list[Moved] = []
    if folder is None:
        yield from motion.signal(track.follow(recording.frames(), detector, face=face))
        return
    count, whole = 0, False
    own = [detector.path] if isinstance(detector, detectors.File) else []
    if _begun(folder, json.dumps(made_of(recording, detector.name, *own, face=face))):
        for count in itertools.count():
            stored = _read(folder / f'{count:03}.npz')
            if stored is None:
                break
            rows, whole = stored
            yield from rows
            if whole:
                return
    new = _after(rows, recording, detector, face)
    chunk: list[Moved] = []
    for each in new:
        chunk.append(each)
        if each.found and each.time - chunk[0].time >= EVERY:
            _write(folder / f'{count:03}.npz', chunk, whole=False)
            count, chunk = count + 1, []
        yield each
    if chunk:
        _write(folder / f'{count:03}.npz', chunk, whole=True)


def remove(folder: pathlib.Path) -> None:
    """Removes what is kept."""
    shutil.rmtree(folder, ignore_errors=True)


def _after(
    rows: Sequence[Moved], recording: Recording, detector: Detector, face: int | None
) -> Iterator[Moved]:
    """Yields what is known of the frames after those `rows` end with."""
    if not rows:
        return motion.signal(track.follow(recording.frames(), detector, face=face))
    # Those that the flow is computed from, and one more, which may be nearer to a whole `WINDOW`.
    recent = {each.number: each for each in rows if each.time >= rows[-1].time - 2 * limits.WINDOW}
    frames = recording.frames(min(recent))
    before = []
    for frame in itertools.islice(frames, len(recent)):
        known = recent[frame.number]
        landmarks = known.landmarks if np.isfinite(known.landmarks).all() else None
        grey = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY)
        before.append(Tracked(frame, grey, landmarks, known.faces, known.found))
    following = track.follow(frames, detector, face=face, last=before[-1])
    return itertools.islice(motion.signal(itertools.chain(before[:-1], following)), len(before), None)


def _begun(folder: pathlib.Path, key: str) -> bool:
    """Whether a folder holds the same; else it is made anew."""
    path = folder / _KEY
    if path.is_file() and path.read_text(encoding='utf-8', errors='replace') == key:
        return True
    remove(folder)
    folder.mkdir(parents=True)
    with replacing(path) as temporary:
        temporary.write_text(key, encoding='utf-8')
    return False


def made_of(recording: Recording, detector: str, *more: pathlib.Path, face: int | None = 0) -> dict:
    """All that decides what is known of a recording, as JSON values.

    Args:
      recording: the recording.
      detector: the name of what finds faces.
      more: files that it reads.
      face: which face, see `track.follow`.
    """
    paths = [recording.path]
    if recording.path.is_dir():
        paths = list(film.find(recording.path).frames.paths.values())
    states = [(path, path.stat()) for path in (*paths, *more)]
    return {
        'rate': recording.rate,
        'timed': recording.timed,
        'step': recording.step,
        'detector': detector,
        'face': face,
        # The last time is that of any change, also of one whose own time was set back.
        'files': [[str(path.resolve()), of.st_size, of.st_mtime_ns, of.st_ctime_ns] for path, of in states],
        'code': files.code('data_prep'),
        'versions': [library.__version__ for library in (cv2, np, scipy)],
    }


def _write(path: pathlib.Path, rows: Sequence[Moved], *, whole: bool) -> None:
    arrays = {name: np.array([getattr(each, name) for each in rows]) for name in _FIELDS}
    with replacing(path) as temporary, temporary.open('wb') as file:
        np.savez(file, whole=whole, **arrays)


def _read(path: pathlib.Path) -> tuple[list[Moved], bool] | None:
    """The rows of a file, and whether it is the last; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _FIELDS}
            whole = bool(stored['whole'])
    except _DAMAGED:
        return None
    scalars = {'number': int, 'time': float, 'faces': int, 'grey': float, 'sharpness': float, 'found': bool}
    return [
        Moved(
            **{name: scalars.get(name, np.asarray)(value) for name, value in zip(_FIELDS, row, strict=True)}
        )
        for row in zip(*arrays.values(), strict=True)
    ], whole
