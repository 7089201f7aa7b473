import dataclasses
import pathlib

import pytest

from data_prep.dataset import plan
from data_prep.face.apex import ApexRule
from data_prep.files.frames import Images
from data_prep.releases import casme2
from data_prep.releases.clip import NO_APEX, NO_ONSET, Clip, Problem, Survey
from dualatme_jax import schema
from dualatme_jax.errors import InputError

SHEET = {'casme2': ApexRule(choices=('sheet',)), 'samm': ApexRule(choices=('sheet',))}


def clip(name='c', emotion='happiness', *, database='casme2', subject='s', frames=True, **numbers):
    numbers = {'onset': 10, 'apex': 12, 'offset': 15} | numbers
    there = Images(dict.fromkeys(range(10, 16), pathlib.Path('x.jpg'))) if frames else None
    return Clip(
        database=database,
        subject=subject,
        clip=name,
        emotion=emotion,
        frames=there,
        row=f'sheet, row {name}',
        **numbers,
    )


def survey(*clips, database='casme2', **more):
    return Survey(
        database=database, source=pathlib.Path('r'), sheet='sheet', aligned=True, clips=clips, **more
    )


def make(*surveys, protocol='3class', **more):
    return plan.make({each.database: each for each in surveys}, protocol=protocol, rules=SHEET, **more)


def test_clips_have_labels_or_reasons():
    made = make(survey(clip('a'), clip('b', 'others'), clip('c', 'surprise')))
    assert [(each.clip, label) for each, label in made.items] == [('a', 'positive'), ('c', 'surprise')]
    assert made.sound == made.items
    (left_out,) = made.excluded['casme2']
    assert (left_out.clip, left_out.reason) == ('b', 'others is no class of 3class')
    assert not made.problems
    assert made.counts('casme2') == (1, {'negative': 0, 'positive': 1, 'surprise': 1})


def test_an_unknown_emotion_is_a_problem_and_an_empty_cell_is_none():
    made = make(survey(clip('a'), clip('b', 'disgst'), clip('c', '')))
    assert [each.clip for each, _ in made.items] == ['a']
    assert [each.clip for each in made.excluded['casme2']] == ['c']
    (problem,) = made.problems
    assert str(problem).startswith(
        "sheet, row b: s/b: 'disgst' is no known emotion; expected one of happiness"
    )
    assert problem.key == ('casme2', 's', 'b')


@pytest.mark.parametrize('bad', ['a\x1b[2J', ' ', 'x' * 300])
def test_a_name_that_no_table_of_predictions_can_hold_is_a_problem_before_anything_is_computed(bad):
    made = make(survey(clip('a'), clip(bad), clip('b', subject=bad)))
    assert [problem.key for problem in made.problems] == [('casme2', 's', bad), ('casme2', bad, 'b')]
    assert [each.clip for each, _ in made.sound] == ['a']


def test_a_column_of_emotions_that_holds_none_is_told_row_by_row():
    made = make(survey(*(clip(name, '4+7') for name in 'abc')))
    assert made.items == []
    assert [problem.key[2] for problem in made.problems] == ['a', 'b', 'c']


def test_problems_of_clips_that_are_left_out_do_not_matter():
    bad = [Problem(row='r', text='no folder', key=clip(name).key) for name in 'ab']
    made = make(survey(clip('a'), clip('b', 'others'), problems=bad, notes=bad))
    assert made.problems == [bad[0]]
    assert made.notes == [bad[0]]
    assert made.sound == []


@pytest.mark.parametrize('frames', [True, False])
@pytest.mark.parametrize(
    ('numbers', 'said'),
    [
        ({'apex': -1}, 'the sheet has no apex'),
        ({'apex': 99}, 'the apex 99 lies outside of the clip, 10 to 15'),
        ({'apex': 10}, 'is the onset itself'),
        ({'onset': 12, 'apex': 11}, 'the apex 11 lies outside of the clip, 12 to 15'),
    ],
)
def test_an_impossible_apex_is_a_problem_even_without_frames(numbers, said, frames):
    made = make(survey(clip('a', frames=frames, **numbers)))
    (problem,) = made.problems
    assert str(problem).startswith('sheet, row a: s/a: ')
    assert said in problem.text
    assert problem.key == ('casme2', 's', 'a')


def test_another_choice_mends_an_apex():
    mended = {'casme2': ApexRule(choices=('sheet', 'middle'))}
    made = plan.make({'casme2': survey(clip('a', apex=99))}, protocol=None, rules=mended)
    assert not made.problems


@pytest.mark.parametrize(
    ('numbers', 'said'),
    [
        ({'apex': 99}, 'the apex 99 lies outside of the clip, 10 to 15: the middle, frame 12 is taken'),
        ({'apex': 10}, 'the apex 10 is the onset itself, and no motion lies between them: the middle'),
        ({'apex': -1}, 'the sheet has no apex'),
    ],
)
def test_a_clip_that_takes_the_second_choice_is_noted(numbers, said):
    rules = {'casme2': ApexRule(choices=('sheet', 'middle'))}
    made = plan.make({'casme2': survey(clip('a', **numbers), clip('b'))}, protocol=None, rules=rules)
    (note,) = made.notes
    assert note.key == ('casme2', 's', 'a')
    assert said in note.text
    assert len(made.sound) == 2


@pytest.mark.parametrize(
    ('choices', 'expected'),
    [
        (('sheet', 'middle'), [(12, 'middle'), (14, 'sheet')]),
        (('sheet', 'spotted'), [(schema.UNKNOWN_FRAME, 'spotted'), (14, 'sheet')]),
    ],
)
def test_an_item_carries_the_apex_that_was_chosen_and_the_choice(choices, expected):
    found = survey(clip('a', apex=99, offset=-1), clip('b', apex=14))
    made = plan.make({'casme2': found}, protocol=None, rules={'casme2': ApexRule(choices=choices)})
    assert [(each.apex, each.apex_choice) for each, _ in made.sound] == expected
    assert [each.offset for each, _ in made.sound] == [-1, 15]  # as the release has them


@pytest.mark.parametrize('choices', [('sheet', 'middle'), ('sheet',)])
def test_an_apex_without_a_frame_is_told_once(choices):
    read = [
        Problem(row='r', text='there is no frame 99, its apex', key=clip(name).key, kind=NO_APEX)
        for name in 'ab'
    ]
    found = survey(clip('a', apex=99), clip('b'), notes=read)  # of b a frame that nothing else tells of
    made = plan.make({'casme2': found}, protocol=None, rules={'casme2': ApexRule(choices=choices)})
    assert [each.key for each in (*made.problems, *made.notes) if each.key == clip('a').key] == [
        clip('a').key
    ]
    assert read[1] in made.notes


def test_without_apex_and_offset_a_clip_in_a_long_video_stays_a_problem():
    alone = dataclasses.replace(clip('a', apex=-1, offset=-1), frames=Images({10: pathlib.Path('x.jpg')}))
    rules = {'casme2': ApexRule(choices=('sheet', 'middle'))}
    made = plan.make({'casme2': survey(alone)}, protocol=None, rules=rules)
    assert 'there is no frame after the onset 10' in made.problems[0].text


def late(name='a', first=12):
    there = Images(dict.fromkeys(range(first, 16), pathlib.Path('x.jpg')))
    problem = Problem(row='r', text='no frame 10', key=clip(name).key, kind=NO_ONSET)
    return survey(dataclasses.replace(clip(name, apex=14), frames=there), problems=[problem])


def test_a_missing_first_frame_is_a_problem_until_the_first_that_is_there_is_asked_for():
    made = make(late())
    assert (len(made.problems), made.sound) == (1, [])
    made = make(late(), onset='first-there')
    assert not made.problems
    ((found, _),) = made.sound
    assert found.onset == 12
    (note,) = made.notes
    assert 'there is no frame 10, its onset: 12 is taken, the first after it' in note.text


def test_an_apex_before_the_first_frame_that_is_there_is_none():
    made = make(late(first=15), onset='first-there')
    assert 'the apex 14 lies outside of the clip, 15 to 15' in made.problems[0].text


def test_other_problems_of_a_clip_stay_with_its_first_frame():
    bad = late()
    other = Problem(row='r', text='two images', key=clip('a').key)
    made = make(dataclasses.replace(bad, problems=[*bad.problems, other]), onset='first-there')
    assert made.problems == [other]


def sheet_of_2019():
    names = [clip for _, clip in casme2.DIFFERENT]
    return survey(*(clip(name, 'surprise', subject='sub24') for name in names), version='2019')


def test_the_challenge_s_labels_are_those_of_the_sheet_of_2014():
    made = make(sheet_of_2019())
    assert [label for _, label in made.items] == ['surprise'] * 3
    made = make(sheet_of_2019(), labels_of='challenge')
    assert made.items == []  # the challenge leaves out sadness
    assert {left_out.reason for left_out in made.excluded['casme2']} == {
        'the challenge leaves out sadness of CASME II'
    }
    assert made.surveys['casme2'].version == '2014'
    assert not made.notes  # which are of clips that are left out
    (problem,) = made.deviations()
    assert '0 surprise instead of 25' in problem.text


def test_the_sheet_of_2019_is_expected_to_have_its_own_counts():
    (problem,) = make(sheet_of_2019()).deviations()
    assert '3 surprise instead of 28' in problem.text


def test_part_c_of_casme3_is_compared_by_its_rows():
    part = survey(clip('a', database='casme3'), database='casme3', version='part C')
    made = plan.make({'casme3': part}, protocol=None, rules={'casme3': ApexRule(choices=('middle',))})
    (problem,) = made.deviations()
    assert problem.text.startswith('1 annotated clips instead of 165: this is not the complete release')


def test_clips_without_frames_are_counted_and_not_built():
    made = make(survey(clip('a', frames=False)))
    assert made.counts('casme2')[1]['positive'] == 1
    assert made.sound == []


def test_counts_are_compared_with_the_complete_release():
    (problem,) = make(survey(clip('a'))).deviations()
    assert problem.row == 'CASME II'
    assert '1 positive instead of 32' in problem.text
    assert '1 subjects instead of 24' in problem.text


def test_databases_need_one_set_of_classes():
    surveys = survey(clip()), survey(clip(database='samm'), database='samm')
    assert make(*surveys).labels == ('negative', 'positive', 'surprise')
    with pytest.raises(InputError, match='have different classes'):
        make(*surveys, protocol='5class')


def test_the_challenges_list_is_the_reference(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('casme2,s,a,1\ncasme2,s,b,0\ncasme2,s,gone,2\nnowhere,s,a,1\n')
    made = make(survey(clip('a'), clip('b'), clip('more')), reference=path)
    assert [str(problem) for problem in made.problems] == [
        "list, line 4: unknown database 'nowhere', expected one of casme2, smic, samm",
        'list.csv, line 2: casme2/s/b is negative in the list, positive by the release',
        'list.csv, line 3: casme2/s/gone is in the list, but not in the release',
        'sheet, row more: casme2/s/more is not in the list list.csv',
    ]


def test_the_list_is_compared_for_the_databases_at_hand_only(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('casme2,s,a,1\nsmic,s,b,0\nsamm,s,c,0\n')
    assert not make(survey(clip('a')), reference=path).problems
