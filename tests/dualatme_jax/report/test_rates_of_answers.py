"""What is known of answers, against closed forms and SciPy."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import special

from dualatme_jax.errors import InputError
from dualatme_jax.report import rates

LABELS = ('negative', 'positive')


def table(sure=0.9, databases=('smic', 'casme2')):
    """Ten clips of each of two people per database; nine of ten first, six of ten later, are right."""
    rows = []
    for database in databases:
        for subject in ('a', 'b'):
            for clip in range(10):
                wrong = clip >= (9 if subject == 'a' else 6)
                label = clip % 2
                chance = [sure, 1 - sure] if (label == 0) != wrong else [1 - sure, sure]
                rows.append((0, 0, database, subject, str(clip), label, int(np.argmax(chance)), *chance))
    names = ['trial', 'seed', 'database', 'subject', 'clip', 'label', 'prediction']
    return pd.DataFrame(rows, columns=[*names, 'prob_negative', 'prob_positive'])


def test_scaling_is_the_softmax_of_divided_logits():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    found = rates.calibrated(special.softmax(logits, -1), 2.5)
    np.testing.assert_allclose(found, special.softmax(logits / 2.5, -1), rtol=1e-6)


def test_the_temperature_makes_two_classes_as_sure_as_they_are_right():
    # Of two classes with one confidence p the best temperature makes p the share of right ones: 15 of 20.
    found = rates.measured(table(), LABELS, ['smic'])
    expected = special.logit(0.9) / special.logit(0.75)
    assert found.temperature == pytest.approx(expected, rel=1e-3)
    assert found.likelihood[0] == pytest.approx(-(0.75 * np.log(0.9) + 0.25 * np.log(0.1)))
    assert found.likelihood[1] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), rel=1e-4)


def test_answers_are_counted_on_the_other_databases_alone():
    found = rates.measured(table(), LABELS, ['smic'])
    assert (found.fitted_on, found.counted_on) == (('smic',), ('casme2',))
    assert found.confusion.sum() == 20
    assert np.trace(found.confusion) == 15
    # Of two people any mix is drawn: both the one, and both the other, a quarter of the times each.
    assert found.given.tolist() == [11, 9]
    low, high = found.intervals[0]
    assert low < found.right[0] < high
    assert np.isnan([found.right[1], *found.intervals[1]]).all(), 'fewer than ten'


def test_of_left_out_people_each_is_counted_with_the_temperature_of_the_others():
    found = rates.cross_fitted(table(sure=0.7, databases=('smic',)), LABELS)
    # b, of whom six of ten are right, is as sure as a is right, .9; a as sure as b, .6.
    assert found.temperature == pytest.approx(special.logit(0.7) / special.logit(0.75), rel=1e-3)
    of_a, of_b = (-(right * np.log(p) + (1 - right) * np.log(1 - p)) for right, p in ((0.9, 0.6), (0.6, 0.9)))
    assert found.likelihood[1] == pytest.approx((of_a + of_b) / 2, rel=1e-3)
    assert found.fitted_on == found.counted_on == ('smic',)
    assert (found.confusion.sum(), np.trace(found.confusion)) == (20, 15)
    with pytest.raises(InputError, match='one person; expected several'):
        rates.cross_fitted(table(databases=('smic',))[:10], LABELS)


def test_of_few_answers_no_share_is_said():
    few = table(databases=('smic',))[5:14]  # five of a, one of which is wrong, and four of b
    few[['prob_negative', 'prob_positive']] = [0.9, 0.1]
    found = rates.cross_fitted(few, LABELS)
    assert found.given.tolist() == [9, 0]
    assert np.isnan(found.right).all()
    assert np.isnan(found.intervals).all()
    assert 'negative was answered 9 times on people whom' in found.sentence(0)


def test_what_reaches_no_half_is_not_answered():
    chances = np.array([[0.4, 0.35, 0.25], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    assert rates.answers(chances, rates.LEAST).tolist() == [-1, 0, 2]


def test_they_survive_json_with_what_was_never_answered():
    never = table()
    never[['prob_negative', 'prob_positive']] = [0.9, 0.1]
    found = rates.measured(never, LABELS, ['smic'])
    again = rates.Rates.of_json(json.loads(json.dumps(found.to_json())))
    np.testing.assert_equal(again.to_json(), found.to_json())
    assert np.isnan(again.right[1])
    assert 'positive was answered 0 times' in again.sentence(1)
    assert '50% of 20 such answers were right on labelled clips' in again.sentence(0)


def test_macro_expressions_are_not_counted_on_databases_that_have_none():
    assert rates.counts('micro', ['casme2', 'samm'])
    assert not rates.counts('macro', ['casme2', 'samm'])
    assert rates.counts('macro', ['casme2', 'long_videos'])


def test_networks_that_never_answer_have_rates_all_the_same():
    unsure = table(databases=('smic',))
    labels = [*LABELS, 'other']
    unsure[['prob_negative', 'prob_positive', 'prob_other']] = [0.3, 0.3, 0.4]
    found = rates.cross_fitted(unsure, labels)
    assert found.given.tolist() == [0, 0, 0]
    assert np.isnan(found.intervals).all()
    assert found.silent.sum() == len(unsure)


@pytest.mark.parametrize('fitted_on', [['smic', 'casme2'], ['samm']])
def test_databases_that_leave_nothing_are_refused(fitted_on):
    with pytest.raises(InputError, match='answers counted on other databases; the predictions have'):
        rates.measured(table(), LABELS, fitted_on)
