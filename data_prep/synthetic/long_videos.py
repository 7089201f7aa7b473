"""Synthetic videos in which things happen at known times: to try spotting, and all that follows from it.

A face is neutral most of the time. It shows micro-expressions (a fifth to half of a second) and
macro-expressions (longer and stronger), and what is none: blinks, turns of the head, talking; the head
wanders all the time. A folder of videos holds

    VIDEO.mp4          of `video` one, `video.mp4`; of `long_videos` one or more per subject, in `videos/`
    truth.csv          subject,video,onset,apex,offset,emotion,kind,notice: the expressions, frames from 0;
                       the notice says that all is drawn
    happenings.csv     the same of what is none, without an emotion
    videos.csv         subject,video,frames,frame_rate

and its mark, `synthetic.json`. `python -m dualatme_jax.score --spotting` reads the tables.
"""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from data_prep.dataset import processes
from data_prep.releases import synthetic_mark
from data_prep.synthetic import action_units, sheets
from data_prep.synthetic.film import Camera, Expression, Film
from data_prep.synthetic.render_clip import person_of, rise_and_fall, stream, write_video
from dualatme_jax import schema, scratch
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded

RATE = 30  # frames a second
CAMERA = Camera(width=640, height=480, colour=True, unit=(9.0, 10.0), noise=1.5)
TRUTH, HAPPENINGS, VIDEOS = 'truth.csv', 'happenings.csv', 'videos.csv'
COLUMNS = ['subject', 'video', 'onset', 'apex', 'offset', 'emotion', 'kind', schema.NOTICE]

MICRO, MACRO, BLINK, TURN, TALK = 'micro', 'macro', 'blink', 'turn', 'talk'
EXPRESSIONS = (MICRO, MACRO)

# Seconds from onset to apex and from apex to offset, least and most. A micro-expression lasts half a second
# at the most (Yan et al., Journal of Nonverbal Behavior 37, 2013), a blink a tenth to four tenths.
_RISE = {MICRO: (0.1, 0.2), MACRO: (0.3, 0.8), BLINK: (0.07, 0.1), TURN: (0.5, 0.9), TALK: (0.8, 1.5)}
_FALL = {MICRO: (0.13, 0.27), MACRO: (0.4, 1.0), BLINK: (0.1, 0.2), TURN: (0.5, 0.9), TALK: (0.8, 1.5)}
_GAP = 0.8  # seconds between two of them, at least
# Where the face moves most, in pixels of an aligned face of 224.
_PEAK = {MICRO: (1.2, 2.5), MACRO: (3.0, 6.0)}

_LIDS = [(8.5, 7.5, 2.2, 0.8, 0.0, 1.0)]  # a bump of the left half, as those of `action_units.ACTION_UNITS`
_LID_WAY = 1.1  # template units that a lid comes down
_TURN_WAY, _TURN_PARALLAX = (0.5, 1.2), 0.25  # template units; the nose goes further, by this share
_SYLLABLE = 0.23  # seconds
_TALK_WAY = 0.35  # template units that the lips part
# How far the head wanders, in template units, degrees, and relative to its size; and the seconds of a period.
_WANDER, _PERIODS = np.array([0.08, 0.08, 0.3, 0.002]), (3.0, 9.0)
_UNIT = 224 / 28


@dataclasses.dataclass(frozen=True)
class Happening:
    """One thing that happens in a video.

    Attributes:
      kind: such as `micro`.
      onset: frame, counted from 0, as apex and offset.
      apex: frame.
      offset: frame.
      emotion: of an expression one of `schema.LABELS`, else empty.
    """

    kind: str
    onset: int
    apex: int
    offset: int
    emotion: str = ''


@dataclasses.dataclass(frozen=True)
class Script:
    """What is filmed.

    Attributes:
      subject: who.
      video: the name of the file, without its suffix.
      frames: how many.
      happenings: what happens, in order of time.
    """

    subject: str
    video: str
    frames: int
    happenings: tuple[Happening, ...]


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a release of videos holds.

    Attributes:
      subjects: how many people.
      each: videos of each.
      seconds: of a video.
      counts: kind -> how often it happens in a video.
    """

    subjects: int
    each: int
    seconds: float
    counts: Mapping[str, int]


RELEASES = {
    'video': Contents(1, 1, 20.0, {MICRO: 3, BLINK: 4, TURN: 1}),
    'long_videos': Contents(12, 2, 60.0, {MICRO: 4, MACRO: 3, BLINK: 10, TURN: 4, TALK: 2}),
}

Progress = Callable[[Iterable, int], Iterable]


def write(
    release: str,
    out: str | os.PathLike,
    *,
    seed: int = 0,
    subjects: int | None = None,
    workers: int | None = None,
    progress: Progress = lambda videos, total: videos,
) -> None:
    """Renders videos and writes them with their truth to a folder, whole or not at all.

    Args:
      release: a key of `RELEASES`.
      out: a folder that is new or empty; its parents are made.
      seed: another seed gives other faces, and other things at other times.
      subjects: how many people; by default as many as the release has.
      workers: how many processes render, one per processor by default; the files do not depend on it.
      progress: wraps an iterable that yields as each video is done, given their number.

    Raises:
      InputError: an argument out of range, an `out` that is not empty or cannot be written, or a worker that
        died.
    """
    contents = RELEASES[release]
    if seed < 0:
        raise InputError(f'--seed {seed} is negative: expected 0 or more')
    if subjects is not None and subjects < 1:
        raise InputError(f'--subjects {subjects}: expected 1 or more')
    people = [f's{number:02}' for number in range(1, (subjects or contents.subjects) + 1)]
    alone = len(people) * contents.each == 1
    scripts = [
        script(
            stream(seed, release, who, str(number), 'script'),
            subject=who,
            video='video' if alone else f'{who}_{number}',
            contents=contents,
        )
        for who, number in itertools.product(people, range(1, contents.each + 1))
    ]
    with scratch.new_folder(expanded(out, '--out').resolve()) as folder:
        place = folder if alone else folder / 'videos'
        jobs = [(seed, release, each, place / f'{each.video}.mp4') for each in scripts]
        done = processes.in_order(render, jobs, workers or processes.available())
        for _ in progress(done, len(jobs)):
            pass
        for name, wanted in ((TRUTH, True), (HAPPENINGS, False)):
            rows = [
                [
                    each.subject,
                    each.video,
                    own.onset,
                    own.apex,
                    own.offset,
                    own.emotion,
                    own.kind,
                    schema.ALL_SYNTHETIC,
                ]
                for each in scripts
                for own in each.happenings
                if (own.kind in EXPRESSIONS) == wanted
            ]
            sheets.write(folder / name, [COLUMNS, *rows])
        lengths = [[each.subject, each.video, each.frames, RATE] for each in scripts]
        sheets.write(folder / VIDEOS, [['subject', 'video', 'frames', 'frame_rate'], *lengths])
        synthetic_mark.write(folder, release=release, seed=seed)


def script(random: np.random.Generator, *, subject: str, video: str, contents: Contents) -> Script:
    """Draws what happens when; between two things lie `_GAP` seconds at least."""
    frames = round(contents.seconds * RATE)
    kinds = [kind for kind, number in contents.counts.items() for _ in range(number)]
    kinds = [kinds[place] for place in random.permutation(len(kinds))]
    spans = [[max(2, round(random.uniform(*half[kind]) * RATE)) for half in (_RISE, _FALL)] for kind in kinds]
    free = frames - sum(map(sum, spans)) - round(_GAP * RATE) * (len(kinds) + 1)
    if free < 0:
        raise InputError(f'{contents.seconds:g} seconds are too short for {len(kinds)} things to happen')
    # The free frames are dealt out evenly at random before, between and after.
    rests = np.diff([0, *np.sort(random.integers(0, free + 1, size=len(kinds))), free])
    emotions = itertools.cycle(schema.LABELS[place] for place in random.permutation(len(schema.LABELS)))
    happenings, now = [], 0
    for kind, (rise, fall), rest in zip(kinds, spans, rests[:-1], strict=True):
        onset = now + round(_GAP * RATE) + int(rest)
        emotion = next(emotions) if kind in EXPRESSIONS else ''
        happenings.append(Happening(kind, onset, onset + rise, onset + rise + fall, emotion))
        now = onset + rise + fall
    return Script(subject, video, frames, tuple(happenings))


def render(seed: int, release: str, script: Script, file: pathlib.Path) -> None:
    """Renders one video.

    Raises:
      OSError: it cannot be written.
    """
    film = filmed(seed, release, script)
    write_video(film.frames(), file, RATE)


def filmed(seed: int, release: str, script: Script, camera: Camera = CAMERA) -> Film:
    """The film of a script."""
    person, texture = person_of(seed, release, script.subject, camera.colour)
    random = stream(seed, release, script.subject, script.video)
    path = _wandering(random, script.frames)
    expressions = [Expression([], np.zeros(script.frames))]
    for each in script.happenings:
        bumps, strength = _shown(random, each), np.zeros(script.frames)
        shape = rise_and_fall(each.offset - each.onset + 1, each.apex - each.onset)
        if each.kind == TALK:
            phase = np.arange(len(shape)) * 2 * np.pi / (_SYLLABLE * RATE)
            shape = np.minimum(1, 3 * shape) * (1 - np.cos(phase)) / 2
        strength[each.onset : each.offset + 1] = shape
        expressions.append(Expression(bumps, strength))
        if each.kind == TURN:
            way = random.choice([-1, 1]) * random.uniform(*_TURN_WAY)
            path[:, 0] += way * strength
            nose = action_units.Bump(14.0, 15.0, 5.0, 7.0, way * _TURN_PARALLAX, 0.0)
            expressions[-1] = Expression([nose], strength)
    return Film(random, camera, person, texture, expressions, script.frames - 1, path=path)


def _shown(random: np.random.Generator, happening: Happening) -> list[action_units.Bump]:
    if happening.kind in EXPRESSIONS:
        units = action_units.choose(random, action_units.EMOTIONS[happening.emotion])
        peak = np.exp(random.uniform(*np.log(_PEAK[happening.kind]))) / _UNIT
        return action_units.scaled(action_units.bumps(random, units, 1.0), peak)
    if happening.kind == BLINK:
        return [
            action_units.Bump(14 + side * (x - 14), y, width, height, side * dx, dy * _LID_WAY)
            for x, y, width, height, dx, dy in _LIDS
            for side in (1, -1)
        ]
    if happening.kind == TALK:
        return action_units.bumps(random, {'25': 1.0, '26': 0.7}, _TALK_WAY)
    return []


def _wandering(random: np.random.Generator, frames: int) -> np.ndarray:
    """A head that is never quite still, [frames, 4]; see `Film`."""
    seconds = np.arange(frames)[:, None] / RATE
    found = np.zeros((frames, 4))
    for _ in range(2):
        period, phase = random.uniform(*_PERIODS, size=4), random.uniform(0, 2 * np.pi, size=4)
        found += _WANDER / 2 * np.sin(2 * np.pi * seconds / period + phase)
    return found - found[0]
