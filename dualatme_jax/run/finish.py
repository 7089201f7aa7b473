"""What a run reports when its trials have ended and `collect` has its predictions: scores, tables, plots."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console

from dualatme_jax import files, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import (
    challenge_log,
    leaderboard,
    leaderboard_view,
    nested,
    paper,
    plots,
    published,
    results,
    scores,
    selection,
    tables,
)
from dualatme_jax.report import sweep as sweep_report
from dualatme_jax.report.selection import BEST_ON_TEST, LAST, NESTED
from dualatme_jax.run import smoke
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.collect import read, with_fields
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.run.trial_table import TrialTable

MOST_TOLD = 5  # choices of nested selection on the terminal, or seeds


@contextlib.contextmanager
def made_anew(folder: pathlib.Path, console: Console) -> Iterator[None]:
    """Says of a report that fails in the block that the predictions are there, and how to make it anew.

    Raises:
      InputError: the predictions cannot be used, or a file could not be written.
    """
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


def report(
    trial_table: TrialTable,
    dataset: Dataset,
    swept: Sweep,
    folder: pathlib.Path,
    console: Console,
    failures: Mapping[int, str] | None = None,
) -> bool:
    """Writes scores, challenge logs and plots, and shows the tables.

    Args:
      trial_table: of the run.
      dataset: the clips.
      swept: the points.
      folder: the workdir, with what `collect` left there.
      console: where tables are shown.
      failures: of a leaderboard, why programs could not be trained.

    Returns:
      Whether every trial ended well.
    """
    config, failed = swept.reference.config, trial_table.failed
    notice = smoke.notice(config)
    origin = '; '.join(filter(None, [notice, dataset.origin]))
    lacking = pd.concat([failed, trial_table.unfinished])[['seed', 'point']].drop_duplicates()
    columns = ['trial', 'database', 'subject', 'seed', 'failed_epoch']
    if swept.fields:
        columns += ['inner', *swept.fields]
    result = {
        'notice': notice,
        'selection': 'evaluate_only' if config.evaluate_only else config.selection.name,
        'trials': len(trial_table.table),
        'failed': failed[columns].to_dict('records'),
        'seconds': trial_table.seconds,
        'dataset': dataset.metadata,
        'labels': list(dataset.labels),
        'scores': None,
        'per_seed': [],
    }
    for row in result['failed']:
        console.print(failure(row, swept.fields), soft_wrap=True)
    kept = inner = None
    if len(lacking) < len(trial_table.table[['seed', 'point']].drop_duplicates()):

        def reported(name: str) -> pd.DataFrame:
            result[results.checksum_of(name)] = files.sha256(folder / name, 'predictions')
            return with_fields(read(folder / name), trial_table, swept)

        table = reported(workdir_lib.PREDICTIONS)
        if config.selection.every:
            kept = reported(workdir_lib.EPOCH_PREDICTIONS)
        if config.selection.name == NESTED:
            inner = reported(workdir_lib.INNER_PREDICTIONS)
        if swept.fields and not config.report.leaderboard:
            result['sweep'] = report_sweep(table, swept, folder, console)
            paper.show(
                table, config.report.paper, console, folder, origin=origin, synthetic=dataset.synthetic
            )
        selected, how, title = select(table, kept, inner, trial_table, swept, result, console)
        if len(selected):
            result |= scores.score_run(selected, resamples=config.report.resamples)
            if not config.report.leaderboard:
                head = '\n'.join(filter(None, [notice, heading(selected, swept, dataset), title]))
                console.print()
                console.print(tables.scores_table(selected, result, selection=how, title=head))
            above = '\n'.join(filter(None, [notice, title]))
            plots.confusion_matrices(selected, dataset.labels, folder / workdir_lib.CONFUSION, notice=above)
            if not notice:  # the form of a challenge log has no room for one
                write_challenge_logs(selected, dataset.labels, folder, console)
    if config.report.leaderboard:
        why = reasons(trial_table, swept, failures or {})
        result['leaderboard'] = report_leaderboard(
            kept, inner, why, trial_table, swept, origin, folder, console, synthetic=dataset.synthetic
        )
    results.write(result, folder / workdir_lib.RESULTS)
    if trial_table.unfinished.empty:
        shutil.rmtree(folder / workdir_lib.CHECKPOINTS, ignore_errors=True)
    done = 'evaluated' if config.evaluate_only else 'trained'
    console.print(f'{done} in {trial_table.seconds:.0f} s; everything is in {folder}', soft_wrap=True)
    return not len(lacking)


def heading(selected: pd.DataFrame, swept: Sweep, dataset: Dataset) -> str:
    """What begins the table of a result: system, epochs and seeds, and the data; two lines."""
    config = swept.reference.config
    chosen = swept.fields if config.selection.name == NESTED else ()
    system = published.title(config.model.name)
    system += f', variant {config.model.variant}' if config.model.variant != 'paper' else ''
    epochs = f'{config.training.epochs} epoch{"s" if config.training.epochs > 1 else ""}'
    if {'model.name', 'model.variant'} & set(chosen):
        system = 'the systems that were chosen'
    if config.evaluate_only:
        epochs = 'not trained here'
    elif 'training.epochs' in chosen:
        epochs = 'the epochs that were chosen'
    seeds = sorted(selected['seed'].unique())
    told = ', '.join(map(str, seeds[:MOST_TOLD])) + (', ...' if len(seeds) > MOST_TOLD else '')
    number = f'{len(seeds)} seeds ({told})' if len(seeds) > 1 else f'seed {told}'
    return f'{system}: {epochs}, {number}\nInput: {dataset.origin}'


def select(
    table: pd.DataFrame,
    kept: pd.DataFrame | None,
    inner: pd.DataFrame | None,
    trial_table: TrialTable,
    swept: Sweep,
    result: dict[str, Any],
    console: Console,
) -> tuple[pd.DataFrame, str, str | None]:
    """The predictions that are the run's result, by the config's selection.

    Args:
      table: predictions of each point's last epoch.
      kept: those of every kept epoch, if more than the last are.
      inner: those that nested selection chooses by.
      trial_table: of the run.
      swept: the points.
      result: of the run; takes what was chosen, and the scores of the selections that were not asked for.
      console: where they are shown.

    Returns:
      A predictions table of one point, how it was selected, and which point it is, in words.
    """
    config, title = swept.reference.config, sweep_lib.named(swept.reference.values) or None
    of_reference = trial_table.table.loc[trial_table.table['point'] == swept.reference.number, 'trial']
    ways = {LAST: table[table['trial'].isin(of_reference)]}
    words = {
        LAST: f'the weights of {config.evaluate_only}' if config.evaluate_only else 'last epoch',
        BEST_ON_TEST: 'best epoch on the left-out subject, WHICH LEAKS',
    }
    if inner is not None:
        metric = config.selection.metric
        fields = [*swept.fields, *([schema.EPOCH] if kept is not None else [])]
        chosen = selection.choose(inner, fields, metric)
        result['chosen'] = chosen.to_dict('records')
        tell_chosen(chosen, fields, console)
        ways[NESTED] = nested.predictions(table if kept is None else kept, chosen)
        words[NESTED], title = 'nested, by the other subjects', None
    if kept is not None:
        ways[BEST_ON_TEST] = selection.best_on_test(kept[kept['trial'].isin(of_reference)])
        if len(ways[LAST]):
            result['selections'] = selection.beside(ways, resamples=config.report.resamples)
            if not config.report.leaderboard:  # which shows the like of all systems
                console.print(selection.rich_table(result['selections']))
    name = config.selection.name
    return ways[name], words[name], title


def tell_chosen(chosen: pd.DataFrame, fields: Sequence[str], console: Console) -> None:
    """Shows what nested selection chose, the most frequent choices first."""
    times = nested.times_chosen(chosen, fields)
    for row in times[:MOST_TOLD].to_dict('records'):
        count = row.pop('times')
        console.print(
            f'chosen for {count} of {len(chosen)} left-out subjects: {sweep_lib.named(row)}', soft_wrap=True
        )
    if len(times) > MOST_TOLD:
        console.print(f'and {len(times) - MOST_TOLD} more, see {workdir_lib.RESULTS}')


def reasons(trial_table: TrialTable, swept: Sweep, failures: Mapping[int, str]) -> dict[str, str]:
    """Why systems of a leaderboard failed, as a whole or in some seeds, by name."""
    found = {}
    for name, point in systems(swept).items():
        failed = trial_table.failed[trial_table.failed['point'] == point.number]
        if point.program in failures:
            found[name] = failures[point.program]
        elif len(failed):
            seeds = ', '.join(map(str, sorted(failed['seed'].unique())))
            found[name] = f'{len(failed)} of its networks diverged; seeds that are not scored: {seeds}'
    return found


def systems(swept: Sweep) -> dict[str, sweep_lib.Point]:
    """The points of a leaderboard by the names of their networks, with what tells namesakes apart."""
    names = [point.config.model.name for point in swept.points]
    return {
        name if names.count(name) == 1 else f'{name}, {sweep_lib.named(point.values)}': point
        for name, point in zip(names, swept.points, strict=True)
    }


def report_leaderboard(
    kept: pd.DataFrame | None,
    inner: pd.DataFrame | None,
    why: Mapping[str, str],
    trial_table: TrialTable,
    swept: Sweep,
    origin: str,
    folder: pathlib.Path,
    console: Console,
    *,
    synthetic: bool,
) -> list[dict[str, Any]]:
    """Writes and shows all systems side by side; returns it as results.json has it."""
    config = swept.reference.config

    def by_system(table: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
        found = {}
        for name, point in systems(swept).items():
            trials = trial_table.table.loc[trial_table.table['point'] == point.number, 'trial']
            rows = table[table['trial'].isin(trials)] if table is not None else ()
            if len(rows):
                found[name] = rows.drop(columns=swept.fields)
        return found

    frame = leaderboard.compare(
        by_system(kept),
        why,
        inner=None if inner is None else by_system(inner),
        metric=config.selection.metric,
        resamples=config.report.resamples,
        shortened=', '.join(filter(None, [smoke.notice(config), config.report.shortened])) or None,
        synthetic=synthetic,
    )
    leaderboard_view.write(frame, folder, origin=origin)
    console.print(leaderboard_view.rich_table(frame))
    return json.loads(frame.to_json(orient='records', double_precision=15))  # what is unknown is null


def failure(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """One failed trial in words."""
    where = f'seed {row["seed"]}'
    if fields:
        where += f', {sweep_lib.named({field: row[field] for field in fields})}'
        where += f', inner part {row["inner"]}' if row['inner'] else ''
    return (
        f'failed: trial {row["trial"]}, {row["database"]}/{row["subject"]} left out, {where}: not finite in '
        f'epoch {row["failed_epoch"]}; its seed is not scored{" at this point" if fields else ""}'
    )


def report_sweep(
    table: pd.DataFrame, swept: Sweep, folder: pathlib.Path, console: Console
) -> list[dict[str, Any]]:
    """Writes and shows every point beside the reference; returns it as results.json has it."""
    frame = sweep_report.compare(
        table, swept.reference.values, resamples=swept.reference.config.report.resamples
    )
    notice = smoke.notice(swept.reference.config)
    sweep_report.write(frame, folder, notice=notice)
    console.print(sweep_report.rich_table(frame, notice=notice))
    return json.loads(frame.to_json(orient='records', double_precision=15))  # what is unknown is null


def write_challenge_logs(
    table: pd.DataFrame, labels: Sequence[str], folder: pathlib.Path, console: Console
) -> None:
    """One log a seed; classes and names that the log has no way to write are told, and cost nothing else."""
    if labels != schema.LABELS:
        console.print(
            f'no challenge log: its classes are {", ".join(schema.LABELS)}; '
            f"the dataset's are {', '.join(labels)}",
            soft_wrap=True,
        )
        return
    for seed, rows in table.groupby('seed'):
        try:
            challenge_log.write(rows, folder / f'challenge_log_seed{seed}.txt')
        except InputError as error:
            console.print(f'no challenge log of seed {seed}: {error}', soft_wrap=True)
