"""Runs on several datasets at once, from their folders to the scores of all and of each."""

import json
import shutil

import pandas as pd
import pytest
from sklearn import metrics
from small_dataset import write_clips
from small_run import run, small

import dualatme_jax as dj
from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import given, tables
from dualatme_jax.run import experiment, sources

# A system of scikit-learn compiles nothing.
FITTED = {'data.databases': (), 'folds': 'database', 'model.name': 'made_up.flow_svc'}


@pytest.fixture(scope='module')
def paths(small_dataset_dir, tmp_path_factory):
    """One of 24 clips from three databases, and one of 14 clips of CAS(ME)3, three of them `others`."""
    other = tmp_path_factory.mktemp('data') / 'four_classes'
    write_clips(other, [5, 4, 5], labels=(*schema.LABELS, 'others'), databases=('casme3',))
    return str(small_dataset_dir), str(other)


@pytest.mark.slow
def test_two_datasets_are_trained_as_one_and_each_is_scored(paths, tmp_path):
    config = small(','.join(paths), **FITTED)
    complete, results, printed = run(config, tmp_path / 'run')
    assert complete
    table = pd.read_csv(tmp_path / 'run' / 'predictions.csv')
    count = table['database'].value_counts().to_dict()
    assert count['casme3'] == 11
    assert len(table) == 35
    assert list(results['scores']) == ['full', *schema.COMPOSITE, 'casme3']
    of_datasets = results['scores_of_datasets']
    assert list(of_datasets) == list(paths)
    composite = table[table['database'] != 'casme3']
    right = metrics.accuracy_score(composite['label'], composite['prediction'])
    assert of_datasets[paths[0]]['acc']['mean'] == pytest.approx(right)
    assert of_datasets[paths[1]] == results['scores']['casme3']
    assert results['dataset']['datasets'][1]['left_out'] == {'others': 3}
    assert f'{paths[1]}: 11 clips of 3 subjects; left out, of other classes: 3 others' in printed
    assert 'Input: small + four_classes; flow' in printed
    assert f'{paths[0]} by itself, 24 clips of 8 subjects: Acc {tables.short(right)}, UAR' in printed
    assert '(Folds: one database left out)' in printed
    about = json.loads((tmp_path / 'run' / 'config.json').read_text())
    assert {name: len(own) for name, own in about[sources.TRAINED_ON]['subjects'].items()} == {
        'casme2': 3,
        'samm': 2,
        'smic': 3,
        'casme3': 3,
    }

    data = dj.load(paths, reads=['flow'])
    assert experiment.digest(data) == about['dataset']['sha256']  # from Python it is the same run


@pytest.mark.slow
def test_scores_of_synthetic_clips_among_real_ones_are_marked_wherever_they_stand(paths, tmp_path):
    other = tmp_path / 'drawn'
    shutil.copytree(paths[1], other)
    (other / 'checksums.json').unlink()  # as of an earlier version
    recipe = other / 'metadata.json'
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {'release': schema.SYNTHETIC}))
    notice = f'SYNTHETIC CLIPS AMONG REAL ONES: casme3 of {other}: no score of real faces alone'
    config = small(f'{paths[0]},{other}', **FITTED)
    _, results, printed = run(config, tmp_path / 'run')
    assert notice in results['notice'].splitlines()
    assert notice in printed
    assert notice in given.read(tmp_path / 'run').notice


def test_a_databases_field_that_leaves_one_out_is_an_error(paths, tmp_path):
    with pytest.raises(
        InputError, match=r'has none of them, but casme3. Take all by --config.data.databases'
    ):
        run(small(','.join(paths)), tmp_path / 'run')


def test_nothing_synthetic_is_built_beside_others(tmp_path):
    config = small('data/a,data/b', **{'data.build_synthetic': True})
    with pytest.raises(InputError, match=r'builds one dataset, and config.data.path names 2'):
        experiment.load_dataset(config.data, ('flow',))
