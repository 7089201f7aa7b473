"""Runs that show what the leaks of a paper add to their honest score."""

import pandas as pd
import people
import pytest
from small_run import run, small

from configs import cd
from dualatme_jax.errors import InputError
from dualatme_jax.run import as_published, settings, sweep

NAMES = ('whole_set_scaling', 'best_epoch', 'folds_averaged', 'uf1_of_one')


@pytest.mark.slow
def test_a_run_shows_each_leak_beside_its_honest_score(small_dataset_dir, tmp_path):
    config = small(small_dataset_dir, **{'input.scale': 'fold', 'as_published': NAMES})
    complete, results, printed = run(config, tmp_path)
    assert complete
    rows = results['as_published']
    assert [row['step'] for row in rows] == ['honest', *NAMES]
    assert [row['leaks'] for row in rows] == [False] + [True] * 4
    honest = results['scores']['full']
    assert rows[0]['uf1'] == pytest.approx(honest['uf1']['mean'])
    other = next(row for row in results['sweep'] if row['input.scale'] == 'whole_set')
    assert rows[1]['uf1'] == pytest.approx(other['uf1_mean'])
    assert rows[2]['acc'] >= rows[1]['acc']  # of the accuracy that it chooses the epoch by
    assert rows[4]['uf1'] >= rows[3]['uf1']
    assert 'LEAKS: inputs are scaled by the mean and the maximum of all clips' in results['notice']
    assert 'input.scale = whole_set' in results['notice']
    assert not results['leaks']
    assert not results['selections']['last']['leaks']
    for name in NAMES:
        assert f'+ {name}, LEAKS' in printed
    again = run(config, tmp_path)
    assert again[1]['as_published'] == rows
    assert 'nothing is trained again' in again[2]


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'as_published': ('dropout',)}, "as_published has 'dropout'; expected some of action_units, "),
        ({'as_published': ('uf1_of_one',)}, "expected 'folds_averaged' beside it"),
        ({'as_published': NAMES, 'input.scale': 'whole_set'}, "go with config.input.scale='whole_set'"),
        ({'as_published': NAMES, 'sweep': ({'training.epochs': (1, 2)},)}, 'not go with config.sweep'),
        ({'evaluate_only': 'weights', 'input.scale': 'fold'}, 'do not say which clips scaled'),
    ],
)
def test_what_does_not_go_together_is_refused(fields, message):
    config = cd.get_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(InputError, match=message):
        settings.check(config)


def test_each_leak_is_scored_by_the_networks_that_have_it():
    config = cd.get_config()
    config.as_published = ('action_units', *NAMES)
    config.input.scale, config.sweep = 'fold', ({'data.path': ('honest', 'units')},)
    swept = sweep.points(as_published.applied(config))
    assert [point.values for point in swept.points] == [
        {'data.path': 'honest', 'input.scale': 'fold'},
        {'data.path': 'units', 'input.scale': 'fold'},
        {'data.path': 'units', 'input.scale': 'whole_set'},
    ]
    assert swept.reference is swept.points[0]
    programs = [point.program for point in swept.points]
    table = pd.concat(
        people.clips(3, 2).assign(trial=number, seed=0, prediction=0, **point.cells)
        for number, point in enumerate(swept.points)
    )
    kept = pd.concat(table.assign(epoch=epoch) for epoch in (1, 2))
    trials = pd.DataFrame({'trial': range(3), 'point': range(3)})
    leaks = {programs[1]: 'LEAKS', programs[2]: 'LEAKS'}
    found = as_published.steps(swept, trials, table, kept, leaks)
    assert [name for name, _ in found] == ['honest', 'action_units', *NAMES]
    assert [set(rows['trial']) for _, rows in found] == [{0}, {1}, {2}, {2}, {2}, {2}]
    without = as_published.steps(swept, trials, table, None, dict.fromkeys(programs, 'LEAKS'))
    assert [name for name, _ in without] == ['action_units', *NAMES]


def test_crops_by_action_units_are_of_a_dataset_that_has_them(small_dataset_dir, tmp_path):
    config = small(small_dataset_dir, as_published=('action_units',))
    with pytest.raises(InputError, match='no input of the dataset is placed by annotated action units'):
        run(config, tmp_path)
