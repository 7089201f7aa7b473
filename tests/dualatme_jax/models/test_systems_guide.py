"""docs/systems.md does what it says: the system that it adds trains, and its layers have names in PyTorch."""

import io
import pathlib
import re
import types

import jax
import numpy as np
import pytest
from rich.console import Console

from configs import cd
from dualatme_jax import models
from dualatme_jax.run import experiment
from dualatme_jax.weights import names

GUIDE = pathlib.Path(__file__).parents[3] / 'docs' / 'systems.md'


@pytest.fixture
def added(monkeypatch):
    """The guide's module in `SYSTEMS`, by the guide's line."""
    [code] = re.findall(r'```python\n(.*?)```', GUIDE.read_text(), re.DOTALL)
    module = types.ModuleType('wide_flow')
    exec(compile(code, 'wide_flow.py', 'exec'), module.__dict__)
    assert '`wide_flow.SYSTEM,`' in GUIDE.read_text()
    monkeypatch.setattr(models, 'SYSTEMS', models.SYSTEMS | {module.SYSTEM.name: module.SYSTEM})


@pytest.mark.slow
def test_the_system_of_the_guide_trains_beside_the_others(added, small_dataset_dir, tmp_path):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    config.model.name = 'wide_flow'
    config.training.epochs = 2
    config.training.batch_size = 11
    config.report.resamples = 20
    console = Console(file=io.StringIO(), width=200)
    assert experiment.run(config, tmp_path / 'run', console).complete
    assert 'All databases' in console.file.getvalue()


@pytest.mark.usefixtures('added')
def test_its_layers_have_names_in_pytorch():
    tensors = names.tensors('wide_flow', 'paper', 3)
    random = np.random.default_rng(0)
    state = {name: random.normal(size=tensor.shape).astype(np.float32) for name, tensor in tensors.items()}
    assert set(state) == {f'{layer}.{leaf}' for layer in ('conv', 'fc') for leaf in ('weight', 'bias')}
    variables = names.from_torch('wide_flow', 'paper', 3, state)
    back = names.to_torch('wide_flow', variables)
    jax.tree.map(np.testing.assert_array_equal, back, state)
