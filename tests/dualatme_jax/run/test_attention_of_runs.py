"""Where the networks of a run looked: the right network, in the right clip, never at the cost of a run."""

import dataclasses
import io
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import small_run
from rich.console import Console

from dualatme_jax import attention as command
from dualatme_jax import models
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.report import attention as report
from dualatme_jax.run import attention, predicting, trained, video
from dualatme_jax.run.kept import Kept
from dualatme_jax.training import attention as training

SEEN = 'small_systems.tiny_seen'
GUIDE = pathlib.Path(__file__).parents[3] / 'docs' / 'attention.md'


def config(folder, **fields):
    kept = {'model.name': SEEN, 'checkpoint.keep_weights': True, 'report.attention': True}
    return small_run.small(folder, **kept | {'seeds': (0, 1)} | fields)


@pytest.fixture(scope='module')
def run(small_dataset_dir, tmp_path_factory):
    """A run of two seeds, with maps, and its dataset's folder, which may be moved."""
    folder = tmp_path_factory.mktemp('attention')
    data = folder / 'data'
    shutil.copytree(small_dataset_dir, data)
    _, results, printed = small_run.run(config(data), folder / 'run')
    assert 'looked' not in printed
    return folder / 'run', data, results


@pytest.mark.slow
def test_each_clip_is_looked_at_by_the_network_that_predicts_it(run):
    folder, data, results = run
    assert results['attention'] == 'Where the networks looked is in attention.npz.'
    found = report.read(folder / report.FILE)
    predicted = pd.read_csv(folder / 'predictions.csv', dtype={'subject': str})
    assert found.clips.drop(columns='wrong').equals(
        report.chosen(predicted).drop(columns='wrong').astype(found.clips.dtypes.drop('wrong'))
    )
    record = models.system(SEEN)
    dataset = dataset_lib.load(data, reads=record.reads)
    network = record.build(classes=3)
    look = jax.jit(lambda *given: training.grad_cam(network, record.last_maps, *given)[0])
    table = trained.read(folder)[0]
    names = [*zip(dataset.database, dataset.subject, dataset.clip, strict=True)]
    for number, row in found.clips.iterrows():
        place = names.index(tuple(row[['database', 'subject', 'clip']]))
        left_out = table.set_index('trial')['left_out'][row['trial']]
        assert left_out == f'{row["database"]}/{row["subject"]}'
        stored = {key: array[place] for key, array in dataset.inputs.items()}
        for key, picture in stored.items():
            np.testing.assert_array_equal(found.pictures[key][number], picture)
        if number > 1:
            continue
        variables = jax.tree.map(lambda leaf: leaf[0], Kept(folder).variables(table, [row['trial']]))
        pictures = {
            key: picture.astype(np.float32).transpose(2, 0, 1)[..., None] / 127.5 - 1
            for key, picture in stored.items()
        }
        labels = jnp.array([row['prediction'], row['label']])
        for view, maps in zip(found.views, look(variables, pictures, labels), strict=True):
            for label, own in zip(labels.tolist(), maps, strict=True):
                np.testing.assert_allclose(view.map_of(number, label), own, atol=1e-4)


@pytest.mark.slow
def test_the_maps_of_an_old_workdir_are_those_of_its_end(run):
    folder, _, _ = run
    before = (folder / report.FILE).read_bytes()
    (folder / report.FILE).unlink()
    assert attention.make(folder) == 'Where the networks looked is in attention.npz.'
    assert (folder / report.FILE).read_bytes() == before
    with pytest.raises(InputError, match='predicts no clip casme2/01/x'):
        attention.of_workdir(folder, [('casme2', '01', 'x')])


@pytest.mark.slow
def test_a_run_that_evaluates_networks_shows_where_these_looked(run, tmp_path):
    folder, data, _ = run
    fields = {'evaluate_only': str(folder), 'seeds': (0,), 'checkpoint.keep_weights': False}
    _, results, _ = small_run.run(config(data, **fields), tmp_path / 'run')
    assert results['attention'] == 'Where the networks looked is in attention.npz.'
    found, before = report.read(tmp_path / 'run' / report.FILE), attention.of_workdir(folder)
    names = [tuple(row) for row in before.clips[['database', 'subject', 'clip']].to_numpy()]
    both = [
        (number, names.index(tuple(row)))
        for number, row in enumerate(found.clips[['database', 'subject', 'clip']].to_numpy())
        if tuple(row) in names
    ]
    assert both
    for number, there in both:
        label = found.clips['prediction'][number]
        np.testing.assert_array_equal(
            found.views[0].map_of(number, label), before.views[0].map_of(there, label)
        )


@pytest.mark.slow
def test_a_dataset_that_has_moved_is_said_and_nothing_fails(run):
    folder, data, _ = run
    kept = (folder / report.FILE).read_bytes()
    (folder / report.FILE).unlink()
    data.rename(data.with_name('moved'))
    try:
        console = Console(file=io.StringIO(), width=200)
        told = attention.make(folder, console)
        assert told.startswith('Where the networks looked cannot be shown: ')
        assert str(data) in told
        assert told in console.file.getvalue()
        assert not (folder / report.FILE).exists()
    finally:
        data.with_name('moved').rename(data)
        (folder / report.FILE).write_bytes(kept)


@pytest.mark.slow
def test_the_command_says_what_there_is(run, tmp_path, capsys):
    folder, _, _ = run
    assert 'python -m dualatme_jax.attention runs/cd\n' in GUIDE.read_text()
    assert command.main([str(folder)]) == 0
    assert capsys.readouterr().out == 'Where the networks looked is in attention.npz.\n'
    assert command.main([str(tmp_path)]) == 2
    assert 'is neither the workdir of a run' in capsys.readouterr().err


def test_maps_of_networks_that_are_gone_are_deleted(tmp_path):
    (tmp_path / report.FILE).write_bytes(b'of networks that were trained before')
    own = config(tmp_path, **{'checkpoint.keep_weights': False})
    told = attention.at_end(None, own, tmp_path, Console(quiet=True), anew=True)
    assert 'config.checkpoint.keep_weights=False' in told
    assert not (tmp_path / report.FILE).exists()


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({'report.attention': False}, 'config.report.attention is False'),
        ({'folds': 'all'}, 'nobody was left out'),
        ({'report.leaderboard': True}, 'not by a leaderboard'),
        ({'model.name': 'lbp_top'}, 'LBP-TOP is fitted by scikit-learn'),
        ({'model.name': 'kernel_ridge'}, 'is solved in closed form'),
        ({'model.name': small_run.TINY}, 'Where Tiny looked is not known'),
        ({}, ''),
        ({'checkpoint.keep_weights': False, 'evaluate_only': 'runs/x'}, ''),
    ],
)
def test_a_run_without_maps_says_why(fields, expected, tmp_path):
    own = config(tmp_path)
    own.update_from_flattened_dict(fields)
    found = attention.why_none(own)
    assert expected in found if expected else not found


@pytest.mark.slow
def test_a_run_of_folds_is_an_ensemble_whose_members_predict_as_in_the_run(run, tmp_path):
    folder, data, _ = run
    console = Console(quiet=True)
    with pytest.raises(InputError, match='several seeds'):
        predicting.load(folder)
    found = predicting.load(folder, seed=1)
    counted = found.rates.confusion.sum() + found.rates.silent.sum()
    found = dataclasses.replace(found, rates=None)
    dataset = dataset_lib.load(data, reads=found.reads)
    table = pd.read_csv(folder / 'predictions.csv', dtype={'subject': str, 'clip': str})
    table = table[table['seed'] == 1]
    assert found.size == table['trial'].nunique()
    assert counted == len(table)
    chances = predicting.probabilities(found, dataset, console)
    names = [f'prob_{label}' for label in found.labels]
    places = pd.MultiIndex.from_arrays([dataset.database, dataset.subject, dataset.clip])
    for number, (_, own) in enumerate(table.groupby('trial')):
        clips = places.get_indexer(pd.MultiIndex.from_frame(own[['database', 'subject', 'clip']]))
        np.testing.assert_allclose(chances[number, clips], own[names], atol=1e-4)

    # Clips of a dataset are answered as those of a video are, whatever their labels.
    (answer,) = video.answer(data, tmp_path / 'out', found, [], console)
    assert answer.about['unit'] == 'clips'
    assert answer.about['differences'] == []
    assert answer.events['clip'].tolist() == dataset.clip.tolist()
    may = predicting.answering(found, dataset)
    assert may.sum(0).tolist() == [1] * dataset.size, 'only the network that has not seen the person'
    mean = chances.mean(0, where=may[..., None])
    np.testing.assert_allclose(answer.events[names], mean, atol=1e-4)
    assert answer.events['class'].tolist() == [found.labels[best] for best in mean.argmax(-1)]
    assert 'nobody knows' in (tmp_path / 'out' / 'report.html').read_text()

    # The run says of which size its clips were; of an older one, which does not, the networks themselves do.
    assert found.inputs == dataset.forms
    larger = {key: np.pad(array, [(0, 0), (0, 4), (0, 4), (0, 0)]) for key, array in dataset.inputs.items()}
    larger = dataclasses.replace(dataset, inputs=larger)
    with pytest.raises(InputError, match='and the clips have'):
        predicting.probabilities(found, larger, console)
    with pytest.raises(InputError, match='trained on clips of another shape than these have'):
        predicting.probabilities(dataclasses.replace(found, inputs={}), larger, console)
