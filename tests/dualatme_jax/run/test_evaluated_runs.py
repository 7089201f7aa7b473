"""Weights from elsewhere, evaluated without training."""

import dataclasses
import io
import json
import shutil

import jax
import numpy as np
import pandas as pd
import pytest
from flax import traverse_util
from rich.console import Console
from small_run import TINY, run, small

from configs import cd
from dualatme_jax import files, models, schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import marks
from dualatme_jax.run import collect, evaluated, experiment, init_from, predicting, trained
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.training.checkpoint import load_weights
from dualatme_jax.weights import folds, names


@pytest.mark.slow
def test_weights_from_elsewhere_score_each_subject_by_its_own_network(
    small_dataset_dir, tmp_path, monkeypatch
):
    monkeypatch.setitem(models.SYSTEMS, TINY, models.system(TINY))  # of a file's, no module is imported
    config = small(small_dataset_dir, **{'checkpoint.keep_weights': True})
    _, trained, _ = run(config, tmp_path / 'trained')
    expected = pd.read_csv(tmp_path / 'trained' / 'predictions.csv')
    # The networks of the run, in another order, as `dualatme_jax.convert` would leave them.
    variables = load_weights(tmp_path / 'trained' / 'waves' / 'wave_000' / 'weights')
    names = pd.read_csv(tmp_path / 'trained' / 'trials.csv')['left_out']
    order = np.roll(np.arange(8), 3)
    turned = jax.tree.map(lambda leaf: np.asarray(leaf)[order], variables)
    people = [names[k].replace('/', '_') for k in order]
    (tmp_path / 'weights').mkdir()
    folds.save(folds.Folds(TINY, 'paper', 3, tuple(people), turned), tmp_path / 'weights')

    config.evaluate_only = str(tmp_path / 'weights')
    read = []
    monkeypatch.setattr(folds, 'load', lambda path, load=folds.load: read.append(path) or load(path))
    complete, results, printed = run(config, tmp_path / 'evaluated')
    assert complete
    assert read == [tmp_path / 'weights'], 'once, for what the run is and for its predictions'
    found = pd.read_csv(tmp_path / 'evaluated' / 'predictions.csv')
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
    assert results['scores'] == trained['scores']
    assert results['selection'] == 'evaluate_only'
    assert '8 networks of' in printed
    assert 'evaluated in' in printed
    assert 'selection: the weights of' in printed

    # How their inputs are made is known from the clips that they were scored on.
    ensemble = predicting.load(tmp_path / 'evaluated')
    assert (ensemble.size, ensemble.labels, dict(ensemble.dataset)) == (8, schema.LABELS, results['dataset'])
    jax.tree.map(np.testing.assert_array_equal, ensemble.variables['params'], turned['params'])
    # Of those whom some have seen it asks the network that has not: what the run itself said of them.
    clips = dataset.load(small_dataset_dir, reads=ensemble.reads)
    may = predicting.answering(ensemble, clips)
    assert set(may.sum(0)) == {1}
    said = predicting.probabilities(ensemble, clips, Console(quiet=True)).mean(0, where=may[..., None])
    columns = [schema.PROBABILITY + label for label in schema.LABELS]
    own = collect.read(tmp_path / 'evaluated' / 'predictions.csv')
    own = own.set_index(['database', 'subject', 'clip'])[columns]
    keys = list(zip(clips.database, clips.subject, clips.clip, strict=True))
    np.testing.assert_allclose(said, own.loc[keys], atol=1e-4)
    strangers = dataclasses.replace(clips, subject=np.array(['nobody'] * clips.size))
    assert predicting.answering(ensemble, strangers).all()
    rates = ensemble.rates
    assert rates.confusion.sum() + rates.silent.sum() == len(expected), 'counted on those left out'
    assert ensemble.marks == marks.of_predictions(results)
    there = tmp_path / 'evaluated' / 'results.json'
    honest = there.read_text()
    there.write_text(json.dumps(json.loads(honest) | {'leaks': True}))
    assert predicting.load(tmp_path / 'evaluated').rates is None
    there.write_text(honest)
    with pytest.raises(InputError, match=r'do not say how .* made; .* give the workdir of that run'):
        predicting.load(tmp_path / 'weights')

    # A run's folder has them as they were trained.
    config.evaluate_only = str(tmp_path / 'trained')
    run(config, tmp_path / 'again')
    found = pd.read_csv(tmp_path / 'again' / 'predictions.csv')
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
    with pytest.raises(InputError, match=r'has evaluated the networks of .*trained; give these as --weights'):
        predicting.load(tmp_path / 'again')

    # By the mean of a clip and its mirror image, which is what the networks give of a mirrored dataset.
    clips = dataset.load(small_dataset_dir, reads=models.system(TINY).reads)
    mirrored = {
        key: np.concatenate([255 - x[..., :1], x[..., 1:]], -1)[:, :, ::-1] for key, x in clips.inputs.items()
    }
    other = experiment.run(config, dataset=dataclasses.replace(clips, inputs=mirrored)).predictions
    config.input.mirror_at_test = True
    found = experiment.run(config, dataset=clips).predictions
    chances = [f'prob_{label}' for label in clips.labels]
    assert np.abs(found[chances] - expected[chances]).max(axis=None) > 1e-3
    np.testing.assert_allclose(found[chances], (expected[chances] + other[chances]) / 2, atol=1e-5)
    config.input.mirror_at_test = False

    # What it started from, and whom that had seen, is said of its networks here as it was there.
    assert results['started_from'] is None
    there = tmp_path / 'trained' / 'config.json'
    about = json.loads(there.read_text())
    database, subject = names[0].split('/')
    start = {'path': 'before', 'leaks': {database: [subject]}}
    there.write_text(json.dumps(about | {'start': start}))
    _, results, printed = run(config, tmp_path / 'leaking')
    assert results['started_from']['leaks'] == start['leaks']
    assert results['notice'].startswith('LEAKS: the weights that it started from had seen 1 of')
    assert printed.count('LEAKS') > 1
    assert 'The run that is evaluated started from before' in printed
    config.seeds = (1,)
    with pytest.raises(InputError, match=r'has no seed 1; name one of 0 by --config\.seeds'):
        run(config, tmp_path / 'other')
    config.seeds = (0,)

    # Other weights in the same folder are another run, and the same ones elsewhere are not.
    config.evaluate_only = str(tmp_path / 'weights')
    (tmp_path / 'weights').rename(tmp_path / 'moved')
    config.evaluate_only = str(tmp_path / 'moved')
    assert 'nothing is trained again' in run(config, tmp_path / 'evaluated')[2]
    (tmp_path / 'negated').mkdir()
    negated = jax.tree.map(lambda leaf: -leaf, turned)
    folds.save(folds.Folds(TINY, 'paper', 3, tuple(people), negated), tmp_path / 'negated')
    config.evaluate_only = str(tmp_path / 'negated')
    with pytest.raises(InputError, match='holds another run:\n  weights is'):
        run(config, tmp_path / 'evaluated')
    (tmp_path / 'moved').rename(tmp_path / 'away')
    with pytest.raises(InputError, match=r'no converted weights in .*moved'):
        predicting.load(tmp_path / 'evaluated')
    shutil.copytree(tmp_path / 'negated', tmp_path / 'moved')
    with pytest.raises(InputError, match=r'holds other weights than those that .*evaluated has evaluated'):
        predicting.load(tmp_path / 'evaluated')

    config.model.name = 'rcn_a'
    with pytest.raises(InputError, match=r"holds weights of 'small_systems.tiny', .* the config has 'rcn_a'"):
        run(config, tmp_path / 'other')
    short = folds.Folds(TINY, 'paper', 3, tuple(people[:7]), jax.tree.map(lambda leaf: leaf[:7], turned))
    (tmp_path / 'short').mkdir()
    folds.save(short, tmp_path / 'short')
    config.model.name, config.evaluate_only = TINY, str(tmp_path / 'short')
    with pytest.raises(InputError, match='has no weights'):
        run(config, tmp_path / 'lacking')
    assert not (tmp_path / 'other').exists()
    assert not (tmp_path / 'lacking').exists(), 'a workdir is not taken by what cannot be evaluated'


def test_weights_are_evaluated_by_the_variant_that_they_are_of(tmp_path):
    leaves = names.leaves('rcn_f', 'code', 3).items()
    stacked = {path: np.zeros((1, *leaf.shape), leaf.dtype) for path, leaf in leaves}
    (tmp_path / 'weights').mkdir()
    variables = traverse_util.unflatten_dict(stacked)
    folds.save(folds.Folds('rcn_f', 'code', 3, ('1',), variables), tmp_path / 'weights')
    fields = {'model.name': 'rcn_f', 'model.variant': 'paper', 'evaluate_only': str(tmp_path / 'weights')}
    config = small(tmp_path, **fields)
    printed = io.StringIO()
    found = experiment.as_converted(config, Console(file=printed, soft_wrap=True))
    assert (config.model.variant, found.model.variant) == ('paper', 'code')
    assert "holds the variant 'code' of 'rcn_f': that is config.model.variant now" in printed.getvalue()
    for other in ({'model.name': 'rcn_a'}, {'model.variant': 'code'}, {'evaluate_only': str(tmp_path)}):
        config.update_from_flattened_dict(other)
        assert experiment.as_converted(config, Console(quiet=True)) is config


def test_networks_that_were_trained_on_some_people_say_so_where_they_are_evaluated(tmp_path, monkeypatch):
    config = cd.get_config()
    assert evaluated.protocol(config) == 'one subject left out'
    config.evaluate_only = str(tmp_path)
    assert evaluated.protocol(config) == 'one subject left out'  # weights that say nothing of it
    (tmp_path / workdir_lib.TRIALS).touch()
    then = {'data': {'train_subjects': 4}}
    monkeypatch.setattr(trained, 'read', lambda path: (None, then))
    assert evaluated.protocol(config) == 'one subject left out, 4 of the other subjects trained on'


@pytest.mark.parametrize(
    ('start', 'says'),
    [
        (None, 'which have seen nobody of these clips; trained on faces'),
        ({'all_subjects_known': True}, 'which have seen nobody of these clips; trained on faces'),
        ({'all_subjects_known': False}, 'trained on faces, and before on people who are not known'),
    ],
)
def test_of_networks_it_is_said_that_they_have_seen_nobody_where_that_is_known(tmp_path, start, says):
    about = {'config': {'model': {'name': TINY}}, 'trained_on': {'origin': 'faces'}, 'start': start}
    (tmp_path / workdir_lib.CONFIG).write_text(json.dumps(about))
    files.write_checksums(tmp_path)
    assert init_from.earlier(str(tmp_path)).heading == f'Networks of {tmp_path}, {says}'
