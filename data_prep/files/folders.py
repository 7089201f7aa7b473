"""The folders below a source: one walk finds label sheets, videos and every folder that may be a clip."""

import collections
import dataclasses
import functools
import itertools
import os
import pathlib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from data_prep.files.cells import LARGEST_FRAME
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded

IMAGES = frozenset({'jpg', 'jpeg', 'png', 'bmp', 'tif', 'tiff'})
VIDEOS = frozenset({'mp4', 'avi', 'mov', 'mkv', 'm4v', 'wmv', 'mpg', 'mpeg', 'webm'})
SHEETS = frozenset({'xlsx', 'xlsm', 'xls', 'csv'})

# What operating systems and Excel leave behind.
_HIDDEN = ('.', '~$')
_JUNK = frozenset({'__MACOSX', 'Thumbs.db'})

_LAST_NUMBER = re.compile(r'(\d+)\D*\Z')
# What file managers and browsers add to the name of a copy.
_COPY = re.compile(
    r'(\s*\((\d+|(another )?copy( \d+)?)\)|[\s_-]+(copy|kopie|copie|copia|\N{CJK UNIFIED IDEOGRAPH-526F}'
    r'\N{CJK UNIFIED IDEOGRAPH-672C})(\s*\(?\d+\)?)?)+\Z',
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder below the source.

    Attributes:
      path: the folder.
      parts: the names from the source's own down to the folder's, as `fold` writes them.
      image: the name of one of its images, always the same one; empty if it holds none.
    """

    path: pathlib.Path
    parts: tuple[str, ...]
    image: str

    @property
    def name(self) -> str:
        """Its name, as `fold` writes it."""
        return self.parts[-1]

    @property
    def parent(self) -> str:
        """The name of the folder that holds it; empty for the source."""
        return self.parts[-2] if len(self.parts) > 1 else ''


@dataclasses.dataclass(frozen=True)
class Tree:
    """What one walk below a source has found; all in the order of paths.

    Attributes:
      source: the folder that was walked.
      folders: every folder, the source among them.
      sheets: workbooks and CSV files.
      videos: video files.
      unreadable: folders that could not be listed, and why.
    """

    source: pathlib.Path
    folders: Sequence[Folder]
    sheets: Sequence[pathlib.Path]
    videos: Sequence[pathlib.Path]
    unreadable: Mapping[pathlib.Path, str]

    @functools.cached_property
    def _by_name(self) -> Mapping[str, Sequence[Folder]]:
        names = collections.defaultdict(list)
        for folder in self.folders:
            names[folder.name].append(folder)
        return names

    def find(self, *trail: str) -> list[Folder]:
        """Returns the folders whose path ends in the names of `trail`, of which `*` but the last is any."""
        names = [fold(name) for name in trail]
        return [
            folder
            for folder in self._by_name.get(names[-1], ())
            if len(folder.parts) >= len(names)
            and all(
                name in ('*', part) for name, part in zip(names, folder.parts[-len(names) :], strict=True)
            )
        ]

    def without(self, pattern: str) -> 'Tree':
        """Returns the tree without the folders that the regular expression finds by a name of their path."""
        parts = re.compile(pattern)
        kept = [folder for folder in self.folders if not any(map(parts.search, folder.parts))]
        return dataclasses.replace(self, folders=kept)

    def show(self, path: pathlib.Path) -> str:
        """Returns the path below the source, for messages: also a name that is no text can be printed."""
        inside = path.relative_to(self.source) if path.is_relative_to(self.source) else path
        text = str(inside) if inside.parts else str(path)
        return text.encode('utf-8', 'backslashreplace').decode()


@dataclasses.dataclass(frozen=True)
class Listing:
    """The frames in a folder.

    Attributes:
      paths: frame number -> file.
      doubles: frame number -> the names of the files that all carry it.
    """

    paths: Mapping[int, pathlib.Path]
    doubles: Mapping[int, Sequence[str]]


def fold(name: str) -> str:
    """Returns a name as names are compared: whatever its letter case, outer spaces and form of accents."""
    return unicodedata.normalize('NFC', name).casefold().strip()


def walk(source: str | os.PathLike) -> Tree:
    """Walks a source once; links to folders are followed, and no folder is visited twice.

    Raises:
      InputError: no such folder, or one that cannot be listed.
    """
    root = pathlib.Path(os.path.abspath(expanded(source, '--source')))  # noqa: PTH100, keeps a link's name
    if not root.is_dir():
        raise InputError(f'--source {source} is not a folder: expected the one that holds the release')
    folders, sheets, videos, unreadable, seen = [], [], [], {}, set()
    # Links wait until all else is done: a folder keeps its own name where a link leads to it as well.
    pending, links = collections.deque([(root, (fold(root.name),))]), collections.deque()
    while pending or links:
        path, parts = (pending or links).popleft()
        if (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        image = ''
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(_HIDDEN) or name in _JUNK:
                        continue
                    if _is_folder(entry):
                        queue = links if entry.is_symlink() else pending
                        queue.append((path / name, (*parts, fold(name))))
                        continue
                    suffix = name.rpartition('.')[2].lower()
                    if suffix in IMAGES:
                        image = min(image or name, name)
                    elif suffix in SHEETS:
                        sheets.append(path / name)
                    elif suffix in VIDEOS:
                        videos.append(path / name)
        except OSError as error:
            unreadable[path] = error.strerror or str(error)
        folders.append(Folder(path, parts, image))
    if root in unreadable:
        raise InputError(f'--source {source} cannot be listed: {unreadable[root]}')
    folders.sort(key=lambda folder: folder.path)
    return Tree(root, folders, sorted(sheets), sorted(videos), unreadable)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def listing(path: pathlib.Path) -> Listing:
    """Lists the images of a folder by their frame number: the last run of digits in the name.

    What marks a copy, as `(1)` or `- Copy` do, is no number; where all images are called the same but for a
    number in brackets, as after renaming them together, it is.

    Raises:
      InputError: the folder cannot be listed.
    """
    stems = {}
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                stem, _, suffix = entry.name.rpartition('.')
                if suffix.lower() in IMAGES and not entry.name.startswith(_HIDDEN):
                    stems[entry.name] = stem
    except OSError as error:
        raise InputError(f'{path} cannot be listed: {error.strerror or error}') from error
    originals = {name: _COPY.sub('', stem) for name, stem in stems.items()}
    together = len(set(originals.values())) == 1 and all(originals[name] != stems[name] for name in stems)
    names = collections.defaultdict(list)
    for name, stem in stems.items():
        original = None if together else _LAST_NUMBER.search(originals[name])
        if number := original or _LAST_NUMBER.search(stem):
            names[int(number[1])].append(name)
    by_length = {number: sorted(same, key=lambda name: (len(name), name)) for number, same in names.items()}
    return Listing(
        {number: path / same[0] for number, same in sorted(by_length.items())},  # the original, not a copy
        {number: sorted(same) for number, same in sorted(names.items()) if len(same) > 1},
    )


def strays(numbers: Collection[int]) -> list[int]:
    """Returns the frame numbers far outside of the run of the others, ascending, and all that are too large.

    The run is the longest one without a gap that is wide for such a folder: as wide as the run would be
    without gaps, and ten times as wide as is usual in it.
    """
    ordered = sorted(number for number in numbers if number <= LARGEST_FRAME)
    large = sorted(number for number in numbers if number > LARGEST_FRAME)
    steps = [after - before for before, after in itertools.pairwise(ordered)]
    if len(steps) < 2:
        return large
    wide = max(len(ordered), 10 * sorted(steps)[(len(steps) - 1) // 2])
    runs = [[ordered[0]]]
    for number, step in zip(ordered[1:], steps, strict=True):
        if step > wide:
            runs.append([])
        runs[-1].append(number)
    longest = max(runs, key=len)
    return [number for run in runs if run is not longest for number in run] + large
