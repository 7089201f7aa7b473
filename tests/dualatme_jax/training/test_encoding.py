"""What a network reads of a flow's bytes."""

import numpy as np
import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.training import encoding

# One pixel of one clip; 255 / 5 is 51.
FLOW = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, [-1, -0.6, 1]),
        ({'scale': 'unit'}, [0, 0.2, 1]),
        ({'scale': 'byte'}, [0, 51, 255]),
        ({'scale': 'byte', 'channels': ('strain', 'v', 'u')}, [255, 51, 0]),
        ({'scale': 'unit', 'channels': ('v', 'strain', 'u')}, [0.2, 1, 0]),
    ],
)
def test_bytes_are_scaled_and_channels_ordered(options, expected):
    found = encoding.encoder(**options)(FLOW)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'scale': 'grey'}, "unknown scale 'grey': config.input.scale takes 'signed', 'unit', 'byte'"),
        ({'channels': ('u', 'v')}, r"config.input.channels is \('u', 'v'\); expected 'u', 'v', 'strain'"),
        ({'channels': ('u', 'v', 'v')}, 'in any order'),
        ({'channels': ('u', 'v', 'strain', 'u')}, 'in any order'),
        ({'channels': ('u', 'v', 'magnitude')}, 'in any order'),
    ],
)
def test_another_scale_or_other_channels_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        encoding.encoder(**options)
