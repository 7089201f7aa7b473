import dataclasses
import errno
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import written_answer

from dualatme_jax import predict
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import answer_page
from dualatme_jax.run import predicting, video


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
    from rich.console import Console

    return Console(quiet=True)


def test_clips_of_another_form_are_refused(found, console):
    small = dataset(found, 2)
    with pytest.raises(InputError, match=r'read flow of shape \[28, 28, 3\], uint8, and the clips have'):
        predicting.probabilities(
            found,
            Dataset(**{**vars(small), 'inputs': {'flow': small.inputs['flow'].astype(np.float32)}}),
            console,
        )


def test_what_cannot_be_answered_is_named_and_ends_with_status_2(capsys, tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty').mkdir()
    arguments = [str(tmp_path / name) for name in ('text.mp4', 'missing.mp4', 'empty')]
    status = predict.main([*arguments, '--out', str(tmp_path / 'out')])
    err = capsys.readouterr().err
    assert status == 2
    assert 'not a video' in err
    assert 'no such file' in err
    assert 'holds no frames' in err
    assert 'Traceback' not in err


def test_two_videos_of_one_name_are_refused(tmp_path):
    paths = [pathlib.Path('a/clip.mp4'), pathlib.Path('b/clip.avi')]
    with pytest.raises(InputError, match="several videos are called 'clip'"):
        predict._folders(paths, tmp_path)


def stage(calls):
    """A data stage that leaves a hand-made folder."""

    def run(arguments):
        calls.append(arguments)
        if arguments[0] == 'video':
            folder = pathlib.Path(arguments[arguments.index('--out') + 1])
            written_answer.found(folder, name=arguments[1])
        else:
            pathlib.Path(arguments[1], video.FILM).write_bytes(b'film')

    return run


@pytest.mark.slow
def test_an_answer_is_whole_and_the_same_command_does_not_look_again(found, console, tmp_path, monkeypatch):
    path, folder, calls = tmp_path / 'v.mp4', tmp_path / 'out' / 'v', []
    path.write_bytes(b'a video')
    monkeypatch.setattr(video, '_data_stage', stage(calls))
    answer = video.answer(path, folder, found, ['--face', '1'], console)
    assert [call[0] for call in calls] == ['video', 'annotate']
    assert calls[0][-2:] == ['--like', str(folder / video.LIKE)]
    assert json.loads((folder / video.LIKE).read_text())['inputs']['flow']['shape'] == [28, 28, 3]
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

    again = video.answer(path, folder, found, ['--face', '1'], console)
    assert again.before
    assert len(calls) == 2
    pd.testing.assert_frame_equal(again.events, answer.events)
    monkeypatch.setattr(video, '_data_stage', broken)
    with pytest.raises(OSError, match='No space'):
        video.answer(path, folder, found, ['--face', '2'], console)  # another question
    assert not (folder / video.ANSWER).exists(), 'what is begun anew is not whole'
    monkeypatch.setattr(video, '_data_stage', stage(calls))
    unknown = dataclasses.replace(found, rates=None)
    answer = video.answer(path, folder, unknown, ['--face', '1'], console, film=False)
    assert [call[0] for call in calls[2:]] == ['video']
    assert not (folder / video.FILM).exists(), 'it shows another answer'
    assert answer.about['sentences'] == {}
    assert answer.events['right'].isna().all()


def broken(arguments):
    raise OSError(errno.ENOSPC, 'No space left on device', 'v.mp4')


def test_an_answer_of_another_video_is_not_overwritten(found, console, tmp_path):
    (tmp_path / video.ANSWER).write_text(json.dumps({'identity': 'x', 'path': '/a/v.mp4'}))
    with pytest.raises(InputError, match=r'holds the answer of /a/v\.mp4; give another --out'):
        video.answer(tmp_path / 'v.mp4', tmp_path, found, [], console)


def test_a_folder_of_something_else_is_left_alone(found, console, tmp_path):
    own = tmp_path / 'v' / 'frames' / '1.png'
    own.parent.mkdir(parents=True)
    own.write_bytes(b'mine')
    with pytest.raises(InputError, match='holds files that are no answer; give another --out'):
        video.answer(tmp_path / 'v.mp4', tmp_path / 'v', found, [], console)
    assert own.read_bytes() == b'mine'


def test_the_data_stage_says_what_is_wrong_and_an_end_without_words_is_named(tmp_path, monkeypatch, capfd):
    program = tmp_path / 'python'
    monkeypatch.setattr(video.sys, 'executable', str(program))
    for last, fault in (('error: no face', '^no face$'), ('v.mp4: frames: 9, 20 s', 'ended with status 3')):
        program.write_text(f'#!/bin/sh\necho {last!r} >&2\nexit 3\n')
        program.chmod(0o755)
        with pytest.raises(InputError, match=fault):
            video._data_stage(['video'])
    assert capfd.readouterr().err == 'v.mp4: frames: 9, 20 s\n'


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


def test_damaged_inputs_are_named(found, tmp_path):
    (tmp_path / video.INPUTS).write_bytes(b'PK nonsense')
    (tmp_path / video.RECIPE).write_text('{}')
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
