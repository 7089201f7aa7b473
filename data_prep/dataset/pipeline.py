"""From clips to examples, over worker processes: in order, the same with any number of them."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import cv2

from data_prep.dataset import processes
from data_prep.dataset.example import Example
from data_prep.face import landmarks, overlay, regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files import images
from data_prep.files.cache import Cache
from data_prep.releases.clip import Clip, Problem
from data_prep.views import View
from data_prep.views.dry_run import DryRun
from dualatme_jax import schema
from dualatme_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What is done with each clip.

    Attributes:
      sources: database -> where its landmarks come from.
      views: what is made of each clip.
      cache: what keeps results that took long to compute.
      overlays: a folder for pictures of each face with its landmarks and regions, or None.
      pair: the regions that must be on each face; these pictures show the puzzled face of them.
    """

    sources: Mapping[str, landmarks.Source]
    views: Sequence[View | DryRun]
    cache: Cache
    overlays: pathlib.Path | None = None
    pair: str = 'EM'

    def do(self, clip: Clip, label: str) -> Example | Problem:
        """Returns the clip's example, or what is wrong with it.

        Raises:
          OSError: the cache or the overlays cannot be written.
        """
        try:
            aligned = AlignedClip(clip, self.sources[clip.database], self.cache, self.pair)
            padded = aligned.alignment(regions.GRID).outside()
            made = {view.name: view.make(aligned, self.cache) for view in self.views}
            if self.overlays:
                self._draw(aligned)
        except (InputError, cv2.error) as error:
            return Problem.of(clip, error)
        settled = aligned.clip
        return Example(
            views=made,
            label=label,
            database=settled.database,
            subject=settled.subject,
            clip=settled.clip,
            onset=settled.onset,
            apex=settled.apex,
            offset=clip.offset,  # not that of the frames there are, where the release gives none
            apex_choice=settled.apex_choice,
            action_units=settled.action_units,
            emotion=settled.emotion,
            frame_rate=_frame_rate(aligned),
            padded=padded,
        )

    def _draw(self, aligned: AlignedClip) -> None:
        name = '_'.join(aligned.clip.key).replace(os.sep, '_')
        self.overlays.mkdir(parents=True, exist_ok=True)
        (self.overlays / f'{name}.png').write_bytes(
            images.encode_png(images.rgb(overlay.of(aligned, self.pair)))
        )


def _frame_rate(aligned: AlignedClip) -> float:
    try:
        return aligned.frame_rate
    except InputError:  # a release that does not say it is no fault
        return schema.UNKNOWN_MEASURE


def run(work: Work, items: Sequence[tuple[Clip, str]], workers: int) -> Iterator[Example | Problem]:
    """Yields what becomes of each clip, in order; only a few results are in memory at any time.

    Args:
      work: what is done.
      items: clips with their labels.
      workers: how many processes; with 1 the work is done in this one.

    Raises:
      InputError: the cache cannot be written, or a worker died.
    """
    try:
        yield from processes.in_order(_do, items, workers, initializer=_take, initargs=(work,))
    except OSError as error:
        raise InputError(
            f'cannot write what was computed: {error}. What is done stays usable: make room, or name other '
            'places by --cache and --overlays, and give the same command again'
        ) from error


_work: Work  # of this process: sent to it once, not with every clip


def _take(work: Work) -> None:
    global _work
    _work = work


def _do(clip: Clip, label: str) -> Example | Problem:
    return _work.do(clip, label)
