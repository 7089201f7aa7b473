"""What the networks of a run begin with: the weights that `config.init_from` names, as far as they fit.

Each fold begins with the network that has not seen its left-out subjects, if there is one among the weights;
its inner trials begin with the same.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from dualatme_jax import files, models
from dualatme_jax.errors import InputError
from dualatme_jax.run import disk, network, trained
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.programs import Program
from dualatme_jax.run.sources import (
    OPTION,
    RUN,
    START,
    TRAINED_ON,
    Person,
    Source,
    by_database,
    people_in,
    people_of,
    read,
)
from dualatme_jax.training import freeze, start, trials
from dualatme_jax.training.start import Fit, Path, Start
from dualatme_jax.weights import folds

_SHOWN = 3  # leaves, or people, that a line names


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What the trials of a run begin with.

    Attributes:
      source: the weights.
      fits: what of them fits, by number of a program.
      places: the source's network by (fold, seed).
      leaks: the left-out people whom the network that their own fold began with has seen.
    """

    source: Source
    fits: Mapping[int, Fit]
    places: Mapping[tuple[int, int], int]
    leaks: tuple[Person, ...]

    def of_wave(self, program: int, rows: Sequence[Mapping[str, Any]]) -> Start:
        """What some trials of a program begin with; a network that several begin with is there once.

        Raises:
          InputError: the weights are not as they were, or hold numbers that are not finite.
        """
        chosen = [self.places[row['fold'], row['seed']] for row in rows]
        own = list(dict.fromkeys(chosen))
        found = self.source.load(own)
        leaves = {path: found[path] for path in self.fits[program].copied}
        if bad := ['/'.join(path) for path, leaf in leaves.items() if not np.isfinite(leaf).all()]:
            raise InputError(
                f'{self.source.path}: {_some(bad)} holds numbers that are not finite; give other weights as '
                f'{OPTION}'
            )
        return Start(leaves, np.array([own.index(place) for place in chosen]))

    def shared(self, program: int, variables: Mapping[str, Any], frozen: Sequence[str]) -> frozenset[Path]:
        """The leaves that all trials of a program have once: one network's, and never trained.

        Args:
          program: its number.
          variables: of its network, or their shapes.
          frozen: patterns of `config.freeze`.
        """
        if len({*self.places.values()}) > 1:
            return frozenset()
        return freeze.fixed(variables, frozen) & {*self.fits[program].copied}

    @property
    def notice(self) -> str:
        """What must stand wherever a score of the run is shown; empty where nobody left out was seen."""
        return _notice(self.leaks)

    @property
    def heading(self) -> str:
        """Where the networks began, in one line."""
        about = [self.source.kind + (f' on {self.source.origin}' if self.source.origin else '')]
        about.append(_copied(*self.fits.values()))
        about += [] if self.source.all_known else ['not known on whom they were trained']
        return f'Started from {self.source.path}: {"; ".join(about)}'

    @property
    def lines(self) -> list[str]:
        """The heading, and what did not fit or is not as one may expect, for the console."""
        said = [self.heading]
        for fit in dict.fromkeys(self.fits.values()):  # programs with the same network say the same
            said += [f'  not copied, so drawn anew: {_some(fit.fresh)}'] if fit.fresh else []
            said += [f'  of the weights left out: {_some(fit.unused)}'] if fit.unused else []
        seeds = list(dict.fromkeys(network.seed for network in self.source.networks))
        lacking = sorted({seed for _, seed in self.places} - set(seeds))
        if lacking and seeds != [None]:
            shown = ', '.join(map(str, lacking))
            said.append(f'  the weights have no seed {shown}: these begin with those of seed {seeds[0]}')
        return said + [f'  {self.notice}'] * bool(self.notice)

    def about(self) -> dict[str, Any]:
        """What config.json says of the weights, for those who start from this run's."""
        return {
            'path': str(self.source.path),
            'kind': self.source.kind,
            'sha256': self.source.sha256,
            'origin': self.source.origin or None,
            'subjects': by_database(frozenset().union(*map(self.source.seen, self.places.values()))),
            'all_subjects_known': self.source.all_known,
            'leaks': by_database(self.leaks),
        }

    def record(self) -> dict[str, Any]:
        """What results.json says: `about` the weights, and what of them each program took."""
        programs = [
            {
                'program': number,
                'arrays': {'copied': fit.copied_parameters[0], 'all': fit.parameters[0]},
                'numbers': {'copied': fit.copied_parameters[1], 'all': fit.parameters[1]},
                'not_copied': list(fit.fresh),
                'left_out': list(fit.unused),
            }
            for number, fit in self.fits.items()
        ]
        return self.about() | {'programs': programs}


@dataclasses.dataclass(frozen=True)
class Earlier:
    """What is known of networks that are evaluated; a report reads it as a `Beginning`.

    Attributes:
      heading: where they come from, in one line.
      start: of a run that started from weights, what `Beginning.about` said of it in its config.json; of one
        that left nobody out, what it was trained on.
      leaks: as those of a `Beginning`.
    """

    heading: str
    start: Mapping[str, Any]
    leaks: tuple[Person, ...] = ()

    @property
    def notice(self) -> str:
        """As that of a `Beginning`."""
        return _notice(self.leaks)

    def record(self) -> dict[str, Any]:
        """What results.json says."""
        return {**self.start, 'leaks': by_database(self.leaks)}


def earlier(evaluate_only: str) -> Earlier | None:
    """What the networks that are evaluated began with; None where it is nothing, or not known.

    Raises:
      InputError: the folder is no run, or its config.json says so in no known form.
    """
    path = files.expanded(evaluate_only, '--config.evaluate_only')
    if network.is_one(path):
        found = network.about(path)
        origin, begun = found[TRAINED_ON].get('origin'), found[START] or {}
        heading = f'Networks of {path}, which have seen nobody of these clips; trained on {origin}'
        if not begun.get('all_subjects_known', True):
            heading = f'Networks of {path}, trained on {origin}, and before on people who are not known'
        return Earlier(heading, {'path': str(path), 'kind': RUN, 'origin': origin})
    if folds.is_one(path):
        begun = folds.start_of(path)
    elif (path / workdir_lib.TRIALS).exists():
        begun = trained.read(path)[1].get(START)
    else:
        return None
    if not begun:
        return None
    heading = f'The run that is evaluated started from {begun.get("path")}'
    return Earlier(heading, begun, tuple(sorted(people_in(begun.get('leaks') or {}))))


def prepared(
    config: ConfigDict, programs: Sequence[Program], table: pd.DataFrame
) -> tuple[list[Program], Beginning | None]:
    """The programs with the weights that their networks start from, if the config names any.

    Raises:
      InputError: the weights cannot be used, or a pattern of `config.freeze` matches nothing.
    """
    if not (config.init_from or config.freeze):
        return list(programs), None
    networks = {}
    for program in programs:
        row = table[table['program'] == program.number].iloc[0].to_dict()
        networks[program.number] = disk.state_of(program.training, program.dataset, row).variables
        freeze.check(config.freeze, networks[program.number]['params'], prefix=program.prefix)
    if not config.init_from:
        return list(programs), None
    shapes = {number: start.flat(variables) for number, variables in networks.items()}
    begin = beginning(config.init_from, programs, shapes, table)
    return [
        dataclasses.replace(
            program,
            start=functools.partial(begin.of_wave, program.number),
            shared=begin.shared(program.number, networks[program.number], config.freeze),
        )
        for program in programs
    ], begin


def beginning(
    given: str, programs: Sequence[Program], networks: Mapping[int, Mapping[Path, Any]], table: pd.DataFrame
) -> Beginning:
    """Compares weights with the networks of a run, before anything is compiled.

    Args:
      given: `config.init_from`.
      programs: of the run.
      networks: the leaves of each program's network, by its number: what has a `shape` and a `dtype`.
      table: all its trials.

    Raises:
      InputError: no such weights, damaged ones, ones that fit nowhere, or a file for several systems.
    """
    dataset = programs[0].dataset
    rows = table[table['inner'] == 0].drop_duplicates(['fold', 'seed']).to_dict('records')
    left_out = {
        (row['fold'], row['seed']): people_of(dataset, trials.held_out_clips(row, dataset)) for row in rows
    }
    people = frozenset().union(*left_out.values())
    systems = [program.config.model.name for program in programs]
    path = files.expanded(given, OPTION).absolute()
    of_export = path.is_file() and network.is_one(path)
    found = network.as_source(path) if of_export else read(path, people, systems)
    fits = {program.number: _fit(found, program, networks[program.number]) for program in programs}
    places = {key: found.place(own, key[1]) for key, own in left_out.items()}
    leaks = {person for key, own in left_out.items() for person in own & found.seen(places[key])}
    return Beginning(found, fits, places, tuple(sorted(leaks)))


def _fit(found: Source, program: Program, network: Mapping[Path, Any]) -> Fit:
    fit = start.fit(network, found.leaves)
    if not fit.copied:
        model = program.config.model
        variant = models.system(model.name).variant_of(model)
        raise InputError(
            f'{program.prefix}nothing in {found.path} fits the network {model.name!r}, variant '
            f'{variant!r}.\n  the weights have {_some(fit.unused)}\n  the network has '
            f'{_some(fit.fresh)}\nGive weights of this system as {OPTION}, or train another '
            'config.model.name'
        )
    return fit


def _notice(leaks: Sequence[Person]) -> str:
    if not leaks:
        return ''
    return (
        f'LEAKS: the weights that it started from had seen {len(leaks)} of the left-out subjects: '
        f'{_some(["/".join(person) for person in leaks])}'
    )


def _copied(*fits: Fit) -> str:
    """How much of the networks is copied, in words; of several networks the least and the most."""
    shares = sorted({(fit.copied_parameters, fit.parameters) for fit in fits}, key=lambda share: share[0][1])
    shown = [f'{copied:,} of {whole:,}' for (_, copied), (_, whole) in dict.fromkeys([shares[0], shares[-1]])]
    few = all(100 * copied < whole for (_, copied), (_, whole) in shares)
    return f'{" to ".join(shown)} parameters copied' + (
        ', next to nothing: the weights may be of another system' if few else ''
    )


def _some(found: Sequence[str]) -> str:
    more = f', and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''
    return '; '.join(found[:_SHOWN]) + more if found else 'nothing else'
