"""The table of lowerings, of one small convolution: what is in it, not how long it took."""

import json

import jax
import pytest

from benchmarks import lowering as benchmark
from dualatme_jax.models.layers import lowering

SMALL = benchmark.Convolution(4, 2, 3, 3)
WAYS = ['tile', 'im2col', 'row', 'unrolled', 'grouped', 'tiles of 2']


@pytest.mark.parametrize('wide', [False, True])
@pytest.mark.slow
def test_the_command_writes_a_row_a_convolution_a_way_and_a_number_of_trials(
    tmp_path, monkeypatch, capsys, wide
):
    monkeypatch.setattr(benchmark, 'WIDE' if wide else 'CONVOLUTIONS', (SMALL,))
    monkeypatch.setattr(benchmark, 'EDGES', (2,))
    files = {kind: tmp_path / f'found.{suffix}' for kind, suffix in (('json', 'json'), ('plot', 'png'))}
    arguments = ['--trials=2', '--batch=3', '--rounds=2', *(f'--{k}={path}' for k, path in files.items())]
    assert benchmark.main([*arguments, *(['--wide'] if wide else [])]) == 0

    found = json.loads(files['json'].read_text())
    assert [(row['trials'], row['way']) for row in found['rows']] == [
        (n, way) for n in (1, 2) for way in WAYS
    ]
    for row in found['rows']:
        assert (row['convolution'], row['batch']) == ('4x4, 2-3, 3x3', 3)
        assert 0 < row['milliseconds'] <= row['milliseconds_median']
        # 3 passes, 2 operations, 16 places, 9 taps, 2 x 3 channels, 3 examples.
        gflop = 3 * 2 * 16 * 9 * 6 * 3 * row['trials'] / 1e9
        assert row['gflop_per_second'] == pytest.approx(gflop / (row['milliseconds'] / 1e3))
    assert found['machine']['cores'] >= 1
    assert found['versions']['jax'] == jax.__version__
    assert files['plot'].read_bytes().startswith(b'\x89PNG')
    shown = capsys.readouterr().out
    assert all(way in shown for way in WAYS)


def test_every_convolution_of_the_network_is_measured(monkeypatch):
    from dualatme_jax import models, schema

    seen = set()

    def record(x, kernel, **options):
        half = (kernel.shape[0] - 1) // 2
        same = ((half, half), (half, half))
        assert options == {'strides': (1, 1), 'padding': same, 'dilation': (1, 1), 'groups': 1}
        seen.add(benchmark.Convolution(x.shape[1], *kernel.shape[2:], kernel.shape[0]))
        return original(x, kernel)

    original = lowering.convolve
    monkeypatch.setattr(lowering, 'convolve', record)
    network = models.build('dual_atme', variant='paper', classes=3, dropout=0.5, init='torch')
    models.shapes(network, dict.fromkeys(schema.VIEWS['flow'], (3, 28, 28)))
    # Those of one tap differ in their channels alone: of each size, one stands for all.
    assert {each for each in seen if each.taps > 1} == {
        each for each in benchmark.CONVOLUTIONS if each.taps > 1
    }
    assert {each for each in benchmark.CONVOLUTIONS if each.taps == 1} <= seen


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--trials=0', '--trials is 0; expected 1 or more'),
        ('--rounds=-1', '--rounds is -1'),
        ('--json=nowhere/file.json', '--json nowhere/file.json: its folder does not exist'),
    ],
)
def test_what_cannot_be_measured_is_refused(argument, message, capsys):
    assert benchmark.main([argument]) == 2
    assert message in capsys.readouterr().err
