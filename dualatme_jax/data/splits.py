"""Folds: who is left out of training, to be predicted. Pure functions of names and labels, without JAX.

A scikit-learn estimator is validated on the folds of a run by

    cv = [
        (np.flatnonzero(fold.train), np.flatnonzero(fold.held_out))
        for fold in splits.folds('subject', data.database, data.subject)
    ]
    cross_val_predict(estimator, features, data.label, cv=cv)

Axes: N clips.
"""

import dataclasses
import functools
import warnings
import zlib

import numpy as np

from dualatme_jax.errors import InputError, check_choice

# Kinds of folds.
#   SUBJECT: one subject is left out, LOSO.
#   DATABASE: one database is left out, cross-database.
#   PARTS: one of k parts of whole subjects is left out, with classes spread evenly.
#   ALL: nobody is left out, and nothing is predicted: a network for new clips.
SUBJECT, DATABASE, PARTS, ALL = KINDS = ('subject', 'database', 'parts', 'all')

NOUNS = {SUBJECT: 'subject', DATABASE: 'database', PARTS: 'part'}  # what a fold leaves out

NOBODY = 'nobody'  # the name of the only fold of ALL
NEW = 'all subjects new to its networks'  # the protocol of networks that were trained on other people
_PART = 'part '


@dataclasses.dataclass(frozen=True)
class Fold:
    """Who is left out, and who is trained on; no subject is on both sides.

    Attributes:
      name: of who is left out: `database/subject`, `database`, `part 1` or `nobody`.
      train: [N] bool, the clips to train on.
      held_out: [N] bool, the clips to predict.
    """

    name: str
    train: np.ndarray
    held_out: np.ndarray


def folds(
    kind: str,
    database: np.ndarray,
    subject: np.ndarray,
    label: np.ndarray | None = None,
    *,
    parts: int = 0,
    seed: int = 0,
) -> list[Fold]:
    """All folds of a kind: each clip is held out by one of them, or with `all` by none.

    Args:
      kind: one of `KINDS`.
      database: [N] str.
      subject: [N] str, unique within its database.
      label: [N] classes, which parts spread evenly; the other kinds do not read them.
      parts: of subjects, for the kind `parts`.
      seed: of the cut into parts. A part that no subject falls to is left out of the list.

    Returns:
      One fold per subject or database in order of appearance, per part, or the only one.

    Raises:
      InputError: no such kind, or too few subjects or databases for it.
    """
    check_kind(kind)
    people = people_of(database, subject)
    count = len(set(people))
    if kind == SUBJECT and count < 2:
        raise InputError(
            f'{count} subject in the dataset; leave-one-subject-out needs 2 or more: '
            'use more databases (config.data.databases)'
        )
    if kind == DATABASE and len(set(database)) < 2:
        raise InputError(
            f'1 database in the dataset, {database[0]}; one database out needs 2 or more: use more '
            "databases (config.data.databases), or leave out subjects (config.folds='subject')"
        )
    if kind == PARTS and not 2 <= parts <= count:
        raise InputError(
            f'config.fold_parts is {parts}, and the dataset has {count} subjects; expected 2 to {count}: '
            'each part needs a subject'
        )
    names = {
        SUBJECT: people,
        DATABASE: database,
        PARTS: [f'{_PART}{number}' for number in range(1, parts + 1)],
        ALL: [NOBODY],
    }[kind]
    found = [
        fold(kind, name, database, subject, label, parts=parts, seed=seed)
        for name in dict.fromkeys(map(str, names))
    ]
    return [one for one in found if kind == ALL or one.held_out.any()]


def fold(
    kind: str,
    name: str,
    database: np.ndarray,
    subject: np.ndarray,
    label: np.ndarray | None = None,
    *,
    parts: int = 0,
    seed: int = 0,
) -> Fold:
    """The fold of a kind that has a name, see `folds`."""
    database, subject = np.asarray(database), np.asarray(subject)
    if kind == ALL:
        held_out = np.zeros(len(database), bool)
    elif kind == DATABASE:
        held_out = database == name
    elif kind == PARTS:
        held_out = part_of(database, subject, label, parts=parts, seed=seed) == int(name.removeprefix(_PART))
    else:
        of_database, _, person = name.partition('/')
        held_out = (database == of_database) & (subject == person)
    return Fold(name, ~held_out, held_out)


def inner(
    outer: Fold,
    number: int,
    database: np.ndarray,
    subject: np.ndarray,
    label: np.ndarray,
    *,
    parts: int,
    seed: int,
) -> Fold:
    """A fold within the training side of another one, by which something may be selected.

    Args:
      outer: the fold; its training subjects are cut into parts.
      number: of the part that is held out, from 1; a part that no subject falls to holds out nothing.
      database: [N] str.
      subject: [N] str.
      label: [N] classes, which the parts spread evenly.
      parts: how many.
      seed: of the cut.

    Raises:
      InputError: the training subjects cannot be cut into so many parts.
    """
    part = _inner_part_of(outer, database, subject, label, parts=parts, seed=seed)
    return _inner(outer, number, part == number)


def inner_folds(
    outer: Fold, database: np.ndarray, subject: np.ndarray, label: np.ndarray, *, parts: int, seed: int
) -> list[Fold]:
    """All inner folds of a fold that hold out something, see `inner`."""
    part = _inner_part_of(outer, database, subject, label, parts=parts, seed=seed)
    return [_inner(outer, number, part == number) for number in range(1, parts + 1) if (part == number).any()]


def _inner(outer: Fold, number: int, held_out: np.ndarray) -> Fold:
    return Fold(f'{outer.name}, inner part {number}', outer.train & ~held_out, held_out)


def _inner_part_of(
    outer: Fold, database: np.ndarray, subject: np.ndarray, label: np.ndarray, *, parts: int, seed: int
) -> np.ndarray:
    """The inner part of each clip, [N] from 1; 0 of those that the fold leaves out."""
    side, part = outer.train, np.zeros(len(outer.train), int)
    database, subject, label = (np.asarray(each)[side] for each in (database, subject, label))
    part[side] = part_of(database, subject, label, parts=parts, seed=seed, field='config.selection.parts')
    return part


def few(
    whole: Fold, database: np.ndarray, subject: np.ndarray, label: np.ndarray, *, subjects: int, seed: int
) -> Fold:
    """A fold that trains on some of its subjects only, to see what more of them would add.

    The subjects are drawn by the seed and the fold's name: those of a smaller number are among those of a
    larger one, whatever the order of the clips. The first ones each have a class that those before lack,
    until all classes have been seen; the others are in random order.

    Args:
      whole: the fold.
      database: [N] str.
      subject: [N] str.
      label: [N] classes.
      subjects: how many are trained on; 0: all, the fold as it is.
      seed: of the draw.

    Raises:
      InputError: the fold trains on fewer subjects.
    """
    if not subjects:
        return whole
    people, label = people_of(database, subject), np.asarray(label)
    order = np.random.default_rng([seed, zlib.crc32(whole.name.encode())]).permutation(
        np.unique(people[whole.train])
    )
    if subjects > len(order):
        raise InputError(
            f'config.data.train_subjects is {subjects}, and with {whole.name} left out there are '
            f'{len(order)} subjects to train on; expected 1 to {len(order)}, or 0 for all'
        )
    of_person = {person: set(label[people == person].tolist()) for person in order}
    lacking, first = set(label[whole.train].tolist()), []
    while lacking:
        first.append(next(person for person in order if of_person[person] & lacking))
        lacking -= of_person[first[-1]]
    drawn = [*first, *(person for person in order if person not in first)][:subjects]
    return dataclasses.replace(whole, train=whole.train & np.isin(people, drawn))


def undersampled(whole: Fold, label: np.ndarray, *, most: float, seed: int) -> Fold:
    """A fold that trains on some of the clips of its most frequent class only; what it predicts stays.

    They are drawn by the seed and the fold's name: those of a smaller number are among those of a larger one.

    Args:
      whole: the fold.
      label: [N] classes.
      most: below 1 the share of the clips of that class that is trained on; from 1 on, so many of them at the
        most for each clip of all other classes; 0: all, the fold as it is.
      seed: of the draw.
    """
    counts = np.bincount(np.asarray(label)[whole.train])
    if not most or np.count_nonzero(counts) < 2:
        return whole
    frequent = np.flatnonzero(whole.train & (np.asarray(label) == counts.argmax()))
    number = most * (counts.max() if most < 1 else counts.sum() - counts.max())
    order = np.random.default_rng([seed, zlib.crc32(whole.name.encode())]).permutation(frequent)
    train = whole.train.copy()
    train[order[max(1, round(number)) :]] = False
    return dataclasses.replace(whole, train=train)


def part_of(
    database: np.ndarray,
    subject: np.ndarray,
    label: np.ndarray,
    *,
    parts: int,
    seed: int,
    field: str = 'config.fold_parts',
) -> np.ndarray:
    """The part of each clip, [N] from 1: subjects stay whole, classes are spread as evenly as they let them.

    Raises:
      InputError: they cannot be cut into so many; `field` is the number's name in the message.
    """
    try:
        return _cut(
            tuple(np.asarray(label).tolist()), tuple(people_of(database, subject).tolist()), parts, seed
        )
    except ValueError as error:
        raise InputError(
            f'the subjects cannot be cut into {parts} parts ({error}); expected a smaller {field}, or more '
            'clips'
        ) from error


@functools.lru_cache(maxsize=1024)
def _cut(labels: tuple, people: tuple[str, ...], parts: int, seed: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second, which few runs need

    split = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    part = np.zeros(len(labels), int)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of a class that is rarer than parts
        for number, (_, index) in enumerate(split.split(labels, labels, people), start=1):
            part[index] = number
    return part


def most_trained(kind: str, database: np.ndarray, subject: np.ndarray) -> int:
    """The most clips that a fold of a kind can train on, whatever its seed and number of parts."""
    if kind == ALL:
        return len(database)
    people = database if kind == DATABASE else people_of(database, subject)
    return len(database) - int(np.unique(people, return_counts=True)[1].min())


def protocol(kind: str, parts: int, subjects: int = 0) -> str:
    """Who is left out, and how many of the others are trained on, to stand wherever a result is shown."""
    if kind == PARTS:
        out = f'one of {parts} parts of the subjects left out'
    else:
        out = f'one {NOUNS[kind]} left out' if kind in NOUNS else f'{NOBODY} left out'
    return f'{out}, {subjects} of the other subjects trained on' if subjects else out


def person(name: str) -> tuple[str, str]:
    """Database and subject of whom a fold's name names; '' and the name if that is no single subject."""
    database, slash, subject = name.partition('/')
    return (database, subject) if slash else ('', name)


def check_kind(kind: str) -> None:
    """Raises InputError unless there are folds of that kind."""
    check_choice('folds', kind, 'config.folds', KINDS)


def people_of(database: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """[N] `database/subject`: the person, unique over all databases."""
    return np.array([f'{one}/{other}' for one, other in zip(database, subject, strict=True)])
