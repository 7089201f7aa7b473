"""The command `python -m dualatme_jax.magnify`."""

import json

import numpy as np
import pytest
from PIL import Image

from data_prep import __main__ as data_prep_main
from data_prep.files import film
from dualatme_jax import magnify
from dualatme_jax.models import magnifier
from dualatme_jax.weights import parts

torch = pytest.importorskip('torch')

from safetensors.torch import save_file  # noqa: E402

from benchmarks.torch_systems.magnifier import Magnifier  # noqa: E402


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return Magnifier()


@pytest.fixture(scope='module')
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'mag.safetensors'
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """Three frames of 18x14 pixels, whose names are in another order as text."""
    folder = tmp_path_factory.mktemp('frames')
    pictures = np.random.default_rng(0).integers(0, 256, (3, 14, 18, 3), np.uint8)
    for number, picture in zip((2, 9, 10), pictures, strict=True):
        Image.fromarray(picture).save(folder / f'img{number}.png')
    return folder, pictures


def expected(network, reference, frame, factor):
    """PyTorch's frame, padded to 20x16 pixels."""
    pair = (
        torch.tensor(np.pad(image, ((0, 2), (0, 2), (0, 0)), 'edge') / 127.5 - 1).permute(2, 0, 1)[None]
        for image in (reference, frame)
    )
    with torch.inference_mode():
        found = network.double()(*pair, factor)[0, :, :14, :18].permute(1, 2, 0)
    return ((found.clamp(-1, 1) + 1) * 127.5).numpy()


@pytest.mark.slow
def test_a_folder_becomes_pictures_and_a_pair_a_gif(network, weights, frames, tmp_path, capsys):
    folder, pictures = frames
    given = ['--weights', str(weights), '--factor', '3']
    assert magnify.main([str(folder), *given, '--out', str(tmp_path / 'out')]) == 0
    assert 'wrote 3 frames to' in capsys.readouterr().out
    written = sorted((tmp_path / 'out').iterdir())
    assert [path.name for path in written] == ['00001.png', '00002.png', '00003.png']
    for path, picture in zip(written, pictures, strict=True):
        found = np.asarray(Image.open(path), float)
        assert np.abs(found - expected(network, pictures[0], picture, 3)).max() < 0.51

    pair = [str(folder / 'img2.png'), str(folder / 'img10.png')]
    assert magnify.main([*pair, *given, '--out', str(tmp_path / 'clip.gif')]) == 0
    with Image.open(tmp_path / 'clip.gif') as film:
        assert (film.n_frames, film.size) == (2, (18, 14))


def test_sizes_are_those_asked_for(weights, frames, monkeypatch):
    folder, _ = frames
    monkeypatch.setattr(magnifier, 'shape_of', lambda variables, frame: frame)
    monkeypatch.setattr(
        magnifier, 'by_factors', lambda variables, reference, frame, factors: frame[..., None]
    )
    paths = sorted(folder.iterdir())
    assert {frame.shape for frame in magnify.magnified({}, paths, 2, 24)} == {(24, 24, 3)}
    for path, frame in zip(paths, magnify.magnified({}, paths, 2, None), strict=True):
        np.testing.assert_array_equal(frame, np.asarray(Image.open(path)))


@pytest.mark.parametrize(
    ('source', 'changes', 'says'),
    [
        (['frames'], {'--factor': '-1'}, '--factor -1: expected 0 to 50'),
        (['frames'], {'--factor': 'nan'}, '--factor nan: expected 0 to 50'),
        (['frames'], {'--fps': '0'}, '--fps 0: expected a number above 0'),
        (['frames'], {'--size': '30'}, '--size is 30; expected a multiple of 4, 8 or more'),
        (['frames'], {'--out': 'clip.avi'}, 'clip.avi: expected a folder'),
        (['frames'], {'--out': 'frames'}, 'frames holds something already'),
        (['a', 'b', 'c'], {}, '3 paths: expected a folder of frames, a video, or two pictures'),
        (['nowhere'], {}, 'no such file or folder'),
        (['frames', 'nowhere.png'], {}, 'cannot read the picture'),
        (['frames'], {'--weights': 'nowhere.safetensors'}, 'nowhere.safetensors: no such file'),
        (['frames'], {'--onset': '9', '--offset': '9'}, 'one frame has no motion'),
        (['frames/img2.png', 'small.png'], {}, 'the first frame has 18x14 pixels, and another one 8x8'),
        (['a.png', 'b.png'], {'--onset': '9'}, '--onset: two pictures have no frame numbers'),
    ],
)
def test_what_cannot_be_magnified_is_named(frames, monkeypatch, tmp_path, capsys, source, changes, says):
    if '--weights' not in changes:
        monkeypatch.setattr(parts, 'read', lambda part, path: {})
        (tmp_path / 'mag.pth').touch()
    (tmp_path / 'frames').symlink_to(frames[0])
    Image.new('RGB', (8, 8)).save(tmp_path / 'small.png')
    monkeypatch.setattr(magnifier, 'shape_of', lambda variables, frame: frame)
    monkeypatch.setattr(
        magnifier, 'by_factors', lambda variables, reference, frame, factors: frame[..., None]
    )
    monkeypatch.chdir(tmp_path)
    options = {'--weights': 'mag.pth', '--factor': '2', '--out': 'out'} | changes
    given = [f'{name}={value}' for name, value in options.items()]
    assert magnify.main([*source, *given]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_video_keeps_its_rate(monkeypatch, tmp_path):
    video = tmp_path / 'clip.mp4'
    film.write([np.full((16, 16, 3), 40 * number, np.uint8) for number in range(3)], video, rate=40)
    monkeypatch.setattr(parts, 'read', lambda part, path: {})
    (tmp_path / 'mag.pth').touch()
    monkeypatch.setattr(
        magnify, 'magnified', lambda variables, paths, *_: (np.asarray(Image.open(path)) for path in paths)
    )
    given = [str(video), '--weights', str(tmp_path / 'mag.pth'), '--factor', '2']
    assert magnify.main([*given, '--out', str(tmp_path / 'out.mp4')]) == 0
    assert film.find(tmp_path / 'out.mp4').rate == 40


def test_the_data_stage_says_what_it_wrote_as_json(frames, tmp_path, capsys):
    video, out = tmp_path / 'clip.mp4', str(tmp_path / 'out.gif')
    film.write([np.full((16, 16, 3), 40 * number, np.uint8) for number in range(3)], video, rate=29.97)
    assert data_prep_main.main(['film', str(video), '--out', out, '--json', '-']) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {'out': out, 'frames': 3, 'rate': pytest.approx(29.97, abs=1e-3)}
    assert data_prep_main.main(['film', str(frames[0]), '--out', str(tmp_path / 'own'), '--json', '-']) == 0
    assert json.loads(capsys.readouterr().out)['rate'] is None
