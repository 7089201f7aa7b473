"""What benchmarks train: a system as its config has it, on random clips in the shape of MEGC2019-CD."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from configs import cd, leaderboard
from dualatme_jax import models, schema
from dualatme_jax.data.dataset import Dataset

if TYPE_CHECKING:
    from dualatme_jax.training.engine import Engine
    from dualatme_jax.training.step import Training

# Groups of the leaderboard whose systems are networks; all of them have one in `torch_systems`.
NETWORKS = ('flow', 'faces', 'clips')

# The config of each, by the name of the system.
SYSTEMS = {
    config.model.name: config
    for config in (
        importlib.import_module(f'configs.{name}').get_config()
        for group in NETWORKS
        for name in leaderboard.GROUPS[group]
    )
}

CONFIG = cd.get_config()  # of Dual-ATME
BATCH_SIZE = CONFIG.training.batch_size


def config(system: str) -> ConfigDict:
    """The config of a system of `SYSTEMS`, without augmentation, of bytes as they lie in the dataset.

    Motion would be encoded once, before anything is trained, which is no part of a step.
    ResNet-18 is the variant `small`: at 224x224 an epoch of one fold takes minutes on a CPU.
    """
    found = SYSTEMS[system].copy_and_resolve_references()
    if system == 'resnet18':
        found.model.variant = 'small'
    found.input.encoding = 'minmax'
    for strength in found.augment:
        found.augment[strength] = 0.0
    return found


def shape(key: str, settings: ConfigDict) -> tuple[int, ...]:
    """[*S, C] of an input as `config.data.build_options` has it built, or a frozen stage makes it."""
    channels, *usual = models.system(settings.model.name).usual_shape(key)
    if schema.view_of(key):
        usual = schema.built_size(key, settings.data.build_options)
    return (*usual, channels)


def random_clips(settings: ConfigDict = CONFIG, *, batches: int = 0) -> Dataset:
    """Random inputs of a system.

    Args:
      settings: its config.
      batches: 0 for clips as many as in MEGC2019-CD: 442 of 68 subjects, 6 or 7 of each. Else each fold
        trains so many whole batches an epoch: one clip more than they hold, each of a subject of its own.
    """
    clips, subjects = schema.MEGC2019_CD[schema.FULL]
    if batches:
        clips = subjects = batches * settings.training.batch_size + 1
    random = np.random.default_rng(0)
    subject = np.sort(np.arange(clips) % subjects)
    database = np.array(schema.COMPOSITE)[subject * len(schema.COMPOSITE) // subjects]
    return Dataset(
        inputs={
            key: random.integers(0, 256, (clips, *shape(key, settings)), np.uint8)
            for key in models.system(settings.model.name).reads
        },
        label=random.integers(0, len(schema.LABELS), clips).astype(np.int32),
        database=database,
        subject=np.array([f'{number:03d}' for number in subject]),
        clip=np.array([f'clip{number:03d}' for number in range(clips)]),
        labels=schema.LABELS,
        metadata={'release': 'random'},
    )


def full_epochs(settings: ConfigDict, batches: int) -> float:
    """How many epochs of `batches` make one of MEGC2019-CD, by the number of batches; 1 without."""
    clips, _ = schema.MEGC2019_CD[schema.FULL]
    return -(-clips // settings.training.batch_size) / batches if batches else 1.0


def training(dataset: Dataset, settings: ConfigDict = CONFIG) -> 'Training':
    """The training of one trial, by a system's config."""
    from dualatme_jax.run import (
        programs,
    )  # computes by JAX, which the other side of a comparison does without

    return programs.make_training(settings, dataset.labels)


def rows(dataset: Dataset, number: int, settings: ConfigDict = CONFIG) -> list[Mapping[str, Any]]:
    """The first rows of the table of trials: every subject left out, with as many seeds as it takes."""
    from dualatme_jax.run import programs
    from dualatme_jax.training import trials

    subjects = len(np.unique(dataset.subjects))
    table = trials.table(
        dataset,
        seeds=range(-(-number // subjects)),
        points=[programs.hyperparameters(settings, dataset.labels)],
        allow_missing_class=True,
    )
    return table[:number].to_dict('records')


def engine(dataset: Dataset, settings: ConfigDict = CONFIG, **options) -> 'Engine':
    """The engine of a system's config; `options` are of `Engine`, such as the precision."""
    from dualatme_jax.training.engine import Engine

    return Engine(
        training(dataset, settings),
        dataset.of(models.system(settings.model.name).reads),
        batch_size=settings.training.batch_size,
        **options,
    )
