"""Ensembles: scikit-learn's, closed forms, and what is said of members that lack something."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.datasets import make_classification
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import ensemble, given, leaderboard, leaderboard_view, scores

CHANCES = [f'prob_{label}' for label in schema.LABELS]


def member(chances, label, seed=0, prediction=None):
    """A predictions table of 12 subjects in three databases."""
    clips = np.arange(len(label))
    columns = {
        'trial': clips,
        'seed': seed,
        'database': np.array(schema.COMPOSITE)[clips % 3],
        'subject': [f's{k % 12}' for k in clips],
        'clip': [f'c{k}' for k in clips],
        'label': label,
        'prediction': np.argmax(chances, 1) if prediction is None else prediction,
        'left_out': 'x',
    }
    return pd.DataFrame(columns | dict(zip(CHANCES, np.float32(chances).T, strict=True)))


def drawn(seed, clips=60):
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(3), clips), np.arange(clips) % 3


def members(number=3, seeds=(0,)):
    label = drawn(0)[1]
    return {
        f'member {k}': pd.concat([member(drawn(10 * k + seed)[0], label, seed) for seed in seeds])
        for k in range(number)
    }


def combine(tables, how='mean', over='points', seeds=(0,), **options):
    return ensemble.combine(tables, how=how, over=over, seeds=seeds, **options)


@pytest.fixture(scope='module')
def fitted():
    """Clips, their labels, and scikit-learn's ensembles by way of voting."""
    clips, label = make_classification(
        200, 6, n_informative=4, n_classes=3, flip_y=0.2, class_sep=0.6, random_state=0
    )
    estimators = [
        ('a', LogisticRegression()),
        ('b', GaussianNB()),
        ('c', DecisionTreeClassifier(max_depth=3, random_state=0)),
    ]
    ways = {'mean': 'soft', 'vote': 'hard'}
    return clips, label, {
        how: VotingClassifier(estimators, voting=voting).fit(clips[:100], label[:100])
        for how, voting in ways.items()
    }  # fmt: skip


@pytest.mark.parametrize('how', ensemble.WAYS)
def test_means_and_votes_are_those_of_scikit_learn(fitted, how):
    clips, label, voters = fitted
    test, truth = clips[100:], label[100:]
    tables = {
        name: member(each.predict_proba(test), truth) for name, each in voters[how].named_estimators_.items()
    }
    found = combine(tables, how).table
    expected = voters[how].predict(test)
    if how == 'mean':
        np.testing.assert_allclose(found[CHANCES], voters[how].predict_proba(test), atol=1e-6)
    else:
        votes = np.stack([table['prediction'] for table in tables.values()], 1)
        shares = np.stack([(votes == k).mean(1) for k in range(3)], 1)
        np.testing.assert_allclose(found[CHANCES], shares, atol=1e-6)
        decided = shares.max(1) > 0.4  # three voters of three classes have no majority: see below
        assert 0 < np.count_nonzero(~decided) < 60
        found, expected = found[decided], expected[decided]
    assert (found['prediction'] == expected).all()


def test_of_equal_votes_the_class_with_the_higher_mean_probability_wins():
    one, two = [[0.4, 0.6, 0.0]], [[0.0, 0.3, 0.7]]
    tables = {'one': member(one, [0]), 'two': member(two, [0])}
    assert combine(tables, 'vote').table['prediction'].tolist() == [
        1
    ]  # .45 to .35, and .2 that none voted for
    tables['two'] = member([[0.9, 0.1, 0.0]], [0])
    assert combine(tables, 'vote').table['prediction'].tolist() == [0]
    three = {'a': [[0.34, 0.33, 0.33]], 'b': [[0.34, 0.33, 0.33]], 'c': [[0.0, 1.0, 0.0]]}
    three = {name: member(chances, [0]) for name, chances in three.items()}
    assert combine(three, 'vote').table['prediction'].tolist() == [0]
    assert combine(three, 'mean').table['prediction'].tolist() == [1]


def test_over_points_each_seed_has_an_ensemble_and_over_both_there_is_one():
    tables = members(seeds=(0, 1))
    each, both = combine(tables, seeds=(0, 1)), combine(tables, over='both', seeds=(0, 1))
    assert len(each.table) == 120
    for seed in (0, 1):
        own = each.table[each.table['seed'] == seed]
        by_hand = np.mean([table[table['seed'] == seed][CHANCES] for table in tables.values()], 0)
        np.testing.assert_allclose(own[CHANCES], by_hand, atol=1e-6)
        assert (own['prediction'] == by_hand.argmax(1)).all()
    assert len(both.table) == 60
    halves = [part[CHANCES].to_numpy() for _, part in each.table.groupby('seed')]
    np.testing.assert_allclose(both.table[CHANCES], np.mean(halves, 0), atol=1e-6)
    of_seeds = {f'seed {seed}': table for seed, table in tables['member 0'].groupby('seed')}
    alone = combine(of_seeds, over='seeds')
    by_hand = np.mean([table[CHANCES] for table in of_seeds.values()], 0)
    np.testing.assert_allclose(alone.table[CHANCES], by_hand, atol=1e-6)
    assert [own.title for own in (each, both, alone)] == [
        'Ensemble of 3 members (mean)',
        'Ensemble of 3 members (mean, all seeds)',
        'Ensemble of 2 seeds (mean)',
    ]


def test_the_order_of_clips_and_of_members_changes_nothing():
    tables = members()
    other = {name: table.sample(frac=1, random_state=0) for name, table in reversed(tables.items())}
    key = ['database', 'subject', 'clip']
    for how in ensemble.WAYS:
        one, two = (combine(each, how).table.set_index(key).sort_index() for each in (tables, other))
        pd.testing.assert_frame_equal(one, two)


def test_members_that_lack_clips_or_seeds_are_named_and_the_others_go_on():
    tables = members(seeds=(0, 1))
    tables['member 1'] = tables['member 1'].iloc[:-1]
    tables['member 2'] = tables['member 2'].query('seed == 1')
    tables['member 3'] = members(4, seeds=(0, 1))['member 3']
    own = combine(tables, seeds=(0, 1), absent={'stray': 'it diverged'})
    assert own.absent == {
        'stray': 'it diverged',
        'member 1': 'it has 59 of 60 clips',
        'member 2': 'it lacks seed 0',
    }
    assert [*own.members] == ['member 0', 'member 3']
    assert 'left out: stray (it diverged); left out: member 1' in own.words
    both = combine(tables, over='both', seeds=(0, 1, 2))
    assert both.absent == {
        'seed 2 of member 0': 'a trial failed',
        'member 1': 'it has 59 of 60 clips',
        'seeds 0, 2 of member 2': 'a trial failed',
        'seed 2 of member 3': 'a trial failed',
    }
    assert [*both.members] == ['member 0', 'member 2', 'member 3']


def test_of_many_members_a_sentence_has_the_number_and_the_first_that_lack():
    chances, label = drawn(0, clips=3)
    tables = {f'member {k}': member(chances, label) for k in range(30)}
    own = combine(tables, absent={f'absent {k}': 'it diverged' for k in range(25)})
    assert own.words.startswith('30 members at each seed; their probabilities')
    assert own.words.endswith('absent 19 (it diverged); and 5 more')
    assert (len(own.members), len(own.absent)) == (30, 25)


def test_no_ensemble_of_one():
    with pytest.raises(InputError, match=r'takes two members and 1 can be combined \(b: it diverged\)'):
        combine({'a': members()['member 0']}, absent={'b': 'it diverged'})
    with pytest.raises(InputError, match='two members and 0'):
        combine({}, absent={'b': 'it diverged'})


def test_no_mean_of_probabilities_that_are_not_there():
    tables = {name: table.drop(columns=CHANCES) for name, table in members().items()}
    with pytest.raises(InputError, match='no probabilities'):
        combine(tables)
    assert combine(tables, 'vote').table['prediction'].isin(range(3)).all()


@pytest.mark.parametrize('how', ensemble.WAYS)
def test_its_file_is_read_and_scored_as_any_other(tmp_path, how):
    own = combine(members(seeds=(0, 1)), how, seeds=(0, 1))
    found = ensemble.score(own, resamples=20)
    ensemble.write(own, found, tmp_path, notice='SMOKE')
    back = given.read(tmp_path / ensemble.CSV)
    assert scores.score_run(back.table, resamples=20)['scores'] == found['scores']
    assert back.labels == schema.LABELS
    text = (tmp_path / ensemble.MARKDOWN).read_text()
    assert '**SMOKE**' in text
    assert '| CASME II UAR | CASME II UF1 |' in text
    low, high = found['scores']['samm']['uf1']['interval']
    assert f'[{low:.2f}, {high:.2f}] |'.replace('0.', '.') in text.splitlines()[-1]


def test_it_is_compared_with_the_mean_of_its_members():
    tables = members(2, seeds=(0, 1))
    of_seeds = {f'seed {seed}': rows for seed, rows in tables['member 0'].groupby('seed')}
    for over, own_members in (('both', tables), ('seeds', of_seeds)):
        own = combine(own_members, over=over, seeds=(0, 1))
        found = ensemble.score(own, resamples=20)
        mean = np.mean(
            [member['scores']['full']['uf1']['mean'] for member in found['members']]
        )  # of as many seeds each
        gain = found['scores']['full']['uf1']['mean'] - mean
        assert found['gain']['uf1']['difference'] == pytest.approx(gain)
    console = Console(width=80, file=io.StringIO())
    console.print(ensemble.rich_table(own, found))
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert 'seed 1' in shown
    label = drawn(0)[1]
    # Members that are always right together: the test is that of one system against another.
    right = {name: member(np.eye(3)[label], label) for name in 'ab'}
    assert ensemble.score(combine(right), resamples=20)['gain']['uf1']['p'] == 1


def kept(table):
    return table.assign(epoch=1, left_out=table['database'] + '/' + table['subject'])


def test_on_a_leaderboard_it_is_one_more_row_and_may_be_the_reference(tmp_path):
    tables = {name: kept(table) for name, table in members(seeds=(0, 1)).items()}
    honest = leaderboard.honest(tables)
    own = combine(honest, over='both', seeds=(0, 1), absent={'rcn_a': 'it diverged'})
    failed = {'rcn_a': 'it diverged'}
    frame = leaderboard.compare(tables, failed, ensemble=own, reference='ensemble', resamples=20)
    leaderboard_view.write(frame, tmp_path, origin='made up')
    frame = frame.set_index('system')
    assert list(frame.index[frame['reference']]) == ['ensemble']
    assert frame['uf1_mean']['ensemble'] == scores.score(own.table)['uf1']
    for name in tables:
        difference = frame['uf1_mean'][name] - frame['uf1_mean']['ensemble']
        assert frame['difference_mean'][name] == pytest.approx(difference)
    assert frame['p_holm'].count() == 3, 'one against every other system'
    assert frame['members']['ensemble'] == own.words
    assert (frame['members'].drop('ensemble') == '').all()
    assert frame[frame['status'] == 'scored']['uf1_mean'].is_monotonic_decreasing
    text = (tmp_path / 'leaderboard.md').read_text()
    assert (
        'Ensemble of 3 members (mean, all seeds): member 0, member 1, member 2 over all seeds; their prob'
        in text
    )
    assert 'UF1 minus that of Ensemble of 3 members' in text
    by_database = text[text.index('## By database') :]
    low, high = frame['smic_uar_low']['ensemble'], frame['smic_uar_high']['ensemble']
    assert f'[{low:.2f}, {high:.2f}]'.replace('0.', '.') in by_database
