"""Folds: each clip held out once, no subject on both sides; those of scikit-learn."""

import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.naive_bayes import GaussianNB

from dualatme_jax import schema
from dualatme_jax.data import splits
from dualatme_jax.errors import InputError

GROUND_TRUTH = pathlib.Path(__file__).parents[4] / 'shared/data/megc2019_flow28/combined_3class_gt.csv'

# (database, subject, label) of up to nine people; most share their name with somebody of another database.
CLIPS = st.lists(
    st.tuples(
        st.sampled_from(['casme2', 'smic', 'my-own']), st.sampled_from(['1', '006', 's/1']), st.integers(0, 2)
    ),
    min_size=2,
    max_size=24,
).filter(lambda clips: len({clip[0] for clip in clips}) > 1)


def arrays(clips):
    return tuple(np.array(column) for column in zip(*clips, strict=True))


def people(database, subject):
    return np.array([f'{one}/{other}' for one, other in zip(database, subject, strict=True)])


@settings(max_examples=150, deadline=None)
@given(clips=CLIPS, data=st.data(), seed=st.integers(0, 9))
def test_each_clip_is_held_out_once_and_nobody_is_on_both_sides(clips, data, seed):
    names = arrays(clips)
    persons = people(*names[:2])
    kind = data.draw(st.sampled_from(['subject', 'database', 'parts']))
    # Of a class with as many clips as there are parts, as scikit-learn wants it.
    most = min(len(set(persons)), np.bincount(names[2]).max())
    parts = data.draw(st.integers(2, most)) if kind == 'parts' and most > 1 else 0
    if kind == 'parts' and not parts:
        return
    found = splits.folds(kind, *names, parts=parts, seed=seed)
    assert (np.sum([fold.held_out for fold in found], 0) == 1).all()
    assert len({fold.name for fold in found}) == len(found)
    for fold in found:
        assert (fold.train == ~fold.held_out).all()
        assert not set(persons[fold.train]) & set(persons[fold.held_out])
        assert fold.train.sum() <= splits.most_trained(kind, *names[:2])
        lists = (array.tolist() for array in names)
        again = splits.fold(kind, fold.name, *lists, parts=parts, seed=seed)
        np.testing.assert_array_equal(again.held_out, fold.held_out)


@pytest.mark.parametrize('kind', ['subject', 'database'])
@settings(max_examples=60, deadline=None)
@given(clips=CLIPS)
def test_they_are_those_of_scikit_learn(kind, clips):
    database, subject, label = arrays(clips)
    groups = database if kind == 'database' else people(database, subject)
    expected = {
        groups[test[0]]: (train.tolist(), test.tolist())
        for train, test in LeaveOneGroupOut().split(label, label, groups)
    }
    found = {
        fold.name: (np.flatnonzero(fold.train).tolist(), np.flatnonzero(fold.held_out).tolist())
        for fold in splits.folds(kind, database, subject)
    }
    assert found == expected
    assert list(found) == list(dict.fromkeys(groups)), 'in order of appearance'
    if kind == 'database':
        assert splits.most_trained(kind, database, subject) == max(len(train) for train, _ in found.values())


@settings(max_examples=30, deadline=None)
@given(clips=CLIPS)
def test_where_all_are_trained_on_nothing_is_held_out(clips):
    names = arrays(clips)
    (fold,) = splits.folds('all', *names)
    assert fold.name == 'nobody'
    assert fold.train.all()
    assert not fold.held_out.any()
    assert splits.most_trained('all', *names[:2]) == len(clips)


def spread():
    """30 people of one class each with 4 clips."""
    number = np.repeat(np.arange(30), 4)
    return np.full(120, 'smic'), np.char.mod('s%02d', number), number % 3


def test_parts_spread_the_classes_and_each_seed_cuts_others():
    database, subject, label = spread()
    cuts = []
    for seed in (0, 1):
        found = splits.folds('parts', database, subject, label, parts=5, seed=seed)
        assert [fold.name for fold in found] == [f'part {number}' for number in range(1, 6)]
        for fold in found:
            counts = np.bincount(label[fold.held_out], minlength=3)
            assert counts.tolist() == [8, 8, 8]
        cuts.append(np.array([fold.held_out for fold in found]))
    assert (cuts[0] != cuts[1]).any()


def test_inner_folds_cut_the_training_side_alone():
    database, subject, label = spread()
    outer = splits.folds('database', np.where(label == 0, 'samm', 'smic'), subject, label)[0]
    inner = [splits.inner(outer, number, database, subject, label, parts=4, seed=3) for number in range(1, 5)]
    np.testing.assert_array_equal(np.sum([fold.held_out for fold in inner], 0), outer.train)
    for fold in inner:
        assert not (fold.train & fold.held_out).any()
        np.testing.assert_array_equal(fold.train | fold.held_out, outer.train)
        assert not set(subject[fold.train]) & set(subject[fold.held_out])
    assert inner[1].name == f'{outer.name}, inner part 2'


@settings(max_examples=20, deadline=None)
@given(clips=CLIPS, seed=st.integers(0, 9), random=st.randoms(use_true_random=False))
def test_few_subjects_are_drawn_so_that_larger_draws_hold_the_smaller(clips, seed, random):
    names = arrays(clips)
    persons = people(*names[:2])
    order = random.sample(range(len(clips)), len(clips))
    for fold in splits.folds('subject', *names):
        there, before = set(persons[fold.train]), set()
        assert splits.few(fold, *names, subjects=0, seed=seed) is fold
        for subjects in range(1, len(there) + 1):
            found = splits.few(fold, *names, subjects=subjects, seed=seed)
            drawn = set(persons[found.train])
            assert before < drawn <= there
            assert len(drawn) == subjects
            np.testing.assert_array_equal(found.train, fold.train & np.isin(persons, list(drawn)))
            np.testing.assert_array_equal(found.held_out, fold.held_out)
            if subjects >= len(set(names[2][fold.train])):
                assert set(names[2][found.train]) == set(names[2][fold.train]), 'no class is lost'
            turned = splits.Fold(fold.name, fold.train[order], fold.held_out[order])
            again = splits.few(turned, *(array[order] for array in names), subjects=subjects, seed=seed)
            np.testing.assert_array_equal(again.train, found.train[order])
            before = drawn
        with pytest.raises(InputError, match=rf'expected 1 to {len(there)}, or 0 for all'):
            splits.few(fold, *names, subjects=len(there) + 1, seed=seed)


@settings(deadline=None)
@given(CLIPS, st.integers(0, 3))
def test_the_most_frequent_class_alone_is_undersampled_and_what_is_predicted_stays(clips, seed):
    database, subject, label = (np.array(column) for column in zip(*clips, strict=True))
    for fold in splits.folds('database', database, subject):
        counts = np.bincount(label[fold.train], minlength=3)
        frequent, before = counts.argmax(), None
        for most in (0.25, 0.5, 1.0, 3.0, 0):
            found = splits.undersampled(fold, label, most=most, seed=seed)
            np.testing.assert_array_equal(found.held_out, fold.held_out)
            others = fold.train & (label != frequent)
            np.testing.assert_array_equal(found.train & (label != frequent), others)
            kept = found.train & (label == frequent)
            assert not (kept & ~fold.train).any()
            asked = most * counts.max() if most < 1 else most * others.sum()
            whole = not most or not others.any()
            assert kept.sum() == (counts.max() if whole else min(counts.max(), max(1, round(asked))))
            if most in (0.5, 3.0) and not whole:  # in 0.25 of them are, and in 1 for each
                assert not (before & ~kept).any()
            before = kept


def test_other_clips_are_left_out_by_seed_and_by_fold():
    names = np.repeat(['casme2', 'smic'], 40), np.array([f's{k % 4}' for k in range(80)])
    label = np.array([0] * 36 + [1] * 4 + [0] * 36 + [1] * 4)
    drawn = {
        (seed, fold.name): frozenset(
            np.flatnonzero(splits.undersampled(fold, label, most=0.5, seed=seed).train)
        )
        for seed in (0, 1)
        for fold in splits.folds('subject', *names)
    }
    assert len(set(drawn.values())) == len(drawn)


def test_few_subjects_are_others_by_seed_and_by_fold():
    names = spread()
    folds = splits.folds('subject', *names)
    drawn = {
        (seed, fold.name): frozenset(names[1][splits.few(fold, *names, subjects=9, seed=seed).train])
        for seed in range(10)
        for fold in folds
    }
    assert len(set(drawn.values())) > 295  # of 300
    # Each of the 29 others is drawn in 9 of 29 cases, up to what classes ask for.
    counts = [sum(person in each for each in drawn.values()) for person in set(names[1])]
    np.testing.assert_allclose(np.array(counts) / 290, 9 / 29, atol=0.12)


@pytest.mark.parametrize(
    ('kind', 'parts', 'says'),
    [
        ('loso', 0, "config.folds takes 'subject', 'database', 'parts', 'all'"),
        ('database', 0, "1 database in the dataset, smic; .*config.folds='subject'"),
        ('parts', 31, 'config.fold_parts is 31, and the dataset has 30 subjects; expected 2 to 30'),
        ('parts', 1, 'config.fold_parts is 1, .* expected 2 to 30'),
    ],
)
def test_folds_that_cannot_be_are_refused(kind, parts, says):
    with pytest.raises(InputError, match=says):
        splits.folds(kind, *spread(), parts=parts)


def test_one_subject_cannot_be_left_out_but_can_be_trained_on():
    alone = np.array(['smic', 'smic']), np.array(['s1', 's1'])
    with pytest.raises(InputError, match='1 subject in the dataset; leave-one-subject-out needs 2'):
        splits.folds('subject', *alone)
    assert len(splits.folds('all', *alone)) == 1


def test_parts_for_which_no_class_has_clips_enough_are_named():
    names = np.full(6, 'smic'), np.array(list('abcdef')), np.arange(6) // 2
    with pytest.raises(InputError, match=r'cannot be cut into 5 parts .* a smaller config\.fold_parts'):
        splits.folds('parts', *names, parts=5)


def test_scikit_learn_takes_them():
    database, subject, label = spread()
    features = label[:, None] + np.random.default_rng(0).normal(0, 0.1, (120, 2))
    cv = [
        (np.flatnonzero(fold.train), np.flatnonzero(fold.held_out))
        for fold in splits.folds('subject', database, subject)
    ]
    predicted = cross_val_predict(GaussianNB(), features, label, cv=cv)
    assert (predicted == label).mean() > 0.95


def test_they_need_no_jax():
    code = 'import sys; import dualatme_jax.data.splits; sys.exit("jax" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


@pytest.mark.skipif(
    not GROUND_TRUTH.exists(), reason=f'the public MEGC2019 ground truth is not at {GROUND_TRUTH}'
)
def test_the_folds_of_megc2019():
    columns = ['database', 'subject', 'clip', 'label']
    truth = pd.read_csv(GROUND_TRUTH, names=columns, dtype={'subject': str, 'clip': str})
    names = [truth[name].to_numpy() for name in ('database', 'subject', 'label')]
    assert len(splits.folds('subject', *names)) == 68
    sizes = {fold.name: int(fold.held_out.sum()) for fold in splits.folds('database', *names)}
    assert sizes == {name: clips for name, (clips, _) in schema.MEGC2019_CD.items() if name != schema.FULL}
    shares = np.bincount(names[2]) / len(truth)
    for seed in range(3):
        for fold in splits.folds('parts', *names, parts=5, seed=seed):
            found = np.bincount(names[2][fold.held_out], minlength=3) / fold.held_out.sum()
            np.testing.assert_allclose(found, shares, atol=0.12)
