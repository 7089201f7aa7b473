import pathlib

import pytest

from data_prep import plan
from data_prep.clip import Clip, Problem, Survey
from data_prep.frames import Images
from data_prep.prepared import ApexRule
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
