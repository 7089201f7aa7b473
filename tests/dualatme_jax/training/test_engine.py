"""Trials side by side: what neighbours, interruptions and failures may not change."""

import dataclasses
import re

import jax
import numpy as np
import pytest
from small_run import TINY

from configs import cd
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.run import programs
from dualatme_jax.training import engine, trials
from dualatme_jax.training.checkpoint import WaveCheckpoints, load_weights, save_weights

EPOCHS = 3
# Float32 sums come out in another order in a stack than alone. The dense layer's bias before a
# normalisation has no gradient but this noise, which Adam scales up to full steps; predictions see it until
# the running means follow.
# Measured on the synthetic release after 1, 3 and 6 epochs: losses 3e-7 to 2e-5 apart (relative),
# probabilities 3e-4 to 8e-4.
TOLERANCE = 2e-3


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir)


@pytest.fixture(scope='module')
def config():
    config = cd.get_config()
    config.model.name, config.optimizer.learning_rate = TINY, 0.01
    return config


@pytest.fixture(scope='module')
def trainer(dataset, config):
    # 20 to 22 training clips: two batches of 11, the second partly padding where a subject has more clips.
    return make_engine(config, dataset)


def make_engine(config, dataset):
    training = programs.make_training(config, dataset.labels)
    return engine.Engine(training, dataset, batch_size=11, devices=jax.devices()[:1])


@pytest.fixture(scope='module')
def rows(dataset, config):
    table = trials.table(dataset, seeds=(3,), points=[programs.hyperparameters(config, dataset.labels)])
    assert len(table) == 8
    return table.to_dict('records')


def train(
    trainer,
    rows,
    folder,
    *,
    size=None,
    epochs=EPOCHS,
    on_epoch=lambda done, losses: None,
    identity=None,
    every=2,
):
    return trainer.fit_predict(
        rows,
        size=size or len(rows),
        epochs=epochs,
        checkpoints=WaveCheckpoints(folder, identity or {'config': 'same'}),
        every=every,
        on_epoch=on_epoch,
    )


@pytest.fixture(scope='module')
def stacked(trainer, rows, tmp_path_factory):
    """All eight trials side by side, not interrupted."""
    return train(trainer, rows, tmp_path_factory.mktemp('stacked'))


def probabilities(wave):
    return wave.predictions.filter(like='prob_').to_numpy()


@pytest.mark.slow
def test_every_clip_is_predicted_by_the_trial_that_left_its_subject_out(stacked, dataset):
    predicted = stacked.predictions
    keys = predicted[['database', 'subject', 'clip']].agg('/'.join, axis=1)
    expected = ['/'.join(key) for key in zip(dataset.database, dataset.subject, dataset.clip, strict=True)]
    assert sorted(keys) == sorted(expected)
    assert predicted.groupby('trial')['subject'].nunique().eq(1).all()
    np.testing.assert_allclose(probabilities(stacked).sum(1), 1, rtol=1e-5)


def test_training_learns(stacked):
    assert stacked.losses.shape == (EPOCHS, 8)
    assert (stacked.losses[-1] < stacked.losses[0]).all()
    assert (stacked.failed_epoch == 0).all()


@pytest.mark.parametrize('place', [0, 2])
@pytest.mark.slow
def test_a_trial_in_a_stack_of_8_equals_the_trial_alone(trainer, rows, stacked, tmp_path, place):
    alone = train(trainer, rows[place : place + 1], tmp_path)
    np.testing.assert_allclose(alone.losses[:, 0], stacked.losses[:, place], rtol=TOLERANCE)
    own = stacked.predictions[stacked.predictions['trial'] == rows[place]['trial']]
    np.testing.assert_allclose(probabilities(alone), own.filter(like='prob_').to_numpy(), atol=TOLERANCE)


@pytest.fixture(scope='module')
def dual_atme(dataset):
    config = cd.get_config()
    config.model.variant = 'hars'  # one branch compiles fastest
    return make_engine(config, dataset)


@pytest.mark.slow
def test_dual_atme_is_the_same_in_another_place_beside_another(dual_atme, rows, tmp_path):
    one = train(dual_atme, [rows[2], rows[0]], tmp_path / 'one', epochs=1)
    other = train(dual_atme, rows[1:3], tmp_path / 'other', epochs=1)
    np.testing.assert_allclose(one.losses[:, 0], other.losses[:, 1], rtol=TOLERANCE)
    found, expected = (
        wave.predictions[wave.predictions['trial'] == rows[2]['trial']].filter(like='prob_').to_numpy()
        for wave in (one, other)
    )
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.slow
def test_a_trial_does_not_depend_on_its_place_in_the_stack(trainer, rows, stacked, tmp_path):
    turned = train(trainer, rows[::-1], tmp_path)
    one, other = (
        wave.predictions.sort_values(['trial', 'clip']).filter(like='prob_').to_numpy()
        for wave in (stacked, turned)
    )
    np.testing.assert_allclose(one, other, atol=TOLERANCE)


@pytest.mark.slow
def test_the_same_run_twice_gives_the_same_predictions(trainer, rows, stacked, tmp_path):
    again = train(trainer, rows, tmp_path)
    np.testing.assert_array_equal(probabilities(again), probabilities(stacked))
    np.testing.assert_array_equal(again.losses, stacked.losses)


@pytest.mark.slow
def test_a_short_wave_is_filled_up_and_what_fills_is_dropped(trainer, rows, stacked, tmp_path):
    short = train(trainer, rows[:6], tmp_path, size=8)
    assert short.losses.shape == (EPOCHS, 6)
    kept = stacked.predictions['trial'].isin([row['trial'] for row in rows[:6]])
    np.testing.assert_allclose(
        probabilities(short), stacked.predictions[kept].filter(like='prob_').to_numpy(), atol=TOLERANCE
    )


@pytest.mark.slow
def test_the_left_out_subject_s_clips_change_nothing_in_training(dataset, config, trainer, rows, tmp_path):
    # The subject with the most clips: its fold pads the last batch.
    place = 2
    own = dataset.subjects == rows[place]['left_out']
    changed = dataclasses.replace(
        dataset,
        inputs={key: np.where(own[:, None, None, None], 255 - x, x) for key, x in dataset.inputs.items()},
        label=np.where(own, 2 - dataset.label, dataset.label),
    )
    other = make_engine(config, changed)
    one, two = (
        train(machine, rows[place : place + 1], tmp_path / name).variables
        for machine, name in ((trainer, 'one'), (other, 'two'))
    )
    jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.mark.slow
def test_a_trial_that_diverges_is_marked_and_touches_no_other(trainer, rows, stacked, tmp_path):
    wild = [row | ({'learning_rate': 1e30} if k == 5 else {}) for k, row in enumerate(rows)]
    wave = train(trainer, wild, tmp_path)
    assert wave.failed_epoch.tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    assert not np.isfinite(wave.losses[:, 5]).all()
    others = stacked.predictions[stacked.predictions['trial'] != rows[5]['trial']]
    assert rows[5]['trial'] not in set(wave.predictions['trial'])
    np.testing.assert_array_equal(probabilities(wave), others.filter(like='prob_').to_numpy())


@pytest.mark.slow
def test_a_resumed_wave_equals_an_uninterrupted_one(trainer, rows, stacked, tmp_path):
    def die(done, losses):
        del losses
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(trainer, rows, tmp_path, on_epoch=die)
    trained = []
    resumed = train(trainer, rows, tmp_path, on_epoch=lambda done, losses: trained.append(done))
    assert trained == [3], 'the two epochs before the checkpoint are not trained again'
    np.testing.assert_array_equal(probabilities(resumed), probabilities(stacked))
    np.testing.assert_array_equal(resumed.losses, stacked.losses)


@pytest.mark.slow
def test_a_wave_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before(trainer, rows, tmp_path):
    def die(done, losses):
        del losses
        if done == 3:
            raise KeyboardInterrupt

    one = rows[:1]
    whole = train(trainer, one, tmp_path / 'whole')
    stopped = tmp_path / 'stopped'
    with pytest.raises(KeyboardInterrupt):
        train(trainer, one, stopped, on_epoch=die, every=1)
    *_, weights = sorted((stopped / '2' / 'states').rglob('d/*'), key=lambda path: path.stat().st_size)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    trained = []
    resumed = train(trainer, one, stopped, on_epoch=lambda done, losses: trained.append(done))
    assert trained == [2, 3]
    np.testing.assert_array_equal(probabilities(resumed), probabilities(whole))
    np.testing.assert_array_equal(resumed.losses, whole.losses)


@pytest.mark.slow
def test_a_checkpoint_of_another_config_is_refused(trainer, rows, tmp_path):
    train(trainer, rows, tmp_path, identity={'config': 'one', 'trials': [0]})
    with pytest.raises(InputError, match=r'another run \(other config\)'):
        train(trainer, rows, tmp_path, identity={'config': 'two', 'trials': [0]})


def test_a_training_calls_what_was_compiled_before_and_nothing_is_compiled_twice(
    dataset, config, rows, tmp_path, caplog
):
    trainer, told = make_engine(config, dataset), []
    trainer.compile(rows, 8, lambda waiting, seconds: told.append((list(waiting), dict(seconds))))
    with jax.log_compiles():
        trainer.bytes_per_trial(rows)
        train(trainer, rows, tmp_path)
        jax.jit(lambda seen: seen + 1)(1)
    compiled = re.findall(r'Finished XLA compilation of jit\(<?(\w+)>?\)', caplog.text)
    assert 'lambda' in compiled, 'what is compiled is seen'
    assert not {'init', 'step', 'shuffle', 'predict'} & set(compiled)
    names = ['a step of 11 clips', 'the order of clips', 'fresh networks', 'predictions']
    assert told[0][0] == ['fresh networks']
    assert told[-1][0] == []
    assert sorted(told[-1][1]) == sorted(names)


def test_kept_weights_are_those_that_predicted(stacked, tmp_path):
    save_weights(tmp_path / 'weights', stacked.variables)
    weights = load_weights(tmp_path / 'weights')
    kept = weights['params']['classifier']['kernel']
    np.testing.assert_array_equal(kept, stacked.variables['params']['classifier']['kernel'])
    assert set(weights) == {'params', 'batch_stats'}
    with pytest.raises(InputError, match='waves/wave_NNN/weights'):
        load_weights(tmp_path)


@pytest.mark.slow
def test_memory_of_a_trial_counts_its_state_and_its_batch(dual_atme, rows):
    parameters_and_moments = 3 * 4 * 2_417_415
    each_of_two = dual_atme.bytes_per_trial(rows[1:3])  # as they have been trained
    assert parameters_and_moments < each_of_two < 10 * parameters_and_moments
