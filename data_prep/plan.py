"""What a build would hold: the clips of a release under its protocol, and everything that is left out."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence, Set

from data_prep import apex, protocols
from data_prep.clip import Clip, Exclusion, Problem, Survey
from data_prep.frames import Images
from data_prep.prepared import ApexRule
from data_prep.protocols import Protocol
from dualatme_jax import challenge_list, schema
from dualatme_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Clips with their labels, and what became of all other rows.

    Attributes:
      surveys: database -> what was found.
      protocols: database -> how it is used.
      labels: the classes of all of them.
      rules: database -> where its apexes come from.
      items: the clips that are used with their labels, by database and in the sheet's order; also those with
        problems.
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
        """Returns where the counts are not those of the complete release."""
        found = []
        for database, protocol in self.protocols.items():
            if database not in protocol.expected:
                continue
            subjects, classes = self.counts(database)
            expected_subjects, expected = protocol.expected[database]
            pairs = [(label, classes[label], expected[label]) for label in self.labels]
            if expected_subjects:
                pairs.append(('subjects', subjects, expected_subjects))
            wrong = [f'{have} {what} instead of {want}' for what, have, want in pairs if have != want]
            if wrong:
                text = f'{", ".join(wrong)}: this is not the complete release, or another version of it'
                found.append(Problem(row=schema.DATABASE_TITLES[database], text=text))
        return found


def make(
    surveys: Mapping[str, Survey],
    *,
    protocol: str | None,
    rules: Mapping[str, ApexRule],
    reference: str | os.PathLike | None = None,
) -> Plan:
    """Applies the protocol to what was found.

    Args:
      surveys: database -> what was found.
      protocol: its name; None for the first of the database.
      rules: database -> where its apexes come from.
      reference: the challenge's list, whose rows of these databases the clips must then equal.

    Raises:
      InputError: unknown protocol, databases of different classes, or a list that cannot be read.
    """
    chosen = {database: protocols.find(protocol, database) for database in surveys}
    labels = {each.labels for each in chosen.values()}
    if len(labels) != 1:
        names = ', '.join(f'{database} {each.name}' for database, each in chosen.items())
        raise InputError(f'the databases have different classes ({names}): choose one --protocol for all')
    items, excluded, problems, notes = [], {}, [], []
    for database, survey in surveys.items():
        own, left_out, unknown = _labelled(survey, chosen[database])
        used = [*(clip.key for clip, _ in own), *(problem.key for problem in unknown)]
        dropped = {clip.key for clip in survey.clips} - set(used)
        items += own
        excluded[database] = left_out
        problems += [problem for problem in survey.problems if problem.key not in dropped]
        problems += unknown
        problems += _apex_problems(own, rules[database])
        notes += [note for note in survey.notes if note.key not in dropped]
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


def _labelled(
    survey: Survey, protocol: Protocol
) -> tuple[list[tuple[Clip, str]], list[Exclusion], list[Problem]]:
    """Returns the clips with their labels, those that are left out, and those of unknown emotions."""
    items, excluded, problems = [], list(survey.excluded), []
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


def _apex_problems(items: Sequence[tuple[Clip, str]], rule: ApexRule) -> list[Problem]:
    found = []
    for clip, _ in items:
        try:
            apex.choose(apex.with_span(_with_supposed_frames(clip)), rule.choices, rule.table)
        except InputError as error:
            found.append(Problem.of(clip, error))
    return found


def _with_supposed_frames(clip: Clip) -> Clip:
    """Returns a clip that lacks frames, of which its reader has told, as if it had those of its sheet."""
    if clip.frames:
        return clip
    told = {clip.onset, clip.apex, clip.offset} - {schema.UNKNOWN_FRAME} or {0, 1}
    return dataclasses.replace(clip, frames=Images(dict.fromkeys(told)))


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
