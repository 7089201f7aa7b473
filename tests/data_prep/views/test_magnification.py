import numpy as np
import pytest

from data_prep import __main__ as command
from data_prep.face import alignment
from data_prep.files import film
from data_prep.synthetic import action_units, head
from data_prep.synthetic.face import GRID
from data_prep.synthetic.film import Camera, Expression, Film
from data_prep.synthetic.render_clip import stream
from data_prep.views import magnification, optical_flow
from dualatme_jax.errors import InputError

SIZE = 224  # pixels


@pytest.fixture(scope='module')
def smile():
    """A face that smiles by a pixel at the most, as filmed: frames, and the true motion of the last one."""
    random = stream('magnification')
    person = head.draw(random)
    bumps = action_units.scaled(action_units.bumps(random, {'6': 1.0, '12': 1.0}, 1.0), GRID / SIZE)
    camera = Camera(width=SIZE, height=SIZE, colour=True, unit=None, noise=1.0)
    texture = head.texture(random, person, colour=True)
    filmed = Film(random, camera, person, texture, [Expression(bumps, np.array([0.0, 0.5, 1.0]))], 2)
    true, known = filmed.truth(step=1).aligned(alignment.whole_frame((SIZE, SIZE), SIZE).matrix, SIZE)
    known[:4], known[-4:], known[:, :4], known[:, -4:] = False, False, False, False
    return np.stack(list(filmed.frames())), true, known


def measured(frames):
    """The flow from the first frame to the last by another algorithm than the magnifier's."""
    solver = optical_flow.solver('tvl1', **optical_flow.SETTINGS['tvl1'])
    return optical_flow.compute(solver, frames[0][..., 1].copy(), frames[-1][..., 1].copy())


@pytest.mark.parametrize('factor', [2, 4, 8])
def test_the_motion_that_is_seen_is_the_factor_times_the_true_one(smile, factor):
    frames, true, known = smile
    magnified = list(magnification.magnified(frames, factor))
    found, wanted = measured(magnified)[known], factor * true[known]
    assert np.linalg.norm(found - wanted) < 0.15 * np.linalg.norm(wanted)
    assert (found * wanted).sum() / (wanted**2).sum() == pytest.approx(1, abs=0.15)  # as long, in the mean
    np.testing.assert_array_equal(magnified[0], frames[0])


def test_no_motion_is_left_of_a_factor_of_nothing(smile):
    frames, true, known = smile
    found = measured(list(magnification.magnified(frames, 0)))[known]
    assert np.linalg.norm(found) < 0.15 * np.linalg.norm(true[known])


def test_a_factor_of_one_changes_nothing(smile):
    frames, _, _ = smile
    np.testing.assert_array_equal(list(magnification.magnified(frames, 1)), frames)
    assert magnification.recipe(1) is None


def test_a_constant_flow_moves_a_picture_by_its_multiple():
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    flow = np.broadcast_to(np.float32([1, -2]), (20, 30, 2)).copy()
    # The frame shows the onset moved by the flow; by four times the flow it stands three further.
    found = magnification._warped(picture, flow, 4)
    np.testing.assert_array_equal(found[:-6, 3:], picture[6:, :-3])


def test_a_clip_is_magnified_by_a_command(smile, tmp_path, capsys):
    frames, _, _ = smile
    film.write(frames, tmp_path / 'clip')
    arguments = ['magnify', str(tmp_path / 'clip'), '--factor', '4', '--out', str(tmp_path / 'larger')]
    assert command.main(arguments) == 0
    written = list(film.find(tmp_path / 'larger'))
    np.testing.assert_array_equal(written, list(magnification.magnified(frames, 4)))


def test_what_cannot_be_magnified_is_refused(smile, tmp_path, capsys):
    frames, _, _ = smile
    film.write(frames[:1], tmp_path / 'one')
    film.write(frames, tmp_path / 'clip')
    for source, given, said in (
        ('clip', ['--factor', '-1'], '--factor -1: expected 0 to 50; 1 changes nothing'),
        ('clip', ['--factor', 'nan'], '--factor nan: expected 0 to 50'),
        ('clip', ['--factor', '2', '--flow', 'best'], '--flow best: expected one of tvl1, dis, farneback'),
        ('one', ['--factor', '2'], 'one frame has no motion'),
    ):
        arguments = ['magnify', str(tmp_path / source), *given, '--out', str(tmp_path / 'out')]
        assert command.main(arguments) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
    with pytest.raises(InputError, match='a frame of 100x100 pixels, but the onset has 224x224'):
        list(magnification.magnified([frames[0], frames[0][:100, :100]], 2))


def test_a_tiny_clip_is_magnified_too():
    frames = np.random.default_rng(0).integers(0, 255, (2, 3, 2, 3), np.uint8)
    assert [frame.shape for frame in magnification.magnified(frames, 2)] == [(3, 2, 3)] * 2
