"""HTNet (Wang, Zhang, Luo, Sankaranarayana, arXiv 2307.14637, 2023): a transformer on four crops of a flow.

Input [3, 28, 28, B], by the published code as bytes 0..255 with channels strain, v, u (configs/htnet.py has
both). Four crops of half the edge, around the eyes and the corners of the mouth, are tiled to a picture of
the same size, which is cut into patches of 7x7. Three levels of transformer blocks follow; between two
levels a convolution and a pooling halve the edges. Output [B, classes].

Attention acts within windows. In the published code (variant `published`) the 4x4 patches are cut into as
many windows, as the 2x2 of the second level are: each window holds one token. The softmax over one key is
1, so that no token ever sees another one in the blocks, queries and keys have no gradient, and attention is
a linear map of each token for itself; only the convolutions between the levels mix places. Variant
`windows` has windows of 2x2 tokens, or the whole level where it is smaller. These are what NesT, from whose
code HTNet is made, would have: windows of the same number of tokens at each level, and one of them at the
top of the tree. A window of the first level is then one crop, one facial area, as the paper describes it;
at the second level the four areas see each other; of the third one token is left.

Deviations: the published crops lie around the landmarks that MTCNN finds on each apex frame of 28x28
pixels. Here faces are aligned, so that the same places do for all clips (`CENTRES`). The published code
also takes a landmark's x for the row and its y for the column (`swapped=True`), so that the upper right
tile is a mouth corner and the lower left one an eye; and it takes the training files class by class, ours
the dataset's order, by database and subject. One of its commits has 8 blocks at the third level instead of
10. Larger flows than 28x28 have more windows, not larger ones.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models import options
from dualatme_jax.models.figures import YES, Figure
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.attention import attend, scores
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.layer_norm import LayerNorm
from dualatme_jax.models.layers.maps import joined_windows, windows
from dualatme_jax.models.layers.pooling import global_average_pool, max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System, TorchTensor

VARIANTS = ('published', 'windows')

# Edge of the windows in which attention acts, in tokens.
WINDOWS = dict(zip(VARIANTS, (1, 2), strict=True))
PATCH = 7  # pixels
GRID = 28  # the unit of `CENTRES` is the 28th part of the picture's edge

# (row, column) of the middle of each crop, from the upper left one, row by row. `template`: the eyes'
# centres, (8.2, 8.5) and (8.2, 19.5), and the corners of the mouth, (21.3, 9.3) and (21.3, 18.7), of the
# face to which `data_prep` aligns (data_prep/face/landmarks/template.csv), rounded; a half to the middle of
# the face, so that both sides mirror each other. `published`: what the published code takes where MTCNN
# finds no face, cut to 7..21 and to whole numbers.
CENTRES = {
    'template': ((8, 9), (8, 19), (21, 9), (21, 19)),
    'published': ((11, 9), (10, 21), (21, 10), (21, 20)),
}

# Of the published code: dense layers are convolutions of 1x1, and layer norms hold [1, C, 1, 1].
_LAYERS = {'attention_norm': '0.norm', 'qkv': '0.fn.to_qkv', 'out': '0.fn.to_out.0'}
_LAYERS |= {'mlp_norm': '1.norm', 'widen': '1.fn.net.0', 'narrow': '1.fn.net.3'}


def _norm(ours: str, theirs: str) -> dict[str, str | TorchTensor]:
    ones = (0, 2, 3)
    return {
        f'{ours}/scale': TorchTensor(f'{theirs}.g', ones),
        f'{ours}/bias': TorchTensor(f'{theirs}.b', ones),
    }


def _dense(ours: str, theirs: str) -> dict[str, str | TorchTensor]:
    return {f'{ours}/kernel': TorchTensor(f'{theirs}.weight', (2, 3)), ours: theirs}


def _torch_names(levels: int, blocks: int) -> dict[str, str | TorchTensor]:
    """Of a network of so many levels, each of so many blocks."""
    found = {'patches': 'to_patch_embedding.1'}
    for level in range(levels):
        if level:
            found |= {f'merge{level}': f'layers.{level - 1}.1.0'}
            found |= _norm(f'merge_norm{level}', f'layers.{level - 1}.1.1')
        found[f'level{level}/position'] = TorchTensor(f'layers.{level}.0.pos_emb')
        for block in range(blocks):
            for ours, theirs in _LAYERS.items():
                here = f'level{level}/block{block}/{ours}', f'layers.{level}.0.layers.{block}.{theirs}'
                found |= (_norm if ours.endswith('norm') else _dense)(*here)
    return found | _norm('norm', 'mlp_head.0') | {'classifier': 'mlp_head.2'}


class Block(nn.Module):
    """Attention, then a wider layer, both added: tokens of windows [D, T, B] to themselves."""

    heads: int
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def dense(features, name, *, use_bias=True):
            return Dense(features, self.initializer, use_bias=use_bias, name=name)

        numbers, tokens, batch = x.shape
        inner = numbers // self.heads * self.heads
        y = dense(3 * inner, 'qkv', use_bias=False)(LayerNorm(name='attention_norm')(x))
        if tokens == 1:
            y = y[2 * inner :]
        else:
            query, key, value = y.reshape(3, self.heads, -1, tokens, batch)
            y = attend(scores(query, key), value).reshape(inner, tokens, batch)
        x = x + dense(numbers, 'out')(y)
        y = dense(4 * numbers, 'widen')(LayerNorm(name='mlp_norm')(x))
        return x + dense(numbers, 'narrow')(nn.gelu(y, approximate=False))


class Level(nn.Module):
    """The blocks of one level: [C, H, W, B] to itself."""

    blocks: int
    heads: int
    window: int
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        edge = min(self.window, *x.shape[1:3])
        # One number per place in a window, of all channels and windows.
        position = self.param('position', nn.initializers.normal(1.0), (self.window**2,))
        tokens = windows(x, edge) + position[: edge**2, None]
        for number in range(self.blocks):
            tokens = Block(self.heads, self.initializer, name=f'block{number}')(tokens)
        return joined_windows(tokens, edge, x.shape)


class HTNet(nn.Module):
    """The network. `width` and `heads` are those of the first level; each further one has twice as many."""

    variant: str
    classes: int
    width: int
    heads: int
    blocks: tuple[int, ...]
    centres: str
    swapped: bool
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the flow. See `DualATME.__call__`."""
        del mask, train
        x = tiled(inputs['flow'], CENTRES[self.centres], swapped=self.swapped)
        x = Conv(self.width, 1, self.initializer, name='patches')(in_patches(x))
        for level, blocks in enumerate(self.blocks):
            if level:
                merge = Conv(self.width * 2**level, 3, self.initializer, padding=1, name=f'merge{level}')
                x = LayerNorm(name=f'merge_norm{level}')(merge(x))
                x = max_pool(x, 3, stride=2, padding=1)
            heads, window = self.heads * 2**level, WINDOWS[self.variant]
            x = Level(blocks, heads, window, self.initializer, name=f'level{level}')(x)
        x = global_average_pool(LayerNorm(name='norm')(x))
        return Output(Dense(self.classes, self.initializer, name='classifier')(x).T)


def tiled(x: jax.Array, centres: tuple[tuple[int, int], ...], *, swapped: bool = False) -> jax.Array:
    """Four crops of half the edge as one picture: [C, S, S, B] to itself; S a multiple of `GRID`.

    Args:
      x: the picture.
      centres: (row, column) of each crop's middle, from the upper left one, row by row, in S / `GRID` pixels.
      swapped: whether rows are taken for columns.
    """
    _, height, width, _ = x.shape
    if height != width or height % GRID:
        raise ValueError(f'a picture of {height}x{width}; expected a square of a multiple of {GRID} pixels')
    half, unit = height // 2, height // GRID

    def crop(centre):
        row, column = (unit * place - half // 2 for place in (centre[::-1] if swapped else centre))
        return x[:, row : row + half, column : column + half]

    upper_left, upper_right, lower_left, lower_right = map(crop, centres)
    upper = jnp.concatenate([upper_left, upper_right], 2)
    return jnp.concatenate([upper, jnp.concatenate([lower_left, lower_right], 2)], 1)


def untiled(
    maps: np.ndarray, edge: int, *, centres: tuple[tuple[int, int], ...], swapped: bool = False
) -> np.ndarray:
    """Maps [M, P, P] over tiled pictures as maps [M, edge, edge] over the pictures; see `tiled`.

    Where crops overlap it is their mean, and 0 where no crop lies.
    """
    half, unit, areas = edge // 2, edge // GRID, maps.shape[1] // 2
    total, times = np.zeros((len(maps), edge, edge), maps.dtype), np.zeros((edge, edge), maps.dtype)
    for number, centre in enumerate(centres):
        row, column = (unit * place - half // 2 for place in (centre[::-1] if swapped else centre))
        down, right = (areas * place for place in divmod(number, 2))
        crop = maps[:, down : down + areas, right : right + areas]
        here = np.s_[..., row : row + half, column : column + half]
        total[here] += crop.repeat(half // areas, 1).repeat(half // areas, 2)
        times[here] += 1
    return total / np.maximum(times, 1)


def last_maps(network: HTNet) -> tuple[LastMap, ...]:
    """Of the level before the last one, whose single token has no places."""
    onto = functools.partial(untiled, centres=CENTRES[network.centres], swapped=network.swapped)
    return (LastMap(f'level{len(network.blocks) - 2}', 'flow', onto=onto),) if len(network.blocks) > 1 else ()


def in_patches(x: jax.Array) -> jax.Array:
    """Patches as channels, by row, column, channel: [C, H, W, B] to [P * P * C, H / P, W / P, B]."""
    channels, height, width, batch = x.shape
    x = x.reshape(channels, height // PATCH, PATCH, width // PATCH, PATCH, batch)
    return x.transpose(2, 4, 0, 1, 3, 5).reshape(-1, height // PATCH, width // PATCH, batch)


def build(
    *,
    classes: int,
    variant: str = 'published',
    width: int = 256,
    heads: int = 3,
    blocks: tuple[int, ...] = (2, 2, 10),
    centres: str = 'template',
    swapped: bool = False,
    init: str = 'torch',
) -> HTNet:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      variant: 'published' (attention within windows of one token, a linear map) or 'windows' (of 2x2 tokens).
      width: channels of the first level, at least as many as heads; each further level has twice as many.
      heads: heads of attention of the first level, 1 or more; each further level has twice as many.
      blocks: how many transformer blocks each level has, one number per level, for pictures of 28x28 three.
      centres: what the crops lie around: 'template' (eyes and mouth corners of aligned faces) or 'published'
        (what the published code takes where it finds no face).
      swapped: whether rows are taken for columns, as in the published code.
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    options.check_variant('HTNet', variant, VARIANTS)
    if centres not in CENTRES:
        raise InputError(f'config.model.centres is {centres!r}; expected {" or ".join(map(repr, CENTRES))}')
    if not 1 <= heads <= width:
        raise InputError(
            f'config.model.width is {width} and config.model.heads {heads}; expected one head or more, and a '
            'channel for each'
        )
    if not blocks or min(blocks) < 1:
        raise InputError(f'config.model.blocks is {blocks}; expected one number of 1 or more per level')
    initializers.check(init)
    return HTNet(variant, classes, width, heads, blocks, centres, swapped, init)


SYSTEM = System(
    name='htnet',
    title='HTNet',
    papers=('wang2024htnet',),
    build=build,
    config='configs/htnet.py',
    torch_names=_torch_names(levels=3, blocks=10),
    variants=VARIANTS,
    last_maps=last_maps,
    figures=(
        Figure(
            0.8603,
            0.8475,
            'Wang et al., HTNet, arXiv 2307.14637, table of results',
            YES,
            'its public program keeps, for each subject, the epoch of 800 that is best on that subject',
        ),
    ),
)
