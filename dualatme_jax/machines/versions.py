"""Which installed packages are of versions that this one was not made for; before they are imported."""

import importlib.metadata
import pathlib
import tomllib

from packaging.requirements import Requirement

_NAME = 'dualatme-jax'
_PYPROJECT = pathlib.Path(__file__).parents[2] / 'pyproject.toml'


def unsupported() -> list[str]:
    """One line per requirement that is not met."""
    return [line for requirement in _required() if (line := _unmet(requirement))]


def _required() -> list[Requirement]:
    """The core's requirements, by the checkout's pyproject.toml, else by what was installed."""
    if _PYPROJECT.is_file():
        given = tomllib.loads(_PYPROJECT.read_text(encoding='utf-8'))['project']['dependencies']
    else:
        given = importlib.metadata.requires(_NAME) or []
    return [
        need for need in map(Requirement, given) if not need.marker or need.marker.evaluate({'extra': ''})
    ]


def _unmet(need: Requirement) -> str:
    try:
        found = importlib.metadata.version(need.name)
    except importlib.metadata.PackageNotFoundError:
        return f'note: {need.name} is not installed; install it by `pip install "{need}"`'
    if need.specifier.contains(found, prereleases=True):
        return ''
    return (
        f'note: {need.name} {found} is installed, and this version of dualatme_jax was made for {need}; '
        f'if it fails, `pip install "{need}"`'
    )
