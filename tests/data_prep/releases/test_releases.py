"""The readers of CASME II, SAMM and SMIC-HS, and what all readers share."""

import collections
import csv
import pathlib
import re

import openpyxl
import pytest
import tiny_release
from tiny_release import casme2_row, frames, samm_row, xlsx

from data_prep import releases
from data_prep.releases import casme2, protocols
from data_prep.releases.clip import NO_APEX
from dualatme_jax import schema
from dualatme_jax.errors import InputError

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')

LIST = pathlib.Path(__file__).parents[4] / 'shared' / 'data' / 'megc2019_flow28' / 'combined_3class_gt.csv'
UNKNOWN = schema.UNKNOWN_FRAME
FIRST = ('casme2', 'sub01', 'EP02_01f')


def write_casme2(folder: pathlib.Path, *rows) -> pathlib.Path:
    xlsx(folder / 'CASME2-coding-20140508.xlsx', [tiny_release.CASME2, *rows])
    return folder


def spans(survey) -> dict:
    return {clip.key[1:]: (clip.onset, clip.apex, clip.offset) for clip in survey.clips}


def said(survey, *words: str, key=None, notes: bool = False) -> bool:
    """Whether one problem (or note) of that key holds all the words."""
    return any(
        all(word in str(each) for word in words) and key in (None, each.key)
        for each in (survey.notes if notes else survey.problems)
    )


def test_casme2(tmp_path):
    survey = releases.survey('casme2', tiny_release.casme2(tmp_path / 'CASME II, naïve'))
    assert spans(survey) == {
        ('sub01', 'EP02_01f'): (46, 59, 86),
        ('sub01', 'EP19_05f'): (3, 5, 9),
        ('sub26', 'EP18_51'): (11, UNKNOWN, 12),
    }
    first, second, third = survey.clips
    assert (first.emotion, first.action_units) == ('happiness', '4+7')
    assert first.row == 'CASME2-coding-20140508.xlsx, row 2'
    assert first.frames.numbers == list(range(46, 87))
    assert first.frames.paths[59].name == 'reg_img59.jpg'
    assert second.frames.numbers == list(range(3, 10))  # the frames around it are not the clip's
    assert third.apex == UNKNOWN
    assert survey.aligned
    assert survey.problems == survey.notes == survey.excluded == []
    assert 'CASME2-coding-20140508.xlsx' in survey.sheet


@pytest.mark.parametrize('subject', [1, 1.0, '1', '01', 'sub01', ' Sub1 ', 'subject 1'])
def test_subjects_have_one_spelling(tmp_path, subject):
    write_casme2(tmp_path, casme2_row(subject, 'EP02_01f', 1, 2, 3))
    assert [clip.subject for clip in releases.survey('casme2', tmp_path).clips] == ['sub01']


@pytest.mark.parametrize('frames', ['cropped', 'raw'])
def test_casme2_in_both_forms(tmp_path, frames):
    source = tiny_release.casme2(tmp_path)
    raw = source / 'CASME2_RAW_selected' / 'CASME2_RAW_selected' / 'sub01'
    tiny_release.frames(raw / 'EP02_01f', range(40, 90))
    tiny_release.frames(raw / 'EP19_05f', range(1, 20))
    with pytest.raises(InputError, match='choose by --frames'):
        releases.survey('casme2', source)
    survey = releases.survey('casme2', source, frames=frames)
    name = survey.clips[0].frames.paths[46].name
    assert (name, survey.aligned) == {'cropped': ('reg_img46.jpg', True), 'raw': ('img46.jpg', False)}[frames]
    assert said(survey, 'no folder', key=('casme2', 'sub26', 'EP18_51')) == (frames == 'raw')
    assert not survey.notes


def test_a_source_called_cropped_may_hold_raw_frames(tmp_path):
    source = tmp_path / 'cropped and raw'
    write_casme2(source, casme2_row(1, 'EP01', 1, 2, 3))
    frames(source / 'CASME2_RAW_selected' / 'sub01' / 'EP01', range(1, 4))
    assert not releases.survey('casme2', source).aligned


def test_an_unknown_form_is_refused(tmp_path):
    with pytest.raises(InputError, match='expected one of cropped, raw'):
        releases.survey('casme2', tiny_release.casme2(tmp_path), frames='grey')


def test_the_frames_alone_are_a_source_if_the_sheet_is_named(tmp_path):
    source = tiny_release.casme2(tmp_path)
    with pytest.raises(InputError, match='no label sheet'):
        releases.survey('casme2', source / 'Cropped')
    survey = releases.survey('casme2', source / 'Cropped', sheet=source / 'CASME2-coding-20140508.xlsx')
    assert survey.aligned
    assert all(clip.frames for clip in survey.clips)


def test_without_frames_there_is_one_problem(tmp_path):
    write_casme2(tmp_path, *(casme2_row(1, f'EP{number}', 1, 2, 3) for number in range(5)))
    survey = releases.survey('casme2', tmp_path)
    assert [clip.frames for clip in survey.clips] == [None] * 5
    [problem] = survey.problems
    assert f'no frames at all below {tmp_path}' in problem.text


def test_folders_that_are_missing_empty_or_double(tmp_path):
    source = write_casme2(tmp_path, *(casme2_row(1, f'EP0{number}', 1, 2, 3) for number in (1, 2, 3, 4)))
    (source / 'Cropped' / 'sub01' / 'EP02').mkdir(parents=True)
    frames(source / 'Cropped' / 'sub01' / 'EP03', range(1, 4))
    frames(source / 'Cropped' / 'sub01' / 'EP04', range(1, 4))
    frames(source / 'old' / 'Cropped' / 'sub01' / 'EP04', range(1, 4))
    survey = releases.survey('casme2', source)
    assert said(survey, 'row 2', 'no folder', key=('casme2', 'sub01', 'EP01'))
    assert said(survey, 'row 3', 'EP02 is empty', key=('casme2', 'sub01', 'EP02'))
    assert said(survey, 'row 5', '2 places', 'old/Cropped', key=('casme2', 'sub01', 'EP04'))
    assert [bool(clip.frames) for clip in survey.clips] == [False, False, True, False]
    assert len(survey.problems) == 3


def test_frames_that_are_missing_or_double(tmp_path):
    rows = [casme2_row(1, 'EP01', 5, 20, 12), casme2_row(1, 'EP02', 1, 2, 9), casme2_row(1, 'EP03', 1, 2, 3)]
    source = write_casme2(tmp_path, *rows)
    frames(source / 'Cropped' / 'sub01' / 'EP01', range(6, 12))
    frames(source / 'Cropped' / 'sub01' / 'EP02', [1, 2, 3, 7, 9])
    frames(source / 'Cropped' / 'sub01' / 'EP03', range(1, 9))
    frames(source / 'Cropped' / 'sub01' / 'EP03', [2, 8], 'img0{}.jpg')
    survey = releases.survey('casme2', source)
    one = ('casme2', 'sub01', 'EP01')
    assert said(survey, 'no frame 5, its onset', '6 frames from 6 to 11', key=one)
    assert said(survey, 'no frame 12, its offset', key=one, notes=True)
    assert said(survey, 'no frame 20, its apex', key=one, notes=True)  # an apex can come from elsewhere
    assert [note.key for note in survey.notes if note.kind == NO_APEX] == [one]
    assert said(survey, 'between onset and offset: 4', key=('casme2', 'sub01', 'EP02'), notes=True)
    assert said(survey, 'img02.jpg and img2.jpg', 'number 2', key=('casme2', 'sub01', 'EP03'))
    assert len(survey.problems) == 2
    assert len(survey.notes) == 3


def test_folders_that_no_row_names_are_noted(tmp_path):
    source = tiny_release.casme2(tmp_path)
    frames(source / 'Cropped' / 'sub02' / 'EP99_01', [1])
    survey = releases.survey('casme2', source)
    assert not survey.problems
    assert said(survey, 'Cropped/sub02/EP99_01', notes=True)


def test_bad_rows_are_named_with_row_column_and_value(tmp_path):
    rows = [
        casme2_row(1, 'EP01', 'forty', 2, 3),
        casme2_row(1, 'EP02', None, 2, 3),
        casme2_row(1, 'EP03', 9, 5, 3),
        casme2_row(1, 'EP04', 1, 2.5, 3),
        casme2_row('Tom', 'EP05', 1, 2, 3),
        casme2_row(None, 'EP06', 1, 2, 3),
        casme2_row(2, None, 1, 2, 3),
        casme2_row(2, 'EP08', 1, 2, 3),
        casme2_row('02', 'EP08', 4, 5, 6),
        casme2_row(2, 'EP09', 1, 99, 3),
    ]
    survey = releases.survey('casme2', write_casme2(tmp_path, *rows))
    expected = {
        2: ('OnsetFrame', "'forty'", 'EP01'),
        3: ('OnsetFrame', 'not given', 'EP02'),
        4: ('the onset, 9, is after the offset, 3', 'EP03'),
        5: ('ApexFrame', "'2.5'", 'EP04'),
        6: ('Subject', "'Tom'", 'sub01'),
        7: ('Subject is empty',),
        8: ('Filename is empty',),
        10: ('row 9 already', 'until then the clip is left out', 'EP08'),
    }
    for row, words in expected.items():
        assert said(survey, f'CASME2-coding-20140508.xlsx, row {row}:', *words), row
    assert len(survey.problems) == len(expected) + 1  # there are no frames
    assert {problem.key[2] for problem in survey.problems if problem.key} == {
        'EP01',
        'EP02',
        'EP03',
        'EP04',
        'EP08',
    }
    assert [clip.clip for clip in survey.clips] == ['EP01', 'EP02', 'EP03', 'EP04', 'EP08', 'EP09']


def test_remarks_below_the_table_are_notes(tmp_path):
    rows = [casme2_row(1, 'EP01', 1, 2, 3), [], ['Note: coded by two'], ['total', 1], tiny_release.CASME2]
    frames(tmp_path / 'Cropped' / 'sub01' / 'EP01', range(1, 4))
    survey = releases.survey('casme2', write_casme2(tmp_path, *rows))
    assert len(survey.clips) == 1
    assert not survey.problems
    assert said(survey, 'row 4', 'coded by two', notes=True)
    assert said(survey, 'row 5', 'total 1', notes=True)
    assert len(survey.notes) == 2


def test_notes_that_deny_a_micro_expression_exclude_it(tmp_path):
    texts = [
        'Not microexpression',
        'not a micro-expression',
        'Non micro expression',
        'no ME',
        'a micro-expression',
        'none',
    ]
    rows = [[*samm_row(6, f'006_1_{n}', 1, 2, 3)[:-1], text] for n, text in enumerate(texts)]
    xlsx(tmp_path / 'SAMM_Micro_FACS_Codes_v2.xlsx', [tiny_release.SAMM, *rows])
    survey = releases.survey('samm', tmp_path)
    assert [clip.clip for clip in survey.clips] == ['006_1_4', '006_1_5']
    assert survey.excluded[0].reason == "its note says 'Not microexpression'"
    assert len(survey.excluded) == 4


def test_hidden_rows_are_noted(tmp_path):
    source = write_casme2(tmp_path, casme2_row(1, 'EP01', 1, 2, 3))
    path = source / 'CASME2-coding-20140508.xlsx'
    book = openpyxl.load_workbook(path)
    book.active.row_dimensions[2].hidden = True
    book.save(path)
    survey = releases.survey('casme2', source)
    assert len(survey.clips) == 1
    assert said(survey, 'row 2', 'hidden', notes=True)


@pytest.mark.parametrize(
    ('emotion', 'version'), [('sadness', '2014'), ('Surprise ', '2019'), ('disgust', '')]
)
def test_the_version_of_casme2_s_sheet_is_named(tmp_path, emotion, version):
    rows = [casme2_row(*key, 1, 2, 3, emotion) for key in casme2.DIFFERENT]
    survey = releases.survey('casme2', write_casme2(tmp_path, *rows))
    assert survey.version == version
    named = f'version {version}' if version else 'no known version'
    assert survey.sheet.startswith(f'{named}, 3 clips: CASME2-coding-20140508.xlsx')
    assert said(survey, 'sub24/EP07_01', '--labels challenge', notes=True) == (version == '2019')


def test_a_sheet_of_both_versions_is_of_neither(tmp_path):
    words = ['sadness', 'surprise', 'sadness']
    rows = [casme2_row(*key, 1, 2, 3, word) for key, word in zip(casme2.DIFFERENT, words, strict=True)]
    assert releases.survey('casme2', write_casme2(tmp_path, *rows)).version == ''


@pytest.mark.parametrize('name', ['Label', 'Feeling'])
def test_a_column_of_emotions_may_have_another_name(tmp_path, name):
    header = [*tiny_release.CASME2[:-1], name]
    xlsx(tmp_path / 'CASME2-coding.xlsx', [header, casme2_row(1, 'EP01', 1, 2, 3, 'fear')])
    column = {} if name == 'Label' else {'column': {'emotion': 'feeling'}}
    assert releases.survey('casme2', tmp_path, **column).clips[0].emotion == 'fear'


def test_swapped_columns_are_said_once_more(tmp_path):
    rows = [casme2_row(1, f'EP{number}', 9, 5, 3) for number in range(3)]
    survey = releases.survey('casme2', write_casme2(tmp_path, *rows, casme2_row(1, 'EP9', 1, 2, 3)))
    assert said(survey, 'in 3 of 4 rows', 'OnsetFrame and OffsetFrame look swapped')
    assert sum('is after' in problem.text for problem in survey.problems) == 4


def test_an_empty_sheet_is_a_problem(tmp_path):
    survey = releases.survey('casme2', write_casme2(tmp_path))
    assert said(survey, 'no rows')


def test_samm(tmp_path):
    survey = releases.survey('samm', tiny_release.samm(tmp_path))
    assert spans(survey) == {('6', '006_1_2'): (5562, 5565, 5568), ('6', '006_5_9'): (10, 12, 14)}
    first, second = survey.clips
    assert first.row == 'SAMM_Micro_FACS_Codes_v2.xlsx, row 15'
    assert first.action_units == 'L4 or R4'
    assert first.frames.numbers == list(range(5562, 5569))
    assert second.emotion == 'Other'
    assert second.frames.paths[12].name == '007_0012.jpg'
    assert not survey.aligned
    assert survey.problems == survey.notes == []


def test_macro_expressions_of_samm_are_excluded(tmp_path):
    macro = samm_row(7, '007_1_1', 1, 2, 3)
    macro[7] = 'Macro'
    path = tmp_path / 'SAMM_Micro_FACS_Codes_v2.xlsx'
    xlsx(path, [tiny_release.SAMM, macro, samm_row(7, '007_1_2', 1, 2, 3)])
    survey = releases.survey('samm', tmp_path)
    assert [clip.clip for clip in survey.clips] == ['007_1_2']
    [exclusion] = survey.excluded
    assert (exclusion.subject, exclusion.clip, exclusion.reason) == ('7', '007_1_1', 'a macro-expression')


@pytest.mark.parametrize('form', ['raw', 'cropped'])
def test_smic(tmp_path, form):
    survey = releases.survey('smic', tiny_release.smic(tmp_path, form=form))
    assert spans(survey) == {
        ('s01', 's01_ne_01'): (559740, UNKNOWN, 559744),
        ('s01', 's01_po_02'): (7, UNKNOWN, 8),
        ('s20', 's20_sur_11'): (1, UNKNOWN, 4),
    }
    assert [clip.emotion for clip in survey.clips] == ['negative', 'positive', 'surprise']
    assert survey.sheet == 'none'
    assert survey.aligned == (form == 'cropped')
    assert not survey.problems
    assert said(survey, 'missing between onset and offset: 1', key=('smic', 's20', 's20_sur_11'), notes=True)
    assert len(survey.notes) == 1


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        (
            'image559740 (1).bmp',
            r'image559740 \(1\).bmp and image559740.bmp in .* both have',
        ),
        ('image1.bmp', 'image1.bmp in .* lie far outside of the other frames, 559740 to 559744'),
        ('image5597400.bmp', 'image5597400.bmp in .* lie far outside'),
    ],
)
def test_smic_with_a_file_that_is_no_frame_of_the_clip(tmp_path, name, text):
    tiny_release.smic(tmp_path)
    (tmp_path / 'SMIC_all_raw/HS/s01/micro/negative/s01_ne_01' / name).write_bytes(b'')
    survey = releases.survey('smic', tmp_path)
    assert [problem.key for problem in survey.problems] == [('smic', 's01', 's01_ne_01')]
    assert re.search(text, survey.problems[0].text)


def test_smic_with_numbers_that_no_dataset_can_hold(tmp_path):
    frames(tmp_path / 'HS/s01/micro/negative/s01_ne_01', [20140508123456 + number for number in range(3)])
    survey = releases.survey('smic', tmp_path)
    assert said(survey, 'lie far outside of 1 to 2147483647', key=('smic', 's01', 's01_ne_01'))


def test_smic_in_both_forms(tmp_path):
    tiny_release.smic(tmp_path)
    source = tiny_release.smic(tmp_path, form='cropped')
    with pytest.raises(InputError, match='choose by --frames'):
        releases.survey('smic', source)
    for form, name in (('raw', 'image000007.bmp'), ('cropped', 'reg_image000007.bmp')):
        survey = releases.survey('smic', source, frames=form)
        assert survey.clips[1].frames.paths[7].name == name
        assert len(survey.clips) == 3


def test_smic_where_folders_disagree_or_repeat(tmp_path):
    frames(tmp_path / 'HS' / 's01' / 'micro' / 'negative' / 's01_po_01', [1])
    frames(tmp_path / 'HS' / 's01' / 'micro' / 'positive' / 's1_po_1', [1])
    frames(tmp_path / 'HS' / 's01' / 'micro' / 'surprise' / 's01_sur_01', [3])
    survey = releases.survey('smic', tmp_path)
    key = ('smic', 's01', 's01_po_01')
    assert said(survey, 'among the clips of class negative', key=key)
    assert said(survey, 'frames in 2 places', key=key)
    assert [clip.clip for clip in survey.clips] == ['s01_po_01', 's01_sur_01']


def test_smic_without_clips_tells_what_was_expected(tmp_path):
    frames(tmp_path / 'VIS' / 's01' / 'micro' / 'negative' / 's01_ne_01', [1])
    with pytest.raises(InputError, match='HS/s01/micro/negative/s01_ne_01'):
        releases.survey('smic', tmp_path)


@pytest.mark.parametrize('name', releases.FILES)
def test_a_source_that_is_not_there_is_an_error(tmp_path, name):
    options = {'split_by_clip': True} if name == 'deception' else {}
    with pytest.raises(InputError, match='not a folder'):
        releases.survey(name, tmp_path / 'nowhere', **options)
    with pytest.raises(InputError):
        releases.survey(name, tmp_path, **options)


def test_every_database_has_a_reader():
    assert {*releases.FILES} == {*schema.DATABASES, 'long_videos'}  # which are anybody's


def test_options_of_other_releases_are_refused(tmp_path):
    with pytest.raises(InputError, match='--speakers does not apply to casme2: it takes --sheet, --frames'):
        releases.survey('casme2', tmp_path, speakers=tmp_path, frames='raw')
    with pytest.raises(InputError, match='unknown release'):
        releases.survey('casme', tmp_path)
    source = tiny_release.casme2(tmp_path)
    given = releases.survey('casme2', str(source), speakers=None, split_by_clip=False, part=None)
    assert len(given.clips) == 3


@pytest.mark.skipif(not LIST.exists(), reason="the challenge's list is not here")
def test_names_are_those_of_the_challenge(tmp_path):
    with LIST.open(newline='') as file:
        listed = [tuple(row) for row in csv.reader(file)]
    by_database = collections.defaultdict(list)
    for database, subject, clip, label in listed:
        by_database[database].append((subject, clip, schema.LABELS[int(label)]))
    words = {'negative': 'disgust', 'positive': 'happiness', 'surprise': 'surprise'}
    write_casme2(
        tmp_path / 'casme2',
        *(
            casme2_row(int(who[3:]), clip, 1, 2, 3, words[label])
            for who, clip, label in by_database['casme2']
        ),
    )
    rows = [
        samm_row(who.zfill(3), clip, 1, 2, 3, words[label].title())
        for who, clip, label in by_database['samm']
    ]
    xlsx(tmp_path / 'samm' / 'SAMM_Micro_FACS_Codes_v2.xlsx', [[None]] * 13 + [tiny_release.SAMM, *rows])
    for who, clip, label in by_database['smic']:
        short = clip.replace('s0', 's', 1)
        frames(tmp_path / 'smic' / 'HS' / who.replace('s0', 's') / 'micro' / label / short, [1, 3])
    found = {
        (*clip.key, protocols.label_of(clip, releases.of(clip.database).protocol('3class'))[0])
        for database in schema.COMPOSITE
        for clip in releases.survey(database, tmp_path / database).clips
    }
    assert found == {(*row[:3], schema.LABELS[int(row[3])]) for row in listed}
    assert len(found) == schema.MEGC2019_CD['full'][0]
