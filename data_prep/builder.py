"""Writes a release as a TensorFlow Datasets folder in ArrayRecord, without TensorFlow."""

import contextlib
import dataclasses
import io
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.core import dataset_info, example_serializer

from dualatme_jax import schema
from dualatme_jax.errors import InputError

VERSION = '1.0.0'  # of the layout: changes with the features

# What a dataset folder holds; anything else in it is somebody's own and is never deleted.
_INFO = 'dataset_info.json'
_FILES = (_INFO, 'features.json', 'metadata.json', 'LICENSE', '*.labels.txt', '*.array_record-*')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One clip, as the dataset stores it; the fields are the schema's keys.

    Attributes:
      flow: `schema.FLOW_SHAPE` uint8, the entire face.
      flow_puzzled: `schema.FLOW_SHAPE` uint8, the puzzled face.
      label: one of `schema.LABELS`.
      database: one of `schema.DATABASES`.
      subject: unique within its database.
      clip: unique within its subject.
      onset: frame number, as apex and offset.
      action_units: such as `4+7`.
      emotion: the release's own word.
    """

    flow: np.ndarray
    flow_puzzled: np.ndarray
    label: str
    database: str
    subject: str
    clip: str
    onset: int = schema.UNKNOWN_FRAME
    apex: int = schema.UNKNOWN_FRAME
    offset: int = schema.UNKNOWN_FRAME
    action_units: str = schema.UNKNOWN_TEXT
    emotion: str = schema.UNKNOWN_TEXT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """All that a dataset is made of: what every release module returns.

    Attributes:
      name: the dataset's name, lower case with underscores.
      description: what it is and where it comes from.
      citation: what to cite.
      licence: who may use it for what.
      recipe: how the examples were made, as JSON values; becomes the dataset's metadata.
      examples: in the order in which they are written; may compute as it goes.
      size: their number.
    """

    name: str
    description: str
    citation: str
    licence: str
    recipe: dict
    examples: Iterable[Example]
    size: int


def write(release: Release, out: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Writes the release to the folder `out`, which is then a TFDS dataset, whole or not there at all.

    Args:
      release: what to write.
      out: the folder; its parents are made. `tfds.builder_from_directory(out)` reads it.
      overwrite: whether a dataset that is there already is replaced.

    Raises:
      InputError: `out` holds something already, or cannot be written.
    """
    out = pathlib.Path(out).expanduser().resolve()
    _check_free(out, overwrite)
    try:
        with _replacing_folder(out) as folder:
            _write(release, folder)
    except OSError as error:
        raise InputError(f'cannot write the dataset {out}: {error}. Choose another --out') from error


def _write(release: Release, folder: pathlib.Path) -> None:
    features = _features()
    identity = dataset_info.DatasetIdentity(
        name=release.name, version=tfds.core.Version(VERSION), data_dir=str(folder), module_name=__name__
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=release.description,
        citation=release.citation,
        license=release.licence,
        features=features,
        metadata=tfds.core.MetadataDict(release.recipe),
    )
    info.set_file_format('array_record')
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=release.name, split=schema.SPLIT, filetype_suffix='array_record'
    )
    shard = template.sharded_filepath(shard_index=0, num_shards=1)
    records = [_record(example, features) for example in release.examples]
    _write_shard(shard, records)
    split = tfds.core.SplitInfo(
        name=schema.SPLIT,
        shard_lengths=[len(records)],
        num_bytes=sum(map(len, records)),
        filename_template=template,
    )
    info.set_splits(tfds.core.splits.SplitDict([split]))
    info.write_to_directory(folder)


def _write_shard(path: os.PathLike, records: Iterable[bytes]) -> None:
    try:
        writer = array_record_module.ArrayRecordWriter(os.fspath(path), 'group_size:1')
        for record in records:
            writer.write(record)
        writer.close()
    except RuntimeError as error:  # so ArrayRecord calls a full disk
        raise OSError(str(error)) from error


def _record(example: Example, features: tfds.features.FeaturesDict) -> bytes:
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    proto = serializer.get_tf_example(features.encode_example(_encoded(example)))
    # A protocol buffer's map has no order of its own; TFDS's writers leave it to chance.
    return proto.SerializeToString(deterministic=True)


def _features() -> tfds.features.FeaturesDict:
    flow = tfds.features.Image(shape=schema.FLOW_SHAPE, encoding_format='png')
    text = tfds.features.Text()
    return tfds.features.FeaturesDict(
        {
            schema.FLOW: flow,
            schema.FLOW_PUZZLED: flow,
            schema.LABEL: tfds.features.ClassLabel(names=schema.LABELS),
            schema.DATABASE: text,
            schema.SUBJECT: text,
            schema.CLIP: text,
            schema.ONSET: np.int32,
            schema.APEX: np.int32,
            schema.OFFSET: np.int32,
            schema.ACTION_UNITS: text,
            schema.EMOTION: text,
        }
    )


def _encoded(example: Example) -> dict:
    fields = {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
    return {
        **fields,
        schema.FLOW: _png(example.flow),
        schema.FLOW_PUZZLED: _png(example.flow_puzzled),
    }


def _png(image: np.ndarray) -> io.BytesIO:
    # TFDS encodes arrays by TensorFlow but takes an encoded file as it is. OpenCV's order is blue first.
    return io.BytesIO(cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def _check_free(out: pathlib.Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f'--out {out} is a file: expected a folder that is new or empty')
    names = [path.name for path in out.iterdir()]
    if not names:
        return
    others = sorted(
        name for name in names if not any(pathlib.PurePath(name).match(known) for known in _FILES)
    )
    if others or _INFO not in names:
        raise InputError(
            f'--out {out} holds other files, such as {(others or names)[0]!r}: '
            'expected a folder that is new or empty, or a dataset to replace by --overwrite'
        )
    if not overwrite:
        raise InputError(
            f'--out {out} holds a dataset already: choose another folder, or replace it by --overwrite'
        )


@contextlib.contextmanager
def _replacing_folder(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a new folder beside `out`, which takes `out`'s place when the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that a build which was killed is not taken for a dataset by its neighbours.
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f'.{out.name}.', ignore_cleanup_errors=True
    ) as scratch:
        made, old = pathlib.Path(scratch, 'made'), pathlib.Path(scratch, 'old')
        made.mkdir()  # with the user's own mode; the scratch folder is private
        yield made
        if out.exists():
            out.rename(old)
        try:
            made.rename(out)
        except BaseException:  # an interrupt too: what was there must not go with the scratch folder
            if old.exists():
                old.rename(out)
            raise
