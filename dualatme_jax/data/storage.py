"""The files of a dataset, read without trust.

TFDS's own reader imports the module in which a feature claims to be, opens a shard wherever its name points
to, and takes sizes as they are declared. Here a dataset is data: its JSON files are compared with what TFDS's
known features can be, its shards are read from its own folder, and in a process of their own, since a few
kilobytes of them may unpack to gigabytes.
"""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_datasets.core.proto import dataset_info_pb2, feature_pb2

from dualatme_jax import files, schema
from dualatme_jax.data import names, shards
from dualatme_jax.errors import InputError

INFO = 'dataset_info.json'

_FEATURES, _METADATA, _LABELS = 'features.json', 'metadata.json', f'{schema.LABEL}.labels.txt'
_MOST_BYTES = 8 * 2**20  # of one of these
_FORMAT = 'array_record'
_TEMPLATE = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'  # what TFDS calls shards by default
_MOST_SHARDS = 10_000
_LARGEST = 4096  # pixels of a picture's edge
_LONGEST = 2**20  # numbers of a vector

# The classes that a feature may have, with the field of its description that they read. None of them runs
# another program or opens a file when it decodes.
_PACKAGE = 'tensorflow_datasets.core.features.'
_KNOWN = {
    'features_dict.FeaturesDict': 'features_dict',
    'image_feature.Image': 'image',
    'text_feature.Text': 'text',
    'tensor_feature.Tensor': 'tensor',
    'scalar.Scalar': 'tensor',
    'class_label_feature.ClassLabel': 'class_label',
    'sequence_feature.Sequence': 'sequence',
}

_PNG = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
_COLOURS = {3: 2, 1: 0}  # channels of a picture -> PNG's colour type
_NUMBERS = ('uint8', 'int32', 'float32')  # types of inputs that are no pictures

_PICTURE = 2**10  # bytes of a PNG besides its pixels
_TEXTS = 2**16  # bytes of a record besides its pictures: more than its names can have
_SHARD_BYTES = 2**20  # of a shard besides its records


@dataclasses.dataclass(frozen=True)
class Stored:
    """A dataset whose description has been checked; its clips have not been read yet.

    Attributes:
      folder: where it lies.
      inputs: by key, what a clip has of it.
      unread: what it has of keys that are not read, and which its records hold all the same.
      texts: keys of texts.
      measures: of those that the schema has for these inputs, what is there, with shapes; float32.
      labels: the classes; a class's number is its place.
      metadata: what `metadata.json` holds: no more than JSON can.
      shards: files, each with the number of its clips.
    """

    folder: pathlib.Path
    inputs: dict[str, 'Form']
    unread: tuple['Form', ...]
    texts: tuple[str, ...]
    measures: dict[str, tuple[int, ...]]
    labels: tuple[str, ...]
    metadata: dict[str, Any]
    shards: tuple[tuple[pathlib.Path, int], ...]

    @property
    def size(self) -> int:
        """The number of clips that it says it has."""
        return sum(count for _, count in self.shards)

    @property
    def record_bytes(self) -> int:
        """What a clip takes on the disk, at the most: a PNG may be a little larger than its pixels."""
        forms = [*self.inputs.values(), *self.unread]
        pictures = sum(form.pictures for form in forms)
        return sum(form.bytes for form in forms) * 11 // 10 + pictures * _PICTURE + _TEXTS

    @property
    def input_bytes(self) -> int:
        """What the inputs of all clips take in memory."""
        return self.size * sum(form.bytes for form in self.inputs.values())

    @property
    def unread_bytes(self) -> int:
        """What the rest of all clips takes in memory while they are read, at the most."""
        return self.size * sum(form.bytes for form in self.unread)


@dataclasses.dataclass(frozen=True)
class Form:
    """What a clip has of one input.

    Attributes:
      shape: [*S, C], height before width, time before both; or [D].
      dtype: of its numbers.
      pictures: how many PNGs it is stored as; 0: as numbers.
    """

    shape: tuple[int, ...]
    dtype: str
    pictures: int

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def keys(folder: pathlib.Path) -> set[str]:
    """The keys of a dataset's features; raises InputError if its description is broken."""
    return set(_features(folder))


def describe(folder: pathlib.Path, *, inputs: Sequence[str], texts: Sequence[str]) -> Stored:
    """Reads the description of a dataset.

    Args:
      folder: where it lies.
      inputs: keys of what networks read: pictures, as many pictures for each clip, or numbers.
      texts: keys that must be texts.

    Raises:
      InputError: it is not whole, lacks a key or has it in another form, or names what cannot be trusted.
    """
    info = _message(folder, INFO, dataset_info_pb2.DatasetInfo(), ignore_unknown_fields=True)
    features = _features(folder)
    if missing := [key for key in (*inputs, schema.LABEL, *texts) if key not in features]:
        raise lacking(folder, missing, features, _metadata(folder).get('release', ''))
    forms = {key: _form(features[key], key, folder) for key in inputs}
    unread = tuple(
        _form(feature, key, folder)
        for key, feature in features.items()
        if key not in inputs and schema.view_of(key)
    )
    if len({forms[key].shape for key in schema.VIEWS['flow'] if key in forms}) > 1:
        raise _broken(folder, 'its flows have different sizes')
    for key in texts:
        if features[key].WhichOneof('content') != 'text':
            raise _broken(folder, f'{key} is no text')
    return Stored(
        folder=folder,
        inputs=forms,
        unread=unread,
        texts=tuple(texts),
        measures=_measures(features, inputs, folder),
        labels=_labels(features[schema.LABEL], folder),
        metadata=_metadata(folder),
        shards=_shards(info, folder),
    )


def check_whole(stored: Stored) -> None:
    """Raises InputError if a file is not as it was written, or larger than its clips can be.

    Datasets of earlier versions have no checksums to compare with.
    """
    folder = stored.folder
    read = (INFO, _FEATURES, _METADATA, _LABELS, *(path.name for path, _ in stored.shards))
    try:
        for path, count in stored.shards:
            most = 2 * count * stored.record_bytes + _SHARD_BYTES
            if (size := path.stat().st_size) > most:
                raise InputError(f'{path.name} has {size} bytes; {count} clips take {most} at the most')
        if (folder / files.CHECKSUMS).exists():
            _own_file(folder, files.CHECKSUMS)
            files.check_checksums(folder, 'files of the dataset', only=read)
    except InputError as error:
        raise _broken(folder, error) from error


def records(stored: Stored) -> Iterator[dict[str, Any]]:
    """Yields the clips as they are stored: inputs as arrays, texts as str, and the label's number.

    Raises:
      InputError: files are damaged, or hold something else than `stored` says.
    """
    numbers = {
        key: tfds.features.Tensor(shape=shape, dtype=np.float32) for key, shape in stored.measures.items()
    }
    features = tfds.features.FeaturesDict(
        {
            **{key: _feature(form) for key, form in stored.inputs.items()},
            **dict.fromkeys(stored.texts, tfds.features.Text()),
            **numbers,
            schema.LABEL: tfds.features.ClassLabel(names=stored.labels),
        }
    )
    pictures = {
        key: tfds.features.Image(shape=form.shape[-3:], encoding_format='png')
        for key, form in stored.inputs.items()
        if form.pictures
    }
    for path, count in stored.shards:
        try:
            serialized = shards.read(path, count, stored.record_bytes)
        except RuntimeError as error:  # so ArrayRecord calls damage
            raise _unreadable(stored.folder, f'{path.name}: {error}') from error
        for record in serialized:
            try:
                clip = features.deserialize_example_np(record)
                clip |= {key: clip[key].decode() for key in stored.texts}
                for key, picture in pictures.items():
                    clip[key] = _decoded(clip[key], stored.inputs[key], picture)
                for key, form in stored.inputs.items():
                    if clip[key].shape != form.shape or clip[key].dtype != form.dtype:
                        raise ValueError(f'{key} is {clip[key].dtype} {clip[key].shape}')
                for key, shape in stored.measures.items():
                    if np.shape(clip[key]) != shape or not np.isfinite(clip[key]).all():
                        raise ValueError(f'{key} is {clip[key]}')
                if not schema.UNLABELLED <= clip[schema.LABEL] < len(stored.labels):
                    raise ValueError(f'label {clip[schema.LABEL]} of {len(stored.labels)} classes')
            except Exception as error:  # a record of another form: TFDS and its decoders raise what they like
                raise _unreadable(stored.folder, f'{path.name}: {error}') from error
            yield clip


def _own_file(folder: pathlib.Path, name: str) -> pathlib.Path:
    """A file of the dataset; raises InputError if it is a link that leads out of its folder."""
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        raise InputError(f'{name} is a link to {path.readlink()}, outside of the dataset')
    return path


def _broken(folder: pathlib.Path, why: Any) -> InputError:
    return InputError(f'{folder} is not a whole dataset ({why}). Build it again')


def _unreadable(folder: pathlib.Path, why: Any) -> InputError:
    return InputError(f'the clips of the dataset {folder} cannot be read ({why}). Build it again')


def _read(folder: pathlib.Path, name: str) -> bytes:
    try:
        return files.read_bytes(_own_file(folder, name), limit=_MOST_BYTES, what='file')
    except InputError as error:
        raise _broken(folder, error) from error


def _json(folder: pathlib.Path, name: str) -> dict[str, Any]:
    """An object of JSON, with finite numbers and texts that can be encoded."""
    content = _read(folder, name)
    try:
        value = json.loads(content)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise _broken(folder, f'{name}: {error}') from error
    if not isinstance(value, dict) or not value:
        raise _broken(folder, f'{name} holds no object of JSON, or an empty one')
    return value


def _message(folder: pathlib.Path, name: str, message: Message, **options) -> Any:
    """A JSON file as a message, which says what types its fields have."""
    try:
        return json_format.ParseDict(_json(folder, name), message, **options)
    except json_format.ParseError as error:  # it goes on to list the fields that there could be
        raise _broken(folder, f'{name}: {str(error).splitlines()[0]}') from error


def _features(folder: pathlib.Path) -> dict[str, feature_pb2.Feature]:
    """The features by key, each with those within it of a known class."""
    top = _message(folder, _FEATURES, feature_pb2.Feature())
    _check_classes(top, folder)
    if top.WhichOneof('content') != 'features_dict':
        raise _broken(folder, f'{_FEATURES} describes no features by name')
    return dict(top.features_dict.features)


def _check_classes(feature: feature_pb2.Feature, folder: pathlib.Path) -> None:
    name = feature.python_class_name
    content = feature.WhichOneof('content')
    if _KNOWN.get(name.removeprefix(_PACKAGE)) != content or not name.startswith(_PACKAGE):
        raise InputError(
            f'{folder / _FEATURES} names a feature of the class {name[:100]!r} ({content}), which is none of '
            'those that data_prep writes, and may run a program of its own: nothing of it was opened. '
            'Build the dataset again from its release'
        )
    within = feature.features_dict.features.values() if content == 'features_dict' else ()
    for each in (*within, *((feature.sequence.feature,) if content == 'sequence' else ())):
        _check_classes(each, folder)


class NeverBuiltError(InputError):
    """Of inputs that no build of the dataset's release has: that another `--view` gives them is not so."""


def lacking(
    folder: pathlib.Path, missing: Sequence[str], there: Iterable[str], release: str = ''
) -> InputError:
    """The error of a dataset without some keys, which says how one with them is built."""
    views = schema.views_of(missing)
    kind, advice = InputError, 'Build it again'
    if views and release in (schema.IMAGE_FOLDER, schema.FLOW_IMAGES):
        kind = NeverBuiltError
    if views and release == schema.IMAGE_FOLDER:
        advice = (
            'It was made of a folder of pictures, each of which is a face by itself, without an onset and '
            'without frames: no build gives it more. Train a system that reads apex_face or apex_face_grey '
            'on it, or build clips from a release that has their frames'
        )
    elif views and release == schema.FLOW_IMAGES:
        advice = (
            'It was made of flow images, which come without frames: no build gives it more. Train a system '
            'that reads flow on it, or build clips from a release that has their frames'
        )
    elif views == [schema.WINDOWS]:
        advice = 'Windows are of a folder of long videos: `python -m data_prep windows --source DIR ...`'
    elif views:
        advice += f', with `python -m data_prep build --view {" ".join(views)} ...`'
    return kind(
        f'the dataset {folder} lacks {", ".join(missing)}; it has {", ".join(sorted(there))}. {advice}'
    )


def _form(feature: feature_pb2.Feature, key: str, folder: pathlib.Path) -> Form:
    """What a feature of an input says of each clip."""
    kind = feature.WhichOneof('content')
    length = ()
    if kind == 'sequence':
        length, feature = (feature.sequence.length,), feature.sequence.feature
        kind = feature.WhichOneof('content')
    content = getattr(feature, kind)
    shape = (*length, *content.shape.dimensions) if kind in ('image', 'tensor') else ()
    dtype = content.dtype if shape else kind
    picture = kind == 'image' and dtype == 'uint8' and content.encoding_format == 'png'
    picture = picture and len(shape) == 3 + len(length) and shape[-1] in _COLOURS
    numbers = kind == 'tensor' and not length and dtype in _NUMBERS
    most = _LONGEST if len(shape) == 1 else _LARGEST
    if not (picture or numbers) or not all(0 < edge <= most for edge in shape):
        raise InputError(
            f'{key} of the dataset {folder} is {dtype} {shape}; expected uint8 (height, width, 3 or 1) as '
            f'PNG, a fixed number of these, or numbers of a fixed shape. '
            f'Build it with --view {schema.view_of(key) or "flow"}'
        )
    return Form(shape, dtype, math.prod(length) if picture else 0)


def _measures(
    features: Mapping[str, feature_pb2.Feature], inputs: Sequence[str], folder: pathlib.Path
) -> dict[str, tuple[int, ...]]:
    """The measures that are there, of those that the schema has for some inputs."""
    found = {key: shape for key, shape in schema.measures_of(inputs).items() if key in features}
    for key, shape in found.items():
        tensor = features[key].tensor
        if (tensor.dtype, tuple(tensor.shape.dimensions)) != ('float32', shape):
            raise _broken(folder, f'{key} is {tensor.dtype} {tuple(tensor.shape.dimensions)}')
    return found


def _feature(form: Form) -> tfds.features.FeatureConnector:
    """A feature that gives numbers, or PNGs as they are stored."""
    if not form.pictures:
        return tfds.features.Tensor(shape=form.shape, dtype=np.dtype(form.dtype))
    png = tfds.features.Text()
    return png if len(form.shape) == 3 else tfds.features.Sequence(png, length=form.pictures)


def _decoded(stored: Any, form: Form, picture: tfds.features.Image) -> np.ndarray:
    """The pictures of a clip, from their PNGs."""
    several = [stored] if len(form.shape) == 3 else list(stored)
    if len(several) != form.pictures:
        raise ValueError(f'{len(several)} pictures instead of {form.pictures}')
    for content in several:
        _check_png(content, picture.shape)
    decoded = np.stack([picture.decode_example_np(content) for content in several])
    return decoded.reshape(form.shape)


def _labels(feature: feature_pb2.Feature, folder: pathlib.Path) -> tuple[str, ...]:
    if feature.WhichOneof('content') != 'class_label':
        raise _broken(folder, f'{schema.LABEL} is no class')
    try:
        labels = tuple(_read(folder, _LABELS).decode().splitlines())
    except UnicodeDecodeError as error:
        raise _broken(folder, f'{_LABELS}: {error}') from error
    fault = names.fault_of_classes(labels)
    if fault is None and len(labels) != feature.class_label.num_classes:
        fault = f'{len(labels)} classes have names, and {feature.class_label.num_classes} are declared'
    if fault is None and set(labels) == set(schema.LABELS) and labels != schema.LABELS:
        fault = f'expected in the order of the challenge, {", ".join(schema.LABELS)}'
    if fault:
        raise InputError(f'the labels of the dataset {folder}, {_LABELS}: {fault}. Build it again')
    return labels


def _metadata(folder: pathlib.Path) -> dict[str, Any]:
    metadata = _json(folder, _METADATA)
    regions = metadata.get('regions', {})
    texts = [metadata.get('release', ''), metadata.get('flow_puzzled', '')]
    texts += [regions.get('pair', '')] if isinstance(regions, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise _broken(
            folder,
            f"{_METADATA}: expected texts as 'release' and 'flow_puzzled', and 'regions' with a text 'pair'",
        )
    return metadata


def _shards(info: dataset_info_pb2.DatasetInfo, folder: pathlib.Path) -> tuple[tuple[pathlib.Path, int], ...]:
    """The files that hold the clips, which must be those that TFDS names by default."""
    splits = [split for split in info.splits if split.name == schema.SPLIT]
    lengths = list(splits[0].shard_lengths) if len(splits) == 1 else []
    if not any(lengths):
        raise InputError(f'the dataset {folder} holds no clips: its build was cut off. Build it again')
    if info.file_format != _FORMAT or not re.fullmatch(r'\w{1,100}', info.name, re.ASCII):
        raise _broken(folder, f'{INFO}: name {info.name[:100]!r}, format {info.file_format!r}')
    if splits[0].filepath_template not in ('', _TEMPLATE):
        raise InputError(
            f'{folder / INFO} has shards by the name {splits[0].filepath_template[:100]!r}; expected '
            f'{_TEMPLATE!r}, in its own folder. Build it again'
        )
    if len(lengths) > _MOST_SHARDS or min(lengths) < 0:
        raise _broken(folder, f'{INFO}: {len(lengths)} shards of {min(lengths)} clips and more')
    paths = []
    for index in range(len(lengths)):
        name = f'{info.name}-{schema.SPLIT}.{_FORMAT}-{index:05}-of-{len(lengths):05}'
        try:
            path = _own_file(folder, name)
            files.open_regular(path, 'file').close()
        except InputError as error:
            raise _unreadable(folder, error) from error
        paths.append(path)
    return tuple(zip(paths, lengths, strict=True))


def _check_png(content: bytes, shape: tuple[int, int, int]) -> None:
    """Raises ValueError unless a picture is said to be a PNG of this shape: before it is unpacked."""
    width, height = (int.from_bytes(content[start : start + 4], 'big') for start in (16, 20))
    if content[:16] != _PNG or tuple(content[24:26]) != (8, _COLOURS[shape[2]]):
        raise ValueError(f'a picture is no PNG of 8-bit {"RGB" if shape[2] == 3 else "grey"}')
    if (height, width) != shape[:2]:
        raise ValueError(f'a picture has {width}x{height} pixels instead of {shape[1]}x{shape[0]}')
