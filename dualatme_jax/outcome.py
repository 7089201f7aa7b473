"""What a run leaves when its trials have ended: predictions put together, scores, tables, plots."""

import json
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console

from dualatme_jax import schema
from dualatme_jax import sweep as sweep_lib
from dualatme_jax import workdir as workdir_lib
from dualatme_jax.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.ledger import Ledger
from dualatme_jax.report import challenge_log, nested, paper, plots, predictions, results, scores, tables
from dualatme_jax.report import sweep as sweep_report
from dualatme_jax.settings import NESTED
from dualatme_jax.sweep import Sweep


def collect(ledger: Ledger, swept: Sweep, folder: pathlib.Path) -> None:
    """Puts the waves' predictions together: those of left-out subjects, and inner ones if there are any.

    Scores pool the predictions of all folds, so a seed and point of which a trial failed is left out as a
    whole; what its other trials predicted stays with their waves.
    """
    files = [
        folder / workdir_lib.WAVES / workdir_lib.wave_name(wave) / workdir_lib.PREDICTIONS
        for wave in ledger.waves
    ]
    words = {'subject': str, 'clip': str}
    rows = pd.concat(
        [pd.read_csv(file, dtype=words, keep_default_na=False) for file in files], ignore_index=True
    ).sort_values('trial', kind='stable')
    trial = ledger.table.set_index('trial').loc[rows['trial']]
    pair = pd.MultiIndex.from_frame(trial[['seed', 'point']])
    whole = ~pair.isin(pd.MultiIndex.from_frame(ledger.failed[['seed', 'point']]))
    inner = trial['inner'].to_numpy() > 0
    rows = with_fields(rows, ledger, swept)
    predictions.write(rows[whole & ~inner], folder / workdir_lib.PREDICTIONS)
    if inner.any():
        outside = {
            'outer_database': trial['database'].to_numpy(),
            'outer_subject': trial['subject'].to_numpy(),
            'inner': trial['inner'].to_numpy(),
        }
        predictions.write(rows.assign(**outside)[whole & inner], folder / workdir_lib.INNER_PREDICTIONS)


def report(ledger: Ledger, dataset: Dataset, swept: Sweep, folder: pathlib.Path, console: Console) -> bool:
    """Writes scores, challenge logs and plots, and shows the table; returns whether no trial failed."""
    config, failed = swept.reference.config, ledger.failed
    columns = ['trial', 'database', 'subject', 'seed', 'failed_epoch']
    if swept.fields:
        columns += ['inner', *swept.fields]
    result = {
        'selection': config.selection.name,
        'trials': len(ledger.table),
        'failed': failed[columns].to_dict('records'),
        'seconds': ledger.seconds,
        'dataset': dataset.metadata,
        'labels': list(dataset.labels),
        'scores': None,
        'per_seed': [],
    }
    for row in result['failed']:
        console.print(failure(row, swept.fields), soft_wrap=True)
    whole = ledger.table[['seed', 'point']].drop_duplicates()
    if len(failed[['seed', 'point']].drop_duplicates()) < len(whole):
        table, labels = predictions.read(folder / workdir_lib.PREDICTIONS)
        if swept.fields:
            table = with_fields(table, ledger, swept)
            result['sweep'] = report_sweep(table, swept, folder, console)
            paper.show(table, config.report.paper, console, folder, origin=dataset.origin)
        if config.selection.name == NESTED:
            chosen = choose(with_fields(read_inner(folder), ledger, swept), swept, console)
            result['chosen'] = chosen.to_dict('records')
            selected, how, title = nested.predictions(table, chosen), 'nested, by the other subjects', None
        else:
            of_reference = ledger.table[ledger.table['point'] == swept.reference.number]
            selected, how = table[table['trial'].isin(of_reference['trial'])], 'last epoch'
            title = sweep_lib.named(swept.reference.values) or None
        if len(selected):
            result |= scores.score_run(selected, resamples=config.report.resamples)
            console.print(tables.scores_table(selected, result, selection=how, title=title))
            console.print(f'Input: {dataset.origin}', soft_wrap=True)
            plots.confusion_matrices(selected, labels, folder / workdir_lib.CONFUSION)
            write_challenge_logs(selected, labels, folder, console)
    results.write(result, folder / workdir_lib.RESULTS)
    shutil.rmtree(folder / workdir_lib.CHECKPOINTS, ignore_errors=True)
    console.print(f'trained in {ledger.seconds:.0f} s; everything is in {folder}', soft_wrap=True)
    return failed.empty


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
    sweep_report.write(frame, folder)
    console.print(sweep_report.rich_table(frame))
    return json.loads(frame.to_json(orient='records', double_precision=15))  # what is unknown is null


def with_fields(table: pd.DataFrame, ledger: Ledger, swept: Sweep) -> pd.DataFrame:
    """Predictions with the swept fields as the ledger has them: the same from whatever file they came."""
    trial = ledger.table.set_index('trial').loc[table['trial']]
    return table.assign(**{field: trial[field].to_numpy() for field in swept.fields})


def read_inner(folder: pathlib.Path) -> pd.DataFrame:
    """The inner predictions of a run."""
    words = dict.fromkeys(('database', 'subject', 'clip', 'outer_database', 'outer_subject'), str)
    return pd.read_csv(folder / workdir_lib.INNER_PREDICTIONS, dtype=words, keep_default_na=False)


def choose(inner: pd.DataFrame, swept: Sweep, console: Console) -> pd.DataFrame:
    """The point for each seed and left-out subject, see `nested.choose`.

    A point of which a trial failed is no choice for its seed.
    """
    metric = swept.reference.config.selection.metric
    chosen = pd.concat(
        [nested.choose(rows, swept.fields, metric) for _, rows in inner.groupby('seed')], ignore_index=True
    )
    for row in nested.times_chosen(chosen, swept.fields).to_dict('records'):
        times = row.pop('times')
        console.print(
            f'chosen for {times} of {len(chosen)} left-out subjects: {sweep_lib.named(row)}', soft_wrap=True
        )
    return chosen


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
