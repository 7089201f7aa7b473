"""What several test files share."""

import gc
import os
import pathlib
import shutil
import tempfile

import jax
import pytest
from small_dataset import write_clips

from dualatme_jax import schema

# Nothing of what is imported and collected becomes garbage, and there is so much of it that to look through
# it anew took up to a quarter of a file's time. What a file leaves behind is looked through once.
gc.disable()

# Compiled programs are shared by the tests, the workers that run them and the commands they start: the same
# network is compiled once. Workers of pytest-xdist inherit the environment of the process that starts them.
if 'DUALATME_JAX_TESTS' not in os.environ:
    os.environ['DUALATME_JAX_TESTS'] = tempfile.mkdtemp(prefix='dualatme_jax_tests_')
TESTS = pathlib.Path(__file__).parent
_CACHE = os.environ['DUALATME_JAX_TESTS']
os.environ['JAX_COMPILATION_CACHE_DIR'] = _CACHE
os.environ['JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS'] = '0.1'
# JAX reads the environment when it is imported, which has been: the commands find it there, the tests here.
jax.config.update('jax_compilation_cache_dir', _CACHE)
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
# Small networks train in no time and compile for long, most of it to optimise what hardly runs. With
# JAX_DISABLE_MOST_OPTIMIZATIONS=false in the environment, the tests have the programs of a user.
if 'JAX_DISABLE_MOST_OPTIMIZATIONS' not in os.environ:
    os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = 'true'
    jax.config.update('jax_disable_most_optimizations', True)
    # XLA reads it when it first compiles: a CPU's fusions are written by way of LLVM alone, and not of MLIR.
    # An XLA that does not know this flag stops at once and names it.
    flags = os.environ.get('XLA_FLAGS', ''), '--xla_cpu_use_fusion_emitters=false'
    os.environ['XLA_FLAGS'] = ' '.join(filter(None, flags))
# Commands find the systems of small_systems/, as the tests do; the root comes first, since tests/ has folders
# of the packages' names.
os.environ['PYTHONPATH'] = os.pathsep.join(
    filter(None, [str(TESTS.parent), str(TESTS), os.environ.get('PYTHONPATH')])
)
# Tests of several devices need several: the CPU passes as four.
jax.config.update('jax_num_cpu_devices', 4)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope='module', autouse=True)
def freeze_what_stays():
    """What is alive when a file has ended, as traced programs are, is not looked through again."""
    yield
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config):
    if not hasattr(config, 'workerinput'):
        shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope='module')
def workbooks_in_this_process():
    """Workbooks are read without a process for each, for tests of what stands in them."""
    from dualatme_jax.outside import guarded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guarded, 'call', lambda function, *arguments, **limits: function(*arguments))
        yield


@pytest.fixture(scope='session')
def synthetic_dataset_dir(tmp_path_factory) -> pathlib.Path:
    """The synthetic release, seed 0, built once a session: a folder for `dataset.load`."""
    from data_prep.dataset import writer
    from data_prep.synthetic import embedded

    folder = tmp_path_factory.mktemp('data') / 'synthetic'
    writer.write(embedded.render(0), folder)
    return folder


@pytest.fixture(scope='session')
def small_dataset_dir(tmp_path_factory) -> pathlib.Path:
    """24 clips of 8 subjects, 2 to 4 clips each, whose class shows in the flow."""
    folder = tmp_path_factory.mktemp('data') / 'small'
    write_clips(folder, [3, 2, 4, 3, 3, 2, 4, 3], labels=schema.LABELS, databases=schema.COMPOSITE)
    return folder


@pytest.fixture(scope='session')
def five_class_dataset_dir(tmp_path_factory) -> pathlib.Path:
    """22 clips of 4 subjects from two databases, five classes."""
    folder = tmp_path_factory.mktemp('data') / 'five_classes'
    write_clips(folder, [5, 6, 5, 6], labels=FIVE, databases=('casme3', '4dme'))
    return folder


FIVE = ('happiness', 'surprise', 'disgust', 'repression', 'others')
