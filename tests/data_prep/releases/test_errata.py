import dataclasses
import json

import pytest
import tiny_release

from data_prep import __main__ as command
from data_prep import releases
from data_prep.dataset import assemble
from data_prep.files.cache import Cache
from data_prep.releases import errata
from data_prep.releases.clip import Clip
from dualatme_jax import schema

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')


def clip_of(erratum, **changed) -> Clip:
    database, subject, clip = erratum.key
    frames = {'onset': 1, 'apex': 2, 'offset': 3} | dict(erratum.says) | changed
    return Clip(database=database, subject=subject, clip=clip, **frames)


ERRATA = [erratum for database in releases.FILES for erratum in releases.of(database).errata]


@pytest.mark.parametrize('erratum', ERRATA, ids=lambda each: each.key[2])
def test_an_erratum_mends_what_it_says_and_nothing_else(erratum):
    clip = clip_of(erratum)
    mended, applied = errata.corrected(clip, ERRATA)
    assert applied is erratum
    assert mended == dataclasses.replace(clip, **erratum.taken) != clip
    assert erratum.why
    assert erratum.source
    assert json.loads(json.dumps(erratum.as_json()))['key'] == list(erratum.key)
    for frame, number in erratum.says.items():  # a copy that was corrected already
        other = clip_of(erratum, **{frame: number + 1})
        assert errata.corrected(other, ERRATA) == (other, None)


def test_an_erratum_is_in_the_record_of_its_database():
    assert len(ERRATA) == 7
    for database in releases.FILES:
        assert all(each.key[0] == database for each in releases.of(database).errata)


def test_what_is_taken_is_possible():
    for erratum in ERRATA:
        frames = dict(erratum.says) | dict(erratum.taken)
        order = [frames[frame] for frame in ('onset', 'apex', 'offset') if frame in frames]
        assert order == sorted(order)


def test_the_impossible_apexes_of_samm_are_mended_with_a_note(tmp_path):
    rows = [
        tiny_release.samm_row('028', '028_4_1', 1071, 1143, 1134),
        tiny_release.samm_row('032', '032_3_1', 4896, 1930, 4970),
        tiny_release.samm_row('032', '032_3_2', 5126, 5127, 5207),
    ]
    tiny_release.xlsx(tmp_path / 'SAMM_Micro_FACS_Codes_v2.xlsx', [tiny_release.SAMM, *rows])
    survey = releases.survey('samm', tmp_path)
    assert [clip.apex for clip in survey.clips] == [1105, 4930, 5127]
    first, second = survey.notes
    assert str(first).startswith(
        'SAMM_Micro_FACS_Codes_v2.xlsx, row 2: 28/028_4_1: a known error of the sheet, onset 1071, '
        'apex 1143, offset 1134: the apex lies behind the offset; apex 1105 is taken (Varanka'
    )
    assert second.key == ('samm', '32', '032_3_1')
    assert [erratum.key[2] for erratum in survey.errata] == ['028_4_1', '032_3_1']


def test_the_offsets_of_zero_of_casme3_are_mended_and_others_are_not_given(tmp_path):
    rows = [
        ['spNO.40', 'e', 1812, 1820, 0, '4', 4, 'others'],
        ['spNO.40', 'e', 9000, 9004, 0, '4', 4, 'disgust'],
        ['spNO.216', 'e', 0, 0, 9, '4', 4, 'others'],
    ]
    tiny_release.xlsx(tmp_path / 'cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx', [tiny_release.CASME3_A, *rows])
    survey = releases.survey('casme3', tmp_path)
    spans = [(clip.onset, clip.apex, clip.offset) for clip in survey.clips]
    assert spans == [(1812, 1820, 1845), (9000, 9004, schema.UNKNOWN_FRAME), (1, 1, 9)]
    assert [clip.clip for clip in survey.clips] == ['e_1812', 'e_9000', 'e_0']  # as their folders are called
    assert any('Offset is not given' in str(note) for note in survey.notes)


def test_errata_are_written_into_the_metadata(tmp_path):
    rows = [tiny_release.samm_row('032', '032_3_1', 4896, 1930, 4970)]
    tiny_release.xlsx(tmp_path / 'SAMM_Micro_FACS_Codes_v2.xlsx', [tiny_release.SAMM, *rows])
    given = ['build', '--release', 'samm', '--source', str(tmp_path), '--out', 'x', '--landmarks', 'template']
    options = command._parser().parse_args(given)
    plan = assemble.make_plan(options, assemble.survey(options))
    work = assemble.make_work(options, plan, assemble.make_views(options), Cache(tmp_path / 'cache'))
    (found,) = assemble._recipe(options, plan, work)['errata']
    assert found['key'] == ['samm', '32', '032_3_1']
    assert (found['says']['apex'], found['taken']['apex']) == (1930, 4930)
