"""What every system is built from."""

from collections.abc import Iterable

from dualatme_jax.errors import InputError
from dualatme_jax.models.layers import initializers


def check(system: str, *, variants: Iterable[str], variant: str, dropout: float, init: str) -> None:
    """Raises InputError for a variant that the system does not have, no fraction, or no initialisation."""
    if variant not in variants:
        raise InputError(
            f'unknown {system} variant {variant!r}: config.model.variant takes '
            f'{", ".join(map(repr, variants))}'
        )
    if not 0 <= dropout < 1:
        raise InputError(f'config.model.dropout is {dropout}; expected a fraction in [0, 1)')
    initializers.check(init)
