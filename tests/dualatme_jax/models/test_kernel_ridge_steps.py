import numpy as np
import pytest

from dualatme_jax import models, schema
from dualatme_jax.models import descriptors

FLOWS = np.random.default_rng(0).normal(size=(2, 3, 28, 28)).astype(np.float32)


def distance(name, network, clips):
    first, second = (np.asarray(network.descriptors[name](clip)) for clip in clips)
    return ((first - second) ** 2).sum()


@pytest.mark.parametrize('name', descriptors.NAMES)
def test_clips_whose_steps_are_all_alike_are_as_far_apart_as_their_flows(name):
    steps, flow = (models.build(each, classes=3) for each in ('kernel_ridge_steps', 'kernel_ridge'))
    repeated = [{schema.FLOW_STEPS: np.stack([clip] * 3, axis=1)} for clip in FLOWS]
    single = [{schema.FLOW: clip} for clip in FLOWS]
    assert distance(name, steps, repeated) == pytest.approx(distance(name, flow, single), rel=1e-5)


def test_a_step_that_differs_counts_by_its_share():
    steps = models.build('kernel_ridge_steps', classes=3, views=('uv14',), width=(2.0,))
    flow = models.build('kernel_ridge', classes=3, views=('uv14',))
    clips = [{schema.FLOW_STEPS: np.stack([FLOWS[0], other], axis=1)} for other in FLOWS]
    whole = distance('uv14', flow, [{schema.FLOW: clip} for clip in FLOWS])
    assert distance('uv14', steps, clips) == pytest.approx(whole / 2, rel=1e-5)
    assert steps.width == (2.0,)
