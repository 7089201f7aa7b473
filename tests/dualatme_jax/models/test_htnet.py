"""HTNet's crops, windows and names."""

import jax
import numpy as np
import pytest

from data_prep.face.landmarks import ibug, template
from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.models import htnet
from dualatme_jax.models.layers.maps import joined_windows, windows
from dualatme_jax.weights import names

MOUTH_CORNERS = (48, 54)


def test_the_crops_lie_around_the_template_s_eyes_and_mouth_corners():
    points = template.points()
    expected = np.concatenate([ibug.eye_centres(points), points[list(MOUTH_CORNERS)]])[:, ::-1]
    assert htnet.GRID == template.GRID
    assert np.abs(np.array(htnet.CENTRES['template']) - expected).max() <= 0.5
    for (row, right), (other, left) in zip(*[iter(htnet.CENTRES['template'])] * 2, strict=True):
        assert (row, right) == (other, template.GRID - left), 'both sides mirror each other'


def picture(edge=28):
    """[1, S, S, 1] that holds each place's number."""
    return np.arange(edge**2, dtype=np.float32).reshape(1, edge, edge, 1)


def test_tiles_are_the_crops():
    found = np.asarray(htnet.tiled(picture(), htnet.CENTRES['template']))[0, ..., 0]
    whole = picture()[0, ..., 0]
    np.testing.assert_array_equal(found[:14, :14], whole[1:15, 2:16])
    np.testing.assert_array_equal(found[:14, 14:], whole[1:15, 12:26])
    np.testing.assert_array_equal(found[14:, :14], whole[14:28, 2:16])
    np.testing.assert_array_equal(found[14:, 14:], whole[14:28, 12:26])


def test_swapped_the_upper_right_tile_is_a_mouth_corner():
    """As the published code slices around its own default landmarks (x, y): rows by x, columns by y."""
    found = np.asarray(htnet.tiled(picture(), htnet.CENTRES['published'], swapped=True))[0, ..., 0]
    whole = picture()[0, ..., 0]
    for place, (x, y) in zip(
        [(0, 0), (0, 14), (14, 0), (14, 14)], [(9, 11), (21, 10), (10, 21), (20, 21)], strict=True
    ):
        tile = found[place[0] : place[0] + 14, place[1] : place[1] + 14]
        np.testing.assert_array_equal(tile, whole[x - 7 : x + 7, y - 7 : y + 7])


@pytest.mark.parametrize('edge', [1, 2, 4])
def test_windows_are_places_beside_each_other_and_can_be_joined(edge):
    maps = np.arange(3 * 4 * 8 * 2).reshape(3, 4, 8, 2)
    cut = windows(maps, edge)
    np.testing.assert_array_equal(cut[:, :, :2], maps[:, :edge, :edge].reshape(3, -1, 2))
    np.testing.assert_array_equal(joined_windows(cut, edge, maps.shape), maps)


@pytest.mark.slow
@pytest.mark.parametrize(('variant', 'mixed'), [('published', False), ('windows', True)])
def test_a_level_mixes_the_tokens_of_a_window_alone(variant, mixed):
    level = htnet.Level(1, 2, htnet.WINDOWS[variant], 'torch')
    x = np.random.default_rng(0).normal(size=(4, 4, 4, 1)).astype(np.float32)
    moved = x.copy()
    moved[:, 0, 0, 0] += np.float32([1, 2, -1, 0])
    before, after = jax.lax.map(
        lambda x: level.init_with_output(jax.random.key(0), x)[0], np.stack([x, moved])
    )
    changed = np.asarray(before != after).any((0, -1))
    expected = np.zeros((4, 4), bool)
    expected[: 2 if mixed else 1, : 2 if mixed else 1] = True
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.slow
def test_published_layer_norms_and_dense_layers_have_unit_axes_there_and_back():
    tensors = names.tensors('htnet', 'published', 3)
    here = 'layers.2.0.layers.9.'
    assert tensors[f'{here}0.norm.g'].shape == (1, 1024, 1, 1)
    assert tensors[f'{here}0.fn.to_qkv.weight'].shape == (3 * 1020, 1024, 1, 1)
    assert tensors['layers.0.0.pos_emb'].shape == (1,)
    assert tensors['layers.1.1.0.weight'].shape == (1024, 512, 3, 3)
    found = names.leaves_in('htnet', {f'{here}1.norm.b': np.arange(1024.0).reshape(1, -1, 1, 1)})
    [(path, leaf)] = found.items()
    assert path == ('params', 'level2', 'block9', 'mlp_norm', 'bias')
    np.testing.assert_array_equal(leaf, np.arange(1024.0))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'centres': 'face'}, "centres is 'face'; expected 'template' or 'published'"),
        ({'width': 2}, 'width is 2 and config.model.heads 3'),
        ({'heads': 0}, 'heads 0; expected one head or more'),
        ({'blocks': ()}, r'blocks is \(\); expected one number of 1 or more per level'),
        ({'blocks': (2, 0)}, r'blocks is \(2, 0\)'),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        models.build('htnet', classes=3, **options)


def test_flows_that_cannot_be_cut_are_refused():
    with pytest.raises(InputError, match='a picture of 30x30; expected a square of a multiple of 28'):
        models.shapes(models.build('htnet', classes=3), {'flow': (3, 30, 30)})
