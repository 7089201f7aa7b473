"""Weights of a network within a frozen stage, from a file of PyTorch's or of safetensors."""

import pathlib
import tempfile

from dualatme_jax.errors import InputError
from dualatme_jax.models.stage import Part
from dualatme_jax.weights import names
from dualatme_jax.weights.reader import Reader


def read(part: Part, path: pathlib.Path) -> names.Variables:
    """The variables of a part; no code of the file is run.

    Raises:
      InputError: it cannot be read, is no file of weights, or has those of another network.
    """
    known = {layer.partition('.')[0] for layer in part.torch_names.values()}
    with tempfile.TemporaryDirectory() as scratch:
        tensors = Reader([path], known, pathlib.Path(scratch))[0].tensors
    try:
        return names.of_part(part, tensors)
    except InputError as error:
        raise InputError(f'{path}: {error}') from error
