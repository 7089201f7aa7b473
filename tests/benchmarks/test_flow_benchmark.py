"""The promise of the flow: what `python -m benchmarks.flow` measures at length, on one face."""

import pytest

from benchmarks import flow as benchmark


@pytest.fixture(scope='module')
def measured():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, 'FACES', 1)
        return benchmark.measure(still=True)


def test_every_motion_is_found_by_every_algorithm(measured):
    assert sorted(measured['motion'].unique()) == [0.5, 1, 2, 3]
    assert len(measured) == 4 * len(benchmark.SOLVERS)
    assert measured['endpoint_error'].max() < 0.15


def test_the_strain_is_the_true_one_within_15_percent(measured):
    short = benchmark.summary(measured).set_index('algorithm')
    assert short.loc['TV-L1', 'strain, relative L2'] < 0.15
    assert short.loc['TV-L1', 'strain, relative L2'] < short.loc['TV-L1', 'without smoothing'] / 2
