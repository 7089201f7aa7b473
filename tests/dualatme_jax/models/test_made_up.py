"""Systems of pictures, of clips and of scikit-learn, each added as one file, go the whole way of a run."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from data_prep.dataset import writer
from data_prep.synthetic import embedded
from data_prep.views.apex import ApexView
from data_prep.views.frames import FramesView
from dualatme_jax.data import dataset

TESTS = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two subjects of each database, with faces of 56x56 and two clips of 6x32x32."""
    folder = tmp_path_factory.mktemp('data') / 'pictures'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, 'CLIPS', ((2, 1, 1), (1, 1, 1)))
        views = (ApexView(face_size=56), FramesView(frames=6, size=32))
        writer.write(embedded.render(algorithm='dis', show=views), folder)
    return folder


def run(folder, workdir, *, until=None):
    """The command; killed as soon as `until` files are there in the workdir, or let go on to its end."""
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    config = f'--config={TESTS / "made_up" / "config.py"}:{folder}'
    command = [sys.executable, '-m', 'dualatme_jax.main', config, f'--workdir={workdir}']
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=TESTS.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while until and process.poll() is None:
        if len([*workdir.glob('waves/*/checksums.json')]) >= until:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.05)
    said, _ = process.communicate(timeout=500)
    return process.returncode, said


@pytest.mark.slow
def test_made_up_systems_are_killed_continued_swept_and_compared_with_a_published_one(folder, tmp_path):
    clips = dataset.load(folder, reads=('onset_face', 'face_frames', 'flow'))
    assert clips.inputs['onset_face'].shape[1:] == (56, 56, 3)
    assert clips.inputs['face_frames'].shape[1:] == (6, 32, 32, 3)

    status, said = run(folder, tmp_path / 'run', until=3)
    assert status == -signal.SIGKILL, said
    kept = pd.read_csv(tmp_path / 'run' / 'trials.csv')
    assert 0 < (kept['status'] == 'done').sum() < len(kept)
    status, said = run(folder, tmp_path / 'run')
    assert status == 0, said
    trials = pd.read_csv(tmp_path / 'run' / 'trials.csv')
    assert (trials['status'] == 'done').all()
    ended = kept['status'] == 'done'
    assert (trials['seconds'][ended] == kept['seconds'][ended]).all()  # and is not trained again

    board = pd.read_csv(tmp_path / 'run' / 'leaderboard.csv')
    names = board['system'].str.partition(',')[0]
    points = {'ststnet': 1, 'made_up.two_faces': 1, 'made_up.two_clips': 1, 'made_up.histogram': 2}
    assert names[~names.str.startswith('guesser')].value_counts().to_dict() == points
    results = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert [row['system'] for row in results['leaderboard']] == board['system'].tolist()
    predictions = pd.read_csv(tmp_path / 'run' / 'epoch_predictions.csv')
    assert (predictions.groupby('trial').size() > 0).all()
    assert np.isfinite(predictions.filter(like='prob_').to_numpy()).all()
