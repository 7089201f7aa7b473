"""From a folder of long videos to a dataset of windows: each says whether it meets an expression.

The clip of a window is `VIDEO#FRAME`, the frame in its middle, by which `dualatme_jax.spot` puts what a
network says of it at its place.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from data_prep.dataset import processes
from data_prep.dataset.example import Example
from data_prep.dataset.writer import Contents, ViewFormat
from data_prep.files import long_videos
from data_prep.files.long_videos import Expression, LongVideo
from data_prep.releases import synthetic_mark
from data_prep.video import detectors, recording, track, windows
from data_prep.video.spotter import MACRO, MICRO
from data_prep.video.windows import Window
from data_prep.views import optical_flow
from dualatme_jax import schema
from dualatme_jax.data import names
from dualatme_jax.errors import InputError, one_line
from dualatme_jax.files import expanded

RELEASE = 'windows'
EVERY = 0.1  # seconds
KINDS = (MICRO, MACRO)

Progress = Callable[[Iterable, int], Iterable]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How windows are made.

    Attributes:
      form: a key of `windows.FORMS`.
      seconds: from the first frame of a window to the last.
      every: from the start of a window to that of the next, in seconds.
      detector: a key of `detectors.DETECTORS`.
      algorithm: of the flow, a key of `optical_flow.ALGORITHMS`.
      kind: `micro` or `macro`: a window that meets one of the other kind alone is of the class neutral; None:
        of any kind.
    """

    form: str
    seconds: float
    every: float
    detector: str
    algorithm: str
    kind: str | None = None

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        solver = optical_flow.solver(self.algorithm, **optical_flow.SETTINGS[self.algorithm])
        return {
            'windows': dataclasses.asdict(self) | {'channels': windows.FORMS[self.form].about},
            'flow': optical_flow.recipe(solver) | {schema.COMPUTED_AT: [windows.SIZE] * 2},
        }


def read(
    source: str | os.PathLike,
    settings: Settings,
    *,
    database: str,
    workers: int,
    skipped: list[str],
    progress: Progress = lambda videos, total: videos,
) -> Contents:
    """Returns the dataset; videos are decoded as its examples are read.

    Args:
      source: the folder, see `long_videos`.
      settings: how windows are made.
      database: its name.
      workers: how many processes.
      skipped: takes the videos that no window can be made of, each with its fault, as examples are read.
      progress: wraps an iterable that yields as each video is done, given their number.

    Raises:
      InputError: a number out of range, a faulty folder; or, as examples are read, no video has a window.
    """
    for option, value in (('--step', settings.seconds), ('--every', settings.every)):
        if not 0 < value < math.inf:
            raise InputError(f'{option} {value:g}: expected seconds, above 0')
    detectors.detector(settings.detector)  # says what is missing
    folder = expanded(source, '--source')
    videos = long_videos.read(folder)
    for video in videos:
        if fault := names.fault_of_clip(database, video.subject, video.name):
            raise InputError(f'{folder}: {fault}')
        if settings.kind and not all(each.kind in KINDS for each in video.expressions):
            raise InputError(
                f'{folder / long_videos.TRUTH} does not say of which kind each expression of {video.name} '
                f'is; expected the column kind, with {" and ".join(KINDS)}'
            )
    return Contents(
        name=RELEASE,
        description='Motion of brows and mouth within a fixed time, along long videos.',
        citation='That of the videos.',
        licence='That of the videos.',
        labels=schema.WINDOW_LABELS,
        recipe={
            'release': RELEASE,
            'synthetic': [database] if synthetic_mark.above(folder) else [],
            'apex': schema.UNKNOWN_TEXT,
            'exclusions': [],
            'skipped': skipped,
        },
        views={RELEASE: ViewFormat(features=_features(), recipe=settings.recipe())},
        examples=_examples(videos, settings, database, workers, skipped, progress),
        size=sum(math.ceil(video.frames / video.rate / settings.every) for video in videos),
    )


def _features() -> dict:
    import tensorflow_datasets as tfds  # the workers that compute do without it

    doc = tfds.features.Documentation('u, v and strain of the brows above those of the mouth', '0..255')
    return {schema.WINDOWS: tfds.features.Image(shape=schema.WINDOWS_SHAPE, encoding_format='png', doc=doc)}


def _examples(
    videos: Sequence[LongVideo],
    settings: Settings,
    database: str,
    workers: int,
    skipped: list[str],
    progress: Progress,
) -> Iterator[Example]:
    done = processes.in_order(of_video, [(video, settings) for video in videos], workers)
    for video, found in zip(videos, progress(done, len(videos)), strict=True):
        if isinstance(found, str):
            skipped.append(f'{video.subject}/{video.name}: {found}')
            continue
        expressions = [each for each in video.expressions if settings.kind in (None, each.kind)]
        for window in found:
            yield Example(
                views={RELEASE: {schema.WINDOWS: window.picture}},
                label=label(window, expressions),
                database=database,
                subject=video.subject,
                clip=f'{video.name}#{window.middle:06}',
                onset=window.first,
                offset=window.last,
                frame_rate=video.rate,
            )
    if len(skipped) == len(videos):
        raise InputError('\n'.join(['no video has a window', *skipped]))


def of_video(video: LongVideo, settings: Settings) -> list[Window] | str:
    """The windows of one video, or its fault."""
    if settings.seconds * video.rate > video.frames - 1:
        return (
            f'it lasts {video.frames / video.rate:.2f} seconds, and a window takes {settings.seconds:g}: '
            'expected a longer video, or a shorter --step'
        )
    detector = detectors.detector(settings.detector)
    solver = optical_flow.solver(settings.algorithm, **optical_flow.SETTINGS[settings.algorithm])
    form = windows.FORMS[settings.form]
    try:
        tracked = track.follow(recording.find(video.path, rate=video.rate).frames(), detector)
        found = list(windows.of(tracked, form, seconds=settings.seconds, every=settings.every, flow=solver))
    except InputError as error:
        return one_line(error)
    return found or (
        f'{detector.name} found no face through any window of {settings.seconds:g} seconds; expected one '
        'that looks into the camera'
    )


def label(window: Window, expressions: Iterable[Expression]) -> str:
    """Whether the frames of a window, without the last, meet an expression; one of the classes."""
    meets = any(window.first <= offset and onset < window.last for onset, offset, *_ in expressions)
    return schema.EXPRESSION if meets else schema.NEUTRAL
