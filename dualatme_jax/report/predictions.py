"""The predictions table: one row per clip and trial, from which every score and table can be rebuilt.

In memory it is a `pandas.DataFrame` with the columns `COLUMNS` and, unless they are absent as a whole, one of
probabilities, `prob_LABEL`, for each class in the order of their numbers. Any further column is a
hyperparameter: its distinct values are the points of a sweep; but `left_out`, which a run's tables have in
memory, names the fold. `trial` and `seed` are integers; `database`, `subject` and `clip` are strings (SAMM's
subject `006` is not 6); `label` and `prediction` are numbers of classes; the probabilities are floats in
[0, 1].
"""

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.errors import InputError
from dualatme_jax.files import hashing, read_bytes

SUBJECT_KEY = [schema.DATABASE, schema.SUBJECT]
CLIP_KEY = [*SUBJECT_KEY, schema.CLIP]
COLUMNS = list(schema.PREDICTION_COLUMNS)

_LABELS = [schema.LABEL, 'prediction']
REQUIRED = [*CLIP_KEY, *_LABELS]
_DEFAULTS = {'trial': '0', 'seed': '0'}
DELIMITERS = ',;\t'
MOST_BYTES = 2**32  # of a file: what the most predictions that a run may keep can take
_FIELD = re.compile(r'[a-z_]+\.[A-Za-z0-9_]+')  # a field of a config, or an option of a system
_WHOLE = re.compile(r'(-?[0-9]+)\.0*')  # a whole number as spreadsheets write it
_SUM_TOLERANCE = 1e-3  # probabilities that somebody rounded to three digits are still probabilities


def write(table: pd.DataFrame, path: str | os.PathLike) -> str:
    """Writes the table as CSV, whole or not at all; every float reads back to the same float32.

    Returns:
      The SHA-256 of the file, in hexadecimal digits.
    """
    with hashing(path) as (file, digest):
        ordered(table).to_csv(file, index=False, lineterminator='\n')
    return digest.hexdigest()


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns in the order of a file: `COLUMNS`, fold, probabilities, hyperparameters."""
    known = [name for name in (*COLUMNS, schema.LEFT_OUT) if name in table]
    return table[[*known, *probabilities(table.columns), *hyperparameters(table)]]


def read(
    path: str | os.PathLike, *, points: Sequence[str] = (), labels: Sequence[str] = ()
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Reads a predictions file, from this code or from anybody: (table, its classes by their numbers).

    It is what `from_cells` makes of the cells of a CSV file.

    Args:
      path: the file.
      points: columns that are hyperparameters, see `unread`.
      labels: the classes, where labels are numbers and no column names them.

    Raises:
      InputError: the file cannot be read as such a table; the message names the column or the line.
    """
    return from_cells(csv_cells(read_text(path), path), path, points=points, labels=labels)


def csv_cells(text: str, path: str | os.PathLike) -> pd.DataFrame:
    """The cells of a CSV text: stripped strings, indexed by line number; see `from_rows` for the columns.

    Values are separated by commas, semicolons or tabs, whichever the first line has most of. Unless commas
    separate them, numbers may have a decimal comma, as spreadsheets in many countries write them.

    Raises:
      InputError: it is no CSV text, or see `from_rows`.
    """
    delimiter = delimiter_of(text)
    found = from_rows(csv_rows(text, delimiter, path), path)
    if delimiter != ',':
        numbers = [name for name in found if name not in CLIP_KEY]
        found[numbers] = found[numbers].replace(r'^(-?[0-9]+),([0-9]+)$', r'\1.\2', regex=True)
    return found


def delimiter_of(text: str) -> str:
    """What separates the values of a CSV text: that of `DELIMITERS` which its first line has most of."""
    first = next(line for line in text.splitlines() if line.strip())
    return max(DELIMITERS, key=first.count)


def from_rows(rows: Iterable[tuple[int, Sequence[str]]], path: str | os.PathLike) -> pd.DataFrame:
    """A table of strings from rows, the first of which is the header.

    Args:
      rows: (line number, stripped cells).
      path: the file's name, for the messages.

    Returns:
      One column per name of the header, those of `COLUMNS` in lower case, indexed by line number.

    Raises:
      InputError: the header is missing, or lacks a column or a name; or a row is of another length.
    """
    rows = iter(rows)
    _, header = next(rows, (0, []))
    header = [name.lower() if name.lower() in COLUMNS else name for name in header]
    _check_header(header, path)
    lines, records = [], []
    for line, record in rows:
        if len(record) != len(header):
            raise InputError(
                f'{path}, line {line}: {len(record)} values; expected {len(header)}, as in the header.'
            )
        lines.append(line)
        records.append(record)
    return pd.DataFrame(records, columns=header, index=lines, dtype=str)


def from_cells(
    cells: pd.DataFrame, path: str | os.PathLike, *, points: Sequence[str] = (), labels: Sequence[str] = ()
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Makes a predictions table of anybody's cells: (table, its classes by their numbers).

    Required columns are `database`, `subject`, `clip`, `label` and `prediction`; `trial` and `seed` are 0
    where absent; databases are taken in lower case. Labels are the words or the numbers of classes, which a
    spreadsheet may have written as `1.0`. The classes are those of the columns `prob_LABEL`, in their order;
    without probabilities `labels`, if they are given; else those of the challenge, `schema.LABELS`, unless
    all labels are words and not all of them its words: then the words found, by alphabet.

    Args:
      cells: stripped strings, indexed by line number.
      path: the file's name, for the messages.
      points: columns that are hyperparameters, see `unread`.
      labels: the classes, where no column of probabilities names them.

    Raises:
      InputError: the message names the column or the line.
    """
    if {schema.LEFT_OUT, 'inner'} <= {*cells}:
        raise InputError(
            f'{path}: the predictions of inner trainings, by which nested selection chooses, are no '
            "system's scores; expected the run's predictions.csv."
        )
    absent = sorted({*points} - {*cells})
    if absent:
        raise InputError(
            f'{path}: no column {_listed(absent)} to be a hyperparameter; found {_listed(list(cells))}.'
        )
    left = unread(cells, points)
    cells = cells.drop(columns=left)
    classes = _classes(cells, labels, path)
    return parse(cells, classes, path, unread=left), classes


def unread(columns: Iterable[str], points: Sequence[str] = ()) -> list[str]:
    """Those of some columns that are nothing a predictions table is made of.

    A column that is none of `COLUMNS` and no probability is a hyperparameter, whose distinct values are the
    points of a sweep, if its name is that of a config's field, which has a dot (`loss.cosine_weight`), or
    `epoch`; or if it is one of `points`. An age or a duration must not become a sweep.
    """
    known = {*COLUMNS, *points, schema.EPOCH}
    return [
        name
        for name in columns
        if name not in known and not name.startswith(schema.PROBABILITY) and not _FIELD.fullmatch(name)
    ]


def read_text(path: str | os.PathLike, what: str = 'predictions') -> str:
    """The text of a UTF-8 file, with or without a byte order mark; `what` is in it, in words.

    Raises:
      InputError: the file is missing, unreadable, empty, binary or in another encoding.
    """
    try:
        text = read_bytes(path, limit=MOST_BYTES, what=what).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(
            f'{path}: not UTF-8 text ({error.reason} at byte {error.start}); '
            f'expected a text file of {what}. Save it as UTF-8 text.'
        ) from error
    if '\0' in text:
        raise InputError(f'{path}: a binary file; expected a text file of {what}.')
    if not text.strip():
        raise InputError(f'{path}: an empty file; expected one line per clip.')
    return text


def parse(
    cells: pd.DataFrame, labels: Sequence[str], path: str | os.PathLike, *, unread: Sequence[str] = ()
) -> pd.DataFrame:
    """Turns cells of text into a checked predictions table.

    Args:
      cells: stripped strings, at least the required columns, indexed by line number in the file.
      labels: the classes.
      path: the file's name, for the messages.
      unread: columns of the file that are left out, for the messages.

    Raises:
      InputError: see `from_cells`.
    """
    if cells.empty:
        raise InputError(f'{path}: a header and no predictions; expected one line per clip.')
    cells = cells.assign(**{name: text for name, text in _DEFAULTS.items() if name not in cells})
    chances = [f'{schema.PROBABILITY}{label}' for label in labels] if probabilities(cells.columns) else []
    known = [name for name in COLUMNS if name in cells] + chances
    for name in known:
        _refuse(cells[name] == '', cells[name], path, 'a value')

    table = cells[known + hyperparameters(cells)].copy()
    table[schema.DATABASE] = cells[schema.DATABASE].str.lower()
    reserved = table[schema.DATABASE] == schema.FULL
    _refuse(reserved, cells[schema.DATABASE], path, 'a database: that word stands for all of them')
    for name in _DEFAULTS:
        whole = cells[name].map(_numbered)
        _refuse(~whole.str.fullmatch('-?[0-9]{1,18}'), cells[name], path, 'an integer')
        table[name] = whole.astype('int64')
    codes = {str(code): code for code in range(len(labels))}
    codes |= {label.lower(): code for code, label in enumerate(labels)}
    expected = 'one of ' + ', '.join(f'{code} ({label})' for code, label in enumerate(labels))
    for name in _LABELS:
        classes = cells[name].str.lower().map(lambda cell: codes.get(_numbered(cell)))
        _refuse(classes.isna(), cells[name], path, expected)
        table[name] = classes.astype('int64')
    if chances:
        table[chances] = _probabilities(cells, chances, table['prediction'], path)
    for name in hyperparameters(cells):
        table[name] = _numbers_or_strings(cells[name])
    _check_clips(table, path, unread)
    return table.reset_index(drop=True)


def probabilities(columns: Sequence[str]) -> list[str]:
    """Those of some columns that are probabilities of classes."""
    return [name for name in columns if name.startswith(schema.PROBABILITY)]


def hyperparameters(table: pd.DataFrame) -> list[str]:
    """The columns that are hyperparameters: all that the predictions table does not name, but the fold."""
    known = (*COLUMNS, schema.LEFT_OUT, *probabilities(table.columns))
    return [name for name in table.columns if name not in known]


def points(table: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """The points of a sweep in order of appearance: (hyperparameters, rows).

    Only the hyperparameters that vary name a point, so a table of one point gives `[({}, table)]`.
    """
    varying = [name for name in hyperparameters(table) if table[name].nunique(dropna=False) > 1]
    if not varying:
        return [({}, table)]
    groups = table.groupby(varying, sort=False, dropna=False)
    return [(dict(zip(varying, values, strict=True)), rows) for values, rows in groups]


def subsets(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The sets that are scored: `full`, then the rows of each database present, known ones first."""
    databases = names.known_first(table[schema.DATABASE])
    return {schema.FULL: table} | {name: table[table[schema.DATABASE] == name] for name in databases}


def titled_subsets(table: pd.DataFrame) -> dict[str, tuple[str, pd.DataFrame]]:
    """The sets that are shown: name -> (title, rows). One database alone is not shown twice."""
    sets = subsets(table)
    titles = {name: schema.title(name) for name in sets}
    if len(sets) == 2:
        del sets[schema.FULL]
    else:
        complete = count(table) == schema.MEGC2019_CD[schema.FULL]
        titles[schema.FULL] = 'MEGC2019-CD' if complete else 'All databases'
    return {name: (titles[name], rows) for name, rows in sets.items()}


def count(rows: pd.DataFrame) -> tuple[int, int]:
    """Distinct clips and distinct subjects in the rows."""
    clips = rows[CLIP_KEY].drop_duplicates()
    return len(clips), len(clips[CLIP_KEY[:2]].drop_duplicates())


def csv_rows(text: str, delimiter: str, path) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number, stripped cells) of every record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                yield reader.line_num, [cell.strip() for cell in record]
    except csv.Error as error:
        raise InputError(
            f'{path}, line {reader.line_num}: not CSV ({error}); '
            'expected values separated by commas, semicolons or tabs.'
        ) from error


def _check_header(header: list[str], path) -> None:
    if header and not {*header} & {*REQUIRED}:
        least = f'at least {_listed(REQUIRED)}, in any order'
        if len(header) > 1 and not any(map(names.is_number, header)):
            raise InputError(
                f'{path}: the first line, {_listed(header)[:60]!r}, names none of the columns needed, '
                f'{least}. Rename them; or if it is a clip, write a line of these names above.'
            )
        raise InputError(
            f'{path}: the header is missing: the first line is {_listed(header)[:60]!r}; expected one that '
            f'names the columns, {least}. Write it above.'
        )
    if '' in header:
        raise InputError(
            f'{path}: column {header.index("") + 1} has no name; expected a name for each. '
            'If pandas wrote the file, write it with index=False.'
        )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise InputError(f'{path}: the columns {_listed(repeated)} are there twice; expected each once.')
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(
            f'{path}: missing columns: {_listed(missing)}; found {_listed(header)}. '
            f'Expected a table whose first line names at least {_listed(REQUIRED)}.'
        )


def _numbered(cell: str) -> str:
    """`1` for `1.0`, and all else as it is."""
    whole = _WHOLE.fullmatch(cell)
    return whole[1] if whole else cell


def _classes(cells: pd.DataFrame, given: Sequence[str], path) -> tuple[str, ...]:
    """The classes of a table, see `from_cells`."""
    chances = probabilities(cells.columns)
    if chances:
        labels = [name.removeprefix(schema.PROBABILITY) for name in chances]
        if set(labels) == set(schema.LABELS):
            return schema.LABELS  # the challenge numbers them, in whatever order the columns stand
        where = f' (columns {schema.PROBABILITY}LABEL)'
    elif given:
        return tuple(given)
    else:
        labels = sorted({word for name in _LABELS for word in cells[name].str.lower()})
        if set(labels) <= set(schema.LABELS) or any(map(names.is_number, labels)):
            return schema.LABELS
        where = f' (words in {_listed(_LABELS)})'
    if fault := names.fault_of_classes(labels):
        raise InputError(f'{path}: {fault}{where}.')
    return tuple(labels)


def _probabilities(cells: pd.DataFrame, chances: list[str], prediction: pd.Series, path) -> pd.DataFrame:
    numbers = cells[chances].apply(pd.to_numeric, errors='coerce')
    for name in chances:
        _refuse(~numbers[name].between(0, 1), cells[name], path, 'a probability from 0 to 1')
    total = numbers.sum(axis=1)
    _refuse((total - 1).abs() > _SUM_TOLERANCE, total.rename('sum of prob_*'), path, '1')
    chosen = numbers.to_numpy()[range(len(numbers)), prediction]
    _refuse(chosen < numbers.max(axis=1), cells['prediction'], path, 'the class of the highest prob_*')
    return numbers


def _numbers_or_strings(cells: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(cells, errors='coerce')
    return cells if numbers.isna().any() else numbers


def _check_clips(table: pd.DataFrame, path, unread: Sequence[str]) -> None:
    """Within a seed and point each clip stands once; all of them hold the same clips and ground truth.

    Otherwise a mean over seeds, or a comparison of two points, would compare different questions.
    """
    clip = (table[schema.DATABASE] + ' ' + table[schema.SUBJECT] + ' ' + table[schema.CLIP]).rename('clip')
    training = ['seed', *hyperparameters(table)]
    twice = table.duplicated([*training, *CLIP_KEY])
    hint = f' (of the columns {_listed(unread)}, name a hyperparameter by --point)' if unread else ''
    _refuse(twice, clip, path, f'each clip once for each {" and ".join(training)}{hint}')
    first = table.groupby(CLIP_KEY)[schema.LABEL].transform('first')
    label = table[schema.LABEL]
    _refuse(label != first, label, path, 'the ground truth that the same clip has further up')

    total, _ = count(table)
    for values, rows in table.groupby(training, sort=False, dropna=False):
        if len(rows) < total:
            found = ', '.join(f'{name} {value}' for name, value in zip(training, values, strict=True))
            raise InputError(
                f'{path}: {found} has {len(rows)} of the {total} clips in the file; '
                f'expected the same clips for each {" and ".join(training)}. '
                'Complete the run, or keep what is complete.'
            )


def _refuse(bad: pd.Series, found: pd.Series, path, expected: str) -> None:
    """Raises for the first line that is bad."""
    if bad.any():
        place = bad.to_numpy().argmax()
        line, value = bad.index[place], found.iloc[place]
        shown = repr(value) if isinstance(value, str) else f'{value:g}'
        raise InputError(f'{path}, line {line}: {found.name} is {shown}; expected {expected}.')


def _listed(words: Sequence[str]) -> str:
    return ', '.join(words)
