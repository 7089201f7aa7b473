"""Augmentation: in training, the batch of a step is changed at random before the network reads it.

Of it predictions know the mirror alone, if `config.input.mirror_at_test` asks for it.

The strengths are hyperparameters, `augment_NAME`, which may be traced; 0 changes nothing. All inputs of a
clip are mirrored, moved, turned, scaled, cut and erased alike. Axes: C channels, *S space (behind time, if
there is any), B examples; H and W are the last two of *S.
"""

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.training import encoding as encodings
from dualatme_jax.training import prepare

Inputs = Mapping[str, jax.Array]  # as `prepare` makes them, each [C, *S, B]
Hyperparameters = Mapping[str, jax.Array]

# From inputs to those of the same clips, mirrored.
Mirror = Callable[[Inputs], dict[str, jax.Array]]

# From inputs, hyperparameters and a random key to other inputs.
Augment = Callable[[Inputs, Hyperparameters, jax.Array], dict[str, jax.Array]]

# What there is, with the meaning of its strength. The place of a name is the number of its random stream.
STRENGTHS = {
    'mirror': 'probability that a clip is mirrored, left for right; u changes its sign',
    'shift': 'the furthest that it is moved along each axis, as a fraction of the edge',
    'rotation': 'the most that it is turned, in degrees; flow vectors keep their components',
    'scale': 'the most that it is enlarged or made smaller, as a fraction',
    'erase': 'edge of a rectangle that is filled with the mean of the picture, as a fraction of the edge',
    'noise': 'standard deviation of what is added to every value, as a fraction of the range of values',
    'strength': 'the most that its motion is made stronger or weaker, as a fraction: u, v and strain',
    'crop': 'width of the zeros around it, from which its size is cut at random, as a fraction of the edge',
    'colour': 'the most that brightness, contrast, saturation and hue change, as a fraction; of RGB',
}
NAMES = tuple(STRENGTHS)
_MOVES = ('shift', 'rotation', 'scale')


def column(name: str) -> str:
    """The hyperparameter that holds the strength."""
    return f'augment_{name}'


def check(active: Collection[str], inputs: Mapping[str, np.ndarray], *, mirrored_by: str = '') -> None:
    """Raises InputError for inputs [N, *S, C] of a dataset that cannot be changed so.

    Args:
      active: names of `STRENGTHS` that are above 0 somewhere.
      inputs: by key.
      mirrored_by: the field of a config that has them mirrored where nothing is drawn, if one does.
    """
    asked = [(name, f'augment.{name}', 'above 0', 0) for name in sorted(active)]
    asked += [('mirror', mirrored_by, 'True', False)] if mirrored_by else []
    for name, field, given, without in asked:
        for key, array in inputs.items():
            if reason := _fault(name, key, array):
                raise InputError(
                    f'config.{field} is {given}, and {key} cannot be changed so: {reason}; '
                    f'expected --config.{field}={without}'
                )


def _fault(name: str, key: str, array: np.ndarray) -> str:
    """Why an input [N, *S, C] cannot be changed as one of `STRENGTHS` does; empty if it can."""
    own = schema.CHANNELS.get(key, ())
    if name != 'noise' and array.ndim < 4:
        return f'it is no picture but {array.shape[1:]}'
    if name == 'mirror' and not own:
        return 'what its channels mean, and whether one changes its sign, is not known'
    if name == 'strength' and not set(own) & set(schema.FLOW_CHANNELS):
        return f'it shows no motion: its channels are {", ".join(own) or "not known"}'
    if name == 'colour' and own != schema.RGB:
        return f'it has no colours: its channels are {", ".join(own) or "not known"}'
    return ''


def augmentation(
    active: Collection[str],
    *,
    scale: str,
    channels: Sequence[str],
    encoding: str = encodings.MINMAX,
    **_,
) -> Augment:
    """What changes inputs at random.

    Args:
      active: names of `STRENGTHS`; of the others no code is compiled.
      scale: of the prepared inputs, a key of `prepare.SCALES`.
      channels: their order, as `prepare.preparation` takes it.
      encoding: of motion, as it takes it.

    Raises:
      InputError: colours are to change, of values whose range is not known.
    """
    if 'colour' in active and scale == 'stored':
        raise InputError(
            "config.augment.colour is above 0, and config.input.scale='stored' has no known range of values; "
            'expected --config.augment.colour=0 or another scale'
        )

    def augment(inputs: Inputs, given: Hyperparameters, key: jax.Array) -> dict[str, jax.Array]:
        batch = next(iter(inputs.values())).shape[-1]
        keys = {name: jax.random.fold_in(key, NAMES.index(name)) for name in active}
        strengths = {name: given[column(name)] for name in active}
        found = {}
        for name, x in inputs.items():
            own = prepare.ordered_names(name, channels)
            encoded = encodings.applies(encoding, own)
            low, high = _ends(x, own, scale, encoding)
            if 'strength' in active:
                factor = 1 + strengths['strength'] * _spread(keys['strength'], batch)
                x = _stronger(x, factor, own, low, zero=encoded)
            if active & {*_MOVES}:
                x = _moved(x, _transform(keys, strengths, batch, x.shape[-3:-1]))
            if 'mirror' in active:
                chosen = jax.random.uniform(keys['mirror'], (batch,)) < strengths['mirror']
                x = jnp.where(chosen, _mirrored(x, own, low + high), x)
            if 'colour' in active and sorted(own) == sorted(schema.RGB):
                drawn = strengths['colour'] * _spread(keys['colour'], batch, 4).T
                place = np.array([own.index(colour) for colour in schema.RGB])
                colours = recoloured(((x - low) / (high - low))[place], drawn)[np.argsort(place)]
                x = low + (high - low) * colours
            if 'crop' in active:
                x = _cropped(x, strengths['crop'], keys['crop'])
            if 'erase' in active:
                x = _erased(x, strengths['erase'], keys['erase'])
            if 'noise' in active:
                drawn = jax.random.normal(_of(keys['noise'], name), x.shape[::-1]).T
                x = x + strengths['noise'] * (high - low if encoded or scale != 'stored' else 1) * drawn
            found[name] = x
        return found

    active = frozenset(active)
    return augment


def mirroring(*, scale: str, channels: Sequence[str], encoding: str = encodings.MINMAX, **_) -> Mirror:
    """What mirrors all clips, as `augmentation` does those that it draws; see there."""

    def mirror(inputs: Inputs) -> dict[str, jax.Array]:
        found = {}
        for name, x in inputs.items():
            own = prepare.ordered_names(name, channels)
            low, high = _ends(x, own, scale, encoding)
            found[name] = _mirrored(x, own, low + high)
        return found

    return mirror


def _ends(x: jax.Array, names: Sequence[str], scale: str, encoding: str) -> tuple:
    """The least and the largest value of inputs [C, *S, B] of some channels, as they were prepared."""
    encoded = encodings.applies(encoding, names)
    return encodings.ends(names, x.ndim) if encoded else prepare.ends(scale, x)


def window(inputs: Inputs, size: int, key: jax.Array) -> dict[str, jax.Array]:
    """A window anywhere in each picture, [C, ..., H, W, B] to [C, ..., size, size, B]: PyTorch's RandomCrop.

    All inputs of a clip, as they are stored, have the window at the same place. See `prepare.check_stored`.
    """
    drawn = jax.random.uniform(key, (next(iter(inputs.values())).shape[-1], 2))
    found = {}
    for name, x in inputs.items():
        rows, columns = (
            jnp.floor(drawn[:, k] * (edge - size + 1)).astype(int) + jnp.arange(size)[:, None]
            for k, edge in enumerate(x.shape[-3:-1])
        )
        found[name] = x[..., rows[:, None], columns[None], jnp.arange(x.shape[-1])]
    return found


def _of(key: jax.Array, name: str) -> jax.Array:
    """A key of its own for an input."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def _spread(key: jax.Array, *shape: int) -> jax.Array:
    """Uniform in -1..1; the first of a longer axis are those of a shorter one."""
    return jax.random.uniform(key, shape, minval=-1)


def _space(x: jax.Array) -> tuple[int, int]:
    return x.ndim - 3, x.ndim - 2  # H and W of [C, *S, B]


def _mirrored(x: jax.Array, channels: Sequence[str], total: float) -> jax.Array:
    """Left for right. `total` is a value and its negative together: -1..1 have 0, 0..255 have 255.

    Scaled to the range by clip, as `data_prep` stores it, a flow of the other sign is the range's other end.
    """
    signed = np.array([name in schema.MIRRORED for name in channels] or [False] * len(x))
    x = jnp.flip(x, _space(x)[1])
    other = schema.SIDES | {right: left for left, right in schema.SIDES.items()}
    names = [other.get(name, name) for name in channels]
    x = x if names == [*channels] else x[np.array([channels.index(name) for name in names])]
    return jnp.where(signed.reshape(-1, *[1] * (x.ndim - 1)), total - x, x) if signed.any() else x


def _stronger(
    x: jax.Array, factor: jax.Array, channels: Sequence[str], low: float, *, zero: bool
) -> jax.Array:
    """u and v, and strain from its lowest value, times a factor [B].

    u and v are taken around 0 where that is no motion (`zero`), else around their mean over the picture.
    """
    mean = x.mean(_space(x), keepdims=True)
    mean = jnp.zeros_like(mean) if zero else mean
    around = {'u': mean, 'v': mean, 'strain': jnp.full_like(mean, low)}
    parts = [
        around[name][k] + factor * (x[k] - around[name][k]) if name in around else x[k]
        for k, name in enumerate(channels)
    ]
    return jnp.stack(parts)


def recoloured(x: jax.Array, changes: jax.Array) -> jax.Array:
    """Other brightness, contrast, saturation and hue, in this order: [3, *S, B] in 0..1 to itself.

    As torchvision's ColorJitter, which takes them in an order of its own for each picture.

    Args:
      x: red, green, blue.
      changes: [4, B], of the first three how much more than 1 the factor is, of hue the part of a turn.
    """

    def grey(x: jax.Array) -> jax.Array:
        return (jnp.array([0.299, 0.587, 0.114]).reshape(-1, *[1] * (x.ndim - 1)) * x).sum(0, keepdims=True)

    def away(x: jax.Array, start: jax.Array | float, more: jax.Array) -> jax.Array:
        return jnp.clip(start + (1 + more) * (x - start), 0, 1)

    brightness, contrast, saturation, hue = changes
    x = away(x, 0.0, brightness)
    x = away(x, grey(x).mean(_space(x), keepdims=True), contrast)
    x = away(x, grey(x), saturation)
    red, green, blue = x
    most = x.max(0)
    chroma = most - x.min(0)
    divisor = jnp.where(chroma > 0, chroma, 1)
    of_green = jnp.where(most == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sector = jnp.where(most == red, (green - blue) / divisor, of_green) + 6 * hue

    def channel(place: int) -> jax.Array:
        k = (place + sector) % 6
        return most - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return jnp.stack([channel(place) for place in (5, 3, 1)])


def _transform(
    keys: Mapping[str, jax.Array], strengths: Hyperparameters, batch: int, edges: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Which place each one is taken from: rows and columns [H, W, B], in pixels."""
    zero, one = jnp.zeros(batch), jnp.ones(batch)
    moved = [zero, zero]
    if 'shift' in strengths:
        drawn = _spread(keys['shift'], batch, 2)
        moved = [strengths['shift'] * edge * drawn[:, k] for k, edge in enumerate(edges)]
    angle = zero
    if 'rotation' in strengths:
        angle = jnp.deg2rad(strengths['rotation']) * _spread(keys['rotation'], batch)
    size = one + strengths['scale'] * _spread(keys['scale'], batch) if 'scale' in strengths else one
    rows, columns = (jnp.arange(edge) - (edge - 1) / 2 for edge in edges)
    rows, columns = rows[:, None, None], columns[None, :, None]
    cosine, sine = jnp.cos(angle) / size, jnp.sin(angle) / size
    return (
        cosine * rows - sine * columns - moved[0] + (edges[0] - 1) / 2,
        sine * rows + cosine * columns - moved[1] + (edges[1] - 1) / 2,
    )


def _moved(x: jax.Array, places: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The values at `places`, between pixels in proportion; beyond the border the outermost pixel's."""
    examples = jnp.arange(x.shape[-1])
    edges = x.shape[-3:-1]
    rows, columns = (jnp.clip(place, 0, edge - 1) for place, edge in zip(places, edges, strict=True))
    low = [jnp.floor(place).astype(jnp.int32) for place in (rows, columns)]
    high = [jnp.minimum(place + 1, edge - 1) for place, edge in zip(low, edges, strict=True)]
    down, right = rows - low[0], columns - low[1]

    def at(row, column):
        return x[..., row, column, examples]

    above = at(low[0], low[1]) * (1 - right) + at(low[0], high[1]) * right
    below = at(high[0], low[1]) * (1 - right) + at(high[0], high[1]) * right
    return above * (1 - down) + below * down


def _cropped(x: jax.Array, width: jax.Array, key: jax.Array) -> jax.Array:
    """Moved by whole pixels, at most by `width` times the picture's edges; zeros beyond its border."""
    height, length = x.shape[-3:-1]
    drawn = jax.random.uniform(key, (x.shape[-1], 2))

    def places(edge: int, drawn: jax.Array) -> jax.Array:
        most = jnp.round(width * edge)
        moved = jnp.floor(drawn * (2 * most + 1)) - most  # each of 2 * most + 1 numbers is as likely
        return jnp.arange(edge)[:, None] + moved.astype(jnp.int32)

    rows, columns = places(height, drawn[:, 0]), places(length, drawn[:, 1])
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < length))[None]
    rows, columns = jnp.clip(rows, 0, height - 1)[:, None], jnp.clip(columns, 0, length - 1)[None]
    return jnp.where(inside, x[..., rows, columns, jnp.arange(x.shape[-1])], 0)


def _erased(x: jax.Array, edge: jax.Array, key: jax.Array) -> jax.Array:
    """A rectangle of `edge` times the picture's edges, anywhere, filled with the mean of each channel."""
    centre = jax.random.uniform(key, (x.shape[-1], 2))
    inside = [
        jnp.abs((jnp.arange(size)[:, None] + 0.5) / size - centre[:, k]) < edge / 2
        for k, size in enumerate(x.shape[-3:-1])
    ]
    return jnp.where(inside[0][:, None] & inside[1][None], x.mean(_space(x), keepdims=True), x)
