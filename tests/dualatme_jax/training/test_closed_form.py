"""The learner of closed forms, against kernels and folds that are put together by hand."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.metrics.pairwise import rbf_kernel

from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.data import splits
from dualatme_jax.errors import InputError
from dualatme_jax.models.kernel_ridge import KernelRidge
from dualatme_jax.training import augment, prepare, trials
from dualatme_jax.training.closed_form import ClosedForm
from dualatme_jax.training.learner import Learner

READ = {'scale': 'signed', 'channels': ()}


def vertical(inputs):
    """4x4 means of v: [16]."""
    return 3 * inputs['flow'][1].reshape(4, 7, 4, 7).mean((1, 3)).ravel()


def horizontal(inputs):
    """u by rows, of the left half alone: not what a mirrored clip has."""
    return 2 * inputs['flow'][0, :, :14].mean(1)


def system(**options):
    """Two views, which have their best average or one of them alone."""
    views = {'v': vertical, 'u': horizontal}
    return KernelRidge(views, **{'sets': (('v', 'u'),)} | options)


def learner(dataset, of, **options):
    read = {'prepare': prepare.preparation(**READ), 'mirror': augment.mirroring(**READ), 'room': 2**30}
    return ClosedForm(of, dataset, **read | options)


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir, reads=('flow',))


@pytest.fixture(scope='module')
def rows(dataset):
    return trials.table(dataset, seeds=(3,), points=[{}]).to_dict('records')


def vectors(dataset, *, mirrored=False):
    """[N, D] of both views in NumPy."""
    flow = dataset.inputs['flow'].astype(float) / 127.5 - 1
    flow = flow[:, :, ::-1] * [-1, 1, 1] if mirrored else flow
    return {
        'v': 3 * flow[..., 1].reshape(-1, 4, 7, 4, 7).mean((2, 4)).reshape(-1, 16),
        'u': 2 * flow[:, :, :14, 0].mean(2),
    }


def by_hand(dataset, name, width, strength, train):
    """Scores of all clips by those of the training side."""
    one, other = vectors(dataset)[name], vectors(dataset, mirrored=True)[name]
    kernel = np.mean([rbf_kernel(a, b, 1 / width) for a in (one, other) for b in (one, other)], 0)
    counts = np.bincount(dataset.label[train], minlength=3)
    weights = train.sum() / 3 / counts[dataset.label[train]]
    matrix = kernel[np.ix_(train, train)] + strength * np.diag(1 / weights)
    return kernel[:, train] @ np.linalg.solve(matrix, np.eye(3)[dataset.label[train]] - 1 / 3)


def chances_of(wave, dataset):
    """[N, K] in the order of the clips."""
    table = wave.predictions.set_index(['database', 'subject', 'clip'])
    table = table.loc[list(zip(dataset.database, dataset.subject, dataset.clip, strict=True))]
    assert (table['label'] == dataset.label).all()
    return table.filter(like='prob_').to_numpy()


def expected_chances(scores):
    positive = np.maximum(scores + 1 / 3, 0)
    return positive / positive.sum(1, keepdims=True)


def test_each_clip_is_predicted_as_by_hand(dataset, rows):
    of: Learner = learner(dataset, system(width=(0.7,), ridge=(0.4,)))
    wave = of.fit_predict(rows)
    expected = np.zeros((24, 3))
    for row in rows:
        fold = trials.fold_of(row, dataset)
        scores = [by_hand(dataset, name, 0.7, 0.4, fold.train) for name in ('v', 'u')]
        expected[fold.held_out] = expected_chances(np.mean(scores, 0))[fold.held_out]
    np.testing.assert_allclose(chances_of(wave, dataset), expected, atol=1e-6)
    assert wave.failed_epoch.tolist() == [0] * 8
    assert (wave.states, wave.chosen) == (None, ())
    assert wave.losses.shape == (1, 8)


@pytest.mark.slow
def test_trials_of_few_and_of_many_subjects_are_solved_side_by_side(dataset):
    points = [{'subjects': number} for number in (3, 5, 0)]
    few = trials.table(dataset, seeds=(3,), points=points).to_dict('records')
    wave = learner(dataset, system(width=(0.7,), ridge=(0.4,))).fit_predict(few)
    names = ['database', 'subject', 'clip']
    clips = list(zip(dataset.database, dataset.subject, dataset.clip, strict=True))
    for row in few:
        fold = trials.fold_of(row, dataset)
        assert len(set(dataset.subjects[fold.train])) == (row['subjects'] or 7)
        scores = [by_hand(dataset, name, 0.7, 0.4, fold.train) for name in ('v', 'u')]
        found = wave.predictions[wave.predictions['trial'] == row['trial']].set_index(names)
        found = found.loc[[clips[place] for place in np.flatnonzero(fold.held_out)]]
        expected = expected_chances(np.mean(scores, 0))[fold.held_out]
        np.testing.assert_allclose(found.filter(like='prob_'), expected, atol=1e-6)


@pytest.mark.slow
def test_each_fold_has_the_setting_that_is_best_on_its_inner_parts(dataset, rows):
    grid = {'sets': (('v',), ('u',), ('v', 'u')), 'width': (0.3, 3.0), 'ridge': (0.05, 2.0)}
    wave = learner(dataset, system(**grid), parts=3).fit_predict(rows[:3])
    for row, chosen in zip(rows[:3], wave.chosen, strict=True):
        outer = trials.fold_of(row, dataset)
        people = dataset.database, dataset.subject, dataset.label
        inner = [splits.inner(outer, part, *people, parts=3, seed=3) for part in (1, 2, 3)]
        best = (-1.0,)
        for width in grid['width']:
            for names in grid['sets']:
                for strength in grid['ridge']:
                    truth, guess = [], []
                    for fold in inner:
                        all_views = [by_hand(dataset, name, width, strength, fold.train) for name in names]
                        truth += dataset.label[fold.held_out].tolist()
                        guess += np.mean(all_views, 0)[fold.held_out].argmax(1).tolist()
                    value = f1_score(truth, guess, average='macro')
                    if value > best[0] + 1e-9:
                        best = value, '+'.join(names), width, strength
        assert chosen == {
            'views': best[1], 'width': best[2], 'ridge': best[3], 'uf1': pytest.approx(best[0])
        }  # fmt: skip


def test_nothing_that_is_left_out_changes_what_is_learnt_or_chosen(dataset, rows):
    grid = {'sets': (('v',), ('v', 'u')), 'width': (0.3, 1.0), 'ridge': (0.1, 1.0)}
    own = trials.held_out_clips(rows[2], dataset)
    assert own.size > 1
    first, others = own[:1], own[1:]

    def predicted(places, labels):
        flow = dataset.inputs['flow'].copy()
        flow[places] = 255 - flow[places, ::-1]
        changed = dataclasses.replace(dataset, inputs={'flow': flow}, label=labels)
        wave = learner(changed, system(**grid), parts=3).fit_predict(rows[2:3])
        return wave.predictions.filter(like='prob_').to_numpy(), wave.chosen

    relabelled = dataset.label.copy()
    relabelled[own] = (relabelled[own] + 1) % 3
    chances, chosen = predicted([], dataset.label)
    changed, chosen_again = predicted(first, relabelled)
    assert chosen_again == chosen
    np.testing.assert_allclose(changed[1:], chances[1:], atol=1e-6)
    assert abs(changed[0] - chances[0]).max() > 1e-3
    # And where a clip of the training side changes they do.
    assert others.size
    assert abs(predicted([(own[-1] + 1) % 24], dataset.label)[0] - chances).max() > 1e-4


def test_blocks_give_what_all_at_once_give_and_the_memory_is_said_before(dataset, rows):
    said = []
    grid = system(ridge=(0.1, 1.0))
    whole = learner(dataset, grid, parts=3, on_plan=said.append).fit_predict(rows)
    blocks = learner(dataset, grid, parts=3, room=250_000, on_plan=said.append).fit_predict(rows)
    np.testing.assert_allclose(chances_of(blocks, dataset), chances_of(whole, dataset), atol=1e-6)
    assert blocks.chosen == whole.chosen
    assert '26 trials with 3 inner parts each, of 2 settings the best' in said[0]
    assert '26 at once' in said[0]
    assert '13 at once' in said[1]
    assert 'of 244.1 KiB' in said[1]
    with pytest.raises(InputError, match=r'the kernel of 24 clips and its inverse take .* 1000 Bytes may be'):
        learner(dataset, grid, room=1000).fit_predict(rows)


def test_a_class_that_an_inner_part_takes_away_is_named_and_costs_nothing(dataset, rows):
    label = np.where(dataset.label == 2, 0, dataset.label)
    label[trials.held_out_clips(rows[0], dataset)] = 2  # of the first person alone
    rare = dataclasses.replace(dataset, label=label)
    said = []
    wave = learner(rare, system(ridge=(0.1, 1.0)), parts=3, on_plan=said.append).fit_predict(rows)
    assert any('trials have no surprise clip to train on' in line for line in said)
    assert np.isfinite(wave.predictions.filter(like='prob_').to_numpy()).all()
    first = wave.predictions[wave.predictions['trial'] == 0]
    assert (first['prob_surprise'] == 0).all(), 'which its fold has not seen'
    assert (wave.predictions.loc[wave.predictions['trial'] > 0, 'prob_surprise'] > 0).any()


def test_a_clip_whose_numbers_are_not_finite_is_named(dataset):
    flow = dataset.inputs['flow'].astype(np.float32)
    flow[4, 3, 3, 1] = np.nan
    broken = dataclasses.replace(dataset, inputs={'flow': flow})
    name = f'{dataset.subjects[4]}/{dataset.clip[4]}'
    with pytest.raises(InputError, match=f'the descriptor v of {name} has numbers that are not finite'):
        learner(broken, system())
