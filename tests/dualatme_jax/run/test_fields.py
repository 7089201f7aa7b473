"""Every field of a config has a kind, and a name that is none suggests the field that was meant."""

import math

import numpy as np
import pytest

from configs import cd
from dualatme_jax import kinds, schema
from dualatme_jax.errors import InputError
from dualatme_jax.run import fields


def test_every_field_of_the_home_config_has_a_kind_that_its_value_fits():
    config = cd.get_config()
    assert fields.flat(config).keys() == fields.FIELDS.keys()
    fields.check(config)
    fits = fields.FIELDS['report.resamples'].fits
    assert fits(schema.MOST_RESAMPLES)
    assert not fits(schema.MOST_RESAMPLES + 1)


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('lr', ['optimizer.learning_rate']),
        ('learning_rate', ['optimizer.learning_rate']),
        ('learning-rate', ['optimizer.learning_rate']),
        ('optimizer.lr', ['optimizer.learning_rate']),
        ('optimizer', ['optimizer.name']),
        ('model', ['model.name']),
        ('loss.cosine_wieght', ['loss.cosine_weight']),
        ('gamma', ['loss.focal_gamma']),
        ('lambda', ['loss.cosine_weight']),
        ('weight', ['loss.cosine_weight', 'optimizer.weight_decay']),
        ('epoch', ['training.epochs']),
        ('train.epochs', ['training.epochs']),
        ('seed', ['seeds']),
        ('model.nam', ['model.name']),
        ('gpus', ['engine.devices']),
        ('qqq', []),
        ('', []),
        ('.', []),
    ],
)
def test_a_name_stands_for_the_field_that_was_meant(name, expected):
    assert fields.meant(name, fields.FIELDS) == expected


@pytest.mark.parametrize(
    ('kind', 'well', 'ill'),
    [
        (kinds.whole(1), [1, 2**31 - 1], [0, 2**31, 10**400, True, 1.0, '1', None, np.int32(1)]),
        (kinds.number(0), [0, 0.0, 1, 3.4e38, 1.2e-38], [-1e-9, 3.5e38, 1e39, 1e-39, 10**400, True, '1']),
        (kinds.number(0), [1e-30], [math.nan, math.inf, -math.inf, None, (1,)]),
        (kinds.FRACTION, [0, 0.5, 0.9999999], [1, 1.0, 0.99999999, -0.1, math.nan]),
        (kinds.number(0, 1), [0, 1, 1.0], [1.0000001, -1]),
        (fields.SEEDS, [(0,), (3, 1), (2**32 - 1,)], [(), (0, 0), (True,), (-1,), (2**32,), [0], 0, (0.0,)]),
        (kinds.TEXT, ['', 'E&M', 'ä'], ['\0', 'a\nb', '\x1b[2J', '\udcff', None, 1, b'a']),
        (kinds.several(kinds.TEXT), [(), ('a',)], ['a', ['a'], (1,), ('\0',), None]),
        (kinds.SWITCH, [True, False], [0, 1, None, 'True']),
    ],
)
def test_a_kind_takes_what_can_be_computed_with(kind, well, ill):
    assert [value for value in well if not kind.fits(value)] == []
    assert [value for value in ill if kind.fits(value)] == []


def test_a_config_of_one_s_own_is_told_what_it_lacks_and_what_it_has_too_much():
    config = cd.get_config().unlock()
    del config.loss.focal_gamma
    with pytest.raises(
        InputError, match=r'lacks config\.loss\.focal_gamma; expected all fields of configs/cd'
    ):
        fields.check(config)
    config = cd.get_config().unlock()
    config.optimizer.lr = 1e-3
    with pytest.raises(InputError, match=r'optimizer\.lr, .* did you mean config\.optimizer\.learning_rate'):
        fields.check(config)


def test_a_long_or_hidden_value_is_cut_and_escaped_in_the_message():
    config = cd.get_config()
    config.model.name = '\x1b[2J' * 1000
    with pytest.raises(InputError) as error:
        fields.check(config)
    assert len(str(error.value)) < 200
    assert '\x1b' not in str(error.value)
