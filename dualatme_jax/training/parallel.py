"""The one file that stacks trials: every function of `step`, over a leading axis of trials.

`vmap` turns one trial's training into all of a wave's, `jit` compiles it, and the state is donated, so that a
wave needs the memory of one state. Steps are dispatched from Python and not by a loop inside the program,
since a loop body runs on one thread on a CPU.

Axes: F trials, N clips of the dataset, T held-out clips, K classes.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.step import Training
from dualatme_jax.training.trials import Trial


def stack(trials: Sequence[Trial]) -> Trial:
    """Trials side by side, each leaf with a new leading axis F."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trials)


class Parallel:
    """A training, over stacked trials.

    Args:
      training: the training of one trial.
      batches: (start, width) of the batches of an epoch, as `engine.batches` has them.
    """

    def __init__(self, training: Training, batches: Sequence[tuple[int, int]]):
        self._batches = batches
        self._init = jax.jit(
            jax.vmap(training.init, in_axes=(0, None)),
            # Random numbers for each parameter are much code to run once: optimised, it compiles for 12 s, so
            # for 4, and draws the same numbers.
            compiler_options={'xla_backend_optimization_level': 1},
        )
        self._shuffle = jax.jit(jax.vmap(training.shuffle, in_axes=(0, None)))
        self._predict = jax.jit(jax.vmap(training.predict, in_axes=(0, 0, None)))
        self._steps = {
            width: jax.jit(
                jax.vmap(functools.partial(training.step, width=width), in_axes=(0, 0, None, 0, None, None)),
                donate_argnums=0,
            )
            for _, width in batches
        }

    def init(self, trials: Trial, clips: Clips) -> State:
        """Fresh networks."""
        return self._init(trials, clips)

    def shapes(self, trials: Trial, clips: Clips) -> State:
        """Shapes and types of the states."""
        return jax.eval_shape(self._init, trials, clips)

    def epoch(self, states: State, trials: Trial, clips: Clips, epoch: int) -> tuple[State, jax.Array]:
        """One epoch of every trial; `states` are given away.

        Returns:
          The new states, and the joint loss [F], averaged over the epoch's clips.
        """
        epoch = jnp.int32(epoch)
        order = self._shuffle(trials, epoch)
        total = 0.0
        for start, width in self._batches:
            states, loss = self._steps[width](states, trials, clips, order, epoch, jnp.int32(start))
            total += loss
        return states, total / trials.train.sum(-1)

    def predict(self, states: State, trials: Trial, clips: Clips) -> jax.Array:
        """[F, T, K]: class probabilities of the held-out clips, padding included."""
        return self._predict(states, trials, clips)

    def memory(self, trials: Trial, clips: Clips) -> int:
        """Bytes that a step of these trials needs at its peak, as the compiler planned it."""
        epoch, (start, width) = jnp.int32(0), max(self._batches, key=lambda batch: batch[1])
        states = self.shapes(trials, clips)
        order = jax.eval_shape(self._shuffle, trials, epoch)
        step = self._steps[width].lower(states, trials, clips, order, epoch, jnp.int32(start))
        plan = step.compile().memory_analysis()
        return (
            plan.argument_size_in_bytes
            + plan.output_size_in_bytes
            + plan.temp_size_in_bytes
            - plan.alias_size_in_bytes
        )
