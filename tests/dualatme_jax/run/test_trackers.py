"""What TensorBoard and MLflow read of a run, read back."""

import collections
import importlib.util
import pathlib
import struct

import numpy as np
import pandas as pd
import pytest
import written_run
from tensorboardX.proto import event_pb2

from dualatme_jax.errors import InputError
from dualatme_jax.report import curves, record
from dualatme_jax.run import mlflow_tracker, tensorboard


def events(folder):
    """The events of a folder of TensorBoard in the order they were written: TFRecords of one event each."""
    for path in sorted(pathlib.Path(folder).iterdir()):
        content = path.read_bytes()
        while content:
            (size,) = struct.unpack('<Q', content[:8])
            yield event_pb2.Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]


def scalars(folder):
    """Tag -> step -> value, as TensorBoard shows them: a start at a step purges it and later ones."""
    found = collections.defaultdict(dict)
    for event in events(folder):
        if event.HasField('session_log'):
            for own in found.values():
                for step in [step for step in own if step >= event.step]:
                    del own[step]
        for value in event.summary.value:
            if value.WhichOneof('value') == 'simple_value':
                found[value.tag][event.step] = pytest.approx(value.simple_value)
    return found


def run_of(folder):
    written_run.write(folder, notice='SMOKE TEST')
    trials = pd.read_csv(folder / 'trials.csv')['trial'].to_numpy()
    losses = np.float32([[4, 2, 1]]) * np.linspace(0.5, 1.5, len(trials), dtype=np.float32)[:, None]
    losses[0, 1:] = np.nan
    curves.write(curves.Curves(trials, losses), folder / curves.FILE)
    (folder / 'pictures').mkdir()
    pixels = np.zeros((4, 6, 3), np.uint8)
    import matplotlib.image

    matplotlib.image.imsave(folder / 'pictures' / 'seeds.png', pixels)
    (folder / 'sweep.md').write_text('| a | b |\n')
    return losses


def test_losses_of_all_waves_stand_in_one_run_and_epochs_trained_again_take_their_place(tmp_path):
    with tensorboard.writing(tmp_path, 'training') as write:
        assert not (tmp_path / 'tensorboard').exists()
        for step in range(1, 6):  # two waves of three epochs, stopped in the second one
            write(step, np.array([step, 2 * step, 6 * step, np.nan]))
    with tensorboard.writing(tmp_path, 'training') as write:
        for step in (5, 6):  # from the checkpoint after its first epoch
            write(step, np.array([1.0, 1.0]))
    found = scalars(tmp_path / 'tensorboard' / 'training')
    assert {*found} == {f'training/{name}' for name in ('loss_mean', 'loss_median', 'loss_max', 'failed')}
    assert found['training/loss_mean'] == {1: 3, 2: 6, 3: 9, 4: 12, 5: 1, 6: 1}
    assert found['training/loss_median'] == {1: 2, 2: 4, 3: 6, 4: 8, 5: 1, 6: 1}
    assert found['training/loss_max'][4] == 24
    assert found['training/failed'] == {1: 1, 2: 1, 3: 1, 4: 1, 5: 0, 6: 0}
    with tensorboard.writing(None, 'training') as write:
        write(1, np.ones(3))


def test_the_report_has_curves_scores_tables_and_pictures_once_however_often_it_is_made(tmp_path):
    losses = run_of(tmp_path)
    for _ in range(2):
        tensorboard.report(record.read(tmp_path))
    folder = tmp_path / 'tensorboard' / 'report'
    assert len(list(folder.iterdir())) == 1
    found = scalars(folder)
    for name, function in (('mean', np.nanmean), ('median', np.nanmedian), ('max', np.nanmax)):
        expected = dict(enumerate(function(losses, axis=0), start=1))
        assert found[f'loss/{name}'] == pytest.approx(expected)
    scores = record.read(tmp_path).results['scores']
    assert found['scores/uf1/full'] == {0: scores['full']['uf1']['mean']}
    assert found['scores/acc/smic'] == {0: scores['smic']['acc']['mean']}
    values = {value.tag: value for event in events(folder) for value in event.summary.value}
    assert values['sweep/text_summary'].tensor.string_val[0] == b'| a | b |\n'
    text = values['run/text_summary'].tensor.string_val[0].decode()
    assert text.startswith('SMOKE TEST\n\n12 trials, one subject left out, selection: last')
    assert f'| SMIC | {scores["smic"]["acc"]["mean"]:.3f} [' in text
    image = values['seeds'].image
    assert (image.height, image.width) == (4, 6)


def test_a_tracker_that_is_unknown_or_not_installed_is_refused(monkeypatch, tmp_path):
    mlflow_tracker.check('', None)
    with pytest.raises(InputError, match=r"tracker is 'wandb'; expected 'mlflow'"):
        mlflow_tracker.check('wandb', tmp_path)
    with pytest.raises(InputError, match='which logs what lies in a workdir; give one'):
        mlflow_tracker.check('mlflow', None)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'mlflow' else object())
    with pytest.raises(InputError, match=r"needs mlflow, .* pip install .* -e '\.\[mlflow\]'"):
        mlflow_tracker.check('mlflow', tmp_path)


def test_parameters_are_what_differs_from_the_default(tmp_path):
    written_run.write(tmp_path)
    found = record.read(tmp_path)
    found.provenance = [
        {'default': 'configs/cd.py', 'changed': {'loss.gamma': [2, 3], 'input.scale': ['a', 'b']}}
    ]
    assert mlflow_tracker.parameters(found) == {
        'model.name': 'dual_atme',
        'seeds': '[0, 1]',
        'protocol': 'one subject left out',
        'selection': 'last',
        'trials': '12',
        'data': 'flow_images; flow',
        'loss.gamma': '3',
        'input.scale': 'b',
    }


@pytest.mark.slow
def test_mlflow_has_the_run_once_and_finds_its_files(tmp_path):
    mlflow = pytest.importorskip('mlflow', reason="needs the extra: pip install -e '.[mlflow]'")
    workdir = tmp_path / "it's a run"
    losses = run_of(workdir)
    for _ in range(2):
        uri = mlflow_tracker.log(record.read(workdir))
    assert uri == f'sqlite:///{tmp_path}/mlflow.db'
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name('dualatme_jax')
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == workdir.name
    assert run.info.status == 'FINISHED'
    assert run.data.params['model.name'] == 'dual_atme'
    assert run.data.tags['notice'] == 'SMOKE TEST'
    scores = record.read(workdir).results['scores']
    assert run.data.metrics['full.uf1'] == pytest.approx(scores['full']['uf1']['mean'])
    assert run.data.metrics['full.uf1.sd'] == pytest.approx(scores['full']['uf1']['sd'])
    history = client.get_metric_history(run.info.run_id, 'loss_median')
    found = {metric.step: metric.value for metric in history}
    assert found == pytest.approx(dict(enumerate(np.nanmedian(losses, axis=0), start=1)))
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {'config.json', 'pictures', 'predictions.csv', 'results.json', 'sweep.md', 'trials.csv'}
    [picture] = client.list_artifacts(run.info.run_id, 'pictures')
    content = (workdir / picture.path).read_bytes()
    assert pathlib.Path(client.download_artifacts(run.info.run_id, picture.path)).read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"it's a run", 'mlflow.db', 'mlartifacts'}


@pytest.mark.slow
def test_mlflow_keeps_the_earlier_run_until_the_new_one_is_whole(tmp_path, monkeypatch):
    mlflow = pytest.importorskip('mlflow', reason="needs the extra: pip install -e '.[mlflow]'")
    run_of(tmp_path / 'run')
    found = record.read(tmp_path / 'run')
    client = mlflow.MlflowClient(tracking_uri=mlflow_tracker.log(found))
    experiment = client.get_experiment_by_name('dualatme_jax').experiment_id
    [first] = client.search_runs([experiment])

    def full(self, run, path, *folder):
        raise OSError(28, 'No space left on device', path)

    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, 'log_artifact', full)
        with pytest.raises(OSError, match='No space left'):
            mlflow_tracker.log(found)
    states = {run.info.run_id: run.info.status for run in client.search_runs([experiment])}
    assert states.pop(first.info.run_id) == 'FINISHED'
    assert [*states.values()] == ['FAILED']
    mlflow_tracker.log(found)
    [last] = client.search_runs([experiment])
    assert last.info.status == 'FINISHED'
    assert last.info.run_id not in {first.info.run_id, *states}
