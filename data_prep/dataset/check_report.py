"""What `check` says: for people as tables, for programs as JSON."""

import collections
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from data_prep.dataset.plan import Plan
from data_prep.releases.clip import Problem
from dualatme_jax import schema
from dualatme_jax.errors import printable

SHOWN = 20  # exclusions of one kind that are shown one by one
ALIKE = 10  # more problems or notes of one kind are one line

# What problems of one kind have in common once names, numbers and quotations are taken out.
_OWN_WORDS = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[\d/\\]\S*")

# What to do about many problems of a kind, by words that it has.
_ADVICE = {
    'there is no folder': '--source is the folder above all frames, --frames one of two kinds',
    'is no known emotion': '--column emotion=HEADER names the right column of the sheet',
    'different classes': 'another --protocol may keep them apart',
    'expected one such as': '--column subject=HEADER names the right column of the sheet',
    'expected a frame number': '--column onset=HEADER (or apex, offset) names the right column of the sheet',
    'the middle': '--apex sheet makes them problems',
    'its onset:': '--onset first-there takes the first frame that is there',
    'cannot be decoded': 'copy or unpack the release again',
    'keep one': 'delete the copies, or name the folder of one of them by --source',
    'no image': '--source is the folder of all images, and the list that of these images',
    'no row of the list': 'name the right list by --list',
}


def counts_table(plan: Plan) -> Table:
    """Clips and subjects by database and class, beside those of the complete release."""
    table = Table('database', 'subjects', 'clips', *(escape(printable(label)) for label in plan.labels))
    for database, protocol in plan.protocols.items():
        subjects, classes = plan.counts(database)
        expected = protocol.complete_of(plan.surveys[database].version)
        cells = [
            _beside(subjects, expected.subjects),
            _beside(sum(classes.values()), sum(expected.clips.values()) if expected.clips else None),
            *(_beside(classes[label], expected.clips.get(label)) for label in plan.labels),
        ]
        table.add_row(schema.title(database), *cells)
    return table


def lines(plan: Plan, problems: Sequence[Problem]) -> Iterator[str]:
    """Yields what is to be said in words: sheets, exclusions, notes, problems, and the verdict."""
    for database, survey in plan.surveys.items():
        title = schema.title(database)
        yield f'{title}: {survey.sheet}; {len(survey.clips)} clips annotated in {survey.source}'
        protocol = plan.protocols[database]
        if protocol.note and protocol.complete_of(survey.version).clips:
            yield f'{title}: {protocol.note}'
        excluded = plan.excluded[database]
        if excluded:
            yield f'{title}: {len(excluded)} rows are left out:'
            reasons = collections.defaultdict(list)
            for each in excluded:
                reasons[each.reason].append(f'{each.subject}/{each.clip}')
            for reason, names in reasons.items():
                yield f'  {len(names)}: {reason}: {_few(names)}'
    yield from notes(plan.notes)
    if problems:
        yield f'{len(problems)} problems: a build would not be complete:'
        yield from collapsed(problems)
    else:
        yield 'complete: a build will hold every clip'


def notes(found: Sequence[Problem]) -> Iterator[str]:
    """Yields what is odd but keeps nothing from being used."""
    if found:
        yield f'{len(found)} notes:'
        yield from collapsed(found)


def collapsed(problems: Sequence[Problem | str]) -> Iterator[str]:
    """Yields each problem; or, of more than `ALIKE` of one kind, how many, one of them, and advice."""
    kinds = collections.defaultdict(list)
    for problem in problems:
        kinds[_kind(problem)].append(problem)
    for problem in problems:
        alike = kinds[_kind(problem)]
        if len(alike) <= ALIKE:
            yield f'  {problem}'
        elif problem is alike[0]:
            advice = next((what for words, what in _ADVICE.items() if words in str(problem)), '')
            advice = f'; {advice}' if advice else ''
            yield f'  {len(alike)} of this kind: {problem}{advice} (check --json FILE writes them all)'


def _kind(problem: Problem | str) -> str:
    if isinstance(problem, str):
        return _OWN_WORDS.sub('', problem)
    return problem.kind or _OWN_WORDS.sub('', problem.text)


def as_json(plan: Plan, problems: Sequence[Problem]) -> dict[str, Any]:
    """Everything that is known, as JSON values."""
    return {
        'complete': not problems,
        'labels': list(plan.labels),
        'databases': {database: _database_json(plan, database) for database in plan.surveys},
        'problems': [_problem_json(problem) for problem in problems],
        'notes': [_problem_json(note) for note in plan.notes],
    }


def _database_json(plan: Plan, database: str) -> dict[str, Any]:
    survey, protocol = plan.surveys[database], plan.protocols[database]
    subjects, classes = plan.counts(database)
    expected = protocol.complete_of(survey.version)
    return {
        'source': str(survey.source),
        'sheet': survey.sheet,
        'version': survey.version,
        'errata': [erratum.as_json() for erratum in survey.errata],
        'protocol': protocol.name,
        'annotated': len(survey.clips),
        'clips': sum(classes.values()),
        'subjects': subjects,
        'classes': classes,
        'expected': {
            'clips': sum(expected.clips.values()) if expected.clips else None,
            'subjects': expected.subjects,
            'classes': dict(expected.clips),
        },
        'excluded': [
            {'row': each.row, 'subject': each.subject, 'clip': each.clip, 'reason': each.reason}
            for each in plan.excluded[database]
        ],
    }


def _problem_json(problem: Problem) -> dict[str, Any]:
    database, subject, clip = problem.key or (None, None, None)
    return {
        'row': problem.row,
        'database': database,
        'subject': subject,
        'clip': clip,
        'text': problem.text,
    }


def _beside(have: int, expected: int | None) -> str:
    if expected is None:
        return str(have)
    return f'{have} of {expected}' if have <= expected else f'{have} (expected {expected})'


def _few(names: Sequence[str]) -> str:
    shown = ', '.join(names[:SHOWN])
    return f'{shown} and {len(names) - SHOWN} more' if len(names) > SHOWN else shown
