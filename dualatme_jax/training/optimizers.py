"""Optimizers and learning-rate schedules: a config's names, and the numbers that may differ by trial."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dualatme_jax.errors import InputError, check_choice

Hyperparameters = Mapping[str, jax.Array]

# The direction of a step, before weight decay and the learning rate. Hyperparameters may be traced.
DIRECTIONS: dict[str, Callable[[Hyperparameters], optax.GradientTransformation]] = {
    'adam': lambda given: optax.scale_by_adam(given['beta1'], given['beta2'], given['epsilon']),
    'sgd': lambda given: optax.trace(decay=given['momentum']),
    'rmsprop': lambda given: optax.scale_by_rms(given['rms_decay'], given['epsilon'], eps_in_sqrt=False),
}

# The hyperparameters that an optimizer does not read.
UNREAD = {
    'adam': ('momentum', 'rms_decay'),
    'sgd': ('beta1', 'beta2', 'rms_decay', 'epsilon'),
    'rmsprop': ('momentum', 'beta1', 'beta2'),
}

# The schedule that is constant.
NO_STEPS = {'step_epochs': 1, 'step_factor': 1.0, 'step_until': 0}


def optimizer(
    name: str, *, coupled: bool = False, bias_rate: float = 1.0
) -> Callable[[Hyperparameters, jax.Array | int], optax.GradientTransformation]:
    """From a trial's hyperparameters and the number of an epoch, from 0, to the optimizer in that epoch.

    `adam` has `beta1`, `beta2` and `epsilon`, PyTorch's eps; `sgd` has `momentum`; `rmsprop` has `rms_decay`,
    the alpha of PyTorch's, `epsilon` outside of the root, and no momentum. (Keras's Adam adds its epsilon to
    the root before the correction of its start: in the first step it is 32 times as much there.)
    Weight decay is decoupled from the gradient, as in AdamW (Loshchilov and Hutter, 2019, algorithm 2, with
    the learning rate as the factor, as PyTorch has it): every parameter p also loses rate * weight_decay * p.
    If it is `coupled`, weight_decay * p is a part of the gradient instead, as PyTorch's other optimizers have
    it. Biases, those of normalisations too, have the learning rate times `bias_rate`, which is 2 in most
    definitions of Caffe (their lr_mult).

    Raises:
      InputError: none is called `name`.
    """
    check_choice('optimizer', name, 'config.optimizer.name', DIRECTIONS)

    def in_epoch(given: Hyperparameters, epoch: jax.Array | int) -> optax.GradientTransformation:
        steps = [DIRECTIONS[name](given)]
        steps.insert(0 if coupled else 1, optax.add_decayed_weights(given['weight_decay']))
        steps.append(optax.scale(-rate(given, epoch)))
        steps += [optax.masked(optax.scale(bias_rate), _are_biases)] if bias_rate != 1 else []
        return optax.chain(*steps)

    return in_epoch


def _are_biases(params: Any) -> Any:
    """For each parameter whether it is a bias, by its name."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == 'bias', params)


def hyperparameters(section: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a config's `optimizer` section; raises InputError for an unknown schedule.

    The schedule `constant` is what the published code of Dual-ATME does; `step` is the StepLR(10, 0.5) that
    it declares and never steps: `step_factor` once every `step_epochs` epochs, until `step_until` of them are
    over, if that is not 0. Constant is a factor of 1.
    """
    schedule, every, factor = section['schedule'], section['step_epochs'], section['step_factor']
    check_choice('schedule', schedule, 'config.optimizer.schedule', ('constant', 'step'))
    if schedule == 'step' and every < 1:
        raise InputError(f'config.optimizer.step_epochs is {every}; expected 1 or more')
    names = ('learning_rate', 'momentum', 'beta1', 'beta2', 'rms_decay', 'epsilon', 'weight_decay')
    steps = {'step_epochs': every, 'step_factor': factor, 'step_until': section['step_until']}
    steps = steps if schedule == 'step' else NO_STEPS
    return {name: section[name] for name in names} | steps


def rate(hyperparameters: Hyperparameters, epoch: jax.Array | int) -> jax.Array:
    """The learning rate in an epoch, from 0."""
    until = hyperparameters['step_until']
    epoch = jnp.where((until > 0) & (epoch > until), until, epoch)
    steps = jnp.floor(epoch / hyperparameters['step_epochs'])
    return hyperparameters['learning_rate'] * hyperparameters['step_factor'] ** steps
