"""All left-out groups from one factorisation, against solving each of them anew."""

import itertools

import jax
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from dualatme_jax.errors import InputError
from dualatme_jax.training import ridge


@pytest.fixture(scope='module')
def clips():
    """A kernel of 40 clips, two of which are alike, rare and frequent classes, 10 people."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 6))
    x[7] = x[3]
    kernel = np.exp(-((x[:, None] - x) ** 2).sum(-1) / 6)
    label = random.choice(3, 40, p=[0.6, 0.3, 0.1])
    return x, kernel, label, np.arange(40) % 10


@pytest.fixture(scope='module')
def train(clips):
    """Trials that leave out one person, or one and a part of the others, of several sizes."""
    people = clips[3]
    one = [people != left for left in range(10)]
    pairs = [(people != left) & (people != other) for left, other in itertools.combinations(range(10), 2)]
    return np.stack([*one, *pairs[:20], people < 5])


def anew(kernel, label, train, strength):
    """Scores of the left-out clips of one trial, as NumPy solves it."""
    counts = np.bincount(label[train], minlength=3)
    present = counts > 0
    inverse_weight = present.sum() * counts / train.sum()
    target = np.eye(3)[label] - present / present.sum()
    matrix = kernel[np.ix_(train, train)] + strength * np.diag(inverse_weight[label[train]])
    return kernel[np.ix_(~train, train)] @ np.linalg.solve(matrix, target[train])


def solved(kernel, label, train, strength, tolerance=ridge.TOLERANCE):
    """[F, M, K], and how many each trial leaves out; all tests share a compiled program of 31 trials."""
    of = ridge.groups(np.resize(train, (31, 40)), label, 3)
    middle, contraction = ridge.reference(of)
    room = [(0, 0), (0, 40 - of.left_out.shape[1])]
    of = of._replace(left_out=np.pad(of.left_out, room, constant_values=40))
    with jax.enable_x64(True):
        inverted = ridge.inverse(kernel, strength, middle, label)
        steps = ridge.steps(contraction, tolerance)
        found = ridge.solve(inverted, strength, middle, contraction, steps, label, of)
    return np.asarray(found)[: len(train)], (~train).sum(1)


@pytest.mark.parametrize('strength', [0.6, 1e-3])
def test_every_group_is_solved_as_anew(clips, train, strength):
    _, kernel, label, _ = clips
    found, sizes = solved(kernel, label, train, strength)
    for scores, size, own in zip(found, sizes, train, strict=True):
        np.testing.assert_allclose(scores[:size], anew(kernel, label, own, strength), atol=1e-6)


def test_equal_weights_are_scikit_learn_s(clips, train):
    """Where all classes have as many clips the weights are 1, which scikit-learn solves too."""
    x, kernel, *_ = clips
    label = np.arange(40) % 2
    own = train[:10][[0, 1]] & train[:10][[1, 0]]  # two of the other class each
    found, sizes = solved(kernel, label, own, 0.3)
    target = np.eye(3)[label] - [0.5, 0.5, 0]
    model = KernelRidge(alpha=0.3, kernel='rbf', gamma=1 / 6).fit(x[own[0]], target[own[0]])
    np.testing.assert_allclose(found[0, : sizes[0]], model.predict(x[~own[0]]), atol=1e-6)


def test_a_class_that_a_trial_has_not_seen_has_no_score(clips, train):
    _, kernel, label, _ = clips
    without = train & (label != 2)
    both = np.concatenate([train[:3], without[:3]])
    found, sizes = solved(kernel, label, both, 0.6)
    for scores, size, own in zip(found, sizes, both, strict=True):
        np.testing.assert_allclose(scores[:size], anew(kernel, label, own, 0.6), atol=1e-6)
    assert (found[3:, :, 2] == 0).all()
    assert ridge.groups(both, label, 3).prior[3].tolist() == [0.5, 0.5, 0]


def test_a_class_that_no_trial_has_seen_is_no_trouble(clips, train):
    _, kernel, label, _ = clips
    own = (train & (label != 2))[:1]
    found, sizes = solved(kernel, label, own, 0.6)
    np.testing.assert_allclose(found[0, : sizes[0]], anew(kernel, label, own[0], 0.6), atol=1e-6)


def test_as_many_steps_are_taken_as_an_accuracy_needs(clips, train):
    _, kernel, label, _ = clips
    exact, _ = solved(kernel, label, train, 0.1)
    for tolerance in (1e-2, 1e-4):
        found, _ = solved(kernel, label, train, 0.1, tolerance)
        error = abs(found - exact).max() / abs(exact).max()
        assert 0 < error < tolerance
    assert ridge.steps(0.0) == 1
    assert ridge.steps(0.1) < ridge.steps(0.5)


def test_a_few_trials_have_room_for_what_they_leave_out(clips, train):
    label = clips[2]
    of = ridge.groups(train, label, 3)
    some = of.some(np.array([2, 0]))
    assert some.left_out.shape == (2, 4)
    assert some.left_out.tolist() == [[2, 12, 22, 32], [0, 10, 20, 30]]
    assert of.left_out[0].tolist() == [0, 10, 20, 30] + [40] * 16


def test_a_ridge_that_a_singular_kernel_cannot_be_solved_with_is_named():
    ridge.check((1e-3, 0.6), 442, np.array([1.7, 0.7, 0.6]))
    with pytest.raises(InputError, match=r'1e-08, with which a kernel of 442 clips is singular .* 2e-05'):
        ridge.check((0.6, 1e-8), 442, np.array([1.7, 0.7, 0.6]))
