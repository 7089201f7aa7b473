"""Pre-training is a run, and fine-tuning a run that starts from it; a score that leaks says so."""

import io
import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from rich.console import Console

from configs import cd
from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System
from dualatme_jax.run import experiment
from dualatme_jax.training import start
from dualatme_jax.training.checkpoint import load_weights


class Tiny(nn.Module):
    """A normalised dense layer on the rows of a flow, and the classifier."""

    classes: int

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        x = jnp.mean(inputs['flow'], 2).reshape(-1, inputs['flow'].shape[-1])
        x = nn.Dense(6, name='extractor')(x.T).T
        x = nn.relu(BatchNorm(name='norm')(x, mask=mask, train=train))
        return Output(nn.Dense(self.classes, name='classifier')(x.T))


def build(*, classes):
    return Tiny(classes)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    tiny = System('tiny', 'Tiny', build)
    monkeypatch.setattr(models, 'SYSTEMS', models.SYSTEMS | {'tiny': tiny})


def run(dataset_dir, folder, **fields):
    """Trains, and returns what it said, its results and the weights of all its folds by path."""
    config = cd.get_config()
    config.data.path, config.data.databases, config.model.name = str(dataset_dir), (), 'tiny'
    config.loss.name, config.training.epochs, config.report.resamples = 'cross_entropy', 2, 20
    config.engine.devices, config.engine.max_trials = 1, 8
    config.update_from_flattened_dict(fields)
    console = Console(file=io.StringIO(), width=400)
    assert experiment.run(config, folder, console).complete
    waves = sorted((folder / 'waves').glob('wave_*'))
    found = [start.flat(load_weights(wave / 'weights')) for wave in waves]
    weights = {path: np.concatenate([leaves[path] for leaves in found]) for path in found[0]}
    return console.file.getvalue(), json.loads((folder / 'results.json').read_text()), weights


@pytest.mark.slow
def test_from_one_dataset_to_another_with_other_classes_and_a_frozen_extractor(
    small_dataset_dir, five_class_dataset_dir, tmp_path
):
    _, before, pretrained = run(small_dataset_dir, tmp_path / 'before')
    assert before['started_from'] is None
    fields = {
        'init_from': str(tmp_path / 'before'),
        'freeze': ('params/extractor/*', 'params/norm/*'),
    }
    said, results, tuned = run(five_class_dataset_dir, tmp_path / 'after', **fields)

    extractor, frozen = ('params', 'extractor', 'kernel'), ('batch_stats', 'norm', 'mean')
    for path in (extractor, frozen):  # nobody of the second dataset is in the first: its first network
        np.testing.assert_array_equal(tuned[path], np.stack([pretrained[path][0]] * 4))
    assert tuned['params', 'classifier', 'kernel'].shape == (4, 6, 5)
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
    assert whole - copied == 5 * (6 + 1)
    assert 'params/classifier/kernel [6, 5], in the weights: [6, 3]' in said
    assert f'Started from {tmp_path / "before"}: run on' in said
    assert f'{copied:,} of {whole:,} parameters copied' in said
    assert 'Frozen: params/extractor/*, params/norm/*' in said
    assert 'LEAKS' not in said
    assert results['notice'] == ''

    again, *_ = run(five_class_dataset_dir, tmp_path / 'after', **fields)
    assert 'holds this run, finished' in again
    with pytest.raises(InputError, match=r'freeze is .*there and .*here'):
        run(five_class_dataset_dir, tmp_path / 'after', **fields | {'freeze': ()})
    with pytest.raises(InputError, match=r'start.sha256 is .*there and .*here'):
        run(five_class_dataset_dir, tmp_path / 'after', **fields | {'init_from': str(tmp_path / 'after')})

    # On the first dataset again: the second run has seen its people through the weights before.
    said, results, _ = run(small_dataset_dir, tmp_path / 'back', init_from=str(tmp_path / 'after'))
    assert sum(map(len, results['started_from']['leaks'].values())) == 7  # not the first fold's own
    assert results['notice'].startswith('LEAKS: the weights that it started from had seen 7 of the left-out')
    # When it begins, and above the scores.
    assert ' '.join(said.split()).count(results['notice']) == 2
    assert not list((tmp_path / 'back').glob('challenge_log*'))


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
