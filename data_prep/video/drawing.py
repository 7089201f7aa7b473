"""What was found, to look at: pictures of each expression, and the video with it drawn in.

OUT/frames/NUMBER/onset.png, apex.png   the aligned face, `NUMBER` as the row in events.csv
OUT/frames/NUMBER/motion.npz            `motion` from onset to apex: u, v (pixels), strain; [S, S, 3] float32
OUT/video.mp4                           face, landmarks, regions, motion of expressions, and a timeline below

`H` and `W` are the height and width of a frame, `S` of the aligned face.
"""

import collections
import io
import itertools
import json
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping

import cv2
import numpy as np
import pandas as pd

from data_prep.face import alignment, regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files import film, images, npz_rows
from data_prep.files.cache import Cache
from data_prep.video import events, head, motion, recording, spotter
from data_prep.views.flow import FlowView
from dualatme_jax import files, schema
from dualatme_jax.errors import InputError

FRAMES, VIDEO = 'frames', 'video.mp4'
# Times the motion that arrows show: of a micro-expression it would be a pixel or two.
GAIN = {spotter.MICRO: 8, spotter.MACRO: 2}

# How the motion of the pictures is computed, whatever a network reads.
SHOWN = FlowView(algorithm='dis', head_motion='affine', pair='full', puzzled='cut')

# Okabe and Ito's, as the figures have them; blue first. Classes in their order, then what has none.
_COLOURS = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (0, 159, 230), (233, 180, 86))
_GREY, _PALE, _DARK = (150, 150, 150), (235, 235, 235), (40, 40, 40)
_STRIP, _MARGIN = 84, 8  # pixels of the timeline
_GAINS = ', '.join(f'x{gain} ({kind})' for kind, gain in GAIN.items())
_LEAST = 0.25  # pixels of an aligned face of 224: less motion has no arrow
_MOST_BYTES = 2**30


def expression(clip: AlignedClip, folder: pathlib.Path) -> None:
    """Writes the pictures of one expression into a folder, which is made; without motion if none is found."""
    folder.mkdir(parents=True, exist_ok=True)
    onset, apex = clip.pair(SHOWN.face_size)
    for name, picture in (('onset', onset), ('apex', apex)):
        with files.replacing(folder / f'{name}.png') as temporary:
            temporary.write_bytes(images.encode_png(images.rgb(picture)))
    try:
        found = SHOWN.motion(clip, Cache(None))
    except InputError:  # too little of the face moves alike, so the head's motion is not known
        return
    with files.replacing(folder / 'motion.npz') as temporary, temporary.open('wb') as file:
        np.savez_compressed(file, motion=found)


def video(folder: pathlib.Path, progress: events.Progress = lambda frames, *_: frames) -> pathlib.Path:
    """Draws what was found in a video into a copy of it; frames go through one by one.

    Args:
      folder: what `data_prep video` has left; `events.csv` may have a column `answer`, which is shown.
      progress: wraps what yields frames.

    Returns:
      The file, which is as long in seconds as the video, and has no sound.

    Raises:
      InputError: the folder lacks a table, the video is not where it was, or it lies where its copy would.
    """
    try:
        about = json.loads(_read(folder / events.VIDEO))
        found = pd.read_csv(io.BytesIO(_read(folder / events.EVENTS)), keep_default_na=False)
        signals = pd.read_csv(io.BytesIO(_read(folder / events.SIGNALS)), usecols=['seconds', 'strength_px'])
        with np.load(folder / events.TRACK, allow_pickle=False) as stored:
            numbers = stored['numbers']
        pair = _pair(folder / events.RECIPE)
        rate, threshold = float(about['frame_rate']), float(about['threshold_px'])
        source = recording.find(about['path'], rate=None if about.get('timed') else rate)
        found[['onset', 'offset', 'onset_s', 'offset_s', 'kind', 'expression']]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f'{folder} is not what `python -m data_prep video` leaves ({error!r}); run that first'
        ) from error
    if source.path.resolve() == (folder / VIDEO).resolve():
        raise InputError(f'{source.path} would be replaced by its copy; give another --out')
    times = signals['seconds'].to_numpy()
    mean = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else rate
    followed = _followed(source, numbers, npz_rows.read(folder / events.TRACK, 'landmarks'))
    drawn = progress(_frames(followed, found, signals, threshold, pair), 'drawing', len(times))
    film.write(drawn, folder / VIDEO, rate=float(np.clip(mean, *film.frames.RATES)))
    return folder / VIDEO


def _read(path: pathlib.Path) -> bytes:
    return files.read_bytes(path, limit=_MOST_BYTES, what='table of the video')


def _pair(path: pathlib.Path) -> str:
    """The regions that networks read, as the recipe of their inputs says; without one the default."""
    if not path.exists():
        return FlowView.pair
    return json.loads(_read(path)).get('regions', {'pair': 'full'})['pair']


def _followed(
    source: recording.Recording, numbers: np.ndarray, landmarks: Iterator[np.ndarray]
) -> Iterator[tuple[recording.Frame, np.ndarray | None]]:
    """Yields each frame with its landmarks [68, 2], which are read along; None where there is no face.

    Args:
      source: the recording.
      numbers: of the frames that landmarks are of, [N] ascending.
      landmarks: [68, 2] of each of them.
    """
    read = 0
    for frame in source.frames():
        place = int(np.searchsorted(numbers, frame.number))
        points = None
        if place < len(numbers) and numbers[place] == frame.number:
            points = next(itertools.islice(landmarks, place - read, None))
            read = place + 1
        yield frame, points if points is not None and np.isfinite(points).all() else None


def _frames(
    followed: Iterable[tuple[recording.Frame, np.ndarray | None]],
    found: pd.DataFrame,
    signals: pd.DataFrame,
    threshold: float,
    pair: str,
) -> Iterator[np.ndarray]:
    """Yields the frames with all that is drawn, [H + `_STRIP`, W, 3] uint8."""
    rows = sorted(found.to_dict('records'), key=lambda row: row['onset'])
    colours = [_colour(row, found.columns) for row in rows]
    flow_of, strip, start = motion.solver(), None, None
    to_come = collections.deque(range(len(rows)))
    for frame, points in followed:
        picture = frame.picture.copy()
        if strip is None:
            strip = _timeline(picture.shape[1], rows, colours, signals, threshold)
        while to_come and rows[to_come[0]]['offset'] < frame.number:
            to_come.popleft()
        now = to_come[0] if to_come and rows[to_come[0]]['onset'] <= frame.number else None
        if points is not None:
            _regions(picture, points, pair)
            if now is None or not rows[now]['expression']:
                start = None
            elif face := motion.aligned(cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY), points):
                if start is None or start[0] != now:
                    start = now, face
                else:
                    _arrows(picture, flow_of, start[1], face, colours[now], GAIN[rows[now]['kind']])
            _face(
                picture,
                points,
                _words(rows[now]) if now is not None else '',
                colours[now] if now is not None else _PALE,
            )
        yield np.vstack([picture, _at(strip, frame.time, signals)])


def _colour(row: Mapping, columns: pd.Index) -> tuple[int, int, int]:
    classes = [
        name.removeprefix(schema.PROBABILITY) for name in columns if name.startswith(schema.PROBABILITY)
    ]
    if not row['expression']:
        return _GREY
    name = row.get('class', '')
    return _COLOURS[(classes.index(name) if name in classes else 4) % len(_COLOURS)]


def _words(row: Mapping) -> str:
    return f'{row["kind"]}: {row["answer"]}' if row.get('answer') else str(row['kind'])


def _regions(picture: np.ndarray, points: np.ndarray, pair: str) -> None:
    """Draws the outlines of the regions; of a face that lies partly outside, none."""
    try:
        aligned = alignment.align(points, picture.shape, motion.SIZE, pair)
        boxes = aligned.boxes(points, pair)
    except InputError:
        return
    back = cv2.invertAffineTransform(aligned.matrix)
    for letter in regions.letters(pair):
        top, bottom, left, right = boxes[letter]
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - 0.5
        outline = corners @ back[:, :2].T + back[:, 2]
        cv2.polylines(picture, [np.rint(outline).astype(np.int32)], True, _PALE, 1, cv2.LINE_AA)


def _face(picture: np.ndarray, points: np.ndarray, words: str, colour: tuple[int, int, int]) -> None:
    """Draws the landmarks, the box around them and what happens."""
    for x, y in np.rint(points).astype(int).tolist():
        cv2.circle(picture, (x, y), 1, colour, -1)
    margin = 0.06 * np.ptp(points, axis=0).max()
    left, top = np.floor(points.min(0) - margin).astype(int).tolist()
    right, bottom = np.ceil(points.max(0) + margin).astype(int).tolist()
    cv2.rectangle(picture, (left, top), (right, bottom), colour, 2 if words else 1)
    if words:
        (width, height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        x = int(np.clip(left, 0, max(0, picture.shape[1] - width - 6)))
        y = max(top, height + 10)
        cv2.rectangle(picture, (x, y - height - 10), (x + width + 6, y), colour, -1)
        cv2.putText(
            picture, words, (x + 3, y - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA
        )


def _arrows(
    picture: np.ndarray,
    flow_of: cv2.DenseOpticalFlow,
    onset: motion.Face,
    now: motion.Face,
    colour: tuple[int, int, int],
    gain: float,
) -> None:
    """Draws the motion since the onset without the head's, `gain` times as long as it is."""
    flow, *_ = motion.between(flow_of, onset, now)
    back, cell = cv2.invertAffineTransform(now.matrix), motion.SIZE / motion.GRID
    shown = (head.covered(now.points, motion.GRID) > 0.9) & (np.linalg.norm(flow, axis=-1) >= _LEAST)
    for row, column in np.argwhere(shown):
        tail = back[:, :2] @ (np.array([column, row]) * cell + (cell - 1) / 2) + back[:, 2]
        tip = tail + gain / motion.UNIT * (back[:, :2] @ flow[row, column].astype(float))
        ends = [tuple(np.rint(end).astype(int).tolist()) for end in (tail, tip)]
        cv2.arrowedLine(picture, *ends, (255, 255, 255), 2, cv2.LINE_AA, tipLength=0.35)
        cv2.arrowedLine(picture, *ends, colour, 1, cv2.LINE_AA, tipLength=0.35)


def _timeline(
    width: int, rows: list[dict], colours: list, signals: pd.DataFrame, threshold: float
) -> np.ndarray:
    """The strip below the frames without the time that is shown, [`_STRIP`, W, 3]."""
    strip = np.full((_STRIP, width, 3), 255, np.uint8)
    times, strength = signals['seconds'].to_numpy(), signals['strength_px'].to_numpy()
    most = max(1.1 * np.nanmax(strength, initial=0.0), 1.5 * threshold)
    low, high = _STRIP - 22, 6

    def height(values: np.ndarray | float) -> np.ndarray:
        return np.rint(low - (low - high) * np.asarray(values) / most).astype(int)

    for row, colour in zip(rows, colours, strict=True):
        ends = [_place(row[name], times, width) for name in ('onset_s', 'offset_s')]
        cv2.rectangle(strip, (int(ends[0]) - 1, high), (int(ends[1]) + 1, low), colour, -1)
    known = np.isfinite(strength)
    line = np.stack([_place(times[known], times, width), height(strength[known])], axis=-1)
    if len(line):
        cv2.polylines(strip, [line.astype(np.int32)], False, _DARK, 1, cv2.LINE_AA)
    limit = int(height(threshold))
    cv2.line(strip, (_MARGIN, limit), (width - _MARGIN, limit), _GREY, 1)
    cv2.line(strip, (_MARGIN, low), (width - _MARGIN, low), _DARK, 1)
    return strip


def _place(time: np.ndarray | float, times: np.ndarray, width: int) -> np.ndarray:
    whole = max(times[-1] - times[0], 1e-6)
    return np.rint(_MARGIN + (width - 2 * _MARGIN) * (time - times[0]) / whole).astype(int)


def _at(strip: np.ndarray, time: float, signals: pd.DataFrame) -> np.ndarray:
    """The strip with the time that is shown."""
    found, times = strip.copy(), signals['seconds'].to_numpy()
    x = int(_place(time, times, strip.shape[1]))
    cv2.line(found, (x, 0), (x, _STRIP - 18), (0, 0, 220), 1)
    cv2.putText(
        found,
        f'{time:.2f} s of {times[-1]:.1f} s; arrows: motion {_GAINS}',
        (_MARGIN, _STRIP - 6),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.4,
        _DARK,
        1,
        cv2.LINE_AA,
    )
    return found
