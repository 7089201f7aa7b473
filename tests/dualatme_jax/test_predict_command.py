import contextlib
import dataclasses
import errno
import io
import json
import pathlib
import runpy
import signal
import sys
import types

import jax
import numpy as np
import pandas as pd
import pytest
import written_answer
from rich.console import Console

from dualatme_jax import predict
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import answer_page
from dualatme_jax.run import answer_folder, predicting, progress, video


@pytest.fixture(scope='module')
def found():
    return predicting.load(predict.WEIGHTS)


def dataset(found, count):
    random = np.random.default_rng(0)
    return Dataset(
        inputs={'flow': random.integers(0, 256, (count, 28, 28, 3), np.uint8)},
        label=np.zeros(count, np.int32),
        database=np.array(['unknown'] * count),
        subject=np.array(['v'] * count),
        clip=np.array([str(number) for number in range(count)]),
        labels=found.labels,
        metadata={},
    )


@pytest.mark.slow
def test_every_network_gives_probabilities_and_a_clip_does_not_depend_on_the_others(found, console):
    five = dataset(found, 5)
    chances = predicting.probabilities(found, five, console)
    assert chances.shape == (found.size, 5, 3)
    np.testing.assert_allclose(chances.sum(-1), 1, rtol=1e-5)
    assert np.ptp(chances, axis=0).max() > 0
    alone = Dataset(
        **{name: getattr(five, name)[3:4] for name in ('label', 'database', 'subject', 'clip')},
        inputs={'flow': five.inputs['flow'][3:4]},
        labels=five.labels,
        metadata={},
    )
    np.testing.assert_allclose(
        predicting.probabilities(found, alone, console)[:, 0], chances[:, 3], rtol=1e-4
    )


@pytest.fixture
def console():
    return Console(quiet=True)


def test_clips_of_another_form_are_refused(found, console):
    small = dataset(found, 2)
    with pytest.raises(InputError, match=r'read flow of shape \[28, 28, 3\], uint8, and the clips have'):
        predicting.probabilities(
            found,
            Dataset(**{**vars(small), 'inputs': {'flow': small.inputs['flow'].astype(np.float32)}}),
            console,
        )


@pytest.mark.slow
def test_what_cannot_be_answered_is_named_once_and_leaves_nothing(capsys, tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    arguments = [str(tmp_path / name) for name in ('text.mp4', 'missing.mp4')]
    status = predict.main([*arguments, '--out', str(tmp_path / 'out')])
    err = capsys.readouterr().err
    assert status == 2
    assert 'not a video' in err
    assert 'no such file' in err
    assert 'Traceback' not in err
    assert all(err.count(path) == 1 for path in arguments)
    assert not list((tmp_path / 'out').iterdir())


def test_what_is_shown_has_what_is_explained_otherwise_and_what_rates_are_worth(tmp_path, capsys):
    about = written_answer.answered(tmp_path)
    answer = video.Answer(tmp_path / 'v.mp4', tmp_path, video._events(tmp_path), about)
    predict._show(answer, Console(width=200))
    shown = capsys.readouterr().out
    assert 'v.mp4: 2 expressions; explained otherwise: blink 1\n' in shown
    assert shown.endswith(f'{answer_page.LESS_IN_VIDEOS}\n')


@pytest.mark.parametrize(('name', 'said'), [('none', 'does not exist'), ('notes.txt', 'holds no networks')])
def test_what_are_no_networks_is_refused_with_what_to_give(tmp_path, name, said):
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(InputError, match=f'{said}; expected the workdir of a run .* or a file that'):
        predicting.load(tmp_path / name)
    with pytest.raises(InputError, match=r'--seed 3: the seeds of .* are one ensemble; leave it out'):
        predicting.load(predict.WEIGHTS, seed=3)


def test_networks_that_read_windows_answer_no_video(found, console, tmp_path):
    (tmp_path / 'v.mp4').write_bytes(b'a video')
    config = found.config.copy_and_resolve_references()
    with config.unlocked():
        config.model.name = 'softnet'
    with pytest.raises(InputError, match='read windows, which no view makes from a video; give other'):
        video.answer(
            tmp_path / 'v.mp4', tmp_path / 'out', dataclasses.replace(found, config=config), [], console
        )
    assert not (tmp_path / 'out').exists()


def test_two_videos_of_one_name_are_refused(tmp_path):
    paths = [pathlib.Path('a/clip.mp4'), pathlib.Path('b/clip.avi')]
    with pytest.raises(InputError, match="several videos are called 'clip'"):
        predict._folders(paths, tmp_path)
    folders = [tmp_path / name for name in ('v1.1', 'v1.2')]
    for folder in folders:
        folder.mkdir()
    assert predict._folders(folders, tmp_path) == folders, 'a folder has no suffix'


def stage(calls, *, draws=True):
    """A data stage that leaves a hand-made folder; the disk may be full when it draws."""

    def run(arguments, name, console):
        calls.append(arguments)
        if arguments[0] == 'annotate' and not draws:
            raise InputError('No space left on device')
        if arguments[0] == 'video':
            folder = pathlib.Path(arguments[arguments.index('--out') + 1])
            faces = [folder / 'face_1', folder / 'face_2'] if 'all' in arguments else [folder]
            for own in faces:
                written_answer.found(own, name=arguments[1])
        else:
            pathlib.Path(arguments[1], 'video.mp4').write_bytes(b'film')

    return run


@pytest.mark.slow
def test_an_answer_is_whole_and_the_same_command_does_not_look_again(found, console, tmp_path, monkeypatch):
    path, folder, calls = tmp_path / 'v.mp4', tmp_path / 'out' / 'v', []
    path.write_bytes(b'a video')
    monkeypatch.setattr(video, '_data_stage', stage(calls))
    (answer,) = video.answer(path, folder, found, ['--face', '1'], console)
    assert [call[0] for call in calls] == ['video', 'annotate']
    assert calls[0][-2] == '--like'
    assert f'--like {folder}/training.json' in answer.about['data_command']
    assert json.loads((folder / 'training.json').read_text())['inputs']['flow']['shape'] == [28, 28, 3]
    said = answer.events.set_index('kind')
    chances = said.loc[['micro', 'macro'], [f'prob_{label}' for label in found.labels]].to_numpy(float)
    np.testing.assert_allclose(chances.sum(-1), 1, atol=1e-3)
    for kind, row in zip(('micro', 'macro'), chances, strict=True):
        sure = row.max() >= found.rates.least
        assert said.loc[kind, 'class'] == found.labels[row.argmax()]
        assert said.loc[kind, 'answer'] == (found.labels[row.argmax()] if sure else 'cannot tell')
        assert np.isfinite(said.loc[kind, 'right']) == sure
    assert (said.loc['blink', 'class'], said.loc['blink', 'answer']) == ('', '')
    for number in (0, 2):
        names = {file.name for file in (folder / 'frames' / str(number)).glob('*.png')}
        assert names == {'onset.png', 'apex.png', 'flow.png', 'strain.png', 'attention.png'}
    assert ['flow.algorithm', 'drawn', 'DualTVL1OpticalFlow'] in answer.about['differences']
    assert 'no lie detector' in (folder / 'report.html').read_text()

    (again,) = video.answer(path, folder, found, ['--face', '1'], console)
    assert again.before
    assert len(calls) == 2
    pd.testing.assert_frame_equal(again.events, answer.events)
    before = {file.name for file in folder.iterdir()}
    monkeypatch.setattr(video, '_data_stage', broken)
    for change in (['--face', '2'], ['--face', '1']):  # another question; another version of the code
        with pytest.raises(OSError, match='No space'):
            video.answer(path, folder, found, change, console)
        assert {file.name for file in folder.iterdir()} == before, 'what fails leaves the answer of before'
        monkeypatch.setattr(video, '_software', lambda: ['another'])
    del calls[:]
    monkeypatch.setattr(video, '_data_stage', stage(calls, draws=False))
    for _ in range(2):
        with pytest.raises(InputError, match='No space'):
            video.answer(path, folder, found, ['--face', '1'], console)
    assert [call[0] for call in calls] == ['video', 'annotate', 'annotate'], 'it goes on where it was'
    assert {file.name for file in folder.iterdir()} == {*before, '.making'}
    monkeypatch.setattr(video, '_data_stage', stage(calls))
    unknown = dataclasses.replace(found, rates=None, labels=('a', 'b', 'c'))
    (answer,) = video.answer(path, folder, unknown, ['--face', '1'], console, film=False)
    assert [call[0] for call in calls[3:]] == [], 'the same was looked at for other networks'
    assert {file.name for file in folder.iterdir()} == before - {'video.mp4'}
    assert not (folder / 'video.mp4').exists(), 'it shows another answer'
    assert answer.about['sentences'] == {}
    assert [name for name in answer.events if name.startswith('prob_')] == ['prob_a', 'prob_b', 'prob_c']
    assert answer.events['right'].isna().all()


@pytest.mark.slow
def test_every_face_has_an_answer_and_all_have_one_page(found, console, tmp_path, monkeypatch):
    path, folder, calls = tmp_path / 'v.mp4', tmp_path / 'out' / 'v', []
    path.write_bytes(b'a video')
    monkeypatch.setattr(video, '_data_stage', stage(calls))
    monkeypatch.setattr(predicting, 'probabilities', lambda *_: np.full((found.size, 2, 3), 1 / 3))
    monkeypatch.setattr(predicting, 'looked', lambda *_: [])
    video.answer(path, folder, found, ['--face', '1'], console)
    answers = video.answer(path, folder, found, ['--face', 'all'], console)
    assert [answer.folder for answer in answers] == [folder / 'face_1', folder / 'face_2']
    assert {file.name for file in folder.iterdir()} == {
        *('answer.json', 'events.csv', 'report.html', 'training.json', 'face_1', 'face_2')
    }, 'the answer of before is gone'
    events = pd.read_csv(folder / 'events.csv')
    assert events['face'].tolist() == [1, 2] * 3
    assert events['number'].tolist() == [0, 0, 1, 1, 2, 2]
    assert events['onset'].tolist() == [4, 4, 15, 15, 30, 30]
    page = (folder / 'report.html').read_text()
    for words in (
        'Face 2',
        'face_2/report.html',
        'Nobody is recognised',
        '20, 30',
        'few frames a second',
        'no lie det',
    ):
        assert words in page, words
    again = video.answer(path, folder, found, ['--face', 'all'], console)
    assert [(answer.before, answer.about['face']) for answer in again] == [(True, 1), (True, 2)]
    (folder / 'face_2' / 'events.csv').unlink()
    assert not video.answer(path, folder, found, ['--face', 'all'], console)[1].before


def broken(*_):
    raise OSError(errno.ENOSPC, 'No space left on device', 'v.mp4')


def test_an_answer_of_another_video_is_not_overwritten(found, console, tmp_path):
    (tmp_path / 'answer.json').write_text(json.dumps({'identity': 'x', 'path': '/a/v.mp4'}))
    with pytest.raises(InputError, match=r'holds the answer of /a/v\.mp4; give another --out'):
        video.answer(tmp_path / 'v.mp4', tmp_path, found, [], console)


@pytest.mark.parametrize('name', ['frames/1.png', 'events.csv', 'v.mp4'])
def test_a_folder_of_something_else_is_left_alone(found, console, tmp_path, name):
    own = tmp_path / 'v' / name
    own.parent.mkdir(parents=True)
    own.write_bytes(b'mine')
    with pytest.raises(InputError, match='holds files that are no answer, such as'):
        video.answer(tmp_path / 'v' / 'v.mp4', tmp_path / 'v', found, [], console)
    assert own.read_bytes() == b'mine'


def failing(folder, error, *names):
    with contextlib.suppress(type(error)), answer_folder.making(folder, folder) as made:
        for name in names:
            (made / name).mkdir()
        raise error


def test_what_fails_leaves_nothing_but_what_it_can_go_on_with(tmp_path):
    folder = tmp_path / 'v'
    failing(folder, InputError('no face'), 'frames')
    assert not folder.exists()
    failing(folder, KeyboardInterrupt(), 'frames', '.signal')
    assert answer_folder.whole(folder, tmp_path, '') is None
    assert [each.name for each in (folder / '.making').iterdir()] == ['.signal']
    with answer_folder.making(folder, tmp_path) as made:
        assert (made / '.signal').exists(), 'it goes on'
        (made / '.signal').rmdir()
        (made / '.video.x1.mp4').touch()  # of a drawing that was killed
        (made / 'frames').mkdir()
        (made / 'frames' / '.flow.x2.png').touch()
        (made / 'events.csv').touch()
    assert {each.name for each in folder.rglob('*')} == {'answer.json', 'events.csv', 'frames'}


def test_a_video_is_named_once():
    assert predict._fault(pathlib.Path('/a/v.mp4'), '/a/v.mp4: no face') == '/a/v.mp4: no face'
    assert predict._fault(pathlib.Path('/a/v.mp4'), 'no face') == '/a/v.mp4: no face'


def test_the_data_stage_says_what_is_wrong_and_an_end_without_words_is_named(tmp_path, monkeypatch, capfd):
    program = tmp_path / 'python'
    monkeypatch.setattr(video.sys, 'executable', str(program))
    for last, fault in (('error: no face', '^no face$'), ('a warning', 'ended with status 3')):
        program.write_text(f'#!/bin/sh\necho {last!r} >&2\nexit 3\n')
        program.chmod(0o755)
        with pytest.raises(InputError, match=fault):
            video._data_stage(['video'], 'v.mp4', Console(quiet=True))
    assert capfd.readouterr().err == 'a warning\n'


@pytest.mark.parametrize('terminal', [True, False])
def test_how_far_the_data_stage_is_stands_in_a_bar_or_in_lines(tmp_path, monkeypatch, terminal):
    lines = [
        {'stage': stage, 'done': done, 'total': total, 'seconds': 1.0}
        for stage, done, total in (('frames', 40, 90), ('frames', 90, 90), ('clips', 1, None))
    ]
    said = tmp_path / 'said'
    said.write_text(''.join(f'progress: {json.dumps(line)}\n' for line in lines))
    program = tmp_path / 'python'
    program.write_text(f'#!/bin/sh\ncat {said} >&2\n')
    program.chmod(0o755)
    monkeypatch.setattr(video.sys, 'executable', str(program))
    ticks = iter(range(0, 10**6, 11))
    monkeypatch.setattr(progress, 'time', types.SimpleNamespace(monotonic=lambda: next(ticks)))
    shown = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    video._data_stage(['video'], 'v.mp4', shown)
    text = shown.file.getvalue()
    if terminal:
        assert 'v.mp4: frames' in text
        assert '90/90' in text
    else:
        assert text == 'v.mp4: frames: 40 of 90, 11 s\nv.mp4: frames: 90 of 90, 22 s\nv.mp4: clips: 1, 11 s\n'


def test_sigterm_ends_it_as_ctrl_c_does(monkeypatch, capsys):
    taken = {}
    monkeypatch.setattr(signal, 'signal', taken.__setitem__)
    monkeypatch.setattr(sys, 'argv', ['predict', '--help'])
    monkeypatch.delitem(sys.modules, 'dualatme_jax.predict')
    with pytest.raises(SystemExit):
        runpy.run_module('dualatme_jax.predict', run_name='__main__')
    assert 'VIDEO' in capsys.readouterr().out
    assert taken == {signal.SIGTERM: signal.default_int_handler}


def test_a_full_disk_costs_one_video_and_a_stop_none(monkeypatch, tmp_path, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, 'No space left on device', 'v.mp4')

    monkeypatch.setattr(video, 'answer', full)
    assert predict.main(['a.mp4', 'b.mp4', '--out', str(tmp_path)]) == 2
    assert capsys.readouterr().err.count('make room on its disk') == 2

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(video, 'answer', stopped)
    assert predict.main(['a.mp4', '--out', str(tmp_path)]) == 130
    assert 'the same command goes on' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('training', 'here', 'said'),
    [
        ([100.0, 200.0], [25.0, 25.0], [['frames a second', '100 to 200', '25']]),
        ([200.0, 200.0], [29.97, 29.97], [['frames a second', '200', '29.97']]),
        ([30.0, 200.0], [29.97, 29.97], []),
        ([25.0, 25.0], [60.0, 60.0], []),
        (None, [25.0, 25.0], []),
        ([200.0, 200.0], None, []),
    ],
)
def test_fewer_frames_a_second_than_in_training_are_said_with_their_numbers(found, training, here, said):
    found = dataclasses.replace(found, frame_rates=training)
    own = {'recipe': dict(found.dataset), 'frame_rates': here, 'flags': ['blurred'], 'note': 'pip'}
    about = video._provenance(pathlib.Path('v.mp4'), '', found, own)
    assert about['differences'] == said
    flags = [f'{rate} frames a second, and {there} in training' for _, there, rate in said]
    assert about['flags'] == ['blurred', 'pip', *flags, 'networks trained on drawn clips']


def test_what_stands_beside_scores_stands_beside_percentages_of_them(found):
    own = {'recipe': dict(found.dataset), 'frame_rates': None}
    marked = dataclasses.replace(found, marks=['The clips are synthetic.'])
    assert video._provenance(pathlib.Path('v.mp4'), '', marked, own)['flags'] == [
        'networks trained on drawn clips',
        'how often answers were right: The clips are synthetic.',
    ]
    unknown = dataclasses.replace(marked, rates=None, dataset={'release': 'casme2'})
    assert video._provenance(pathlib.Path('v.mp4'), '', unknown, own)['flags'] == []


def test_a_single_network_has_no_spread(found, console, monkeypatch):
    alone = dataclasses.replace(found, variables=jax.tree.map(lambda leaf: leaf[:1], found.variables))
    monkeypatch.setattr(predicting, 'probabilities', lambda *_: np.array([[[0.9, 0.05, 0.05]]]))
    events, _ = video._answered(
        pd.DataFrame({'expression': [True], 'flags': ['']}), dataset(alone, 1), [0], alone, console
    )
    assert np.isnan(events['spread'][0])
    said = answer_page.answer_in_words(events.iloc[0], {})
    assert said == f'negative, {events["prob_negative"][0]:.2f}'


def test_a_macro_expression_has_no_percentage_of_micro_expressions(found, console, monkeypatch):
    chances = np.tile([0.98, 0.01, 0.01], (found.size, 2, 1))
    monkeypatch.setattr(predicting, 'probabilities', lambda *_: chances)
    both = pd.DataFrame({'expression': [True, True], 'kind': ['micro', 'macro'], 'flags': ['', '']})
    events, _ = video._answered(both, dataset(found, 2), [0, 1], found, console)
    assert events['answer'].tolist() == ['negative'] * 2
    assert events['right'].isna().tolist() == [False, True]
    about = video._provenance(pathlib.Path('v.mp4'), '', found, {'recipe': {}, 'frame_rates': None})
    micro, macro = (answer_page.answer_in_words(row, about) for row in events.to_dict('records'))
    assert '93% of 126' in micro
    assert macro.endswith('of macro-expressions, nobody has counted')


def test_damaged_inputs_are_named(found, tmp_path):
    (tmp_path / 'inputs.npz').write_bytes(b'PK nonsense')
    (tmp_path / 'inputs.json').write_text('{}')
    with pytest.raises(InputError, match='is not what the data stage writes'):
        video.clips(tmp_path, found)


def test_an_expression_that_was_left_out_says_why(found, tmp_path):
    written_answer.found(tmp_path, left_out={2: 'the face lies partly outside of the frame'})
    dataset, numbers, left_out = video.clips(tmp_path, found)
    assert (dataset.size, numbers) == (1, [0])
    assert 'left_out' not in dataset.metadata, 'it is no recipe, which is compared with that of the training'
    events = video._flagged(video._events(tmp_path), left_out)
    assert events['flags'].tolist() == ['', 'blink', 'the face lies partly outside of the frame']
    row = {**events.iloc[2], 'class': '', 'answer': 'cannot tell'}
    said = 'cannot tell (the face lies partly outside of the frame)'
    assert answer_page.answer_in_words(row, {}) == said


def test_an_answer_within_the_folder_of_its_images_does_not_change_them(tmp_path):
    (tmp_path / '1.png').write_bytes(b'a picture')
    own = tmp_path / 'answers' / tmp_path.name
    before = video._content(tmp_path, own, [])
    own.mkdir(parents=True)
    (own / 'report.html').touch()
    assert video._content(tmp_path, own, []) == before
    (tmp_path / '2.png').write_bytes(b'another')
    assert video._content(tmp_path, own, []) != before


def test_what_is_computed_with_is_all_code_and_what_finds_faces():
    code, versions = video._software()
    assert len(code) == 64
    assert 'dlib-bin' in video._PACKAGES
    assert versions['numpy'] == np.__version__
