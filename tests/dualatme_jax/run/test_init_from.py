"""Which network of which weights a fold begins with, what fits, and whom they have seen."""

import dataclasses
import json
import shutil
import types

import jax
import numpy as np
import pandas as pd
import pytest
from flax import traverse_util
from published_tensors import filled, safetensors_file, ststnet_shapes

from configs import ststnet
from dualatme_jax import files, schema
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.outside import guarded
from dualatme_jax.run import disk, init_from, programs, sources, sweep
from dualatme_jax.training import start, trials
from dualatme_jax.training.checkpoint import save_weights
from dualatme_jax.weights import folds, names

CLASSIFIER = {('params', 'classifier', 'kernel'), ('params', 'classifier', 'bias')}


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir)


@pytest.fixture(scope='module')
def people(dataset):
    """Those of the dataset, in the order of its folds."""
    return list(dict.fromkeys(zip(dataset.database.tolist(), dataset.subject.tolist(), strict=True)))


@pytest.fixture(scope='module')
def program(dataset, small_dataset_dir):
    config = ststnet.get_config()
    config.data.path = str(small_dataset_dir)
    (found,) = programs.make_programs(sweep.points(config), {0: dataset}, {})
    return found


@pytest.fixture(scope='module')
def network(program, dataset):
    """Shapes of the leaves of STSTNet with three classes."""
    (row,) = table(program, dataset, seeds=(0,)).head(1).to_dict('records')
    return start.flat(disk.state_of(program.training, dataset, row).variables)


def table(program, dataset, *, seeds=(0, 1), folds='subject'):
    points = [programs.hyperparameters(program.config, dataset.labels)]
    return trials.table(dataset, seeds=seeds, points=points, folds=folds)


def begin(path, program, network, dataset, **options):
    rows = table(program, dataset, **options)
    return init_from.beginning(str(path), [program], {0: network}, rows)


def stacked(network, numbers):
    """Networks of which all numbers are one, different for each."""
    return traverse_util.unflatten_dict(
        {
            path: np.stack([np.full(leaf.shape, number, np.float32) for number in numbers])
            for path, leaf in network.items()
        }
    )


def leave_run(folder, network, trained, *, status='done', classes=3, point=0, **config):
    """Leaves a run whose trial N left out `trained[N] = (seed, people)` and has N in all its numbers."""
    changed = {
        path: jax.ShapeDtypeStruct((*leaf.shape[:-1], classes), leaf.dtype) if path in CLASSIFIER else leaf
        for path, leaf in network.items()
    }
    folder.mkdir()
    rows = []
    for number, (seed, left_out) in enumerate(trained):
        name = '/'.join(left_out[0]) if left_out else 'nobody'
        rows.append(
            {'trial': number, 'folds': 'subject', 'left_out': name, 'seed': seed, 'point': point * number}
            | {'inner': 0, 'wave': number // 2, 'status': status}
        )
    pd.DataFrame(rows).to_csv(folder / 'trials.csv', index=False)
    for wave in range((len(trained) + 1) // 2):
        own = range(len(trained))[2 * wave : 2 * wave + 2]
        at = folder / 'waves' / f'wave_{wave:03d}'
        at.mkdir(parents=True)
        predicted = [(number, *person) for number in own for person in trained[number][1] for _ in range(2)]
        columns = ['trial', schema.DATABASE, schema.SUBJECT]
        pd.DataFrame(predicted, columns=columns).to_csv(at / 'predictions.csv', index=False)
        save_weights(at / 'weights', stacked(changed, own))
        files.write_checksums(at)
    about = {'model': {'name': 'ststnet', 'variant': 'paper'}} | config
    (folder / 'config.json').write_text(json.dumps(about))
    return folder


def numbers(found, program, rows):
    """The number in the network that each row begins with."""
    own = found.of_wave(program.number, rows)
    (path,) = [path for path in own.leaves if path[-2:] == ('classifier', 'bias')] or [next(iter(own.leaves))]
    return own.leaves[path].reshape(len(own.leaves[path]), -1)[own.places, 0].astype(int).tolist()


def trained_on(people, **more):
    return {'trained_on': {'origin': 'there', 'subjects': sources.by_database(people)}} | more


@pytest.mark.slow
def test_each_fold_begins_with_the_network_that_left_its_subject_out(
    tmp_path, program, network, dataset, people
):
    turned = people[::-1]
    run = leave_run(
        tmp_path / 'run', network, [(seed, [who]) for seed in (5, 1) for who in turned], **trained_on(people)
    )
    found = begin(run, program, network, dataset)
    rows = table(program, dataset).to_dict('records')
    # Networks 0 to 7 are of seed 5, 8 to 15 of seed 1: seed 0 is not there, and begins with the first.
    expected = [turned.index(tuple(row['left_out'].split('/'))) + 8 * (row['seed'] == 1) for row in rows]
    assert numbers(found, program, rows) == expected
    assert found.notice == ''
    assert 'no seed 0: these begin with those of seed 5' in '\n'.join(found.lines)
    assert set(found.fits[0].copied) == network.keys()
    assert found.fits[0].fresh == found.fits[0].unused == ()
    assert found.heading == f'Started from {run}: run on there; 1,683 of 1,683 parameters copied'


def test_one_network_is_what_all_folds_begin_with_and_is_there_once(tmp_path, program, network, dataset):
    others = [('casme3', 'spNO.1'), ('casme3', 'spNO.2')]
    run = leave_run(tmp_path / 'run', network, [(0, []), (1, [])], **trained_on(others))
    found = begin(run, program, network, dataset)
    rows = table(program, dataset).to_dict('records')
    assert numbers(found, program, rows) == [row['seed'] for row in rows]
    own = found.of_wave(0, rows[:3])
    assert {len(leaf) for leaf in own.leaves.values()} == {1}
    assert own.places.tolist() == [0, 0, 0]
    assert found.notice == ''
    assert found.record()['subjects'] == {'casme3': ['spNO.1', 'spNO.2']}


def test_frozen_leaves_that_all_trials_begin_with_are_shared(tmp_path, program, network, dataset):
    run = leave_run(tmp_path / 'run', network, [(0, []), (1, [])], **trained_on([('casme3', 'a')]))
    variables = traverse_util.unflatten_dict(network)
    one, two = (begin(run, program, network, dataset, seeds=seeds) for seeds in ((0,), (0, 1)))
    assert one.shared(0, variables, ('params/classifier/*',)) == set(CLASSIFIER)
    assert one.shared(0, variables, ()) == frozenset()
    assert two.shared(0, variables, ('params/classifier/*',)) == frozenset()


def test_folds_whom_the_weights_do_not_know_begin_with_the_first_network(
    tmp_path, program, network, dataset, people
):
    known, others = people[3:5], [('casme3', 'a')]
    trained = [(0, [who]) for who in others + known]
    run = leave_run(tmp_path / 'run', network, trained, **trained_on(others + known))
    found = begin(run, program, network, dataset, seeds=(0,))
    assert numbers(found, program, table(program, dataset, seeds=(0,)).to_dict('records')) == [
        0, 0, 0, 1, 2, 0, 0, 0
    ]  # fmt: skip
    assert found.leaks == ()


def test_left_out_people_whom_the_network_of_their_fold_has_seen_leak(
    tmp_path, program, network, dataset, people
):
    on_all = leave_run(tmp_path / 'all', network, [(0, [])], **trained_on([*people[:2], ('casme3', 'a')]))
    found = begin(on_all, program, network, dataset)
    assert found.leaks == tuple(sorted(people[:2]))
    assert found.notice.startswith('LEAKS: ')
    assert '2 of the left-out subjects: ' + '/'.join(min(people[:2])) in found.notice
    assert found.lines[-1].strip() == found.notice
    assert found.record()['leaks'] == sources.by_database(people[:2])
    # The same names in another database are others; SAMM's with and without leading zeros are not.
    databases = {'casme2': 'smic', 'smic': 'samm', 'samm': 'casme2'}
    elsewhere = [(databases[database], subject) for database, subject in people[:2]]
    run = leave_run(tmp_path / 'elsewhere', network, [(0, [])], **trained_on(elsewhere))
    assert begin(run, program, network, dataset).leaks == ()
    (samm, *_) = [subject for database, subject in people if database == 'samm']
    about = {'trained_on': {'origin': '', 'subjects': {'samm': [str(int(samm))]}}}
    run = leave_run(tmp_path / 'zeros', network, [(0, [])], **about)
    assert begin(run, program, network, dataset).leaks == (('samm', samm),)


def test_a_fold_of_several_begins_with_the_network_that_left_out_most_of_them(
    tmp_path, program, network, dataset, people
):
    samm = [who for who in people if who[0] == 'samm']
    run = leave_run(tmp_path / 'run', network, [(0, people[:1]), (0, samm)], **trained_on(people))
    found = begin(run, program, network, dataset, seeds=(0,), folds='database')
    rows = table(program, dataset, seeds=(0,), folds='database').to_dict('records')
    begun = dict(zip((row['left_out'] for row in rows), numbers(found, program, rows), strict=True))
    assert begun == {'casme2': 0, 'smic': 0, 'samm': 1}
    assert set(found.leaks) == set(people) - {people[0], *samm}
    # Nobody is left out, so nobody can have been seen.
    assert begin(run, program, network, dataset, seeds=(0,), folds='all').leaks == ()


@pytest.mark.slow
def test_whom_the_weights_before_had_seen_leaks_too(tmp_path, program, network, dataset, people):
    def run(name, **before):
        trained = [(0, [who]) for who in people]
        return leave_run(tmp_path / name, network, trained, **trained_on(people, start=before))

    seen = sources.by_database(people[:1])
    clean = run('clean', subjects=sources.by_database(people), leaks={}, all_subjects_known=True)
    assert begin(clean, program, network, dataset).leaks == ()
    leaking = run('leaking', subjects=seen, leaks=seen, all_subjects_known=True)
    assert begin(leaking, program, network, dataset).leaks == tuple(people[:1])
    unknown = run('unknown', subjects={}, leaks={}, all_subjects_known=False)
    assert 'not known on whom' in begin(unknown, program, network, dataset).heading


def test_what_does_not_fit_is_listed_in_short_and_in_full(tmp_path, program, network, dataset):
    run = leave_run(tmp_path / 'run', network, [(0, [])], classes=5, **trained_on([]))
    found = begin(run, program, network, dataset)
    assert set(found.fits[0].copied) == network.keys() - CLASSIFIER
    (record,) = found.record()['programs']
    assert len(record['not_copied']) == len(record['left_out']) == 2
    assert 'params/classifier/bias [3], in the weights: [5]' in record['not_copied']
    said = '\n'.join(found.lines)
    assert 'params/classifier/bias [3], in the weights: [5]' in said
    assert 'params/classifier/bias [5], in the network: [3]' in said
    kept = [path for path in network if path[0] == 'params' and path not in CLASSIFIER]
    assert record['numbers'] == {'copied': sum(np.prod(network[path].shape) for path in kept), 'all': 1683}


def test_the_fingerprint_is_that_of_the_numbers_and_not_of_the_place(tmp_path, program, network, dataset):
    run = leave_run(tmp_path / 'run', network, [(0, []), (1, [])], **trained_on([]))
    shutil.copytree(run, tmp_path / 'copy')
    other = leave_run(tmp_path / 'other', network, [(1, []), (0, [])], **trained_on([]))
    first, copy, swapped = (
        begin(path, program, network, dataset).source.sha256 for path in (run, tmp_path / 'copy', other)
    )
    assert first == copy != swapped


def test_what_cannot_be_started_from_is_named(tmp_path, program, network, dataset, people):
    def refused(path):
        with pytest.raises(InputError) as error:
            begin(path, program, network, dataset)
        return str(error.value)

    (tmp_path / 'empty').mkdir()
    assert 'no weights; expected the workdir of a run' in refused(tmp_path / 'empty')
    assert 'no weights; expected the workdir of a run' in refused(tmp_path / 'absent')
    failed = leave_run(tmp_path / 'failed', network, [(0, [])], status='failed')
    assert 'no seed of this run has ended well' in refused(failed)
    swept = leave_run(tmp_path / 'swept', network, [(0, []), (0, [])], point=1)
    assert 'is a sweep of 2 points' in refused(swept)
    keeps_none = leave_run(tmp_path / 'none', network, [(0, [])])
    shutil.rmtree(keeps_none / 'waves' / 'wave_000' / 'weights')
    assert 'keep_weights' in refused(keeps_none)
    of_others = {('params', 'branch', *path[1:]): leaf for path, leaf in network.items()}
    other = leave_run(tmp_path / 'other', of_others, [(0, [])])
    said = refused(other)
    assert "fits the network 'ststnet', variant 'paper'" in said
    assert 'the weights have params/branch/' in said
    assert 'the network has params/' in said
    odd = leave_run(tmp_path / 'odd', network, [(0, [])], trained_on={'subjects': ['a']})
    assert 'subjects in no known form' in refused(odd)


def test_weights_that_are_not_finite_or_were_changed_are_named(tmp_path, program, network, dataset):
    rows = table(program, dataset).to_dict('records')
    run = leave_run(tmp_path / 'run', network, [(0, [])])
    found = begin(run, program, network, dataset)
    at = run / 'waves' / 'wave_000' / 'weights'
    shutil.rmtree(at)
    save_weights(at, stacked(network, [np.nan]))
    with pytest.raises(InputError, match='numbers that are not finite'):
        found.of_wave(0, rows)
    next(path for path in at.rglob('*') if path.is_file() and path.stat().st_size > 100).write_bytes(b'')
    with pytest.raises(InputError, match='not as they were written'):
        found.of_wave(0, rows)


@pytest.fixture
def read_here(monkeypatch):
    """Files are read without a process of its own, which `test_reader.py` tests."""
    monkeypatch.setattr(guarded, 'call', lambda function, *args, **limits: function(*args))


def test_a_file_of_pytorch_is_what_all_folds_begin_with_by_its_names(
    tmp_path, program, network, dataset, read_here
):
    pytest.importorskip('safetensors', reason='.safetensors files need safetensors')
    state_dict = filled(ststnet_shapes(), 3)
    state_dict['fc.weight'] = np.zeros((7, state_dict['fc.weight'].shape[1]), np.float32)
    state_dict['fc9.weight'] = np.zeros((2, 2), np.float32)
    path = tmp_path / 'some.safetensors'
    path.write_bytes(safetensors_file({f'module.{name}': leaf for name, leaf in state_dict.items()}))
    found = begin(path, program, network, dataset)
    kernel = ('params', 'classifier', 'kernel')
    assert set(found.fits[0].copied) == network.keys() - {kernel}
    assert {line.split(' ')[0] for line in found.fits[0].unused} == {'params/classifier/kernel', 'fc9.weight'}
    rows = table(program, dataset).to_dict('records')
    own = found.of_wave(0, rows)
    assert own.places.tolist() == [0] * len(rows)
    whole = names.from_torch('ststnet', 'paper', 3, filled(ststnet_shapes(), 3))
    for key, leaf in own.leaves.items():
        np.testing.assert_array_equal(leaf[0], start.flat(whole)[key])
    assert found.leaks == ()
    assert 'not known on whom they were trained' in found.heading
    assert found.record()['sha256'] == files.sha256(path, 'file')


def test_a_file_serves_one_system(tmp_path, program, network, dataset):
    path = tmp_path / 'some.pth'
    path.touch()
    config = program.config.copy_and_resolve_references()
    config.model.name = 'resnet18'
    other = dataclasses.replace(program, config=config)
    with pytest.raises(InputError, match='the run has resnet18, ststnet; run them one by one'):
        init_from.beginning(str(path), [program, other], {0: network}, table(program, dataset))


def test_converted_weights_are_matched_by_the_names_of_their_subjects(
    tmp_path, program, network, dataset, people
):
    called = ['_'.join(people[0]), people[3][1], 'somebody']
    converted = folds.Folds('ststnet', 'paper', 3, tuple(called), stacked(network, range(3)))
    (tmp_path / 'converted').mkdir()
    folds.save(converted, tmp_path / 'converted')
    found = begin(tmp_path / 'converted', program, network, dataset, seeds=(0,))
    rows = table(program, dataset, seeds=(0,)).to_dict('records')
    assert numbers(found, program, rows) == [0, 0, 0, 1, 0, 0, 0, 0]
    assert found.leaks == ()
    assert found.record()['subjects'][schema.UNKNOWN_TEXT] == ['somebody']
    assert found.record()['sha256'] == folds.fingerprint(folds.load(tmp_path / 'converted'))


def test_converted_weights_remember_whom_the_weights_before_had_seen(
    tmp_path, program, network, dataset, people
):
    called = tuple('_'.join(person) for person in people)
    seen = sources.by_database(people[:2])
    begun = {'path': 'before', 'subjects': seen, 'leaks': seen, 'all_subjects_known': False}
    converted = folds.Folds('ststnet', 'paper', 3, called, stacked(network, range(len(called))), begun)
    (tmp_path / 'converted').mkdir()
    folds.save(converted, tmp_path / 'converted')
    assert folds.load(tmp_path / 'converted').start == begun
    found = begin(tmp_path / 'converted', program, network, dataset, seeds=(0,))
    assert found.leaks == tuple(sorted(people[:2]))
    assert not found.source.all_known
    assert init_from.earlier(str(tmp_path / 'converted')).notice.startswith('LEAKS: ')


@pytest.mark.parametrize(('copied', 'said'), [(3, True), (400, False)])
def test_that_next_to_nothing_fits_is_said(copied, said):
    fit = types.SimpleNamespace(copied_parameters=(1, copied), parameters=(8, 1683))
    assert ('may be of another system' in init_from._copied(fit)) == said
