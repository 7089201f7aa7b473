"""`network/`: what a run leaves that leaves nobody out, for clips that nobody has seen.

config.json     What a prediction needs to know, see `Network`:
                config      every field of the run
                labels      the classes, in the order of the logits
                inputs      key -> shape and dtype of what the networks read of one clip, as it is stored;
                            `config.input` says how it is encoded (see `encoding.encoded`) and scaled; if
                            that depends on clips, `scaling` has mean and maximum of those that were trained
                            on
                dataset     by which recipe data_prep made the clips, to make new ones alike
                frame_rates the least and the largest of the clips, if they are known
                trained_on  the subjects that were trained on, by database
                stages      name and version of the frozen stage that makes inputs, if the system has one
                start       the weights that the training started from, and whom these had seen, if any
                seeds       of the networks
                rates       how often their answers were right on people never seen, if `export` counted it
weights/        Orbax: `params` and `batch_stats`, each leaf [seeds, ...], in the order of the seeds
checksums.json  SHA-256 of all of it; where it is missing, the folder is not whole
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy
from flax import traverse_util
from ml_collections import ConfigDict

from dualatme_jax import files, schema
from dualatme_jax.data import several
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.machines import processes
from dualatme_jax.report.rates import Rates
from dualatme_jax.run import fields, workdir
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.sources import FILE, START, TRAINED_ON, Person, Source, SourceNetwork, people_in
from dualatme_jax.run.trial_table import DONE
from dualatme_jax.training import scaling, start
from dualatme_jax.training.checkpoint import load_weights, save_weights

SUFFIX = '.safetensors'  # of a file that `write` writes

_MOST_BYTES = 2**26  # of its config.json
_MOST_FILE = 2**28
_METADATA = 'dualatme_jax'
RATES = 'rates'


@dataclasses.dataclass(frozen=True)
class Network:
    """The networks of a run that left nobody out.

    Attributes:
      config: every field of the run.
      labels: the classes, in the order of the logits.
      inputs: key -> `shape` and `dtype` of what they read of one clip, as it is stored; perhaps `scaling`.
      dataset: the recipe by which the clips were made.
      frame_rates: the least and the largest of the clips; None where they are not known.
      trained_on: what `sources.trained_on` says of whom they have seen.
      stages: name and version of the frozen stage that makes inputs, see `stages.applied`.
      start: what `init_from.Beginning.about` says of the weights that they started from; None without any.
      seeds: of the networks.
      variables: `params` and `batch_stats`, each leaf [seeds, ...].
      rates: how often their answers were right, see `report.rates`; None where nobody knows.
    """

    config: ConfigDict
    labels: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, Any]]
    dataset: Mapping[str, Any]
    trained_on: Mapping[str, Any]
    stages: tuple[str, ...]
    start: Mapping[str, Any] | None
    seeds: tuple[int, ...]
    variables: Mapping[str, Any]
    frame_rates: Sequence[float] | None = None
    rates: Rates | None = None


def save(
    table: pd.DataFrame, config: ConfigDict, dataset: Dataset, kept: Kept, identity: Mapping[str, Any]
) -> pathlib.Path | None:
    """Writes the networks of the seeds that are trained; called by every process of a run.

    Args:
      table: the table of trials.
      config: of the run, without a sweep.
      dataset: the clips.
      kept: what the waves left, in a workdir.
      identity: of the run, as its workdir has it.

    Those that an earlier process wrote are taken as they are, unless the run has grown since.

    Returns:
      The folder; None where no seed is trained.

    Raises:
      InputError: what an earlier process left there is not as it was written.
    """
    done = table[table['status'] == DONE]
    folder = kept.folder / workdir.NETWORK
    if processes.agreed((folder / files.CHECKSUMS).exists()):  # by an earlier process
        try:
            files.check_checksums(folder, 'networks')
        except InputError as error:
            raise InputError(
                f'{error}; delete {folder}, and the same command writes it anew from {workdir.WAVES}/'
            ) from error
        if not processes.agreed(_has_grown(folder, done['seed'].tolist(), config)):
            return folder
    if done.empty:
        return None
    by_clips = scaling.of_clips(dataset, config.input.scale)
    numbers = by_clips(np.ones(dataset.size, bool)) if by_clips else {}
    about = {
        'config': json.loads(config.to_json()),
        'labels': list(dataset.labels),
        'inputs': {
            key: form | ({'scaling': numbers[key].tolist()} if key in numbers else {})
            for key, form in dataset.forms.items()
        },
        'dataset': dataset.metadata,
        'frame_rates': dataset.frame_rates,
        TRAINED_ON: identity[TRAINED_ON],
        'stages': identity.get('stages', []),
        START: identity.get(START),
        'seeds': done['seed'].tolist(),
    }
    variables = kept.variables(table, done['trial'])
    if processes.is_first():
        folder.mkdir(exist_ok=True)
        (folder / files.CHECKSUMS).unlink(missing_ok=True)  # without them it is not whole
    save_weights(folder / workdir.WEIGHTS, variables)
    if processes.is_first():
        with files.replacing(folder / workdir.CONFIG) as temporary:
            temporary.write_text(json.dumps(about, indent=2) + '\n')
        files.write_checksums(folder)
    return folder


def _has_grown(folder: pathlib.Path, seeds: Sequence[int], config: ConfigDict) -> bool:
    """Whether the networks of a folder are those of other seeds or epochs, of which there are some."""
    there = about(folder)
    return bool(seeds) and (there['seeds'], there['config']['training']['epochs']) != (
        seeds,
        config.training.epochs,
    )


def is_one(path: pathlib.Path) -> bool:
    """Whether networks that left nobody out lie in a folder, in `network/` below it, or in a file of them."""
    if path.is_file():
        return path.suffix == SUFFIX and _header(path) is not None
    folder = _folder(path)
    return (folder / files.CHECKSUMS).is_file() and (folder / workdir.CONFIG).is_file()


def about(path: str | os.PathLike) -> dict[str, Any]:
    """The config.json of what `save` or `write` wrote; `path` may be the workdir.

    Raises:
      InputError: there are no such networks, or they are not as they were written.
    """
    path = files.expanded(path, 'the networks')
    if path.is_file():
        where, content = path, _header(path)
        if content is None:
            raise InputError(f'{path} holds no networks that `python -m dualatme_jax.export` wrote')
    else:
        folder = _folder(path)
        if not (folder / files.CHECKSUMS).is_file():
            raise InputError(
                f'no networks in {folder} (no {files.CHECKSUMS}); expected the folder {workdir.NETWORK}/ of '
                "a run with config.folds = 'all', or its workdir"
            )
        files.check_checksums(folder, 'networks')
        where = folder / workdir.CONFIG
        content = files.read_bytes(where, limit=_MOST_BYTES, what='config of the networks')
    try:
        found = json.loads(content)
        found['config']['model']['name'], found[TRAINED_ON].get('subjects'), found[START]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f'{where} does not describe networks ({error!r})') from error
    return found


def load(path: str | os.PathLike) -> Network:
    """Reads what `save` or `write` wrote; `path` may be the workdir.

    Raises:
      InputError: there are no such networks, or they are not as they were written.
    """
    found, path = about(path), files.expanded(path, 'the networks')
    try:
        return Network(
            config=config_of(found['config']),
            labels=tuple(found['labels']),
            inputs=dict(found['inputs']),
            dataset=dict(found['dataset']),
            frame_rates=found.get('frame_rates'),
            trained_on=dict(found[TRAINED_ON]),
            stages=tuple(found['stages']),
            start=found[START],
            seeds=tuple(found['seeds']),
            variables=_of_file(path) if path.is_file() else load_weights(_folder(path) / workdir.WEIGHTS),
            rates=Rates.of_json(found[RATES]) if found.get(RATES) else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path} does not describe networks ({error!r})') from error


def seen_by(found: Network, scored: Dataset | None = None) -> frozenset[Person]:
    """Whom networks have seen, in all trainings.

    Args:
      found: the networks.
      scored: of whose people to say it; None: of anybody. Where all of them are real, and all that the
        networks were trained on are drawn, or the other way round, they are others of the same names.
    """
    trained, before = (
        people_in((own or {}).get('subjects') or {}) for own in (found.trained_on, found.start)
    )
    if scored is not None:
        ours = _drawn(scored.metadata, {*scored.database.tolist()})
        theirs = _drawn(found.dataset, {database for database, _ in trained})
        if {ours, theirs} == {True, False}:
            return before
    return before | trained


def _drawn(recipe: Mapping[str, Any], databases: set[str]) -> bool | None:
    """Whether the people of a dataset are drawn: all, or none; None where only some may be."""
    some = recipe.get('synthetic') or ()
    if recipe.get('release') == schema.SYNTHETIC:
        return True
    if not some:
        return False
    # Datasets that were put together may have a database from a drawn one and from a real one.
    return True if several.DATASETS not in recipe and databases <= {*some} else None


def as_source(path: pathlib.Path) -> Source:
    """The networks of a file that `write` wrote, to start from; raises InputError as `load` does."""
    found = load(path)
    leaves = start.flat(dict(found.variables))
    return Source(
        kind=FILE,
        path=path,
        sha256=files.sha256(path, 'networks'),
        origin=str(found.trained_on.get('origin') or ''),
        people=seen_by(found),
        all_known=(found.start or {}).get('all_subjects_known', True),
        networks=tuple(SourceNetwork(seed) for seed in found.seeds),
        leaves={key: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for key, leaf in leaves.items()},
        load=lambda places: {key: leaf[list(places)] for key, leaf in leaves.items()},
    )


def write(
    source: str | os.PathLike,
    out: pathlib.Path,
    *,
    reads: Mapping[str, Any],
    rates: Rates | None = None,
    most: int,
) -> int:
    """Writes networks into one file of safetensors: config.json in its metadata, a tensor per leaf.

    Where the clips lay is left out.

    Args:
      source: what `load` takes.
      out: the file.
      reads: the section `input` of the config by which they predict: mirror images are read at test alone.
      rates: how often their answers were right on people never seen; None if nobody knows.
      most: bytes that it may have.

    Returns:
      Its bytes.

    Raises:
      InputError: there are no networks, or they need more.
    """
    described = about(source)
    described['config']['data']['path'] = ''
    described['config']['input'] = dict(reads)
    described[RATES] = rates.to_json() if rates else None
    leaves = traverse_util.flatten_dict(dict(load(source).variables), sep='/')
    arrays = {name: np.ascontiguousarray(leaf) for name, leaf in sorted(leaves.items())}
    content = safetensors.numpy.save(arrays, {_METADATA: json.dumps(described)})
    if len(content) > most:
        raise InputError(f'{source}: these networks take {len(content)} bytes; expected at most {most}')
    with files.replacing(out) as temporary:
        temporary.write_bytes(content)
    return len(content)


def _header(path: pathlib.Path) -> str | None:
    """What `write` left in the metadata of a file; None of others."""
    try:
        with safetensors.safe_open(path, 'np') as file:
            return (file.metadata() or {}).get(_METADATA)
    except (safetensors.SafetensorError, OSError):
        return None


def _of_file(path: pathlib.Path) -> dict[str, Any]:
    try:
        leaves = safetensors.numpy.load(files.read_bytes(path, limit=_MOST_FILE, what='networks'))
    except safetensors.SafetensorError as error:
        raise InputError(f'{path} is damaged ({error}); take it anew') from error
    return traverse_util.unflatten_dict(leaves, sep='/')


def _folder(path: pathlib.Path) -> pathlib.Path:
    return path / workdir.NETWORK if (path / workdir.NETWORK).is_dir() else path


def config_of(found: Mapping[str, Any]) -> ConfigDict:
    """A config that was written as JSON, locked."""
    return ConfigDict(fields.of_json(found)).lock()
