"""Micro-expression recognition: every left-out subject trained side by side, in JAX.

    import dualatme_jax as dj

    data = dj.load('data/megc2019_cd')
    run = dj.train(dj.config('cd'), data)
    run.scores, run.predictions, run.variables

Importing this is light: what a function needs, JAX among it, is imported when it is called.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dualatme_jax.errors import InputError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from dualatme_jax.data.dataset import Dataset
    from dualatme_jax.run.finished import Run

__all__ = ['InputError', 'config', 'load', 'train']


def config(name: str = 'cd') -> 'ConfigDict':
    """The fields of an experiment, to be changed and trained.

    Args:
      name: of a file of configs/, such as 'cd' or 'ststnet'; with `:synthetic` behind it, on the embedded
        synthetic release; or the path of a config file.

    Returns:
      All fields with their values, see `python -m dualatme_jax.main --config=configs/cd.py --fields`.

    Raises:
      InputError: there is no such config, or it cannot be loaded.
    """
    return _config(name)


def load(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    reads: Sequence[str] = ('flow', 'flow_puzzled'),
    databases: Sequence[str] = (),
) -> 'Dataset':
    """The clips of a dataset that `data_prep build` wrote, or of several, in memory.

    Args:
      path: its folder; 'synthetic': the embedded release, built in data/synthetic on first use. Several: a
        list of them, which become one dataset of the classes that all have, see docs/several_datasets.md.
      reads: keys of the inputs, at least those that the system reads.
      databases: which to keep; none named: all.

    Raises:
      InputError: no dataset there, one that is not whole, without an input, or a database without clips; or
        several that cannot be one.
    """
    from dualatme_jax import schema

    if not isinstance(path, str | os.PathLike):
        return _together(list(path), reads, databases)
    if path == schema.SYNTHETIC:
        from dualatme_jax.run import experiment

        fields = _config('cd:synthetic').data
        fields.databases = tuple(databases)
        return experiment.load_dataset(fields, tuple(reads))
    from dualatme_jax.data import dataset

    return dataset.load(path, reads=reads, databases=databases)


def train(
    config: 'ConfigDict | str',
    data: 'Dataset | None' = None,
    *,
    workdir: str | os.PathLike | None = None,
    progress: bool = False,
) -> 'Run':
    """Trains every left-out subject (and seed, and point of a sweep) side by side, and scores them.

    It is what `python -m dualatme_jax.main` runs: the same numbers for the same config and clips.

    Args:
      config: as `config` returns it, or a name as it takes it.
      data: the clips, as `load` returns them; None: they are loaded as config.data says. Of given clips that
        section's `path` and `databases` are not read: all are trained on.
      workdir: where the run is kept, as the command's: one that was stopped goes on there, a finished one is
        only reported. None: nothing is written but caches (config.engine.cache), and the networks stay in
        memory if config.checkpoint.keep_weights.
      progress: whether to print how far it is, and the tables of results.

    Raises:
      InputError: the config, the clips or the workdir cannot be used; nothing was trained then.
    """
    from ml_collections import ConfigDict
    from rich.console import Console

    from dualatme_jax.data.dataset import Dataset
    from dualatme_jax.run import experiment
    from dualatme_jax.training import devices

    config = _config(config) if isinstance(config, str) else config
    if not isinstance(config, ConfigDict):
        raise InputError(f'the config is of type {type(config).__name__}; expected what dj.config returns')
    if data is not None and not isinstance(data, Dataset):
        raise InputError(f'the clips are of type {type(data).__name__}; expected what dj.load returns')
    devices.one_a_core()
    return experiment.run(config, workdir, None if progress else Console(quiet=True), dataset=data)


def _together(paths: 'list[str | os.PathLike]', reads: Sequence[str], databases: Sequence[str]) -> 'Dataset':
    from dualatme_jax.data import several

    if not paths:
        raise InputError('a list of no datasets; expected one folder or more')
    if len(paths) == 1:
        return load(paths[0], reads=reads, databases=databases)
    names = [os.fspath(path) for path in paths]
    return several.together([load(path, reads=reads) for path in paths], names, databases)


def _config(name: str) -> 'ConfigDict':
    from dualatme_jax.run import config_file

    file, colon, argument = name.partition(':')
    if file.isidentifier():
        file = f'{config_file.FOLDER}/{file}.py'
    return config_file.load(f'{file}{colon}{argument}').lock()
