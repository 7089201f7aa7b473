"""The folder of one run: claimed for one config, or for one that it grows to, by one run at a time."""

import contextlib
import fcntl
import functools
import json
import os
import pathlib
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dualatme_jax.data import splits
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded, read_bytes, replacing
from dualatme_jax.machines import processes
from dualatme_jax.training import encoding

CONFIG = 'config.json'
TRIALS = 'trials.csv'
PREDICTIONS = 'predictions.csv'
INNER_PREDICTIONS = 'inner_predictions.csv'
EPOCH_PREDICTIONS = 'epoch_predictions.csv'
RESULTS = 'results.json'
PROVENANCE = 'provenance.json'
CONFUSION = 'confusion.png'
CHECKPOINTS = 'checkpoints'
WAVES = 'waves'
WEIGHTS = 'weights'
TENSORBOARD = 'tensorboard'
NETWORK = 'network'  # see `network`
PICTURES = 'pictures'
GROWING = '.growing'  # config and table of trials that are to take the place of those that are there
_BEGUN = '.growing.begun'  # the same while it is not whole

# What a run keeps, apart from reports, which take the place of what has their names: files, and folders whose
# content it writes, reads and deletes.
FILES = (CONFIG, TRIALS, PREDICTIONS, INNER_PREDICTIONS, EPOCH_PREDICTIONS, RESULTS, PROVENANCE)
FOLDERS = (CHECKPOINTS, WAVES, TENSORBOARD, NETWORK, PICTURES, GROWING, _BEGUN)

_LOCK = '.lock'
_MOST_CONFIG = 64 * 2**20  # bytes of a config.json: more than any sweep has

# Sections, and a field, that decide what is trained. The others (where the data lies, on which devices it is
# trained, how often it is saved) may change between a run and its continuation; `dataset`, `weights`
# and `start` have the fingerprints of the data, and of weights that are evaluated or started from; `draws` is
# that of `training.step`, `code` has the files of systems of one's own.
DECISIVE = (
    'augment',
    'code',
    'data.train_subjects',
    'data.undersample',
    'dataset',
    'draws',
    'engine.micro_batch',
    'engine.precision',
    'fold_parts',
    'folds',
    'freeze',
    'input',
    'loss',
    'model',
    'models',
    'optimizer',
    'seeds',
    'selection',
    'stages',
    'start.sha256',
    'sweep',
    'training',
    'weights',
)

# Of these, what may grow, see `growth`, and what follows from the points of the sweep.
GROWS = ('seeds', 'sweep', 'training.epochs')
FOLLOWS = ('code', 'dataset', 'models', 'stages')

# From the config that is there to the one to keep, and what writes the table of trials that it has then;
# raises InputError where the run cannot grow so.
Grow = Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], Callable[[pathlib.Path], None]]]

# What config.json holds beside the fields of a config.
IDENTITY = {'code', 'dataset', 'draws', 'models', 'stages', 'start', 'trained_on', 'weights'}

# Of a leaderboard, by system: one whose view or weights were not there in one of the two commands differs in
# nothing that it was trained on.
BY_SYSTEM = ('dataset.systems', 'stages')


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config decides what is trained, by name; None where a config does not say."""

    def within(part: Any, key: str) -> Any:
        return part.get(key) if isinstance(part, Mapping) else None

    found = {name: functools.reduce(within, name.split('.'), config) for name in DECISIVE}
    if found['folds'] != splits.PARTS:
        found['fold_parts'] = None  # which nothing reads
    if isinstance(found['input'], Mapping):
        found['input'] = encoding.as_read(found['input'])
    found['engine.micro_batch'] = found['engine.micro_batch'] or 0  # runs of older versions do not say
    for name in ('data.train_subjects', 'data.undersample'):
        found[name] = found[name] or 0
    return found | {'smoke': bool(config.get('smoke'))}  # which runs of older versions do not say


def of_wave(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config decides how a wave is trained, whatever the run grows to while it waits."""
    grows = {name.partition('.')[0] for name in GROWS}
    return {name: value for name, value in decisive(config).items() if name not in {*grows, *FOLLOWS}}


def wave_name(number: int) -> str:
    """The folder of a wave, under each of WAVES, CHECKPOINTS and TENSORBOARD."""
    return f'wave_{number:03d}'


def forget_checkpoints(path: pathlib.Path, wave: int) -> None:
    """Deletes the checkpoints of a wave, if it has some: its trials begin anew."""
    shutil.rmtree(path / CHECKPOINTS / wave_name(wave), ignore_errors=True)


@contextlib.contextmanager
def claim(
    path: str | os.PathLike, config: Mapping[str, Any], grow: Grow | None = None
) -> Iterator[pathlib.Path]:
    """Yields the folder `path`, made if absent, with `config` as its config.json.

    Of several processes of one run the first claims it for all.

    Args:
      path: the folder.
      config: of the run.
      grow: how a run that is there becomes this one, if only what may grow differs; None: it does not.

    Raises:
      InputError: it cannot be written, another run goes on there, it holds a run of another config, or links
        and the like in place of what a run keeps; or the processes of this run do not share it, or were given
        different configs.
    """
    path = expanded(path, '--workdir')
    with _locked(path, config, grow) if processes.is_first() else contextlib.nullcontext():
        processes.check_shared(path)
        for section in sorted(config.keys() - {'data'}):  # the dataset may lie elsewhere on each machine
            processes.check_same(f'config.{section}' if section != 'dataset' else section, config[section])
        yield path


@contextlib.contextmanager
def _locked(path: pathlib.Path, config: Mapping[str, Any], grow: Grow | None) -> Iterator[None]:
    try:
        path.mkdir(parents=True, exist_ok=True)
        # A link is not followed, a pipe not waited for, and nothing is emptied.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.fdopen(os.open(path / _LOCK, flags, 0o666), 'rb+', buffering=0)
    except OSError as error:
        if (path / _LOCK).is_symlink() or (path / _LOCK).is_dir():
            raise _in_the_way(path / _LOCK) from error
        raise InputError(
            f'cannot write to the workdir {path} ({error.strerror}); give another one by --workdir'
        ) from error
    with lock:
        if not stat.S_ISREG(os.fstat(lock.fileno()).st_mode):
            raise _in_the_way(path / _LOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f'another process is running in {path}; wait for it, or give another --workdir'
            ) from error
        check_own(path)
        _finish_growth(path)
        there = _there(path)
        found = {} if there is None else differences(there, config)
        if not found:
            _write(path / CONFIG, config if there is None else with_absent(there, config))
        elif grow and _may_grow(found):
            _grow(path, *grow(there))
        else:
            raise other_run(path, found.values())
        yield


def _write(path: pathlib.Path, config: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + '\n')


def _may_grow(found: Mapping[str, str]) -> bool:
    """Whether of what differs something may grow, and all else follows from the points of the sweep."""
    rest = found.keys() - {*GROWS}
    return len(rest) < len(found) and all(name.partition('.')[0] in FOLLOWS for name in rest)


def _grow(path: pathlib.Path, config: Mapping[str, Any], write_table: Callable[[pathlib.Path], None]) -> None:
    """Puts another config, and another table of trials, into the folder: both, or neither."""
    begun = path / _BEGUN
    begun.mkdir()
    write_table(begun / TRIALS)
    _write(begun / CONFIG, config)
    begun.rename(path / GROWING)
    _finish_growth(path)


def _finish_growth(path: pathlib.Path) -> None:
    """Finishes what a process that died has begun to put in place, if all of it was written."""
    shutil.rmtree(path / _BEGUN, ignore_errors=True)
    if (path / GROWING).exists():
        for file in sorted((path / GROWING).iterdir()):
            file.replace(path / file.name)
        (path / GROWING).rmdir()


def check_own(path: pathlib.Path) -> None:
    """Raises InputError where a link, a pipe or the like stands in a workdir in place of what a run keeps.

    A run writes, reads and deletes there: by a link it would do so elsewhere, and for a pipe it would wait.
    """
    for name in FILES:
        if os.path.lexists(path / name) and not stat.S_ISREG((path / name).lstat().st_mode):
            raise _in_the_way(path / name)
    for name in FOLDERS:
        if os.path.lexists(path / name) and not stat.S_ISDIR((path / name).lstat().st_mode):
            raise _in_the_way(path / name)
        for found in (path / name).rglob('*'):
            mode = found.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _in_the_way(found)


def _in_the_way(path: pathlib.Path) -> InputError:
    kind = 'a link' if path.is_symlink() else 'a folder' if path.is_dir() else 'a pipe, a device or the like'
    kind = 'a file' if path.is_file() and not path.is_symlink() else kind
    return InputError(
        f'{path} is {kind}, where a run keeps what is its own; move it away, or give another --workdir '
        '(which may itself be a link to a folder)'
    )


def _there(path: pathlib.Path) -> dict[str, Any] | None:
    """The config of the run that was begun in a folder; None where none was."""
    file = path / CONFIG
    kept = (TRIALS, PREDICTIONS, RESULTS, WAVES, CHECKPOINTS)
    begun = [name for name in kept if os.path.lexists(path / name)]
    if not begun:  # a run that was refused or stopped before it trained binds nobody to its config
        return None
    if not file.exists():
        raise InputError(
            f'{path} holds {", ".join(begun)} but no {CONFIG}, so it is not known which run they belong to; '
            'give another --workdir, or move them away'
        )
    try:
        there = json.loads(read_bytes(file, limit=_MOST_CONFIG, what='config of the run'))
        if not isinstance(there, dict):
            raise TypeError(f'it holds {there!r}')
    except (OSError, RecursionError, TypeError, ValueError) as error:
        raise InputError(
            f'{file} is not the config of a run ({error}); give another --workdir, or delete this one'
        ) from error
    return there


def other_run(path: pathlib.Path, lines: Iterable[str]) -> InputError:
    """The error of a folder that holds another run, by the lines of what differs."""
    return InputError(
        f'{path} holds another run:\n'
        + '\n'.join(lines)
        + '\nto continue that run, give its config; it may grow by more config.seeds, points of config.sweep '
        'and config.training.epochs, and by nothing else. To start this one anew, give another --workdir '
        'or delete this one'
    )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, str]:
    """The fields of two configs that decide what is trained and differ: name -> a line that says how."""
    return {
        field: line
        for name, value in decisive(here).items()
        for field, line in _differences(name, decisive(there)[name], value).items()
    }


def with_absent(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """The config, with what the one of before says of systems that are absent now."""
    found = dict(here)
    for name in BY_SYSTEM:
        section, _, key = name.partition('.')
        before, own = (config.get(section) for config in (there, here))
        if key and isinstance(before, dict) and isinstance(own, dict):
            found[section] = own | {key: before.get(key, {}) | own[key]} if key in own else own
        elif not key and isinstance(before, dict) and isinstance(own, dict):
            found[section] = before | own
    return found


def _differences(name: str, there: Any, here: Any) -> dict[str, str]:
    if isinstance(there, dict) and isinstance(here, dict):
        keys = there.keys() & here.keys() if name in BY_SYSTEM else there.keys() | here.keys()
        return {
            field: line
            for key in sorted(keys)
            for field, line in _differences(f'{name}.{key}', there.get(key), here.get(key)).items()
        }
    # Through JSON, since a tuple comes back from the file as a list, and a mapping with its keys sorted.
    if json.dumps(there, sort_keys=True) == json.dumps(here, sort_keys=True):
        return {}
    return {name: f'  {name} is {there!r} there and {here!r} here'}
