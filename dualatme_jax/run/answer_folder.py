"""The folder of an answer: made in a folder inside it, and moved to its place when all of it is there.

FOLDER/answer.json  what it is the answer to; where it is missing, the answer is not whole
FOLDER/.making/     what is being made, with which the same command goes on after a stop: the data stage with
                    `.signal` in it, and what comes after with `.looked`, which says what the data stage did

What cannot be answered leaves a folder as it was.
"""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.report import answer_page

ANSWER, LIKE, FILM, FACE = 'answer.json', 'training.json', 'video.mp4', 'face_'
INPUTS, RECIPE, ABOUT, TRACK = 'inputs.npz', 'inputs.json', 'video.json', 'track.npz'
FACES = 'faces'  # in answer.json, where every face has an answer: how many there are

_MAKING, _SIGNAL, _LOOKED = '.making', '.signal', '.looked'
_TABLES = (answer_page.EVENTS, answer_page.FILE)
_ALL = {*_TABLES, ANSWER, LIKE, FILM, INPUTS, RECIPE, ABOUT, TRACK, answer_page.SIGNALS, answer_page.FRAMES}
_MOST_BYTES = 2**30  # of a file in it


class UnfinishedError(InputError):
    """An answer could not be finished, and what there is of it is worth going on with."""


def read(path: pathlib.Path) -> bytes:
    """The content of a file of an answer; raises InputError as `files.read_bytes` does."""
    return files.read_bytes(path, limit=_MOST_BYTES, what='file of the answer')


def faces(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of the faces in one of several, in their order."""
    found = [path for path in folder.glob(f'{FACE}*') if path.name.removeprefix(FACE).isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(FACE)))


def whole(folder: pathlib.Path, path: pathlib.Path, identity: str) -> dict[str, Any] | None:
    """The answer.json of a folder whose answer is whole, and the answer to this; None of others.

    Args:
      folder: the folder.
      path: of the video.
      identity: what decides its answer.

    Raises:
      InputError: the folder holds the answer of another video, or what is no answer.
    """
    if not folder.is_dir():
        return None
    if not (folder / ANSWER).exists():
        if others := sorted({each.name for each in folder.iterdir()} - {_MAKING}):
            raise InputError(
                f'{folder} holds files that are no answer, such as {others[0]}; give another --out, or move '
                'them away'
            )
        return None
    try:
        about = json.loads(read(folder / ANSWER))
        there, whose, count = about['identity'], about['path'], about.get(FACES, 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if whose != str(path):
        raise InputError(f'{folder} holds the answer of {whose}; give another --out, or move it away')
    places = [folder, *faces(folder)]
    complete = len(places) == 1 + count and all((own / name).exists() for own in places for name in _TABLES)
    return about if there == identity and complete else None


@contextlib.contextmanager
def making(folder: pathlib.Path, path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields where a video's answer is made; it takes the place of the one before when it is whole."""
    made = folder / _MAKING
    made.mkdir(parents=True, exist_ok=True)
    try:
        yield made
    except BaseException as error:
        cannot_be = isinstance(error, InputError) and not isinstance(error, UnfinishedError)
        if cannot_be or not (made / _LOOKED).exists():
            clear(made)
        for empty in (made, folder):
            with contextlib.suppress(OSError):  # it is not
                empty.rmdir()
        raise
    write_about(folder, {'path': str(path), 'identity': ''})  # of neither, should this process die here
    for old in [*(folder / name for name in _ALL - {ANSWER}), *faces(folder)]:
        _remove(old)
    for hidden in [*made.rglob('.*')]:  # `.looked`, and temporary files of processes that were killed
        _remove(hidden)
    for new in sorted(made.iterdir(), key=lambda new: new.name == ANSWER):
        new.replace(folder / new.name)
    made.rmdir()


def write_about(folder: pathlib.Path, about: Mapping[str, Any]) -> None:
    """Writes answer.json."""
    with files.replacing(folder / ANSWER) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + '\n', encoding='utf-8')


def looked(made: pathlib.Path, of: str) -> bool:
    """Whether what the data stage leaves of something is there."""
    return (made / _LOOKED).exists() and read(made / _LOOKED).decode() == of


def write_looked(made: pathlib.Path, of: str) -> None:
    """Says that what the data stage leaves of something is there."""
    with files.replacing(made / _LOOKED) as temporary:
        temporary.write_text(of, encoding='utf-8')


def clear(made: pathlib.Path) -> None:
    """Removes what was being made, but not what the data stage can go on with."""
    for each in made.iterdir() if made.is_dir() else ():
        if each.name != _SIGNAL:
            _remove(each)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
