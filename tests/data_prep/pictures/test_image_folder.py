"""Folders of labelled faces: who and what each picture shows, and from there to a dataset."""

import pathlib

import cv2
import numpy as np
import pytest

from data_prep import __main__ as command
from data_prep.pictures import image_folder
from data_prep.pictures.image_folder import Pattern
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError


def picture(number, height=30, width=24, colours=3):
    return np.random.default_rng(number).integers(0, 256, (height, width, colours), np.uint8)


def written(folder, *names):
    """Pictures of these names, each of its own size."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture(number, height=30 + number))
    return folder


CK = ('anger/S010_004_17.png', 'anger/S011_001_9.png', 'happy/S010_006_3.jpg', 'happy/S012_001_2.PNG')


@pytest.fixture
def faces(tmp_path):
    return written(tmp_path / 'CK+48', *CK)


def build(folder, *options):
    arguments = ['build', '--release', 'image_folder', '--source', str(folder), *options]
    return command.main([*arguments, '--out', str(folder.parent / 'out')])


def test_a_folder_becomes_faces_at_the_apex(faces, capsys):
    options = ['--release', 'image_folder', '--source', str(faces), '--subject-pattern', '{subject}_*']
    assert command.main(['check', *options]) == 0
    assert 'complete' in capsys.readouterr().out
    assert build(faces, '--subject-pattern', '{subject}_*', '--face-size', '20') == 0
    data = dataset.load(faces.parent / 'out', reads=('apex_face_grey', 'apex_face'))
    assert data.labels == ('anger', 'happy')
    assert list(data.subjects) == ['ck+48/S010', 'ck+48/S010', 'ck+48/S011', 'ck+48/S012']
    assert list(data.clip) == [
        'anger-S010_004_17',
        'happy-S010_006_3',
        'anger-S011_001_9',
        'happy-S012_001_2',
    ]
    assert data.inputs['apex_face'].shape == (4, 20, 20, 3)
    grey = cv2.cvtColor(cv2.resize(picture(0), (20, 20), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(data.inputs['apex_face_grey'][0, ..., 0], grey)
    assert data.metadata['subjects'] == '{subject}_*'
    assert not data.synthetic
    with pytest.raises(
        InputError, match=r'lacks onset_face; .* without an onset and without frames: no build'
    ):
        dataset.load(faces.parent / 'out', reads=('onset_face', 'apex_face'))


def test_the_usual_size_is_that_of_the_view_and_the_database_may_have_another_name(faces):
    found = image_folder.survey(f'ck={faces}', pattern='{subject}_*')
    assert found.shape == (224, 224)
    assert {row.clip.database for row in found.rows} == {'ck'}


@pytest.mark.parametrize(
    ('pattern', 'path', 'expected'),
    [
        ('{subject}_*', 'anger/S010_004_17.png', {'subject': 'S010'}),
        ('{subject}.{label:2}*', 'KA.AN1.39.tiff', {'subject': 'KA', 'label': 'AN'}),
        ('{subject:4}{label:2}*', 'a/AF01ANS.JPG', {'subject': 'AF01', 'label': 'AN'}),
        ('*_{subject}_*_*_{label}_*', 'Rafd090_01_C_female_angry_l.jpg', {'subject': '01', 'label': 'angry'}),
        ('{subject}/{label}/*', 'P001/Anger/000.jpeg', {'subject': 'P001', 'label': 'Anger'}),
        ('*/{label}/{subject}-?', 'train/sad/p 1-x.png', {'subject': 'p 1', 'label': 'sad'}),
        ('{subject}/{label}/*', 'Anger/000.jpeg', None),
        ('{subject}_*', 'anger/S010.png', None),
        ('{subject}_*', 'anger/_1.png', None),
        ('{subject}_?', 'anger/a_12.png', None),
        ('{subject:4}x', 'a/abc.png', None),
        ('a*b{subject}', 'a/aXXbp7.png', {'subject': 'p7'}),
    ],
)
def test_a_name_is_read_from_left_to_right(pattern, path, expected):
    assert Pattern.of(pattern).read(pathlib.PurePosixPath(path)) == expected


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('*', 'has no field'),
        ('{subject}_{subject}', 'has subject and subject'),
        ('{person}_*', r"'\{person\}_\*' is not understood"),
        ('{subject:0}', 'is not understood'),
        ('{subject', 'is not understood'),
        ('{subject}*', 'where .* begins is not said'),
        ('*{label}_{subject}', 'where .* begins is not said'),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(pattern, message):
    with pytest.raises(InputError, match=message):
        Pattern.of(pattern)


def test_no_pattern_takes_longer_than_its_length_times_the_names():
    """A regular expression of as many stars would try all ways to cut the name."""
    pattern = Pattern.of('*a' * 60 + '*b{subject}')
    assert pattern.read(pathlib.PurePosixPath('x/' + 'a' * 250 + '.png')) is None


def test_subjects_may_stand_in_a_table(faces):
    (table := faces.parent / 'who.csv').write_text(
        'subject,path\n7,anger/S010_004_17.png\n7,happy/S010_006_3.jpg\n8,anger/S011_001_9.png\n9,happy/no.png'
    )
    found = image_folder.survey(str(faces), table=table)
    assert {row.clip.subject for row in found.rows} == {'7', '8'}
    assert sorted((problem.row, problem.text) for problem in found.problems) == [
        ('happy/S012_001_2.PNG', 'the table has no row of it: expected its path below --source'),
        ('happy/no.png', 'it stands in the table, and is no picture there'),
    ]
    table.write_text('subject,path\n7,anger/S010_004_17.png\n8,anger/S010_004_17.png')
    with pytest.raises(
        InputError, match=r"row 3: 'anger/S010_004_17.png' has the subject '7' in a row before"
    ):
        image_folder.survey(str(faces), table=table)
    table.write_text('who,path\n7,anger/S010_004_17.png')
    with pytest.raises(InputError, match='expected a header with the columns path, subject'):
        image_folder.survey(str(faces), table=table)


def test_pictures_of_nobody_known_are_split_by_picture_if_that_is_asked_for(faces):
    with pytest.raises(InputError, match=r'who is on each picture is not said; .*--split-by-clip'):
        image_folder.survey(str(faces))
    with pytest.raises(InputError, match='expected one of them'):
        image_folder.survey(str(faces), split_by_clip=True, pattern='{subject}_*')
    found = image_folder.survey(str(faces), split_by_clip=True)
    assert len({row.clip.subject for row in found.rows}) == 4
    deeper = image_folder.survey(str(faces.parent), split_by_clip=True, pattern='*/{label}/*')
    assert deeper.labels == ('anger', 'happy')


def test_one_class_is_refused_by_its_name(faces, capsys):
    assert build(faces.parent, '--split-by-clip') == 2
    said = capsys.readouterr().err
    assert 'has one class, CK+48; expected a folder for each' in said
    assert '{label}' in said
    (empty := faces.parent / 'empty').mkdir()
    with pytest.raises(InputError, match='no images below it'):
        image_folder.survey(str(empty), split_by_clip=True)


def test_classes_that_no_table_can_hold_are_a_problem(tmp_path, capsys):
    folder = written(tmp_path / 'raf', '1/a.png', '2/b.png')
    options = ['--release', 'image_folder', '--source', str(folder), '--split-by-clip']
    assert command.main(['check', *options]) == 1
    assert "raf: the class '1', number 0, is called like another number" in capsys.readouterr().out
    assert build(folder, '--split-by-clip') == 2


def test_pictures_that_cannot_be_read_or_told_from_others_are_named(faces, capsys):
    (faces / 'happy' / 'S013_1.png').write_bytes(b'no picture')
    written(faces, 'happy/S010_006_3.png', 'S014_1.png')
    options = ('--subject-pattern', '{subject}_*', '--face-size', '20')
    assert build(faces, *options) == 2
    said = capsys.readouterr().err
    assert 'happy/S013_1.png' in said
    assert 'S014_1.png: it lies in no folder of a class' in said
    assert "would be called 'happy-S010_006_3', as happy/S010_006_3.jpg is: rename one of them" in said
    assert build(faces, *options, '--on-error', 'skip') == 0
    assert dataset.load(faces.parent / 'out', reads=('apex_face_grey',)).size == 4


def test_options_of_other_releases_are_refused(faces, capsys):
    assert build(faces, '--split-by-clip', '--view', 'flow', 'apex') == 2
    assert 'become apex' in capsys.readouterr().err
    assert build(faces, '--split-by-clip', '--size', '48') == 2
    assert '--size: not an option of --release image_folder' in capsys.readouterr().err
    assert build(faces, '--split-by-clip', '--face-size', '0') == 2
    assert '--face-size 0: expected 1 to 4096' in capsys.readouterr().err
