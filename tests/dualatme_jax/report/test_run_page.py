import dataclasses
import io
import json
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
import written_run
from PIL import Image

from configs import cd
from dualatme_jax import schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import __main__ as command
from dualatme_jax.report import attention, given, marks, methods, predictions, record, run_page, scores
from dualatme_jax.report.pictures import drawn, of_record
from dualatme_jax.report.sections import drawings, hard, looked, recipe, result, subjects
from dualatme_jax.run import mlflow_tracker, model_section, tensorboard


@pytest.fixture(autouse=True)
def without_figures(request, monkeypatch):
    """Pages have no figures, which take longer than all else, but in tests that are marked as slow."""
    if not request.node.get_closest_marker('slow'):
        monkeypatch.setattr(drawings, 'pictures', lambda record, *names: [])


def page(folder):
    return run_page.html(record.read(folder))


def test_the_page_of_a_run_has_its_scores_subjects_and_recipe(tmp_path):
    rows = written_run.write(tmp_path)
    text = page(tmp_path)
    mean = np.mean([scores.score(own)['uf1'] for _, own in rows.groupby('seed')])
    assert f'<dd>{mean:.3f}<small>' in text
    assert '<h1>Dual-ATME, one subject left out</h1>' in text
    assert '1 min 1 s' in text
    assert 'made by an older version' in text


def test_hits_of_subjects_are_the_mean_over_seeds():
    rows = written_run.table(subjects=3)
    found = subjects.table(rows, ('negative', 'positive', 'surprise'))
    right = (rows['label'] == rows['prediction']).groupby(rows['subject']).sum() / 2
    assert {row[1]: float(row[3]) for row in found.rows} == right.to_dict()
    assert {row[1]: row[4] for row in found.rows} == (right / 4).to_dict()
    classes = [[float(cell.split(' of ')[0]) for cell in row[5:] if cell] for row in found.rows]
    assert [sum(cells) for cells in classes] == [float(row[3]) for row in found.rows]


def test_the_result_of_a_sweep_is_its_reference(tmp_path):
    rows = written_run.sweep(tmp_path)
    found = record.read(tmp_path)
    own = rows[rows['optimizer.learning_rate'] == 0.001]
    assert found.selected['prediction'].tolist() == own['prediction'].tolist()
    assert '2 points' in page(tmp_path)


def test_the_result_of_nested_selection_is_what_was_chosen(tmp_path):
    fields = {'model.views': [('a',), ('b', 'c')], 'input.clip': [2.0, 4.0]}
    parts = [
        written_run.table(random=number).assign(
            **{name: [str(values[number])] * 48 for name, values in fields.items()}
        )
        for number in range(2)
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows['trial'] = rows.groupby(['input.clip', 'seed', 'subject'], sort=False).ngroup()
    folds = written_run.trials(rows)
    chosen = [
        {'seed': row.seed, 'left_out': row.left_out, 'model.views': ['b', 'c'], 'input.clip': 4, 'uf1': 0.5}
        for row in folds[:12].itertuples()
    ]
    written_run.write(tmp_path, rows, selection='nested', chosen=chosen)
    found = record.read(tmp_path).selected.sort_values(['seed', 'subject', 'clip'])
    expected = parts[1].sort_values(['seed', 'subject', 'clip'])
    assert found['prediction'].tolist() == expected['prediction'].tolist()


def test_a_leaderboard_has_systems_and_failures(tmp_path):
    written_run.board(tmp_path)
    text = page(tmp_path)
    assert '2 systems under one protocol' in text
    assert 'out of &lt;memory&gt;' in text
    assert record.read(tmp_path).selected is None


def test_names_are_text(tmp_path):
    written_run.write(tmp_path, written_run.table(clip='<script>alert({})</script>'))
    text = page(tmp_path)
    assert '<script>alert' not in text
    assert '&lt;script&gt;alert(0)' in text


def test_two_classes(tmp_path):
    rows = written_run.table(labels=('no', 'yes'))
    written_run.write(tmp_path, rows, labels=('no', 'yes'))
    assert subjects.table(rows, ('no', 'yes')).columns[-1].heading == 'yes'
    assert 'Subjects' in page(tmp_path)


@pytest.mark.parametrize(
    ('found', 'text'),
    [
        ({'notice': 'LEAKS: x & y'}, 'LEAKS: x &amp; y'),
        ({'dataset': {'release': 'synthetic'}}, 'not scores of real faces'),
        ({'reason': 'nobody was left out', 'scores': None}, 'nobody was left out'),
        ({'selection': 'best_on_test'}, 'LEAKS: the epoch was selected on'),
        ({'failed': [{'trial': 3}]}, '1 of 12 trials diverged'),
    ],
)
def test_what_must_stand_beside_the_numbers(tmp_path, found, text):
    written_run.write(tmp_path, **found)
    assert f'role="note">{text}' in page(tmp_path) or text in page(tmp_path).split('class="lead"')[0]


def config_of(epochs=3, seeds=(0, 1)):
    """A whole config, as a run keeps it."""
    config = cd.get_config()
    config.training.epochs, config.seeds = epochs, seeds
    return json.loads(model_section.completed(config).to_json())


def grown(folder):
    """A finished run of 4 epochs whose growth to 99 epochs and another seed was killed."""
    config = config_of(99, (0, 1, 2))
    rows = written_run.table()
    own = written_run.trials(rows)
    own.loc[own['trial'] > 5, 'status'] = 'pending'
    written_run.write(folder, rows, config=config, trial_table=own, epochs=4, seeds=[0, 1], points=1)


def test_a_run_whose_growth_was_killed_shows_what_its_scores_are_of(tmp_path):
    grown(tmp_path)
    changed = {'training.epochs': [60, 99], 'loss.focal_gamma': [2, 3]}
    entry = {'command': 'python', 'default': 'configs/cd.py', 'changed': changed}
    (tmp_path / 'provenance.json').write_text(json.dumps({'commands': [entry]}))
    found = record.read(tmp_path)
    notice = 'These are the scores of the run before it grew: 4 epochs, seeds 0, 1.'
    assert notice in found.notices
    assert given.read(tmp_path).notice.splitlines()[0] == notice
    text = page(tmp_path)
    assert f'role="note">{notice}' in text
    facts = dict(recipe.section(found).blocks[0].pairs)
    assert (facts['Epochs'], facts['Seeds']) == ('4', '0, 1')
    assert found.differences == {'training.epochs': (60, 4), 'loss.focal_gamma': (2, 3)}
    text = methods.tex(found)
    assert text.startswith(rf'\textbf{{{notice}}}')
    assert 'is trained for 4 epochs on' in text
    assert 'repeated with 2 seeds (0, 1)' in text


def test_a_run_that_has_what_it_reported_has_not_grown(tmp_path):
    written_run.write(tmp_path, epochs=3, seeds=[0, 1], points=1)
    assert record.read(tmp_path).notices == []
    written_run.write(tmp_path)  # by an older version
    assert record.read(tmp_path).notices == []


def test_every_output_has_every_mark(tmp_path, monkeypatch):
    figures = {}
    monkeypatch.setattr(drawn, 'save', lambda figure, folder, name: figures.update({name: figure}))
    own = {'notice': marks.SMOKE, 'dataset': {'release': 'synthetic'}, 'selection': 'best_on_test'}
    written_run.write(tmp_path, config=config_of(), **own)
    found = record.read(tmp_path)
    assert found.notices == [marks.BEST_ON_TEST, marks.SMOKE, schema.ALL_SYNTHETIC]
    of_record.save(found)
    outputs = {
        'page': page(tmp_path).split('class="lead"')[0],
        'methods.md': methods.markdown(found).replace('\\', ''),
        'methods.tex': methods.tex(found),
        'TensorBoard': tensorboard.about(found),
    }
    outputs |= {name: ' '.join(figure.get_suptitle().split()) for name, figure in figures.items()}
    assert {'confusion', 'seeds', 'subjects', 'reliability'} < {*outputs}
    for name, text in outputs.items():
        for notice in found.notices:
            assert notice in text, name
    # predictions.csv has the last epoch, which does not leak
    assert given.read(tmp_path).notice.splitlines() == [marks.SMOKE, schema.ALL_SYNTHETIC]


def test_points_of_which_none_is_the_result_are_named(tmp_path):
    rows = written_run.sweep(tmp_path)
    assert record.read(tmp_path).notices == []
    for name in ('results.json', 'config.json', 'trials.csv'):
        (tmp_path / name).unlink()
    found = record.read(tmp_path)
    assert found.selected['prediction'].tolist() == rows['prediction'][:48].tolist()
    assert found.notices == [
        'Nothing in the folder says which of the 2 points is the result. This is the first: '
        'optimizer.learning_rate = 0.01.'
    ]
    assert found.notices[0] in page(tmp_path)
    assert given.read(tmp_path).notice == '', 'which has each point'


def test_several_machines_are_all_named(tmp_path):
    written_run.write(tmp_path, config=config_of())
    first = {'command': 'a', 'device': '8 x TPU v4', 'commit': 'abc', 'versions': {'jax': '0.9', 'flax': '1'}}
    second = first | {'device': '1 x H200', 'versions': {'jax': '0.10', 'flax': '1'}}
    path = tmp_path / 'provenance.json'
    for entries, says in (([first, first], False), ([first, second, first], True)):
        path.write_text(json.dumps({'commands': entries}))
        notice = 'It was trained by several commands, with different devices and versions of packages.'
        assert (notice in run_page.notices(record.read(tmp_path))) == says
    found = record.read(tmp_path)
    facts = dict(recipe.section(found).blocks[0].pairs)
    assert facts['Device'] == '8 x TPU v4; 1 x H200'
    assert (facts['Commit'], facts['Versions']) == ('abc', 'jax 0.9 and 0.10, flax 1')
    text = methods.tex(found)
    assert 'JAX 0.9 and 0.10' in text
    assert 'on 8 x TPU v4 and 1 x H200.' in text
    assert mlflow_tracker.parameters(found)['device'] == '8 x TPU v4; 1 x H200'


def test_a_half_smoke_test_says_so(tmp_path):
    written_run.write(tmp_path, config=written_run.CONFIG | {'smoke': True})
    (tmp_path / 'results.json').unlink()
    assert marks.SMOKE in record.read(tmp_path).notices


def test_a_run_that_leaves_nobody_out_has_no_scores_and_says_so(tmp_path):
    written_run.write(tmp_path, reason='nobody was left out', scores=None)
    header = (tmp_path / 'predictions.csv').read_text().splitlines()[0]
    (tmp_path / 'predictions.csv').write_text(f'{header}\n')
    text = page(tmp_path)
    assert 'nobody was left out' in text
    assert 'id="recipe"' in text
    assert 'id="subjects"' not in text


def test_half_a_run(tmp_path):
    rows = written_run.table()
    own = written_run.trials(rows)
    own.loc[own['trial'] > 4, 'status'] = 'pending'
    written_run.write(tmp_path, rows, trial_table=own)
    (tmp_path / 'predictions.csv').unlink()
    (tmp_path / 'results.json').unlink()
    assert 'Not finished: 5 of 12 trials are trained' in page(tmp_path)


@pytest.mark.slow
def test_predictions_without_probabilities_and_nothing_else(tmp_path):
    rows = written_run.table().drop(columns=['prob_negative', 'prob_positive', 'prob_surprise'])
    predictions.write(rows, tmp_path / 'predictions.csv')
    found = record.read(tmp_path)
    assert found.scored['scores'] == scores.score_run(rows)['scores']
    assert 'no probabilities, so there is no calibration' in page(tmp_path)


def test_changed_predictions_are_scored_anew_and_named(tmp_path):
    written_run.write(tmp_path)
    rows = written_run.table(chance=1.0)
    predictions.write(rows, tmp_path / 'predictions.csv')
    assert result.big({'mean': 1.0}) in page(tmp_path)
    assert 'predictions.csv is not what the run has reported' in page(tmp_path)


def test_each_table_of_predictions_is_compared_with_what_was_reported(tmp_path):
    rows = written_run.table()
    epochs = pd.concat([rows.assign(epoch=1), rows.assign(epoch=2)], ignore_index=True)
    digest = predictions.write(epochs, tmp_path / 'epoch_predictions.csv')
    written_run.write(tmp_path, rows, epoch_predictions_sha256=digest, selection='best_on_test')
    assert record.read(tmp_path).changed == []
    epochs.loc[epochs['epoch'] == 1, 'prediction'] = epochs['label']
    predictions.write(epochs, tmp_path / 'epoch_predictions.csv')
    found = record.read(tmp_path)
    assert found.changed == ['epoch_predictions.csv']
    assert found.scored['scores']['full']['acc']['mean'] == 1
    notice = 'epoch_predictions.csv is not what the run has reported; the command of the run writes it anew.'
    assert notice in page(tmp_path)
    assert given.read(tmp_path).notice == notice


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('results.json', '[]', 'a JSON list'),
        ('config.json', '{', r'config\.json is not the config of the run'),
        ('trials.csv', 'a,b\n1,2\n', r'trials\.csv is not the table of trials'),
        ('predictions.csv', 'a,b\n1,2\n', 'the header is missing|names none'),
        ('config.json', '{"seeds": 3}', r'config\.json .*\(it\.seeds is 3; expected a list\)'),
        ('results.json', '{"scores": {"full": {}}}', r'results\.json .*it\.scores\.full has no acc'),
        ('results.json', '{"labels": ["a"]}', r'results\.json has the classes a, and predictions\.csv'),
        ('results.json', '{"chosen": [{"seed": 0}]}', r'results\.json .*it\.chosen\[0\] has no left_out'),
        ('provenance.json', '{"commands": 5}', r'provenance\.json .*it\.commands is 5; expected a list'),
        ('provenance.json', '{"commands": [{"versions": [1]}]}', r'it\.commands\[0\]\.versions is \[1\]'),
        ('provenance.json', '{"commands": [{"changed": {"a": [1]}}]}', r'changed\.a has 1 parts; expected 2'),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    written_run.write(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        page(tmp_path)


@pytest.mark.parametrize('name', ['curves.npz', 'attention.npz'])
def test_a_damaged_file_that_a_page_can_do_without_is_named_on_it(tmp_path, name):
    written_run.write(tmp_path)
    (tmp_path / name).write_text('no')
    text = page(tmp_path)
    assert text.count(f'{tmp_path / name} does not hold') == 2  # the notice, and the section
    assert 'id="subjects"' in text


@pytest.mark.parametrize(('key', 'says'), [('apex_face_grey', True), ('flow', False)])
def test_a_page_of_faces_says_so(tmp_path, key, says):
    rows = written_run.write(tmp_path)
    found = maps(rows)
    view = dataclasses.replace(found.views[0], picture=key)
    pictures = {key: found.pictures['flow'][..., :1]}
    attention.write(dataclasses.replace(found, pictures=pictures, views=(view,)), tmp_path / 'attention.npz')
    assert ('This page shows faces of the dataset' in page(tmp_path)) == says


def test_the_command(tmp_path, capsys):
    written_run.write(tmp_path / 'run')
    assert command.main([str(tmp_path / 'run')]) == 0
    assert command.main([str(tmp_path / 'run'), '--out', str(tmp_path / 'a.html')]) == 0
    assert (tmp_path / 'a.html').read_bytes() == (tmp_path / 'run' / 'report.html').read_bytes()
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / 'run/report.html'),
        str(tmp_path / 'a.html'),
    ]


@pytest.mark.parametrize('arguments', [['absent'], ['.'], ['run', '--out', 'no/such/folder.html']])
def test_the_command_refuses(tmp_path, monkeypatch, capsys, arguments):
    written_run.write(tmp_path / 'run')
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 2
    assert capsys.readouterr().err.startswith('error: ')


def maps(rows, labels=('negative', 'positive', 'surprise')):
    """Where a network looked: one map for each class, of two clips, and the gate's without a picture."""
    clips = attention.chosen(rows)[:2]
    chances = np.linspace(0, 1, 6 * 16, dtype=np.float32).reshape(6, 4, 4)
    views = (
        attention.View('Grad-CAM', 'left', 'flow', chances, np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)),
        attention.View('CBAM', '', 'absent', chances[:2], np.arange(2), np.full(2, -1)),
    )
    flow = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    return attention.Attention('Tiny', labels, clips, {'flow': flow}, views)


def test_the_hardest_clips_show_where_the_network_looked(tmp_path):
    rows = written_run.write(tmp_path)
    found = maps(rows)
    attention.write(found, tmp_path / 'attention.npz')
    picture = looked.looked(found, 1, 2)
    assert re.search(r'predicted \w+; wrong with [012] of 2 seeds$', picture.caption)
    image = np.asarray(Image.open(io.BytesIO(picture.png)))
    assert image.shape == (112, 3 * 112 + 2 * 4, 4)
    own = found.views[1].maps[1]
    gate = 255 * matplotlib.colormaps['inferno'](own)[..., :3]
    np.testing.assert_allclose(image[14::28, 232 + 14 :: 28, :3], gate, atol=1)
    strain = found.pictures['flow'][1, ..., 2].astype(float)
    grey = 255 * (strain - strain.min()) / np.ptp(strain)
    np.testing.assert_allclose(image[7::14, 7:112:14, 0], grey, atol=1)
    assert page(tmp_path).count('<img src="data:image/png') == 2
    assert 'of the last epoch of the reference' not in page(tmp_path)
    written_run.write(tmp_path, rows, selection='best_on_test')
    assert 'of the last epoch of the reference' in looked.blocks(record.read(tmp_path), None)[0].text


def test_of_one_seed_no_share_of_seeds_is_said(tmp_path):
    rows = written_run.write(tmp_path, written_run.table(seeds=1))
    attention.write(maps(rows), tmp_path / 'attention.npz')
    _, _, gallery, clips = hard.section(record.read(tmp_path)).blocks
    right = rows['label'] == rows['prediction']
    assert [row[5] for row in clips.rows] == ['yes'] * (~right).sum() + ['no'] * right.sum()
    shown = ' '.join([*(picture.caption for picture in gallery.pictures), *map(str, clips.columns)])
    assert 'predicted' in shown
    assert 'seed' not in shown


def test_pictures_come_from_the_dataset_or_the_page_says_why_not(tmp_path, small_dataset_dir):
    written_run.write(tmp_path, written_run.table(clip='other{}'))
    found = record.read(tmp_path)
    assert 'is not shown' in run_page.html(found)
    absent = run_page.html(found, tmp_path / 'moved')
    assert 'There are no pictures: ' in absent
    assert 'lacks 12 of these 12 clips' in run_page.html(found, small_dataset_dir)
    data = dataset.load(small_dataset_dir)
    rows = pd.DataFrame(
        {'database': data.database, 'subject': data.subject, 'clip': data.clip, 'label': data.label}
    )
    rows = rows.assign(trial=0, seed=0, prediction=(data.label + 1) % 3)
    predictions.write(rows, tmp_path / 'predictions.csv')
    assert run_page.html(record.read(tmp_path), small_dataset_dir).count('<img src="data:image/png') == 24


@pytest.mark.slow
def test_calibration_is_in_words(tmp_path):
    rows = written_run.write(tmp_path)
    right = (rows['label'] == rows['prediction']).mean()
    sure = rows.filter(like='prob_').max(axis=1).mean()
    text = page(tmp_path)
    assert f'{right:.0%} of the predictions are right, and on average they claim {sure:.0%}' in text
    assert ('overconfident' in text) == (sure > right)


def test_the_provenance_is_shown(tmp_path):
    written_run.write(tmp_path)
    entry = {
        'command': 'python -m dualatme_jax.main --config=configs/cd.py',
        'started': '2026-01-01T00:00:00+00:00',
        'commit': 'abc-dirty',
        'device': '1 x H200',
        'versions': {'jax': '0.10'},
        'default': 'configs/cd.py',
        'changed': {'training.epochs': [60, 3]},
    }
    (tmp_path / 'provenance.json').write_text(json.dumps({'commands': [entry]}))
    text = page(tmp_path)
    for word in ('abc-dirty', '1 x H200', 'jax 0.10', 'In configs/cd.py', 'config.training.epochs'):
        assert word in text
