"""A smoke test goes through all of a run, is short, and says everywhere that it is no result."""

import io
import json

import pandas as pd
import pytest
from rich.console import Console
from small_run import TINY

from configs import cd, leaderboard
from dualatme_jax.errors import InputError
from dualatme_jax.report import given
from dualatme_jax.run import experiment, smoke, sweep


def config_of(**fields):
    config = cd.get_config()
    config.smoke = True
    config.update_from_flattened_dict(fields)
    return config


def test_it_has_one_seed_and_one_epoch_at_every_point_and_the_rest_as_it_was():
    grids = ({'training.epochs': (3, 800), 'loss.name': ('focal', 'cross_entropy')}, {'model.name': 'rcn_a'})
    config = config_of(seeds=(4, 5), sweep=grids)
    points = sweep.points(smoke.shortened(config)).points
    assert [(point.config.training.epochs, point.config.seeds) for point in points] == [(1, (4,))] * 3
    assert [point.config.loss.name for point in points] == ['focal', 'cross_entropy', 'focal']
    assert (config.training.epochs, config.seeds, config.sweep) == (60, (4, 5), grids)


def test_where_epochs_are_selected_there_are_two():
    short = smoke.shortened(leaderboard.get_config())
    assert {point.config.training.epochs for point in sweep.points(short).points} == {2}
    assert short.selection.every == 1


def test_its_folds_are_two_of_each_database():
    names = ['casme2/sub01', 'casme2/sub02', 'casme2/sub03', 'smic/s1', 'samm/006']
    folds = pd.DataFrame({'left_out': names}).rename_axis('fold').reset_index()
    table = pd.concat([folds.assign(point=point) for point in (0, 1)], ignore_index=True)
    kept = smoke.few(table.assign(trial=table.index))
    assert kept['left_out'].tolist() == ['casme2/sub01', 'casme2/sub02', 'smic/s1', 'samm/006'] * 2
    assert kept['trial'].tolist() == list(range(8))
    assert kept['point'].tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize('names', [['casme2', 'smic', 'samm'], ['part 1', 'part 2', 'part 3'], ['nobody']])
def test_of_other_folds_it_has_the_first_two(names):
    table = pd.DataFrame({'fold': range(len(names)), 'left_out': names})
    assert smoke.few(table)['left_out'].tolist() == names[:2]


@pytest.mark.slow
def test_it_is_marked_and_its_workdir_is_not_that_of_a_full_run(small_dataset_dir, tmp_path):
    config = config_of(
        **{
            'data.path': str(small_dataset_dir),
            'model.name': TINY,
            'report.resamples': 20,
            'report.pictures': False,
            'engine.devices': 1,
        }
    )
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    assert experiment.run(config, tmp_path, console).complete
    printed = console.file.getvalue()
    assert printed.startswith(smoke.NOTICE)
    assert printed.count(smoke.NOTICE) == 2, 'at the start, and above the scores'
    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['notice'] == smoke.NOTICE
    assert results['trials'] == 6
    assert not list(tmp_path.glob('challenge_log*'))
    left_out = pd.read_csv(tmp_path / 'trials.csv')['left_out'].str.partition('/')[0]
    assert left_out.value_counts().tolist() == [2, 2, 2]
    assert given.read(tmp_path).notice.startswith(smoke.NOTICE)

    # Who scores the folder must not be given other predictions than those that the run has reported.
    content = (tmp_path / 'predictions.csv').read_text()
    (tmp_path / 'predictions.csv').write_text(content.replace(content.splitlines()[3] + '\n', ''))
    with pytest.raises(InputError, match='is not what the run has reported: give the command of the run'):
        given.read(tmp_path)
    assert experiment.run(config, tmp_path, console).complete
    assert (tmp_path / 'predictions.csv').read_text() == content
    assert len(given.read(tmp_path).table) == content.count('\n') - 1

    config.smoke = False
    with pytest.raises(InputError, match='smoke is True there and False here'):
        experiment.run(config, tmp_path, console)
