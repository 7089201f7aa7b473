"""The benchmark of closed forms, on few clips."""

import json

import pytest

from benchmarks import closed_form as benchmark


@pytest.mark.slow
def test_both_ways_solve_the_same_and_are_timed(tmp_path, capsys):
    few = ['--clips=30', '--subjects=6', '--widths=1', '--ridges=2', '--parts=2', '--numbers=40', '--anew=3']
    assert benchmark.main([*few, f'--json={tmp_path / "found.json"}']) == 0
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['difference'] < 1e-6
    # Two left out are the same trial, whoever of them is the fold.
    assert (found['trials'], found['settings']) == (15, 2)
    assert min(found['ours']['seconds'], found['numpy']['seconds']) > 0
    assert '15 trials x 2 settings = 30' in capsys.readouterr().out


def test_what_cannot_be_is_named(capsys):
    assert benchmark.main(['--subjects=1']) == 2
    assert '1 subject in the dataset' in capsys.readouterr().err
