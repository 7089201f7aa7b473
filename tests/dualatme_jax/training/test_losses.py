"""The losses against Optax, scikit-learn and closed forms."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import mean_squared_error
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.utils.class_weight import compute_class_weight

from configs import cd
from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.models.output import Output
from dualatme_jax.run import programs
from dualatme_jax.training import losses
from dualatme_jax.training.step import Training

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (8, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2, 1, 1])
ENTIRE, PUZZLED = RNG.normal(size=(2, 8, 6)).astype(np.float32)
CROSS_ENTROPY = np.asarray(optax.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS))
GAMMAS = (0.0, 0.5, 2.0)


def test_focal_loss_without_gamma_is_optax_s_cross_entropy():
    np.testing.assert_allclose(losses.focal(LOGITS, LABELS, gamma=0.0, alpha=1.0), CROSS_ENTROPY, rtol=1e-5)


CLASS_WEIGHTS = (0.2857, 0.1329, 0.1695)


def hyperparameters(name, labels=schema.LABELS, class_weights=CLASS_WEIGHTS, **fields):
    """Those of a loss section; a focal loss of gamma 2 and no cosine loss, unless told."""
    section = cd.get_config().loss.to_dict() | {'cosine_weight': 0.0}
    return losses.hyperparameters(section | {'name': name, 'class_weights': class_weights} | fields, labels)


@pytest.mark.parametrize('classes', [2, 5, 7])
def test_any_number_of_classes(classes):
    rng = np.random.default_rng(classes)
    logits, labels = rng.normal(0, 3, (16, classes)).astype(np.float32), np.arange(16) % classes
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    weights = rng.uniform(size=classes).astype(np.float32)
    numbers = hyperparameters('weighted_cross_entropy', [str(k) for k in range(classes)], weights.tolist())
    values, found = losses.classification(logits, labels, numbers)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found, [weights[label] for label in labels])


@pytest.mark.parametrize('gamma', GAMMAS)
@pytest.mark.parametrize('alpha', [1.0, 0.25])
def test_focal_loss_is_equation_5_of_its_paper(gamma, alpha):
    p = np.exp(-CROSS_ENTROPY.astype(float))
    found = losses.focal(LOGITS, LABELS, gamma=gamma, alpha=alpha)
    np.testing.assert_allclose(found, -alpha * (1 - p) ** gamma * np.log(p), rtol=1e-4)


def focal_of_margins(margins, gamma):
    """Focal loss [B] of three classes whose right one lies `margins` above the others."""
    logits = np.asarray(margins, np.float32)[:, None] * np.array([1, 0, 0], np.float32)
    return losses.focal(logits, np.zeros(len(margins), int), gamma=gamma, alpha=1.0)


@pytest.mark.parametrize('gamma', GAMMAS)
@pytest.mark.parametrize('margin', [-1e4, -100.0, -20.0, 0.0, 16.0, 20.0, 100.0, 1e4])
def test_focal_loss_and_its_gradient_are_finite_from_p_0_to_p_1(gamma, margin):
    def loss(logits, gamma):
        return losses.focal(logits, np.array([0]), gamma=gamma, alpha=1.0).sum()

    # Gamma is a value of the trial, so it is traced as it is in training.
    value, gradient = jax.jit(jax.value_and_grad(loss))(np.float32([[margin, 0, 0]]), np.float32(gamma))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert gradient[0, 0] <= 0, 'the right class never loses by a step'


def test_focal_loss_falls_with_p_and_with_gamma():
    margins = np.linspace(-6, 6, 25)
    by_gamma = np.stack([focal_of_margins(margins, gamma) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)])
    assert (np.diff(by_gamma, axis=1) < 0).all()
    assert (np.diff(by_gamma, axis=0) < 0).all()
    assert (by_gamma > 0).all()


def test_cosine_distance_is_scikit_learn_s():
    a = np.concatenate([ENTIRE, ENTIRE, ENTIRE])
    b = np.concatenate([PUZZLED, 3 * ENTIRE, -ENTIRE])
    expected = paired_cosine_distances(a, b)
    np.testing.assert_allclose(losses.cosine_distance(a, b), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('a', 'b'), [(0, 1), (1, 0), (0, 0)])
def test_features_of_zero_have_distance_one_and_a_finite_gradient(a, b):
    pair = a * ENTIRE[:1], b * PUZZLED[:1]
    value, gradients = jax.value_and_grad(lambda a, b: losses.cosine_distance(a, b)[0], (0, 1))(*pair)
    assert value == 1
    assert np.isfinite(gradients).all()


def joint_loss(name, output, mask, **fields):
    trial = types.SimpleNamespace(hyperparameters=hyperparameters(name, **fields))
    return Training(model=None, optimizer=None).joint_loss(output, LABELS, np.float32(mask), trial)


PADDED = np.array([1, 0, 1, 1, 1, 0, 0, 1])
MASKS = pytest.mark.parametrize('mask', [np.ones(8), PADDED], ids=['full', 'padded'])


@MASKS
@pytest.mark.parametrize('name', losses.NAMES)
def test_a_batch_s_loss_is_the_mean_over_its_examples_weighted_as_pytorch_does(name, mask):
    values = CROSS_ENTROPY * (1 - np.exp(-CROSS_ENTROPY)) ** (2 if name == 'focal' else 0)
    weights = np.array(CLASS_WEIGHTS)[LABELS] if name == 'weighted_cross_entropy' else np.ones(8)
    real = mask == 1
    expected = (weights * values)[real].sum() / weights[real].sum()
    assert joint_loss(name, Output(LOGITS), mask) == pytest.approx(expected, rel=1e-4)


@MASKS
def test_the_branches_distance_is_added_lambda_times_and_never_class_weighted(mask):
    output = Output(LOGITS, {'entire': ENTIRE, 'puzzled': PUZZLED})
    distance = paired_cosine_distances(ENTIRE, PUZZLED)[mask == 1].mean()
    added = [
        joint_loss('weighted_cross_entropy', output, mask, cosine_weight=weight)
        - joint_loss('weighted_cross_entropy', output, mask, cosine_weight=0.0)
        for weight in (1.0, 0.01)
    ]
    assert added == pytest.approx([distance, 0.01 * distance], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize('output', [Output(LOGITS, {'entire': ENTIRE}), Output(LOGITS, {'puzzled': PUZZLED})])
def test_one_branch_has_no_distance(output):
    both = [joint_loss('focal', output, np.ones(8), cosine_weight=weight) for weight in (0.0, 1e3)]
    assert both[0] == both[1]


@MASKS
def test_a_network_s_own_losses_are_added_by_example(mask):
    own = {'penalty': np.arange(8.0), 'other': np.ones(8)}
    plain, more = (joint_loss('focal', Output(LOGITS, losses=each), mask) for each in ({}, own))
    assert more - plain == pytest.approx(np.arange(8)[mask == 1].mean() + 1, rel=1e-4)


@MASKS
def test_steps_of_time_are_trained_alike_and_logits_are_for_predictions(mask):
    steps = np.stack([LOGITS, -LOGITS, 2 * LOGITS], axis=1)
    found = joint_loss('weighted_cross_entropy', Output(LOGITS, step_logits=steps), mask)
    alone = [joint_loss('weighted_cross_entropy', Output(steps[:, k]), mask) for k in range(3)]
    assert found == pytest.approx(np.mean(alone), rel=1e-5)


def test_the_training_names_the_pair_that_is_drawn_together():
    trial = types.SimpleNamespace(hyperparameters=hyperparameters('focal', cosine_weight=1.0))
    output = Output(LOGITS, {'onset': ENTIRE, 'apex': PUZZLED, 'entire': ENTIRE})
    usual, other = (
        Training(model=None, optimizer=None, **pair).joint_loss(output, LABELS, np.ones(8, np.float32), trial)
        for pair in ({}, {'pair': ('onset', 'apex')})
    )
    assert other - usual == pytest.approx(paired_cosine_distances(ENTIRE, PUZZLED).mean(), rel=1e-4)


def test_examples_that_are_padding_have_no_gradient():
    def loss(output):
        return joint_loss('weighted_cross_entropy', output, PADDED, cosine_weight=1.0)

    gradient = jax.jit(jax.grad(loss))(Output(LOGITS, {'entire': ENTIRE, 'puzzled': PUZZLED}))
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_array_equal(np.any(leaf != 0, axis=-1), PADDED == 1)


def test_a_batch_of_padding_alone_is_finite():
    def loss(logits):
        return joint_loss('focal', Output(logits), np.zeros(8))

    value, gradient = jax.jit(jax.value_and_grad(loss))(LOGITS)
    assert value == 0
    assert not gradient.any()


def test_losses_by_any_name_share_one_program():
    numbers = [hyperparameters(name) for name in losses.NAMES]
    stacked = jax.tree.map(lambda *values: np.float32(values), *numbers)
    found = jax.jit(jax.vmap(losses.classification, (None, None, 0)))(LOGITS, LABELS, stacked)
    for place, expected in enumerate(numbers):
        for one, other in zip(found, losses.classification(LOGITS, LABELS, expected), strict=True):
            np.testing.assert_allclose(one[place], other, rtol=1e-5)


@pytest.mark.parametrize('name', ['cross_entropy', 'weighted_cross_entropy'])
def test_only_the_focal_loss_reads_gamma_and_alpha(name):
    found, other = (
        joint_loss(name, Output(LOGITS), np.ones(8), focal_gamma=gamma, focal_alpha=alpha)
        for gamma, alpha in ((2.0, 1.0), (0.5, 0.25))
    )
    assert found == other
    focal, less = (joint_loss('focal', Output(LOGITS), np.ones(8), focal_alpha=alpha) for alpha in (1.0, 0.5))
    assert less == pytest.approx(focal / 2)


def test_a_focal_loss_of_nothing_is_refused():
    assert hyperparameters('cross_entropy', focal_alpha=0.0)['focal_alpha'] == 1
    with pytest.raises(InputError, match=r'config\.loss\.focal_alpha is 0'):
        hyperparameters('focal', focal_alpha=0.0)


def test_an_unknown_loss_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"unknown loss 'hinge': config\.loss\.name takes 'focal', "):
        hyperparameters('hinge')


NO_WEIGHTS = [
    *[(1.0, 2.0), (1.0, 2.0, -1.0), (), (1.0, 2.0, 'x'), (1.0, 2.0, np.nan)],
    *[(0, 0, 0), (1.0, 0.0, 1.0)],
]


@pytest.mark.parametrize('weights', NO_WEIGHTS)
def test_the_weighted_loss_alone_needs_a_weight_a_class(weights):
    assert hyperparameters('focal', class_weights=weights)['class_weight_2'] == 1
    with pytest.raises(InputError, match=r'one above 0, .* for each of negative, positive, surprise'):
        hyperparameters('weighted_cross_entropy', class_weights=weights)


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5])
def test_label_smoothing_is_optax_s(share):
    numbers = hyperparameters('cross_entropy', label_smoothing=share)
    values, _ = losses.classification(LOGITS, LABELS, numbers, smoothed=True)
    targets = optax.smooth_labels(np.eye(3, dtype=np.float32)[LABELS], share)
    np.testing.assert_allclose(values, optax.softmax_cross_entropy(LOGITS, targets), rtol=1e-4)


@pytest.mark.parametrize(('power', 'expected'), [(0.0, 'none'), (1.0, 'balanced')])
def test_class_balance_weighs_as_scikit_learn_does(power, expected):
    labels = np.repeat([0, 1, 2], [20, 5, 7])
    numbers = hyperparameters('focal', class_balance=power)
    _, weights = losses.classification(LOGITS, LABELS, numbers, counts=np.bincount(labels).astype(np.float32))
    balanced = compute_class_weight('balanced', classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights, balanced[LABELS] if expected == 'balanced' else 1, rtol=1e-5)


def test_a_floor_ends_a_loss_and_its_gradient_as_keras_s_clipping_does():
    """-log(max(p, floor)), p of the right class."""
    numbers, floor = hyperparameters('cross_entropy', floor=0.05), 0.05
    (values, _), gradient = (
        losses.classification(LOGITS, LABELS, numbers, floored=True),
        jax.grad(lambda x: losses.classification(x, LABELS, numbers, floored=True)[0].sum())(LOGITS),
    )
    p = np.exp(-CROSS_ENTROPY)
    assert 0 < (p < floor).sum() < len(p)
    np.testing.assert_allclose(values, -np.log(np.maximum(p, floor)), rtol=1e-5)
    np.testing.assert_array_equal(np.abs(gradient).max(1) == 0, p < floor)


@pytest.mark.parametrize('over_clips', [False, True])
def test_the_weighted_loss_is_pytorch_s_or_divided_by_the_number_of_clips(over_clips):
    numbers = hyperparameters('weighted_cross_entropy', mean_over_clips=over_clips)
    training = Training(model=None, optimizer=None, active=frozenset(['mean_over_clips']))
    mask = np.float32([1] * 6 + [0] * 2)
    trial = types.SimpleNamespace(hyperparameters=numbers)
    found = training.joint_loss(Output(jnp.asarray(LOGITS)), LABELS, mask, trial)
    weights = np.array(CLASS_WEIGHTS)[LABELS] * mask
    assert float(found) == pytest.approx(
        (weights * CROSS_ENTROPY).sum() / (6 if over_clips else weights.sum()), rel=1e-5
    )


def test_a_class_without_clips_has_a_finite_weight():
    numbers = hyperparameters('focal', class_balance=1.0)
    _, weights = losses.classification(LOGITS, LABELS, numbers, counts=np.float32([9, 0, 3]))
    assert np.isfinite(weights).all()


def test_mixed_clips_have_the_losses_of_both_labels_in_their_shares():
    trial = types.SimpleNamespace(hyperparameters=hyperparameters('focal'))
    training, mask = Training(model=None, optimizer=None), np.ones(8, np.float32)
    others = np.roll(LABELS, 1)
    output = Output(jnp.asarray(LOGITS))
    found = training.joint_loss(output, LABELS, mask, trial, mixed=(0.3, others))
    one, two = (training.joint_loss(output, labels, mask, trial) for labels in (LABELS, others))
    assert float(found) == pytest.approx(float(0.3 * one + 0.7 * two), rel=1e-5)


LENGTHS = np.float32([[0.995, 0.005, 0.01], [0.4, 0.7, 0.0], [0.5, 0.1, 0.99]])


@pytest.mark.parametrize(('present', 'absent', 'weight'), [(0.99, 0.01, 0.5), (0.9, 0.1, 0.25)])
def test_margin_loss_is_equation_4_of_the_capsules_paper(present, absent, weight):
    fields = {'margin_present': present, 'margin_absent': absent, 'margin_others': weight}
    numbers = hyperparameters('margin', **fields)
    labels = np.array([0, 2, 0])
    right = np.eye(3)[labels]
    short, long = np.maximum(present - LENGTHS, 0) ** 2, np.maximum(LENGTHS - absent, 0) ** 2
    expected = (right * short + weight * (1 - right) * long).sum(1)
    logits = np.log(np.maximum(LENGTHS, 1e-30))
    values, weights = losses.classification(logits, labels, numbers, margins=True)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(weights, 1)
    assert values[0] == 0, 'long and short enough'


def test_trials_of_another_loss_keep_it_beside_those_of_the_margin_loss():
    values, _ = losses.classification(LOGITS, LABELS, hyperparameters('cross_entropy'), margins=True)
    np.testing.assert_allclose(values, CROSS_ENTROPY, rtol=1e-5)


def test_the_squared_error_of_a_linear_output_is_scikit_learn_s():
    s, labels = np.float32([-0.5, 0.2, 0.9, 3.0]), np.array([0, 1, 1, 0])
    numbers = hyperparameters('squared_error', ('neutral', 'expression'))
    logits = jnp.stack([1 - s, s], 1)
    values, weights = losses.classification(logits, labels, numbers, squares=True)
    assert float(losses.mean(values, weights)) == pytest.approx(mean_squared_error(labels, s))
    # Its gradient by s too, and the probability grows with s.
    gradient = jax.grad(lambda s: losses.squared_error(jnp.stack([1 - s, s], 1), labels).sum())(s)
    np.testing.assert_allclose(gradient, 2 * (s - labels), rtol=1e-5)
    assert (np.diff(jax.nn.softmax(logits)[:, 1]) > 0).all()


def test_trials_of_another_loss_keep_it_beside_those_of_the_squared_error():
    values, _ = losses.classification(LOGITS, LABELS, hyperparameters('cross_entropy'), squares=True)
    np.testing.assert_allclose(values, CROSS_ENTROPY, rtol=1e-5)


def test_margins_the_wrong_way_round_are_refused():
    with pytest.raises(InputError, match=r'margin_present is 0\.1 and config\.loss\.margin_absent 0\.5'):
        hyperparameters('margin', margin_present=0.1, margin_absent=0.5)
    assert hyperparameters('focal', margin_present=0.1, margin_absent=0.5)['margin_present'] == 0


def test_the_margin_loss_of_a_network_without_lengths_is_refused():
    config = cd.get_config()
    config.loss.name = 'margin'
    with pytest.raises(InputError, match='a loss of capsules, and Dual-ATME returns no lengths'):
        programs.make_training(config, schema.LABELS)
    config.model.name = 'capsulenet'
    assert 'margin' in programs.make_training(config, schema.LABELS).active
