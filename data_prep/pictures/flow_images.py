"""The public optical-flow images of MEGC2019-CD, joined with the challenge's list.

Most people in the field hold the composite in this form: a folder of 28x28 PNGs (red u, green v, blue
strain), named `{subject}_{clip} .png`, and a list without a header, `database,subject,clip,label`.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from data_prep import releases
from data_prep.dataset.check_report import collapsed
from data_prep.dataset.example import Example
from data_prep.dataset.plan import Plan
from data_prep.dataset.writer import Contents, ViewFormat
from data_prep.face import regions
from data_prep.face.landmarks import template
from data_prep.files.images import png_header
from data_prep.releases.clip import Clip, Problem, Survey
from data_prep.views import flow as flow_view
from data_prep.views import optical_flow
from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded, read_bytes
from dualatme_jax.outside.challenge_list import ListedClip, read_list

_RGB = 2  # PNG's colour type
_FOLD = re.compile(r'(\A|_)(train|test)\Z', re.IGNORECASE)
_LARGEST = 2**20  # bytes of an image; the public ones have about 2,000


@dataclasses.dataclass(frozen=True)
class FlowImages:
    """What a source holds.

    Attributes:
      list_path: the list that was read.
      rows: its good rows, in its order.
      images: stem -> [28, 28, 3] uint8, red first: the good images that some row names.
      problems: one sentence for everything that keeps a build from being complete.
    """

    list_path: pathlib.Path
    rows: list[ListedClip]
    images: dict[str, np.ndarray]
    problems: list[str]


def survey(source: str | os.PathLike, list_path: str | os.PathLike | None = None) -> FlowImages:
    """Reads a folder of flow images and its list, and joins them.

    Args:
      source: the folder; images are found in it and below it.
      list_path: the list; by default the only `.csv` in the folder and below it.

    Raises:
      InputError: the folder or the list cannot be read at all. All lesser faults are the survey's `problems`.
    """
    source = expanded(source, '--source')
    if not source.is_dir():
        raise InputError(f'--source {source} is not a folder: expected the one with the flow images')
    list_path = expanded(list_path, '--list') if list_path else _only_list(source)
    rows, row_problems = read_list(list_path)
    paths, path_problems = _by_stem(source)
    images, image_problems = _read_images(rows, paths)
    listed = {row.stem for row in rows}
    orphans = [
        f'{_name(paths[stem], source)}: no row of the list names this image'
        for stem in sorted(paths.keys() - listed)
    ]
    return FlowImages(list_path, rows, images, row_problems + path_problems + image_problems + orphans)


def read(
    source: str | os.PathLike,
    list_path: str | os.PathLike | None = None,
    *,
    pair: str = 'EM',
    by_database: bool = False,
) -> Contents:
    """Reads a complete release.

    Args:
      source: the folder with the images.
      list_path: the list; by default the only `.csv` in the folder and below it.
      pair: which regions make the puzzled flow, one of `regions.PAIRS`.
      by_database: whether the template stands at the place of each database, `template.PLACES`.

    Raises:
      InputError: unknown pair; or anything is missing, damaged or superfluous, all named in one message.
    """
    regions.check_pair(pair)
    found = survey(source, list_path)
    if found.problems:
        listing = '\n'.join(collapsed(found.problems))
        raise InputError(f'{len(found.problems)} problems in {source} with {found.list_path}:\n{listing}')
    return Contents(
        name=schema.FLOW_IMAGES,
        description=(
            'Optical flow from onset to apex of the clips of MEGC2019-CD (CASME II, SMIC-HS, SAMM), from the '
            'public 28x28 flow images. The puzzled flow is cut from the flow of the entire face.'
        ),
        citation=(
            'See et al.: MEGC 2019, the Second Facial Micro-Expressions Grand Challenge, FG 2019. '
            'Images as distributed with Liong et al.: STSTNet, FG 2019'
        ),
        licence='Derived from CASME II, SMIC and SAMM: the licence agreements of the three databases apply.',
        recipe={
            'release': schema.FLOW_IMAGES,
            'list': found.list_path.name,
            'apex': schema.UNKNOWN_TEXT,
            'exclusions': [],
        },
        views={
            'flow': ViewFormat(
                features=flow_view.features(),
                recipe={
                    'regions': regions.recipe(pair) | _boxes(pair, by_database),
                    'template': {
                        name: template.recipe(name if by_database else None) for name in schema.COMPOSITE
                    },
                    'flow_puzzled': 'cut from the flow image of the entire face',
                    'flow': {
                        'algorithm': schema.UNKNOWN_TEXT,
                        'encoding': 'as published: u, v, strain; each min-max scaled to 0..255 by clip',
                    },
                },
            )
        },
        examples=_examples(found, pair, by_database),
        size=len(found.rows),
    )


def plan(source: str, list_path: str | None) -> Plan:
    """Reads the public flow images; what the challenge's list names is used as it is."""
    found = survey(source, list_path)
    items = [
        (
            Clip(
                database=row.database,
                subject=row.subject,
                clip=row.clip,
                row=f'{found.list_path.name}, line {row.line}',
            ),
            row.label,
        )
        for row in found.rows
    ]
    names = [name for name in schema.COMPOSITE if any(clip.database == name for clip, _ in items)]
    surveys = {
        name: Survey(
            database=name,
            source=pathlib.Path(source),
            sheet=found.list_path.name,
            aligned=True,
            clips=[clip for clip, _ in items if clip.database == name],
        )
        for name in names
    }
    return Plan(
        surveys=surveys,
        protocols={name: releases.of(name).protocol('3class') for name in names},
        labels=schema.LABELS,
        rules={},
        items=items,
        excluded=dict.fromkeys(names, ()),
        problems=[Problem(row='', text=problem) for problem in found.problems],
        notes=(),
    )


def _files(source: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    # Hidden files are the file manager's: macOS puts a `._name.png` beside every `name.png` it packs.
    return sorted(
        path
        for path in source.rglob('*')
        if path.suffix.lower() == suffix and not path.name.startswith('.') and path.is_file()
    )


def _name(path: pathlib.Path, source: pathlib.Path) -> str:
    # Quoted: the space before a suffix is easily overlooked, and some names are no text at all.
    return repr(str(path.relative_to(source)))


def _only_list(source: pathlib.Path) -> pathlib.Path:
    lists = _files(source, '.csv')
    if len(lists) != 1:
        names = ', '.join(_name(path, source) for path in lists) or 'none'
        above = '' if lists else _lists_above(source)
        raise InputError(
            f'expected one .csv list in {source}, found {names}: name the right one by --list{above}'
        )
    return lists[0]


def _lists_above(source: pathlib.Path) -> str:
    """Names the lists that lie one folder up, as beside the public images; empty if there is none."""
    found = []
    with contextlib.suppress(OSError):  # a folder that may not be listed
        found = [path for path in sorted(source.resolve().parent.iterdir()) if path.suffix.lower() == '.csv']
    lists = [str(path) for path in found if _is_list(path)]
    return f'; one folder up lies {" and ".join(lists)}' if lists else ''


def _is_list(path: pathlib.Path) -> bool:
    try:
        return bool(read_list(path)[0])
    except InputError:
        return False


def _by_stem(source: pathlib.Path) -> tuple[dict[str, pathlib.Path], list[str]]:
    """Returns the image of each stem; stems of several images go to the problems, and keep the first."""
    groups = collections.defaultdict(list)
    for path in _files(source, '.png'):
        groups[path.stem.strip()].append(path)
    _refuse_folds(groups, source)
    problems = [] if groups else [f'no .png in {source}']
    for stem, paths in groups.items():
        if len(paths) > 1:
            names = ', '.join(_name(path, source) for path in paths)
            problems.append(f'{len(paths)} images stand for {stem!r}: {names}; keep one')
    return {stem: paths[0] for stem, paths in groups.items()}, problems


def _refuse_folds(groups: Mapping[str, Sequence[pathlib.Path]], source: pathlib.Path) -> None:
    """Raises InputError for folders of one fold each, in which every image lies once in each fold."""
    copies = [path for paths in groups.values() if len(paths) > 1 for path in paths]
    folds = {path.parent.parent for path in copies if _FOLD.search(path.parent.parent.name)}
    if len(folds) > 1:
        example = _name(min(folds), source)
        raise InputError(
            f'--source {source} holds folders of one fold each, such as {example}, as HTNet has them, and '
            f'so {len(copies)} copies of {len(groups)} images: expected one folder that has each image once, '
            'such as its STSNet_whole_norm_u_v_os'
        )


def _read_images(
    rows: list[ListedClip], paths: dict[str, pathlib.Path]
) -> tuple[dict[str, np.ndarray], list[str]]:
    images, problems = {}, []
    for row in rows:
        if row.stem not in paths:
            problems.append(f'list, line {row.line}: no image {row.stem!r}')
            continue
        try:
            image = decode_png(read_bytes(paths[row.stem], limit=_LARGEST, what='flow image'))
            if not optical_flow.moves(image):
                raise InputError('no motion: u and v are the same everywhere')
            images[row.stem] = image
        except InputError as error:
            problems.append(f'{paths[row.stem].name!r}: {error}')
    return images, problems


def decode_png(data: bytes) -> np.ndarray:
    """Decodes a flow image.

    Args:
      data: the file.

    Returns:
      `schema.FLOW_SHAPE` uint8, red (u) first.

    Raises:
      InputError: not a PNG, truncated or damaged, or of another size or number of channels.
    """
    header = png_header(data)
    width, height = (int.from_bytes(header[start : start + 4], 'big') for start in (0, 4))
    if (height, width) != schema.FLOW_SHAPE[:2]:
        raise InputError(f'{width}x{height} pixels, expected {schema.FLOW_SIZE}x{schema.FLOW_SIZE}')
    if (header[8], header[9]) != (8, _RGB):
        raise InputError(f'PNG colour type {header[9]} of {header[8]} bits, expected 8-bit RGB')
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise InputError('a damaged PNG: its pixels cannot be decoded')
    return image


def inputs(image: np.ndarray, pair: str, place: str | None) -> dict[str, np.ndarray]:
    """What the view `flow` holds of a clip of which a flow image is all there is.

    Args:
      image: [H, W, 3] uint8, red (u) first.
      pair: which regions make the puzzled flow, one of `regions.PAIRS`.
      place: the database at whose place the template stands; None for the template as it is.
    """
    if pair == 'full':  # of any size
        return {schema.FLOW: image, schema.FLOW_PUZZLED: image}
    boxes = regions.template_boxes(image.shape[:2], place)
    return {schema.FLOW: image, schema.FLOW_PUZZLED: regions.puzzle(image, pair, boxes)}


def _boxes(pair: str, by_database: bool) -> dict:
    """Where the regions lie, for the metadata, if that is the same in all images.

    `boxes`: letter -> top, bottom, left, right as shares of the height and the width.
    """
    if by_database or pair == 'full':
        return {}
    found = regions.template_boxes()
    return {'boxes': {letter: [edge / regions.GRID for edge in found[letter]] for letter in pair}}


def _examples(found: FlowImages, pair: str, by_database: bool) -> Iterable[Example]:
    for row in found.rows:
        image = found.images[row.stem]
        yield Example(
            views={'flow': inputs(image, pair, row.database if by_database else None)},
            label=row.label,
            database=row.database,
            subject=row.subject,
            clip=row.clip,
        )
