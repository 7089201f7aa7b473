import dataclasses
import pathlib

import cv2
import numpy as np
import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import releases
from data_prep.face import apex, regions
from data_prep.files.frames import Images
from data_prep.releases.clip import Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError

SHARED = pathlib.Path(__file__).parents[4] / 'shared' / 'data' / 'smic_hs_apex.csv'
HEADER = 'subject,clip,onset,apex,offset\n'


def clip_of(numbers, **fields) -> Clip:
    frames = Images({number: pathlib.Path(f'{number}.jpg') for number in numbers})
    return Clip(database='smic', subject='s01', clip='s01_ne_01', frames=frames, **fields)


CLIP = clip_of(range(10, 31), onset=10, apex=20, offset=30)


def table_of(tmp_path, text: str, database: str = 'smic'):
    path = tmp_path / 'apex.csv'
    path.write_text(text, encoding='utf-8')
    return apex.read_table(path, releases.of(database))


def test_the_sheet_s_apex():
    assert apex.choose(CLIP, ('sheet',), {})[:2] == (20, 'sheet')
    assert apex.choose(dataclasses.replace(CLIP, apex=30), ('sheet',), {})[:2] == (30, 'sheet')


@pytest.mark.parametrize(
    ('number', 'message'),
    [
        (schema.UNKNOWN_FRAME, "the sheet has no apex \\('/', empty"),
        (10, 'the apex 10 is the onset itself'),
        (9, 'the apex 9 lies outside of the clip, 10 to 30'),
        (31, 'the apex 31 lies outside of the clip, 10 to 30'),
    ],
)
def test_an_apex_that_is_none_is_refused_with_advice(number, message):
    clip = dataclasses.replace(CLIP, apex=number)
    with pytest.raises(InputError, match=f'{message}.*--apex sheet,middle'):
        apex.choose(clip, ('sheet',), {})
    assert apex.choose(clip, ('sheet', 'middle'), {})[:2] == (20, 'middle')
    assert apex.choose(clip, ('sheet', 'spotted'), {})[:2] == (None, 'spotted')


def test_it_is_known_why_a_choice_was_passed_over():
    assert apex.choose(CLIP, ('sheet', 'middle'), {}) == (20, 'sheet', '')
    outside = dataclasses.replace(CLIP, apex=31)
    _, _, reason = apex.choose(outside, ('sheet', 'middle'), {})
    assert reason.startswith('the sheet: the apex 31 lies outside')
    _, _, both = apex.choose(outside, ('table', 'sheet', 'spotted'), {})
    assert both.startswith('the apex table has no row of s01,s01_ne_01; the sheet: the apex 31')


def test_an_apex_without_a_frame_is_refused():
    clip = clip_of([10, 11, 30], onset=10, apex=20, offset=30)
    with pytest.raises(InputError, match='there is no frame of the apex 20'):
        apex.choose(clip, ('sheet',), {})


@pytest.mark.parametrize(
    ('numbers', 'onset', 'offset', 'middle'),
    [
        (range(1, 12), 1, 11, 6),
        (range(1, 11), 1, 10, 5),  # of two nearest the earlier
        ([1, 2, 3, 9, 10, 11], 1, 11, 3),  # the sixth is missing
        ([5, 6], 5, 6, 6),  # never the onset itself
        (range(50), 10, 20, 15),
    ],
)
def test_the_middle_is_the_nearest_frame_there_is(numbers, onset, offset, middle):
    clip = clip_of(numbers, onset=onset, offset=offset)
    assert apex.choose(clip, ('middle',), {})[:2] == (middle, 'middle')


def test_a_clip_of_one_frame_has_no_middle():
    with pytest.raises(InputError, match=r'no frame after the onset 10 up to the offset 10$'):
        apex.choose(clip_of([10, 11], onset=10, offset=10), ('middle',), {})


def test_an_unknown_span_is_all_frames():
    clip = apex.with_span(clip_of([7, 9, 8]))
    assert (clip.onset, clip.offset) == (7, 9)
    assert apex.with_span(CLIP) == CLIP
    with pytest.raises(InputError, match='no frames'):
        apex.with_span(clip_of([]))


def test_a_table_gives_its_apex(tmp_path):
    table = table_of(tmp_path, f'\ufeff{HEADER}s01,s01_ne_01,10,14,30\n')
    assert apex.choose(CLIP, ('table', 'sheet'), table)[:2] == (14, 'table')


def test_a_table_that_counts_otherwise_tells_the_distance_from_the_onset(tmp_path):
    table = table_of(tmp_path, f'{HEADER}s01,s01_ne_01,559740,559753,559760\n')
    assert apex.choose(CLIP, ('table',), table)[:2] == (23, 'table')


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('s01,s01_ne_02,10,14,30', 'no row of s01,s01_ne_01'),
        ('s01,s01_ne_01,10,/,30', 'apex.csv, row 2: no apex'),
        ('s01,s01_ne_01,10,,30', 'apex.csv, row 2: no apex'),
        ('s01,s01_ne_01,10,31,30', 'apex.csv, row 2: the apex 31 lies after the offset 30'),
        ('s01,s01_ne_01,10,10,30', 'apex.csv, row 2: the apex 10 is the onset itself'),
        ('s01,s01_ne_01,5,40,60', 'row 2: 5 to 60 with the apex 40 is not the clip, 10 to 30'),
        (
            's01,s01_ne_01,5,40,',
            r'onset 5, apex 40, here shifted by \+5\): the apex 45 lies outside of the clip',
        ),
        ('s01,s01_ne_01,15,15,35', r'apex 15, here shifted by -5\): the apex 10 is the onset itself'),
    ],
)
def test_a_table_without_a_usable_apex_is_refused_by_row(tmp_path, row, message):
    table = table_of(tmp_path, f'{HEADER}{row}\n')
    with pytest.raises(InputError, match=message):
        apex.choose(CLIP, ('table',), table)


def test_rows_of_other_databases_are_left_out(tmp_path):
    text = 'database,apex,onset,offset,subject,clip\nsamm,5,1,9,a,b\nsmic,6,2,9,a,b\n'
    assert table_of(tmp_path, text)['a', 'b'].apex == 6
    assert table_of(tmp_path, text, 'samm')['a', 'b'].onset == 1
    with pytest.raises(InputError, match='no row of casme2'):
        table_of(tmp_path, text, 'casme2')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'none of the columns'),
        ('subject,clip,onset,offset\n', 'row 1: has the columns subject, clip, onset, offset; without apex'),
        (HEADER, 'has no row of smic'),
        (f'{HEADER}a,b,1,2,x\n', "row 2, column offset: 'x', expected a frame number"),
        (f'{HEADER}a,b,1,2.5,3\n', "row 2, column apex: '2.5'"),
        (f'{HEADER}\na,b,1,2,3\na,b,1,2,3\n', 'row 4: a/b stands in .*row 3 already'),
        (f'{HEADER},b,1,2,3\n', 'row 2: the subject is empty, but the row has frame numbers'),
        (f'{HEADER}a,b,-1,2,3\n', "row 2, column onset: '-1'"),
    ],
)
def test_a_faulty_table_is_refused_by_row_and_column(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        table_of(tmp_path, text)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r'cannot read the sheet .*none\.csv'):
        apex.read_table(tmp_path / 'none.csv', releases.of('smic'))


@settings(derandomize=True, max_examples=60)
@given(
    rows=st.lists(
        st.lists(
            st.one_of(st.sampled_from(['1', '7', '/', '', '9' * 5000, '-3', '"', 'a']), st.text(max_size=3)),
            min_size=4,
            max_size=6,
        ),
        max_size=4,
    ),
    noise=st.binary(max_size=4),
)
def test_any_table_is_read_or_refused_by_name(tmp_path_factory, rows, noise):
    path = tmp_path_factory.getbasetemp() / 'wild.csv'
    wild = '\n'.join(','.join(row) for row in rows)
    path.write_bytes((HEADER + wild).encode('utf-8', 'surrogatepass') + noise)
    try:
        told = [row.place for row in apex.read_table(path, releases.of('smic')).values()]
    except InputError as error:
        told = [str(error)]
    assert told
    assert all('wild.csv' in each for each in told)


@settings(derandomize=True, max_examples=100)
@given(
    numbers=st.sets(st.integers(0, 30), min_size=1),
    onset=st.integers(-1, 30),
    number=st.integers(-1, 31),
    offset=st.integers(-1, 30),
    choices=st.lists(st.sampled_from(['table', 'sheet', 'middle']), min_size=1, unique=True),
    row=st.tuples(*[st.integers(-1, 40)] * 3),
)
def test_an_apex_that_is_chosen_is_always_valid(numbers, onset, number, offset, choices, row):
    clip = apex.with_span(clip_of(numbers, onset=onset, apex=number, offset=offset))
    table = {('s01', 's01_ne_01'): apex.ApexRow(*row, place='apex.csv, row 2')}
    possible = [frame for frame in numbers if clip.onset < frame <= clip.offset]
    try:
        chosen, choice, _ = apex.choose(clip, choices, table)
    except InputError:
        assert not possible or 'middle' not in choices
    else:
        assert chosen in possible
        assert choice in choices


@pytest.mark.parametrize(
    ('choices', 'has_table', 'message'),
    [
        ((), False, 'no choice; expected some of table, sheet, middle, spotted'),
        (('sheet', 'best'), False, "unknown choice 'best'"),
        (('sheet', 'sheet'), False, 'each choice once'),
        (('table',), False, 'say by --apex-table'),
        (('sheet',), True, 'makes no use of --apex-table'),
    ],
)
def test_choices_that_do_not_fit_are_refused(choices, has_table, message):
    with pytest.raises(InputError, match=message):
        apex.check_choices(choices, has_table=has_table)
    apex.check_choices(('table', 'middle'), has_table=True)


@pytest.mark.parametrize('row', ['s1,s1_ne_1', 'S01,s01_ne_01', 's1,s1_NE_01'])
def test_clips_of_smic_are_found_in_any_spelling(tmp_path, row):
    table = table_of(tmp_path, f'{HEADER}{row},10,14,30\n')
    assert apex.choose(CLIP, ('table',), table)[:2] == (14, 'table')
    assert ('s1', 's1_ne_1') in table_of(tmp_path, f'{HEADER}s1,s1_ne_1,10,14,30\n', 'samm')


@pytest.mark.parametrize(
    ('database', 'subject', 'clip', 'key'),
    [
        ('smic', 20, 's20_ne_01', ('s20', 's20_ne_01')),
        ('smic', '20.0', 's20_ne_1', ('s20', 's20_ne_01')),
        ('casme2', 1, 'EP02_01f', ('sub01', 'EP02_01f')),
        ('casme2', 'sub1', 'EP02_01f', ('sub01', 'EP02_01f')),
        ('samm', '006', '006_1_2', ('6', '006_1_2')),
        ('mmew', 's7', 'S07-05-001', ('S07', 'S07-05-001')),
        ('casme3', 'spNO.1', 'a', ('spNO.1', 'a')),
    ],
)
@pytest.mark.parametrize('kind', ['xlsx', 'csv', 'semicolons', 'without a header'])
@pytest.mark.slow
def test_a_table_is_read_as_a_sheet_is(tmp_path, database, subject, clip, key, kind):
    """Other names of columns, numbers with decimals, a workbook, other columns between and behind."""
    header = ['no.', 'Subject', 'Filename', 'onset_frame', 'Apex Frame', 'Offset', 'label']
    row = [1, subject, clip, 17581039, '17581048.0', 17581055.0, 2]
    path = tmp_path / 'apex.csv'
    if kind == 'xlsx':
        path = tiny_release.xlsx(tmp_path / 'apex.xlsx', [['Apexes'], header, row, [None, 'made by hand']])
    elif kind == 'without a header':
        path.write_text(','.join(map(str, row[1:])) + '\n')
    else:
        lines = [';'.join(map(str, line)) for line in (header, row)]
        text = '\n'.join(lines)
        path.write_text(text if kind == 'semicolons' else text.replace(';', ','))
    table = apex.read_table(path, releases.of(database))
    assert list(table) == [key]
    found = table[key]
    assert (found.onset, found.apex, found.offset) == (17581039, 17581048, 17581055)


def test_a_workbook_with_two_tables_or_none_is_refused(tmp_path):
    rows = [list(apex.COLUMNS), ['s01', 's01_ne_01', 1, 2, 3]]
    for others, number in ((rows, 2), ([['x']], 1)):
        path = tiny_release.xlsx(tmp_path / 'apex.xlsx', rows, other=others)
        if number == 1:
            assert len(apex.read_table(path, releases.of('smic'))) == 1
            continue
        with pytest.raises(InputError, match='has 2 worksheets with the columns subject,clip,onset,apex'):
            apex.read_table(path, releases.of('smic'))


@pytest.mark.skipif(not SHARED.exists(), reason='needs the apex table of SMIC-HS')
def test_the_public_table_of_smic_hs_is_read():
    table = apex.read_table(SHARED, releases.of('smic'))
    assert len(table) == 164
    row = table['s01', 's01_ne_01']
    assert (row.onset, row.apex, row.offset) == (559740, 559753, 559775)
    assert row.place.endswith('smic_hs_apex.csv, row 2')


SIZE = 96


def film(seed: int, peak: int, length: int, *, motion=1.5, noise=1.5, light=0.03, head=0.4, left=0.4):
    """Faces of noise on which a spot of brow or mouth moves until `peak`, and most of the way back."""
    random = np.random.default_rng(seed)
    texture = sum(
        8 * blurred / blurred.std()
        for blurred in (cv2.GaussianBlur(random.normal(size=(SIZE, SIZE)), (0, 0), r) for r in (1.5, 3, 6))
    )
    face = (140 + texture).astype(np.float32)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    unit = SIZE / 28
    spot_x, spot_y = ((10.5, 5.0), (9.5, 21.3), (18.5, 21.3))[seed % 3]
    spot = np.exp(-(((x / unit - spot_x) / 2.4) ** 2 + ((y / unit - spot_y) / 2) ** 2) / 2)
    turn = random.uniform(0, 2 * np.pi)
    drift = random.normal(size=2)
    for time in range(length):
        down = (time - peak) / (length - peak)
        strength = time / peak if time <= peak else 1 - (1 - left) * down
        shift = head * time / length * drift / np.linalg.norm(drift)
        turn_x, turn_y = (head * time / length / SIZE * (axis - SIZE / 2) for axis in (y, x))
        moved = cv2.remap(
            face,
            x - np.float32(motion * strength * np.cos(turn)) * spot - np.float32(shift[0]) + turn_x,
            y - np.float32(motion * strength * np.sin(turn)) * spot - np.float32(shift[1]) - turn_y,
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )
        lit = moved * (1 + light * np.sin(time / 5 + seed))
        yield np.clip(np.rint(lit + random.normal(0, noise, lit.shape)), 0, 255).astype(np.uint8)


BOXES = regions.template_boxes((SIZE, SIZE))


@pytest.mark.parametrize('seed', range(6))
def test_an_apex_is_spotted_in_noise_changing_light_and_a_moving_head(seed):
    peak = 12 + 3 * seed
    assert abs(apex.spot(film(seed, peak, 40), BOXES) - peak) <= 2


def test_without_noise_the_apex_is_spotted_exactly():
    assert apex.spot(film(1, 17, 30, noise=0, light=0, head=0), BOXES) == 17


def test_motion_outside_of_the_regions_is_no_apex():
    quiet = list(film(0, 5, 10, noise=0, light=0, head=0))
    loud = quiet[8].copy()
    _, bottom, _, _ = BOXES['M']
    loud[bottom + 3 : bottom + 9, 20:60] = loud[bottom + 1 : bottom + 7, 18:58]  # the chin moves
    assert apex.spot([*quiet[:8], loud, quiet[9]], BOXES) == 5


def test_a_clip_that_does_not_move_has_no_apex():
    face = next(film(0, 5, 10))
    with pytest.raises(InputError, match='none of 4 frames differs from the onset'):
        apex.spot([face] * 4, BOXES)
    with pytest.raises(InputError, match='none of 1 frames'):
        apex.spot([face], BOXES)
    with pytest.raises(InputError, match='no frames'):
        apex.spot([], BOXES)
