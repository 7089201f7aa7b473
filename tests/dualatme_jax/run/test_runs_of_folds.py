"""Runs that leave out databases, parts of the subjects, or nobody, from dataset to report."""

import dataclasses
import io
import json
import shutil
from unittest import mock

import jax
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn import metrics
from small_run import TINY, person, run, small, uf1

from dualatme_jax import export, score
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.data import splits
from dualatme_jax.errors import InputError
from dualatme_jax.report.pictures import confusion
from dualatme_jax.run import experiment, init_from, network, programs, settings
from dualatme_jax.run.progress import Reporter
from dualatme_jax.training import start as start_lib
from dualatme_jax.training import trials
from dualatme_jax.training.state import Clips, State

pytestmark = pytest.mark.slow

FIELDS = {'training.epochs': 1, 'training.batch_size': 24}
WORDS = {'subject': str}


def config_of(folder, **fields):
    return small(folder, **(FIELDS | fields))


@pytest.fixture(scope='module')
def by_database(small_dataset_dir, tmp_path_factory):
    """Every database left out, the epoch of two chosen by other subjects."""
    folder = tmp_path_factory.mktemp('runs') / 'database'
    nested = {'training.epochs': 2, 'selection.name': 'nested', 'selection.every': 1, 'selection.parts': 2}
    fields = {'folds': 'database', 'checkpoint.keep_weights': True} | nested
    return folder, *run(config_of(small_dataset_dir, **fields), folder)


def test_each_database_is_predicted_by_networks_of_the_others(by_database, small_dataset_dir):
    folder, complete, results, printed = by_database
    assert complete
    assert (results['folds'], results['protocol']) == ('database', 'one database left out')
    assert 'Tiny, one database left out: ' in printed
    listed = pd.read_csv(folder / 'trials.csv')
    outer = listed[listed['inner'] == 0]
    assert outer['left_out'].tolist() == ['casme2', 'smic', 'samm']
    table = pd.read_csv(folder / 'predictions.csv', dtype=WORDS)
    assert (table['trial'].map(listed.set_index('trial')['left_out']) == table['database']).all()
    dataset = dataset_lib.load(small_dataset_dir)
    assert sorted(person(table) + table['clip']) == sorted(np.char.add(dataset.subjects, dataset.clip))
    assert 'left_out' not in table
    for name, scores in results['scores'].items():
        rows = table if name == 'full' else table[table['database'] == name]
        if results['selection'] == 'last':
            assert scores['uf1']['mean'] == pytest.approx(uf1(rows))
    assert list(results['scores']) == ['full', 'casme2', 'smic', 'samm']


def test_the_epoch_is_chosen_without_the_left_out_database(by_database):
    folder, _, results, printed = by_database
    inner = pd.read_csv(folder / 'inner_predictions.csv', dtype=WORDS)
    table = pd.read_csv(folder / 'epoch_predictions.csv', dtype=WORDS)
    assert (inner['left_out'] != inner['database']).all()
    assert not inner.duplicated(['left_out', 'epoch', 'database', 'subject', 'clip']).any()
    assert [row['left_out'] for row in results['chosen']] == ['casme2', 'smic', 'samm']
    chosen = []
    for row in results['chosen']:
        own = inner[inner['left_out'] == row['left_out']]
        of_epochs = own.groupby('epoch')[['label', 'prediction']].apply(uf1)
        assert of_epochs[row['epoch']] == pytest.approx(of_epochs.max())
        chosen.append(table[(table['database'] == row['left_out']) & (table['epoch'] == row['epoch'])])
    assert results['scores']['full']['uf1']['mean'] == pytest.approx(uf1(pd.concat(chosen)))
    assert 'of 3 left-out databases: epoch = ' in printed
    # The leaking selection takes one epoch per database, and not one per subject.
    right = table.assign(right=table['label'] == table['prediction'])
    best = right.groupby(['database', 'epoch'])['right'].sum().unstack().idxmax(axis=1)
    leaking = table[table['epoch'] == table['database'].map(best)]
    found = results['selections']['best_on_test']['scores']['full']['uf1']['mean']
    assert found == pytest.approx(uf1(leaking))


def test_its_scores_are_shown_with_their_protocol(by_database, capsys):
    folder = by_database[0]
    assert score.main([str(folder), '--resamples', '5']) == 0
    assert 'Folds: one database left out' in capsys.readouterr().out
    assert not list(folder.glob('challenge_log*')), 'which has no room to say so'


def test_its_networks_are_evaluated_each_on_its_database(by_database, small_dataset_dir, tmp_path):
    folder = by_database[0]
    config = config_of(small_dataset_dir, **{'folds': 'database', 'evaluate_only': str(folder)})
    assert run(config, tmp_path / 'again')[0]
    expected = pd.read_csv(folder / 'predictions.csv', dtype=WORDS)
    found = pd.read_csv(tmp_path / 'again' / 'predictions.csv', dtype=WORDS)
    pd.testing.assert_frame_equal(
        found.drop(columns='trial'), expected.drop(columns='trial'), rtol=1e-4, atol=1e-5
    )
    config.folds = 'subject'
    with pytest.raises(InputError, match=r"trained with config.folds = 'database', and the config has 'subj"):
        run(config, tmp_path / 'other')


def test_parts_of_subjects_survive_an_interruption(small_dataset_dir, tmp_path, monkeypatch):
    fields = {'folds': 'parts', 'fold_parts': 3, 'seeds': (0, 1), 'engine.max_trials': 3}
    config = config_of(small_dataset_dir, **fields)
    complete, results, printed = run(config, tmp_path / 'whole')
    assert complete
    assert 'one of 3 parts of the subjects left out' in printed
    listed = pd.read_csv(tmp_path / 'whole' / 'trials.csv').set_index('trial')
    assert listed['left_out'].tolist() == ['part 1', 'part 2', 'part 3'] * 2
    table = pd.read_csv(tmp_path / 'whole' / 'predictions.csv', dtype=WORDS)
    assert table.groupby('seed').size().tolist() == [24, 24]
    assert table.groupby(['seed', person(table)])['trial'].nunique().eq(1).all(), 'subjects stay whole'
    dataset = dataset_lib.load(small_dataset_dir)
    names = dataset.database, dataset.subject, dataset.label
    for trial, rows in table.groupby('trial'):
        seed, name = listed.loc[trial, ['seed', 'left_out']]
        fold = splits.fold('parts', name, *names, parts=3, seed=int(seed))
        assert set(person(rows)) == set(dataset.subjects[fold.held_out])
    assert results['per_seed'][1]['full']['uf1'] == pytest.approx(uf1(table[table['seed'] == 1]))

    told = Reporter.epoch

    def die(self, wave, done, losses):
        told(self, wave, done, losses)
        if wave == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, 'epoch', die)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / 'stopped')
    monkeypatch.undo()
    assert run(config, tmp_path / 'stopped')[0]
    whole, stopped = (tmp_path / name / 'predictions.csv' for name in ('whole', 'stopped'))
    assert whole.read_bytes() == stopped.read_bytes()
    config.fold_parts = 4
    with pytest.raises(InputError, match='fold_parts is 3 there and 4 here'):
        run(config, tmp_path / 'whole')


@pytest.fixture(scope='module')
def of_all(small_dataset_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'all'
    fields = {'folds': 'all', 'seeds': (3, 1), 'checkpoint.keep_weights': True, 'training.epochs': 8}
    fields |= {'optimizer.learning_rate': 0.005}
    return folder, *run(config_of(small_dataset_dir, **fields), folder)


def test_with_nobody_left_out_there_is_a_network_per_seed_and_no_score(of_all, small_dataset_dir):
    folder, complete, results, printed = of_all
    assert complete
    assert results['scores'] is None
    assert 'nobody was left out, so nothing was predicted' in results['reason']
    assert results['reason'] in printed
    assert f'the networks are in {folder / "network"}' in printed
    assert pd.read_csv(folder / 'trials.csv')['left_out'].tolist() == ['nobody'] * 2
    assert pd.read_csv(folder / 'predictions.csv').empty

    found, dataset = network.load(folder), dataset_lib.load(small_dataset_dir)
    assert found.seeds == (3, 1)
    assert found.labels == dataset.labels
    assert found.dataset == dataset.metadata
    assert sorted(found.trained_on['subjects']) == ['casme2', 'samm', 'smic']
    assert sum(map(len, found.trained_on['subjects'].values())) == 8
    assert found.start is None
    assert found.config.model.name == TINY
    assert found.inputs['flow'] == {'shape': [28, 28, 3], 'dtype': 'uint8'}
    kernels = [leaf for leaf in jax.tree.leaves(found.variables['params']) if leaf.ndim > 2]
    assert kernels
    assert all(leaf.shape[0] == 2 and not (leaf[0] == leaf[1]).all() for leaf in kernels)


def test_a_run_of_all_cannot_be_scored(of_all, capsys):
    assert score.main([str(of_all[0])]) == 2
    assert 'has no scores: config.folds is' in capsys.readouterr().err


def test_its_folder_is_enough_to_predict_clips(of_all, small_dataset_dir):
    found, dataset = network.load(of_all[0]), dataset_lib.load(small_dataset_dir)
    training = programs.make_training(found.config, found.labels)
    every = trials.Trial(
        key=jax.random.key(0),
        train=np.zeros(dataset.size, bool),
        held_out=np.arange(dataset.size),
        hyperparameters=programs.hyperparameters(found.config, found.labels),
    )
    for place in range(len(found.seeds)):
        variables = jax.tree.map(lambda leaf, place=place: leaf[place], dict(found.variables))
        state = State(variables['params'], variables.get('batch_stats', {}), ())
        chances = training.predict(state, every, Clips.of(dataset))
        assert (np.asarray(chances).argmax(-1) == dataset.label).mean() > 0.6, 'clips that it has seen'


def test_a_finished_run_of_all_is_not_trained_again_and_its_networks_are_checked(of_all, small_dataset_dir):
    folder = of_all[0]
    fields = {'folds': 'all', 'seeds': (3, 1), 'checkpoint.keep_weights': True, 'training.epochs': 8}
    config = config_of(small_dataset_dir, **fields, **{'optimizer.learning_rate': 0.005})
    complete, results, printed = run(config, folder)
    assert complete
    assert results['scores'] is None
    assert 'nothing is trained again' in printed
    file = folder / 'network' / 'config.json'
    content = file.read_text()
    file.write_text(content.replace('negative', 'positive'))
    with pytest.raises(InputError, match=r'config\.json is damaged'):
        network.load(folder)
    with pytest.raises(InputError, match=r'config\.json is damaged; delete .*network, and the same command'):
        run(config, folder)
    shutil.rmtree(folder / 'network')
    assert run(config, folder)[0]
    assert file.read_text() == content
    assert network.load(str(folder / 'network')).seeds == (3, 1)


def test_folds_that_begin_with_networks_of_all_say_that_these_have_seen_them(
    of_all, small_dataset_dir, tmp_path
):
    config = config_of(small_dataset_dir, **{'folds': 'database', 'init_from': str(of_all[0]), 'seeds': (1,)})
    complete, results, printed = run(config, tmp_path)
    assert complete
    assert 'LEAKS: the weights that it started from had seen 8 of the left-out subjects' in printed
    assert sum(map(len, results['started_from']['leaks'].values())) == 8


OTHERS = {'seeds': (1, 3), 'folds': 'all', 'checkpoint.keep_weights': True}


def test_networks_of_all_score_clips_of_people_whom_they_have_not_seen(of_all, small_dataset_dir):
    seen = dataset_lib.load(small_dataset_dir)
    others = dataclasses.replace(seen, subject=np.char.add('other', seen.subject))
    together = {'report.ensemble': 'mean', 'input.mirror_at_test': True}  # which the training did not ask for
    config = config_of(small_dataset_dir, **OTHERS, **together, evaluate_only=str(of_all[0]))
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    found = experiment.run(config, None, console, dataset=others)
    printed = ' '.join(console.file.getvalue().split())  # lines of a table are wrapped
    assert found.complete
    assert 'which have seen nobody of these clips; trained on small' in printed
    table = found.predictions
    assert table.groupby('seed').size().to_dict() == {1: 24, 3: 24}
    results = found.results
    assert results['protocol'] == 'all subjects new to its networks'
    assert 'all subjects new to its networks: not trained here, 2 seeds (1, 3)' in printed
    assert 'left out' not in printed
    assert [row['seed'] for row in results['per_seed']] == [1, 3]
    assert results['scores']['full']['uf1']['mean'] == pytest.approx(
        np.mean([uf1(rows) for _, rows in table.groupby('seed')])
    )

    chances = table.filter(like='prob_').columns
    mean = table.groupby(['database', 'subject', 'clip'], sort=False)[[*chances]].mean()
    both = table.iloc[:24].assign(prediction=mean.to_numpy().argmax(1))
    assert results['ensemble']['scores']['full']['uf1']['mean'] == pytest.approx(uf1(both))

    networks, training = network.load(of_all[0]), programs.make_training(config, seen.labels)
    every = trials.Trial(
        key=jax.random.key(0),
        train=np.zeros(seen.size, bool),
        held_out=np.arange(seen.size),
        hyperparameters=programs.hyperparameters(config, seen.labels),
    )
    for place, seed in enumerate(networks.seeds):
        own = jax.tree.map(lambda leaf, place=place: leaf[place], dict(networks.variables))
        state = State(own['params'], own.get('batch_stats', {}), ())
        expected = np.asarray(training.predict(state, every, Clips.of(seen)))
        rows = table[table['seed'] == seed]
        order = [*zip(rows['database'], rows['subject'], rows['clip'], strict=True)]
        places = [*zip(others.database, others.subject, others.clip, strict=True)]
        chances = rows.filter(like='prob_').to_numpy()[[order.index(clip) for clip in places]]
        np.testing.assert_allclose(chances, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (
            {},
            r'trained on 8 of the subjects to be scored, casme2/000, .* and 5 more; expected clips of other',
        ),
        ({'seeds': (1, 2)}, r'no network of seed 2; expected --config\.seeds of 3, 1'),
        ({'model.name': 'rcn_a'}, r"of 'small_systems\.tiny', and config\.model\.name is 'rcn_a'"),
        ({'input.scale': 'unit'}, r"trained with config\.input\.scale = 'signed', and the config has 'unit'"),
    ],
)
def test_networks_of_all_that_cannot_score_clips_are_refused(
    of_all, small_dataset_dir, tmp_path, fields, message
):
    config = config_of(small_dataset_dir, **OTHERS | fields, evaluate_only=str(of_all[0]))
    with pytest.raises(InputError, match=message):
        run(config, tmp_path / 'zero-shot')
    assert not (tmp_path / 'zero-shot').exists()


def test_networks_of_all_become_one_file_with_a_card(of_all, small_dataset_dir, tmp_path, capsys):
    seen = dataset_lib.load(small_dataset_dir)
    others = dataclasses.replace(seen, subject=np.char.add('other', seen.subject))
    config = config_of(small_dataset_dir, **OTHERS, evaluate_only=str(of_all[0]))
    config.report.ensemble = 'mean'
    with mock.patch.object(confusion, 'confusion_matrices'):
        scored = experiment.run(config, tmp_path / 'scored', Console(quiet=True), dataset=others)
    file = tmp_path / 'small.safetensors'
    command = ['--network', str(of_all[0]), '--evaluated', str(tmp_path / 'scored'), '--out', str(file)]
    assert export.main(command) == 0
    found, before = network.load(file), network.load(of_all[0])
    jax.tree.map(np.testing.assert_array_equal, dict(found.variables), dict(before.variables))
    assert (found.seeds, found.labels, found.trained_on) == (before.seeds, before.labels, before.trained_on)
    assert str(small_dataset_dir) not in json.dumps(network.about(file))

    card = file.with_suffix('.md').read_text()
    table = pd.read_csv(tmp_path / 'scored' / 'ensemble_predictions.csv')
    assert f'| {uf1(table):.3f} [' in card
    matrix = metrics.confusion_matrix(table['label'], table['prediction'])
    assert f'| surprise | {" | ".join(map(str, matrix[2]))} |' in card
    assert 'no lie' in card

    config.evaluate_only = str(file)
    again = experiment.run(config, None, Console(quiet=True), dataset=others)
    pd.testing.assert_frame_equal(again.predictions, scored.predictions)
    start = init_from.beginning(str(file), *started(config, others, before.variables))
    assert len(start.source.people) == 8
    assert not start.leaks
    assert {*start.places.values()} == {0, 1}

    assert export.main([*command[:3], str(of_all[0]), *command[4:]]) == 2
    assert 'no ensemble of the networks of' in capsys.readouterr().err
    file.write_bytes(file.read_bytes()[:-100])
    assert not network.is_one(file)


def started(config, dataset, variables):
    """What `init_from.beginning` compares weights with."""
    own = config.copy_and_resolve_references()
    own.evaluate_only, own.folds, own.report.ensemble = '', 'subject', ''
    made = programs.make_programs(settings.check(own), {0: dataset}, {})
    table = trials.table(dataset, seeds=own.seeds, points=[{'program': 0}], allow_missing_class=True)
    shapes = {
        path: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
        for path, leaf in start_lib.flat(dict(variables)).items()
    }
    return made, {0: shapes}, table
