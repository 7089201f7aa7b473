"""A folder of labelled face images, such as those of posed expressions that networks are pre-trained on.

The class of an image is the first folder below the source, and who it shows is read from its name by a
pattern, or from a table with the columns `path` and `subject`. Images of any size become the view `apex`,
the face at the apex alone, by itself and in grey.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from data_prep.files import cells, folders, sheet
from data_prep.pictures import images
from data_prep.pictures.images import ImageRow, ImageTable
from data_prep.releases.clip import Clip, Problem
from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded
from dualatme_jax.outside import workbook

PATTERNS = "'{subject}_*', or with folders '{subject}/{label}/*'"
FIELDS = (schema.SUBJECT, schema.LABEL)
_PART = re.compile(r'\{(\w+)(?::(\d{1,2}))?\}|([*?])|([^*?{}]+)')
_NOBODY = (
    'who is on each picture is not said; expected one of --subject-pattern, such as {subject}_*, --table FILE'
    ' (columns path, subject), or --split-by-clip: each picture is its own subject, though people come back'
)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a pattern.

    Attributes:
      literal: the text that stands there; empty where any does.
      field: one of `FIELDS`, if that text is its value.
      width: characters of any text; 0: as many as there are before the part behind.
    """

    literal: str = ''
    field: str = ''
    width: int = 0


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Where names of files say something.

    A field, `*` (any text) and `?` (a character) take what stands in their place: up to the first place
    where the text behind them stands, so that a name is read once from left to right. `{label:2}` takes two
    characters. With slashes it is a pattern of the whole path below the source, without the suffix; else of
    the file's name.

    Attributes:
      text: as it is written.
      levels: the parts of each name of the path.
    """

    text: str
    levels: tuple[tuple[Part, ...], ...]

    @classmethod
    def of(cls, text: str) -> 'Pattern':
        """Reads a pattern; raises InputError for one that cannot be."""
        levels = tuple(tuple(_parts(level, text)) for level in text.split('/'))
        fields = [part.field for level in levels for part in level if part.field]
        if not fields or len(set(fields)) != len(fields):
            raise InputError(
                f'--subject-pattern {text!r} has {" and ".join(fields) or "no field"}; expected {{subject}}, '
                f'and {{label}} if the class is no folder, each once, such as {PATTERNS}'
            )
        return cls(text, levels)

    @property
    def fields(self) -> set[str]:
        """Which it has."""
        return {part.field for level in self.levels for part in level if part.field}

    def read(self, path: pathlib.PurePath) -> dict[str, str] | None:
        """The fields of a path below the source; None if it is another."""
        named = [*path.parent.parts, path.stem] if len(self.levels) > 1 else [path.stem]
        if len(named) != len(self.levels):
            return None
        found: dict[str, str] = {}
        for parts, name in zip(self.levels, named, strict=True):
            own = _fields(parts, name)
            if own is None:
                return None
            found |= own
        return found


def _parts(level: str, whole: str) -> Iterator[Part]:
    """The parts of a pattern between slashes."""
    fault = f'--subject-pattern {whole!r}'
    place, open_ended = 0, False
    while place < len(level):
        found = _PART.match(level, place)
        if not found or (found[1] and found[1] not in FIELDS) or found[2] == '0':
            raise InputError(
                f'{fault}: {level[place:]!r} is not understood; expected text, *, ?, {{subject}} and '
                f'{{label}}, or {{label:2}} of two characters, such as {PATTERNS}'
            )
        place = found.end()
        part = Part(found[4] or '', found[1] or '', 1 if found[3] == '?' else int(found[2] or 0))
        if open_ended and not part.literal:
            raise InputError(
                f'{fault}: where {found[0]!r} begins is not said; expected text between it and the part '
                'before, or a number of characters for that, such as {subject:4}'
            )
        open_ended = not part.literal and not part.width
        yield part


def _fields(parts: Sequence[Part], name: str) -> dict[str, str] | None:
    found, place = {}, 0
    for number, part in enumerate(parts):
        if part.literal:
            end = place + len(part.literal) if name.startswith(part.literal, place) else -1
        elif part.width:
            end = place + part.width
        elif number + 1 == len(parts):
            end = len(name)
        else:
            end = name.find(parts[number + 1].literal, place)
        if not place <= end <= len(name) or (part.field and end == place):
            return None
        if part.field:
            found[part.field] = name[place:end]
        place = end
    return found if place == len(name) else None


def survey(
    source: str,
    *,
    pattern: str | None = None,
    table: str | os.PathLike | None = None,
    split_by_clip: bool = False,
    size: int = schema.USUAL_SIZES['apex'][0],
) -> ImageTable:
    """Finds the images below a folder, and looks at each.

    Args:
      source: the folder, or `NAME=FOLDER` where the database is not to be called as the folder is.
      pattern: of the names of files, see `Pattern`.
      table: a file with the columns `path`, below the source, and `subject`.
      split_by_clip: whether each image is its own subject.
      size: height and width to which they are scaled, whatever their proportions.

    Raises:
      InputError: no folder, no images, one class, or nothing that says whom they show. All lesser faults are
        the survey's `problems`.
    """
    if not 1 <= size <= images.LARGEST:
        raise InputError(f'--face-size {size}: expected 1 to {images.LARGEST} pixels')
    read = Pattern.of(pattern) if pattern else None
    by_pattern = bool(read and schema.SUBJECT in read.fields)
    if [by_pattern, bool(table), split_by_clip].count(True) != 1:
        raise InputError(
            _NOBODY
            if not (by_pattern or table or split_by_clip)
            else '--subject-pattern with {subject}, --table and --split-by-clip each say who is on a '
            'picture; expected one of them'
        )
    database, folder = _named(source)
    tree = folders.walk(folder)
    paths = sorted(path.relative_to(tree.source) for path in _images(tree))
    if not paths:
        raise InputError(f'--source {folder}: no images below it ({", ".join(sorted(folders.IMAGES))})')
    subjects = _subjects(table) if table else None
    rows, problems = _rows(paths, tree, database, read, subjects)
    labels = images.ordered({row.label for row in rows})
    if rows and len(labels) < 2:
        raise InputError(
            f'--source {folder} has one class, {labels[0]}; expected a folder for each, below it: '
            "CLASS/PICTURE. Classes that lie deeper, or in the files' names, are {label} in "
            f'--subject-pattern, such as {PATTERNS}'
        )
    if rows and (fault := names.fault_of_classes(labels)):
        problems.append(Problem(row=tree.source.name, text=fault))
    shape, of_images = images.look(rows, 'apex', size)
    return ImageTable(
        table=tree.source,
        folder=tree.source,
        view='apex',
        labels=labels,
        rows=rows,
        shape=shape,
        problems=problems + of_images,
        release=schema.IMAGE_FOLDER,
        recipe={
            'folder': tree.source.name,
            'subjects': pattern if by_pattern else pathlib.Path(table).name if table else 'one per picture',
        },
    )


def _named(source: str) -> tuple[str, str]:
    """The database's name and the folder, of `[NAME=]FOLDER`."""
    name, equals, rest = source.partition('=')
    if not equals or expanded(source, '--source').is_dir():
        name, rest = expanded(source, '--source').resolve().name, source
    return name.lower(), rest


def _images(tree: folders.Tree) -> Iterator[pathlib.Path]:
    for folder in tree.folders:
        if folder.image:
            yield from (
                path
                for path in folder.path.iterdir()
                if path.suffix[1:].lower() in folders.IMAGES and not path.name.startswith('.')
            )


def _rows(
    paths: Sequence[pathlib.Path],
    tree: folders.Tree,
    database: str,
    pattern: Pattern | None,
    subjects: Mapping[str, str] | None,
) -> tuple[list[ImageRow], list[Problem]]:
    """The images of which subject and class are known, and what is wrong with the others."""
    problems = [Problem(row=tree.show(path), text=why) for path, why in tree.unreadable.items()]
    rows, first = [], {}
    for path in paths:
        shown = tree.show(tree.source / path)
        clip = '-'.join(path.with_suffix('').parts)
        found = pattern.read(path) if pattern else {}
        if found is None:
            problems.append(
                Problem(row=shown, text=f'its name is none of --subject-pattern {pattern.text!r}')
            )
            continue
        label = found.get(schema.LABEL) or (path.parts[0] if len(path.parts) > 1 else '')
        of_table = clip if subjects is None else subjects.get(path.as_posix(), '')
        subject = found.get(schema.SUBJECT, of_table)
        if not label:
            fault = 'it lies in no folder of a class: expected CLASS/PICTURE, or {label} in --subject-pattern'
        elif not subject:
            fault = 'the table has no row of it: expected its path below --source'
        elif clip in first:
            fault = f'it would be called {clip!r}, as {first[clip]} is: rename one of them'
        else:
            fault = names.fault_of_clip(database, subject, clip)
        if fault:
            problems.append(Problem(row=shown, text=fault))
            continue
        first[clip] = shown
        own = Clip(database=database, subject=subject, clip=clip, row=shown)
        rows.append(ImageRow(own, label, (tree.source / path,)))
    lacking = sorted((subjects or {}).keys() - {path.as_posix() for path in paths})
    problems += [
        Problem(row=path, text='it stands in the table, and is no picture there') for path in lacking
    ]
    return rows, problems


def _subjects(table: str | os.PathLike) -> dict[str, str]:
    """Path below the source -> subject, from a table; raises InputError if it is none."""
    path = expanded(table, '--table')
    columns = {'path': ('path',), schema.SUBJECT: (schema.SUBJECT,)}
    tables, refusals = sheet.recognised(
        workbook.read(path), lambda worksheet: sheet.by_columns(worksheet, columns)
    )
    if not tables:
        found = '; '.join(refusals[:3]) or 'it is empty'
        raise InputError(f'--table {path}: expected a header with the columns path, subject: {found}')
    found = {}
    for row in tables[0].rows:
        own = pathlib.PurePosixPath(str(row.cells['path']).strip()).as_posix()
        subject = cells.text(row.cells[schema.SUBJECT])
        if found.setdefault(own, subject) != subject:
            raise InputError(f'{row.place}: {own!r} has the subject {found[own]!r} in a row before')
    return found
