"""One trial's training, in four pure functions: initialise, shuffle, step, predict.

They know one network, one trial and one batch; `parallel` stacks them over trials.
Axes: N clips of the dataset, B examples of a batch, K classes, T the held-out clips.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from dualatme_jax.models.output import Output
from dualatme_jax.training import losses
from dualatme_jax.training.prepare import Prepare
from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.streams import Stream
from dualatme_jax.training.trials import Trial

# Raised when a seed comes to draw other values, or a step to have other gradients: a run of before is not
# continued then, which would be half one and half the other.
DRAWS = 4


@dataclasses.dataclass(frozen=True)
class Training:
    """What all trials of a run have in common.

    Attributes:
      model: from hyperparameters, which may be traced, to the network.
      optimizer: from hyperparameters and the number of the epoch, which may be traced, to the optimizer.
      prepare: from inputs as they are stored to what the network reads; by default they are read so.
      pair: the two features whose cosine distance is part of the loss; networks without them have none.
      shuffled: whether every epoch has an order of its own; else it is the dataset's.
      name: equal in trainings that are the same, whatever their hyperparameters; empty where none is known.
    """

    model: Callable[[Mapping[str, jax.Array]], nn.Module]
    optimizer: Callable[[Mapping[str, jax.Array], jax.Array | int], optax.GradientTransformation]
    prepare: Prepare = dict
    pair: tuple[str, str] = ('entire', 'puzzled')
    shuffled: bool = True
    name: str = ''

    def init(self, trial: Trial, clips: Clips) -> State:
        """A fresh network."""
        inputs, _ = clips.batch(slice(1))
        variables = self.model(trial.hyperparameters).init(
            jax.random.fold_in(trial.key, Stream.INIT), self.prepare(inputs), mask=jnp.ones(1), train=False
        )
        params, batch_stats = variables['params'], variables.get('batch_stats', {})
        return State(params, batch_stats, self.optimizer(trial.hyperparameters, 0).init(params))

    def shuffle(self, trial: Trial, epoch: jax.Array) -> jax.Array:
        """[N]: the training clips in the order of this epoch, then the held-out ones, which no step takes."""
        if not self.shuffled:
            return jnp.argsort(~trial.train)  # stable
        key = jax.random.fold_in(jax.random.fold_in(trial.key, Stream.SHUFFLE), epoch)
        return jnp.argsort(jnp.where(trial.train, jax.random.uniform(key, trial.train.shape), jnp.inf))

    def step(
        self,
        state: State,
        trial: Trial,
        clips: Clips,
        order: jax.Array,
        epoch: jax.Array,
        start: jax.Array,
        *,
        width: int,
    ) -> tuple[State, jax.Array]:
        """One batch: clips `start` to `start + width` of this epoch's order.

        Where fewer are left the batch is padded and the padding masked; where none is left (another trial
        has more clips) the state stays as it is.

        Returns:
          The new state, and the batch's joint loss times its number of examples.
        """
        places = start + jnp.arange(width)
        mask = (places < trial.train.sum()).astype(jnp.float32)
        # Behind the training clips of an order stand the held-out ones: padding is a training clip instead.
        index = jnp.where(mask > 0, order.at[places].get(mode='clip'), order[0])
        inputs, labels = clips.batch(index)
        inputs = self.prepare(inputs)
        key = jax.random.fold_in(jax.random.fold_in(trial.key, Stream.DROPOUT), epoch)

        model = self.model(trial.hyperparameters)

        def loss_fn(params):
            output, updated = model.apply(
                {'params': params, 'batch_stats': state.batch_stats},
                inputs,
                mask=mask,
                train=True,
                mutable=['batch_stats'],
                rngs={'dropout': jax.random.fold_in(key, start)},
            )
            return self.joint_loss(output, labels, mask, trial), updated.get('batch_stats', {})

        (loss, batch_stats), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        optimizer = self.optimizer(trial.hyperparameters, epoch)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        new = State(optax.apply_updates(state.params, updates), batch_stats, opt_state)
        some = mask.sum() > 0
        new = jax.tree.map(lambda a, b: jnp.where(some, a, b), new, state)
        return new, loss * mask.sum()

    def joint_loss(self, output: Output, labels: jax.Array, mask: jax.Array, trial: Trial) -> jax.Array:
        """The classification loss, `cosine_weight` (lambda) times the pair's mean cosine distance, and more.

        Without the pair, as of a network with one branch, there is no second term; what comes behind are the
        losses that the network itself returns.
        """
        values, weights = losses.classification(output.logits, labels, trial.hyperparameters)
        loss = _mean(values, weights * mask)
        if set(self.pair) <= output.features.keys():
            distance = losses.cosine_distance(*(output.features[name] for name in self.pair))
            loss += trial.hyperparameters['cosine_weight'] * _mean(distance, mask)
        for _, own in sorted(output.losses.items()):
            loss += _mean(own, mask)
        return loss

    def predict(self, state: State, trial: Trial, clips: Clips) -> jax.Array:
        """[T, K]: class probabilities of the held-out clips, by the running statistics."""
        inputs, _ = clips.batch(trial.held_out)
        mask = jnp.ones(trial.held_out.shape)
        model = self.model(trial.hyperparameters)
        output = model.apply(state.variables, self.prepare(inputs), mask=mask, train=False)
        return jax.nn.softmax(output.logits)


def _mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    # The floor is for a batch of padding alone, whose step is dropped: it only keeps 0/0 away.
    return (values * weights).sum() / jnp.maximum(weights.sum(), jnp.finfo(values.dtype).tiny)
