import dataclasses
import io
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import tiny_run
from rich.console import Console
from small_run import run, small

from dualatme_jax import schema
from dualatme_jax.report import curves
from dualatme_jax.report.pictures import drawn
from dualatme_jax.run import flow_pictures, losses
from dualatme_jax.run.kept import LOSSES, Kept
from dualatme_jax.training.wave import Wave

TABLE = pd.DataFrame(
    {'trial': [0, 1, 2, 3], 'wave': [1, 0, 1, 2], 'status': ['done', 'failed', 'done', 'pending']}
)
OF_WAVES = {0: [[3.0], [np.nan]], 1: [[1.0, 4], [2, 5], [3, 6]]}


def keep(folder):
    kept = Kept(folder)
    for number, own in OF_WAVES.items():
        wave = Wave(pd.DataFrame(columns=['trial']), np.array(own), np.zeros(1), 1.0, None)
        kept.keep(number, wave, weights=False)
    return kept


def gathered(kept):
    console = Console(file=io.StringIO(), width=500)
    return losses.gathered(TABLE, kept, console), console.file.getvalue()


@pytest.mark.parametrize('where', ['memory', 'this process', 'an earlier process'])
def test_losses_of_waves_of_different_lengths_are_put_together(tmp_path, where):
    kept = keep(None if where == 'memory' else tmp_path)
    found, notes = gathered(Kept(tmp_path) if where == 'an earlier process' else kept)
    assert found.trial.tolist() == [0, 1, 2, 3]
    nan = np.nan
    np.testing.assert_array_equal(found.losses, np.float32([[1, 2, 3], [3, nan, nan], [4, 5, 6], [nan] * 3]))
    assert notes == ''


def test_losses_that_are_damaged_or_missing_cost_their_trials_only(tmp_path):
    keep(tmp_path)
    kept = Kept(tmp_path)
    path = kept.wave(1) / LOSSES
    path.write_bytes(path.read_bytes()[:-1])
    found, notes = gathered(kept)
    assert np.isfinite(found.losses).sum() == 1
    assert 'losses.npy is damaged; the learning curves lack its trials' in notes
    for number in OF_WAVES:
        (kept.wave(number) / LOSSES).unlink()
        (kept.wave(number) / 'checksums.json').unlink()
    assert not gathered(kept)[0].trained
    # Without the waves, what an earlier report has is what there is.
    before = curves.Curves(np.arange(4), np.ones((4, 2), np.float32))
    curves.write(before, tmp_path / curves.FILE)
    np.testing.assert_array_equal(gathered(kept)[0].losses, 1)
    (tmp_path / curves.FILE).write_bytes(b'')
    found, notes = gathered(kept)
    assert not found.trained
    assert 'there are no learning curves' in notes


@pytest.mark.slow
def test_a_run_leaves_losses_and_pictures_and_makes_them_anew(tmp_path, small_dataset_dir):
    config = small(small_dataset_dir, **{'seeds': (0, 1), 'report.pictures': True})
    run(config, tmp_path)
    found = curves.read(tmp_path / curves.FILE)
    trials = pd.read_csv(tmp_path / 'trials.csv')
    assert found.losses.shape == (16, 2)
    np.testing.assert_allclose(found.losses[:, -1], trials['loss'], rtol=1e-6)
    names = {'confusion', 'subjects', 'seeds', 'reliability', 'risk_coverage', 'learning_curves', 'flow'}
    assert {path.name for path in (tmp_path / 'pictures').iterdir()} == {
        f'{name}.{kind}' for name in names for kind in ('png', 'svg')
    }
    [events] = (tmp_path / 'tensorboard' / 'report').iterdir()
    assert events.stat().st_size > (tmp_path / 'pictures' / 'flow.png').stat().st_size
    assert len(list((tmp_path / 'tensorboard' / 'training').iterdir())) == 1  # of both waves
    with mock.patch.object(drawn, 'save') as save:
        run(config, tmp_path)
    assert {call.args[2] for call in save.call_args_list} == names
    # What fails is named and costs nothing else.
    with mock.patch.object(drawn, 'save', side_effect=OSError('no room')):
        complete, results, printed = run(config, tmp_path)
    assert complete
    assert results['scores']
    assert 'pictures was not made (OSError: no room); the results are there' in printed


def test_the_typical_clip_of_a_class_is_the_surest_one_over_seeds():
    rows = pd.DataFrame(
        [
            [0, 'a', 0, 0.6],
            [0, 'b', 0, 0.9],
            [0, 'c', 1, 0.2],
            [1, 'a', 0, 0.7],
            [1, 'b', 0, 0.3],
            [1, 'c', 1, 0],
        ],
        columns=['seed', 'clip', 'label', 'prob_x'],
    ).assign(database='smic', subject='s', prediction=0)
    rows['prob_y'] = 1 - rows['prob_x']
    found = flow_pictures.typical(rows)
    assert found[['label', 'clip']].to_numpy().tolist() == [[0, 'a'], [1, 'c']]
    found = flow_pictures.typical(rows.drop(columns=['prob_x', 'prob_y']))
    assert found['clip'].tolist() == ['a', 'c']


def test_regions_are_outlined_where_the_metadata_says_where_they_lie(tmp_path):
    boxes = {'E': [0.1, 0.4, 0, 1], 'M': [0, 2, 0, 1]}
    metadata = {'regions': {'pair': 'EM', 'boxes': boxes}}
    assert flow_pictures.boxes_of(metadata) == {'E': [0.1, 0.4, 0, 1]}
    assert flow_pictures.boxes_of({'regions': {'pair': 'EM'}}) == flow_pictures.boxes_of({}) == {}
    flows = np.random.default_rng(0).integers(0, 255, (4, *schema.FLOW_SHAPE)).astype(np.uint8)
    dataset = dataclasses.replace(tiny_run.DATASET, metadata=metadata, inputs={'flow': flows})
    rows = pd.DataFrame(tiny_run.CLIPS, columns=['database', 'subject', 'clip'])
    rows = rows.assign(seed=0, label=dataset.label, prediction=dataset.label)
    with mock.patch.object(drawn, 'save') as save:
        flow_pictures.save(dataset, rows, tmp_path)
        flow_pictures.save(dataclasses.replace(dataset, inputs={}), rows, tmp_path)
    (clips, _, _), (regions, _, name) = (call.args for call in save.call_args_list)
    assert name == 'regions'
    np.testing.assert_allclose(regions.axes[0].images[0].get_array(), flows[..., 2].mean(0))
    # One row per class, each with four pictures and the key of the first; u has its median as zero.
    own = np.asarray(clips.axes[1].images[0].get_array())
    assert clips.axes[0].get_ylabel() == 'negative\nCASME II sub01/a'
    assert np.median(own) == 0
    u = flows[0, ..., 0].astype(float)
    assert np.corrcoef(np.ravel(own), np.ravel(u - np.median(u)))[0, 1] > 0.99
