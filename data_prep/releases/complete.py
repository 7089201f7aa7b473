"""How many clips each subject has in the complete composite: where counts differ, it tells in which clips."""

import collections
from collections.abc import Iterator, Mapping, Sequence

from data_prep.releases.clip import Clip
from dualatme_jax import schema

# (database, protocol) -> subject -> clips, by `schema.LABELS` or all together.
SUBJECTS = {
    # The challenge's list: See et al., MEGC 2019, FG 2019.
    ('casme2', '3class'): {
        'sub01': (2, 1, 0), 'sub02': (5, 1, 3), 'sub03': (4, 0, 1), 'sub04': (2, 0, 0), 'sub05': (0, 1, 5),
        'sub06': (1, 1, 2), 'sub07': (5, 0, 0), 'sub08': (1, 0, 0), 'sub09': (5, 5, 0), 'sub11': (4, 0, 0),
        'sub12': (5, 2, 4), 'sub13': (0, 2, 0), 'sub14': (0, 3, 0), 'sub15': (1, 1, 1), 'sub16': (1, 2, 0),
        'sub17': (23, 7, 1), 'sub19': (3, 3, 5), 'sub20': (2, 0, 0), 'sub21': (1, 0, 0), 'sub22': (2, 0, 0),
        'sub23': (7, 1, 0), 'sub24': (2, 0, 1), 'sub25': (3, 0, 2), 'sub26': (9, 2, 0),
    },
    ('smic', '3class'): {
        's01': (3, 2, 1), 's02': (0, 1, 5), 's03': (22, 11, 6), 's04': (10, 4, 5), 's05': (1, 0, 1),
        's06': (2, 0, 2), 's08': (9, 4, 0), 's09': (0, 1, 3), 's11': (3, 3, 1), 's12': (0, 8, 1),
        's13': (0, 10, 0), 's14': (3, 2, 5), 's15': (1, 1, 2), 's18': (2, 0, 5), 's19': (0, 1, 1),
        's20': (14, 3, 5),
    },
    ('samm', '3class'): {
        '6': (9, 0, 2), '7': (1, 5, 2), '9': (3, 0, 1), '10': (4, 0, 0), '11': (13, 7, 0), '12': (2, 0, 1),
        '13': (6, 0, 0), '14': (2, 7, 1), '15': (2, 0, 1), '16': (2, 1, 2), '17': (3, 0, 1), '18': (2, 0, 1),
        '19': (0, 1, 0), '20': (2, 2, 0), '21': (2, 0, 0), '22': (3, 2, 0), '23': (1, 0, 0), '24': (1, 0, 0),
        '26': (9, 0, 0), '28': (1, 0, 2), '30': (3, 0, 0), '31': (1, 0, 0), '32': (4, 0, 0), '33': (4, 1, 0),
        '34': (3, 0, 0), '35': (7, 0, 1), '36': (1, 0, 0), '37': (1, 0, 0),
    },
    # The code of Khor et al.: Enriched Long-term Recurrent Convolutional Network, FG 2018.
    ('casme2', '5class'): dict(
        zip(
            (f'sub{number:02}' for number in range(1, 27)),
            (9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8, 4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 7, 7, 16),
            strict=True,
        )
    ),
}  # fmt: skip

# The same of other versions of a release, for the subjects that differ.
OTHER_VERSIONS = {
    ('casme2', '3class', '2019'): {'sub24': (2, 0, 4)},
    ('casme2', '5class', '2019'): {'sub24': 10},
}

SHOWN = 10  # clips or subjects


def differences(database: str, protocol: str, version: str, items: Sequence[tuple[Clip, str]]) -> list[str]:
    """Returns where a database's clips are not those of the complete one, subject by subject.

    Args:
      database: one of `schema.DATABASES`.
      protocol: its name. `SUBJECTS` does not have all: nothing is known of the others.
      version: of the release.
      items: the clips of the database with their labels.

    Returns:
      A sentence for each subject and class; none where more than `SHOWN` subjects differ: that is no slip.
    """
    complete = SUBJECTS.get((database, protocol))
    if complete is None:
        return []
    complete = complete | OTHER_VERSIONS.get((database, protocol, version), {})
    found = {subject: collections.defaultdict(list) for subject in complete}
    for clip, label in items:
        found.setdefault(clip.subject, collections.defaultdict(list))[label].append(clip.clip)
    different = [
        sentences
        for subject, classes in found.items()
        if (sentences := list(_of_subject(database, subject, classes, complete.get(subject))))
    ]
    return [each for sentences in different for each in sentences] if len(different) <= SHOWN else []


def _of_subject(
    database: str, subject: str, classes: Mapping[str, Sequence[str]], wanted: tuple | int | None
) -> Iterator[str]:
    own = [clip for clips in classes.values() for clip in clips]
    if wanted is None:
        yield f'{subject} is no subject of it ({_few(own)})'
    elif not own:
        yield f'no clip of {subject}'
    elif isinstance(wanted, int):
        if len(own) != wanted:
            yield f'{subject} has {len(own)} clips instead of {wanted} ({_few(own)})'
    else:
        for label, count in zip(schema.LABELS, wanted, strict=True):
            clips = classes.get(label, [])
            if len(clips) != count:
                yield _of_class(database, subject, label, clips, count)


def _of_class(database: str, subject: str, label: str, own: Sequence[str], count: int) -> str:
    text = f'{subject} has {len(own)} {label} instead of {count}'
    if database == 'smic':  # whose clips are numbered from 1
        short = {'negative': 'ne', 'positive': 'po', 'surprise': 'sur'}[label]
        all_of_it = {f'{subject}_{short}_{number:02}' for number in range(1, count + 1)}
        parts = ('missing', all_of_it - set(own)), ('more', set(own) - all_of_it)
        return f'{text} ({", ".join(f"{what} {_few(sorted(names))}" for what, names in parts if names)})'
    return f'{text} ({_few(own)})' if own else text


def _few(names: Sequence[str]) -> str:
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more
