"""Reads a dataset that `data_prep` has built, whole and once, into NumPy arrays. Needs no TensorFlow."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

from dualatme_jax import schema
from dualatme_jax.errors import InputError

_INFO = 'dataset_info.json'
_KEYS = (schema.FLOW, schema.FLOW_PUZZLED, schema.LABEL, schema.DATABASE, schema.SUBJECT, schema.CLIP)
_BUILD = (
    'Make one from raw releases by '
    '`python -m data_prep build --release megc2019_cd --source RELEASES --out {path}` (or the name of one), '
    'from the public flow images by '
    '`python -m data_prep build --release flow_images --source IMAGES --out {path}`, '
    'or a synthetic one by `python -m data_prep build --release synthetic --out {path}`'
)
# A build of several views writes a dataset a view, each in the folder of its name.
_VIEW = 'flow'


@dataclasses.dataclass(frozen=True)
class Dataset:
    """`N` clips, ordered by database (in the schema's order), subject and clip.

    Attributes:
      flow: [N, 28, 28, 3] uint8, the entire face: u, v, strain.
      flow_puzzled: [N, 28, 28, 3] uint8, the puzzled face.
      label: [N] int32, index into `labels`.
      database: [N] str, one of `schema.DATABASES`.
      subject: [N] str, unique within its database only.
      clip: [N] str, unique within its database and subject only.
      labels: the classes; a class's number is its place.
      metadata: the recipe by which the dataset was made, as `data_prep` wrote it.
    """

    flow: np.ndarray
    flow_puzzled: np.ndarray
    label: np.ndarray
    database: np.ndarray
    subject: np.ndarray
    clip: np.ndarray
    labels: tuple[str, ...]
    metadata: dict

    @property
    def size(self) -> int:
        """The number of clips, `N`."""
        return len(self.label)

    @property
    def origin(self) -> str:
        """What the input is, in words, to stand wherever a result is shown."""
        told = self.metadata
        made = told.get('flow_puzzled', schema.UNKNOWN_TEXT)
        return f'{told.get("release", schema.UNKNOWN_TEXT)}; puzzled flow ({self.regions}): {made}'

    @property
    def synthetic(self) -> bool:
        """Whether the clips are rendered, so that no published score can stand beside theirs."""
        return self.metadata.get('release') == schema.SYNTHETIC

    @property
    def regions(self) -> str:
        """Which pair of regions the puzzled face is made of, such as `EM`."""
        return self.metadata.get('regions', {}).get('pair', schema.UNKNOWN_TEXT)

    @property
    def subjects(self) -> np.ndarray:
        """[N] str, `database/subject`: the person, unique over all databases. LOSO leaves out one of them."""
        pairs = zip(self.database, self.subject, strict=True)
        return np.array([f'{database}/{subject}' for database, subject in pairs])


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


def load(path: str | os.PathLike, *, databases: Sequence[str] = ()) -> Dataset:
    """Loads the clips of some databases.

    Args:
      path: the dataset's folder, or one above it if that holds no other dataset but views of the same build.
      databases: which of `schema.DATABASES` to keep, each of which must have clips; none named: all.

    Raises:
      InputError: no dataset there, one that is not whole or has other features, or a database without clips.
    """
    folder = _find(pathlib.Path(path).expanduser())
    builder = _open(folder)
    records = _read(builder, folder)
    _check_records(records, folder)
    _check_databases(records, databases, folder)
    kept = sorted(
        (record for record in records if not databases or record[schema.DATABASE] in databases), key=_order
    )
    column = {key: [record[key] for record in kept] for key in _KEYS}
    return Dataset(
        flow=np.stack(column[schema.FLOW]),
        flow_puzzled=np.stack(column[schema.FLOW_PUZZLED]),
        label=np.array(column[schema.LABEL], np.int32),
        database=np.array(column[schema.DATABASE]),
        subject=np.array(column[schema.SUBJECT]),
        clip=np.array(column[schema.CLIP]),
        labels=tuple(builder.info.features[schema.LABEL].names),
        metadata=dict(builder.info.metadata),
    )


def _find(path: pathlib.Path) -> pathlib.Path:
    """Returns the folder that holds the dataset: `path`, or the only one up to two levels below it.

    Of the views of one build, this is the flow's.
    """
    build = _BUILD.format(path=path)
    if not path.exists():
        raise InputError(f'no dataset at {path}. {build}')
    if (path / _INFO).is_file():
        return path
    # `NAME/VERSION` is how TFDS lays folders out. Hidden ones are builds that were cut off.
    found = sorted(
        info.parent
        for pattern in (f'*/{_INFO}', f'*/*/{_INFO}')
        for info in path.glob(pattern)
        if not any(part.startswith('.') for part in info.relative_to(path).parts)
    )
    if not found:
        raise InputError(f'{path} holds no dataset (no {_INFO} in it or below it). {build}')
    views = [folder for folder in found if folder.relative_to(path).parts[0] == _VIEW]
    if len(views) == 1:
        return views[0]
    if len(found) > 1:
        names = ', '.join(str(folder.relative_to(path)) for folder in found)
        raise InputError(f'{path} holds {len(found)} datasets: {names}. Name one of them')
    return found[0]


def _open(folder: pathlib.Path) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder_from_directory(str(folder))
        if not builder.info.metadata:  # TFDS reads it as late as it can, and does not mind its absence
            raise FileNotFoundError('metadata.json is missing')
    except Exception as error:  # whatever TFDS meets in broken JSON files is the user's to mend
        raise InputError(f'{folder} is not a whole dataset ({error}). Build it again') from error
    features = builder.info.features
    missing = [key for key in _KEYS if key not in features]
    if missing:
        raise InputError(
            f'the dataset {folder} lacks {", ".join(missing)}; it has {", ".join(features)}. '
            'Build it again, with --view flow'
        )
    for key in (schema.FLOW, schema.FLOW_PUZZLED):
        found = features[key].shape, np.dtype(features[key].np_dtype)
        if found != (schema.FLOW_SHAPE, np.uint8):
            raise InputError(
                f'{key} of the dataset {folder} is {found[1]} {found[0]}; expected uint8 '
                f'{schema.FLOW_SHAPE}. Build it with --size {schema.FLOW_SIZE} --encoding minmax_uint8'
            )
    _check_labels(features[schema.LABEL], folder)
    return builder


def _check_labels(feature: tfds.features.FeatureConnector, folder: pathlib.Path) -> None:
    names = tuple(getattr(feature, 'names', None) or ())
    if len(names) < 2:
        raise InputError(
            f'the labels of the dataset {folder} are {names}; expected names of two classes or more. '
            'Build it again'
        )
    if set(names) == set(schema.LABELS) and names != schema.LABELS:
        raise InputError(
            f'the labels of the dataset {folder} are {names}; expected them in the order of the challenge, '
            f'{schema.LABELS}. Build it again'
        )


def _read(builder: tfds.core.DatasetBuilder, folder: pathlib.Path) -> list[dict]:
    if schema.SPLIT not in builder.info.splits or not builder.info.splits[schema.SPLIT].num_examples:
        raise InputError(f'the dataset {folder} holds no clips: its build was cut off. Build it again')
    expected = builder.info.splits[schema.SPLIT].num_examples
    try:
        records = [_decoded(record) for record in builder.as_data_source(schema.SPLIT)]
    except Exception as error:  # a missing or damaged shard: ArrayRecord raises what it likes
        raise InputError(
            f'the clips of the dataset {folder} cannot be read ({error}). Build it again'
        ) from error
    if len(records) != expected:
        raise InputError(f'the dataset {folder} holds {len(records)} clips of {expected}. Build it again')
    return records


def _decoded(record: dict) -> dict:
    texts = (schema.DATABASE, schema.SUBJECT, schema.CLIP)
    return record | {key: record[key].decode() for key in texts}


def _order(record: dict) -> tuple[int, str, str]:
    return schema.DATABASES.index(record[schema.DATABASE]), record[schema.SUBJECT], record[schema.CLIP]


def _check_records(records: list[dict], folder: pathlib.Path) -> None:
    keys = collections.Counter(
        (record[schema.DATABASE], record[schema.SUBJECT], record[schema.CLIP]) for record in records
    )
    twice = ['/'.join(key) for key, count in keys.items() if count > 1]
    if twice:
        raise InputError(
            f'the dataset {folder} holds some clips more than once: {", ".join(twice)}. Build it again'
        )
    unknown = sorted({record[schema.DATABASE] for record in records} - set(schema.DATABASES))
    if unknown:
        raise InputError(
            f'the dataset {folder} holds unknown databases: {", ".join(unknown)}. Update dualatme_jax'
        )


def _check_databases(records: list[dict], databases: Sequence[str], folder: pathlib.Path) -> None:
    count = collections.Counter(record[schema.DATABASE] for record in records)
    there = ', '.join(
        f'{database} {count[database]} clips' for database in schema.DATABASES if count[database]
    )
    empty = [database for database in databases if not count[database]]
    if empty:
        raise InputError(
            f'databases {list(databases)} were asked for, but the dataset {folder} has no clips of '
            f'{", ".join(map(repr, empty))}. It has: {there}. '
            """Name one as --config.data.databases=casme3, several as "('casme2', 'smic')", () takes all"""
        )
