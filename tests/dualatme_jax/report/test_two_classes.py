import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from dualatme_jax import score
from dualatme_jax.report import scores, two_classes

CLASSES = ('deceptive', 'truthful')


def table(seeds=2, speakers=7, clips=9, chances=True, draw=1):
    """Predictions of speakers with one to `clips` clips each, better than a coin; some chances are equal."""
    random = np.random.default_rng(draw)
    rows = []
    for speaker in range(speakers):
        for clip in range(1 + (3 * speaker) % clips):
            label = int(random.integers(2))
            rows += [('deception', f's{speaker}', f'c{clip}', label, seed) for seed in range(seeds)]
    made = pd.DataFrame(rows, columns=['database', 'subject', 'clip', 'label', 'seed'])
    chance = np.clip(random.normal(0.4 + 0.2 * made['label'], 0.2), 0, 1).round(1)
    made['prediction'] = (chance > 0.5).astype(int)
    if chances:
        made['prob_deceptive'], made['prob_truthful'] = 1 - chance, chance
    return made.assign(trial=made['seed'])


def scored(of, resamples=20, seed=0):
    result = scores.score_run(of, resamples=resamples)
    two_classes.add(result, of, resamples=resamples, seed=seed)
    return result


def test_the_area_is_scikit_learn_s_mean_over_seeds():
    of = table()
    areas = [roc_auc_score(part['label'], part['prob_truthful']) for _, part in of.groupby('seed')]
    result = scored(of)
    assert result['scores']['full']['auc']['mean'] == pytest.approx(np.mean(areas))
    assert result['scores']['full']['auc']['sd'] == pytest.approx(np.std(areas, ddof=1))
    assert [entry['deception']['auc'] for entry in result['per_seed']] == pytest.approx(areas)
    # Whichever class is called the first.
    other = of.assign(label=1 - of['label'], prediction=1 - of['prediction'])
    other[['prob_deceptive', 'prob_truthful']] = of[['prob_truthful', 'prob_deceptive']].to_numpy()
    assert scored(other)['scores']['full']['auc']['interval'] == pytest.approx(
        result['scores']['full']['auc']['interval']
    )


def test_the_accuracy_by_subject_counts_every_subject_once():
    of = table()
    result = scored(of)
    right = of['label'] == of['prediction']
    own = {subject: right[of['subject'] == subject].mean() for subject in sorted(set(of['subject']))}
    assert {each['subject']: each['acc'] for each in result['by_subject']} == pytest.approx(own)
    assert [each['clips'] for each in result['by_subject']] == [1, 4, 7, 1, 4, 7, 1]
    assert result['scores']['full']['acc_by_subject']['mean'] == pytest.approx(np.mean(list(own.values())))
    assert result['scores']['full']['acc']['mean'] != pytest.approx(np.mean(list(own.values())))


def test_the_intervals_are_those_of_subjects_drawn_anew():
    """By scikit-learn, which weighs each clip by how often its speaker was drawn."""
    of = table(seeds=1)
    subjects = of.groupby('subject').ngroup().to_numpy()
    own = (of['label'] == of['prediction']).groupby(subjects).mean()
    drawn = {'auc': [], 'acc_by_subject': []}
    for counts in np.concatenate(list(scores.draws(len(own), 50, 3))):
        drawn['acc_by_subject'].append(np.average(own, weights=counts))
        weight = counts[subjects]
        if of['label'][weight > 0].nunique() == 2:
            drawn['auc'].append(roc_auc_score(of['label'], of['prob_truthful'], sample_weight=weight))
    result = scored(of, resamples=50, seed=3)
    for metric, values in drawn.items():
        expected = np.percentile(values, [2.5, 97.5])
        assert result['scores']['full'][metric]['interval'] == pytest.approx(expected.tolist())


def test_without_probabilities_there_is_no_area():
    result = scored(table(chances=False))
    assert 'auc' not in result['scores']['full']
    assert result['scores']['full']['acc_by_subject']['interval'] is not None


def test_one_speaker_or_one_class_has_no_interval_or_no_area():
    of = table()
    alone = scored(of[of['subject'] == 's2'])
    assert alone['scores']['full']['acc_by_subject']['interval'] is None
    honest = scored(of[of['label'] == 1])
    assert 'auc' not in honest['scores']['full']


@pytest.mark.parametrize('chances', [True, False])
def test_score_shows_both_of_two_classes(chances, tmp_path, capsys):
    of = table(chances=chances)
    file, out = tmp_path / 'predictions.csv', tmp_path / 'scores.json'
    if not chances:
        of = of.replace({'label': dict(enumerate(CLASSES)), 'prediction': dict(enumerate(CLASSES))})
    of.to_csv(file, index=False)
    assert score.main([str(file), '--json', str(out), '--resamples', '50']) == 0
    printed = capsys.readouterr().out
    assert 'AUC' in printed
    assert 'Acc by subject' in printed
    found = json.loads(out.read_text())
    assert ('auc' in found['scores']['full']) is chances
    assert len(found['by_subject']) == 7
