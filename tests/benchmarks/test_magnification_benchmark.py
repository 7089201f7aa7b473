"""What `python -m benchmarks.magnification` measures at length, on one face."""

import itertools

from benchmarks import magnification as benchmark


def test_the_magnified_motion_is_the_factor_times_the_true_one(monkeypatch):
    pairs = benchmark.pairs_of.pairs
    monkeypatch.setattr(benchmark.pairs_of, 'pairs', lambda **how: itertools.islice(pairs(**how), 1))
    monkeypatch.setattr(benchmark, 'MAGNIFIERS', ('farneback',))
    short = benchmark.summary(benchmark.measure())
    assert short['factor'].tolist() == [2, 4, 8]
    assert short['length'].between(0.85, 1.15).all()
    assert (short['error'] < 0.15).all()
