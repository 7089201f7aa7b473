"""Options: what a system's `build` takes besides the number of classes, and checks that several share."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterable
from typing import Any

from dualatme_jax.errors import InputError, check_choice
from dualatme_jax.kinds import FRACTION, INT32, NUMBER, SWITCH, TEXT, Kind, several, shown, whole

CLASSES = 'classes'  # the keyword that is no option: the dataset says how many there are

_KINDS = {bool: SWITCH, int: whole(-INT32), float: NUMBER, str: TEXT}
_TYPES = 'bool, int, float, str, or a tuple of one of them such as tuple[int, ...]'


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a system.

    Attributes:
      name: as `config.model` has it.
      default: what it is where none is given.
      kind: what it may hold, by its type; `build` refuses what else cannot be.
      about: what it means, in words; empty where `build` does not say so.
    """

    name: str
    default: Any
    kind: Kind
    about: str = ''

    def taken(self, value: Any) -> Any:
        """A given value in the option's type; raises InputError if it is of another kind."""
        if isinstance(self.default, tuple) and isinstance(value, list):
            value = tuple(value)
        if not self.kind.fits(value):
            raise InputError(f'config.model.{self.name} is {shown(value)}; expected {self.kind.expected}')
        return float(value) if isinstance(self.default, float) else value


def of(build: Callable) -> dict[str, Option]:
    """The options of a `build`, by name: its keyword-only parameters but `classes`.

    What each means is said in the section `Args:` of its docstring.

    Raises:
      InputError: it has no `classes`, takes other parameters, or one without a default, or of another type
        than a config can hold.
    """
    found = {}
    try:
        parameters = dict(inspect.signature(build, eval_str=True).parameters)
    except (NameError, SyntaxError, TypeError, ValueError) as error:  # of annotations, or of no function
        raise InputError(f'{build!r} has no signature that can be read ({error})') from error
    if CLASSES not in parameters:
        raise InputError(f'build takes {", ".join(parameters) or "nothing"}; expected the keyword {CLASSES}')
    about = meanings(getattr(build, 'func', build).__doc__ or '')  # `func`: of a functools.partial
    for name, parameter in parameters.items():
        if parameter.kind != parameter.KEYWORD_ONLY:
            raise InputError(f'build takes {parameter}; expected keywords only: def build(*, {CLASSES}, ...)')
        if name == CLASSES:
            continue
        if name == 'name' or parameter.default is parameter.empty:
            fault = 'is what a system is called by' if name == 'name' else 'has no default'
            raise InputError(f'the option {name} of build {fault}; expected one such as width: int = 8')
        found[name] = _option(parameter, about.get(name, ''))
    return found


def _option(parameter: inspect.Parameter, about: str) -> Option:
    default, declared = parameter.default, parameter.annotation
    if declared is parameter.empty:
        declared = tuple[type(default[0]), ...] if isinstance(default, tuple) and default else type(default)
    many = typing.get_origin(declared) is tuple
    element = typing.get_args(declared)[0] if many else declared
    if element not in _KINDS:
        raise InputError(f'the option {parameter.name} of build is of the type {declared}; expected {_TYPES}')
    kind = several(_KINDS[element]) if many else _KINDS[element]
    if not kind.fits(default):
        raise InputError(f'the default of {parameter.name} is {shown(default)}; expected {kind.expected}')
    return Option(parameter.name, float(default) if declared is float else default, kind, about)


def meanings(docstring: str) -> dict[str, str]:
    """What the section `Args:` of a docstring says of each argument, on one line."""
    section = re.search(r'\n( *)Args:\n((?:\1 +\S.*\n)*)', docstring + '\n')
    if not section:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[2].splitlines():
        depth = len(line) - len(line.lstrip())
        head = re.match(r' *([\w, ]+): (.*)', line) if depth == len(section[1]) + 2 else None
        if head:
            names = head[1].split(', ')
            found |= dict.fromkeys(names, head[2])
        else:
            found |= {name: f'{found[name]} {line.strip()}' for name in names}
    return found


def check_variant(system: str, variant: str, variants: Iterable[str]) -> None:
    """Raises InputError for a variant that the system does not have."""
    check_choice(f'{system} variant', variant, 'config.model.variant', variants)


def check_dropout(dropout: float, option: str = 'dropout') -> None:
    """Raises InputError unless so much can be dropped: a fraction in [0, 1), also in float32."""
    if not FRACTION.fits(dropout):
        raise InputError(f'config.model.{option} is {dropout}; expected {FRACTION.expected}')
