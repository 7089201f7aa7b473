"""Runs that keep the predictions of several epochs, and select among them."""

import pandas as pd
import pytest
from small_run import person, run, small, uf1

from dualatme_jax.run.progress import Reporter


@pytest.fixture(scope='module')
def kept(small_dataset_dir, tmp_path_factory):
    """A nested run over epochs alone: 3 epochs, the predictions of each kept."""
    folder = tmp_path_factory.mktemp('runs') / 'kept'
    fields = {
        'training.epochs': 3,
        'optimizer.learning_rate': 0.01,
        'selection.name': 'nested',
        'selection.parts': 2,
        'selection.every': 1,
    }
    return folder, *run(small(small_dataset_dir, **fields), folder)


@pytest.mark.slow
def test_one_training_answers_every_selection(kept):
    folder, complete, results, printed = kept
    assert complete
    table = pd.read_csv(folder / 'epoch_predictions.csv', dtype={'subject': str})
    assert table.groupby('epoch').size().to_dict() == {1: 24, 2: 24, 3: 24}
    last = table[table['epoch'] == 3]
    assert (folder / 'predictions.csv').read_text().count('\n') == 25
    found = {name: row['scores']['full'] for name, row in results['selections'].items()}
    assert found['last']['uf1']['mean'] == pytest.approx(uf1(last))
    # By hand: of each subject the epoch that is right most often, the first of equals.
    right = table.assign(right=table['label'] == table['prediction'])
    counts = right.groupby(['database', 'subject', 'epoch'])['right'].sum().unstack()
    best = counts.idxmax(axis=1)
    chosen = pd.concat(
        [rows[rows['epoch'] == best[key]] for key, rows in table.groupby(['database', 'subject'])]
    )
    assert found['best_on_test']['uf1']['mean'] == pytest.approx(uf1(chosen))
    assert [row['leaks'] for row in results['selections'].values()] == [False, False, True]
    gap = found['best_on_test']['uf1']['mean'] - found['last']['uf1']['mean']
    assert results['selections']['best_on_test']['gap'] == pytest.approx(gap)
    assert 'best_on_test, LEAKS' in printed


@pytest.mark.slow
def test_nested_selection_of_the_epoch_asks_the_other_subjects(kept):
    folder, _, results, printed = kept
    words = {'subject': str}
    table = pd.read_csv(folder / 'epoch_predictions.csv', dtype=words)
    inner = pd.read_csv(folder / 'inner_predictions.csv', dtype=words)
    assert len(results['chosen']) == 8
    chosen = []
    for row in results['chosen']:
        own = inner[inner['left_out'] == row['left_out']]
        assert (person(own) != row['left_out']).all()
        of_epochs = own.groupby('epoch')[['label', 'prediction']].apply(uf1)
        assert of_epochs[row['epoch']] == pytest.approx(of_epochs.max())
        of_fold = person(table) == row['left_out']
        chosen.append(table[of_fold & (table['epoch'] == row['epoch'])])
    assert results['selection'] == 'nested'
    assert results['scores']['full']['uf1']['mean'] == pytest.approx(uf1(pd.concat(chosen)))
    assert 'left-out subjects: epoch = ' in printed


@pytest.mark.slow
def test_the_leaking_selection_is_marked_wherever_it_is_shown(small_dataset_dir, tmp_path):
    fields = {'selection.name': 'best_on_test', 'selection.every': 1, 'engine.max_trials': 8}
    _, results, printed = run(small(small_dataset_dir, **fields), tmp_path)
    assert 'WHICH LEAKS' in printed
    assert results['selection'] == 'best_on_test'
    assert results['scores'] == results['selections']['best_on_test']['scores']


@pytest.mark.slow
def test_kept_epochs_survive_an_interruption(small_dataset_dir, tmp_path, monkeypatch):
    config = small(small_dataset_dir, **{'training.epochs': 3, 'selection.every': 1, 'checkpoint.every': 1})
    whole = run(config, tmp_path / 'whole')[1]
    epochs = Reporter.epoch

    def die(self, wave, done, losses):
        if done == 3:
            raise KeyboardInterrupt
        epochs(self, wave, done, losses)

    monkeypatch.setattr(Reporter, 'epoch', die)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / 'stopped')
    monkeypatch.undo()
    _, results, printed = run(config, tmp_path / 'stopped')
    assert 'continued after epoch 2' in printed
    assert results['selections'] == whole['selections']
    name = 'epoch_predictions.csv'
    assert (tmp_path / 'stopped' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
