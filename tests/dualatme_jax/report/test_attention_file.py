"""attention.npz: which clips it has, that it is read as it was written, and what is no such file."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import attention
from dualatme_jax.report.attention import CBAM, GRAD_CAM, Attention, View


def predicted(wrong, seeds=2):
    """Predictions of clips of two databases and three classes; `wrong[k]` seeds get clip k wrong."""
    clips = np.arange(len(wrong))
    parts = [
        pd.DataFrame(
            {
                'trial': 1000 * seed + clips,
                'seed': seed,
                'database': np.array(['casme2', 'samm'])[clips % 2],
                'subject': [f's{k % 7}' for k in clips],
                'clip': [f'c{k}' for k in clips],
                'label': clips % 3,
                'prediction': (clips + (seed < np.array(wrong))) % 3,
            }
        )
        for seed in range(seeds)
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_clips_are_those_that_most_seeds_get_wrong():
    table = predicted([2, 0, 1] * 20)
    found = attention.chosen(table)
    assert found['clip'].tolist()[:6] == ['c0', 'c3', 'c6', 'c9', 'c12', 'c15']
    assert len(found) == 20
    assert (found['wrong'] == 1).all()
    first = table[table['seed'] == 0].set_index('clip').loc[found['clip']]
    assert found['prediction'].tolist() == first['prediction'].tolist()
    assert found['trial'].tolist() == first['trial'].tolist()


def test_of_many_hard_clips_databases_and_classes_take_turns():
    found = attention.chosen(predicted([2] * 120))
    assert len(found) == attention.MOST
    assert found.groupby(['database', 'label']).size().tolist() == [4] * 6


def test_where_few_are_hard_others_of_each_database_and_class_follow():
    found = attention.chosen(predicted([0, 1] * 30 + [2, 2]))
    assert len(found) == attention.FEWEST
    assert found['clip'].tolist()[:2] == ['c60', 'c61']
    assert set(map(tuple, found[2:8][['database', 'label']].to_numpy())) == {
        (database, label) for database in ('casme2', 'samm') for label in range(3)
    }


def small():
    random = np.random.default_rng(0)
    clips = attention.chosen(predicted([2, 0, 1], 3))
    clips.loc[0, 'clip'] = '<script>é'
    number = len(clips)
    return Attention(
        'Dual-ATME',
        schema.LABELS,
        clips,
        {'flow': random.integers(0, 256, (number, 28, 28, 3), np.uint8)},
        (
            View(CBAM, 'entire', 'flow', np.float32(random.random((3, 7, 7))), np.arange(3), np.full(3, -1)),
            View(
                GRAD_CAM, '', 'flow', np.float32(random.random((2, 4, 5))), np.array([0, 0]), np.array([0, 2])
            ),
        ),
    )


def test_what_is_read_is_what_was_written(tmp_path):
    ours, path = small(), tmp_path / attention.FILE
    attention.write(ours, path)
    found = attention.read(path)
    assert (found.system, found.labels) == (ours.system, ours.labels)
    pd.testing.assert_frame_equal(found.clips, ours.clips, check_dtype=False)
    assert found.pictures.keys() == {'flow'}
    np.testing.assert_array_equal(found.pictures['flow'], ours.pictures['flow'])
    for view, own in zip(found.views, ours.views, strict=True):
        assert (view.method, view.branch, view.picture) == (own.method, own.branch, own.picture)
        np.testing.assert_array_equal(view.maps, own.maps)
    np.testing.assert_array_equal(found.views[1].map_of(0, 2), ours.views[1].maps[1])
    assert found.views[1].map_of(1, 2) is None
    before = path.read_bytes()
    attention.write(ours, path)
    assert path.read_bytes() == before


def archive(changes):
    """The bytes of a file with other arrays, or without those that are None."""
    content = io.BytesIO()
    arrays = {
        'format': np.int64(1),
        'system': np.str_('x'),
        'labels': np.array(['a', 'b']),
        'clips.database': np.array(['d']),
        'clips.subject': np.array(['s']),
        'clips.clip': np.array(['c']),
        **{f'clips.{name}': np.array([0]) for name in ('label', 'prediction', 'trial', 'seed')},
        'clips.wrong': np.array([0.5]),
        'views.0.method': np.str_(GRAD_CAM),
        'views.0.branch': np.str_(''),
        'views.0.picture': np.str_('flow'),
        'views.0.maps': np.ones((1, 2, 2), np.float32),
        'views.0.clip': np.array([0]),
        'views.0.label': np.array([1]),
    } | changes
    np.savez(content, **{name: array for name, array in arrays.items() if array is not None})
    return content.getvalue()


def huge():
    """An array that says that it has a terabyte."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (250000000000,), }"
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as file:
        file.writestr('format.npy', b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header)
    return content.getvalue()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'nothing',
        huge(),
        archive({'format': np.int64(2)}),
        archive({'clips.label': None}),
        archive({'clips.label': np.array([2])}),
        archive({'clips.clip': np.array([0])}),
        archive({'clips.clip': np.array(['c', 'd'])}),
        archive({'labels': np.array([['a'], [{}]], object)}),
        archive({'views.0.maps': np.full((1, 2, 2), 1.5, np.float32)}),
        archive({'views.0.maps': np.full((1, 2, 2), np.nan, np.float32)}),
        archive({'views.0.clip': np.array([1])}),
        archive({'views.0.label': np.array([0.5])}),
        archive({'views.0.method': np.str_('saliency')}),
        archive({'pictures.flow': np.zeros((2, 4, 4, 3), np.uint8)}),
        archive({})[:-40],
    ],
)
def test_a_file_that_is_something_else_is_an_error(content, tmp_path):
    path = tmp_path / attention.FILE
    path.write_bytes(content)
    with pytest.raises(InputError, match='does not hold maps of attention'):
        attention.read(path)


def test_the_file_of_these_tests_is_one_unchanged(tmp_path):
    path = tmp_path / attention.FILE
    path.write_bytes(archive({}))
    assert attention.read(path).views[0].map_of(0, 1).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize('size', [(28, 28), (7, 7), (14, 30), (3, 2)])
def test_a_map_is_upscaled_between_the_centres_of_its_pixels(size):
    maps = np.random.default_rng(0).random((2, 4, 5), np.float32)
    expected = maps
    for axis, number in zip((1, 2), size, strict=True):
        there, places = (((np.arange(k) + 0.5) / k) for k in (maps.shape[axis], number))
        expected = np.apply_along_axis(lambda row, a=places, b=there: np.interp(a, b, row), axis, expected)
    found = attention.upscaled(maps, *size)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0 <= found.min() <= found.max() <= 1
