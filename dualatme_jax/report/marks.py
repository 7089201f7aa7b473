"""What must stand wherever the scores of a run are shown."""

from collections.abc import Mapping
from typing import Any

from dualatme_jax import schema
from dualatme_jax.report import selection

SMOKE = 'SMOKE TEST, NOT A RESULT: a few folds, two epochs at most'
BEST_ON_TEST = 'LEAKS: the epoch was selected on whom each fold leaves out.'


def of_predictions(found: Mapping[str, Any]) -> list[str]:
    """The marks of all predictions of a run, by its results.json: its notice, and whether clips are drawn."""
    lines = str(found.get('notice') or '').splitlines()
    dataset = found.get('dataset')
    recipe = dataset if isinstance(dataset, Mapping) else {}
    if schema.is_synthetic(recipe) and not any(line.startswith(schema.AMONG_REAL) for line in lines):
        lines.append(schema.ALL_SYNTHETIC)
    return lines


def of_selection(found: Mapping[str, Any]) -> list[str]:
    """The mark of those that are the run's result, which are perhaps not of the last epoch."""
    return [BEST_ON_TEST] if found.get('selection') == selection.BEST_ON_TEST else []
