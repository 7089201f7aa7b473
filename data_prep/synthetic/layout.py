"""The words that all layouts share: rows of a release, its sheets, and where its frames lie."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from data_prep.synthetic.film import Camera

# (subject, clip, label) of clips that must be in a release, labels being the challenge's.
Listed = Sequence[tuple[str, str, str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """One annotated clip of a synthetic release.

    Attributes:
      subject: as `Clip` has it.
      clip: as `Clip` has it.
      emotion: the release's own word.
      onset: frame number, as apex and offset.
      folder: the part of a frame's path that the sheet names, where clips share folders.
      units: action unit -> share of the clip's intensity.
    """

    subject: str
    clip: str
    emotion: str
    onset: int
    apex: int
    offset: int
    folder: str = ''
    units: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def numbers(self) -> range:
        """The numbers of its frames."""
        return range(self.onset, self.offset + 1)

    @property
    def action_units(self) -> str:
        """The units as sheets write them, such as `4+7`."""
        return '+'.join(sorted(self.units, key=int))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table of a release.

    Attributes:
      file: where it lies in the release; `.xlsx` or `.csv`.
      header: the names of its columns.
      cells: its rows, one of the release's each.
      above: rows that stand above the header.
      subject: the header of the column of subjects, '' if there is none; as apex, offset and emotion.
    """

    file: str
    header: Sequence[str | None]
    cells: Sequence[Sequence[str | int | None]]
    above: Sequence[Sequence[str | int | None]] = ()
    subject: str = ''
    apex: str = ''
    offset: str = ''
    emotion: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How a database is released.

    Attributes:
      database: one of `schema.DATABASES`.
      subjects: everybody in it.
      camera: how it was filmed.
      rows: (what must be in it or None, frames a clip) -> the rows of the complete release.
      frame: (row, frame number) -> the file in the release.
      sheets: rows -> its tables, the annotation first, whose rows come first; none where folders say all.
      video: whether the clips are videos; `frame` then names the video, whatever the number.
      frames: how many frames a clip has whatever is asked for, or None.
    """

    database: str
    subjects: Sequence[str]
    camera: Camera
    rows: Callable[[Listed | None, int], list[SyntheticClip]]
    frame: Callable[[SyntheticClip, int], str]
    sheets: Callable[[Sequence[SyntheticClip]], list[Sheet]]
    video: bool = False
    frames: int | None = None


def times(onset: int, frames: int, place: int) -> dict[str, int]:
    """Returns onset, apex and offset of a clip; the apex is near the middle, and varies with `place`."""
    apex = min(max(1, frames // 2 + place % 3 - 1), frames - 2)
    return {'onset': onset, 'apex': onset + apex, 'offset': onset + frames - 1}
