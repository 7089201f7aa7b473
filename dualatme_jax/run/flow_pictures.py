"""The motion that a run reads, as pictures: one clip per class, and where the regions lie.

Axes: H, W pixels, C channels.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.report import predictions
from dualatme_jax.report.pictures import drawn, flow
from dualatme_jax.training import encoding

NAME, REGIONS = 'flow', 'regions'
MOST = 8  # classes that are shown


def save(dataset: Dataset, selected: pd.DataFrame, folder: pathlib.Path) -> None:
    """Draws the typical clips (flow.png, flow.svg) and, if the dataset says where they lie, its regions.

    A dataset without flow has neither. Zero is the median of each of u and v, which stored flow has lost, and
    each has a scale of its own.

    Args:
      dataset: the clips, as they are stored.
      selected: predictions of one point.
      folder: where the files go.
    """
    clips = dataset.inputs.get(schema.FLOW)
    if clips is None or selected.empty:
        return
    place = {
        name: number
        for number, name in enumerate(zip(dataset.database, dataset.subject, dataset.clip, strict=True))
    }
    shown = {}
    for row in typical(selected)[:MOST].to_dict('records'):
        key = tuple(row[name] for name in predictions.CLIP_KEY)
        title = f'{dataset.labels[row[schema.LABEL]]}\n{schema.title(key[0])} {key[1]}/{key[2]}'
        stored = np.moveaxis(clips[place[key]], -1, 0)[..., None]
        found = encoding.robust(stored, schema.FLOW_CHANNELS)
        shown[title] = np.moveaxis(found[..., 0], 0, -1)
    boxes = boxes_of(dataset.metadata)
    drawn.save(flow.flows(shown, boxes), folder, NAME)
    if boxes:
        strain = clips[..., schema.FLOW_CHANNELS.index('strain')].mean(0)
        title = f'Mean strain of {dataset.size} clips, and the regions'
        drawn.save(flow.regions(strain, boxes, title=title), folder, REGIONS)


def typical(table: pd.DataFrame) -> pd.DataFrame:
    """One row per class that has clips: the clip that is most surely recognised, by the mean over seeds.

    That is by the probability of its true class, or where there are none by how many seeds are right.
    """
    names = predictions.probabilities(table.columns)
    if names:
        sure = table[names].to_numpy(float)[np.arange(len(table)), table[schema.LABEL]]
    else:
        sure = (table[schema.LABEL] == table['prediction']).to_numpy(float)
    keys = [schema.LABEL, *predictions.CLIP_KEY]
    means = table[keys].assign(sure=sure).groupby(keys, sort=True)['sure'].mean().reset_index()
    return means.loc[means.groupby(schema.LABEL)['sure'].idxmax()]


def boxes_of(metadata: Mapping[str, Any]) -> dict[str, list[float]]:
    """The regions of the puzzled face, as the metadata has them: see `flow.outline`.

    Empty where they lie elsewhere in each clip, by its landmarks, and of datasets that do not say.
    """
    regions = metadata.get('regions')
    boxes = regions.get('boxes') if isinstance(regions, Mapping) else None
    if not isinstance(boxes, Mapping):
        return {}
    return {
        name: list(box)
        for name, box in boxes.items()
        if len(box) == 4 and all(isinstance(edge, int | float) and 0 <= edge <= 1 for edge in box)
    }
