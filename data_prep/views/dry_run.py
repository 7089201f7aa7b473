"""What `check` makes of a clip: nothing is kept, but all is decoded and placed that a build would need."""

import dataclasses

from data_prep.face import regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files.cache import Cache


@dataclasses.dataclass(frozen=True, kw_only=True)
class DryRun:
    """Which frames are decoded: onset and apex, or with `span` all between onset and offset too."""

    name = 'dry_run'

    span: bool

    def make(self, aligned: AlignedClip, cache: Cache) -> dict:
        """Raises InputError for a frame or a face that cannot be used; returns no values."""
        del cache
        aligned.pair(regions.GRID)
        aligned.boxes(regions.GRID)
        if self.span:
            for _ in aligned.span(regions.GRID):
                pass
        return {}
