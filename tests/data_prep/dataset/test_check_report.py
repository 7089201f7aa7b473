import pathlib

from data_prep.dataset import check_report, plan
from data_prep.face.apex import ApexRule
from data_prep.releases.clip import NO_ONSET, Clip, Erratum, Problem, Survey


def problem(number: int, text: str = 's/c{0}: there is no folder for it', **more) -> Problem:
    return Problem(row=f'sheet.xlsx, row {number}', text=text.format(number), **more)


def test_up_to_ten_problems_of_a_kind_are_told_one_by_one():
    problems = [problem(number) for number in range(10)]
    assert list(check_report.collapsed(problems)) == [f'  {each}' for each in problems]


def test_more_are_one_line_with_their_number_an_example_and_advice():
    problems = [problem(number) for number in range(885)]
    alone = problem(7, 's/c{0}: the frame cannot be read')
    (line, other) = check_report.collapsed([*problems[:400], alone, *problems[400:]])
    assert line.startswith(
        '  885 of this kind: sheet.xlsx, row 0: s/c0: there is no folder for it; --source is'
    )
    assert '--json FILE' in line
    assert other == f'  {alone}'


def test_kinds_are_told_apart_by_what_is_not_the_clip_s_own():
    same = [
        "s/a1: '4+7' is no known emotion; expected one of x",
        "s/b2: 'Sd' is no known emotion; expected one of x",
    ]
    assert len({check_report._kind(Problem(row='', text=text)) for text in same}) == 1
    other = ['s/a1: there is no frame 3, its apex', 's/a1: there is no frame 3, its offset']
    assert len({check_report._kind(Problem(row='', text=text)) for text in other}) == 2
    named = [problem(number, text, kind=NO_ONSET) for number, text in enumerate(('x {0}', 'y and z'))]
    assert len(set(map(check_report._kind, named))) == 1


def test_notes_are_collapsed_and_json_has_all_of_them():
    clips = [Clip(database='casme2', subject='s', clip=f'c{n}', emotion='disgust') for n in range(30)]
    notes = [problem(n, 's/c{0}: frames missing: {0}', key=clip.key) for n, clip in enumerate(clips)]
    erratum = Erratum(key=('casme2', 's', 'c1'), says={'apex': 1}, taken={'apex': 2}, why='why', source='who')
    survey = Survey(
        database='casme2', source=pathlib.Path('x'), sheet='sheet', aligned=True, clips=clips, notes=notes,
        version='2014', errata=[erratum],
    )  # fmt: skip
    made = plan.make({'casme2': survey}, protocol=None, rules={'casme2': ApexRule(choices=('middle',))})
    lines = list(check_report.lines(made, made.problems))
    assert lines[1] == '30 notes:'
    assert lines[2].startswith('  30 of this kind: sheet.xlsx, row 0: s/c0: frames missing: 0 (check --json')
    found = check_report.as_json(made, made.problems)
    assert len(found['notes']) == 30
    assert found['databases']['casme2']['version'] == '2014'
    assert found['databases']['casme2']['errata'] == [
        {
            'key': ['casme2', 's', 'c1'],
            'says': {'apex': 1},
            'taken': {'apex': 2},
            'why': 'why',
            'source': 'who',
        }
    ]
