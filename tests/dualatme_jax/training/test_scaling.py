"""Inputs scaled by what a trial's own clips hold: against NumPy on those clips, whatever the others hold."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.models.output import Output
from dualatme_jax.training import optimizers, scaling, trials
from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.step import Training

SUBJECTS = np.repeat(np.array(list('abcd')), 3)
KEYS = (schema.FACE_FRAMES, schema.CROP_FRAMES)
# The weights of a probe, whose logits are the mean of its first input times -1, 0 and 1.
WEIGHTS = np.float32([-1, 0, 1])


def clips(seed=0):
    """Twelve clips of two frames; those of each subject are brighter than those of the one before."""
    random = np.random.default_rng(seed)
    bright = 20 * (1 + np.arange(12) // 3).reshape(-1, 1, 1, 1, 1)
    inputs = {key: (random.integers(0, 99, (12, 2, 3, 3, 3)) + bright).astype(np.uint8) for key in KEYS}
    return Dataset(
        inputs=inputs | {'features': random.normal(size=(12, 5)).astype(np.float32)},
        label=np.arange(12, dtype=np.int32) % 3,
        database=np.full(12, 'casme2'),
        subject=SUBJECTS,
        clip=np.array([f'clip{k}' for k in range(12)]),
        labels=schema.LABELS,
        metadata={},
    )


def rows(dataset, **options):
    table = trials.table(dataset, seeds=(0,), points=[{}], **options)
    return table.to_dict('records')


def expected(dataset, train):
    return {key: [dataset.inputs[key][train].mean(), dataset.inputs[key][train].max()] for key in KEYS}


def close(found, wanted):
    assert found.keys() == wanted.keys()  # features are no bytes
    for key, numbers in wanted.items():
        np.testing.assert_allclose(found[key], numbers, rtol=1e-6)


def test_a_trial_is_scaled_by_the_clips_that_it_trains_on():
    dataset = clips()
    of = scaling.of_clips(dataset, 'fold')
    inner = rows(dataset, parts=3)
    assert {row['inner'] for row in inner} == {0, 1, 2, 3}
    for row in inner:
        trial = trials.device_trial(row, dataset, scaling=of)
        close(trial.scaling, expected(dataset, trials.fold_of(row, dataset).train))


def test_what_the_left_out_clips_hold_changes_nothing_but_by_the_whole_set():
    row, dataset = rows(clips())[0], clips()
    held_out = trials.fold_of(row, dataset).held_out
    other = dataclasses.replace(dataset, inputs={key: array.copy() for key, array in dataset.inputs.items()})
    for key in KEYS:
        other.inputs[key][held_out] = 255
    fold, there = (
        trials.device_trial(row, each, scaling=scaling.of_clips(each, 'fold')) for each in (dataset, other)
    )
    jax.tree.map(np.testing.assert_array_equal, fold.scaling, there.scaling)
    whole, leaking = (
        trials.device_trial(row, each, scaling=scaling.of_clips(each, 'whole_set'))
        for each in (dataset, other)
    )
    close(whole.scaling, expected(dataset, np.ones(12, bool)))
    close(leaking.scaling, expected(other, np.ones(12, bool)))
    assert leaking.scaling[KEYS[0]][1] == 255


@pytest.mark.parametrize('scale', ['signed', 'byte', 'stored'])
def test_other_scales_depend_on_no_clip(scale):
    assert scaling.of_clips(clips(), scale) is None
    assert not trials.device_trial(rows(clips())[0], clips()).scaling


class Probe(nn.Module):
    """Logits that say what was read."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        weights = self.param('weights', lambda key: WEIGHTS)
        return Output(inputs[KEYS[0]].mean((0, 1, 2, 3))[:, None] * weights)


@pytest.mark.slow
def test_networks_read_scaled_inputs_in_training_and_in_prediction():
    dataset = clips()
    training = Training(model=lambda given: Probe(), optimizer=optimizers.optimizer('sgd'), scale='fold')
    names = {'learning_rate': 0.5, 'momentum': 0.0, 'weight_decay': 0.0, 'cosine_weight': 0.0}
    names |= {'focal_gamma': 0.0, 'focal_alpha': 1.0, 'step_epochs': 1, 'step_factor': 1.0, 'step_until': 0}
    names |= {f'class_weight_{k}': 1.0 for k in range(3)}
    row = rows(dataset)[1]
    trial = trials.device_trial(
        row | names, dataset, hyperparameters=[*names], scaling=scaling.of_clips(dataset, 'fold')
    )
    stored = Clips.of(dataset)
    params = {'weights': WEIGHTS}
    state = State(params, {}, training.optimizer(trial.hyperparameters, 0).init(params))

    fold = trials.fold_of(row, dataset)
    mean, most = expected(dataset, fold.train)[KEYS[0]]
    read = ((dataset.inputs[KEYS[0]] - mean) / (most - mean)).reshape(12, -1).mean(1)
    logits = read[:, None] * WEIGHTS
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = training.predict(state, trial, stored)
    np.testing.assert_allclose(found, chances[fold.held_out], rtol=1e-5)

    order = training.shuffle(trial, stored, np.int32(0))
    number = np.int32(0)
    _, loss = training.step(state, trial, stored, order, number, number, width=9)
    right = chances[np.arange(12), dataset.label][fold.train]
    assert float(loss) / 9 == pytest.approx(-np.log(right).mean(), rel=1e-5)


def test_clips_that_are_the_same_all_over_are_scaled_to_zeros():
    black = {KEYS[0]: np.zeros((3, 1, 2, 2, 4), np.float32)}
    found = scaling.scaled(black, {KEYS[0]: np.float32([0, 0])})
    assert not np.any(found[KEYS[0]])
