import itertools
import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from dualatme_jax import schema, score, spot
from dualatme_jax.errors import InputError
from dualatme_jax.report import results
from dualatme_jax.report.spotting import from_scores, intervals, metrics
from dualatme_jax.report.spotting.from_scores import GRID, HALVES, Scored

RATE = 10
COLUMNS = [*schema.PREDICTION_COLUMNS, 'prob_neutral', 'prob_expression']


def bumps(frames, *centres, width=6.0, heights=None):
    x = np.arange(frames)
    heights = heights or [1.0] * len(centres)
    return sum(height * np.exp(-(((x - c) / width) ** 2)) for c, height in zip(centres, heights, strict=True))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.lists(st.floats(-5, 5), min_size=30, max_size=60), st.integers(1, 6), st.sampled_from(GRID))
def test_peaks_are_those_above_the_threshold_and_apart(values, half, p):
    """By definition, of the moving mean as NumPy convolves it."""
    values = np.array(values)
    padded = np.pad(values, half, mode='edge')
    means = np.convolve(padded, np.ones(2 * half + 1), 'valid') / (2 * half + 1)
    np.testing.assert_allclose(from_scores.smoothed(values, half), means, atol=1e-9)
    found = from_scores.peaks(from_scores.smoothed(values, half), half, p)
    threshold = means.mean() + p * (means.max() - means.mean())
    assert (means[found] >= threshold - 1e-9).all()
    assert (np.diff(found) >= half).all()
    high = {
        n
        for n in range(1, len(means) - 1)
        if means[n - 1] + 1e-9 < means[n] > means[n + 1] + 1e-9 and means[n] > threshold + 1e-9
    }
    # One that is left out is near a higher one.
    for n in high - {*found.tolist()}:
        assert any(abs(n - other) < half and means[other] >= means[n] for other in found)


def test_an_interval_lies_around_its_peak_and_has_the_length_in_seconds():
    video = Scored(('s', 'v'), 30.0, bumps(600, 150, 400))
    [found] = from_scores.found(video, 0.5, [0.5])
    assert found.tolist() == [[135, 165], [385, 415]]
    # One that fits exactly overlaps by 1, one that is 11 frames off of 31 by 20/42, which is too little.
    left, right, overlap = metrics.pairs(np.array([[135, 165], [396, 426]]), found)
    assert (left.tolist(), right.tolist(), overlap.tolist()) == ([0], [0], [1.0])


def release(seed=0, subjects=3):
    """Videos whose truth is known: true peaks are higher than others by a margin that differs by subject."""
    random = np.random.default_rng(seed)
    videos, truth = [], []
    for number in range(subjects):
        centres = np.arange(30, 370, 40)
        true = random.random(len(centres)) < 0.5
        true[0] = True
        heights = np.where(true, 1.0, random.uniform(0.2, 0.9, len(centres))).tolist()
        key = f's{number}', f'v{number}'
        noise = random.normal(0, 0.02, 400)
        videos.append(Scored(key, RATE, bumps(400, *centres, heights=heights) + noise))
        lengths = random.integers(4, 8, len(centres))
        truth += [
            [*key, c - n, c + n, ''] for c, n, is_true in zip(centres, lengths, true, strict=True) if is_true
        ]
    return videos, intervals.of_rows(truth)


def said_of(video, half, p):
    n = round(half * video.rate)
    centres = from_scores.peaks(from_scores.smoothed(video.scores, n), n, p)
    return [(int(centre) - n, int(centre) + n) for centre in centres]


def counts(video, truth, half, p):
    """Brute force: as many pairs as there can be, in frames, by SciPy's matching of bipartite graphs."""
    said = [{*range(a, b + 1)} for a, b in said_of(video, half, p)]
    shown = [{*range(a, b + 1)} for a, b in truth]
    edges = [[len(a & b) / len(a | b) >= 0.5 for b in shown] for a in said]
    hits = maximum_bipartite_matching(csr_array(edges), perm_type='column') >= 0 if said else np.zeros(0)
    return np.array([hits.sum(), len(said) + len(shown)])


def test_threshold_and_length_of_each_subject_are_the_best_on_the_others():
    videos, truth = release()
    found = from_scores.spot(videos, truth)
    by_video = []
    for video in videos:
        true = truth.loc[truth['video'] == video.key[1], intervals.ENDS].to_numpy()
        every = itertools.product(HALVES, GRID)
        by_video.append({(half, p): counts(video, true, half, p) for half, p in every})
    for place, row in enumerate(found.thresholds.itertuples()):
        others = by_video[:place] + by_video[place + 1 :]
        sums = {key: sum(each[key] for each in others) for key in by_video[0]}
        f1 = {key: 2 * hits / of for key, (hits, of) in sums.items()}
        assert row.f1_others == pytest.approx(max(f1.values()))
        best = [(p, -half) for (half, p), value in f1.items() if value == max(f1.values())]
        assert (row.p, -row.half_seconds) == max(best)
        mine = found.predicted[found.predicted['subject'] == row.subject]
        ends = mine[intervals.ENDS].to_numpy().tolist()
        assert ends == [[*each] for each in said_of(videos[place], row.half_seconds, row.p)]
    assert found.thresholds['f1_others'].min() > 0.5


def test_a_subject_s_own_truth_decides_nothing_for_it():
    videos, truth = release()
    own = truth['subject'] == 's1'
    other = pd.concat([truth[~own], intervals.of_rows([['s1', 'v1', 0, 399, '']])], ignore_index=True)
    found, again = (from_scores.spot(videos, each).thresholds.set_index('subject') for each in (truth, other))
    pd.testing.assert_series_equal(found.loc['s1'], again.loc['s1'])
    assert not found.equals(again)
    published = from_scores.spot(videos, truth, as_published=True).thresholds
    assert set(published['p']) == {0.55}
    lengths = truth['offset'] - truth['onset'] + 1
    np.testing.assert_allclose(published['half_seconds'], lengths.mean() / RATE / 2)


def run_of(videos, folder, every=2, seeds=(0, 1)):
    """A predictions table whose log odds are the scores, and their means over seeds; and the tables."""
    rows = []
    for video, seed in itertools.product(videos, seeds):
        for frame in range(0, len(video.scores), every):
            s = video.scores[frame] + (0.3 if seed else -0.3)
            p = 1 / (1 + np.exp(1 - 2 * s))
            clip = f'{video.key[1]}#{frame:06}'
            rows.append([seed, seed, 'long_videos', video.key[0], clip, 0, int(p > 0.5), 1 - p, p])
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / 'predictions.csv', index=False)
    lengths = [[*video.key, len(video.scores), RATE] for video in videos]
    columns = ['subject', 'video', 'frames', 'frame_rate']
    pd.DataFrame(lengths, columns=columns).to_csv(folder / 'videos.csv', index=False)


@pytest.fixture
def run(tmp_path):
    videos, truth = release()
    run_of(videos, tmp_path / 'run')
    truth.assign(emotion='positive').to_csv(tmp_path / 'run' / 'truth.csv', index=False)
    return tmp_path / 'run'


def test_the_command_writes_what_score_reads(run, capsys):
    source = ['--source', str(run), '--resamples', '20']
    assert spot.main([str(run), *source]) == 0
    shown = capsys.readouterr().out
    assert 'False alarms an hour' in shown
    assert 'LEAKS' not in shown
    own = json.loads((run / 'spotting' / 'scores.json').read_text())
    # A line between frames is what the scores nearly are, and an affine map moves no peak.
    videos, truth = release()
    expected = from_scores.spot(videos, truth)
    assert abs(own['tp'] - len(metrics.match(truth, expected.predicted).truth)) <= 1
    tables = str(run / 'truth.csv'), str(run / 'spotting' / 'predicted.csv')
    out = run / 'again.json'
    given = [
        '--spotting',
        *tables,
        '--videos',
        str(run / 'videos.csv'),
        '--json',
        str(out),
        '--resamples',
        '20',
    ]
    assert score.main(given) == 0
    assert 'names no emotions: spotting alone is scored' in capsys.readouterr().out
    assert json.loads(out.read_text())['metrics'] == own['metrics']
    assert spot.main([str(run), *source, '--as-published']) == 0
    assert 'LEAKS: the threshold p = 0.55' in capsys.readouterr().out
    folder = run / 'spotting_as_published'
    leaks = json.loads((folder / 'scores.json').read_text())['notice']
    assert leaks.startswith('LEAKS')
    assert set(pd.read_csv(folder / 'thresholds.csv')['notice']) == {leaks}
    # The mark goes with the table: by `score` too, beside that of a truth that is drawn.
    truth = (run / 'truth.csv').read_text().splitlines()
    drawn = [line + f',{schema.ALL_SYNTHETIC if number else "notice"}' for number, line in enumerate(truth)]
    (run / 'truth.csv').write_text('\n'.join(drawn))
    predicted = shutil.copy(folder / 'predicted.csv', run / 'elsewhere.csv')
    assert score.main(['--spotting', tables[0], str(predicted), *given[3:]]) == 0
    assert 'LEAKS: the threshold p = 0.55' in capsys.readouterr().out
    assert json.loads(out.read_text())['notice'].splitlines() == [schema.ALL_SYNTHETIC, leaks]
    assert spot.main([str(run), *source, '--as-published']) == 0
    marked = pd.read_csv(folder / 'predicted.csv')['notice']
    assert set(marked) == {f'{schema.ALL_SYNTHETIC} | {leaks}'}


def change(file, old, new):
    def apply(run):
        text = (run / file).read_text()
        assert old in text
        (run / file).write_text(text.replace(old, new))

    return apply


def without(file, word):
    def apply(run):
        lines = (run / file).read_text().splitlines(keepends=True)
        (run / file).write_text(''.join(line for line in lines if word not in line))

    return apply


@pytest.mark.parametrize(
    ('fault', 'options', 'message'),
    [
        (without('videos.csv', 'v1'), (), 'not s1/v1, of which there are intervals'),
        (without('predictions.csv', 'v2#'), (), 'the run has no window of s2/v2, nor of any video'),
        (change('predictions.csv', 'v2#', 'w2#'), (), 'windows of s2/w2, which is not among the 3 videos'),
        (change('predictions.csv', '#', '-'), (), "the clip 'v0-000000' is no window; expected VIDEO#FRAME"),
        (change('predictions.csv', 'prob_neutral', 'prob_none'), (), 'the classes are none, expression'),
        (without('predictions.csv', '#'), (), 'predictions.csv'),
        (without('predictions.csv', ''), (), 'predictions.csv: an empty file'),
        (without('truth.csv', 's'), (), 'truth.csv: an empty file'),
        (change('videos.csv', ',400,', ',12,'), ('--half', '1'), 'has 12 frames, and an interval takes 21'),
        (None, ('--half', '0'), '--half 0: expected seconds, above 0'),
        (None, ('--half', '1', '--as-published'), '--half with --as-published'),
    ],
)
def test_what_cannot_be_spotted_is_named(run, capsys, fault, options, message):
    if fault:
        fault(run)
    assert spot.main([str(run), '--source', str(run), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (run / 'spotting').exists()


def test_what_is_true_of_a_video_without_windows_is_missed(run, capsys):
    with (run / 'videos.csv').open('a') as table:
        table.write('s2,dark,400,10\n')
    with (run / 'truth.csv').open('a') as table:
        table.write('s2,dark,10,20,positive\n')
    source = ['--source', str(run), '--resamples', '20']
    assert spot.main([str(run), *source, '--out', str(run / 'with')]) == 0
    assert 's2/dark: no window could be made of it' in capsys.readouterr().out
    without('videos.csv', 'dark')(run)
    without('truth.csv', 'dark')(run)
    assert spot.main([str(run), *source, '--out', str(run / 'without')]) == 0
    longer, own = (json.loads((run / name / 'scores.json').read_text()) for name in ('with', 'without'))
    assert [longer[name] for name in ('tp', 'fp', 'fn')] == [own['tp'], own['fp'], own['fn'] + 1]


@pytest.fixture
def of_kinds(tmp_path):
    """A run for each kind: what it says, and the truth, are those of another draw."""
    tables = {}
    for seed, kind in enumerate(intervals.KINDS):
        videos, truth = release(seed)
        run_of(videos, tmp_path / kind)
        tables[kind] = truth.drop(columns='emotion').assign(kind=kind)
    for kind in intervals.KINDS:
        pd.concat(tables.values()).to_csv(tmp_path / kind / 'truth.csv', index=False)
    return tmp_path


def test_each_kind_has_thresholds_and_lengths_of_its_own(of_kinds, capsys):
    given = ['--source', str(of_kinds / 'micro'), '--resamples', '20', '--out', str(of_kinds / 'out')]
    assert spot.main([f'{kind}={of_kinds / kind}' for kind in intervals.KINDS] + given) == 0
    predicted, thresholds = (
        pd.read_csv(of_kinds / 'out' / f'{name}.csv') for name in ('predicted', 'thresholds')
    )
    scores = json.loads((of_kinds / 'out' / 'scores.json').read_text())
    shown = capsys.readouterr().out
    for kind in intervals.KINDS:
        one = [f'{kind}={of_kinds / kind}', *given[:-1], str(of_kinds / 'one')]
        assert spot.main(one) == 0
        alone = {name: pd.read_csv(of_kinds / 'one' / f'{name}.csv') for name in ('predicted', 'thresholds')}
        for together, name in ((predicted, 'predicted'), (thresholds, 'thresholds')):
            rows = together[together['kind'] == kind].reset_index(drop=True)
            pd.testing.assert_frame_equal(rows, alone[name])
        own = json.loads((of_kinds / 'one' / 'scores.json').read_text())
        assert scores['kinds'][kind] == own
        assert own['tp'] + own['fn'] == len(release(intervals.KINDS.index(kind))[1])
        assert f'{kind}: p ' in shown
    assert scores['tp'] + scores['fn'] == sum(own['tp'] + own['fn'] for own in scores['kinds'].values())
    tables = str(of_kinds / 'micro' / 'truth.csv'), str(of_kinds / 'out' / 'predicted.csv')
    out = str(of_kinds / 'again.json')
    assert score.main(['--spotting', *tables, '--kind', 'macro', '--json', out]) == 0
    assert json.loads(pathlib.Path(out).read_text())['tp'] == scores['kinds']['macro']['tp']


def test_a_run_on_windows_of_one_kind_is_of_that_kind(of_kinds, capsys):
    results.write({'dataset': {'windows': {'kind': 'macro'}}}, of_kinds / 'macro' / 'results.json')
    given = ['--source', str(of_kinds / 'macro'), '--resamples', '20']
    assert spot.main([str(of_kinds / 'macro'), *given]) == 0
    assert set(pd.read_csv(of_kinds / 'macro' / 'spotting' / 'predicted.csv')['kind']) == {'macro'}
    micro, macro = (str(of_kinds / kind) for kind in intervals.KINDS)
    out = ['--out', str(of_kinds / 'out')]
    for arguments, message in (
        ([f'micro={macro}'], 'is trained on macro-expressions; expected macro='),
        ([f'mikro={macro}'], 'expected its folder, alone or after one of micro=, macro='),
        ([micro, macro, *out], 'expected one RUN for all expressions, or one for each kind'),
        ([f'micro={micro}', f'micro={micro}', *out], 'expected one RUN for all expressions'),
        ([f'micro={micro}', macro, '--half', '1', *out], '--half with two runs'),
        ([f'micro={micro}', macro], '--out is missing'),
    ):
        assert spot.main([*arguments, *given]) == 2
        assert message in capsys.readouterr().err
    (of_kinds / 'macro' / 'truth.csv').write_text('subject,video,onset,offset\ns0,v0,1,2\n')
    assert spot.main([f'micro={micro}', *given]) == 2
    assert 'truth.csv has no column kind' in capsys.readouterr().err


def test_one_subject_with_expressions_cannot_choose_for_itself():
    videos, truth = release()
    with pytest.raises(InputError, match='no other subject than s2 has an expression'):
        from_scores.spot(videos, truth[truth['subject'] == 's2'])
    with pytest.raises(InputError, match='no other subject than s0 has an expression'):
        from_scores.spot(videos, truth[:0])
    with pytest.raises(InputError, match='there is no true expression'):
        from_scores.spot(videos, truth[:0], as_published=True)
