"""docs/systems.md does what it says; see test_own_systems.py, which trains its system from a module."""

import pathlib
import re
import types

import jax
import numpy as np
import pytest

from dualatme_jax import models
from dualatme_jax.weights import names

GUIDE = pathlib.Path(__file__).parents[3] / 'docs' / 'systems.md'


@pytest.fixture
def added(monkeypatch):
    """The guide's module in `SYSTEMS`, by the guide's line."""
    [code] = re.findall(r'```python\n(.*?)```', GUIDE.read_text(), re.DOTALL)
    module = types.ModuleType('wide_flow')
    exec(compile(code.replace('name=__name__', "name='wide_flow'"), 'wide_flow.py', 'exec'), module.__dict__)
    assert '`wide_flow.SYSTEM,`' in GUIDE.read_text()
    monkeypatch.setattr(models, 'SYSTEMS', models.SYSTEMS | {module.SYSTEM.name: module.SYSTEM})


@pytest.mark.usefixtures('added')
def test_its_layers_have_names_in_pytorch():
    tensors = names.tensors('wide_flow', 'paper', 3)
    random = np.random.default_rng(0)
    state = {name: random.normal(size=tensor.shape).astype(np.float32) for name, tensor in tensors.items()}
    assert set(state) == {f'{layer}.{leaf}' for layer in ('conv', 'fc') for leaf in ('weight', 'bias')}
    variables = names.from_torch('wide_flow', 'paper', 3, state)
    back = names.to_torch('wide_flow', variables)
    jax.tree.map(np.testing.assert_array_equal, back, state)
