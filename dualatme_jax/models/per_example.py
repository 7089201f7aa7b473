"""Whether a network computes each example of a batch for itself, apart from those that its mask leaves out.

Batches are padded to one width and masked (`training/step.py`), and the clips that a trial leaves out are
predicted together. So a layer that reads padding trains on examples that are not there, and one that mixes
examples predicts a clip by others of the test. Some layers of Flax do, without an error. They are refused by
name when a network is traced, and a network of one's own is tried out.

Axes: C channels, S spatial, B examples, K classes, D features.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.errors
import jax
import numpy as np
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models.layers import lowering
from dualatme_jax.models.output import Output

# Of layers of Flax: why a network here cannot have them, and what to use.
REFUSED = {
    nn.BatchNorm: (
        'its statistics would count the padded examples of a batch',
        'dualatme_jax.models.layers.batch_norm.BatchNorm, called with mask=mask, train=train',
    ),
    nn.Dropout: (
        'its rate may not differ from trial to trial, and what an example drops depends on the size of the '
        'batch',
        'dualatme_jax.models.layers.dropout.Dropout, called with train=train',
    ),
    nn.MultiHeadDotProductAttention: (
        'its dropout has a rate that may not differ from trial to trial',
        'dualatme_jax.models.layers.attention.Attention and layers.dropout.Dropout behind it, or '
        'dropout_rate=0',
    ),
}
_GUIDE = 'See docs/networks.md'
_KEPT = ('params', 'batch_stats')
# A batch to try a network with, and how many of its examples are there. Parts of a batch that a network cuts
# are halves, quarters or eighths, and the widths that training has are multiples of 8 as well.
_BATCH, _REAL = 8, 5
# A mixing layer changes an output by a good part of its size, and rounding by less than this part.
_NEAR = 1e-3


@contextlib.contextmanager
def by_name() -> Iterator[None]:
    """Within the block a layer of `REFUSED`, or of a class made from one, raises InputError when called."""

    def interceptor(call: Callable, arguments, options, context: nn.module.InterceptorContext):
        module = context.module
        for kind, (why, instead) in REFUSED.items():
            if isinstance(module, kind) and not _without_dropout(module):
                raise InputError(f'{_called(module)} cannot be used here: {why}. Use {instead}. {_GUIDE}')
        return call(*arguments, **options)

    with nn.intercept_methods(interceptor):
        yield


def check(
    network: nn.Module, traced: Sequence[str], inputs: Mapping[str, Sequence[int]], *, classes: int
) -> None:
    """Traces a network as training does, and tries it out on a batch of random numbers.

    The forward pass is compiled with few optimisations, and once for networks that are equal.

    Args:
      network: as its `build` makes it.
      traced: names of its fields that are traced in training.
      inputs: key -> (C, *S) as the network reads it.
      classes: K.

    Raises:
      InputError: a layer of `REFUSED`; a stream of random numbers or a collection of variables that training
        does not have; a layer whose parameters depend on how many examples there are; a traced field that
        decides what is computed; something else than an `Output` of the right shapes; or what it gives for
        an example depends on padding or, in evaluation, on the other examples.
    """
    given = network, tuple(traced), tuple((key, tuple(shape)) for key, shape in inputs.items()), classes
    try:
        hash(network)
    except TypeError:  # a field holds a list, for one
        _check.__wrapped__(*given)
    else:
        _check(*given)


@functools.lru_cache
def _check(network: nn.Module, traced: tuple[str, ...], shaped: tuple[Any, ...], classes: int) -> None:
    inputs, title = dict(shaped), type(network).__name__
    numbers = {name: np.float32(getattr(network, name)) for name in traced}
    given = {key: jax.ShapeDtypeStruct((*shape, _BATCH), np.float32) for key, shape in inputs.items()}

    def network_of(numbers):
        return network.clone(**numbers)

    def fresh(numbers, inputs):
        one = {key: x[..., :1] for key, x in inputs.items()}
        return network_of(numbers).init(jax.random.key(0), one, mask=np.ones(1), train=False)

    def trained(variables, numbers, inputs):
        """Output and running statistics."""
        mask = (np.arange(_BATCH) < _REAL).astype(np.float32)
        options = {'train': True, 'mutable': ['batch_stats'], 'rngs': {'dropout': jax.random.key(1)}}
        return network_of(numbers).apply(variables, inputs, mask=mask, **options)

    def evaluated(variables, numbers, inputs):
        mask = np.ones(_BATCH, np.float32)
        return network_of(numbers).apply(variables, inputs, mask=mask, train=False).logits

    with _mendable(title), by_name():
        shapes = jax.eval_shape(fresh, numbers, given)
        if others := sorted(set(shapes) - set(_KEPT)):
            raise InputError(
                f'{title} has variables in the collection {others[0]!r}, which training does not keep; '
                f'expected parameters, and what changes in training in batch_stats. {_GUIDE}'
            )
        output, _ = jax.eval_shape(trained, shapes, numbers, given)
        _check_output(output, title, classes)
        jax.eval_shape(evaluated, shapes, numbers, given)

    def both(variables, numbers, inputs):
        (output, statistics), logits = (f(variables, numbers, inputs) for f in (trained, evaluated))
        return jax.tree.map(lambda x: x[:_REAL], output), statistics, logits[:_REAL]

    arguments, batches = (_random(shapes), numbers), _padded_otherwise(inputs)
    one, other = _computed(both, arguments, batches)
    if not _same(one[:2], other[:2]):
        where = _first(trained, arguments, batches) or title
        raise InputError(
            f'{where} reads padded examples: what training computes of a clip changes with them. Compute '
            'each example, the last axis, for itself, or leave out those whose mask is 0; for statistics of '
            f'a batch use dualatme_jax.models.layers.batch_norm.BatchNorm. {_GUIDE}'
        )
    if not _same(one[2], other[2]):
        where = _first(evaluated, arguments, batches) or title
        raise InputError(
            f'{where} mixes the examples of a batch: what it predicts of a clip changes with the clips that '
            f'are predicted beside it. Compute each example, the last axis, for itself. {_GUIDE}'
        )


def _computed(function: Callable, arguments: Sequence[Any], batches: Sequence[Any]) -> list[Any]:
    """Outputs of each batch: compiled in no time, by a CPU where there is one, and slow."""
    try:
        [device, *_] = jax.local_devices(backend='cpu')
        options = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
    except RuntimeError:
        [device, *_], options = jax.local_devices(), {}
    with jax.default_device(device), lowering.use('grouped'):
        compiled = jax.jit(function).lower(*arguments, batches[0]).compile(compiler_options=options)
        return [compiled(*arguments, batch) for batch in batches]


def _without_dropout(module: nn.Module) -> bool:
    """Whether it is attention that drops nothing; a rate that is traced is not 0."""
    rate = getattr(module, 'dropout_rate', None)
    return isinstance(module, nn.MultiHeadDotProductAttention) and isinstance(rate, float | int) and rate == 0


def _called(module: nn.Module) -> str:
    """A layer by its path and class, and the class of Flax that it is made from."""
    kind = type(module)
    made = next((base for base in REFUSED if isinstance(module, base) and base is not kind), None)
    name = '/'.join(module.path) or kind.__name__
    if kind.__module__.startswith('flax.'):
        return f'{name} (flax.linen.{kind.__name__})'
    return f'{name} ({kind.__name__}{f", a flax.linen.{made.__name__}" if made else ""})'


@contextlib.contextmanager
def _mendable(title: str) -> Iterator[None]:
    """Errors of Flax and JAX that the writer of a network can mend, as such."""
    try:
        yield
    except flax.errors.InvalidRngError as error:
        raise InputError(
            f'{title} draws random numbers that a step does not give ({_brief(error)}); expected '
            "make_rng('dropout'), in training alone, and make_rng('params') where parameters start. "
            f'{_GUIDE}'
        ) from error
    except flax.errors.ScopeParamShapeError as error:
        raise InputError(
            f'{title} has a layer whose parameters depend on how many examples there are ({_brief(error)}): '
            'layers of Flax work on the last axis, which is that of the examples here. Use those of '
            f'dualatme_jax.models.layers. {_GUIDE}'
        ) from error
    except jax.errors.ConcretizationTypeError as error:
        raise InputError(
            f'{title} decides by a number that differs from trial to trial ({_brief(error)}): use jnp.where '
            f'instead of `if`, or leave the option out of `traced` in the record. {_GUIDE}'
        ) from error
    except flax.errors.FlaxError as error:
        raise InputError(f'{title} cannot be trained ({_brief(error)}). {_GUIDE}') from error


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0].partition(' (https://')[0].rstrip('.')


def _check_output(output: Any, title: str, classes: int) -> None:
    """Raises InputError unless a network returns what it should, for `_BATCH` examples."""
    if not isinstance(output, Output):
        found = 'an array' if isinstance(output, jax.ShapeDtypeStruct) else type(output).__name__
        raise InputError(f'{title} returns {found}; expected dualatme_jax.models.output.Output. {_GUIDE}')
    expected = {'logits': (output.logits, (_BATCH, classes))}
    if output.step_logits is not None:
        expected['step_logits'] = output.step_logits, (_BATCH, None, classes)
    expected |= {f'features[{name!r}]': (x, (_BATCH, None)) for name, x in output.features.items()}
    expected |= {f'losses[{name!r}]': (x, (_BATCH,)) for name, x in output.losses.items()}
    for name, (found, shape) in expected.items():
        if len(found.shape) != len(shape) or any(
            length not in (None, here) for length, here in zip(shape, found.shape, strict=True)
        ):
            wanted = ', '.join('D' if length is None else str(length) for length in shape)
            raise InputError(
                f'{title} returns {name} of shape {found.shape} for {_BATCH} examples and {classes} classes; '
                f'expected ({wanted}): examples are the first axis of an Output. {_GUIDE}'
            )


def _random(shapes: Any) -> Any:
    """Variables of these shapes, none of them 0: a classifier that starts at 0 would hide what it reads."""
    random = np.random.default_rng(0)

    def of(leaf):
        if not np.issubdtype(leaf.dtype, np.floating) and leaf.dtype != jax.numpy.bfloat16:
            return np.zeros(leaf.shape, leaf.dtype)
        if len(leaf.shape) < 2:
            return random.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
        fan_in = np.prod(leaf.shape[:-1])
        return (random.normal(size=leaf.shape) / np.sqrt(fan_in)).astype(leaf.dtype)

    return jax.tree.map(of, shapes)


def _padded_otherwise(inputs: Mapping[str, Sequence[int]]) -> list[dict[str, np.ndarray]]:
    """Two batches with the same first `_REAL` examples, and others behind them."""
    random = np.random.default_rng(0)
    first = {key: random.normal(size=(*shape, _BATCH)).astype(np.float32) for key, shape in inputs.items()}
    second = {key: x.copy() for key, x in first.items()}
    for x in second.values():
        x[..., _REAL:] = 2 + 3 * x[..., _REAL:]
    return [first, second]


def _same(found: Any, others: Any) -> bool:
    """Whether two trees of arrays hold the same numbers, up to rounding; what is not finite says nothing."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(others), strict=True):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = a[finite], b[finite]
        if a.size and np.abs(a - b).max() > _NEAR * max(np.abs(a).max(), np.finfo(np.float32).tiny):
            return False
    return True


def _first(function: Callable, arguments: Sequence[Any], batches: Sequence[Any]) -> str:
    """The layer that is first to give other numbers of the same examples; empty if none can be named."""
    names: list[str] = []

    def seen(*given):
        outputs: list[list[jax.Array]] = []
        names.clear()

        def interceptor(call, arguments, options, context):
            output = call(*arguments, **options)
            if context.method_name == '__call__':
                names.append(_called(context.module))
                outputs.append([x for x in jax.tree.leaves(output) if _BATCH in np.shape(x)])
            return output

        with nn.intercept_methods(interceptor):
            function(*given)
        return outputs

    try:
        one, other = _computed(seen, arguments, batches)
    except jax.errors.UnexpectedTracerError:  # of a layer in a loop, which has no output outside of it
        return ''
    for name, found, others in zip(names, one, other, strict=True):
        for a, b in zip(found, others, strict=True):
            axis = max(axis for axis, length in enumerate(a.shape) if length == _BATCH)
            if not _same(*(np.asarray(x).take(range(_REAL), axis) for x in (a, b))):
                return name
    return ''
