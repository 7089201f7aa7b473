"""A view that is made by the recipe of another one has the same recipe."""

import json

import pytest

from data_prep import __main__ as command
from data_prep import views
from data_prep.synthetic import embedded
from data_prep.video import like
from dualatme_jax.errors import InputError

FLOW = (
    '--flow dis --face-size 160 --size 32 --encoding raw --flow-units eye_distances_per_second --regions FM'
)
FLOW += ' --strain quarter --strain-smoothing 2 --contrast clahe --head-motion affine --puzzled cut'


def parsed(*arguments):
    return command._parser().parse_args(['video', 'v.mp4', '--out', 'o', *arguments])


def written(tmp_path, recipe, inputs=None):
    path = tmp_path / 'like.json'
    path.write_text(json.dumps({'recipe': recipe, 'inputs': inputs or {}}))
    return path


@pytest.mark.parametrize(
    ('view', 'options'),
    [
        ('flow', FLOW),
        ('flow', '--flow-setting Lambda=0.3 --flow-setting MedianFiltering=3'),
        ('flow_steps', f'{FLOW} --flow-steps three --still-steps zero'),
        ('apex', '--face-size 112 --magnify 3'),
        (
            'frames',
            '--frame-count 9 --frame-size 64 --frame-choice even --short-clips refuse --frame-crop whole',
        ),
        ('frames', '--frame-face frame --frame-choice next --frame-crop landmarks --regions NM'),
        ('parts', '--flow dis --head-motion points --contrast local'),
        ('lbp_top', '--lbp-frames 0 --lbp-radii 2 2 1 --lbp-neighbours 8 --lbp-blocks 4 --lbp-codes uniform'),
        ('bi_woof', '--bi-woof-blocks 3 --bi-woof-histogram full-circle --flow farneback'),
    ],
)
def test_options_follow_from_a_recipe(tmp_path, view, options):
    wanted = views.of(view).of(parsed(*options.split())).recipe()
    assert wanted != views.of(view).of(parsed()).recipe()
    path = written(tmp_path, {'release': 'casme2', **wanted})
    made = views.of(view).of(like.options(path, parsed(), [view]))
    assert made.recipe() == wanted
    like.check(path, [made])


def test_drawn_motions_and_public_images_are_made_as_usual_at_their_size(tmp_path):
    recipe = {
        'release': 'synthetic_motion',
        'flow': {'algorithm': 'drawn', 'strain': 'symmetric', 'encoding': 'minmax_uint8'},
        'flow_puzzled': 'cut from the flow image of the entire face',
        'regions': {'pair': 'FM'},
    }
    path = written(tmp_path, recipe, {'flow': {'shape': [36, 36, 3], 'dtype': 'uint8'}})
    made = views.of('flow').of(like.options(path, parsed(), ['flow']))
    assert (made.algorithm, made.size, made.pair, made.puzzled) == ('tvl1', 36, 'FM', 'cut')
    like.check(path, [made])


def test_what_is_rendered_is_made_of_a_video_too(tmp_path):
    recipe = embedded.render().views['flow'].recipe
    path = written(tmp_path, recipe)
    made = views.of('flow').of(like.options(path, parsed(), ['flow']))
    assert (made.face_size, made.smoothing) == (112, 0)
    like.check(path, [made])


@pytest.mark.parametrize(
    ('recipe', 'message'),
    [
        ({'flow': {'algorithm': 'RAFT'}}, "flow.algorithm = 'RAFT', which cannot be made from a video"),
        ({'flow': {'algorithm': 'DISOpticalFlow', 'head_motion': 'guessed'}}, "flow.head_motion = 'guessed'"),
        ({'flow': {'algorithm': 'DISOpticalFlow', 'encoding': 'log'}}, "flow.encoding = 'log'"),
        ({'flow': {'algorithm': 'DISOpticalFlow', 'parameters': {'Shape': 1}}}, 'flow.parameters = '),
        ({'flow': ['dis']}, 'is no recipe of a dataset'),
    ],
)
def test_what_cannot_be_made_from_a_video_is_refused_by_name(tmp_path, recipe, message):
    path = written(tmp_path, recipe)
    with pytest.raises(InputError) as caught:
        like.check(path, [views.of('flow').of(like.options(path, parsed(), ['flow']))])
    assert message in str(caught.value)


def test_crops_by_annotated_action_units_are_refused(tmp_path):
    recipe = views.of('frames').of(parsed('--frame-crop', 'action_units')).recipe()
    with pytest.raises(InputError, match='which nobody has annotated in a video'):
        like.options(written(tmp_path, recipe), parsed(), ['frames'])
