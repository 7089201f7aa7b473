"""docs/quickstart.ipynb runs from its first cell to its last, and is kept as it ran."""

import pathlib

import nbformat
import pytest
from nbclient import NotebookClient
from small_dataset import write_clips
from small_run import TINY

from dualatme_jax import schema

NOTEBOOK = pathlib.Path(__file__).parents[2] / 'docs/quickstart.ipynb'
FIELDS = 'config.training.epochs = 10\nconfig.training.batch_size = 16\n'  # in the notebook
CHECK = """
from sklearn import metrics

for found in (run, swept):
    own = found.predictions
    if 'loss.cosine_weight' in own:
        own = own[own['loss.cosine_weight'] == 0.01]
    expected = metrics.f1_score(own['label'], own['prediction'], average='macro')
    assert abs(found.scores['full']['uf1']['mean'] - expected) < 1e-9
    assert len(own) == data.size
print('as scikit-learn has it')
"""


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


@pytest.mark.slow
def test_it_runs_with_a_small_network_and_its_scores_are_scikit_learn_s(tmp_path):
    (tmp_path / 'data').mkdir()
    clips = [3, 2, 4, 3, 3, 2]
    write_clips(tmp_path / 'data/synthetic', clips, labels=schema.LABELS, databases=schema.COMPOSITE)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    [cell] = [cell for cell in code(notebook) if FIELDS in cell.source]
    cell.source = cell.source.replace(FIELDS, f'config.training.epochs = 2\nconfig.model.name = {TINY!r}\n')
    notebook.cells.append(nbformat.v4.new_code_cell(CHECK))
    NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(tmp_path)}}).execute()
    assert code(notebook)[-1].outputs[0].text == 'as scikit-learn has it\n'
    assert code(notebook)[0].outputs[0].text.startswith('17 clips of 6 subjects')
    kinds = {kind for cell in code(notebook) for output in cell.outputs for kind in output.get('data', {})}
    assert kinds == {'text/plain', 'text/html', 'image/png'}
    assert [path.name for path in tmp_path.iterdir()] == ['data'], 'without a workdir nothing is written'


def test_it_is_kept_with_the_outputs_of_one_whole_run():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, 1 + len(code(notebook))))
    assert all(cell.outputs for cell in code(notebook))
    assert not [output for cell in code(notebook) for output in cell.outputs if output.output_type == 'error']
    assert NOTEBOOK.stat().st_size < 2**17
