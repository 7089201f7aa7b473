"""Pre-training is a run, and fine-tuning a run that starts from it; a score that leaks says so."""

import json

import numpy as np
import pytest
import small_run

from dualatme_jax.errors import InputError
from dualatme_jax.run import experiment
from dualatme_jax.training import start
from dualatme_jax.training.checkpoint import load_weights


def run(dataset_dir, folder, **fields):
    """Trains, and returns what it said, its results and the weights of all its folds by path."""
    kept = {'checkpoint.keep_weights': True, 'data.databases': (), 'loss.name': 'cross_entropy'}
    complete, results, said = small_run.run(small_run.small(dataset_dir, **kept | fields), folder)
    assert complete
    found = [start.flat(load_weights(wave / 'weights')) for wave in sorted((folder / 'waves').iterdir())]
    weights = {path: np.concatenate([leaves[path] for leaves in found]) for path in found[0]}
    return said, results, weights


@pytest.mark.slow
def test_from_one_dataset_to_another_with_other_classes_and_a_frozen_extractor(
    small_dataset_dir, five_class_dataset_dir, tmp_path, monkeypatch
):
    _, before, pretrained = run(small_dataset_dir, tmp_path / 'before', folds='all')
    assert before['started_from'] is None
    fields = {
        'init_from': str(tmp_path / 'before'),
        'freeze': ('params/entire/*', 'params/puzzled/*', 'params/norm/*'),
    }
    said, results, tuned = run(five_class_dataset_dir, tmp_path / 'after', **fields)

    frozen = [path for path in tuned if path[1] != 'classifier']
    assert ('batch_stats', 'norm', 'mean') in frozen
    for path in frozen:
        np.testing.assert_array_equal(tuned[path], np.concatenate([pretrained[path]] * 4))
    assert tuned['params', 'classifier', 'kernel'].shape == (4, 8, 5)
    assert len(np.unique(tuned['params', 'classifier', 'bias'], axis=0)) == 4

    found = results['started_from']
    assert found['kind'] == 'run'
    assert found['path'] == str(tmp_path / 'before')
    assert found['leaks'] == {}
    assert found['all_subjects_known']
    assert set(found['subjects']) == {'casme2', 'smic', 'samm'}
    (program,) = found['programs']
    assert [line.split(' ')[0] for line in program['not_copied']] == [
        'params/classifier/bias',
        'params/classifier/kernel',
    ]
    copied, whole = program['numbers']['copied'], program['numbers']['all']
    assert whole - copied == 5 * (8 + 1)
    assert 'params/classifier/kernel [8, 5], in the weights: [8, 3]' in said
    said = ' '.join(said.split())
    assert f'Started from {tmp_path / "before"}: run on' in said
    assert f'{copied:,} of {whole:,} parameters copied' in said
    assert 'Frozen: params/entire/*, params/puzzled/*, params/norm/*' in said
    assert 'LEAKS' not in said
    assert results['notice'] == ''

    again, *_ = run(five_class_dataset_dir, tmp_path / 'after', **fields)
    assert 'holds this run, finished' in again
    with pytest.raises(InputError, match=r'freeze is .*there and .*here'):
        run(five_class_dataset_dir, tmp_path / 'after', **fields | {'freeze': ()})
    with pytest.raises(InputError, match=r'start.sha256 is .*there and .*here'):
        run(five_class_dataset_dir, tmp_path / 'after', **fields | {'init_from': str(tmp_path / 'after')})

    # On the first dataset again: the second run has seen its people through the weights before. What is said
    # of the scores is tested in test_finish.py.
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, 'train', stopped)
    with pytest.raises(KeyboardInterrupt):
        run(small_dataset_dir, tmp_path / 'back', init_from=str(tmp_path / 'after'))
    begun = json.loads((tmp_path / 'back' / 'config.json').read_text())['start']
    assert sum(map(len, begun['leaks'].values())) == 8
    assert set(begun['subjects']) == {'casme2', 'smic', 'samm', 'casme3', '4dme'}


@pytest.mark.slow
def test_what_cannot_be_frozen_or_started_from_is_named_before_anything_is_compiled(
    small_dataset_dir, tmp_path
):
    def refused(**fields):
        with pytest.raises(InputError) as error:
            run(small_dataset_dir, tmp_path / 'run', **fields)
        assert not (tmp_path / 'run' / 'trials.csv').exists()
        return str(error.value)

    assert "config.freeze has 'extractor/*', which matches no parameter" in refused(freeze=('extractor/*',))
    assert 'leaves nothing to train' in refused(freeze=('params/*',))
    assert '--config.init_from' in refused(init_from=str(tmp_path / 'nowhere'))
    assert "config.sweep names 'init_from', which cannot be swept" in refused(
        sweep=({'init_from': ('a', 'b')},)
    )
    assert 'config.init_from asks for something else' in refused(evaluate_only='x', init_from='x')
