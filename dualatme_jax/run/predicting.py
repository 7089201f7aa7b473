"""What networks say of clips that nobody has labelled.

Axes: S networks, N clips, K classes, H and W rows and columns of a map.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import traverse_util
from ml_collections import ConfigDict
from rich.console import Console

from dualatme_jax import files, models, schema
from dualatme_jax.data import splits
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import marks, results
from dualatme_jax.report.predictions import SUBJECT_KEY
from dualatme_jax.report.rates import Rates, cross_fitted
from dualatme_jax.run import collect, encodings, network, programs, progress, stages, trained, workdir
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.training import attention
from dualatme_jax.training.state import Clips, State, examples_last
from dualatme_jax.training.trials import Trial
from dualatme_jax.weights import folds

AT_ONCE = 64  # clips whose maps are in memory


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks, and how their inputs are made.

    Attributes:
      name: in words, for a reader.
      config: every field of the run that trained them.
      labels: the classes, in the order of the logits.
      inputs: key -> `shape` and `dtype` of what they read of one clip as it is stored, perhaps `scaling`;
        empty where nobody says so.
      dataset: the recipe of the clips that they were trained on.
      frame_rates: the least and the largest of these clips; None where nobody knows.
      variables: `params` and `batch_stats`, each leaf [S, ...].
      rates: how often their answers were right; None where nobody knows.
      marks: what must stand beside these.
      unseen: of each network the people, (database, subject), whom it was not trained on and others were;
        empty of networks that were trained on the same people.
    """

    name: str
    config: ConfigDict
    labels: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, Any]]
    dataset: Mapping[str, Any]
    variables: Mapping[str, Any]
    frame_rates: Sequence[float] | None = None
    rates: Rates | None = None
    marks: Sequence[str] = ()
    unseen: tuple[frozenset[tuple[str, str]], ...] = ()

    @property
    def size(self) -> int:
        """How many networks, `S`."""
        return len(jax.tree.leaves(self.variables)[0])

    @property
    def reads(self) -> tuple[str, ...]:
        """Keys of what is stored of a clip, from which their inputs are made."""
        return models.system(self.config.model.name).stored

    @property
    def checksum(self) -> str:
        """What distinguishes these networks, and what is known of them, from any other."""
        digest = hashlib.sha256(self.config.to_json().encode())
        rates = self.rates.to_json() if self.rates else None
        about = [self.labels, dict(self.inputs), self.frame_rates, rates]
        digest.update(json.dumps(about).encode())
        for name, leaf in sorted(traverse_util.flatten_dict(dict(self.variables), sep='/').items()):
            digest.update(name.encode() + np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Looked:
    """Where networks looked, for the class that they answer: the mean of their maps of one place.

    Attributes:
      branch: of the network; empty where it has one.
      picture: key of the input that the maps lie over.
      maps: [N, H, W] in 0..1.
    """

    branch: str
    picture: str
    maps: np.ndarray


def load(path: pathlib.Path, *, seed: int | None = None) -> Ensemble:
    """Reads networks.

    Args:
      path: a file or a folder of networks that left nobody out (see `network`), or the workdir of a run that
        left somebody out: all its networks, one per fold, are one ensemble. Those of a run that evaluated
        converted weights are these: its config and its dataset say how their inputs are made.
      seed: which of such a run's, where there are several.

    Raises:
      InputError: there are no networks, they are damaged, or nobody says how their inputs are made.
    """
    if network.is_one(path):
        if seed is not None:
            raise InputError(f'--seed {seed}: the seeds of {path} are one ensemble; leave it out')
        found = network.load(path)
        title = models.system(found.config.model.name).title
        networks = '1 network' if len(found.seeds) == 1 else f'{len(found.seeds)} networks'
        return Ensemble(
            f'{title}, {networks}, trained on all clips',
            found.config,
            found.labels,
            found.inputs,
            found.dataset,
            found.variables,
            found.frame_rates,
            found.rates,
        )
    if folds.is_one(path):
        raise InputError(
            f'{path} holds converted weights, which do not say how their inputs are made; score clips with '
            f'them (--config.evaluate_only={path}), and give the workdir of that run, which says so'
        )
    if not (path / workdir.TRIALS).exists():
        raise InputError(
            f'{path} {"holds no networks" if path.exists() else "does not exist"}; expected the workdir of a '
            f'run (its {workdir.TRIALS} says so), or a file that `python -m dualatme_jax.export` wrote'
        )
    return _of_run(path, seed)


def probabilities(found: Ensemble, dataset: Dataset, console: Console) -> np.ndarray:
    """Class probabilities of every clip by every network, [S, N, K]; labels are not looked at.

    Args:
      found: the networks.
      dataset: the clips, with what `Ensemble.reads` names.
      console: where progress is shown.

    Raises:
      InputError: the clips are not as the networks read them.
    """
    own, config = _ready(found, dataset, console)
    training = programs.make_training(config, found.labels)
    clips = Clips.of(own)
    numbers = programs.hyperparameters(config, found.labels)
    given = {name: jnp.float32(value) for name, value in numbers.items()}
    trial = Trial(
        key=jax.random.key(0),
        train=jnp.zeros(own.size, bool),
        held_out=jnp.arange(own.size),
        hyperparameters=given,
        scaling=_scaling(found),
    )

    @jax.jit
    def predict(variables: Mapping[str, Any], trial: Trial, clips: Clips) -> jax.Array:
        def one(variables: Mapping[str, Any]) -> jax.Array:
            state = State(variables['params'], variables.get('batch_stats', {}), ())
            return training.predict(state, trial, clips, at_once=AT_ONCE)

        return jax.lax.map(one, variables)

    try:
        return np.asarray(predict(found.variables, trial, clips))
    except flax.errors.ScopeParamShapeError as error:
        sizes = ', '.join(f'{key} of shape {list(array.shape[1:])}' for key, array in own.inputs.items())
        raise InputError(
            f'the networks were trained on clips of another shape than these have ({sizes}); which one, an '
            "older run does not say: give the training's command again, which adds it and trains nothing"
        ) from error


def answering(found: Ensemble, dataset: Dataset) -> np.ndarray:
    """Which networks answer which clip, [S, N] bool: all; of a person whom some have seen, the others."""
    people = list(zip(dataset.database.tolist(), dataset.subject.tolist(), strict=True))
    known = frozenset().union(*found.unseen)
    may = [[person in own or person not in known for person in people] for own in found.unseen]
    return np.array(may or [[True] * dataset.size] * found.size)


def looked(found: Ensemble, dataset: Dataset, answers: np.ndarray, console: Console) -> list[Looked]:
    """Where the networks looked in every clip, by Grad-CAM; empty of a system that says of no place.

    Args:
      found: the networks.
      dataset: the clips, with what `Ensemble.reads` names.
      answers: [N], the classes.
      console: where progress is shown.
    """
    system = models.system(found.config.model.name)
    if system.fitting:
        return []
    built = models.build(classes=len(found.labels), **found.config.model)
    if not (places := system.last_maps_of(built)):
        return []
    own, config = _ready(found, dataset, console)
    prepare = programs.make_training(config, found.labels).prepare
    look, scaling = attention.compiled(built, places, prepare), _scaling(found)
    maps: list[list[np.ndarray]] = [[] for _ in places]
    with progress.counting(console, 'where the networks looked', own.size) as more:
        for clip in range(own.size):
            inputs = {key: examples_last(array[[clip]]) for key, array in own.inputs.items()}
            label = jnp.int32(answers[clip])[None]
            of_networks = [
                look(
                    jax.tree.map(lambda leaf, number=number: leaf[number], found.variables),
                    inputs,
                    scaling,
                    label,
                )
                for number in range(found.size)
            ]
            for place in range(len(places)):
                maps[place].append(np.mean([each[0][place][0] for each in of_networks], axis=0))
            more(1)
    stacked = [np.stack(each).astype(np.float32) for each in maps]
    return [
        Looked(
            last.branch,
            last.picture,
            last.onto(each, dataset.inputs[last.picture].shape[-2]) if last.onto else each,
        )
        for last, each in zip(places, stacked, strict=True)
    ]


def _ready(found: Ensemble, dataset: Dataset, console: Console) -> tuple[Dataset, ConfigDict]:
    """Clips as the networks read them, and their config."""
    _check(found, dataset)
    swept = sweep_lib.points(found.config)
    point = swept.reference
    datasets, _ = stages.applied(swept, {point.program: dataset}, console, {})
    datasets = encodings.applied(swept, datasets, console, {})
    own = datasets[point.program].of(models.system(point.config.model.name).reads)
    return own, point.config


def _scaling(found: Ensemble) -> dict[str, jax.Array]:
    return {key: jnp.float32(about['scaling']) for key, about in found.inputs.items() if 'scaling' in about}


def _of_run(path: pathlib.Path, seed: int | None) -> Ensemble:
    table, fields = trained.read(path)
    config = network.config_of({key: fields[key] for key in fields.keys() - workdir.IDENTITY})
    if config.input.scale in schema.BY_CLIPS:
        raise InputError(
            f'{path}: each network of this run scales inputs by the clips that its fold was trained on '
            f"(config.input.scale={config.input.scale}), which are not kept; train with config.folds='all'"
        )
    labels = trained.labels_of(path, int(table['wave'].iloc[0]))
    about = results.read(path / workdir.RESULTS)
    if config.evaluate_only:
        names, variables = _evaluated(path, config.evaluate_only, fields.get('weights'))
    else:
        _, own = trained.networks(path, config.model.name, seed=seed, point=None)
        names, each = zip(*own, strict=True)
        variables = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    predictions = collect.read(path / workdir.PREDICTIONS)
    if seed is not None:
        predictions = predictions[predictions['seed'] == seed]
    people = predictions.groupby(SUBJECT_KEY).ngroups
    return Ensemble(
        f'{models.system(config.model.name).title}, {len(names)} networks, each of which left somebody out',
        config,
        tuple(labels),
        about.get('inputs') or {},  # which an older run does not say
        about.get('dataset') or {},
        variables,
        about.get('frame_rates'),
        None if about.get('leaks') or people < 2 else cross_fitted(predictions, labels),
        marks.of_predictions(about),
        _unseen(names, table, predictions),
    )


def _unseen(
    names: Sequence[str], table: pd.DataFrame, predictions: pd.DataFrame
) -> tuple[frozenset[tuple[str, str]], ...]:
    """Whom each network was not trained on: those whom its trials have predicted.

    Args:
      names: whom each leaves out, as its file is called.
      table: the trials of the run.
      predictions: what they predicted.
    """
    left_out = table.set_index('trial')['left_out'].loc[predictions['trial'].unique()]
    of_folds = left_out.unique().tolist()
    places = dict(zip(of_folds, folds.match(names, [*map(splits.person, of_folds)]), strict=True))
    found = [set() for _ in names]
    for trial, own in predictions.groupby('trial'):
        found[places[left_out[trial]]] |= {*zip(own[schema.DATABASE], own[schema.SUBJECT], strict=True)}
    return tuple(map(frozenset, found))


def _evaluated(
    path: pathlib.Path, given: str, fingerprint: str | None
) -> tuple[Sequence[str], dict[str, Any]]:
    """The converted weights that a run has evaluated, and whom each leaves out.

    Raises:
      InputError: they are not there, or not unchanged.
    """
    where = files.expanded(given, f'config.evaluate_only of {path}')
    if not folds.is_one(where) and where.exists():
        raise InputError(f'{path} has evaluated the networks of {where}; give these as --weights')
    found = folds.load(where)
    if folds.fingerprint(found) != fingerprint:
        raise InputError(
            f'{where} holds other weights than those that {path} has evaluated; evaluate them anew'
        )
    return found.subjects, {name: found.variables[name] for name in ('params', 'batch_stats')}


def _check(found: Ensemble, dataset: Dataset) -> None:
    """Raises InputError where clips are not of the form that networks read."""
    for key, about in found.inputs.items():
        if key not in dataset.inputs:
            continue  # which a stage makes
        array = dataset.inputs[key]
        shape, dtype = list(array.shape[1:]), array.dtype.name
        if (shape, dtype) != (list(about['shape']), about['dtype']):
            raise InputError(
                f'the networks read {key} of shape {about["shape"]}, {about["dtype"]}, and the clips have '
                f'{shape}, {dtype}; make the view with the options of the dataset they were trained on'
            )
