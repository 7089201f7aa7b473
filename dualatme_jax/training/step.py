"""One trial's training, in four pure functions: initialise, shuffle, step, predict.

They know one network, one trial and one batch; `parallel` stacks them over trials.
Axes: N clips of the dataset, B examples of a batch, K classes, T the held-out clips.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from dualatme_jax.models.output import Output
from dualatme_jax.training import freeze, losses, parts, recompute
from dualatme_jax.training.augment import Augment, Mirror, window
from dualatme_jax.training.parts import Batch
from dualatme_jax.training.prepare import Prepare
from dualatme_jax.training.scaling import scaled
from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.streams import Stream
from dualatme_jax.training.trials import Trial

# Raised when a seed comes to draw other values, or a step to have other gradients: a run of before is not
# continued then, which would be half one and half the other.
DRAWS = 5


@dataclasses.dataclass(frozen=True)
class Training:
    """What all trials of a run have in common.

    Attributes:
      model: from hyperparameters, which may be traced, to the network.
      optimizer: from hyperparameters and the number of the epoch, which may be traced, to the optimizer.
      prepare: from inputs as they are stored to what the network reads; by default they are read so.
      crop: the edge of the window that training takes of each clip's pictures, anywhere; 0: all of them.
      scale: whether, and by which clips, they are scaled then, see `scaling.of_clips`.
      augment: changes what the network reads in training, at random; None: nothing does.
      mirror: of what the network reads, for predictions: they are the mean of those of a clip and of its
        mirror image; None: those of the clip alone.
      active: those of `losses.OPTIONS` that are above 0 in some trial, and `losses.MARGIN` if one has it.
      balanced: whether every epoch draws its clips anew, so that each class is as frequent.
      pair: the two features whose cosine distance is part of the loss; networks without them have none.
      frozen: patterns of the parameters that are not trained, see `freeze`.
      shared: paths of leaves that all trials have once, in `Clips.weights`: of those that are frozen.
      hyperparameters: columns of the table of trials that the functions here find in a trial.
      shuffled: whether every epoch has an order of its own; else it is the dataset's.
      micro_batch: examples of a part of a batch, whose gradients are the sum of those of its parts, see
        `step`; 0: batches are whole.
      recompute: whether the backward pass computes the network's maps again, see `recompute`.
      name: equal in trainings that are the same, whatever their hyperparameters; empty where none is known.
    """

    model: Callable[[Mapping[str, jax.Array]], nn.Module]
    optimizer: Callable[[Mapping[str, jax.Array], jax.Array | int], optax.GradientTransformation]
    prepare: Prepare = dict
    scale: str = ''
    crop: int = 0
    augment: Augment | None = None
    mirror: Mirror | None = None
    active: frozenset[str] = frozenset()
    balanced: bool = False
    pair: tuple[str, str] = ('entire', 'puzzled')
    frozen: tuple[str, ...] = ()
    shared: frozenset[tuple[str, ...]] = frozenset()
    hyperparameters: tuple[str, ...] = ()
    shuffled: bool = True
    micro_batch: int = 0
    recompute: bool = False
    name: str = ''

    def init(self, trial: Trial, clips: Clips) -> State:
        """A fresh network; without what all trials share."""
        inputs, _ = clips.batch(slice(1))
        variables = self.model(trial.hyperparameters).init(
            jax.random.fold_in(trial.key, Stream.INIT),
            scaled(self.prepare(inputs), trial.scaling),
            mask=jnp.ones(1),
            train=False,
        )
        params, batch_stats = variables['params'], variables.get('batch_stats', {})
        trained, _ = freeze.split(params, self.frozen)
        opt_state = self.optimizer(trial.hyperparameters, 0).init(trained)
        return self._state(params, batch_stats, opt_state)

    def _state(self, params: Any, batch_stats: Any, opt_state: Any) -> State:
        own = freeze.without({'params': params, 'batch_stats': batch_stats}, self.shared)
        return State(**own, opt_state=opt_state)

    def shuffle(self, trial: Trial, clips: Clips, epoch: jax.Array) -> jax.Array:
        """[N]: the training clips in the order of this epoch, then others, which no step takes.

        Balanced they are drawn, and drawn again, so that each class has the same chance.
        """
        in_order = jnp.argsort(~trial.train)  # stable: those that are trained on stand first
        if self.balanced:
            key = jax.random.fold_in(jax.random.fold_in(trial.key, Stream.SAMPLE), epoch)
            # Of a class that only held-out clips have the count is 0.
            chances = jnp.where(trial.train, 1 / self._counts(trial, clips)[clips.label], 0)[in_order]
            drawn = jax.random.choice(key, len(chances), chances.shape, p=chances / chances.sum())
            # A float sum of chances may grow where one of 0 is added: such a place is never taken.
            return in_order[jnp.minimum(drawn, trial.train.sum() - 1)]
        if not self.shuffled:
            return in_order
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
        has more clips) the state stays as it is. In parts of `micro_batch` clips it has the gradients of the
        whole, up to rounding: clips are drawn, changed and mixed as ever, and only dropout draws otherwise.
        Of batch normalisation this is not true, which normalises by its part.

        Returns:
          The new state, and the batch's joint loss times its number of examples.
        """
        places = start + jnp.arange(width)
        mask = (places < trial.train.sum()).astype(jnp.float32)
        # Behind the training clips of an order stand the held-out ones: padding is a training clip instead.
        index = jnp.where(mask > 0, order.at[places].get(mode='clip'), order[0])
        inputs, labels = clips.batch(index)
        if self.crop:
            inputs = window(inputs, self.crop, _key(trial, Stream.CROP, epoch, start))
        inputs = self.prepare(inputs)
        if self.augment:
            inputs = self.augment(inputs, trial.hyperparameters, _key(trial, Stream.AUGMENT, epoch, start))
        inputs = scaled(inputs, trial.scaling)
        counts = self._counts(trial, clips) if 'class_balance' in self.active else None
        mixed = None
        if 'mixup' in self.active:
            share = _share(_key(trial, Stream.MIXUP, epoch, start), trial.hyperparameters['mixup'])
            number, apart = jnp.maximum(mask.sum().astype(int), 1), 1
            # In a batch in random order the next one is any other; in the dataset's it is mostly the same
            # subject's.
            if not (self.shuffled or self.balanced):
                drawn = _key(trial, Stream.PARTNER, epoch, start)
                apart = jax.random.randint(drawn, (), 1, jnp.maximum(number, 2))
            partner = (jnp.arange(width) + apart) % number
            inputs = {name: share * x + (1 - share) * x[..., partner] for name, x in inputs.items()}
            mixed = share, labels[partner]

        before = freeze.together(state.variables, clips.weights)
        trained, frozen = freeze.split(before['params'], self.frozen)
        layers = freeze.normalisations(before, self.frozen)
        network = self._in_training(trial, frozen, layers)
        batch = Batch(inputs, labels, mask, None if mixed is None else mixed[1])

        def gradients(batch_stats, part, dropout):
            def loss_fn(trained):
                output, updated = network(trained, batch_stats, part.inputs, part.mask, dropout)
                loss = self.joint_loss(
                    output,
                    part.labels,
                    part.mask,
                    trial,
                    counts=counts,
                    mixed=None if mixed is None else (mixed[0], part.others),
                    whole=None if part is batch else batch,
                )
                return loss, updated

            return jax.value_and_grad(loss_fn, has_aux=True)(trained)

        dropout = _key(trial, Stream.DROPOUT, epoch, start)
        if 0 < self.micro_batch < width:
            found = parts.summed(gradients, trained, before['batch_stats'], batch, dropout, self.micro_batch)
        else:
            found = gradients(before['batch_stats'], batch, dropout)
        (loss, batch_stats), summed = found
        optimizer = self.optimizer(trial.hyperparameters, epoch)
        updates, opt_state = optimizer.update(summed, state.opt_state, trained)
        params = freeze.joined(optax.apply_updates(trained, updates), frozen)
        batch_stats = freeze.keeping(batch_stats, before['batch_stats'], layers)
        new = self._state(params, batch_stats, opt_state)
        some = mask.sum() > 0
        new = jax.tree.map(lambda a, b: jnp.where(some, a, b), new, state)
        return new, loss * mask.sum()

    def _in_training(
        self, trial: Trial, frozen: Any, layers: Collection[tuple[str, ...]]
    ) -> Callable[..., tuple[Output, Any]]:
        """From trained parameters, running statistics, inputs, mask and key to output and statistics."""
        model = self.model(trial.hyperparameters)

        def network(trained, batch_stats, inputs, mask, dropout):
            with freeze.as_in_evaluation(layers):
                output, updated = model.apply(
                    {'params': freeze.joined(trained, frozen), 'batch_stats': batch_stats},
                    inputs,
                    mask=mask,
                    train=True,
                    mutable=['batch_stats'],
                    rngs={'dropout': dropout},
                )
            return output, updated.get('batch_stats', {})

        return recompute.in_segments(network) if self.recompute else network

    def joint_loss(
        self,
        output: Output,
        labels: jax.Array,
        mask: jax.Array,
        trial: Trial,
        *,
        counts: jax.Array | None = None,
        mixed: tuple[jax.Array, jax.Array] | None = None,
        whole: Batch | None = None,
    ) -> jax.Array:
        """The classification loss, `cosine_weight` (lambda) times the pair's mean cosine distance, and more.

        Without the pair, as of a network with one branch, there is no second term; what comes behind are the
        losses that the network itself returns. Of a network that predicts at each step of time the first term
        is the mean over its steps. Of a batch that is `mixed` it is the loss of both labels, in the shares in
        which the clips are (Zhang et al., mixup, 2018). Of a part of a batch it is the share in the loss of
        the `whole` one: each mean is a sum over the part, divided by what the whole one is divided by.
        """

        def classification(labels: jax.Array, every_label: jax.Array | None) -> jax.Array:
            def at_step(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
                return losses.classification(
                    logits,
                    labels,
                    trial.hyperparameters,
                    counts=None if counts is None else counts[: logits.shape[-1]],
                    smoothed='label_smoothing' in self.active,
                    margins=losses.MARGIN in self.active,
                    squares=losses.SQUARED_ERROR in self.active,
                    floored='floor' in self.active,
                )

            if output.step_logits is None:
                values, weights = at_step(output.logits)
            else:
                values, weights = (x.mean(1) for x in jax.vmap(at_step, 1, 1)(output.step_logits))
            own = weights * mask
            every, there = own, mask
            if whole is not None:
                of_class = losses.class_weights(
                    trial.hyperparameters,
                    output.logits.shape[-1],
                    None if counts is None else counts[: output.logits.shape[-1]],
                )
                every, there = of_class[every_label] * whole.mask, whole.mask
            total = every.sum()
            if 'mean_over_clips' in self.active:
                total = jnp.where(trial.hyperparameters['mean_over_clips'], there.sum(), total)
            return losses.mean(values, own, total)

        number = None if whole is None else whole.mask.sum()
        loss = classification(labels, whole and whole.labels)
        if mixed is not None:
            share, others = mixed
            loss = share * loss + (1 - share) * classification(others, whole and whole.others)
        if set(self.pair) <= output.features.keys():
            distance = losses.cosine_distance(*(output.features[name] for name in self.pair))
            loss += trial.hyperparameters['cosine_weight'] * losses.mean(distance, mask, number)
        for _, own in sorted(output.losses.items()):
            loss += losses.mean(own, mask, number)
        return loss

    def predict(self, state: State, trial: Trial, clips: Clips, *, at_once: int = 0) -> jax.Array:
        """[T, K]: class probabilities of the held-out clips, by the running statistics; see `mirror`.

        No more than `at_once` are computed at a time, if it is not 0.
        """
        model = self.model(trial.hyperparameters)
        variables = freeze.together(state.variables, clips.weights)

        def chances(held_out: jax.Array) -> jax.Array:
            inputs, _ = clips.batch(held_out)
            inputs = self.prepare(inputs)
            if self.mirror:
                return (of(inputs) + of(self.mirror(inputs))) / 2
            return of(inputs)

        def of(inputs: Mapping[str, jax.Array]) -> jax.Array:
            batch = next(iter(inputs.values())).shape[-1]
            inputs = scaled(inputs, trial.scaling)
            output = model.apply(variables, inputs, mask=jnp.ones(batch), train=False)
            return jax.nn.softmax(output.logits)

        if 0 < at_once < len(trial.held_out):
            return parts.in_turn(chances, trial.held_out, at_once)
        return chances(trial.held_out)

    @staticmethod
    def _counts(trial: Trial, clips: Clips) -> jax.Array:
        """[N]: of each class, how many clips the trial trains on; there are fewer classes than clips."""
        return jnp.zeros(len(clips.label)).at[clips.label].add(trial.train)


def _key(trial: Trial, stream: Stream, epoch: jax.Array, start: jax.Array) -> jax.Array:
    """The random key of a step."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(trial.key, stream), epoch), start)


def _share(key: jax.Array, strength: jax.Array) -> jax.Array:
    """A draw of Beta(strength, strength); 1, nothing of another clip, where the strength is 0."""
    drawn = jax.random.beta(key, *[jnp.maximum(strength, 1e-3)] * 2)
    return jnp.where(strength > 0, drawn, 1.0)
