"""What `python -m benchmarks.flow_options` measures at length, on what is known."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import flow_options as benchmark


def test_clips_are_recognised_by_what_tells_their_classes_and_by_nothing_else():
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    subjects = [f'sub{number // 6}' for number in range(60)]
    clips = pd.DataFrame({'database': 'samm', 'subject': subjects, 'clip': range(60), 'label': labels})
    noise = random.normal(size=(60, 2, 3, 3, 3))
    signal = noise + (labels == 1)[:, None, None, None, None] * np.eye(3)[..., None] * 3
    found = benchmark.recognised({'noise': noise, 'signal': signal}, clips)
    by = found.set_index(['option', 'encoding'])
    assert by.loc['signal', 'UF1'].min() > by.loc['noise', 'UF1'].max() + 0.2
    assert (by.loc['noise', ['more', '2.5%', '97.5%']] == 0).all(axis=None)
    assert by.loc[('signal', 'raw'), '2.5%'] > 0
    assert by.loc[('signal', 'raw'), 'p'] < 0.05


def test_errors_of_strain_are_relative_over_all_clips():
    table = pd.DataFrame(
        {'option': 'none', 'all': [1.0, 2.0], 'strain': [4.0, 5.0], 'strain_error': [0.5, 0.5]}
    )
    (row,) = benchmark.summary(table, 'option', {'all': 'px'}).to_dict('records')
    assert row == {'option': 'none', 'px': 1.5, 'strain, relative L2': pytest.approx(1 / 3)}
