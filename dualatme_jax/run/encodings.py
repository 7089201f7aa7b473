"""Motion encoded as `config.input.encoding` asks for it, computed once before anything is trained."""

from collections.abc import Mapping

from rich.console import Console

from dualatme_jax import models, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError, check_choice, one_line
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.training import encoding


def check(swept: Sweep) -> None:
    """Raises InputError for an encoding that is unknown, that no input has, or that a scale contradicts."""
    motion = False
    for point in swept.points:
        read = point.config.input
        check_choice('encoding', read.encoding, 'config.input.encoding', encoding.ENCODINGS)
        if read.percentile <= 0 or read.clip <= 0:
            raise InputError(
                f'config.input.percentile is {read.percentile:g} and config.input.clip {read.clip:g}; '
                'expected both above 0'
            )
        reads = models.system(point.config.model.name).reads
        found = [key for key in reads if encoding.applies(read.encoding, schema.CHANNELS.get(key, ()))]
        motion |= bool(found) or read.encoding == encoding.MINMAX
        if found and read.scale in schema.BY_CLIPS:
            raise InputError(
                f'config.input.encoding is {read.encoding!r}, which scales {", ".join(found)} by each clip '
                f'itself, and config.input.scale is {read.scale!r}, which scales by the clips of a fold or '
                f'by all; expected another scale, or --config.input.encoding={encoding.MINMAX}'
            )
    if not motion:
        names = dict.fromkeys(point.config.model.name for point in swept.points)
        raise InputError(
            f'config.input.encoding is {read.encoding!r}, which is of motion, and '
            f'{", ".join(map(repr, names))} reads none; expected '
            f'--config.input.encoding={encoding.MINMAX}, or a system that reads '
            f'{", ".join(key for key, names in schema.CHANNELS.items() if schema.is_motion(names))}'
        )


def applied(
    swept: Sweep, datasets: Mapping[int, Dataset], console: Console, failures: dict[int, str]
) -> dict[int, Dataset]:
    """The dataset of each program with its motion encoded; that of programs that ask for the same once.

    Args:
      swept: the points.
      datasets: by program, with what its system reads.
      console: where it is said of which clips a channel has no scale.
      failures: of a leaderboard, takes why programs have none.

    Raises:
      InputError: see `encoding.encoded`.
    """
    asked = {
        point.program: tuple(point.config.input[name] for name in encoding.FIELDS) for point in swept.points
    }
    done: dict[tuple, Dataset] = {}
    found = {}
    for number, dataset in datasets.items():
        place = (*asked[number], *map(id, dataset.inputs.values()))
        try:
            if asked[number][0] != encoding.MINMAX and place not in done:
                done[place], lines = encoding.encoded(dataset, *asked[number])
                for line in lines:
                    console.print(line, soft_wrap=True)
        except InputError as error:
            if not swept.config.report.leaderboard:
                raise
            failures[number] = one_line(error)
        else:
            found[number] = done.get(place, dataset)
    return found
