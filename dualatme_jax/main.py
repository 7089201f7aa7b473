"""Runs an experiment: trains every left-out subject side by side, then scores and reports.

python -m dualatme_jax.main --config=configs/cd.py:synthetic --workdir=runs/synthetic

The same command continues a run that was stopped, and reports one that is finished; with more seeds,
points of a sweep or epochs it trains those, see docs/growing_runs.md. Any field of the config can be set:
--config.training.epochs=30 --config.seeds='(0,1,2)'; --fields lists them.
"""

import gc
import os
import pathlib
import re
import signal
import sys
import traceback

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from dualatme_jax import files
from dualatme_jax.errors import InputError, of_system, printable
from dualatme_jax.machines import versions
from dualatme_jax.run import config_file, fields

KEPT = 'What was computed up to the last checkpoint is kept; when this is mended, the same command goes on'

CONFIG = config_flags.DEFINE_config_file(
    'config',
    None,
    'A file of configs/; with `:synthetic` behind it, on the embedded synthetic release.',
    lock_config=False,  # `config_file.Parser` does, but for the options of a system, which may be new
    accept_new_attributes=True,
)
WORKDIR = flags.DEFINE_string(
    'workdir',
    None,
    'Where the run is kept: checkpoints, predictions, results. Default: runs/NAME of the config.',
)
COORDINATOR = flags.DEFINE_string(
    'coordinator',
    None,
    'Several processes: HOST:PORT of the first one, a free port there; see docs/devices.md.',
)
PROCESSES = flags.DEFINE_integer('processes', None, 'Several processes: how many there are.')
PROCESS = flags.DEFINE_integer('process', None, 'Several processes: the number of this one, from 0.')
DISTRIBUTED = flags.DEFINE_boolean(
    'distributed', False, 'Several processes: JAX finds them (TPU pods, Slurm, Open MPI).'
)
TRACKER = flags.DEFINE_enum(
    'tracker',
    None,
    ['mlflow'],
    'Also logs the run to mlflow.db beside the workdir: docs/report_pictures.md.',
)
FIELDS = flags.DEFINE_boolean(
    'fields', False, 'Lists the fields of the config with their values and meanings, and runs nothing.'
)
flags.FLAGS['config'].parser = config_file.Parser('config')


def main(argv: list[str]) -> None:
    """Runs the experiment.

    Exit status 0: all well, 1: a trial failed, 2: bad input, 3: another process of the run ended.
    """
    del argv
    config = CONFIG.value
    if TRACKER.value:
        config.report.tracker = TRACKER.value
    if FIELDS.value:
        try:
            print(printable(config_file.described(config_name(), config)), flush=True)
        except InputError as error:
            print(f'error: {printable(str(error))}', file=sys.stderr)
            sys.exit(2)
        except BrokenPipeError:  # of `| head`, which has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    logging.set_verbosity(logging.WARNING)
    for note in versions.unsupported():
        print(note, file=sys.stderr)
    gc.disable()  # nothing of what is imported becomes garbage
    from dualatme_jax.machines import processes  # takes seconds, which --help need not wait for
    from dualatme_jax.run import experiment
    from dualatme_jax.training import devices

    gc.freeze()
    gc.enable()
    devices.one_a_core()
    leave_to_main()
    try:
        processes.start(COORDINATOR.value, PROCESSES.value, PROCESS.value, distributed=DISTRIBUTED.value)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C ends it
        complete = experiment.run(config, workdir()).complete
        processes.finish()
    except InputError as error:
        processes.leave(f'error: {error}', 2)
    except KeyboardInterrupt:
        processes.leave('stopped; the same command continues from the last checkpoint', 130)
    except Exception as error:
        if refused := of_system(error):
            processes.leave(f'error: {refused}. {KEPT}', 2)
        processes.await_verdict()
        processes.leave(traceback.format_exc(), 1)
    sys.exit(0 if complete else 1)


def leave_to_main() -> None:
    """Keeps Orbax's threads from printing, with tracebacks, what `main` catches and says in a sentence."""
    logging.get_absl_handler().addFilter(
        lambda record: not (record.exc_info and of_system(record.exc_info[1]))
    )


def workdir() -> pathlib.Path:
    """--workdir, or runs/NAME for configs/NAME.py, with -ARGUMENT behind it for :ARGUMENT, and -smoke."""
    if WORKDIR.value:
        return files.expanded(WORKDIR.value, '--workdir')
    file, _, argument = config_name().partition(':')
    parts = [pathlib.Path(file).stem, argument, 'smoke' if CONFIG.value.smoke else '']
    return pathlib.Path('runs') / '-'.join(filter(None, parts))


def config_name() -> str:
    """What --config was given: FILE or FILE:ARGUMENT."""
    return config_flags.get_config_filename(flags.FLAGS['config'])


def refuse_own_path(config: ConfigDict) -> None:
    """Raises InputError where synthetic clips would be written to a path that the user gave."""
    own = config_flags.get_override_values(flags.FLAGS['config']).get('data.path')
    file, _, argument = config_name().partition(':')
    if config.data.build_synthetic and own is not None:
        raise InputError(
            f'{file}:{argument} trains on the embedded synthetic release, and --config.data.path={own} names '
            f'a dataset of your own: leave that out, or give --config={file} to train on it'
        )


def parse_flags(argv: list[str]) -> list[str]:
    """Reads the flags; a config that cannot be loaded, or a flag that cannot be, ends the program."""
    try:
        rest = flags.FLAGS(argv)
        if len(rest) > 1:
            raise InputError(
                f'unexpected arguments: {" ".join(rest[1:])}; every flag begins with --, see --help'
            )
        if CONFIG.value is None:
            raise InputError(f'--config is missing; expected {config_file.listing()}')
        # Once more with all that needs JAX, but this is said at once.
        fields.check(CONFIG.value)
        refuse_own_path(CONFIG.value)
        workdir()
        return rest
    except SystemExit:
        sys.exit(0)  # absl has shown the help that was asked for, and would end by 1
    except (flags.Error, InputError, TypeError, ValueError, RecursionError, MemoryError) as error:
        print(f'error: {printable(reason(error))}', file=sys.stderr)
        sys.exit(2)


def reason(error: BaseException) -> str:
    """What was wrong with a flag, in words."""
    cause = error
    while cause:  # absl wraps what a parser raises
        if isinstance(cause, InputError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, flags.UnrecognizedFlagError):
        if error.flagname.startswith('config.'):  # no config has said which fields there are
            return f'--config is missing; expected {config_file.listing()}'
        return f'{error}{fields.hint(error.flagname, fields.FIELDS, "--config.")}; see --help'
    named = re.match(r'flag --config\.([\w.]+)=', str(error))
    if not named or named[1] not in fields.FIELDS:
        return f'{error}; see --help'
    field = named[1]
    given = [argument for argument in sys.argv if argument.startswith(f'--config.{field}')]
    example = fields.GRID_EXAMPLE if field == 'sweep' else repr(fields.flat(CONFIG.value)[field])
    return f'{given[-1]}: expected {fields.FIELDS[field].expected}, such as {example}'


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
    try:
        app.run(main, flags_parser=parse_flags)
    except KeyboardInterrupt:  # while the libraries are imported, say
        print('stopped', file=sys.stderr)
        sys.exit(130)
