"""Cost against trials, with a network that compiles in a moment: what is reported, not how long it took."""

import dataclasses
import json

import jax
import pytest
from flax import linen as nn

from benchmarks import scaling, workload
from dualatme_jax.models.output import Output
from dualatme_jax.training import memory


class Tiny(nn.Module):
    """Logits from the mean of the flows."""

    @nn.compact
    def __call__(self, flow, flow_puzzled, *, mask, train):
        return Output(nn.Dense(3)((flow + flow_puzzled).mean((1, 2))))


@pytest.fixture
def tiny(monkeypatch):
    original = workload.training

    def training(dataset):
        return dataclasses.replace(original(dataset), model=lambda given: Tiny())

    monkeypatch.setattr(workload, 'training', training)


@pytest.mark.usefixtures('tiny')
def test_the_command_writes_a_row_a_number_of_trials(tmp_path):
    file, picture = tmp_path / 'found.json', tmp_path / 'found.png'
    arguments = ['--trials=1,9', '--steps=4', '--rounds=2', f'--json={file}', f'--plot={picture}']
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


def test_what_memory_does_not_take_is_told_and_not_run(monkeypatch, capsys):
    monkeypatch.setattr(memory, 'budget', lambda limit, devices: 10)
    monkeypatch.setattr(scaling, 'side_by_side', lambda number, *options: (number, lambda: lambda: None))
    found = scaling.run(scaling.parse(['--trials=1,64', '--steps=1', '--rounds=1']))
    assert 'seconds_per_step' in found['rows'][0]
    assert 'seconds_per_step' not in found['rows'][1]
    assert found['milliseconds_per_trial'] is None
    assert 'not run' in capsys.readouterr().out
    assert scaling.plot(found) is not None


def test_running_out_of_memory_is_told_and_not_fatal(monkeypatch):
    def start():
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

    monkeypatch.setattr(scaling, 'side_by_side', lambda *arguments: (1, start))
    row = scaling.measure(8, steps=1, rounds=1, precision='float32')
    assert row['trials'] == 8
    assert 'seconds_per_step' not in row


def test_the_line_is_that_of_least_squares():
    rows = [{'trials': n, 'seconds_per_step': (5 + 2 * n) / 1e3} for n in (1, 2, 8)] + [{'trials': 16}]
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
