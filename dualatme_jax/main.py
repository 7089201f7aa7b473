"""Runs an experiment: trains every left-out subject side by side, then scores and reports.

python -m dualatme_jax.main --config=configs/cd.py:synthetic --workdir=runs/synthetic

The same command continues a run that was stopped, and reports one that is finished. Any field of the config
can be set: --config.training.epochs=30 --config.seeds='(0,1,2)'.
"""

import os
import pathlib
import signal
import sys
import traceback

from absl import app, flags, logging
from ml_collections import config_flags

from dualatme_jax.errors import InputError

CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'A file of configs/; with `:synthetic` behind it, on the embedded synthetic release.'
)
WORKDIR = flags.DEFINE_string(
    'workdir',
    None,
    'Where the run is kept: checkpoints, predictions, results. Default: runs/NAME of the config.',
)
COORDINATOR = flags.DEFINE_string(
    'coordinator', None, 'Of several processes: HOST:PORT of the first, free there; see docs/devices.md.'
)
PROCESSES = flags.DEFINE_integer('processes', None, 'Of several processes: how many there are.')
PROCESS = flags.DEFINE_integer('process', None, 'Of several processes: the number of this one, from 0.')
DISTRIBUTED = flags.DEFINE_boolean(
    'distributed', False, 'Of several processes: JAX finds them (TPU pods, Slurm, Open MPI).'
)
flags.mark_flag_as_required('config')


def main(argv: list[str]) -> None:
    """Runs the experiment.

    Exit status 0: all well, 1: a trial failed, 2: bad input, 3: another process of the run ended.
    """
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
    logging.set_verbosity(logging.WARNING)
    from dualatme_jax import experiment, processes  # takes seconds, which --help need not wait for
    from dualatme_jax.training import devices

    devices.one_a_core()
    try:
        processes.start(COORDINATOR.value, PROCESSES.value, PROCESS.value, distributed=DISTRIBUTED.value)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C ends it
        complete = experiment.run(CONFIG.value, WORKDIR.value or default_workdir())
        processes.finish()
    except InputError as error:
        processes.leave(f'error: {error}', 2)
    except KeyboardInterrupt:
        processes.leave('stopped; the same command continues from the last checkpoint', 130)
    except Exception:
        processes.await_verdict()
        processes.leave(traceback.format_exc(), 1)
    sys.exit(0 if complete else 1)


def default_workdir() -> pathlib.Path:
    """runs/NAME for configs/NAME.py, runs/NAME-ARGUMENT for configs/NAME.py:ARGUMENT; -smoke behind it."""
    file, _, argument = config_flags.get_config_filename(flags.FLAGS['config']).partition(':')
    parts = [pathlib.Path(file).stem, argument, 'smoke' if CONFIG.value.smoke else '']
    return pathlib.Path('runs') / '-'.join(filter(None, parts))


def parse_flags(argv: list[str]) -> list[str]:
    """Reads the flags; a config that cannot be loaded, or has no such field, ends the program."""
    try:
        rest = flags.FLAGS(argv)
        CONFIG.value.to_json()  # a file that is not there is told at its first use
        return rest
    except SystemExit:
        sys.exit(0)  # absl has shown the help that was asked for, and would end by 1
    except (flags.Error, AttributeError, ImportError, KeyError, OSError, TypeError, ValueError) as error:
        while error.args and isinstance(error.args[0], Exception):
            error = error.args[0]  # ml_collections wraps the error that tells the field
        text = error.args[0] if isinstance(error, KeyError) else error
        reason = str(text).strip().splitlines()[-1].strip()  # above may stand where a config was sought
        print(
            f'error: {reason}\n'
            'expected --config=configs/NAME.py[:synthetic], in the folder that holds configs/, and fields '
            'and types as that file lists them; see --help',
            file=sys.stderr,
        )
        sys.exit(2)


def use_huge_pages() -> None:
    """Starts this process again with large allocations on huge pages, where the C library can do that.

    Training on a CPU streams through hundreds of megabytes a step, and finding the pages takes a third of the
    time otherwise. glibc reads the setting at its start only.
    """
    if sys.platform == 'linux' and 'GLIBC_TUNABLES' not in os.environ:
        os.environ['GLIBC_TUNABLES'] = 'glibc.malloc.hugetlb=1'
        os.execv(sys.executable, sys.orig_argv)


if __name__ == '__main__':
    use_huge_pages()
    app.run(main, flags_parser=parse_flags)
