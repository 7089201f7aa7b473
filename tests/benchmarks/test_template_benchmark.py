"""The places of the template are what the benchmark measures."""

import pathlib

import cv2
import numpy as np
import pytest

from benchmarks import template as benchmark
from data_prep.face.landmarks import template
from data_prep.face.landmarks.template import GRID, Place

REAL = pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'megc2019_flow28'


def strain_of(place: Place) -> np.ndarray:
    """Spots at the template's brows, eyes, nostrils and mouth, in a face at a place."""
    y, x = np.mgrid[:GRID, :GRID] + 0.5
    points = place.points(template.points()[17:])
    spots = [np.exp(-((x - left) ** 2 + (y - top) ** 2) / 2) for left, top in points]
    return np.sum(spots, axis=0).astype(np.float32)


@pytest.mark.parametrize('place', [Place(1.0, 0.0, 1.0), Place(1.12, -1.1, 0.88), Place(0.94, 1.5, 1.06)])
def test_a_known_place_is_found(place):
    found, correlation = benchmark.fit(strain_of(Place()), strain_of(place))
    assert (found.down, found.across) == pytest.approx((place.down, place.across), abs=0.03)
    assert found.shift == pytest.approx(place.shift, abs=0.15)
    assert correlation > 0.95


@pytest.mark.skipif(not REAL.exists(), reason='needs the public flow images')
@pytest.mark.slow
def test_the_places_are_those_of_the_public_images():
    found = benchmark.strains(REAL)
    whole = {
        name: benchmark.mean([clip for clips in subjects.values() for clip in clips])
        for name, subjects in found.items()
    }
    for name, place in template.PLACES.items():
        assert benchmark.fit(whole['smic'], whole[name])[0] == place


def test_a_picture_is_blurred_before_it_is_compared():
    spot = np.zeros((GRID, GRID), np.float32)
    spot[14, 14] = 1
    expected = cv2.GaussianBlur(spot, (0, 0), benchmark.BLUR)
    np.testing.assert_allclose(benchmark.mean([spot, spot]), expected)
