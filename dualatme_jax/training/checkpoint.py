"""Checkpoints of a wave in training, and the weights it leaves behind."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from dualatme_jax import processes
from dualatme_jax.errors import InputError
from dualatme_jax.training.state import State


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a wave of F trials is.

    Attributes:
      epochs: E, whole ones.
      states: of the networks, on the devices.
      losses: [E, F].
      kept: the predictions of epochs that are kept, by epoch: [F, T, K] each.
      seconds: of training.
    """

    epochs: int
    states: State
    losses: np.ndarray
    kept: dict[int, np.ndarray]
    seconds: float


class WaveCheckpoints:
    """The latest checkpoint of one wave.

    A save is whole or absent whenever the process dies; the one before goes only when the next is there.

    Args:
      directory: of this wave alone; made if absent.
      identity: what must be equal for a checkpoint to be continued (the config, the wave's trials), by name.
    """

    def __init__(self, directory: pathlib.Path, identity: Mapping[str, Any]):
        self._directory = directory
        self._identity = dict(identity)
        self._manager = ocp.CheckpointManager(
            directory.absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=1, create=True, cleanup_tmp_directories=True, enable_async_checkpointing=False
            ),
        )

    def save(self, progress: Progress) -> None:
        """Saves after a whole epoch."""
        rest = {
            'identity': self._identity,
            'losses': progress.losses.tolist(),
            'kept': sorted(progress.kept),
            'seconds': progress.seconds,
        }
        items = {
            'states': ocp.args.StandardSave(progress.states),
            'progress': ocp.args.JsonSave(rest),
        }
        if progress.kept:
            items['kept'] = ocp.args.StandardSave(
                {str(epoch): chances for epoch, chances in progress.kept.items()}
            )
        with _uninterrupted():
            self._manager.save(progress.epochs, args=ocp.args.Composite(**items))

    def restore(self, like: State) -> Progress | None:
        """The latest save, or None.

        Args:
          like: shapes, types and places of the states.

        Raises:
          InputError: the checkpoint is of another config or of other trials.
        """
        epochs = self._manager.latest_step()
        if epochs is None:
            return None
        rest = self._manager.restore(
            epochs, args=ocp.args.Composite(progress=ocp.args.JsonRestore())
        ).progress
        if rest['identity'] != self._identity:
            differs = sorted(
                name for name, value in self._identity.items() if rest['identity'].get(name) != value
            )
            raise InputError(
                f'{self._directory}: this checkpoint is of another run (other {", ".join(differs)}); '
                'give another --workdir, or delete this one to start anew'
            )
        # Not strict: another number of devices fills the wave up to another length, with trials that are
        # dropped.
        states = self._manager.restore(
            epochs, args=ocp.args.Composite(states=ocp.args.StandardRestore(like, strict=False))
        ).states
        kept = {}
        if rest.get('kept'):
            found = self._manager.restore(
                epochs, args=ocp.args.Composite(kept=ocp.args.StandardRestore())
            ).kept
            kept = {int(epoch): np.asarray(chances) for epoch, chances in found.items()}
        return Progress(epochs, states, np.asarray(rest['losses'], float), kept, rest['seconds'])

    def close(self) -> None:
        """Lets go of the directory."""
        self._manager.close()

    def delete(self) -> None:
        """Removes the checkpoint of a wave that has ended."""
        self.close()
        if processes.is_first():
            shutil.rmtree(self._directory)


def save_weights(directory: pathlib.Path, variables: Mapping[str, Any]) -> None:
    """Writes what prediction needs, params and batch_stats, each leaf [F, ...], to `directory`."""
    with _uninterrupted(), ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory.absolute(), variables, force=True)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C back until the block has ended, since Orbax would tell of every thread it breaks off."""
    if threading.current_thread() is not threading.main_thread():  # no other one is told of signals
        yield
        return
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def weights_shapes(directory: pathlib.Path) -> dict[tuple[str, ...], Any]:
    """What a `weights` folder holds, without reading it: path of each leaf -> its `shape` and `dtype`."""
    with ocp.StandardCheckpointer() as checkpointer:
        tree = checkpointer.metadata(directory.absolute()).item_metadata.tree
    return traverse_util.flatten_dict(tree)


def load_weights(directory: str | os.PathLike) -> dict[str, Any]:
    """Reads the variables of a wave back, from its `weights` folder.

    Returns:
      `params` and `batch_stats`, each leaf [F, ...], in the order of the wave's rows in trials.csv.

    Raises:
      InputError: there are no weights.
    """
    directory = pathlib.Path(directory)
    if not (directory / '_METADATA').exists():
        raise InputError(
            f'no weights in {directory}; expected the folder waves/wave_NNN/weights of a run whose '
            'config.checkpoint.keep_weights was True'
        )
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(directory.absolute())
