import io

import numpy as np
import pandas as pd
import people
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn import metrics

from dualatme_jax.errors import InputError
from dualatme_jax.report import nested, predictions, scores, selection

FIELD = 'loss.cosine_weight'
SUBJECT = ['database', 'subject']
PARTS = 3


def clips(subjects=6, clips_each=4):
    return people.clips(subjects, clips_each)


def kept(truth, epochs, seeds=(0,), rate=lambda epoch: 1 / 3, random=None, **columns):
    """Predictions at every kept epoch; `rate(epoch)` is the chance of being right."""
    random = random or np.random.default_rng(0)
    tables = []
    for seed in seeds:
        for epoch in epochs:
            right = random.random(len(truth)) < rate(epoch)
            wrong = (truth['label'] + random.integers(1, 3, len(truth))) % 3
            prediction = np.where(right, truth['label'], wrong)
            tables.append(truth.assign(trial=0, seed=seed, prediction=prediction, epoch=epoch, **columns))
    return pd.concat(tables, ignore_index=True)


def inner_of(truth, epochs, **options):
    """Inner predictions: for each left-out subject those of the others, in parts."""
    random = np.random.default_rng(1)
    tables = []
    for name, _ in truth.groupby('left_out'):
        others = truth[truth['left_out'] != name]
        part = others.groupby(SUBJECT).ngroup() % PARTS + 1
        tables.append(kept(others.assign(left_out=name, inner=part), epochs, random=random, **options))
    return pd.concat(tables, ignore_index=True)


# One subject with two clips, another with one; epochs 2, 4, 5, the last of which is not a multiple of two.
SMALL = pd.DataFrame(
    [
        # epoch, subject, clip, label, prediction
        (2, '1', 'a', 0, 0),
        (2, '1', 'b', 1, 1),
        (2, '2', 'a', 2, 0),
        (4, '1', 'a', 0, 1),
        (4, '1', 'b', 1, 1),
        (4, '2', 'a', 2, 2),
        (5, '1', 'a', 0, 0),
        (5, '1', 'b', 1, 1),
        (5, '2', 'a', 2, 1),
    ],
    columns=['epoch', 'subject', 'clip', 'label', 'prediction'],
).assign(trial=0, seed=3, database='smic', left_out=lambda table: 'smic/' + table['subject'])


def test_the_last_epoch_is_the_last():
    selected = selection.last(SMALL)
    assert 'epoch' not in selected
    assert list(selected['prediction']) == [0, 1, 1]
    assert list(selected['clip']) == ['a', 'b', 'a']


def test_the_best_epoch_of_each_subject_is_the_first_of_the_most_accurate():
    for table in (SMALL, SMALL[::-1], SMALL.sample(frac=1, random_state=0)):
        selected = selection.best_on_test(table).sort_values(['subject', 'clip'])
        assert 'epoch' not in selected
        # Subject 1 is right at epochs 2 and 5 alike, subject 2 at epoch 4 only.
        assert list(selected['prediction']) == [0, 1, 2]
    marked = SMALL.assign(prob_x=SMALL['epoch'] / 10)  # tells which epoch a row is from
    selected = selection.best_on_test(marked).sort_values(['subject', 'clip'])
    assert list(selected['prob_x']) == [0.2, 0.2, 0.4]


def test_the_best_epoch_is_that_of_a_whole_fold():
    by_database = SMALL.assign(left_out='smic')
    # Right of three clips: 2, 2 and 2 at epochs 2, 4 and 5.
    assert list(selection.best_on_test(by_database)['prediction']) == [0, 1, 0]


def test_the_points_of_a_sweep_are_selected_one_by_one():
    other = SMALL[SMALL['epoch'] < 5].assign(**{FIELD: 0.1})  # trained for fewer epochs
    table = pd.concat([SMALL.assign(**{FIELD: 0.0}), other])
    for select in (selection.last, selection.best_on_test):
        points = dict(iter(select(table).groupby(FIELD)))
        for value, alone in ((0.0, SMALL), (0.1, other)):
            expected = select(alone.assign(**{FIELD: value})).reset_index(drop=True)
            pd.testing.assert_frame_equal(points[value].reset_index(drop=True), expected, check_like=True)
    assert list(selection.last(table)['prediction']) == [0, 1, 1, 1, 1, 2]


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.slow
def test_every_selection_holds_each_clip_once_and_none_beats_the_leaking_one(data):
    truth = clips(data.draw(st.integers(2, 5)), data.draw(st.integers(1, 4)))
    epochs = sorted(data.draw(st.sets(st.integers(1, 50), min_size=1, max_size=5)))
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    table = kept(truth, epochs, seeds=(0, 2), random=random).sample(frac=1, random_state=0)
    final, best = selection.last(table), selection.best_on_test(table)
    for selected in (final, best):
        assert len(selected) == 2 * len(truth)
        assert not selected.duplicated(['seed', *predictions.CLIP_KEY]).any()
        assert set(selected) == set(table) - {'epoch'}
    by = ['seed', *SUBJECT]
    accuracy = {
        name: {
            key: metrics.accuracy_score(rows['label'], rows['prediction']) for key, rows in part.groupby(by)
        }
        for name, part in (('last', final), ('best', best))
    }
    for key, rows in table.groupby(by):
        of_epochs = [
            metrics.accuracy_score(part['label'], part['prediction']) for _, part in rows.groupby('epoch')
        ]
        assert accuracy['best'][key] == max(of_epochs)
        assert accuracy['last'][key] == of_epochs[-1]


def test_on_noise_the_best_epoch_gains_what_no_system_could():
    truth = clips(10, 5)
    table = kept(truth, range(1, 41))
    assert scores.score(selection.last(table))['acc'] == pytest.approx(1 / 3, abs=0.15)
    assert scores.score(selection.best_on_test(table))['acc'] > 0.7


def test_nested_takes_the_epoch_that_is_best_on_the_inner_subjects():
    truth, epochs = clips(), (10, 20, 30)
    table = kept(truth, epochs, seeds=(0, 1))
    inner = inner_of(truth, epochs, seeds=(0, 1), rate=lambda epoch: 0.9 if epoch == 20 else 0.2)
    selected, _ = selection.nested(table, inner)
    expected = table[table['epoch'] == 20].drop(columns='epoch')
    pd.testing.assert_frame_equal(
        selected.reset_index(drop=True), expected.reset_index(drop=True), check_like=True
    )


@pytest.mark.parametrize('metric', scores.METRICS)
def test_the_nested_choice_is_scikit_learns(metric):
    score = {
        'acc': metrics.accuracy_score,
        'uar': metrics.balanced_accuracy_score,
        'uf1': lambda truth, prediction: metrics.f1_score(truth, prediction, average='macro'),
    }[metric]
    truth, epochs = clips(), (1, 5, 9)
    inner = inner_of(truth, epochs, seeds=(0, 4))
    chosen = nested.choose(inner, kept(truth, epochs, seeds=(0, 4)), ['epoch'], metric)
    assert len(chosen) == 12
    for row in chosen.to_dict('records'):
        outer = inner[['seed', 'left_out']] == [row['seed'], row['left_out']]
        of_epochs = {
            epoch: score(rows['label'], rows['prediction'])
            for epoch, rows in inner[outer.all(axis=1)].groupby('epoch')
        }
        assert row['epoch'] == max(of_epochs, key=lambda epoch: round(of_epochs[epoch], 12))


@settings(derandomize=True, max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
@pytest.mark.slow
def test_nested_never_looks_at_the_labels_of_the_left_out_subject(random, number):
    truth, epochs = clips(), (1, 2, 3)
    inner = inner_of(truth, epochs)
    database, subject = truth[SUBJECT].drop_duplicates().iloc[number]
    chosen = nested.choose(inner, truth.assign(seed=0), ['epoch'])
    own = (inner['database'] == database) & (inner['subject'] == subject)
    labels = truth[(truth['database'] == database) & (truth['subject'] == subject)]
    shuffled = dict(zip(labels['clip'], random.sample([0, 0, 1, 2], 4), strict=True))
    again = inner.assign(label=inner['label'].where(~own, inner['clip'].map(shuffled)).astype(int))
    same = chosen['left_out'] == f'{database}/{subject}'
    choice = nested.choose(again, truth.assign(seed=0), ['epoch'])
    pd.testing.assert_frame_equal(choice[same], chosen[same])


def test_nested_chooses_the_point_of_a_sweep_with_the_epoch():
    truth, epochs = clips(), (1, 2)
    rates = {0.0: lambda _: 0.1, 0.5: lambda epoch: 0.9 if epoch == 1 else 0.1}
    table = pd.concat([kept(truth, epochs, **{FIELD: value}) for value in rates])
    inner = pd.concat([inner_of(truth, epochs, rate=rate, **{FIELD: value}) for value, rate in rates.items()])
    selected, _ = selection.nested(table, inner)
    expected = table[(table[FIELD] == 0.5) & (table['epoch'] == 1)].drop(columns=['epoch', FIELD])
    assert predictions.hyperparameters(selected) == []
    pd.testing.assert_frame_equal(selected.reset_index(drop=True), expected.reset_index(drop=True))


def test_a_point_that_one_seed_lacks_is_a_choice_for_the_others():
    truth = clips()
    inner = pd.concat(
        [
            inner_of(truth, (1,), seeds=(0, 1), rate=lambda _: 0.3),
            inner_of(truth, (2,), seeds=(1,), rate=lambda _: 0.9),
        ]
    )
    chosen = nested.choose(inner, kept(truth, (1, 2), seeds=(0, 1)), ['epoch'])
    assert chosen.groupby('seed')['epoch'].unique().map(list).to_dict() == {0: [1], 1: [2]}


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda table: table.drop(columns='epoch'), "no column 'epoch'"),
        (lambda table: table[1:], 'seed 3: the clip smic/1/a has 2 predictions at 2 epochs, of 3'),
        (lambda table: pd.concat([table, table[-1:]]), 'smic/2/a has 4 predictions at 3 epochs, of 3'),
    ],
)
def test_tables_that_lack_predictions_or_repeat_them_are_refused(spoil, message):
    for select in (selection.last, selection.best_on_test):
        with pytest.raises(InputError, match=message):
            select(spoil(SMALL))
    with pytest.raises(InputError, match=message):
        selection.nested(spoil(SMALL), SMALL)


def test_kept_epochs():
    assert selection.kept_epochs(SMALL[::-1]) == [2, 4, 5]


def test_selections_of_a_run_that_leaks_are_all_marked():
    table = kept(clips(), (1, 2))
    ways = {'last': selection.last(table), 'best_on_test': selection.best_on_test(table)}
    assert [row['leaks'] for row in selection.beside(ways, resamples=5).values()] == [False, True]
    rows = selection.beside(ways, resamples=5, leaks=True)
    assert [row['leaks'] for row in rows.values()] == [True, True]
    console = Console(width=80, file=io.StringIO())
    console.print(selection.rich_table(rows, notice='LEAKS: by the weights'))
    for words in ('LEAKS: by the weights', 'last, LEAKS', 'best_on_test, LEAKS'):
        assert words in console.file.getvalue()
