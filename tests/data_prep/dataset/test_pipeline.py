"""From a synthetic release on disk to a dataset, by the command's own path."""

import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import types

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep import views
from data_prep.__main__ import main
from data_prep.dataset import pipeline
from data_prep.files.cache import Cache
from data_prep.files.frames import Images
from data_prep.releases.clip import Clip
from data_prep.synthetic import truth
from data_prep.synthetic.release import synthesize
from data_prep.views import optical_flow, temporal_interpolation
from dualatme_jax import schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError


@pytest.fixture(scope='module')
def samm(tmp_path_factory):
    """Two subjects of a synthetic SAMM, 9 clips: raw scenes, in a folder with a space and an umlaut."""
    folder = tmp_path_factory.mktemp('releases') / 'SAMM größe 1'
    synthesize('samm', folder, subjects=2, frames_per_clip=5, workers=1)
    return folder


@pytest.fixture
def own(samm, tmp_path):
    """The same, for tests that damage it."""
    return pathlib.Path(shutil.copytree(samm, tmp_path / 'release'))


def arguments(source, *more, command='build'):
    landmarks = source / 'truth/landmarks.csv'
    return [command, '--release', 'samm', '--source', str(source), '--landmarks', str(landmarks), *more]


def build(source, out, *more):
    """Builds quickly: by DIS, in this process."""
    has_flow = '--view' not in more or 'flow' in more
    quick = ('--flow', 'dis') if has_flow and '--flow' not in more else ()
    workers = () if '--workers' in more else ('--workers', '1')
    return main(arguments(source, '--out', str(out), *quick, *workers, *more))


def read(folder):
    return list(tfds.builder_from_directory(str(folder)).as_data_source(schema.SPLIT))


def files(folder):
    """What is in a dataset's files, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_release_becomes_a_dataset_that_training_reads(samm, tmp_path, capsys):
    assert build(samm, tmp_path / 'out') == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        'SAMM: 7 clips; 2 rows are left out on purpose (check says which)',
        'SAMM: 5 negative instead of 92, 1 positive instead of 26, 1 surprise instead of 15, 2 subjects '
        'instead of 28: this is not the complete release, or another version of it',
        f'wrote 7 clips to {tmp_path / "out"}',
        'apex: sheet 7',
    ]
    assert err == ''
    data = dataset.load(tmp_path / 'out', databases=('samm',))
    assert data.size == 7  # of 9 clips, two of the class Other
    assert set(data.subject) == {'6', '7'}
    assert data.inputs['flow'].max() == 255
    made = data.metadata
    assert made['flow']['parameters']['PatchSize'] == 8
    assert made['landmarks']['samm']['name'] == 'file'
    assert len(made['exclusions']['samm']) == 2
    assert (made['errata'], made['labels'], made['onset']) == ([], 'sheet', 'sheet')
    assert made['apex'] == {'samm': ['sheet', 'middle']}
    assert made['skipped'] == []
    assert data.origin == 'samm; puzzled flow (EM): computed on puzzled frames'


@pytest.mark.slow
def test_a_dataset_of_a_synthetic_release_says_so(samm, own, tmp_path):
    """And so does one of frames of it: a score on rendered faces has no published one beside it."""
    only_frames = tmp_path / 'frames'
    only_frames.mkdir()
    for subject in ('006', '007'):
        (only_frames / subject).symlink_to(samm / subject)
    shutil.copy(samm / 'SAMM_Micro_FACS_Codes_v2.xlsx', only_frames)
    shutil.copytree(samm / 'truth', only_frames / 'truth')
    (own / 'synthetic.json').unlink()  # as a release of real faces has none
    for source, databases in ((samm, ['samm']), (only_frames, ['samm']), (own, [])):
        out = tmp_path / f'out {source.name}'
        assert build(source, out) == 0
        data = dataset.load(out, databases=('samm',))
        assert (data.metadata['synthetic'], data.synthetic) == (databases, bool(databases))


@pytest.mark.slow
def test_the_flow_is_the_true_one(samm, tmp_path):
    """Mean endpoint error below 0.15 pixels at 224x224, all of it: alignment, flow, storing."""
    options = ('--flow', 'tvl1', '--encoding', 'raw', '--size', '224', '--puzzled', 'cut')
    assert build(samm, tmp_path / 'out', *options) == 0
    errors = []
    for record in read(tmp_path / 'out'):
        subject, clip = (record[key].decode() for key in (schema.SUBJECT, schema.CLIP))
        true = truth.load(samm / 'truth/flow' / subject / f'{clip}.npz')
        matrix = alignment_of(samm, subject, clip)
        motion, known = true.aligned(matrix, 224)
        assert 0.3 < np.hypot(*motion[known].T).max() < 4
        errors.append(np.hypot(*(record[schema.FLOW][..., :2] - motion)[known].T).mean())
    assert len(errors) == 7
    assert max(errors) < 0.15


def alignment_of(samm, subject, clip):
    """The similarity by hand: the true eyes' centres go where the template has them."""
    rows = (samm / 'truth/landmarks.csv').read_text().splitlines()
    row = next(row.split(',') for row in rows if row.startswith(f'samm,{subject},{clip},'))
    points = np.array(row[3:], float).reshape(68, 2)
    eyes = np.array([points[36:42].mean(0), points[42:48].mean(0)]) @ (1, 1j)
    places = (np.array([(8.5, 8.2), (19.5, 8.2)]) * 8 - 0.5) @ (1, 1j)
    turn = (places[1] - places[0]) / (eyes[1] - eyes[0])
    shift = places[0] - turn * eyes[0]
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


@pytest.mark.slow
def test_views_are_made_together(samm, tmp_path):
    assert build(samm, tmp_path / 'out', '--view', 'flow', 'apex', 'frames', '--apex', 'spotted') == 0
    flows, faces, clips = (read(tmp_path / 'out' / view) for view in ('flow', 'apex', 'frames'))
    assert len(flows) == len(faces) == len(clips) == 7
    for by_flow, face, clip in zip(flows, faces, clips, strict=True):
        assert by_flow[schema.CLIP] == face[schema.CLIP] == clip[schema.CLIP]
        assert by_flow[schema.APEX_CHOICE] == b'spotted'
        assert by_flow[schema.ONSET] < by_flow[schema.APEX] <= by_flow[schema.OFFSET]
        assert face[schema.APEX_FACE].shape == (224, 224, 3)
        assert face[schema.ONSET_FACE_GREY].shape == (224, 224, 1)
        difference = face[schema.APEX_FACE].astype(int) - face[schema.ONSET_FACE]
        assert 0.5 < np.abs(difference).mean() < 10
        for key in (schema.FACE_FRAMES, schema.CROP_FRAMES):
            assert np.stack(clip[key]).shape == (30, 128, 128, 3)
        numbers = clip[schema.FRAME_NUMBERS]  # five frames, each six times
        assert collections.Counter(numbers.tolist()) == dict.fromkeys(
            range(clip[schema.ONSET], clip[schema.OFFSET] + 1), 6
        )
    assert dataset.load(tmp_path / 'out').size == 7  # training takes the flow of several views


def test_parts_of_a_face_are_shown_with_how_it_moves(samm, tmp_path):
    """Its flow is that of the view `flow`; its maps lie where the landmarks do."""
    assert build(samm, tmp_path / 'out', '--view', 'flow', 'parts', '--face-size', '56', '--size', '56') == 0
    data = dataset.load(tmp_path / 'out', reads=('flow', *schema.VIEWS['parts']))
    flow, moving, strain, maps = data.inputs.values()
    np.testing.assert_array_equal(moving[..., :2], flow[..., :2])
    assert strain.shape == (7, 56, 56, 3)
    assert maps.shape == (7, 56, 56, 10)
    rows, columns = np.mgrid[:56, :56]
    for part, column in (('left_eye', 19.5), ('right_eye', 8.5)):  # of 28, where alignment puts them
        found = maps[..., schema.PARTS.index(part)].astype(float)
        total = found.sum((1, 2))
        np.testing.assert_allclose((found * columns).sum((1, 2)) / total, 2 * column - 0.5, atol=0.7)
        np.testing.assert_allclose((found * rows).sum((1, 2)) / total, 2 * 8.2 - 0.5, atol=0.7)
    assert 'polygons of the landmarks' in data.metadata['face_parts']['maps']
    np.testing.assert_allclose(data.measures['eye_distance'], 22, atol=0.01)  # 11 of 28, at 56
    np.testing.assert_array_equal(data.measures['frame_rate'], 200)
    np.testing.assert_array_equal(data.measures['face_flow_range'][:, :2], data.measures['flow_range'][:, :2])
    assert (data.measures['face_strain_range'][..., 0] < 0).all()
    assert data.metadata['flow']['computed_at'] == [56, 56]


def test_the_flow_of_several_steps_is_read_by_training(samm, tmp_path, capsys):
    steps = ('--view', 'flow', 'flow_steps', '--encoding', 'raw', '--face-size', '56')
    steps += ('--flow-steps', 'three', '--head-motion', 'affine')
    assert build(samm, tmp_path / 'out', *steps) == 2  # before anything is computed
    assert '3 problems' in (said := capsys.readouterr().err)
    assert '6/006_1_1: no step from onset to middle: both are the frame 500' in said
    assert build(samm, tmp_path / 'out', *steps, '--still-steps', 'zero') == 0
    data = dataset.load(tmp_path / 'out', reads=('flow_steps',), databases=('samm',))
    found = data.inputs['flow_steps']
    assert found.shape == (7, *schema.built_size('flow_steps', '--flow-steps three'), 3) == (7, 3, 28, 28, 3)
    whole = dataset.load(tmp_path / 'out', reads=('flow',), databases=('samm',)).inputs['flow']
    by_steps = found[:, :2].sum(1)  # to the middle and on to the apex: the same way but for the noise
    assert np.linalg.norm(by_steps - whole) < 0.7 * np.linalg.norm(whole)
    assert data.metadata['flow_steps']['steps'][1] == ['middle', 'apex']
    assert data.metadata['flow']['head_motion'].startswith('the affine motion')


def test_clips_without_maps_of_their_parts_are_named_before_anything_is_computed(samm, tmp_path, capsys):
    (tmp_path / 'maps').mkdir()
    maps = ('--view', 'parts', '--part-maps', str(tmp_path / 'maps'))
    assert build(samm, tmp_path / 'out', *maps) == 2
    error = capsys.readouterr().err
    assert '7 problems' in error
    assert 'has no map of skin, left_brow' in error
    assert not (tmp_path / 'out').exists()


def test_the_number_and_the_size_of_the_frames_are_options(samm, tmp_path):
    frames = ('--view', 'frames', '--frame-count', '3', '--frame-size', '32')
    assert build(samm, tmp_path / 'out', *frames) == 0
    for record in read(tmp_path / 'out'):
        assert np.asarray(record[schema.FACE_FRAMES]).shape == (3, 32, 32, 3)
        assert np.asarray(record[schema.CROP_FRAMES]).shape == (3, 32, 32, 3)
        assert len(record[schema.FRAME_NUMBERS]) == 3
    made = dataset.load(tmp_path / 'out', reads=[schema.FACE_FRAMES]).metadata
    assert (made['frames']['number'], made['release_frames']) == (3, {'samm': 'raw'})


MADE_UP_VIEW = """
import dataclasses
import numpy as np

@dataclasses.dataclass(frozen=True)
class MeanView:
    name = 'mean'
    span = False
    shared = ('face_size',)
    factor: int
    size: int

    @staticmethod
    def add_options(parser):
        parser.add_argument('--factor', type=int, default=1)

    @classmethod
    def of(cls, options):
        return cls(options.factor, options.face_size)

    def recipe(self):
        return {'factor': self.factor}

    def features(self):
        import tensorflow_datasets as tfds
        return {'mean': tfds.features.Tensor(shape=(2,), dtype=np.float32)}

    def make(self, aligned, cache):
        faces = aligned.pair(self.size)
        return {'mean': np.array([self.factor * face.mean() for face in faces], np.float32)}

VIEW = MeanView
"""


def test_a_new_view_is_one_file_and_one_line(samm, tmp_path, monkeypatch, capsys):
    module = types.ModuleType('data_prep.views.mean')
    monkeypatch.setitem(sys.modules, 'data_prep.views.mean', module)
    exec(MADE_UP_VIEW, module.__dict__)
    monkeypatch.setitem(views.FILES, 'mean', 'mean')
    assert build(samm, tmp_path / 'out', '--view', 'mean', 'apex', '--factor', '2', '--face-size', '56') == 0
    means, faces = (read(tmp_path / 'out' / view) for view in ('mean', 'apex'))
    for mean, face in zip(means, faces, strict=True):
        own = [2 * face[key].mean() for key in (schema.ONSET_FACE, schema.APEX_FACE)]
        np.testing.assert_allclose(mean['mean'], own, rtol=1e-5)
    assert build(samm, tmp_path / 'other', '--view', 'apex', '--factor', '2') == 2
    assert '--factor: not an option of --release samm with --view apex' in capsys.readouterr().err


@pytest.mark.slow
def test_action_units_choose_the_second_crop_on_demand(samm, tmp_path):
    for crop in ('regions', 'action_units'):
        assert build(samm, tmp_path / crop, '--view', 'frames', '--frame-crop', crop) == 0
    for fixed, by_units in zip(read(tmp_path / 'regions'), read(tmp_path / 'action_units'), strict=True):
        np.testing.assert_array_equal(fixed[schema.FACE_FRAMES], by_units[schema.FACE_FRAMES])
        assert (np.stack(fixed[schema.CROP_FRAMES]) != np.stack(by_units[schema.CROP_FRAMES])).any()
    for crop, key, leaks in (
        ('regions', schema.CROP_FRAMES, False),
        ('action_units', schema.CROP_FRAMES, True),
        ('action_units', schema.FACE_FRAMES, False),  # the annotation has placed nothing of them
    ):
        data = dataset.load(tmp_path / crop, reads=(key,), databases=('samm',))
        assert data.leaks.startswith('LEAKS: crop_frames: ') is leaks
        assert bool(data.leaks) is leaks


def test_frames_are_chosen_shown_and_magnified_as_the_options_say(samm, tmp_path, capsys):
    asked = ('--frame-choice', 'even', '--frame-face', 'frame', '--frame-crop', 'landmarks', '--magnify', '2')
    small = ('--view', 'frames', '--frame-size', '32')
    assert build(samm, tmp_path / 'out', *small, *asked, '--frame-count', '3') == 0
    for record in read(tmp_path / 'out'):
        first, _, last = record[schema.FRAME_NUMBERS]
        assert (first, last) == (record[schema.ONSET], record[schema.OFFSET])
    said = dataset.load(tmp_path / 'out', reads=(schema.CROP_FRAMES,), databases=('samm',)).metadata
    assert said['frames']['choice'].startswith('evenly spaced')
    assert said['frames']['first_is_onset']
    assert said['frames']['magnified']['factor'] == 2
    assert said['leaks'] == {}
    capsys.readouterr()
    for more, words in (
        (
            ('--short-clips', 'refuse'),  # before any frame is decoded
            'error: 7 problems:.*5 frames from onset to offset, and --frame-count 30 of them',
        ),
        (('--magnify', '60'), '--magnify 60: expected 0 to 50'),
    ):
        assert build(samm, tmp_path / 'none', *small, *more) == 2
        assert re.search(words, capsys.readouterr().err, re.DOTALL)
    assert build(samm, tmp_path / 'none', '--magnify', '2') == 2
    assert '--magnify: not an option of --release samm with --view flow' in capsys.readouterr().err


def test_the_puzzled_flow_may_be_cut(samm, tmp_path):
    for puzzled in ('computed', 'cut'):
        assert build(samm, tmp_path / puzzled, '--puzzled', puzzled) == 0
    assert 'cut' in dataset.load(tmp_path / 'cut').origin
    computed, cut = dataset.load(tmp_path / 'computed'), dataset.load(tmp_path / 'cut')
    np.testing.assert_array_equal(computed.inputs['flow'], cut.inputs['flow'])
    # They show the same motion, differently found; shuffled, they would not.
    a, b = (data.inputs['flow_puzzled'].reshape(7, -1).astype(float) for data in (computed, cut))
    alike = np.corrcoef(a, b)[:7, 7:]
    assert (alike.argmax(1) == np.arange(7)).all()
    assert (np.diag(alike) < 1).all()


@pytest.mark.slow
def test_any_number_of_workers_and_any_cache_give_the_same_bytes(samm, tmp_path):
    views = ('--view', 'flow', 'frames')
    for name, workers in (('one', 1), ('three', 3), ('warm', 1)):
        cache = tmp_path / ('one.cache' if name == 'warm' else f'{name}.cache')
        out = tmp_path / name / 'samm'
        assert build(samm, out, *views, '--workers', str(workers), '--cache', str(cache)) == 0
    for view in ('flow', 'frames'):
        one, three, warm = (files(tmp_path / name / 'samm' / view) for name in ('one', 'three', 'warm'))
        assert one == three == warm


def test_a_warm_cache_computes_no_flow(samm, tmp_path, monkeypatch):
    assert build(samm, tmp_path / 'out') == 0
    monkeypatch.setattr(optical_flow, 'compute', None)
    assert build(samm, tmp_path / 'out', '--overwrite') == 0
    with pytest.raises(TypeError):  # another parameter is another flow
        build(samm, tmp_path / 'other', '--flow-setting', 'PatchStride=2')


def test_bi_woof_takes_the_flow_that_is_there_and_histograms_are_kept(samm, tmp_path, monkeypatch):
    views = ('--view', 'lbp_top', 'bi_woof', '--face-size', '64', '--flow', 'dis')
    assert build(samm, tmp_path / 'flow', '--face-size', '64') == 0
    kept = {path.name for path in (tmp_path / '.cache/flow').rglob('*.npz')}
    assert build(samm, tmp_path / 'out', *views) == 0
    assert {path.name for path in (tmp_path / '.cache/flow').rglob('*.npz')} == kept
    found = dataset.load(tmp_path / 'out', reads=('lbp_top', 'bi_woof'))
    assert {key: (x.shape, x.dtype) for key, x in found.inputs.items()} == {
        'lbp_top': ((7, 1200), np.float32),
        'bi_woof': ((7, 200), np.float32),
    }
    np.testing.assert_allclose(np.linalg.norm(found.inputs['bi_woof'], axis=1), 1, rtol=1e-5)
    assert found.metadata['lbp_top']['radii'] == [1, 1, 4]
    monkeypatch.setattr(temporal_interpolation, 'interpolated', None)
    monkeypatch.setattr(optical_flow, 'compute', None)
    assert build(samm, tmp_path / 'out', *views, '--overwrite') == 0
    again = dataset.load(tmp_path / 'out', reads=('lbp_top', 'bi_woof'))
    for key, array in found.inputs.items():
        np.testing.assert_array_equal(again.inputs[key], array)
    with pytest.raises(TypeError):  # other patterns
        build(samm, tmp_path / 'other', *views, '--lbp-codes', 'uniform')


def test_clips_that_are_too_short_for_patterns_are_problems_by_name(samm, tmp_path, capsys):
    assert build(samm, tmp_path / 'out', '--view', 'lbp_top', '--lbp-frames', '0') == 2
    said = capsys.readouterr().err
    assert '5 frames from onset to offset, and patterns with a radius of 4 frames need 9: interpolate' in said
    assert 'error: 7 problems:' in said  # all of them, before any frame is decoded


@pytest.mark.parametrize(('name', 'status'), [('SIGINT', 130), ('SIGTERM', 130), ('SIGKILL', -9)])
@pytest.mark.slow
def test_a_build_that_was_stopped_goes_on(samm, tmp_path, name, status):
    out, cache = tmp_path / 'out', tmp_path / '.cache/flow'
    command = arguments(samm, '--out', str(out))
    running = subprocess.Popen(
        [sys.executable, '-m', 'data_prep', *command, '--workers', '2'], stderr=subprocess.PIPE, text=True
    )
    while not list(cache.rglob('*.npz')):
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.Signals[name])
    said = running.communicate()[1]
    assert running.returncode == status
    assert ('the same command goes on from there' in said) == (name != 'SIGKILL')
    assert 'Traceback' not in said
    assert 'semaphore' not in said or name == 'SIGKILL'  # which leaves Python's tracker alone
    assert not out.exists()
    done = {path: path.stat().st_mtime_ns for path in cache.rglob('*.npz')}
    assert 0 < len(done) < 14
    assert main([*command, '--workers', '1']) == 0  # in this process
    assert len(read(out)) == 7
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.cache', 'out']


def spoil_a_frame(source):
    frame = min((source / '006/006_2_1').iterdir())  # the onset
    frame.write_bytes(frame.read_bytes()[:5000])
    return frame


def test_a_bad_frame_stops_the_build_or_is_skipped(own, tmp_path, capsys):
    frame = spoil_a_frame(own)
    assert build(own, tmp_path / 'out') == 2
    said = capsys.readouterr().err
    assert f'row 16: 6/006_2_1: {frame}: a truncated JPEG (5000 bytes)' in said
    assert '--on-error skip' in said
    assert not (tmp_path / 'out').exists()
    assert build(own, tmp_path / 'out', '--on-error', 'skip') == 0
    said = capsys.readouterr().out
    assert 'wrote 6 clips' in said
    assert '1 problems' in said
    assert 'a truncated JPEG' in said
    assert len(read(tmp_path / 'out')) == 6
    assert 'truncated' in dataset.load(tmp_path / 'out').metadata['skipped'][0]


def test_tight_crops_are_padded_and_it_is_told(own, tmp_path, capsys):
    """Every clip is cut off just above the brows, below the mouth and beside the eyes."""
    file = own / 'truth/landmarks.csv'
    header, *rows = (line.split(',') for line in file.read_text().splitlines())
    for row in rows:
        points = np.array(row[3:], float).reshape(68, 2)
        (left, top), (right, bottom) = (
            (points[17:].min(0) - 3).astype(int),
            (points[17:].max(0) + 4).astype(int),
        )
        for frame in (own / row[1].zfill(3) / row[2]).iterdir():
            cv2.imwrite(str(frame), cv2.imread(str(frame))[top:bottom, left:right])
        row[3:] = map(str, (points - (left, top)).ravel())
    file.write_text('\n'.join(map(','.join, [header, *rows])))
    assert build(own, tmp_path / 'out') == 0
    assert 'of the aligned face lie outside of the frame; mirrored pixels' in capsys.readouterr().out
    padded = dataset.load(tmp_path / 'out').metadata['padded']
    assert len(padded) == 7
    assert all(0.25 < share < 0.6 for share in padded.values())
    assert main(arguments(own, '--workers', '1', command='check')) == 1
    assert '7 clips: ' in capsys.readouterr().out
    assert build(own, tmp_path / 'forehead', '--regions', 'FM') == 2
    assert 'of the region F lie outside of the frame' in capsys.readouterr().err


@pytest.mark.parametrize('view', ['flow', 'apex'])
def test_a_clip_without_any_motion_is_a_problem_by_name(own, tmp_path, capsys, view):
    still = sorted((own / '006/006_2_1').iterdir())
    for frame in still[1:]:
        frame.write_bytes(still[0].read_bytes())
    assert main(arguments(own, '--workers', '1', command='check')) == 1
    assert f'6/006_2_1: no motion: {still[0]} and {still[2]}, onset and apex' in capsys.readouterr().out
    assert build(own, tmp_path / 'out', '--view', view) == 2
    assert '6/006_2_1: no motion' in capsys.readouterr().err


def test_a_flow_that_is_the_same_everywhere_is_no_motion(own, tmp_path, capsys, monkeypatch):
    even = np.ones((224, 224, 2), np.float32)
    monkeypatch.setattr(optical_flow, 'compute', lambda solver, onset, apex: even)
    assert build(own, tmp_path / 'out') == 2
    assert 'no motion: the flow of the face is the same everywhere' in capsys.readouterr().err


def test_nothing_is_written_when_every_clip_is_bad(own, tmp_path, capsys):
    for frame in own.rglob('*.jpg'):
        frame.write_bytes(b'')
    assert build(own, tmp_path / 'out', '--on-error', 'skip') == 2
    assert 'no clip is left' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_cache_that_cannot_be_written_is_named(samm, tmp_path, capsys):
    (tmp_path / 'file').touch()
    assert build(samm, tmp_path / 'out', '--cache', str(tmp_path / 'file')) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / 'file') in said
    assert '--cache' in said


class Deadly:
    """A source of landmarks that takes its process with it."""

    whole_frame = True

    def recipe(self, clip=None):
        return {}

    def find(self, frame, clip):
        os._exit(3)


def test_a_worker_that_dies_is_an_error_with_advice(samm, tmp_path):
    paths = {int(path.stem.split('_')[1]): path for path in (samm / '006/006_2_1').iterdir()}
    clip = Clip(database='samm', subject='6', clip='006_2_1', frames=Images(paths))
    work = pipeline.Work(
        sources={'samm': Deadly()},
        views=(),
        cache=Cache(tmp_path),
    )
    with pytest.raises(InputError, match='fewer --workers'):
        list(pipeline.run(work, [(clip, 'negative')], 2))


def test_check_finds_what_build_would(own, tmp_path, capsys):
    """Two subjects are not the release, so a check of them is never clean."""
    spoil_a_frame(own)
    report = tmp_path / 'report.json'
    assert main(arguments(own, '--workers', '1', '--json', str(report), command='check')) == 1
    said = capsys.readouterr().out
    assert 'a truncated JPEG' in said
    assert '2 of 28' in said
    found = json.loads(report.read_text())
    assert not found['complete']
    assert found['databases']['samm']['subjects'] == 2
    assert found['databases']['samm']['expected']['clips'] == 133
    assert len(found['databases']['samm']['excluded']) == 2
    first, counts = found['problems']
    assert (first['database'], first['subject'], first['clip']) == ('samm', '6', '006_2_1')
    assert 'instead of 28' in counts['text']


def test_the_sheet_may_lie_elsewhere(own, tmp_path):
    (sheet,) = own.glob('*.xlsx')
    sheet.rename(tmp_path / 'my labels.xlsx')
    assert build(own, tmp_path / 'out', '--sheet', str(tmp_path / 'my labels.xlsx')) == 0
    assert len(read(tmp_path / 'out')) == 7


def test_check_looks_at_the_frames_of_its_views(own, capsys):
    (_, middle, *_) = sorted((own / '006/006_2_1').iterdir())
    middle.write_bytes(cv2.imencode('.jpg', np.zeros((20, 30, 3), np.uint8))[1].tobytes())
    for names, said in ((['flow'], False), (['flow', 'frames'], True)):
        assert main(arguments(own, '--workers', '1', '--view', *names, command='check')) == 1
        assert ('30x20 pixels, but the onset frame has' in capsys.readouterr().out) == said
    assert build(own, own.parent / 'out', '--view', 'frames') == 2


def test_all_clips_that_a_landmark_file_lacks_are_named_at_once(own, tmp_path, capsys):
    file = own / 'truth/landmarks.csv'
    file.write_text('\n'.join(file.read_text().splitlines()[:4]) + '\n')
    assert build(own, tmp_path / 'out') == 2
    said = capsys.readouterr().err
    assert said.startswith('error: 4 problems:\n')
    assert said.count('has no landmarks of samm,') == 4
    assert build(own, tmp_path / 'out', '--on-error', 'skip') == 0
    assert len(read(tmp_path / 'out')) == 3


def test_frames_taken_for_aligned_faces_are_remarked(samm, tmp_path, capsys):
    given = ['build', '--release', 'samm', '--source', str(samm), '--landmarks', 'template', '--flow', 'dis']
    assert main([*given, '--out', str(tmp_path / 'out'), '--workers', '1']) == 0
    assert 'has not aligned its frames' in capsys.readouterr().out


def test_faces_can_be_looked_at(samm, tmp_path):
    assert build(samm, tmp_path / 'out', '--overlays', str(tmp_path / 'seen')) == 0
    assert len(list((tmp_path / 'seen').glob('samm_*.png'))) == 7


@pytest.mark.parametrize(
    ('more', 'said'),
    [
        (['--apex', 'best'], "unknown choice 'best'; expected some of table, sheet, middle, spotted"),
        (['--apex', 'casme2=middle'], 'the release has no casme2; it has samm'),
        (['--landmarks', 'nowhere.csv', '--landmarks', 'fan'], '--landmarks is given 3 times'),
        (['--protocol', '7class'], "unknown protocol '7class' of samm: expected one of 3class, 5class"),
        (['--view', 'flow', 'sound'], "unknown --view 'sound': expected one of flow, flow_steps, apex"),
        (['--regions', 'EX'], "unknown pair of regions 'EX'"),
        (['--size', '300'], '--size 300 with --face-size 224'),
        (['--flow-setting', 'Lambda'], "--flow-setting 'Lambda': expected NAME=NUMBER"),
        (['--flow-setting', 'Lambada=1'], "no setting 'Lambada': expected one of"),
        (['--strain-smoothing', '-1'], '--strain-smoothing -1.0: expected'),
        (['--workers', '0'], '--workers 0: expected 1 or more'),
        (['--frames', 'raw'], '--frames does not apply to samm'),
        (['--face-size', '0'], '--face-size 0: expected 28 to 1024 pixels'),
        (
            ['--view', 'apex', '--strain', 'quarter'],
            '--strain: not an option of --release samm with --view apex',
        ),
        (['--out', '~nobody.such/x'], "home folder of '~nobody.such' is not known"),
        (['--sheet', 'nowhere.xlsx'], 'nowhere.xlsx'),
        (['--sheet', 'casme2=x.xlsx'], 'the release has no casme2'),
        (['--overlays', '~nobody.such/x'], '--overlays ~nobody.such/x'),
        (['--list', 'nowhere.csv'], 'nowhere.csv'),
        (['--apex-table', 'nowhere.csv'], 'nowhere.csv'),
        (['--seed', '1'], '--seed: not an option of --release samm'),
        (
            ['--column', 'emotion'],
            '--column emotion: expected [DATABASE:]FIELD=HEADER, such as emotion=Label',
        ),
        (['--column', 'smic:emotion=x'], 'the release has no smic; it has samm'),
        (['--column', 'label=x'], '--column label: no such field; expected one of subject, clip'),
        (['--column', 'emotion=a', '--column', 'samm:emotion=b'], 'given twice for emotion of samm'),
        (['--protocol', '3class-687'], "unknown protocol '3class-687' of samm"),
    ],
)
def test_a_wrong_option_is_named(samm, tmp_path, capsys, more, said):
    assert main(arguments(samm, '--out', str(tmp_path / 'out'), *more)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_faces_that_are_not_aligned_need_landmarks(samm, tmp_path, capsys):
    assert main(['build', '--release', 'samm', '--source', str(samm), '--out', str(tmp_path / 'out')]) == 2
    assert 'not aligned: say by --landmarks' in capsys.readouterr().err


@pytest.mark.slow
def test_the_data_stage_needs_no_framework():
    code = (
        'import sys, data_prep.synthetic.release\n'
        'from data_prep.dataset import assemble, check_report, writer\n'
        "print({'jax', 'torch', 'tensorflow', 'mediapipe', 'face_alignment'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert ran.stdout == 'set()\n'


@pytest.mark.parametrize('signal_number', [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_a_synthesis_that_was_stopped_leaves_nothing_for_long(tmp_path, signal_number):
    command = ['synthesize', '--release', 'samm', '--out', str(tmp_path / 'out'), '--subjects', '1']
    running = subprocess.Popen(
        [sys.executable, '-m', 'data_prep', *command, '--workers', '1'], stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.rglob('*.jpg')):
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal_number)
    said = running.communicate()[1]
    assert running.returncode == (130 if signal_number == signal.SIGTERM else -9)
    assert said == ('interrupted: nothing is left\n' if signal_number == signal.SIGTERM else '')
    synthesize('samm', tmp_path / 'out', subjects=1, frames_per_clip=3, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ['out']


WRONG_PATHS = {
    'of nobody': ('~nobody.such/x', 'home folder'),
    'too long': ('x' * 300, 'too long'),
    'with a zero byte': ('a\0b', 'zero byte'),
    'not UTF-8': ('a\udce9', 'not UTF-8'),
}


@pytest.mark.parametrize(('path', 'said'), WRONG_PATHS.values(), ids=WRONG_PATHS)
@pytest.mark.parametrize(
    'option',
    ['--source', '--out', '--list', '--sheet', '--apex-table', '--landmarks', '--overlays', '--cache'],
)
def test_a_path_that_cannot_be_is_named_in_every_option(samm, tmp_path, capsys, option, path, said):
    given = {
        '--release': 'samm',
        '--source': str(samm),
        '--landmarks': str(samm / 'truth/landmarks.csv'),
        '--out': str(tmp_path / 'out'),
    }
    if option == '--apex-table':
        given['--apex'] = 'table'
    assert main(['build', *(word for pair in (given | {option: path}).items() for word in pair)]) == 2
    err = capsys.readouterr().err
    assert f'{option} ' in err
    assert said in err
    assert '\0' not in err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('path', 'said'), WRONG_PATHS.values(), ids=WRONG_PATHS)
@pytest.mark.parametrize(
    ('option', 'command'),
    [
        ('--json', ['check', '--release', 'samm', '--source', '{samm}', '--landmarks', 'template']),
        ('--speakers', ['build', '--release', 'deception', '--source', '{samm}', '--out', '{out}']),
        ('--source', ['build', '--release', 'flow_images', '--out', '{out}']),
        ('--list', ['build', '--release', 'flow_images', '--source', '{samm}', '--out', '{out}']),
        ('--out', ['synthesize', '--release', 'samm']),
        ('--list', ['synthesize', '--release', 'samm', '--out', '{out}']),
    ],
)
def test_so_it_is_in_every_command(samm, tmp_path, capsys, option, command, path, said):
    command = [each.format(samm=samm, out=tmp_path / 'out') for each in command]
    assert main([*command, option, path]) == 2
    err = capsys.readouterr().err
    assert f'{option} ' in err
    assert said in err


def test_an_error_of_the_system_is_one_sentence(samm, tmp_path, capsys, monkeypatch):
    def failing(*args, **options):
        raise OSError(28, 'No space left on device', 'a\x1b[31m.csv')

    monkeypatch.setattr('data_prep.dataset.assemble.survey', failing)
    assert build(samm, tmp_path / 'out') == 2
    err = capsys.readouterr().err
    assert err.startswith('error: ')
    assert 'No space left on device' in err
    assert '\x1b' not in err


@pytest.mark.slow
def test_names_and_cells_reach_the_terminal_without_control_characters(own, tmp_path, capsys):
    first, second, *_ = sorted((own / '006').iterdir())
    first.rename(own / f'006/\x1b[31m{first.name}\u202e')
    second.rename(own / os.fsdecode(b'006/\xe9'))
    assert main(arguments(own, '--workers', '1', command='check')) == 1
    assert main(arguments(own, '--workers', '1', '--json', '-', command='check')) == 1
    assert build(own, tmp_path / 'out', '--on-error', 'skip') == 0
    assert build(own, tmp_path / 'again\x1b[2J') == 2
    for text in capsys.readouterr():
        text.encode()
        assert '\x1b' not in text
        assert '\u202e' not in text


@pytest.mark.parametrize('name', ['check', 'build', 'synthesize'])
def test_an_unknown_release_is_answered_by_those_there_are_in_one_line(tmp_path, capsys, name):
    out = [] if name == 'check' else ['--out', str(tmp_path / 'out')]
    assert main([name, '--release', 'CASME', *out]) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: --release casme: expected one of casme2, smic, samm, ')
    assert said.count('\n') == 1


def test_a_release_is_named_in_any_case(samm, capsys):
    told = []
    for name in ('samm', 'SAMM'):
        assert main(['check', '--release', name, '--source', str(samm), '--json', '-']) == 1
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]


@pytest.mark.slow
def test_without_a_terminal_long_work_says_now_and_then_how_far_it_is(tmp_path, monkeypatch, capsys):
    clock = iter(range(0, 400, 4))  # four seconds a clip
    monkeypatch.setattr('data_prep.files.progress.time', types.SimpleNamespace(monotonic=lambda: next(clock)))
    options = ['--subjects', '1', '--workers', '1', '--out', str(tmp_path / 'out')]
    assert main(['synthesize', '--release', 'samm', *options]) == 0
    assert capsys.readouterr().err.splitlines() == ['samm: clips: 3 of 5, 12 s']


@pytest.mark.slow
def test_a_reader_that_ends_early_is_no_error_to_see(samm):
    command = [sys.executable, '-m', 'data_prep', *arguments(samm, '--workers', '1', command='check')]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdout.close()
    assert running.stderr.read() == b''
    running.stderr.close()
    assert running.wait() != 0
