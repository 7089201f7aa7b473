"""What several test files share."""

import pathlib

import pytest


@pytest.fixture(scope='session')
def synthetic_dataset_dir(tmp_path_factory) -> pathlib.Path:
    """The synthetic release, seed 0, built once a session: a folder for `dataset.load`."""
    from data_prep import builder, synthetic

    folder = tmp_path_factory.mktemp('data') / 'synthetic'
    builder.write(synthetic.render(0), folder)
    return folder
