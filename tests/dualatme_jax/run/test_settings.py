"""Whatever a config holds, it is accepted or refused by InputError, before anything is read."""

import json
import math

import jax
import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from configs import cd
from dualatme_jax.errors import InputError
from dualatme_jax.models import SYSTEMS
from dualatme_jax.run import fields, programs
from dualatme_jax.run import settings as checks

WORDS = [
    '',
    'focal',
    'weighted_cross_entropy',
    'sgd',
    'step',
    'nested',
    'best_on_test',
    'lambda',
    'byte',
    '{regions}',
    '~no-such-user/x',
    'x' * 5000,
    '\0',
    '\x1b[2J',
    '\udcff',
    *SYSTEMS,
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 130),
    st.sampled_from([2**31, 2**32, 2**64, 10**20, 10**400, -(10**400)]),
    st.floats(),
    st.sampled_from(
        [math.nan, math.inf, 1e39, 1e308, 1e-46, 5e-324, 0.999999999, np.float32(0.5), np.int64(3)]
    ),
    st.sampled_from(WORDS),
    st.text(max_size=5),
    st.binary(max_size=3),
)
WILD = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3).map(tuple),
    st.lists(SCALARS, max_size=3),
    st.just({}),
    st.permutations(('u', 'v', 'strain')).map(tuple),
)
OPTIONS = {f'model.{name}' for system in SYSTEMS.values() for name in system.options}
FIELD = st.sampled_from(sorted((fields.FIELDS.keys() | OPTIONS) - {'sweep'}))
AXES = st.dictionaries(st.one_of(FIELD, SCALARS), WILD, max_size=3)
SWEEPS = st.one_of(WILD, st.lists(AXES, max_size=3).map(tuple))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(values=st.dictionaries(FIELD, WILD, min_size=1, max_size=2), grids=st.none() | SWEEPS)
@pytest.mark.slow
def test_a_config_is_accepted_or_refused_and_never_raises_anything_else(values, grids):
    config = cd.get_config()
    with config.unlocked(), config.ignore_type():
        try:
            for field, value in values.items():
                section, _, name = field.rpartition('.')
                (config[section] if section else config)[name] = value
            if grids is not None:
                config.sweep = grids
        except (OverflowError, ValueError):  # of ml_collections: no config can hold it
            reject()
    try:
        swept = checks.check(config)
    except InputError as error:
        str(error).encode()
        return
    json.dumps(json.loads(config.to_json()), allow_nan=False).encode()
    for point in swept.points:
        numbers = programs.hyperparameters(point.config, ('a', 'b', 'c')) if well_weighted(point) else {}
        assert np.isfinite(np.array([*numbers.values()], np.float32)).all()
        assert np.float32(point.config.model.get('dropout', 0)) < 1


def well_weighted(point):
    return len(point.config.loss.class_weights) == 3


@pytest.mark.parametrize(
    'values',
    [
        {'training.epochs': 2**31 - 1, 'checkpoint.every': 2**31 - 1, 'selection.every': 0},
        {'optimizer.learning_rate': 0, 'optimizer.momentum': 1, 'model.dropout': 0.0},
        {'seeds': (2**32 - 1, 0), 'engine.memory_gib': 0.5, 'engine.cache': '', 'data.path': 'ä b'},
        {'sweep': ({'optimizer.learning_rate': (1, 2), 'training.epochs': (1, 2)}, {'loss.name': 'focal'})},
    ],
)
def test_what_can_be_run_is_accepted(values):
    config = cd.get_config()
    config.update_from_flattened_dict(values)
    checks.check(config)


@pytest.mark.slow
def test_the_largest_sweep_is_one_whose_points_can_be_counted_out():
    config = cd.get_config()
    axis = tuple(1e-3 + 1e-6 * step for step in range(40))
    config.sweep = ({'optimizer.learning_rate': axis, 'loss.cosine_weight': axis},)
    swept = checks.check(config)
    assert (len(swept.points), len(swept.repeated)) == (1600, 0)
    config.sweep = (*config.sweep, *config.sweep)
    swept = checks.check(config)
    assert (len(swept.points), len(swept.repeated)) == (1600, 1600)


def test_more_points_than_can_be_planned_are_refused_before_they_are_made():
    config = cd.get_config()
    axis = tuple(1e-3 + 1e-6 * step for step in range(1000))
    config.sweep = (
        dict.fromkeys(['optimizer.learning_rate', 'loss.cosine_weight', 'loss.focal_gamma'], axis),
    )
    with pytest.raises(InputError, match='1000000000 points; expected 20000 at most'):
        checks.check(config)


def test_a_device_that_was_asked_for_and_is_not_there_is_named(monkeypatch):
    def none_there():
        raise AssertionError

    monkeypatch.setattr(jax, 'devices', none_there)
    monkeypatch.setenv('JAX_PLATFORMS', 'cuda')
    with pytest.raises(
        InputError, match=r"JAX_PLATFORMS asks for 'cuda', and JAX finds no such device \(none is there\)"
    ):
        checks.check_engine(cd.get_config().engine)


def test_what_does_nothing_on_a_cpu_is_said():
    engine = cd.get_config().engine
    assert checks.without_effect(engine) == []
    engine.precision = 'tf32'
    assert ['does nothing on a CPU' in line for line in checks.without_effect(engine)] == [True]


@pytest.mark.parametrize(
    ('given', 'says'),
    [
        ({'folds': 'loso'}, "config.folds takes 'subject', 'database', 'parts', 'all'"),
        ({'folds': 'all', 'selection.name': 'nested', 'selection.every': 1}, 'config.selection.name asks'),
        ({'folds': 'all', 'selection.name': 'best_on_test', 'selection.every': 1}, 'selection.name asks'),
        ({'folds': 'all', 'selection.every': 1}, 'config.selection.every asks'),
        ({'folds': 'all', 'evaluate_only': 'runs/x'}, 'config.evaluate_only asks .* Nothing lies at runs/x'),
        ({'folds': 'all', 'data.train_subjects': 9}, 'config.data.train_subjects asks'),
        ({'evaluate_only': 'runs/x', 'data.train_subjects': 9}, 'config.data.train_subjects asks'),
        ({'report.paper': 'lambda', 'data.train_subjects': 9}, 'published figures, which are of all'),
        (
            {'selection.name': 'nested', 'sweep': ({'data.train_subjects': (9, 18)},)},
            'several data.train_subjects: how many subjects there are is no choice',
        ),
        ({'folds': 'all', 'sweep': ({'model.dropout': (0.1, 0.2)},)}, 'config.sweep asks'),
        ({'folds': 'all', 'checkpoint.keep_weights': False}, 'config.checkpoint.keep_weights asks'),
        ({'folds': 'parts', 'evaluate_only': 'runs/x'}, "'parts', and config.evaluate_only takes networks"),
        ({'folds': 'database', 'report.paper': 'lambda'}, 'published figures, which are of one subject left'),
        (
            {'folds': 'parts', 'report.leaderboard': True, 'selection.every': 1},
            "config.report.leaderboard shows published .* config.folds is 'parts'",
        ),
        ({'fold_parts': 1}, 'config.fold_parts is 1; expected a whole number from 2'),
    ],
)
def test_folds_do_not_go_with_everything(given, says):
    config = cd.get_config()
    config.update_from_flattened_dict(given)
    with pytest.raises(InputError, match=says):
        checks.check(config)


@pytest.mark.parametrize('kind', ['database', 'parts', 'all'])
def test_other_folds_than_those_of_subjects_can_be_had(kind):
    config = cd.get_config()
    config.folds = kind
    checks.check(config)


def test_weights_of_a_stage_that_nothing_reads_are_an_error():
    config = cd.get_config()
    config.stage.weights = 'magnifier=a.pth'
    with pytest.raises(InputError, match=r"'dual_atme' has no stage that reads weights with these options"):
        checks.check(config)
    config.model.name = 'aman'
    with pytest.raises(InputError, match=r"'aman' has no stage that reads weights"):
        checks.check(config)
    config.sweep = ({'model.magnifier': ('none', 'learned')},)
    config.model.magnifier = 'learned'
    checks.check(config)  # one of the points reads them
