"""Options of the views that make clips as those of a dataset were made, by the recipe in its metadata.

What the recipe does not say, or what was not computed but drawn or given as pictures, is made as usual. What
it says and no option can bring about is refused by name.
"""

import argparse
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from data_prep.views import (
    View,
    bi_woof,
    contrast,
    flow,
    flow_steps,
    frames,
    head_motion,
    lbp_top,
    optical_flow,
)
from dualatme_jax import files, schema
from dualatme_jax.errors import InputError

_MOST_BYTES = 2**27
_NOT_COMPUTED = ('drawn', schema.UNKNOWN_TEXT)  # what stands there for an algorithm that nobody can name

# How a value of the recipe becomes that of an option.
Reading = Callable[[Any], Any]


def options(path: pathlib.Path, given: argparse.Namespace, views: Sequence[str]) -> argparse.Namespace:
    """Options with those of the views as a recipe has them.

    Args:
      path: JSON, with the metadata of a dataset as `recipe` and the shapes of its `inputs`.
      given: the options of the command line.
      views: the names of the views that are wanted.

    Raises:
      InputError: it is something else, or says what cannot be made from a video.
    """
    try:
        found = json.loads(files.read_bytes(path, limit=_MOST_BYTES, what='recipe'))
        recipe, inputs = found['recipe'], found['inputs']
        changed = dict(_read(recipe, inputs, views))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f'--like {path} is no recipe of a dataset ({error!r})') from error
    return argparse.Namespace(**vars(given) | changed)


def check(path: pathlib.Path, views: Sequence[View]) -> None:
    """Raises InputError where views are made otherwise than a recipe says that clips were."""
    recipe = json.loads(files.read_bytes(path, limit=_MOST_BYTES, what='recipe'))['recipe']
    for view in views:
        for key, made in view.recipe().items():
            if key == 'flow' and not _computed(recipe):
                continue
            if key in recipe and isinstance(made, Mapping) and isinstance(recipe[key], Mapping):
                for name in sorted({*made} & {*recipe[key]} - {'cv2', 'units', 'flow'}):
                    if json.dumps(made[name], sort_keys=True) != json.dumps(
                        recipe[key][name], sort_keys=True
                    ):
                        raise InputError(
                            f'the networks were trained on clips with {key}.{name} = {recipe[key][name]!r}, '
                            f'which cannot be made from a video ({made[name]!r} can); give other --weights'
                        )


def _read(
    recipe: Mapping[str, Any], inputs: Mapping[str, Any], views: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """(option, value) of everything that a recipe says of some views."""
    if {*views} & {'flow', 'flow_steps', 'parts', 'bi_woof'}:
        yield from _of_flow(recipe, inputs)
    if 'pair' in (recipe.get('regions') or {}):
        yield 'regions', recipe['regions']['pair']
    steps = recipe.get('flow_steps') or {}
    if 'flow_steps' in views and steps:
        by_steps = {json.dumps(value): name for name, value in schema.STEPS.items()}
        yield 'flow_steps', _one('flow_steps.steps', by_steps)(json.dumps(steps['steps']))
        yield 'still_steps', _one('flow_steps.still', _inverse(flow_steps.STILL))(steps['still'])
    for key in ('faces', 'frames'):
        if (own := recipe.get(key)) and {'faces': 'apex'}.get(key, key) in views:
            yield 'magnify', (own.get('magnified') or {'factor': 1.0})['factor']
    if 'apex' in views and recipe.get('faces'):
        yield 'face_size', recipe['faces']['size'][0]
    if 'frames' in views and (own := recipe.get('frames')):
        yield 'frame_count', own['number']
        yield 'frame_size', own['size'][0]
        yield 'frame_face', _one('frames.face', _inverse(frames.FACES))(own['face'])
        choice = own['choice'].removesuffix('; in order of time')
        yield 'frame_choice', _one('frames.choice', _inverse(frames.CHOICES))(choice)
        yield 'short_clips', _one('frames.short_clips', _inverse(frames.SHORT_CLIPS))(own['short_clips'])
        crop = _one('frames.crop', _inverse(frames.CROPS))(own['crop'])
        if crop == 'action_units':
            raise InputError(
                'the networks read crops around annotated action units, which nobody has annotated in a '
                'video; give other --weights'
            )
        yield 'frame_crop', crop
    if 'lbp_top' in views and (own := recipe.get('lbp_top')):
        yield 'face_size', own['face'][0]
        yield 'lbp_frames', own['frames'] if isinstance(own['frames'], int) else 0
        yield 'lbp_radii', own['radii']
        yield 'lbp_neighbours', own['neighbours']
        yield 'lbp_blocks', own['blocks'][0]
        yield 'lbp_codes', _one('lbp_top.codes', _inverse(lbp_top.CODES))(own['codes'])
    if 'bi_woof' in views and (own := recipe.get('bi_woof')):
        yield 'bi_woof_blocks', own['blocks'][0]
        yield 'bi_woof_histogram', _one('bi_woof.histogram', _inverse(bi_woof.HISTOGRAMS))(own['histogram'])


def _of_flow(recipe: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    own = recipe.get('flow') or {}
    if _computed(recipe):
        by_class = {type(optical_flow.solver(name)).__name__: name for name in optical_flow.ALGORITHMS}
        algorithm = _one('flow.algorithm', by_class)(own['algorithm'])
        yield 'flow', algorithm
        settable = {name[3:] for name in dir(optical_flow.solver(algorithm)) if name.startswith('set')}
        settings = {name: value for name, value in own.get('parameters', {}).items() if name in settable}
        yield 'flow_setting', [f'{name}={float(value)!r}' for name, value in settings.items()]
        yield 'contrast', _one('flow.contrast', _inverse(contrast.CONTRASTS))(_key(own.get('contrast')))
        by_motion = _inverse(head_motion.HEAD_MOTIONS)
        motion = own.get('head_motion', head_motion.HEAD_MOTIONS['none'])
        yield 'head_motion', _one('flow.head_motion', by_motion)(motion)
    strain = own.get('strain')
    if isinstance(strain, Mapping):
        yield 'strain', _one('flow.strain', {name: name for name in optical_flow.STRAINS})(strain['variant'])
        yield 'strain_smoothing', strain['smoothing_pixels']
    elif strain in optical_flow.STRAINS:
        yield 'strain', strain
    if schema.COMPUTED_AT in own:
        yield 'face_size', own[schema.COMPUTED_AT][0]
    if own.get('encoding') in flow.ENCODINGS:
        yield 'encoding', own['encoding']
        if own.get(schema.UNIT) in flow.UNITS:
            yield 'flow_units', own[schema.UNIT]
    if 'size' in own:
        yield 'size', own['size'][0]
    else:
        shapes = [about['shape'] for key, about in inputs.items() if key in schema.VIEWS['flow']]
        yield from (('size', shape[0]) for shape in shapes[:1])
    puzzled = recipe.get('flow_puzzled')
    if puzzled is not None:
        # What was cut from flow images was cut from those of the entire face.
        yield 'puzzled', _inverse(flow.PUZZLED).get(_key(puzzled), 'cut')


def _computed(recipe: Mapping[str, Any]) -> bool:
    """Whether the flow of a dataset is that of an algorithm, so that there is one to be named."""
    own = recipe.get('flow') or {}
    return 'algorithm' in own and own['algorithm'] not in _NOT_COMPUTED


def _inverse(table: Mapping[str, Any]) -> dict[str, str]:
    return {_key(value): name for name, value in table.items()}


def _key(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _one(name: str, known: Mapping[str, Any]) -> Reading:
    """Reads a value of the recipe that must be one of those known."""

    def read(value: Any) -> Any:
        if value not in known:
            raise InputError(
                f'the networks were trained on clips with {name} = {value!r}, which cannot be made from a '
                f'video; expected one of {", ".join(map(str, known))}: give other --weights'
            )
        return known[value]

    return read
