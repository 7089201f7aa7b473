"""docs/systems.md does what it says; see test_own_systems.py, which trains its system from a module."""

import dataclasses
import pathlib
import re
import types

import jax
import numpy as np
import pytest
from rich.console import Console
from small_run import run, small

from dualatme_jax import models
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.run import stages
from dualatme_jax.weights import names

GUIDE = pathlib.Path(__file__).parents[3] / 'docs' / 'systems.md'


def module_of(title):
    """The guide's module whose docstring begins so."""
    [code] = re.findall(rf'```python\n("""{title}.*?)```', GUIDE.read_text(), re.DOTALL)
    module = types.ModuleType('of_guide')
    exec(compile(code.replace('name=__name__', "name='wide_flow'"), 'of_guide.py', 'exec'), module.__dict__)
    return module


@pytest.fixture
def added(monkeypatch):
    """The guide's module in `SYSTEMS`, by the guide's line."""
    module = module_of('Wide-Flow')
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


def test_its_estimator_is_fitted(monkeypatch, small_dataset_dir, tmp_path):
    record = dataclasses.replace(module_of('Flow PCA').SYSTEM, name='flow_pca')
    monkeypatch.setitem(models.SYSTEMS, 'flow_pca', record)
    fields = {'model.name': 'flow_pca', 'model.components': 4}
    complete, results, _ = run(small(small_dataset_dir, **fields), tmp_path)
    assert complete
    assert results['scores']['full']['uf1']['mean'] > 0.5, 'the class shows in the flow'


def test_its_stage_gives_the_means_of_cells(small_dataset_dir):
    stage = module_of('Cells of flow').STAGE
    dataset = dataset_lib.load(small_dataset_dir)
    quiet = Console(quiet=True)
    found = stages.computed(stage, {}, dataset, batch_size=10, cache=None, console=quiet)['cells']
    assert found.shape == (24, 7, 7, 3)
    np.testing.assert_allclose(
        found[5, 2, 6], dataset.inputs['flow'][5, 8:12, 24:].mean((0, 1)) / 127.5 - 1, rtol=1e-5
    )
