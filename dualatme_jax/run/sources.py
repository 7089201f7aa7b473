"""Weights of a run, converted ones, or one file: their networks, and whom these have seen.

Whom the networks of a run have seen is followed back over all runs that it started from.
"""

import dataclasses
import hashlib
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from dualatme_jax import files, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.run import trained, trial_table
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.training import start
from dualatme_jax.training.checkpoint import load_weights, weights_shapes
from dualatme_jax.training.start import Path
from dualatme_jax.weights import folds, names, source

Person = tuple[str, str]  # database, subject as the released files spell it

OPTION = '--config.init_from'
RUN, CONVERTED, FILE = 'run', 'converted folder', 'file'
# In config.json: `init_from.Beginning.about`, and `trained_on`.
START, TRAINED_ON = folds.START, 'trained_on'


@dataclasses.dataclass(frozen=True)
class SourceNetwork:
    """One network of a source.

    Attributes:
      seed: None where it is not known.
      left_out: people of whom it has seen nothing, among those of its source.
    """

    seed: int | None = None
    left_out: frozenset[Person] = frozenset()


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights to start from.

    Attributes:
      kind: RUN, CONVERTED or FILE.
      path: where they lie.
      sha256: a fingerprint of all that is read.
      origin: the dataset that they were trained on, in words; empty where it is not known.
      people: whom the networks have seen between them, in all trainings.
      all_known: whether there is nobody else whom they have seen.
      networks: at least one.
      leaves: of one network, path -> what has a `shape` and a `dtype`.
      load: from places in `networks` to their leaves, [len(places), ...] each.
    """

    kind: str
    path: pathlib.Path
    sha256: str
    origin: str
    people: frozenset[Person]
    all_known: bool
    networks: tuple[SourceNetwork, ...]
    leaves: Mapping[Path, Any]
    load: Callable[[Sequence[int]], Mapping[Path, np.ndarray]]

    def place(self, left_out: frozenset[Person], seed: int) -> int:
        """The network of this seed, else of the first one, that has left out most of these people.

        Of equals the first: all folds share the one network of a seed, and have the first one where the
        weights know none of these people.
        """
        seeds = [network.seed for network in self.networks]
        wanted = seed if seed in seeds else seeds[0]
        own = [place for place, found in enumerate(seeds) if found == wanted]
        return max(own, key=lambda place: len(self.networks[place].left_out & left_out))

    def seen(self, place: int) -> frozenset[Person]:
        """Whom a network has seen, as far as it is known."""
        return self.people - self.networks[place].left_out


def read(path: pathlib.Path, people: Iterable[Person], systems: Iterable[str]) -> Source:
    """The weights that lie at a path.

    Args:
      path: of a workdir, of a folder that `convert` wrote, or of one file.
      people: those whom the run leaves out.
      systems: the names of those that are to start from them.

    Raises:
      InputError: there are none, or they are damaged; or see `_of_file` and `_of_folds`.
    """
    if path.is_file():
        return _of_file(path, sorted(set(systems)))
    if folds.is_one(path):
        return _of_folds(path, people)
    if (path / workdir_lib.TRIALS).exists():
        return _of_run(path)
    raise InputError(
        f'{OPTION} {path}: no weights; expected the workdir of a run that kept its weights, a folder that '
        f'`python -m dualatme_jax.convert` wrote, or one file ({", ".join(source.ENDINGS)})'
    )


def _of_file(path: pathlib.Path, systems: Sequence[str]) -> Source:
    """One file of PyTorch, with the names that the system of the config has there."""
    if len(systems) > 1:
        raise InputError(
            f'{OPTION} {path}: a file names its layers as one system does, and the run has '
            f'{", ".join(systems)}; run them one by one'
        )
    with tempfile.TemporaryDirectory() as scratch:
        tensors = source.read_file(path, systems[0], pathlib.Path(scratch))
    leaves = names.leaves_in(systems[0], tensors)
    return Source(
        kind=FILE,
        path=path,
        sha256=files.sha256(path, 'file of weights'),
        origin='',
        people=frozenset(),
        all_known=False,
        networks=(SourceNetwork(),),
        leaves=leaves,
        load=lambda places: {key: np.stack([leaf] * len(places)) for key, leaf in leaves.items()},
    )


def _of_folds(path: pathlib.Path, people: Iterable[Person]) -> Source:
    """Converted weights, whose subjects are those of `people` that have their names."""
    found = folds.load(path)
    called = [
        folds.called(people, subject) or ((schema.UNKNOWN_TEXT, subject),) for subject in found.subjects
    ]
    for subject, persons in zip(found.subjects, called, strict=True):
        if len(persons) > 1:
            raise InputError(
                f'{path}: the weights of {subject!r} may be of {" and ".join(map("/".join, persons))}; '
                f'rename the file to {" or ".join(map("_".join, persons))}, and convert anew'
            )
    one = start.flat(
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), found.variables)
    )
    before = found.start or {}
    leaked = people_in(before.get('leaks') or {})
    return Source(
        kind=CONVERTED,
        path=path,
        sha256=folds.fingerprint(found),
        origin='',
        people=frozenset().union(*called, people_in(before.get('subjects') or {})),
        all_known=before.get('all_subjects_known', True),
        networks=tuple(SourceNetwork(left_out=frozenset(persons) - leaked) for persons in called),
        leaves=one,
        load=lambda places: {
            key: leaf[list(places)] for key, leaf in start.flat(folds.load(path).variables).items()
        },
    )


def _of_run(path: pathlib.Path) -> Source:
    """The networks of a run, without the seeds of which a fold has not ended well."""
    table, config = trained.read(path)
    table = table.assign(place=table.groupby('wave').cumcount())  # of a network among those of its wave
    outer = table[table['inner'] == 0]
    if outer['point'].nunique() > 1:
        raise InputError(
            f'{path}: this run is a sweep of {outer["point"].nunique()} points, and {OPTION} takes the '
            'networks of one; train the point that you want by itself'
        )
    well = outer.groupby('seed')['status'].transform(lambda status: (status == trial_table.DONE).all())
    rows = outer[well.astype(bool)].to_dict('records')
    if not rows:
        raise InputError(
            f'{path}: no seed of this run has ended well; finish it by its own command, or give other '
            f'weights as {OPTION}'
        )
    waves = {
        number: path / workdir_lib.WAVES / workdir_lib.wave_name(number)
        for number in dict.fromkeys(row['wave'] for row in rows)
    }
    one = weights_shapes(waves[rows[0]['wave']] / workdir_lib.WEIGHTS)
    about, before = config.get(TRAINED_ON) or {}, config.get(START) or {}
    left_out = {trial: people for folder in waves.values() for trial, people in _left_out(folder).items()}
    leaked = people_in(before.get('leaks') or {})
    networks = tuple(
        SourceNetwork(row['seed'], left_out.get(row['trial'], frozenset()) - leaked) for row in rows
    )

    def load(places: Sequence[int]) -> dict[Path, np.ndarray]:
        found: dict[Path, np.ndarray] = {}
        for number in dict.fromkeys(rows[place]['wave'] for place in places):
            own = [
                (to, rows[place]['place']) for to, place in enumerate(places) if rows[place]['wave'] == number
            ]
            for key, leaf in start.flat(load_weights(waves[number] / workdir_lib.WEIGHTS)).items():
                whole = found.setdefault(key, np.empty((len(places), *leaf.shape[1:]), leaf.dtype))
                for to, place in own:
                    whole[to] = leaf[place]
        return found

    return Source(
        kind=RUN,
        path=path,
        sha256=_fingerprint(networks, [waves[row['wave']] for row in rows], [row['place'] for row in rows]),
        origin=str(about.get('origin') or ''),
        people=frozenset().union(
            people_in(about.get('subjects') or {}),
            people_in(before.get('subjects') or {}),
            *left_out.values(),
        ),
        all_known=bool(about) and before.get('all_subjects_known', True),
        networks=networks,
        leaves={
            key: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
            for key, leaf in one.items()
            if key[0] in start.COLLECTIONS
        },
        load=load,
    )


def _left_out(wave: pathlib.Path) -> dict[int, frozenset[Person]]:
    """Whom each trial of a wave left out: those that it has predicted; nobody, of a trial on all."""
    path = wave / workdir_lib.PREDICTIONS
    files.check_if_sealed(wave, 'files of the wave', only=[path.name])
    columns = ['trial', schema.DATABASE, schema.SUBJECT]
    with files.open_regular(path, 'predictions of a wave') as file:
        try:
            rows = pd.read_csv(
                file,
                usecols=columns,
                dtype={'trial': int} | dict.fromkeys(columns[1:], str),
                keep_default_na=False,
            ).drop_duplicates()
        except ValueError as error:
            raise InputError(f'{path} is no table of predictions ({error})') from error
    return {
        trial: _as_released(zip(own[schema.DATABASE], own[schema.SUBJECT], strict=True))
        for trial, own in rows.groupby('trial')
    }


def _fingerprint(
    networks: Sequence[SourceNetwork], waves: Sequence[pathlib.Path], places: Sequence[int]
) -> str:
    """Identifies the networks of a run, by the checksums of their waves: no weights are read."""
    sums: dict[pathlib.Path, str] = {}
    for wave in dict.fromkeys(waves):
        sealed = wave / workdir_lib.WEIGHTS / files.CHECKSUMS
        if not sealed.exists():
            raise InputError(
                f'{wave} has weights without checksums, of an older version; train that run anew'
            )
        sums[wave] = files.sha256(sealed, 'checksums of weights')
    known = [
        (network.seed, sorted(network.left_out), sums[wave], place)
        for network, wave, place in zip(networks, waves, places, strict=True)
    ]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def trained_on(dataset: Dataset) -> dict[str, Any]:
    """What a run's config.json says of its dataset, for those who start from its weights."""
    everybody = people_of(dataset, np.arange(dataset.size))
    return {'origin': dataset.origin, 'subjects': by_database(everybody)}


def people_of(dataset: Dataset, clips: np.ndarray) -> frozenset[Person]:
    """The people of some clips of a dataset."""
    pairs = zip(dataset.database[clips].tolist(), dataset.subject[clips].tolist(), strict=True)
    return _as_released(set(pairs))


def by_database(people: Iterable[Person]) -> dict[str, list[str]]:
    """People as JSON has them: database -> subjects, in order."""
    found: dict[str, list[str]] = {}
    for database, subject in sorted(people):
        found.setdefault(database, []).append(subject)
    return found


def people_in(found: Any) -> frozenset[Person]:
    """What `by_database` made, from a config.json that may hold anything."""
    try:
        pairs = [(str(database), str(subject)) for database, own in found.items() for subject in own]
    except (AttributeError, TypeError) as error:
        raise InputError(
            f'{workdir_lib.CONFIG} of the weights names subjects in no known form ({error})'
        ) from error
    return _as_released(pairs)


def _as_released(pairs: Iterable[Person]) -> frozenset[Person]:
    """People by database and subject, however a dataset spells the subject."""
    return frozenset((database, schema.released(database, subject)) for database, subject in pairs)
