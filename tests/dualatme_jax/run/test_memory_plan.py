"""Which way of training a plan takes, by what each would need."""

import io
import math
import types

import pandas as pd
import pytest
from ml_collections import ConfigDict
from rich.console import Console
from small_run import run, small

from dualatme_jax.errors import InputError
from dualatme_jax.run import plan
from dualatme_jax.training import memory
from dualatme_jax.training.engine import Engine
from dualatme_jax.training.memory import Way

CPU = types.SimpleNamespace(platform='cpu')
GPU = types.SimpleNamespace(platform='gpu')
ENGINE = {'memory_gib': 0.0, 'max_trials': 0, 'devices': 0, 'micro_batch': 0, 'rematerialise': 'auto'}
TRIALS = 68


class Machine:
    """Devices with a budget, on which a trial takes 100 bytes and 10 an example; half as much recomputed."""

    def __init__(self, monkeypatch, *, devices, budget, statistics=True, width=32):
        self.devices, self.width, self.tried = devices, width, []
        monkeypatch.setattr(plan, 'make_engine', self.make_engine)
        monkeypatch.setattr(plan, 'bytes_per_trial', self.bytes_per_trial)
        monkeypatch.setattr(plan, 'has_statistics', lambda program, row: statistics)
        monkeypatch.setattr(memory, 'budget', lambda limit, devices: budget)
        monkeypatch.setattr(plan, 'gc', types.SimpleNamespace(collect=lambda: None))  # which takes a second
        monkeypatch.setattr(plan.disk, 'state_of', lambda *_: None)
        monkeypatch.setattr(plan.disk, 'size', lambda state: 100)

    def make_engine(self, program, table, chosen=None):
        own = self.devices[: chosen.trials] if self.devices[0] is CPU else self.devices
        return types.SimpleNamespace(
            parallel=types.SimpleNamespace(devices=own), width=self.width, clips_bytes=0, way=chosen.way
        )

    def bytes_per_trial(self, engine, rows, console, *, whole):
        del console, whole
        assert len(rows) >= len(engine.parallel.devices)
        self.tried.append(engine.way)
        size = min(engine.way.micro_batch or self.width, self.width)
        return 100 + (5 if engine.way.recompute else 10) * size

    def planned(self, **engine):
        config = ConfigDict({'engine': ENGINE | engine})
        program = types.SimpleNamespace(config=config, training=None, dataset=None, prefix='')
        console = Console(file=io.StringIO(), width=200)
        table = pd.DataFrame({'trial': range(TRIALS)})
        own, chosen = plan.fitting(program, table, table, console)
        assert own.way == chosen.way
        self.said = console.file.getvalue()
        return chosen, len(own.parallel.devices)


@pytest.mark.parametrize(
    ('devices', 'budget', 'trials', 'used', 'way'),
    [
        ([CPU] * 4, 5000, 4, 4, Way()),  # one a core
        ([CPU] * 4, 1000, 2, 2, Way()),  # fewer share the cores
        ([CPU] * 4, 300, 1, 1, Way(0, True)),
        ([CPU] * 4, 250, 1, 1, Way(16, True)),
        ([GPU] * 2, 10**6, 68, 2, Way()),  # as many as fit
        ([GPU] * 2, 1700, 4, 2, Way()),
        ([GPU] * 2, 700, 2, 2, Way(0, True)),  # which do not share a memory
        ([GPU] * 2, 340, 2, 2, Way(8, True)),
    ],
)
def test_the_first_way_in_which_a_trial_fits_is_taken(monkeypatch, devices, budget, trials, used, way):
    machine = Machine(monkeypatch, devices=devices, budget=budget)
    chosen, taken = machine.planned()
    assert (chosen.way, taken) == (way, used)
    assert chosen.trials == trials
    assert len(machine.tried) <= 3
    assert machine.tried[0] == Way()


def test_without_statistics_parts_come_before_computing_twice(monkeypatch):
    assert Machine(monkeypatch, devices=[CPU], budget=300, statistics=False).planned()[0].way == Way(16)
    assert Machine(monkeypatch, devices=[CPU], budget=107, statistics=False).planned()[0].way == Way(1, True)


@pytest.mark.parametrize(
    ('engine', 'way'),
    [
        ({'micro_batch': 8}, Way(8)),
        ({'rematerialise': 'on'}, Way(0, True)),
        ({'micro_batch': 4, 'rematerialise': 'on'}, Way(4, True)),
    ],
)
def test_what_the_config_asks_for_is_taken_where_all_would_fit(monkeypatch, engine, way):
    assert Machine(monkeypatch, devices=[CPU], budget=10**6).planned(**engine)[0].way == way


def test_off_computes_nothing_twice(monkeypatch):
    assert Machine(monkeypatch, devices=[CPU], budget=250).planned(rematerialise='off')[0].way == Way(8)


def test_the_plan_says_what_it_takes(monkeypatch):
    machine = Machine(monkeypatch, devices=[CPU], budget=250)
    chosen, _ = machine.planned()
    assert chosen.suffix(32) == ', batches in 2 parts of 16, activations recomputed: 180 Bytes of 250 Bytes'
    assert 'one trial takes 420 Bytes, and 250 Bytes may be used' in machine.said
    assert 'planning with batches in 2 parts of 16, activations recomputed' in machine.said
    assert '3 programs were compiled' in machine.said
    assert plan.Plan(2, Way(), '1 of 2').suffix(32) == ': 1 of 2'


def test_a_trial_that_fits_in_no_way_is_named_with_its_numbers(monkeypatch):
    machine = Machine(monkeypatch, devices=[CPU], budget=90)
    with pytest.raises(InputError) as error:
        machine.planned()
    said = str(error.value)
    for part in (
        'one trial does not fit: 90 Bytes may be used',
        '  whole batches: 420 Bytes',
        '  activations recomputed: 260 Bytes',
        '  batches in 32 parts of 1, activations recomputed: 105 Bytes',
        'fewer frames',
    ):
        assert part in said
    with pytest.raises(InputError, match=r'rematerialise=.auto.; --config.engine.micro_batch=0'):
        machine.planned(rematerialise='off', micro_batch=4)


def test_a_device_that_cannot_even_compile_a_way_gets_the_next(monkeypatch):
    machine = Machine(monkeypatch, devices=[GPU], budget=300)
    known = machine.bytes_per_trial

    def tight(engine, rows, console, *, whole):
        if known(engine, rows, console, whole=whole) > 300:
            raise memory.OutOfMemoryError('no')
        return known(engine, rows, console, whole=whole)

    monkeypatch.setattr(plan, 'bytes_per_trial', tight)
    assert machine.planned()[0].way == Way(0, True)


@pytest.mark.parametrize('room', [40, 60, 99])
def test_the_largest_part_is_near_what_fits(room):
    tried = []

    def needs(size):
        tried.append(size)
        return 30 + size  # a line, but through another point than is known

    size, found = plan.largest_part(20, 128, math.inf, room, needs)
    assert found == 30 + size <= room
    assert len(tried) <= 3
    assert size > (room - 30) / 3
    assert size < 8 or size % 8 == 0


@pytest.mark.slow
def test_a_run_in_parts_is_continued_as_it_was_planned(small_dataset_dir, tmp_path, monkeypatch):
    """Too little memory for whole batches; the continuation has enough, and keeps to the plan."""
    config = small(small_dataset_dir, **{'engine.max_trials': 4, 'checkpoint.every': 1})
    measured = plan.bytes_per_trial

    def tight(engine, rows, console, **options):
        if not engine.parallel.micro_batch:  # whole batches do not fit, whether recomputed or not
            return math.inf
        return measured(engine, rows, console, **options)

    monkeypatch.setattr(plan, 'bytes_per_trial', tight)
    fit_predict = Engine.fit_predict

    def stopped(self, rows, *, on_epoch, **options):
        def stop(done, losses):
            on_epoch(done, losses)
            if done == 2:
                raise KeyboardInterrupt

        return fit_predict(self, rows, on_epoch=stop, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, 'fit_predict', stopped)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / 'run')
    planned = pd.read_csv(tmp_path / 'run' / 'trials.csv')
    assert planned['micro_batch'].unique().tolist() == [4]
    monkeypatch.setattr(plan, 'fitting', None)  # nothing is planned again
    complete, _, printed = run(config, tmp_path / 'run')
    assert complete
    assert 'batch normalisation sees parts of 4 clips' in printed
    assert 'batches in 3 parts of 4, activations recomputed' in printed
    with pytest.raises(InputError, match=r'engine.micro_batch is 0 there and 3 here'):
        run(small(small_dataset_dir, **{'engine.micro_batch': 3}), tmp_path / 'run')
