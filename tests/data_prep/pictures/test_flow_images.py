import contextlib
import errno
import os
import pathlib
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import __main__ as command
from data_prep.dataset import writer
from data_prep.face import regions
from data_prep.pictures import flow_images
from dualatme_jax import schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError
from dualatme_jax.outside import challenge_list

REAL = pathlib.Path(__file__).parents[4] / 'shared' / 'data' / 'megc2019_flow28'

# The list's rows and the names of their images, as in the public release.
ROWS = {
    'casme2,sub01,EP02_01f,1': 'sub01_EP02_01f .png',
    'casme2,sub02,EP01_11f,0': 'sub02_EP01_11f .png',
    'smic,s03,s03_ne_03,0': 's03_s03_ne_03 .png',
    'samm,6,006_1_2,2': '006_006_1_2 .png',
}


def image_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, schema.FLOW_SHAPE, dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode('.png', image[..., ::-1])[1].tobytes()


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / 'a source, naïve'
    (folder / 'images').mkdir(parents=True)
    (folder / 'list.csv').write_text('\r\n'.join(ROWS))
    for number, name in enumerate(ROWS.values()):
        (folder / 'images' / name).write_bytes(png(image_of(number)))
    return folder


def problems_of(source) -> str:
    """The message of a build, which must name all that the survey names."""
    with pytest.raises(InputError) as caught:
        flow_images.read(source)
    for problem in flow_images.survey(source).problems:
        assert problem in str(caught.value)
    return str(caught.value)


def test_images_and_rows_are_joined(source):
    release = flow_images.read(source)
    examples = list(release.examples)
    assert release.size == len(examples) == 4
    assert [example.label for example in examples] == ['positive', 'negative', 'negative', 'surprise']
    samm = examples[3]
    assert (samm.database, samm.subject, samm.clip) == ('samm', '6', '006_1_2')
    for number, example in enumerate(examples):
        flow = example.views['flow']
        np.testing.assert_array_equal(flow['flow'], image_of(number))  # red, u, stands first
        np.testing.assert_array_equal(flow['flow_puzzled'], regions.puzzle(image_of(number), 'EM'))
    assert samm.onset == schema.UNKNOWN_FRAME
    boxes = release.views['flow'].recipe['regions']['boxes']
    found = {letter: tuple(round(28 * edge) for edge in box) for letter, box in boxes.items()}
    assert found == {letter: regions.template_boxes()[letter] for letter in 'EM'}
    assert release.views['flow'].recipe['flow']['algorithm'] == schema.UNKNOWN_TEXT


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\n\n'])
def test_line_endings_and_byte_order_marks_are_read(source, encoding, end):
    (source / 'list.csv').write_bytes((end.join(ROWS) + end).encode(encoding))
    assert flow_images.read(source).size == 4


def test_the_list_may_lie_elsewhere_and_file_managers_litter_is_skipped(source):
    elsewhere = source.parent / 'other.txt'
    (source / 'list.csv').rename(elsewhere)
    (source / 'images' / '._006_006_1_2 .png').write_bytes(b'Mac OS X')
    assert flow_images.read(source, elsewhere).size == 4


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match='is not a folder'):
        flow_images.survey(tmp_path / 'nowhere')


def test_no_list_and_several(source):
    (source / 'images' / 'second.csv').write_text('')
    with pytest.raises(InputError, match=r'images/second\.csv.*list\.csv.*--list'):
        flow_images.survey(source)
    for path in source.rglob('*.csv'):
        path.unlink()
    with pytest.raises(InputError, match='found none'):
        flow_images.survey(source)
    with pytest.raises(InputError, match='cannot read the list'):
        flow_images.survey(source, source / 'nothing.csv')


def test_a_list_one_folder_up_is_named(source):
    (source / 'sheet.csv').write_text('Subject,Filename,OnsetFrame\n')
    with pytest.raises(InputError, match=r'found none: .* by --list; one folder up lies .*/list\.csv\Z'):
        flow_images.survey(source / 'images')
    (source / 'list.csv').unlink()
    with pytest.raises(InputError, match=r'found none: name the right one by --list\Z'):
        flow_images.survey(source / 'images')


@pytest.mark.parametrize('release', ['casme2', 'samm', 'smic', 'mmew', 'megc2019_cd'])
@pytest.mark.parametrize('below', ['', 'images'])
def test_another_release_named_for_them_is_answered_with_theirs(source, capsys, release, below):
    check = ['check', '--release', release, '--source', str(source / below)]
    assert command.main(check) == 2
    assert 'give --release flow_images' in capsys.readouterr().err
    for path in source.rglob('*.png'):
        path.write_bytes(png(np.zeros((30, 30, 3), np.uint8)))
    assert command.main(check) == 2
    assert 'flow_images' not in capsys.readouterr().err


def test_every_orphan_on_either_side_is_named(source):
    (source / 'images' / 's03_s03_ne_03 .png').rename(source / 'images' / 's03_s03_ne_04 .png')
    (source / 'images' / '006_006_1_2 .png').unlink()
    (source / 'images' / 'stray.png').write_bytes(png(image_of(9)))
    message = problems_of(source)
    assert "line 3: no image 's03_s03_ne_03'" in message
    assert "line 4: no image '006_006_1_2'" in message
    assert "s03_s03_ne_04 .png': no row" in message
    assert "stray.png': no row" in message


def test_no_images_at_all(source):
    for path in source.rglob('*.png'):
        path.unlink()
    assert 'no .png in' in problems_of(source)


def test_two_images_of_one_clip(source):
    (source / 'images' / '006_006_1_2.png').write_bytes(png(image_of(9)))
    message = problems_of(source)
    assert "'images/006_006_1_2 .png', 'images/006_006_1_2.png'" in message


def chunked(header: bytes, pixels: bytes) -> bytes:
    """A PNG whose checksums are right, whatever its content."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
        )

    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')


RGB_HEADER = struct.pack('>IIBBBBB', 28, 28, 8, 2, 0, 0, 0)
BAD_IMAGES = {
    'empty': (b'', 'not a PNG'),
    'text': (b'<html>404</html>', 'not a PNG'),
    'cut after the signature': (png(image_of(0))[:8], 'truncated'),
    'cut in half': (png(image_of(0))[:900], 'truncated'),
    'cut in its last chunk': (png(image_of(0))[:-6], 'truncated'),
    'cut before its last chunk': (png(image_of(0))[:-12], 'truncated'),
    'a byte flipped': (png(image_of(0))[:800] + b'\0\0\0\0' + png(image_of(0))[804:], 'damaged'),
    'pixels that do not inflate': (chunked(RGB_HEADER, b'nonsense'), 'damaged'),
    'pixels that end early': (chunked(RGB_HEADER, zlib.compress(bytes(100))), 'damaged'),
    'no header': (chunked(b'', b''), 'no header'),
    'too large': (png(np.zeros((28, 29, 3), np.uint8)), '29x28 pixels, expected 28x28'),
    'a bomb': (chunked(struct.pack('>IIBBBBB', 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0), b''), 'expected 28x28'),
    'grey': (cv2.imencode('.png', np.zeros((28, 28), np.uint8))[1].tobytes(), 'expected 8-bit RGB'),
    'with alpha': (cv2.imencode('.png', np.zeros((28, 28, 4), np.uint8))[1].tobytes(), 'expected 8-bit RGB'),
    'of 16 bits': (cv2.imencode('.png', np.zeros((28, 28, 3), np.uint16))[1].tobytes(), '16 bits'),
}


@pytest.mark.parametrize('fault', BAD_IMAGES)
def test_a_bad_image_is_named_with_its_fault(source, fault):
    data, expected = BAD_IMAGES[fault]
    (source / 'images' / '006_006_1_2 .png').write_bytes(data)
    message = problems_of(source)
    assert expected in message
    assert "'006_006_1_2 .png'" in message


@given(data=st.binary(max_size=200), keep=st.integers(0, 3000), junk=st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_bytes_are_an_image_or_an_input_error(data, keep, junk):
    whole = png(image_of(0))
    for content in (data, whole[:keep] + junk + whole[keep + len(junk) :], chunked(RGB_HEADER, data)):
        with contextlib.suppress(InputError):
            assert flow_images.decode_png(content).shape == schema.FLOW_SHAPE


BAD_ROWS = {
    'casme2,sub01,EP02_01f,1': 'line 5: needs the same image as line 1',
    'samm,006,006_1_2,2': 'line 5: needs the same image as line 4',
    'casme2,sub01,EP99,3': "line 5: unknown label '3', expected one of 0 negative, 1 positive, 2 surprise",
    'casme2,sub01,EP99,': "line 5: unknown label ''",
    'mmew,sub01,EP99,1': "line 5: unknown database 'mmew', expected one of casme2, smic, samm",
    'casme2,sub01,EP99': 'line 5: 3 columns, expected 4: database,subject,clip,label',
    'casme2,sub01,EP99,1,1': 'line 5: 5 columns, expected 4',
    'casme2;sub01;EP99;1': 'line 5: 1 columns, expected 4',
    'casme2,,EP99,1': 'line 5: the subject is empty',
    'casme2,sub01, ,1': 'line 5: the clip is empty',
}


@pytest.mark.parametrize('row', BAD_ROWS)
def test_a_bad_row_is_named_with_its_fault(source, row):
    (source / 'list.csv').write_text('\n'.join([*ROWS, row]))
    assert BAD_ROWS[row] in problems_of(source)


@pytest.mark.parametrize('text', ['', '\n \n', '\ufeff', ',,,\n'])
def test_an_empty_list(source, text):
    (source / 'list.csv').write_text(text)
    assert 'the list is empty' in problems_of(source)


@pytest.mark.parametrize(
    ('header', 'said'),
    [
        (
            'dataset,sub,filename_o,label,apex,imagename,sub_filename',
            "is HTNet's list, with the columns dataset, sub",
        ),
        ('database,subject,clip,label', 'delete its first line'),
        ('Subject,Filename,,OnsetFrame,ApexFrame', 'is a table with the header Subject, Filename.*--sheet'),
    ],
)
def test_a_list_of_another_kind_is_said_to_be_that(source, header, said):
    path = source / 'other.csv'
    rows = '\n'.join(f'casme2,sub01,EP{number},0,,x.jpg,' for number in range(442))
    path.write_text(f'{header}\n{rows}\n')
    with pytest.raises(InputError, match=said):
        flow_images.survey(source, path)


def test_folders_of_one_fold_each_are_said_to_be_that(tmp_path, source):
    for subject in ('006', 's01'):
        for part in ('u_train/0', 'u_test/2'):
            folder = tmp_path / 'three_norm_u_v_os' / subject / part
            folder.mkdir(parents=True)
            (folder / '006_006_1_2 .png').write_bytes(b'x')
    with pytest.raises(
        InputError, match=r"folders of one fold each, such as '006/u_test'.*4 copies of 1 images"
    ):
        flow_images.survey(tmp_path / 'three_norm_u_v_os', next(source.glob('*.csv')))


def test_many_missing_images_are_one_line(source):
    path = source / 'long.csv'
    path.write_text(''.join(f'casme2,sub01,EP{number},0\n' for number in range(442)))
    with pytest.raises(InputError) as caught:
        flow_images.read(source, path)
    lines = str(caught.value).splitlines()
    assert "442 of this kind: list, line 1: no image 'sub01_EP0'" in lines[1]
    assert len(lines) < 10


def test_a_list_that_is_no_text(source):
    (source / 'list.csv').write_bytes(b'PK\x03\x04\xff\xfe')
    with pytest.raises(InputError, match='UTF-8'):
        flow_images.read(source)


words = st.sampled_from(
    ['casme2', 'smic', 'samm', 's01', '6', '006_1_2', '0', '1', '2', '3', '', ' ', '"', 'é', '\0']
)
lines = st.lists(st.lists(words, max_size=6).map(','.join) | st.text(max_size=20), max_size=6)


@given(lines, st.sampled_from(['\n', '\r\n', '\r']))
def test_any_text_is_rows_and_problems(lines, end):
    text = end.join(lines)
    rows, problems = challenge_list.parse_list(text)
    assert len({row.stem for row in rows}) == len(rows)
    assert rows or problems
    for row in rows:
        assert row.database in schema.DATABASES
        assert row.label in schema.LABELS
        assert row.subject
        assert row.clip


def test_an_oversized_field_is_a_problem():
    _, problems = challenge_list.parse_list('x' * 200_000)
    assert 'field larger than field limit' in problems[0]


def test_build_and_check_by_command(source, tmp_path, capsys):
    out = tmp_path / 'out, encore' / 'dé jà'
    build = ['build', '--release', 'flow_images', '--source', str(source), '--out', str(out)]
    check = ['check', '--release', 'flow_images', '--source', str(source)]
    assert command.main(check) == 0
    assert 'CASME II' in capsys.readouterr().out
    assert command.main(build) == 0
    assert dataset.load(out).size == 4
    (source / 'images' / 'stray.png').write_bytes(png(image_of(9)))
    assert command.main(check) == 1
    assert 'stray.png' in capsys.readouterr().out
    assert command.main([*build, '--overwrite']) == 2
    assert capsys.readouterr().err.startswith('error: 1 problems')
    assert dataset.load(out).size == 4  # the old one stands


@pytest.mark.parametrize('option', [('--seed', '0'), ('--flow', 'dis')])
def test_options_that_do_not_apply_are_refused(source, tmp_path, option):
    build = ['build', '--release', 'flow_images', '--source', str(source), '--out', str(tmp_path / 'out')]
    assert command.main([*build, *option]) == 2


@pytest.mark.slow
def test_the_command_answers_at_once_and_prints_no_traceback():
    def run(*arguments):
        return subprocess.run([sys.executable, '-m', 'data_prep', *arguments], capture_output=True, text=True)

    imports = (
        "import sys, data_prep.__main__; print({'cv2', 'numpy', 'tensorflow_datasets'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, '-c', imports], capture_output=True, text=True, check=True)
    assert loaded.stdout == 'set()\n'
    assert '--release' in run('build', '--help').stdout
    failed = run('check', '--release', 'flow_images', '--source', 'nowhere')
    assert failed.returncode == 2
    assert failed.stderr.startswith('error: --source nowhere')
    assert 'Traceback' not in failed.stderr


@pytest.mark.skipif(not REAL.is_dir(), reason=f'the public flow images are not at {REAL}')
def test_the_public_release_is_complete(tmp_path):
    writer.write(flow_images.read(REAL), tmp_path / 'cd')
    data = dataset.load(tmp_path / 'cd')
    assert data.size == 442
    np.testing.assert_array_equal(np.bincount(data.label), (250, 109, 83))
    counts = {
        database: (np.bincount(data.label[of]).tolist(), len(set(data.subjects[of])))
        for database in schema.COMPOSITE
        for of in [data.database == database]
    }
    assert counts == {
        'casme2': ([88, 32, 25], 24),
        'smic': ([70, 51, 43], 16),
        'samm': ([92, 26, 15], 28),
    }
    first = cv2.imread(str(next(REAL.rglob('sub01_EP02_01f*.png'))))[..., ::-1]
    np.testing.assert_array_equal(data.inputs['flow'][0], first)


@pytest.mark.skipif(not REAL.is_dir(), reason=f'the public flow images are not at {REAL}')
def test_a_list_with_another_label_is_said_to_be_that(tmp_path, capsys):
    published = (REAL / 'combined_3class_gt.csv').read_text()
    other = tmp_path / 'list.csv'
    other.write_text(published.replace('smic,s18,s18_sur_03,2', 'smic,s18,s18_sur_03,0'))
    arguments = ['check', '--release', 'flow_images', '--source', str(REAL), '--list', str(other)]
    assert command.main(arguments) == 0
    said = ' '.join(capsys.readouterr().out.split())
    assert '71 negative instead of 70, 42 surprise instead of 43' in said
    assert 's18 has 4 surprise instead of 5 (missing s18_sur_03)' in said


def test_what_the_system_refuses_is_a_sentence(source, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, 'No space left on device', 'a\x1bb')

    monkeypatch.setattr(flow_images, 'survey', full)
    assert command.main(['check', '--release', 'flow_images', '--source', str(source)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        'error: a\\x1bb: No space left on device; make room on its disk; what is done is kept'
    )


def test_an_image_without_motion_and_one_that_is_a_pipe_are_named(source):
    still, pipe, *_ = sorted((source / 'images').iterdir())
    image = np.full(schema.FLOW_SHAPE, 128, np.uint8)
    image[..., 2] = np.arange(28)
    still.write_bytes(png(image))
    pipe.unlink()
    os.mkfifo(pipe)
    told = problems_of(source)
    assert f'{still.name!r}: no motion' in told
    assert repr(pipe.stem.strip()) in told


def test_a_list_that_is_a_pipe_is_refused(source, tmp_path):
    os.mkfifo(tmp_path / 'list.csv')
    with pytest.raises(InputError, match='it is a pipe'):
        flow_images.survey(source, tmp_path / 'list.csv')


def test_the_puzzled_flow_may_be_cut_at_each_database_s_place(source):
    common, own = (flow_images.read(source, by_database=choice) for choice in (False, True))
    assert common.views['flow'].recipe['template'] == dict.fromkeys(schema.COMPOSITE, 'common')
    assert 'boxes' not in own.views['flow'].recipe['regions']  # each database has its own
    assert own.views['flow'].recipe['template']['samm'] == {'down': 1.12, 'shift': -1.1, 'across': 0.88}
    for before, after in zip(common.examples, own.examples, strict=True):
        image = before.views['flow'][schema.FLOW]
        boxes = regions.template_boxes((28, 28), after.database)
        puzzled = after.views['flow'][schema.FLOW_PUZZLED]
        np.testing.assert_array_equal(puzzled, regions.puzzle(image, 'EM', boxes))
        same = (puzzled == before.views['flow'][schema.FLOW_PUZZLED]).all()
        assert same == (after.database == 'smic')
