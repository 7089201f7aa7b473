"""The table of trials: no subject on both sides, every clip predicted once; batches, waves and failures."""

import collections
import types
import zlib

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.machines import host_memory
from dualatme_jax.training import choosing, engine, memory, trials, wave
from dualatme_jax.training.state import Clips
from dualatme_jax.training.step import Training

HYPERPARAMETERS = {'learning_rate': 1e-3, 'focal_gamma': 2.0}


def make_dataset(clips, labels=schema.LABELS):
    """A dataset of (database, subject, label), with flows too small to matter."""
    database, subject, label = zip(*clips, strict=True)
    flow = np.zeros((len(clips), 1, 1, 3), np.uint8)
    return Dataset(
        inputs={'flow': flow},
        label=np.array(label, np.int32),
        database=np.array(database),
        subject=np.array(subject),
        clip=np.array([f'clip{k}' for k in range(len(clips))]),
        labels=labels,
        metadata={},
    )


# Three names for up to nine people: most share theirs with somebody of another database.
CLIPS = st.lists(
    st.tuples(st.sampled_from(schema.DATABASES), st.sampled_from(['1', '006', 's01']), st.integers(0, 2)),
    min_size=2,
    max_size=20,
).filter(lambda clips: len({clip[:2] for clip in clips}) > 1)

# Two people of one name, one of them with a single clip.
SMALL = make_dataset(
    [
        *[('casme2', '1', label) for label in range(3)],
        ('smic', '1', 0),
        *[('smic', '2', label) for label in range(3)],
    ]
)


def table(dataset, **options):
    options = {'seeds': (0,), 'points': [HYPERPARAMETERS], 'allow_missing_class': True} | options
    return trials.table(dataset, **options)


def rows(dataset, **options):
    return table(dataset, **options).to_dict('records')


@settings(max_examples=60, deadline=None)
@given(clips=CLIPS)
@pytest.mark.slow
def test_no_person_is_on_both_sides_of_a_fold(clips):
    dataset = make_dataset(clips)
    for row in rows(dataset):
        trial = trials.device_trial(row, dataset, dataset.size)
        trained = {dataset.subjects[k] for k in np.flatnonzero(trial.train)}
        tested = {dataset.subjects[k] for k in np.asarray(trial.held_out)}
        assert tested == {row['left_out']}
        assert trained == set(dataset.subjects) - tested


@settings(max_examples=60, deadline=None)
@given(clips=CLIPS, seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
def test_every_clip_is_predicted_once_a_seed(clips, seeds):
    dataset = make_dataset(clips)
    predicted = collections.Counter(
        (row['seed'], int(k))
        for row in rows(dataset, seeds=seeds)
        for k in trials.held_out_clips(row, dataset)
    )
    assert predicted == {(seed, k): 1 for seed in seeds for k in range(dataset.size)}


@settings(max_examples=60, deadline=None)
@given(clips=CLIPS)
def test_held_out_clips_are_filled_up_with_the_subject_s_own(clips):
    dataset = make_dataset(clips)
    most = max(collections.Counter(dataset.subjects).values())
    for row in rows(dataset):
        own = trials.held_out_clips(row, dataset)
        held_out = np.asarray(trials.device_trial(row, dataset).held_out)
        assert held_out.shape == (most,)
        np.testing.assert_array_equal(held_out[: own.size], own)
        assert set(held_out) == set(own)


@settings(max_examples=100, deadline=None)
@given(clips=CLIPS)
def test_a_fold_without_a_class_is_named_unless_it_is_allowed(clips):
    lacking = {
        f'  {clip[0]}/{clip[1]}: no {schema.LABELS[k]} clip is left'
        for clip in clips
        for k in range(3)
        if k not in {other[2] for other in clips if other[:2] != clip[:2]}
    }
    dataset = make_dataset(clips)
    if not lacking:
        assert table(dataset, allow_missing_class=False).equals(table(dataset))
        return
    with pytest.raises(InputError, match='allow_missing_class=True') as error:
        table(dataset, allow_missing_class=False)
    assert {line for line in str(error.value).splitlines() if line.startswith('  ')} == lacking


@pytest.mark.parametrize('labels', [('truthful', 'deceptive'), ('a', 'b', 'c', 'd', 'e')])
def test_the_classes_are_the_dataset_s(labels):
    clips = [('deception', subject, k) for subject in 'xyz' for k in range(len(labels))]
    assert len(table(make_dataset(clips, labels), allow_missing_class=False)) == 3
    last = len(labels) - 1
    few = [clip for clip in clips if clip[2] != last or clip[1] == 'y']
    with pytest.raises(InputError, match=f'  deception/y: no {labels[last]} clip is left'):
        table(make_dataset(few, labels), allow_missing_class=False)


def test_the_table_s_columns_and_order():
    found = table(SMALL, seeds=(3, 0))
    identity = ['trial', 'folds', 'fold_parts', 'fold', 'left_out', 'seed']
    sweep = ['point', 'program', 'inner', 'parts', 'subjects', 'undersample']
    assert list(found.columns) == [*identity, *sweep, 'learning_rate', 'focal_gamma']
    assert found.to_numpy().tolist() == [
        [0, 'subject', 0, 0, 'casme2/1', 3, 0, 0, 0, 0, 0, 0, 1e-3, 2],
        [1, 'subject', 0, 1, 'smic/1', 3, 0, 0, 0, 0, 0, 0, 1e-3, 2],
        [2, 'subject', 0, 2, 'smic/2', 3, 0, 0, 0, 0, 0, 0, 1e-3, 2],
        [3, 'subject', 0, 0, 'casme2/1', 0, 0, 0, 0, 0, 0, 0, 1e-3, 2],
        [4, 'subject', 0, 1, 'smic/1', 0, 0, 0, 0, 0, 0, 0, 1e-3, 2],
        [5, 'subject', 0, 2, 'smic/2', 0, 0, 0, 0, 0, 0, 0, 1e-3, 2],
    ]


def test_the_points_of_a_sweep_follow_one_another_and_are_paired():
    points = [
        {'program': 0, 'loss.class_weights': (1, 2), 'model.variant': 'a', 'learning_rate': 0.1},
        {'program': 1, 'loss.class_weights': (1, 3), 'model.variant': 'b', 'learning_rate': 0.2},
    ]
    found = table(SMALL, seeds=(0, 1), points=points)
    assert found['trial'].tolist() == list(range(12))
    assert found['point'].tolist() == found['program'].tolist() == [0] * 6 + [1] * 6
    assert set(found['loss.class_weights']) == {'(1, 2)', '(1, 3)'}
    one, other = (found[found['point'] == point].to_dict('records') for point in (0, 1))
    for left, right in zip(one, other, strict=True):
        names = ['learning_rate']
        a, b = (trials.device_trial(row, SMALL, hyperparameters=names) for row in (left, right))
        assert bits(a.key) == bits(b.key)
        assert (a.hyperparameters, b.hyperparameters) == ({'learning_rate': 0.1}, {'learning_rate': 0.2})


# Five to nine people of three classes, with all classes among any four.
NESTED = st.lists(st.integers(3, 6), min_size=5, max_size=9).map(
    lambda sizes: make_dataset(
        [('smic', f's{person}', k % 3) for person, clips in enumerate(sizes) for k in range(clips)]
    )
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(dataset=NESTED, seed=st.integers(0, 99), parts=st.integers(2, 4))
@pytest.mark.slow
def test_inner_trials_see_neither_their_subject_nor_their_part(dataset, seed, parts):
    found = rows(dataset, seeds=(seed,), parts=parts)
    assert {row['inner'] for row in found} >= {0, 1}
    predicted = collections.Counter()
    for row in found:
        train = trials.device_trial(row, dataset, dataset.size).train
        held_out = trials.held_out_clips(row, dataset)
        own_subject = row['left_out'].removeprefix('smic/')
        own = np.flatnonzero(dataset.subject == own_subject)
        people, tested = set(dataset.subject[train]), set(dataset.subject[held_out])
        assert own_subject not in people
        assert not people & tested
        assert people | tested | {own_subject} == set(dataset.subject)
        if row['inner']:
            assert not set(held_out) & set(own)
            predicted.update((own_subject, k) for k in held_out)
        else:
            assert held_out.tolist() == own.tolist()
    clips = range(dataset.size)
    assert predicted == {(s, k): 1 for s in set(dataset.subject) for k in clips if dataset.subject[k] != s}


def test_parts_are_spread_over_classes_and_the_same_for_all_points():
    dataset = make_dataset([('smic', f's{k // 3:02}', k % 3) for k in range(48)])
    found = table(dataset, points=[{'learning_rate': 0.1}, {'learning_rate': 0.2}], parts=5)
    assert found['inner'].value_counts().to_dict() == dict.fromkeys(range(6), 32)
    for row in found[(found['fold'] == 3) & (found['inner'] > 0)].to_dict('records'):
        counts = np.bincount(dataset.label[trials.held_out_clips(row, dataset)])
        assert counts.tolist() == [3, 3, 3]
    one, other = (found[found['point'] == point].to_dict('records') for point in (0, 1))
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(*(trials.held_out_clips(row, dataset) for row in (left, right)))
    assert trials.most_held_out(found, dataset) == 9
    assert trials.most_held_out(found[found['inner'] == 0], dataset) == trials.most_clips(dataset) == 3


def test_parts_hold_every_class_where_a_person_has_one():
    # By chance alone a part of 5 of 14 people would often lack a class.
    dataset = make_dataset([('smic', f's{person:02}', person % 3) for person in range(15) for _ in range(4)])
    for row in rows(dataset, parts=3):
        if row['inner']:
            counts = np.bincount(dataset.label[trials.held_out_clips(row, dataset)], minlength=3)
            assert counts.min() >= 4
            assert counts.max() <= 8


def test_another_seed_cuts_other_parts():
    dataset = make_dataset([('smic', f's{k // 3:02}', k % 3) for k in range(48)])
    first, second = (
        [trials.held_out_clips(row, dataset).tolist() for row in rows(dataset, seeds=(seed,), parts=5)]
        for seed in (0, 1)
    )
    same = [one == other for one, other in zip(first, second, strict=True)]
    assert sum(same) == 16, 'those that leave out their subject alone'


def test_outer_trials_of_a_nested_run_are_those_of_a_plain_one():
    dataset = make_dataset([('smic', f's{k // 3}', k % 3) for k in range(18)])
    nested = [row for row in rows(dataset, parts=2) if not row['inner']]
    keys = set()
    for plain, row in zip(rows(dataset), nested, strict=True):
        one, other = trials.device_trial(plain, dataset), trials.device_trial(row, dataset)
        jax.tree.map(
            np.testing.assert_array_equal, jax.random.key_data(one.key), jax.random.key_data(other.key)
        )
        np.testing.assert_array_equal(one.train, other.train)
        np.testing.assert_array_equal(one.held_out, other.held_out)
        keys.add(bits(one.key))
    inner = {
        bits(trials.device_trial(row, dataset, 18).key) for row in rows(dataset, parts=2) if row['inner']
    }
    assert len(inner) == 12
    assert not inner & keys


@pytest.mark.parametrize('parts', [1, 3, -1])
def test_more_parts_than_subjects_are_refused(parts):
    with pytest.raises(InputError, match=rf'config\.selection\.parts is {parts}; expected 2 to 2'):
        table(SMALL, parts=parts)


def test_points_that_train_on_few_subjects_keep_their_folds_and_keys():
    clips = [('smic', f's{k}', label) for k in range(7) for label in range(3)]
    dataset = make_dataset(clips)
    points = [{'subjects': number} for number in (0, 3, 5)]
    whole = table(dataset, points=points, seeds=(4,), parts=2, allow_missing_class=False)
    assert trials.most_held_out(whole, dataset) == 9
    found = whole.to_dict('records')
    assert [row['subjects'] for row in found] == [0] * 21 + [3] * 21 + [5] * 21
    assert collections.Counter(row['point'] for row in found) == {0: 21, 1: 21, 2: 21}
    keys, trained = collections.defaultdict(set), {}
    for row in found:
        trial = trials.device_trial(row, dataset, 9)
        people = set(dataset.subjects[trial.train])
        which = row['left_out'], row['seed'], row['inner']
        keys[which].add(bits(trial.key))
        trained[(*which, row['subjects'])] = people
        held_out = set(dataset.subjects[trials.held_out_clips(row, dataset)])
        assert not people & held_out
        assert row['left_out'] not in people
        if row['inner']:  # of a selection that knows these subjects alone
            outer = trained[(*which[:2], 0, row['subjects'])]
            assert people | held_out == outer
        else:
            assert held_out == {row['left_out']}
            assert len(people) == (row['subjects'] or 6)
    assert all(len(of_points) == 1 for of_points in keys.values())
    for name, seed, inner, number in trained:
        if not inner and number == 5:
            assert trained[name, seed, 0, 3] < trained[name, seed, 0, 5]


def test_trials_train_on_some_of_the_most_frequent_class_and_predict_all():
    clips = [('smic', f's{person}', int(k == 0)) for person in range(4) for k in range(9)]
    dataset = make_dataset(clips, labels=('neutral', 'expression'))
    for row in table(dataset, points=[{'undersample': 2.0}], parts=2).to_dict('records'):
        trial = trials.device_trial(row, dataset, dataset.size)
        trained = dataset.label[np.asarray(trial.train)]
        assert (trained == 0).sum() == 2 * (trained == 1).sum() > 0
        whole = trials.device_trial(row | {'undersample': 0.0}, dataset, dataset.size)
        np.testing.assert_array_equal(trial.held_out, whole.held_out)
        assert not (np.asarray(trial.train) & ~np.asarray(whole.train)).any()


def test_what_a_trial_chooses_for_itself_is_chosen_on_all_clips_of_its_inner_parts():
    """A row's own inner parts train and predict as those of the table do."""
    clips = [('smic', f's{person}', int(k == 0)) for person in range(6) for k in range(9)]
    dataset = make_dataset(clips, labels=('neutral', 'expression'))
    found = table(dataset, points=[{'undersample': 2.0}], parts=2)
    asked = choosing.Asked.by(found[found['inner'] == 0].to_dict('records'), dataset, 2)
    names = found.loc[found['inner'] == 0, 'left_out'].tolist()
    for row in found.to_dict('records'):
        fold, place = trials.fold_of(row, dataset), names.index(row['left_out'])
        own = (asked.row == place) & (asked.inner == (row['inner'] > 0)) & fold.held_out[asked.clip]
        assert sorted(asked.clip[own]) == np.flatnonzero(fold.held_out).tolist()
        (trial,) = set(asked.trial[own])
        np.testing.assert_array_equal(asked.train[trial], fold.train)


def test_too_few_subjects_for_a_class_are_named_with_their_number():
    lone = make_dataset([('smic', f's{k}', k % 3) for k in range(6)])
    with pytest.raises(InputError, match=r'smic/s0, seed 0, 2 subjects trained on: no \w+ clip is left'):
        table(lone, points=[{'subjects': 3}, {'subjects': 2}], allow_missing_class=False)
    with pytest.raises(InputError, match='train_subjects is 6, and with smic/s0 left out there are 5 subj'):
        table(lone, points=[{'subjects': 5}, {'subjects': 6}])


def test_an_inner_trial_without_a_class_is_named():
    lone = make_dataset([('smic', f's{k}', int(k == 3)) for k in range(6)], labels=('a', 'b'))
    with pytest.raises(InputError, match=r'smic/s0, seed 0, inner part [12]: no b clip is left'):
        table(lone, parts=2, allow_missing_class=False)


@pytest.mark.parametrize('seeds', [(), (1, 2, 1), (0, -1), (0, 2**32), (0.5,), ('1',)])
def test_seeds_that_cannot_be_are_refused(seeds):
    with pytest.raises(InputError, match=r'config\.seeds is'):
        table(SMALL, seeds=seeds)


def test_one_subject_cannot_be_left_out():
    with pytest.raises(InputError, match='1 subject in the dataset'):
        table(make_dataset([('samm', '006', 0), ('samm', '006', 1)]))


def test_hyperparameters_of_a_row_reach_its_trial():
    row = rows(SMALL)[0] | {'learning_rate': 0.25}
    trial = trials.device_trial(row, SMALL, hyperparameters=('learning_rate', 'focal_gamma'))
    assert trial.hyperparameters == {'learning_rate': 0.25, 'focal_gamma': 2.0}


def bits(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_keys_differ_between_all_subjects_and_seeds():
    table_rows = rows(SMALL, seeds=range(20))
    assert len({bits(trials.device_trial(row, SMALL).key) for row in table_rows}) == len(table_rows) == 60


def test_a_key_depends_on_seed_and_subject_alone():
    more = make_dataset([('casme2', '0', 1)] * 4 + [('smic', '2', 0)] + [('samm', '1', 2)])
    here = rows(SMALL, seeds=(5,))[2]
    there = next(
        row
        for row in rows(more, seeds=(1, 5), points=[{'learning_rate': 0.1}])
        if (row['left_out'], row['seed']) == ('smic/2', 5)
    )
    assert (here['trial'], here['fold']) != (there['trial'], there['fold'])
    assert bits(trials.device_trial(here, SMALL).key) == bits(trials.device_trial(there, more).key)


@pytest.mark.parametrize(
    ('kind', 'names'),
    [
        ('subject', ['casme2/1', 'smic/1', 'smic/2']),
        ('database', ['casme2', 'smic']),
        ('parts', ['part 1', 'part 2']),
        ('all', ['nobody']),
    ],
)
def test_a_key_is_made_of_the_seed_and_the_fold_s_name(kind, names):
    found = table(SMALL, seeds=(5,), folds=kind, fold_parts=2)
    assert found['left_out'].tolist() == names
    assert found['fold'].tolist() == list(range(len(names)))
    assert set(found['fold_parts']) == {2 if kind == 'parts' else 0}
    for row in found.to_dict('records'):
        expected = jax.random.fold_in(jax.random.key(5), zlib.crc32(row['left_out'].encode()))
        assert bits(trials.device_trial(row, SMALL, SMALL.size).key) == bits(expected)


def test_a_trial_on_all_clips_predicts_none():
    (row,) = found = rows(SMALL, folds='all')
    trial = trials.device_trial(row, SMALL, trials.most_held_out(table(SMALL, folds='all'), SMALL))
    assert len(found) == 1
    assert trial.train.all()
    assert trials.held_out_clips(row, SMALL).size == 0
    assert trial.held_out.tolist() == [0], 'which shows whether the network is finite'


@settings(max_examples=40, deadline=None)
@given(clips=CLIPS, kind=st.sampled_from(['database', 'all']), batch_size=st.integers(1, 25))
def test_batches_cover_every_training_clip_of_other_folds_once(clips, kind, batch_size):
    dataset = make_dataset(clips)
    if len(set(dataset.database)) < 2 and kind == 'database':
        with pytest.raises(InputError, match='1 database in the dataset'):
            table(dataset, folds=kind)
        return
    found = engine.batches(dataset, batch_size, kind)
    counts = [int(trials.fold_of(row, dataset).train.sum()) for row in rows(dataset, folds=kind)]
    for count in counts:
        read = [k for start, width in found for k in range(start, start + width) if k < count]
        assert read == list(range(count))
    assert 0 <= sum(width for _, width in found) - max(counts) < engine.ALIGNED


RECIPE = Training(model=None, optimizer=None)
shuffle = jax.jit(RECIPE.shuffle)


def many_clips():
    return make_dataset([('smic', str(k // 8), k % 3) for k in range(40)])


def test_an_epoch_s_order_begins_with_exactly_the_training_clips():
    dataset = many_clips()
    for row in rows(dataset):
        trial = trials.device_trial(row, dataset)
        order = np.asarray(shuffle(trial, Clips.of(dataset), 0))
        assert sorted(order) == list(range(40))
        assert sorted(order[:32]) == np.flatnonzero(trial.train).tolist()


def test_balanced_epochs_draw_each_class_as_often():
    """5000 draws of one clip in eight: each class is a third of them, within five deviations."""
    dataset = make_dataset([('smic', str(k % 40), min(k % 8, 2)) for k in range(5000)])
    row = rows(dataset)[0]
    trial, clips = trials.device_trial(row, dataset), Clips.of(dataset)
    balanced = Training(model=None, optimizer=None, balanced=True)
    first, second = (np.asarray(balanced.shuffle(trial, clips, epoch)) for epoch in (0, 1))
    assert trial.train[first].all()
    np.testing.assert_allclose(
        np.bincount(dataset.label[first]) / 5000, 1 / 3, atol=5 * (2 / 9 / 5000) ** 0.5
    )
    assert (first != second).mean() > 0.9


def balanced_draws(train, label, monkeypatch, drawn=None):
    """What an epoch of balanced classes draws of clips; `drawn` in the place of what the chances give."""
    if drawn is not None:
        monkeypatch.setattr(jax.random, 'choice', lambda *_, **__: jax.numpy.asarray(drawn))
    trial = trials.Trial(jax.random.key(0), np.array(train), np.zeros(1, np.int32), {})
    recipe = Training(model=None, optimizer=None, balanced=True)
    return np.asarray(recipe.shuffle(trial, Clips({}, np.array(label, np.int32)), 0)).tolist()


def test_balanced_epochs_of_a_fold_without_a_class_draw_what_there_is(monkeypatch):
    """With `allow_missing_class`: a third class is that of held-out clips alone, the first among them."""
    train = [False, *[True] * 40, False]
    found = balanced_draws(train, [2, *[0, 1] * 20, 2], monkeypatch)
    assert set(found) <= set(range(1, 41))
    assert len(set(found)) > 10


def test_a_rounded_sum_of_chances_gives_no_held_out_clip(monkeypatch):
    """Chances of 0 are at the end of their sum, and whatever is drawn there is a clip that is trained on."""
    found = balanced_draws([True, False, True, False], [0, 0, 1, 1], monkeypatch, drawn=[0, 1, 2, 3])
    assert found == [0, 2, 2, 2]


def test_the_order_differs_by_epoch_and_seed_and_is_the_same_again():
    dataset = many_clips()
    clips = Clips.of(dataset)
    orders = {
        (row['seed'], epoch): tuple(
            np.asarray(shuffle(trials.device_trial(row, dataset), clips, epoch)).tolist()
        )
        for row in rows(dataset, seeds=(0, 1))
        if row['left_out'] == 'smic/2'
        for epoch in range(3)
    }
    assert len(set(orders.values())) == len(orders) == 6
    row = next(row for row in rows(dataset, seeds=(1,)) if row['left_out'] == 'smic/2')
    again = RECIPE.shuffle(trials.device_trial(row, dataset), Clips.of(dataset), np.int32(2))
    assert tuple(np.asarray(again).tolist()) == orders[1, 2]


def test_without_shuffling_the_order_is_the_dataset_s_in_every_epoch():
    dataset, in_order = many_clips(), Training(model=None, optimizer=None, shuffled=False)
    for row in rows(dataset):
        trial = trials.device_trial(row, dataset)
        for epoch in (0, 1):
            order = np.asarray(in_order.shuffle(trial, Clips.of(dataset), epoch))
            np.testing.assert_array_equal(order[:32], np.flatnonzero(trial.train))
            np.testing.assert_array_equal(order[32:], np.flatnonzero(~np.asarray(trial.train)))


@settings(max_examples=100, deadline=None)
@given(clips=CLIPS, batch_size=st.integers(1, 25))
def test_batches_cover_every_training_clip_of_every_fold_once(clips, batch_size):
    dataset = make_dataset(clips)
    found = engine.batches(dataset, batch_size)
    training = [dataset.size - count for count in collections.Counter(dataset.subjects).values()]
    for count in training:
        read = [k for start, width in found for k in range(start, start + width) if k < count]
        assert read == list(range(count))
    widths = [width for _, width in found]
    assert all(width == batch_size for width in widths[:-1])
    assert widths[-1] == batch_size or widths[-1] % engine.ALIGNED == 0
    assert 0 <= sum(widths) - max(training) < engine.ALIGNED, 'hardly wider than the largest fold needs'


@pytest.mark.parametrize('batch_size', [0, -8])
def test_a_batch_size_below_one_is_refused(batch_size):
    with pytest.raises(InputError, match=f'config.training.batch_size is {batch_size}; expected 1 or more'):
        engine.batches(SMALL, batch_size)


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(1, 700),
    bytes_per_trial=st.integers(1, 100),
    budget_bytes=st.integers(100, 5000),
    most=st.integers(1, 100),
)
def test_waves_fit_are_as_few_as_can_be_and_even(count, bytes_per_trial, budget_bytes, most):
    found = memory.wave_size(
        trials=count, bytes_per_trial=bytes_per_trial, budget_bytes=budget_bytes, most=most
    )
    allowed = [
        size for size in range(1, count + 1) if size * bytes_per_trial <= budget_bytes and size <= most
    ]
    waves = {size: -(-count // size) for size in allowed}
    fewest = min(waves.values())
    assert found == min(size for size in allowed if waves[size] == fewest)


def test_a_trial_that_does_not_fit_is_refused_with_what_it_needs():
    gib = 2**30
    with pytest.raises(InputError, match=r'one needs 2\.5 GiB and 1\.25 GiB may be used'):
        memory.wave_size(trials=68, bytes_per_trial=5 * gib // 2, budget_bytes=5 * gib // 4, most=68)


def test_the_budget_is_the_limit_given():
    assert memory.budget(1.5, jax.devices()) == 3 * 2**29
    with pytest.raises(InputError, match=r'config\.engine\.memory_gib is -1'):
        memory.budget(-1, jax.devices())


@pytest.mark.parametrize(
    ('platform', 'stats', 'expected'),
    [('gpu', {'bytes_limit': 1000, 'bytes_in_use': 500}, 400), ('cpu', None, 160)],
)
def test_without_a_limit_the_budget_is_most_of_what_is_free(monkeypatch, platform, stats, expected):
    device = types.SimpleNamespace(platform=platform, process_index=0, memory_stats=lambda: stats)
    monkeypatch.setattr(host_memory.psutil, 'virtual_memory', lambda: types.SimpleNamespace(available=200))
    assert memory.budget(0.0, [device]) == expected


@pytest.mark.parametrize(
    ('platform', 'stats'), [('gpu', {'bytes_limit': 1000, 'bytes_in_use': 800}), ('cpu', None)]
)
def test_clips_that_do_not_fit_a_device_are_named_with_its_memory(monkeypatch, platform, stats):
    device = types.SimpleNamespace(
        platform=platform, device_kind='Toy', process_index=0, memory_stats=lambda: stats
    )
    monkeypatch.setattr(host_memory.psutil, 'virtual_memory', lambda: types.SimpleNamespace(available=200))
    memory.check_clips(200, [device])
    with pytest.raises(InputError, match=r'take 201 Bytes.* Toy has 200 Bytes free; build .* fewer frames'):
        memory.check_clips(201, [device])


def test_a_device_that_does_not_tell_its_memory_needs_a_limit():
    device = types.SimpleNamespace(
        platform='gpu', device_kind='Toy', process_index=0, memory_stats=lambda: None
    )
    with pytest.raises(InputError, match=r'Toy does not report its memory; set config\.engine\.memory_gib'):
        memory.budget(0.0, [device])


def raise_of_device(message):
    with memory.explained(68):
        raise jax.errors.JaxRuntimeError(message)


def test_running_out_of_memory_is_explained_and_other_errors_are_not():
    with pytest.raises(
        InputError, match=r'with 68 trials side by side: RESOURCE_EXHAUSTED: Out of memory\n.*free memory'
    ):
        raise_of_device('RESOURCE_EXHAUSTED: Out of memory\nlong list')
    with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'):
        raise_of_device('INTERNAL: cuDNN')


def test_a_trial_failed_in_its_first_epoch_that_is_not_finite():
    nan, inf = np.nan, np.inf
    losses = np.array([[1, nan, 1, 1, 1], [1, 1, inf, 1, 1], [1, nan, nan, 1, nan]])
    probabilities = np.full((5, 2, 3), 1 / 3)
    probabilities[[1, 3], 1, 2] = nan
    assert wave.failed_epochs(losses, probabilities).tolist() == [0, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ('size', 'devices', 'expected'), [(16, 1, 8), (3, 1, 1), (20, 4, 8), (12, 4, 4), (7, 4, 4), (8, 4, 4)]
)
def test_half_a_wave_has_as_many_trials_on_each_device(size, devices, expected):
    assert memory.halved(size, devices) == expected


@pytest.mark.parametrize(
    ('platform', 'limit', 'expected'), [('cpu', 0, 4), ('cpu', 30, 30), ('gpu', 0, 68), ('gpu', 30, 30)]
)
def test_a_cpu_is_given_a_trial_a_core_unless_it_is_told_more(platform, limit, expected):
    devices = [types.SimpleNamespace(platform=platform)] * 4
    assert memory.most_at_once(limit, devices, 68) == expected
    assert memory.most_at_once(limit, devices, 2) == 2


def test_waves_are_whole_on_all_devices():
    sizes = [
        memory.wave_size(trials=68, bytes_per_trial=10, budget_bytes=budget, most=68, devices=4)
        for budget in (40, 79, 239, 10_000)
    ]
    assert sizes == [4, 4, 17, 68]  # 17 are filled up to 20, which 239 has room for
    with pytest.raises(InputError, match=r'one trial on each of 4 devices[^$]*config\.engine\.devices'):
        memory.wave_size(trials=68, bytes_per_trial=10, budget_bytes=39, most=68, devices=4)


def test_an_inner_trial_draws_from_a_stream_of_its_own():
    rows_of = trials.table(many_clips(), seeds=(0,), points=[{}], parts=2, allow_missing_class=True)
    keys = {
        inner: trials.device_trial(rows_of[rows_of['inner'] == inner].iloc[0].to_dict(), many_clips(), 40).key
        for inner in (0, 1, 2)
    }
    streams = {bits(jax.random.fold_in(keys[0], stream)) for stream in range(4)}
    assert len(streams | {bits(keys[inner]) for inner in keys}) == 7


def test_parts_that_cannot_be_cut_are_told():
    rare = make_dataset([('smic', str(k), k % 3) for k in range(9)])
    with pytest.raises(InputError, match=r'cannot be cut into 5 parts[^$]*config\.selection\.parts'):
        trials.table(rare, seeds=(0,), points=[{}], parts=5)
