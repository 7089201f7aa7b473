"""A function in segments, which its backward pass computes anew: less memory, for a third more work.

`jax.checkpoint` around a whole network saves nothing: the backward pass would have all its maps at once. Here
the network's program is cut where little passes from one side to the other. Only that is kept, and the maps
within a segment are computed again when the backward pass comes to it (Chen et al., Training deep nets with
sublinear memory cost, 2016). It needs to know nothing of the network.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

_MOST = 32  # segments: of very deep networks the root of their layers


def in_segments(function: Callable) -> Callable:
    """A function of the same values and gradients, whose backward pass keeps what passes between segments.

    Args:
      function: from trees of arrays, of which the first may be differentiated, to a tree of arrays. It is cut
        into as many segments as need least, as far as the sizes of its arrays show that.
    """

    def call(*arguments):
        program, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        given = [*program.consts, *jax.tree.leaves(arguments)]
        trained = len(jax.tree.leaves(arguments[0]))
        found = _evaluated(program.jaxpr, given, program.jaxpr.invars[:trained])
        return jax.tree.unflatten(jax.tree.structure(shape), found)

    return call


def _evaluated(jaxpr: core.Jaxpr, given: Sequence[Any], trained: Sequence[core.Var]) -> list[Any]:
    """The results of a program, segment by segment; only `trained`, and what depends on it, has gradients."""
    depends = set(trained)
    for eqn in jaxpr.eqns:
        if not depends.isdisjoint(_read(eqn)):
            depends.update(eqn.outvars)
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], given, strict=True))
    read_later = {atom for atom in jaxpr.outvars if isinstance(atom, core.Var)}
    parts = []
    for eqns in reversed(_segments(jaxpr.eqns)):
        made = dict.fromkeys(var for eqn in eqns for var in eqn.outvars)
        read = dict.fromkeys(atom for eqn in eqns for atom in _read(eqn) if atom not in made)
        parts.append((eqns, [*read], [var for var in made if var in read_later]))
        read_later |= read.keys()
    given_vars = set(values)
    for eqns, read, made in reversed(parts):
        effects = frozenset().union(*(eqn.effects for eqn in eqns))
        part = jaxpr.replace(constvars=[], invars=read, outvars=made, eqns=eqns, effects=effects)
        # Of what an earlier segment made; weights would be copied.
        late = [var not in given_vars for var in read]
        late = late if any(late) else [True] * len(read)
        segment = _twice(
            core.jaxpr_as_fun(core.ClosedJaxpr(part, ())), late, [var in depends for var in read]
        )
        values |= dict(zip(made, segment(*(values[var] for var in read)), strict=True))
    return [values[atom] if isinstance(atom, core.Var) else atom.val for atom in jaxpr.outvars]


def _twice(function: Callable, late: Sequence[bool], differs: Sequence[bool]) -> Callable:
    """The function, computed again in the backward pass, of which only the arguments are kept for it.

    Args:
      function: from arrays to arrays.
      late: of which arguments the second computation is made to depend on the cotangent, see `_after`.
      differs: which arguments it is differentiated by. Constants of a function with a gradient of its own
        cannot be among them.
    """
    twice = jax.custom_vjp(function)

    def backward(given, cotangents):
        floats = [c.ravel()[0] for c in cotangents if jnp.issubdtype(c.dtype, jnp.floating)]
        again = [_after(x, sum(floats)) if after else x for x, after in zip(given, late, strict=True)]

        def of(own):
            own = iter(own)
            return function(*(next(own) if mine else x for x, mine in zip(again, differs, strict=True)))

        own = [x for x, mine in zip(again, differs, strict=True) if mine]
        found = iter(jax.vjp(of, own)[1](cotangents)[0])
        return tuple(next(found) if mine else None for mine in differs)

    twice.defvjp(lambda *given: (function(*given), given), backward)
    return twice


def _after(x: jax.Array, cotangent: jax.Array) -> jax.Array:
    """`x`, which the compiler takes to depend on the cotangent, or it would merge both computations.

    On a CPU it does that with what `jax.checkpoint` computes twice. A cotangent that is NaN is of a trial
    that has diverged.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return jnp.where(jnp.isnan(cotangent), cotangent.astype(x.dtype), x)


def _read(eqn) -> list[core.Var]:
    return [atom for atom in eqn.invars if isinstance(atom, core.Var)]


def _bytes(var: core.Var) -> int:
    return math.prod(var.aval.shape) * getattr(var.aval.dtype, 'itemsize', 8)


def _segments(eqns: Sequence[Any]) -> list[Sequence[Any]]:
    """Equations in segments, for which what is kept between them, and the largest one, take least."""
    sizes = [sum(map(_bytes, eqn.outvars)) for eqn in eqns]
    until = list(itertools.accumulate(sizes, initial=0))
    last = {var: place for place, eqn in enumerate(eqns) for var in _read(eqn)}
    passing, alive = [], {}  # behind each equation: bytes of results that are read later
    for place, eqn in enumerate(eqns):
        alive |= {var: _bytes(var) for var in eqn.outvars}
        alive = {var: size for var, size in alive.items() if last.get(var, -1) > place}
        passing.append(sum(alive.values()))

    def cut(number: int) -> list[int]:
        """Ends of about `number` segments of equal size, each near the least that passes."""
        ends = set()
        for k in range(1, number):
            low, high = ((k + d) * until[-1] / number for d in (-0.5, 0.5))
            near = [place for place in range(len(eqns) - 1) if low <= until[place + 1] < high]
            ends |= {min(near, key=lambda place: passing[place]) + 1} if near else set()
        return [*sorted(ends), len(eqns)]

    def cost(ends: Sequence[int]) -> int:
        kept = sum(passing[end - 1] for end in ends[:-1])
        return kept + max(until[b] - until[a] for a, b in itertools.pairwise([0, *ends]))

    ends = min(map(cut, range(1, _MOST + 1)), key=cost)
    return [eqns[a:b] for a, b in itertools.pairwise([0, *ends])]
