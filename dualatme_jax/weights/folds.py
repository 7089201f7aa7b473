"""The folder of converted weights: the networks of all folds, stacked, with the subject of each."""

import collections
import csv
import dataclasses
import hashlib
import io
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dualatme_jax import files, models, schema
from dualatme_jax.data.names import MOST_CLASSES, fault_of_name
from dualatme_jax.errors import InputError
from dualatme_jax.training.checkpoint import load_weights, save_weights, weights_shapes
from dualatme_jax.weights import names

ABOUT = 'convert.json'
FOLDS = 'folds.csv'
WEIGHTS = 'weights'
# What the networks started from: in a run's config.json, here, and in files of PyTorch that came from either.
START = 'start'
_COLUMNS = ['subject', 'file']
_MOST_BYTES = 2**20  # of the two tables: far more than any dataset has subjects


@dataclasses.dataclass(frozen=True)
class Folds:
    """The networks of F folds.

    Attributes:
      model: a key of `models.SYSTEMS`.
      variant: one that the model has; where there is a `code`, published weights are of that.
      classes: how many.
      subjects: [F], whom each network was not trained on, as its file was called.
      variables: `params` and `batch_stats`, and what PyTorch counts; each leaf [F, ...].
      start: what the run that trained them says of the weights that it started from, and whom these had seen;
        None where there are none, or nobody says so.
    """

    model: str
    variant: str
    classes: int
    subjects: tuple[str, ...]
    variables: dict[str, Any]
    start: Mapping[str, Any] | None = None


def save(folds: Folds, folder: pathlib.Path) -> None:
    """Fills a new folder."""
    about = {'model': folds.model, 'variant': folds.variant, 'classes': folds.classes}
    about |= {START: folds.start} if folds.start else {}
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + '\n')
    with (folder / FOLDS).open('w', newline='', encoding='utf-8') as file:
        rows = [[subject, file_name(subject)] for subject in folds.subjects]
        csv.writer(file, lineterminator='\n').writerows([_COLUMNS, *rows])
    save_weights(folder / WEIGHTS, folds.variables)
    files.write_checksums(folder)


def fingerprint(folds: Folds) -> str:
    """Identifies these networks, wherever they lie."""
    digest = hashlib.sha256(repr((folds.model, folds.variant, folds.classes, folds.subjects)).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(folds.variables):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def places(
    folds: Folds, people: Sequence[tuple[str, str]], *, model: str, variant: str, classes: int
) -> list[int]:
    """Finds each person's fold, see `match`, of weights that must be of this model, variant and classes.

    Raises:
      InputError: they are not, or see `match`.
    """
    if (folds.model, folds.variant, folds.classes) != (model, variant, classes):
        raise InputError(
            f'config.evaluate_only holds weights of {folds.model!r}, variant {folds.variant!r}, with '
            f'{folds.classes} classes; the config has {model!r}, variant {variant!r}, and the dataset '
            f'{classes} classes. {_advice(folds, model, classes)}'
        )
    return match(folds.subjects, people)


def _advice(folds: Folds, model: str, classes: int) -> str:
    if folds.classes != classes:
        return 'Give weights, or a dataset, of as many classes'
    if folds.model == model:
        return f'Give --config.model.variant={folds.variant}, or other weights'
    return f'Give {_config_of(folds.model)}, or other weights'


def _config_of(model: str) -> str:
    """The flag of a config that trains a system; the name alone would keep another's scale and channels."""
    own = models.system(model).config
    return (
        f'--config={own}, which has the input that {model} reads' if own else f'--config.model.name={model}'
    )


def file_name(subject: str) -> str:
    """The .pth file of a subject; raises InputError for a name that would lie elsewhere."""
    if fault_of_name(subject) or pathlib.PurePath(subject).name != subject or '\\' in subject:
        raise InputError(
            f'a subject is called {subject!r}, which is no name of a file; expected one without slashes'
        )
    return f'{subject}.pth'


def is_one(folder: pathlib.Path) -> bool:
    """Whether a folder holds converted weights."""
    return (folder / ABOUT).is_file()


def load(folder: pathlib.Path) -> Folds:
    """Reads what `save` wrote.

    Raises:
      InputError: the folder is none of these, is not as it was written, or holds other weights than those of
        the network that it names; all that differs is named, and no array is read before.
    """
    if not is_one(folder):
        raise InputError(
            f'no converted weights in {folder} (no {ABOUT}); expected a folder that '
            '`python -m dualatme_jax.convert --model NAME --source DIR --out DIR` wrote from .pth files; '
            'or the workdir of a run that kept its weights'
        )
    try:
        files.check_checksums(folder, 'converted weights')
        (model, variant, classes), start = _about(folder)
        subjects = _subjects(folder)
        stored = weights_shapes(folder / WEIGHTS)
        if problems := names.misfits(model, variant, classes, stored, stacked=len(subjects)):
            raise ValueError(f'{WEIGHTS}: {"; ".join(problems)}')
        variables = load_weights(folder / WEIGHTS)
        if problems := names.not_finite(variables):
            raise ValueError(f'{WEIGHTS}: {", ".join(problems)} holds numbers that are not finite')
    except Exception as error:  # whatever a damaged file raises, in Orbax too
        raise InputError(f'{folder}: these converted weights are damaged ({error}); convert anew') from error
    return Folds(model, variant, classes, subjects, {'batch_stats': {}} | variables, start)


def about(folder: pathlib.Path) -> tuple[str, str, int]:
    """The model, variant and number of classes of converted weights; raises InputError as `load` does."""
    return _described(folder)[0]


def start_of(folder: pathlib.Path) -> Mapping[str, Any] | None:
    """`Folds.start` of converted weights; raises InputError as `load` does."""
    return _described(folder)[1]


def _described(folder: pathlib.Path) -> tuple[tuple[str, str, int], Mapping[str, Any] | None]:
    try:
        return _about(folder)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{folder}: these converted weights are damaged ({error}); convert anew') from error


def _about(folder: pathlib.Path) -> tuple[tuple[str, str, int], Mapping[str, Any] | None]:
    found = json.loads(files.read_bytes(folder / ABOUT, limit=_MOST_BYTES, what='converted weights'))
    if not isinstance(found, dict) or found.keys() - {START} != {'model', 'variant', 'classes'}:
        raise ValueError(f'{ABOUT} holds other fields than model, variant and classes')
    model, variant, classes = found['model'], found['variant'], found['classes']
    if not models.is_known(model) or variant not in models.system(model).variants:
        raise ValueError(f'{ABOUT} names {model!r}, variant {variant!r}, which is none of the networks')
    if type(classes) is not int or not 2 <= classes <= MOST_CLASSES:
        raise ValueError(f'{ABOUT} has classes = {classes!r}; expected 2 to {MOST_CLASSES}')
    start = found.get(START)
    if not (start is None or isinstance(start, dict)):
        raise ValueError(f'{ABOUT} has {START} = {start!r}; expected a mapping')
    return (model, variant, classes), start


def _subjects(folder: pathlib.Path) -> tuple[str, ...]:
    content = files.read_bytes(folder / FOLDS, limit=_MOST_BYTES, what='table of folds')
    rows = list(csv.reader(io.StringIO(content.decode()), strict=True))
    if rows[:1] != [_COLUMNS] or any(len(row) != len(_COLUMNS) for row in rows):
        raise ValueError(f'{FOLDS} is no table of {" and ".join(_COLUMNS)}')
    subjects = tuple(subject for subject, _ in rows[1:])
    for subject in subjects:
        file_name(subject)
    if len(set(subjects)) != len(subjects):
        raise ValueError(f'{FOLDS} has a subject twice')
    return subjects


def networks(folder: pathlib.Path, model: str) -> tuple[str, Iterator[tuple[str, dict[str, Any]]]]:
    """Returns the variant, and each fold's subject with its variables.

    Raises:
      InputError: see `load`; or they are of another model.
    """
    models.system(model)  # of a module of one's own, which `load` does not import for what a file says
    folds = load(folder)
    if folds.model != model:
        raise InputError(f'{folder} holds {folds.model!r}; give that as --model, and not {model!r}')
    return folds.variant, (
        (subject, jax.tree.map(lambda leaf, place=place: leaf[place], folds.variables))
        for place, subject in enumerate(folds.subjects)
    )


def match(subjects: Sequence[str], people: Sequence[tuple[str, str]]) -> list[int]:
    """Finds each person's fold.

    Args:
      subjects: of the folds: the person's name in its database as the released files have it (SAMM's with or
        without leading zeros), or `database_name` where two databases have the same name.
      people: (database, subject) of a dataset, each once; or ('', name) of folds that leave out others.

    Returns:
      For each of `people` the place of its fold in `subjects`.

    Raises:
      InputError: a person without a fold or with several, or a fold of nobody or of several; all are named.
    """
    folds = collections.defaultdict(list)
    problems = []
    for place, subject in enumerate(subjects):
        found = called(people, subject)
        if not found:
            problems.append(f'{subject!r} is nobody in the dataset')
        elif len(found) > 1:
            names = ' and '.join(map(_shown, found))
            problems.append(f'{subject!r} is {names}; call it {" or ".join(map("_".join, found))}')
        for person in found:
            folds[person].append(place)
    for person in people:
        if not folds[person]:
            problems.append(f'{_shown(person)} has no weights')
        elif len(folds[person]) > 1:
            names = ' and '.join(repr(subjects[place]) for place in folds[person])
            problems.append(f'{_shown(person)} has several: {names}')
    if problems:
        listing = '\n'.join(f'  {problem}' for problem in problems)
        raise InputError(
            f"the weights' subjects are not those of the dataset, which must be the same:\n{listing}"
        )
    return [folds[person][0] for person in people]


def called(people: Iterable[tuple[str, str]], subject: str) -> list[tuple[str, str]]:
    """The people that a fold's subject may be, by its name; see `match`."""
    return [person for person in people if _is_called(person, subject)]


def _shown(person: tuple[str, str]) -> str:
    return '/'.join(filter(None, person))


def _is_called(person: tuple[str, str], name: str) -> bool:
    database, subject = person
    return schema.released(database, name.removeprefix(f'{database}_')) == schema.released(database, subject)
