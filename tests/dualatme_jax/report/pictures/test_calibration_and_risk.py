import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve

from dualatme_jax.errors import InputError
from dualatme_jax.report import calibration
from dualatme_jax.report.pictures import calibration as pictures


def table(sure, right, *, seeds=1):
    """Predictions of the class 0 of two, with these probabilities."""
    sure = np.asarray(sure, float)
    rows = {'label': 1 - np.asarray(right, int), 'prediction': 0, 'prob_a': sure, 'prob_b': 1 - sure}
    return pd.concat([pd.DataFrame(rows).assign(seed=seed) for seed in range(seeds)], ignore_index=True)


def random_table(clips=400):
    random = np.random.default_rng(0)
    sure = random.uniform(0.5, 1, clips)
    return table(sure, random.random(clips) < sure**2)


def test_bins_are_those_of_scikit_learn():
    found, rows = calibration.calibration(random_table()), random_table()
    share, confidence = calibration_curve(
        rows['label'] == rows['prediction'], rows['prob_a'], n_bins=15, strategy='uniform'
    )
    np.testing.assert_allclose(found.share[found.clips > 0], share)
    np.testing.assert_allclose(found.confidence[found.clips > 0], confidence)
    counts = np.histogram(rows['prob_a'], np.linspace(0, 1, 16))[0]
    np.testing.assert_array_equal(found.clips, counts)
    assert found.ece == pytest.approx(np.abs(share - confidence) @ counts[counts > 0] / counts.sum())


def test_the_calibration_error_of_one_confidence_is_how_far_it_is_off():
    # 3 of 4 right at 0.9: |0.75 - 0.9|. A bin contains its upper edge, so 0.8 is not in the bin of 0.81.
    assert calibration.calibration(table([0.9] * 4, [1, 1, 1, 0])).ece == pytest.approx(0.15)
    assert calibration.calibration(table([0.75] * 4, [1, 1, 1, 0])).ece == pytest.approx(0)
    found = calibration.calibration(table([0.8, 0.81], [1, 0]), bins=10)
    assert found.clips.tolist() == [0] * 7 + [1, 1, 0]


def test_risk_of_confident_predictions_by_hand():
    found = calibration.risk_coverage(table([0.6, 0.9, 0.7, 0.8], [0, 1, 0, 1]))
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.risk, [[0, 0, 1 / 3, 1 / 2]])
    assert found.aurc == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_equal_confidence_abstains_at_random_and_a_perfect_order_has_the_area_of_the_paper():
    found = calibration.risk_coverage(table([0.7] * 10, [1, 0] * 5))
    np.testing.assert_allclose(found.risk, 0.5)
    # Geifman et al. 2019, equation 3: the best possible area is about r + (1 - r) ln(1 - r).
    clips, risk = 4000, 0.25
    right = np.arange(clips) >= risk * clips
    best = calibration.risk_coverage(table(np.linspace(0.5, 1, clips), right)).aurc[0]
    assert best == pytest.approx(risk + (1 - risk) * np.log(1 - risk), abs=2e-4)


def test_predictions_without_probabilities_are_refused_by_both():
    rows = random_table()
    with pytest.raises(InputError, match='have no probabilities; expected a column prob_LABEL'):
        calibration.calibration(rows[['seed', 'label', 'prediction']])
    rows.loc[[3, 5], 'prob_a'] = np.nan
    with pytest.raises(InputError, match='2 of 400 predictions have no probability'):
        calibration.risk_coverage(rows)


def test_pictures_show_these_numbers():
    rows = random_table()
    found = calibration.calibration(rows)
    upper, lower = pictures.reliability(rows).axes
    assert upper.get_title() == f'ECE {found.ece:.3f}, 15 bins'
    np.testing.assert_allclose([bar.get_height() for bar in upper.patches], np.nan_to_num(found.share))
    assert [bar.get_height() for bar in lower.patches] == found.clips.tolist()
    two = pd.concat([rows, rows.assign(seed=1, label=0)], ignore_index=True)  # whose second seed is right
    [axes] = pictures.risk_coverage(two).axes
    risk = calibration.risk_coverage(rows)
    first, second, mean, _ = (line.get_ydata() for line in axes.lines)
    np.testing.assert_allclose(first, risk.risk[0])
    np.testing.assert_allclose(second, 0)
    np.testing.assert_allclose(mean, risk.risk[0] / 2)
    assert axes.get_title().startswith(f'AURC {risk.aurc[0] / 2:.3f}; any order {risk.risk[0, -1] / 2:.3f}')
