"""Reads a dataset that `data_prep` has built, whole and once, into NumPy arrays. Needs no TensorFlow."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dualatme_jax import files, schema
from dualatme_jax.data import names, splits, storage
from dualatme_jax.data.storage import INFO
from dualatme_jax.errors import InputError, printable
from dualatme_jax.machines import host_memory

_NAMES = (schema.DATABASE, schema.SUBJECT, schema.CLIP)
# Of the inputs, what is in memory when they are loaded (records and arrays) or trained on.
COPIES = 3
# In the metadata of a dataset with inputs that a frozen stage made: what stands beside results, in words.
STAGE = 'stage'
_SHOWN = 10  # faults of one kind that a message names
_BUILD = (
    'Make one from raw releases by '
    '`python -m data_prep build --release megc2019_cd --source RELEASES --out {out}` (or the name of one), '
    'from the public flow images by '
    '`python -m data_prep build --release flow_images --source {images} --out {out}`, '
    'or a synthetic one by `python -m data_prep build --release synthetic --out {out}` '
    '(of motions without pictures: `--release synthetic_motion`)'
)
_PICTURES = {'.png', '.jpg', '.jpeg', '.bmp'}
FLOWS = (schema.FLOW, schema.FLOW_PUZZLED)  # what Dual-ATME reads


@dataclasses.dataclass(frozen=True)
class Dataset:
    """`N` clips, ordered by database (the schema's in its order, then others by name), subject and clip.

    Attributes:
      inputs: key -> [N, *S, C] as they are stored: pictures and frames are uint8. `schema.CHANNELS` says what
        the channels are.
      label: [N] int32, index into `labels`, or `schema.UNLABELLED`.
      database: [N] str, one of `schema.DATABASES` or a name of the user's own.
      subject: [N] str, unique within its database only.
      clip: [N] str, unique within its database and subject only.
      labels: the classes; a class's number is its place.
      metadata: the recipe by which the dataset was made, as `data_prep` wrote it.
      measures: key -> [N, ...] float32, of `schema.measures_of` the inputs what the dataset has.
    """

    inputs: Mapping[str, np.ndarray]
    label: np.ndarray
    database: np.ndarray
    subject: np.ndarray
    clip: np.ndarray
    labels: tuple[str, ...]
    metadata: dict
    measures: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of clips, `N`."""
        return len(self.label)

    def of(self, reads: Sequence[str]) -> 'Dataset':
        """The same clips with some of their inputs."""
        return dataclasses.replace(self, inputs={key: self.inputs[key] for key in reads})

    @property
    def forms(self) -> dict[str, dict[str, Any]]:
        """Key -> `shape` and `dtype` of what is stored of one clip, as JSON values."""
        return {
            key: {'shape': list(array.shape[1:]), 'dtype': array.dtype.name}
            for key, array in self.inputs.items()
        }

    @property
    def frame_rates(self) -> list[float] | None:
        """The least and the largest frame rate of the clips; None where it is not known of any."""
        rates = self.measures.get(schema.FRAME_RATE, np.zeros(0))
        known = rates[rates > 0]
        return [float(known.min()), float(known.max())] if known.size else None

    @property
    def origin(self) -> str:
        """What the input is, in words, to stand wherever a result is shown."""
        parts = [self.metadata.get('release', schema.UNKNOWN_TEXT)]
        if schema.FLOW_PUZZLED in self.inputs:
            made = self.metadata.get(schema.FLOW_PUZZLED, schema.UNKNOWN_TEXT)
            parts.append(f'puzzled flow ({self.regions}): {made}')
        else:
            parts.append(', '.join(self.inputs))
        if made := self.metadata.get(STAGE):
            parts.append(made)
        return printable('; '.join(parts))

    @property
    def synthetic(self) -> bool:
        """Whether the clips are rendered, so that no published score can stand beside theirs."""
        return schema.is_synthetic(self.metadata)

    @property
    def leaks(self) -> str:
        """Why a score with these inputs leaks, in words that begin with LEAKS; empty if none does."""
        marks = self.metadata.get(schema.LEAKS) or {}
        found = [f'{key}: {marks[key]}' for key in self.inputs if key in marks]
        return printable(f'LEAKS: {"; ".join(found)}') if found else ''

    @property
    def motion_unit(self) -> dict[str, Any]:
        """What the metadata says of the unit of motion, by `UNIT` and `COMPUTED_AT`; empty if it does not."""
        flow = self.metadata.get('flow')
        flow = flow if isinstance(flow, Mapping) else {}
        size, unit = flow.get(schema.COMPUTED_AT), flow.get(schema.UNIT, schema.PIXELS)
        sized = isinstance(size, list) and len(size) == 2 and all(type(edge) is int for edge in size)
        known = unit in (schema.PIXELS, schema.EYE_DISTANCES_PER_SECOND)
        return {schema.COMPUTED_AT: size, schema.UNIT: unit} if sized and min(size) > 0 and known else {}

    @property
    def regions(self) -> str:
        """Which pair of regions the puzzled face is made of, such as `EM`."""
        return self.metadata.get('regions', {}).get('pair', schema.UNKNOWN_TEXT)

    @property
    def subjects(self) -> np.ndarray:
        """[N] str, `database/subject`: the person, unique over all databases. LOSO leaves out one of them."""
        return splits.people_of(self.database, self.subject)


def hash_input(digest: Any, key: str, array: np.ndarray) -> None:
    """Adds an input to a digest of `hashlib`: its key, type, shape and numbers."""
    digest.update(f'{key} {array.dtype} {array.shape}'.encode())
    digest.update(np.ascontiguousarray(array))  # clips of a caller may be a view of others


def difference(one: Dataset, other: Dataset) -> str | None:
    """How the clips or their labels differ between two datasets, in words; None if they do not."""
    if one.labels != other.labels:
        return f'its classes are {", ".join(other.labels)} and not {", ".join(one.labels)}'
    here, there = (
        {
            f'{subject}/{clip}': dataset.labels[label]
            for subject, clip, label in zip(dataset.subjects, dataset.clip, dataset.label, strict=True)
        }
        for dataset in (one, other)
    )
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            return f'{name} is {there.get(name, "absent")} and not {here.get(name, "absent")}'
    return None


def load(
    path: str | os.PathLike,
    *,
    reads: Sequence[str] = FLOWS,
    databases: Sequence[str] = (),
    labelled: bool = True,
) -> Dataset:
    """Loads the clips of some databases.

    Args:
      path: the dataset's folder, or one above it if that holds no other dataset but views of the same build.
      reads: keys of the inputs; those of several views are put together clip by clip.
      databases: which to keep, each of which must have clips; none named: all.
      labelled: whether clips that nobody has labelled are refused; else their label is `schema.UNLABELLED`.

    Raises:
      InputError: no dataset there, one that is not whole, without an input or with other features, views of
        other clips, a database without clips, or clips without a label.
    """
    path = files.expanded(path, 'the dataset')
    stored = [
        storage.describe(folder, inputs=own, texts=_NAMES) for folder, own in _find(path, reads).items()
    ]
    _check_memory(stored)
    for part in stored:
        storage.check_whole(part)
    first, *others = (_clips(part, databases) for part in stored)
    if labelled and (unknown := int((first.label == schema.UNLABELLED).sum())):
        raise InputError(
            f'{unknown} of {first.size} clips of the dataset {path} have no label, so that nothing can be '
            'trained or scored; expected emotions in the table that it was built of. To ask networks what '
            f'they are: `python -m dualatme_jax.predict {path} --weights RUN`'
        )
    for other, part in zip(others, stored[1:], strict=True):
        if found := difference(first, other):
            views = ' '.join(schema.views_of(reads))
            raise InputError(
                f'{part.folder} and {stored[0].folder} are views of different clips: {found}. Build both at '
                f'once, by `python -m data_prep build --view {views} ...`'
            )
        first = dataclasses.replace(
            first,
            inputs={**first.inputs, **other.inputs},
            metadata=other.metadata | first.metadata,
            measures={**other.measures, **first.measures},
        )
    return dataclasses.replace(first, inputs={key: first.inputs[key] for key in reads})


def annotations(path: str | os.PathLike, *, beside: str) -> dict[tuple[str, str, str], dict[str, str]]:
    """What the release says of each clip besides its label, as far as it is known.

    Args:
      path: as `load` takes it.
      beside: key of an input of the same view.

    Returns:
      (database, subject, clip) -> `action_units` and `emotion`; a text that the source does not know is
      empty, and one that no clip has is left out.

    Raises:
      InputError: see `load`.
    """
    [folder] = _find(files.expanded(path, 'the dataset'), [beside])
    keys = [key for key in (schema.ACTION_UNITS, schema.EMOTION) if key in storage.keys(folder)]
    stored = storage.describe(folder, inputs=(), texts=(*_NAMES, *keys))
    storage.check_whole(stored)
    found = {
        tuple(record[key] for key in _NAMES): {
            key: '' if record[key] == schema.UNKNOWN_TEXT else record[key] for key in keys
        }
        for record in storage.records(stored)
    }
    known = [key for key in keys if any(own[key] for own in found.values())]
    return {clip: {key: own[key] for key in known} for clip, own in found.items()}


def _clips(stored: storage.Stored, databases: Sequence[str]) -> Dataset:
    """The clips of one view."""
    records = list(storage.records(stored))
    _check_records(records, stored.folder)
    _check_databases(records, databases, stored.folder)
    kept = sorted(
        (record for record in records if not databases or record[schema.DATABASE] in databases),
        key=lambda record: order_of(*(record[key] for key in _NAMES)),
    )
    return Dataset(
        inputs={key: np.stack([record[key] for record in kept]) for key in stored.inputs},
        label=np.array([record[schema.LABEL] for record in kept], np.int32),
        **{key: np.array([record[key] for record in kept]) for key in _NAMES},
        labels=stored.labels,
        metadata=stored.metadata,
        measures={key: np.stack([record[key] for record in kept]) for key in stored.measures},
    )


def _find(path: pathlib.Path, reads: Sequence[str]) -> dict[pathlib.Path, list[str]]:
    """Returns the folders that hold the inputs, each with its own: `path`, or some up to two levels below it.

    A build of several views writes one dataset for each, in the folder of its name.
    """
    if not path.exists():
        raise InputError(f'no dataset at {path}. {_advice(path)}')
    # `NAME/VERSION` is how TFDS lays folders out. Hidden ones are builds that were cut off.
    found = (
        [path]
        if (path / INFO).is_file()
        else sorted(
            info.parent
            for pattern in (f'*/{INFO}', f'*/*/{INFO}')
            for info in path.glob(pattern)
            if not any(part.startswith('.') for part in info.relative_to(path).parts)
        )
    )
    if not found:
        raise InputError(f'{path} holds no dataset (no {INFO} in it or below it). {_advice(path)}')
    if len(found) == 1:
        return {found[0]: [*reads]}
    there = {folder: storage.keys(folder) for folder in found}
    chosen: dict[pathlib.Path, list[str]] = {}
    for key in reads:
        holding = [folder for folder in found if key in there[folder]]
        if not holding:
            raise storage.lacking(path, [key], set().union(*there.values()))
        by_name = [folder for folder in holding if folder.relative_to(path).parts[0] == schema.view_of(key)]
        holding = by_name if len(by_name) == 1 else holding
        if len(holding) > 1:
            several = ', '.join(str(folder.relative_to(path)) for folder in holding)
            raise InputError(f'{path} holds {len(holding)} datasets: {several}. Name one of them')
        chosen.setdefault(holding[0], []).append(key)
    return chosen


def _advice(path: pathlib.Path) -> str:
    """How a dataset is made: at `path`, or elsewhere if other things are there, which may be its images."""
    if not path.exists() or (path.is_dir() and not any(path.glob('*'))):
        return _BUILD.format(images='IMAGES', out=path)
    below = (file for pattern in ('*', '*/*', '*/*/*') for file in path.glob(pattern))
    pictures = any(file.suffix.lower() in _PICTURES for file in below)
    found = (
        'It holds pictures, and a dataset is built from them'
        if pictures
        else 'It is not empty, and a dataset is built'
    )
    build = _BUILD.format(images=path if pictures else 'IMAGES', out='data/NAME')
    return f'{found} in a folder of its own. {build}. Then name data/NAME instead of it'


def _check_memory(stored: Sequence[storage.Stored]) -> None:
    """Raises InputError, before a clip is read, where the clips would not fit."""
    needed = sum(COPIES * part.input_bytes + part.unread_bytes for part in stored)
    free = host_memory.free()
    if needed > free:
        raise InputError(
            f'the dataset {stored[0].folder} says that it holds {stored[0].size} clips, which take '
            f'{needed / 2**30:.1f} GiB of memory to train on; {free / 2**30:.1f} GiB are free. '
            'If that is not what was built, build it again; else build it with a smaller --size'
        )


def order_of(database: str, subject: str, clip: str) -> tuple[int, str, str, str]:
    """What clips are sorted by: the schema's databases first, in its order."""
    known = schema.DATABASES.index(database) if database in schema.DATABASES else len(schema.DATABASES)
    return known, database, subject, clip


def _check_records(records: list[dict], folder: pathlib.Path) -> None:
    keys = collections.Counter(tuple(record[key] for key in _NAMES) for record in records)
    faults = [fault for key in keys if (fault := names.fault_of_clip(*key))]
    if faults:
        raise InputError(
            f'the dataset {folder} has names that no table of predictions can hold: {some(faults)}. '
            'Rename them in the release, and build it again'
        )
    twice = ['/'.join(key) for key, count in keys.items() if count > 1]
    if twice:
        raise InputError(
            f'the dataset {folder} holds some clips more than once: {some(twice)}. Build it again'
        )


def some(found: Sequence[str]) -> str:
    """The first few of some things, in words."""
    return ', '.join(found[:_SHOWN]) + (f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else '')


def _check_databases(records: list[dict], databases: Sequence[str], folder: pathlib.Path) -> None:
    count = collections.Counter(record[schema.DATABASE] for record in records)
    there = ', '.join(f'{database} {count[database]} clips' for database in names.known_first(list(count)))
    empty = [database for database in databases if not count[database]]
    if empty:
        raise InputError(
            f'config.data.databases is {tuple(databases)}, but the dataset {folder} has no clips of '
            f'{", ".join(map(repr, empty))}. It has: {there}. '
            f"""Take them all by --config.data.databases="()", or name some, as "('{next(iter(count))}',)\""""
        )
