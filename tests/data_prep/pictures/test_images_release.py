"""Images of the user's own: from a table to a dataset, and from there to scores."""

import json
import os
import pathlib
import shutil
import struct

import cv2
import numpy as np
import openpyxl
import pandas as pd
import pytest
import tensorflow_datasets as tfds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_flow_images import chunked

from configs import ststnet
from data_prep import __main__ as command
from data_prep.face import regions
from data_prep.pictures import images
from data_prep.releases import synthetic_mark
from dualatme_jax import schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions
from dualatme_jax.run import experiment

REAL = pathlib.Path(__file__).parents[4] / 'shared' / 'data' / 'megc2019_flow28'
HEADER = 'database,subject,clip,label,path'


def picture(number, height=56, width=56):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def png(image):
    return cv2.imencode('.png', image[..., ::-1])[1].tobytes()


ROWS = (
    'my lab,p1,a,calm,pictures/0.png',
    'samm,006,b c,angry,pictures/1 .png',
    'my lab,p2,a,calm,pictures/ünï 2.png',
    'another,p1,a,angry,pictures/3.png',
)


@pytest.fixture
def folder(tmp_path):
    """Four flow images of 56x56 pixels from three databases, and their table."""
    (tmp_path / 'pictures').mkdir()
    for number, row in enumerate(ROWS):
        (tmp_path / row.rpartition(',')[2]).write_bytes(png(picture(number)))
    (tmp_path / 'table.csv').write_text('\n'.join([HEADER, *ROWS]))
    return tmp_path


def with_rows(folder, *rows, header=HEADER):
    (folder / 'table.csv').write_text('\n'.join([header, *rows]))
    return folder / 'table.csv'


def build(folder, *options):
    arguments = [
        'build',
        '--release',
        'images',
        '--table',
        str(folder / 'table.csv'),
        '--out',
        str(folder / 'out'),
    ]
    return command.main([*arguments, *options])


def check(folder, *options):
    return command.main(['check', '--release', 'images', '--table', str(folder / 'table.csv'), *options])


def test_a_column_by_another_name_is_refused_with_advice_that_helps(folder, capsys):
    with_rows(folder, header=HEADER.replace('label', 'emotion'))
    assert check(folder) == 2
    said = capsys.readouterr().err
    assert 'without label (expected a column label); if one of them is it, rename it in the file' in said
    assert '--column' not in said


@pytest.mark.usefixtures('workbooks_in_this_process')
def test_hidden_rows_of_the_table_are_noted(folder, capsys):
    book = openpyxl.Workbook()
    for row in (HEADER, *ROWS):
        book.active.append(row.split(','))
    book.active.row_dimensions[3].hidden = True
    book.save(folder / 'table.xlsx')
    (folder / 'table.csv').unlink()
    table = ['--release', 'images', '--table', str(folder / 'table.xlsx')]
    for arguments in (['check', *table], ['build', *table, '--out', str(folder / 'out')]):
        assert command.main(arguments) == 0
        said = capsys.readouterr().out
        assert '1 notes:\n  table.xlsx, row 3: the row is hidden' in said
    assert dataset.load(folder / 'out').size == 4


def test_flow_images_become_a_dataset(folder, capsys):
    assert check(folder) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ('my lab', 'another', 'SAMM', 'calm', 'angry', 'complete'))
    assert build(folder) == 0
    data = dataset.load(folder / 'out')
    assert data.labels == ('angry', 'calm')
    assert list(data.subjects) == ['samm/006', 'another/p1', 'my lab/p1', 'my lab/p2']
    assert list(data.clip) == ['b c', 'a', 'a', 'a']
    for place, number in enumerate((1, 3, 0, 2)):
        np.testing.assert_array_equal(data.inputs['flow'][place], picture(number))
        np.testing.assert_array_equal(
            data.inputs['flow_puzzled'][place], regions.puzzle(picture(number), 'EM')
        )
    assert data.origin == 'images; puzzled flow (EM): cut from the flow image of the entire face'


def test_images_below_a_synthetic_release_are_synthetic(folder, tmp_path_factory):
    assert build(folder) == 0
    assert not dataset.load(folder / 'out').synthetic
    marked = tmp_path_factory.mktemp('synthetic')
    synthetic_mark.write(marked, seed=0)
    shutil.copytree(folder / 'pictures', marked / 'deep' / 'pictures')
    rows = [
        row.replace(',pictures/', f',{marked}/deep/pictures/') if 'my lab' in row else row for row in ROWS
    ]
    with_rows(folder, *rows)
    assert build(folder, '--overwrite') == 0
    data = dataset.load(folder / 'out')
    assert (data.synthetic, data.metadata['synthetic']) == (True, ['my lab'])


def test_the_template_may_stand_at_the_place_of_a_known_database(folder):
    assert build(folder, '--template', 'database') == 0
    data = dataset.load(folder / 'out')
    for place, number, database in ((0, 1, 'samm'), (2, 0, None)):
        boxes = regions.template_boxes((56, 56), database)
        expected = regions.puzzle(picture(number), 'EM', boxes)
        np.testing.assert_array_equal(data.inputs['flow_puzzled'][place], expected)
    assert data.metadata['template']['my lab'] == 'common'


@pytest.mark.parametrize('where', ['table', 'source', 'absolute'])
def test_paths_begin_at_the_source_or_the_table(folder, tmp_path_factory, where):
    elsewhere = tmp_path_factory.mktemp('elsewhere') / 'table.csv'
    if where == 'table':
        assert images.survey(folder / 'table.csv').problems == []
    elif where == 'source':
        (folder / 'table.csv').rename(elsewhere)
        assert len(images.survey(elsewhere).problems) == 4
        assert images.survey(elsewhere, folder).problems == []
    else:
        rows = [f'{start},{folder / path}' for start, path in (row.rsplit(',', 1) for row in ROWS)]
        elsewhere.write_text('\n'.join([HEADER, *rows]))
        assert images.survey(elsewhere).problems == []


def test_a_workbook_with_columns_in_any_order_is_read(folder):
    book = openpyxl.Workbook()
    book.active.append(['remarks', 'Path', 'Label', 'Clip', 'Subject', 'Database'])
    for row in ROWS:
        database, subject, clip, label, path = row.split(',')
        book.active.append(['', path, label, clip, 7 if subject == 'p2' else subject, database.upper()])
    book.save(folder / 'table.xlsx')
    found = images.survey(folder / 'table.xlsx')
    assert found.problems == []
    assert [row.clip.key for row in found.rows][1:3] == [('samm', '006', 'b c'), ('my lab', '7', 'a')]


@pytest.mark.parametrize(
    ('words', 'order'),
    [
        (('surprise', 'negative'), ('negative', 'surprise')),
        (('surprise', 'positive', 'negative'), schema.LABELS),
        (('b', 'a', 'C'), ('C', 'a', 'b')),
        (tuple(map(str, range(12))), tuple(map(str, range(12)))),
    ],
)
def test_the_classes_are_the_tables_words(folder, words, order):
    rows = [f'lab,p{number},c,{word},{number}.png' for number, word in enumerate(words)]
    assert images.survey(with_rows(folder, *rows)).labels == order


BAD_ROWS = {
    'my lab,p1,a,calm,pictures/9.png': 'my lab/p1/a stands in row 2 too',
    'lab,p,a,calm,pictures/0.png': "the image 'pictures/0.png' stands in row 2 too",
    'lab,p,a,Calm,pictures/9.png': "the label 'Calm' is 'calm' in row 2: write it in one way",
    'lab,,a,calm,pictures/9.png': 'the subject is empty',
    'lab,-, ,,pictures/9.png': 'the subject and the clip and the label is empty',
    ',p,a,calm,': 'the database and the path is empty',
    'lab,p': 'the clip and the label and the path is empty',
    'full,p,a,calm,pictures/9.png': 'for something else',
    'a/b,p,a,calm,pictures/9.png': 'has a slash',
    'lab,p\x07,a,calm,pictures/9.png': 'cannot be printed',
    'lab,p,a,calm,pictures/none.png': 'No such file',
    'lab,p,a,calm,pictures': 'it is a folder',
    'lab,p,a,calm,pipe': 'a pipe, a device or the like',
    'lab,p,a,calm,table.csv': "'table.csv': not an image",
    'lab,p,a,calm,pictures/cut.png': "'cut.png': a truncated or damaged PNG",
    'lab,p,a,calm,pictures/grey.png': 'its three channels are the same',
    'lab,p,a,calm,pictures/flat.png': 'its three channels are the same',
    'lab,p,a,calm,pictures/deep.png': 'expected 8',
    'lab,p,a,calm,pictures/wide.png': "'wide.png': 60x56 pixels, and most images have 56x56",
    'lab,p,a,calm,pictures/bomb.png': "'bomb.png': ",
    'lab,p,a,calm,x\0y': 'null byte',
}


@pytest.mark.parametrize('row', BAD_ROWS)
def test_every_bad_row_is_named(folder, row, capsys):
    (folder / 'pictures' / '9.png').write_bytes(png(picture(9)))
    (folder / 'pictures' / 'cut.png').write_bytes(png(picture(9))[:-20])
    (folder / 'pictures' / 'grey.png').write_bytes(cv2.imencode('.png', picture(9)[..., 0])[1].tobytes())
    (folder / 'pictures' / 'flat.png').write_bytes(png(np.zeros((56, 56, 3), np.uint8)))
    (folder / 'pictures' / 'deep.png').write_bytes(png(picture(9).astype(np.uint16)))
    (folder / 'pictures' / 'wide.png').write_bytes(png(picture(9, 56, 60)))
    bomb = chunked(struct.pack('>IIBBBBB', 30_000, 30_000, 8, 2, 0, 0, 0), b'')  # 2.7 GB of pixels
    (folder / 'pictures' / 'bomb.png').write_bytes(bomb)
    os.mkfifo(folder / 'pipe')
    with_rows(folder, *ROWS, row)
    assert check(folder) == 1
    told = capsys.readouterr().out.splitlines()
    (problem,) = (line for line in told if 'row 6' in line)
    assert BAD_ROWS[row] in problem
    assert build(folder) == 2
    assert problem.strip() in capsys.readouterr().err
    assert not (folder / 'out').exists()
    assert build(folder, '--on-error', 'skip') == 0
    data = dataset.load(folder / 'out')
    assert data.size == 4
    assert len(data.metadata['skipped']) == 1


@pytest.mark.parametrize(
    ('labels', 'fault'),
    [
        (('1', '2'), "the class '1', number 0, is called like another number"),
        (('calm', 'calm'), '1 classes (calm); expected 2 to 20'),
        (tuple(f'w{number}' for number in range(21)), '21 classes'),
    ],
)
def test_classes_that_cannot_be_are_refused(folder, labels, fault, capsys):
    for number in range(len(labels)):
        (folder / f'{number}.png').write_bytes(png(picture(number)))
    with_rows(folder, *(f'lab,p,{number},{label},{number}.png' for number, label in enumerate(labels)))
    assert check(folder) == 1
    assert fault in capsys.readouterr().out
    for on_error in ('stop', 'skip'):
        assert build(folder, '--on-error', on_error) == 2
        assert fault in capsys.readouterr().err


def test_images_of_several_sizes_are_scaled_on_demand(folder):
    (folder / 'pictures' / '0.png').write_bytes(png(picture(0, 40, 30)))
    assert check(folder) == 1
    assert check(folder, '--size', '48') == 0
    assert build(folder, '--size', '48') == 0
    data = dataset.load(folder / 'out')
    assert data.inputs['flow'].shape == (4, 48, 48, 3)
    np.testing.assert_array_equal(
        data.inputs['flow'][0], cv2.resize(picture(1), (48, 48), interpolation=cv2.INTER_AREA)
    )
    np.testing.assert_array_equal(data.inputs['flow'][2], cv2.resize(picture(0, 40, 30), (48, 48)))


def test_images_that_are_no_squares_or_too_small_to_cut(folder):
    for number, row in enumerate(ROWS):
        (folder / row.rpartition(',')[2]).write_bytes(png(picture(number, 20, 40)))
    assert build(folder) == 2
    assert build(folder, '--regions', 'full') == 0
    data = dataset.load(folder / 'out')
    assert data.inputs['flow'].shape == (4, 20, 40, 3)
    np.testing.assert_array_equal(data.inputs['flow'], data.inputs['flow_puzzled'])


@pytest.mark.parametrize('onset', [False, True])
def test_faces(folder, onset):
    if onset:
        rows = [f'{row},onset {number}.png' for number, row in enumerate(ROWS)]
        for number in range(len(ROWS)):
            (folder / f'onset {number}.png').write_bytes(png(picture(10 + number)))
        with_rows(folder, *rows, header=f'{HEADER},onset_path')
    assert build(folder, '--view', 'apex') == 0
    clips = list(tfds.builder_from_directory(folder / 'out').as_data_source(schema.SPLIT))
    for number, clip in enumerate(clips):
        np.testing.assert_array_equal(clip[schema.APEX_FACE], picture(number))
        grey = cv2.cvtColor(picture(number), cv2.COLOR_RGB2GRAY)
        np.testing.assert_array_equal(clip[schema.APEX_FACE_GREY][..., 0], grey)
        assert (schema.ONSET_FACE in clip) == onset
        if onset:
            np.testing.assert_array_equal(clip[schema.ONSET_FACE], picture(10 + number))
    with pytest.raises(InputError, match='lacks flow, flow_puzzled; it has'):
        dataset.load(folder / 'out')


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        ([], '--release images needs --table FILE'),
        (['--table', 'nowhere.csv'], 'nowhere.csv'),
        (['--table', '/dev/zero'], 'a pipe, a device or the like'),
        (['--table', 'table.csv', '--source', 'nowhere'], '--source nowhere is not a folder'),
        (['--table', 'table.csv', '--view', 'frames'], '--view frames'),
        (['--table', 'table.csv', '--view', 'flow', 'apex'], 'are one view'),
        (['--table', 'table.csv', '--size', '0'], '--size 0'),
        (['--table', 'table.csv', '--apex', 'sheet'], '--apex: not an option'),
        (['--table', 'table.csv', '--view', 'apex', '--regions', 'EN'], '--regions: not an option'),
        (['--table', 'table.csv', '--source', '.', '--release', 'casme2'], '--table: not an option'),
    ],
)
def test_options_that_cannot_be_are_refused(folder, monkeypatch, capsys, options, says):
    monkeypatch.chdir(folder)
    assert command.main(['check', '--release', 'images', *options]) == 2
    assert says in capsys.readouterr().err


def test_images_without_motion_are_named(folder, capsys):
    still = picture(0)
    still[..., :2] = (7, 128)  # and a strain that is noise
    (folder / 'still.png').write_bytes(png(still))
    with_rows(folder, *ROWS, 'my lab,p3,a,calm,still.png')
    assert check(folder) == 1
    assert "row 6: p3/a: 'still.png': no motion" in ' '.join(capsys.readouterr().out.split())
    row = 'zoo,p1,{0},{0},pictures/{1}.png,pictures/{2}.png'
    with_rows(folder, row.format('a', 0, 0), row.format('b', 3, '1 '), header=f'{HEADER},onset_path')
    assert check(folder, '--view', 'apex') == 1
    assert "row 2: p1/a: '0.png': no motion: onset and apex" in ' '.join(capsys.readouterr().out.split())


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: path.symlink_to('/dev/null')])
def test_what_is_no_file_is_not_replaced_by_one(folder, make, capsys):
    make(folder / 'out.json')
    assert check(folder, '--json', str(folder / 'out.json')) == 2
    assert 'out.json: it is a pipe, a device' in capsys.readouterr().err
    assert not (folder / 'out.json').is_file()


def test_one_image_by_two_paths_is_one_image(folder, capsys):
    with_rows(folder, *ROWS, 'my lab,p3,a,calm,pictures/../pictures/./0.png')
    assert check(folder) == 1
    assert 'stands in row 2 too' in ' '.join(capsys.readouterr().out.split())


def test_many_problems_of_one_kind_are_one_line(folder, capsys):
    with_rows(folder, *[f'zoo,p{number},a,{"ab"[number % 2]},gone{number}.png' for number in range(11)])
    assert build(folder) == 2
    assert '11 of this kind: table.csv, row 2' in capsys.readouterr().err
    assert build(folder, '--on-error', 'skip') == 2
    assert '11 of this kind: table.csv, row 2' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['', '\n', 'subject,clip\n', f'{HEADER},path\n', f'{HEADER}\n', 'a;b\n1;2'])
def test_a_table_without_its_columns_or_rows_is_refused(folder, text, capsys):
    (folder / 'table.csv').write_text(text)
    assert build(folder) == 2
    assert 'table.csv' in capsys.readouterr().err


fields = st.sampled_from(
    ['lab', 'full', 'p', '', ' ', '-', 'a', 'A', '0', '1', 'pictures/0.png', '../x', '\0', '"', 'é']
)


@given(st.lists(st.lists(fields, max_size=6).map(','.join) | st.text(max_size=20), max_size=5))
@settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_table_is_rows_and_problems(folder, lines):
    (folder / 'table.csv').write_bytes('\n'.join([HEADER, *lines]).encode(errors='replace'))
    try:
        found = images.survey(folder / 'table.csv')
    except InputError:
        return
    assert len({row.clip.key for row in found.rows}) == len(found.rows)
    assert found.rows or found.problems
    assert all(row.label in found.labels for row in found.rows)


@pytest.mark.slow
def test_from_own_images_to_scores(folder, tmp_path):
    """Own databases and classes, flow of 56 pixels: read, cut into folds, trained, scored, shown."""
    rows = []
    for number in range(6):
        label = ('low', 'high')[number % 2]
        image = picture(number) // 4 + (100 if label == 'high' else 0)
        (folder / f'{number}.png').write_bytes(png(image.astype(np.uint8)))
        rows.append(f'{("zoo", "my lab", "smic")[number // 2]},p0,c{number},{label},{number}.png')
    with_rows(folder, *rows)
    assert build(folder) == 0
    config = ststnet.get_config()
    config.data.path, config.data.databases = str(folder / 'out'), ()
    config.training.epochs, config.engine.devices = 1, 1
    config.engine.max_trials = 1  # one program to compile
    config.report.resamples = 20
    config.report.pictures = False
    config.checkpoint.keep_weights = False
    assert experiment.run(config, tmp_path / 'run').complete
    result = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert list(result['scores']) == ['full', 'smic', 'my lab', 'zoo']
    assert result['labels'] == ['high', 'low']
    table, labels = predictions.read(tmp_path / 'run' / 'predictions.csv')
    assert labels == ('high', 'low')
    folds = pd.read_csv(tmp_path / 'run' / 'trials.csv')
    databases = folds['left_out'].str.partition('/')[0]
    assert list(databases.drop_duplicates()) == ['smic', 'my lab', 'zoo']
    assert predictions.titled_subsets(table)['my lab'][0] == 'my lab'


@pytest.mark.skipif(not REAL.is_dir(), reason=f'the public flow images are not at {REAL}')
@pytest.mark.slow
def test_the_public_images_give_the_same_bytes_by_a_table(tmp_path):
    with (REAL / 'combined_3class_gt.csv').open() as file, (tmp_path / 'table.csv').open('w') as table:
        table.write(HEADER + '\n')
        for line in file.read().split():
            database, subject, clip, label = line.split(',')
            stem = f'{subject.zfill(3) if database == "samm" else subject}_{clip}'
            path = f'STSNet_whole_norm_u_v_os/{stem} .png'
            table.write(f'{database},{subject},{clip},{schema.LABELS[int(label)]},{path}\n')
    assert build(tmp_path, '--source', str(REAL)) == 0
    other = ['build', '--release', 'flow_images', '--source', str(REAL), '--out', str(tmp_path / 'other')]
    assert command.main(other) == 0
    ours, theirs = (
        next((tmp_path / name).glob('*.array_record-*')).read_bytes() for name in ('out', 'other')
    )
    assert ours == theirs
    for name in ('features.json', 'label.labels.txt'):
        assert (tmp_path / 'out' / name).read_text() == (tmp_path / 'other' / name).read_text()
