"""The readers of the databases beyond the composite."""

import csv
import json
import os

import pytest
import tiny_release
from test_releases import said, spans
from tiny_release import frames, video, xlsx

from data_prep import releases
from data_prep.__main__ import main
from data_prep.releases import protocols
from dualatme_jax import schema
from dualatme_jax.errors import InputError

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')

UNKNOWN = schema.UNKNOWN_FRAME


def test_casme_sq(tmp_path):
    survey = releases.survey('casme_sq', tiny_release.casme_sq(tmp_path))
    assert spans(survey) == {
        ('s15', 'anger1_1'): (557, 572, 580),
        ('s16', 'happy3_10'): (2, 4, 8),
        ('s40', 'disgust2_3'): (1, 2, 3),
    }
    first, second, third = survey.clips
    assert (first.emotion, first.row) == ('negative', 'CAS(ME)^2code_final.xlsx, row 1')
    assert first.frames.paths[557].name == 'img557.jpg.jpg'
    assert first.frames.paths[557].parent.parent.parent.name == 'selectedpic'
    assert second.frames.numbers == list(range(2, 9))  # to the last of its own folder
    assert third.frames.paths[2].parent.name == '40_0102eatingworms'
    [macro] = survey.excluded
    assert (macro.subject, macro.clip) == ('s15', 'anger1_2')
    assert not survey.problems
    assert said(survey, 'row 3', 'offset', 'not given', key=('casme_sq', 's16', 'happy3_10'), notes=True)
    assert len(survey.notes) == 1
    assert not survey.aligned


def test_casme_sq_in_both_forms(tmp_path):
    source = tiny_release.casme_sq(tmp_path)
    frames(source / 'cropped' / '15' / 'anger1_1', range(557, 581))
    frames(source / 'cropped' / '16' / 'happy3_10', range(2, 5))
    with pytest.raises(InputError, match='cropped and as raw'):
        releases.survey('casme_sq', source)
    survey = releases.survey('casme_sq', source, frames='cropped')
    assert survey.aligned
    assert [bool(clip.frames) for clip in survey.clips] == [True, True, False]
    assert said(survey, 'no folder', key=('casme_sq', 's40', 'disgust2_3'))


def test_casme_sq_knows_the_published_numbering(tmp_path):
    path = tmp_path / 'CAS(ME)^2code_final(Updated).csv'
    with path.open('w', newline='') as file:
        csv.writer(file).writerows(tiny_release.casme_sq_rows())
    frames(tmp_path / 'rawpic' / 's40' / '40_0102eatingworms', range(1, 6))
    survey = releases.survey('casme_sq', tmp_path)
    assert [clip.subject for clip in survey.clips] == ['s15', 's16', 's40']
    assert survey.clips[2].frames
    assert said(survey, 'published numbering', notes=True)


def test_casme_sq_may_have_got_a_header(tmp_path):
    header = [
        'participant',
        'video name',
        'onset',
        'apex',
        'offset',
        'AUs',
        'emotion',
        'expression type',
        'self',
    ]
    with (tmp_path / 'CAS(ME)^2code_final(Updated).csv').open('w', newline='') as file:
        csv.writer(file).writerows([header, *tiny_release.casme_sq_rows()])
    survey = releases.survey('casme_sq', tmp_path)
    assert [clip.row.rpartition(' ')[2] for clip in survey.clips] == ['2', '4', '5']
    assert not said(survey, 'expression type')


def test_casme_sq_of_unknown_participants_and_types(tmp_path):
    rows = [
        *tiny_release.casme_sq_rows(),
        [99, 'anger1_1', 1, 2, 3, '4', 'negative', 'micro-expression', 'x'],
        [1, 'anger2_1', 1, 2, 3, '4', 'negative', 'blink', 'x'],
        ['s15', 'anger2_2', 1, 2, 3, '4', 'negative', 'Micro-expression', 'x'],
    ]
    xlsx(tmp_path / 'labels.xlsx', rows)
    survey = releases.survey('casme_sq', tmp_path)
    assert said(survey, 'row 5', "'99'")
    assert said(survey, 'row 6', "'blink'")
    assert survey.clips[-1].key == ('casme_sq', 's15', 'anger2_2')


def test_casme_sq_is_not_taken_for_another_table(tmp_path):
    tiny_release.casme2(tmp_path)
    with pytest.raises(InputError, match='micro- or macro-expression'):
        releases.survey('casme_sq', tmp_path)


def test_an_offset_that_is_not_given_is_not_the_apex_in_a_video_of_many(tmp_path):
    rows = [[1, 'anger1_1', 2, 4, 0, '4', 'negative', 'micro-expression', 'anger']]
    rows += [[1, 'anger1_2', 5, 0, 0, '4', 'negative', 'micro-expression', 'anger']]
    xlsx(tmp_path / 'CAS(ME)^2code_final.xlsx', rows)
    frames(tmp_path / 'rawpic' / 's15' / '15_0401girlcrashing', range(1, 99))
    survey = releases.survey('casme_sq', tmp_path)
    first, second = survey.clips
    assert (first.offset, first.frames.numbers) == (UNKNOWN, [2, 3, 4])
    assert not said(survey, key=first.key)
    assert said(survey, 'neither its apex nor its offset is given', key=second.key)


def casme3_rows():
    return [
        ['spNO.1', 'b', 175, 178, 181, '4', 4, 'disgust'],
        ['spNO.1', 'b', 300, 302, 303, '12', 1, 'happy'],
        ['spNO.216', 'e', 5, 5, 9, '1+2', 2, 'surprise'],
    ]


@pytest.mark.parametrize('layout', ['videos', 'clips'])
def test_casme3_part_a(tmp_path, layout):
    name = 'cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx'
    xlsx(tmp_path / 'annotation' / name, [tiny_release.CASME3_A, *casme3_rows()])
    macro = [['sub', 'seq', 'onset', 'apex', 'offset', 'emotion'], ['spNO.1', 'b', 175, 178, 181, 'fear']]
    xlsx(tmp_path / 'annotation' / name.replace('ME', 'MaE'), macro)
    if layout == 'videos':
        frames(tmp_path / 'data' / 'spNO.1' / 'b' / 'color', range(1, 400), '{}.jpg')
        frames(tmp_path / 'data' / 'spNO.216' / 'e' / 'color', range(1, 12), '{}.jpg')
        frames(tmp_path / 'data' / 'spNO.1' / 'b' / 'depth', range(1, 9), '{}.png')
    else:
        top = tmp_path / 'Part_A_ME_clip' / 'Part_A_ME_clip'
        for kind in ('frame', 'depth'):
            frames(top / kind / 'spNO.1_b_175', range(175, 182), '{}.jpg')
            frames(top / kind / 'spNO.1_b_300', range(300, 304), '{}.jpg')
            frames(top / kind / 'spNO.216_e_5', range(5, 10), '{}.jpg')
        frames(tmp_path / 'Part_A_MaE_clip' / 'frame' / 'spNO.1_b_175', [175], '{}.jpg')
    survey = releases.survey('casme3', tmp_path)
    assert spans(survey) == {
        ('spNO.1', 'b_175'): (175, 178, 181),
        ('spNO.1', 'b_300'): (300, 302, 303),
        ('spNO.216', 'e_5'): (5, 5, 9),
    }
    assert [len(clip.frames.numbers) for clip in survey.clips] == [7, 4, 5]
    assert all('depth' not in str(clip.frames) for clip in survey.clips)
    assert survey.problems == survey.notes == []
    assert survey.clips[1].emotion == 'happy'


def test_casme3_of_two_versions_wants_one(tmp_path):
    for version in ('v1', 'v2'):
        rows = [tiny_release.CASME3_A, *casme3_rows(), [None, None, version]]
        xlsx(tmp_path / f'cas(me)3_part_A_ME_label_JpgIndex_{version}.xlsx', rows)
    with pytest.raises(InputError, match='choose one by --sheet'):
        releases.survey('casme3', tmp_path)


def test_casme3_part_c(tmp_path):
    rows = [[1, 1, 373, 380, '4', 'disgust', 'p01'], ['01', 2, 400, 401, '12', 'happy', 'p01']]
    xlsx(tmp_path / 'CAS(ME)3_part_C_ME.xlsx', [tiny_release.CASME3_C, *rows])
    frames(tmp_path / 'part_C' / '01' / 'a' / 'color', range(300, 500), '{}.jpg')
    frames(tmp_path / 'part_C' / '01' / 'a' / 'depth', range(300, 500), '{}.png')
    survey = releases.survey('casme3', tmp_path, part='c')
    assert spans(survey) == {('01', '1_373'): (373, UNKNOWN, 380), ('01', '2_400'): (400, UNKNOWN, 401)}
    assert survey.clips[0].frames.numbers == list(range(373, 381))
    assert survey.problems == survey.notes == []
    with pytest.raises(InputError, match='no label sheet'):
        releases.survey('casme3', tmp_path)
    with pytest.raises(InputError, match='--part'):
        releases.survey('casme3', tmp_path, part='b')


def test_clips_of_casme3_carry_their_onset_in_the_folder_s_name(tmp_path):
    row = ['spNO.1', 'b', 166, 175, 179, '4', 4, 'disgust']
    xlsx(tmp_path / 'cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx', [tiny_release.CASME3_A, row])
    frames(tmp_path / 'frame' / 'spNO.1_b_175', range(166, 180), '{}.jpg')  # its apex
    survey = releases.survey('casme3', tmp_path)
    assert said(survey, 'expected folders such as', 'spNO.1_b_166')
    frames(tmp_path / 'frame' / 'spNO.1_b_166', range(166, 180), '{}.jpg')
    survey = releases.survey('casme3', tmp_path)
    assert not survey.problems
    assert survey.version == 'part A'


def lay_out_mmew(folder):
    frames(folder / 'Micro_Expression' / 'anger' / 'S13-07-001', range(1, 9), '{}.jpg')
    frames(folder / 'Micro_Expression' / 'S02' / 'happiness' / 'S02-03-001', range(1, 4), '{}.jpg')
    frames(folder / 'Macro_Expression' / 'S01' / 'anger', [1], 'S01-07-00{}.jpg')
    frames(folder / 'Macro_Expression' / 'anger' / 'S01-07-001', [1], '{}.jpg')


def test_mmew_with_its_sheet(tmp_path):
    lay_out_mmew(tmp_path)
    rows = [[13, 'S13-07-001', 1, 4, 7, '4', 'anger'], ['S02', 'S02-03-001', 1, 2, 3, '12', 'happiness']]
    xlsx(tmp_path / 'MMEW_Micro_Exp.xlsx', [tiny_release.MMEW, *rows])
    survey = releases.survey('mmew', tmp_path)
    assert spans(survey) == {('S13', 'S13-07-001'): (1, 4, 7), ('S02', 'S02-03-001'): (1, 2, 3)}
    assert all(clip.frames for clip in survey.clips)
    assert survey.problems == survey.notes == []


def test_mmew_without_a_sheet(tmp_path):
    lay_out_mmew(tmp_path)
    survey = releases.survey('mmew', tmp_path)
    assert spans(survey) == {('S13', 'S13-07-001'): (1, UNKNOWN, 8), ('S02', 'S02-03-001'): (1, UNKNOWN, 3)}
    assert {clip.subject: clip.emotion for clip in survey.clips} == {'S13': 'anger', 'S02': 'happiness'}
    assert survey.sheet == 'none'
    assert not survey.problems
    assert said(survey, 'no sheet', notes=True)


def test_mmew_with_a_damaged_sheet_is_not_read_without(tmp_path):
    lay_out_mmew(tmp_path)
    (tmp_path / 'MMEW_Micro_Exp.xlsx').write_bytes(b'PK\x03\x04')
    with pytest.raises(InputError, match='damaged'):
        releases.survey('mmew', tmp_path)


def test_4dme(tmp_path):
    rows = [
        ["S13'", 'S13_1st_001_01_1', 2480, 2490, 2500, 'AU4(k)+L7', 'Negative'],
        [None, None, 'total: 267'],
    ]
    xlsx(tmp_path / '4DME_Labelling_Micro_release v1.xlsx', [tiny_release.FOURDME, *rows])
    frames(tmp_path / 'gray_micro' / 'S13' / 'S13_1st_001_01_1', range(2480, 2501), '{}.jpg')
    survey = releases.survey('4dme', tmp_path)
    [clip] = survey.clips
    assert clip.key == ('4dme', 'S13', 'S13_1st_001_01_1')
    assert (clip.onset, clip.apex, clip.offset, clip.action_units) == (2480, 2490, 2500, 'AU4(k)+L7')
    assert len(clip.frames.numbers) == 21
    assert not survey.problems


def test_meview(tmp_path):
    rows = [
        [1, '01.mp4', 3, 7, '4', 'comtempt'],
        [1, '01.mp4', 8, 9, '1+2', 'fear?'],
        [2, '02', 1, 2, None, None],
        [3, '03', 1, 2, None, 'surprise'],
        [4, '04', 3, 99, None, 'surprise'],
        [5, '05', 1, 2, None, 'surprise'],
    ]
    tiny_release.xls(tmp_path / 'MEVIEW.xls', {'Sheet1': [tiny_release.MEVIEW, *rows]})
    video(tmp_path / 'videos' / '01.mp4', 12)
    video(tmp_path / 'videos' / '04.mp4', 12)
    (tmp_path / 'videos' / '05.mp4').write_bytes(b'no video')
    frames(tmp_path / 'frames' / '02', range(1, 5), '{}.png')
    survey = releases.survey('meview', tmp_path)
    assert [clip.key[1:] for clip in survey.clips] == [
        ('1', '01_3'),
        ('1', '01_8'),
        ('2', '02_1'),
        ('3', '03_1'),
        ('4', '04_3'),
        ('5', '05_1'),
    ]
    first, second, third, *_ = survey.clips
    assert first.frames.count == second.frames.count == 12
    assert third.frames.numbers == [1, 2]
    assert [protocols.emotion(clip.emotion) for clip in survey.clips[:3]] == ['contempt', 'fear', None]
    assert all(clip.apex == UNKNOWN for clip in survey.clips)
    assert said(survey, 'no folder', key=('meview', '3', '03_1'))
    assert said(survey, 'no frame 99, its offset', key=('meview', '4', '04_3'), notes=True)
    assert said(survey, '05.mp4', 'not a video', key=('meview', '5', '05_1'))
    assert len(survey.problems) == 2


def test_4dme_by_another_header_or_without_emotions(tmp_path):
    row = ['S13', 'S13_1', 1, 2, 3, '4', 'Negative']
    path = tmp_path / '4DME_Labelling_Micro.xlsx'
    xlsx(path, [[*tiny_release.FOURDME[:-1], 'Emotion label'], row])
    assert releases.survey('4dme', tmp_path).clips[0].emotion == 'Negative'
    xlsx(path, [[*tiny_release.FOURDME[:-1], 'Feeling'], row])
    with pytest.raises(InputError, match=r'Feeling; without Emotion \(expected a column Emotion or '):
        releases.survey('4dme', tmp_path)


def test_mmew_in_folders_of_misspelt_emotions(tmp_path):
    frames(tmp_path / 'Micro_Expression' / 'angre' / 'S13-07-001', range(1, 9), '{}.jpg')
    assert releases.survey('mmew', tmp_path).clips[0].emotion == 'angre'


@pytest.mark.parametrize('file', ['01.mp4', '1.mp4', '001.mp4'])
def test_meview_finds_videos_whose_names_a_spreadsheet_took_for_numbers(tmp_path, file):
    rows = [['2.0', 1, 0, 2, '4', 'fear'], [2, 1.0, 3, 4, '4', 'fear']]
    xlsx(tmp_path / 'MEVIEW.xlsx', [tiny_release.MEVIEW, *rows])
    video(tmp_path / file, 9)
    survey = releases.survey('meview', tmp_path)
    assert [clip.key[1:] for clip in survey.clips] == [('2', '1_0'), ('2', '1_3')]
    assert [clip.frames.path.name for clip in survey.clips] == [file] * 2
    assert not survey.problems


def test_meview_prefers_the_very_name(tmp_path):
    xlsx(tmp_path / 'MEVIEW.xlsx', [tiny_release.MEVIEW, [1, '01', 0, 2, '4', 'fear']])
    video(tmp_path / '1.mp4', 9)
    video(tmp_path / '01.mp4', 9)
    [clip] = releases.survey('meview', tmp_path).clips
    assert clip.frames.path.name == '01.mp4'


def test_a_video_whose_name_is_not_text_is_a_problem(tmp_path):
    folder = tmp_path / 'Clips' / 'Deceptive'
    video(folder / 'trial_lie_001.mp4', 3)
    (folder / 'trial_lie_001.mp4').rename(folder / os.fsdecode(b'trial_\xff.mp4'))
    survey = releases.survey('deception', tmp_path, split_by_clip=True)
    assert said(survey, 'trial_\\udcff.mp4', 'rename it')


def test_labels_of_the_challenge_are_no_option_of_other_databases(tmp_path, capsys):
    xlsx(tmp_path / 'cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx', [tiny_release.CASME3_A, *casme3_rows()])
    given = ['check', '--release', 'casme3', '--source', str(tmp_path)]
    assert main([*given, '--labels', 'challenge']) == 2
    assert '--labels challenge: casme3 is no part of the challenge' in capsys.readouterr().err


def test_the_687_clips_are_counted_by_the_command(tmp_path, capsys):
    rows = [*casme3_rows(), ['spNO.9', 'h', 4, 5, 6, '4', 4, 'disgust']]
    xlsx(tmp_path / 'cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx', [tiny_release.CASME3_A, *rows])
    given = ['check', '--release', 'casme3', '--source', str(tmp_path), '--protocol', '3class-687']
    assert main([*given, '--json', '-']) == 1
    found = json.loads(capsys.readouterr().out)['databases']['casme3']
    assert (found['protocol'], found['clips'], found['expected']['clips']) == ('3class-687', 3, 687)
    (left_out,) = found['excluded']
    assert (left_out['subject'], left_out['clip']) == ('spNO.9', 'h_4')


@pytest.fixture
def trials(tmp_path):
    folder = tmp_path / 'Real-life_Deception_Detection_2016'
    video(folder / 'Clips' / 'Deceptive' / 'trial_lie_001.mp4', 9)
    video(folder / 'Clips' / 'Truthful' / 'trial_truth_001.mp4', 5)
    gestures = folder / 'Annotation' / 'All_Gestures_Deceptive and Truthful.csv'
    gestures.parent.mkdir()
    gestures.write_text(
        'id,Smile,class\ntrial_lie_001.mp4,1,deceptive\ntrial_truth_001.mp4,0,truthful\n', encoding='utf-8'
    )
    (folder / 'speakers.csv').write_text('clip,speaker\ntrial_lie_001.mp4,Ann\ntrial_truth_001,Ben\n')
    return folder


def test_deception(trials):
    survey = releases.survey('deception', trials, speakers=trials / 'speakers.csv')
    assert spans(survey) == {
        ('Ann', 'trial_lie_001'): (0, UNKNOWN, 8),
        ('Ben', 'trial_truth_001'): (0, UNKNOWN, 4),
    }
    assert [clip.emotion for clip in survey.clips] == ['deceptive', 'truthful']
    assert survey.clips[0].frames.count == 9
    assert 'All_Gestures' in survey.sheet
    assert survey.problems == survey.notes == []


def test_deception_is_not_split_by_clip_unasked(trials):
    with pytest.raises(InputError, match='leak identity'):
        releases.survey('deception', trials)
    with pytest.raises(InputError, match='not both'):
        releases.survey('deception', trials, speakers=trials / 'speakers.csv', split_by_clip=True)
    survey = releases.survey('deception', trials, split_by_clip=True)
    assert [clip.subject for clip in survey.clips] == ['trial_lie_001', 'trial_truth_001']


def test_deception_with_faults(trials):
    (trials / 'Clips' / 'Truthful' / 'trial_truth_002.mp4').write_bytes(b'no video')
    video(trials / 'Clips' / 'Deceptive' / 'trial_lie_002.mp4', 3)
    gestures = trials / 'Annotation' / 'All_Gestures_Deceptive and Truthful.csv'
    with gestures.open('a') as file:
        file.write('trial_lie_002.mp4,0,truthful\ntrial_lie_061.mp4,0,deceptive\n')
        file.write('trial_lie_001,1,deceptive\n')
    with (trials / 'speakers.csv').open('a') as file:
        file.write('trial_lie_002,Ann\ntrial_lie_002,Cyd\ntrial_lie_099,Dan\n,Eve\n')
    survey = releases.survey('deception', trials, speakers=trials / 'speakers.csv')
    assert said(
        survey, 'trial_truth_002.mp4', 'does not say who speaks', key=_key('unknown', 'trial_truth_002')
    )
    assert said(survey, 'not a video', key=_key('unknown', 'trial_truth_002'))
    assert said(survey, 'row 4', "'truthful'", key=_key('Ann', 'trial_lie_002'))
    assert said(survey, 'row 5', 'no video of trial_lie_061')
    assert said(survey, 'row 6', 'row 2 already', key=_key('Ann', 'trial_lie_001'))
    assert said(survey, 'speakers.csv, row 5', 'Ann', 'row 4')
    assert said(survey, 'speakers.csv, row 7', 'empty')
    assert len(survey.problems) == 7
    assert said(survey, 'trial_lie_099', notes=True)
    assert said(survey, 'trial_truth_002 is not in All_Gestures', notes=True)


def test_a_table_without_speakers_is_refused(trials):
    with pytest.raises(InputError, match='--speakers'):
        releases.survey('deception', trials, speakers=trials / 'nowhere.csv')
    (trials / 'speakers.csv').write_text('a,b\n1,2\n')
    with pytest.raises(InputError, match='the columns clip, speaker'):
        releases.survey('deception', trials, speakers=trials / 'speakers.csv')


def _key(subject: str, clip: str) -> tuple[str, str, str]:
    return 'deception', subject, clip
