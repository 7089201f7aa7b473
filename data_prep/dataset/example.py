"""One clip as a dataset stores it."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from dualatme_jax import schema


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One clip; the fields but `views` and `padded` are the schema's keys.

    Attributes:
      views: view -> feature -> value. Images are PNGs, or uint8 arrays (red first) that will be PNGs.
      label: one of the dataset's labels; unknown where nobody has said it.
      database: one of `schema.DATABASES`.
      subject: unique within its database.
      clip: unique within its subject.
      onset: frame number, as apex and offset.
      apex_choice: where the apex comes from, one of `apex.CHOICES`.
      action_units: such as `4+7`.
      emotion: the release's own word.
      frame_rate: frames a second.
      padded: the share of the aligned face that lay outside of the frame; no feature of the dataset.
    """

    views: Mapping[str, Mapping[str, bytes | Sequence[bytes] | np.ndarray]]
    label: str
    database: str
    subject: str
    clip: str
    onset: int = schema.UNKNOWN_FRAME
    apex: int = schema.UNKNOWN_FRAME
    offset: int = schema.UNKNOWN_FRAME
    apex_choice: str = schema.UNKNOWN_TEXT
    action_units: str = schema.UNKNOWN_TEXT
    emotion: str = schema.UNKNOWN_TEXT
    frame_rate: float = schema.UNKNOWN_MEASURE
    padded: float = 0.0
