"""Cost against trials, with a network that compiles in a moment: what is reported, not how long it took."""

import dataclasses
import json
import types

import jax
import pytest
from flax import linen as nn

from benchmarks import scaling, workload
from dualatme_jax.models.output import Output
from dualatme_jax.training import memory


class Tiny(nn.Module):
    """Logits from the mean of the flows."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        return Output(nn.Dense(3)(sum(inputs.values()).mean((1, 2)).T))


@pytest.fixture
def tiny(monkeypatch):
    original = workload.training

    def training(dataset):
        return dataclasses.replace(original(dataset), model=lambda given: Tiny())

    monkeypatch.setattr(workload, 'training', training)


@pytest.mark.usefixtures('tiny')
@pytest.mark.slow
def test_the_command_writes_a_row_a_number_of_trials(tmp_path):
    file, picture = tmp_path / 'found.json', tmp_path / 'found.png'
    arguments = [
        '--trials=1,9',
        '--max-trials=9',
        '--steps=4',
        '--rounds=2',
        f'--json={file}',
        f'--plot={picture}',
    ]
    assert scaling.main(arguments) == 0
    found = json.loads(file.read_text())
    assert [row['trials'] for row in found['rows']] == [1, 9]
    for row in found['rows']:
        assert 0 < row['seconds_per_step'] <= row['seconds_per_step_median']
        assert row['seconds_per_trial'] == pytest.approx(row['seconds_per_step'] / row['trials'])
        assert 0 < row['gib'] < row['free_gib']
    assert found['rows'][0]['gib'] < found['rows'][1]['gib']
    assert (found['steps'], found['devices']) == (4, len(jax.devices()))
    assert found['versions']['jax'] == jax.__version__
    assert picture.read_bytes().startswith(b'\x89PNG')


def fake(monkeypatch, free):
    """One device that has room for `free` trials; returns the sizes of all waves that are trained."""
    trained = []
    monkeypatch.setattr(memory, 'budget', lambda limit, devices: free)
    monkeypatch.setattr(jax, 'devices', lambda: [types.SimpleNamespace(platform='gpu', device_kind='Toy')])
    monkeypatch.setattr(
        scaling, 'side_by_side', lambda number, *options: (number, lambda: lambda: trained.append(number))
    )
    return trained


def test_what_memory_does_not_take_at_once_is_trained_in_waves(monkeypatch, capsys):
    trained = fake(monkeypatch, free=10)
    found = scaling.run(scaling.parse(['--trials=8,64', '--steps=1', '--rounds=1']))
    assert [(row['side_by_side'], row['waves']) for row in found['rows']] == [(8, 1), (10, 7)]
    # Once to compile, then each wave in the untimed turn and in the timed one.
    assert (trained.count(8), trained.count(10)) == (3, 15)
    assert '64' in capsys.readouterr().out
    assert scaling.plot(found) is not None


def test_a_limit_makes_waves_smaller(monkeypatch):
    fake(monkeypatch, free=100)
    row = scaling.measure(9, max_trials=4, steps=1, rounds=1, precision='float32')
    assert (row['side_by_side'], row['waves']) == (4, 3)


def test_running_out_of_memory_is_told(monkeypatch):
    fake(monkeypatch, free=100)

    def start():
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

    monkeypatch.setattr(scaling, 'side_by_side', lambda *arguments: (1, start))
    with pytest.raises(memory.OutOfMemoryError, match='with 8 trials side by side'):
        scaling.measure(8, max_trials=0, steps=1, rounds=1, precision='float32')


def test_the_line_is_that_of_least_squares():
    rows = [{'trials': n, 'seconds_per_step': (5 + 2 * n) / 1e3} for n in (1, 2, 8)]
    assert scaling.line(rows) == pytest.approx({'milliseconds_per_trial': 2, 'milliseconds_at_none': 5})


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--trials=1,two', "--trials is '1,two'; expected numbers from 1 on"),
        ('--trials=0,1', "--trials is '0,1'"),
        ('--steps=0', '--steps is 0; expected 1 or more'),
        ('--plot=nowhere/file.png', '--plot nowhere/file.png: its folder does not exist'),
    ],
)
def test_what_cannot_be_measured_is_refused(argument, message, capsys):
    assert scaling.main([argument]) == 2
    assert message in capsys.readouterr().err


def test_more_trials_than_subjects_are_further_seeds():
    rows = workload.rows(workload.random_clips(), 70)
    assert [row['seed'] for row in rows] == [0] * 68 + [1] * 2
