"""Windows of a long video, as SOFTNet and MEAN read them: what the brows and the mouth do in a fixed time.

Of a frame and the one that is `seconds` later the flow of the aligned face is computed, both by one map, so
that alignment adds no motion. The regions of the brows stand above that of the mouth in one small picture of
u, v and strain. Both papers cut around the same landmarks of a face of 128 pixels, whose eyes are as far
apart as here. `S` is the edge of the face in pixels.
"""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from data_prep.face import alignment
from data_prep.face.landmarks import ibug
from data_prep.video.track import Tracked
from data_prep.views import optical_flow
from dualatme_jax import schema
from dualatme_jax.errors import InputError

SIZE = 128  # pixels of the face on which the flow is computed
MARGIN = 12  # pixels of it around the landmarks of a region
# Landmarks at the left, top, right and bottom edge of each region, as the picture shows it.
BROWS, MOUTH = ((17, 19, 21, 41), (22, 24, 26, 46)), (60, 50, 64, 57)
_NOSE, _PATCH = 28, 5  # the landmark, and how far the patch around it reaches: what the head does
_EYE = 15  # pixels around the eyes that are masked


@dataclasses.dataclass(frozen=True)
class Form:
    """What a system reads.

    Attributes:
      seconds: from the first frame of a window to the last, by default.
      stable: whether u, v and strain are taken relative to the nose, u and v without their sign, and the eyes
        are masked; then scaled over the regions. Else they are as they are, scaled over the face.
      about: the same in words.
    """

    seconds: float
    stable: bool
    about: str


FORMS = {
    'softnet': Form(
        0.2,
        True,
        'relative to a patch of 11x11 pixels on the nose, u and v without their sign, eyes masked; strain of '
        'forward differences; each channel min-max scaled over the regions',
    ),
    'mean': Form(
        0.1, False, 'as they are; strain of backward differences; each channel min-max scaled over the face'
    ),
}


@dataclasses.dataclass(frozen=True)
class Window:
    """One window.

    Attributes:
      first: number of its first frame.
      last: number of the frame behind it, to which the flow leads.
      picture: `schema.WINDOWS_SHAPE` uint8, u, v and strain.
    """

    first: int
    last: int
    picture: np.ndarray

    @property
    def middle(self) -> int:
        """The frame in its middle."""
        return (self.first + self.last) // 2


def of(
    tracked: Iterable[Tracked], form: Form, *, seconds: float, every: float, flow: cv2.DenseOpticalFlow
) -> Iterator[Window]:
    """Yields the windows of a recording; those without a whole face are left out.

    Args:
      tracked: its frames with their landmarks, in order.
      form: what they are for.
      seconds: from the first frame of a window to the last.
      every: from the start of a window to that of the next, in seconds.
      flow: what computes it.
    """
    recent: collections.deque[Tracked] = collections.deque()
    due = -np.inf
    for each in tracked:
        recent.append(each)
        while len(recent) > 1 and recent[0].frame.time <= each.frame.time - seconds + 1e-6:
            before = recent.popleft()
            if before.frame.time < due - 1e-6:
                continue
            due = before.frame.time + every
            if before.landmarks is not None and each.landmarks is not None:
                picture = _picture(before, each, form, flow)
                if picture is not None:
                    yield Window(before.frame.number, each.frame.number, picture)


def _picture(before: Tracked, after: Tracked, form: Form, flow: cv2.DenseOpticalFlow) -> np.ndarray | None:
    """The picture of a window; None where the face lies partly outside of the frame."""
    try:
        aligned = alignment.align(before.landmarks, before.grey.shape, SIZE)
        found = optical_flow.compute(flow, aligned.warp(before.grey), aligned.warp(after.grey))
    except InputError:
        return None
    return picture(found, aligned.points(before.landmarks), form)


def picture(flow: np.ndarray, points: np.ndarray, form: Form) -> np.ndarray:
    """What a system reads of a flow, `schema.WINDOWS_SHAPE` uint8.

    Args:
      flow: [S, S, 2], (u, v) in pixels of the face.
      points: [68, 2], its landmarks in its pixels.
      form: which system.
    """
    channels = np.dstack([flow, strain(flow, ahead=form.stable)])
    if not form.stable:
        return assembled(optical_flow.minmax(channels), points)
    x, y = np.rint(points[_NOSE]).astype(int)
    patch = channels[max(0, y - _PATCH) : y + _PATCH + 1, max(0, x - _PATCH) : x + _PATCH + 1]
    channels = channels - patch.mean((0, 1))
    channels[..., :2] = np.abs(channels[..., :2])
    channels[_eyes(points, len(flow))] = 0
    return optical_flow.minmax(assembled(channels.astype(np.float32), points))


def strain(flow: np.ndarray, *, ahead: bool) -> np.ndarray:
    """The strain [S, S] of a flow [S, S, 2]; differences to the next pixel if `ahead`, else from the last."""
    # The first or last row and column have no neighbour: their derivative is 0.
    border = (0, 1) if ahead else (1, 0)
    by_x = np.diff(np.pad(flow, ((0, 0), border, (0, 0)), mode='edge'), axis=1)
    by_y = np.diff(np.pad(flow, (border, (0, 0), (0, 0)), mode='edge'), axis=0)
    return optical_flow.STRAINS['symmetric'](by_x[..., 0], by_y[..., 0], by_x[..., 1], by_y[..., 1])


def assembled(channels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Both brows above the mouth, `schema.WINDOWS_SHAPE`, of channels [S, S, C] of a face."""
    height, width = schema.WINDOWS_SHAPE[0] // 2, schema.WINDOWS_SHAPE[1]
    brows = [_region(channels, points, edges, (width // 2, height)) for edges in BROWS]
    return np.concatenate([np.concatenate(brows, 1), _region(channels, points, MOUTH, (width, height))])


def _region(
    channels: np.ndarray, points: np.ndarray, edges: tuple[int, ...], size: tuple[int, int]
) -> np.ndarray:
    left, top, right, bottom = (points[number][axis] for number, axis in zip(edges, (0, 1) * 2, strict=True))
    low = np.clip(np.rint([left - MARGIN, top - MARGIN]), 0, len(channels) - 2).astype(int)
    high = np.clip(np.rint([right + MARGIN, bottom + MARGIN]).astype(int), low + 1, len(channels) - 1)
    cut = channels[low[1] : high[1] + 1, low[0] : high[0] + 1]
    return cv2.resize(cut, size, interpolation=cv2.INTER_AREA)


def _eyes(points: np.ndarray, size: int) -> np.ndarray:
    """Which pixels [S, S] lie on the eyes or around them."""
    mask = np.zeros((size, size), np.uint8)
    for eye in (ibug.RIGHT_EYE, ibug.LEFT_EYE):
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points[list(eye)]).astype(np.int32)), 1)
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _EYE + 1,) * 2)) > 0
