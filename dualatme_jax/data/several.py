"""Several datasets as one: the clips of all, with the classes that all of them have.

What each gave, and what a reader should know of the sum, stands in the metadata, by `DATASETS` and `NOTES`.
"""

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.data.dataset import Dataset, hash_input, order_of, some
from dualatme_jax.errors import InputError, printable
from dualatme_jax.machines import host_memory

DATASETS, NOTES = 'datasets', 'notes'

# In the metadata, what says which clips there are, and not how their inputs were made.
_OF_CLIPS = (
    'release',
    'synthetic',
    'sheets',
    'list',
    'table',
    'errata',
    'labels',
    'protocol',
    'apex_tables',
    'exclusions',
    'skipped',
    'padded',
    'seed',  # of synthetic motions, as are the two below
    'statistics',
    'combinations',
    schema.LEAKS,
)
_NOT_STATED = 'not stated'


def paths_of(text: str) -> list[str]:
    """The folders that a text names, with commas between; one that exists by the whole name is that one.

    Raises:
      InputError: a name between commas is empty.
    """
    if ',' not in text or _exists(text):
        return [text]
    found = [part.strip() for part in text.split(',')]
    if not all(found):
        raise InputError(f'config.data.path is {text!r}, with nothing beside a comma; expected FOLDER,FOLDER')
    return found


def _exists(text: str) -> bool:
    try:
        return pathlib.Path(text).expanduser().exists()
    except (OSError, RuntimeError):  # too long for one path, or of nobody's home folder
        return False


def together(datasets: Sequence[Dataset], paths: Sequence[str], databases: Sequence[str] = ()) -> Dataset:
    """Several datasets as one.

    The classes are those that all have, by name in any case, in the order and spelling of the first; the
    challenge's three, if it is those, in the challenge's order. Clips of other classes are left out. Who has
    one name in one database is one person, in whichever datasets.

    Args:
      datasets: two or more, with the same inputs.
      paths: what to call each.
      databases: which to keep, each of which must have clips somewhere; none named: all.

    Raises:
      InputError: inputs of different shapes or types, fewer than two classes in common, a dataset of which no
        clip is left, a clip that is in two of them, or no memory for all.
    """
    _check_inputs(datasets, paths)
    labels = _shared(datasets, paths)
    _check_databases(datasets, databases)
    chosen = [_of_databases(own, databases, path) for own, path in zip(datasets, paths, strict=True)]
    kept = [_of_classes(own, labels, path) for own, path in zip(chosen, paths, strict=True)]
    _check_memory(kept, paths)
    subjects, notes = _one_spelling(kept, paths)
    kept = [dataclasses.replace(own, subject=names) for own, names in zip(kept, subjects, strict=True)]
    _check_once(kept, paths)
    notes += _recipes(chosen, paths)
    texts = ('database', 'subject', 'clip')
    clips = zip(
        *(np.concatenate([getattr(own, name) for own in kept]).tolist() for name in texts), strict=True
    )
    keys = [order_of(*clip) for clip in clips]
    place = np.empty(len(keys), int)  # of each clip among all
    place[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return Dataset(
        inputs={key: _joined([own.inputs[key] for own in kept], place) for key in kept[0].inputs},
        **{name: _joined([getattr(own, name) for own in kept], place) for name in ('label', *texts)},
        labels=labels,
        metadata=_metadata(chosen, kept, paths, notes),
        measures={
            key: _joined([own.measures[key] for own in kept], place)
            for key in kept[0].measures
            if all(key in own.measures for own in kept)
        },
    )


def _joined(arrays: Sequence[np.ndarray], place: np.ndarray) -> np.ndarray:
    """Arrays [N_i, ...] as one, [N, ...], each clip at its place among all; with one copy."""
    dtype = np.result_type(*arrays)  # the longest of texts
    whole = np.empty((len(place), *arrays[0].shape[1:]), dtype)
    start = 0
    for array in arrays:
        whole[place[start : start + len(array)]] = array
        start += len(array)
    return whole


def lines(dataset: Dataset) -> list[str]:
    """What there is to say of a dataset that is made of several; nothing of any other."""
    own = dataset.metadata.get(DATASETS)
    if not own:
        return []
    found = [f'{len(own)} datasets; the classes that all of them have: {", ".join(dataset.labels)}']
    for part in own:
        left = ', '.join(f'{count} {name}' for name, count in part['left_out'].items())
        found.append(
            f'{part["path"]}: {part["clips"]} clips of {part["subjects"]} subjects'
            + (f'; left out, of other classes: {left}' if left else '')
        )
    return [printable(line) for line in [*found, *dataset.metadata[NOTES]]]


def drawn_among_real(dataset: Dataset) -> str:
    """What must stand beside scores of real clips and drawn (synthetic) ones; empty where all are alike."""
    whole = {'path': 'the dataset', 'databases': dataset.database.tolist(), 'recipe': dataset.metadata}
    drawn, real = [], False
    for part in dataset.metadata.get(DATASETS) or [whole]:
        recipe = part['recipe']
        every = {*part['databases']}
        own = (
            every if recipe.get('release') == schema.SYNTHETIC else every & {*(recipe.get('synthetic') or ())}
        )
        real |= own < every
        if own:
            drawn.append(f'{", ".join(names.known_first(list(own)))} of {part["path"]}')
    if not drawn or not real:
        return ''
    return printable(f'{schema.AMONG_REAL}: {"; ".join(drawn)}: no score of real faces alone')


def databases_of(dataset: Dataset) -> dict[str, list[str]]:
    """Path -> databases of each of several datasets that shares none with another."""
    own = {part['path']: part['databases'] for part in dataset.metadata.get(DATASETS, [])}
    count = collections.Counter(name for databases in own.values() for name in databases)
    return {path: names for path, names in own.items() if all(count[name] == 1 for name in names)}


def _check_inputs(datasets: Sequence[Dataset], paths: Sequence[str]) -> None:
    """Raises InputError unless the inputs of all have the shape and type of the first one's."""
    first = datasets[0].inputs
    for dataset, path in zip(datasets, paths, strict=True):
        if first.keys() != dataset.inputs.keys():
            raise InputError(
                f'{path} gives {", ".join(dataset.inputs)}, and {paths[0]} {", ".join(first)}; load both '
                'with the same reads'
            )
        for key, array in dataset.inputs.items():
            here, there = ((each.dtype.name, each.shape[1:]) for each in (first[key], array))
            if here != there:
                raise InputError(
                    f'{key} is {here[0]} {here[1]} in {paths[0]}, and {there[0]} {there[1]} in {path}; one '
                    'network reads both: build one of them again, with the --size, --face-size, '
                    '--frame-count, --frame-size and --encoding of the other'
                )


def _shared(datasets: Sequence[Dataset], paths: Sequence[str]) -> tuple[str, ...]:
    """The classes that all have."""
    others = [{label.lower() for label in dataset.labels} for dataset in datasets[1:]]
    found = tuple(label for label in datasets[0].labels if all(label.lower() in own for own in others))
    if {label.lower() for label in found} == {*schema.LABELS}:
        found = schema.LABELS
    there = '; '.join(
        f'{path} has {", ".join(own.labels)}' for path, own in zip(paths, datasets, strict=True)
    )
    if len(found) < 2:
        raise InputError(
            f'the datasets share {f"only the class {found[0]}" if found else "no class"}, and two are '
            f'needed: {there}. Build them with one set of labels, such as --protocol 3class'
        )
    if fault := names.fault_of_classes(found):
        raise InputError(f'the classes that the datasets share: {fault}. They are: {there}')
    return found


def _check_databases(datasets: Sequence[Dataset], databases: Sequence[str]) -> None:
    there = names.known_first([str(name) for dataset in datasets for name in set(dataset.database)])
    if missing := [name for name in databases if name not in there]:
        raise InputError(
            f'config.data.databases is {tuple(databases)}, and no dataset has clips of '
            f'{", ".join(map(repr, missing))}. They have {", ".join(there)}; take all by '
            '--config.data.databases="()"'
        )


def _of_databases(dataset: Dataset, databases: Sequence[str], path: str) -> Dataset:
    """The clips of some databases; of all, if none is named."""
    clips = np.isin(dataset.database, databases) if databases else np.ones(dataset.size, bool)
    if not clips.any():
        own = tuple(names.known_first(dataset.database.tolist()))
        raise InputError(
            f'config.data.databases is {tuple(databases)}, and {path} has none of them, but '
            f'{", ".join(own)}. Take all by --config.data.databases="()", or name them by '
            f'--config.data.databases="{(*databases, *own)}", or leave that folder out'
        )
    return _some(dataset, clips)


def _of_classes(dataset: Dataset, labels: Sequence[str], path: str) -> Dataset:
    """The clips of some classes, each numbered by its place in `labels`."""
    place = {label.lower(): number for number, label in enumerate(labels)}
    number = np.array([place.get(label.lower(), -1) for label in dataset.labels], np.int32)[dataset.label]
    clips = number >= 0
    if not clips.any():
        raise InputError(
            f'{path} has no clip of {", ".join(labels)}, which are the classes that all datasets have; leave '
            'it out, or build it with the labels of the others'
        )
    return dataclasses.replace(_some(dataset, clips), label=number[clips], labels=tuple(labels))


def _check_memory(datasets: Sequence[Dataset], paths: Sequence[str]) -> None:
    """Raises InputError where one more copy of all inputs does not fit."""
    needed = sum(array.nbytes for own in datasets for array in own.inputs.values())
    if needed > (free := host_memory.free()):
        raise InputError(
            f'the inputs of {" and ".join(paths)} take {needed / 2**30:.1f} GiB once more where they are put '
            f'together, and {free / 2**30:.1f} GiB of memory are free; leave out databases '
            '(config.data.databases), or build them with a smaller --size'
        )


def _some(dataset: Dataset, clips: np.ndarray) -> Dataset:
    """The clips of a mask, [N]; nothing is copied where that is all of them."""
    if clips.all():
        return dataset
    own = {name: getattr(dataset, name)[clips] for name in ('label', 'database', 'subject', 'clip')}
    inputs, measures = (
        {key: array[clips] for key, array in part.items()} for part in (dataset.inputs, dataset.measures)
    )
    return dataclasses.replace(dataset, inputs=inputs, measures=measures, **own)


def _one_spelling(datasets: Sequence[Dataset], paths: Sequence[str]) -> tuple[list[np.ndarray], list[str]]:
    """The subjects of each, a person by one name in all, and notes on who is in several."""
    spelt: dict[tuple[str, str], tuple[str, str]] = {}  # person -> name and path, where it was first
    common, subjects = collections.defaultdict(dict), []
    for dataset, path in zip(datasets, paths, strict=True):
        pairs = list(zip(dataset.database.tolist(), dataset.subject.tolist(), strict=True))
        for database, subject in sorted(set(pairs)):
            person = (database, schema.released(database, subject))
            name, first = spelt.setdefault(person, (subject, path))
            if first != path:
                common[first, path][f'{database}/{name}'] = None
        own = [spelt[database, schema.released(database, subject)][0] for database, subject in pairs]
        subjects.append(np.array(own))
    return subjects, [
        f'{first} and {path} have clips of the same {len(people)} subjects, each of whom is one person: '
        f'{some(list(people))}'
        for (first, path), people in common.items()
    ]


def _check_once(datasets: Sequence[Dataset], paths: Sequence[str]) -> None:
    """Raises InputError where a clip is in two datasets, by its name, or with the very same inputs."""
    named: dict[str, str] = {}
    seen: dict[bytes, tuple[str, str]] = {}
    for dataset, path in zip(datasets, paths, strict=True):
        own = [f'{subject}/{clip}' for subject, clip in zip(dataset.subjects, dataset.clip, strict=True)]
        if twice := [name for name in own if name in named]:
            raise InputError(
                f'{named[twice[0]]} and {path} both have {len(twice)} clips: {some(twice)}. A clip is '
                'trained on once: leave one of the folders out, or build it without that database'
            )
        digests = [_digest(dataset, clip) for clip in range(dataset.size)]
        same = [(name, *seen[digest]) for name, digest in zip(own, digests, strict=True) if digest in seen]
        if same:
            shown = some([f'{name} is {other}' for name, other, _ in same])
            raise InputError(
                f'{len(same)} clips of {path} have the very inputs of clips of {same[0][2]}, under other '
                f'names: {shown}. A person who is trained on under one name would be tested under the other: '
                'leave one of the folders out, or build it without that database'
            )
        named |= dict.fromkeys(own, path)
        seen |= {digest: (name, path) for name, digest in zip(own, digests, strict=True) if digest}


def _digest(dataset: Dataset, clip: int) -> bytes:
    """Of the inputs of a clip; empty where all are constant, as of a face that does not move."""
    own = {key: array[clip] for key, array in dataset.inputs.items()}
    if all((array == array.flat[0]).all() for array in own.values()):
        return b''
    digest = hashlib.sha256()
    for key, array in sorted(own.items()):
        hash_input(digest, key, array)
    return digest.digest()


def _recipes(datasets: Sequence[Dataset], paths: Sequence[str]) -> list[str]:
    """Notes on inputs that were made in different ways."""
    found = []
    first = dict(_leaves(datasets[0]))
    for dataset, path in zip(datasets[1:], paths[1:], strict=True):
        own = dict(_leaves(dataset))
        differing = [
            f'{key} {_short(first.get(key))} and {_short(own.get(key))}'
            for key in dict.fromkeys([*first, *own])
            if first.get(key) != own.get(key)
        ]
        if differing:
            found.append(f'inputs of {paths[0]} and {path} were made in different ways: {some(differing)}')
    return found


def _leaves(dataset: Dataset) -> Iterator[tuple[str, Any]]:
    """Dotted name -> value of how the inputs were made; what is said by database, without the databases.

    What views say, which `data_prep` writes last, comes first.
    """
    databases = {*dataset.database.tolist()}
    pending = [(key, value) for key, value in dataset.metadata.items() if key not in _OF_CLIPS][::-1]
    while pending:
        key, value = pending.pop(0)
        if key.endswith('.sha256'):  # of a file by clips, such as landmarks
            continue
        if not isinstance(value, Mapping):
            yield key, value
        elif value and value.keys() <= databases:
            ways = [way for name, way in value.items() if name in databases]
            alike = [way for place, way in enumerate(ways) if way not in ways[:place]]
            pending = [(key, alike[0] if len(alike) == 1 else alike), *pending]
        else:
            pending = [*((f'{key}.{inner}', way) for inner, way in value.items()), *pending]


def _short(value: Any) -> str:
    text = _NOT_STATED if value is None else str(value)
    return text if len(text) <= 40 else f'{text[:40]}...'


def _metadata(
    chosen: Sequence[Dataset], kept: Sequence[Dataset], paths: Sequence[str], notes: Sequence[str]
) -> dict[str, Any]:
    """The recipe of all: what is the same, and under `DATASETS` that of each."""
    recipes = [dataset.metadata for dataset in chosen]
    found = {
        key: value for key, value in recipes[0].items() if all(own.get(key) == value for own in recipes[1:])
    }
    units = [dataset.motion_unit for dataset in chosen]
    if units[0] and all(unit == units[0] for unit in units):  # however motion was computed
        found['flow'] = found.get('flow', {}) | units[0]
    found['release'] = _all(own.get('release', schema.UNKNOWN_TEXT) for own in recipes)
    found['synthetic'] = [
        name
        for dataset in chosen
        if dataset.synthetic
        for name in dataset.metadata.get('synthetic') or [schema.SYNTHETIC]
    ]
    leaks = [own.get(schema.LEAKS) or {} for own in recipes]
    found[schema.LEAKS] = {
        key: _all((own[key] for own in leaks if key in own), ' and ')
        for key in dict.fromkeys(key for own in leaks for key in own)
    }
    if schema.FLOW_PUZZLED in kept[0].inputs:
        found.setdefault('regions', {'pair': _all(dataset.regions for dataset in chosen)})
        found[schema.FLOW_PUZZLED] = _all(
            own.get(schema.FLOW_PUZZLED, schema.UNKNOWN_TEXT) for own in recipes
        )
    parts = [
        {
            'path': path,
            'databases': names.known_first(own.database.tolist()),
            'clips': own.size,
            'subjects': len(set(own.subjects)),
            'left_out': _left_out(dataset, own.labels),
            'recipe': dataset.metadata,
        }
        for dataset, own, path in zip(chosen, kept, paths, strict=True)
    ]
    return found | {NOTES: list(notes), DATASETS: parts}


def _all(texts: Iterable[str], mark: str = ' + ') -> str:
    """The texts, each once."""
    return mark.join(dict.fromkeys(texts))


def _left_out(dataset: Dataset, labels: Sequence[str]) -> dict[str, int]:
    """Class -> clips of it, of the classes that are none of `labels`."""
    shared = {label.lower() for label in labels}
    counts = np.bincount(dataset.label, minlength=len(dataset.labels)).tolist()
    return {
        label: count
        for label, count in zip(dataset.labels, counts, strict=True)
        if count and label.lower() not in shared
    }
