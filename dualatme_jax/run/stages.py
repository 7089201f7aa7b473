"""Frozen stages, computed before anything is trained: once per clip, in batches, kept in a cache.

The cache has one file per clip, `stages/NAME/VERSION/CLIP.npz` in config.engine.cache: CLIP is the digest of
what the stage reads of the clip, VERSION that of the stage's module and of its weights. So what another
version has computed is never read. Nothing is deleted there, and any of it may be.
Axes: N clips, B clips of a batch.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import re
import tempfile
import zipfile
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict
from rich.console import Console

from dualatme_jax import files, models
from dualatme_jax.data.dataset import COPIES, Dataset, hash_input
from dualatme_jax.data.dataset import STAGE as ABOUT
from dualatme_jax.errors import InputError, one_line
from dualatme_jax.machines import host_memory, processes
from dualatme_jax.models.stage import Part, Stage
from dualatme_jax.run import progress, sources, workdir
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.weights import folds, parts
from dualatme_jax.weights.reader import ENDINGS, Reader

FOLDER = 'stages'

_FORMAT = 1  # raised when the cache's files change
_MOST_BYTES = 2**32  # of one of them
_DTYPES = (np.float32, np.float16, np.uint8)
_DIGEST = hashlib.sha256().digest_size  # bytes before the arrays
TOLERANCE = 1e-3  # a clip in one batch and in another: equal but for rounding

Arrays = Mapping[str, np.ndarray]


def applied(
    swept: Sweep, datasets: Mapping[int, Dataset], console: Console, failures: dict[int, str]
) -> tuple[dict[int, Dataset], dict[int, str]]:
    """The dataset of each program with what its system reads, of which its stage computes some.

    Args:
      swept: the points.
      datasets: by program, with all that systems and stages read.
      console: where progress is shown.
      failures: of a leaderboard, takes why programs have none.

    Returns:
      By program the datasets, and name and version of the stages, which with the clips decide what they give.

    Raises:
      InputError: see `read_weights` and `computed`.
    """
    configs = {point.program: point.config for point in swept.points}
    done: dict[tuple, Arrays] = {}
    versions, found = {}, {}
    for number, dataset in datasets.items():
        system = models.system(configs[number].model.name)
        try:
            if stage := system.stage_of(configs[number].model):
                made, version = _made(stage, dataset, configs[number], done, console)
                versions[number] = f'{stage.name} {version}'
                said = ', '.join(filter(None, [stage.about, *unknown(stage, configs[number].stage)]))
                about = {ABOUT: said} if said else {}
                dataset = dataclasses.replace(
                    dataset, inputs={**dataset.inputs, **made}, metadata=dataset.metadata | about
                )
        except InputError as error:
            if not swept.config.report.leaderboard:
                raise
            failures[number] = one_line(error)
        else:
            found[number] = dataset.of(system.reads)
    return found, versions


def _made(
    stage: Stage, dataset: Dataset, config: ConfigDict, done: dict[tuple, Arrays], console: Console
) -> tuple[Arrays, str]:
    """What a stage gives for the clips, and its version; `done` has what other programs' stages gave."""
    own = weights_files(stage, config.stage)
    version = version_of(stage, own)
    place = (stage.name, version, *(id(dataset.inputs[key]) for key in stage.reads))
    if place not in done:
        with processes.first_before_others():
            done[place] = computed(
                stage,
                read_weights(stage, own, sources.people_of(dataset, np.arange(dataset.size))),
                dataset,
                batch_size=config.stage.batch_size,
                cache=Cache.of(config.engine.cache, stage, version),
                console=console,
            )
    return done[place], version


def weights_files(stage: Stage, settings: ConfigDict) -> dict[str, pathlib.Path]:
    """The files of weights that a config's section `stage` names, by the part of the stage; '' of all of it.

    Raises:
      InputError: the stage needs one and none is named, or it cannot be one.
    """
    if not stage.weights and not stage.parts:
        return {}
    wanted = {name: f'weights {part.about}' for name, part in stage.parts.items()} or {'': stage.weights}
    given, option = _named(settings.weights, wanted), '--config.stage.weights'
    if lacking := [name for name in wanted if not given.get(name)]:
        form = ','.join(f'{name}=FILE' for name in wanted)
        how = f'the form {form}' if stage.parts else 'their file'
        needed = '; '.join(f'{name}: {wanted[name]}' if name else wanted[name] for name in lacking)
        raise InputError(
            f'the stage {stage.name} needs weights, {needed}; give {how} as config.stage.weights'
        )
    if surplus := given.keys() - wanted.keys():
        raise InputError(
            f'config.stage.weights names {", ".join(sorted(surplus))}; the stage {stage.name} takes '
            f'{", ".join(wanted)} with these options of config.model'
        )
    found = {name: files.expanded(path, option) for name, path in given.items()}
    for name, path in found.items():
        of_run = bool(name) and bool(stage.parts[name].system) and path.is_dir()
        if of_run and not (folds.is_one(path) or (path / workdir.TRIALS).exists()):
            raise InputError(
                f'config.stage.weights: {path} is neither the workdir of a run of '
                f'{stage.parts[name].system!r} nor a folder that `python -m dualatme_jax.convert` wrote'
            )
        if not of_run and not path.name.lower().endswith(ENDINGS):
            raise InputError(f'config.stage.weights is {path}; expected a file {", ".join(ENDINGS)}')
    return found


def _named(weights: str, wanted: Collection[str]) -> dict[str, str]:
    """Part -> file of `magnifier=FILE,extractor=FILE`; one file without a name is that of the only part."""
    if [*wanted] == [''] or (len(wanted) == 1 and not re.match(r'\w+=', weights)):
        return {next(iter(wanted)): weights}
    pieces = re.split(r',(?=\w+=)', weights)
    return {name: path for name, _, path in (piece.partition('=') for piece in pieces)} if weights else {}


def unknown(stage: Stage, settings: ConfigDict) -> list[str]:
    """What a config's weights of a stage leave open: on whom they were trained, of each that does not say."""
    found = []
    for name, path in weights_files(stage, settings).items():
        if not path.is_dir() or not sources.read(path, (), [stage.parts[name].system]).all_known:
            found.append(f'{name or stage.name} of {path.name}: not known on whom it was trained')
    return found


def version_of(stage: Stage, weights: Mapping[str, pathlib.Path]) -> str:
    """The digest of a stage's code and weights, see `weights_files`."""
    digests = {
        name: sources.read(path, (), [stage.parts[name].system]).sha256
        if path.is_dir()
        else files.sha256(path, 'file of weights')
        for name, path in sorted(weights.items())
    }
    digest = digests if stage.parts else digests.get('', '')
    return hashlib.sha256(json.dumps([_FORMAT, stage.code, digest]).encode()).hexdigest()[:32]


def read_weights(
    stage: Stage, weights: Mapping[str, pathlib.Path], people: frozenset[sources.Person] = frozenset()
) -> Mapping[str, Any]:
    """What a stage's function is called with: the variables of its parts, or the tensors of its file.

    The tensors have their names, but for a first part that all of them have, such as `model`.

    Args:
      stage: the stage.
      weights: by part, see `weights_files`.
      people: of the clips; the networks of a run must have seen none of them.

    Raises:
      InputError: a file cannot be read, is no file of weights, or has those of another network; or the
        network of a run has seen some of the people.
    """
    if stage.parts:
        return {
            name: of_run(stage.parts[name], path, people)
            if path.is_dir()
            else parts.read(stage.parts[name], path)
            for name, path in weights.items()
        }
    if not weights:
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        return Reader([weights['']], (), pathlib.Path(scratch))[0].tensors


def of_run(part: Part, path: pathlib.Path, people: frozenset[sources.Person]) -> Mapping[str, Any]:
    """The variables of a part from a network of a run, or of converted weights; see `read_weights`."""
    source = sources.read(path, people, [part.system])
    place = source.place(people, 0)
    if seen := sorted(source.seen(place) & people):
        raise InputError(
            f'config.stage.weights: the network of {path} was trained on {"/".join(seen[0])} and in all '
            f'{len(seen)} of the {len(people)} people of this dataset. What is frozen is the same for all '
            'folds and must have seen nobody whom one of them leaves out; train it on other people'
        )
    there, found = source.load([place]), {}
    for own, leaf in traverse_util.flatten_dict(part.shapes()).items():
        if own not in there or there[own].shape[1:] != leaf.shape:
            form = list(there[own].shape[1:]) if own in there else 'missing'
            raise InputError(
                f'{path}: not weights {part.about}: {"/".join(own)} is {form}; expected {list(leaf.shape)}'
            )
        found[own] = there[own][0]
    return traverse_util.unflatten_dict(found)


class Cache:
    """What a version of a stage has computed, one file per clip.

    Attributes:
      folder: of the version.
      damaged: how many files were not as they were written.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.damaged = 0

    @classmethod
    def of(cls, root: str, stage: Stage, version: str) -> 'Cache | None':
        """That in config.engine.cache; None where there is none, or where the stage's code has no file."""
        if not root or not stage.code:
            return None
        return cls(files.expanded(root, '--config.engine.cache') / FOLDER / stage.name / version)

    @property
    def about(self) -> str:
        """Where it is, and what is not read there, in words."""
        others = [other for other in self.folder.parent.glob('*') if other != self.folder]
        told = [f'{len(others)} other version{"s" if len(others) > 1 else ""} beside it not read'] * bool(
            others
        )
        told += [f'{self.damaged} damaged and computed again'] * bool(self.damaged)
        return '; '.join([str(self.folder), *told])

    def read(self, clip: str) -> Arrays | None:
        """The outputs for a clip; None where they are not there, or damaged."""
        path = self.folder / f'{clip}.npz'
        if not path.exists():
            return None
        try:
            content = files.read_bytes(path, limit=_MOST_BYTES, what='cached clip')
            if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
                raise ValueError('damaged')
            with np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile):
            self.damaged += 1
            return None

    def write(self, clip: str, outputs: Arrays) -> None:
        """Keeps the outputs for a clip; raises OSError where the disk refuses."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = io.BytesIO()
        np.savez(arrays, **outputs)
        with files.replacing(self.folder / f'{clip}.npz') as temporary:
            temporary.write_bytes(hashlib.sha256(arrays.getbuffer()).digest() + arrays.getbuffer())


def computed(
    stage: Stage,
    weights: Arrays,
    dataset: Dataset,
    *,
    batch_size: int,
    cache: Cache | None,
    console: Console,
) -> dict[str, np.ndarray]:
    """What a stage gives for all clips, each key [N, ...]; what the cache has is not computed again.

    Beside the clips and what is returned, the memory holds one batch.

    Args:
      stage: the function.
      weights: its tensors by name.
      dataset: the clips, with the inputs that it reads.
      batch_size: B; the last batch is filled up with its last clip, so that all are computed alike.
      cache: where the outputs are kept; None: nowhere.
      console: where progress is shown.

    Raises:
      InputError: the stage does not give for each clip what its record says, numbers that are finite; or what
        it gives for a clip depends on the others of the batch.
    """
    arrays: dict[str, np.ndarray] = {}
    clips = [digest_of(stage, dataset, place) for place in range(dataset.size)]
    missing = [
        place
        for place, clip in enumerate(clips)
        if not (cache and (own := cache.read(clip)) and _put(arrays, own, place, dataset.size))
    ]
    found = (
        f'{dataset.size - len(missing)} of {dataset.size} clips are in {cache.about}'
        if cache
        else 'not cached'
    )
    console.print(f'stage {stage.name}: {found}', soft_wrap=True)
    with progress.counting(console, f'stage {stage.name}', len(missing)) as more:
        for start in range(0, len(missing), batch_size):
            places = missing[start : start + batch_size]
            found = batch(stage, weights, dataset, places, batch_size)
            if start == 0 and len(places) > 1:
                check_alone(stage, found, batch(stage, weights, dataset, places[:1], batch_size))
            for row, place in enumerate(places):
                own = {key: array[row] for key, array in found.items()}
                if not arrays:
                    check_room(stage, own, dataset.size)
                if not _put(arrays, own, place, dataset.size):
                    raise InputError(
                        f'{cache.folder} holds other shapes than the stage {stage.name} gives; delete it'
                    )
                try:
                    if cache:
                        cache.write(clips[place], own)
                except OSError as error:
                    cache = None
                    console.print(f'stage {stage.name}: the rest is not cached ({error})', soft_wrap=True)
            more(len(places))
    return arrays


def check_room(stage: Stage, own: Arrays, size: int) -> None:
    """Raises InputError where the memory has no room for what a stage gives for so many clips."""
    each = sum(array.nbytes for array in own.values())
    needed, free = COPIES * size * each, host_memory.free()
    if needed > free:
        raise InputError(
            f'the stage {stage.name} gives {each / 2**20:.1f} MiB for each of {size} clips, which take '
            f'{needed / 2**30:.1f} GiB of memory to train on; {free / 2**30:.1f} GiB are free. Train on '
            'fewer clips (config.data.databases), or with options of config.model by which it gives less'
        )


def digest_of(stage: Stage, dataset: Dataset, place: int) -> str:
    """The digest of what a stage reads of a clip."""
    digest = hashlib.sha256()
    for key in stage.reads:
        hash_input(digest, key, dataset.inputs[key][place])
    return digest.hexdigest()


def batch(stage: Stage, weights: Arrays, dataset: Dataset, places: Sequence[int], size: int) -> Arrays:
    """What a stage gives for some clips, filled up to `size` with the last of them, which are dropped.

    Raises:
      InputError: that is not what its record says, or not finite.
    """
    filled = [*places, *places[-1:] * (size - len(places))]
    inputs = {key: dataset.inputs[key][filled] for key in stage.reads}
    with jax.default_matmul_precision('highest'):  # whatever config.engine.precision is
        given = dict(stage.apply(weights, inputs))
    if given.keys() != {*stage.gives}:
        raise InputError(
            f'the stage {stage.name} gives {", ".join(given)}; expected {", ".join(stage.gives)}, as its '
            'record says'
        )
    outputs = {key: _as_stored(np.asarray(array)) for key, array in given.items()}
    for key, array in outputs.items():
        if array.ndim < 2 or len(array) != size or array.dtype not in _DTYPES:
            raise InputError(
                f'the stage {stage.name} gives {key} as {array.dtype} {array.shape} for {size} clips; '
                f'expected floats or uint8, ({size}, ..., channels)'
            )
        finite = np.isfinite(array).reshape(size, -1).all(1)
        if not finite[: len(places)].all():
            place = places[int(np.argmin(finite))]
            raise InputError(
                f'the stage {stage.name} gives numbers as {key} of {dataset.subjects[place]}/'
                f'{dataset.clip[place]} that are not finite; expected finite ones'
            )
    return {key: array[: len(places)] for key, array in outputs.items()}


def check_alone(stage: Stage, among: Arrays, alone: Arrays) -> None:
    """Raises InputError where a stage gives other outputs for the first clip alone than among others."""
    for key, array in among.items():
        if not np.allclose(array[0], alone[key][0], TOLERANCE, rounding(array)):
            raise InputError(
                f'the stage {stage.name} gives other {key} for a clip among others than alone: it has seen '
                'clips that trials leave out; expected a function of each clip for itself, such as a network '
                'with train=False'
            )


def rounding(array: np.ndarray) -> float:
    """By how much numbers may differ that are equal but for rounding, whatever their unit is."""
    return TOLERANCE * np.abs(array.astype(float)).max(initial=0)


def _as_stored(array: np.ndarray) -> np.ndarray:
    # NumPy calls bfloat16, which is not its own, a kind of void.
    if array.dtype == np.float16:
        return array
    return array.astype(np.float32) if array.dtype.kind == 'f' or array.dtype.name == 'bfloat16' else array


def _put(arrays: dict[str, np.ndarray], own: Arrays, place: int, size: int) -> bool:
    """Enters the outputs for a clip among those for `size`; not if they are of other shapes than the rest."""
    if not arrays:
        arrays |= {key: np.empty((size, *array.shape), array.dtype) for key, array in own.items()}
    if {key: (array.shape[1:], array.dtype) for key, array in arrays.items()} != {
        key: (array.shape, array.dtype) for key, array in own.items()
    }:
        return False
    for key, array in own.items():
        arrays[key][place] = array
    return True
