"""The MEGC2019 challenge's log of a LOSO run.

For each subject a header line `database subject`, then a line `clip ground_truth prediction` for each of
its clips; labels are indices into `schema.LABELS`, the challenge's three classes.
"""

import os

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing
from dualatme_jax.report import predictions

_FORM = 'expected a header line `database subject` or a line `clip ground_truth prediction`'
_LABEL_NUMBERS = {str(code) for code in range(len(schema.LABELS))}


def write(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Writes the predictions of one seed and one hyperparameter point as a challenge log; see `text`."""
    log = text(table)
    with replacing(path) as temporary:
        temporary.write_text(log, encoding='utf-8', newline='\n')


def text(table: pd.DataFrame) -> str:
    """The challenge log of the predictions of one seed and one hyperparameter point.

    Raises:
      InputError: a database, subject or clip has a name that the form cannot hold.
      ValueError: the table holds a clip more than once.
    """
    if table.duplicated(predictions.CLIP_KEY).any():
        raise ValueError('a challenge log holds one seed and one point; select them first')
    lines = []
    for (database, subject), rows in table.groupby([schema.DATABASE, schema.SUBJECT], sort=False):
        _check_names(database, subject, *rows[schema.CLIP])
        lines.append(f'{database} {subject}\n')
        clips = zip(rows[schema.CLIP], rows[schema.LABEL], rows['prediction'], strict=True)
        lines += [f'{clip} {label} {prediction}\n' for clip, label, prediction in clips]
    return ''.join(lines)


def read(path: str | os.PathLike) -> pd.DataFrame:
    """Reads a challenge log, from this code or from anybody, as a predictions table (see `predictions`).

    Lines may end in CRLF, words may be apart by several blanks or tabs, blank lines are skipped, and the
    database is taken in lower case. Trial and seed are 0.

    Raises:
      InputError: the file is not such a log; the message names the line.
    """
    return parse(predictions.read_text(path), path)


def parse(log: str, path: str | os.PathLike) -> pd.DataFrame:
    """Makes a predictions table of the text of a log; see `read`."""
    records, lines = [], []
    header, header_line = None, 0
    for line, text in enumerate(log.splitlines(), start=1):
        words = text.split()
        where = f'{path}, line {line}'
        if len(words) == 2:
            _check_clips_follow(header, header_line, lines, path)
            if _reads_as_clip(*words):
                raise InputError(f'{where}: {text.strip()!r} is a clip without its prediction; {_FORM}.')
            header, header_line = words, line
        elif len(words) == 3 and header:
            records.append([*header, *words])
            lines.append(line)
        elif len(words) == 3:
            raise InputError(f'{where}: clip {words[0]!r} stands before any subject; {_FORM}.')
        elif words:
            raise InputError(f'{where}: found {len(words)} words ({text.strip()[:60]!r}); {_FORM}.')
    _check_clips_follow(header, header_line, lines, path)
    columns = [*predictions.CLIP_KEY, schema.LABEL, 'prediction']
    cells = pd.DataFrame(records, columns=columns, index=lines, dtype=str)
    return predictions.parse(cells, schema.LABELS, path)


def _reads_as_clip(database: str, subject: str) -> bool:
    # A clip's line that lost its last word has a header's form, and would move the clips below it to a
    # subject that does not exist.
    return subject in _LABEL_NUMBERS and database.lower() not in schema.DATABASES


def _check_clips_follow(header, header_line: int, lines: list[int], path) -> None:
    if header and (not lines or lines[-1] < header_line):
        raise InputError(
            f'{path}, line {header_line}: subject {" ".join(header)!r} has no clips; '
            'expected lines `clip ground_truth prediction` after it.'
        )


def _check_names(database: str, subject: str, *clips: str) -> None:
    for name in (database, subject, *clips):
        if name.split() != [name]:
            raise InputError(
                f'{name!r} cannot stand in a challenge log; expected a name without blanks. Rename it.'
            )
    if _reads_as_clip(database, subject):
        raise InputError(
            f'The header {f"{database} {subject}"!r} would read as a clip in a challenge log; '
            f'expected a subject that is not one of {", ".join(sorted(_LABEL_NUMBERS))}. Rename it.'
        )
