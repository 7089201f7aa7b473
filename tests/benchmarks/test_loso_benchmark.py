"""The comparison with PyTorch: its data, its arithmetic and its errors. Training is not timed here."""

import json

import numpy as np
import pytest

from benchmarks import loso, workload
from dualatme_jax import schema
from dualatme_jax.training import trials


def sides(pytorch, ours, compilation):
    return {
        side: {
            'seconds': seconds,
            'seconds_per_fold_epoch': seconds / 8,
            'samples_per_second': 1 / seconds,
            'compile_seconds': compilation,
        }
        for side, seconds in ((loso.PYTORCH, pytorch), (loso.OURS, ours))
    } | {'ratio': pytorch / ours}


def test_random_clips_are_as_many_as_the_composite_s():
    data = workload.random_clips()
    assert (data.size, len(np.unique(data.subjects))) == schema.MEGC2019_CD[schema.FULL]
    assert set(trials.clips_by_subject(data)) == {6, 7}
    assert set(data.database) == set(schema.COMPOSITE)


def test_both_sides_leave_out_the_same_clips():
    work = loso.Work(workload.random_clips(), folds=3, epochs=2)
    for row, held_out in zip(workload.rows(work.dataset, 3), work.held_out, strict=True):
        np.testing.assert_array_equal(held_out, trials.held_out_clips(row, work.dataset))
    assert work.samples == 2 * (3 * 442 - sum(len(own) for own in work.held_out))


def test_the_ratio_is_the_median_of_rounds():
    short = loso.summary([sides(8, 4, 30), sides(9, 3, 5), sides(10, 10, 7)])
    assert (short['ratio'], short['ratio_min'], short['ratio_max']) == (2, 1, 3)
    assert short['ratio_of_fastest'] == pytest.approx(8 / 3)
    assert short['ours_seconds'] == 4
    assert (short['ours_compile_seconds_cold'], short['ours_compile_seconds_cached']) == (30, 6)


def test_the_warm_up_is_not_timed():
    epochs = []
    found = loso.measure(lambda: epochs.append, loso.Work(workload.random_clips(), folds=2, epochs=3))
    assert epochs == [1, 3]
    assert found['samples_per_second'] * found['seconds'] == pytest.approx(3 * (2 * 442 - 14))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--system=ststnet2'], '--system ststnet2: expected one of dual_atme, ststnet, off_apexnet'),
        (['--folds=0'], '--folds is 0; expected 1 or more'),
        (['--folds=69'], '--folds 69: the dataset has 68 subjects'),
        (['--epochs=-1'], '--epochs is -1'),
        (['--json=nowhere/file.json'], '--json nowhere/file.json: its folder does not exist'),
        (['--dataset=nowhere'], 'no dataset at nowhere'),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(loso, 'has_pytorch', lambda: True)
    assert loso.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_without_pytorch_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setattr(loso, 'has_pytorch', lambda: False)
    assert loso.main([]) == 2
    assert "pip install -e '.[bench]'" in capsys.readouterr().err


def test_the_files_hold_all_rounds(tmp_path):
    rounds = [sides(8, 4, 30), sides(9, 3, 5)]
    found = loso.summary(rounds) | {'rounds': rounds, 'system': 'ststnet', 'folds': 2, 'epochs': 4}
    found['machine'] = {'processor': 'some', 'device': 'cpu', 'cores': 2}
    options = loso.parse([f'--json={tmp_path / "a.json"}', f'--plot={tmp_path / "a.png"}'])
    loso._report(found, options)
    assert json.loads((tmp_path / 'a.json').read_text()) == found
    assert (tmp_path / 'a.png').stat().st_size > 1000
