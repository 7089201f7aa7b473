"""Hard clips, bounds and agreement of predictions that were constructed; power by closed form."""

import numpy as np
import pandas as pd
import people
import pytest
from scipy import stats
from sklearn import metrics

from dualatme_jax.errors import InputError
from dualatme_jax.report import bounds, hard_clips, limits_page, power, scores
from dualatme_jax.report import systems as systems_lib

LABELS = ('negative', 'positive', 'surprise')
KEY = ['database', 'subject', 'clip']


def truth(subjects=10, clips_each=6):
    return people.clips(subjects, clips_each).drop(columns='left_out')


def system(clips, wrong=(), seeds=(0,), by=1):
    """Predictions that are right but for the places `wrong` of each seed, where the class is `by` further."""
    tables = []
    for seed in seeds:
        own = wrong[seed] if isinstance(wrong, dict) else wrong
        at = np.isin(np.arange(len(clips)), list(own))
        prediction = np.where(at, (clips['label'] + by) % 3, clips['label'])
        tables.append(clips.assign(trial=0, seed=seed, prediction=prediction))
    return pd.concat(tables, ignore_index=True)


def three():
    """Clip 0 is always wrong; 1 and 2 in both seeds of `a`, 3 in one of them; 4 in `b`; 1, 5 and 6 in `c`."""
    clips = truth()
    return {
        'a': system(clips, {0: {0, 1, 2, 3}, 1: {0, 1, 2}}, (0, 1)),
        'b': system(clips, {0, 4}, by=1)[::-1],
        'c': system(clips, {0, 1, 5, 6}, by=2),
    }


def test_the_hard_clips_are_those_of_which_the_predictions_were_made():
    clips, found = truth(), hard_clips.table(three())
    assert len(found) == 60
    assert found.set_index(KEY)['label'].to_dict() == clips.set_index(KEY)['label'].to_dict()
    names = [tuple(row) for row in clips[KEY].to_numpy()]
    places = [names.index(tuple(row)) for row in found[KEY].to_numpy()]
    assert places[:2] == [0, 1]
    assert set(places[2:6]) == {2, 4, 5, 6}
    assert places[6] == 3
    assert found['wrong'].tolist() == pytest.approx([1, 2 / 3, *[1 / 3] * 4, 1 / 6] + [0] * 53)
    by_place = found.set_index(pd.Index(places))
    assert by_place.loc[3, ['wrong_a', 'wrong_b', 'wrong_c']].tolist() == [0.5, 0, 0]
    # Of clip 0 two of three systems say the next class; clip 1 has one vote for each class.
    assert by_place.loc[0, 'predicted'] == (clips['label'][0] + 1) % 3
    assert by_place.loc[1, 'predicted'] == 0
    assert by_place.loc[2, 'predicted'] == clips['label'][2]
    assert hard_clips.never_right(found)[KEY].to_numpy().tolist() == [list(names[0])]


def test_the_bounds_are_scikit_learns_scores_of_what_could_be_chosen():
    clips, systems = truth(), three()
    found = bounds.bounds(systems).set_index('name')
    assert found.index.tolist() == ['a', 'b', 'c', 'vote', 'best_system', 'oracle']
    assert found['wrong'].tolist() == [3.5, 2, 4, found.loc['vote', 'wrong'], 1, 1]
    only_first = system(clips, {0})['prediction']
    assert found.loc['oracle', 'uf1'] == pytest.approx(
        metrics.f1_score(clips['label'], only_first, average='macro')
    )
    of_a = [scores.score(rows)['uf1'] for _, rows in systems['a'].groupby('seed')]
    assert found.loc['a', 'uf1'] == pytest.approx(np.mean(of_a))
    # Where `a` is wrong in one seed of two, its vote is no majority, and the oracle finds the other seed.
    half = {'a': system(clips, {0: {0, 1}, 1: {1, 2}}, (0, 1))}
    assert bounds.bounds(half).set_index('name')['wrong'].to_dict() == {
        'a': 2,
        'vote': pytest.approx(found_votes(clips)),
        'best_system': pytest.approx(found_votes(clips)),  # no clip of the three has most seeds right
        'oracle': 1,
    }


def found_votes(clips):
    """Of two seeds that differ the lower class wins: clips 0 and 2 are right only if the label is lower."""
    return 1 + sum((clips['label'][place] + 1) % 3 < clips['label'][place] for place in (0, 2))


def test_agreement_is_scikit_learns_over_pairs_of_seeds():
    systems = three()
    found = bounds.agreement(systems).set_index(['a', 'b'])
    assert found.index.tolist() == [('a', 'a'), ('a', 'b'), ('a', 'c'), ('b', 'c')]
    assert found.loc[('a', 'a'), 'same'] == pytest.approx(59 / 60)
    assert found.loc[('a', 'a'), 'wrong_together'] == pytest.approx(3 / 4)
    assert found.loc[('a', 'b'), 'same'] == pytest.approx((56 + 57) / 2 / 60)
    assert found.loc[('b', 'c'), 'both_wrong'] == pytest.approx(1 / 60)
    _, predicted = bounds.arrays(systems)
    kappas = [metrics.cohen_kappa_score(own, predicted['c'][0]) for own in predicted['a']]
    assert found.loc[('a', 'c'), 'kappa'] == pytest.approx(np.mean(kappas))


def test_clips_that_all_predict_alike_against_their_label_are_relabelled():
    clips = truth()
    systems = {'a': system(clips, {0, 7, 8}), 'b': system(clips, {0, 7, 9})[::-1]}
    number, found = bounds.relabelled(systems)
    assert number == 2
    other = system(clips, {0, 7})['prediction']
    found = found.set_index('name')
    assert found['wrong'].to_dict() == {'a': 1, 'b': 1, 'truth': 2}
    expected = metrics.f1_score(other, system(clips, {0, 7, 8})['prediction'], average='macro')
    assert found.loc['a', 'uf1'] == pytest.approx(expected)
    assert found.loc['truth', 'uf1'] == pytest.approx(
        metrics.f1_score(clips['label'], other, average='macro')
    )


@pytest.mark.parametrize(
    ('spoil', 'labels', 'says'),
    [
        (
            lambda table: table[1:],
            LABELS,
            r'of different clips: 1 clip \(casme2/000/c0\) of a is not in b; expected',
        ),
        (
            lambda table: table.replace({'clip': {'c1': 'c9'}}),
            LABELS,
            r'10 clips \(casme2/000/c1, .*[.]{3}\) of a are not in b; 10 clips .* of b are not in a;',
        ),
        (
            lambda table: table.assign(label=table['label'].where(table.index > 0, 2)),
            LABELS,
            '1 clips have another label in b than in a: casme2/000/c0 negative and surprise; expected',
        ),
        (
            lambda table: pd.concat([table, table[:1]]),
            LABELS,
            'b: 1 clips do not stand once .* casme2/000/c0',
        ),
        (lambda table: table, LABELS[::-1], 'b has the classes surprise, positive, negative, and a negative'),
    ],
)
def test_runs_of_other_clips_or_classes_are_named(spoil, labels, says):
    good = system(truth())
    systems_lib.check_same({'a': good, 'b': good[::-1]}, {'a': LABELS, 'b': LABELS})
    with pytest.raises(InputError, match=says):
        systems_lib.check_same({'a': good, 'b': spoil(good)}, {'a': LABELS, 'b': labels})


def lone(number, wrong_a, wrong_b):
    """As many people of one clip each, of two classes; systems that are wrong at these places."""
    names = [f'{place:04d}' for place in range(number)]
    clips = pd.DataFrame({'database': 'smic', 'subject': names, 'clip': 'c', 'label': np.arange(number) % 2})

    def predicted(wrong):
        at = np.isin(np.arange(number), list(wrong))
        return clips.assign(seed=0, trial=0, prediction=np.where(at, 1 - clips['label'], clips['label']))

    return predicted(wrong_a), predicted(wrong_b)


def mcnemar_power(clips, better, worse):
    """The exact power of the sign test of clips that are independent of each other."""
    both = better + worse
    total = 0.0
    for discordant in range(1, clips + 1):
        at = np.arange(discordant + 1)
        p = 2 * stats.binom.cdf(np.minimum(at, discordant - at), discordant, 0.5)
        rejected = p <= 0.05
        own = stats.binom.pmf(at, discordant, better / both)[rejected].sum()
        total += stats.binom.pmf(discordant, clips, both) * own
    return total


def test_of_people_with_one_clip_the_power_is_that_of_the_sign_test():
    # 70 people: 12 wrong by both, 9 by each one alone; errors of the first are mended with probability q.
    a, b = lone(70, [*range(12), *range(12, 21)], [*range(12), *range(21, 30)])
    found = power.curve(a, b, differences=(0.0, 0.15, 0.25), metric='acc', draws=200, seed=3)
    assert found['difference'].tolist() == [0.0, 0.15, 0.25]
    np.testing.assert_allclose(found['mended'], np.array([0, 0.15, 0.25]) / (21 / 70))
    for row in found.to_dict('records'):
        # Mended: right where both are wrong makes it better, where it alone is wrong no more worse.
        better = (9 + 12 * row['mended']) / 70
        worse = 9 * (1 - row['mended']) / 70
        expected = mcnemar_power(70, better, worse)
        assert row['power'] == pytest.approx(expected, abs=3 * np.sqrt(0.25 / 200)), row
    again = power.curve(a, b, differences=(0.15,), metric='acc', draws=200, seed=3)
    assert again['power'][0] == found['power'][1], 'the other differences change no draw'
    assert power.shown(found) == pytest.approx(np.interp(0.8, found['power'][1:], found['difference'][1:]))


@pytest.mark.parametrize('metric', scores.METRICS)
def test_a_test_that_stops_early_decides_as_the_whole_one(metric):
    random = np.random.default_rng(0)
    ways, found = scores.swaps(20, 0, 999), []
    for harm in np.linspace(0, 0.5, 30):
        label, chance = random.integers(3, size=(2, 160)), random.random((2, 160))
        right = np.stack([label[0], np.where(chance[0] < harm, label[1], label[0])])
        clips = pd.DataFrame({'database': 'smic', 'subject': [f'{n % 20:02d}' for n in range(160)]})
        tables = (clips.assign(clip=np.arange(160), seed=0, label=label[0], prediction=own) for own in right)
        pair = [scores.subject_confusions(table, 3) for table in tables]
        found.append(scores.is_significant(*pair, ways, metric, 0.05))
        assert found[-1] == (scores.swap_test(*pair, ways)[metric][1] <= 0.05)
    assert 0 < sum(found) < 30


def test_the_tables_of_the_page_are_narrow():
    names = [f'kernel_ridge (model.width = {place})' for place in range(3)]
    curve = pd.DataFrame({'subjects': 68, 'difference': power.DIFFERENCES, 'mended': 0.0, 'power': 0.5})
    both = pd.concat([curve, curve.assign(subjects=200, power=np.linspace(0, 1, len(curve)))])
    powers = {(names[0], other): both for other in names[1:]}
    lines = [line for line in limits_page._power(powers).splitlines() if line.startswith('|')]
    assert max(map(len, lines)) < 60
    assert lines[0] == '| d | 68 subjects | 200 subjects |'
    assert lines[2] == '| .00 | .50 | .00 |'
    assert lines[12] == '| 80% at | above .15 | .084 |'


def test_the_true_difference_is_that_of_the_family():
    random = np.random.default_rng(0)
    clips = truth(12, 8)
    a, b = (
        clips.assign(trial=0, seed=0, prediction=np.where(random.random(96) < 0.6, clips['label'], 0))
        for _ in range(2)
    )
    label, predicted = bounds.arrays({'a': a, 'b': b})
    family = power._Family(label, np.arange(96), predicted['a'], predicted['b'])
    q = family.mended(0.1, 'uf1')
    # Of very many people the scores are those of the population.
    [(better, worse)] = family.drawn(200_000, [q], [1])
    uf1 = [scores.score_confusions(each.sum(1))['uf1'][0] for each in (better, worse)]
    assert uf1[0] - uf1[1] == pytest.approx(0.1, abs=0.005)
    assert family.mended(0.9, 'uf1') is None
    assert power.curve(a, b, differences=(0.9,), draws=1).empty


def test_the_least_difference_is_interpolated_or_unknown():
    curve = pd.DataFrame({'difference': [0.0, 0.02, 0.04], 'power': [0.05, 0.7, 0.9]})
    assert power.shown(curve) == pytest.approx(0.03)
    assert power.shown(curve.assign(power=[0.8, 0.9, 1.0])) == 0
    assert np.isnan(power.shown(curve.assign(power=[0.05, 0.3, 0.79])))
