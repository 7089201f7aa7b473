"""The page of an answer, of a hand-made folder."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
import written_answer
from PIL import Image
from scipy import ndimage

from dualatme_jax.errors import InputError
from dualatme_jax.report import answer_page
from dualatme_jax.report.pictures import of_expression, timeline


def test_it_says_what_happened_how_sure_that_is_and_what_it_is_not(tmp_path):
    about = written_answer.answered(tmp_path)
    text = answer_page.html(tmp_path, about)
    for words in (
        'no lie detector',
        'positive, 0.80 ± 0.05; of 52 such answers 67% were right.',
        'cannot tell (most probable is positive, 0.55 ± 0.20)',
        'This makes the answer uncertain: few frames a second.',
        'was fitted on SMIC',
        'negative 40%, positive 60%',
        '2 of 7 such clips',
        'What moves less than the dashed threshold, 0.5 px, is not found',
        'matched nothing that a person had marked',
        'DualTVL1OpticalFlow',
        'python -m data_prep video v.mp4',
    ):
        assert words in text, words
    assert '<script>alert' not in text
    assert text.count('<img') == 5, 'onset, apex and attention of one, onset and apex of the other'
    assert answer_page.NOBODY_KNOWS not in text


def test_of_networks_that_say_nothing_nobody_knows(tmp_path):
    text = answer_page.html(tmp_path, written_answer.answered(tmp_path, known=False))
    assert text.count(answer_page.NOBODY_KNOWS) == 2, 'above all, and where it is said how far to trust it'


def test_clips_of_a_dataset_have_no_pictures_however_many_they_are(tmp_path):
    about = written_answer.answered(tmp_path) | {'unit': 'clips'}
    shutil.rmtree(tmp_path / 'frames')
    (tmp_path / 'signals.csv').unlink()
    said = pd.read_csv(tmp_path / 'events.csv', keep_default_na=False).iloc[:1]
    said = said[['expression', 'prob_negative', 'prob_positive', 'class', 'answer', 'spread']]
    names = pd.DataFrame(
        {'database': 'long_videos', 'subject': 's1', 'clip': [f'a#{n}-9' for n in range(60)]}
    )
    names.merge(said, how='cross').to_csv(tmp_path / 'events.csv', index=False)
    text = answer_page.html(tmp_path, about)
    assert 'a#59-9' in text
    assert '<img' not in text


def test_a_folder_without_its_table_is_named(tmp_path):
    about = written_answer.answered(tmp_path)
    (tmp_path / 'events.csv').write_text('a,b\n1,2\n')
    with pytest.raises(InputError, match='is not what `predict` writes'):
        answer_page.html(tmp_path, about)


def test_the_timeline_has_a_span_per_event_and_keeps_the_peaks_of_a_long_signal(tmp_path):
    about = written_answer.answered(tmp_path)
    events = answer_page._table(tmp_path / 'events.csv')
    signals = pd.read_csv(tmp_path / 'signals.csv')
    figure = timeline.timeline(signals, events, about['threshold_px'], about['labels'])
    assert len(figure.axes[0].patches) == len(events)
    strength = np.random.default_rng(0).normal(size=50_000)
    strength[12_345] = 99
    seconds, kept = timeline._thinned(np.arange(50_000) / 30, strength)
    assert len(seconds) <= timeline._MOST
    assert kept.max() == 99
    assert abs(seconds[kept.argmax()] - 12_345 / 30) < 1


def test_a_map_lies_over_its_picture():
    own = np.zeros((4, 4))
    own[1, 2] = 1
    grey = np.full((64, 64, 3), 0.5)
    found = np.asarray(Image.open(io.BytesIO(of_expression.looked(grey, own))), float).sum(-1)
    y, x = ndimage.center_of_mass(np.maximum(found - np.median(found), 0))
    assert (y, x) == pytest.approx((23.5, 39.5), abs=1.5)  # the middle of the second row, third column
