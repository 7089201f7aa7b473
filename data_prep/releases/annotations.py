"""The rows of a label sheet become clips; what cannot is said, row by row."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from data_prep.files import cells
from data_prep.files.folders import Tree
from data_prep.files.sheet import HIDDEN, Row, Table
from data_prep.releases import errata
from data_prep.releases.clip import Clip, Erratum, Exclusion, Problem, Survey
from dualatme_jax import schema

_NUMBER = re.compile(r'\A(\d+)\.0+\Z')  # typed as text
_FRAMES = ('onset', 'apex', 'offset')

NOTES = ('Notes', 'Note', 'Remarks', 'Remark', 'Comments', 'Comment')  # headers of such a column
# What notes beside a row say where it is no micro-expression after all.
_NO_MICRO = re.compile(
    r'\b(not?|non)\W*(an?\W+|real\W+)?(micro\W?(facial\W?)?(expression|movement)|mes?\b)', re.I
)


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a reader gathers beside the clips; the parts of a `Survey`."""

    problems: list[Problem] = dataclasses.field(default_factory=list)
    notes: list[Problem] = dataclasses.field(default_factory=list)
    excluded: list[Exclusion] = dataclasses.field(default_factory=list)
    errata: list[Erratum] = dataclasses.field(default_factory=list)

    def survey(
        self,
        database: str,
        tree: Tree,
        sheet: str,
        clips: Sequence[Clip],
        *,
        aligned: bool,
        version: str = '',
    ) -> Survey:
        """Returns it all as the survey of a release."""
        return Survey(
            database=database,
            source=tree.source,
            sheet=sheet,
            aligned=aligned,
            clips=clips,
            version=version,
            excluded=self.excluded,
            problems=self.problems,
            notes=self.notes,
            errata=self.errata,
        )

    def problem(self, place: str, text: str, clip: Clip | None = None, *, kind: str = '') -> None:
        """Adds what keeps a clip, or a row without one, from being used."""
        self.problems.append(dataclasses.replace(_problem(place, text, clip), kind=kind))

    def note(self, place: str, text: str, clip: Clip | None = None, *, kind: str = '') -> None:
        """Adds what is odd but keeps nothing from being used."""
        self.notes.append(dataclasses.replace(_problem(place, text, clip), kind=kind))


def numbered(prefix: str, form: str) -> Callable[[str], str | None]:
    """Returns a reader of subjects that are numbers: '1', '01' and 'sub01' all become `form` of 1.

    Args:
      prefix: regular expression of what may stand before the number, in any letter case.
      form: how the database writes its subjects, such as `sub{:02}`.
    """
    pattern = re.compile(rf'(?:{prefix})?[\s._-]*(\d{{1,9}})', re.IGNORECASE)

    def read(text: str) -> str | None:
        match = pattern.fullmatch(text)
        return form.format(int(match[1])) if match else None

    return read


def clips(
    table: Table,
    database: str,
    findings: Findings,
    *,
    subject: Callable[[str], str | None],
    example: str,
    known: Sequence[Erratum] = (),
    clip: Callable[[str, int], str] = lambda name, onset: name,
) -> list[Clip]:
    """Returns the clips of a table, without frames, in its order; each key once.

    Args:
      table: with the fields subject, clip and onset; and, of apex, offset, action_units, emotion, type and
        notes, those that the database has.
      database: one of `schema.DATABASES`.
      findings: takes what there is to say of the rows. Macro-expressions (by their type) are excluded, and
        so are rows whose notes say that they are no micro-expression.
      subject: the subject that a cell means, None if it means none.
      example: a subject as sheets write it, for messages.
      known: the errors of the sheet that are known: they are corrected.
      clip: (what the sheet calls the clip, onset) -> its name, unique within its subject.
    """
    found: dict[tuple[str, str, str], Clip] = {}
    for row in table.rows:
        names = {field: cells.text(row.cells[field]) for field in ('subject', 'clip')}
        names['subject'] = _NUMBER.sub(r'\1', names['subject'])
        person = subject(names['subject']) if names['subject'] else None
        if not (person and names['clip']):
            _no_clip(table, row, names, findings, example)
            continue
        if reason := _reason_to_exclude(row):
            findings.excluded.append(
                Exclusion(row=row.place, subject=person, clip=names['clip'], reason=reason)
            )
            continue
        numbers, wrong = _numbers(table, row)
        made = Clip(
            database=database,
            subject=person,
            clip=clip(names['clip'], numbers['onset']),
            **numbers,
            action_units=cells.text(row.cells.get('action_units')) or schema.UNKNOWN_TEXT,
            emotion=cells.text(row.cells.get('emotion')) or schema.UNKNOWN_TEXT,
            row=row.place,
        )
        first = found.setdefault(made.key, made)
        if first is not made:
            text = f'{made.subject}/{made.clip} is in {first.row} already'
            findings.problem(row.place, f'{text}; keep one: until then the clip is left out', made)
            continue
        found[made.key] = made = _corrected(made, known, findings)
        for text in wrong:
            findings.problem(row.place, f'{made.subject}/{made.clip}: {text}', made)
        _check_order(table, made, bool(wrong), findings)
    for place in table.hidden:
        findings.note(place, HIDDEN)
    if not table.rows:
        findings.problem(table.path.name, 'the sheet has no rows below its header')
    _check_swapped(table, list(found.values()), findings)
    return list(found.values())


def _reason_to_exclude(row: Row) -> str:
    """Returns why a row is no clip of this database though it is one of its sheet; empty if it is."""
    if cells.text(row.cells.get('type')).lower().startswith('macro'):
        return 'a macro-expression'
    notes = cells.text(row.cells.get('notes'))
    return f'its note says {notes!r}' if _NO_MICRO.search(notes) else ''


def _corrected(made: Clip, known: Sequence[Erratum], findings: Findings) -> Clip:
    """Returns a clip without the errors of its sheet that are known; zeros that mean nothing are none."""
    made, erratum = errata.corrected(made, known)
    if erratum:
        findings.errata.append(erratum)
        findings.note(made.row, str(erratum), made)
    # Frame 0 after a later onset: CAS(ME)^2 and CAS(ME)3 write so that a frame is not given.
    zeros = [frame for frame in ('apex', 'offset') if getattr(made, frame) == 0 < made.onset]
    return dataclasses.replace(made, **dict.fromkeys(zeros, schema.UNKNOWN_FRAME))


def _no_clip(table: Table, row: Row, names: dict[str, str], findings: Findings, example: str) -> None:
    """Says why a row is no clip's; one without any frame number is a remark, such as a legend below."""
    if not has_frames(row):
        words = ' '.join(filter(None, map(cells.text, row.cells.values())))
        findings.note(row.place, f'taken for a remark, not for a clip: {words[:80]!r}')
        return
    for field, name in names.items():
        if not name:
            findings.problem(row.place, f'{table.titles[field]} is empty, but the row has frame numbers')
    if names['subject'] and names['clip']:
        findings.problem(
            row.place, f'{table.titles["subject"]} is {names["subject"]!r}, expected one such as {example}'
        )


def has_frames(row: Row) -> bool:
    """Whether a row has any frame number."""
    return any(_is_frame(row.cells.get(field)) for field in _FRAMES)


def _is_frame(cell: Any) -> bool:
    try:
        return cells.frame(cell) != schema.UNKNOWN_FRAME
    except ValueError:
        return False


def _numbers(table: Table, row: Row) -> tuple[dict[str, int], list[str]]:
    """Returns onset, apex and offset, and a sentence for each cell that is no frame number."""
    numbers, wrong = dict.fromkeys(_FRAMES, schema.UNKNOWN_FRAME), []
    for field in _FRAMES:
        try:
            numbers[field] = cells.frame(row.cells.get(field))
        except ValueError:
            found = cells.text(row.cells[field])
            wrong.append(f'{table.titles[field]} is {found!r}, expected a frame number such as 46')
    return numbers, wrong


def _check_order(table: Table, made: Clip, wrong: bool, findings: Findings) -> None:
    name = f'{made.subject}/{made.clip}'
    if made.onset == schema.UNKNOWN_FRAME and not wrong:
        findings.problem(made.row, f'{name}: {table.titles["onset"]} is not given', made)
    if 'offset' in table.titles and made.offset == schema.UNKNOWN_FRAME and not wrong:
        findings.note(made.row, f'{name}: {table.titles["offset"]} is not given', made)
    if _is_reversed(made):
        text = f'{name}: the onset, {made.onset}, is after the offset, {made.offset}'
        findings.problem(made.row, text, made)


def _check_swapped(table: Table, made: Sequence[Clip], findings: Findings) -> None:
    wrong = sum(map(_is_reversed, made))
    if wrong >= 2 and 2 * wrong > len(made):
        findings.problem(
            table.path.name,
            f'in {wrong} of {len(made)} rows the onset is after the offset: the columns '
            f'{table.titles["onset"]} and {table.titles["offset"]} look swapped',
        )


def _is_reversed(clip: Clip) -> bool:
    return schema.UNKNOWN_FRAME not in (clip.onset, clip.offset) and clip.onset > clip.offset


def _problem(place: str, text: str, clip: Clip | None) -> Problem:
    return Problem(row=place, text=text, key=clip.key if clip else None)
