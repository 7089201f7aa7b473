"""LBP-TOP and Bi-WOOF: a linear support vector machine on the histograms of their views."""

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.svm import SVC
from small_run import run, small

from data_prep.dataset import writer
from data_prep.dataset.example import Example
from data_prep.views.bi_woof import BiWoofView
from data_prep.views.flow import FlowView
from data_prep.views.lbp_top import LbpTopView
from dualatme_jax import models, schema
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError

VIEWS = (LbpTopView(face_size=28, blocks=2), BiWoofView(flow=FlowView(face_size=28), blocks=2))


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """21 clips of seven subjects, whose class shows in the rows that move."""
    random = np.random.default_rng(0)
    clips = []
    for number in range(21):
        person, label = number % 7, (0, 0, 1, 0, 2)[number % 5]
        faces = random.integers(0, 100, (10, 28, 28), np.uint8)
        faces[:, 9 * label : 9 * label + 9] += np.arange(10, dtype=np.uint8)[:, None, None] * 4
        motion = random.normal(size=(28, 28, 3)).astype(np.float32)
        motion[9 * label : 9 * label + 9, :, :2] += 1
        lbp, woof = VIEWS
        made = {
            'lbp_top': {schema.LBP_TOP: lbp.vector(iter(faces), 10)},
            'bi_woof': {schema.BI_WOOF: woof.vector(np.abs(motion))},
        }
        names = {'database': schema.COMPOSITE[person % 3], 'subject': f's{person}', 'clip': str(number)}
        clips.append(Example(views=made, label=schema.LABELS[label], **names))
    folder = tmp_path_factory.mktemp('data') / 'histograms'
    release = writer.Contents(
        name='histograms',
        description='Histograms of random faces and motions.',
        citation='None.',
        licence='None.',
        recipe={'release': 'histograms'},
        views={
            view.name: writer.ViewFormat(features=view.features(), recipe=view.recipe()) for view in VIEWS
        },
        examples=iter(clips),
        size=len(clips),
    )
    writer.write(release, folder)
    return folder


@pytest.mark.parametrize(
    ('name', 'options'),
    [('lbp_top', {}), ('bi_woof', {'C': 1.0, 'class_weight': 'balanced'})],
)
def test_a_run_predicts_what_scikit_learn_does_by_hand(dataset, tmp_path, name, options):
    fields = {f'model.{option}': value for option, value in options.items()}
    complete, results, printed = run(small(dataset, **{'model.name': name} | fields), tmp_path)
    assert complete
    clips = dataset_lib.load(dataset, reads=(name,))
    weights = {'class_weight': 'balanced'} if options.get('class_weight') else {}
    machine = SVC(kernel='linear', C=options.get('C', 10_000.0), break_ties=True, **weights)
    by_hand = {'X': clips.inputs[name], 'y': clips.label, 'groups': clips.subjects, 'cv': LeaveOneGroupOut()}
    table = pd.read_csv(tmp_path / 'predictions.csv')
    np.testing.assert_array_equal(table['prediction'], cross_val_predict(machine, **by_hand))
    scores = cross_val_predict(machine, **by_hand, method='decision_function')
    np.testing.assert_allclose(table.filter(like='prob_'), special.softmax(scores, 1), atol=1e-5)
    assert models.SYSTEMS[name].title in printed
    assert 'weights' not in printed
    assert results['scores']['full']['uf1']['mean'] > 0


@pytest.mark.slow
def test_both_stand_on_a_leaderboard_and_no_epochs_are_missed_there(dataset, tmp_path):
    sweep = ({'model.name': ('lbp_top', 'bi_woof')},)
    fields = {'model.name': 'lbp_top', 'sweep': sweep, 'report.leaderboard': True, 'selection.every': 1}
    complete, results, _ = run(small(dataset, **fields), tmp_path)
    assert complete
    rows = {row['system']: row for row in results['leaderboard']}
    assert [rows[name]['epochs'] for name in sweep[0]['model.name']] == [1, 1]
    assert [rows[name]['paper_epochs'] for name in sweep[0]['model.name']] == [1, 1]


@pytest.mark.parametrize('name', ['lbp_top', 'bi_woof'])
@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'C': 0.0}, 'config.model.C is 0.0; expected a number above 0'),
        ({'C': -1.0}, 'config.model.C is -1.0'),
        ({'class_weight': 'heavy'}, "config.model.class_weight is 'heavy'; expected 'none' or 'balanced'"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(name, options, said):
    with pytest.raises(InputError, match=said):
        models.build(name, classes=3, **options)
