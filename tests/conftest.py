"""What several test files share."""

import os
import pathlib
import shutil
import tempfile

import numpy as np
import pytest

from dualatme_jax import schema

# Compiled programs are shared by the tests and the commands they start: the same network is compiled once.
_CACHE = tempfile.mkdtemp(prefix='dualatme_jax_tests_')
os.environ['JAX_COMPILATION_CACHE_DIR'] = _CACHE
os.environ['JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS'] = '0.5'


def pytest_unconfigure():
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope='session')
def synthetic_dataset_dir(tmp_path_factory) -> pathlib.Path:
    """The synthetic release, seed 0, built once a session: a folder for `dataset.load`."""
    from data_prep import builder
    from data_prep.synthetic import embedded

    folder = tmp_path_factory.mktemp('data') / 'synthetic'
    builder.write(embedded.render(0), folder)
    return folder


@pytest.fixture(scope='session')
def small_dataset_dir(tmp_path_factory) -> pathlib.Path:
    """24 clips of 8 subjects, 2 to 4 clips each, whose class shows in the flow."""
    from data_prep import builder

    random = np.random.default_rng(0)
    examples = []
    for subject, clips in enumerate([3, 2, 4, 3, 3, 2, 4, 3]):
        for clip in range(clips):
            label = (subject + clip) % 3
            flow = random.integers(100, 156, (2, *schema.FLOW_SHAPE), np.uint8)
            flow[:, 8 * label : 8 * label + 8] += 60
            examples.append(
                builder.Example(
                    flow=flow[0],
                    flow_puzzled=flow[1],
                    label=schema.LABELS[label],
                    database=schema.DATABASES[subject % 3],
                    subject=f'00{subject}',
                    clip=f'clip{clip}',
                )
            )
    folder = tmp_path_factory.mktemp('data') / 'small'
    builder.write(
        builder.Release(
            name='small',
            description='Random flows.',
            citation='None.',
            licence='None.',
            recipe={'release': 'small'},
            examples=iter(examples),
            size=len(examples),
        ),
        folder,
    )
    return folder
