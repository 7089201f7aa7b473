"""Runs of systems that are solved in closed form: chosen in two ways, resumed, beside others, refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from small_run import person, run, small, uf1

from dualatme_jax import models
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.models.descriptors import describe
from dualatme_jax.models.system import CLOSED_FORM, System
from dualatme_jax.report import predictions
from dualatme_jax.run import experiment, programs
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training import kernels

BANDS = 'made_up.bands'
FLOW_SVC = 'made_up.flow_svc'


def config_of(dataset_dir, **fields):
    return small(dataset_dir, **{'model.name': BANDS, 'selection.parts': 3, 'engine.max_trials': 0} | fields)


@pytest.mark.slow
def test_each_fold_has_its_choice_in_the_results_and_the_run_is_known_when_finished(
    small_dataset_dir, tmp_path
):
    config = config_of(small_dataset_dir, **{'model.ridge': (0.1, 5.0), 'model.one': True, 'seeds': (0, 1)})
    config.report.caveat = 'The design has seen these scores'
    complete, results, printed = run(config, tmp_path)
    assert complete
    assert results['notice'] == 'The design has seen these scores'
    assert 'The design has seen these scores' in printed
    assert 'The design has seen these scores' in (tmp_path / 'results.tex').read_text()
    assert list(tmp_path.glob('challenge_log_seed*.txt'))
    table = predictions.read(tmp_path / 'predictions.csv')[0]
    assert results['scores']['full']['uf1']['mean'] == pytest.approx(
        np.mean([uf1(rows) for _, rows in table.groupby('seed')])
    )
    assert len(results['chosen']) == 16
    assert {*results['chosen'][0]} == {'seed', 'left_out', 'views', 'width', 'ridge', 'uf1'}
    assert {row['views'] for row in results['chosen']} <= {'u', 'v'}
    assert {row['left_out'] for row in results['chosen']} == {*person(table)}
    assert 'left-out subjects: views = ' in printed
    assert 'Bands, one subject left out: solved in closed form, 2 seeds (0, 1)' in printed
    assert 'of config.input only encoding, percentile, clip, scale, size' in printed
    assert 'of 4 settings the best for each left-out group' in printed
    assert 'selection: settings by inner parts of the other subjects' in ' '.join(printed.split())
    assert TrialTable.open(
        tmp_path / 'trials.csv', pd.read_csv(tmp_path / 'trials.csv').iloc[:, :10]
    ).chosen(0).to_dict('records') == results['chosen']  # fmt: skip
    _, again, printed = run(config, tmp_path)
    assert 'nothing is trained again' in printed
    assert again['chosen'] == results['chosen']
    # A table of trials of before there were choices is read.
    trials = pd.read_csv(tmp_path / 'trials.csv', dtype=str, keep_default_na=False)
    trials.drop(columns='chosen').to_csv(tmp_path / 'trials.csv', index=False)
    (tmp_path / '.trials.csv.sha256').unlink()
    complete, before, _ = run(config, tmp_path)
    assert complete
    assert 'chosen' not in before


@pytest.mark.slow
def test_both_ways_of_choosing_choose_alike(small_dataset_dir, tmp_path):
    """`config.selection.name = 'nested'` over a sweep, and the learner for itself."""
    grid = (0.05, 1.0, 20.0)
    _, within, _ = run(config_of(small_dataset_dir, **{'model.ridge': grid}), tmp_path / 'within')
    sweep = ({'model.ridge': tuple((value,) for value in grid)},)
    fields = {'sweep': sweep, 'selection.name': 'nested'}
    _, nested, _ = run(config_of(small_dataset_dir, **fields), tmp_path / 'nested')
    assert [(row['left_out'], f'({row["ridge"]},)', row['uf1']) for row in within['chosen']] == [
        (row['left_out'], row['model.ridge'], pytest.approx(row['uf1'])) for row in nested['chosen']
    ]
    assert within['scores']['full'] == nested['scores']['full']


@pytest.mark.slow
def test_other_folds_are_solved_too(small_dataset_dir, tmp_path):
    complete, results, _ = run(config_of(small_dataset_dir, folds='parts', fold_parts=3), tmp_path)
    assert complete
    assert results['protocol'] == 'one of 3 parts of the subjects left out'
    assert len(pd.read_csv(tmp_path / 'predictions.csv')) == 24


@pytest.mark.slow
def test_it_stands_on_a_leaderboard_and_another_system_s_fault_costs_it_nothing(small_dataset_dir, tmp_path):
    board = ({'model.name': FLOW_SVC}, {'model.name': BANDS}, {'model.name': BANDS, 'input.scale': 'fold'})
    fields = {'sweep': board, 'selection.every': 1, 'report.leaderboard': True, 'report.shortened': 'all'}
    complete, results, _ = run(config_of(small_dataset_dir, **fields), tmp_path)
    assert not complete
    status = {row['title']: row['status'] for row in results['leaderboard'] if 'made_up' in row['system']}
    assert sorted(status.values()) == ['failed', 'scored', 'scored']
    assert status['Flow SVC'] == 'scored'


def test_a_flow_of_another_size_is_averaged_or_refused(small_dataset_dir):
    dataset = dataset_lib.load(small_dataset_dir, reads=('flow',))
    flow = np.moveaxis(dataset.inputs['flow'][0].astype(np.float32), -1, 0) / 127.5 - 1
    large = flow.repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(describe('uv14', large), describe('uv14', flow), atol=1e-6)
    cut = dataclasses.replace(dataset, inputs={'flow': dataset.inputs['flow'][:, :20]})
    with pytest.raises(InputError, match=r'the flow is 3x20x28 .* read it by --config.input.size=28'):
        experiment.run(config_of(small_dataset_dir, **{'model.name': 'kernel_ridge'}), None, dataset=cut)


def test_what_cannot_be_mirrored_is_refused_by_the_field_that_a_closed_form_reads(small_dataset_dir):
    dataset = dataset_lib.load(small_dataset_dir, reads=('flow',))
    maps = dataclasses.replace(dataset, inputs={'map': dataset.inputs['flow']})
    with pytest.raises(InputError, match=r'config\.model\.mirror is True, and map .*model\.mirror=False'):
        programs.check_descriptors(config_of(small_dataset_dir), maps)


@pytest.mark.parametrize(
    ('fields', 'says'),
    [
        ({'model.ridge': (0.0,)}, 'config.model.ridge has 0; expected numbers above 0'),
        ({'model.ridge': ()}, r'config.model.ridge is \(\); expected one or more different values'),
        ({'model.width': (1.0, 1.0)}, r'config.model.width is \(1.0, 1.0\)'),
        (
            {'model.ridge': (1e-9,)},
            'ridge has 1e-09, with which a kernel of 24 clips is singular',
        ),
        ({'input.scale': 'fold'}, "config.input.scale is 'fold', which differs from fold to fold"),
        (
            {'engine.memory_gib': 1e-6},
            'kernel of 24 clips and its inverse take .* raise config.engine.mem',
        ),
        ({'model.ridge': (0.1, 1.0), 'selection.parts': 9}, 'expected a smaller config.selection.parts'),
        (
            {'folds': 'all'},
            "config.folds='all' is of networks, and 'made_up.bands' has none: it is",
        ),
        ({'evaluate_only': 'weights'}, 'config.evaluate_only is of networks'),
        ({'init_from': 'weights'}, 'config.init_from is of networks'),
        ({'as_published': ('best_epoch',)}, "the system 'made_up.bands', which has no network"),
        (
            {'model.name': 'kernel_ridge', 'model.views': ('uv14', 'uv7')},
            "views has 'uv7'; expected some of",
        ),
        (
            {'model.name': 'kernel_ridge', 'model.combine': 'best'},
            "combine is 'best'; expected 'mean'",
        ),
    ],
)
def test_what_cannot_be_is_named(small_dataset_dir, tmp_path, fields, says):
    with pytest.raises(InputError, match=says):
        run(config_of(small_dataset_dir, **fields), tmp_path)
    assert not list(tmp_path.rglob('results.json'))


def test_a_build_that_returns_something_else_is_refused(monkeypatch):
    def build(*, classes: int):
        return classes

    other = System(name='other', title='Other', build=build, learner=CLOSED_FORM)
    monkeypatch.setitem(models.SYSTEMS, 'other', other)
    with pytest.raises(InputError, match='build returns int; expected a KernelRidge'):
        models.build('other', classes=3)


def test_points_that_read_the_clips_alike_describe_them_once(small_dataset_dir, monkeypatch):
    described, calls = kernels.described, []

    def counted(descriptors, *given):
        calls.append([*descriptors])
        return described(descriptors, *given)

    monkeypatch.setattr(kernels, 'described', counted)
    grids = ({'model.ridge': ((0.1,), (1.0,))}, {'input.scale': 'unit'}, {'model.one': True})
    console = Console(quiet=True)
    found = experiment.run(config_of(small_dataset_dir, sweep=grids), None, console)
    assert calls == [['v', 'u']] * 2, 'of two scales, whatever the ridge and the sets of views are'
    alone = experiment.run(config_of(small_dataset_dir, **{'model.ridge': (1.0,)}), None, console)
    own = found.predictions[found.predictions['model.ridge'] == '(1.0,)']
    columns = [name for name in alone.predictions if name.startswith('prob_')]
    np.testing.assert_array_equal(own[columns], alone.predictions[columns])
