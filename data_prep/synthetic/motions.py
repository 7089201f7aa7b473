"""A synthetic release of motions: flows of aligned faces, thousands in seconds, to train networks on.

It is marked synthetic, has subjects and classes as any other, and needs no files.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from data_prep.dataset.example import Example
from data_prep.dataset.writer import Contents, ViewFormat
from data_prep.face import regions
from data_prep.synthetic import motion, motion_units
from data_prep.synthetic.motion import Statistics
from data_prep.views import flow as flow_view
from data_prep.views import optical_flow
from dualatme_jax import schema
from dualatme_jax.errors import InputError

DATABASE = 'motions'
RELEASE = 'synthetic_motion'
CLIPS = 6000
CLIPS_OF_SUBJECT = 20
MOST_CLIPS = 1_000_000
STATISTICS = Statistics()


def draw(
    seed: int = 0, clips: int = CLIPS, *, pair: str = 'EM', statistics: Statistics = STATISTICS
) -> Contents:
    """Returns the release; its clips are drawn as they are read.

    Args:
      seed: another seed gives other faces and other motions. Each clip has its own stream of random numbers.
      clips: how many, a third of each class.
      pair: which regions make the puzzled flow, one of `regions.PAIRS`.
      statistics: of faces and motions.

    Raises:
      InputError: an unknown pair, a negative seed, or a number of clips out of range.
    """
    regions.check_pair(pair)
    if seed < 0:
        raise InputError(f'--seed {seed} is negative: expected 0 or more')
    if not len(schema.LABELS) <= clips <= MOST_CLIPS:
        raise InputError(f'--clips {clips}: expected {len(schema.LABELS)} to {MOST_CLIPS}')
    return Contents(
        name=RELEASE,
        description='Motions of faces from onset to apex, drawn from action units: no picture, no person.',
        citation='The synthetic release of motions of dualatme_jax.',
        licence='Free of rights: drawn from random numbers.',
        recipe={
            'release': RELEASE,
            'synthetic': [DATABASE],
            'seed': seed,
            'apex': 'drawn',
            'exclusions': [],
            'statistics': dataclasses.asdict(statistics),
            'combinations': {label: dict(found) for label, found in motion_units.COMBINATIONS.items()},
        },
        views={
            'flow': ViewFormat(
                features=flow_view.features(),
                recipe={
                    'regions': regions.recipe(pair),
                    'flow_puzzled': 'cut from the flow image of the entire face',
                    'flow': {'algorithm': 'drawn', 'strain': 'symmetric', 'encoding': 'minmax_uint8'},
                },
            )
        },
        examples=_examples(seed, clips, pair, statistics),
        size=clips,
    )


def _examples(seed: int, clips: int, pair: str, statistics: Statistics) -> Iterator[Example]:
    boxes = regions.template_boxes(schema.FLOW_SHAPE[:2])
    for number in range(clips):
        subject, clip = divmod(number, CLIPS_OF_SUBJECT)
        if not clip:
            who = motion.person(_stream(seed, subject, 0), statistics)
        label = schema.LABELS[number % len(schema.LABELS)]
        random = _stream(seed, subject, 1 + clip)  # 0 is the person: NumPy pads keys by zeros
        units = motion.choose(random, label, statistics)
        channels = optical_flow.channels(motion.flow(random, units, who, statistics))
        image = optical_flow.minmax(optical_flow.resized(channels, schema.FLOW_SIZE))
        puzzled = image if pair == 'full' else regions.puzzle(image, pair, boxes)
        yield Example(
            views={'flow': {schema.FLOW: image, schema.FLOW_PUZZLED: puzzled}},
            label=label,
            database=DATABASE,
            subject=f'sub{subject + 1:05}',
            clip=f'clip{clip + 1:02}',
            apex_choice='drawn',
            action_units='+'.join(units),
        )


def _stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(key))
