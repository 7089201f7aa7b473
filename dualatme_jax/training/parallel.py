"""The one file that stacks trials: every function of `step`, over a leading axis of trials, over devices.

`vmap` turns one trial's training into that of several, `shard_map` (or `pmap`) gives each device its share of
them, and `jit` compiles it. Trials share nothing but the clips, so no device waits for another: the program
holds no collective. The state is donated, so that a wave needs the memory of one state.

Axes: F trials, a multiple of the D devices, N clips of the dataset, T held-out clips, K classes.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from dualatme_jax.models.layers import lowering as lowerings
from dualatme_jax.training import devices as devices_lib
from dualatme_jax.training import traced
from dualatme_jax.training.start import Start
from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.step import Training
from dualatme_jax.training.trials import Trial

TRIAL = 'trial'  # the mesh's only axis


def stack(trials: Sequence[Trial]) -> Trial:
    """Trials side by side, each leaf with a new leading axis F."""
    keys = jnp.stack([trial.key for trial in trials])
    # The rest lies on the host: no program is compiled to stack it.
    rest = jax.tree.map(lambda *leaves: np.stack(leaves), *(trial.replace(key=None) for trial in trials))
    return rest.replace(key=keys)


@dataclasses.dataclass(frozen=True)
class Compilable:
    """A function that is to be compiled.

    Attributes:
      name: what it computes, in words.
      function: under `jax.jit` or `jax.pmap`.
      arguments: of a call, or their shapes, types and places.
    """

    name: str
    function: Callable
    arguments: tuple

    def lower(self) -> jax.stages.Lowered:
        """Traces it, which the compiler does not."""
        return self.function.lower(*self.arguments)


class Parallel:
    """A training, over stacked trials.

    Args:
      training: the training of one trial.
      batches: (start, width) of the batches of an epoch, as `engine.batches` has them.
      devices: share the trials, those of other processes too; default: all.
      mapping: `shard_map`, or `pmap`.
      dispatch: `epoch`, one program an epoch, or `step`, one a batch, as a CPU wants it: there a loop's body
        runs on one thread, and takes longer to compile; `auto`.
      precision: of products, see `devices.PRECISIONS`.
      lowering: of convolutions, see `lowering.LOWERINGS`.
    """

    def __init__(
        self,
        training: Training,
        batches: Sequence[tuple[int, int]],
        *,
        devices: Sequence[jax.Device] | None = None,
        mapping: str = 'shard_map',
        dispatch: str = 'auto',
        precision: str = 'float32',
        lowering: str = lowerings.DEFAULT,
    ):
        self.devices = tuple(devices or jax.devices())
        self._batches = batches
        self.width = max(width for _, width in batches)
        self.micro_batch = training.micro_batch
        self._mapping = mapping
        on_cpu = self.devices[0].platform == 'cpu'
        self._whole_epochs = dispatch == 'epoch' or (dispatch == 'auto' and not on_cpu)
        self._mesh = jax.sharding.Mesh(np.array(self.devices), (TRIAL,))
        self._by_trial = NamedSharding(self._mesh, PartitionSpec(TRIAL))
        self._everywhere = NamedSharding(self._mesh, PartitionSpec())

        way = f'{training.micro_batch} {training.recompute}'

        def over_trials(
            name: str, function: Callable, in_axes: Sequence, donate: Sequence[int] = (), **options
        ):
            def exactly(*arguments):
                with jax.default_matmul_precision(devices_lib.PRECISIONS[precision]), lowerings.use(lowering):
                    return function(*arguments)

            # All that its code depends on, apart from the arguments; a training without a name may be any. On
            # GPUs and TPUs, where this was not measured, a run traces what it calls.
            known = f'{training.name} {way} {name} {precision} {lowering}' if training.name and on_cpu else ''
            return self._mapped(name.split()[0], known, jax.vmap(exactly, in_axes), in_axes, donate, options)

        # Random numbers for each parameter are much code to run once: optimised, it compiles for 12 s, so for
        # 4, and draws the same numbers.
        quick = {'compiler_options': {'xla_backend_optimization_level': 1}} if on_cpu else {}
        self._init = over_trials('init', training.init, (0, None), **quick)
        # Never more clips at a time than a step has, whose memory is planned.
        predict = functools.partial(training.predict, at_once=training.micro_batch or self.width)
        self._predict = over_trials('predict', predict, (0, 0, None))
        self._shuffle = over_trials('shuffle', training.shuffle, (0, None, None))
        self._steps = {
            width: over_trials(
                f'step {width}', _step(training, width), (0, 0, None, 0, None, None), donate=(0,)
            )
            for _, width in batches
        }
        # One program for each number of batches, of which a run has one, or with inner trials two.
        self._epochs = functools.cache(
            lambda number: over_trials(
                f'epoch {batches[:number]}',
                _epoch(training, batches[:number]),
                (0, 0, None, None),
                donate=(0,),
            )
        )

    def _mapped(
        self,
        name: str,
        known: str,
        stacked: Callable,
        in_axes: Sequence,
        donate: Sequence[int],
        options: Mapping,
    ) -> Callable:
        """`stacked` over the devices and compiled; arguments without a trial axis are the same on all."""
        if self._mapping == 'pmap':
            return _Pmapped(stacked, in_axes, donate, self.devices)
        specs = tuple(PartitionSpec() if axis is None else PartitionSpec(TRIAL) for axis in in_axes)
        # Without trials in common there is nothing for the check of replication to find.
        shared = jax.shard_map(
            stacked, mesh=self._mesh, in_specs=specs, out_specs=PartitionSpec(TRIAL), check_vma=False
        )
        if known:
            places = [self._everywhere if axis is None else self._by_trial for axis in in_axes]
            shared = traced.kept(jax.jit(shared), known, places)
        shared.__name__ = name
        return jax.jit(shared, donate_argnums=tuple(donate), **options)

    def place_trials(self, trials: Any) -> Any:
        """Trials, or their states, [F] of this process's memory, each at its device."""
        return jax.tree.map(lambda leaf: _placed(leaf, self._by_trial), trials)

    def place_clips(self, clips: Clips) -> Clips:
        """The dataset, at every device."""
        return jax.tree.map(lambda leaf: _placed(leaf, self._everywhere), clips)

    def init(self, trials: Trial, clips: Clips) -> State:
        """Fresh networks."""
        return self._init(trials, clips)

    def started(self, states: State, start: Start) -> State:
        """Fresh networks with the leaves of `start` in place of their own.

        Each leaf of a trial is made where it goes to, one leaf at a time: what trials share is on the host
        once. The state of the optimizer is that of fresh networks, which does not depend on their weights.
        """

        def leaf_of(path: tuple, drawn: jax.Array) -> jax.Array:
            given = start.leaves.get(tuple(key.key for key in path))
            if given is None:
                return drawn
            return jax.make_array_from_callback(
                drawn.shape, self._by_trial, lambda part: given[start.places[part[0]]]
            )

        return states.replace(**jax.tree_util.tree_map_with_path(leaf_of, states.variables))

    def shapes(self, trials: Trial, clips: Clips) -> State:
        """Shapes, types and places of the states."""
        return self._shapes(self._init, trials, clips)

    def batches_of(self, trials: Trial) -> int:
        """How many of an epoch's batches hold a clip of any of these trials."""
        most = on_host(trials.train).sum(-1).max()
        return int(sum(start < most for start, _ in self._batches))

    def epoch(
        self, states: State, trials: Trial, clips: Clips, epoch: int, batches: int | None = None
    ) -> tuple[State, jax.Array]:
        """One epoch of every trial; `states` are given away.

        Args:
          batches: how many to take, all by default; see `batches_of`.

        Returns:
          The new states, and the joint loss [F], averaged over the epoch's clips.
        """
        number = self._number(epoch)
        if self._whole_epochs:
            return self._epochs(batches or len(self._batches))(states, trials, clips, number)
        order = self._shuffle(trials, clips, number)
        total = 0.0
        for start, width in self._batches[:batches]:
            states, loss = self._steps[width](states, trials, clips, order, number, self._number(start))
            total += loss
        return states, total / trials.train.sum(-1)

    def predict(self, states: State, trials: Trial, clips: Clips) -> jax.Array:
        """[F, T, K]: class probabilities of the held-out clips, padding included."""
        return self._predict(states, trials, clips)

    def memory(self, trials: Trial, clips: Clips) -> int:
        """Bytes that a step of these trials needs at its peak on all devices, as the compiler planned it.

        The clips are not counted, which lie there already.
        """
        plan = self.compiled_step(trials, clips).memory_analysis()
        each = (
            plan.argument_size_in_bytes
            + plan.output_size_in_bytes
            + plan.temp_size_in_bytes
            - plan.alias_size_in_bytes
            - sum(leaf.nbytes for leaf in jax.tree.leaves(clips))
        )
        return each * len(self.devices)

    def compiled_step(self, trials: Trial, clips: Clips) -> jax.stages.Compiled:
        """The program that trains: of an epoch, or of its widest batch."""
        step, *_ = self._steps_of(trials, clips, len(self._batches))
        return step.lower().compile()

    def to_compile(self, trials: Trial, clips: Clips) -> Iterator[Compilable]:
        """All that a training of these trials calls; compiled, they are not compiled again when it does."""
        # Its shapes are needed to trace the others, which takes seconds: it is compiled meanwhile.
        yield Compilable('fresh networks', self._init, (trials, clips))
        yield from self._steps_of(trials, clips, self.batches_of(trials))
        if not self._whole_epochs:
            yield Compilable('the order of clips', self._shuffle, (trials, clips, self._number(0)))
        yield Compilable('predictions', self._predict, (self.shapes(trials, clips), trials, clips))

    def _steps_of(self, trials: Trial, clips: Clips, batches: int) -> Iterator[Compilable]:
        """Those that train, the widest batch first."""
        number, states = self._number(0), self.shapes(trials, clips)
        if self._whole_epochs:
            yield Compilable('an epoch', self._epochs(batches), (states, trials, clips, number))
            return
        order = self._shapes(self._shuffle, trials, clips, number)  # in another place it is another program
        for width in sorted({width for _, width in self._batches[:batches]}, reverse=True):
            given = (states, trials, clips, order, number, number)
            yield Compilable(f'a step of {width} clips', self._steps[width], given)

    def _shapes(self, function: Callable, *arguments) -> Any:
        """Shapes, types and places of what `function` returns."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._by_trial),
            jax.eval_shape(function, *arguments),
        )

    def _number(self, value: int) -> jax.Array:
        return _placed(jnp.int32(value), self._everywhere)


def on_host(tree: Any) -> Any:
    """Arrays as NumPy arrays, also those whose parts lie with other processes."""
    return jax.tree.map(
        lambda x: (
            np.asarray(x) if x.is_fully_addressable else multihost_utils.process_allgather(x, tiled=True)
        ),
        tree,
    )


def _step(training: Training, width: int) -> Callable:
    return functools.partial(training.step, width=width)


def _epoch(training: Training, batches: Sequence[tuple[int, int]]) -> Callable:
    """From state, trial, clips and number of an epoch to the state after it and the mean loss."""

    def epoch(state: State, trial: Trial, clips: Clips, number: jax.Array) -> tuple[State, jax.Array]:
        order = training.shuffle(trial, clips, number)
        total = 0.0
        for width in dict.fromkeys(width for _, width in batches):
            starts = jnp.array([start for start, w in batches if w == width], jnp.int32)

            def body(state, start, width=width):
                return training.step(state, trial, clips, order, number, start, width=width)

            state, losses = jax.lax.scan(body, state, starts)
            total += losses.sum()
        return state, total / trial.train.sum()

    return epoch


class _Pmapped:
    """A stacked function under `jax.pmap`, called as the one under `shard_map` is: with arrays [F, ...]."""

    def __init__(self, stacked: Callable, in_axes: Sequence, donate: Sequence[int], devices: Sequence):
        self._in_axes = in_axes
        self._devices = len(devices)
        self._call = jax.pmap(stacked, in_axes=tuple(in_axes), devices=devices, donate_argnums=tuple(donate))

    def __call__(self, *arguments):
        return jax.tree.map(self._merged, self._call(*self._split(arguments)))

    def lower(self, *arguments):
        return self._call.lower(*self._split(arguments))

    def _split(self, arguments):
        def split(x):
            shape = (self._devices, x.shape[0] // self._devices, *x.shape[1:])
            if isinstance(x, jax.ShapeDtypeStruct):
                return jax.ShapeDtypeStruct(shape, x.dtype)
            return x.reshape(shape)

        return [
            argument if axis is None else jax.tree.map(split, argument)
            for argument, axis in zip(arguments, self._in_axes, strict=True)
        ]

    @staticmethod
    def _merged(x):
        return x.reshape(-1, *x.shape[2:])


def _placed(x: jax.Array | np.ndarray, sharding: NamedSharding) -> jax.Array:
    """An array that this process has, where `sharding` wants it; each process has the same."""
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = _placed(jax.random.key_data(x), sharding)
        return jax.jit(jax.random.wrap_key_data, out_shardings=sharding)(data)
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])
