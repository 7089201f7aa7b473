"""Sweeps: points from grids, in their order, each once; what cannot be swept is named."""

import itertools
from pathlib import Path

import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import config_flags

from configs import cd, kernel_ridge
from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.run import fields, programs, sweep, workdir

VALUES = {
    'loss.cosine_weight': st.sampled_from([0.0, 0.01, 0.1]),
    'optimizer.name': st.sampled_from(['adam', 'sgd']),
    'training.epochs': st.integers(1, 3),
    'loss.class_weights': st.sampled_from([(1.0, 1.0, 1.0), (0.2, 0.3, 0.5)]),
}
GRIDS = st.lists(
    st.fixed_dictionaries(
        {}, optional={name: st.lists(values, min_size=1, max_size=3) for name, values in VALUES.items()}
    ).filter(bool),
    min_size=1,
    max_size=3,
)


def config_of(*grids):
    config = cd.get_config()
    config.sweep = grids
    return config


def points(*grids):
    return sweep.points(config_of(*grids))


def read(config, field):
    section, name = field.split('.')
    return config[section][name]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(grids=GRIDS)
def test_points_are_the_products_one_after_the_other_each_once(grids):
    own = cd.get_config()
    fields = list(dict.fromkeys(name for grid in grids for name in grid))
    expected = []
    for grid in grids:
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            expected.append(tuple(point.get(field, read(own, field)) for field in fields))
    distinct = list(dict.fromkeys(expected))

    found = sweep.points(config_of(*grids))
    assert [tuple(read(point.config, field) for field in fields) for point in found.points] == distinct
    assert len(found.repeated) == len(expected) - len(distinct)
    varying = [field for place, field in enumerate(fields) if len({values[place] for values in distinct}) > 1]
    assert found.fields == varying
    for number, point in enumerate(found.points):
        assert point.number == number
        assert point.values == {field: read(point.config, field) for field in varying}
    home = tuple(read(own, field) for field in fields)
    assert found.reference is found.points[distinct.index(home) if home in distinct else 0]
    programs = [
        (read(point.config, 'optimizer.name'), point.config.training.epochs) for point in found.points
    ]
    numbers = {program: number for number, program in enumerate(dict.fromkeys(programs))}
    assert [point.program for point in found.points] == [numbers[program] for program in programs]


def test_without_a_sweep_the_config_is_the_only_point():
    found = points()
    assert len(found.points) == 1
    assert (found.fields, found.repeated, found.reference.program) == ([], [], 0)
    own = cd.get_config().to_dict()
    options = {'variant': 'paper', 'dropout': 0.5, 'init': 'torch'}  # of Dual-ATME, as its record has them
    assert found.reference.config.to_dict() == own | {'model': own['model'] | options}
    assert found.config.to_dict() == found.reference.config.to_dict()


def test_a_point_changes_its_own_fields_alone_and_the_config_not_at_all():
    config = config_of({'model.dropout': (0.1, 0.5)})
    first, second = sweep.points(config).points
    assert (first.config.model.dropout, second.config.model.dropout) == (0.1, 0.5)
    assert dict(config.model) == {'name': 'dual_atme'}
    assert second.config.to_dict() == sweep.points(config_of()).config.to_dict() | {'sweep': config.sweep}


def test_whole_numbers_may_stand_for_fractions_and_lists_for_tuples():
    found = points({'loss.cosine_weight': [0, 1], 'loss.class_weights': [[1, 2, 3], (0.5, 1, 1)]})
    assert [point.values['loss.cosine_weight'] for point in found.points] == [0.0, 0.0, 1.0, 1.0]
    assert isinstance(found.points[0].values['loss.cosine_weight'], float)
    assert found.points[0].config.loss.class_weights == (1, 2, 3)


def test_a_tuple_field_is_an_axis_only_of_tuples():
    found = points({'loss.class_weights': (1, 2, 3), 'loss.name': ('focal', 'weighted_cross_entropy')})
    assert [point.config.loss.class_weights for point in found.points] == [(1, 2, 3)] * 2
    assert found.fields == ['loss.name']


def test_a_field_of_one_value_is_set_and_does_not_vary():
    found = points({'loss.cosine_weight': 0.5})
    assert (found.fields, found.reference.config.loss.cosine_weight) == ([], 0.5)


def test_a_flag_is_a_sweep(monkeypatch):
    text = "[{'loss.cosine_weight': (0, 0.001, 0.01)}]"
    assert text in fields.GRID_EXAMPLE
    command = ['program', f'--config={Path(cd.__file__)}', f'--config.sweep={text}']
    monkeypatch.setattr('sys.argv', command)  # where ml_collections looks for fields
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file('config', flag_values=values)
    values(command)
    found = sweep.points(holder.value)
    assert [point.values for point in found.points] == [
        {'loss.cosine_weight': value} for value in (0, 0.001, 0.01)
    ]
    assert found.reference.number == 2


@pytest.mark.parametrize(
    ('grid', 'says'),
    [
        ({'loss.cosine_wieght': 1}, 'no such field; .* did you mean loss.cosine_weight'),
        ({'cosine_weight': 1}, 'no such field; .* did you mean loss.cosine_weight'),
        (
            {'qqq': 1},
            'expected a field of input, model, augment, loss, optimizer, training, or data.path',
        ),
        ({3: 1}, 'names 3, and there is no such field'),
        ({'seeds': (0, 1)}, "'seeds', which cannot be swept; expected a field of input"),
        ({'data.databases': ('smic',)}, "'data.databases', which cannot be swept"),
        ({'engine.max_trials': (1, 2)}, 'cannot be swept'),
        ({'loss': 1}, 'cannot be swept'),
        (
            {'loss.cosine_weight': ()},
            r'no value for loss.cosine_weight; .* such as loss.cosine_weight: \(0.01,',
        ),
        ({'loss.class_weights': ()}, 'no value for loss.class_weights'),
        ({}, r'grid 1 of config.sweep is \{\}; expected a mapping'),
        ('loss.name', "the name 'loss.name' where a grid belongs"),
        ({'training.epochs': 1.5}, '1.5 for training.epochs; expected type int, such as 60'),
        ({'training.epochs': True}, 'True for training.epochs; expected type int'),
        ({'loss.cosine_weight': '0.1'}, "'0.1' for loss.cosine_weight; expected type float"),
        ({'loss.class_weights': 1.0}, '1.0 for loss.class_weights; expected type tuple'),
        ({'model.variant': None}, 'None for model.variant; expected type str'),
    ],
)
def test_what_cannot_be_swept_is_named(grid, says):
    with pytest.raises(InputError, match=says):
        points(grid)


def test_points_that_differ_in_what_their_encoding_does_not_read_are_told_apart_by_name_alone():
    config = kernel_ridge.get_config()
    config.sweep = ({'input.encoding': ('minmax', 'robust'), 'input.percentile': (90.0, 95.0)},)
    alike = programs.without_difference(sweep.points(config), schema.LABELS)
    assert [(point.number, same.number) for point, same in alike] == [(1, 0)]


def test_how_clips_are_predicted_makes_another_program_and_another_run():
    config = cd.get_config()
    config.sweep = ({'input.mirror_at_test': (False, True)},)
    points = sweep.points(config).points
    assert [point.program for point in points] == [0, 1]
    one, two = (programs.make_training(point.config, schema.LABELS) for point in points)
    assert one.name != two.name, 'nothing traced for one is taken for the other'
    assert one.mirror is None
    assert two.mirror
    one, two = (workdir.decisive({'input': point.config.input.to_dict()}) for point in points)
    assert one != two
