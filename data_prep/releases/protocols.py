"""Protocols as data: which emotions are used, what label each becomes, and how many clips that should give.

Each release has its own, in its record.
A protocol answers one question for a clip: its label, or the reason why it is left out.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Set

from data_prep.files import cells
from data_prep.releases.clip import Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError

# One word for each emotion, from the words that the sheets use for it.
EMOTIONS = {
    'happiness': ('happiness', 'happy'),
    'surprise': ('surprise', 'surprised'),
    'disgust': ('disgust', 'disgusted'),
    'sadness': ('sadness', 'sad'),
    'fear': ('fear', 'fearful'),
    'anger': ('anger', 'angry'),
    'contempt': ('contempt', 'comtempt'),  # so misspelt in MEVIEW's sheet
    'repression': ('repression', 'repressed'),
    'others': ('others', 'other'),
    'negative': ('negative',),
    'positive': ('positive',),
    'deceptive': ('deceptive',),
    'truthful': ('truthful',),
}
_EMOTION_OF = {word: emotion for emotion, words in EMOTIONS.items() for word in words}
_BETWEEN_WORDS = re.compile(r'\s*(?:[/,;+&|]|\band\b|\bor\b)\s*')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Complete:
    """How many clips a complete release has under a protocol, as far as it is known.

    Attributes:
      subjects: how many have such clips; None if unknown.
      clips: label -> clips; empty if unknown.
      annotated: how many clips its sheet has, whatever their label; None if unknown.
      by_subject: subject -> clips, by label in the protocol's order or all together; empty if unknown.
      names: (subject, label, clips) -> what they are called, where their names follow a rule.
    """

    subjects: int | None = None
    clips: Mapping[str, int] = dataclasses.field(default_factory=dict)
    annotated: int | None = None
    by_subject: Mapping[str, tuple[int, ...] | int] = dataclasses.field(default_factory=dict)
    names: Callable[[str, str, int], Set[str]] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way of using a database.

    Attributes:
      name: such as `3class`.
      labels: the classes; a class's number is its place.
      classes: emotion -> label; clips of other emotions are left out.
      source: where the rule is written.
      dropped: emotion -> why it is left out though `classes` names it.
      excluded: (subject, clip) -> why this clip is left out.
      complete: what the complete release has.
      versions: version of the release -> the same, where it differs.
      note: what a reader of the counts should know.
    """

    name: str
    labels: tuple[str, ...]
    classes: Mapping[str, str]
    source: str
    dropped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    excluded: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    complete: Complete = Complete()
    versions: Mapping[str, Complete] = dataclasses.field(default_factory=dict)
    note: str = ''

    def complete_of(self, version: str) -> Complete:
        """Returns what the complete release of this version has."""
        return self.versions.get(version, self.complete)


_THREE = {
    'happiness': 'positive',
    'positive': 'positive',
    'surprise': 'surprise',
    **dict.fromkeys(
        ('disgust', 'sadness', 'fear', 'anger', 'contempt', 'repression', 'negative'), 'negative'
    ),
}

# Of several databases, each of which adds what it has and leaves out.
THREE_CLASSES = Protocol(
    name='3class',
    labels=schema.LABELS,
    classes=_THREE,
    source='See et al.: MEGC 2019, the Second Facial Micro-Expressions Grand Challenge, FG 2019',
)
FOUR_CLASSES = Protocol(
    name='4class',
    labels=(*schema.LABELS, 'others'),
    classes=_THREE | {'others': 'others'},
    source='Qu et al.: CAS(ME)^2, IEEE TAC 2018; Li et al.: CAS(ME)3, IEEE TPAMI 2023',
)


def emotion(word: str) -> str | None:
    """Returns the emotion that a sheet's word means, a key of `EMOTIONS`; None if it means none.

    Case, spaces around it and a question mark after it (MEVIEW: `fear?`) do not matter.
    """
    return _EMOTION_OF.get(word.strip().rstrip('?').strip().lower())


def label_of(clip: Clip, protocol: Protocol) -> tuple[str | None, str]:
    """Returns (label, '') of a clip that the protocol uses, or (None, reason) where it leaves the clip out.

    Several words for its emotion, such as `contempt/disgust`, are one class where each of them is that class.

    Raises:
      InputError: the clip has a word for its emotion, and not one that is known; or words of several classes.
    """
    if (reason := protocol.excluded.get((clip.subject, clip.clip))) is not None:
        return None, reason
    if not cells.given(clip.emotion) or clip.emotion == schema.UNKNOWN_TEXT:
        return None, 'no emotion is given'
    meant = _emotions(clip.emotion)
    if not meant:
        raise InputError(
            f'{clip.emotion!r} is no known emotion; expected one of {", ".join(EMOTIONS)}, or nothing: '
            'correct it (a misspelt word, or the wrong column)'
        )
    outcomes = {each: _outcome(each, protocol) for each in meant}
    if len({label for label, _ in outcomes.values()}) > 1:
        classes = ', '.join(f'{each} is {label or "left out"}' for each, (label, _) in outcomes.items())
        raise InputError(
            f'{clip.emotion!r} names emotions of different classes ({classes}): keep one of them'
        )
    return next(iter(outcomes.values()))


def _emotions(text: str) -> list[str]:
    """Returns the emotions that a sheet's words mean; none if one of the words means none."""
    if whole := emotion(text):
        return [whole]
    found = [emotion(word) for word in _BETWEEN_WORDS.split(text.lower())]
    return list(filter(None, found)) if all(found) else []


def _outcome(meant: str, protocol: Protocol) -> tuple[str | None, str]:
    if meant in protocol.dropped:
        return None, protocol.dropped[meant]
    if meant not in protocol.classes:
        return None, f'{meant} is no class of {protocol.name}'
    return protocol.classes[meant], ''
