"""The end of a run: its report, and what is said when that fails. Nothing is trained."""

import dataclasses
import io
import json
import pathlib

import pandas as pd
import pytest
import tiny_run
import written_run
from rich.console import Console

from configs import cd
from dualatme_jax.errors import InputError
from dualatme_jax.report import methods
from dualatme_jax.report.pictures import confusion
from dualatme_jax.run import finish, sources, sweep
from dualatme_jax.run.init_from import Beginning
from dualatme_jax.run.sources import Source, SourceNetwork
from dualatme_jax.training.start import Fit

SINGLE = sweep.points(cd.get_config())


def trained(folder, *, failed):
    return tiny_run.trained(folder, SINGLE, failed=failed)


def report(trial_table, folder):
    console = Console(file=io.StringIO(), width=200, markup=False)
    made = reported(trial_table, SINGLE, folder)
    made.show(console)
    return json.loads((folder / 'results.json').read_text()), console.file.getvalue()


def reported(trial_table, swept, folder, begin=None, leaks=None, **options):
    """The report of a run that `tiny_run.trained` has left, written."""
    found, _ = tiny_run.collected(trial_table, swept, folder, **options)
    made = finish.report(trial_table, tiny_run.DATASET, swept, found, begin=begin, leaks=leaks)
    made.write(folder)
    methods.write(folder)
    return made


@pytest.mark.slow
def test_a_seed_with_a_failed_trial_is_named_and_left_out_of_the_scores(tmp_path):
    results, printed = report(trained(tmp_path, failed={5}), tmp_path)
    assert results['failed'] == [{'trial': 5, 'left_out': 'casme2/NA', 'seed': 1, 'failed_epoch': 2}]
    assert [part['seed'] for part in results['per_seed']] == [0]
    assert pd.read_csv(tmp_path / 'predictions.csv')['seed'].tolist() == [0] * 4
    assert 'casme2/NA left out, seed 1' in printed


def test_without_a_whole_seed_there_is_no_score(tmp_path):
    results, _ = report(trained(tmp_path, failed={0, 7}), tmp_path)
    assert results['scores'] is None
    assert len(results['failed']) == 2


def test_the_result_says_what_the_input_was(tmp_path):
    results, printed = report(trained(tmp_path, failed=set()), tmp_path)
    assert results['failed'] == []
    assert results['dataset'] == tiny_run.METADATA
    table = (tmp_path / 'results.tex').read_text()
    assert r'\caption{Dual-ATME, one subject left out: 60 epochs, 2 seeds (0, 1).}' in table
    assert 'Input: test; puzzled flow (EM): cut.' in table
    assert (tmp_path / 'methods.md').read_text().startswith('# Methods\n')
    assert r'\cite{dualatmejax}' in (tmp_path / 'methods.tex').read_text()
    assert '@misc{dualatmejax,' in (tmp_path / 'references.bib').read_text()
    assert results['labels'] == ['negative', 'positive', 'surprise']
    lines = printed[: printed.index(' clips ')].split('\n')
    assert [line.strip() for line in lines if line.strip()][:2] == [
        'Dual-ATME, one subject left out: 60 epochs, 2 seeds (0, 1)',
        'Input: test; puzzled flow (EM): cut',
    ]


def test_the_heading_says_how_the_input_was_read():
    config = cd.get_config()
    config.input.encoding, config.input.mirror_at_test = 'robust', True
    found = finish.heading(pd.DataFrame({'seed': [0]}), sweep.points(config), tiny_run.DATASET)
    assert found.endswith('Input: test; puzzled flow (EM): cut, robust, mirrored at test too')


SWEPT = cd.get_config()


SWEPT.sweep = ({'loss.cosine_weight': (0.0, 0.01)},)


SWEPT.report.resamples = 20


def test_the_picture_of_a_sweep_names_its_point(tmp_path, monkeypatch):
    swept, told = sweep.points(SWEPT), []
    monkeypatch.setattr(confusion, 'confusion_matrices', lambda *_, notice: told.append(notice))
    trial_table = tiny_run.trained(tmp_path, swept)
    reported(trial_table, swept, tmp_path)
    assert told == ['loss.cosine_weight = 0.01']
    assert not (tmp_path / 'paper.md').exists(), 'no table of the paper was asked for'


def words(made):
    """What a report shows, however its tables break lines."""
    console = Console(file=io.StringIO(), width=80, markup=False)
    made.show(console)
    return ' '.join(console.file.getvalue().split())


def began(*leaks):
    """What a run began with whose left-out subjects `leaks` the weights had seen."""
    seen = frozenset(leaks)
    source = Source(
        sources.RUN, pathlib.Path('before'), 'ab' * 32, 'somewhere', seen, True, (SourceNetwork(),), {}, None
    )
    fit = Fit((), ('params/a/kernel [2], in the weights: none',), (), (3, 30), (2, 28))
    return Beginning(source, {0: fit}, {(0, 0): 0}, tuple(leaks))


@pytest.mark.slow
def test_scores_of_a_run_whose_weights_had_seen_a_left_out_subject_are_marked_everywhere(
    tmp_path, monkeypatch
):
    config = SWEPT.copy_and_resolve_references()
    config.selection.every = 1
    swept, told = sweep.points(config), []
    monkeypatch.setattr(confusion, 'confusion_matrices', lambda *_, notice: told.append(notice))
    trial_table = tiny_run.trained(tmp_path, swept, epochs=2)
    begin = began(('samm', '006'))
    made = reported(trial_table, swept, tmp_path, begin)
    notice = 'LEAKS: the weights that it started from had seen 1 of the left-out subjects: samm/006'
    assert words(made).count(notice) == 3  # of the sweep, of the selections, of the result
    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['notice'] == notice
    assert results['started_from']['leaks'] == {'samm': ['006']}
    assert results['started_from']['programs'][0]['numbers'] == {'copied': 28, 'all': 30}
    assert all(row['leaks'] for row in results['selections'].values())
    assert notice in (tmp_path / 'sweep.md').read_text()
    assert notice in told[0]
    assert not list(tmp_path.glob('challenge_log*'))


@pytest.mark.slow
def test_scores_of_inputs_that_leak_are_marked_everywhere(tmp_path, monkeypatch):
    config = SWEPT.copy_and_resolve_references()
    config.selection.every = 1
    swept, told = sweep.points(config), []
    monkeypatch.setattr(confusion, 'confusion_matrices', lambda *_, notice: told.append(notice))
    trial_table = tiny_run.trained(tmp_path, swept, epochs=2)
    metadata = tiny_run.METADATA | {'leaks': {'flow': 'cropped by the annotation', 'crop_frames': 'not read'}}
    notice = dataclasses.replace(tiny_run.DATASET, metadata=metadata).leaks
    assert notice == 'LEAKS: flow: cropped by the annotation'
    made = reported(trial_table, swept, tmp_path, leaks={point.program: notice for point in swept.points})
    assert words(made).count(notice) == 3  # of the sweep, of the selections, of the result
    results = json.loads((tmp_path / 'results.json').read_text())
    assert (results['notice'], results['leaks']) == (notice, True)
    assert all(row['leaks'] for row in results['selections'].values())
    assert notice in (tmp_path / 'sweep.md').read_text()
    for name in ('sweep', 'results'):
        table = (tmp_path / f'{name}.tex').read_text()
        assert table.count(rf'\textbf{{{notice}}}') == table.count(r'\caption') == 2
    assert f'**{notice}**' in (tmp_path / 'methods.md').read_text()
    assert notice in told[0]
    assert not list(tmp_path.glob('challenge_log*'))
    assert tiny_run.DATASET.leaks == ''


def test_a_leaderboard_says_whose_inputs_leak(tmp_path):
    config = cd.get_config()
    config.sweep = ({'model.name': ('dual_atme', 'ststnet')},)
    config.report.leaderboard = True
    swept = sweep.points(config)
    programs = {point.config.model.name: point.program for point in swept.points}
    assert finish.leaks_by_system(swept, {programs['ststnet']: 'LEAKS: flow: why'}) == [
        'LEAKS: flow: why (ststnet)'
    ]
    assert finish.leaks_by_system(swept, {}) == []


def test_scores_of_a_run_whose_weights_had_seen_others_are_not_marked(tmp_path):
    trial_table = trained(tmp_path, failed=set())
    made = reported(trial_table, SINGLE, tmp_path, began())
    assert 'LEAKS' not in words(made)
    assert 'Started from before: run on somewhere; 28 of 30 parameters copied' in words(made)
    results = json.loads((tmp_path / 'results.json').read_text())
    assert (results['notice'], results['leaks']) == ('', False)
    assert results['started_from']['leaks'] == {}


@pytest.mark.parametrize('name', ['results.json', 'sweep.md', 'confusion.png'])
@pytest.mark.slow
def test_a_report_that_fails_leaves_the_predictions_and_says_how_to_make_it_anew(tmp_path, name):
    swept = sweep.points(SWEPT)
    trial_table = tiny_run.trained(tmp_path, swept)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    console = Console(file=io.StringIO(), width=200, markup=False)

    def anew():
        with finish.made_anew(tmp_path, console):
            reported(trial_table, swept, tmp_path)

    with pytest.raises(InputError, match=f'{name}: .*predictions are kept in .* the same command makes'):
        anew()
    (tmp_path / name).rmdir()
    anew()
    assert json.loads((tmp_path / 'results.json').read_text())['scores']['full']['acc']['mean'] == 1


def test_predictions_that_cannot_be_used_are_not_said_to_be_kept(tmp_path):
    with (
        pytest.raises(InputError, match=r'^damaged; restore it$'),
        finish.made_anew(tmp_path, Console(quiet=True)),
    ):
        raise InputError('damaged; restore it')


def test_a_fault_of_ours_in_a_report_says_so_too(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(ZeroDivisionError), finish.made_anew(tmp_path, console):
        print(1 / 0)
    assert 'the report failed; the predictions are kept in' in console.file.getvalue()


def test_a_name_that_the_challenge_s_log_cannot_hold_costs_the_log_alone(tmp_path):
    results, printed = report(trained(tmp_path, failed=set()), tmp_path)
    assert results['scores']['full']['acc']['mean'] == 1
    assert 'no challenge log of seed 0' in printed
    assert 'd e' in printed
    assert not list(tmp_path.glob('challenge_log*'))


def test_methods_that_fail_cost_a_run_nothing_else(tmp_path, monkeypatch):
    config = cd.get_config()
    config.report.pictures = False
    written_run.write(tmp_path, config=json.loads(config.to_json()))
    (tmp_path / 'provenance.json').write_text('{"commands": 5}')
    made = []
    monkeypatch.setattr(finish, 'write_page', lambda folder, console: made.append(folder))
    console = Console(file=io.StringIO(), width=200, markup=False)
    finish.write_views(tmp_path, tiny_run.DATASET, config, console)
    assert 'methods.md was not made (InputError: ' in console.file.getvalue()
    assert made == [tmp_path]
    (tmp_path / 'provenance.json').unlink()
    finish.write_views(tmp_path, tiny_run.DATASET, config, console)
    assert (tmp_path / 'methods.md').read_text().startswith('# Methods\n')
