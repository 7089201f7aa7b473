"""The view `flow_steps`: the motion of the entire face in several steps, one behind the other.

Each step is a flow between two frames, computed as `--view flow` computes that from onset to apex, with the
same options. The first axis is the step, in the order of `schema.STEPS`. What is stored as bytes is scaled
over all steps of a clip together, so that the steps keep their proportions.

The offset of a clip whose release gives none, as SMIC's, is its last frame, where the clip surely ends; the
example says that its offset is unknown. The middle is the frame nearest to half the time from onset to apex,
the earlier of two. Where the apex is the offset, or no frame lies between onset and apex, a step would lead
from a frame to itself: such a clip is refused, or its step has no motion (`--still-steps zero`).
"""

import argparse
import dataclasses

import numpy as np

from data_prep.face import apex
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files import images
from data_prep.files.cache import Cache
from data_prep.releases.clip import Clip
from data_prep.views import optical_flow
from data_prep.views.flow import FlowView, measures
from dualatme_jax import schema
from dualatme_jax.errors import InputError

STILL = {
    'refuse': 'a clip with a step from a frame to itself is refused',
    'zero': 'a step from a frame to itself has no motion',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowStepsView:
    """Which steps there are, and how their flow is computed and stored.

    Attributes:
      flow: the view that computes the flow of each step, and whose size, encoding and units are taken.
      steps: a key of `schema.STEPS`.
      still: a key of `STILL`.
    """

    name = 'flow_steps'
    span = True
    shared = (
        'face_size',
        'size',
        'flow',
        'flow_setting',
        'encoding',
        'strain',
        'strain_smoothing',
        'contrast',
        'head_motion',
        'flow_units',
    )

    flow: FlowView = dataclasses.field(default_factory=FlowView)
    steps: str = 'two'
    still: str = 'refuse'

    def __post_init__(self):
        for option, value, known in (
            ('--flow-steps', self.steps, schema.STEPS),
            ('--still-steps', self.still, STILL),
        ):
            if value not in known:
                raise InputError(f'unknown {option} {value!r}: expected one of {", ".join(known)}')

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds the options of the steps."""
        parser.add_argument(
            '--flow-steps',
            default='two',
            choices=tuple(schema.STEPS),
            help='two: onset to apex, apex to offset; three: onset to the middle between onset and apex, on '
            'to the apex, on to the offset; from-onset: to each of these three from the onset (default: two)',
        )
        parser.add_argument(
            '--still-steps',
            default='refuse',
            choices=tuple(STILL),
            help='clips whose apex is the offset, or that have no frame between onset and apex: refuse them, '
            'or store no motion for such a step (default: refuse)',
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'FlowStepsView':
        """The view that the options ask for."""
        return cls(flow=FlowView.of(options), steps=options.flow_steps, still=options.still_steps)

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        return {
            'flow': self.flow.motion_recipe() | self.flow.stored_recipe(),
            'flow_steps': {
                'steps': [list(step) for step in schema.STEPS[self.steps]],
                'middle': 'the frame nearest to half the time from onset to apex, the earlier of two',
                'offset': 'where the release gives none, the last frame',
                'scaled': 'all steps of a clip together',
                'still': STILL[self.still],
            },
        }

    def features(self) -> dict:
        """The features of its dataset."""
        import tensorflow_datasets as tfds  # the workers that compute do without it

        number, size = len(schema.STEPS[self.steps]), self.flow.size
        shape = (size, size, len(schema.FLOW_CHANNELS))
        motion = 'motion of the entire face in steps: u rightwards, v downwards, strain'
        if self.flow.encoding == 'minmax_uint8':
            doc = tfds.features.Documentation(f'{motion}; each min-max scaled by clip', '0..255')
            step = tfds.features.Image(shape=shape, encoding_format='png', doc=doc)
            feature = tfds.features.Sequence(step, length=number)
        else:
            doc = tfds.features.Documentation(motion)
            feature = tfds.features.Tensor(shape=(number, *shape), dtype=np.float32, doc=doc)
        return {schema.FLOW_STEPS: feature} | measures((schema.FLOW_STEPS,))

    def check(self, clip: Clip) -> None:
        """Raises InputError, before a frame is decoded, for a clip without a frame that a step leads to."""
        if clip.apex != schema.UNKNOWN_FRAME:  # which is not spotted yet
            self.ends(clip)

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, list[bytes] | np.ndarray]:
        """Computes the view of one clip: a value for each of `features`.

        Raises:
          InputError: a frame that a step leads to is missing or cannot be decoded, nothing moves in any step,
            or the units need what is not known of the clip.
        """
        steps = [self._step(aligned, cache, ends) for ends in self.ends(aligned.clip)]
        if not any(map(optical_flow.moves, steps)):
            raise InputError('no motion: in every step the flow of the face is the same everywhere')
        stored = np.stack(steps)
        flat = stored.reshape(-1, *stored.shape[2:])  # one picture above the other
        if self.flow.encoding != 'raw':
            scaled = optical_flow.minmax(flat).reshape(stored.shape)
            stored = [images.encode_png(step) for step in scaled]
        return {
            schema.FLOW_STEPS: stored,
            schema.range_of(schema.FLOW_STEPS): optical_flow.span(flat),
            schema.EYE_DISTANCE: aligned.eye_distance(self.flow.face_size),
        }

    def ends(self, clip: Clip) -> list[tuple[int, int]]:
        """The numbers of the two frames of each step of a clip whose apex is known.

        Raises:
          InputError: two of them are one, and that is refused.
        """
        numbers, onset = apex.span_numbers(clip), apex.with_span(clip).onset
        between = [number for number in numbers if onset <= number <= clip.apex]
        frames = {
            schema.ONSET: onset,
            'middle': min(between, key=lambda number: abs(2 * number - onset - clip.apex)),
            schema.APEX: clip.apex,
            schema.OFFSET: numbers[-1],
        }
        ends = []
        for start, end in schema.STEPS[self.steps]:
            if frames[start] == frames[end] and self.still == 'refuse':
                raise InputError(
                    f'no step from {start} to {end}: both are the frame {frames[start]} (onset {onset}, apex '
                    f'{clip.apex}, last frame {numbers[-1]}); expected a later frame, or give '
                    f'--still-steps zero, which stores no motion for it'
                )
            ends.append((frames[start], frames[end]))
        return ends

    def _step(self, aligned: AlignedClip, cache: Cache, ends: tuple[int, int]) -> np.ndarray:
        """u, v and strain of one step as they are stored but for their scale, [size, size, 3] float32."""
        size = self.flow.size
        if ends[0] == ends[1]:
            return np.zeros((size, size, len(schema.FLOW_CHANNELS)), np.float32)
        channels = self.flow.channels(self.flow.flow(aligned, cache, ends))
        return optical_flow.resized(channels, size) / self.flow.units_of(aligned, ends)


VIEW = FlowStepsView
