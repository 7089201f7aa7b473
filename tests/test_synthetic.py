import itertools

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.svm import SVC

from data_prep import __main__ as command
from data_prep import regions, synthetic
from dualatme_jax import dataset, schema
from dualatme_jax.errors import InputError


@pytest.fixture(scope='module')
def data(synthetic_dataset_dir):
    return dataset.load(synthetic_dataset_dir)


def test_it_has_the_shape_of_the_composite(data):
    share = np.bincount(data.label) / data.size
    np.testing.assert_allclose(share, (0.57, 0.25, 0.19), atol=0.03)
    assert len(set(data.subjects)) == 12
    for database in schema.DATABASES:
        of = data.database == database
        assert len(set(data.subjects[of])) == 4
        for label in range(len(schema.LABELS)):
            # So that no fold, even within one database, trains without a class.
            assert len(set(data.subjects[of & (data.label == label)])) >= 2


def test_a_classifier_learns_it_but_not_by_heart(data):
    """A plain SVM between a constant guess and perfection, under LOSO."""
    pixels = data.flow.reshape(data.size, -1) / 127.5 - 1
    model = SVC(C=10, class_weight='balanced')
    predicted = cross_val_predict(model, pixels, data.label, groups=data.subjects, cv=LeaveOneGroupOut())
    assert 0.7 < f1_score(data.label, predicted, average='macro') < 0.97
    assert f1_score(data.label, np.zeros(data.size), average='macro') < 0.3


def first(count, seed=0, **options):
    return list(itertools.islice(synthetic.render(seed, **options).examples, count))


def test_the_seed_decides_every_pixel():
    once, again, other = first(2), first(2), first(2, seed=1)
    np.testing.assert_array_equal(once[1].flow, again[1].flow)
    np.testing.assert_array_equal(once[1].flow_puzzled, again[1].flow_puzzled)
    assert (once[1].flow != other[1].flow).any()
    assert (once[0].flow != once[1].flow).any()


def test_every_stream_of_random_numbers_is_its_own():
    keys = [(seed, subject, place) for seed in range(3) for subject in range(3) for place in range(3)]
    assert len({synthetic._stream(0, *key).integers(2**60) for key in keys}) == len(keys)


def test_what_is_known_of_a_clip_is_told():
    for example in first(9, algorithm='dis'):
        assert set(example.action_units.split('+')) <= set(synthetic.ACTION_UNITS)
        assert (example.onset, example.apex, example.offset) == (0, 1, schema.UNKNOWN_FRAME)
        assert example.emotion == schema.UNKNOWN_TEXT


def test_the_puzzled_flow_follows_the_pair():
    full = first(1, pair='full', algorithm='dis')[0]
    np.testing.assert_array_equal(full.flow, full.flow_puzzled)
    assert synthetic.render(0, pair='FN').recipe['regions']['pair'] == 'FN'


def test_a_smile_lifts_the_lip_corners_and_nothing_else():
    motion = synthetic._expression(np.random.default_rng(0), {'12': 1.0})
    strength = np.linalg.norm(motion, axis=-1)
    top, bottom, left, right = (4 * bound for bound in regions.template()['M'])
    assert strength[top:bottom, left:right].sum() > 0.8 * strength.sum()
    left_half, right_half = motion[:, :56], motion[:, 56:]
    assert left_half[..., 0].mean() < 0 < right_half[..., 0].mean()  # apart
    assert motion[..., 1].mean() < 0  # and up: y runs downwards


def test_every_combination_is_made_of_known_units():
    assert set(synthetic.COMBINATIONS) == set(schema.LABELS)
    for combinations in synthetic.COMBINATIONS.values():
        assert set(itertools.chain(*combinations)) <= set(synthetic.ACTION_UNITS)


@pytest.mark.parametrize('options', [{'seed': -1}, {'pair': 'XY'}, {'algorithm': 'lk'}])
def test_bad_options_are_refused_before_anything_is_rendered(options):
    with pytest.raises(InputError):
        synthetic.render(**options)


def test_a_source_makes_no_sense_here(tmp_path, capsys):
    arguments = ['build', '--release', 'synthetic', '--source', 'x', '--out', str(tmp_path / 'out')]
    assert command.main(arguments) == 2
    assert 'leave out --source' in capsys.readouterr().err
