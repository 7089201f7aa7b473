"""What to cite: the BibTeX entries of systems, databases and libraries, by their keys."""

import functools
import importlib.resources
import re
from collections.abc import Iterable

DATABASES = {
    'casme2': 'yan2014casme2',
    'smic': 'li2013smic',
    'samm': 'davison2018samm',
    'casme_sq': 'qu2018casmesq',
    'casme3': 'li2023casme3',
    'mmew': 'ben2022mmew',
    '4dme': 'li2023fourdme',
    'dfme': 'zhao2024dfme',
    'meview': 'husak2017meview',
    'deception': 'perez2015deception',
}
MEGC2019, HOLM, OURS = 'see2019megc', 'holm1979', 'dualatmejax'
JAX, FLAX, OPTAX, SKLEARN = 'jax2018', 'flax2020', 'deepmind2020jax', 'pedregosa2011sklearn'

_ENTRY = re.compile(r'^@\w+\{([^,\s]+),\n.*?^\}\n', re.MULTILINE | re.DOTALL)


@functools.cache
def entries() -> dict[str, str]:
    """Every entry of references.bib by its key."""
    text = importlib.resources.files(__package__).joinpath('references.bib').read_text(encoding='utf-8')
    return {found[1]: found[0] for found in _ENTRY.finditer(text)}


def used(keys: Iterable[str]) -> str:
    """The entries of some keys as a file, each once; keys of your own have none here."""
    known = entries()
    return '\n'.join(known[key] for key in dict.fromkeys(keys) if key in known)
