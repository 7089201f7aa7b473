"""The weights that come with the package: whole, small, and as their card says."""

import dataclasses
import hashlib
import json
import pathlib
import re

import jax
import numpy as np
import safetensors.numpy

import dualatme_jax
from configs import synthetic_motion
from dualatme_jax import export
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.run import evaluated, network, trained

FILE = pathlib.Path(dualatme_jax.__file__).with_name('default_weights') / 'small_cnn.safetensors'


def test_they_are_the_networks_of_the_config_of_synthetic_motions():
    assert FILE.stat().st_size <= export.LARGEST
    assert network.is_one(FILE)
    found = network.load(FILE)
    config = synthetic_motion.get_config()
    assert found.seeds == config.seeds
    for section in ('input', 'loss', 'optimizer', 'training', 'augment'):
        assert found.config[section] == config[section]
    trained.check_alike(
        FILE, lambda section, name: found.config[section].get(name), found.config.model, config.input
    )
    assert {*found.trained_on['subjects']} == {'motions'}, 'no real person'
    stacked = evaluated.as_folds(found)
    assert sum(np.size(leaf) for leaf in jax.tree.leaves(stacked.variables)) == 5 * 11_739


def test_they_say_nothing_of_where_they_were_made():
    assert network.about(FILE)['config']['data']['path'] == ''
    assert not re.search(r'"/\w', json.dumps(network.about(FILE))), 'an absolute path'


def test_the_card_says_what_they_are_and_are_not_for():
    card = FILE.with_suffix('.md').read_text()
    for words in ('Must not be used', 'no lie', '300 drawn people', '| CASME II | 0.', '| SAMM | 0.'):
        assert words in card


def test_they_say_how_often_answers_are_right_and_adding_that_has_not_changed_them():
    found = network.load(FILE)
    assert found.rates.labels == found.labels
    assert {*found.rates.fitted_on, *found.rates.counted_on} == {'casme2', 'samm', 'smic'}
    assert found.rates.given.sum() + found.rates.silent.sum() == 145 + 133, 'CASME II and SAMM'
    assert found.rates.silent_right < found.rates.silent.sum() / 2, 'why there is no answer below a half'
    tensors = safetensors.numpy.load_file(FILE)
    digest = hashlib.sha256(b''.join(tensors[name].tobytes() for name in sorted(tensors)))
    assert digest.hexdigest() == 'd799d5e71fce1768b6cce9d943885af6280c532a967d19aac48d22380b75aaf6'


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    command = ['--network', str(tmp_path), '--evaluated', str(tmp_path), '--out']
    assert export.main([*command, str(tmp_path / 'a.safetensors')]) == 2
    assert 'no networks in' in capsys.readouterr().err
    assert export.main([*command, str(tmp_path / 'a.pth')]) == 2
    assert 'expected a file *.safetensors' in capsys.readouterr().err


def test_answers_about_drawn_people_do_not_count(tmp_path, monkeypatch, capsys):
    drawn = {'dataset': {'synthetic': ['casme2']}, 'labels': ['negative', 'positive', 'surprise']}
    monkeypatch.setattr(export, '_scores', lambda evaluated, source: (drawn, None))
    command = ['--network', str(FILE), '--evaluated', str(tmp_path), '--out', str(tmp_path / 'a.safetensors')]
    assert export.main([*command, '--calibrate-on', 'smic']) == 2
    assert 'are marked (' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_drawn_people_are_not_the_real_ones_of_their_names():
    people = {('casme2', 'sub01'), ('samm', '006')}
    names = {'subjects': {'casme2': ['sub01'], 'samm': ['6']}}
    drawn, real = {'synthetic': ['casme2', 'samm']}, {'release': 'flow_images'}
    # Some of the people are drawn, and nobody knows which.
    partly, together = {'synthetic': ['casme2']}, drawn | {'datasets': [{'recipe': real}, {'recipe': drawn}]}
    none = np.zeros(2)
    own = [np.array(column) for column in zip(*sorted(people), strict=True)]
    found = dataclasses.replace(network.load(FILE), trained_on=names)
    for before, scored, seen in (
        (drawn, real, set()),
        (real, drawn, set()),
        (drawn, drawn, people),
        (real, real, people),
        (partly, real, people),
        (real, partly, people),
        (together, real, people),
        (real, together, people),
    ):
        clips = Dataset({}, none, *own, none, ('a',), scored)
        assert network.seen_by(dataclasses.replace(found, dataset=before), clips) == seen, (before, scored)
    assert network.seen_by(dataclasses.replace(found, dataset=drawn)) == people
    begun = dataclasses.replace(found, dataset=drawn, start={'subjects': {'smic': ['s01']}})
    assert network.seen_by(begun, Dataset({}, none, *own, none, ('a',), real)) == {('smic', 's01')}
