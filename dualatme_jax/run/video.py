"""Videos of anybody: the data stage finds what happens, in a process of its own; networks say what it is.

OUT/NAME/events.csv    what happened when, what the networks say of it, and how sure they are
OUT/NAME/report.html   the same to look at, see `report.answer_page`
OUT/NAME/video.mp4     the video with it drawn in
OUT/NAME/frames/       pictures of each expression
OUT/NAME/answer.json   how it was found, see `answer_folder`
OUT/NAME/...           what else the data stage leaves, see `data_prep.video`

Where every face has an answer, all this lies in OUT/NAME/face_1/, face_2/ and so on, and OUT/NAME/ has the
events of all, with their face, and a page about all.
"""

import dataclasses
import functools
import hashlib
import io
import json
import pathlib
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console

from dualatme_jax import files, schema
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.data import storage
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import answer_page, rates
from dualatme_jax.report.pictures import of_expression
from dualatme_jax.run import answer_folder, predicting, progress, provenance
from dualatme_jax.run.predicting import Ensemble, Looked

LEFT_OUT = 'left_out'  # in the recipe: number of an event -> why it could not be made ready
_PROGRESS = 'progress: '  # what a line of the data stage begins with that says how far it is
# Of these packages an answer depends on the version, or on whether they are there at all, as detectors are.
_PACKAGES = (*provenance.VERSIONS, *schema.LOOKING)
# What stands in the answer.json of a face, and not in that of all.
_OF_ONE_FACE = ('face', 'seconds_of_face', 'middle', 'flags', 'threshold_px', 'noise_px')
_DRAWN = 'networks trained on drawn clips'  # all or some, as a flag
_SLOWER = 0.9  # of the least frame rate in training: below, a clip has fewer frames of the same motion

# Inputs that are cut from parts of the face, over which a map does not lie as over the face.
_CUT = (schema.FLOW_PUZZLED, schema.CROP_FRAMES)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What was found of one face in a video, or in a dataset.

    Attributes:
      path: of the video.
      folder: where all of it is.
      events: one row per event, see `data_prep.video.events`; of expressions `class`, the most probable one;
        `answer`, the same or that nobody can tell; the probability of each class; `spread`, the standard
        deviation over the networks of that of the class; `right`, `right_low` and `right_high`, which share
        of such answers was right, with its interval.
      about: answer.json: how it was found, and what makes it uncertain.
      before: whether it was there already.
    """

    path: pathlib.Path
    folder: pathlib.Path
    events: pd.DataFrame
    about: Mapping[str, Any]
    before: bool = False


def answer(
    path: pathlib.Path,
    folder: pathlib.Path,
    found: Ensemble,
    options: Sequence[str],
    console: Console,
    *,
    film: bool = True,
) -> list[Answer]:
    """Finds what happens in a video, and says what it is; one that is answered is not looked at again.

    Args:
      path: a video, a folder of images, or a dataset of the view that the networks read.
      folder: of what is found, which is made.
      found: the networks.
      options: of `python -m data_prep video` beside those of the views.
      console: where progress is shown.
      film: whether the annotated video is made.

    Returns:
      One; or one per face, if the options ask for all.

    Raises:
      InputError: the video cannot be read, holds no face, or what the networks read cannot be made of it; or
        the folder holds the answer of another one, or what is no answer.
    """
    began = time.monotonic()
    content = _content(path, folder, options)
    identity = _digest(str(path), content, list(options), found.checksum, film)
    before = bool(answer_folder.whole(folder, path, identity))
    if not before:
        with answer_folder.making(folder, path) as made:
            command = _look(path, content, made, found, options, console)
            places = answer_folder.faces(made) or [made]
            for own in places:
                if is_dataset(path):
                    about = _of_dataset(path, own, found, console)
                else:
                    about = _of_face(own, found, console, film=film)
                    shown = [each.replace(str(made), str(folder)) for each in command]
                    about['data_command'] = shlex.join(['python', '-m', 'data_prep', *shown])
                about |= _provenance(path, identity, found, about)
                about['seconds'] = time.monotonic() - began
                if own != made:
                    about['face'] = int(own.name.removeprefix(answer_folder.FACE))
                answer_page.write(own, about)
                answer_folder.write_about(own, about)
            if made not in places:
                _of_all_faces(places, made)
    places = answer_folder.faces(folder) or [folder]
    return [Answer(path, own, _events(own), _about(own), before) for own in places]


def _provenance(path: pathlib.Path, identity: str, found: Ensemble, own: Mapping[str, Any]) -> dict[str, Any]:
    """What answer.json says of the networks, and of how an answer came to be; `own` is what it says else."""
    slower = _slower(found, own['frame_rates'])
    return {
        'identity': identity,
        'name': path.name,
        'path': str(path),
        'labels': list(found.labels),
        'networks': found.name,
        'weights': found.checksum,
        'rates': found.rates.to_json() if found.rates else None,
        'sentences': {label: found.rates.sentence(place) for place, label in enumerate(found.labels)}
        if found.rates
        else {},
        'differences': [*differences(found, own['recipe']), *slower],
        'flags': [
            *own.get('flags', ()),
            *filter(None, [own.get('note')]),  # how to have better landmarks
            *(f'{here} frames a second, and {there} in training' for _, there, here in slower),
            *([_DRAWN] if schema.is_synthetic(found.dataset) else []),
            *(f'how often answers were right: {mark}' for mark in found.marks if found.rates),
        ],
        'command': shlex.join(['python', *sys.orig_argv[1:]]),
        'versions': files.installed(provenance.VERSIONS),
    }


def _of_dataset(
    path: pathlib.Path, folder: pathlib.Path, found: Ensemble, console: Console
) -> dict[str, Any]:
    """Writes what the networks say of the clips of a dataset; returns what is said of all of it."""
    dataset = dataset_lib.load(path, reads=found.reads, labelled=False)
    names = (schema.DATABASE, schema.SUBJECT, schema.CLIP)
    events = pd.DataFrame({name: getattr(dataset, name) for name in names}).assign(expression=True)
    events, _ = _answered(events, dataset, range(dataset.size), found, console)
    _write(events, folder)
    return {'unit': 'clips', 'recipe': dict(dataset.metadata), 'frame_rates': dataset.frame_rates}


def _of_face(folder: pathlib.Path, found: Ensemble, console: Console, *, film: bool) -> dict[str, Any]:
    """Writes what the networks say of what the data stage has left of a face; returns what is said of all."""
    about = json.loads(answer_folder.read(folder / answer_folder.ABOUT))
    content = answer_folder.read(folder / answer_page.SIGNALS)
    signals = pd.read_csv(io.BytesIO(content), usecols=['seconds', 'face'])
    dataset, numbers, left_out = clips(folder, found)
    own = _events(folder).loc[:, :'flags']  # which may be answered already, by other networks
    events, answers = _answered(_flagged(own, left_out), dataset, numbers, found, console)
    _write(events, folder)
    looked = predicting.looked(found, dataset, answers, console) if numbers else []
    for place, number in enumerate(numbers):
        _pictures(folder / answer_page.FRAMES / str(number), place, looked, dataset)
    if film:
        try:
            _data_stage(['annotate', str(folder)], pathlib.Path(about['path']).name, console)
        except InputError as error:  # such as a full disk
            raise answer_folder.UnfinishedError(str(error)) from error
    times = signals['seconds'].to_numpy()
    return about | {
        'seconds_of_video': float(times[-1]) if len(times) else 0.0,
        'seconds_of_face': float(np.gradient(times) @ signals['face']) if len(times) > 1 else 0.0,
        'recipe': dict(dataset.metadata),
        'frame_rates': [(len(times) - 1) / np.ptp(times)] * 2,
    }


def _of_all_faces(places: Sequence[pathlib.Path], made: pathlib.Path) -> None:
    """Writes what is said of all faces together, from what is said of each."""
    abouts = [_about(own) for own in places]
    tables = {about['face']: _events(own) for own, about in zip(places, abouts, strict=True)}
    events = pd.concat(tables, names=['face', 'number']).sort_values(['onset', 'face'], kind='stable')
    _write(events.reset_index(), made)
    about = {name: value for name, value in abouts[-1].items() if name not in _OF_ONE_FACE}
    about |= {answer_folder.FACES: len(places)}
    answer_page.write_faces(made, about, dict(zip(places, abouts, strict=True)))
    answer_folder.write_about(made, about)


def is_dataset(path: pathlib.Path) -> bool:
    """Whether a folder holds a dataset, as `data_prep build` writes it."""
    return any(
        (path / storage.INFO).is_file() or any(path.glob(f'{sub}/{storage.INFO}')) for sub in ('*', '*/*')
    )


def differences(found: Ensemble, made: Mapping[str, Any]) -> list[list[str]]:
    """How clips are made otherwise than those that networks were trained on: what, in training, here."""
    wanted = {
        key
        for key in ('flow', 'flow_steps', 'faces', 'frames', 'face_parts', 'lbp_top', 'bi_woof')
        if key in made
    }
    if schema.FLOW_PUZZLED in found.reads:
        wanted |= {'flow_puzzled', 'regions'}
    before, now = ({key: recipe[key] for key in wanted if key in recipe} for recipe in (found.dataset, made))
    return [[name, _shown(one), _shown(other)] for name, one, other in _differing('', before, now)]


def _slower(found: Ensemble, rates: Sequence[float] | None) -> list[list[str]]:
    """The frame rate, as a difference, where clips have fewer frames a second than all of the training's."""
    if not rates or not found.frame_rates or rates[0] > _SLOWER * found.frame_rates[0]:
        return []
    shown = [
        ' to '.join(dict.fromkeys(f'{rate:.4g}' for rate in each)) for each in (found.frame_rates, rates)
    ]
    return [['frames a second', *shown]]


def _differing(name: str, one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    """The leaves of two recipes that differ; of what only one has, the whole."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return [
            each
            for key in sorted({*one, *other})
            for each in _differing(f'{name}.{key}'.strip('.'), one.get(key), other.get(key))
        ]
    return [] if one == other else [(name, one, other)]


def _shown(value: Any) -> str:
    return 'not said' if value is None else value if isinstance(value, str) else json.dumps(value)


def _look(
    path: pathlib.Path,
    content: Sequence[Any],
    made: pathlib.Path,
    found: Ensemble,
    options: Sequence[str],
    console: Console,
) -> list[str]:
    """Runs the data stage on a video of some content, unless that is done; returns its command.

    Of a dataset there is none.
    """
    if is_dataset(path):
        answer_folder.clear(made)
        return []
    if own := [key for key in found.reads if schema.view_of(key) in (None, schema.WINDOWS)]:
        raise InputError(
            f'the networks read {", ".join(own)}, which no view makes from a video; give other --weights'
        )
    like = {'recipe': dict(found.dataset), 'inputs': {key: dict(form) for key, form in found.inputs.items()}}
    command = ['video', str(path), '--out', str(made), *options]
    command += ['--view', *schema.views_of(found.reads), '--like', str(made / answer_folder.LIKE)]
    if not answer_folder.looked(made, of := _digest(command, like, content)):
        answer_folder.clear(made)
        with files.replacing(made / answer_folder.LIKE) as temporary:
            temporary.write_text(json.dumps(like) + '\n', encoding='utf-8')
        _data_stage(command, path.name, console)
        answer_folder.write_looked(made, of)
    return command


def _answered(
    events: pd.DataFrame, dataset: Dataset, numbers: Sequence[int], found: Ensemble, console: Console
) -> tuple[pd.DataFrame, np.ndarray]:
    """The events with what the networks say of them, and the most probable class of each clip."""
    columns: dict[str, Any] = dict.fromkeys(map(schema.PROBABILITY.__add__, found.labels), np.nan)
    columns |= {'class': '', 'answer': '', 'spread': np.nan}
    columns |= dict.fromkeys(('right', 'right_low', 'right_high'), np.nan)
    events = events.assign(**columns)
    events.loc[events['expression'].astype(bool), 'answer'] = rates.CANNOT_TELL
    if not numbers:
        return events, np.zeros(0, int)
    known = found.rates
    with console.status('asking the networks'):
        raw = predicting.probabilities(found, dataset, console)
    may = predicting.answering(found, dataset)
    mean, each = raw.mean(0, where=may[..., None]), raw
    if known:
        mean, each = (rates.calibrated(chances, known.temperature) for chances in (mean, raw))
    best = mean.argmax(-1)
    given = rates.answers(mean, known.least if known else rates.LEAST)
    for place, number in enumerate(numbers):
        label = best[place]
        row: dict[str, Any] = {
            schema.PROBABILITY + name: float(p) for name, p in zip(found.labels, mean[place], strict=True)
        }
        own = each[may[:, place], place, label]
        row |= {'class': found.labels[label], 'spread': float(own.std()) if len(own) > 1 else np.nan}
        if given[place] >= 0:
            row['answer'] = found.labels[label]
            if known and rates.counts(events.get('kind', {}).get(number, ''), known.counted_on):
                low, high = known.intervals[label]
                row |= {'right': float(known.right[label]), 'right_low': low, 'right_high': high}
        events.loc[number, list(row)] = list(row.values())
    return events, best


def _pictures(folder: pathlib.Path, place: int, looked: Sequence[Looked], dataset: Dataset) -> None:
    """Writes motion, strain and where networks looked, beside what the data stage has left."""
    if not folder.is_dir():
        return
    made = {}
    if (folder / 'motion.npz').exists():
        with np.load(io.BytesIO(answer_folder.read(folder / 'motion.npz')), allow_pickle=False) as stored:
            motion = stored['motion']
        made |= {'flow': of_expression.wheel(motion), 'strain': of_expression.strain(motion)}
    for number, view in enumerate(looked):
        picture = Image.open(io.BytesIO(answer_folder.read(folder / 'apex.png'))).convert('RGB')
        if view.picture in _CUT:
            picture = _as_picture(dataset.inputs[view.picture][place], picture.size)
        name = 'attention' if number == 0 else f'attention_{number + 1}'
        made[name] = of_expression.looked(np.asarray(picture) / 255, view.maps[place])
    for name, content in made.items():
        with files.replacing(folder / f'{name}.png') as temporary:
            temporary.write_bytes(content)


def _as_picture(stored: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """What networks read of a clip, grey: of frames the middle one, of motion its last channel."""
    stored = stored[len(stored) // 2] if stored.ndim == 4 else stored
    grey = np.abs(np.asarray(stored[..., -1], float))
    grey = 255 * (grey - grey.min()) / max(float(np.ptp(grey)), 1e-6)
    return Image.fromarray(np.uint8(grey)).resize(size).convert('RGB')


def _content(path: pathlib.Path, folder: pathlib.Path, options: Sequence[str]) -> list[Any]:
    """What distinguishes a video, without its answer, and files that options name from any others."""
    if path.is_dir():
        content = [
            (str(each.relative_to(path)), each.stat().st_size, each.stat().st_mtime_ns)
            for each in sorted(path.rglob('*'))
            if folder not in each.parents and each.is_file()
        ]
    else:
        content = files.sha256(path, 'video') if path.exists() else ''
    return [content, *(files.sha256(each, 'landmarks') for each in options if pathlib.Path(each).is_file())]


def _digest(*decides: Any) -> str:
    """Of JSON values that decide an answer, with the code and the packages that do."""
    return hashlib.sha256(json.dumps([_software(), *decides]).encode()).hexdigest()


@functools.cache
def _software() -> list[Any]:
    return [files.code('dualatme_jax', 'data_prep'), files.installed(_PACKAGES)]


def _about(folder: pathlib.Path) -> dict[str, Any]:
    return json.loads(answer_folder.read(folder / answer_folder.ANSWER))


def _events(folder: pathlib.Path) -> pd.DataFrame:
    words = dict.fromkeys(
        ('class', 'answer', 'flags', 'kind', schema.DATABASE, schema.SUBJECT, schema.CLIP), str
    )
    return pd.read_csv(io.BytesIO(answer_folder.read(folder / answer_page.EVENTS)), dtype=words).fillna(
        dict.fromkeys(words, '')
    )


def _write(events: pd.DataFrame, folder: pathlib.Path) -> None:
    with files.replacing(folder / answer_page.EVENTS) as temporary:
        events.round(4).to_csv(temporary, index=False, lineterminator='\n')


def _flagged(events: pd.DataFrame, left_out: Mapping[int, str]) -> pd.DataFrame:
    """The events, each of which says why it could not be made ready; those that say so already are left."""
    reasons = pd.Series(left_out, dtype=str).reindex(events.index, fill_value='')
    return events.assign(
        flags=[
            flags if reason in flags else '; '.join(filter(None, (flags, reason)))
            for flags, reason in zip(events['flags'], reasons, strict=True)
        ]
    )


def clips(folder: pathlib.Path, found: Ensemble) -> tuple[Dataset, list[int], dict[int, str]]:
    """The expressions that the data stage has made ready, and the number of each among all events.

    The third is why the others could not be, by their number.

    Raises:
      InputError: it has left something else.
    """
    try:
        with np.load(
            io.BytesIO(answer_folder.read(folder / answer_folder.INPUTS)), allow_pickle=False
        ) as stored:
            arrays = {key: stored[key] for key in stored.files}
        numbers = arrays['event'].tolist()
        inputs = {key: _shaped(arrays[key], key) for key in found.reads} if numbers else {}
        measures = {key: arrays[key] for key in schema.measures_of(found.reads) if key in arrays}
        recipe = json.loads(answer_folder.read(folder / answer_folder.RECIPE))
        left_out = {int(number): str(reason) for number, reason in recipe.pop(LEFT_OUT).items()}
    except (ValueError, KeyError, OSError, AttributeError) as error:
        raise InputError(
            f'{folder}: {answer_folder.INPUTS} is not what the data stage writes ({error})'
        ) from error
    count = len(numbers)
    return (
        Dataset(
            inputs=inputs,
            label=np.zeros(count, np.int32),  # which nobody knows, and nothing looks at
            database=np.array([schema.UNKNOWN_TEXT] * count),
            subject=np.array([folder.name] * count),
            clip=np.array([str(number) for number in numbers]),
            labels=found.labels,
            metadata=recipe,
            measures=measures,
        ),
        numbers,
        left_out,
    )


def _shaped(array: np.ndarray, key: str) -> np.ndarray:
    """Clips with an axis for channels, which grey pictures lack."""
    return array[..., None] if len(schema.CHANNELS.get(key, ())) == 1 and array.ndim == 3 else array


def _data_stage(arguments: Sequence[str], name: str, console: Console) -> None:
    """Runs a command of the data stage for a video, and shows how far each of its stages is.

    Raises:
      InputError: with what it says where it fails.
    """
    command = [sys.executable, '-m', 'data_prep', *arguments, '--progress-lines']
    fault = ''
    with (
        progress.stages(console, name) as said,
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process,
    ):
        try:
            for line in process.stderr:
                if line.startswith(_PROGRESS):
                    now = json.loads(line.removeprefix(_PROGRESS))
                    said(now['stage'], now['done'], now['total'])
                elif line.startswith('error: '):
                    fault = line.strip().removeprefix('error: ')
                else:
                    print(line, end='', file=sys.stderr, flush=True)
        except BaseException:  # a stop: two of them must not write into one folder
            process.kill()
            raise
    if process.returncode:
        raise InputError(fault or f'the data stage ended with status {process.returncode}: {command}')
