import os

import pytest
import tiny_release

from data_prep.files import folders
from dualatme_jax.errors import InputError


def test_folders_are_found_by_the_end_of_their_path(tmp_path):
    tiny_release.frames(tmp_path / 'Über uns' / 'Cropped' / 'Cropped' / 'Sub01' / 'EP02_01F', [1])
    tiny_release.frames(tmp_path / 'Über uns' / 'Cropped' / 'Cropped' / 'Sub02' / 'EP02_01f', [1])
    tree = folders.walk(tmp_path / 'Über uns')
    [found] = tree.find('sub01', 'ep02_01f')
    assert found.path == tmp_path / 'Über uns' / 'Cropped' / 'Cropped' / 'Sub01' / 'EP02_01F'
    assert found.image == 'img1.jpg'
    assert len(tree.find('*', 'EP02_01f')) == 2
    assert tree.find('Cropped', 'EP02_01f') == []
    assert tree.show(found.path) == 'Cropped/Cropped/Sub01/EP02_01F'


def test_the_source_itself_counts_by_its_name(tmp_path):
    tiny_release.frames(tmp_path / 'sub01' / 'EP02_01f', [1])
    assert len(folders.walk(tmp_path / 'sub01').find('sub01', 'EP02_01f')) == 1


def test_accents_may_be_composed_or_not(tmp_path):
    tiny_release.frames(tmp_path / 'nai\N{COMBINING DIAERESIS}f', [1])
    assert len(folders.walk(tmp_path).find('na\N{LATIN SMALL LETTER I WITH DIAERESIS}f')) == 1


def test_links_are_followed_once(tmp_path):
    tiny_release.frames(tmp_path / 'data' / 'sub01' / 'EP02_01f', [1])
    tiny_release.frames(tmp_path / 'disc' / 'sub02' / 'EP01', [1])
    source = tmp_path / 'data'
    (source / 'sub01' / 'loop').symlink_to(source)
    (source / 'self').symlink_to(source / 'self')
    (source / 'a copy').symlink_to(source / 'sub01')
    (source / 'linked').symlink_to(tmp_path / 'disc')
    tree = folders.walk(source)
    assert [folder.path for folder in tree.folders if folder.image] == [
        source / 'linked' / 'sub02' / 'EP01',
        source / 'sub01' / 'EP02_01f',
    ]


def test_what_systems_leave_behind_is_not_there(tmp_path):
    for name in ('.DS_Store', '._img1.jpg', 'Thumbs.db', '~$codes.xlsx', 'notes.txt'):
        (tmp_path / name).write_bytes(b'')
    tiny_release.frames(tmp_path / '__MACOSX', [1])
    tiny_release.frames(tmp_path / '.git', [1])
    tree = folders.walk(tmp_path)
    assert [(folder.path, folder.image) for folder in tree.folders] == [(tmp_path, '')]
    assert not tree.sheets


@pytest.mark.parametrize(
    ('name', 'number'),
    [
        ('img46.jpg', 46),
        ('reg_img046.JPG', 46),
        ('006_05562.jpg', 5562),
        ('img2977.jpg.jpg', 2977),
        ('7.Tiff', 7),
        ('frame 12 b.png', 12),
    ],
)
def test_the_last_digits_of_a_name_are_the_frame_number(tmp_path, name, number):
    (tmp_path / name).write_bytes(b'')
    (tmp_path / 'cover.jpg').write_bytes(b'')
    (tmp_path / 'img5.txt').write_bytes(b'')
    assert folders.listing(tmp_path).paths == {number: tmp_path / name}


def test_two_files_of_one_number_are_told(tmp_path):
    tiny_release.frames(tmp_path, [1, 2])
    tiny_release.frames(tmp_path, [2], 'img00{}.jpg')
    listing = folders.listing(tmp_path)
    assert listing.doubles == {2: ['img002.jpg', 'img2.jpg']}
    assert list(listing.paths) == [1, 2]


def test_a_source_that_is_no_folder_is_an_error(tmp_path):
    for source in (tmp_path / 'nowhere', tiny_release.xlsx(tmp_path / 'codes.xlsx', [])):
        with pytest.raises(InputError, match='not a folder'):
            folders.walk(source)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may list every folder')
def test_a_folder_that_cannot_be_listed_is_told(tmp_path):
    (tmp_path / 'secret').mkdir(mode=0)
    assert list(folders.walk(tmp_path).unreadable) == [tmp_path / 'secret']


def test_a_tree_without_some_folders(tmp_path):
    tiny_release.frames(tmp_path / 'frame' / 'a', [1])
    tiny_release.frames(tmp_path / 'depth' / 'a', [1])
    assert len(folders.walk(tmp_path).without(r'\Adepth').find('a')) == 1


@pytest.mark.parametrize(
    ('name', 'doubles'),
    [
        ('image559741 (1).bmp', {559741}),
        ('image559741(2).bmp', {559741}),
        ('image559741 - Copy.bmp', {559741}),
        ('image559741 - Copy (2).bmp', {559741}),
        ('image559741 copy 3.bmp', {559741}),
        ('image559741 (another copy).bmp', {559741}),
        ('image559741_Kopie.bmp', {559741}),
        ('image559741 (1) (1).bmp', {559741}),
        ('image559750 (1).bmp', set()),  # without its original, the frame itself
    ],
)
def test_a_copy_has_the_number_of_its_original(tmp_path, name, doubles):
    tiny_release.frames(tmp_path, range(559740, 559745), 'image{}.bmp')
    (tmp_path / name).write_bytes(b'')
    listing = folders.listing(tmp_path)
    assert set(listing.doubles) == doubles
    assert min(listing.paths) == 559740
    assert listing.paths[559741] == tmp_path / 'image559741.bmp'


@pytest.mark.parametrize('stem', ['img', 'sub01_EP02', 's01 (2) a'])
def test_a_number_in_brackets_is_the_frame_s_where_all_have_one(tmp_path, stem):
    tiny_release.frames(tmp_path, range(1, 6), stem + ' ({}).jpg')
    listing = folders.listing(tmp_path)
    assert list(listing.paths) == [1, 2, 3, 4, 5]
    assert not listing.doubles


def test_a_frame_and_its_copy_are_no_series(tmp_path):
    for name in ('image559740.bmp', 'image559740 (1).bmp'):
        (tmp_path / name).write_bytes(b'')
    assert list(folders.listing(tmp_path).doubles) == [559740]


def test_the_first_of_a_series_may_lack_its_number(tmp_path):
    tiny_release.frames(tmp_path, range(2, 6), 'img ({}).jpg')
    (tmp_path / 'img.jpg').write_bytes(b'')
    assert list(folders.listing(tmp_path).paths) == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ('numbers', 'strays'),
    [
        ([1, *range(559740, 559776)], [1]),
        ([*range(559740, 559776), 5597400], [5597400]),
        ([1, 2, *range(100, 120), 900], [1, 2, 900]),
        ([*range(1, 21), 60], [60]),
        ([1, 559740, 559741], [1]),
        (range(1, 30), []),
        ([*range(1, 10), *range(15, 30)], []),  # some frames are missing
        ([46, 59, 86], []),  # onset, apex and offset alone
        (range(0, 400, 25), []),
        ([7, 5000], []),  # which of them is right cannot be known
        ([7], []),
        ([], []),
        ([7, 2**31], [2**31]),  # more than a dataset can hold, such as a date
        ([2**31, 2**31 + 1], [2**31, 2**31 + 1]),
    ],
)
def test_numbers_far_outside_of_the_run_are_found(numbers, strays):
    assert folders.strays(numbers) == strays
