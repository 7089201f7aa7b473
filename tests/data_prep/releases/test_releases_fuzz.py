"""Whatever a sheet holds, a reader gives a sound survey, or says what is wrong with the sheet."""

import csv
import datetime
import random

import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import releases
from data_prep.dataset import plan
from data_prep.face.apex import ApexRule
from data_prep.releases.clip import Survey
from dualatme_jax.errors import InputError

SPEAKERS = ['clip', 'speaker']
GESTURES = ['id', 'Smile', 'class']
CASME_SQ = [None] * 8  # it has no header

# release and options -> the header of its sheet, and the file.
SHEETS = {
    ('casme2', ''): (tiny_release.CASME2, 'CASME2-coding-20190701'),
    ('samm', ''): (tiny_release.SAMM, 'SAMM_Micro_FACS_Codes_v2'),
    ('casme_sq', ''): (CASME_SQ, 'CAS(ME)^2code_final'),
    ('casme3', 'a'): (tiny_release.CASME3_A, 'cas(me)3_part_A_ME_label_JpgIndex_v2'),
    ('casme3', 'c'): (tiny_release.CASME3_C, 'CAS(ME)3_part_C_ME'),
    ('mmew', ''): (tiny_release.MMEW, 'MMEW_Micro_Exp'),
    ('4dme', ''): (tiny_release.FOURDME, '4DME_Labelling_Micro_release v1'),
    ('meview', ''): (tiny_release.MEVIEW, 'MEVIEW'),
    ('deception', 'sheet'): (GESTURES, 'All_Gestures'),
    ('deception', 'speakers'): (SPEAKERS, 'speakers'),
}

WORDS = ['EP02_01f', 'sub01', 'spNO.1', 's15', 'a', 'anger1_1', 'S13-07-001', '006_1_2', 'trial_lie_001.mp4']
WORDS += [
    'happiness',
    'micro-expression',
    'macro-expression',
    'Micro - 1/2',
    'Notes:',
    'total',
    '../..',
    'x' * 300,
    'contempt/disgust',
    'disgust/surprise',
    'Not microexpression',
    '\N{FULLWIDTH DIGIT FOUR}\N{FULLWIDTH DIGIT SIX}',
]
MARKS = [
    '?',
    'N/A',
    '/',
    '-',
    '',
    ' ',
    '#REF!',
    '#DIV/0!',
    'NaN',
    '1e5',
    '0x1F',
    '4_6',
    '46-50',
    '46,5',
    '\N{SUPERSCRIPT TWO}',
]

frame_numbers = st.integers(0, 12)
wild = st.one_of(
    st.none(),
    st.integers(-5, 2**40),
    st.floats(width=32),
    st.booleans(),
    st.dates(datetime.date(1950, 1, 1), datetime.date(2050, 1, 1)),
    st.times(),
    st.sampled_from(WORDS + MARKS),
    st.text(st.characters(categories=['L', 'N', 'P', 'S', 'Zs']), max_size=8),
)
likely = st.one_of(st.sampled_from(WORDS), frame_numbers, frame_numbers.map(str), frame_numbers.map(float))
tables = st.fixed_dictionaries(
    {
        'rows': st.lists(st.lists(st.one_of(likely, likely, wild), max_size=12), max_size=6),
        'above': st.lists(st.lists(wild, max_size=3), max_size=3),
        'extra': st.lists(wild, max_size=3),
        'shuffle': st.one_of(st.none(), st.integers(0, 99)),
        'lost': st.integers(0, 30),
        'kind': st.sampled_from(['xlsx', 'csv']),
    }
)


pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """One source a release, with a few frames or videos, and a place for its sheet."""
    top = tmp_path_factory.mktemp('sources')
    for folder in ('Cropped/sub01/EP02_01f', '006/006_1_2', 'selectedpic/s15/anger1_1', 'spNO.1/a/color'):
        tiny_release.frames(top / folder, range(1, 10))
    tiny_release.frames(top / 'Micro_Expression' / 'anger' / 'S13-07-001', range(1, 10))
    tiny_release.video(top / 'Clips' / 'Deceptive' / 'trial_lie_001.mp4', 3)
    return top


def write(folder, name: str, header: list, table: dict):
    header = [*header, *table['extra']]
    if table['lost'] < len(header):
        del header[table['lost']]
    if table['shuffle'] is not None:
        random.Random(table['shuffle']).shuffle(header)
    rows = [*table['above'], header, *table['rows']]
    if name == SHEETS['casme_sq', ''][1]:  # known by what stands in column H
        rows = [[*[*row, *CASME_SQ][:7], f'm{"ai"[len(row) % 2]}cro-expression'] for row in table['rows']]
    path = folder / f'{name}.{table["kind"]}'
    if table['kind'] == 'xlsx':
        return tiny_release.xlsx(path, rows)
    with path.open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize(('release', 'option'), SHEETS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(table=tables)
@pytest.mark.slow
def test_any_table_gives_a_survey_or_an_error(sources, release, option, table):
    header, name = SHEETS[release, option]
    path = write(sources, name, header, table)
    options = {'sheet': path}
    if release == 'casme3':
        options['part'] = option
    if release == 'deception':
        options = {option: path} | ({} if option == 'speakers' else {'split_by_clip': True})
    survey, message = None, ''
    try:
        survey = releases.survey(release, sources, **options)
    except InputError as error:
        message = str(error)
    finally:
        path.unlink()
    assert survey or path.name in message
    if survey:
        check(survey)
        check_plan(survey)


def check_plan(survey: Survey) -> None:
    """Every clip is used, or left out for a reason, or a problem."""
    rules = {survey.database: ApexRule(choices=('sheet', 'middle'))}
    made = plan.make({survey.database: survey}, protocol=None, rules=rules)
    used = [clip.key for clip, _ in made.items]
    left_out = [(survey.database, each.subject, each.clip) for each in made.excluded[survey.database]]
    refused = {problem.key for problem in made.problems}
    for clip in survey.clips:
        assert (clip.key in used) + (clip.key in left_out[len(survey.excluded) :]) == 1 or clip.key in refused
    for clip, _ in made.sound:
        assert clip.frames
        assert clip.key not in refused


def check(survey: Survey) -> None:
    """What holds of every survey."""
    keys = [clip.key for clip in survey.clips]
    assert len(set(keys)) == len(keys)
    for each in (*survey.problems, *survey.notes):
        assert each.text
        assert each.key is None or each.key in keys
    for clip in survey.clips:
        assert all((clip.subject, clip.clip, clip.row))
        assert clip.frames is None or clip.frames.numbers
        # A clip without frames, onset, or with its frames in disorder is never one without a problem.
        if clip.frames is None or 0 <= clip.offset < clip.onset:
            assert survey.problems
