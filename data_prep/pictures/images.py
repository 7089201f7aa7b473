"""Images of the user's own, of any database and any classes, named by a table.

The table (CSV or a workbook) has a row per clip and the columns `database`, `subject`, `clip`, `label` and
`path`, in any order: a flow image (red u, green v, blue strain), or with the view `apex` an aligned face at
the apex, and the one at the onset by the column `onset_path`. Its classes are the words in `label`.
"""

import collections
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from data_prep import releases
from data_prep.dataset.check_report import collapsed
from data_prep.dataset.example import Example
from data_prep.dataset.plan import Plan
from data_prep.dataset.writer import Contents, ViewFormat
from data_prep.face import regions
from data_prep.face.landmarks import template
from data_prep.files import cells, images, sheet
from data_prep.pictures import flow_images
from data_prep.releases import synthetic_mark
from data_prep.releases.clip import Clip, Problem, Survey
from data_prep.releases.protocols import Protocol
from data_prep.views import flow as flow_view
from data_prep.views import optical_flow
from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded
from dualatme_jax.outside import workbook

COLUMNS = (schema.DATABASE, schema.SUBJECT, schema.CLIP, schema.LABEL, 'path')
ONSET_PATH = 'onset_path'
VIEWS = ('flow', 'apex')
LARGEST = 4096  # pixels of an image's edge


@dataclasses.dataclass(frozen=True)
class ImageRow:
    """A row of the table.

    Attributes:
      clip: the clip of the image that it names.
      label: its class.
      paths: the image, and of faces with an onset that one too.
    """

    clip: Clip
    label: str
    paths: tuple[pathlib.Path, ...]


@dataclasses.dataclass(frozen=True)
class ImageTable:
    """What a table and its images are, or a folder of them.

    Attributes:
      table: the file, or the folder.
      folder: where the paths of the table begin.
      view: one of `VIEWS`.
      labels: the classes; a class's number is its place.
      rows: those that name a clip and a class, in the table's order; also those whose image is bad.
      shape: (H, W) that all images have, or will be given.
      problems: one for everything that keeps a build from being complete.
      notes: what is odd but keeps nothing from being used.
      release: that it is a survey of.
      recipe: what the metadata says of where subjects and classes come from.
    """

    table: pathlib.Path
    folder: pathlib.Path
    view: str
    labels: tuple[str, ...]
    rows: Sequence[ImageRow]
    shape: tuple[int, int]
    problems: Sequence[Problem]
    notes: Sequence[Problem] = ()
    release: str = 'images'
    recipe: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def where_labels(self) -> str:
        """Where the classes are written, for messages."""
        return f'{self.table}, column {schema.LABEL}' if self.release == 'images' else str(self.table)

    @property
    def sound(self) -> list[ImageRow]:
        """The rows without a problem."""
        bad = {problem.row for problem in self.problems}
        return [row for row in self.rows if row.clip.row not in bad]


def survey(
    table: str | os.PathLike,
    source: str | os.PathLike | None = None,
    *,
    view: str = 'flow',
    size: int | None = None,
) -> ImageTable:
    """Reads a table and looks at every image that it names.

    Args:
      table: the file.
      source: where its paths begin; by default the table's folder.
      view: one of `VIEWS`.
      size: height and width to which images are scaled; None: they must have one size, and keep it.

    Raises:
      InputError: the table cannot be read, or is none. All lesser faults are the survey's `problems`.
    """
    if view not in VIEWS:
        raise InputError(f'--view {view}: the images of --table are {" or ".join(VIEWS)}')
    if size is not None and not 1 <= size <= LARGEST:
        raise InputError(f'--size {size}: expected 1 to {LARGEST} pixels')
    table = expanded(table, '--table')
    folder = expanded(source, '--source') if source else table.parent
    if not folder.is_dir():
        raise InputError(
            f'--source {folder} is not a folder: expected the one where the paths of --table begin'
        )
    read_table = _table(table)
    rows, problems = _rows(read_table, folder, view)
    labels = ordered({row.label for row in rows})
    if fault := names.fault_of_classes(labels):
        problems.append(Problem(row=f'{table.name}, column {schema.LABEL}', text=fault))
    shape, of_images = look(rows, view, size)
    notes = [Problem(row=place, text=sheet.HIDDEN) for place in read_table.hidden]
    recipe = {'table': table.name}
    return ImageTable(table, folder, view, labels, rows, shape, problems + of_images, notes, recipe=recipe)


def read(
    found: ImageTable, *, pair: str = 'EM', by_database: bool = False, skipped: Sequence[str] = ()
) -> Contents:
    """Makes a release of the rows without a problem.

    Args:
      found: the table and its images.
      pair: which regions make the puzzled flow, one of `regions.PAIRS`.
      by_database: whether the template stands at the place of each database, `template.PLACES`.
      skipped: what is left out, for the metadata.

    Raises:
      InputError: an unknown pair, no row that is left, classes that cannot be, or images too small to cut.
    """
    regions.check_pair(pair)
    if fault := names.fault_of_classes(found.labels):
        raise InputError(f'{found.where_labels}: {fault}')
    if not found.sound:
        raise InputError('no clip is left to write:\n' + '\n'.join(collapsed(found.problems)))
    height, width = found.shape
    if found.view == 'flow' and pair != 'full' and min(found.shape) < regions.GRID:
        raise InputError(
            f'images of {width}x{height} pixels are too small to cut regions from: give --size '
            f'{regions.GRID} or more, or --regions full'
        )
    known = tuple(name for name in releases.FILES if any(row.clip.database == name for row in found.rows))
    return Contents(
        name=found.release,
        description=f'Images of {found.table.name}.',
        citation=releases.citation(known),
        licence=releases.licence(known) if known else 'That of the images.',
        labels=found.labels,
        recipe={
            'release': found.release,
            'synthetic': names.known_first(
                [
                    row.clip.database
                    for row in found.sound
                    if any(synthetic_mark.above(path.parent) for path in row.paths)
                ]
            ),
            **found.recipe,
            'apex': schema.UNKNOWN_TEXT,
            'exclusions': [],
            'skipped': list(skipped),
        },
        views={
            found.view: _flow_view(found, pair, by_database) if found.view == 'flow' else _face_view(found)
        },
        examples=_examples(found, pair, by_database),
        size=len(found.sound),
    )


def plan(found: ImageTable) -> Plan:
    """What `check` shows of a table of images."""
    present = names.known_first([row.clip.database for row in found.rows])
    protocol = Protocol(name='own', labels=found.labels, classes={}, source=found.table.name)
    surveys = {
        name: Survey(
            database=name,
            source=found.folder,
            sheet=found.table.name,
            aligned=True,
            clips=[row.clip for row in found.rows if row.clip.database == name],
        )
        for name in present
    }
    return Plan(
        surveys=surveys,
        protocols=dict.fromkeys(present, protocol),
        labels=found.labels,
        rules={},
        items=[(row.clip, row.label) for row in found.rows],
        excluded=dict.fromkeys(present, ()),
        problems=found.problems,
        notes=found.notes,
    )


def _flow_view(found: ImageTable, pair: str, by_database: bool) -> ViewFormat:
    present = names.known_first([row.clip.database for row in found.rows])
    return ViewFormat(
        features=flow_view.features(found.shape),
        recipe={
            'regions': regions.recipe(pair),
            'template': {name: template.recipe(name if by_database else None) for name in present},
            'flow_puzzled': 'cut from the flow image of the entire face',
            'flow': {
                'algorithm': schema.UNKNOWN_TEXT,
                'encoding': 'as given: red u, green v, blue strain; of images of another size, resized',
                'size': list(found.shape),
            },
        },
    )


def _face_view(found: ImageTable) -> ViewFormat:
    import tensorflow_datasets as tfds

    def feature(frame: str, depth: int):
        doc = tfds.features.Documentation(
            f'face of the {frame} frame, {"grey" if depth == 1 else "RGB"}', '0..255'
        )
        return tfds.features.Image(shape=(*found.shape, depth), encoding_format='png', doc=doc)

    features = {schema.APEX_FACE: feature('apex', 3), schema.APEX_FACE_GREY: feature('apex', 1)}
    if len(found.rows[0].paths) > 1:
        features |= {schema.ONSET_FACE: feature('onset', 3), schema.ONSET_FACE_GREY: feature('onset', 1)}
    return ViewFormat(
        features=features, recipe={'faces': {'size': list(found.shape), 'colours': 'RGB and grey'}}
    )


def _examples(found: ImageTable, pair: str, by_database: bool) -> Iterator[Example]:
    keys = ((schema.APEX_FACE, schema.APEX_FACE_GREY), (schema.ONSET_FACE, schema.ONSET_FACE_GREY))
    for row in found.sound:
        pictures = [_resized(_decoded(path), found.shape) for path in row.paths]
        if found.view == 'flow':
            place = row.clip.database if by_database else None
            inputs = flow_images.inputs(images.rgb(pictures[0]), pair, place)
        else:
            inputs = {}
            for (coloured, grey), picture in zip(keys, pictures, strict=False):
                inputs |= {coloured: images.rgb(picture), grey: images.encode_png(images.grey(picture))}
        clip = row.clip
        yield Example(
            views={found.view: inputs},
            label=row.label,
            database=clip.database,
            subject=clip.subject,
            clip=clip.clip,
        )


def _rows(table: sheet.Table, folder: pathlib.Path, view: str) -> tuple[list[ImageRow], list[Problem]]:
    """Returns the rows that name a clip, a class and images, and what is wrong with the others."""
    used = {
        schema.DATABASE: lambda cell: cells.text(cell).lower(),  # as tables of predictions have them
        **dict.fromkeys((schema.SUBJECT, schema.CLIP, schema.LABEL), cells.text),
        **{
            name: _path
            for name in ('path', *((ONSET_PATH,) if view == 'apex' else ()))
            if name in table.titles
        },
    }
    rows, problems, first = [], [], {}
    for line in table.rows:
        row = {name: text(line.cells[name]) for name, text in used.items()}
        key = tuple(row[name] for name in (schema.DATABASE, schema.SUBJECT, schema.CLIP))
        paths = tuple(row[name] for name in used if used[name] is _path)
        empty = [name for name in used if not row[name]]
        fault = f'the {" and the ".join(empty)} is empty' if empty else names.fault_of_clip(*key)
        if fault := fault or _repeated(first, line.place, key, paths, row[schema.LABEL]):
            problems.append(Problem(row=line.place, text=fault))
            continue
        clip = Clip(database=key[0], subject=key[1], clip=key[2], row=line.place)
        rows.append(ImageRow(clip, row[schema.LABEL], tuple(folder / path for path in paths)))
    if not table.rows:
        problems.append(Problem(row=table.path.name, text='no row below the header'))
    return rows, problems


def _repeated(first: dict, place: str, key: tuple, paths: tuple[str, ...], label: str) -> str | None:
    """Says what of a row stands in an earlier one, and may not; `first` remembers where each thing stood."""
    number = place.rpartition(' ')[2]
    if (other := first.setdefault(key, number)) != number:
        return f'{"/".join(key)} stands in row {other} too'
    for path in paths:
        if (other := first.setdefault(os.path.normpath(path), number)) != number:
            return f'the image {path!r} stands in row {other} too'
    spelled, other = first.setdefault(label.lower(), (label, number))
    if spelled != label:
        return f'the label {label!r} is {spelled!r} in row {other}: write it in one way'
    return None


def _table(path: pathlib.Path) -> sheet.Table:
    """The worksheet with the columns; raises InputError if there is none."""
    columns = {name: (name,) for name in (*COLUMNS, ONSET_PATH)}
    recognise = functools.partial(sheet.by_columns, columns=columns, optional=(ONSET_PATH,))
    tables, refusals = sheet.recognised(workbook.read(path), recognise)
    if tables:
        return tables[0]
    found = '; '.join(refusals[:3]) or 'it is empty'
    raise InputError(f'--table {path}: expected a header with the columns {", ".join(COLUMNS)}: {found}')


def _path(cell) -> str:
    # Spaces within stay as they are: the public images have one before their suffix.
    return str(cell).strip() if cells.given(cell) else ''


def ordered(labels: set[str]) -> tuple[str, ...]:
    """The classes by their numbers: the challenge's in its order, numbers by size, others by alphabet."""
    if labels <= set(schema.LABELS):
        return tuple(label for label in schema.LABELS if label in labels)
    return tuple(sorted(labels, key=lambda label: (len(label) if label.isdigit() else 0, label)))


def look(rows: Sequence[ImageRow], view: str, size: int | None) -> tuple[tuple[int, int], list[Problem]]:
    """Decodes every image: (their shape, or that of `size`; what is wrong with single ones)."""
    problems, shapes = [], {}
    for row in rows:
        try:
            found = [_decoded(path) for path in row.paths]
            _check_motion(found, view, row.paths[0].name)
        except InputError as error:
            problems.append(Problem.of(row.clip, error))
        else:
            shapes[row.clip.row] = [image.shape[:2] for image in found]
    if size is not None:
        return (size, size), problems
    count = collections.Counter(shape for own in shapes.values() for shape in own)
    common = count.most_common(1)[0][0] if count else (0, 0)
    for row in rows:
        for path, (height, width) in zip(row.paths, shapes.get(row.clip.row, ()), strict=False):
            if (height, width) != common:
                text = (
                    f'{path.name!r}: {width}x{height} pixels, and most images have {common[1]}x{common[0]}: '
                    'to scale all of them, give --size'
                )
                problems.append(Problem.of(row.clip, InputError(text)))
    return common, problems


def _check_motion(found: Sequence[np.ndarray], view: str, name: str) -> None:
    """Raises InputError for a clip whose images, blue first, show no motion."""
    if view == 'flow' and (found[0] == found[0][..., :1]).all():
        raise InputError(
            f'{name!r}: its three channels are the same, so it is grey or shows no motion: expected u as '
            'red, v as green, strain as blue'
        )
    if view == 'flow' and not optical_flow.moves(images.rgb(found[0])):
        raise InputError(f'{name!r}: no motion: u (red) and v (green) are the same everywhere')
    if view == 'apex' and len(found) > 1 and np.array_equal(*found):
        raise InputError(f'{name!r}: no motion: onset and apex show the same picture')


def _decoded(path: pathlib.Path) -> np.ndarray:
    """An image, [H, W, 3] uint8, blue first; raises InputError that names it."""
    content = images.read(path)
    try:
        image = images.decode(content)
    except InputError as error:
        raise InputError(f'{path.name!r}: {error}') from error
    if max(image.shape) > LARGEST:
        raise InputError(
            f'{path.name!r}: {image.shape[1]}x{image.shape[0]} pixels, expected {LARGEST} at most'
        )
    return image


def _resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == shape:
        return image
    way = cv2.INTER_AREA if image.shape[0] * image.shape[1] > shape[0] * shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image, shape[::-1], interpolation=way)
