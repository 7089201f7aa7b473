"""What truly moved in a rendered clip, as it is kept beside a synthetic release."""

import dataclasses
import os

import cv2
import numpy as np

from dualatme_jax.files import replacing


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrueMotion:
    """The motion from the onset to the apex frame of one clip, without error, on a grid over the face.

    Between two other frames these are called onset and apex here.

    The grid's point in row i and column j is the onset frame's pixel `origin + step * (j, i)`; the centres of
    pixels have whole coordinates. In a file (`.npz`) the attributes are the arrays' names.

    Attributes:
      flow: [rows, columns, 2] float32: where the skin seen at the point has moved until the apex, (u, v) in
        pixels of the frame, rightwards and downwards; of expression and head together.
      expression: [rows, columns, 2] float32: as `flow`, had the head kept still.
      head: [rows, columns] bool: whether the point shows the head at the onset; elsewhere is the wall behind
        it, which does not move.
      origin: (x, y) of the first point, pixels.
      step: pixels between points.
    """

    flow: np.ndarray
    expression: np.ndarray
    head: np.ndarray
    origin: np.ndarray
    step: int

    def aligned(self, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the motion as an aligned face shows it.

        Args:
          matrix: [2, 3], from pixels of the frame to pixels of the aligned face.
          size: height and width of the aligned face, pixels.

        Returns:
          The flow, [size, size, 2] float32 in pixels of the aligned face, and whether it is known there and
          the point shows the head, [size, size] bool.
        """
        linear, shift = matrix[:, :2], matrix[:, 2]
        y, x = np.mgrid[:size, :size]
        onset = (np.dstack([x, y]) - shift) @ np.linalg.inv(linear).T
        place = ((onset - self.origin) / self.step).astype(np.float32)
        flow = cv2.remap(self.flow, place, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        head = cv2.remap(self.head.astype(np.float32), place, None, cv2.INTER_LINEAR)
        return (flow @ linear.T).astype(np.float32), head > 0.999


def save(truth: TrueMotion, path: str | os.PathLike) -> None:
    """Writes a clip's truth."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **vars(truth))


def load(path: str | os.PathLike) -> TrueMotion:
    """Reads a clip's truth."""
    with np.load(path, allow_pickle=False) as file:
        return TrueMotion(**{name: file[name] for name in file.files})
