"""Videos of anybody: the data stage finds what happens, in a process of its own; networks say what it is.

OUT/NAME/events.csv    what happened when, what the networks say of it, and how sure they are
OUT/NAME/...           what the data stage leaves, see `data_prep.video`
"""

import dataclasses
import io
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from dualatme_jax import files, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.run import predicting
from dualatme_jax.run.predicting import Ensemble

EVENTS, INPUTS, RECIPE, ABOUT = 'events.csv', 'inputs.npz', 'inputs.json', 'video.json'
_MOST_BYTES = 2**30  # of what the data stage leaves


@dataclasses.dataclass(frozen=True)
class Answer:
    """What was found in one video.

    Attributes:
      path: of the video.
      folder: where all of it is.
      events: one row per event, see `data_prep.video.events`; of expressions `class`, the probability of each
        class, and `spread`, the standard deviation over the networks of that of the class.
      about: what the data stage says of the whole video.
      labels: the classes.
    """

    path: pathlib.Path
    folder: pathlib.Path
    events: pd.DataFrame
    about: dict[str, Any]
    labels: tuple[str, ...]


def answer(
    path: pathlib.Path, folder: pathlib.Path, found: Ensemble, options: Sequence[str], console: Console
) -> Answer:
    """Finds what happens in a video, and says what it is.

    Args:
      path: a video, or a folder of images.
      folder: of what is found, which is made.
      found: the networks.
      options: of `python -m data_prep video` beside those of the views.
      console: where progress is shown.

    Raises:
      InputError: the video cannot be read, holds no face, or what the networks read cannot be made of it.
    """
    views = schema.views_of(found.reads)
    _data_stage(['video', str(path), '--out', str(folder), *options, '--view', *views])
    events = pd.read_csv(io.BytesIO(_read(folder / EVENTS)), keep_default_na=False)
    about = json.loads(_read(folder / ABOUT))
    dataset, numbers = clips(folder, found)
    for label in found.labels:
        events[schema.PROBABILITY + label] = np.nan
    events = events.assign(**{'class': '', 'spread': np.nan})
    if len(numbers):
        chances = predicting.probabilities(found, dataset, console)
        mean = chances.mean(0)
        best = mean.argmax(-1)
        for place, number in enumerate(numbers):
            events.loc[number, 'class'] = found.labels[best[place]]
            events.loc[number, 'spread'] = float(chances[:, place, best[place]].std())
            for label, value in zip(found.labels, mean[place], strict=True):
                events.loc[number, schema.PROBABILITY + label] = float(value)
    with files.replacing(folder / EVENTS) as temporary:
        events.round(4).to_csv(temporary, index=False, lineterminator='\n')
    return Answer(path, folder, events, about, found.labels)


def clips(folder: pathlib.Path, found: Ensemble) -> tuple[Dataset, list[int]]:
    """The expressions that the data stage has made ready, and the number of each among all events.

    Raises:
      InputError: it has left something else.
    """
    try:
        with np.load(io.BytesIO(_read(folder / INPUTS)), allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        numbers = arrays['event'].tolist()
        inputs = {key: _shaped(arrays[key], found, key) for key in found.reads} if numbers else {}
        measures = {key: arrays[key] for key in schema.measures_of(found.reads) if key in arrays}
        recipe = json.loads(_read(folder / RECIPE))
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f'{folder}: {INPUTS} is not what the data stage writes ({error})') from error
    count = len(numbers)
    return Dataset(
        inputs=inputs,
        label=np.zeros(count, np.int32),  # which nobody knows, and nothing looks at
        database=np.array([schema.UNKNOWN_TEXT] * count),
        subject=np.array([folder.name] * count),
        clip=np.array([str(number) for number in numbers]),
        labels=found.labels,
        metadata=recipe,
        measures=measures,
    ), numbers


def _shaped(array: np.ndarray, found: Ensemble, key: str) -> np.ndarray:
    """Clips with an axis for channels, which grey pictures lack."""
    return array[..., None] if len(schema.CHANNELS.get(key, ())) == 1 and array.ndim == 3 else array


def _read(path: pathlib.Path) -> bytes:
    return files.read_bytes(path, limit=_MOST_BYTES, what='what the data stage found')


def _data_stage(arguments: Sequence[str]) -> None:
    """Runs a command of the data stage; raises InputError with what it says where it fails."""
    command = [sys.executable, '-m', 'data_prep', *arguments]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise InputError(lines[-1].removeprefix('error: ') if lines else f'the data stage ended: {command}')
