"""What a build would hold: the clips of a release under its protocol, and everything that is left out."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence, Set

from data_prep import releases
from data_prep.face import apex
from data_prep.face.apex import ApexRule
from data_prep.files.frames import Images
from data_prep.releases import complete, protocols
from data_prep.releases.clip import NO_APEX, NO_ONSET, Clip, Exclusion, Problem, Survey
from data_prep.releases.protocols import Protocol
from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.errors import InputError
from dualatme_jax.outside import challenge_list

# Where an onset comes from: the sheet, or the first frame that is there if that of the onset is missing.
ONSETS = ('sheet', 'first-there')
# By which emotions clips are used: those of the sheet, or the challenge's, which took the sheet of 2014.
LABELS = ('sheet', 'challenge')

_TAKEN = {
    'sheet': "the sheet's",
    'middle': 'the middle',
    'spotted': 'the spotted one',
    'table': "the table's",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Clips with their labels, and what became of all other rows.

    Attributes:
      surveys: database -> what was found.
      protocols: database -> how it is used.
      labels: the classes of all of them.
      rules: database -> where its apexes come from.
      items: the clips that are used with their labels, by database and in the sheet's order, with their
        apexes as chosen; also those with problems. The label is unknown where a survey has none.
      excluded: database -> rows that are left out on purpose.
      problems: what keeps the build from being complete; among it every clip of an unknown emotion, which is
        neither an item nor left out on purpose.
      notes: what is odd but keeps nothing from being used.
    """

    surveys: Mapping[str, Survey]
    protocols: Mapping[str, Protocol]
    labels: tuple[str, ...]
    rules: Mapping[str, ApexRule]
    items: Sequence[tuple[Clip, str]]
    excluded: Mapping[str, Sequence[Exclusion]]
    problems: Sequence[Problem]
    notes: Sequence[Problem]

    @property
    def sound(self) -> list[tuple[Clip, str]]:
        """The items without a problem."""
        bad = {problem.key for problem in self.problems}
        return [(clip, label) for clip, label in self.items if clip.frames and clip.key not in bad]

    def counts(self, database: str) -> tuple[int, dict[str, int]]:
        """Returns (subjects, {label: clips}) of the items of a database."""
        own = [(clip, label) for clip, label in self.items if clip.database == database]
        count = collections.Counter(label for _, label in own)
        return len({clip.subject for clip, _ in own}), {label: count[label] for label in self.labels}

    def deviations(self) -> list[Problem]:
        """Returns where the counts are not those of the complete release, with the clips that it lies in."""
        found = []
        for database, survey in self.surveys.items():
            protocol = self.protocols[database]
            subjects, classes = self.counts(database)
            expected = protocol.complete_of(survey.version)
            pairs = [
                (label, classes[label], expected.clips[label]) for label in self.labels if expected.clips
            ]
            if expected.subjects:
                pairs.append(('subjects', subjects, expected.subjects))
            if expected.annotated:
                pairs.append(('annotated clips', len(survey.clips), expected.annotated))
            wrong = [f'{have} {what} instead of {want}' for what, have, want in pairs if have != want]
            if wrong:
                text = f'{", ".join(wrong)}: this is not the complete release, or another version of it'
                own = [(clip, label) for clip, label in self.items if clip.database == database]
                where = complete.differences(expected, protocol.labels, own)
                found.append(Problem(row=schema.title(database), text='; '.join([text, *where])))
        return found


def make(
    surveys: Mapping[str, Survey],
    *,
    protocol: str | None,
    rules: Mapping[str, ApexRule],
    reference: str | os.PathLike | None = None,
    labels_of: str = 'sheet',
    onset: str = 'sheet',
) -> Plan:
    """Applies the protocol to what was found.

    Args:
      surveys: database -> what was found.
      protocol: its name; None for the first of the database.
      rules: database -> where its apexes come from.
      reference: the challenge's list, whose rows of these databases the clips must then equal.
      labels_of: one of `LABELS`.
      onset: one of `ONSETS`.

    Raises:
      InputError: unknown protocol, databases of different classes, or a list that cannot be read.
    """
    if labels_of == 'challenge':
        surveys = {database: _with_labels_of_the_challenge(each) for database, each in surveys.items()}
    if onset == 'first-there':
        surveys = {database: _with_first_frames(each) for database, each in surveys.items()}
    chosen = {database: releases.of(database).protocol(protocol) for database in surveys}
    labels = {each.labels for each in chosen.values()}
    if len(labels) != 1:
        listed = ', '.join(f'{database} {each.name}' for database, each in chosen.items())
        raise InputError(f'the databases have different classes ({listed}): choose one --protocol for all')
    items, excluded, problems, notes = [], {}, [], []
    for database, survey in surveys.items():
        own, left_out, unknown = _labelled(survey, chosen[database])
        own, no_apex, other_apex = _with_apexes(own, rules[database])
        used = [*(clip.key for clip, _ in own), *(problem.key for problem in unknown)]
        dropped = {clip.key for clip in survey.clips} - set(used)
        items += own
        excluded[database] = left_out
        problems += [problem for problem in survey.problems if problem.key not in dropped]
        problems += unknown
        problems += _name_problems(own)
        said = {each.key for each in (*no_apex, *other_apex)}  # with what is taken instead
        notes += [
            note
            for note in survey.notes
            if note.key not in dropped and not (note.kind == NO_APEX and note.key in said)
        ]
        problems += no_apex
        notes += other_apex
    if reference:
        problems += _differences(items, set(surveys), pathlib.Path(reference))
    return Plan(
        surveys=surveys,
        protocols=chosen,
        labels=labels.pop(),
        rules=rules,
        items=items,
        excluded=excluded,
        problems=problems,
        notes=notes,
    )


def _name_problems(items: Sequence[tuple[Clip, str]]) -> list[Problem]:
    """Returns the clips whose names no table of predictions could hold."""
    faults = [(clip, names.fault_of_clip(*clip.key)) for clip, _ in items]
    return [Problem.of(clip, InputError(fault)) for clip, fault in faults if fault]


def _labelled(
    survey: Survey, protocol: Protocol
) -> tuple[list[tuple[Clip, str]], list[Exclusion], list[Problem]]:
    """Returns the clips with their labels, those that are left out, and those of unknown emotions."""
    items, excluded, problems = [], list(survey.excluded), []
    if not survey.labelled:
        return [(clip, schema.UNKNOWN_TEXT) for clip in survey.clips], excluded, problems
    for clip in survey.clips:
        try:
            label, reason = protocols.label_of(clip, protocol)
        except InputError as error:
            problems.append(Problem.of(clip, error))
            continue
        if label is None:
            excluded.append(Exclusion(row=clip.row, subject=clip.subject, clip=clip.clip, reason=reason))
        else:
            items.append((clip, label))
    return items, excluded, problems


def _with_labels_of_the_challenge(survey: Survey) -> Survey:
    """Returns a survey with the emotions that the challenge took."""
    record = releases.of(survey.database)
    clips, notes = [], list(survey.notes)
    for clip in survey.clips:
        emotion = record.challenge_emotions.get((clip.subject, clip.clip))
        if emotion and protocols.emotion(clip.emotion) != emotion:
            name = f'{clip.subject}/{clip.clip}'
            text = f'{name}: {emotion}, as the challenge took it, and not {clip.emotion} as this sheet has it'
            notes.append(Problem(row=clip.row, text=text, key=clip.key))
            clip = dataclasses.replace(clip, emotion=emotion)
        clips.append(clip)
    changed = len(notes) > len(survey.notes)
    version = record.challenge_version if changed else survey.version
    return dataclasses.replace(survey, clips=clips, notes=notes, version=version)


def _with_first_frames(survey: Survey) -> Survey:
    """Returns a survey whose clips begin with the first frame there is where that of the onset is missing."""
    clips, notes, solved = [], list(survey.notes), set()
    lacking = {problem.key for problem in survey.problems if problem.kind == NO_ONSET}
    for clip in survey.clips:
        there = clip.frames.numbers if clip.frames and clip.key in lacking else []
        if first := next((number for number in there if number > clip.onset), None):
            text = f'{clip.subject}/{clip.clip}: there is no frame {clip.onset}, its onset: {first} is taken'
            notes.append(Problem(row=clip.row, text=f'{text}, the first after it', key=clip.key))
            clip = dataclasses.replace(clip, onset=first)
            solved.add(clip.key)
        clips.append(clip)
    problems = [each for each in survey.problems if each.kind != NO_ONSET or each.key not in solved]
    return dataclasses.replace(survey, clips=clips, problems=problems, notes=notes)


def _with_apexes(
    items: Sequence[tuple[Clip, str]], rule: ApexRule
) -> tuple[list[tuple[Clip, str]], list[Problem], list[Problem]]:
    """Returns the items with their apexes, those without one, and notes on those that take a later choice."""
    settled, problems, notes = [], [], []
    for clip, label in items:
        try:
            whole = apex.with_span(_with_supposed_frames(clip))
            number, choice, reason = apex.choose(whole, rule.choices, rule.table)
        except InputError as error:
            settled.append((clip, label))
            problems.append(Problem.of(clip, error))
            continue
        taken = schema.UNKNOWN_FRAME if number is None else number
        settled.append((dataclasses.replace(clip, apex=taken, apex_choice=choice), label))
        if reason:
            frame = f', frame {number}' if clip.frames and number is not None else ''
            text = f'{clip.subject}/{clip.clip}: {reason}: {_TAKEN[choice]}{frame} is taken'
            notes.append(Problem(row=clip.row, text=text, key=clip.key))
    return settled, problems, notes


def _with_supposed_frames(clip: Clip) -> Clip:
    """Returns a clip that lacks frames, as its reader has said, as if it had those of its sheet."""
    if clip.frames:
        return clip
    given = {clip.onset, clip.apex, clip.offset} - {schema.UNKNOWN_FRAME} or {0, 1}
    return dataclasses.replace(clip, frames=Images(dict.fromkeys(given)))


def _differences(items: Sequence[tuple[Clip, str]], databases: Set[str], path: pathlib.Path) -> list[Problem]:
    """Returns where the items are not the rows that the challenge's list has of their databases."""
    rows, problems = challenge_list.read_list(path)
    listed = {(row.database, row.subject, row.clip): row for row in rows if row.database in databases}
    found = {clip.key: (clip, label) for clip, label in items}
    differences = [Problem(row='', text=problem) for problem in problems]
    for key, row in listed.items():
        place = f'{path.name}, line {row.line}'
        if key not in found:
            differences.append(
                Problem(row=place, text=f'{"/".join(key)} is in the list, but not in the release')
            )
        elif found[key][1] != row.label:
            text = f'{"/".join(key)} is {row.label} in the list, {found[key][1]} by the release'
            differences.append(Problem(row=place, text=text, key=key))
    for key in found.keys() - listed.keys():
        clip, _ = found[key]
        differences.append(
            Problem(row=clip.row, text=f'{"/".join(key)} is not in the list {path.name}', key=key)
        )
    return differences
