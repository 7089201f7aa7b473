import itertools
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from dualatme_jax import score
from dualatme_jax.errors import InputError
from dualatme_jax.report.spotting import intervals, metrics

EXAMPLE = pathlib.Path(__file__).parents[4] / 'shared/data/strs_metric'
EMOTIONS = ('anger', 'joy', 'surprise')


def table(rows):
    return pd.DataFrame(rows, columns=intervals.COLUMNS)


@st.composite
def tables(draw):
    rows = st.lists(
        st.tuples(
            st.sampled_from(('s1', 's2', 's3')),
            st.sampled_from(('v1', 'v2')),
            st.integers(-3, 12),
            st.integers(0, 6),
            st.sampled_from(EMOTIONS),
        ),
        max_size=7,
    )
    return table([(who, video, on, on + length, emotion) for who, video, on, length, emotion in draw(rows)])


def frames(row):
    return {*range(row.onset, row.offset + 1)}


def iou(a, b):
    return len(frames(a) & frames(b)) / len(frames(a) | frames(b))


def allowed(truth, predicted):
    return [
        (i, j)
        for i, a in enumerate(truth.itertuples())
        for j, b in enumerate(predicted.itertuples())
        if (a.subject, a.video) == (b.subject, b.video) and iou(a, b) >= metrics.LEAST
    ]


def most_pairs(edges):
    """The largest number of edges of which no two share an end, by trying all."""
    for size in range(min(len({i for i, _ in edges}), len({j for _, j in edges})), 0, -1):
        for some in itertools.combinations(edges, size):
            if len({i for i, _ in some}) == len({j for _, j in some}) == size:
                return size
    return 0


@settings(max_examples=30, deadline=None)
@given(tables(), tables())
def test_as_many_are_paired_as_can_be_each_once_and_overlapping_enough(truth, predicted):
    found = metrics.match(truth, predicted)
    edges = allowed(truth, predicted)
    pairs = [*zip(found.truth.tolist(), found.predicted.tolist(), strict=True)]
    assert {*pairs} <= {*edges}
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    if len(edges) < 12:
        assert len(pairs) == most_pairs(edges)
    for (i, j), overlap in zip(pairs, found.overlap, strict=True):
        assert overlap == pytest.approx(iou(truth.iloc[i], predicted.iloc[j]))


@settings(max_examples=30, deadline=None)
@given(tables(), tables())
def test_counts_and_ratios(truth, predicted):
    assume(len(truth) + len(predicted))
    result = metrics.score(intervals.Given(truth, predicted), resamples=20)
    pairs = len(metrics.match(truth, predicted).truth)
    assert (result['tp'], result['fp'], result['fn']) == (pairs, len(predicted) - pairs, len(truth) - pairs)
    expected = 2 * pairs / (len(truth) + len(predicted))
    assert result['metrics']['f1']['value'] == pytest.approx(expected)
    for own in result['metrics'].values():
        assert own['value'] is None or 0 <= own['value'] <= 1
        if own['interval']:
            assert 0 <= own['interval'][0] <= own['interval'][1] <= 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EMOTIONS), st.sampled_from(EMOTIONS)), min_size=1, max_size=12))
def test_the_analysis_of_what_was_found_agrees_with_scikit_learn(pairs):
    truth, given_as = zip(*pairs, strict=True)
    # Each is found, and one emotion more is missed, which says nothing of the analysis.
    rows = [('s', str(n), 1, 9, emotion) for n, emotion in enumerate(truth)]
    said = [('s', str(n), 1, 9, emotion) for n, emotion in enumerate(given_as)]
    result = metrics.score(
        intervals.Given(table([*rows, ('s', 'other', 1, 9, 'fear')]), table(said)), resamples=5
    )
    found = {name: own['value'] for name, own in result['metrics'].items()}
    both = {'y_true': truth, 'y_pred': given_as, 'average': 'macro', 'zero_division': 0}
    p, r = sklearn_metrics.precision_score(**both), sklearn_metrics.recall_score(**both)
    assert found['precision_analysis'] == pytest.approx(p)
    assert found['recall_analysis'] == pytest.approx(r)
    assert found['uf1'] == pytest.approx(sklearn_metrics.f1_score(**both))
    had = sorted({*truth})
    assert found['uar'] == pytest.approx(
        sklearn_metrics.recall_score(truth, given_as, labels=had, average='macro', zero_division=0)
    )
    if p + r:
        assert found['f1_analysis'] == pytest.approx(2 * p * r / (p + r))
        assert found['strs'] == pytest.approx(found['f1'] * found['f1_analysis'])


@settings(max_examples=40, deadline=None)
@given(tables(), tables())
def test_the_public_tool_by_its_rules_in_words(truth, predicted):
    """Predictions in their order claim every true interval that is left; silent subjects do not exist."""
    assume(len(truth) + len(predicted))
    tp, fp, left = [], 0, {*range(len(truth))}
    speaking = {*predicted['subject']}
    left = {i for i in left if truth['subject'][i] in speaking}
    videos = {(truth['subject'][i], truth['video'][i]) for i in left}
    for row in predicted.itertuples():
        if (row.subject, row.video) not in videos:
            continue
        own = [
            i
            for i in sorted(left)
            if (truth['subject'][i], truth['video'][i]) == (row.subject, row.video)
            and iou(truth.iloc[i], row) >= 0.5
        ]
        left -= {*own}
        tp += [(truth['emotion'][i], row.emotion) for i in own]
        fp += not own
    found = metrics.by_public_tool(truth, predicted)
    assert (found['TP spotting'], found['FP spotting'], found['FN spotting']) == (len(tp), fp, len(left))
    classes = sorted({*truth['emotion'], *predicted['emotion']})
    if tp:
        # Each class by itself, 0 where there is nothing to divide by.
        single = {'labels': classes, 'average': 'macro', 'zero_division': 0}
        a, b = zip(*tp, strict=True)
        p, r = (
            metric(a, b, **single)
            for metric in (sklearn_metrics.precision_score, sklearn_metrics.recall_score)
        )
        assert found['UAR analysis'] == pytest.approx(p)
        together = 2 * p * r / (p + r) if p + r else 0
        assert found['STRS'] == pytest.approx(2 * len(tp) / (2 * len(tp) + fp + len(left)) * together)


@pytest.mark.skipif(not EXAMPLE.exists(), reason='without the example of the public STRS-Metric')
def test_the_example_of_the_public_tool_has_its_published_scores():
    """Of data/gt.csv and data/pred.csv in its repository: the row of MEAN on CASME II, Liong et al., 2023."""
    given = intervals.read(EXAMPLE / 'gt.csv', EXAMPLE / 'pred.csv')
    found = metrics.by_public_tool(given.truth, given.predicted)
    assert [found[f'{name} spotting'] for name in ('TP', 'FP', 'FN')] == [159, 85, 85]
    assert found['F1-score spotting'] == pytest.approx(0.6516, abs=5e-5)
    assert found['F1-score analysis'] == pytest.approx(0.5927, abs=5e-5)
    assert found['STRS'] == pytest.approx(0.3862, abs=5e-5)
    own = metrics.score(given, resamples=5)['metrics']
    assert own['strs']['value'] == pytest.approx(found['STRS']), 'there all subjects have predictions'
    assert own['uar']['value'] == pytest.approx(0.5872, abs=5e-5)


def test_half_of_the_union_is_enough_both_ends_counted():
    truth = table([('s', 'v', 50, 133, 'joy')])
    assert len(metrics.match(truth, table([('s', 'v', 32, 100, 'joy')])).truth) == 1  # 51 of 102 frames
    assert len(metrics.match(truth, table([('s', 'v', 31, 100, 'joy')])).truth) == 0
    assert len(metrics.match(truth, table([('s', 'w', 50, 133, 'joy')])).truth) == 0


def command(capsys, *arguments):
    status = score.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert 'Traceback' not in captured.err
    return status, captured.out, captured.err


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    path.write_text(text, encoding='utf-8')
    return path


TRUTH = 'Subject,video,onset,offset,emotion\n1,a,10,20,joy\n1,b,5,30,anger\n2,a,0,9,joy\n'
SAID = 'subject,video,onset,offset,emotion\n1,a,11,22,joy\n1,b,6,29,joy\n2,c,-3,9,joy\n'
VIDEOS = 'subject,video,frames,frame_rate\n1,a,36000,30\n1,b,36000,30\n2,a,36000,30\n2,c,108000,30\n'


def test_the_command_on_two_tables(capsys, tmp_path):
    paths = write(tmp_path / 'truth.csv', TRUTH), write(tmp_path / 'said.csv', SAID)
    videos, out = write(tmp_path / 'videos.csv', VIDEOS), tmp_path / 'scores.json'
    status, shown, err = command(capsys, '--spotting', *paths, '--videos', videos, '--json', out)
    assert (status, err) == (0, '')
    result = json.loads(out.read_text())
    assert (result['tp'], result['fp'], result['fn']) == (2, 1, 1)
    assert result['groups'] == {'by': 'subject', 'number': 2}
    values = {name: own['value'] for name, own in result['metrics'].items()}
    assert values['f1'] == pytest.approx(2 / 3)
    assert values['uar'] == 0.5
    assert values[metrics.ALARMS] == pytest.approx(1 / 2)  # one in two hours
    assert values['strs'] == pytest.approx(2 / 3 * 1 / 3)
    # The tool looks at no video without an expression, so its false alarm is lost.
    assert result['public_tool']['FP spotting'] == 0
    assert result['public_tool']['STRS'] == pytest.approx(0.8 * 1 / 3)
    assert 'TP 2, FP 1, FN 1' in shown
    assert 'STRS-Metric' in shown


def test_the_command_on_a_log(capsys, tmp_path):
    log = write(tmp_path / 'log.txt', '1\n006_1 10 20 11 22 TP\n006_1 - - 50 60 FP\n007_2 5 30 - - FN\n')
    status, shown, err = command(capsys, '--spotting', log)
    assert (status, err) == (0, '')
    assert 'SAMM Long Videos' in shown
    assert 'TP 1, FP 1, FN 1' in shown
    assert 'The log itself says TP 1, FP 1, FN 1.' in shown


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('', 'an empty file'),
        ('video,onset\na,1\n', 'the columns offset are missing'),
        ('video,onset,offset,onset\na,1,2,3\n', 'there twice'),
        ('video,onset,offset\na,1\n', 'line 2: 2 values; expected 3'),
        ('video,onset,offset\na,1.5,2\n', "line 2: onset is '1.5'"),
        ('video,onset,offset\na,1e99,2\n', "line 2: onset is '1e99'"),
        ('video,onset,offset\na,nan,2\n', "line 2: onset is 'nan'"),
        ('video,onset,offset\na,9,2\n', 'the onset, 9, is after the offset, 2'),
        ('video,onset,offset\n,1,2\n', 'video is empty'),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, expected):
    with pytest.raises(InputError) as error:
        intervals.read_table(write(tmp_path / 'bad.csv', text))
    assert expected in str(error.value)
    with pytest.raises(InputError, match=r'cannot read the intervals or videos .*none\.csv'):
        intervals.read_table(tmp_path / 'none.csv')


def test_a_table_of_no_intervals_is_an_answer(tmp_path):
    nothing = intervals.read_table(write(tmp_path / 'none.csv', 'video,onset,offset\n'))
    truth = intervals.read_table(write(tmp_path / 'one.csv', 'video,onset,offset\na,1,5\n'))
    result = metrics.score(intervals.Given(truth, nothing))
    assert (result['tp'], result['fp'], result['fn']) == (0, 0, 1)
    assert result['metrics']['f1']['value'] == 0
    assert result['metrics']['precision']['value'] is None
    assert np.isfinite(result['metrics']['recall']['value'])


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--spotting', 'truth.csv'], 'no log of a challenge'),
        (['--spotting', 'truth.csv', 'without.csv'], 'has the column subject'),
        (['--spotting', 'truth.csv', 'said.csv', '--videos', 'few.csv'], 'not 2/c'),
        (['--spotting', 'truth.csv', 'said.csv', '--point', 'x'], '--point is of predictions of clips'),
        (['--spotting', 'truth.csv', 'said.csv', '--videos', 'zero.csv'], 'above 0'),
        (['--spotting', 'log.txt'], 'line 2'),
        (['--spotting', 'nothing.csv', 'nothing.csv'], 'have no interval'),
    ],
)
def test_bad_input_ends_with_status_2(capsys, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'truth.csv', TRUTH)
    write(tmp_path / 'said.csv', SAID)
    write(tmp_path / 'without.csv', 'video,onset,offset\na,1,2\n')
    write(tmp_path / 'few.csv', ''.join(VIDEOS.splitlines(keepends=True)[:4]))
    write(tmp_path / 'zero.csv', 'video,frames,frame_rate\na,10,0\n')
    write(tmp_path / 'log.txt', '2\na 1 2 3\n')
    write(tmp_path / 'nothing.csv', 'video,onset,offset\n')
    status, _, err = command(capsys, *arguments)
    assert status == 2
    assert expected in err


def test_the_command_wants_one_of_both_forms(capsys):
    for arguments in ([], ['a.csv', '--spotting', 'b.csv', 'c.csv'], ['--spotting', 'a', 'b', 'c']):
        with pytest.raises(SystemExit) as ended:
            score.main(arguments)
        assert ended.value.code == 2
    capsys.readouterr()


@pytest.fixture
def by_kind(tmp_path):
    """Of two micro-expressions one is found; a macro-expression is found, and is taken for micro."""
    (tmp_path / 'truth.csv').write_text(
        'subject,video,onset,offset,emotion,kind\n'
        's1,a,10,19,joy,micro\ns1,a,50,59,joy,micro\ns1,a,100,159,fear,macro\ns2,b,10,60,joy,macro\n'
    )
    (tmp_path / 'predicted.csv').write_text(
        'subject,video,onset,offset,kind\n'
        's1,a,10,19,micro\ns1,a,70,80,micro\ns1,a,300,310,micro\ns1,a,100,159,micro\ns2,b,10,60,macro\n'
    )
    (tmp_path / 'happenings.csv').write_text(
        'subject,video,onset,offset,emotion,kind\ns1,a,60,71,,blink\ns1,a,72,200,,talk\ns2,b,300,310,,talk\n'
    )
    return tmp_path


def scored(folder, *options):
    names = [str(folder / name) for name in ('truth.csv', 'predicted.csv')]
    arguments = ['--spotting', *names, '--json', str(folder / 'out.json'), '--resamples', '10', *options]
    assert score.main(arguments) == 0
    return json.loads((folder / 'out.json').read_text())


def test_micro_and_macro_are_scored_apart(by_kind, capsys):
    counts = {}
    for kind in ('micro', 'macro'):
        found = scored(by_kind, '--kind', kind)
        counts[kind] = found['tp'], found['fp'], found['fn']
    assert counts == {'micro': (1, 3, 1), 'macro': (1, 0, 1)}
    found = scored(by_kind)
    assert (found['tp'], found['fp'], found['fn']) == (3, 2, 1)
    assert 'names no emotions: spotting alone is scored' in capsys.readouterr().out
    (by_kind / 'predicted.csv').write_text('subject,video,onset,offset\ns1,a,10,19\n')
    assert scored(by_kind, '--kind', 'micro')['fn'] == 1
    assert 'all of it is taken for micro' in capsys.readouterr().out


def test_emotions_are_what_networks_said_of_the_intervals(by_kind, capsys):
    answers = by_kind / 'events.csv'
    answers.write_text(
        'database,subject,clip,expression,class,answer\n'
        'long_videos,s1,a#10-19,True,joy,cannot tell\nlong_videos,s1,a#70-80,True,fear,fear\n'
        'long_videos,s1,a#100-159,True,joy,joy\n'
    )
    found = scored(by_kind, '--emotions', str(answers))
    # Found are joy, which is joy; fear, which is said to be joy; and joy, of which nothing is said.
    joy, fear, unknown = (1 / 2, 1 / 2), (0, 0), (0, None)
    p = np.mean([joy[0], fear[0], unknown[0]])
    r = np.mean([joy[1], fear[1], 0])
    assert found['metrics']['f1_analysis']['value'] == pytest.approx(2 * p * r / (p + r))
    assert found['metrics']['uar']['value'] == pytest.approx(1 / 4)
    assert found['metrics']['strs']['value'] == pytest.approx(
        found['metrics']['f1']['value'] * 2 * p * r / (p + r)
    )
    assert 'has no class of 2 of 5 intervals, whose emotion counts as wrong' in capsys.readouterr().out
    answers.write_text('subject,clip,class\ns1,a#10-19,positive\n')
    assert scored(by_kind, '--emotions', str(answers))['metrics']['strs']['value'] == 0
    shown = capsys.readouterr().out
    assert 'has emotions that no answer is, fear, joy, and answers are what it has not, positive. If' in shown
    answers.write_text('subject,clip,class\ns9,a#10-19,joy\n')
    names = [str(by_kind / name) for name in ('truth.csv', 'predicted.csv')]
    assert score.main(['--spotting', *names, '--emotions', str(answers)]) == 2
    assert 'has 1 clips, and not s1/a#10-19' in capsys.readouterr().err
    assert score.main(['--spotting', *names, '--emotions', names[0]]) == 2
    assert 'the columns clip, class are missing' in capsys.readouterr().err


def test_false_alarms_are_named_by_what_happens_then(by_kind, capsys):
    found = scored(by_kind, '--kind', 'micro', '--happenings', str(by_kind / 'happenings.csv'))
    # 70 to 80 is speech for nine frames and a blink for two; at 300 something happens in another video.
    assert found['false_alarms_during'] == {'talk': 1, 'macro': 1, 'nothing': 1}
    assert 'False alarms during: talk 1, nothing 1, macro 1' in capsys.readouterr().out
    scored(by_kind, '--kind', 'macro', '--happenings', str(by_kind / 'happenings.csv'))
    assert 'False alarms during: none' in capsys.readouterr().out


def test_kinds_that_cannot_be_scored_are_named(by_kind, capsys):
    (by_kind / 'truth.csv').write_text('subject,video,onset,offset\ns1,a,10,19\n')
    names = [str(by_kind / name) for name in ('truth.csv', 'predicted.csv')]
    assert score.main(['--spotting', *names, '--kind', 'micro']) == 2
    assert 'truth.csv has no column kind' in capsys.readouterr().err
    (by_kind / 'log.txt').write_text('2\na 1 2 1 2 TP\n')
    assert score.main(['--spotting', str(by_kind / 'log.txt'), '--kind', 'micro']) == 2
    assert '--kind, --happenings, --emotions and --dataset are of two tables' in capsys.readouterr().err
