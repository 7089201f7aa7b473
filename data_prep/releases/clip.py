"""What every release reader yields: clips, and what keeps rows from being clips."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from data_prep.files.frames import Images, Video
from dualatme_jax import schema


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One annotated clip of a release, whatever its protocol makes of it.

    Attributes:
      database: one of `schema.DATABASES`.
      subject: unique within its database, as the challenge's list writes it where it has the database.
      clip: unique within its subject.
      onset: frame number as the release counts, `schema.UNKNOWN_FRAME` where the release does not give it; so
        are apex and offset.
      apex_choice: where the apex comes from, one of `apex.CHOICES`; unknown until a plan has chosen it. With
        `spotted` the apex itself is unknown until the face is aligned.
      frames: the clip's frames by number; None where none were found (a problem says so).
      action_units: as the release writes them, such as `4+R12`.
      emotion: the release's own word, as written.
      row: where the clip is written, such as `SAMM.xlsx, row 15`; the folder where there is no sheet.
    """

    database: str
    subject: str
    clip: str
    onset: int = schema.UNKNOWN_FRAME
    apex: int = schema.UNKNOWN_FRAME
    offset: int = schema.UNKNOWN_FRAME
    apex_choice: str = schema.UNKNOWN_TEXT
    frames: Images | Video | None = None
    action_units: str = schema.UNKNOWN_TEXT
    emotion: str = schema.UNKNOWN_TEXT
    row: str = ''

    @property
    def key(self) -> tuple[str, str, str]:
        """(database, subject, clip): the clip, unique over all databases."""
        return self.database, self.subject, self.clip


NO_ONSET = 'no frame of the onset'  # a kind of problem
NO_APEX = 'no frame of the apex'  # a kind of note


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that keeps a build from being complete, or is worth knowing.

    Attributes:
      row: where it is: file and row, or the file or folder itself.
      text: what was found, what was expected and what to do, without a full stop.
      key: the key of the clip that it concerns; None if it concerns a whole sheet or a row without a clip.
      kind: `NO_ONSET`, which `--onset first-there` solves, `NO_APEX`, or empty.
    """

    row: str
    text: str
    key: tuple[str, str, str] | None = None
    kind: str = ''

    @classmethod
    def of(cls, clip: Clip, error: Exception) -> 'Problem':
        """Returns what is wrong with a clip."""
        return cls(row=clip.row, text=f'{clip.subject}/{clip.clip}: {error}', key=clip.key)

    def __str__(self):
        return f'{self.row}: {self.text}' if self.row else self.text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exclusion:
    """A row that is left out on purpose.

    Attributes:
      row: where the clip is written.
      subject: of the clip.
      clip: its name.
      reason: why it is left out.
    """

    row: str
    subject: str
    clip: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Erratum:
    """A known error of an official sheet: its release's record has it.

    Attributes:
      key: (database, subject, clip), as the database's reader writes them.
      says: what the sheet says, of onset, apex and offset; those that are not here may be anything.
      taken: what is taken instead.
      why: what is wrong with it.
      source: where the right numbers come from.
    """

    key: tuple[str, str, str]
    says: Mapping[str, int]
    taken: Mapping[str, int]
    why: str
    source: str

    def __str__(self):
        says = ', '.join(f'{frame} {number}' for frame, number in self.says.items())
        taken = ', '.join(f'{frame} {number}' for frame, number in self.taken.items())
        return (
            f'{"/".join(self.key[1:])}: a known error of the sheet, {says}: {self.why}; '
            f'{taken} is taken ({self.source})'
        )

    def as_json(self) -> dict:
        """Everything it says, as JSON values."""
        return dataclasses.asdict(self) | {'key': list(self.key)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What a release holds, as its reader found it; no frame has been decoded.

    Attributes:
      database: one of `schema.DATABASES`.
      source: the folder that was read.
      sheet: the sheet that was read and the variant recognised, in words; `none` for releases without one.
      version: of the sheet or the release, where there are several with counts of their own, such as `2019`.
      aligned: whether the frames are faces that the release itself has cropped and aligned.
      clips: every annotated clip, in the order of the sheet (or of the folders' names), also those with
        problems.
      excluded: rows that are never clips, such as the macro-expressions of CAS(ME)^2.
      problems: what keeps clips from being used as they are annotated.
      notes: what is odd but keeps nothing from being used.
      errata: the known errors of the sheet that were corrected; a note names each.
      labelled: whether somebody has said what the clips are; else all are used, without a label.
    """

    database: str
    source: pathlib.Path
    sheet: str
    aligned: bool
    clips: Sequence[Clip]
    version: str = ''
    excluded: Sequence[Exclusion] = ()
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()
    errata: Sequence[Erratum] = ()
    labelled: bool = True
