"""A dataset of random flows, of as many clips and subjects as a test needs."""

import pathlib

import numpy as np

from dualatme_jax import schema


def write_clips(folder: pathlib.Path, clips_of_subjects, *, labels, databases) -> None:
    """Writes a dataset of random flows, brighter in a band of rows that tells the class."""
    from data_prep.dataset import writer
    from data_prep.dataset.example import Example
    from data_prep.views import flow as flow_view

    random = np.random.default_rng(0)
    band = 24 // len(labels)
    examples = []
    for subject, clips in enumerate(clips_of_subjects):
        for clip in range(clips):
            label = (subject + clip) % len(labels)
            flow = random.integers(100, 156, (2, *schema.FLOW_SHAPE), np.uint8)
            flow[:, band * label : band * (label + 1)] += 60
            examples.append(
                Example(
                    views={'flow': {schema.FLOW: flow[0], schema.FLOW_PUZZLED: flow[1]}},
                    label=labels[label],
                    database=databases[subject % len(databases)],
                    subject=f'00{subject}',
                    clip=f'clip{clip}',
                )
            )
    writer.write(
        writer.Contents(
            name=folder.name,
            description='Random flows.',
            citation='None.',
            licence='None.',
            labels=labels,
            recipe={'release': folder.name},
            views={'flow': writer.ViewFormat(features=flow_view.features(), recipe={})},
            examples=iter(examples),
            size=len(examples),
        ),
        folder,
    )
