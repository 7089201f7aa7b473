"""Estimators of scikit-learn as a learner, against scikit-learn called by hand."""

import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from small_run import small

from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.models.system import flattened
from dualatme_jax.run import model_section, programs
from dualatme_jax.training import estimators, fitting, trials
from dualatme_jax.training.engine import Engine
from dualatme_jax.training.estimators import Estimators
from dualatme_jax.training.learner import Learner


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir, reads=('flow',))


@pytest.fixture(scope='module')
def vectors(dataset):
    found = flattened(dataset.inputs)
    assert found.shape == (24, 28 * 28 * 3)
    return found


@pytest.fixture(scope='module')
def rows(dataset):
    return trials.table(dataset, seeds=(3,), points=[{}]).to_dict('records')


def by_hand(estimator, vectors, dataset, method):
    """Every clip predicted by a fit without its subject."""
    return cross_val_predict(
        estimator, vectors, dataset.label, groups=dataset.subjects, cv=LeaveOneGroupOut(), method=method
    )


def predicted(wave, dataset):
    """Predictions and probabilities of a wave in the order of the dataset's clips."""
    table = wave.predictions.set_index(['database', 'subject', 'clip'])
    table = table.loc[list(zip(dataset.database, dataset.subject, dataset.clip, strict=True))]
    assert (table['label'] == dataset.label).all()
    return table['prediction'].to_numpy(), table.filter(like='prob_').to_numpy()


@pytest.mark.parametrize(
    ('estimator', 'method'),
    [
        (
            make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight='balanced')),
            'predict_proba',
        ),
        (make_pipeline(StandardScaler(), LinearSVC(C=0.01, dual=False)), 'decision_function'),
        (make_pipeline(StandardScaler(), SVC(break_ties=True)), 'decision_function'),
        (RandomForestClassifier(5, random_state=3), 'predict_proba'),
    ],
)
def test_each_clip_is_predicted_as_scikit_learn_does_by_hand(dataset, vectors, rows, estimator, method):
    wave = Estimators(estimator, vectors, dataset).fit_predict(rows)
    prediction, chances = predicted(wave, dataset)
    expected = by_hand(estimator, vectors, dataset, method)
    expected = special.softmax(expected, axis=1) if method == 'decision_function' else expected
    np.testing.assert_allclose(chances, expected, atol=1e-5)
    np.testing.assert_array_equal(prediction, by_hand(estimator, vectors, dataset, 'predict'))
    assert wave.failed_epoch.tolist() == [0] * 8
    assert wave.losses.shape == (1, 8)
    assert wave.states is None


@pytest.mark.slow
def test_the_seed_is_every_random_state(dataset, vectors):
    estimator = make_pipeline(PCA(4, svd_solver='randomized'), RandomForestClassifier(5))
    rows = trials.table(dataset, seeds=(7, 8), points=[{}]).to_dict('records')
    wave = Estimators(estimator, vectors, dataset).fit_predict(rows)
    for seed in (7, 8):
        own = dataclasses.replace(wave, predictions=wave.predictions[wave.predictions['seed'] == seed])
        with_seed = make_pipeline(
            PCA(4, svd_solver='randomized', random_state=seed), RandomForestClassifier(5, random_state=seed)
        )
        expected = by_hand(with_seed, vectors, dataset, 'predict_proba')
        np.testing.assert_allclose(predicted(own, dataset)[1], expected, atol=1e-6)
    assert 'random_state=7' not in repr(estimator), 'a copy is fitted, which has it'


@pytest.mark.slow
def test_processes_predict_what_this_process_does(dataset, vectors, rows, monkeypatch):
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    here = Estimators(estimator, vectors, dataset).fit_predict(rows)
    monkeypatch.setattr(estimators, 'WORTH', 0)
    there = Estimators(estimator, vectors, dataset, workers=2).fit_predict(rows)
    np.testing.assert_array_equal(predicted(there, dataset)[1], predicted(here, dataset)[1])


def test_the_left_out_clips_change_no_fitted_parameter(dataset, vectors, rows, monkeypatch):
    fitted = []
    probabilities = fitting.probabilities

    def kept(estimator, *arguments):
        fitted.append(estimator)
        return probabilities(estimator, *arguments)

    monkeypatch.setattr(fitting, 'probabilities', kept)
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight='balanced'))
    own = (dataset.database == 'casme2') & (dataset.subject == '000')
    [row] = [
        row for row in rows if trials.held_out_clips(row, dataset).tolist() == np.flatnonzero(own).tolist()
    ]
    changed = np.where(own[:, None], 255 - vectors, vectors)
    relabelled = dataclasses.replace(dataset, label=np.where(own, 2 - dataset.label, dataset.label))
    Estimators(estimator, vectors, dataset).fit_predict([row])
    Estimators(estimator, changed, relabelled).fit_predict([row])
    # And where another clip changes they do.
    others = np.where(own[:, None], vectors, np.roll(vectors, 1, 0))
    Estimators(estimator, others, dataset).fit_predict([row])
    one, same, other = ([each[0].mean_, each[0].scale_, each[1].coef_, each[1].intercept_] for each in fitted)
    for mine, its in zip(one, same, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert not np.array_equal(one[2], other[2])


def test_a_class_that_a_fold_has_not_seen_has_no_probability():
    vectors = np.array([[0.0], [1], [4], [5]])
    fitted = LinearSVC().fit(vectors, [0, 0, 2, 2])
    chances = fitting.probabilities(fitted, vectors, 4)
    score = fitted.decision_function(vectors)
    np.testing.assert_allclose(
        chances[:, [0, 2]], np.stack([special.expit(-score), special.expit(score)], 1), rtol=1e-5
    )
    assert (chances[:, [1, 3]] == 0).all()
    assert chances.dtype == np.float32


def test_what_scikit_learn_refuses_is_named_with_its_trial(dataset, vectors, rows):
    with pytest.raises(
        InputError, match=r"trial 2, casme2/006 left out: .*The 'C' parameter of LinearSVC must be"
    ):
        Estimators(LinearSVC(C=-1.0), vectors, dataset).fit_predict(rows[2:4])


def test_what_scikit_learn_warns_of_is_counted(dataset, vectors, rows):
    learner = Estimators(LogisticRegression(max_iter=1), vectors, dataset)
    learner.fit_predict(rows[:3])
    learner.fit_predict(rows[3:5])
    [(text, count)] = learner.warnings.items()
    assert text.startswith('ConvergenceWarning: lbfgs failed to converge')
    assert count == 5


class Broken(ClassifierMixin, BaseEstimator):
    """Predicts nothing for clips whose first number is high."""

    def fit(self, vectors, label):
        self.classes_ = np.unique(label)
        return self

    def predict_proba(self, vectors):
        chances = np.full((len(vectors), 3), 1 / 3)
        chances[vectors[:, 0] > 0] = np.nan
        return chances


def test_a_trial_whose_probabilities_are_not_finite_has_failed_and_no_other(dataset, vectors, rows):
    vectors = np.zeros_like(vectors)
    vectors[trials.held_out_clips(rows[4], dataset)[-1], 0] = 1
    wave = Estimators(Broken(), vectors, dataset).fit_predict(rows)
    assert wave.failed_epoch.tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    assert set(wave.predictions['trial']) == {0, 1, 2, 3, 5, 6, 7}


@pytest.mark.slow
def test_networks_and_estimators_are_learners_alike(small_dataset_dir, vectors):
    config = model_section.completed(small(small_dataset_dir))
    dataset = dataset_lib.load(small_dataset_dir)
    points = [programs.hyperparameters(config, dataset.labels)]
    rows = trials.table(dataset, seeds=(0,), points=points)[:3].to_dict('records')
    training = programs.make_training(config, dataset.labels)
    learners: list[Learner] = [
        Engine(training, dataset, batch_size=11, epochs=1, devices=jax.devices()[:1]),
        Estimators(LinearSVC(), vectors, dataset),
    ]
    one, other = (learner.fit_predict(rows) for learner in learners)
    known = ['trial', 'seed', 'database', 'subject', 'clip', 'label', 'epoch']
    pd.testing.assert_frame_equal(one.predictions[known], other.predictions[known])
    assert list(one.predictions) == list(other.predictions)
    assert one.losses.shape == other.losses.shape
    assert one.failed_epoch.tolist() == other.failed_epoch.tolist() == [0, 0, 0]
