"""Sweeps, trained: points in one table, their scores, the choice between them."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from small_run import person, run, small

from dualatme_jax.errors import InputError

GRID = {'optimizer.learning_rate': (1e-3, 0.01), 'loss.name': ('focal', 'cross_entropy')}


@pytest.fixture(scope='module')
def swept(small_dataset_dir, tmp_path_factory):
    """A sweep of four points and one program, one of them given twice."""
    folder = tmp_path_factory.mktemp('runs') / 'swept'
    return folder, *run(small(small_dataset_dir, sweep=(GRID, {'loss.name': 'focal'})), folder)


@pytest.mark.slow
def test_a_sweep_s_points_train_in_one_table(swept):
    folder, complete, results, printed = swept
    assert complete
    assert results['trials'] == 32
    assert '32 trials, 8 side by side' in printed
    assert printed.count('planning') == 1
    told = 'the sweep has optimizer.learning_rate = 0.001, loss.name = focal twice; it is trained once'
    assert told in printed
    table = pd.read_csv(folder / 'predictions.csv')
    assert table.groupby(list(GRID)).size().tolist() == [24] * 4
    assert not (folder / 'inner_predictions.csv').exists()


def test_a_sweep_s_scores_are_scikit_learn_s_and_the_reference_is_the_config_s_own(swept):
    folder, _, results, _ = swept
    table = pd.read_csv(folder / 'predictions.csv')
    for row in results['sweep']:
        own = table[(table[list(GRID)] == [row[name] for name in GRID]).all(axis=1)]
        expected = metrics.f1_score(own['label'], own['prediction'], average='macro')
        assert row['uf1_mean'] == pytest.approx(expected)
        home = (row['optimizer.learning_rate'], row['loss.name']) == (1e-3, 'focal')
        assert row['reference'] == home
        if home:
            assert results['scores']['full']['uf1']['mean'] == pytest.approx(expected)
    assert results['selection'] == 'last'
    assert len(results['sweep']) == 4
    assert (folder / 'sweep.csv').exists()
    assert 'Reference' in (folder / 'sweep.md').read_text()


@pytest.mark.slow
def test_a_point_of_a_sweep_is_the_run_of_that_config(swept, small_dataset_dir, tmp_path):
    fields = {'optimizer.learning_rate': 0.01, 'loss.name': 'cross_entropy'}
    assert run(small(small_dataset_dir, **fields), tmp_path / 'alone')[0]
    alone = pd.read_csv(tmp_path / 'alone' / 'predictions.csv')
    table = pd.read_csv(swept[0] / 'predictions.csv')
    own = table[(table[list(fields)] == list(fields.values())).all(axis=1)]
    assert own['clip'].tolist() == alone['clip'].tolist()
    chances = [name for name in alone if name.startswith('prob_')]
    np.testing.assert_allclose(own[chances], alone[chances], atol=2e-3)


def test_a_finished_sweep_is_reported_again_and_another_one_refused(swept, small_dataset_dir):
    folder, _, results, _ = swept
    config = small(small_dataset_dir, sweep=(GRID, {'loss.name': 'focal'}))
    _, again, told = run(config, folder)
    assert again == results
    assert 'nothing is trained again' in told
    config.sweep = (GRID | {'loss.name': 'focal'},)
    with pytest.raises(InputError, match=r'with more than this config: 2 of its 4 points \(loss'):
        run(config, folder)


@pytest.mark.slow
def test_fields_that_change_the_program_split_the_table_and_nested_selection_chooses(
    small_dataset_dir, tmp_path
):
    fields = {
        'sweep': ({'model.dropout': (0.2, 0.5)}, {'training.epochs': 1}),
        'selection.name': 'nested',
        'selection.parts': 2,
        'optimizer.learning_rate': 0.01,
    }
    complete, results, printed = run(small(small_dataset_dir, **fields), tmp_path)
    assert complete
    trials = pd.read_csv(tmp_path / 'trials.csv')
    # A point has 8 subjects, each left out alone and with either half of the others.
    assert trials.groupby(['program', 'point']).size().to_dict() == {(0, 0): 24, (0, 1): 24, (1, 2): 24}
    assert trials.groupby('wave')['program'].nunique().eq(1).all()
    assert 'training.epochs = 1: 24 trials, 8 side by side' in printed

    names = ['model.dropout', 'training.epochs']
    inner = pd.read_csv(tmp_path / 'inner_predictions.csv', dtype={'subject': str})
    outer = pd.read_csv(tmp_path / 'predictions.csv', dtype={'subject': str})
    assert (person(inner) != inner['left_out']).all()
    assert set(inner['inner']) == {1, 2}
    assert len(outer) == 3 * 24
    assert results['selection'] == 'nested'
    assert len(results['chosen']) == 8
    right = total = 0
    for choice in results['chosen']:
        seen = inner[inner['left_out'] == choice['left_out']]
        uf1 = seen.groupby(names)[['label', 'prediction']].apply(
            lambda rows: metrics.f1_score(rows['label'], rows['prediction'], average='macro')
        )
        assert uf1[tuple(choice[name] for name in names)] == pytest.approx(uf1.max())
        own = outer[person(outer) == choice['left_out']]
        own = own[(own[names] == [choice[name] for name in names]).all(axis=1)]
        right, total = right + (own['label'] == own['prediction']).sum(), total + len(own)
    assert total == 24
    assert results['scores']['full']['acc']['mean'] == pytest.approx(right / total)
    assert sum(row['reference'] for row in results['sweep']) == 1


@pytest.mark.slow
def test_a_sweep_over_datasets_needs_the_same_clips(small_dataset_dir, synthetic_dataset_dir, tmp_path):
    paths = (str(small_dataset_dir), str(synthetic_dataset_dir))
    with pytest.raises(
        InputError, match=r'the points of a sweep need the same clips, but .*synthetic differs'
    ):
        run(small(small_dataset_dir, sweep=({'data.path': paths},)), tmp_path)
