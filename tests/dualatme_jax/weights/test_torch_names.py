"""What a state_dict holds of a network that it need not fit as a whole."""

import dataclasses

import numpy as np
import pytest
from published_tensors import dual_atme_shapes, filled

from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.training import start
from dualatme_jax.weights import names


def test_leaves_in_a_state_dict_of_a_network_are_those_of_the_network():
    state_dict = filled(dual_atme_shapes())
    expected = start.flat(names.from_torch('dual_atme', 'paper', 3, state_dict))
    found = names.leaves_in('dual_atme', state_dict)
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, expected[path])


def test_leaves_of_other_sizes_keep_their_layout_and_others_their_names():
    found = names.leaves_in(
        'ststnet',
        {
            'fc.weight': np.arange(10.0).reshape(5, 2),
            'conv1.weight': np.zeros((3, 3)),
            'conv9.bias': np.zeros(1),
            'bn1.num_batches_tracked': np.array(7),
        },
    )
    assert found.keys() == {('params', 'classifier', 'kernel'), ('conv1.weight',), ('conv9.bias',)}
    np.testing.assert_array_equal(found['params', 'classifier', 'kernel'], np.arange(10.0).reshape(5, 2).T)


def test_a_system_without_names_in_pytorch_is_refused(monkeypatch):
    nameless = dataclasses.replace(models.SYSTEMS['ststnet'], torch_names={})
    monkeypatch.setattr(models, 'SYSTEMS', {'nameless': nameless})
    with pytest.raises(InputError, match="'nameless' has no names in PyTorch"):
        names.leaves_in('nameless', {})


def test_a_convolution_of_1x1_is_a_dense_layer():
    state_dict = filled(dual_atme_shapes())
    dense = next(name for name, leaf in state_dict.items() if leaf.ndim == 2)
    convolution = state_dict | {dense: state_dict[dense][:, :, None, None]}
    found = names.leaves_in('dual_atme', convolution)
    assert found.keys() == names.leaves_in('dual_atme', state_dict).keys()


def test_a_system_of_inputs_without_a_usual_size_is_refused(monkeypatch):
    own = dataclasses.replace(models.SYSTEMS['ststnet'], reads=('flow', 'histogram'))
    monkeypatch.setattr(models, 'SYSTEMS', {'own': own})
    with pytest.raises(InputError, match="'own' reads histogram, whose size no view decides"):
        names.leaves('own', 'paper', 3)


def test_classes_of_capsules_are_counted_though_no_layer_is_a_classifier():
    expected = names.tensors('capsulenet', 'paper', 5)
    state_dict = {name: np.broadcast_to(np.float32(0), tensor.shape) for name, tensor in expected.items()}
    assert names.classes_of('capsulenet', state_dict) == 5
    assert names.classes_of('capsulenet', {}) == 3
