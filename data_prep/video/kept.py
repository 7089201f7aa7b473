"""What is known of the frames of a recording, on the disc in parts: memory does not grow with the recording,
and after a stop the same command goes on.

FOLDER/key.json    what decides it: the recording, the options, the code
FOLDER/NNNNN.npz   a part, some seconds: the fields of `Moved`, [n, ...] each; 1.6 KB a frame

Each part ends with a frame in which the detector's word holds, be it that there is no face: all that comes
after follows from that frame and those of the last `limits.WINDOW` before it. So what is found does not
depend on where it was interrupted.
"""

import itertools
import json
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from data_prep.face.landmarks import ibug
from data_prep.files import film, npz_rows
from data_prep.video import detectors, limits, motion, track
from data_prep.video.detectors import Detector
from data_prep.video.motion import Moved
from data_prep.video.recording import Recording
from data_prep.video.track import Tracked
from dualatme_jax import files, schema
from dualatme_jax.files import replacing

FOLDER = '.signal'  # in that of what is found
EVERY = 10.0  # seconds in a part, at least
_KEY = 'key.json'
_FIELDS = ('number', 'time', 'flow', 'head', 'turn', 'landmarks', 'faces', 'grey', 'sharpness', 'found')


class Kept:
    """What is known of a recording, or will be once `signal` has gone through.

    Args:
      folder: where it is kept, which is made; `remove` it when it is not needed any more. None: a temporary
        one, which goes with this object.
    """

    def __init__(self, folder: pathlib.Path | None = None):
        self._temporary = folder is None
        if folder is None:
            folder = pathlib.Path(tempfile.mkdtemp(prefix='video-'))
            weakref.finalize(self, remove, folder)
        self.folder = folder

    def signal(self, recording: Recording, detector: Detector, *, face: int | None = 0) -> Iterator[Moved]:
        """Yields what is known of each frame, and keeps it; what is kept already is read.

        Args:
          recording: the recording.
          detector: finds faces.
          face: which face, see `track.follow`.

        Raises:
          OSError: it cannot be written.
        """
        if not self._temporary:
            own = [detector.path] if isinstance(detector, detectors.File) else []
            _begin(self.folder, json.dumps(made_of(recording, detector.name, *own, face=face)))
        rows: list[Moved] = []
        lost, count = None, 0
        while (stored := _read(self._path(count))) is not None:
            rows, whole = stored
            yield from rows
            if whole:
                return
            lost = next((each.landmarks for each in reversed(rows) if _there(each)), lost)
            count += 1
        for path in self._paths()[count:]:  # behind a damaged one
            path.unlink()
        part: list[Moved] = []
        for each in _after(rows, recording, detector, face, lost):
            part.append(each)
            if each.found and each.time - part[0].time >= EVERY:
                _write(self._path(count), part, whole=False)
                count, part = count + 1, []
            yield each
        if part:
            _write(self._path(count), part, whole=True)

    def parts(self, *fields: str) -> Iterator[dict[str, np.ndarray]]:
        """Yields some fields of `Moved` of all frames, [n, ...] each, one part after the other."""
        for path in self._paths():
            with np.load(path, allow_pickle=False) as stored:
                yield {name: stored[name] for name in fields}

    def landmarks(self, places: np.ndarray) -> np.ndarray:
        """The landmarks of some frames by their places among all, [P, 68, 2] of [P]; NaN without a face."""
        found, first = np.full((len(places), ibug.NUMBER, 2), np.nan, np.float32), 0
        for part in self.parts('landmarks'):
            inside = (places >= first) & (places < first + len(part['landmarks']))
            found[inside] = part['landmarks'][places[inside] - first]
            first += len(part['landmarks'])
        return found

    def _path(self, count: int) -> pathlib.Path:
        return self.folder / f'{count:05}.npz'

    def _paths(self) -> list[pathlib.Path]:
        return sorted(self.folder.glob('[0-9]*.npz'))  # no temporary file of a process that was killed


def remove(folder: pathlib.Path) -> None:
    """Removes what is kept."""
    shutil.rmtree(folder, ignore_errors=True)


def _there(moved: Moved) -> bool:
    return bool(np.isfinite(moved.landmarks).all())


def _after(
    rows: Sequence[Moved],
    recording: Recording,
    detector: Detector,
    face: int | None,
    lost: np.ndarray | None,
) -> Iterator[Moved]:
    """Yields what is known of the frames after those `rows` end with; `lost` is the last face before."""
    if not rows:
        return motion.signal(track.follow(recording.frames(), detector, face=face))
    # Those that the flow is computed from, and one more, which may be nearer to a whole `WINDOW`.
    recent = {each.number: each for each in rows if each.time >= rows[-1].time - 2 * limits.WINDOW}
    frames = recording.frames(min(recent))
    before = []
    for frame in itertools.islice(frames, len(recent)):
        known = recent[frame.number]
        landmarks = known.landmarks if _there(known) else None
        grey = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY)
        before.append(Tracked(frame, grey, landmarks, known.faces, known.found))
    following = track.follow(frames, detector, face=face, last=before[-1], lost=lost)
    return itertools.islice(motion.signal(itertools.chain(before[:-1], following)), len(before), None)


def _begin(folder: pathlib.Path, key: str) -> None:
    """Makes a folder, anew if it holds something else."""
    path = folder / _KEY
    if path.is_file() and path.read_text(encoding='utf-8', errors='replace') == key:
        return
    remove(folder)
    folder.mkdir(parents=True)
    with replacing(path) as temporary:
        temporary.write_text(key, encoding='utf-8')


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
        'versions': files.installed(schema.LOOKING),
    }


def _write(path: pathlib.Path, rows: Sequence[Moved], *, whole: bool) -> None:
    arrays = {name: np.array([getattr(each, name) for each in rows]) for name in _FIELDS}
    with replacing(path) as temporary, temporary.open('wb') as file:
        np.savez(file, whole=whole, **arrays)


def _read(path: pathlib.Path) -> tuple[list[Moved], bool] | None:
    """The rows of a part, and whether it is the last; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _FIELDS}
            whole = bool(stored['whole'])
    except npz_rows.DAMAGED:
        return None
    scalars = {'number': int, 'time': float, 'faces': int, 'grey': float, 'sharpness': float, 'found': bool}
    return [
        Moved(
            **{name: scalars.get(name, np.asarray)(value) for name, value in zip(_FIELDS, row, strict=True)}
        )
        for row in zip(*arrays.values(), strict=True)
    ], whole
