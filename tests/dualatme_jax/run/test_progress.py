"""What a run says of its progress where there is no terminal."""

import io

import numpy as np
import pytest
import rich.progress
from rich.console import Console

from dualatme_jax.run import progress
from dualatme_jax.run.progress import LINES, Reporter, reporting


def told(epochs, waves, *, begin=0):
    """The lines of a run that starts after `begin` epochs of all waves together."""
    output = io.StringIO()
    with reporting(Console(file=output, width=200), epochs=epochs, waves=waves) as reporter:
        for overall in range(begin, epochs * waves):
            wave, done = divmod(overall, epochs)
            reporter.epoch(wave, done + 1, np.array([1.0, np.nan if done else 3.0]))
    return [line.strip() for line in output.getvalue().splitlines() if line.strip()]


@pytest.mark.parametrize(('epochs', 'waves'), [(3000, 1), (60, 34), (1, 500), (47, 1)])
def test_lines_are_as_many_for_a_long_run_as_for_a_short_one_and_tell_start_and_end(epochs, waves):
    lines = told(epochs, waves)
    assert LINES / 2 < len(lines) <= LINES + 3
    where = (lambda k: f'wave {k // epochs + 1}/{waves}, ') if waves > 1 else lambda k: ''
    for k, line in enumerate(lines[:3]):
        assert line.startswith(f'{where(k)}2 trials, epoch {k % epochs + 1}/{epochs}, ')
    assert f'epoch {epochs}/{epochs}' in lines[-1]


def test_losses_that_are_not_finite_are_counted_and_not_averaged():
    assert told(2, 1) == ['2 trials, epoch 1/2, loss 2.0000', '2 trials, epoch 2/2, loss 1.0000, 1 failed']


def test_a_run_that_is_continued_says_from_where():
    assert told(10, 2, begin=14)[:2] == [
        'continued after epoch 4',
        'wave 2/2, 2 trials, epoch 5/10, loss 1.0000, 1 failed',
    ]


def compiled(monkeypatch, seconds, *, terminal=False):
    """What is shown while two programs are compiled, at so many seconds each time."""
    clock = iter([0.0, *seconds, seconds[-1]])
    monkeypatch.setattr(progress.time, 'monotonic', lambda: next(clock))
    output = io.StringIO()
    console = Console(file=output, width=200, force_terminal=terminal)
    if terminal:
        monkeypatch.setattr(console, 'status', lambda text: Status(output))
    with progress.compiling(console) as on_compiling:
        for _ in seconds[:-1]:
            on_compiling(['a step', 'predictions'], {})
        on_compiling([], {'predictions': 0.2, 'a step': 8.0})
    return output.getvalue().splitlines()


class Status:
    """One line of a terminal."""

    def __init__(self, output):
        self._output = output

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, text):
        self._output.write(f'{text}\n')


def test_a_long_compilation_says_now_and_then_what_it_waits_for(monkeypatch):
    assert compiled(monkeypatch, [1, 11, 15, 21, 30, 50, 70]) == [
        'compiling, 11 s: a step, predictions',
        'compiling, 21 s: a step, predictions',
        'compiling, 50 s: a step, predictions',
        'compiled in 70 s: a step 8 s',
    ]


def test_after_a_long_silence_a_compilation_says_it_once(monkeypatch):
    assert compiled(monkeypatch, [1, 45, 46, 47, 79, 81, 90]) == [
        'compiling, 45 s: a step, predictions',
        'compiling, 81 s: a step, predictions',
        'compiled in 90 s: a step 8 s',
    ]


def test_on_a_terminal_compiling_is_one_line_that_goes_on(monkeypatch):
    lines = compiled(monkeypatch, [1, 2, 3], terminal=True)
    assert lines[:2] == ['compiling, 1 s: a step, predictions', 'compiling, 2 s: a step, predictions']
    assert 'compiled in' in lines[-1]


def test_of_programs_that_are_there_nothing_is_said():
    output = io.StringIO()
    with progress.compiling(Console(file=output)) as on_compiling:
        on_compiling(['a step'], {})
        on_compiling([], {'a step': 0.01})
    assert output.getvalue() == ''


@pytest.mark.parametrize(
    ('epochs', 'left'), [(90, '88 s'), (7000, '117 min'), (30_000, '8 h'), (2**31 - 1, '24855 days')]
)
def test_what_a_long_run_costs_is_said_after_its_second_epoch(monkeypatch, epochs, left):
    clock = iter(range(100))
    monkeypatch.setattr('time.monotonic', lambda: next(clock))  # a second an epoch
    output = io.StringIO()
    reporter = Reporter(
        Console(file=output, width=200), rich.progress.Progress(disable=True), epochs=epochs, waves=1
    )
    for done in (1, 2):
        reporter.epoch(0, done, np.array([1.0]))
    assert output.getvalue().splitlines()[-1].endswith(f'epoch 2/{epochs}, loss 1.0000, {left} left')
