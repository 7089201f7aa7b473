"""Scaling by what some clips hold: (x - mean) / (most - mean), one mean and one maximum for each input.

A trial takes those of the clips that it trains on (`fold`). Published code mostly takes those of all clips,
the left-out ones too (`whole_set`), which leaks.

Axes: N clips of the dataset, C channels, *S space and time, B examples of a batch.
"""

from collections.abc import Callable, Mapping

import jax
import numpy as np

from dualatme_jax.data.dataset import Dataset
from dualatme_jax.schema import BY_CLIPS, WHOLE_SET

LEAK = (
    'LEAKS: inputs are scaled by the mean and the maximum of all clips, those that are left out too '
    f'(config.input.scale={WHOLE_SET!r})'
)

# From the clips that count, [N] bool, to [mean, most] of each input by key.
Scaling = Callable[[np.ndarray], dict[str, np.ndarray]]


def of_clips(dataset: Dataset, scale: str) -> Scaling | None:
    """The scaling by some clips of a dataset; None of a scale that does not depend on clips.

    What each clip holds is summed up once, exactly; what the clips of a trial hold follows from N numbers.

    Args:
      dataset: the clips; inputs that are no bytes, such as a frozen stage makes, are not scaled.
      scale: as `config.input` has it; by `whole_set` all clips count, whatever the trial's are.
    """
    if scale not in BY_CLIPS:
        return None
    axes = {key: tuple(range(1, x.ndim)) for key, x in dataset.inputs.items() if x.dtype == np.uint8}
    means = {key: dataset.inputs[key].mean(own) for key, own in axes.items()}  # in float64
    most = {key: dataset.inputs[key].max(own) for key, own in axes.items()}

    def of(train: np.ndarray) -> dict[str, np.ndarray]:
        counted = np.ones_like(train) if scale == WHOLE_SET else train
        return {key: np.float32([means[key][counted].mean(), most[key][counted].max()]) for key in axes}

    return of


def scaled(inputs: Mapping[str, jax.Array], scaling: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Inputs [C, *S, B] scaled by [mean, most] of their key, if it has some; 1 is the largest value then.

    Of clips that are the same all over the result is 0.
    """

    def one(x: jax.Array, mean: jax.Array, most: jax.Array) -> jax.Array:
        return (x - mean) / jax.numpy.maximum(most - mean, np.finfo(np.float32).tiny)

    return {key: one(x, *scaling[key]) if key in scaling else x for key, x in inputs.items()}
