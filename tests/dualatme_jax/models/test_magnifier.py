"""The learned magnifier: its parameters, PyTorch's outputs, and files of its weights."""

import jax
import numpy as np
import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.models import magnifier
from dualatme_jax.weights import parts

torch = pytest.importorskip('torch')

from benchmarks.torch_systems.magnifier import Magnifier  # noqa: E402


@pytest.fixture(scope='module')
def theirs():
    torch.manual_seed(0)
    return Magnifier()


@pytest.fixture(scope='module')
def file(theirs, tmp_path_factory):
    """As the published one is: within a dict, and with the names of DataParallel."""
    path = tmp_path_factory.mktemp('weights') / 'learning_based_mag.pth.tar'
    state_dict = {f'module.{name}': tensor for name, tensor in theirs.state_dict().items()}
    torch.save({'state_dict': state_dict, 'time': 3.5}, path)
    return path


def test_the_parameters_are_those_of_the_published_file():
    leaves = jax.tree.leaves(magnifier.shapes())
    assert (len(leaves), sum(leaf.size for leaf in leaves)) == (43, 928_144)


def test_a_file_with_the_published_names_comes_back_bit_for_bit(file, theirs):
    variables = parts.read(magnifier.PART, file)
    expected = theirs.state_dict()
    assert len(expected) == 43
    for layer, name in magnifier.TORCH_NAMES.items():
        kernel = variables['params']
        for part in (*layer.split('/'), 'kernel'):
            kernel = kernel[part]
        back = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        assert back.tobytes() == expected.pop(f'{name}.weight').numpy().tobytes(), name
    assert not expected


@pytest.mark.slow
def test_its_frames_are_pytorch_s(file, theirs):
    variables = parts.read(magnifier.PART, file)
    reference, frame = np.random.default_rng(0).uniform(-1, 1, (2, 3, 20, 12)).astype(np.float32)
    factors = np.float32([1, 2, 7.5])

    found = magnifier.by_factors(variables, magnifier.shape_of(variables, reference), frame, factors)
    with torch.inference_mode():
        pair = [torch.tensor(image)[None].double() for image in (reference, frame)]
        theirs = theirs.double()
        expected = np.stack([theirs(*pair, factor)[0].numpy() for factor in factors], -1)
    assert np.abs(expected).max() < 1, 'nothing is clipped'
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected[..., 2] - expected[..., 0]).max() > 1e-3


def test_a_file_of_another_network_is_refused_by_name(file, tmp_path):
    state_dict = torch.load(file, weights_only=True)['state_dict']
    other = tmp_path / 'other.pth'
    torch.save({'conv1.weight': torch.zeros(6, 1, 5, 5), 'fc.bias': torch.zeros(3)}, other)
    with pytest.raises(
        InputError,
        match=r'other\.pth: not the weights of the magnifier of Oh et al\.[^\n]*\n'
        r'  43 missing: decoder\..*\n  2 surplus: conv1\.weight',
    ):
        parts.read(magnifier.PART, other)
    # The port without a convolution of 7x7 in its manipulator.
    state_dict['module.manipulator.convblks.0.conv1.weight'] = torch.zeros(32, 32, 3, 3)
    torch.save(state_dict, other)
    with pytest.raises(
        InputError, match=r'  1 misshapen: manipulator\.convblks\.0\.conv1\.weight is float32 \[32, 3'
    ):
        parts.read(magnifier.PART, other)
