"""What a config may hold: refused before anything is read, built or trained."""

import os
from collections.abc import Collection

import jax
from ml_collections import ConfigDict

from dualatme_jax import files, models, schema
from dualatme_jax.data import splits
from dualatme_jax.errors import InputError, check_choice
from dualatme_jax.models.layers import lowering
from dualatme_jax.report import paper, scores
from dualatme_jax.report.selection import BEST_ON_TEST, LAST, NESTED
from dualatme_jax.run import as_published, encodings, ensembles, fields, network, programs, stages, sweep
from dualatme_jax.run.sweep import TRAIN_SUBJECTS, Sweep
from dualatme_jax.training import devices, prepare

# Sections of a config that are of networks, for the most part.
_OF_NETWORKS = ('augment', 'checkpoint', 'input', 'loss', 'optimizer', 'training', 'engine')


def check(config: ConfigDict) -> Sweep:
    """The points of a config that can be run, whatever its dataset is.

    Raises:
      InputError: a field that is missing, out of its range or of another type, a name that does not exist, or
        fields that do not go together.
    """
    fields.check(config)
    swept = sweep.points(config)
    seen, read = set(), set()
    for point in swept.points:
        # The classes are the dataset's; as many as there are weights of them will do here.
        labels = [f'class {number}' for number in range(len(point.config.loss.class_weights))]
        programs.hyperparameters(point.config, labels)
        # An option may be a number that no other program is made for, and that its `build` refuses.
        program = (point.program, *point.config.model.values())
        if program not in seen:
            seen.add(program)
            programs.make_training(point.config, labels)
            system = models.system(point.config.model.name)
            if not system.fitting or system.fitting.is_read('input.scale'):
                prepare.check(**point.config.input, reads=system.reads)
            stage = system.stage_of(point.config.model)
            if stage and stages.weights_files(stage, point.config.stage):
                read.add(point.config.stage.weights)
    check_weights(swept, read)
    encodings.check(swept)
    check_fitted(config, swept)  # before what else a config may ask of networks
    check_folds(config, swept)
    check_selection(config, swept)
    check_evaluation(config, swept)
    ensembles.check(config, swept)
    as_published.check(config)
    paper.check(config.report.paper, swept.fields)
    return swept


def check_weights(swept: Sweep, read: Collection[str]) -> None:
    """Raises InputError for weights of a stage, config.stage.weights, that no point reads."""
    for point in swept.points:
        if (given := point.config.stage.weights) and given not in read:
            raise InputError(
                f'config.stage.weights is {given!r}, and {point.config.model.name!r} has no stage that reads '
                'weights with these options of config.model; give one that does (--fields lists them), or '
                'leave the weights out'
            )


def check_engine(engine: ConfigDict) -> None:
    """Raises InputError for devices that are not there, or a way to train that does not exist."""
    devices.check(
        mapping=engine.mapping,
        dispatch=engine.dispatch,
        precision=engine.precision,
        rematerialise=engine.rematerialise,
    )
    lowering.check(engine.lowering)
    try:
        devices.choose(engine.devices)
    except (AssertionError, RuntimeError) as error:  # JAX finds none of the kind that it is to take
        asked = os.environ.get('JAX_PLATFORMS') or jax.config.jax_platforms
        reason = str(error) or 'none is there'
        raise InputError(
            f'JAX_PLATFORMS asks for {asked!r}, and JAX finds no such device ({reason}); '
            'unset it to train on what there is, or see docs/devices.md for what such devices need'
        ) from error


def without_effect(engine: ConfigDict) -> list[str]:
    """A line for each setting of the engine that does nothing on the devices there are."""
    if engine.precision == 'tf32' and jax.devices()[0].platform == 'cpu':
        return ["config.engine.precision='tf32' does nothing on a CPU, which computes in float32"]
    return []


def check_folds(config: ConfigDict, swept: Sweep) -> None:
    """Raises InputError for folds that do not exist, or with which other fields cannot be had."""
    splits.check_kind(config.folds)
    if config.folds == splits.ALL and not scores_others(config):
        predicted = {
            'config.selection.name': config.selection.name != LAST,
            'config.selection.every': config.selection.every > 0,
            'config.evaluate_only': bool(config.evaluate_only),
            'config.sweep': len(swept.points) > 1,
            'config.data.train_subjects': config.data.train_subjects > 0,
            'config.report.leaderboard': config.report.leaderboard,
            'config.report.ensemble': bool(config.report.ensemble),
            'config.checkpoint.keep_weights': not config.checkpoint.keep_weights,
        }
        for field, given in predicted.items():
            if given:
                raise InputError(
                    f'config.folds is {splits.ALL!r}, which leaves nobody out, predicts nothing and leaves '
                    f'one network per seed, and {field} asks for something else; leave one of the two out'
                    + _absent(config.evaluate_only)
                )
    if config.folds == splits.PARTS and config.evaluate_only:
        raise InputError(
            f'config.folds is {splits.PARTS!r}, and config.evaluate_only takes networks by whom they have '
            'not seen, which the name of a part does not say; expected '
            f'{splits.SUBJECT!r} or {splits.DATABASE!r}'
        )
    published = {'paper': config.report.paper, 'leaderboard': config.report.leaderboard}
    for field, given in published.items():
        if given and config.folds != splits.SUBJECT:
            raise InputError(
                f'config.report.{field} shows published figures, which are of one subject left out, and '
                f'config.folds is {config.folds!r}, with which they cannot be compared; leave one of the two '
                'out'
            )
        if given and config.data.train_subjects:
            raise InputError(
                f'config.report.{field} shows published figures, which are of all subjects that are not left '
                f'out, and config.data.train_subjects is {config.data.train_subjects}; leave one of the two '
                'out'
            )


def scores_others(config: ConfigDict) -> bool:
    """Whether networks of a run that left nobody out are evaluated: they score whom they have not seen."""
    return bool(config.evaluate_only) and network.is_one(
        files.expanded(config.evaluate_only, '--config.evaluate_only')
    )


def _absent(weights: str) -> str:
    """The end of an error of `evaluate_only` if nothing lies at its path, which may be all that is wrong."""
    there = not weights or files.expanded(weights, '--config.evaluate_only').exists()
    return '' if there else f'. Nothing lies at {weights}'


def unread(swept: Sweep) -> list[str]:
    """Lines for each system without a network: the fields that it does not read, and of which only some."""
    found = []
    for name in dict.fromkeys(point.config.model.name for point in swept.points if not _trains(point)):
        system, whole, some = models.system(name), [], []
        for section in _OF_NETWORKS:
            start = f'{section}.'
            read = [name.removeprefix(start) for name in system.fitting.reads if name.startswith(start)]
            if read:
                some.append(f'of config.{section} only {", ".join(read)}')
            elif not system.fitting.is_read(section):
                whole.append(f'config.{section}')
        found += [
            f'{system.title} is {system.fitting.how}; what is fitted is not kept',
            f'  not read: {", ".join(whole)}',
            f'  read {"; ".join(some)}',
        ]
    return found


def check_fitted(config: ConfigDict, swept: Sweep) -> None:
    """Raises InputError where a system has no network, and fields ask for something of one."""
    asked = {
        'config.evaluate_only': bool(config.evaluate_only),
        'config.init_from': bool(config.init_from),
        'config.freeze': bool(config.freeze),
        f'config.folds={splits.ALL!r}': config.folds == splits.ALL,
    }
    for point in swept.points:
        for field, given in asked.items():
            if given and not _trains(point):
                raise InputError(
                    f'{field} is of networks, and {point.config.model.name!r} has none: it is '
                    f'{models.system(point.config.model.name).fitting.how}; leave one of the two out'
                )


def _trains(point: sweep.Point) -> bool:
    """Whether a point's system is a network, which is trained."""
    return not models.system(point.config.model.name).fitting


def check_evaluation(config: ConfigDict, swept: Sweep) -> None:
    """Raises InputError where weights from elsewhere are to be evaluated, and fields ask for training."""
    if not config.evaluate_only:
        return
    trained = {
        'config.smoke': config.smoke,
        'config.init_from': bool(config.init_from),
        'config.freeze': bool(config.freeze),
        'config.data.train_subjects': config.data.train_subjects > 0,
        'config.data.undersample': config.data.undersample > 0,
        'config.sweep': len(swept.points) > 1,
        'config.selection.name': config.selection.name != LAST,
        'config.selection.every': config.selection.every > 0,
    }
    if not scores_others(config):  # of which each seed has one network for all subjects
        trained['config.seeds'] = len(config.seeds) > 1
        trained['config.report.ensemble'] = bool(config.report.ensemble)
    for field, given in trained.items():
        if given:
            raise InputError(
                f'config.evaluate_only is {config.evaluate_only!r}, which trains nothing and scores one '
                f'network for each subject, and {field} asks for something else; leave one of the two out'
                + _absent(config.evaluate_only)
            )
    if config.input.scale in schema.BY_CLIPS:
        raise InputError(
            f'config.input.scale is {config.input.scale!r}, and the weights of config.evaluate_only do not '
            'say which clips scaled their inputs; expected another scale'
        )


def check_selection(config: ConfigDict, swept: Sweep) -> None:
    """Raises InputError for a selection that does not exist, or has nothing to choose from."""
    for field, choices in (('name', (LAST, NESTED, BEST_ON_TEST)), ('metric', scores.METRICS)):
        check_choice('selection', config.selection[field], f'config.selection.{field}', choices)
    every = config.selection.every
    epochs = max(programs.epochs_of(point.config) for point in swept.points)
    several = bool(every) and (epochs - 1) // every > 0  # the last one is kept always
    example = 'such as --config.selection.every=1'
    points, kept = f'such as {fields.GRID_EXAMPLE}, or several kept epochs, {example}', f'epochs, {example}'
    if not any(map(_trains, swept.points)):
        points = 'since what is no network has no epochs'
        kept = f'{LAST!r} or {NESTED!r}, {points}'
    if config.selection.name == NESTED and len(swept.points) < 2 and not several:
        raise InputError(
            f'config.selection.name is {NESTED!r} and there is one point to choose from; '
            f'expected a sweep of two or more, {points}'
        )
    if config.selection.name == NESTED and TRAIN_SUBJECTS in swept.fields:
        raise InputError(
            f'config.selection.name is {NESTED!r}, which chooses among the points of a sweep, and '
            f'config.sweep has several {TRAIN_SUBJECTS}: how many subjects there are is no choice. Give each '
            'number a run of its own'
        )
    if config.report.leaderboard and (not every or config.selection.name == BEST_ON_TEST):
        raise InputError(
            f'config.report.leaderboard needs kept epochs and an honest selection, and config.selection has '
            f'every = {every} and name = {config.selection.name!r}; expected every = 1 or more, and '
            f'{LAST!r} or {NESTED!r}: see configs/leaderboard.py'
        )
    if config.selection.name == BEST_ON_TEST and not several:
        raise InputError(
            f'config.selection.name is {BEST_ON_TEST!r}, and no epoch but the last is kept; expected {kept}'
        )
