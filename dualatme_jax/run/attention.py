"""Where the networks of a run looked: attention.npz in its workdir, made at its end or from what it kept.

Shown are clips that most seeds get wrong. Each is read by the network of the first seed that was trained
without the clip's fold, of the last epoch and of the sweep's reference point; as at test, but for mirror
images. Of a run that evaluates networks from elsewhere it is the one that scores the clip.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from rich.console import Console

from dualatme_jax import files, models, schema
from dualatme_jax.data import splits
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError, one_line
from dualatme_jax.machines import host_memory
from dualatme_jax.report import attention as report
from dualatme_jax.report import predictions
from dualatme_jax.report.attention import CBAM, GRAD_CAM, NO_CLASS, Attention, View
from dualatme_jax.run import collect, encodings, evaluated, network, stages, trained
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.programs import Program, make_programs
from dualatme_jax.run.sweep import Point
from dualatme_jax.training import attention, scaling, trials
from dualatme_jax.training.memory import amount
from dualatme_jax.training.state import examples_last

Clip = tuple[str, str, str]  # database, subject and name


@dataclasses.dataclass(frozen=True)
class Source:
    """What the networks of a run are found in.

    Attributes:
      program: that of the reference point.
      stored: its clips as they lie in the dataset, before a stage or an encoding.
      table: the trials of the reference point, with their waves.
      predictions: those of these trials, of the last epoch.
      every_trial: the whole table of trials.
      kept: what the waves left.
    """

    program: Program
    stored: Dataset
    table: pd.DataFrame
    predictions: pd.DataFrame
    every_trial: pd.DataFrame
    kept: Kept

    @classmethod
    def of(
        cls,
        point: Point,
        programs: Sequence[Program],
        stored: Mapping[int, Dataset],
        table: pd.DataFrame,
        tables: Mapping[str, pd.DataFrame],
        kept: Kept,
    ) -> 'Source':
        """That of one point, with all of a run; raises InputError where it has no predictions."""
        own = table[table['point'] == point.number]
        predicted = tables.get(workdir_lib.PREDICTIONS, pd.DataFrame({'trial': []}))
        predicted = predicted[predicted['trial'].isin(own['trial'])]
        if predicted.empty:
            raise InputError('no seed is whole, so there are no predictions to show')
        program = next(program for program in programs if program.number == point.program)
        return cls(program, stored[point.program], own, predicted, table, kept)


def why_none(config: ConfigDict) -> str:
    """Why a run has no maps, in a sentence; empty of one that may have some."""
    system = models.system(config.model.name)
    if not config.report.attention:
        return 'Where the networks looked is not shown: config.report.attention is False.'
    if config.report.leaderboard:
        return 'Where the networks looked is shown by the run of a single system, not by a leaderboard.'
    if system.fitting:
        return f'{system.title} is {system.fitting.how}: it has no maps that show where it looked.'
    if not system.last_maps_of(models.build(classes=len(schema.LABELS), **config.model)):
        return f'Where {system.title} looked is not known: its record names no `last_maps`.'
    if config.folds == splits.ALL:
        return 'Where the networks looked is not shown: nobody was left out, so they have seen every clip.'
    if not (config.checkpoint.keep_weights or config.evaluate_only):
        return (
            'Where the networks looked is not shown: their weights were not kept '
            '(config.checkpoint.keep_weights=False).'
        )
    return ''


def at_end(
    make_source: Callable[[], Source],
    config: ConfigDict,
    folder: pathlib.Path,
    console: Console,
    *,
    anew: bool,
) -> str:
    """Writes the maps of a run that has ended. Returns what there is, or why there is none, in a sentence.

    It never fails: a run does not end badly because nobody sees where its networks looked.

    Args:
      make_source: makes what the maps are computed from, if they can be.
      config: of the reference point.
      folder: the workdir.
      console: where it is said if they cannot be made.
      anew: whether maps that lie there are of other networks.
    """
    path = folder / report.FILE
    try:
        if anew:
            path.unlink(missing_ok=True)
        if reason := why_none(config):
            return reason
        if jax.process_count() > 1:
            return 'Where the networks looked is shown by `python -m dualatme_jax.attention` on the workdir.'
        if not path.exists():
            report.write(of_source(make_source()), path)
    except Exception as error:
        told = one_line(error) if isinstance(error, InputError) else f'{type(error).__name__}: {error}'
        failed = f'Where the networks looked cannot be shown: {told}'
        console.print(failed, soft_wrap=True)
        return failed
    return f'Where the networks looked is in {report.FILE}.'


def make(workdir: str | os.PathLike, console: Console | None = None) -> str:
    """Writes the maps of a finished run, from its weights and its dataset, unless they are there.

    Returns:
      What there is, or why there is none, in a sentence.

    Raises:
      InputError: the folder is no workdir.
    """
    folder, console = files.expanded(workdir, 'the workdir'), console or Console(quiet=True)
    own = sweep_lib.points(opened(folder)[1]).reference.config
    return at_end(lambda: source_of(folder, console), own, folder, console, anew=False)


def of_workdir(
    workdir: str | os.PathLike, clips: Sequence[Clip] | None = None, console: Console | None = None
) -> Attention:
    """Where the networks of a finished run looked in some of its clips; nothing is written.

    Args:
      workdir: of a run that kept its weights, and whose dataset is where it was.
      clips: (database, subject, name) of each; None: those of attention.npz.
      console: where frozen stages show their progress.

    Raises:
      InputError: the folder is no workdir, there are no maps, or no such clips.
    """
    folder = files.expanded(workdir, 'the workdir')
    if reason := why_none(sweep_lib.points(opened(folder)[1]).reference.config):
        raise InputError(f'{folder}: {reason}')
    return of_source(source_of(folder, console or Console(quiet=True)), clips)


def opened(folder: pathlib.Path) -> tuple[pd.DataFrame, ConfigDict, Mapping[str, Any]]:
    """The table of trials, the config and the identity of a run; fields that older versions lack are filled.

    Raises:
      InputError: the folder is no workdir.
    """
    table, found = trained.read(folder)
    identity = {key: found.pop(key) for key in found.keys() & workdir_lib.IDENTITY}
    found['report'] = {'attention': True} | dict(found.get('report') or {})
    return table, network.config_of(found), identity


def source_of(folder: pathlib.Path, console: Console) -> Source:
    """What the networks of a finished run are found in; its dataset is loaded again.

    Raises:
      InputError: the folder is no workdir; the dataset is not there or another one, as the file of a system
        of one's own may be; or the predictions cannot be read.
    """
    from dualatme_jax.run import experiment  # which calls `at_end`

    table, config, identity = opened(folder)
    reference = sweep_lib.points(config).reference
    own = reference.config.copy_and_resolve_references().unlock()
    own.sweep = ()
    name = own.model.name
    if models.code_of(name) != identity.get('code', {}).get(name):
        raise InputError(
            f'the file of {name} was changed after this run, or is another one; expected it as it was'
        )
    swept = sweep_lib.points(own.lock())
    stored = experiment.load_datasets(swept, {})
    if not config.sweep and experiment.fingerprint(swept, stored) != identity.get('dataset'):
        raise InputError(
            f'{own.data.path} holds other clips than those of this run; expected the dataset as it was'
        )
    datasets, _ = stages.applied(swept, stored, console, {})
    programs = make_programs(swept, encodings.applied(swept, datasets, console, {}), {})
    tables = {workdir_lib.PREDICTIONS: collect.read(folder / workdir_lib.PREDICTIONS)}
    point = dataclasses.replace(swept.reference, number=reference.number)
    return Source.of(point, programs, stored, table, tables, Kept(folder))


def of_source(source: Source, clips: Sequence[Clip] | None = None) -> Attention:
    """Where the networks looked in some clips, see `of_workdir`."""
    shown = report.chosen(source.predictions) if clips is None else _named(source.predictions, clips)
    config, dataset = source.program.config, source.program.dataset
    system = models.system(config.model.name)
    built = models.build(classes=len(dataset.labels), **config.model)
    last_maps = system.last_maps_of(built)
    look = attention.compiled(built, last_maps, source.program.training.prepare)
    scale = scaling.of_clips(dataset, config.input.scale)
    places = _places(source, shown)
    rows = source.table.set_index('trial').to_dict('index')
    found: dict[int, Any] = {}
    for trial, variables in _networks(source, shown['trial'].unique()):
        fold = trials.fold_of(rows[trial], dataset)
        for clip in np.flatnonzero(shown['trial'] == trial):
            place = places[clip]
            if not fold.held_out[place]:
                raise InputError(
                    f'trial {trial} has seen a clip that {workdir_lib.PREDICTIONS} says it predicts'
                )
            labels = shown.loc[clip, ['prediction', schema.LABEL]].to_numpy(np.int32)
            inputs = {key: examples_last(array[[place]]) for key, array in dataset.inputs.items()}
            found[clip] = jax.device_get(look(variables, inputs, scale(fold.train) if scale else {}, labels))
    views = []
    for number, last in enumerate(last_maps):
        views += _views(last, number, shown, found, source.stored)
    pictures = {
        key: _pictures(source.stored.inputs[key], places) for key in {each.picture for each in last_maps}
    }
    return Attention(
        system.title,
        tuple(dataset.labels),
        shown,
        {key: pictures[key] for key in sorted(pictures) if pictures[key] is not None},
        tuple(views),
    )


def _named(predicted: pd.DataFrame, clips: Sequence[Clip]) -> pd.DataFrame:
    """The rows of some clips as `report.chosen` has them."""
    names = pd.MultiIndex.from_frame(predicted[predictions.CLIP_KEY])
    if unknown := [clip for clip in clips if tuple(clip) not in names]:
        raise InputError(
            f'the run predicts no clip {"/".join(unknown[0])}; expected clips of its predictions'
        )
    return report.rows(predicted, predicted[names.isin([tuple(clip) for clip in clips])])


def _places(source: Source, shown: pd.DataFrame) -> np.ndarray:
    """Where clips lie in the dataset; raises InputError where it lacks one, or has another label for it."""
    stored = source.stored
    names = pd.MultiIndex.from_arrays([stored.database, stored.subject, stored.clip])
    found = names.get_indexer(pd.MultiIndex.from_frame(shown[predictions.CLIP_KEY]))
    for clip, place in enumerate(found):
        if place < 0 or stored.label[place] != shown.loc[clip, schema.LABEL]:
            name = '/'.join(shown.loc[clip, predictions.CLIP_KEY])
            raise InputError(
                f'the dataset has no clip {name} of the class that {workdir_lib.PREDICTIONS} has'
            )
    return found


def _networks(source: Source, wanted: Sequence[int]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The variables of some trials, wave by wave."""
    if source.program.config.evaluate_only:
        given, places = evaluated.given_weights(source.program, source.table)
        for trial, place in zip(source.table['trial'], places, strict=True):
            if trial in wanted:
                yield trial, jax.tree.map(lambda leaf, place=place: leaf[place], dict(given.variables))
        return
    for wave, rows in source.table[source.table['trial'].isin(wanted)].groupby('wave'):
        weights = source.kept.wave(wave) / workdir_lib.WEIGHTS
        size = sum(file.stat().st_size for file in weights.rglob('*'))
        if 2 * size > host_memory.free():
            raise InputError(f'{weights} has {amount(size)}, for which the memory has no room twice')
        variables = source.kept.variables(source.every_trial, rows['trial'])
        for number, trial in enumerate(rows['trial']):
            yield trial, jax.tree.map(lambda leaf, number=number: leaf[number], variables)


def _views(
    last: Any, number: int, shown: pd.DataFrame, found: Mapping[int, Any], stored: Dataset
) -> list[View]:
    """Those of one of the network's last maps: Grad-CAM for predicted and true class, and its gate."""

    def view(method: str, rows: Sequence[tuple[int, int, np.ndarray]]) -> View:
        clips, labels, maps = zip(*rows, strict=True)
        maps = np.stack(maps).astype(np.float32)
        if last.onto:
            maps = last.onto(maps, stored.inputs[last.picture].shape[-2])
        return View(method, last.branch, last.picture, maps, np.array(clips), np.array(labels))

    grad_cam = [
        (clip, int(row[name]), found[clip][0][number][place])
        for clip, row in shown.iterrows()
        for place, name in enumerate(('prediction', schema.LABEL))
        if place == 0 or row['prediction'] != row[schema.LABEL]
    ]
    gates = [(clip, NO_CLASS, found[clip][1][number]) for clip in shown.index] if last.gate else []
    return [view(GRAD_CAM, grad_cam), *([view(CBAM, gates)] if gates else [])]


def _pictures(stored: np.ndarray, places: np.ndarray) -> np.ndarray | None:
    """[N, H, W, C] of some clips, of frames the middle one; None where the input is no picture."""
    if stored.ndim == 5:
        stored = stored[:, stored.shape[1] // 2]
    return stored[places] if stored.ndim == 4 else None
