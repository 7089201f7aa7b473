import numpy as np
import pandas as pd
import people
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax.data import splits
from dualatme_jax.errors import InputError
from dualatme_jax.report import nested, predictions, scores

FIELD = 'loss.cosine_weight'
PARTS = 3


def clips(subjects=8, clips_each=6):
    return people.clips(subjects, clips_each)


def sweep(truth, points, seeds=(0,), rate=lambda point: 1 / 3, random=None):
    """Outer and inner predictions; `rate(point)` is the chance of being right, wrong else."""
    random = random or np.random.default_rng(0)

    def predicted(rows, point):
        right = random.random(len(rows)) < rate(point)
        wrong = (rows['label'] + random.integers(1, 3, len(rows))) % 3
        return rows.assign(trial=0, prediction=np.where(right, rows['label'], wrong))

    outer, inner = [], []
    for seed in seeds:
        for point in points:
            columns = {'seed': seed, FIELD: point}
            outer.append(predicted(truth, point).assign(**columns))
            for name, _ in truth.groupby('left_out'):
                others = truth[truth['left_out'] != name]
                part = others.groupby(['database', 'subject']).ngroup() % PARTS + 1
                columns |= {'left_out': name, 'inner': part}
                inner.append(predicted(others, point).assign(**columns))
    return pd.concat(outer, ignore_index=True), pd.concat(inner, ignore_index=True)


def test_the_best_point_on_the_inner_subjects_is_chosen():
    outer, inner = sweep(clips(), (0.0, 0.1, 1.0), rate=lambda point: 0.9 if point == 0.1 else 0.2)
    chosen = nested.choose(inner, outer, [FIELD])
    assert list(chosen) == ['seed', 'left_out', FIELD, 'uf1']
    assert len(chosen) == 8
    assert set(chosen[FIELD]) == {0.1}
    kept = nested.predictions(outer, chosen)
    expected = outer[outer[FIELD] == 0.1].drop(columns=FIELD)
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), expected.reset_index(drop=True))
    assert nested.times_chosen(chosen, [FIELD]).to_dict('list') == {FIELD: [0.1], 'times': [8]}


@pytest.mark.parametrize('metric', scores.METRICS)
def test_the_choice_is_scikit_learns(metric):
    outer, inner = sweep(clips(), (0.0, 0.1, 1.0), seeds=(0, 3))
    chosen = nested.choose(inner, outer, [FIELD], metric)
    for row in chosen.to_dict('records'):
        own = inner[(inner['seed'] == row['seed']) & (inner['left_out'] == row['left_out'])]
        of_points = {point: scores.score(rows)[metric] for point, rows in own.groupby(FIELD, sort=False)}
        assert row[metric] == pytest.approx(max(of_points.values()))
        assert row[FIELD] == max(of_points, key=lambda point: round(of_points[point], 12))


def test_ties_go_to_the_point_that_appears_first():
    outer, inner = sweep(clips(), (1.0, 0.0, 0.1), rate=lambda _: 1)
    assert set(nested.choose(inner, outer, [FIELD])[FIELD]) == {1.0}
    assert set(nested.choose(inner[::-1], outer, [FIELD])[FIELD]) == {0.1}


@settings(derandomize=True, max_examples=15, deadline=None)
@given(st.data())
@pytest.mark.slow
def test_what_is_predicted_of_a_subject_never_changes_its_choice(data):
    outer, inner = sweep(clips(), (0.0, 0.1, 1.0))
    chosen = nested.choose(inner, outer, [FIELD])
    subject = chosen.iloc[data.draw(st.integers(0, len(chosen) - 1))]
    # Every prediction of that subject's clips there is, outside and where it is another's inner subject.
    for table in (outer, inner):
        its = table['database'] + '/' + table['subject'] == subject['left_out']
        table.loc[its, 'prediction'] = data.draw(st.integers(0, 2))
    again = nested.choose(inner, outer, [FIELD])
    same = again['left_out'] == subject['left_out']
    pd.testing.assert_series_equal(again[same].iloc[0], subject)
    kept = nested.predictions(outer, again)
    points = dict(zip(again['left_out'], again[FIELD], strict=True))
    expected = outer[outer[FIELD] == outer['left_out'].map(points)]
    assert sorted(kept['prediction']) == sorted(expected['prediction'])


@pytest.mark.slow
def test_on_noise_the_best_point_is_above_chance_and_the_nested_choice_is_not():
    truth = clips(subjects=10, clips_each=6)
    outer = truth.merge(pd.DataFrame({FIELD: range(30)}), how='cross').assign(seed=0, trial=0)
    inner = outer.rename(columns={'left_out': 'own'}).merge(
        outer[['left_out']].drop_duplicates(), how='cross'
    )
    inner = inner[inner['own'] != inner['left_out']]
    best, honest = [], []
    for repeat in range(12):
        random = np.random.default_rng(repeat)
        outer, inner = (
            table.assign(prediction=random.integers(3, size=len(table))) for table in (outer, inner)
        )
        best.append(max(scores.score(rows)['uf1'] for _, rows in predictions.points(outer)))
        honest.append(scores.score(nested.predictions(outer, nested.choose(inner, outer, [FIELD])))['uf1'])
    assert np.mean(honest) == pytest.approx(1 / 3, abs=0.04)
    assert np.mean(best) > 1 / 3 + 0.1


def test_several_fields_and_seeds():
    outer, inner = sweep(clips(), (0.0, 0.1), seeds=(5, 7), rate=lambda point: 0.9 if point else 0.2)
    tables = [
        table.assign(**{'loss.name': np.where(table[FIELD], 'focal', 'ce')}) for table in (outer, inner)
    ]
    chosen = nested.choose(tables[1], tables[0], [FIELD, 'loss.name'])
    assert set(chosen['loss.name']) == {'focal'}
    assert list(chosen['seed'].value_counts()) == [8, 8]
    kept = nested.predictions(tables[0], chosen)
    assert len(kept) == 2 * len(clips())
    assert predictions.hyperparameters(kept) == []


@pytest.mark.parametrize(
    ('spoil', 'times'),
    [
        (lambda inner: inner[1:], '0 times'),
        (lambda inner: inner[inner['inner'] > 1], '0 times'),
        (lambda inner: pd.concat([inner, inner[:1]]), '2 times'),
        # A subject who is left out outside stands among those who choose for it.
        (lambda inner: inner.replace({'left_out': 'samm/001'}, 'casme2/000'), '[12] times'),
    ],
)
def test_incomplete_inner_predictions_are_refused(spoil, times):
    outer, inner = sweep(clips(), (0.0, 0.1))
    with pytest.raises(InputError, match=times):
        nested.choose(spoil(inner), outer, [FIELD])


def test_predictions_of_the_left_out_subject_itself_are_refused():
    truth = clips()
    outer, inner = sweep(truth, (0.0, 0.1))
    own = outer[(outer['database'] == 'casme2') & (outer['subject'] == '000')]
    leaked = own.assign(inner=1)
    with pytest.raises(InputError, match=r'casme2/000 left out: .* 1 times; .* that the fold trains on once'):
        nested.choose(pd.concat([inner, leaked]), outer, [FIELD])


def test_where_few_subjects_are_trained_on_these_alone_choose():
    outer, inner = sweep(clips(), (0.0, 0.1))
    names = [clips()[key].to_numpy() for key in ('database', 'subject', 'label')]
    drawn = {
        fold.name: set(clips()['left_out'][splits.few(fold, *names, subjects=5, seed=0).train])
        for fold in splits.folds('subject', *names)
    }
    own = inner['database'] + '/' + inner['subject']
    few = inner[[person in drawn[name] for person, name in zip(own, inner['left_out'], strict=True)]]
    chosen = nested.choose(few, outer, [FIELD], train_subjects=5)
    expected = {
        name: max(scores.score(rows)['uf1'] for _, rows in of_fold.groupby(FIELD))
        for name, of_fold in few.groupby('left_out')
    }
    assert dict(zip(chosen['left_out'], chosen['uf1'], strict=True)) == pytest.approx(expected)
    for table, number in ((few, 0), (few, 4), (inner, 5)):
        with pytest.raises(InputError, match='expected each clip that the fold trains on once'):
            nested.choose(table, outer, [FIELD], train_subjects=number)


def test_a_subject_without_a_choice_or_without_predictions_is_refused():
    outer, inner = sweep(clips(), (0.0, 0.1))
    chosen = nested.choose(inner, outer, [FIELD])
    with pytest.raises(InputError, match='seed 0, casme2/000 left out and 0 more'):
        nested.predictions(outer, chosen[1:])
    with pytest.raises(InputError, match='and 7 more'):
        nested.predictions(outer, chosen.assign(**{FIELD: 3.0}))
