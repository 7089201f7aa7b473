"""Clips get their frames: the folder or video that belongs to each, and whether all frames are there."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from data_prep.files import cells, folders, frames
from data_prep.files.folders import Folder, Tree
from data_prep.files.frames import Images, Video
from data_prep.releases.annotations import Findings
from data_prep.releases.clip import NO_APEX, NO_ONSET, Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError

FORMS = ('cropped', 'raw')

# Where a clip's frames may lie: folders, or videos by their path.
FrameSource = Folder | pathlib.Path
# Key of a clip -> all that is there for it.
FrameSources = Mapping[tuple[str, str, str], Sequence[FrameSource]]

_SHOWN = 5


def by_trail(
    clips: Sequence[Clip], tree: Tree, trails: Callable[[Clip], Iterable[Sequence[str]]]
) -> FrameSources:
    """Finds the folders of each clip by the last names of their paths.

    Args:
      clips: without their frames.
      tree: where to look.
      trails: the names that a clip's folder may end in, the best first; what the first of them finds counts.
    """
    found = {}
    for clip in clips:
        options = (tree.find(*trail) for trail in trails(clip))
        found[clip.key] = next((option for option in map(_filled, options) if option), [])
    return found


def choose_form(
    sources: FrameSources, form: Callable[[FrameSource], str], frames: str | None
) -> tuple[FrameSources, str]:
    """Keeps the frames of one form, of those in which a release comes.

    Args:
      sources: what is there for each clip.
      form: one of `FORMS`.
      frames: the form that is wanted; None for the one that is there.

    Returns:
      What is there in that form; and the form, '' if there are no frames.

    Raises:
      InputError: both forms are there and none is wanted, or no such form.
    """
    if frames not in (None, *FORMS):
        raise InputError(f'unknown --frames {frames}: expected one of {", ".join(FORMS)}')
    there = sorted({form(source) for found in sources.values() for source in found})
    if frames is None and len(there) > 1:
        raise InputError(f'the frames are there as {" and as ".join(there)}: choose by --frames')
    chosen = frames or ''.join(there)
    return {key: [each for each in found if form(each) == chosen] for key, found in sources.items()}, chosen


def form(folder: Folder) -> str:
    """The form of a folder's frames: by its files, `reg_...` if aligned, or by the next name that says so."""
    if folder.image.lower().startswith('reg_'):
        return 'cropped'
    telling = [part for part in folder.parts if 'crop' in part or 'raw' in part or 'selected' in part]
    return 'cropped' if telling and 'crop' in telling[-1] else 'raw'


def add_frames(
    clips: Sequence[Clip],
    sources: FrameSources,
    tree: Tree,
    findings: Findings,
    *,
    example: str,
    whole: bool = False,
) -> list[Clip]:
    """Returns the clips with their frames, as far as they are there.

    A clip keeps the frames from the first to the last that its annotation names, since others' may lie in the
    same folder, and in videos of minutes. Where the offset is not given, a folder called like the clip holds
    it alone, and the last frame there is its offset; elsewhere the offset stays unknown.

    Args:
      clips: without frames.
      sources: what is there for each of them.
      tree: what was walked.
      findings: takes what is missing.
      example: what was looked for, such as `sub01/EP02_01f`.
      whole: whether onset and offset are simply the first and the last frame.
    """
    for path, reason in tree.unreadable.items():
        findings.note(tree.show(path), f'cannot be listed: {reason}')
    if clips and not any(sources.values()):
        text = f'no frames at all below {tree.source}: expected folders such as {example}'
        others = [folder for folder in tree.folders if folder.image]
        if others:
            text += f'; those there are other ones, such as {tree.show(others[0].path)}'
        findings.problem('', text)
        return list(clips)
    # Rows of one folder or video follow each other.
    listing, count = (functools.lru_cache(maxsize=2)(read) for read in (folders.listing, frames.count))
    return [_with_frames(clip, sources[clip.key], tree, findings, listing, count, whole) for clip in clips]


def note_others(
    sources: FrameSources, candidates: Iterable[FrameSource], tree: Tree, findings: Findings
) -> None:
    """Notes the folders or videos among the candidates that belong to no clip."""
    used = {_path(source) for found in sources.values() for source in found}
    others = [tree.show(_path(source)) for source in candidates if _path(source) not in used]
    if others and any(sources.values()):
        findings.note(str(tree.source), f'no row names the frames of {len(others)} others: {_some(others)}')


def _some(names: Sequence[str]) -> str:
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more


def _filled(found: Sequence[Folder]) -> list[Folder]:
    """Returns the folders with images; if there is none, the empty ones, to say so."""
    return [folder for folder in found if folder.image] or list(found)


def _path(source: FrameSource) -> pathlib.Path:
    return source.path if isinstance(source, Folder) else source


def _with_frames(
    clip: Clip,
    found: Sequence[FrameSource],
    tree: Tree,
    findings: Findings,
    listing: Callable[[pathlib.Path], folders.Listing],
    count: Callable[[pathlib.Path], int],
    whole: bool,
) -> Clip:
    name = f'{clip.subject}/{clip.clip}'
    if len(found) != 1:
        places = ', '.join(tree.show(_path(source)) for source in found)
        text = f'frames in {len(found)} places: {places}; keep one' if found else 'there is no folder for it'
        findings.problem(clip.row, f'{name}: {text}', clip)
        return clip
    place = tree.show(_path(found[0]))
    try:
        if not isinstance(found[0], Folder):
            return _with_video(clip, Video(found[0], count(found[0])), place, findings, whole)
        listed = listing(found[0].path)
    except InputError as error:
        findings.problem(clip.row, f'{name}: {error}', clip)
        return clip
    if not listed.paths:
        text = f'{name}: {place} is empty: it holds no image with a number in its name'
        findings.problem(clip.row, text, clip)
        return clip
    ended = clip.offset == schema.UNKNOWN_FRAME and found[0].name.endswith(folders.fold(clip.clip))
    if whole or ended:
        if strays := folders.strays(listed.paths):
            files = _some([listed.paths[number].name for number in strays])
            run = sorted(listed.paths.keys() - set(strays))
            where = f'the other frames, {run[0]} to {run[-1]}' if run else f'1 to {cells.LARGEST_FRAME}'
            text = (
                f'{name}: {files} in {place} lie far outside of {where}: '
                'take them away, or rename them if they are frames of the clip'
            )
            findings.problem(clip.row, text, clip)
        onset = min(listed.paths) if whole else clip.onset
        clip = dataclasses.replace(clip, onset=onset, offset=max(listed.paths))
    _check_end(clip, place, findings)
    first, last = _span(clip, listed.paths)
    for number, files in listed.doubles.items():
        if first <= number <= last:
            text = f'{name}: {" and ".join(files)} in {place} both have the number {number}'
            findings.problem(clip.row, text, clip)
    _check_frames(clip, listed.paths, place, findings)
    kept = {number: path for number, path in listed.paths.items() if first <= number <= last}
    return dataclasses.replace(clip, frames=Images(kept) if kept else None)


def _with_video(clip: Clip, video: Video, place: str, findings: Findings, whole: bool) -> Clip:
    if whole:
        clip = dataclasses.replace(clip, onset=0, offset=video.count - 1)
    _check_end(clip, place, findings)
    _check_frames(clip, range(video.count), place, findings)
    return dataclasses.replace(clip, frames=video)


def _span(clip: Clip, numbers: Collection[int]) -> tuple[int, int]:
    """Returns the first and the last frame number that concern the clip."""
    known = [number for number in (clip.onset, clip.apex, clip.offset) if number != schema.UNKNOWN_FRAME]
    if clip.onset == schema.UNKNOWN_FRAME or len(known) < 2:
        return min(numbers), max(numbers)
    return min(known), max(known)


def _check_end(clip: Clip, place: str, findings: Findings) -> None:
    if clip.onset != schema.UNKNOWN_FRAME and {clip.apex, clip.offset} == {schema.UNKNOWN_FRAME}:
        text = (
            f'{clip.subject}/{clip.clip}: neither its apex nor its offset is given, and {place} may hold more'
        )
        findings.problem(clip.row, text, clip)


def _check_frames(clip: Clip, numbers: Collection[int], place: str, findings: Findings) -> None:
    """Says which annotated frames are not there, and how many between onset and offset."""
    name = f'{clip.subject}/{clip.clip}'
    # An apex can still come from elsewhere; and the offset only ends the clip: in SAMM's own sheet, one
    # lies behind the last frame.
    for what in ('onset', 'apex', 'offset'):
        number = getattr(clip, what)
        if number != schema.UNKNOWN_FRAME and number not in numbers:
            span = f'{len(numbers)} frames from {min(numbers)} to {max(numbers)}'
            text = f'{name}: there is no frame {number}, its {what}: {place} has {span}'
            if what == 'onset':
                findings.problem(clip.row, text, clip, kind=NO_ONSET)
            else:
                findings.note(clip.row, text, clip, kind=NO_APEX if what == 'apex' else '')
    if schema.UNKNOWN_FRAME in (clip.onset, clip.offset) or clip.onset > clip.offset:
        return
    inside = sum(clip.onset <= number <= clip.offset for number in numbers)
    ends = sum(number not in numbers for number in {clip.onset, clip.offset})
    between = clip.offset - clip.onset + 1 - inside - ends
    if between:
        findings.note(clip.row, f'{name}: frames missing between onset and offset: {between}', clip)
