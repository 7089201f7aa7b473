"""Protocols as data: which emotions are used, what label each becomes, and how many clips that should give.

A protocol answers one question for a clip: its label, or the reason why it is left out.
"""

import dataclasses
import re
from collections.abc import Mapping

from data_prep.files import cells
from data_prep.releases.clip import Clip, Survey
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

Counts = tuple[int | None, Mapping[str, int]]  # subjects, where they are known; label -> clips


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way of using a database.

    Attributes:
      name: such as `3class`.
      databases: whose clips it labels.
      labels: the classes; a class's number is its place.
      classes: emotion -> label; clips of other emotions are left out.
      dropped: (database, emotion) -> why these are left out though `classes` names them.
      excluded: (database, subject, clip) -> why this clip is left out.
      expected: database -> what the complete release has, where it is known.
      versions: (database, version) -> the same of a version of the release that has other counts; empty
        counts where they are not known.
      source: where the rule is written.
      notes: database -> what a reader of the counts should know.
    """

    name: str
    databases: tuple[str, ...]
    labels: tuple[str, ...]
    classes: Mapping[str, str]
    dropped: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    excluded: Mapping[tuple[str, str, str], str] = dataclasses.field(default_factory=dict)
    expected: Mapping[str, Counts] = dataclasses.field(default_factory=dict)
    versions: Mapping[tuple[str, str], Counts] = dataclasses.field(default_factory=dict)
    source: str
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def expected_of(self, survey: Survey) -> Counts:
        """Returns what the complete release has, of the version that was surveyed."""
        other = self.versions.get((survey.database, survey.version))
        return other or self.expected.get(survey.database, (None, {}))


_THREE = {
    'happiness': 'positive',
    'positive': 'positive',
    'surprise': 'surprise',
    **dict.fromkeys(
        ('disgust', 'sadness', 'fear', 'anger', 'contempt', 'repression', 'negative'), 'negative'
    ),
}

# The clips of CAS(ME)3, part A, that the published figures of three classes leave out, without a reason.
_NOT_PUBLISHED = {
    'spNO.186': ('f_448', 'l_3634', 'l_3677'),
    'spNO.217': ('a_233', 'c_2302', 'g_739', 'k_1412', 'l_164', 'l_3201'),
    'spNO.9': ('g_234', 'g_980', 'h_4'),
}

# (database, version) -> how many clips its sheet annotates, where the counts by class are not known.
ANNOTATED = {('casme3', 'part C'): 165}

# The sheet of CASME II came in 2014 and again in 2019: three clips are of another emotion in each.
CASME2_VERSIONS = {'2014': 'sadness', '2019': 'surprise'}
CASME2_DIFFERENT = tuple(('casme2', 'sub24', clip) for clip in ('EP07_01', 'EP07_04f', 'EP10_03'))

# By which emotions clips are used: those of the sheet, or the challenge's, which took the sheet of 2014.
LABELS = ('sheet', 'challenge')
CHALLENGE_VERSION = '2014'
CHALLENGE_EMOTIONS = dict.fromkeys(CASME2_DIFFERENT, CASME2_VERSIONS[CHALLENGE_VERSION])

PROTOCOLS = (
    Protocol(
        name='3class',
        databases=tuple(database for database in schema.DATABASES if database != 'deception'),
        labels=schema.LABELS,
        classes=_THREE,
        dropped={
            ('casme2', 'fear'): 'the challenge leaves out fear of CASME II',
            ('casme2', 'sadness'): 'the challenge leaves out sadness of CASME II',
        },
        excluded={
            ('casme2', 'sub04', 'EP12_01f'): "not in the challenge's list (its apex is '/')",
            ('casme2', 'sub05', 'EP09_05f'): "not in the challenge's list",
        },
        expected={
            'casme2': (24, {'negative': 88, 'positive': 32, 'surprise': 25}),
            'smic': (16, {'negative': 70, 'positive': 51, 'surprise': 43}),
            'samm': (28, {'negative': 92, 'positive': 26, 'surprise': 15}),
            'casme_sq': (None, {'negative': 21, 'positive': 8, 'surprise': 9}),
            'casme3': (None, {'negative': 457, 'positive': 55, 'surprise': 187}),
        },
        versions={
            ('casme2', '2019'): (24, {'negative': 88, 'positive': 32, 'surprise': 28}),
            ('casme3', 'part C'): (None, {}),
        },
        source='See et al.: MEGC 2019, the Second Facial Micro-Expressions Grand Challenge, FG 2019',
        notes={'casme3': 'published figures are of 687 clips (449, 54, 184): --protocol 3class-687'},
    ),
    Protocol(
        name='3class-687',
        databases=('casme3',),
        labels=schema.LABELS,
        classes=_THREE,
        excluded={
            ('casme3', subject, clip): 'not among the 687 clips of the published figures'
            for subject, clips in _NOT_PUBLISHED.items()
            for clip in clips
        },
        expected={'casme3': (None, {'negative': 449, 'positive': 54, 'surprise': 184})},
        versions={('casme3', 'part C'): (None, {})},
        source='Wang et al.: HTNet for Micro-Expression Recognition, Neurocomputing 2024; its list',
    ),
    Protocol(
        name='4class',
        databases=('casme_sq', 'casme3'),
        labels=(*schema.LABELS, 'others'),
        classes=_THREE | {'others': 'others'},
        expected={
            'casme_sq': (None, {'negative': 21, 'positive': 8, 'surprise': 9, 'others': 19}),
            'casme3': (None, {'negative': 457, 'positive': 55, 'surprise': 187, 'others': 161}),
        },
        versions={('casme3', 'part C'): (None, {})},
        source='Qu et al.: CAS(ME)^2, IEEE TAC 2018; Li et al.: CAS(ME)3, IEEE TPAMI 2023',
    ),
    Protocol(
        name='5class',
        databases=('casme2',),
        labels=('happiness', 'surprise', 'disgust', 'repression', 'others'),
        classes={name: name for name in ('happiness', 'surprise', 'disgust', 'repression', 'others')},
        expected={
            'casme2': (
                26,
                {'happiness': 32, 'surprise': 25, 'disgust': 63, 'repression': 27, 'others': 99},
            )
        },
        versions={
            ('casme2', '2019'): (
                26,
                {'happiness': 32, 'surprise': 28, 'disgust': 63, 'repression': 27, 'others': 99},
            )
        },
        source='Yan et al.: CASME II, PLOS ONE 2014',
        notes={'casme2': 'papers count 246 clips (249 by the sheet of 2019), or 247 by an older sheet'},
    ),
    Protocol(
        name='5class',
        databases=('samm',),
        labels=('anger', 'happiness', 'others', 'surprise', 'contempt'),
        classes={name: name for name in ('anger', 'happiness', 'others', 'surprise', 'contempt')},
        expected={
            'samm': (None, {'anger': 57, 'happiness': 26, 'others': 26, 'surprise': 15, 'contempt': 12})
        },
        source='Davison et al.: SAMM, IEEE TAC 2018',
    ),
    Protocol(
        name='7class',
        databases=('casme3',),
        labels=('disgust', 'surprise', 'others', 'fear', 'anger', 'sadness', 'happiness'),
        classes={
            name: name for name in ('disgust', 'surprise', 'others', 'fear', 'anger', 'sadness', 'happiness')
        },
        expected={
            'casme3': (
                94,
                {
                    'disgust': 250,
                    'surprise': 187,
                    'others': 161,
                    'fear': 86,
                    'anger': 64,
                    'sadness': 57,
                    'happiness': 55,
                },
            )
        },
        versions={('casme3', 'part C'): (None, {})},
        source='Li et al.: CAS(ME)3, IEEE TPAMI 2023',
    ),
    Protocol(
        name='2class',
        databases=('deception',),
        labels=('truthful', 'deceptive'),
        classes={'truthful': 'truthful', 'deceptive': 'deceptive'},
        expected={'deception': (None, {'truthful': 60, 'deceptive': 61})},
        source='Perez-Rosas et al.: Deception Detection using Real-life Trial Data, ICMI 2015',
    ),
)


def find(name: str | None, database: str) -> Protocol:
    """Returns the protocol `name` of a database; by default the first one that has it.

    Raises:
      InputError: the database has no such protocol.
    """
    own = [protocol for protocol in PROTOCOLS if database in protocol.databases]
    for protocol in own:
        if name in (None, protocol.name):
            return protocol
    raise InputError(
        f'unknown protocol {name!r} of {database}: expected one of {", ".join(each.name for each in own)}'
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
    if clip.key in protocol.excluded:
        return None, protocol.excluded[clip.key]
    if not cells.given(clip.emotion) or clip.emotion == schema.UNKNOWN_TEXT:
        return None, 'no emotion is given'
    meant = _emotions(clip.emotion)
    if not meant:
        raise InputError(
            f'{clip.emotion!r} is no known emotion; expected one of {", ".join(EMOTIONS)}, or nothing: '
            'correct it (a misspelt word, or the wrong column)'
        )
    outcomes = {each: _outcome(clip.database, each, protocol) for each in meant}
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


def _outcome(database: str, meant: str, protocol: Protocol) -> tuple[str | None, str]:
    if (database, meant) in protocol.dropped:
        return None, protocol.dropped[database, meant]
    if meant not in protocol.classes:
        return None, f'{meant} is no class of {protocol.name}'
    return protocol.classes[meant], ''
