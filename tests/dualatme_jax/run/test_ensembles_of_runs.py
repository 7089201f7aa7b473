"""Ensembles of a run: its seeds, points and systems, what is refused, and what leaks. Nothing is trained."""

import functools
import io
import json

import numpy as np
import pandas as pd
import pytest
import tiny_run
from rich.console import Console
from sklearn import metrics

from configs import cd
from dualatme_jax.errors import InputError
from dualatme_jax.report import ensemble, given, scores
from dualatme_jax.report.pictures import confusion
from dualatme_jax.run import collect, ensembles, finish, settings, smoke

POINTS = ({'loss.cosine_weight': (0.0, 0.01, 0.1)},)
TWO = ({'input.scale': ('signed', 'whole_set')},)


def config(**fields):
    found = cd.get_config()
    found.seeds, found.report.resamples, found.report.ensemble = (0, 1), 20, 'mean'
    found.update_from_flattened_dict(fields)
    return found


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    monkeypatch.setattr(confusion, 'confusion_matrices', lambda *_, **__: None)


def reported(folder, own, *, failed=(), epochs=1, leaks=None):
    """The results of a run that `tiny_run` has left, all right, and what was shown."""
    folder.mkdir(exist_ok=True)
    swept = settings.check(own)
    console = Console(file=io.StringIO(), width=80, markup=False)
    trial_table, kept = tiny_run.train(None, swept, failed=failed, epochs=epochs)
    found = collect.collect(trial_table, swept, tiny_run.DATASET, kept, console)
    made = finish.report(trial_table, tiny_run.DATASET, swept, found, leaks=leaks)
    made.write(folder)
    made.show(console)
    return json.loads((folder / 'results.json').read_text()), ' '.join(console.file.getvalue().split())


def names(results):
    return [member['name'] for member in results['ensemble']['members']]


def test_seeds_are_the_members_and_the_ensemble_is_scored_once(tmp_path):
    results, shown = reported(tmp_path, config())
    own = results['ensemble']
    assert names(results) == ['seed 0', 'seed 1']
    assert len(own['per_seed']) == 1
    assert len(results['per_seed']) == 2, 'the members are the result still'
    assert (own['leaks'], own['selection'], own['absent']) == (False, 'last', {})
    assert 'Ensemble of 2 seeds (mean)' in shown
    assert '2 seeds as one; selection: last epoch.' in shown
    table = given.read(tmp_path / ensemble.CSV).table
    assert scores.score(table) == {metric: own['scores']['full'][metric]['mean'] for metric in scores.METRICS}
    assert table['clip'].tolist() == [clip for *_, clip in tiny_run.CLIPS]


@pytest.mark.slow
def test_points_are_the_members_at_each_seed(tmp_path):
    own = config(sweep=POINTS, **{'report.ensemble_over': 'points'})
    results, _ = reported(tmp_path / 'points', own)
    assert names(results) == [f'loss.cosine_weight = {value}' for value in (0.0, 0.01, 0.1)]
    assert [entry['seed'] for entry in results['ensemble']['per_seed']] == [0, 1]
    assert len(pd.read_csv(tmp_path / 'points' / ensemble.CSV)) == 8


@pytest.mark.slow
def test_a_member_with_a_failed_trial_is_named_and_the_others_go_on(tmp_path):
    own = config(sweep=POINTS, **{'report.ensemble_over': 'points', 'report.ensemble': 'vote'})
    results, shown = reported(tmp_path / 'one', own, failed={5})  # the first point, seed 1
    assert names(results) == ['loss.cosine_weight = 0.01', 'loss.cosine_weight = 0.1']
    assert results['ensemble']['absent'] == {'loss.cosine_weight = 0.0': 'it lacks seed 1'}
    assert 'left out: loss.cosine_weight = 0.0 (it lacks seed 1)' in shown
    results, shown = reported(tmp_path / 'seeds', config(), failed={5})
    reason = 'no ensemble, since it takes two members and 1 can be combined (seed 1: a trial failed)'
    assert results['ensemble'] == {'reason': reason}
    assert reason in shown
    assert results['scores'], 'what is whole is scored'
    assert not (tmp_path / 'seeds' / ensemble.CSV).exists()


@pytest.mark.parametrize(('over', 'grids'), [('seeds', ()), ('points', TWO)])
@pytest.mark.slow
def test_members_that_were_chosen_on_the_test_are_marked(tmp_path, over, grids):
    chosen = {'selection.name': 'best_on_test', 'selection.every': 1}
    own = config(sweep=grids, **chosen, **{'report.ensemble_over': over})
    results, shown = reported(tmp_path, own, epochs=2)
    assert results['ensemble']['leaks']
    assert 'LEAKS: members of the ensemble are of the epoch that is best on their left-out subjects' in shown
    assert '**LEAKS: members' in (tmp_path / ensemble.MARKDOWN).read_text()


BOARD = {'report.leaderboard': True, 'selection.every': 1, 'report.ensemble_over': 'points'}
SYSTEMS = ({'model.name': ('ststnet', 'dual_atme', 'rcn_a')},)


@pytest.mark.slow
def test_systems_are_the_members_of_a_leaderboard(tmp_path):
    own = config(sweep=SYSTEMS, **BOARD, **{'report.reference': 'rcn_a'})
    results, shown = reported(tmp_path, own, failed=range(16, 24))
    assert names(results) == ['ststnet', 'dual_atme']
    assert '8 of its networks diverged' in results['ensemble']['absent']['rcn_a']
    board = {row['system']: row for row in results['leaderboard']}
    assert board['ensemble']['uf1_mean'] == results['ensemble']['scores']['full']['uf1']['mean']
    assert board['ensemble']['p_holm'] is not None
    assert 'ststnet, dual_atme at each seed; their probabilities are averaged' in shown
    assert "config.report.reference is 'rcn_a', which has no scores" in shown
    assert len(pd.read_csv(tmp_path / ensemble.CSV)) == 8


def two_classes(seed):
    """Predictions of four subjects: labels, and the chances of the class 1."""
    chances = np.random.default_rng(seed).random(8).astype(np.float32)
    columns = {'seed': seed, 'database': 'mine', 'subject': [f's{k // 2}' for k in range(8)]}
    columns |= {'clip': [f'c{k}' for k in range(8)], 'label': np.arange(8) % 2}
    return pd.DataFrame(
        columns | {'prediction': (chances > 0.5).astype(int), 'prob_no': 1 - chances, 'prob_yes': chances}
    )


def added(own, leaks):
    """The results and the tables of an ensemble of two seeds, of two classes."""
    made, swept = finish.Report({'leaks': False}), settings.check(own)
    tables = {f'{seed}': two_classes(seed) for seed in (0, 1)}
    make = functools.partial(ensemble.combine, tables, how='mean', over='seeds', seeds=())
    found = ensembles.add(made, make, swept, leaks, ('no', 'yes'), notice='')
    ensembles.show(made, found, 'last epoch', notice='')
    console = Console(file=io.StringIO(), width=80, markup=False)
    made.show(console)
    return made.results['ensemble'], console.file.getvalue()


def test_of_two_classes_it_has_what_they_have_beside_uf1():
    found, shown = added(config(), {})
    both = (two_classes(0)['prob_yes'] + two_classes(1)['prob_yes']) / 2
    assert found['scores']['full']['auc']['mean'] == metrics.roc_auc_score(np.arange(8) % 2, both)
    assert 'AUC' in shown


def test_it_leaks_if_the_input_of_its_result_does():
    assert not added(config(), {})[0]['leaks']
    assert not added(config(sweep=TWO), {1: 'LEAKS'})[0]['leaks'], 'the other point is no member'
    nested = config(sweep=TWO, **{'selection.name': 'nested'})
    assert added(nested, {1: 'LEAKS'})[0]['leaks'], 'it may have been chosen'


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'report.ensemble': 'median'}, "report.ensemble is 'median'; expected one of '', 'mean', 'vote'"),
        ({'report.ensemble_over': 'clips'}, "expected one of 'seeds', 'points', 'both'"),
        ({'seeds': (0,)}, r'config\.seeds is \(0,\); expected two seeds or more'),
        ({'report.ensemble_over': 'points'}, 'there is 1 point; expected two or more, by config.sweep'),
        ({'folds': 'all'}, 'leaves nobody out, .* and config.report.ensemble asks for something else'),
        ({'sweep': SYSTEMS, **BOARD, 'report.ensemble_over': 'seeds'}, 'leaderboard is of its systems'),
        ({'report.ensemble_members': ('htnet',)}, "has 'htnet'; expected names of networks .* 'dual_atme'"),
        (
            {'sweep': SYSTEMS, **BOARD, 'report.reference': 'htnet'},
            "expected 'ststnet', 'dual_atme', 'rcn_a', 'e",
        ),
        ({'report.reference': 'dual_atme'}, 'since there is no leaderboard'),
        (
            {'sweep': POINTS, 'selection.name': 'nested', 'report.ensemble_over': 'points'},
            "chooses one point for each fold; expected 'seeds'",
        ),
    ],
)
def test_what_cannot_be_an_ensemble_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        settings.check(config(**fields))


def test_a_smoke_test_of_an_ensemble_of_seeds_keeps_two():
    assert smoke.shortened(config(seeds=(3, 4, 5))).seeds == (3, 4)
    own = config(seeds=(3, 4), sweep=POINTS, **{'report.ensemble_over': 'points'})
    assert smoke.shortened(own).seeds == (3,)
    settings.check(smoke.shortened(own))


def test_of_nested_selection_the_members_are_what_each_seed_has_chosen():
    own = settings.check(config(sweep=POINTS, **{'selection.name': 'nested'}))
    tables = {seed: np.eye(3)[(np.arange(6) + seed) % 3] for seed in (0, 1)}
    selected = pd.concat(
        pd.DataFrame(chances, columns=[f'prob_{label}' for label in tiny_run.DATASET.labels]).assign(
            seed=seed, database='smic', subject='s1', clip=[f'c{k}' for k in range(6)], label=0,
            prediction=chances.argmax(1),
        )
        for seed, chances in tables.items()
    )  # fmt: skip
    found = ensembles.of_run(selected, None, None, None, own)
    np.testing.assert_allclose(found.table.filter(like='prob_'), (tables[0] + tables[1]) / 2)
