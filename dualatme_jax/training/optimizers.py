"""Optimizers and learning-rate schedules, by name."""

from collections.abc import Callable, Mapping

import jax
import optax

from dualatme_jax.errors import InputError

Schedule = Callable[[jax.Array], jax.Array]

# The direction of a step, before the learning rate. Hyperparameters may be traced: they differ by trial.
OPTIMIZERS: dict[str, Callable[[Mapping[str, jax.Array]], optax.GradientTransformation]] = {
    'adam': lambda hyperparameters: optax.scale_by_adam(),
    'sgd': lambda hyperparameters: optax.trace(decay=hyperparameters['momentum']),
}


def optimizer(name: str) -> Callable[[Mapping[str, jax.Array]], optax.GradientTransformation]:
    """From a trial's hyperparameters to its optimizer; raises InputError if none is called `name`.

    `adam` has PyTorch's (and Optax's) defaults: moments 0.9 and 0.999, eps 1e-8. `sgd` has `momentum`.
    """
    if name not in OPTIMIZERS:
        raise InputError(
            f'unknown optimizer {name!r}: config.optimizer.name takes {", ".join(map(repr, OPTIMIZERS))}'
        )
    return OPTIMIZERS[name]


def schedule(name: str, *, step_epochs: int, step_factor: float) -> Schedule:
    """From an epoch to the factor on the learning rate.

    `constant` is what the published code of Dual-ATME does; `step` is the StepLR(10, 0.5) that it declares
    and never steps: `step_factor` once every `step_epochs` epochs.
    """
    if name == 'constant':
        return lambda epoch: 1.0
    if name == 'step':
        if step_epochs < 1:
            raise InputError(f'config.optimizer.step_epochs is {step_epochs}; expected 1 or more')
        return lambda epoch: step_factor ** (epoch // step_epochs)
    raise InputError(f"unknown schedule {name!r}: config.optimizer.schedule takes 'constant', 'step'")
