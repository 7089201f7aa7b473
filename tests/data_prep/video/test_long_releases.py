"""CAS(ME)^2 and SAMM Long Videos as folders of long videos.

The layouts are made up from public descriptions of the releases; the licensed ones were not available.
"""

import json

import pytest
import tiny_release
from tiny_release import frames, xlsx

from data_prep.__main__ import main
from data_prep.files import long_videos
from data_prep.files.long_videos import Expression
from data_prep.video import long_releases, spot_all
from data_prep.video.spot_all import Spotted
from dualatme_jax import score
from dualatme_jax.errors import InputError

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')

SAMM_LONG = ['Subject', 'Filename', 'Inducement Code', 'Onset', 'Apex', 'Offset', 'Duration', 'Type']
SAMM_LONG += ['Action Units', 'Notes']


def samm_row(clip, onset, apex, offset, kind):
    return [clip[:3], clip, 1, onset, apex, offset, offset - onset, kind, '4', None]


def samm_long(folder, *rows):
    """The sheet with its header on row 10, two worksheets of one header, and two videos."""
    above = [['SAMM Long Videos'], *[['']] * 8]
    xlsx(
        folder / 'SAMM_LongVideos_V2_Release.xlsx',
        [['Legend']],
        FACS_Movement_Only=[*above, SAMM_LONG, *rows],
        FACS_All=[*above, SAMM_LONG, *rows, samm_row('006_1_9', 1, 2, 3, 'Macro')],
    )
    frames(folder / 'SAMM_longvideos' / '006_1', range(1, 41), '006_1_{:04}.jpg')
    frames(folder / 'SAMM_longvideos' / '007_3', range(1, 21), '007_3_{:04}.jpg')
    return folder


def by_name(source):
    return {(video.subject, video.name): video for video in source.videos}


def test_casme_sq(tmp_path):
    source = tiny_release.casme_sq(tmp_path)
    frames(source / 'rawpic' / 's15' / '15_0401girlcrashing', range(1, 561))
    frames(source / 'rawpic' / 's16' / '16_0505funnyinnovations', range(1, 10))
    found = long_releases.read('casme_sq', source)
    videos = by_name(found)
    assert {key: video.expressions for key, video in videos.items()} == {
        ('s15', '15_0401girlcrashing'): (
            Expression(60, 90, 'negative', 'macro'),
            Expression(557, 560, 'negative', 'micro'),  # to the last frame there is
        ),
        ('s16', '16_0505funnyinnovations'): (Expression(2, 4, 'positive', 'micro'),),  # to the apex
        ('s40', '40_0102eatingworms'): (Expression(1, 3, 'negative', 'micro'),),
    }
    assert {(video.frames, video.rate) for video in videos.values()} == {(560, 30), (9, 30), (5, 30)}
    said = '\n'.join(found.notes)
    assert 's15/anger1_1: the offset, 580, is after the last frame, 560' in said
    assert '3 micro-expressions; the whole release has 57' in said
    assert '3 subjects; the whole release has 22' in said
    assert '3 videos with an expression; the whole release has 87' in said


def test_a_video_of_the_sheet_without_a_folder_is_named_and_the_others_go_on(tmp_path):
    found = long_releases.read('casme_sq', tiny_release.casme_sq(tmp_path))
    assert {name for _, name in by_name(found)} == {'15_0401girlcrashing', '40_0102eatingworms'}
    [said] = [note for note in found.notes if 'no folder of the video' in note]
    assert 'row 3: no folder of the video s16/0505; 1 expressions are left out' in said
    # The tiny folder of s15 ends before anything happens.
    assert by_name(found)['s15', '15_0401girlcrashing'].expressions == ()
    assert 's15/anger1_1: from frame 557 to 580 of 2: the micro-expression is left out' in '\n'.join(
        found.notes
    )


def test_samm_long(tmp_path):
    rows = [
        samm_row('006_1_2', 10, 14, 18, 'Micro - 1/2'),
        samm_row('006_1_3', 20.0, 30.0, 60.0, 'Macro'),
        samm_row('006_1_4', 0, 3, 9, 'Macro'),
        samm_row('006_1_5', 5, 6, 7, 'Other'),
        samm_row('009_4_1', 5, 6, 7, 'Macro'),
    ]
    found = long_releases.read('samm_long', samm_long(tmp_path, *rows))
    videos = by_name(found)
    assert {key: video.expressions for key, video in videos.items()} == {
        ('6', '006_1'): (Expression(10, 18, '', 'micro'), Expression(20, 40, '', 'macro')),
        ('7', '007_3'): (),
    }
    assert {video.rate for video in videos.values()} == {200}
    said = '\n'.join(found.notes)
    for part in (
        '6/006_1_4: from frame 0 to 9 of 40: the macro-expression is left out',
        "row 14: 'Other': expected micro or macro",
        'no folder of the video 9/009_4',
        '1 micro-expressions; the whole release has 159',
        '2 videos; the whole release has 147',
        '1 videos with a micro-expression; the whole release has 79',
    ):
        assert part in said


def test_what_is_written_is_a_folder_of_long_videos(tmp_path):
    source = samm_long(tmp_path / 'release', samm_row('006_1_2', 10, 14, 18, 'Micro - 1/2'))
    out = tmp_path / 'out'
    for _ in range(2):
        found = long_releases.read('samm_long', source)
        long_releases.write(found, out)
    again = long_videos.read(out)
    assert [(each.subject, each.name, each.frames, each.rate) for each in again] == [
        ('6', '006_1', 40, 200),
        ('7', '007_3', 20, 200),
    ]
    assert again[0].expressions == (Expression(10, 18, '', 'micro'),)
    assert again[0].path.resolve() == found.videos[0].path.resolve()
    samm_long(tmp_path / 'other', samm_row('006_1_2', 10, 14, 18, 'Micro - 1/2'))
    with pytest.raises(InputError, match='006_1 is another video than'):
        long_releases.write(long_releases.read('samm_long', tmp_path / 'other'), out)


def test_sheets_without_their_columns_and_folders_without_videos_are_named(tmp_path):
    source = tmp_path / 'SAMM_longvideos'
    frames(source / '006_1', (1, 2, 3))
    sheet = tmp_path / 'SAMM_LongVideos_V2_Release.xlsx'
    xlsx(sheet, [SAMM_LONG[:5], ['006', '006_1_2', 1, 10, 14]])
    with pytest.raises(InputError, match='without Offset Frame, Micro'):
        long_releases.read('samm_long', tmp_path)
    sheet.unlink()
    with pytest.raises(InputError, match='no label sheet below'):
        long_releases.read('samm_long', tmp_path)
    xlsx(sheet, [SAMM_LONG, samm_row('006_1_2', 1, 2, 3, 'Macro')])
    (source / '006_1').rename(source / 'frames')
    with pytest.raises(
        InputError, match='no folder of frames of a long video; expected such as SAMM_longvideos'
    ):
        long_releases.read('samm_long', tmp_path)


def test_a_release_is_spotted_and_scored_by_two_commands(tmp_path, monkeypatch, capsys):
    """A spotter that knows the truth, in the place of the one that looks."""

    def of_video(video, landmarks, folder):
        return Spotted(video, [(each.onset, each.offset, each.kind) for each in video.expressions])

    monkeypatch.setattr(spot_all, 'of_video', of_video)
    source = tiny_release.casme_sq(tmp_path / 'release')
    frames(source / 'rawpic' / 's15' / '15_0401girlcrashing', range(1, 581))
    options = ['--out', str(tmp_path / 'out'), '--landmarks', 'haar', '--workers', '1']
    assert main(['spot', '--release', 'casme_sq', '--source', str(source), *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert '  2 micro-expressions; the whole release has 57' in said
    assert '3 expressions in 2 videos' in said
    command = said[-1].removeprefix('python -m dualatme_jax.score ').split()
    for kind, number in (('micro', 2), ('macro', 1)):
        found = tmp_path / f'{kind}.json'
        assert score.main([*command, '--kind', kind, '--resamples', '5', '--json', str(found)]) == 0
        scores = json.loads(found.read_text())
        assert (scores['tp'], scores['fp'], scores['fn']) == (number, 0, 0)
