"""The challenge's list of the rows of MEGC2019-CD: `database,subject,clip,label`, without a header."""

import dataclasses
import pathlib
from collections.abc import Iterable

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes
from dualatme_jax.outside import csv_file

COLUMNS = ('database', 'subject', 'clip', 'label')
_MOST_BYTES = 64 * 2**20  # of a list; the challenge's has 10,000

# The list of HTNet's code (Wang et al., Neurocomputing 2024), which has the same clips.
_HTNET = ('dataset', 'sub', 'filename_o', 'label', 'apex', 'imagename', 'sub_filename')
# What headers of tables are made of; two of them make a header.
_HEADERS = {*COLUMNS, *_HTNET, 'clip', 'filename', 'video', 'emotion', 'estimated emotion', 'onset', 'offset'}
_HEADERS |= {'onsetframe', 'apexframe', 'offsetframe', 'prediction', 'predicted', 'ground truth'}


@dataclasses.dataclass(frozen=True)
class ListedClip:
    """One row of the challenge's list.

    Attributes:
      line: its line in the file, from 1.
      database: one of `schema.COMPOSITE`.
      subject: as the list has it (SAMM: without leading zeros).
      clip: as the list has it.
      label: one of `schema.LABELS`.
    """

    line: int
    database: str
    subject: str
    clip: str
    label: str

    @property
    def stem(self) -> str:
        """The name of the row's image, without the suffix and the space before it."""
        return f'{schema.released(self.database, self.subject)}_{self.clip}'


def read_list(path: pathlib.Path) -> tuple[list[ListedClip], list[str]]:
    """Reads the challenge's list from a file; returns what `parse_list` does.

    Raises:
      InputError: it cannot be read, or is a list of another kind.
    """
    text = _text(path)
    _refuse_others(path, text)
    return parse_list(text)


def parse_list(text: str) -> tuple[list[ListedClip], list[str]]:
    """Parses the challenge's list.

    Args:
      text: rows `database,subject,clip,label`, no header; any line ending; empty lines are skipped.

    Returns:
      The good rows in their order, and one sentence for each row that is not.
    """
    rows, problems, lines = [], [], {}
    for line, fields in _records(text, problems):
        try:
            row = _row(line, fields)
        except InputError as error:
            problems.append(f'list, line {line}: {error}')
            continue
        first = lines.setdefault(row.stem, line)
        if first == line:
            rows.append(row)
        else:
            problems.append(f'list, line {line}: needs the same image as line {first}, {row.stem!r}')
    if not rows and not problems:
        problems.append(f'the list is empty: expected rows {",".join(COLUMNS)}')
    return rows, problems


def _refuse_others(path: pathlib.Path, text: str) -> None:
    """Raises InputError for a table that says by its header what it is."""
    header = next(iter(_records(text, [])), (0, []))[1]
    words = [field.lower() for field in header]
    if len(_HEADERS.intersection(words)) < 2:
        return
    expected = f"the challenge's list, rows {','.join(COLUMNS)} without a header"
    if set(_HTNET[:4]) <= set(words):
        raise InputError(
            f"{path} is HTNet's list, with the columns {', '.join(header)}; expected {expected}: "
            'it has the same clips, and lies beside the public flow images (combined_3class_gt.csv)'
        )
    raise InputError(
        f'{path} is a table with the header {", ".join(header)[:200]}; expected {expected}: '
        + ('delete its first line' if tuple(words) == COLUMNS else 'a label sheet goes to --sheet')
    )


def _records(text: str, problems: list[str]) -> Iterable[tuple[int, list[str]]]:
    try:
        for line, fields in csv_file.rows(text, 'list'):
            if any(field.strip() for field in fields):
                yield line, [field.strip() for field in fields]
    except InputError as error:
        problems.append(f'{error}; the rest was not read')


def _row(line: int, fields: list[str]) -> ListedClip:
    if len(fields) != len(COLUMNS):
        raise InputError(f'{len(fields)} columns, expected {len(COLUMNS)}: {",".join(COLUMNS)}')
    database, subject, clip, label = fields
    if database not in schema.COMPOSITE:
        raise InputError(f'unknown database {database!r}, expected one of {", ".join(schema.COMPOSITE)}')
    if not subject or not clip:
        raise InputError(f'the {"clip" if subject else "subject"} is empty')
    labels = {str(number): name for number, name in enumerate(schema.LABELS)}
    if label not in labels:
        meanings = ', '.join(f'{number} {name}' for number, name in labels.items())
        raise InputError(f'unknown label {label!r}, expected one of {meanings}')
    return ListedClip(line, database, subject, clip, labels[label])


def _text(path: pathlib.Path) -> str:
    return csv_file.text(read_bytes(path, limit=_MOST_BYTES, what='list'), f'the list {path}')
