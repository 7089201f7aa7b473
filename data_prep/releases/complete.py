"""Where the clips of a release are not those of the complete one: in which subjects, and which clips."""

import collections
from collections.abc import Iterator, Mapping, Sequence

from data_prep.releases.clip import Clip
from data_prep.releases.protocols import Complete

SHOWN = 10  # clips or subjects


def differences(complete: Complete, labels: Sequence[str], items: Sequence[tuple[Clip, str]]) -> list[str]:
    """Returns where a database's clips are not those of the complete one, subject by subject.

    Args:
      complete: what it has; where `by_subject` is unknown, nothing can be said.
      labels: of the protocol.
      items: the clips of the database with their labels.

    Returns:
      A sentence for each subject and class; none where more than `SHOWN` subjects differ: that is no slip.
    """
    if not complete.by_subject:
        return []
    found = {subject: collections.defaultdict(list) for subject in complete.by_subject}
    for clip, label in items:
        found.setdefault(clip.subject, collections.defaultdict(list))[label].append(clip.clip)
    different = [
        sentences
        for subject, classes in found.items()
        if (sentences := list(_of_subject(complete, labels, subject, classes)))
    ]
    return [each for sentences in different for each in sentences] if len(different) <= SHOWN else []


def _of_subject(
    complete: Complete, labels: Sequence[str], subject: str, classes: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    own = [clip for clips in classes.values() for clip in clips]
    wanted = complete.by_subject.get(subject)
    if wanted is None:
        yield f'{subject} is no subject of it ({_few(own)})'
    elif not own:
        yield f'no clip of {subject}'
    elif isinstance(wanted, int):
        if len(own) != wanted:
            yield f'{subject} has {len(own)} clips instead of {wanted} ({_few(own)})'
    else:
        for label, count in zip(labels, wanted, strict=True):
            clips = classes.get(label, [])
            if len(clips) != count:
                yield _of_class(complete, subject, label, clips, count)


def _of_class(complete: Complete, subject: str, label: str, own: Sequence[str], count: int) -> str:
    text = f'{subject} has {len(own)} {label} instead of {count}'
    if complete.names:
        all_of_it = complete.names(subject, label, count)
        parts = ('missing', all_of_it - set(own)), ('more', set(own) - all_of_it)
        return f'{text} ({", ".join(f"{what} {_few(sorted(names))}" for what, names in parts if names)})'
    return f'{text} ({_few(own)})' if own else text


def _few(names: Sequence[str]) -> str:
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more
