"""Logs a run that has reported to MLflow, by its own client, into a database beside the workdir.

Nothing leaves the machine: runs/mlflow.db has parameters and metrics, runs/mlartifacts the files.
`mlflow server --backend-store-uri sqlite:///runs/mlflow.db` shows them.
"""

import importlib.util
import json
import logging
import os
import pathlib
import re
import time
from typing import Any

import numpy as np

from dualatme_jax.errors import InputError
from dualatme_jax.report.pictures import of_record
from dualatme_jax.report.record import Record
from dualatme_jax.report.scores import METRICS
from dualatme_jax.run.tensorboard import summary

NAME = 'mlflow'
EXPERIMENT = 'dualatme_jax'
DATABASE, ARTIFACTS = 'mlflow.db', 'mlartifacts'
WORKDIR = 'workdir'  # the tag by which a run that is reported again is found

_LONGEST = 500  # characters of a parameter, as MLflow takes them
_MOST_RUNS = 50_000  # that are looked through
_NO_NAME = re.compile(r'[^\w\-./ ]')  # what a metric's name may not have
_AT_ONCE = 1000  # metrics in one call, as MLflow takes them
_SUFFIXES = {'.csv', '.json', '.md', '.tex', '.txt', '.html', '.png'}
_LARGEST = 2**25  # bytes of a file that is copied


def check(tracker: str, workdir: object) -> None:
    """Raises InputError unless a tracker that is asked for is known and installed, and there is a workdir."""
    if not tracker:
        return
    if tracker != NAME:
        raise InputError(f"config.report.tracker is {tracker!r}; expected 'mlflow', or '' for none")
    if workdir is None:
        raise InputError(
            "config.report.tracker is 'mlflow', which logs what lies in a workdir; give one, or leave it out"
        )
    lacking = [name for name in (NAME, 'sqlalchemy', 'alembic') if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(
            f"the tracker 'mlflow' needs {', '.join(lacking)}, which is not installed: "
            "pip install -c constraints.txt -e '.[mlflow]'"
        )


def log(record: Record) -> str:
    """Logs a run: how its config differs from its system's, scores, losses, tables, pictures and the page.

    A run of the same workdir that was logged before is deleted once the new one is whole; one that cannot be
    written is left as FAILED.

    Returns:
      The URI of the database.

    Raises:
      InputError: a file of the run is damaged.
    """
    os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')
    import mlflow

    for name in ('alembic', 'mlflow'):  # how they make their tables
        logging.getLogger(name).setLevel(logging.WARNING)
    folder = record.folder.resolve()
    uri = f'sqlite:///{folder.parent / DATABASE}'
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    place = (folder.parent / ARTIFACTS).as_uri()
    experiment = (
        found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=place)
    )
    earlier = [
        before.info.run_id
        for before in client.search_runs([experiment], max_results=_MOST_RUNS)
        if before.data.tags.get(WORKDIR) == str(folder)
    ]
    run = client.create_run(experiment, run_name=folder.name, tags={WORKDIR: str(folder)}).info.run_id
    try:
        _fill(client, run, record, folder)
    except BaseException:
        client.set_terminated(run, 'FAILED')
        raise
    client.set_terminated(run)
    for before in earlier:
        client.delete_run(before)
    return uri


def _fill(client: Any, run: str, record: Record, folder: pathlib.Path) -> None:
    """Writes parameters, tags, metrics and files of a record into a run of an `MlflowClient`."""
    from mlflow.entities import Metric, Param, RunTag

    now = int(1000 * time.time())
    params = [Param(name, value) for name, value in parameters(record).items()]
    tags = [RunTag('notice', '\n'.join(record.notices))] if record.notices else []
    client.log_batch(run, params=params[:100], tags=tags)
    for start in range(100, len(params), 100):
        client.log_batch(run, params=params[start : start + 100])
    metrics = [Metric(name, value, now, step) for name, value, step in numbers(record)]
    for start in range(0, len(metrics), _AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + _AT_ONCE])
    for path in sorted(folder.iterdir()):
        if (
            path.is_file()
            and path.suffix in _SUFFIXES
            and path.name[0] != '.'
            and path.stat().st_size < _LARGEST
        ):
            client.log_artifact(run, str(path))
    if (folder / of_record.FOLDER).is_dir():
        client.log_artifacts(run, str(folder / of_record.FOLDER), of_record.FOLDER)


def parameters(record: Record) -> dict[str, str]:
    """What a run is, and the fields of its config that differ from its system's own."""
    config, found = record.recipe or {}, record.results or {}
    values: dict[str, Any] = {
        'model.name': (config.get('model') or {}).get('name'),
        'seeds': config.get('seeds'),
        'protocol': found.get('protocol'),
        'selection': found.get('selection'),
        'trials': found.get('trials'),
        'data': (config.get('trained_on') or {}).get('origin'),
    }
    values |= {field: here for field, (_, here) in record.differences.items()}
    values |= {
        name: '; '.join(found) for name, found in record.made_with.items() if name in ('device', 'commit')
    }
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return {name: text[:_LONGEST] for name, text in words.items() if text not in ('', 'null')}


def numbers(record: Record) -> list[tuple[str, float, int]]:
    """(name, value, step) of the scores, as `full.uf1`, and of the losses by epoch over all trials."""
    found = []
    for name, metrics in ((record.results or {}).get('scores') or {}).items():
        for metric in METRICS:
            found.append((f'{name}.{metric}', metrics[metric]['mean'], 0))
            if metrics[metric]['sd'] is not None:
                found.append((f'{name}.{metric}.sd', metrics[metric]['sd'], 0))
    losses = record.curves.losses if record.curves else np.zeros((0, 0))
    for epoch, own in enumerate(losses.T, start=1):
        found += [(name, value, epoch) for name, value in summary(own).items()]
    return [(_NO_NAME.sub('_', name), value, step) for name, value, step in found]
