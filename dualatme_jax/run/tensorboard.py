"""What TensorBoard shows of a run: losses while it trains; curves, scores, tables and pictures at the end.

`tensorboard/training...` has one folder per program, `tensorboard/report` what the run has reported.
"""

import contextlib
import pathlib
import shutil
from collections.abc import Callable, Iterator

import numpy as np

from dualatme_jax import schema
from dualatme_jax.report import tables
from dualatme_jax.report.curves import Curves
from dualatme_jax.report.pictures import of_record
from dualatme_jax.report.record import Record
from dualatme_jax.report.scores import METRICS
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.programs import Program

REPORT = 'report'
TABLES = ('leaderboard.md', 'sweep.md', 'ensemble.md', 'paper.md')  # which a run may have

_MOST_TEXT = 2**18  # characters of a table: more are slow to show


def name_of(program: Program) -> str:
    """The folder of a program's losses: `training`, or of several `training_03_ststnet` of the fourth."""
    several = f'_{program.number:02d}_{program.config.model.name}' if program.prefix else ''
    return f'training{several}'


@contextlib.contextmanager
def writing(folder: pathlib.Path | None, name: str) -> Iterator[Callable[[int, np.ndarray], None]]:
    """Yields what writes the losses [F] of the trials of a wave after an epoch, by epochs of all waves.

    The second wave begins where the first has ended. A process that continues from a checkpoint trains some
    epochs again: they take the place of what an earlier one wrote.

    Args:
      folder: the workdir; None: nothing is written.
      name: see `name_of`.
    """
    with contextlib.ExitStack() as stack:
        writer = None

        def write(step: int, losses: np.ndarray) -> None:
            nonlocal writer
            if folder is None:
                return
            if writer is None:
                import tensorboardX  # with PyTorch, if it is there: seconds that no first epoch waits for

                events = str(folder / workdir_lib.TENSORBOARD / name)
                writer = stack.enter_context(
                    # Of two writers of one second each has a file.
                    tensorboardX.SummaryWriter(events, purge_step=step, filename_suffix=f'.{step:09d}')
                )
            for part, value in summary(losses).items():
                writer.add_scalar(f'training/{part}', value, step)
            writer.add_scalar('training/failed', int((~np.isfinite(losses)).sum()), step)
            writer.flush()

        yield write


def summary(losses: np.ndarray) -> dict[str, float]:
    """Mean, median and maximum of the losses that are finite; empty where none is."""
    finite = losses[np.isfinite(losses)]
    if not finite.size:
        return {}
    return {
        'loss_mean': float(finite.mean()),
        'loss_median': float(np.median(finite)),
        'loss_max': float(finite.max()),
    }


def report(record: Record) -> None:
    """Writes what a run has reported, in the place of what it has reported before.

    That is the loss by epoch over all trials, the scores, the tables as Markdown, and what lies in its folder
    `pictures`.

    Raises:
      InputError: a file of the run is damaged.
      OSError: it cannot be written.
    """
    import matplotlib.image
    import tensorboardX

    folder = record.folder / workdir_lib.TENSORBOARD / REPORT
    shutil.rmtree(folder, ignore_errors=True)
    with tensorboardX.SummaryWriter(str(folder)) as writer:
        _write_losses(writer, record.curves)
        for name, metrics in ((record.results or {}).get('scores') or {}).items():
            for metric in METRICS:
                writer.add_scalar(f'scores/{metric}/{name}', metrics[metric]['mean'], 0)
        writer.add_text('run', about(record), 0)
        for name in TABLES:
            path = record.folder / name
            if path.is_file():
                writer.add_text(path.stem, path.read_text(encoding='utf-8')[:_MOST_TEXT], 0)
        for path in sorted((record.folder / of_record.FOLDER).glob('*.png')):
            image = matplotlib.image.imread(path)[..., :3]
            writer.add_image(path.stem, np.uint8(255 * image + 0.5), 0, dataformats='HWC')


def _write_losses(writer, curves: Curves | None) -> None:
    for epoch, losses in enumerate(curves.losses.T if curves else (), start=1):
        for part, value in summary(losses).items():
            writer.add_scalar(part.replace('_', '/'), value, epoch)


def about(record: Record) -> str:
    """The scores of all clips, with what must stand beside them, as Markdown."""
    found = record.results or {}
    lines = record.notices
    lines.append(
        f'{found.get("trials")} trials, {found.get("protocol")}, selection: {found.get("selection")}'
    )
    scores = found.get('scores')
    if not scores:
        return '\n\n'.join(lines)
    rows = [
        '| | ' + ' | '.join(tables.HEADINGS[metric] for metric in METRICS) + ' |',
        '|---' * (1 + len(METRICS)) + '|',
    ]
    for name, metrics in scores.items():
        title = 'All databases' if name == schema.FULL else schema.title(name)
        cells = []
        for metric in METRICS:
            low, high = metrics[metric]['interval'] or (np.nan, np.nan)
            cells.append(f'{metrics[metric]["mean"]:.3f} [{low:.2f}, {high:.2f}]')
        rows.append(f'| {title} | {" | ".join(cells)} |')
    return '\n\n'.join([*lines, '\n'.join(rows), '[low, high]: 95% bootstrap over subjects'])
