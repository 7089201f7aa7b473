"""What a run has traced is kept for the next one, which then traces nothing.

JAX keeps what XLA has compiled; to find it there, it must first trace the function in Python, which takes
longer than all else that a run with kept programs does. So the result of tracing lies beside the compiled
programs, under everything that it depends on: the source of this package, versions, settings of JAX, devices,
and the shapes of the arguments.
"""

import functools
import hashlib
import importlib.metadata
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax
from jax import export
from jax.sharding import NamedSharding

from dualatme_jax import files
from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.trials import Trial

FOLDER = 'traced'  # in that of the compiled programs

_MOST_BYTES = 2**28  # of a file: hundreds of times what the largest has
_LIBRARIES = ('flax', 'jax', 'jaxlib', 'numpy', 'optax')
# Settings of JAX that change no program.
_UNREAD = ('cache', 'cpu_devices', 'log', 'platform', 'traceback')

for _class in (Clips, State, Trial):
    export.register_pytree_node_serialization(
        _class,
        serialized_name=f'dualatme_jax.{_class.__name__}',
        serialize_auxdata=lambda _: b'',
        deserialize_auxdata=lambda _: (),
    )
for _class in (optax.EmptyState, optax.ScaleByAdamState, optax.TraceState):
    export.register_namedtuple_serialization(_class, serialized_name=f'optax.{_class.__name__}')


def kept(function: Callable, name: str, shardings: Sequence[NamedSharding]) -> Callable:
    """A function that calls `function`, as it was traced in an earlier run if there was one.

    Args:
      function: under `jax.jit`, on the devices of one process.
      name: distinguishes it from the others of this package.
      shardings: where the leaves of each of its arguments lie.
    """

    def call(*arguments):
        folder = jax.config.jax_compilation_cache_dir
        if not folder or jax.process_count() > 1:
            return function(*arguments)
        shapes = [
            jax.tree.map(
                lambda x, place=place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), argument
            )
            for argument, place in zip(arguments, shardings, strict=True)
        ]
        path = pathlib.Path(folder) / FOLDER / _key(name, shapes)
        if (found := _read(path)) is None:
            try:
                found = export.export(function)(*shapes)
                _write(path, found.serialize())
            except Exception:  # it holds what cannot be kept, or the folder cannot be written
                return function(*arguments)
        return found.call(*arguments)

    return call


def _key(name: str, shapes: Any) -> str:
    leaves, tree = jax.tree.flatten(shapes)
    device = leaves[0].sharding.mesh.devices.flat[0]
    known = (_world(), name, str(tree), [str(leaf) for leaf in leaves], device.platform, device.device_kind)
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _world() -> str:
    """What the programs of this package depend on, apart from their arguments."""
    settings = {key: value for key, value in jax.config.values.items() if not any(map(key.count, _UNREAD))}
    return repr((_source(), sorted(settings.items(), key=str)))


@functools.cache
def _source() -> str:
    package = pathlib.Path(__file__).parents[1]
    digest = hashlib.sha256(repr([importlib.metadata.version(name) for name in _LIBRARIES]).encode())
    for path in sorted(package.rglob('*.py')):
        digest.update(f'{path.relative_to(package)}\0'.encode() + path.read_bytes() + b'\0')
    return digest.hexdigest()


def _read(path: pathlib.Path) -> export.Exported | None:
    """What `_write` has written; None if it is not there, or not as it was written."""
    if not path.is_file():
        return None
    content = files.read_bytes(path, limit=_MOST_BYTES, what='traced program')
    digest, program = content[:32], content[32:]
    if hashlib.sha256(program).digest() != digest:
        return None
    return export.deserialize(bytearray(program))


def _write(path: pathlib.Path, program: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(program).digest() + program)
