"""What `check` makes of a clip: nothing is kept, but all is decoded and placed that a build would need."""

import dataclasses

from data_prep.face import regions
from data_prep.face.aligned_clip import Prepared
from data_prep.files.cache import Cache


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Which frames are decoded: onset and apex, or with `span` all between onset and offset too."""

    name = 'look'

    span: bool

    def make(self, prepared: Prepared, cache: Cache) -> dict:
        """Raises InputError for a frame or a face that cannot be used; returns no values."""
        del cache
        prepared.pair(regions.GRID)
        prepared.boxes(regions.GRID)
        if self.span:
            for _ in prepared.span(regions.GRID):
                pass
        return {}
