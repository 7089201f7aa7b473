"""config.input.encoding from the command line to what a system reads."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from small_run import run, small

from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.run import encodings, programs, settings, sweep
from dualatme_jax.training import encoding
from dualatme_jax.training.state import Clips


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'input.encoding': 'medians'}, "unknown encoding 'medians': config.input.encoding takes 'minmax'"),
        (
            {'input.encoding': 'robust', 'input.scale': 'fold'},
            "config.input.encoding is 'robust', which scales flow",
        ),
        (
            {'input.encoding': 'robust', 'model.name': 'micro_attention'},
            "which is of motion, and 'micro_attention' reads none",
        ),
        (
            {'input.percentile': 0},
            'config.input.percentile is 0 and config.input.clip 4; expected both above 0',
        ),
    ],
)
def test_an_encoding_that_cannot_be_is_refused_before_anything_is_read(fields, message):
    with pytest.raises(InputError, match=re.escape(message)):
        settings.check(small('absent', **fields))


def test_beside_a_system_of_motion_one_of_faces_stays_as_it_is():
    fields = {'input.encoding': 'robust', 'sweep': ({'model.name': ('ststnet', 'micro_attention')},)}
    encodings.check(sweep.points(small('absent', **fields)))


def test_points_of_one_encoding_share_its_clips(small_dataset_dir):
    stored = dataset_lib.load(small_dataset_dir, reads=('flow',))
    fields = {'sweep': ({'input.encoding': ('minmax', 'robust'), 'model.name': ('ststnet', 'rcn_a')},)}
    swept = sweep.points(small(small_dataset_dir, **fields))
    numbers = {point.program: point.config.input.encoding for point in swept.points}
    assert len(numbers) == 4
    console = Console(file=io.StringIO())
    found = encodings.applied(swept, dict.fromkeys(numbers, stored), console, {})
    assert len({id(dataset) for dataset in found.values()}) == 2
    for number, dataset in found.items():
        expected = stored if numbers[number] == 'minmax' else encoding.encoded(stored, 'robust')[0]
        np.testing.assert_array_equal(dataset.inputs['flow'], expected.inputs['flow'])


def test_motion_of_images_has_no_unit_and_a_run_that_wants_one_is_refused(small_dataset_dir, tmp_path):
    with pytest.raises(InputError, match=r'flow has no unit. Build it from frames by `python -m data_prep'):
        run(small(small_dataset_dir, **{'input.encoding': 'raw'}), tmp_path)


def test_a_network_reads_encoded_clips_and_no_scale_changes_them(small_dataset_dir):
    fields = {'model.name': 'ststnet', 'input.encoding': 'robust', 'input.channels': ('strain', 'v', 'u')}
    config = small(small_dataset_dir, **fields)
    swept = settings.check(config)
    stored = {0: dataset_lib.load(small_dataset_dir, reads=('flow',))}
    datasets = encodings.applied(swept, stored, Console(file=io.StringIO()), {})
    (program,) = programs.make_programs(swept, datasets, {})
    inputs, _ = Clips.of(program.dataset).batch(np.array([3, 1]))
    bytes_, _ = Clips.of(stored[0]).batch(np.array([3, 1]))
    expected = encoding.robust(bytes_['flow'], ('u', 'v', 'strain'))[::-1]
    np.testing.assert_array_equal(program.training.prepare(inputs)['flow'], expected)


@pytest.mark.slow
def test_estimators_are_fitted_to_encoded_clips(small_dataset_dir, tmp_path):
    grid = {'model.name': ('made_up.flow_svc',), 'input.encoding': ('minmax', 'robust')}
    complete, _, printed = run(small(small_dataset_dir, sweep=(grid,)), tmp_path)
    assert complete, printed
    table = pd.read_csv(tmp_path / 'predictions.csv')
    chances = [own['prob_negative'].to_numpy() for _, own in table.groupby('input.encoding')]
    assert len(chances) == 2
    assert (chances[0] != chances[1]).any()
