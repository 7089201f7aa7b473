"""Writes a release as TensorFlow Datasets folders in ArrayRecord, without TensorFlow."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.core import dataset_info, example_serializer

from data_prep.dataset.example import Example
from data_prep.files import images
from dualatme_jax import schema, scratch
from dualatme_jax.data import names
from dualatme_jax.errors import InputError
from dualatme_jax.files import CHECKSUMS, expanded, write_checksums

VERSION = '1.2.0'  # of the layout: changes with the features

# A file of a dataset holds clips up to about this many bytes.
SHARD_BYTES = 2**29

# What a dataset folder holds; anything else in it is somebody's own and is never deleted.
_INFO = 'dataset_info.json'
_FILES = (_INFO, 'features.json', 'metadata.json', 'LICENSE', CHECKSUMS, '*.labels.txt', '*.array_record-*')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewFormat:
    """How one view of a build is stored: as one dataset.

    Attributes:
      features: key -> TFDS feature; the values are in `Example.views`.
      recipe: how they were made, as JSON values; becomes part of the dataset's metadata.
    """

    features: Mapping[str, tfds.features.FeatureConnector]
    recipe: Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """All that a build writes.

    Attributes:
      name: the dataset's name, lower case with underscores.
      description: what it is and where it comes from.
      citation: what to cite.
      licence: who may use it for what.
      labels: the classes; a class's number is its place.
      recipe: how the examples were made, as JSON values; becomes the metadata of every view. Read after the
        last example: it may grow until then.
      views: by name, the TFDS config; one dataset each.
      examples: in the order in which they are written; may compute as it goes.
      size: how many they will be at the most.
    """

    name: str
    description: str
    citation: str
    licence: str
    labels: tuple[str, ...] = schema.LABELS
    recipe: dict
    views: Mapping[str, ViewFormat]
    examples: Iterable[Example]
    size: int


def write(release: Contents, out: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Writes the release to the folder `out`: whole, or nothing there changes.

    With one view `out` itself is a TFDS dataset, with several each is one in the folder of its name.

    Args:
      release: what to write.
      out: the folder; its parents are made. `tfds.builder_from_directory` reads it.
      overwrite: whether a dataset that is there already is replaced.

    Raises:
      InputError: `out` holds something already, cannot be written, or is being written by another process; or
        a class or a clip has a name that no table of predictions can hold.
    """
    if fault := names.fault_of_classes(release.labels):
        raise InputError(f'{release.name}: {fault}')
    out = expanded(out, '--out').resolve()
    check_free(out, overwrite)
    try:
        with _replacing_folder(out) as folder:
            _write(release, folder)
    except OSError as error:
        raise InputError(f'cannot write the dataset {out}: {error}. Choose another --out') from error


def _write(release: Contents, folder: pathlib.Path) -> None:
    writers = {
        name: _Writer(release, name, folder / name if len(release.views) > 1 else folder)
        for name in release.views
    }
    with contextlib.ExitStack() as stack:
        for writer in writers.values():
            stack.enter_context(contextlib.closing(writer))
        for example in release.examples:
            if fault := names.fault_of_clip(example.database, example.subject, example.clip):
                raise InputError(f'{release.name}: {fault}: rename it in the release')
            for name, writer in writers.items():
                writer.add(example, example.views[name])
    for writer in writers.values():
        writer.describe()


class _Writer:
    """Writes one view, clip by clip: none is kept in memory."""

    def __init__(self, release: Contents, view: str, folder: pathlib.Path):
        folder.mkdir(exist_ok=True)
        self._folder, self._release, self._view = folder, release, view
        self._features = _features(release.views[view].features, release.labels)
        self._template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name=release.name, split=schema.SPLIT, filetype_suffix='array_record'
        )
        self._serializer = example_serializer.ExampleSerializer(self._features.get_serialized_info())
        self._lengths: list[int] = []  # clips of each file
        self._sizes: list[int] = []  # bytes of each file
        self._shard = None

    def add(self, example: Example, inputs: Mapping) -> None:
        record = self._record(example, inputs)
        if not self._sizes or self._sizes[-1] + len(record) > SHARD_BYTES:
            self._next_shard()
        with _full_disc():
            self._shard.write(record)
        self._lengths[-1] += 1
        self._sizes[-1] += len(record)

    def close(self) -> None:
        if self._shard is not None:
            with _full_disc():
                self._shard.close()
            self._shard = None

    def describe(self) -> None:
        """Names the files by their number, which is known only now, and writes what makes them a dataset."""
        if not self._lengths:
            self._next_shard()
            self.close()
        for index in range(len(self._lengths)):
            name = self._template.sharded_filepath(shard_index=index, num_shards=len(self._lengths))
            self._unnumbered(index).rename(os.fspath(name))
        split = tfds.core.SplitInfo(
            name=schema.SPLIT,
            shard_lengths=self._lengths,
            num_bytes=sum(self._sizes),
            filename_template=self._template,
        )
        info = self._info()
        info.set_splits(tfds.core.splits.SplitDict([split]))
        info.write_to_directory(self._folder)
        write_checksums(self._folder)

    def _info(self) -> tfds.core.DatasetInfo:
        release = self._release
        identity = dataset_info.DatasetIdentity(
            name=release.name,
            config_name=self._view,
            version=tfds.core.Version(VERSION),
            data_dir=str(self._folder),
            module_name=__name__,
        )
        info = tfds.core.DatasetInfo(
            builder=identity,
            description=release.description,
            citation=release.citation,
            license=release.licence,
            features=self._features,
            metadata=tfds.core.MetadataDict(
                _encodable_json(release.recipe | release.views[self._view].recipe)
            ),
        )
        info.set_file_format('array_record')
        return info

    def _next_shard(self) -> None:
        self.close()
        path = self._unnumbered(len(self._lengths))
        with _full_disc():
            self._shard = array_record_module.ArrayRecordWriter(os.fspath(path), 'group_size:1')
        self._lengths.append(0)
        self._sizes.append(0)

    def _unnumbered(self, index: int) -> pathlib.Path:
        return self._folder / f'shard-{index:05}'

    def _record(self, example: Example, inputs: Mapping) -> bytes:
        common = {
            field.name: getattr(example, field.name)
            for field in dataclasses.fields(example)
            if field.name not in ('views', 'padded')
        }
        if common[schema.LABEL] == schema.UNKNOWN_TEXT:
            common[schema.LABEL] = schema.UNLABELLED
        own = {key: _encodable(value, self._features[key]) for key, value in inputs.items()}
        proto = self._serializer.get_tf_example(self._features.encode_example(common | own))
        # A protocol buffer's map has no order of its own; TFDS's writers leave it to chance.
        return proto.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _full_disc() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # so ArrayRecord calls a full disc
        raise OSError(str(error)) from error


def _features(inputs: Mapping, labels: tuple[str, ...]) -> tfds.features.FeaturesDict:
    def text(description: str):
        return tfds.features.Text(doc=description)

    def frame(description: str):
        return tfds.features.Scalar(np.int32, doc=f'{description}; {schema.UNKNOWN_FRAME}: unknown')

    return tfds.features.FeaturesDict(
        {
            **inputs,
            schema.LABEL: tfds.features.ClassLabel(names=labels),
            schema.DATABASE: text('the database: ' + ', '.join(schema.DATABASES)),
            schema.SUBJECT: text('the person, unique within the database'),
            schema.CLIP: text('unique within the subject'),
            schema.ONSET: frame('number of the onset frame, as the release counts'),
            schema.APEX: frame('number of the apex frame'),
            schema.OFFSET: frame('number of the offset frame'),
            schema.APEX_CHOICE: text('where the apex comes from'),
            schema.ACTION_UNITS: text('FACS action units, as the release writes them'),
            schema.EMOTION: text("the release's own word"),
            schema.FRAME_RATE: tfds.features.Scalar(
                np.float32, doc=f'frames a second; {schema.UNKNOWN_MEASURE:g}: unknown'
            ),
        }
    )


def _encodable_json(value: dict) -> dict:
    """Returns JSON values with question marks for halves of surrogate pairs: file names that are no text."""
    return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode(errors='replace'))


def _encodable(value, feature: tfds.features.FeatureConnector):
    """Wraps encoded images, which TFDS then takes as they are: arrays it would encode by TensorFlow."""
    if isinstance(value, bytes):
        return io.BytesIO(value)
    if isinstance(value, list):
        return [io.BytesIO(each) for each in value]
    if isinstance(feature, tfds.features.Image):
        return io.BytesIO(images.encode_png(value))
    return value


def check_free(out: pathlib.Path, overwrite: bool) -> None:
    """Raises InputError unless a dataset can be written to `out` without loss of anything else."""
    try:
        # The longest name is that of the scratch folder: whether it may be is asked of the file system.
        scratch.folder_of(out).exists()
        if out.exists():
            _check_contents(out, overwrite)
    except OSError as error:
        raise InputError(f'--out {out} cannot be used: {error.strerror}. Choose another --out') from error


def _check_contents(out: pathlib.Path, overwrite: bool) -> None:
    if out.is_mount():
        raise InputError(f'--out {out} is a mount point, which cannot be replaced: choose a folder in it')
    if not out.is_dir():
        raise InputError(f'--out {out} is a file: expected a folder that is new or empty')
    folders = [path for path in out.iterdir() if path.is_dir() and (path / _INFO).is_file()] or [out]
    names = [path.relative_to(out) for folder in folders for path in folder.iterdir()]
    names += [path.relative_to(out) for path in out.iterdir() if path not in folders and folders != [out]]
    if not names:
        return
    others = sorted(str(name) for name in names if not any(name.match(known) for known in _FILES))
    if others or not any(name.name == _INFO for name in names):
        raise InputError(
            f'--out {out} holds other files, such as {(others or [str(names[0])])[0]!r}: '
            'expected a folder that is new or empty, or a dataset to replace by --overwrite'
        )
    if not overwrite:
        raise InputError(
            f'--out {out} holds a dataset already: choose another folder, or replace it by --overwrite'
        )


@contextlib.contextmanager
def _replacing_folder(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a new folder beside `out`, which takes `out`'s place when the block ends well."""
    with scratch.held(out) as folder:
        made, old = folder / 'made', folder / 'old'
        if old.exists() and not out.exists():  # killed between the two renames below
            old.rename(out)
        for rest in (made, old):
            if rest.exists():
                shutil.rmtree(rest)
        made.mkdir()
        yield made
        if out.exists():
            out.rename(old)
        try:
            made.rename(out)
        except BaseException:  # an interrupt too: what was there must not go with the scratch folder
            if old.exists():
                old.rename(out)
            raise
