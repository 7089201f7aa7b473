"""Events of a recording, without any training: when the face moves away and back again, and what explains it.

Peaks of `strength` are events. Those that lids, a turn of the head or speech explain are flagged, and are
none. Their lengths follow from a second look at the frames around the apex: how far each frame is on the way
from the apex back to the neutral face.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import ndimage, signal, stats

from data_prep.video import limits, motion

BLINK, HEAD, TALKING, NO_NEUTRAL = 'blink', 'head turns', 'talking', 'no neutral face'
EXPLAINED = (BLINK, HEAD, TALKING)  # which are no expressions
MICRO, MACRO = 'micro', 'macro'

_DEVIATIONS = stats.norm.ppf(0.3) - stats.norm.ppf(0.1)  # between these two percentiles
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
    """

    numbers: np.ndarray
    times: np.ndarray
    strength: np.ndarray
    lids: np.ndarray
    mouth: np.ndarray
    head: np.ndarray

    @property
    def noise(self) -> tuple[float, float]:
        """Middle and standard deviation of the strength while nothing happens.

        They follow from its lowest values alone, the tenth to the thirtieth percentile of a normal
        distribution, so that a face which does something half of the time has the noise of a still one.
        """
        known = self.strength[np.isfinite(self.strength)]
        if not len(known):
            return 0.0, 0.0
        low, middle, high = np.percentile(known, [10, 20, 30])
        return float(middle), float(high - low) / _DEVIATIONS

    @property
    def threshold(self) -> float:
        """The strength from which on a peak is an event."""
        middle, deviation = self.noise
        return max(middle + limits.STRENGTH * deviation, limits.LEAST_MOTION)


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that a face did.

    Attributes:
      onset: number of the frame, as apex and offset.
      apex: number of the frame.
      offset: number of the frame.
      seconds: times of the three.
      strength: of the peak, see `Signals`.
      score: the same above the noise, in its standard deviations.
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
      parts: `flow` and `head` of `motion.Moved`, [n, ...] of some frames after the other: two are in memory.
      cells: of `motion.cells`.
    """
    later = np.searchsorted(times, times + limits.WINDOW - 1e-6)
    raw = {name: np.full(len(times), np.nan) for name in _PARTS}
    heads = []
    flows, first = np.zeros((0, motion.GRID, motion.GRID, 2), np.float32), 0
    for part in parts:
        heads.append(np.hypot(*part['head'].T))
        flows = np.concatenate([flows, part['flow'].astype(np.float32)])
        after = int(np.searchsorted(later, first + len(flows)))  # all before it have their later frame
        ahead, back = flows[: after - first], flows[later[first:after] - first]
        away_and_back = -(ahead * back).sum(-1)
        for name, largest in _PARTS.items():
            raw[name][first:after] = _largest(away_and_back[:, cells[name]], largest)
        flows, first = flows[after - first :], after
    strength, lids, mouth = (_smoothed(raw[name]) for name in ('face', 'eyes', 'mouth'))
    head = np.concatenate(heads)
    ahead = np.where(later < len(times), head[np.minimum(later, len(times) - 1)], np.nan)
    return Signals(
        numbers=numbers,
        times=times,
        strength=strength,
        lids=lids,
        mouth=mouth,
        head=np.fmax(head, ahead),
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
    _, deviation = found.noise
    places, _ = signal.find_peaks(
        np.nan_to_num(found.strength, nan=0.0),
        height=found.threshold,
        prominence=max(limits.STRENGTH / 3 * deviation, limits.LEAST_MOTION / 2),
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
        if np.nanmax(found.head[near]) >= limits.HEAD:
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


def shadows(events: Sequence[Event]) -> list[Event]:
    """Events without those that are the shadow of a stronger motion: near it, weaker, never neutral.

    The frames a window before and after a strong motion see it too, on one side.
    """
    return [
        each
        for each in events
        if NO_NEUTRAL not in each.flags
        or not any(
            other.strength >= 2 * each.strength
            and abs(other.seconds[1] - each.seconds[1]) <= 1.5 * limits.WINDOW
            for other in events
        )
    ]


def extent(
    times: np.ndarray, faces: Sequence[np.ndarray], apex: float, points: np.ndarray, face: np.ndarray
) -> tuple[float, float, bool]:
    """Looks at the frames around an apex once more: when the expression begins and ends.

    Args:
      times: in seconds, [N], of the frames within `limits.LONGEST` of the apex.
      faces: [S, S] uint8 each, aligned by one map.
      apex: its time in seconds.
      points: [68, 2], landmarks of the aligned face in its pixels.
      face: cells of the face, [G, G].

    Returns:
      Seconds of onset and offset; and whether the face was neutral on both sides.
    """
    middle = int(np.abs(times - apex).argmin())
    flow_of = motion.solver()
    fields = [
        np.zeros((motion.GRID, motion.GRID, 2), np.float32)
        if place == middle
        else motion.between(flow_of, faces[middle], each, points)[0].astype(np.float32)
        for place, each in enumerate(faces)
    ]
    moved = np.stack([field[face].ravel() for field in fields])
    # The way back: the mean of both neutral faces, seen from the apex.
    sides = [int(np.abs(times - (apex + side * limits.WINDOW)).argmin()) for side in (-1, 1)]
    way = np.nanmean(moved[sides], axis=0)
    length = float(way @ way)
    back = moved @ way / length if length > 0 else np.zeros(len(faces))
    ends, neutral = [], True
    for places in (range(middle - 1, -1, -1), range(middle + 1, len(faces))):
        reached = next((place for place in places if back[place] >= limits.SHARE), None)
        neutral &= reached is not None
        ends.append(times[reached] if reached is not None else times[places[-1]] if places else times[middle])
    return float(ends[0]), float(ends[1]), neutral
