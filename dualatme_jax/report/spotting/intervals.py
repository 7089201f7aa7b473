"""Intervals from anybody: a table with one row per expression, or a log in the form of the MEGC challenges.

In memory they are a `pandas.DataFrame` with the columns `COLUMNS`: subject, video and emotion are strings,
empty where they are not known; onset and offset are frame numbers, both within the expression. A prediction
may begin before the first frame of its video, as those of a peak at the border do.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

import pandas as pd

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions

VIDEO, FRAMES, KIND = 'video', 'frames', 'kind'
KINDS = ('micro', 'macro')
KEY = [schema.SUBJECT, VIDEO]  # of a video
ENDS = [schema.ONSET, schema.OFFSET]
COLUMNS = [*KEY, *ENDS, schema.EMOTION]

_REQUIRED = [VIDEO, *ENDS]
_CLASS = 'class'  # a column of answers
_DATABASES = {'1': 'SAMM Long Videos', '2': 'CAS(ME)^2'}  # by the first line of a log
_WORDS = ('TP', 'FP', 'FN')
_MOST = 10**9  # frames: more than any video has


@dataclasses.dataclass(frozen=True)
class Given:
    """Intervals of some videos as they were read.

    Attributes:
      truth: the true intervals.
      predicted: the predicted ones, in the order of the file.
      notes: what a reader must know, one sentence each.
      notice: what must stand wherever their scores are shown, in lines, or nothing.
    """

    truth: pd.DataFrame
    predicted: pd.DataFrame
    notes: tuple[str, ...] = ()
    notice: str = ''


def read(
    truth: pathlib.Path,
    predicted: pathlib.Path,
    kind: str | None = None,
    emotions: pathlib.Path | None = None,
    classes: Mapping[tuple[str, str], str] | None = None,
) -> Given:
    """Reads two tables, of the true intervals and of the predicted ones; see `read_table`.

    Args:
      truth: a table.
      predicted: a table.
      kind: one of `KINDS`, which alone is kept; a table of predicted intervals without kinds is of it.
      emotions: what networks said of the predicted ones, see `with_emotions`; None: what their table says.
      classes: (subject, clip) -> the class of a true one, in the place of its own word; of others this stays.

    Raises:
      InputError: one cannot be read, both are empty, one has subjects and the other has none, only the
        predicted ones have emotions, or a kind is asked for and the truth has none.
    """
    both, notes = [read_table(path, kind) for path in (truth, predicted)], ()
    if classes:
        own = zip(_clips(both[0]), both[0][schema.EMOTION], strict=True)
        both[0] = both[0].assign(**{schema.EMOTION: [classes.get(*each) for each in own]})
    if emotions:
        both[1], notes = with_emotions(both[1], emotions)
        notes += _other_words(*both, truth)
    if not any(map(len, both)):
        of_kind = f' of kind {kind}' if kind else ''
        raise InputError(f'{truth} and {predicted} have no interval{of_kind}; expected true ones to be found')
    if kind:
        check_kinds(truth, kind)
    if kind and not _has_kinds(predicted):
        notes = (*notes, f'{predicted} has no column {KIND}: all of it is taken for {kind}.')
    if all(map(len, both)):
        for name in (schema.SUBJECT, schema.EMOTION):
            has = [(table[name] != '').any() for table in both]
            if name == schema.EMOTION and has == [True, False]:
                both[0] = both[0].assign(**{name: ''})
                notes = (*notes, f'{predicted} names no emotions: spotting alone is scored.')
            elif has[0] != has[1]:
                with_it, without = (truth, predicted) if has[0] else (predicted, truth)
                raise InputError(
                    f'{with_it} has the column {name}, and {without} has not; expected it in both or in none'
                )
    return Given(*both, notes, together(read_notice(truth), read_notice(predicted)))


def check_kinds(path: pathlib.Path, kind: str) -> None:
    """Raises InputError where a table does not say of which kind its intervals are."""
    if not _has_kinds(path):
        raise InputError(
            f'{path} has no column {KIND}, by which those of {kind} could be taken; expected it, with '
            f'{" and ".join(KINDS)}'
        )


def read_table(path: pathlib.Path, kind: str | None = None) -> pd.DataFrame:
    """Reads a CSV table with the columns video, onset, offset, and if known subject, emotion and kind.

    A file with a header alone has no interval. Names of columns may be in upper case. Rows of another kind
    than the one that is asked for are left out.

    Raises:
      InputError: it is no such table; the message names the column or the line.
    """
    header, rows = _rows(path)
    lacking = [name for name in _REQUIRED if name not in header]
    twice = sorted({name for name in header if name in COLUMNS and header.count(name) > 1})
    if lacking or twice:
        fault = 'missing' if lacking else 'there twice'
        raise InputError(
            f'{path}: the columns {", ".join(lacking or twice)} are {fault}; '
            f'found {", ".join(header)}; expected {", ".join(_REQUIRED)}, and if known {schema.SUBJECT} and '
            f'{schema.EMOTION}, each once'
        )
    found = []
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f'{path}, line {line}: {len(cells)} values; expected {len(header)}, as in the header.'
            )
        own = dict(zip(header, cells, strict=True))
        for name in (VIDEO, *(name for name in (schema.SUBJECT, schema.EMOTION) if name in own)):
            if not own[name]:
                raise InputError(f'{path}, line {line}: {name} is empty; expected a value')
        ends = [_frame(own[name], name, path, line) for name in ENDS]
        _check_ends(*ends, path, line)
        if kind and own.get(KIND, kind).lower() != kind:
            continue
        found.append([own.get(schema.SUBJECT, ''), own[VIDEO], *ends, own.get(schema.EMOTION, '')])
    return of_rows(found)


def write(table: pd.DataFrame, path: pathlib.Path, notice: str = '') -> None:
    """Writes a table, whole or not at all; its scores, whoever makes them, then have the notice.

    Args:
      table: of any columns.
      path: the file.
      notice: lines; nothing: without the column.

    Raises:
      OSError: it cannot be written.
    """
    if notice:
        table = table.assign(**{schema.NOTICE: schema.BETWEEN_NOTICES.join(notice.splitlines())})
    with files.replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator='\n', float_format='%.6g')


def read_notice(path: pathlib.Path) -> str:
    """What a table says must stand wherever its scores are shown, by its column notice, in lines.

    Raises:
      InputError: it is no table.
    """
    header, rows = _rows(path)
    cells = (dict(zip(header, row, strict=False)).get(schema.NOTICE, '') for _, row in rows)
    return together(*(cell.replace(schema.BETWEEN_NOTICES, '\n') for cell in cells))


def together(*notices: str) -> str:
    """Notices as one, each line once."""
    return '\n'.join(dict.fromkeys(line for each in notices for line in each.splitlines()))


def with_emotions(table: pd.DataFrame, path: pathlib.Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Intervals with the most probable classes of their clips as emotions, and what a reader must know.

    Args:
      table: the intervals.
      path: the `events.csv` that `python -m dualatme_jax.predict` wrote of the dataset of these intervals.

    Raises:
      InputError: it is no such table, or has none of the intervals.
    """
    header, rows = _rows(path)
    needed = [schema.SUBJECT, schema.CLIP, _CLASS]
    if lacking := [name for name in needed if name not in header]:
        raise InputError(
            f'{path}: the columns {", ".join(lacking)} are missing; expected the events.csv of '
            '`python -m dualatme_jax.predict` on a dataset of the intervals'
        )
    said = {}
    for _, cells in rows:
        own = dict(zip(header, cells, strict=False))
        said[own[schema.SUBJECT], own[schema.CLIP]] = own.get(_CLASS, '')
    names = _clips(table)
    if names and not {*names} & said.keys():
        raise InputError(
            f'{path} has {len(said)} clips, and not {"/".join(names[0])}; expected the answers for the '
            'dataset that was built of the predicted intervals'
        )
    found = [said.get(name) or schema.UNKNOWN_TEXT for name in names]
    lacking = found.count(schema.UNKNOWN_TEXT)
    note = f'{path} has no class of {lacking} of {len(found)} intervals, whose emotion counts as wrong.'
    return table.assign(**{schema.EMOTION: found}), (note,) if lacking else ()


def read_happenings(path: pathlib.Path) -> pd.DataFrame:
    """Reads what happens when, such as blinks: a CSV table with the columns video, onset, offset, kind.

    Returns:
      subject, video, onset, offset, kind; the kind is `expression` where a table has none.

    Raises:
      InputError: it is no such table; the message names the column or the line.
    """
    header, rows = _rows(path)
    if lacking := [name for name in _REQUIRED if name not in header]:
        raise InputError(f'{path}: the columns {", ".join(lacking)} are missing; found {", ".join(header)}')
    found = []
    for line, cells in rows:
        own = dict(zip(header, cells, strict=False))
        ends = [_frame(own.get(name, ''), name, path, line) for name in ENDS]
        _check_ends(*ends, path, line)
        found.append([own.get(schema.SUBJECT, ''), own[VIDEO], *ends, own.get(KIND, 'expression')])
    return pd.DataFrame(found, columns=[*KEY, *ENDS, KIND])


def is_log(path: pathlib.Path) -> bool:
    """Whether a file is a log: its first line is the number of a database."""
    lines = (line.strip() for line in predictions.read_text(path, 'intervals').splitlines())
    return next(filter(None, lines)) in _DATABASES


def read_log(path: pathlib.Path) -> Given:
    """Reads a log of the MEGC challenges (2019 to 2022), which holds true and predicted intervals.

    Its first line is 1 (SAMM Long Videos) or 2 (CAS(ME)^2); each further line has `video true_onset
    true_offset predicted_onset predicted_offset result`, with - for what there is not, and TP, FP or FN.
    What is right is counted anew; a note says where the log's own words differ from that.

    Raises:
      InputError: the file is not such a log; the message names the line.
    """
    lines = [
        (n, line.split()) for n, line in enumerate(predictions.read_text(path, 'intervals').splitlines(), 1)
    ]
    lines = [(n, words) for n, words in lines if words]
    sides, said = ([], []), dict.fromkeys(_WORDS, 0)
    for line, words in lines[1:]:
        if len(words) != 6 or words[5].upper() not in _WORDS:
            raise InputError(
                f'{path}, line {line}: {" ".join(words)[:60]!r}; expected `video true_onset true_offset '
                'predicted_onset predicted_offset TP|FP|FN`, with - for what there is not'
            )
        said[words[5].upper()] += 1
        for side, ends in zip(sides, (words[1:3], words[3:5]), strict=True):
            if ends == ['-', '-']:
                continue
            numbers = [_frame(cell, name, path, line) for cell, name in zip(ends, ENDS, strict=True)]
            _check_ends(*numbers, path, line)
            side.append(['', words[0], *numbers, ''])
    if not any(sides):
        raise InputError(f'{path}: a log without any interval')
    notes = [f'{_DATABASES[lines[0][1][0]]}: a log names no subjects; intervals are by video.']
    truth, predicted = (of_rows(side) for side in sides)
    own = ', '.join(f'{name} {number}' for name, number in said.items())
    return Given(truth.drop_duplicates(), predicted, (*notes, f'The log itself says {own}.'))


def read_videos(path: pathlib.Path) -> pd.DataFrame:
    """Reads how long each video is, so that false alarms can be counted by the hour.

    Args:
      path: CSV with the columns video, frames, frame_rate (a second), and subject if the intervals have it.

    Returns:
      `subject`, `video`, `frames`, `frame_rate`, `hours`.

    Raises:
      InputError: it is no such table.
    """
    header, rows = _rows(path)
    needed = [VIDEO, FRAMES, schema.FRAME_RATE]
    if lacking := [name for name in needed if name not in header]:
        raise InputError(
            f'{path}: the columns {", ".join(lacking)} are missing; expected {", ".join(needed)}, and '
            f'{schema.SUBJECT} if the intervals have it'
        )
    found = []
    for line, cells in rows:
        own = dict(zip(header, cells, strict=False))
        try:
            frames, rate = (float(own[name]) for name in (FRAMES, schema.FRAME_RATE))
        except (KeyError, ValueError):
            frames = rate = float('nan')
        if not (1 <= frames < _MOST and 0 < rate < _MOST):
            raise InputError(
                f'{path}, line {line}: {",".join(cells)!r}; expected {FRAMES} and {schema.FRAME_RATE} above 0'
            )
        found.append([own.get(schema.SUBJECT, ''), own[VIDEO], int(frames), rate, frames / rate / 3600])
    videos = pd.DataFrame(found, columns=[*KEY, FRAMES, schema.FRAME_RATE, 'hours'])
    if twice := videos.loc[videos.duplicated(KEY), VIDEO].tolist():
        raise InputError(f'{path}: the video {twice[0]!r} is there twice; expected each once')
    return videos


def check_known(given: Given, videos: pd.DataFrame, path: pathlib.Path) -> None:
    """Raises InputError where intervals are of videos that a table of them lacks."""
    known = {*keys(videos)}
    for table in (given.truth, given.predicted):
        unknown = sorted({*keys(table)} - known)
        if unknown:
            raise InputError(
                f'{path} has {len(known)} videos, and not {"/".join(filter(None, unknown[0]))}, of which '
                f'there are intervals ({len(unknown)} such videos); expected one line for each video'
            )


def _clips(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Subject and clip of each interval."""
    return [
        (row[schema.SUBJECT], schema.clip_of(row[VIDEO], row[schema.ONSET], row[schema.OFFSET]))
        for row in table.to_dict('records')
    ]


def _other_words(truth: pd.DataFrame, predicted: pd.DataFrame, path: pathlib.Path) -> tuple[str, ...]:
    """What to say where a truth may call its emotions otherwise than the networks do."""
    words, classes = (
        {*table[schema.EMOTION].str.lower()} - {'', schema.UNKNOWN_TEXT} for table in (truth, predicted)
    )
    if not (words - classes and classes - words):
        return ()
    lists = (', '.join(sorted(each)) for each in (words - classes, classes - words))
    return (
        '{} has emotions that no answer is, {}, and answers are what it has not, {}. If these are one thing '
        'in two words, give the dataset of the true ones by --dataset.'.format(path, *lists),
    )


def _has_kinds(path: pathlib.Path) -> bool:
    return KIND in _rows(path)[0]


def _rows(path: pathlib.Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a table in lower case; and line and cells of each row."""
    text = predictions.read_text(path, 'intervals or videos')
    (_, header), *rows = predictions.csv_rows(text, predictions.delimiter_of(text), path)
    return [name.lower() for name in header], rows


def keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Subject and video of each row."""
    return list(table[KEY].itertuples(index=False, name=None))


def of_rows(rows: list) -> pd.DataFrame:
    """Intervals by their rows, the values of `COLUMNS`."""
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(ENDS, 'int64'))


def _frame(cell: str, name: str, path: pathlib.Path, line: int) -> int:
    try:
        number = float(cell)
    except ValueError:
        number = float('nan')
    if not (number.is_integer() and abs(number) < _MOST):
        raise InputError(f'{path}, line {line}: {name} is {cell!r}; expected the number of a frame')
    return int(number)


def _check_ends(onset: int, offset: int, path: pathlib.Path, line: int) -> None:
    if onset > offset:
        raise InputError(f'{path}, line {line}: the onset, {onset}, is after the offset, {offset}')
