"""A system of one's own: a module anywhere, with options of its own, is trained, swept and compared."""

import json
import pathlib
import re
import sys

import jax
import numpy as np
import pandas as pd
import pytest
from absl import flags
from flax import traverse_util
from ml_collections import config_flags
from small_run import run, small

from configs import cd
from dualatme_jax import models
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.models import options
from dualatme_jax.models.system import System
from dualatme_jax.run import config_file, model_section, programs, settings, sweep
from dualatme_jax.training.checkpoint import load_weights
from dualatme_jax.weights import folds, names

GUIDE = pathlib.Path(__file__).parents[3] / 'docs' / 'systems.md'
OWN = 'my_package.wide_flow'
RECORD = (
    'from dualatme_jax.models.system import System\nSYSTEM = System(name=__name__, title="T", build=build)\n'
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of modules, as one of PYTHONPATH is."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'my_package').mkdir()
    yield tmp_path / 'my_package'
    for name in [name for name in sys.modules if name.split('.')[0] == 'my_package']:
        del sys.modules[name]


@pytest.fixture
def own(folder):
    """The guide's system, in a file of one's own."""
    [code] = re.findall(r'```python\n("""Wide-Flow.*?)```', GUIDE.read_text(), re.DOTALL)
    (folder / 'wide_flow.py').write_text(code)
    return models.system(OWN)


def config_of(*grids, **section):
    config = cd.get_config()
    config.model.update({'name': OWN} | section)
    config.sweep = grids
    return config


@pytest.mark.slow
def test_it_stands_on_a_leaderboard_beside_another_with_its_own_option_swept(
    own, small_dataset_dir, tmp_path
):
    grids = ({'model.name': 'ststnet'}, {'model.name': OWN, 'model.width': (2, 3), 'model.dropout': 0.3})
    fields = {'sweep': grids, 'selection.every': 1, 'report.leaderboard': True}
    home = {'model.name': 'ststnet', 'checkpoint.keep_weights': True}
    config = small(small_dataset_dir, **fields, **home)
    complete, results, printed = run(config, tmp_path / 'run')
    assert complete
    board = {row['title']: row for row in results['leaderboard'] if row['status'] == 'scored'}
    assert board.keys() == {
        'STSTNet',
        'Wide-Flow, model.width = 2, model.dropout = 0.3',
        'Wide-Flow, model.width = 3, model.dropout = 0.3',
    }
    assert board['STSTNet']['reference']

    table = pd.read_csv(tmp_path / 'run' / 'trials.csv', keep_default_na=False)
    swept = table.groupby('point', sort=False)[['model.name', 'model.width']].first()
    assert swept.to_numpy().tolist() == [['ststnet', ''], [OWN, '2'], [OWN, '3']]
    widths = []
    for wave in table['wave'].drop_duplicates():
        found = load_weights(tmp_path / 'run' / 'waves' / f'wave_{wave:03d}' / 'weights')['params']
        widths += [found['wide']['kernel'].shape[-1]] if 'wide' in found else []
    assert widths == [2, 3]

    kept = json.loads((tmp_path / 'run' / 'config.json').read_text())
    assert kept['model'] == {'name': 'ststnet', 'dropout': 0.5, 'init': 'torch'}
    own_options = {'name': OWN, 'dropout': 0.3, 'init': 'torch'}
    assert kept['models'] == [kept['model'], *(own_options | {'width': width} for width in (2, 3))]
    complete, again, printed = run(config, tmp_path / 'run')
    assert 'nothing is trained again' in printed
    assert again['leaderboard'] == results['leaderboard']


@pytest.mark.usefixtures('own')
def test_a_point_has_the_options_of_its_own_system():
    config = cd.get_config()
    config.model.update(variant='code', init='lecun')
    config.sweep = (
        {'model.name': ('dual_atme', OWN), 'loss.cosine_weight': (0.0, 0.1)},
        {'model.name': OWN, 'model.width': 3},
    )
    swept = sweep.points(config)
    dual = {'name': 'dual_atme', 'variant': 'code', 'dropout': 0.5, 'init': 'lecun'}
    wide = {'name': OWN, 'width': 8, 'dropout': 0.5, 'init': 'lecun'}
    sections = [point.config.model.to_dict() for point in swept.points]
    assert sections == [dual, dual, wide, wide, wide | {'width': 3}]
    assert swept.config.model.to_dict() == dual
    assert [point.values['model.width'] for point in swept.points] == [None, None, 8, 8, 3]
    assert [point.cells['model.width'] for point in swept.points] == ['', '', '8', '8', '3']
    assert [point.program for point in swept.points] == [0, 0, 1, 1, 2]
    assert swept.reference is swept.points[0]
    assert sweep.named(swept.points[0].values) == 'model.name = dual_atme, loss.cosine_weight = 0.0'


@pytest.mark.usefixtures('own')
def test_a_traced_option_is_a_hyperparameter_and_no_other_is():
    config = config_of({'model.dropout': (0.1, 0.2), 'model.width': (2, 3)}, init='lecun')
    points = settings.check(config).points
    assert [point.program for point in points] == [0, 1, 0, 1]
    assert [programs.hyperparameters(point.config, 'abc')['dropout'] for point in points] == [
        0.1,
        0.1,
        0.2,
        0.2,
    ]
    training = programs.make_training(points[1].config, 'abc')
    assert training.model({'dropout': 0.9}).dropout == 0.9
    assert training.model({'dropout': 0.9}).width == 3
    assert not training.name, 'what its code depends on is not known: it is traced each time'
    off_apexnet = config_of(name='off_apexnet')
    assert 'dropout' not in programs.hyperparameters(off_apexnet, 'abc')


@pytest.mark.parametrize(
    ('section', 'grids', 'says'),
    [
        (
            {'widht': 3},
            (),
            r'model\.widht: .* it has width, dropout, init; did you mean config\.model\.width\?',
        ),
        ({'variant': 'paper'}, (), r"config\.model\.variant: 'my_package\.wide_flow' has no such option"),
        ({'width': 2.5}, (), r'config\.model\.width is 2\.5; expected a whole number'),
        ({'width': True}, (), r'config\.model\.width is True; expected a whole number'),
        ({'width': 0}, (), r'config\.model\.width is 0; expected 1 or more'),
        ({'dropout': 1}, (), r'config\.model\.dropout is 1\.0; expected a fraction'),
        ({'init': 3}, (), r'config\.model\.init is 3; expected text'),
        ({}, {'model.width': (8, 0)}, r'config\.model\.width is 0; expected 1 or more'),
        ({}, {'model.dropout': (0.1, 1.0)}, r'config\.model\.dropout is 1\.0; expected a fraction'),
        ({}, {'model.widht': 3}, r"'model\.widht', and there is no such field; .*did you mean model\.width"),
        (
            {},
            {'model.name': (OWN, 'ststnet'), 'model.width': 3},
            r"config\.sweep: config\.model\.width: 'ststnet' has no such option; it has dropout, init",
        ),
    ],
)
@pytest.mark.usefixtures('own')
def test_an_option_that_cannot_be_is_refused_by_name(section, grids, says):
    with pytest.raises(InputError, match=says):
        settings.check(config_of(*([grids] if grids else ()), **section))


def build_of(signature):
    return f'def build({signature}): pass\n{RECORD}'


@pytest.mark.parametrize(
    ('code', 'says'),
    [
        ('import nowhere_at_all', r'import:\nTraceback .*\n.*own\.py", line 1, .*\n.*\nModuleNotFoundError'),
        ('def f():\n    return 1 / 0\nf()', r'own\.py", line 2, in f\n(.*\n)+ZeroDivisionError'),
        ('x = (', r'own\.py", line 1\n(.*\n)+SyntaxError'),
        ('', r'in my_package\.own there is no SYSTEM; expected SYSTEM = System\(\.\.\.\)'),
        ('SYSTEM = 3', r'SYSTEM is 3; expected SYSTEM = System'),
        (build_of('*, classes').replace('__name__', "'x'"), r"called 'x'; expected name=__name__"),
        (build_of('*, size=3'), r'build takes size; expected the keyword classes'),
        (build_of('classes, size=3'), r'build takes classes; expected keywords only'),
        (build_of('*, classes, size'), r'the option size of build has no default'),
        (build_of('*, classes, name="x"'), r'the option name of build is what a system is called by'),
        (build_of('*, classes, size: dict = {}'), r"size of build is of the type <class 'dict'>"),
        (build_of('*, classes, size: int = 2.5'), r'the default of size is 2\.5; expected a whole'),
        (build_of('*, classes, size: nowhere = 2'), r"NameError: name 'nowhere'"),
    ],
)
def test_a_module_that_is_no_system_is_refused_with_what_was_found(folder, code, says):
    (folder / 'own.py').write_text(code)
    with pytest.raises(InputError, match=says):
        models.system('my_package.own')


@pytest.mark.parametrize(
    ('name', 'says'),
    [
        ('my_package.nowhere', r"there is no module 'my_package\.nowhere'; expected one .* of PYTHONPATH"),
        ('nowhere.own', r"there is no module 'nowhere'"),
        (
            'a..b',
            r"unknown model 'a\.\.b': config\.model\.name takes .*'dual_atme'.* or a module of your own",
        ),
    ],
)
def test_a_name_of_no_module_is_refused(folder, name, says):
    with pytest.raises(InputError, match=says):
        models.system(name)


def test_options_are_what_build_says():
    def build(
        *,
        classes,
        width: int = 3,
        rates: tuple[float, ...] = (0.5, 1),
        kind='a',
        deep=False,
        scale: float = 1,
    ):
        """Builds.

        Args:
          classes: not one.
          width: of all layers,
            in channels.
          rates, scale: of both.

        Raises:
          InputError: never.
        """

    found = options.of(build)
    assert {name: (option.default, option.about) for name, option in found.items()} == {
        'width': (3, 'of all layers, in channels.'),
        'rates': ((0.5, 1), 'of both.'),
        'kind': ('a', ''),
        'deep': (False, ''),
        'scale': (1.0, 'of both.'),
    }
    assert found['rates'].taken([1, 2.5]) == (1, 2.5)
    assert isinstance(found['scale'].taken(2), float)
    for name, value in (('rates', (1, 'x')), ('rates', 1.0), ('kind', 1), ('deep', 1), ('width', 3.0)):
        with pytest.raises(InputError, match=rf'config\.model\.{name} is .*; expected'):
            found[name].taken(value)


@pytest.mark.parametrize(
    ('traced', 'says'), [('rate', "traced names 'rate'"), ('width', "traced names 'width'")]
)
def test_what_is_traced_is_an_option_that_is_a_fraction_or_another_float(traced, says):
    with pytest.raises(InputError, match=says):
        System(name='x', title='X', build=lambda *, classes, width=3: None, traced=(traced,))


def test_a_traced_option_may_not_be_called_as_another_column_is(folder):
    code = 'def build(*, classes, momentum=0.5): pass\n' + RECORD.replace(')', ', traced=("momentum",))')
    (folder / 'own.py').write_text(code)
    with pytest.raises(
        InputError, match=r"the traced option 'momentum' of 'my_package\.own' is called as another"
    ):
        programs.hyperparameters(config_of(name='my_package.own'), 'abc')


def test_its_weights_are_kept_and_read_but_no_file_imports_it(own, tmp_path):
    leaves = names.leaves(OWN, 'paper', 3).items()
    variables = traverse_util.unflatten_dict({path: np.zeros((1, *leaf.shape)) for path, leaf in leaves})
    variables = jax.tree.map(lambda leaf: leaf.astype(np.float32), variables)
    (tmp_path / 'weights').mkdir()
    folds.save(folds.Folds(OWN, 'paper', 3, ('1',), variables), tmp_path / 'weights')
    assert folds.load(tmp_path / 'weights').model == OWN
    del sys.modules[OWN]
    with pytest.raises(InputError, match=r"names 'my_package\.wide_flow', .* which is none of the networks"):
        folds.load(tmp_path / 'weights')
    assert OWN not in sys.modules
    _, networks = folds.networks(tmp_path / 'weights', OWN)
    [(_, network)] = networks
    assert names.to_torch(OWN, network).keys() == names.tensors(OWN, 'paper', 3).keys()


def test_every_option_of_every_system_is_explained_in_the_list_of_fields():
    for system in models.SYSTEMS.values():
        assert all(option.about for option in system.options.values()), system.name


@pytest.mark.usefixtures('own')
def test_a_flag_sets_an_option_that_the_config_does_not_list(monkeypatch):
    given = ['--config=configs/cd.py', f'--config.model.name={OWN}', '--config.model.width=3']
    values = flags.FlagValues()
    monkeypatch.setattr('sys.argv', ['program', *given])
    holder = config_flags.DEFINE_config_file(
        'config', flag_values=values, lock_config=False, accept_new_attributes=True
    )
    values['config'].parser = config_file.Parser('config')
    values(['program', *given])
    assert holder.value.model.to_dict() == {'name': OWN, 'width': 3}
    assert model_section.complete(holder.value.model)['width'] == 3
    listed = config_file.described('configs/cd.py', holder.value)
    assert 'config.model.width = 3\n    channels of the convolution, 1 or more.\n' in listed
    assert "config.model.init = 'torch'\n" in listed


def test_a_network_that_looks_for_what_its_record_does_not_read_is_named(own, folder, small_dataset_dir):
    """Before it is compiled, also where all inputs are flows of the usual size."""
    file = folder / 'wide_flow.py'
    file.write_text(file.read_text().replace("inputs['flow']", "inputs['flow_puzzled']"))
    del sys.modules[OWN]
    config = config_of()
    config.data.path = str(small_dataset_dir)
    dataset = dataset_lib.load(small_dataset_dir, reads=models.system(OWN).stored)
    with pytest.raises(InputError, match=r"looks for 'flow_puzzled', which is none .* reads, flow; expected"):
        programs.make_programs(sweep.points(config), {0: dataset}, {})


@pytest.mark.slow
def test_a_run_is_of_one_version_of_the_file(folder, small_dataset_dir, tmp_path):
    code = (
        'from sklearn.dummy import DummyClassifier\nfrom dualatme_jax.models.system import System\n'
        'def build(*, classes): return DummyClassifier(strategy="prior")\n'
        'SYSTEM = System(name=__name__, title="T", build=build, learner="sklearn")\n'
    )
    (folder / 'own.py').write_text(code)
    config = small(small_dataset_dir, **{'model.name': 'my_package.own'})
    run(config, tmp_path / 'run')
    assert 'nothing is trained again' in run(config, tmp_path / 'run')[2]
    (folder / 'own.py').write_text(code.replace('prior', 'stratified'))
    del sys.modules['my_package.own']
    with pytest.raises(InputError, match=r'holds another run:\n  code\.my_package\.own is '):
        run(config, tmp_path / 'run')
    assert models.code_of('dual_atme') is None
