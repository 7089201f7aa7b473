"""The promise of the flow: what `python -m benchmarks.flow` measures at length, on one face."""

import cv2
import numpy as np
import pytest

from benchmarks import flow as benchmark


@pytest.fixture(scope='module')
def measured():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, 'FACES', 1)
        return benchmark.measure(still=True)


@pytest.mark.slow
def test_every_motion_is_found_by_every_algorithm(measured):
    assert sorted(measured['motion'].unique()) == [0.5, 1, 2, 3]
    assert len(measured) == 4 * len(benchmark.SOLVERS)
    assert measured['endpoint_error'].max() < 0.15


def test_the_strain_is_the_true_one_within_15_percent(measured):
    short = benchmark.summary(measured).set_index('algorithm')
    assert short.loc['TV-L1', 'strain, relative L2'] < 0.15
    assert short.loc['TV-L1', 'strain, relative L2'] < short.loc['TV-L1', 'without smoothing'] / 2


def test_the_true_motions_of_two_steps_lead_where_that_of_both_does():
    _, film = next(benchmark.films(strength=(0.0, 0.5, 1.0, 0.0), apex=2, still=False))
    for middle, end in ((1, 2), (2, 3)):
        (first, known), (second, _), (both, _) = (
            benchmark.truth_of(film, ends) for ends in ((0, middle), (middle, end), (0, end))
        )
        y, x = np.mgrid[: benchmark.SIZE, : benchmark.SIZE].astype(np.float32)
        then = cv2.remap(second, x + first[..., 0], y + first[..., 1], cv2.INTER_CUBIC)
        known[:6] = known[-6:] = known[:, :6] = known[:, -6:] = False  # which may leave the frame
        np.testing.assert_allclose((first + then)[known], both[known], atol=2e-3)
    expression = film.truth(step=1, ends=(0, 3)).expression
    np.testing.assert_allclose(expression, 0, atol=1e-5)  # it is over, and only the head has moved
