"""The command that says what holds systems back: page, tables and pictures, from predictions in files."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from dualatme_jax import limits, schema
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions
from dualatme_jax.report.pictures import contact_sheet

KEY = predictions.CLIP_KEY


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir, reads=('flow',))


@pytest.fixture
def runs(dataset, tmp_path):
    """Two tables of predictions, one with two seeds: of clips 0 and 1 both are wrong, of 2 the second is."""
    clips = pd.DataFrame({key: getattr(dataset, key) for key in (*KEY, 'label')})
    paths = []
    for name, wrong, seeds in (('one', (0, 1), (0,)), ('two', (0, 1, 2), (0, 1))):
        prediction = np.where(np.isin(np.arange(24), wrong), (dataset.label + 1) % 3, dataset.label)
        rows = pd.concat([clips.assign(trial=0, seed=seed, prediction=prediction) for seed in seeds])
        chances = {f'prob_{label}': 1.0 * (prediction == k) for k, label in enumerate(schema.LABELS)}
        rows = rows.assign(**{column: np.tile(values, len(seeds)) for column, values in chances.items()})
        paths.append(tmp_path / f'{name}.csv')
        predictions.write(rows, paths[-1])
    return paths


def command(capsys, *arguments):
    status = limits.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert 'Traceback' not in captured.err
    return status, captured.out, captured.err


@pytest.mark.slow
def test_everything_is_written_and_the_same_command_gives_the_same_bytes(
    capsys, runs, dataset, small_dataset_dir, tmp_path
):
    arguments = (*runs, '--data', small_dataset_dir, '--draws', 3, '--subjects', 8, 20)
    status, shown, errors = command(capsys, *arguments, '--out', tmp_path / 'out')
    assert (status, errors) == (0, '')
    clips = pd.read_csv(tmp_path / 'out' / 'hard_clips.csv', dtype={'subject': str})
    assert len(clips) == 24
    assert clips['wrong'].tolist()[:4] == [1, 1, 0.5, 0]
    names = [dataset.labels[label] for label in dataset.label]
    row = clips[(clips['subject'] == dataset.subject[0]) & (clips['clip'] == dataset.clip[0])].iloc[0]
    assert (row['label'], row['wrong_one'], row['wrong_two']) == (names[0], 1, 1)
    assert row['predicted'] == dataset.labels[(dataset.label[0] + 1) % 3]
    scored = pd.read_csv(tmp_path / 'out' / 'bounds.csv').set_index('name')['wrong'].to_dict()
    assert (scored['one'], scored['two'], scored['best_system'], scored['oracle']) == (2, 3, 2, 2)
    powers = pd.read_csv(tmp_path / 'out' / 'power.csv')
    assert set(powers['subjects']) == {8, 20}
    assert (powers['a'] == 'one').all()
    page = (tmp_path / 'out' / 'limits.md').read_text()
    assert 'Of 2 clips all systems with all seeds predict one and the same class' in page
    first = '/'.join((dataset.database[0], dataset.subject[0], dataset.clip[0]))
    assert f'| {first} | {names[0]} | ' in page
    assert page in shown
    height, width, _ = image.imread(tmp_path / 'out' / 'hard_clips.png').shape
    assert height > 100 < width
    assert command(capsys, *arguments, '--out', tmp_path / 'again')[0] == 0
    for file in (tmp_path / 'out').iterdir():
        assert file.read_bytes() == (tmp_path / 'again' / file.name).read_bytes(), file.name


def test_action_units_and_emotions_stand_beside_clips_where_the_dataset_has_them(tmp_path):
    clips = pd.DataFrame({'database': ['samm', 'smic'], 'subject': ['6', 's1'], 'clip': 'c', 'label': 0})
    known = {
        ('samm', '006', 'c'): {'action_units': '4+7', 'emotion': 'Anger'},
        ('smic', 's1', 'c'): {'action_units': '', 'emotion': 'negative'},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_lib, 'annotations', lambda path, beside: known)
        found = limits.with_annotations(clips, 'data', 'flow')
        assert found['action_units'].tolist() == ['4+7', '']
        assert found['emotion'].tolist() == ['Anger', 'negative']
        with pytest.raises(InputError, match='1 clips of the runs are not in the dataset data: samm/006/d'):
            limits.with_annotations(clips.assign(clip=['d', 'c']), 'data', 'flow')


def test_what_cannot_be_compared_is_named(capsys, runs, tmp_path):
    fewer = pd.read_csv(runs[1], dtype={'subject': str})
    fewer[fewer['clip'] != 'clip0'].to_csv(tmp_path / 'fewer.csv', index=False)
    status, _, errors = command(capsys, runs[0], tmp_path / 'fewer.csv')
    assert status == 2
    assert '8 clips (' in errors
    assert 'of one are not in fewer' in errors
    for arguments, says in (
        ([runs[0], runs[0]], 'one of them twice; expected different runs'),
        ([runs[0], '--draws', 0], '--draws is 0; expected 1 to'),
        ([runs[0], '--subjects', -1], '--subjects -1 is -1; expected'),
        ([tmp_path / 'absent.csv'], 'absent.csv'),
    ):
        status, _, errors = command(capsys, *arguments)
        assert status == 2
        assert says in errors


def test_seeds_that_differ_have_no_power_and_one_run_has_its_own_page(capsys, runs, tmp_path):
    other = pd.read_csv(runs[0], dtype={'subject': str}).assign(seed=7)
    other.to_csv(tmp_path / 'other.csv', index=False)
    status, shown, _ = command(capsys, runs[0], tmp_path / 'other.csv', '--out', tmp_path / 'out')
    assert status == 0
    assert 'one and other have no seed in common' in shown
    assert not (tmp_path / 'out' / 'power.csv').exists()
    status, shown, _ = command(capsys, runs[0], '--out', tmp_path / 'alone')
    assert status == 0
    assert 'nothing to compare' in shown


def test_of_many_systems_the_power_is_that_of_the_most_and_the_least_alike(capsys, runs, dataset, tmp_path):
    """Six systems: the second predicts as the first one does, the others are wrong ever more often."""
    one = pd.read_csv(runs[0], dtype={'subject': str})
    paths = []
    for place, wrong in enumerate((2, 2, 4, 6, 8, 10)):
        other = np.where(np.arange(24) < wrong, (dataset.label + 1) % 3, dataset.label)
        chances = {f'prob_{label}': 1.0 * (other == k) for k, label in enumerate(schema.LABELS)}
        paths.append(tmp_path / f'system{place}.csv')
        predictions.write(one.assign(prediction=other, **chances), paths[-1])
    status, shown, errors = command(capsys, *paths, '--draws', 2, '--out', tmp_path / 'out')
    assert (status, errors) == (0, '')
    assert 'Power: of 5 systems the two that are most and least like system0.' in shown
    assert [*pd.read_csv(tmp_path / 'out' / 'power.csv')['b'].unique()] == ['system1', 'system5']


def test_the_channels_of_a_clip_stand_side_by_side():
    clip = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    found = contact_sheet.side_by_side(clip)
    assert found.shape == (2, 4 * 3 + 2 * 2)
    np.testing.assert_array_equal(found[:, 6:10], clip[..., 1])
    assert np.isnan(found[:, 4:6]).all()
    # Of signed numbers 0 is the middle, and each channel has its own largest.
    signed = np.stack([np.array([[-2.0, 0, 1]]), np.array([[0.0, 0.1, 0]])], -1)
    np.testing.assert_allclose(contact_sheet.side_by_side(signed)[0, :3], [0, 127.5, 191.25])
    np.testing.assert_allclose(contact_sheet.side_by_side(signed)[0, 5:], [127.5, 255, 127.5])
    with pytest.raises(InputError, match=r'of the shape \(5,\)'):
        contact_sheet.draw(np.zeros((2, 5)), ['', ''], 'sheet.png', title='')
