"""What a page is made of. All text is plain text: the template escapes it, the caller never does."""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

Cell: TypeAlias = str | float | None


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph, or several with blank lines between them."""

    text: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names and values. In the lead of a page they are big; further lines of a value are small below it."""

    pairs: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      heading: its head.
      number: whether cells are sorted by the number they begin with; else as text, `sub2` before `sub10`.
      hint: what it holds, in a sentence, shown at the head.
    """

    heading: str
    number: bool = False
    hint: str = ''


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that the reader sorts and filters.

    Attributes:
      caption: its title.
      columns: its columns.
      rows: one sequence of cells per row. A float is shown with three digits after its point; None and NaN
        are missing, and sorted last whichever way.
      note: a remark below it.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ''


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that lies in the page: either `svg`, or the bytes of a PNG file.

    Attributes:
      caption: what stands below it.
      alt: what it shows, for readers who cannot see it.
      svg: the text of an SVG file. Its `currentColor` is the colour of the page's text.
      png: the bytes of a PNG file.
    """

    caption: str
    alt: str
    svg: str = ''
    png: bytes = b''

    def __post_init__(self):
        if bool(self.svg) == bool(self.png):
            raise ValueError(f'the picture {self.caption!r} needs either svg or png')


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Small pictures side by side."""

    pictures: Sequence[Picture]


@dataclasses.dataclass(frozen=True)
class Listing:
    """Text to copy, as it is: LaTeX, BibTeX, command lines."""

    caption: str
    text: str


@dataclasses.dataclass(frozen=True)
class Folded:
    """Blocks that are shown when the reader opens them, and in print."""

    title: str
    blocks: Sequence['Block']


Block: TypeAlias = Text | Facts | Table | Picture | Gallery | Listing | Folded


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page with a title; `name` is its anchor, by default made of the title."""

    title: str
    blocks: Sequence[Block]
    name: str = ''
