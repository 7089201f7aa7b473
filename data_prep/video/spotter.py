"""Events of a recording, without any training: when the face moves away and back again, and what explains it.

Peaks of `strength` are events. Those that lids, a turn of the head or speech explain are flagged, and are
none. The length of an expression follows from a second look at the frames around its apex: how far each is on
the way from the apex back to the neutral face.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import ndimage, signal

from data_prep.video import limits, motion
from data_prep.video.motion import Face

BLINK, HEAD, TALKING, NO_NEUTRAL = 'blink', 'head turns', 'talking', 'no neutral face'
UNSEEN = 'face lost around it'  # so that nobody knows when it begins
EXPLAINED = (BLINK, HEAD, TALKING, UNSEEN)  # which are no expressions
MICRO, MACRO = 'micro', 'macro'

_PARTS = {'face': 6, 'eyes': 4, 'mouth': 6}  # cells of the grid that move most, whose mean is taken
_SMOOTH = 3  # frames of which the signal is the mean
_APART = 0.25  # seconds between two peaks
_SAME = 0.3  # seconds around a peak in which lids and head are looked at
_OF_MOUTH = 0.8  # share of the face's motion that the mouth has, of what it does itself


@dataclasses.dataclass(frozen=True)
class Signals:
    """What is known of all frames, [N] each; motion in pixels of an aligned face of 224.

    Attributes:
      numbers: of the frames.
      times: seconds.
      strength: motion of the face there and back.
      lids: the same of the lids.
      mouth: the same of the mouth.
      head: motion of the head within `limits.WINDOW`.
      turn: turning of the head there and back, see `motion.Moved`.
    """

    numbers: np.ndarray
    times: np.ndarray
    strength: np.ndarray
    lids: np.ndarray
    mouth: np.ndarray
    head: np.ndarray
    turn: np.ndarray

    @property
    def noise(self) -> float:
        """The strength while nothing happens: its twentieth percentile.

        So a face which does something most of the time has the noise of a still one.
        """
        known = self.strength[np.isfinite(self.strength)]
        return float(np.percentile(known, 20)) if len(known) else 0.0

    @property
    def threshold(self) -> float:
        """The strength from which on a peak is an event."""
        return max(limits.STRENGTH * self.noise, limits.LEAST_MOTION)


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that a face did.

    Attributes:
      onset: number of the frame, as apex and offset.
      apex: number of the frame.
      offset: number of the frame.
      seconds: times of the three.
      strength: of the peak, see `Signals`.
      score: the same over the noise.
      flags: what explains it, or makes it uncertain; empty if nothing does.
    """

    onset: int
    apex: int
    offset: int
    seconds: tuple[float, float, float]
    strength: float
    score: float
    flags: tuple[str, ...] = ()

    @property
    def expression(self) -> bool:
        """Whether it may be an expression: nothing else explains it."""
        return not {*self.flags} & {*EXPLAINED}

    @property
    def kind(self) -> str:
        """`micro` up to half a second, else `macro`."""
        return MICRO if self.seconds[2] - self.seconds[0] <= limits.MICRO + 1e-6 else MACRO


def signals(
    numbers: np.ndarray,
    times: np.ndarray,
    parts: Iterable[Mapping[str, np.ndarray]],
    cells: Mapping[str, np.ndarray],
) -> Signals:
    """The signals of a recording.

    Args:
      numbers: of its frames, [N].
      times: in seconds, [N].
      parts: `flow`, `head` and `turn` of `motion.Moved`, [n, ...] of some frames after the other: two are in
        memory.
      cells: of `motion.cells`.
    """
    later = np.searchsorted(times, times + limits.WINDOW - 1e-6)
    raw = {name: np.full(len(times), np.nan) for name in (*_PARTS, 'turn')}
    heads = []
    flows, turns, first = np.zeros((0, motion.GRID, motion.GRID, 2), np.float32), np.zeros((0, 2)), 0
    for part in parts:
        heads.append(np.hypot(*part['head'].T))
        flows = np.concatenate([flows, part['flow'].astype(np.float32)])
        turns = np.concatenate([turns, part['turn']])
        after = int(np.searchsorted(later, first + len(flows)))  # all before it have their later frame
        here, then = slice(0, after - first), later[first:after] - first
        away_and_back = -(flows[here] * flows[then]).sum(-1)
        for name, largest in _PARTS.items():
            raw[name][first:after] = _largest(away_and_back[:, cells[name]], largest)
        raw['turn'][first:after] = np.sqrt(np.maximum(-(turns[here] * turns[then]).sum(-1), 0))
        flows, turns, first = flows[after - first :], turns[after - first :], after
    strength, lids, mouth, turn = (_smoothed(raw.pop(name)) for name in ('face', 'eyes', 'mouth', 'turn'))
    head = np.concatenate(heads)
    ahead = np.where(later < len(times), head[np.minimum(later, len(times) - 1)], np.nan)
    return Signals(
        numbers=numbers,
        times=times,
        strength=strength,
        lids=lids,
        mouth=mouth,
        head=np.fmax(head, ahead),
        turn=turn,
    )


def _largest(products: np.ndarray, cells: int) -> np.ndarray:
    """The root of the mean of the largest products, so many cells of [n, N]; NaN where one is not known."""
    known = np.isfinite(products).all(-1)
    mean = np.sort(products)[:, -cells:].mean(-1)
    return np.sqrt(np.where(known, np.maximum(mean, 0), np.nan))


def _smoothed(found: np.ndarray) -> np.ndarray:
    """A signal [N], each value the mean of `_SMOOTH` of those that are known."""
    known = np.isfinite(found)
    if not known.any():
        return found
    share = ndimage.uniform_filter1d(known.astype(float), _SMOOTH)
    mean = ndimage.uniform_filter1d(np.where(known, found, 0.0), _SMOOTH)
    return np.where(known, mean / np.where(known, share, 1), np.nan)


def peaks(found: Signals) -> list[tuple[int, tuple[str, ...]]]:
    """Places of the peaks among the frames, and what explains each."""
    if len(found.times) < 3:
        return []
    step = float(np.median(np.diff(found.times)))
    places, _ = signal.find_peaks(
        np.nan_to_num(found.strength, nan=0.0),
        height=found.threshold,
        prominence=found.threshold / 3,
        distance=max(1, round(_APART / step)),
    )
    times = found.times[places]
    speech = _speech(times, found.mouth[places] >= _OF_MOUTH * found.strength[places])
    flagged = []
    for place, time, spoken in zip(places, times, speech, strict=True):
        flags = []
        near = np.abs(found.times - time) <= _SAME / 2
        if np.nanmax(found.lids[near]) >= limits.BLINK * found.strength[place]:
            flags.append(BLINK)
        if np.nanmax(found.turn[near]) >= limits.HEAD * found.strength[place]:
            flags.append(HEAD)
        if spoken:
            flags.append(TALKING)
        flagged.append((int(place), tuple(flags)))
    return flagged


def _speech(times: np.ndarray, of_mouth: np.ndarray) -> np.ndarray:
    """Which peaks are speech, [P] bool: `TALKING` or more of the mouth that follow each other quickly."""
    spoken = np.zeros(len(times), bool)
    places = np.flatnonzero(of_mouth)
    gaps = np.diff(times[places]) > limits.TALKING_TIME / limits.TALKING * 1.5
    for run in np.split(places, np.flatnonzero(gaps) + 1):
        spoken[run] = len(run) >= limits.TALKING
    return spoken


def width(found: Signals, place: int) -> tuple[float, float]:
    """Seconds between which the strength is above half of its peak at a place."""
    low = np.flatnonzero(~(found.strength >= found.strength[place] / 2))
    first = low[low < place].max(initial=-1) + 1
    last = low[low > place].min(initial=len(found.times)) - 1
    return float(found.times[first]), float(found.times[last])


def shadows(events: Sequence[Event]) -> list[Event]:
    """Events without the expressions that a stronger motion casts.

    Inside of its interval they are part of it. The frames a window before and after see a strong motion too,
    on one side, so that what has less than half of its strength there is nothing of its own.
    """
    return [each for each in events if not (each.expression and any(_casts(other, each) for other in events))]


def _casts(strong: Event, weak: Event) -> bool:
    apex, (onset, _, offset) = weak.seconds[1], strong.seconds
    if onset <= apex <= offset:
        return strong.strength > weak.strength
    return onset - limits.WINDOW <= apex <= offset + limits.WINDOW and strong.strength >= 2 * weak.strength


def nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The places of the times [N], ascending, that are nearest to those that are wanted, [...] of [...]."""
    after = np.searchsorted(times, wanted)
    before, after = np.maximum(after - 1, 0), np.minimum(after, len(times) - 1)
    return np.where(wanted - times[before] <= times[after] - wanted, before, after)


def extent(
    times: Sequence[float], faces: Sequence[Face], apex: float, cells: np.ndarray
) -> tuple[float, float, bool]:
    """Looks at the frames around an apex once more: when the expression begins and ends.

    Args:
      times: in seconds, ascending, of the frames within `limits.LONGEST` of the apex.
      faces: their faces.
      apex: its time in seconds.
      cells: of the face, [G, G].

    Returns:
      Seconds of onset and offset; and whether the face was neutral on both sides.
    """
    times = np.array(times)
    middle = int(nearest(times, np.array(apex)))
    flow_of = motion.solver()
    fields = [
        np.zeros((motion.GRID, motion.GRID, 2), np.float32)
        if place == middle
        else motion.between(flow_of, faces[middle], each)[0].astype(np.float32)
        for place, each in enumerate(faces)
    ]
    return ends(times, np.stack([field[cells].ravel() for field in fields]), middle)


def ends(times: np.ndarray, moved: np.ndarray, apex: int) -> tuple[float, float, bool]:
    """When the face leaves its rest before an apex, and comes to rest behind it.

    Args:
      times: in seconds, [N].
      moved: [N, D], the motion from the apex to each frame.
      apex: its place among them.

    Returns:
      Seconds of onset and offset, and whether the face was at rest on both sides.
    """
    # The way back leads to the mean of the faces a window before and behind.
    sides = nearest(times, times[apex] + limits.WINDOW * np.array([-1, 1]))
    way = np.nanmean(moved[sides], axis=0)
    length = float(way @ way)
    back = np.nan_to_num(moved @ way / length) if length > 0 else np.zeros(len(times))
    before, behind = (
        _arrival(np.abs(times[side] - times[apex]), back[side])
        for side in (np.arange(apex, -1, -1), np.arange(apex, len(times)))
    )
    return float(times[apex] - before[0]), float(times[apex] + behind[0]), before[1] and behind[1]


def _arrival(times: np.ndarray, back: np.ndarray) -> tuple[float, bool]:
    """After how many seconds from the apex a face arrives at its rest, and whether it does.

    It does if it goes hardly further within a `limits.WINDOW`, from `limits.SHARE` of the way on.

    Args:
      times: seconds from the apex, [N], from 0 on.
      back: how far each frame is on the way back, [N]; 1 is the length of the first window.
    """
    whole = times[-1] - limits.WINDOW + 1e-6  # up to there a whole window is known
    for place in np.flatnonzero((back >= 0.5) & (times <= whole)):
        furthest = back[times <= times[place] + limits.WINDOW + 1e-6].max()
        if back[place] >= limits.SHARE * furthest:
            return float(times[np.argmax(back >= limits.SHARE * furthest)]), True
    return float(times[np.argmax(back >= limits.SHARE * back.max())]), False
