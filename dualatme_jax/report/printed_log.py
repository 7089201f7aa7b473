"""The log that the PyTorch programs of STSTNet and HTNet print, and many that were made from them.

Of each left-out subject there are lines such as these; all others are ignored:

    Subject: sub01
    Predicted    : [0, 2, 1]
    Ground Truth : [0, 2, 2]

HTNet prints `Best Predicted` instead: the predictions of the epoch that was best on that very subject, which
LEAKS. The log names no clip and no database.
"""

import re
from collections.abc import Sequence

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions

PREDICTED, BEST_PREDICTED = 'predicted', 'best predicted'
_SUBJECT, _TRUTH = 'subject', 'ground truth'
_LINE = re.compile(r'\s*(subject|(?:best )?predicted|ground truth)\s*:\s*(.*?)\s*', re.IGNORECASE)
_LIST = re.compile(r'\[([^\[\]]*)\]')
_SCALAR = re.compile(r'[\w.]+\(([^(),]*)[^()]*\)')  # np.int64(0), tensor(0, device='cuda:0')
_FORM = 'expected lines `Subject: NAME`, `Predicted: [0, 1, ...]` and `Ground Truth: [0, 1, ...]`'

# How the composite calls the subjects of its databases. SAMM's, 006 to 037, are 6 to 37 in
# the challenge's list.
_NAMES = {'casme2': r'sub\d\d', 'smic': r's\d\d', 'samm': r'\d\d\d|[6-9]|[12]\d|3[0-7]'}


def is_one(text: str) -> bool:
    """Whether a text has this form: a line of a subject and one of predictions."""
    found = {match[1].lower() for line in text.splitlines() if (match := _LINE.fullmatch(line))}
    return _SUBJECT in found and bool({PREDICTED, BEST_PREDICTED} & found)


def read(text: str, path, *, labels: Sequence[str] = ()) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    """Reads such a log: (a predictions table, its classes, which of the predictions it holds).

    Clips are called 1, 2, ... within their subject, as they stand there. The names of the subjects decide
    the databases, if all are called as in the composite (then SAMM's have three digits in the table); else
    there is one, `unknown`. Where there are both `Predicted` and `Best Predicted`, the first is read.

    Args:
      text: the log.
      path: the file's name, for the messages.
      labels: the classes; by default the challenge's.

    Returns:
      The table, see `predictions.from_cells`; its classes; and `PREDICTED` or `BEST_PREDICTED`.

    Raises:
      InputError: a subject stands there twice, or lacks a line; lists differ in length; or a bad number.
    """
    sections = _sections(text, path)
    kinds = [kind for kind in (PREDICTED, BEST_PREDICTED) if all(kind in found for found in sections)]
    kind = kinds[0] if kinds else PREDICTED
    records, lines = [], []
    for found in sections:
        line, subject = found[_SUBJECT]
        where = f'{path}, line {line}: subject {subject!r}'
        absent = [name for name in (kind, _TRUTH) if name not in found]
        if absent:
            raise InputError(
                f'{where} has no line `{absent[0].title()}: [...]`; {_FORM}, or delete its lines.'
            )
        predicted, truth = (_numbers(*found[name], path) for name in (kind, _TRUTH))
        if len(predicted) != len(truth) or not truth:
            raise InputError(
                f'{where} has {len(predicted)} predictions and {len(truth)} labels; expected as many of both.'
            )
        for number, (label, prediction) in enumerate(zip(truth, predicted, strict=True), start=1):
            records.append([subject, str(number), label, prediction])
            lines.append(found[_TRUTH][0])
    cells = pd.DataFrame(
        records, columns=[schema.SUBJECT, schema.CLIP, schema.LABEL, 'prediction'], index=lines, dtype=str
    )
    cells[schema.DATABASE] = _databases(cells[schema.SUBJECT])
    people = zip(cells[schema.DATABASE], cells[schema.SUBJECT], strict=True)
    cells[schema.SUBJECT] = [schema.released(*person) for person in people]
    return *predictions.from_cells(cells, path, labels=labels or schema.LABELS), kind


def _sections(text: str, path) -> list[dict[str, tuple[int, str]]]:
    """Of each subject: what a line begins with, in lower case -> (its number, its rest)."""
    sections, subjects = [], {}
    for line, content in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(content)
        if not match:
            continue
        name, rest = match[1].lower(), match[2]
        where = f'{path}, line {line}'
        if name == _SUBJECT:
            if rest in subjects:
                raise InputError(
                    f'{where}: subject {rest!r} stands in line {subjects[rest]} already: the log holds '
                    'several runs; expected one. Cut the others off.'
                )
            subjects[rest] = line
            sections.append({name: (line, rest)})
        elif not sections:
            raise InputError(f'{where}: {match[1]!r} stands before any subject; {_FORM}.')
        elif name in sections[-1]:
            raise InputError(f'{where}: {match[1]!r} stands there twice for one subject; {_FORM}.')
        else:
            sections[-1][name] = line, rest
    return sections


def _numbers(line: int, rest: str, path) -> list[str]:
    """The numbers of a list, as Python, NumPy or PyTorch print it."""
    found = _LIST.search(rest)
    if not found:
        raise InputError(f'{path}, line {line}: no list in {rest[:60]!r}; {_FORM}, each on one line.')
    return _SCALAR.sub(r'\1', found[1]).replace(',', ' ').split()


def _databases(subjects: pd.Series) -> pd.Series:
    found = pd.Series(schema.UNKNOWN_TEXT, subjects.index)
    for database, name in _NAMES.items():
        found[subjects.str.fullmatch(name).to_numpy()] = database
    return found if (found != schema.UNKNOWN_TEXT).all() else schema.UNKNOWN_TEXT
