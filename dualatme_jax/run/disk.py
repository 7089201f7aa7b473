"""Room for what a run will keep, on the disk or in memory: checked before it trains."""

import math
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax

from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.machines import host_memory
from dualatme_jax.training import trials
from dualatme_jax.training.checkpoint import KEPT
from dualatme_jax.training.memory import amount
from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.step import Training

# A checkpoint is deleted only when the next one is there.
CHECKPOINTS_AT_ONCE = KEPT + 1


def state_of(training: Training, dataset: Dataset, row: Mapping[str, Any]) -> State:
    """Shapes and types of the state of one trial, a row of the table; nothing is computed."""
    trial = trials.device_trial(row, dataset, dataset.size, hyperparameters=training.hyperparameters)
    return jax.eval_shape(training.init, trial, Clips.shapes(dataset, 1))


def size(tree: Any) -> int:
    """Bytes of all arrays, or shapes, of a tree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def check(
    folder: pathlib.Path, *, weights: int, states: int = 0, checkpoint: int, reused: pathlib.Path
) -> str:
    """What a run will need on the disk of `folder`, in words; empty if it keeps nothing.

    Args:
      folder: the workdir.
      weights: bytes of the weights to be kept.
      states: bytes of the last states to be kept.
      checkpoint: bytes of one checkpoint.
      reused: a folder within, of checkpoints that will make room for the next ones.

    Raises:
      InputError: it is more than there is.
    """
    parts = {'weights': weights, 'states': states, 'checkpoints': CHECKPOINTS_AT_ONCE * checkpoint}
    needed = sum(parts.values())
    free = shutil.disk_usage(folder).free
    if not states:  # else what lies there may be states that stay
        free += sum(file.stat().st_size for file in reused.rglob('*') if file.is_file())
    told = ' and '.join(f'{amount(size)} of {name}' for name, size in parts.items() if size)
    if needed > free:
        raise InputError(
            f'{folder} has {amount(free)} free, and the run needs {amount(needed)}: {told}; '
            'keep no weights (--config.checkpoint.keep_weights=False), train fewer trials side by side '
            '(--config.engine.max_trials), sweep over fewer points, or give another --workdir'
        )
    return told


def check_memory(weights: int) -> None:
    """Raises InputError where weights of so many bytes, of a run without a workdir, do not fit the memory."""
    if weights > (free := host_memory.free()):
        raise InputError(
            f'the networks of this run take {amount(weights)} of memory, and {amount(free)} are free; give a '
            'workdir, which keeps them on the disk, or keep none (config.checkpoint.keep_weights=False)'
        )
