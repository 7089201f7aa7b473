"""What leaks add to a score: against scikit-learn, fold by fold, and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from dualatme_jax.report import as_published, scores

# Folds of one seed: labels and predictions. The first is without an error, and has one class.
FOLDS = [([0, 0], [0, 0]), ([0, 1, 2, 1], [0, 1, 1, 1]), ([1, 1], [1, 0]), ([2], [2])]


def predictions(folds=FOLDS, seed=0):
    rows = [
        (trial + 10 * seed, seed, 'casme2', f's{trial}', f'c{clip}', label, prediction)
        for trial, fold in enumerate(folds)
        for clip, (label, prediction) in enumerate(zip(*fold, strict=True))
    ]
    return pd.DataFrame(rows, columns=['trial', 'seed', 'database', 'subject', 'clip', 'label', 'prediction'])


@pytest.mark.parametrize('of_one', [False, True])
def test_a_fold_s_score_is_scikit_learn_s_with_every_class_up_to_its_last(of_one):
    expected = {'acc': [], 'uar': [], 'uf1': []}
    for truth, found in FOLDS:
        known = {'labels': range(max(truth + found) + 1), 'average': 'macro', 'zero_division': 0}
        exact = of_one and truth == found
        expected['acc'].append(metrics.accuracy_score(truth, found))
        expected['uar'].append(1 if exact else metrics.recall_score(truth, found, **known))
        expected['uf1'].append(1 if exact else metrics.f1_score(truth, found, **known))
    found = as_published.averaged(predictions(), of_one=of_one)
    assert found == pytest.approx({metric: np.mean(values) for metric, values in expected.items()})


def test_each_step_adds_a_leak_and_its_gap():
    both = pd.concat([predictions(), predictions(FOLDS[::-1], seed=1)])
    rows = as_published.compare([(name, both) for name in ('honest', 'folds_averaged', 'uf1_of_one')])
    assert [(row['step'], row['leaks']) for row in rows] == [
        ('honest', False),
        ('folds_averaged', True),
        ('uf1_of_one', True),
    ]
    assert rows[0]['uf1'] == pytest.approx(scores.score(predictions())['uf1'])
    assert rows[2]['uf1'] == pytest.approx((1 + (1 + 0.8) / 3 + (2 / 3) / 2 + 1) / 4)  # by hand
    assert rows[2]['gap'] == pytest.approx(rows[2]['uf1'] - rows[0]['uf1'])
