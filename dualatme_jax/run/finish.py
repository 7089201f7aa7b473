"""What a run reports when `collect` has its predictions: scores, tables and plots; made, shown, written."""

import contextlib
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from ml_collections import ConfigDict
from rich.console import Console, RenderableType

from dualatme_jax import models, schema
from dualatme_jax.data import several, splits
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError, one_line
from dualatme_jax.files import replacing
from dualatme_jax.models.system import System
from dualatme_jax.report import as_published as published_report
from dualatme_jax.report import (
    challenge_log,
    ensemble,
    leaderboard,
    leaderboard_view,
    marks,
    methods,
    nested,
    paper,
    predictions,
    results,
    results_tex,
    scores,
    selection,
    tables,
    two_classes,
)
from dualatme_jax.report import record as record_lib
from dualatme_jax.report import sweep as sweep_report
from dualatme_jax.report.pictures import confusion, of_record
from dualatme_jax.report.selection import BEST_ON_TEST, LAST, NESTED
from dualatme_jax.run import (
    as_published,
    config_file,
    ensembles,
    evaluated,
    flow_pictures,
    mlflow_tracker,
    smoke,
    tensorboard,
)
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.collect import Collected
from dualatme_jax.run.init_from import Beginning, Earlier
from dualatme_jax.run.programs import epochs_of
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training import encoding

PAIR = ['seed', 'point']  # what is scored together
UNSCORED = "config.folds is 'all': nobody was left out, so nothing was predicted and there are no scores"
MOST_TOLD = 5  # choices of nested selection on the terminal, or seeds


@dataclasses.dataclass
class Report:
    """What a run reports.

    Attributes:
      results: what results.json holds.
      shown: texts and tables for a terminal, in order.
      writers: each writes a file, or a few, to the folder that it is given.
    """

    results: dict[str, Any]
    shown: list[RenderableType] = dataclasses.field(default_factory=list)
    writers: list[Callable[[pathlib.Path], None]] = dataclasses.field(default_factory=list)

    def show(self, console: Console) -> None:
        """Prints it."""
        for part in self.shown:
            console.print(part, soft_wrap=isinstance(part, str))

    def write(self, folder: pathlib.Path) -> None:
        """Writes scores, challenge logs and plots; and results.json, by which they count."""
        for write in self.writers:
            write(folder)
        results.write(self.results, folder / workdir_lib.RESULTS)


@contextlib.contextmanager
def made_anew(folder: pathlib.Path | None, console: Console) -> Iterator[None]:
    """Says of a report that fails in the block that the predictions are there, and how to make it anew.

    Without a folder, which is what has them, it says nothing.

    Raises:
      InputError: the predictions cannot be used, or a file could not be written.
    """
    if folder is None:
        yield
        return
    advice = f'the predictions are kept in {folder}, and the same command makes the report anew'
    try:
        yield
    except InputError:  # of predictions that cannot be used, which says itself what to do
        raise
    except OSError as error:
        name = error.filename2 or error.filename  # the second is what a file was to be called
        where = f' {name}:' if name else ''
        raise InputError(
            f'the report cannot be written:{where} {error.strerror or error}; {advice}'
        ) from error
    except Exception:
        console.print(f'the report failed; {advice}', soft_wrap=True)
        raise


def write_page(folder: pathlib.Path, console: Console) -> None:
    """Makes report.html of a run; one that cannot be made costs the run nothing, and is named."""
    from dualatme_jax.report import run_page  # a second, which no training waits for

    advice = f'`python -m dualatme_jax.report {folder}` tries it again'
    spared(run_page.FILE, console, advice, lambda: run_page.write(folder))


def place(folder: pathlib.Path) -> str:
    """Where the results of a run are, in words."""
    from dualatme_jax.report import run_page  # see `write_page`

    page = folder / run_page.FILE
    return f'everything is in {folder}' + (f'; open {page}' if page.is_file() else '')


def write_views(folder: pathlib.Path, dataset: Dataset, config: ConfigDict, console: Console) -> None:
    """Writes what shows a report in other ways: methods, figures, the page, what TensorBoard and MLflow read.

    What fails costs the run nothing, and is named.

    Args:
      folder: of a run that has reported.
      dataset: its clips, as they are stored.
      config: of the run.
      console: where a failure is named.
    """
    again = 'the same command tries it again'
    spared(methods.MARKDOWN, console, again, lambda: methods.write(folder))
    if config.report.pictures:
        spared('pictures', console, again, lambda: draw(folder, dataset))
        spared('tensorboard/report', console, again, lambda: tensorboard.report(record_lib.read(folder)))
    write_page(folder, console)
    if config.report.tracker:
        spared('MLflow', console, again, lambda: mlflow_tracker.log(record_lib.read(folder)))


def draw(folder: pathlib.Path, dataset: Dataset) -> None:
    """Draws what a run has into its folder `pictures`."""
    record = record_lib.read(folder)
    of_record.save(record)
    if record.selected is not None:
        flow_pictures.save(dataset, record.selected, folder / of_record.FOLDER)


def spared(what: str, console: Console, advice: str, make: Callable[[], Any]) -> None:
    """Calls `make`; an error of it is named with advice, and costs the run nothing else."""
    try:
        make()
    except Exception as error:
        console.print(
            f'{what} was not made ({type(error).__name__}: {one_line(error)}); the results are there, and '
            f'{advice}',
            soft_wrap=True,
        )


def report(
    trial_table: TrialTable,
    dataset: Dataset,
    swept: Sweep,
    collected: Collected,
    failures: Mapping[int, str] | None = None,
    begin: Beginning | Earlier | None = None,
    leaks: Mapping[int, str] | None = None,
) -> Report:
    """Scores the predictions, and makes the tables.

    Args:
      trial_table: of the run.
      dataset: the clips.
      swept: the points.
      collected: the predictions.
      failures: of a leaderboard, why programs could not be trained.
      begin: the weights that the run started from, or the run that it evaluates, if any.
      leaks: program -> why its inputs leak, see `Dataset.leaks`.
    """
    config, failed = swept.reference.config, trial_table.failed
    left_out = evaluated.protocol(config)
    leaking = '\n'.join(filter(None, [begin.notice if begin else '', *leaks_by_system(swept, leaks or {})]))
    leaking = '\n'.join(filter(None, [leaking, several.drawn_among_real(dataset)]))
    mark = '\n'.join(filter(None, [smoke.notice(config), leaking, config.report.caveat]))
    # Scores by other folds than of one subject must not pass for those that the field reports.
    notice = mark if config.folds == splits.SUBJECT else '\n'.join(filter(None, [mark, f'Folds: {left_out}']))
    began = begin.heading if begin else ''
    origin = '; '.join(filter(None, [*notice.splitlines(), dataset.origin, began]))
    columns = ['trial', 'left_out', 'seed', 'failed_epoch']
    if swept.fields:
        columns += ['inner', *swept.fields]
    result = {
        'notice': notice,
        'leaks': bool((begin and begin.notice) or (leaks or {}).get(swept.reference.program)),
        'folds': config.folds,
        'protocol': left_out,
        'selection': 'evaluate_only' if config.evaluate_only else config.selection.name,
        'trials': len(trial_table.table),
        'epochs': swept.config.training.epochs,
        'seeds': list(swept.config.seeds),
        'points': len(swept.points),
        'failed': failed[columns].to_dict('records'),
        'seconds': trial_table.seconds,
        'dataset': dataset.metadata,
        'labels': list(dataset.labels),
        'started_from': begin.record() if begin else None,
        'frozen': list(config.freeze),
        'scores': None,
        'per_seed': [],
    }
    made = Report(result)
    made.shown += [failure(row, swept.fields) for row in result['failed']]
    kept = inner = None
    if config.folds == splits.ALL:
        result['reason'] = UNSCORED
        made.shown.append(UNSCORED)
    elif whole_seeds(trial_table):
        result |= {results.checksum_of(name): found for name, found in collected.sums.items()}
        table = collected.tables[workdir_lib.PREDICTIONS]
        kept = collected.tables.get(workdir_lib.EPOCH_PREDICTIONS)
        inner = collected.tables.get(workdir_lib.INNER_PREDICTIONS)
        if swept.fields and not config.report.leaderboard:
            report_sweep(made, table, swept, notice)
        if swept.fields and config.report.paper:
            report_paper(made, table, config.report.paper, origin, notice, synthetic=dataset.synthetic)
        if config.as_published:
            steps = as_published.steps(swept, trial_table.table, table, kept, leaks or {})
            result['as_published'] = rows = published_report.compare(steps)
            made.shown += ['', published_report.rich_table(rows, notice=notice)]
        selected, how, title = select(made, table, kept, inner, trial_table, swept)
        if len(selected):
            result |= scores.score_run(selected, resamples=config.report.resamples)
            if not config.report.leaderboard:
                headed = '\n'.join(filter(None, [heading(selected, swept, dataset, begin), title]))
                head = '\n'.join(filter(None, [mark, headed]))
                made.shown += ['', tables.scores_table(selected, result, selection=how, title=head)]
                about = {'heading': headed, 'selected': how, 'notice': notice}
                made.writers.append(functools.partial(results_tex.write, selected, result, **about))
            above = '\n'.join(filter(None, [notice, title]))
            of_datasets = several.databases_of(dataset)
            lines = report_datasets(made, selected, of_datasets, config.report.resamples, notice=above)
            if not config.report.leaderboard:
                made.shown += lines
            if len(dataset.labels) == 2:
                two_classes.add(result, selected, resamples=config.report.resamples)
                if not config.report.leaderboard:
                    made.shown += ['', two_classes.rich_table(selected, result, selection=how, notice=notice)]
            drawn = [*marks.of_selection(result), *marks.of_predictions(result), *filter(None, [title])]
            made.writers.append(functools.partial(draw_confusion, selected, dataset.labels, '\n'.join(drawn)))
            if notice in ('', config.report.caveat):  # the form of a challenge log has no room for one
                report_challenge_logs(made, selected, dataset.labels)
        if config.report.ensemble and not config.report.leaderboard:
            make = functools.partial(ensembles.of_run, selected, table, kept, trial_table, swept)
            if own := ensembles.add(made, make, swept, leaks or {}, dataset.labels, notice=notice):
                ensembles.show(made, own, how, notice=notice)
    if config.report.leaderboard:
        why = reasons(trial_table, swept, failures or {})
        report_leaderboard(
            made,
            kept,
            inner,
            why,
            trial_table,
            swept,
            origin,
            notice=leaking,
            synthetic=dataset.synthetic,
            leaks=leaks or {},
            labels=dataset.labels,
        )
    return made


def leaks_by_system(swept: Sweep, leaks: Mapping[int, str]) -> list[str]:
    """Why inputs leak, each reason once; with the systems, or points, that it concerns if others do not."""
    found: dict[str, list[str]] = {}
    for name, point in sweep_lib.systems(swept).items():
        for reason in leaks.get(point.program, '').splitlines():
            found.setdefault(reason, []).append(name)
    every = len(swept.points)

    def some(names: Sequence[str]) -> str:
        return f' ({"; ".join(names)})' if len(names) < every or swept.config.report.leaderboard else ''

    return [reason + some(names) for reason, names in found.items()]


def report_datasets(
    made: Report,
    selected: pd.DataFrame,
    databases: Mapping[str, Sequence[str]],
    resamples: int,
    *,
    notice: str,
) -> list[str]:
    """Scores each of several datasets by itself.

    Args:
      made: takes them.
      selected: predictions of one point.
      databases: path -> those of a dataset, which no other one has.
      resamples: draws of the bootstrap.
      notice: what must stand beside a score.

    Returns:
      A line for each dataset of several databases, of which no table has a row.
    """
    found, lines = {}, []
    beside = f' ({"; ".join(notice.splitlines())})' if notice else ''
    for path, own in databases.items():
        rows = selected[selected[schema.DATABASE].isin(own)]
        found[path] = scores.score_run(rows, resamples=resamples)['scores'][schema.FULL]
        if len(own) > 1:
            clips, subjects = predictions.count(rows)
            values = ', '.join(
                f'{heading} {tables.short(found[path][metric]["mean"])}'
                for metric, heading in tables.HEADINGS.items()
            )
            lines.append(f'{path} by itself, {clips} clips of {subjects} subjects: {values}{beside}')
    if found:
        made.results['scores_of_datasets'] = found
    return lines


def whole_seeds(trial_table: TrialTable) -> bool:
    """Whether all trials of some seed and point ended well, so that there is something to score."""
    lacking = pd.concat([trial_table.failed, trial_table.unfinished])
    return len(lacking[PAIR].drop_duplicates()) < len(trial_table.table[PAIR].drop_duplicates())


def draw_confusion(selected: pd.DataFrame, labels: Sequence[str], notice: str, folder: pathlib.Path) -> None:
    """Draws the confusion matrices into the folder."""
    confusion.confusion_matrices(selected, labels, folder / workdir_lib.CONFUSION, notice=notice)


def heading(
    selected: pd.DataFrame, swept: Sweep, dataset: Dataset, begin: Beginning | Earlier | None = None
) -> str:
    """What begins the table of a result: system, epochs and seeds, the data, and what it started from."""
    config = swept.reference.config
    chosen = swept.fields if config.selection.name == NESTED else ()
    record = models.system(config.model.name)
    variant = record.variant_of(config.model)
    system = f'{record.title}, variant {variant}' if variant != 'paper' else record.title
    epochs = f'{config.training.epochs} epoch{"s" if config.training.epochs > 1 else ""}'
    if {'model.name', 'model.variant'} & set(chosen):
        system = 'the systems that were chosen'
    if record.fitting:
        epochs = record.fitting.how
    elif config.evaluate_only:
        epochs = 'not trained here'
    elif 'training.epochs' in chosen:
        epochs = 'the epochs that were chosen'
    seeds = sorted(selected['seed'].unique())
    told = ', '.join(map(str, seeds[:MOST_TOLD])) + (', ...' if len(seeds) > MOST_TOLD else '')
    number = f'{len(seeds)} seeds ({told})' if len(seeds) > 1 else f'seed {told}'
    left_out = evaluated.protocol(config)
    read = [] if config.input.encoding == encoding.MINMAX else [config.input.encoding]
    read += ['mirrored at test too'] if config.input.mirror_at_test and not record.fitting else []
    lines = [f'{system}, {left_out}: {epochs}, {number}', f'Input: {", ".join([dataset.origin, *read])}']
    lines += [begin.heading] if begin else []
    lines += [f'Frozen: {", ".join(config.freeze)}'] if config.freeze else []
    return '\n'.join(lines)


def select(
    made: Report,
    table: pd.DataFrame,
    kept: pd.DataFrame | None,
    inner: pd.DataFrame | None,
    trial_table: TrialTable,
    swept: Sweep,
) -> tuple[pd.DataFrame, str, str | None]:
    """The predictions that are the run's result, by the config's selection.

    Args:
      made: takes what was chosen, and the scores of the selections that were not asked for.
      table: predictions of each point's last epoch.
      kept: those of every kept epoch, if more than the last are.
      inner: those that nested selection chooses by.
      trial_table: of the run.
      swept: the points.

    Returns:
      A predictions table of one point, how it was selected, and which point it is, in words.
    """
    config, title = swept.reference.config, sweep_lib.named(swept.reference.values) or None
    of_reference = trial_table.table.loc[trial_table.table['point'] == swept.reference.number, 'trial']
    ways = {LAST: table[table['trial'].isin(of_reference)]}
    words = {
        LAST: last_epoch(config),
        BEST_ON_TEST: f'best epoch on the left-out {splits.NOUNS[config.folds]}, WHICH LEAKS',
    }
    if inner is not None:
        outer, metric = table if kept is None else kept, config.selection.metric
        ways[NESTED], chosen = selection.nested(
            outer, inner, metric, train_subjects=config.data.train_subjects
        )
        made.results['chosen'] = chosen.to_dict('records')
        fields = predictions.hyperparameters(chosen.drop(columns=metric))
        made.shown += chosen_lines(chosen, fields, splits.NOUNS[config.folds])
        words[NESTED], title = 'nested, by the other subjects', None
    elif len(chosen := trial_table.chosen(swept.reference.number)):  # by the learner, for each trial
        made.results['chosen'] = chosen.to_dict('records')
        fields = [name for name in chosen if name not in ('seed', 'left_out', config.selection.metric)]
        words[LAST] = 'settings by inner parts of the other subjects'
        made.shown += chosen_lines(chosen, fields, splits.NOUNS[config.folds])
    if kept is not None:
        ways[BEST_ON_TEST] = selection.best_on_test(kept[kept['trial'].isin(of_reference)])
        if len(ways[LAST]):
            found = selection.beside(ways, resamples=config.report.resamples, leaks=made.results['leaks'])
            made.results['selections'] = found
            if not config.report.leaderboard:  # which shows the like of all systems
                made.shown.append(selection.rich_table(found, notice=made.results['notice']))
    name = config.selection.name
    return ways[name], words[name], title


def last_epoch(config: ConfigDict) -> str:
    """What the last epoch of a config's system is, in words."""
    if config.evaluate_only:
        return f'the weights of {config.evaluate_only}'
    return 'none' if models.system(config.model.name).fitting else 'last epoch'


def chosen_lines(chosen: pd.DataFrame, fields: Sequence[str], noun: str) -> Iterator[str]:
    """What nested selection chose, the most frequent choices first."""
    times = nested.times_chosen(chosen, fields)
    for row in times[:MOST_TOLD].to_dict('records'):
        count = row.pop('times')
        yield f'chosen for {count} of {len(chosen)} left-out {noun}s: {sweep_lib.named(row)}'
    if len(times) > MOST_TOLD:
        yield f'and {len(times) - MOST_TOLD} more, see {workdir_lib.RESULTS}'


def reasons(trial_table: TrialTable, swept: Sweep, failures: Mapping[int, str]) -> dict[str, str]:
    """Why systems of a leaderboard failed, as a whole or in some seeds, by name."""
    found = {}
    for name, point in sweep_lib.systems(swept).items():
        failed = trial_table.failed[trial_table.failed['point'] == point.number]
        if point.program in failures:
            found[name] = failures[point.program]
        elif len(failed):
            seeds = ', '.join(map(str, sorted(failed['seed'].unique())))
            found[name] = f'{len(failed)} of its networks diverged; seeds that are not scored: {seeds}'
    return found


def known_systems(swept: Sweep) -> dict[str, System]:
    """The records of a leaderboard's systems by the names that `systems` has; namesakes are in no paper."""
    found = {}
    for name, point in sweep_lib.systems(swept).items():
        record = models.system(point.config.model.name)
        differs = name.removeprefix(record.name)
        found[name] = (
            dataclasses.replace(record, title=f'{record.title}{differs}', config='', figures=())
            if differs
            else record
        )
    return found


def report_leaderboard(
    made: Report,
    kept: pd.DataFrame | None,
    inner: pd.DataFrame | None,
    why: Mapping[str, str],
    trial_table: TrialTable,
    swept: Sweep,
    origin: str,
    *,
    notice: str,
    synthetic: bool,
    leaks: Mapping[int, str],
    labels: Sequence[str],
) -> None:
    """Adds all systems side by side, and the ensemble of them if one is asked for."""
    config = swept.reference.config
    known = known_systems(swept)
    own = {name: config_file.of_system(record.config) for name, record in known.items()}

    def by_system(table: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
        found = {}
        for name, point in sweep_lib.systems(swept).items():
            trials = trial_table.table.loc[trial_table.table['point'] == point.number, 'trial']
            rows = table[table['trial'].isin(trials)] if table is not None else ()
            if len(rows):
                found[name] = rows.drop(columns=swept.fields)
        return found

    outer, inside = by_system(kept), None if inner is None else by_system(inner)
    own_ensemble = None
    if config.report.ensemble:
        honest = leaderboard.honest(outer, inside, config.selection.metric)
        make = functools.partial(ensembles.of_leaderboard, honest, why, swept)
        own_ensemble = ensembles.add(made, make, swept, leaks, labels, notice=notice)
    reference = config.report.reference
    if reference and reference not in {*outer, *([ensemble.NAME] if own_ensemble else [])}:
        made.shown.append(
            f'config.report.reference is {reference!r}, which has no scores: the systems are compared with '
            'another one, as the table says'
        )
    frame = leaderboard.compare(
        outer,
        why,
        inner=inside,
        metric=config.selection.metric,
        ensemble=own_ensemble,
        reference=reference or leaderboard.REFERENCE,
        resamples=config.report.resamples,
        shortened=', '.join(filter(None, [smoke.notice(config), config.report.shortened])) or None,
        synthetic=synthetic,
        systems=known,
        paper_epochs={name: epochs_of(found) for name, found in own.items() if found},
    )
    made.results['leaderboard'] = records(frame)
    made.shown.append(leaderboard_view.rich_table(frame, notice=notice))
    made.writers.append(
        functools.partial(leaderboard_view.write, frame, origin=origin, systems=known, notice=notice)
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as results.json has them: what is unknown is null."""
    return json.loads(frame.to_json(orient='records', double_precision=15))


def failure(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """One failed trial in words."""
    where = f'seed {row["seed"]}'
    if fields:
        where += f', {sweep_lib.named({field: row[field] for field in fields})}'
        where += f', inner part {row["inner"]}' if row['inner'] else ''
    unscored = f'its seed is not scored{" at this point" if fields else ""}'
    if row['left_out'] == splits.NOBODY:
        unscored = 'its seed leaves no network'
    return (
        f'failed: trial {row["trial"]}, {row["left_out"]} left out, {where}: not finite in epoch '
        f'{row["failed_epoch"]}; {unscored}'
    )


def report_sweep(made: Report, table: pd.DataFrame, swept: Sweep, notice: str) -> None:
    """Adds every point beside the reference."""
    config = swept.reference.config
    frame = sweep_report.compare(table, swept.reference.cells, resamples=config.report.resamples)
    made.results['sweep'] = records(frame)
    made.shown.append(sweep_report.rich_table(frame, notice=notice))
    made.writers.append(functools.partial(sweep_report.write, frame, notice=notice))


def report_paper(
    made: Report, table: pd.DataFrame, name: str, origin: str, notice: str, *, synthetic: bool
) -> None:
    """Adds a table of the paper beside ours."""
    view, files = paper.beside(table, name, origin=origin, notice=notice, synthetic=synthetic)
    made.shown += ['', view]
    made.writers.append(functools.partial(paper.write, files))


def report_challenge_logs(made: Report, table: pd.DataFrame, labels: Sequence[str]) -> None:
    """Adds one log per seed; classes and names that the form cannot hold are named, and cost nothing else."""
    if labels != schema.LABELS:
        made.shown.append(
            f'no challenge log: its classes are {", ".join(schema.LABELS)}; '
            f"the dataset's are {', '.join(labels)}"
        )
        return
    for seed, rows in table.groupby('seed'):
        try:
            log = challenge_log.text(rows)
        except InputError as error:
            made.shown.append(f'no challenge log of seed {seed}: {error}')
        else:
            made.writers.append(functools.partial(write_challenge_log, log, seed))


def write_challenge_log(log: str, seed: int, folder: pathlib.Path) -> None:
    """Writes the log of a seed into the folder."""
    with replacing(folder / f'challenge_log_seed{seed}.txt') as temporary:
        temporary.write_text(log, encoding='utf-8', newline='\n')
