"""What one run has traced, the next one does not trace again; and never anything else than it would."""

import contextlib
import dataclasses
import pathlib
import shutil

import jax
import numpy as np
import pytest
from flax import linen as nn

from configs import cd
from dualatme_jax import models, schema
from dualatme_jax.models.output import Output
from dualatme_jax.run import programs
from dualatme_jax.training import optimizers, parallel, traced
from dualatme_jax.training.state import Clips
from dualatme_jax.training.step import Training
from dualatme_jax.training.trials import Trial

CLIPS, TRIALS = 12, 2
HYPERPARAMETERS = {
    **dict.fromkeys(
        ('learning_rate', 'beta1', 'focal_alpha', 'step_epochs', 'step_factor', 'step_until'), 0.5
    ),
    **dict.fromkeys(('weight_decay', 'beta2', 'epsilon', 'focal_gamma', 'cosine_weight'), 0.0),
    **{f'class_weight_{k}': 1.0 for k in range(3)},
}


class Small(nn.Module):
    """A dense layer."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        kernel = self.param('kernel', jax.nn.initializers.normal(1.0), (12, 3))
        return Output(inputs['flow'].reshape(12, -1).T @ kernel)


SMALL = Training(model=lambda given: Small(), optimizer=optimizers.optimizer('adam'), name='small')


def never(given):
    raise AssertionError('it is traced')


@contextlib.contextmanager
def programs_in(folder):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update('jax_compilation_cache_dir', str(folder))
    yield folder / traced.FOLDER
    jax.config.update('jax_compilation_cache_dir', before)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    """Where compiled programs are kept."""
    with programs_in(tmp_path) as folder:
        yield folder


@pytest.fixture(scope='module')
def earlier(tmp_path_factory):
    """A folder that a training has left, and what it predicted."""
    with programs_in(tmp_path_factory.mktemp('earlier')) as folder:
        return folder, trained()


@pytest.fixture
def left(earlier, folder):
    """That folder, as this test finds it."""
    return pathlib.Path(shutil.copytree(earlier[0], folder))


def trained(training=SMALL, *, trials=TRIALS, **options):
    """The chances of some clips after two epochs of two trials."""
    stacked = parallel.Parallel(training, [(0, 8), (8, 4)], devices=jax.devices()[:2], **options)
    random = np.random.default_rng(0)
    flow = random.random((3, 2, 2, CLIPS), np.float32)
    clips = Clips({'flow': flow}, np.arange(CLIPS, dtype=np.int32) % 3)
    clips = stacked.place_clips(clips)
    hyperparameters = {name: np.float32(value) for name, value in HYPERPARAMETERS.items()}
    rows = [
        Trial(jax.random.key(k), np.ones(CLIPS, bool), np.arange(4, dtype=np.int32), hyperparameters)
        for k in range(trials)
    ]
    rows = stacked.place_trials(parallel.stack(rows))
    states = stacked.init(rows, clips)
    for epoch in range(2):
        states, _ = stacked.epoch(states, rows, clips, epoch)
    return np.asarray(stacked.predict(states, rows, clips))


def kept(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize('dispatch', ['step', 'epoch'])
@pytest.mark.slow
def test_what_was_traced_is_not_traced_again_and_gives_the_same(folder, dispatch):
    expected = trained(dataclasses.replace(SMALL, name=''), dispatch=dispatch)
    assert kept(folder) == [], 'of a training without a name nothing is kept'
    np.testing.assert_array_equal(trained(dispatch=dispatch), expected)
    assert len(kept(folder)) == {'step': 5, 'epoch': 3}[dispatch]
    again = trained(dataclasses.replace(SMALL, model=never), dispatch=dispatch)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize(
    'change', ['name', 'precision', 'lowering', 'trials', 'setting', 'source', 'library']
)
@pytest.mark.slow
def test_what_could_change_a_program_makes_it_another(left, monkeypatch, change):
    before, options, training = kept(left), {}, SMALL
    if change == 'name':
        training = dataclasses.replace(SMALL, name='other')
    elif change in ('precision', 'lowering'):
        options = {change: {'precision': 'bfloat16', 'lowering': 'im2col'}[change]}
    elif change == 'trials':
        options = {'trials': 4}
    elif change == 'setting':
        jax.config.update('jax_random_seed_offset', 7)
    else:
        traced._source.cache_clear()
        if change == 'library':
            monkeypatch.setattr(traced.importlib.metadata, 'version', lambda name: '0')
        else:
            read = pathlib.Path.read_bytes
            here = pathlib.Path(models.__file__)
            monkeypatch.setattr(pathlib.Path, 'read_bytes', lambda self: read(self) + b'#' * (self == here))
    with pytest.raises(AssertionError, match='it is traced'):
        trained(dataclasses.replace(training, model=never), **options)
    jax.config.update('jax_random_seed_offset', 0)
    monkeypatch.undo()
    traced._source.cache_clear()
    assert before
    assert kept(left) == before


@pytest.mark.slow
def test_a_file_that_is_not_as_it_was_written_is_traced_anew(earlier, left):
    _, expected = earlier
    before = {name: (left / name).read_bytes() for name in kept(left)}
    for place, (name, content) in enumerate(before.items()):
        bad = [content[: place * 11], content[:-1] + bytes([content[-1] ^ 1]), b''][place % 3]
        (left / name).write_bytes(bad)
    np.testing.assert_array_equal(trained(), expected)
    again = trained(dataclasses.replace(SMALL, model=never))
    np.testing.assert_array_equal(again, expected)
    assert kept(left) == sorted(before)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_costs_nothing_but_time(earlier, folder):
    folder.touch()
    np.testing.assert_array_equal(trained(), earlier[1])
    assert folder.is_file()


@pytest.mark.parametrize('name', models.NETWORKS)
def test_every_system_has_a_name_that_is_the_same_in_the_next_process(name):
    config = cd.get_config()
    config.model.name = name
    told = programs.make_training(config, schema.LABELS).name
    assert ' at 0x' not in told
    assert told == programs.make_training(config, schema.LABELS).name
    config.training.shuffle = False
    assert told != programs.make_training(config, schema.LABELS).name
