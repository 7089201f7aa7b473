"""What an experiment refuses before it trains, and what it says."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn import metrics

from configs import cd
from dualatme_jax import experiment, schema, score
from dualatme_jax.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.ledger import Ledger
from dualatme_jax.report import predictions
from dualatme_jax.report.predictions import CLIP_KEY
from dualatme_jax.training.engine import Wave


@pytest.mark.parametrize('weights', [(1.0, 2.0), (1.0, 2.0, -1.0), ()])
def test_the_weighted_loss_alone_needs_a_weight_a_class(weights):
    config = cd.get_config()
    config.loss.class_weights = weights
    experiment.make_training(config, schema.LABELS)
    config.loss.name = 'weighted_cross_entropy'
    with pytest.raises(InputError, match='one, not negative, for each of negative, positive, surprise'):
        experiment.make_training(config, schema.LABELS)
    config.loss.class_weights = (0.5, 0.5)
    assert experiment.make_training(config, ('truthful', 'deceptive')).class_weights == (0.5, 0.5)


@pytest.mark.parametrize(
    ('field', 'value', 'says'),
    [
        ('data.path', 'nowhere', 'python -m data_prep build'),
        ('data.databases', ('casme3',), 'casme3'),
        ('model.name', 'resnet', "config.model.name takes 'dual_atme'"),
        ('model.variant', 'best', "config.model.variant takes 'paper', 'code'"),
        ('model.init', 'zeros', "config.model.init takes 'torch', 'lecun'"),
        ('model.dropout', 1.0, 'config.model.dropout is 1.0'),
        ('loss.name', 'hinge', 'config.loss.name takes'),
        ('optimizer.learning_rate', -1.0, 'config.optimizer.learning_rate is -1.0; expected 0 or more'),
        ('loss.focal_gamma', float('nan'), 'config.loss.focal_gamma is nan'),
        ('optimizer.name', 'lion', 'config.optimizer.name takes'),
        ('optimizer.schedule', 'cosine', "takes 'constant', 'step'"),
        ('training.batch_size', 0, 'config.training.batch_size is 0'),
        ('training.epochs', 0, 'config.training.epochs is 0'),
        ('checkpoint.every', 0, 'config.checkpoint.every is 0'),
        ('report.resamples', 0, 'config.report.resamples is 0'),
        ('engine.max_trials', -1, 'config.engine.max_trials is -1'),
        ('engine.memory_gib', -1.0, 'config.engine.memory_gib is -1'),
        ('engine.memory_gib', 0.01, 'no memory for one trial: it needs 0.'),
        ('seeds', (0, 0), r'config.seeds is \(0, 0\)'),
        ('seeds', ('a',), 'whole numbers'),
        ('seeds', (), 'one or more'),
    ],
)
def test_what_cannot_be_used_is_named(small_dataset_dir, tmp_path, field, value, says):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=says):
        experiment.run(config, tmp_path / 'run')


def test_a_workdir_that_cannot_be_written_is_named(small_dataset_dir, tmp_path):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='cannot write to the workdir'):
        experiment.run(config, tmp_path / 'file' / 'run')


CLIPS = [('casme2', 'sub01', 'a'), ('casme2', 'NA', 'b'), ('smic', 's1', 'c'), ('samm', '006', 'd e')]
TRIALS = pd.DataFrame(
    {
        'trial': range(8),
        'fold': [0, 1, 2, 3] * 2,
        'database': [clip[0] for clip in CLIPS] * 2,
        'subject': [clip[1] for clip in CLIPS] * 2,
        'seed': [0] * 4 + [1] * 4,
    }
)
METADATA = {'release': 'test', 'regions': {'pair': 'EM'}, 'flow_puzzled': 'cut'}
DATASET = Dataset(
    **dict.fromkeys(['flow', 'flow_puzzled', 'label', *CLIP_KEY]), labels=schema.LABELS, metadata=METADATA
)


def trained(folder, *, failed):
    """A run of one trial a wave that has ended, as `experiment.train` leaves it."""
    ledger = Ledger.create(folder / 'trials.csv', TRIALS, wave_size=1)
    for trial, row in TRIALS.iterrows():
        database, subject, clip = CLIPS[row['fold']]
        label = row['fold'] % 3
        well = pd.DataFrame(
            [[trial, row['seed'], database, subject, clip, label, label, *np.eye(3)[label]]],
            columns=[*schema.PREDICTION_COLUMNS, *(f'prob_{label}' for label in schema.LABELS)],
        )
        wave = Wave(
            well[: 0 if trial in failed else 1], np.ones((2, 1)), np.array([2 * (trial in failed)]), 0.5, {}
        )
        kept = folder / 'waves' / f'wave_{trial:03d}'
        kept.mkdir(parents=True)
        predictions.write(wave.predictions, kept / 'predictions.csv')
        ledger.close_wave(trial, wave)
    experiment.collect(ledger, folder)
    return ledger


def report(ledger, folder):
    console = Console(file=io.StringIO(), width=200, markup=False)
    complete = experiment.report(ledger, DATASET, cd.get_config(), folder, console)
    return complete, json.loads((folder / 'results.json').read_text()), console.file.getvalue()


def test_a_seed_with_a_failed_trial_is_named_and_left_out_of_the_scores(tmp_path):
    complete, results, printed = report(trained(tmp_path, failed={5}), tmp_path)
    assert not complete
    assert results['failed'] == [
        {'trial': 5, 'database': 'casme2', 'subject': 'NA', 'seed': 1, 'failed_epoch': 2}
    ]
    assert [part['seed'] for part in results['per_seed']] == [0]
    assert pd.read_csv(tmp_path / 'predictions.csv')['seed'].tolist() == [0] * 4
    assert 'casme2/NA left out, seed 1' in printed


def test_without_a_whole_seed_there_is_no_score(tmp_path):
    complete, results, _ = report(trained(tmp_path, failed={0, 7}), tmp_path)
    assert not complete
    assert results['scores'] is None
    assert len(results['failed']) == 2


def test_the_result_says_what_the_input_was(tmp_path):
    complete, results, printed = report(trained(tmp_path, failed=set()), tmp_path)
    assert complete
    assert results['dataset'] == METADATA
    assert results['labels'] == ['negative', 'positive', 'surprise']
    assert 'Input: test; puzzled flow (EM): cut' in printed


def test_a_name_that_the_challenge_s_log_cannot_hold_costs_the_log_alone(tmp_path):
    _, results, printed = report(trained(tmp_path, failed=set()), tmp_path)
    assert results['scores']['full']['acc']['mean'] == 1
    assert 'no challenge log of seed 0' in printed
    assert 'd e' in printed
    assert not list(tmp_path.glob('challenge_log*'))


def test_five_classes_of_other_databases_from_dataset_to_scores(five_class_dataset_dir, tmp_path):
    config = cd.get_config()
    config.data.path = str(five_class_dataset_dir)
    config.data.databases = ()
    config.model.variant = 'hars'  # one branch compiles fastest
    config.loss.name = 'weighted_cross_entropy'
    config.loss.class_weights = (1.0, 2.0, 3.0, 2.0, 1.0)
    config.training.epochs = 2
    config.checkpoint.keep_weights = False
    config.report.resamples = 20
    console = Console(file=io.StringIO(), width=200, markup=False)
    assert experiment.run(config, tmp_path / 'run', console)

    labels = ['happiness', 'surprise', 'disgust', 'repression', 'others']
    table = pd.read_csv(tmp_path / 'run' / 'predictions.csv')
    assert list(table) == [*schema.PREDICTION_COLUMNS, *(f'prob_{label}' for label in labels)]
    assert len(table) == 22
    assert (table.filter(like='prob_').to_numpy().argmax(1) == table['prediction']).all()
    assert set(table['label']) == set(range(5))

    results = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert results['labels'] == labels
    assert list(results['scores']) == ['full', 'casme3', '4dme']
    for name, found in results['scores'].items():
        rows = table if name == 'full' else table[table['database'] == name]
        truth, prediction = rows['label'], rows['prediction']
        assert found['acc']['mean'] == pytest.approx(metrics.accuracy_score(truth, prediction))
        assert found['uar']['mean'] == pytest.approx(metrics.balanced_accuracy_score(truth, prediction))
        assert found['uf1']['mean'] == pytest.approx(metrics.f1_score(truth, prediction, average='macro'))
    score.main([str(tmp_path / 'run' / 'predictions.csv'), '--json', str(tmp_path / 'scores.json')])
    assert json.loads((tmp_path / 'scores.json').read_text())['per_seed'] == results['per_seed']

    assert (
        "no challenge log: its classes are negative, positive, surprise; the dataset's are"
        in console.file.getvalue()
    )
    assert not list((tmp_path / 'run').glob('challenge_log*'))
    assert (tmp_path / 'run' / 'confusion.png').exists()
