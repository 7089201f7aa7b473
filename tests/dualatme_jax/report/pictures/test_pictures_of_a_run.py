import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from written_run import board, sweep, table, write

from dualatme_jax import schema
from dualatme_jax.report import attention as attention_lib
from dualatme_jax.report import curves, record, scores
from dualatme_jax.report.pictures import (
    attention,
    drawn,
    flow,
    learning_curves,
    of_record,
    seeds,
    subjects,
)


def test_subjects_are_shown_best_first_with_the_spread_of_their_seeds():
    clips = [('smic', 's1', 'a'), ('smic', 's1', 'b'), ('smic', 's2', 'c'), ('casme2', 's1', 'd')]
    right = {0: [1, 1, 0, 0], 1: [1, 0, 1, 0], 2: [0, 0, 1, 0]}
    rows = [
        [seed, *clip, 0, 1 - hit]
        for seed, hits in right.items()
        for clip, hit in zip(clips, hits, strict=True)
    ]
    rows = pd.DataFrame(rows, columns=['seed', 'database', 'subject', 'clip', 'label', 'prediction'])
    found = subjects.shares(rows)
    assert found[['database', 'subject', 'clips']].to_numpy().tolist() == [
        ['casme2', 's1', 1],
        ['smic', 's2', 1],
        ['smic', 's1', 2],
    ]
    np.testing.assert_allclose(found[['mean', 'low', 'high']], [[0] * 3, [2 / 3, 0, 1], [0.5, 0, 1]])
    [axes] = subjects.subjects(rows).axes
    marks = [part.get_offsets() for part in axes.collections if isinstance(part, PathCollection)]
    np.testing.assert_allclose(np.concatenate(marks), [[0, 0], [1, 2 / 3], [2, 0.5]])
    texts = [text.get_text() for text in axes.texts]
    assert texts == ['CASME II\n0% right', 'SMIC\n56% right']  # 5 of 9


def test_every_seed_is_a_mark_at_its_score():
    results = scores.score_run(table(seeds=3), resamples=20)
    figure = seeds.seeds(results)
    assert [axes.get_title() for axes in figure.axes] == ['UF1', 'UAR', 'Acc']
    own = [seed['full']['uar'] for seed in results['per_seed']]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), own)
    low, high = results['scores']['full']['uar']['interval']
    bar = figure.axes[1].patches[0]
    np.testing.assert_allclose([bar.get_y(), bar.get_y() + bar.get_height()], [low, high])


def test_learning_curves_have_the_median_and_the_band_of_trials_that_still_train():
    losses = np.random.default_rng(0).random((30, 8)).astype(np.float32)
    losses[4, 3:] = np.nan
    figure = learning_curves.learning_curves({'': losses, 'fitted': np.full((4, 1), np.nan)})
    [axes] = figure.axes
    assert axes.get_title() == '30 trials, 1 ended early'
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines['median'].get_ydata(), np.nanmedian(losses, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(lines['median'].get_xdata(), np.arange(1, 9))
    [band] = axes.collections
    found = band.get_paths()[0].vertices
    np.testing.assert_allclose(found[:, 1].max(), np.nanpercentile(losses, 90, axis=0).max(), rtol=1e-6)
    assert len(axes.lines) == 31


def test_kinds_have_a_panel_each_and_what_is_left_out_is_said():
    losses = np.linspace(1, 0, 6)[None]
    figure = learning_curves.learning_curves({f'point {number}': losses for number in range(14)})
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == 12
    assert visible[3].get_title() == 'point 3\n1 trials'
    assert figure.get_suptitle() == 'the first 12; 2 more are not shown'


@pytest.mark.slow
def test_hundreds_of_trials_stay_small():
    random = np.random.default_rng(0)
    losses = np.exp(-np.arange(60) / 20) * random.uniform(0.5, 1.5, (680, 1)) + random.random((680, 60)) / 20
    assert len(drawn.svg(learning_curves.learning_curves({'': losses}))) < 300_000


def test_the_wheel_is_that_of_middlebury():
    # Baker et al.: 55 hues, of which 0 to 14 lead from red to yellow, and so on. To the right is the hue
    # 0, down 0.25 * 54 = 13.5, to the left 27 (2 of 11 from cyan to blue), up 40.5 (4.5 of 13 on).
    u, v = np.array([[1, 0], [0, 1], [-1, 0], [0, -1.0]]).T
    expected = [[1, 0, 0], [1, 13.5 / 15, 0], [0, 1 - 2 / 11, 1], [4.5 / 13, 0, 1]]
    np.testing.assert_allclose(flow.wheel(u, v, most=1), expected, atol=1e-12)
    np.testing.assert_allclose(flow.wheel(u / 4, v / 4, most=1), 0.75 + 0.25 * np.array(expected))
    np.testing.assert_allclose(flow.wheel(3 * u, 3 * v, most=1), 0.75 * np.array(expected), atol=1e-12)
    np.testing.assert_array_equal(flow.wheel(np.zeros(2), np.zeros(2), most=1), 1)


def test_flows_show_their_channels_and_regions_at_their_places():
    y, x = np.mgrid[-1:1:10j, -1:1:8j]
    clip = np.dstack([x, y, np.hypot(x, y)])
    figure = flow.flows({'a clip': clip}, {'E': (0.1, 0.5, 0.25, 0.75)})
    wheel, u, v, strain = figure.axes[:4]
    for axes, channel in zip((u, v, strain), np.moveaxis(clip, -1, 0), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), channel)
    low, high = u.images[0].get_clim()
    assert low == -high == v.images[0].get_clim()[0]
    assert wheel.get_ylabel() == 'a clip'
    [box] = wheel.patches
    assert (box.get_x(), box.get_y()) == (1.5, 0.5)  # columns 2 to 6, rows 1 to 5
    assert (box.get_width(), box.get_height()) == (4, 4)
    assert wheel.texts[0].get_text() == 'E'
    figure = flow.regions(clip[..., 2], {'M': (0, 1, 0, 1)}, title='EM')
    assert figure.axes[0].patches[0].get_width() == 8


def looked(clips=3):
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            'database': 'smic',
            'subject': [f's{number}' for number in range(clips)],
            'clip': 'a',
            'label': 0,
            'prediction': [0, 1, 2][:clips],
            'trial': 0,
            'seed': 0,
            'wrong': 1.0,
        }
    )
    view = {'picture': 'flow', 'clip': np.arange(clips)}
    maps = random.random((clips, 4, 4)).astype(np.float32)
    gate = attention_lib.View('CBAM', 'face', maps=maps, label=np.full(clips, -1), **view)
    grad = attention_lib.View('Grad-CAM', '', maps=maps[::-1], label=np.array([0, 1, 1]), **view)
    pictures = {'flow': random.integers(0, 255, (clips, 8, 8, 3)).astype(np.uint8)}
    return attention_lib.Attention('Dual-ATME', schema.LABELS, rows, pictures, (gate, grad))


def test_the_gallery_has_each_clips_map_over_its_picture():
    found = looked()
    figure = attention.gallery(found)
    panels = [axes for axes in figure.axes if axes.images]
    # Two clips side by side; the third has no map of the class 2 that was predicted.
    assert len(panels) == 3 + 3 + 2
    picture, gate, grad = panels[:3]
    strain = found.pictures['flow'][0, ..., 2].astype(float)
    np.testing.assert_allclose(picture.images[0].get_array(), (strain - strain.min()) / np.ptp(strain))
    behind, over = gate.images
    np.testing.assert_array_equal(behind.get_array(), picture.images[0].get_array())
    expected = attention_lib.upscaled(found.views[0].maps[0], 8, 8)
    np.testing.assert_allclose(over.get_array(), expected)
    assert 0 < over.get_alpha() < 1
    assert 's0/a\nnegative, predicted negative' in picture.get_title(loc='left')
    assert (gate.get_title(), grad.get_title()) == ('CBAM face', 'Grad-CAM')


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made and not rendered, which takes most of the time."""
    drawings = {}
    monkeypatch.setattr(drawn, 'save', lambda figure, folder, name: drawings.update({name: figure}))
    return drawings


OF_A_RUN = ['confusion', 'subjects', 'seeds', 'reliability', 'risk_coverage']


def test_a_run_has_the_pictures_for_which_it_left_something(tmp_path, undrawn):
    rows = write(tmp_path)
    names = [shown.name for shown in of_record.save(record.read(tmp_path))]
    assert names == [*undrawn] == OF_A_RUN
    assert {*names} < {*of_record.NAMES}
    trials = rows['trial'].unique()
    losses = np.ones((len(trials), 3), np.float32) * [[3, 2, 1]]
    curves.write(curves.Curves(trials, losses.astype(np.float32)), tmp_path / curves.FILE)
    attention_lib.write(looked(), tmp_path / attention_lib.FILE)
    found = of_record.save(record.read(tmp_path))
    assert [shown.name for shown in found] == [*OF_A_RUN, 'learning_curves', 'attention']
    np.testing.assert_allclose(undrawn['learning_curves'].axes[0].lines[-1].get_ydata(), [3, 2, 1])
    assert re.search(r'The loss of 12 trials', found[-2].alt)
    assert all(shown.caption and shown.alt for shown in found)


def test_figures_that_a_run_no_longer_has_are_deleted(tmp_path, undrawn):
    write(tmp_path, table(seeds=1))
    folder = tmp_path / of_record.FOLDER
    folder.mkdir()
    for name in ('seeds.png', 'attention.svg', 'confusion.png', 'flow.png', 'mine.png'):
        (folder / name).touch()
    of_record.save(record.read(tmp_path))
    assert {path.name for path in folder.iterdir()} == {'confusion.png', 'flow.png', 'mine.png'}


def test_predictions_without_probabilities_and_of_one_seed_have_fewer(tmp_path, undrawn):
    rows = table(seeds=1)
    write(tmp_path, rows[[name for name in rows if not name.startswith('prob_')]])
    assert [shown.name for shown in of_record.save(record.read(tmp_path))] == ['confusion', 'subjects']


@pytest.mark.parametrize(('make', 'first'), [(sweep, 'sweep'), (board, 'leaderboard')])
def test_sweeps_and_leaderboards_have_their_points_and_curves_by_point(tmp_path, make, first, undrawn):
    make(tmp_path)
    trials = pd.read_csv(tmp_path / 'trials.csv')
    trials['point'] = (trials['trial'] >= 12).astype(int)
    field = 'optimizer.learning_rate' if first == 'sweep' else 'model.name'
    trials[field] = trials['point'].map(
        {0: 0.01, 1: 0.001} if first == 'sweep' else {0: 'dual_atme', 1: 'ststnet'}
    )
    trials.to_csv(tmp_path / 'trials.csv', index=False)
    losses = np.where(trials['trial'] < 12, 2, 1).astype(np.float32)[:, None]
    found = curves.Curves(trials['trial'].to_numpy(), losses)
    curves.write(found, tmp_path / curves.FILE)
    names = [shown.name for shown in of_record.save(record.read(tmp_path))]
    assert (names[0], names[-1]) == (first, 'learning_curves')
    assert {*names} < {*of_record.NAMES}
    titles = [axes.get_title() for axes in undrawn['learning_curves'].axes]
    expected = ['learning_rate 0.01', 'learning_rate 0.001'] if first == 'sweep' else ['Dual-ATME', 'STSTNet']
    assert titles == [f'{name}\n12 trials' for name in expected]


def test_losses_survive_the_file_and_damage_is_named(tmp_path):
    path = tmp_path / curves.FILE
    losses = np.float32([[1, np.nan], [0.5, 0.25]])
    for _ in range(2):
        curves.write(curves.Curves(np.array([3, 5]), losses), path)
        before = path.read_bytes()
    assert path.read_bytes() == before
    found = curves.read(path)
    np.testing.assert_array_equal(found.losses, losses)
    assert found.trial.tolist() == [3, 5]
    np.testing.assert_array_equal(found.of(np.array([5])).losses, losses[1:])
    for content in (before[:-30], b'', b'no'):
        path.write_bytes(content)
        with pytest.raises(curves.InputError, match='does not hold the losses of a run'):
            curves.read(path)
    np.savez(path, trial=np.array([{}]), losses=losses)
    with pytest.raises(curves.InputError, match='of object'):
        curves.read(path)
    np.savez(path, trial=np.array([1]), losses=losses)
    with pytest.raises(curves.InputError, match=r'trials int64 \(1,\), losses float32 \(2, 2\)'):
        curves.read(path)
