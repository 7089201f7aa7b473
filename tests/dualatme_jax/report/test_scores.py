import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats
from sklearn import metrics

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import results, scores, tables

GROUND_TRUTH = pathlib.Path(__file__).parents[4] / 'shared/data/megc2019_flow28/combined_3class_gt.csv'
COUNTS = {'casme2': (145, 24), 'smic': (164, 16), 'samm': (133, 28)}
CLASSES = (250, 109, 83)


def clips():
    """442 clips with MEGC2019-CD's counts of classes, clips and subjects."""
    rows = [
        (database, f's{clip % subjects:02d}', f'c{clip:03d}')
        for database, (total, subjects) in COUNTS.items()
        for clip in range(total)
    ]
    table = pd.DataFrame(rows, columns=['database', 'subject', 'clip'])
    return table.assign(label=np.random.default_rng(0).permutation(np.repeat(range(3), CLASSES)))


def run(seeds=3, share_right=0.6, truth=None):
    """Predictions that are right with the given probability and else drawn evenly."""
    truth = clips() if truth is None else truth
    tables_of_seeds = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        guess = rng.integers(3, size=len(truth))
        prediction = np.where(rng.random(len(truth)) < share_right, truth['label'], guess)
        tables_of_seeds.append(truth.assign(trial=0, seed=seed, prediction=prediction))
    return pd.concat(tables_of_seeds, ignore_index=True)


def sklearn_scores(truth, prediction):
    return {
        'acc': metrics.accuracy_score(truth, prediction),
        'uar': metrics.balanced_accuracy_score(truth, prediction),
        'uf1': metrics.f1_score(truth, prediction, average='macro'),
    }


def small(labels, predictions, subjects=None, **columns):
    subjects = subjects or ['1'] * len(labels)
    names = [f'c{number}' for number in range(len(labels))]
    return pd.DataFrame(
        {'subject': subjects, 'clip': names, 'label': labels, 'prediction': predictions}
    ).assign(**{'database': 'casme2', 'seed': 0} | columns)


@pytest.mark.parametrize('constant', range(3))
def test_a_constant_guesser_has_its_closed_form(constant):
    table = clips().assign(prediction=constant)
    share = CLASSES[constant] / 442
    expected = {'acc': share, 'uar': 1 / 3, 'uf1': 2 * share / (1 + share) / 3}
    assert scores.score(table) == pytest.approx(expected)


@pytest.mark.slow
def test_a_guesser_from_the_class_prior_scores_a_third():
    truth = clips()
    rng = np.random.default_rng(0)
    draws = [truth.assign(prediction=rng.permutation(truth['label'])) for _ in range(100)]
    assert np.mean([scores.score(draw)['uf1'] for draw in draws]) == pytest.approx(1 / 3, abs=0.01)


def test_perfect_and_always_wrong():
    assert scores.score(small([0, 1, 2], [0, 1, 2])) == {'acc': 1, 'uar': 1, 'uf1': 1}
    assert scores.score(small([0, 1, 2], [1, 2, 0])) == {'acc': 0, 'uar': 0, 'uf1': 0}


def test_classes_that_do_not_occur_are_left_out():
    # Class 2 is predicted but not had: it counts for UF1 and not for UAR.
    assert scores.score(small([0, 0, 1, 1], [0, 2, 1, 1])) == pytest.approx(
        {'acc': 3 / 4, 'uar': (1 / 2 + 1) / 2, 'uf1': (2 / 3 + 1 + 0) / 3}
    )
    assert scores.score(small([0, 0], [0, 0])) == {'acc': 1, 'uar': 1, 'uf1': 1}


# balanced_accuracy_score warns of what is wanted here: classes that do not occur.
@pytest.mark.filterwarnings('ignore::UserWarning:sklearn')
@pytest.mark.parametrize('classes', [2, 3, 7])
def test_confusions_score_as_scikit_learn_does(classes):
    rng = np.random.default_rng(0)
    for _ in range(100):
        truth, prediction = rng.integers(classes, size=(2, rng.integers(1, 8)))
        confusion = metrics.confusion_matrix(truth, prediction, labels=range(classes))
        found = {metric: float(value) for metric, value in scores.score_confusions(confusion).items()}
        assert found == pytest.approx(sklearn_scores(truth, prediction))


def test_the_interval_is_the_bootstrap_of_resampled_rows():
    table = run(seeds=2, truth=clips()[::6])
    subjects = [rows for _, rows in table.groupby(['database', 'subject'])]
    size = len(subjects)
    draws = np.random.default_rng(5).multinomial(size, np.full(size, 1 / size), size=40)
    values = {metric: [] for metric in scores.METRICS}
    for draw in draws:
        rows = pd.concat([subjects[number] for number in np.repeat(range(size), draw)])
        of_seeds = [sklearn_scores(part['label'], part['prediction']) for _, part in rows.groupby('seed')]
        for metric in values:
            values[metric].append(np.mean([entry[metric] for entry in of_seeds]))
    full = scores.score_run(table, resamples=40, seed=5)['scores']['full']
    for metric in values:
        assert full[metric]['interval'] == pytest.approx(np.percentile(values[metric], [2.5, 97.5]))


@pytest.mark.parametrize('classes', [2, 5, 7])
def test_any_number_of_classes_scores_as_scikit_learn_does(classes):
    rng = np.random.default_rng(classes)
    truth = np.arange(60) % classes
    table = small(
        truth,
        np.where(rng.random(60) < 0.5, truth, rng.integers(classes, size=60)),
        [*map(str, range(12))] * 5,
    )
    result = scores.score_run(table, resamples=20)
    expected = sklearn_scores(table['label'], table['prediction'])
    assert result['per_seed'][0]['full'] == pytest.approx(expected, abs=1e-12)
    assert scores.subject_confusions(table).shape == (1, 12, classes, classes)
    low, high = result['scores']['full']['uf1']['interval']
    assert low <= expected['uf1'] <= high


def test_mean_and_sd_are_over_seeds():
    table = run(seeds=4)
    result = scores.score_run(table, resamples=10)
    assert [entry['seed'] for entry in result['per_seed']] == [0, 1, 2, 3]
    for name in ('full', *schema.COMPOSITE):
        rows = table if name == 'full' else table[table['database'] == name]
        of_seeds = [sklearn_scores(part['label'], part['prediction']) for _, part in rows.groupby('seed')]
        for metric in scores.METRICS:
            values = [entry[metric] for entry in of_seeds]
            assert [entry[name][metric] for entry in result['per_seed']] == pytest.approx(values)
            assert result['scores'][name][metric]['mean'] == pytest.approx(np.mean(values))
            assert result['scores'][name][metric]['sd'] == pytest.approx(np.std(values, ddof=1))


def test_one_seed_has_no_sd_and_one_subject_no_interval():
    result = scores.score_run(small([0, 1, 2], [0, 1, 1]))
    assert list(result['scores']) == ['full', 'casme2']
    assert result['scores']['full']['acc'] == {'mean': pytest.approx(2 / 3), 'sd': None, 'interval': None}


def test_subjects_of_two_databases_may_share_a_name():
    table = pd.concat([small([0, 1], [0, 1]), small([0, 1], [1, 0], database='smic')])
    result = scores.score_run(table)
    assert result['scores']['full']['acc']['interval'] == [0, 1]
    assert result['scores']['smic']['acc']['interval'] is None


def test_the_result_does_not_depend_on_the_order_of_rows():
    table = run(seeds=2)
    shuffled = table.sample(frac=1, random_state=0)
    assert scores.score_run(table, resamples=50) == scores.score_run(shuffled, resamples=50)


def test_seeds_with_different_clips_are_refused():
    table = run(seeds=2)
    with pytest.raises(ValueError, match='same clips'):
        scores.score_run(table[:-1])
    with pytest.raises(ValueError, match='same clips'):
        scores.score_run(pd.concat([table, table[:1]]))


def test_the_mean_over_seeds_lies_in_its_interval():
    result = scores.score_run(run(seeds=10), resamples=1000)
    low, high = result['scores']['full']['uf1']['interval']
    assert low < result['scores']['full']['uf1']['mean'] < high


@pytest.mark.skipif(not GROUND_TRUTH.exists(), reason='the public MEGC2019 ground truth is not here')
def test_the_public_ground_truth():
    names = ['database', 'subject', 'clip', 'label']
    truth = pd.read_csv(GROUND_TRUTH, header=None, names=names, dtype={'subject': str})
    assert tuple(truth['label'].value_counts()[[0, 1, 2]]) == CLASSES
    table = truth.assign(seed=0, prediction=0)
    result = scores.score_run(table, resamples=10)
    p = 250 / 442
    assert result['scores']['full']['uf1']['mean'] == pytest.approx(2 * p / (1 + p) / 3)


def rendered(table, **arguments):
    console = Console(width=80)
    result = scores.score_run(table, resamples=20)
    with console.capture() as capture:
        console.print(tables.scores_table(table, result, **arguments))
    return capture.get()


def test_the_table_fits_80_columns():
    text = rendered(run(seeds=3), selection='last epoch', title='lambda = [0.01]')
    assert max(map(len, text.splitlines())) <= 80
    assert '…' not in text
    for words in (
        'MEGC2019-CD',
        'CASME II',
        'SMIC',
        'SAMM',
        '3 seeds',
        'last epoch',
        'bootstrap over subjects',
    ):
        assert words in text
    assert 'lambda = [0.01]' in text
    assert text.count('±') == 3 * 4 + 1


def test_the_table_of_one_database_and_seed_has_one_row():
    text = rendered(small([0, 1, 2, 0], [0, 1, 1, 0], subjects=['1', '1', '2', '2']))
    assert 'MEGC2019' not in text
    assert text.count('CASME II') == 1
    assert '±' not in text
    assert 'One seed' in text
    assert '0.750' in text


def test_the_table_of_other_databases_is_not_called_megc2019():
    text = rendered(pd.concat([small([0, 1], [0, 1]), small([0, 1], [1, 0], database='casme3')]))
    assert 'All databases' in text
    assert 'CAS(ME)3' in text


def test_results_survive_the_file(tmp_path):
    result = scores.score_run(run(seeds=2), resamples=20)
    results.write(result, tmp_path / 'results.json')
    assert results.read(tmp_path / 'results.json') == result
    assert [path.name for path in tmp_path.iterdir()] == ['results.json']


def test_results_refuse_nan_by_its_place(tmp_path):
    with pytest.raises(ValueError, match=r'result\.scores\.full\[1\] is nan'):
        results.write({'scores': {'full': [1.0, float('nan')]}}, tmp_path / 'results.json')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('content', [b'', b'\xff\xfe', b'[1]', b'{"a": '])
def test_results_that_are_not_json_are_refused(tmp_path, content):
    path = tmp_path / 'results.json'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'results\.json'):
        results.read(path)


def test_missing_results_are_refused(tmp_path):
    with pytest.raises(InputError, match='No such file'):
        results.read(tmp_path / 'results.json')


def test_results_are_plain_json(tmp_path):
    json.dumps(scores.score_run(run(seeds=1), resamples=5), allow_nan=False)


def paired_statistic(metric, a, b):
    """The test's statistic for `scipy.stats.permutation_test`, which swaps whole subjects by their number."""

    def statistic(of_a, of_b):
        pooled = [pd.concat([(a, b)[system][subject] for system, subject in zip(*side, strict=True)])
                  for side in (np.divmod(of_a, len(a)), np.divmod(of_b, len(a)))]  # fmt: skip
        means = [np.mean([scores.score(rows)[metric] for _, rows in side.groupby('seed')]) for side in pooled]
        return means[0] - means[1]

    return statistic


def subjects_of(table):
    return [rows for _, rows in table.groupby(['database', 'subject'])]


@pytest.mark.parametrize('metric', ['acc', 'uf1'])
def test_the_paired_test_is_scipys_on_every_way_to_swap(metric):
    truth = clips()[::40]
    truth = truth.assign(database='casme2', subject=[f's{row % 4}' for row in range(len(truth))])
    a, b = run(seeds=2, share_right=0.9, truth=truth), run(seeds=4, share_right=0.3, truth=truth)
    b = b[b['seed'] >= 2].assign(seed=lambda rows: rows['seed'] - 2)  # other draws than a's
    expected = stats.permutation_test(
        (np.arange(4), 4 + np.arange(4)),
        paired_statistic(metric, subjects_of(a), subjects_of(b)),
        permutation_type='samples',
        vectorized=False,
    )
    assert 0 < expected.pvalue < 1
    found = scores.paired(a, b)[metric]
    assert found['difference'] == pytest.approx(expected.statistic)
    # Every way has its mirror image here, so that scipy's two-sided p is the share of ways as far from zero.
    assert found['p'] == pytest.approx(expected.pvalue)


def test_few_subjects_have_a_closed_form():
    # a is right and b wrong on both clips of every subject: only 'swap none' and 'swap all' are as extreme.
    subjects = ['1', '1', '2', '2', '3', '3']
    a, b = small([0, 1] * 3, [0, 1] * 3, subjects), small([0, 1] * 3, [1, 0] * 3, subjects)
    found = scores.paired(a, b)
    for metric in scores.METRICS:
        assert found[metric] == {'difference': 1, 'interval': [1, 1], 'p': 2 / 2**3}
    assert scores.paired(b, a)['uf1'] == {'difference': -1, 'interval': [-1, -1], 'p': 2 / 2**3}


def test_many_subjects_have_a_closed_form_up_to_the_draws():
    # a is better by one clip in 14 of 20 subjects and worse by one in the others: a sign test.
    size = 20
    right = np.arange(size) < 14
    subjects = [f'{number}' for number in range(size)]
    a = small([0, 1] * 10, np.where(right, [0, 1] * 10, [1, 0] * 10), subjects)
    b = small([0, 1] * 10, np.where(right, [1, 0] * 10, [0, 1] * 10), subjects)
    expected = stats.binomtest(14, 20).pvalue
    assert scores.paired(a, b)['acc']['p'] == pytest.approx(expected, abs=0.01)


def test_equal_predictions_differ_by_nothing():
    table = run(seeds=2)
    for found in scores.paired(table, table.sample(frac=1, random_state=0)).values():
        assert found == {'difference': 0, 'interval': [0, 0], 'p': 1}


@pytest.mark.slow
def test_the_difference_has_the_interval_of_resampled_subjects():
    truth = clips()[::6]
    a, b = run(seeds=2, truth=truth), run(seeds=2, share_right=0.4, truth=truth)
    parts = [subjects_of(a), subjects_of(b)]
    size = len(parts[0])
    draws = np.random.default_rng(5).multinomial(size, np.full(size, 1 / size), size=30)
    values = []
    for draw in draws:
        rows = [pd.concat([part[number] for number in np.repeat(range(size), draw)]) for part in parts]
        of_a, of_b = ([scores.score(part)['uf1'] for _, part in side.groupby('seed')] for side in rows)
        values.append(np.mean(of_a) - np.mean(of_b))
    found = scores.paired(a, b, resamples=30, seed=5)['uf1']
    assert found['interval'] == pytest.approx(np.percentile(values, [2.5, 97.5]))


@pytest.mark.slow
def test_the_test_keeps_its_level_on_systems_that_do_not_differ():
    truth = clips()[::8]
    p = []
    for number in range(60):
        both = run(seeds=1, truth=truth), run(seeds=1, truth=truth)
        random = np.random.default_rng(number)
        a, b = (table.assign(prediction=random.integers(3, size=len(table))) for table in both)
        p.append(scores.paired(a, b, resamples=2)['uf1']['p'])
    assert np.mean(np.array(p) < 0.2) == pytest.approx(0.2, abs=0.15)
    assert np.mean(p) == pytest.approx(0.5, abs=0.12)


def test_a_class_that_one_system_never_meets_is_compared():
    found = scores.paired(small([0, 1], [0, 2], ['1', '2']), small([0, 1], [0, 1], ['1', '2']))
    assert found['acc']['difference'] == -0.5


def test_different_questions_are_not_compared():
    table = run(seeds=2)
    for other in (table[1:], table[table['seed'] == 0], table.assign(label=0), table.assign(subject='s00')):
        with pytest.raises(ValueError, match='same clips in the same seeds'):
            scores.paired(table, other)


def test_draws_in_blocks_are_those_of_one_block(monkeypatch):
    whole, other = run(), run(share_right=0.7)
    found = []
    for block in (17, 10_000):
        monkeypatch.setattr(scores, '_BLOCK', block)
        found.append((scores.score_run(whole, resamples=50), scores.paired(whole, other, resamples=50)))
    assert found[0] == found[1]


@pytest.mark.parametrize('resamples', [0, -1, 1_000_001, 10**30])
def test_more_draws_than_anybody_waits_for_are_refused(resamples):
    with pytest.raises(InputError, match=f'--resamples is {resamples}; expected 1 to 1000000'):
        scores.check_resamples(resamples, '--resamples')
