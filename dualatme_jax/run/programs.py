"""From a config to programs: what trials have in common, and which trials share it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dualatme_jax import models, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError, one_line
from dualatme_jax.models import per_example
from dualatme_jax.models.system import CLOSED_FORM, Descriptor
from dualatme_jax.run import fields, model_section, stages
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.run.sweep import Point, Sweep
from dualatme_jax.run.trial_table import OUTCOME
from dualatme_jax.training import augment, encoding, losses, optimizers, prepare, trials
from dualatme_jax.training.start import Path, Start
from dualatme_jax.training.state import Clips
from dualatme_jax.training.step import Training


def make_training(
    config: ConfigDict, labels: Sequence[str], others: Sequence[ConfigDict] = ()
) -> Training | None:
    """What all trainings of one program have in common; None of a system that trains no network.

    Args:
      config: of one of its points.
      labels: the classes.
      others: the configs of its other points, which differ in hyperparameters only.

    Raises:
      InputError: a name or a number that cannot be.
    """
    system = models.system(config.model.name)
    network = models.build(classes=len(labels), **config.model)
    if system.fitting:
        return None
    pair = tuple(config.loss.cosine_pair)
    # The default is that of Dual-ATME; a network without these features has no such term.
    if pair != Training.pair and set(pair) - set(system.features):
        there = ', '.join(map(repr, system.features)) or 'none that its record names'
        raise InputError(
            f'config.loss.cosine_pair is {pair}; {system.title} returns {there}: expected two of the '
            f'`features` of its record, or {Training.pair}'
        )
    every = (config, *others)
    changes = used(augment.NAMES, [each.augment for each in every])
    active = used(losses.OPTIONS, [each.loss for each in every])
    active |= {each.loss.name for each in every} & {*losses.COMPILED}
    if losses.MARGIN in active and losses.LENGTHS not in system.features:
        raise InputError(
            f'config.loss.name is {losses.MARGIN!r}, a loss of capsules, and {system.title} returns no '
            f'{losses.LENGTHS}; expected another loss, or a system that has them among the `features` of its '
            'record, such as capsulenet'
        )
    # What the code of a module of one's own depends on is not known.
    known = system is models.SYSTEMS.get(system.name)
    return Training(
        model=lambda given: network.clone(**{name: given[name] for name in system.traced}),
        optimizer=optimizers.optimizer(
            config.optimizer.name,
            coupled=config.optimizer.coupled_decay,
            bias_rate=config.optimizer.bias_rate,
        ),
        prepare=prepare.preparation(**config.input, made=system.made),
        scale=config.input.scale,
        crop=config.input.size if config.input.random_crop else 0,
        augment=augment.augmentation(changes, **config.input) if changes else None,
        mirror=augment.mirroring(**config.input) if config.input.mirror_at_test else None,
        active=active,
        balanced=config.training.balanced,
        pair=pair,
        frozen=tuple(config.freeze),
        hyperparameters=tuple(hyperparameters(config, labels)),
        shuffled=config.training.shuffle,
        name=repr(
            (
                network,
                config.optimizer.name,
                config.optimizer.coupled_decay,
                config.optimizer.bias_rate,
                config.input.to_dict(),
                system.made,
                config.loss.cosine_pair,
                config.training.shuffle,
                config.training.balanced,
                sorted(changes | active),
                config.freeze,
            )
        )
        if known
        else '',
    )


def used(names: Sequence[str], sections: Sequence[Mapping[str, float]]) -> frozenset[str]:
    """The names of numbers that are not 0 in some section."""
    return frozenset(name for name in names if any(section[name] for section in sections))


def hyperparameters(config: ConfigDict, labels: Sequence[str]) -> dict[str, float]:
    """The numbers that may differ from trial to trial within one compiled program; none without a network.

    Raises:
      InputError: a name that does not exist or that two of them have, or class weights that do not fit
        `labels`.
    """
    if models.system(config.model.name).fitting:
        return {}
    found = {
        **optimizers.hyperparameters(config.optimizer),
        **losses.hyperparameters(config.loss, labels),
        **{augment.column(name): config.augment[name] for name in augment.NAMES},
    }
    section = model_section.complete(config.model)
    for name in models.system(config.model.name).traced:
        if name in found or name in (*trials.IDENTITY, *OUTCOME):
            raise InputError(
                f'the traced option {name!r} of {config.model.name!r} is called as another column of '
                'trials.csv is; expected another name'
            )
        found[name] = section[name]
    return found


def without_difference(swept: Sweep, labels: Sequence[str]) -> list[tuple[Point, Point]]:
    """Points that train the same networks as one before them, whatever their fields say, with that one."""
    first: dict[tuple, Point] = {}
    found = []
    for point in swept.points:
        if models.system(point.config.model.name).fitting:
            same = first.setdefault(tuple(map(str, _read_in_fitting(point.config))), point)
        else:
            read = _read_in_training(point.config, labels)
            same = first.setdefault((point.program, point.config.data.train_subjects, *read), point)
        if same is not point:
            found.append((point, same))
    return found


def _read_in_training(config: ConfigDict, labels: Sequence[str]) -> list[tuple[str, float]]:
    """The hyperparameters that the training of a network reads."""
    numbers = hyperparameters(config, labels)
    for name in optimizers.UNREAD[config.optimizer.name]:
        del numbers[name]
    if not {*config.loss.cosine_pair} <= {*models.system(config.model.name).features}:
        del numbers['cosine_weight']
    return sorted(numbers.items())


def _read_in_fitting(config: ConfigDict) -> list[tuple[str, Any]]:
    """The fields that decide what a system without a network predicts."""
    fitting = models.system(config.model.name).fitting
    flat = fields.flat(config)
    flat |= {f'input.{name}': value for name, value in encoding.as_read(config.input).items()}
    return [
        (field, value)
        for field, value in flat.items()
        if fitting.is_read(field) and not field.startswith('engine.')
    ]


@dataclasses.dataclass(frozen=True)
class Program:
    """The points of a sweep that share one compiled program.

    Attributes:
      number: as the table of trials has it.
      config: of one of its points; they differ in hyperparameters only.
      dataset: the clips.
      training: of each of its trials; None of a system without a network.
      vectors: [N, D] of the clips, which scikit-learn fits its trials to; else None.
      described: vectors of the clips by what made them, which all programs of a run share.
      start: from some of its trials to what their networks begin with; None: they are fresh.
      shared: of that, the leaves that are the same in all trials and are not trained.
      prefix: of lines on the console: how this program differs from others; empty if there is one.
    """

    number: int
    config: ConfigDict
    dataset: Dataset
    training: Training | None
    prefix: str
    vectors: np.ndarray | None = None
    described: dict[tuple, Any] = dataclasses.field(default_factory=dict)
    start: Callable[[Sequence[Mapping[str, Any]]], Start] | None = None
    shared: frozenset[Path] = frozenset()


def make_programs(swept: Sweep, datasets: Mapping[int, Dataset], failures: dict[int, str]) -> list[Program]:
    """The programs of a sweep that have a dataset, in the order of their numbers.

    Args:
      swept: the points.
      datasets: by the number of the program.
      failures: of a leaderboard, takes why programs cannot be made.

    Raises:
      InputError: see `make_training`; or the inputs cannot be read or augmented so, or a network of one's own
        cannot be trained on padded batches, see `per_example`.
    """
    points: dict[int, list[Point]] = {}
    for point in swept.points:
        points.setdefault(point.program, []).append(point)
    found = []
    vectors: dict[tuple, Any] = {}  # points that differ in options of an estimator share them
    for number, (point, *others) in points.items():
        if number not in datasets:
            continue
        dataset, system = datasets[number], models.system(point.config.model.name)
        configs = [point.config, *(other.config for other in others)]
        several = len(points) > 1
        prefix = f'program {number + 1} of {len(points)}, {_difference(point, swept)}: ' if several else ''
        try:
            training = make_training(point.config, dataset.labels, configs[1:])
            key = (system.name, *map(id, dataset.inputs.values()))
            if training:
                check_inputs(point.config, dataset)
                if system.name not in models.SYSTEMS:
                    network = models.build(classes=len(dataset.labels), **point.config.model)
                    shapes = _shapes_read(point.config, dataset)
                    per_example.check(network, system.traced, shapes, classes=len(dataset.labels))
                augment.check(
                    used(augment.NAMES, [each.augment for each in configs]),
                    dataset.inputs,
                    mirrored_by='input.mirror_at_test' if point.config.input.mirror_at_test else '',
                )
            elif system.learner == CLOSED_FORM:
                check_descriptors(point.config, dataset)
            elif key not in vectors:
                vectors[key] = described(system.descriptor, dataset)
        except InputError as error:
            if not swept.config.report.leaderboard:
                raise
            failures[number] = one_line(error)
        else:
            own = {'vectors': vectors.get(key), 'described': vectors}
            found.append(Program(number, point.config, dataset, training, prefix, **own))
    return found


def check_inputs(config: ConfigDict, dataset: Dataset) -> None:
    """Raises InputError unless network and converted weights can read inputs as the dataset has them."""
    made, read = models.system(config.model.name).made, config.input
    prepare.check_stored(
        read.scale,
        dataset.inputs,
        made,
        size=read.size,
        random_crop=read.random_crop,
        encoding=read.encoding,
    )
    found = _shapes_read(config, dataset)
    usual = {key: schema.usual_shape(key) for key in schema.VIEWS['flow']}
    own = config.model.name not in models.SYSTEMS
    if not own and all(usual.get(key) == shape for key, shape in found.items()):
        return  # which all systems of flows read
    network = models.build(classes=len(dataset.labels), **config.model)
    shapes = models.shapes(network, found)
    if not config.evaluate_only or found.keys() - usual.keys():
        return
    if shapes != models.shapes(network, {key: usual[key] for key in found}):
        height, width = dataset.inputs[next(iter(found))].shape[1:3]
        raise InputError(
            f'config.evaluate_only: converted weights are of networks that read flows of {schema.FLOW_SIZE}x'
            f'{schema.FLOW_SIZE} pixels, and the dataset has {width}x{height}: the layers of '
            f'{config.model.name!r} would have other sizes. Build it with --size {schema.FLOW_SIZE}'
        )


def check_descriptors(config: ConfigDict, dataset: Dataset) -> None:
    """Raises InputError unless a closed form can read inputs as the dataset has them, clip by clip."""
    read, system = config.input, models.build(classes=len(dataset.labels), **config.model)
    if read.scale in schema.BY_CLIPS:
        raise InputError(
            f'config.input.scale is {read.scale!r}, which differs from fold to fold, and the kernel of '
            f'{config.model.name!r} is the same for all of them; expected another scale'
        )
    made = models.system(config.model.name).made
    prepare.check_stored(read.scale, dataset.inputs, made, size=read.size, encoding=read.encoding)
    augment.check((), dataset.inputs, mirrored_by='model.mirror' if system.mirror else '')
    shapes = {key: jax.ShapeDtypeStruct(x, np.float32) for key, x in _shapes_read(config, dataset).items()}
    for name in system.views:
        jax.eval_shape(system.descriptors[name], shapes)


def _shapes_read(config: ConfigDict, dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """[C, *S] of each input as the network reads it."""
    made = models.system(config.model.name).made
    read = prepare.preparation(**config.input, made=made)
    stored = Clips.shapes(dataset, 1).inputs
    return {key: x.shape[:-1] for key, x in jax.eval_shape(read, stored).items()}


def described(descriptor: Descriptor, dataset: Dataset) -> np.ndarray:
    """The vectors of all clips, [N, D].

    Raises:
      InputError: it is not one vector of finite numbers per clip, or a clip's depends on the other clips,
        among which are those that a trial leaves out.
    """
    vectors = np.asarray(descriptor(dataset.inputs))
    ends = (0, dataset.size - 1)
    alone = [
        np.asarray(descriptor({key: array[[place]] for key, array in dataset.inputs.items()}))
        for place in ends
    ]
    expected = f'expected {dataset.size} x D numbers, one row per clip'
    if vectors.ndim != 2 or len(vectors) != dataset.size or vectors.dtype.kind not in 'biuf':
        raise InputError(f'the descriptor gives {vectors.dtype} {vectors.shape}; {expected}')
    if not np.isfinite(vectors).all():
        clip = int(np.argmin(np.isfinite(vectors).all(1)))
        where = f'{dataset.subjects[clip]}/{dataset.clip[clip]}'
        raise InputError(f'the descriptor gives numbers of {where} that are not finite; {expected}')
    near = stages.rounding(vectors)
    if any(
        own.shape != (1, vectors.shape[1]) or not np.allclose(own[0], vectors[place], stages.TOLERANCE, near)
        for place, own in zip(ends, alone, strict=True)
    ):
        raise InputError(
            'the descriptor gives other numbers of a clip alone than among the others: it has seen '
            'clips that trials leave out; expected a function of each clip for itself. What is learnt from '
            'several clips, such as a scaling or PCA, belongs into the pipeline'
        )
    return vectors


def epochs_of(config: ConfigDict) -> int:
    """Epochs that the training of a config's system has; of one without a network 1."""
    return 1 if models.system(config.model.name).fitting else config.training.epochs


def _difference(point: Point, swept: Sweep) -> str:
    """How a program differs from that of the reference, in words."""
    fixed = {
        field: value
        for field, value in point.values.items()
        if not sweep_lib.is_column(field, point.config.model.name) and value != swept.reference.values[field]
    }
    return sweep_lib.named(fixed) or 'the reference'
