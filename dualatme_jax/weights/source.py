"""The folder with a file of weights for each left-out subject, as somebody's training program left it."""

import collections
import json
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dualatme_jax import models
from dualatme_jax.data.names import fault_of_name
from dualatme_jax.errors import InputError
from dualatme_jax.weights import names
from dualatme_jax.weights.folds import START, Folds
from dualatme_jax.weights.reader import ENDINGS, Read, Reader

# What programs write around a subject's name. No number of a fold: it would pass for a subject's.
_AROUND = 'model|weights?|net|network|checkpoint|ckpt|state_dict|best|last|final|subject'
_SHOWN = 5  # files that a line names


def read_folds(
    source: pathlib.Path, model: str, variant: str | None, scratch: pathlib.Path
) -> tuple[Folds, list[str]]:
    """Reads a folder with a file for each left-out subject, such as `006.pth`.

    Args:
      source: the folder.
      model: a key of `models.SYSTEMS`.
      variant: one that it has; None for the one whose tensors these are.
      scratch: an empty folder with room for all tensors.

    Returns:
      The networks; and what was done to the files, and which were not taken, one line each.

    Raises:
      InputError: no such files, one that cannot be read, is of another model, has numbers that are not
        finite, or other classes, variant or counters than the rest.
    """
    system = models.system(model)
    if variant is not None and variant not in system.variants:
        raise InputError(f'unknown variant {variant!r}: {model} has {", ".join(map(repr, system.variants))}')
    subjects, notes = _subjects(source, model)
    paths = list(subjects.values())
    reader = Reader(paths, _first_parts(model), scratch)
    done = collections.defaultdict(list)
    variables, start = None, None
    for place, path in enumerate(paths):
        read = reader[place]
        if place and _start(path, read) != start:
            raise InputError(
                f'{path}: it and {paths[0].name} did not start from the same weights, or only one of them '
                'did; expected all files to be of one run'
            )
        if place == 0:
            start = _start(path, read)
            classes = names.classes_of(model, read.tensors)
            variant = variant or _variant(model, classes, read, notes)
        try:
            network = names.from_torch(model, variant, classes, read.tensors)
        except InputError as error:
            raise InputError(f'{path}: {error}') from error
        left = read.tensors.keys() - names.read(model, variant, read.tensors).keys()
        for note in read.notes + ([_left_out(left)] if left else []):
            done[note].append(path.name)
        if variables is None:
            variables = jax.tree.map(lambda leaf: np.empty((len(paths), *leaf.shape), leaf.dtype), network)
        if jax.tree.structure(network) != jax.tree.structure(variables):
            raise InputError(
                f'{path}: of it and {paths[0].name} only one counts batches in every num_batches_tracked; '
                'expected all files to be saved by the same program'
            )
        for stacked, leaf in zip(jax.tree.leaves(variables), jax.tree.leaves(network), strict=True):
            stacked[place] = leaf
    notes += [f'{_of(given, len(paths))}: {note}' for note, given in done.items()]
    return Folds(model, variant, classes, tuple(subjects), variables, start), notes


def read_file(path: pathlib.Path, model: str, scratch: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of one file by PyTorch's names; see `read_folds`, but nothing has to fit.

    Raises:
      InputError: it cannot be read, or is no file of weights.
    """
    return Reader([path], _first_parts(model), scratch)[0].tensors


def _first_parts(model: str) -> set[str]:
    """The first parts of the names of a model's tensors, which no wrapper has put there."""
    system = models.system(model)
    layers = (*system.torch_layers, *system.torch_unread, *system.torch_backbone.values())
    return {layer.partition('.')[0] for layer in layers}


def _subjects(source: pathlib.Path, model: str) -> tuple[dict[str, pathlib.Path], list[str]]:
    """Subject -> its file, in the order of their names; and notes on what was not taken, and on names."""
    if not source.is_dir():
        raise InputError(f'--source {source} is not a folder: expected the one with the files of weights')
    try:
        there = sorted(source.iterdir())
    except OSError as error:
        raise InputError(f'--source {source}: cannot be read: {error.strerror or error}') from error
    subjects, shortened, skipped = {}, [], collections.defaultdict(list)
    around = f'{_AROUND}|{re.escape(model).replace("_", "[-_]?")}'
    for path in there:
        ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
        # Hidden files are the file manager's: macOS puts a `._name` beside every file that it packs.
        if path.name.startswith('.') or not ending:
            reason = (
                'hidden' if path.name.startswith('.') else 'a folder' if path.is_dir() else 'another ending'
            )
            skipped[reason].append(path.name)
            continue
        stem = path.name[: -len(ending)]
        subject = re.sub(rf'^(?:(?:{around})[-_])+|(?:[-_](?:{around}))+$', '', stem, flags=re.IGNORECASE)
        if fault := fault_of_name(subject):
            raise InputError(
                f'{path}: its name is to be that of a subject, and {subject!r} {fault}; rename it'
            )
        if subject in subjects:
            raise InputError(
                f'{source}: both {subjects[subject].name} and {path.name} are of the subject {subject!r}; '
                'leave one of them in this folder'
            )
        subjects[subject] = path
        if subject != stem:
            shortened.append(f'{path.name} is of {subject}')
    notes = [f'not taken, {reason}: {_listed(found)}' for reason, found in skipped.items()]
    if not subjects:
        raise InputError(
            f'no file of weights in {source} ({", ".join(ENDINGS)}); expected one for each left-out subject, '
            f'such as sub01.pth{"".join(f"{chr(10)}  {note}" for note in notes)}'
        )
    return subjects, notes + ([f'{_listed(shortened)}'] if shortened else [])


def _variant(model: str, classes: int, first, notes: list[str]) -> str:
    """The variant of a file; says how it is known where that is not plain."""
    system = models.system(model)
    fits = names.variants(model, classes, first.tensors)
    said = first.origin.get('variant')
    if said in fits:
        return said
    chosen = system.published if system.published in fits or not fits else fits[0]
    if others := [variant for variant in fits if variant != chosen]:
        notes.append(
            f'taken for the variant {chosen}, which the published PyTorch code computes; '
            f'{" and ".join(others)} has the same tensors: if these are of it, say --variant={others[0]}'
        )
    return chosen


def _start(path: pathlib.Path, read: Read) -> Mapping[str, Any] | None:
    """What the networks of a run started from, as `convert --to-torch` writes it into its files."""
    if (said := read.origin.get(START)) is None:
        return None
    try:
        found = json.loads(said)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f'{path} says in no known form what it started from ({error}); take it anew'
        ) from error
    if not isinstance(found, dict):
        raise InputError(f'{path} says in no known form what it started from; take it anew')
    return found


def _left_out(tensors: Iterable[str]) -> str:
    layers = sorted({name.rpartition('.')[0] for name in tensors})
    return f'left out what no forward pass reads: {", ".join(layers)}'


def _of(given: Sequence[str], count: int) -> str:
    if len(given) == count:
        return f'all {count} files' if count > 1 else given[0]
    return f'{len(given)} of {count} files ({_listed(given)})'


def _listed(found: Sequence[str]) -> str:
    more = f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''
    return f'{", ".join(found[:_SHOWN])}{more}'
