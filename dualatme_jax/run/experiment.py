"""One run, from config to report. Read top to bottom."""

import argparse
import contextlib
import gc
import hashlib
import json
import math
import os
import pathlib
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import pandas as pd
from ml_collections import ConfigDict
from rich.console import Console

from dualatme_jax import files, models, schema
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.data import several, splits, storage
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError, of_system, one_line
from dualatme_jax.machines import processes
from dualatme_jax.report import curves as curves_lib
from dualatme_jax.report import results
from dualatme_jax.report.selection import NESTED
from dualatme_jax.run import (
    as_published,
    attention,
    collect,
    encodings,
    evaluated,
    growth,
    init_from,
    losses,
    mlflow_tracker,
    model_section,
    network,
    provenance,
    settings,
    smoke,
    sources,
    stages,
    waves,
)
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.finished import Run
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.programs import (
    Program,
    epochs_of,
    hyperparameters,
    make_programs,
    without_difference,
)
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training import devices, scaling, trials
from dualatme_jax.training.step import DRAWS
from dualatme_jax.weights import folds

MOST_ROWS = 20_000_000  # predictions in one table: about 3 GB


def run(
    config: ConfigDict,
    workdir: str | os.PathLike | None = None,
    console: Console | None = None,
    *,
    dataset: Dataset | None = None,
) -> Run:
    """Trains what of the run is not trained yet, then reports.

    Args:
      config: as a file of `configs/` makes it.
      workdir: where the run is kept; one that holds a part of this run is continued, or grows to it (see
        `growth`), a finished one reported.
        None: no file is written, and the networks stay in memory if config.checkpoint.keep_weights.
      console: where progress and the table of results are shown.
      dataset: the clips, in the place of those that config.data names; None: they are loaded.

    Raises:
      InputError: the config, the dataset or the workdir cannot be used.
    """
    console = console or Console(markup=False, highlight=False, quiet=not processes.is_first())
    swept = settings.check(config)  # as it was given, and as it is used
    if config.smoke or config.evaluate_only or config.as_published:
        config = as_used(config, console)
        swept = settings.check(config)
    for values in swept.repeated:
        console.print(f'the sweep has {sweep_lib.named(values)} twice; it is trained once', soft_wrap=True)
    settings.check_engine(config.engine)
    mlflow_tracker.check(config.report.tracker, workdir)
    for line in [*settings.without_effect(config.engine), *settings.unread(swept)]:
        console.print(line, soft_wrap=True)
    if not_kept := devices.keep_programs(config.engine.cache):
        console.print(not_kept, soft_wrap=True)
    failures: dict[int, str] = {}  # of a leaderboard, why programs cannot be trained
    datasets = load_datasets(swept, failures) if dataset is None else given(dataset, swept)
    home = next(iter(datasets.values()))  # its clips and classes are those of the others too
    labels = home.labels
    for line in several.lines(home):
        console.print(line, soft_wrap=True)
    table = table_of(swept, home)
    stored = datasets
    as_published.check_datasets(config, stored.values())
    leaks = leaks_of(swept, stored)
    for reason in sorted({*leaks.values()} - {''}):
        console.print(reason, soft_wrap=True)
    datasets, staged = stages.applied(swept, stored, console, failures)
    datasets = encodings.applied(swept, datasets, console, failures)
    programs = make_programs(swept, datasets, failures)
    if not programs:  # of a leaderboard; else that is an error before
        raise InputError(next(iter(failures.values())))
    for point, same in without_difference(swept, labels):
        console.print(
            f'{sweep_lib.named(point.values)} trains the same networks as {sweep_lib.named(same.values)}: '
            'what differs is not read there',
            soft_wrap=True,
        )
    check_rows(table, swept, home.size)
    identity = json.loads(swept.config.to_json()) | {'draws': DRAWS} | following(swept, stored, staged)
    identity[sources.TRAINED_ON] = sources.trained_on(home)
    programs, begin = init_from.prepared(config, programs, table)
    if begin:
        identity[sources.START] = begin.about()
        for line in begin.lines:
            console.print(line, soft_wrap=True)
    if dataset is not None:
        identity['data'] |= {'path': None, 'build_synthetic': False, 'databases': None}
    weights = None
    if config.evaluate_only:
        evaluated.check_stages(config, identity.get('stages', ()))
        weights = evaluated.given_weights(programs[0], table)
        identity['weights'] = folds.fingerprint(weights[0])
        begin = init_from.earlier(config.evaluate_only)
        if begin and begin.notice:
            console.print(begin.notice, soft_wrap=True)
    with claimed(workdir, swept, identity, home, stored, staged, console) as folder:
        kept = Kept(folder)
        path = folder and folder / workdir_lib.TRIALS
        begun, reported = there(folder, workdir_lib.TRIALS, workdir_lib.RESULTS)
        trial_table = TrialTable.open(path, table) if begun else TrialTable.create(path, table)
        finished = processes.agreed(reported and is_reported(folder, trial_table))
        processes.check_same(workdir_lib.TRIALS, trial_table.table.to_csv())
        if finished:
            console.print(f'{folder} holds this run, finished; nothing is trained again', soft_wrap=True)
        else:
            left, every = len(trial_table.unfinished), len(trial_table.table)
            if left and folder and processes.is_first():
                provenance.add(folder, swept.config)
            if begun and left < every:
                console.print(f'{every - left} of {every} trials are there; training {left}', soft_wrap=True)
            failures |= train(trial_table, programs, kept, identity, console, weights)
        networks = None
        if config.folds == splits.ALL and folder:
            own = swept.reference.config
            networks = network.save(trial_table.table, own, home, kept, identity)
        if not processes.is_first():
            return Run(processes.agreed(None), trial_table.table, kept)
        dataset = datasets.get(swept.reference.program, home)
        from dualatme_jax.run import finish  # see `plan.import_for_report`

        with finish.made_anew(folder, console):
            collected = collect.collect(trial_table, swept, dataset, kept, console, finished=finished)
            report = finish.report(trial_table, dataset, swept, collected, failures, begin, leaks)
            own = stored.get(swept.reference.program, home)
            report.results |= {'inputs': own.forms, 'frame_rates': own.frame_rates}
            if folder:
                sources_of = (programs, stored, trial_table.table, collected.tables, kept)
                report.results['attention'] = attention.at_end(
                    lambda: attention.Source.of(swept.reference, *sources_of),
                    swept.reference.config,
                    folder,
                    console,
                    anew=not finished,
                )
            report.show(console)
            curves = losses.gathered(trial_table.table, kept, console)
            if folder:
                if curves.trained:
                    curves_lib.write(curves, folder / curves_lib.FILE)
                report.write(folder)
                if trial_table.unfinished.empty:
                    waves.tidy(trial_table, swept, folder)
        if folder:
            finish.write_views(folder, stored.get(swept.reference.program, home), config, console)
        done = 'evaluated' if config.evaluate_only else 'trained'
        where = f'; {finish.place(folder)}' if folder else ''
        where += f', and the networks are in {networks}' if networks else ''
        console.print(f'{done} in {trial_table.seconds:.0f} s{where}', soft_wrap=True)
        complete = trial_table.failed.empty and trial_table.unfinished.empty
        return Run(processes.agreed(complete), trial_table.table, kept, collected.tables, report, curves)


def table_of(swept: Sweep, dataset: Dataset) -> pd.DataFrame:
    """The table of trials of a sweep, see `trials.table`; of a smoke test a few of them."""
    config = swept.config
    table = trials.table(
        dataset,
        seeds=config.seeds,
        points=[
            {
                'program': point.program,
                'subjects': point.config.data.train_subjects,
                'undersample': float(point.config.data.undersample),
            }
            | point.cells
            | hyperparameters(point.config, dataset.labels)
            for point in swept.points
        ],
        folds=config.folds,
        fold_parts=config.fold_parts,
        parts=config.selection.parts if config.selection.name == NESTED else 0,
        allow_missing_class=config.data.allow_missing_class or bool(config.evaluate_only),
    )
    return smoke.few(table) if config.smoke else table


def following(swept: Sweep, datasets: Mapping[int, Dataset], staged: Mapping[int, str]) -> dict[str, Any]:
    """What of a config.json follows from the points, see `workdir.FOLLOWS`: their data, stages and code.

    Args:
      swept: the points.
      datasets: of each program, as they are stored.
      staged: of each program that has a stage, which one.
    """
    found: dict[str, Any] = {'dataset': fingerprint(swept, datasets)}
    if swept.config.report.leaderboard:
        found['stages'] = {named(swept, number): stage for number, stage in staged.items()}
    elif staged:
        found['stages'] = sorted({*staged.values()})
    names = {point.config.model.name for point in swept.points}
    if own := {name: code for name in sorted(names) if (code := models.code_of(name))}:
        found['code'] = own
    if 'model.name' in swept.fields:  # the points' systems, each with its own options
        sections = [point.config.model.to_dict() for point in swept.points]
        found['models'] = list({json.dumps(own, sort_keys=True): own for own in sections}.values())
    return found


def claimed(
    workdir: str | os.PathLike | None,
    swept: Sweep,
    identity: Mapping[str, Any],
    home: Dataset,
    datasets: Mapping[int, Dataset],
    staged: Mapping[int, str],
    console: Console,
) -> contextlib.AbstractContextManager[pathlib.Path | None]:
    """The workdir, claimed for this run, to which that which it holds may grow; None where there is none."""
    if workdir is None:
        return contextlib.nullcontext()
    workdir = files.expanded(workdir, '--workdir')

    def follows(before: Sweep, programs: Mapping[int, int]) -> dict[str, Any]:
        def of_before(found: Mapping[int, Any]) -> dict[int, Any]:
            return {there: found[here] for there, here in sorted(programs.items()) if here in found}

        own = of_before(datasets)  # of a leaderboard those that are absent are not among them
        return following(before, own, of_before(staged)) if own else {}

    grow = growth.Growth(workdir, console, identity, swept, lambda points: table_of(points, home), follows)
    return workdir_lib.claim(workdir, identity, None if swept.config.evaluate_only else grow)


def leaks_of(swept: Sweep, datasets: Mapping[int, Dataset]) -> dict[int, str]:
    """Program -> why what it reads leaks, in lines that begin with LEAKS; empty if it does not."""
    scales = {point.program: point.config.input.scale for point in swept.points}
    return {
        program: '\n'.join(
            filter(None, [own.leaks, scaling.LEAK if scales[program] == schema.WHOLE_SET else ''])
        )
        for program, own in datasets.items()
    }


def there(folder: pathlib.Path | None, *names: str) -> list[bool]:
    """Whether each of some files is in the folder, if there is one; the first process says it for all."""
    return processes.agreed([folder is not None and (folder / name).exists() for name in names])


def is_reported(folder: pathlib.Path, trial_table: TrialTable) -> bool:
    """Whether all is trained and the last report has it: one of before a run grew has not."""
    if not trial_table.unfinished.empty:
        return False
    try:
        found = results.read(folder / workdir_lib.RESULTS)
        trials, seconds = found.get('trials'), float(found.get('seconds'))
    except (InputError, TypeError, ValueError):  # a damaged one, which is written anew
        return True
    return trials == len(trial_table.table) and math.isclose(seconds, trial_table.seconds, abs_tol=1e-6)


def as_used(config: ConfigDict, console: Console) -> ConfigDict:
    """The config as the leaks of a paper, a smoke test or the weights that are evaluated change it."""
    if config.as_published:
        config = as_published.applied(config)
    if config.smoke:
        console.print(smoke.NOTICE, soft_wrap=True)
        config = smoke.shortened(config)
    return as_converted(config, console) if config.evaluate_only else config


def as_converted(config: ConfigDict, console: Console) -> ConfigDict:
    """The config with the variant of the weights that it evaluates, if these are of its model."""
    if config.folds == splits.ALL:  # as they were trained: here each subject is one whom they have not seen
        config = config.copy_and_resolve_references()
        config.folds = splits.SUBJECT
    folder = files.expanded(config.evaluate_only, '--config.evaluate_only')
    if not folds.is_one(folder):  # which is an error later, after those of the config
        return config
    model, variant, _ = folds.about(folder)
    section = model_section.complete(config.model)
    if section['name'] != model or section.get('variant', variant) == variant:
        return config
    console.print(
        f'{folder} holds the variant {variant!r} of {model!r}: that is config.model.variant now, and not '
        f'{section["variant"]!r}',
        soft_wrap=True,
    )
    return model_section.with_section(config, section | {'variant': variant})


def train(
    trial_table: TrialTable,
    programs: Sequence[Program],
    kept: Kept,
    identity: Mapping[str, Any],
    console: Console,
    weights: evaluated.Given | None = None,
) -> dict[int, str]:
    """Trains, fits, or with weights from elsewhere evaluates, program by program; see `waves` and `fits`.

    A system of a leaderboard that fails is reported, and the others go on: the same command tries
    it again. With several processes it ends the run, since each would have to fail alike.

    Args:
      trial_table: of the run.
      programs: what is trained.
      kept: takes what waves give.
      identity: of the run, which its checkpoints carry.
      console: for what there is to say.
      weights: those from elsewhere, which are evaluated instead, see `evaluated.given_weights`.

    Returns:
      Why programs failed, by number.
    """
    failures = {}
    for place, program in enumerate(programs):
        try:
            if weights:
                waves.evaluate(trial_table, program, weights, kept, console)
            elif program.training:
                waves.train(trial_table, program, programs[place:], kept, identity, console)
            else:
                from dualatme_jax.run import fits  # loads scikit-learn, which takes a second

                fits.fit(trial_table, program, kept, console)
        except Exception as error:
            alone = not program.config.report.leaderboard or jax.process_count() > 1
            if alone or of_system(error):  # a full disk is full for the others too
                raise
            told = str(error) if isinstance(error, InputError) else traceback.format_exc()
            console.print(f'{program.prefix}failed: {told}', soft_wrap=True)
            failures[program.number] = reason(error)
        gc.collect()  # an error, which is gone now, held networks that would stand in the next one's way
    return failures


def reason(error: Exception) -> str:
    """An error in one line; of what a user can mend, all that it says."""
    if isinstance(error, InputError):
        return one_line(error)
    return ': '.join([type(error).__name__, *(line.strip() for line in str(error).splitlines()[:1])])


def check_rows(table: pd.DataFrame, swept: Sweep, clips: int) -> None:
    """Raises InputError where so many predictions would be kept that no table of them fits the memory."""
    every = swept.reference.config.selection.every
    # The inner trials of a subject predict all clips but its own between them, the outer ones all clips.
    rounds = (
        table[table['inner'] == 1].groupby('point').size().reindex(table['point'].unique(), fill_value=0)
        + table.groupby('point')['seed'].nunique()
    )
    rows = 0
    for point in swept.points:
        epochs = epochs_of(point.config)
        kept = 1 + (epochs - 1) // every if every else 1
        rows += kept * clips * int(rounds[point.number])
    if rows > MOST_ROWS:
        raise InputError(
            f'the run would keep {rows / 1e6:.0f} million predictions, and tables of more than '
            f'{MOST_ROWS / 1e6:.0f} million do not fit a usual memory; keep fewer epochs '
            f'(config.selection.every, now {every}), or sweep over fewer points or seeds'
        )


def load_datasets(swept: Sweep, failures: dict[int, str]) -> dict[int, Dataset]:
    """The dataset of each program, by number: the same clips in the same order.

    If the dataset of a leaderboard's system cannot be read, the others go on.

    Args:
      swept: the points.
      failures: of a leaderboard, takes why programs have none.

    Raises:
      InputError: a dataset (of a leaderboard: every one) cannot be read, or has other clips or labels than
        the first.
    """
    # What is built by options of its own lies in a folder of its own.
    sources: dict[tuple, list[int]] = {}
    configs = {point.program: point.config.data for point in swept.points}
    for program, data in configs.items():
        sources.setdefault((data.path, data.regions, data.build_options), []).append(program)
    reads = reads_of(swept)
    found: dict[int, Dataset] = {}
    lacking: dict[int, InputError] = {}
    for programs in sources.values():
        every = tuple(dict.fromkeys(key for program in programs for key in reads[program]))
        parts = [(every, programs)]
        if swept.config.report.leaderboard:  # one view may be missing where the others are
            alike = {}
            for program in programs:
                alike.setdefault(reads[program], []).append(program)
            parts = alike.items()
        for keys, own in parts:
            try:
                loaded = load_dataset(configs[own[0]], keys)
                check_same_clips(found, loaded, configs, own[0])
            except InputError as error:
                if not swept.config.report.leaderboard:
                    raise
                lacking |= dict.fromkeys(own, error)
            else:
                found |= {program: loaded.of(reads[program]) for program in own}
    if not found:
        raise next(iter(lacking.values()))
    failures |= {program: reason(error) for program, error in lacking.items()}
    return dict(sorted(found.items()))


def check_same_clips(
    found: Mapping[int, Dataset], dataset: Dataset, configs: Mapping[int, ConfigDict], program: int
) -> None:
    """Raises InputError unless the dataset of a program has the clips of the first one that was found."""
    for first, other in found.items():
        if difference := dataset_lib.difference(other, dataset):
            raise InputError(
                f'the points of a sweep need the same clips, but {configs[program].path} differs '
                f'from {configs[first].path}: '
                f'{difference}; build both from the same release, or run them one by one'
            )
        return


def reads_of(swept: Sweep) -> dict[int, tuple[str, ...]]:
    """The keys of the dataset that the system of each program reads, or its stage."""
    return {point.program: models.system(point.config.model.name).stored for point in swept.points}


def given(dataset: Dataset, swept: Sweep) -> dict[int, Dataset]:
    """The dataset of each program, by number, of clips that a caller has in memory.

    Raises:
      InputError: the points of a sweep need others, or a system reads an input that they lack.
    """
    if swept_data := [field for field in swept.fields if field.startswith('data.')]:
        raise InputError(
            f'config.sweep varies {", ".join(swept_data)}, and the clips were given: give none, and those '
            'that the config names are loaded'
        )
    check_regions(dataset, swept.reference.config.data, 'given')
    reads = reads_of(swept)
    wanted = dict.fromkeys(key for own in reads.values() for key in own)
    if lacking := [key for key in wanted if key not in dataset.inputs]:
        raise InputError(
            f'a system of this run reads {", ".join(map(repr, lacking))}, and the clips that were given have '
            f'{", ".join(map(repr, dataset.inputs))}; load them with reads={tuple(wanted)!r}'
        )
    return {program: dataset.of(own) for program, own in reads.items()}


def data_paths(data: ConfigDict) -> list[str]:
    """The folders of a config's dataset, or datasets, as they are named."""
    return several.paths_of(data.path.replace('{regions}', data.regions))


def load_dataset(data: ConfigDict, reads: Sequence[str]) -> Dataset:
    """The inputs `reads` of a config's dataset, or of its several; the synthetic one is built on first use.

    Raises:
      InputError: one cannot be built or read, is not the synthetic one, or its puzzled face is made of other
        regions; or several cannot be one, see `several.together`.
    """
    names, databases = data_paths(data), tuple(data.databases)
    if len(names) == 1:
        return load_one(names[0], data, reads, databases)
    if data.build_synthetic:
        raise InputError(
            f'config.data.build_synthetic builds one dataset, and config.data.path names {len(names)}; '
            'leave :synthetic out, and name a synthetic dataset that is there'
        )
    return several.together([load_one(name, data, reads, ()) for name in names], names, databases)


def load_one(name: str, data: ConfigDict, reads: Sequence[str], databases: tuple[str, ...]) -> Dataset:
    """The inputs `reads` of some databases of one dataset, wherever the current folder is."""
    path = files.expanded(name, '--config.data.path').absolute()
    views = schema.views_of(reads)
    own = folder_words(data.build_options)
    beside = path.with_name('-'.join([path.name, *views, *own]))
    if data.build_synthetic:
        path = beside if own or views != ['flow'] else path  # which lies alone, where it always did
        with processes.first_before_others():
            if not path.exists():
                build_synthetic(path, data.regions, views, data.build_options)
    elif own and beside.exists():
        path = beside
    made = f'--view {" ".join(views)} {data.build_options}'.strip()
    try:
        dataset = dataset_lib.load(path, reads=reads, databases=databases)
    except InputError as error:
        if isinstance(error, storage.NeverBuiltError) or (views == ['flow'] and not own):
            raise
        build = 'windows --source VIDEOS' if views == [schema.WINDOWS] else f'build ... {made}'
        raise InputError(
            f'{error}. This config reads what `python -m data_prep {build} --out {beside if own else path}` '
            'makes'
        ) from error
    check_sizes(dataset, data, path, f'{made} --out {beside}')
    if data.build_synthetic and (found := dataset.metadata.get('release')) != 'synthetic':
        raise InputError(
            f'config.data.build_synthetic asks for the synthetic release, and {path} holds another dataset '
            f'({found}); to train on that one leave :synthetic out'
        )
    check_regions(dataset, data, str(path))
    return dataset


def folder_words(options: str) -> list[str]:
    """The words of options of `data_prep build` for the name of a folder: the same in whatever order."""
    each = re.findall(r'--?[a-zA-Z]\S*(?:\s+(?!--?[a-zA-Z])\S+)*', options) or [options]
    return [word for option in sorted(each) for word in re.findall(r'[\w.]+', option)]


def check_sizes(dataset: Dataset, data: ConfigDict, path: pathlib.Path, made: str) -> None:
    """Raises InputError where inputs have another size than config.data.build_options asks for."""
    if not data.build_options:
        return
    for key in filter(schema.view_of, dataset.inputs):
        array = dataset.inputs[key]
        try:
            asked = schema.built_size(key, data.build_options)
        except (ValueError, argparse.ArgumentError) as error:
            raise no_options(data.build_options, error) from error
        if array.shape[1:-1] != asked:
            raise InputError(
                f'{key} of {path} has {"x".join(map(str, array.shape[1:-1]))}, and this config reads '
                f'{"x".join(map(str, asked))}: build it by `python -m data_prep build ... {made}`, which is '
                "taken then, or read it as it is by --config.data.build_options=''"
            )


def check_regions(dataset: Dataset, data: ConfigDict, name: str) -> None:
    """Raises InputError unless the puzzled face of a dataset is made of the regions that are asked for."""
    if data.regions not in ('', dataset.regions):
        raise InputError(
            f'config.data.regions is {data.regions!r}, but the puzzled face of the dataset {name} is made of '
            f'{dataset.regions!r}; build one by `python -m data_prep build --regions {data.regions} ...` in '
            'another folder, and give that as config.data.path'
        )


def no_options(options: str, error: Exception) -> InputError:
    """The error of a config.data.build_options that cannot be split, or has no number where one must be."""
    return InputError(
        f'config.data.build_options is {options!r} ({error}); expected options of `data_prep build`, such as '
        '--frame-count 11'
    )


def build_synthetic(path: pathlib.Path, regions: str, views: Sequence[str], options: str) -> None:
    """Builds some views of the synthetic release; raises InputError if that fails."""
    try:
        given = shlex.split(options)
    except ValueError as error:
        raise no_options(options, error) from error
    # In a process of its own: training does not import OpenCV, nor building JAX.
    command = [sys.executable, '-m', 'data_prep', 'build', '--release', 'synthetic', '--out', str(path)]
    command += ['--view', *views] if views != ['flow'] else []
    command += ['--regions', regions] if regions else []
    command += given
    # A notebook's kernel sets FORCE_COLOR, and a bar would be drawn line below line there.
    environment = {name: value for name, value in os.environ.items() if name != 'FORCE_COLOR'}
    if subprocess.run(command, check=False, env=environment).returncode:
        raise InputError(f'the synthetic release could not be built in {path}: see the message above')


def fingerprint(swept: Sweep, datasets: Mapping[int, Dataset]) -> dict[str, Any]:
    """Identifies the data: a run is continued on the data it began with.

    Of a leaderboard each system's inputs have a digest of their own: a view may be built between a run and
    its continuation.
    """
    home = next(iter(datasets.values()))
    if not swept.config.report.leaderboard:
        return {'clips': home.size, 'sha256': digest(*datasets.values())}
    own = {named(swept, number): digest(dataset) for number, dataset in datasets.items()}
    return {'clips': home.size, 'systems': own}


def named(swept: Sweep, program: int) -> str:
    """A program of a leaderboard: its number, for namesakes, and the name of its system."""
    names = {point.program: point.config.model.name for point in swept.points}
    return f'{program} {names[program]}'


def digest(*datasets: Dataset) -> str:
    """The digest of the clips, all their inputs and measures; each array is read once."""
    found = hashlib.sha256()
    arrays = {
        id(array): (key, array)
        for dataset in datasets
        for part in (dataset.inputs, dataset.measures)
        for key, array in sorted(part.items())
    }
    for key, array in arrays.values():
        dataset_lib.hash_input(found, key, array)
    for dataset in {id(dataset.label): dataset for dataset in datasets}.values():
        found.update(dataset.label)
        for names in (dataset.database, dataset.subject, dataset.clip):
            found.update('\n'.join(names).encode())
    return found.hexdigest()
