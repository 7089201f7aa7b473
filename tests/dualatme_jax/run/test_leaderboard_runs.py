"""A leaderboard, trained: one system that fails costs no other its scores."""

import shutil

import numpy as np
import pandas as pd
import pytest
from small_run import TINY, run, small, uf1

from dualatme_jax.errors import InputError
from dualatme_jax.run.progress import Reporter

BOARD = (
    {'model.name': TINY, 'training.epochs': 3},
    {'model.name': 'small_systems.tiny_too', 'training.epochs': 4},
)


@pytest.mark.parametrize(
    ('fails', 'error', 'reason'),
    [
        (0, ValueError('shapes do not fit\nat all'), 'ValueError: shapes do not fit'),
        (1, MemoryError(), 'MemoryError'),
    ],
)
@pytest.mark.slow
def test_a_leaderboard_reports_all_systems_but_the_one_that_fails_which_goes_on(
    small_dataset_dir, tmp_path, monkeypatch, fails, error, reason
):
    names = [point['model.name'] for point in BOARD]
    broken, well = names[fails], names[1 - fails]
    epochs = BOARD[fails]['training.epochs']
    fields = {'sweep': BOARD, 'selection.every': 1, 'report.leaderboard': True, 'report.shortened': 'all'}
    config = small(small_dataset_dir, **fields, **{'checkpoint.every': 1})
    told = Reporter.epoch

    def die(self, wave, done, losses):
        told(self, wave, done, losses)
        if self._epochs == epochs and done == 3:
            raise error

    monkeypatch.setattr(Reporter, 'epoch', die)
    complete, results, printed = run(config, tmp_path)
    assert not complete
    board = {row['system']: row for row in results['leaderboard']}
    assert [board[name]['status'] for name in (well, broken)] == ['scored', 'failed']
    assert board[broken]['reason'] == reason
    table = pd.read_csv(tmp_path / 'epoch_predictions.csv')
    last = BOARD[1 - fails]['training.epochs']
    assert table.groupby('model.name')['epoch'].max().to_dict() == {well: last}
    assert board[well]['uf1_mean'] == pytest.approx(uf1(table[table['epoch'] == last]))
    assert board[well]['reference']
    text = (tmp_path / 'leaderboard.md').read_text()
    assert reason in text
    assert 'SHORTENED RUN: all' in text
    assert (tmp_path / 'leaderboard.png').exists()

    monkeypatch.undo()
    complete, results, printed = run(config, tmp_path)
    assert complete
    assert 'continued after epoch 2' in printed, 'its checkpoint is there still'
    assert printed.count('side by side') == 1, 'what had ended is not trained again'
    assert {row['system'] for row in results['leaderboard'] if row['status'] == 'scored'} == set(names)
    assert not (tmp_path / 'checkpoints').exists()

    # An ensemble of both may be asked for when all is trained.
    config.report.ensemble, config.report.ensemble_over = 'mean', 'points'
    _, results, printed = run(config, tmp_path)
    assert 'nothing is trained again' in printed
    together = pd.read_csv(tmp_path / 'ensemble_predictions.csv')
    chances = list(together.filter(like='prob_'))
    last = pd.concat(
        rows[rows['epoch'] == rows['epoch'].max()]
        for _, rows in pd.read_csv(tmp_path / 'epoch_predictions.csv').groupby('model.name')
    )
    by_hand = last.groupby(['database', 'subject', 'clip'], sort=False)[chances].mean()
    np.testing.assert_allclose(together[chances], by_hand, atol=1e-6)
    board = {row['system']: row for row in results['leaderboard']}
    assert board['ensemble']['uf1_mean'] == pytest.approx(uf1(together))


@pytest.mark.slow
def test_a_system_whose_dataset_is_not_there_costs_no_other_its_scores_and_is_trained_once_it_is(
    small_dataset_dir, tmp_path
):
    later = tmp_path / 'later'
    board = [
        point | {'data.path': str(path)}
        for point, path in zip(BOARD, (small_dataset_dir, later), strict=True)
    ]
    fields = {'sweep': tuple(board), 'selection.every': 1, 'report.leaderboard': True}
    config = small(small_dataset_dir, **fields)
    there, lacks = (point['model.name'] for point in BOARD)

    complete, results, _ = run(config, tmp_path / 'run')
    assert not complete
    rows = {row['system']: row for row in results['leaderboard']}
    assert rows[there]['status'] == 'scored'
    assert rows[lacks]['status'] == 'failed'
    assert f'no dataset at {later}' in rows[lacks]['reason']
    assert 'python -m data_prep build' in rows[lacks]['reason']

    shutil.copytree(small_dataset_dir, later)
    complete, results, printed = run(config, tmp_path / 'run')
    assert complete
    assert printed.count('side by side') == 1, 'what had ended is not trained again'
    after = {row['system']: row for row in results['leaderboard']}
    assert after[lacks]['status'] == 'scored'
    assert after[there]['uf1_mean'] == rows[there]['uf1_mean']


def test_a_leaderboard_without_any_dataset_is_an_error(tmp_path):
    board = ({'model.name': TINY}, {'model.name': 'small_systems.tiny_too'})
    config = small(tmp_path / 'none', sweep=board, **{'selection.every': 1, 'report.leaderboard': True})
    with pytest.raises(InputError, match='no dataset at'):
        run(config, tmp_path / 'run')
