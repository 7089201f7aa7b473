"""Frozen stages: what they give, once per clip, from a cache that only their own version reads."""

import dataclasses
import functools
import importlib.util
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from rich.console import Console
from safetensors.numpy import save_file
from scipy import ndimage, special

from configs import cd
from dualatme_jax import models
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.output import Output
from dualatme_jax.models.stage import Part, Stage
from dualatme_jax.models.system import System
from dualatme_jax.run import experiment, stages
from dualatme_jax.weights import folds

# A stage as a user writes it: a fixed convolution over each channel, whose kernel is its file of weights.
CODE = """
import jax

from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.output import Output
from dualatme_jax.models.stage import Stage


@jax.jit
def apply(weights, inputs):
    kernel = weights['kernel'][:, :, None, None]
    flow = inputs['flow'].astype('float32')
    edges = jax.lax.conv_general_dilated(
        flow.transpose(0, 3, 1, 2).reshape(-1, 1, *flow.shape[1:3]),
        kernel.transpose(3, 2, 0, 1),
        (1, 1),
        'SAME',
    )
    return {'edges': edges.reshape(*flow.shape[:1], -1, *flow.shape[1:3]).transpose(0, 2, 3, 1)}


STAGE = Stage('edges', ('flow',), ('edges',), apply, weights='a 3x3 kernel')
"""
KERNEL = np.arange(-4, 5, dtype=np.float32).reshape(3, 3)


def load(folder, code=CODE):
    """The stage of a file."""
    file = folder / 'edges.py'
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(f'edges_{folder.name}', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.STAGE


class Rows(nn.Module):
    """A dense layer on the mean of each row of the edges and of the flow."""

    classes: int
    dropout: float

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        rows = jnp.concatenate([inputs['edges'].mean(2) / 100, inputs['flow'].mean(2)])
        return Output(Dense(self.classes, 'torch', name='classifier')(flat(rows)).T)


def build(*, classes, variant='paper', dropout=0.0, init='torch'):
    return Rows(classes, dropout)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    stage = load(tmp_path)
    system = System('edges', 'Edges', build, reads=('edges', 'flow'), stage=stage)
    monkeypatch.setitem(models.SYSTEMS, 'edges', system)
    return stage


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir)


@pytest.fixture(scope='module')
def expected(dataset):
    flow = dataset.inputs['flow'].astype(np.float32)
    return ndimage.correlate(flow, KERNEL[None, :, :, None], mode='constant')


def computed(stage, dataset, cache=None, *, batch_size=5, calls=None):
    """What the stage gives; and the clips of each batch that it was called with, and what was printed."""
    calls = []

    def counted(weights, inputs):
        calls.append(len(inputs['flow']))
        return stage.apply(weights, inputs)

    console = Console(file=io.StringIO(), width=200)
    counting = dataclasses.replace(stage, apply=counted)
    found = stages.computed(
        counting, {'kernel': KERNEL}, dataset, batch_size=batch_size, cache=cache, console=console
    )
    return found['edges'], calls, console.file.getvalue()


def test_a_stage_gives_what_it_gives_directly_in_batches_of_one_and_of_many(stage, dataset, expected):
    for batch_size in (1, 5, 24, 100):
        found, calls, _ = computed(stage, dataset, batch_size=batch_size)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
        assert found.dtype == np.float32
        # All are of as many clips, the last one too; the first clip comes once more, alone.
        assert calls == [batch_size] * (-(-24 // batch_size) + (batch_size > 1))


def test_the_second_time_all_comes_from_the_cache(stage, dataset, expected, tmp_path):
    cache = tmp_path / 'cache'
    first, calls, printed = computed(stage, dataset, stages.Cache(cache / 'a'))
    assert len(calls) == 6
    assert '0 of 24 clips are in' in printed
    again, calls, printed = computed(stage, dataset, stages.Cache(cache / 'a'))
    assert calls == []
    assert '24 of 24 clips are in' in printed
    np.testing.assert_array_equal(again, first)

    # A clip that has changed is computed, the others are not.
    flow = dataset.inputs['flow'].copy()
    flow[7] = 255 - flow[7]
    changed, calls, _ = computed(
        stage, dataclasses.replace(dataset, inputs={'flow': flow}), stages.Cache(cache / 'a')
    )
    assert calls == [5]
    assert not np.allclose(changed[7], first[7])
    np.testing.assert_array_equal(np.delete(changed, 7, 0), np.delete(first, 7, 0))


@pytest.mark.parametrize('damage', ['flipped', 'cut', 'empty', 'of other shapes'])
def test_a_damaged_file_of_the_cache_is_computed_again_and_made_anew(stage, dataset, tmp_path, damage):
    cache = stages.Cache(tmp_path / 'cache')
    first, *_ = computed(stage, dataset, cache)
    path = sorted(cache.folder.iterdir())[3]
    content = bytearray(path.read_bytes())
    if damage == 'of other shapes':
        cache.write(path.stem, {'edges': np.zeros((2, 2, 3), np.float32)})
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes({'flipped': content, 'cut': content[: len(content) // 2], 'empty': b''}[damage])
    again, calls, printed = computed(stage, dataset, stages.Cache(cache.folder))
    assert calls == [5]
    np.testing.assert_array_equal(again, first)
    assert ('1 damaged and computed again' in printed) == (damage != 'of other shapes')
    assert computed(stage, dataset, stages.Cache(cache.folder))[1] == []
    assert len(list(cache.folder.iterdir())) == 24, 'no temporary file is left'


def config_of(dataset_dir, folder, **fields):
    config = cd.get_config()
    save_file({'kernel': KERNEL}, folder / 'kernel.safetensors')
    own = {
        'data.path': str(dataset_dir),
        'model.name': 'edges',
        'stage.weights': str(folder / 'kernel.safetensors'),
        'stage.batch_size': 7,
        'training.epochs': 2,
        'optimizer.learning_rate': 0.1,
        'engine.cache': str(folder / 'cache'),
        'engine.devices': 1,
        'report.resamples': 20,
        'report.pictures': False,
    }
    config.update_from_flattened_dict(own | fields)
    return config


def run(config, workdir):
    console = Console(file=io.StringIO(), width=400)
    return experiment.run(config, workdir, console), console.file.getvalue()


@pytest.mark.slow
@pytest.mark.usefixtures('stage')
def test_a_network_is_trained_on_what_its_stage_gives(dataset, expected, small_dataset_dir, tmp_path):
    config = config_of(small_dataset_dir, tmp_path)
    found, printed = run(config, tmp_path / 'run')
    assert found.complete
    assert 'stage edges: 0 of 24 clips are in' in printed
    assert 'edges of kernel.safetensors: not known on whom it was trained' in ' '.join(printed.split())
    # The network by hand: floats of the stage as they are, bytes of the dataset scaled.
    flow = dataset.inputs['flow'] / 127.5 - 1
    rows = np.concatenate([expected.mean(2) / 100, flow.mean(2)], -1).transpose(0, 2, 1).reshape(24, -1)
    dense = found.variables['params']['classifier']
    for row in found.trials.itertuples():
        own = dataset.subjects == row.left_out
        chances = special.softmax(rows[own] @ dense['kernel'][row.trial] + dense['bias'][row.trial], axis=1)
        predicted = found.predictions[found.predictions['trial'] == row.trial]
        np.testing.assert_allclose(predicted.filter(like='prob_'), chances, atol=1e-4)

    _, printed = run(config, tmp_path / 'run')
    assert 'stage edges: 24 of 24 clips are in' in printed
    assert 'nothing is trained again' in printed

    # The same cache and workdir with other weights.
    save_file({'kernel': KERNEL + 1}, tmp_path / 'kernel.safetensors')
    console = Console(file=io.StringIO(), width=400)
    with pytest.raises(InputError, match='holds another run:\n  stages is'):
        experiment.run(config, tmp_path / 'run', console)
    assert 'stage edges: 0 of 24 clips are in' in console.file.getvalue()
    assert '1 other version beside it not read' in console.file.getvalue()
    config.evaluate_only = str(tmp_path / 'run')
    with pytest.raises(InputError, match=r'were trained on what edges .* gave, and here it is edges '):
        run(config, tmp_path / 'other')


def test_the_version_is_that_of_the_code_and_of_the_weights(tmp_path):
    for folder in ('one', 'same', 'other'):
        (tmp_path / folder).mkdir()
    one, same = (load(tmp_path / name) for name in ('one', 'same'))
    other = load(tmp_path / 'other', CODE.replace("'SAME'", "'VALID'"))
    file = tmp_path / 'kernel.safetensors'
    save_file({'kernel': KERNEL}, file)
    first = stages.version_of(one, {'': file})
    assert stages.version_of(same, {'': file}) == first
    assert stages.version_of(other, {'': file}) != first
    assert stages.version_of(one, {}) != first
    save_file({'kernel': KERNEL + 1}, file)
    assert stages.version_of(one, {'': file}) != first


def gained(gain):
    """A function that holds a number which its file does not show."""

    def apply(weights, inputs):
        return {'edges': gain * inputs['flow'] + len(weights)}

    return apply


class Magnifier:
    """A number that the function of a method reads."""

    def __init__(self, gain):
        self.gain = gain

    def apply(self, weights, inputs):
        return gained(self.gain)(weights, inputs)


@pytest.mark.parametrize(
    'made',
    [lambda gain: functools.partial(gained, gain=gain), gained, lambda gain: Magnifier(gain).apply],
    ids=['partial', 'closure', 'method'],
)
def test_the_version_is_that_of_what_the_function_was_made_with(made):
    first, same, other = (Stage('edges', ('flow',), ('edges',), made(gain)).code for gain in (1, 1, 2))
    assert first
    assert same == first != other
    assert Stage('edges', ('flow',), ('edges',), made(lambda: 1)).code == '', 'which cannot be pickled'


def test_a_stage_whose_code_is_in_no_file_is_not_cached(dataset, tmp_path):
    space = {}
    exec(CODE, space)
    assert space['STAGE'].code == ''
    assert stages.Cache.of(str(tmp_path), space['STAGE'], 'a') is None
    assert stages.Cache.of('', load(tmp_path), 'a') is None


def test_a_disk_without_room_costs_the_cache_alone(stage, dataset, expected, tmp_path, monkeypatch):
    def full(self, clip, outputs):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(stages.Cache, 'write', full)
    found, _, printed = computed(stage, dataset, stages.Cache(tmp_path / 'cache'))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    assert printed.count('No space left on device') == 1


@pytest.mark.parametrize(
    ('apply', 'says'),
    [
        (lambda flow: {'other': flow}, 'the stage edges gives other; expected edges'),
        (lambda flow: {'edges': flow[:3]}, r'gives edges as uint8 \(3, 28, 28, 3\) for 5 clips'),
        (lambda flow: {'edges': flow.astype(np.int64)}, 'gives edges as int64'),
        (lambda flow: {'edges': flow[..., 0, 0, 0]}, 'expected floats or uint8, .5, ..., channels.'),
        (lambda flow: {'edges': np.where(flow == flow.max(), np.nan, flow)}, 'that are not finite'),
        (lambda flow: {'edges': flow - flow.mean(0)}, 'has seen clips that trials leave out'),
        (lambda flow: {'edges': 1e-6 * (flow - flow.mean(0))}, 'has seen clips that trials leave out'),
    ],
)
def test_a_stage_that_does_not_give_what_it_says_is_named(stage, dataset, apply, says):
    bad = dataclasses.replace(stage, apply=lambda weights, inputs: apply(inputs['flow']))
    with pytest.raises(InputError, match=says):
        computed(bad, dataset)


@pytest.mark.usefixtures('stage')
@pytest.mark.parametrize(
    ('fields', 'says'),
    [
        ({'stage.weights': ''}, 'stage edges needs weights, a 3x3 kernel; give their file as config.stage.w'),
        ({'stage.weights': 'kernel.txt'}, 'config.stage.weights is kernel.txt; expected a file .pth.tar'),
        ({'stage.weights': 'absent.pth'}, 'cannot read the file of weights absent.pth'),
        ({'stage.batch_size': 0}, 'config.stage.batch_size is 0'),
    ],
)
def test_what_a_stage_cannot_use_is_named_before_anything_is_trained(
    small_dataset_dir, tmp_path, fields, says
):
    with pytest.raises(InputError, match=says):
        run(config_of(small_dataset_dir, tmp_path, **fields), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_stage_that_cannot_be_is_refused():
    with pytest.raises(InputError, match=r'called .a/b.; expected an identifier'):
        Stage('a/b', ('flow',), ('edges',), dict)
    with pytest.raises(InputError, match='expected keys'):
        Stage('edges', ('flow',), (), dict)


def a_part(system=''):
    """The first layer of STSTNet as a network within a stage."""
    shapes = {'params': {'stream1': {'conv': {'bias': np.zeros(3), 'kernel': np.zeros((3, 3, 3, 3))}}}}
    return Part(
        about='of the first layer of STSTNet',
        shapes=lambda: shapes,
        torch_names={'stream1/conv': 'conv1'},
        unread=('fc',),
        system=system,
    )


def of_parts(*names, system=''):
    parts = {name: a_part(system) for name in names}
    return Stage('edges', ('flow',), ('edges',), gained(1), parts=parts)


def settings(weights):
    section = cd.get_config().stage
    section.weights = weights
    return section


def test_the_files_of_a_stage_s_parts_are_named_by_part():
    two, one = of_parts('first', 'second'), of_parts('first')
    given = 'second=b=2.pth,first=a,b.safetensors'
    found = stages.weights_files(two, settings(given))
    assert {name: str(path) for name, path in found.items()} == {
        'first': 'a,b.safetensors',
        'second': 'b=2.pth',
    }
    for weights in ('a.pth', 'first=a.pth'):
        assert {name: str(path) for name, path in stages.weights_files(one, settings(weights)).items()} == {
            'first': 'a.pth'
        }
    assert stages.weights_files(of_parts(), settings('')) == {}


@pytest.mark.parametrize(
    ('weights', 'says'),
    [
        ('', 'needs weights, first: weights of the first layer of STSTNet; second: .*first=FILE,second=FILE'),
        ('first=a.pth', 'needs weights, second: weights of the first layer'),
        ('a.pth', 'needs weights, first: .*; second: '),
        ('first=a.pth,second=b.pth,third=c.pth', 'names third; the stage edges takes first, second'),
        ('first=a.pth,second=b.txt', r'is b\.txt; expected a file'),
    ],
)
def test_files_that_are_not_those_of_the_parts_are_refused(weights, says):
    with pytest.raises(InputError, match=says):
        stages.weights_files(of_parts('first', 'second'), settings(weights))


def test_a_part_gets_the_variables_of_its_file_alone(tmp_path):
    tensors = {'module.conv1.weight': np.arange(81, dtype=np.float32).reshape(3, 3, 3, 3)}
    tensors |= {'module.conv1.bias': np.float32([1, 2, 3]), 'module.fc.bias': np.zeros(5, np.float32)}
    file = tmp_path / 'a.safetensors'
    save_file(tensors, file)
    stage = of_parts('first')
    found = stages.read_weights(stage, {'first': file})['first']['params']['stream1']['conv']
    np.testing.assert_array_equal(found['kernel'], tensors['module.conv1.weight'].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(found['bias'], [1, 2, 3])
    first = stages.version_of(stage, {'first': file})
    save_file(tensors | {'module.conv1.bias': np.float32([1, 2, 4])}, file)
    assert stages.version_of(stage, {'first': file}) != first
    save_file({'a': np.zeros(3, np.float32), 'b': np.zeros(3, np.float32)}, file)
    with pytest.raises(
        InputError, match=r'a\.safetensors: not the weights of the first layer of STSTNet\n  2 '
    ):
        stages.read_weights(stage, {'first': file})


def test_a_part_from_converted_weights_must_have_seen_none_of_the_people(tmp_path):
    shapes = models.shapes(models.build('ststnet', classes=3), {'flow': (3, 28, 28)})
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: random.normal(size=(2, *leaf.shape)).astype(np.float32), shapes)
    folder = tmp_path / 'converted'
    folder.mkdir()
    folds.save(folds.Folds('ststnet', 'paper', 3, ('sub01', 'sub02'), variables), folder)
    stage = of_parts('first', system='ststnet')
    own = stages.weights_files(stage, settings(str(folder)))
    assert own == {'first': folder}
    assert stages.version_of(stage, own) != stages.version_of(stage, {})
    assert stages.unknown(stage, settings(str(folder))) == []
    file = 'first of a.pth: not known on whom it was trained'
    assert stages.unknown(stage, settings(str(folder / 'a.pth'))) == [file]
    others = frozenset({('smic', 's3')})
    found = stages.read_weights(stage, own, others)['first']['params']['stream1']['conv']
    expected = variables['params']['stream1']['conv']
    np.testing.assert_array_equal(found['kernel'], expected['kernel'][0])

    # The network without sub02 is the better one, and still has seen sub01.
    people = others | {('casme2', 'sub01'), ('casme2', 'sub02')}
    with pytest.raises(InputError, match=r'was trained on casme2/sub0. and in all 1 of the 3 people'):
        stages.read_weights(stage, own, people)
    with pytest.raises(InputError, match=r"neither the workdir of a run of 'ststnet' nor a folder that"):
        stages.weights_files(stage, settings(str(tmp_path)))


def test_what_the_memory_has_no_room_for_is_named(stage, dataset, monkeypatch):
    monkeypatch.setattr(stages.host_memory, 'free', lambda: 24 * 28 * 28 * 3 * 4)
    with pytest.raises(InputError, match=r'the stage edges gives 0\.0 MiB for each of 24 clips, which take'):
        computed(stage, dataset)


def test_float16_stays_as_it_is_and_a_result_says_what_its_stage_is(stage, dataset):
    half = dataclasses.replace(stage, apply=lambda weights, inputs: {'edges': np.float16(inputs['flow'])})
    assert computed(half, dataset)[0].dtype == np.float16
    told = dataclasses.replace(dataset, metadata=dataset.metadata | {stages.ABOUT: 'not magnified'})
    assert told.origin == f'{dataset.origin}; not magnified'
