"""How far a run is: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import rich.progress
from rich.console import Console

LINES = 24  # of a whole run, about, where there is no terminal


class Reporter:
    """Told after every epoch of every wave."""

    def __init__(self, console: Console, bar: rich.progress.Progress, *, epochs: int, waves: int):
        self._console, self._bar = console, bar
        self._epochs, self._waves = epochs, waves
        self._task = bar.add_task('starting', total=epochs * waves, loss='')
        self._began: tuple[float, int] | None = None

    def epoch(self, wave: int, done: int, losses: np.ndarray) -> None:
        """`done` epochs of wave number `wave` (from 0) are over; `losses` [F] are the last one's."""
        finite = losses[np.isfinite(losses)]
        loss = f'loss {finite.mean():.4f}' if finite.size else 'loss not finite'
        if finite.size < losses.size:
            loss += f', {losses.size - finite.size} failed'
        where = f'{losses.size} trials, epoch {done}/{self._epochs}'
        if self._waves > 1:
            where = f'wave {wave + 1}/{self._waves}, {where}'
        overall = wave * self._epochs + done
        if self._began is None:
            # Time left counts from here: compilation, and what an earlier process trained, came before.
            self._began = time.monotonic(), overall
            self._bar.reset(self._task, completed=overall)
            if done > 1:
                self._console.print(f'continued after epoch {done - 1}', soft_wrap=True)
        self._bar.update(self._task, completed=overall, description=where, loss=loss)
        whole = self._epochs * self._waves
        due = overall - self._began[1] < 3 or overall % -(-whole // LINES) == 0 or overall == whole
        if due and not self._console.is_terminal:
            self._console.print(f'{where}, {loss}{self._time_left(overall)}', soft_wrap=True)

    def _time_left(self, overall: int) -> str:
        began, first = self._began
        if overall in (first, self._epochs * self._waves):
            return ''
        left = (time.monotonic() - began) / (overall - first) * (self._epochs * self._waves - overall)
        for name, seconds, most in (
            ('s', 1, 90),
            ('min', 60, 120),
            ('h', 3600, 72),
            ('days', 86400, math.inf),
        ):
            if left <= most * seconds:
                return f', {left / seconds:.0f} {name} left'
        return ''


@contextlib.contextmanager
def reporting(console: Console, *, epochs: int, waves: int) -> Iterator[Reporter]:
    """Shows a run's progress on `console` while the block runs."""
    bar = rich.progress.Progress(
        rich.progress.SpinnerColumn(),
        rich.progress.TextColumn('{task.description}'),
        rich.progress.BarColumn(bar_width=None),
        rich.progress.TextColumn('{task.fields[loss]}'),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn('left'),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        yield Reporter(console, bar, epochs=epochs, waves=waves)


@contextlib.contextmanager
def compiling(console: Console) -> Iterator[Callable[[Sequence[str], Mapping[str, float]], None]]:
    """Yields what shows on `console` how long programs have been compiled, and which; see `OnCompiling`.

    That is one line that counts seconds on a terminal; elsewhere a line after 10 s, 20 s, 40 s and so on. A
    line at the end has what each has taken.
    """
    began, due, taken = time.monotonic(), 10, {}

    def told(waiting: Sequence[str], seconds: Mapping[str, float]) -> None:
        nonlocal due
        taken.update(seconds)
        passed = time.monotonic() - began
        line = f'compiling, {passed:.0f} s: {", ".join(waiting)}'
        status.update(line)
        if not console.is_terminal and waiting and passed > due:
            while due < passed:  # tracing may have held up several
                due *= 2
            console.print(line, soft_wrap=True)

    with console.status('compiling') as status:  # which shows nothing but on a terminal
        yield told
    slow = {name: seconds for name, seconds in taken.items() if seconds >= 0.5}
    if slow:
        each = ', '.join(f'{name} {seconds:.0f} s' for name, seconds in slow.items())
        console.print(f'compiled in {time.monotonic() - began:.0f} s: {each}', soft_wrap=True)


@contextlib.contextmanager
def counting(console: Console, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields what is called with how many more are done, and shows how many of `total`, if that is known.

    That is a bar on a terminal; elsewhere a line after 10 s, 20 s, 40 s and so on.
    """
    began, due, done = time.monotonic(), 10, 0
    bar = rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        console=console,
        disable=not console.is_terminal,
    )

    def more(count: int) -> None:
        nonlocal due, done
        done += count
        bar.advance(task, count)
        passed = time.monotonic() - began
        if not console.is_terminal and passed > due:
            while due < passed:
                due *= 2
            console.print(f'{what}: {done}{f" of {total}" if total else ""}, {passed:.0f} s', soft_wrap=True)

    with bar:
        task = bar.add_task(what, total=total)
        yield more


@contextlib.contextmanager
def stages(console: Console, what: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yields what is called with a stage, how much of it is done and of how much, and shows it.

    As `counting` does it, one stage of `what` after the other; before the first, a terminal shows `what`.
    """
    now, before, more = '', 0, None
    with contextlib.ExitStack() as shown:
        shown.enter_context(console.status(what))

        def said(stage: str, done: int, total: int | None) -> None:
            nonlocal now, before, more
            if stage != now:
                shown.close()
                more = shown.enter_context(counting(console, f'{what}: {stage}', total))
                now, before = stage, 0
            more(done - before)
            before = done

        yield said
