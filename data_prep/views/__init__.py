"""One file per view: what a dataset shows of a clip. All views of a build share its aligned clip."""

import argparse
import importlib
from typing import TYPE_CHECKING, Any, Protocol

from dualatme_jax.errors import InputError

if TYPE_CHECKING:
    from data_prep.face.aligned_clip import AlignedClip
    from data_prep.files.cache import Cache

# view -> its file, whose class `VIEW` it is; read when the view is first asked for.
FILES = {
    'flow': 'flow',
    'flow_steps': 'flow_steps',
    'apex': 'apex',
    'frames': 'frames',
    'parts': 'parts',
    'lbp_top': 'lbp_top',
    'bi_woof': 'bi_woof',
}


class View(Protocol):
    """What every view has; it may also have `check(clip)`, which raises InputError before any work is done.

    One that reads files of its own has `check(clip)` too, which raises InputError where a clip has none.

    Attributes:
      name: its key in `FILES`; also the folder of its dataset, if a build has several.
      span: whether it reads the frames between onset and offset, and not only onset and apex.
      shared: the options that it heeds besides its own, such as `face_size`.
    """

    name: str
    span: bool
    shared: tuple[str, ...]

    @staticmethod
    def add_options(parser: Any) -> None:
        """Adds the options of the command line that only this view heeds."""

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'View':
        """Returns the view that the options ask for; raises InputError for one that cannot be."""

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""

    def features(self) -> dict:
        """Key of the schema -> TFDS feature, whose shape and dtype are known."""

    def make(self, aligned: 'AlignedClip', cache: 'Cache') -> dict:
        """Makes the view of one clip: a value for each of `features`; raises InputError where it cannot."""


def of(name: str) -> type[View]:
    """Returns the class of a view; raises InputError if there is none."""
    if name not in FILES:
        raise InputError(f'unknown --view {name!r}: expected one of {", ".join(FILES)}')
    return importlib.import_module(f'{__name__}.{FILES[name]}').VIEW


def heeded(name: str) -> set[str]:
    """Returns the names of all options that a view heeds."""
    own = argparse.ArgumentParser(add_help=False)
    of(name).add_options(own)
    return {*vars(own.parse_args([])), *of(name).shared}
