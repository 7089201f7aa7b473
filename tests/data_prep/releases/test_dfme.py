"""DFME: its three sets, by the names that public programs open."""

import dataclasses
import json

import pytest
from test_releases import said, spans
from tiny_release import frames, xlsx

from data_prep import releases
from data_prep.__main__ import main
from data_prep.synthetic import release
from data_prep.synthetic.layouts import dfme as layout
from dualatme_jax import schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')

HEADER = ['Subject', 'Filename', 'OnsetFrame', 'ApexFrame', 'OffsetFrame', 'Emotion']


def sheet(path, *rows, header=HEADER):
    """A label sheet, and the frames of its clips beside it."""
    xlsx(path, [header, *rows])
    for _, name, onset, _, offset, _ in rows:
        frames(path.parent / 'frames' / name, range(onset, offset + 1), '{:05}.png')


@pytest.mark.slow
def test_from_a_synthetic_release_to_a_dataset(tmp_path, monkeypatch):
    def one_of_each_set(listed, count):
        rows = {row.folder: row for row in layout.LAYOUT.rows(listed, count)[::-1]}
        return [rows[folder] for folder in sorted(rows, reverse=True)]  # train first, as its sheet is

    few = dataclasses.replace(layout.LAYOUT, rows=one_of_each_set)
    monkeypatch.setitem(release.LAYOUTS, 'dfme', few)
    source = tmp_path / 'dfme'
    release.synthesize('dfme', source, frames_per_clip=3, workers=1)
    survey = releases.survey('dfme', source)
    assert (survey.version, survey.problems, survey.notes) == ('train, test_a, test_b', [], [])
    assert all(len(clip.frames.numbers) == 3 for clip in survey.clips)
    given = ['--release', 'dfme', '--source', str(source), '--landmarks', str(source / 'truth/landmarks.csv')]
    given += ['--view', 'apex', '--face-size', '32', '--workers', '1']
    assert main(['build', *given, '--out', str(tmp_path / 'built')]) == 0
    built = dataset.load(tmp_path / 'built', reads=[schema.APEX_FACE])
    assert built.size == 3
    assert set(built.database) == {'dfme'}
    assert built.labels == schema.LABELS
    assert built.synthetic
    classes = releases.of('dfme').protocol('3class').classes
    expected = {(clip.subject, clip.clip): classes[clip.emotion.lower()] for clip in survey.clips}
    found = zip(built.subject, built.clip, built.label, strict=True)
    assert {(subject, clip): built.labels[label] for subject, clip, label in found} == expected


def test_each_set_has_its_sheet_and_one_may_be_chosen(tmp_path):
    sheet(tmp_path / 'train_data' / 'coding.xlsx', ['sub0003', 'a', 0, 2, 4, 'Happiness'])
    sheet(tmp_path / 'DFME_test_A_full_with_AU.xlsx', [8, 'b', 12, 13, 15, 'contempt'])
    xlsx(tmp_path / 'testB_full_with_AU.xlsx', [['Filename'], ['c']])
    survey = releases.survey('dfme', tmp_path)
    assert spans(survey) == {('sub0003', 'a'): (0, 2, 4), ('sub0008', 'b'): (12, 13, 15)}
    assert survey.version == 'train, test_a'
    assert said(survey, 'not read as a label sheet', 'without Subject', notes=True)
    assert not survey.problems
    assert [clip.clip for clip in releases.survey('dfme', tmp_path, part='test_a').clips] == ['b']
    with pytest.raises(InputError, match='no label sheet of test_b'):
        releases.survey('dfme', tmp_path, part='test_b')
    with pytest.raises(InputError, match='unknown --part a: expected one of train, test_a, test_b'):
        releases.survey('dfme', tmp_path, part='a')
    chosen = releases.survey('dfme', tmp_path, sheet=tmp_path / 'train_data' / 'coding.xlsx')
    assert (chosen.version, len(chosen.clips)) == ('train', 1)


def test_what_does_not_say_which_clips_there_are_is_named(tmp_path):
    row = ['sub0003', 'a', 0, 2, 4, 'fear']
    sheet(tmp_path / 'training_full_with_AU.xlsx', row)
    sheet(tmp_path / 'testA_full_with_AU.xlsx', row)
    survey = releases.survey('dfme', tmp_path)
    assert len(survey.clips) == 1
    assert said(survey, 'testA', 'is in training_full_with_AU.xlsx, row 2 already')
    sheet(tmp_path / 'train_2.xlsx', ['sub0004', 'b', 0, 2, 4, 'fear'])
    with pytest.raises(InputError, match=r'could both be the label sheet of train: choose one by --sheet'):
        releases.survey('dfme', tmp_path)


def test_a_sheet_of_no_set_is_read_and_not_counted(tmp_path):
    sheet(tmp_path / 'labels.xlsx', ['sub0003', 'a', 0, 2, 4, 'anger'])
    survey = releases.survey('dfme', tmp_path)
    assert (survey.version, len(survey.clips)) == ('', 1)
    assert releases.of('dfme').protocol('7class').complete_of('').clips == {}
    xlsx(tmp_path / 'labels.xlsx', [[*HEADER[:-1], 'EmotionId'], ['sub0003', 'a', 0, 2, 4, 3]])
    with pytest.raises(InputError, match=r'EmotionId; without Emotion .*--column emotion=HEADER'):
        releases.survey('dfme', tmp_path)


def test_the_counts_are_those_of_the_published_split(tmp_path, capsys):
    seven, three = (releases.of('dfme').protocol(name) for name in ('7class', '3class'))
    sets = {'train': (1856, 176), 'test_a': (474, 42), 'test_b': (299, 41)}
    for name, (clips, people) in sets.items():
        assert sum(seven.complete_of(name).clips.values()) == clips
        assert seven.complete_of(name).subjects == people
    assert three.complete_of('train').clips == {'negative': 1352, 'positive': 206, 'surprise': 298}
    every = three.complete_of('train, test_a, test_b')
    assert (sum(every.clips.values()), every.subjects) == (2629, 259)
    sheet(tmp_path / 'testB.xlsx', ['sub0001', 'a', 0, 2, 4, 'anger'])
    main(['check', '--release', 'dfme', '--source', str(tmp_path), '--protocol', '7class', '--json', '-'])
    found = json.loads(capsys.readouterr().out)['databases']['dfme']
    assert (found['clips'], found['expected']['clips'], found['expected']['subjects']) == (1, 299, 41)
