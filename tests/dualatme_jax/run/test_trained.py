"""The networks of a run, from a workdir as it should be, and from others. Nothing is trained."""

import dataclasses
import functools
import json
import os

import jax
import numpy as np
import pandas as pd
import pytest
from published_tensors import bits, filled, ststnet_shapes

from dualatme_jax import files, models
from dualatme_jax.convert import main
from dualatme_jax.errors import InputError
from dualatme_jax.models import mean, softnet
from dualatme_jax.run import model_section, trained, trial_table
from dualatme_jax.training.checkpoint import save_weights
from dualatme_jax.weights import names

INPUTS = {'scale': 'byte', 'channels': ('strain', 'v', 'u')}


def variables(state_dicts):
    own = [names.from_torch('ststnet', 'paper', 3, state_dict) for state_dict in state_dicts]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *own)


def network(seed):
    state_dict = filled(ststnet_shapes(), seed)
    return {name: tensor for name, tensor in state_dict.items() if tensor.ndim}  # a run counts no batches


@pytest.fixture
def workdir(tmp_path):
    """Of a run of STSTNet with three folds in two waves."""
    folder = tmp_path / 'run'
    rows = [(0, 'samm/6', 0), (1, 'smic/s01', 0), (2, 'samm/NA', 1)]
    table = pd.DataFrame(rows, columns=['trial', 'left_out', 'wave']).assign(folds='subject')
    folder.mkdir()
    table.assign(seed=0, point=0, inner=0, status='done').to_csv(folder / 'trials.csv', index=False)
    config = {'model': {'name': 'ststnet', 'variant': 'paper'}, 'input': INPUTS}
    (folder / 'config.json').write_text(json.dumps(config))
    for wave, seeds in enumerate(([0, 1], [2])):
        own = folder / 'waves' / f'wave_{wave:03d}'
        save_weights(own / 'weights', variables([network(seed) for seed in seeds]))
        (own / 'predictions.csv').write_text('trial,subject,prob_b,prob_a,prob_c\n')
        files.write_checksums(own)
    return folder


def refused(capsys, workdir, out):
    status = main(['--model', 'ststnet', '--to-torch', '--source', str(workdir), '--out', str(out)])
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, '')
    assert not out.exists()
    return captured.err


def test_each_subject_has_its_own_network(workdir):
    variant, found = trained.networks(workdir, 'ststnet', seed=None, point=None)
    assert variant == 'paper'
    for seed, (subject, own) in enumerate(found):
        assert subject == ('006', 's01', 'NA')[seed]
        assert sorted(bits(names.to_torch('ststnet', own))) == sorted(bits(network(seed)))


def evaluated(workdir, **changes):
    own = {'kind': 'subject', 'inputs': INPUTS, 'labels': ('b', 'a', 'c'), 'seed': 0}
    section = model_section.complete({'name': changes.pop('model', 'ststnet')})
    return trained.as_folds(workdir, section, **(own | changes))


def test_a_run_is_evaluated_as_it_was_trained(workdir):
    found = evaluated(workdir, inputs=INPUTS | {'encoding': 'minmax'})  # of which an older run says nothing
    assert (found.model, found.variant, found.classes) == ('ststnet', 'paper', 3)
    assert found.subjects == ('006', 's01', 'NA')
    assert len(found.variables['params']['classifier']['bias']) == 3


@pytest.mark.parametrize(
    ('changes', 'says'),
    [
        ({'inputs': INPUTS | {'encoding': 'robust'}}, r"encoding = 'minmax', and the config has 'robust'"),
        ({'inputs': INPUTS | {'scale': 'signed'}}, r"config\.input\.scale = 'byte', and the config has 'sig"),
        ({'inputs': INPUTS | {'channels': ('u', 'v', 'strain')}}, r'config\.input\.channels = '),
        ({'labels': ('a', 'b', 'c')}, 'trained the classes b, a, c, and the dataset has a, b, c'),
        ({'labels': ('b', 'a')}, 'trained the classes b, a, c, and the dataset has b, a;'),
        ({'model': 'rcn_a'}, r'this run trained .ststnet.; give that as --config\.model\.name'),
        ({'kind': 'database'}, "trained with config.folds = 'subject', and the config has 'database'"),
        ({'seed': 1}, r'no seed 1; name one of 0 by --config\.seeds'),
    ],
)
def test_a_run_is_not_evaluated_otherwise_than_it_was_trained(workdir, changes, says):
    with pytest.raises(InputError, match=says):
        evaluated(workdir, **changes)


def test_networks_are_evaluated_as_they_were_built(workdir, monkeypatch):
    plain = models.SYSTEMS['ststnet']

    def build(*, classes, width: int = 8, init='torch', dropout=0.5):
        del width
        return plain.build(classes=classes, init=init, dropout=dropout)

    monkeypatch.setitem(models.SYSTEMS, 'ststnet', dataclasses.replace(plain, build=build))
    own = {'kind': 'subject', 'seed': 0, 'inputs': INPUTS, 'labels': ('b', 'a', 'c')}
    same = {'name': 'ststnet', 'width': 8, 'init': 'kaiming', 'dropout': 0.3}
    assert trained.as_folds(workdir, same, **own).model == 'ststnet'
    with pytest.raises(InputError, match=r'config\.model\.width = 8, and the config has 3; give the config'):
        trained.as_folds(workdir, same | {'width': 3}, **own)


def test_a_swept_input_is_the_point_s(workdir):
    table = pd.read_csv(workdir / 'trials.csv', dtype=str, keep_default_na=False)
    table.assign(**{'input.channels': str(('u', 'v', 'strain'))}).to_csv(workdir / 'trials.csv', index=False)
    evaluated(workdir, inputs=INPUTS | {'channels': ('u', 'v', 'strain')})
    with pytest.raises(InputError, match=r'config\.input\.channels'):
        evaluated(workdir)


def test_a_table_of_trials_that_was_changed_gives_nobody_the_network_of_another(capsys, workdir, tmp_path):
    table = pd.read_csv(workdir / 'trials.csv', dtype=str, keep_default_na=False)
    planned = trial_table.TrialTable.create(workdir / 'trials.csv', table[['trial']].assign(program=0))
    planned.plan(0, 2)  # which writes checksums
    table.assign(left_out=['smic/s01', 'samm/6', 'samm/NA']).to_csv(workdir / 'trials.csv', index=False)
    assert 'trials.csv is not as it was written' in refused(capsys, workdir, tmp_path / 'out')
    with pytest.raises(InputError, match='not as it was written'):
        evaluated(workdir)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (lambda own: own['params'].pop('classifier'), 'params/classifier/kernel is missing'),
        (lambda own: own['params']['classifier'].pop('bias'), 'params/classifier/bias is missing'),
        (lambda own: own.pop('batch_stats'), 'batch_stats/stream1/norm/mean is missing'),
        (
            lambda own: own['params'].update(head={'kernel': np.ones((2, 3), np.float32)}),
            'params/head/kernel is none of the network',
        ),
        (
            lambda own: own['params']['classifier'].update(kernel=np.ones((2, 20, 20, 3), np.float32)),
            'params/classifier/kernel is float32 [2, 20, 20, 3]; expected float32 [2, 400, 3]',
        ),
        (
            lambda own: own['params']['classifier'].update(bias=np.ones((1, 3), np.float32)),
            'params/classifier/bias is float32 [1, 3]; expected float32 [2, 3]',
        ),
        (
            lambda own: own['params']['classifier'].update(bias=np.ones((2, 3), np.int32)),
            'params/classifier/bias is int32 [2, 3]; expected float32 [2, 3]',
        ),
        (
            lambda own: own['params']['classifier'].update(bias=np.full((2, 3), np.nan, np.float32)),
            'params/classifier/bias holds numbers that are not finite',
        ),
    ],
)
def test_weights_of_another_form_are_not_written(capsys, workdir, tmp_path, change, says):
    own = variables([network(0), network(1)])
    change(own)
    folder = workdir / 'waves' / 'wave_000'
    save_weights(folder / 'weights', own)
    files.write_checksums(folder)
    error = refused(capsys, workdir, tmp_path / 'out')
    assert f'{folder}/weights: these weights are damaged' in error
    assert says in error


def test_networks_that_read_larger_flows_have_larger_layers(workdir):
    own = variables([network(0), network(1)])
    own['params']['classifier']['kernel'] = np.ones((2, 1600, 3), np.float32)
    folder = workdir / 'waves' / 'wave_000'
    save_weights(folder / 'weights', own)
    files.write_checksums(folder)
    _, found = trained.networks(workdir, 'ststnet', seed=None, point=None)
    assert next(found)[1]['params']['classifier']['kernel'].shape == (1600, 3)


@pytest.mark.parametrize('system', [softnet, mean])
def test_a_last_layer_may_have_any_name(workdir, system):
    model = system.build(classes=2)
    windows = {'windows': np.zeros((3, 42, 42, 1), np.float32)}
    init = functools.partial(model.init, mask=np.ones(1), train=False)
    one = jax.eval_shape(init, jax.random.key(0), windows)
    own = jax.tree.map(lambda leaf: np.zeros((2, *leaf.shape), np.float32), {'batch_stats': {}} | dict(one))
    folder = workdir / 'waves' / 'wave_000'
    save_weights(folder / 'weights', own)
    (folder / 'predictions.csv').write_text('trial,subject,prob_neutral,prob_expression\n')
    files.write_checksums(folder)
    (workdir / 'config.json').write_text(json.dumps({'model': {'name': system.SYSTEM.name}, 'input': INPUTS}))
    _, found = trained.networks(workdir, system.SYSTEM.name, seed=None, point=None)
    subject, network = next(found)
    assert subject == '006'
    assert network['params']['outputs']['bias'].shape == (1,)


def test_a_wave_with_fewer_networks_than_trials_is_refused(capsys, workdir, tmp_path):
    folder = workdir / 'waves' / 'wave_000'
    save_weights(folder / 'weights', variables([network(0)]))
    (folder / files.CHECKSUMS).unlink()  # as a version without them left it
    assert 'holds fewer networks than 2, its trials' in refused(capsys, workdir, tmp_path / 'out')


def test_a_changed_wave_is_refused(capsys, workdir, tmp_path):
    path = next((workdir / 'waves' / 'wave_000' / 'weights' / 'd').iterdir())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert f'{path.name} is damaged' in refused(capsys, workdir, tmp_path / 'out')


@pytest.mark.parametrize('name', ['trials.csv', 'config.json'])
@pytest.mark.parametrize(
    'content', [None, 'pipe', b'', b'\xff\xfe', b'[]', b'trial,wave\n0,x\n', b'{"model": 1}']
)
def test_what_is_no_run_is_refused(capsys, workdir, tmp_path, name, content):
    (workdir / name).unlink()
    if content == 'pipe':
        os.mkfifo(workdir / name)
    elif content is not None:
        (workdir / name).write_bytes(content)
    with pytest.raises(InputError, match='is neither the workdir of a run nor a folder that convert wrote'):
        trained.networks(workdir, 'ststnet', seed=None, point=None)
    assert 'is neither the workdir' in refused(capsys, workdir, tmp_path / 'out')
