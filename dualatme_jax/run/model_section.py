"""The section `model` of a config: a system's name, and of its options those that are given, or all."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.run import fields


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """The section with every option of its system: as it is given, else as `build` has it.

    Raises:
      InputError: no such system, an option that it does not take, or a value of another type.
    """
    name, own = given['name'], models.system(given['name']).options
    for option in given:
        if option != 'name' and option not in own:
            raise InputError(unknown(name, option))
    taken = {option: known.default for option, known in own.items()}
    return {'name': name} | taken | {key: own[key].taken(given[key]) for key in own if key in given}


def of_another(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The section of a system, with those of the given options that it takes too."""
    own = models.system(name).options
    return {'name': name} | {option: value for option, value in given.items() if option in own}


def unknown(name: str, option: str) -> str:
    """Says that a system does not take an option."""
    own = models.system(name).options
    takes = ', '.join(own) or 'none'
    hint = fields.hint(option, own, 'config.model.')
    return f'config.model.{option}: {name!r} has no such option; it has {takes}{hint}'


def completed(config: ConfigDict) -> ConfigDict:
    """The config with its section complete; see `complete`."""
    return with_section(config, complete(config.model))


def with_section(config: ConfigDict, section: Mapping[str, Any]) -> ConfigDict:
    """The config with another section `model`."""
    changed = config.copy_and_resolve_references().unlock()
    changed.model = ConfigDict(section)
    return changed.lock()
