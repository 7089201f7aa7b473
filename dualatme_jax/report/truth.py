"""Compares the ground truth of predictions with that of a dataset or a list, clip by clip.

Published logs and lists differ in some labels and clips, which changes every score that is made from them.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.errors import InputError
from dualatme_jax.outside import challenge_list
from dualatme_jax.report import predictions
from dualatme_jax.report.given import Given

Clip = tuple[str, str, str]  # database, subject as the released files spell it, clip

_SHOWN = 10  # differences of one kind in words


@dataclasses.dataclass(frozen=True)
class Truth:
    """What a source says of clips.

    Attributes:
      source: the dataset or list, for the messages.
      labels: its classes.
      clips: the class of each.
    """

    source: str
    labels: tuple[str, ...]
    clips: Mapping[Clip, str]


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two ground truths differ, in the databases that the predictions are of.

    Attributes:
      labels: clip, or subject of a log without clips -> (label of the predictions, of the truth).
      absent: clips of the truth without a prediction.
      unknown: predicted clips that the truth does not have.
      databases: those of the truth that the predictions have no clip of.
      named: whether clips are compared; else subjects, of a log without names of clips, and `absent` and
        `unknown` are subjects too.
    """

    labels: Mapping[str, tuple[str, str]]
    absent: Sequence[str]
    unknown: Sequence[str]
    databases: Sequence[str]
    named: bool = True

    def sentences(self, source: str) -> list[str]:
        """It in words, the first few of each kind by name."""
        differing = [
            f'{name} is {here} here and {there} in {source}' for name, (here, there) in self.labels.items()
        ]
        found = []
        if differing and self.named:
            differ = '1 label differs' if len(differing) == 1 else f'{len(differing)} labels differ'
            found.append(f'{differ}: {_listed(differing, "; ")}')
        elif differing:
            found.append(f'the labels of {_counted(differing, "subject")} differ: {_listed(differing, "; ")}')
        what = 'clip' if self.named else 'subject'
        if self.absent:
            has = 'has' if len(self.absent) == 1 else 'have'
            found.append(
                f'{_counted(self.absent, what)} of {source} {has} no prediction: {_listed(self.absent)}'
            )
        if self.unknown:
            be = 'is' if len(self.unknown) == 1 else 'are'
            found.append(
                f'{_counted(self.unknown, f"predicted {what}")} {be} not in {source}: {_listed(self.unknown)}'
            )
        if self.databases:
            found.append(f'no clip is of {", ".join(self.databases)}, which {source} has')
        own = 'clips and labels' if self.named else 'subjects and the numbers of their labels'
        return found or [f'all {own} are those of {source}']


def of_list(path: pathlib.Path) -> Truth:
    """Reads the challenge's list, `database,subject,clip,label`; raises InputError for a bad row."""
    rows, problems = challenge_list.read_list(path)
    if problems:
        raise InputError(f'the list {path}: {_listed(problems, "; ")}; mend it, or leave --list out')
    clips = {(row.database, schema.released(row.database, row.subject), row.clip): row.label for row in rows}
    return Truth(str(path), schema.LABELS, clips)


def of_dataset(path: pathlib.Path) -> Truth:
    """Reads the labels of a dataset that `data_prep` has built; raises InputError where there is none."""
    from dualatme_jax.data import dataset as dataset_lib  # TensorFlow Datasets takes seconds

    dataset = dataset_lib.load(path)
    people = [
        (database, schema.released(database, subject))
        for database, subject in zip(dataset.database.tolist(), dataset.subject.tolist(), strict=True)
    ]
    keys = [(*person, clip) for person, clip in zip(people, dataset.clip.tolist(), strict=True)]
    words = [dataset.labels[label] for label in dataset.label]
    return Truth(str(path), dataset.labels, dict(zip(keys, words, strict=True)))


def compare(given: Given, truth: Truth) -> Difference:
    """Compares the labels of predictions, of which each clip counts once, with a truth.

    Of a log without names of clips, how many clips of each class a subject has is all that can be compared.
    """
    rows = given.table.drop_duplicates(predictions.CLIP_KEY)
    here = {}
    for database, subject, clip, label in rows[[*predictions.CLIP_KEY, schema.LABEL]].itertuples(index=False):
        here[database, schema.released(database, subject), clip] = given.labels[label].lower()
    databases = {database for database, _, _ in here}
    there = {clip: label.lower() for clip, label in truth.clips.items() if clip[0] in databases}
    others = names.known_first([clip[0] for clip in truth.clips if clip[0] not in databases])
    if not given.named:
        here, there = _by_subject(here, truth.labels), _by_subject(there, truth.labels)
    shared = [clip for clip in here if clip in there]
    return Difference(
        labels={'/'.join(clip): (here[clip], there[clip]) for clip in shared if here[clip] != there[clip]},
        absent=['/'.join(clip) for clip in there if clip not in here],
        unknown=['/'.join(clip) for clip in here if clip not in there],
        databases=others,
        named=given.named,
    )


def _by_subject(clips: Mapping[Clip, str], labels: Sequence[str]) -> dict[tuple[str, str], str]:
    """Database and subject -> how many clips of each class, in words."""
    counts = collections.defaultdict(collections.Counter)
    for (database, subject, _), label in clips.items():
        counts[database, subject][label] += 1
    order = [label.lower() for label in labels]

    def place(label: str) -> tuple[int, str]:
        return order.index(label) if label in order else len(order), label

    return {
        person: ' and '.join(f'{count[label]} {label}' for label in sorted(count, key=place))
        for person, count in counts.items()
    }


def _counted(found: Sequence[str], what: str) -> str:
    return f'{len(found)} {what}{"s" * (len(found) != 1)}'


def _listed(parts: Sequence[str], mark: str = ', ') -> str:
    more = f'{mark}and {len(parts) - _SHOWN} more' if len(parts) > _SHOWN else ''
    return mark.join(parts[:_SHOWN]) + more
