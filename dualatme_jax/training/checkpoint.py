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

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.machines import processes
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


# Saves of a wave that are kept: the latest, and one to fall back to.
KEPT = 2


class WaveCheckpoints:
    """The latest checkpoints of one wave.

    A save is whole, and as it was written, or is deleted when the wave is continued: its checksums come last.

    Args:
      directory: of this wave alone; made if absent.
      identity: what must be equal for a checkpoint to be continued (of the config, the wave's trials), by
        name; what else the checkpoint has is not compared.

    Attributes:
      damaged: what was found of saves that were deleted, in words.
    """

    def __init__(self, directory: pathlib.Path, identity: Mapping[str, Any]):
        self._directory = directory
        self._identity = dict(identity)
        self.damaged = processes.agreed(_delete_damaged(directory) if processes.is_first() else None)
        self._manager = ocp.CheckpointManager(
            directory.absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=KEPT, create=True, cleanup_tmp_directories=True, enable_async_checkpointing=False
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
            if processes.is_first():
                files.write_checksums(self._directory / str(progress.epochs))

    def restore(self, like: State) -> Progress | None:
        """The latest save, or None.

        Args:
          like: shapes, types and places of the states.

        Raises:
          InputError: the checkpoint is of another config or of other trials, or of another version of Orbax.
        """
        epochs = self._manager.latest_step()
        if epochs is None:
            return None
        try:
            rest = self._item(epochs, progress=ocp.args.JsonRestore())
            self._check_identity(rest['identity'])
            # Not strict: another number of devices fills the wave up to another length, with trials that are
            # dropped.
            states = self._item(epochs, states=ocp.args.StandardRestore(like, strict=False))
            kept = self._item(epochs, kept=ocp.args.StandardRestore()) if rest['kept'] else {}
            kept = {int(epoch): np.asarray(chances) for epoch, chances in kept.items()}
            return Progress(epochs, states, np.asarray(rest['losses'], float), kept, float(rest['seconds']))
        except (InputError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:  # its files are as they were written: Orbax wrote or reads them otherwise
            raise InputError(
                f'{self._directory / str(epochs)}: this checkpoint cannot be read ({error}); delete it to '
                'train from the one before, or from the start'
            ) from error

    def _item(self, epochs: int, **arguments) -> Any:
        (name,) = arguments
        return self._manager.restore(epochs, args=ocp.args.Composite(**arguments))[name]

    def _check_identity(self, there: Mapping[str, Any]) -> None:
        if differs := sorted(name for name, value in self._identity.items() if there.get(name) != value):
            raise InputError(
                f'{self._directory}: this checkpoint is of another run (other {", ".join(differs)}); '
                'give another --workdir, or delete this one to start anew'
            )

    def close(self) -> None:
        """Lets go of the directory."""
        self._manager.close()

    def delete(self, *, but: int | None = None) -> None:
        """Removes the saves of a wave that has ended, but that after so many epochs."""
        self.close()
        if not processes.is_first():
            return
        if but is None:
            shutil.rmtree(self._directory)
        else:
            for save in self._directory.iterdir():
                if save.is_dir() and save.name != str(but):
                    shutil.rmtree(save)


def _delete_damaged(directory: pathlib.Path) -> list[str]:
    """Deletes the saves of a wave that are not as they were written, or not whole; returns why."""
    found = []
    for folder in sorted(directory.glob('*'), key=lambda folder: folder.name):
        if folder.name.isdecimal():
            try:
                files.check_checksums(folder, 'files of the checkpoint')
            except InputError as error:
                shutil.rmtree(folder)
                found.append(str(error))
    return found


def save_weights(directory: pathlib.Path, variables: Mapping[str, Any]) -> None:
    """Writes what prediction needs, params and batch_stats, each leaf [F, ...], to `directory`."""
    with _uninterrupted():
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(directory.absolute(), variables, force=True)
        if processes.is_first():
            files.write_checksums(directory)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C, and SIGTERM, back until the block has ended.

    Orbax would report each thread that is broken off.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one gets signals
        yield
        return
    came = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: came.append(True)) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def weights_shapes(directory: pathlib.Path) -> dict[tuple[str, ...], Any]:
    """What a `weights` folder holds, without its numbers: path of each leaf -> its `shape` and `dtype`.

    Raises as `load_weights` does.
    """
    _check_weights(directory)
    with ocp.StandardCheckpointer() as checkpointer:
        tree = checkpointer.metadata(directory.absolute()).item_metadata.tree
    return traverse_util.flatten_dict(tree)


def load_weights(directory: str | os.PathLike) -> dict[str, Any]:
    """Reads the variables of a wave back, from its `weights` folder.

    Returns:
      `params` and `batch_stats`, each leaf [F, ...], in the order of the wave's rows in trials.csv.

    Raises:
      InputError: there are no weights, or they are not as they were written.
    """
    directory = pathlib.Path(directory)
    _check_weights(directory)
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(directory.absolute())


def _check_weights(directory: pathlib.Path) -> None:
    if not (directory / '_METADATA').exists():
        raise InputError(
            f'no weights in {directory}; expected the folder waves/wave_NNN/weights of a run whose '
            'config.checkpoint.keep_weights was True; estimators of scikit-learn are never kept'
        )
    files.check_if_sealed(directory, 'weights')
