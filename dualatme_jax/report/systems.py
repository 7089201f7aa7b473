"""Several systems that predicted the same clips, read from finished runs or from anybody's predictions."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import pandas as pd

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import given as given_lib
from dualatme_jax.report import marks, predictions, record, selection

# Of a sweep, what is a system.
EACH, RESULT = POINTS = ('each', 'result')

_SHOWN = 5  # clips that a message names


@dataclasses.dataclass(frozen=True)
class Systems:
    """Systems of the same clips with the same labels.

    Attributes:
      tables: name -> predictions of one point.
      labels: the classes by their numbers.
      notices: name -> what must stand beside its scores, such as that they leak.
      notes: what else a reader should know of how the files were read.
    """

    tables: Mapping[str, pd.DataFrame]
    labels: tuple[str, ...]
    notices: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

    @property
    def notice_lines(self) -> list[str]:
        """Each notice once, with the systems that it is of."""
        found: dict[str, list[str]] = {}
        for name, texts in self.notices.items():
            for text in texts:
                found.setdefault(text, []).append(name)
        return [f'{", ".join(names)}: {text}' for text, names in found.items()]


def read(runs: Sequence[str], *, points: str = EACH) -> Systems:
    """Reads the systems of some runs.

    Args:
      runs: each `PATH` or `NAME=PATH`; the path is what `given.read` takes. Without a name a system is called
        as its folder or file, with as many of the folders above as make the names different.
      points: whether each point of a sweep is a system, or what the run reports as its result.

    Raises:
      InputError: a run cannot be read, two have one name, or they are of different clips, labels or classes.
    """
    paths = _named(runs)
    tables, labels, notices, notes, unnamed = {}, {}, {}, [], set()
    for run, given in _given(paths).items():
        path = paths[run]
        selection = f'Selection: {given.selection}.' if given.selection else ''
        texts = tuple(filter(None, [*given.notice.splitlines(), selection]))
        notes += [f'Of {run}: {note}' for note in given.notes]
        found = predictions.points(given.table)
        if points == RESULT and path.is_dir():
            rows, how = _result(path)
            found, texts = [({}, rows)], (*texts, *how)
        for point, rows in found:
            words = ', '.join(f'{name} = {value}' for name, value in point.items())
            name = f'{run} ({words})' if words else run
            if name in tables:
                raise InputError(f'two systems are called {name!r}; name them apart: NAME={path}')
            tables[name], labels[name], notices[name] = rows, given.labels, texts
            unnamed |= set() if given.named else {name}
    if unnamed and len(unnamed) < len(tables):
        named = next(name for name in tables if name not in unnamed)
        raise InputError(
            f'{sorted(unnamed)[0]} is a log that names no clips, and {named} names them, so nothing says '
            'which is which; expected predictions of named clips, or such logs alone'
        )
    tables = _spelt_alike(tables)
    check_same(tables, labels)
    if unnamed:
        notes.append('These logs name no clips: a clip is known by its place among those of its subject.')
    return Systems(tables, next(iter(labels.values())), notices, tuple(notes))


def check_same(systems: Mapping[str, pd.DataFrame], labels: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError unless all systems have the classes, clips and labels of the first, in each seed.

    Args:
      systems: name -> predictions of one point.
      labels: name -> classes by their numbers.
    """
    first, *others = systems
    truth = _truth(first, systems[first])
    for name in others:
        if tuple(labels[name]) != tuple(labels[first]):
            raise InputError(
                f'{name} has the classes {", ".join(labels[name])}, and {first} {", ".join(labels[first])}; '
                'expected runs of the same classes in the same order: build both datasets with one set of '
                'labels, or order the columns prob_LABEL alike'
            )
        own = _truth(name, systems[name])
        absent = [
            f'{_some(lacking)} of {there} {"is" if len(lacking) == 1 else "are"} not in {here}'
            for lacking, there, here in (
                (truth.index.difference(own.index), first, name),
                (own.index.difference(truth.index), name, first),
            )
            if len(lacking)
        ]
        if absent:
            raise InputError(
                f'{first} ({len(truth)} clips) and {name} ({len(own)}) are of different clips: '
                f'{"; ".join(absent)}; expected predictions of the same clips: give runs of one dataset with '
                'the same config.data.databases, or copies of both predictions.csv with the clips that both '
                'have'
            )
        differing = truth.index[truth != own.reindex(truth.index)]
        if len(differing):
            found = '; '.join(
                f'{"/".join(clip)} {labels[first][truth[clip]]} and {labels[first][own[clip]]}'
                for clip in differing[:_SHOWN]
            )
            raise InputError(
                f'{len(differing)} clips have another label in {name} than in {first}: {found}'
                f'{" ..." if len(differing) > _SHOWN else ""}; expected the same ground truth: `python -m '
                'dualatme_jax.score` with --dataset or --list says which of the two is right'
            )


def _named(runs: Sequence[str]) -> dict[str, pathlib.Path]:
    """Name -> path of each run."""
    chosen: list[tuple[str, pathlib.Path]] = []
    for run in runs:
        name, mark, path = run.partition('=')
        if mark and not files.expanded(run, 'RUN').exists():
            if not name.strip() or not path:
                raise InputError(f'RUN is {run!r}; expected PATH or NAME=PATH')
            chosen.append((' '.join(name.split()), files.expanded(path, 'RUN').resolve()))
        else:
            chosen.append(('', files.expanded(run, 'RUN').resolve()))
    paths = [path for _, path in chosen]
    if len(set(paths)) < len(paths):
        raise InputError(f'RUN is {" ".join(runs)}, one of them twice; expected different runs')
    own = iter(_apart([path for name, path in chosen if not name]))
    names = [name or next(own) for name, _ in chosen]
    if twice := [name for name, count in collections.Counter(names).items() if count > 1]:
        raise InputError(f'two runs are called {twice[0]!r}; expected different names: NAME=PATH')
    return dict(zip(names, paths, strict=True))


def _apart(paths: Sequence[pathlib.Path]) -> list[str]:
    """Names of different paths: the last part, and as many parts before it as no other path has."""
    parts = [(*path.parts[:-1], path.name if path.is_dir() else path.stem) for path in paths]
    if len(set(parts)) < len(parts):  # a.csv beside a.txt
        parts = [path.parts for path in paths]

    def name(own: tuple[str, ...]) -> str:
        ends = (own[-length:] for length in range(1, len(own) + 1))
        return '/'.join(next(end for end in ends if sum(each[-len(end) :] == end for each in parts) == 1))

    return list(map(name, parts))


def _given(paths: Mapping[str, pathlib.Path]) -> dict[str, given_lib.Given]:
    """What each file holds; numbers of classes that it does not name are those of a file that names them."""
    found, failed = {}, {}
    for run, path in paths.items():
        try:
            found[run] = given_lib.read(path)
        except InputError as error:  # perhaps of a class with a number that the challenge's have not
            failed[run] = error
    named = [run for run, given in found.items() if predictions.probabilities(given.table.columns)]
    for run, path in paths.items():
        if named and run not in named:
            found[run] = given_lib.read(path, labels=found[named[0]].labels)
        elif run in failed:
            raise failed[run]
    return {run: found[run] for run in paths}


def _result(folder: pathlib.Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The predictions that are a run's result, of one point, and what must stand beside their scores."""
    run = record.read(folder)
    how = (run.results or {}).get('selection')
    chosen = how == selection.NESTED and (run.results or {}).get('chosen')
    if run.selected is None or run.undecided:
        raise InputError(
            f'{folder} has several points, and nothing in it says which one is its result; compare each of '
            'them: --points each'
        )
    if chosen:
        return run.selected, ('Selection: nested, by the other subjects.',)
    if how == selection.BEST_ON_TEST and run.epoch_predictions is not None:
        return run.selected, (marks.BEST_ON_TEST,)
    return run.selected, ()


def _spelt_alike(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with each subject as the first one spells it.

    Draws of subjects follow the order of their names, so the intervals are those of the first one's own run.
    """
    spelt: dict[tuple[str, str], str] = {}
    found = {}
    for name, rows in tables.items():
        people = [*zip(rows[schema.DATABASE], rows[schema.SUBJECT], strict=True)]
        own = [spelt.setdefault((base, schema.released(base, subject)), subject) for base, subject in people]
        found[name] = rows.assign(**{schema.SUBJECT: own})
    return found


def _truth(name: str, rows: pd.DataFrame) -> pd.Series:
    """The label of each clip; raises InputError unless each seed has each of them once."""
    times = rows.groupby(predictions.CLIP_KEY)['seed'].agg(['size', 'nunique'])
    wrong = times[(times != rows['seed'].nunique()).any(axis=1)]
    if len(wrong):
        raise InputError(
            f'{name}: {len(wrong)} clips do not stand once in each of its {rows["seed"].nunique()} seeds, '
            f'such as {"/".join(wrong.index[0])}; expected the predictions of a finished run'
        )
    return rows.groupby(predictions.CLIP_KEY)[schema.LABEL].first()


def _some(clips: pd.Index) -> str:
    """`3 clips (casme2/sub01/a, ...)`."""
    named = ', '.join('/'.join(clip) for clip in clips[:_SHOWN])
    more = ', ...' if len(clips) > _SHOWN else ''
    return f'{len(clips)} clip{"s" * (len(clips) != 1)} ({named}{more})'
