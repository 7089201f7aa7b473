"""What is known of a database: one record, `RELEASE`, in the file of its reader."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from data_prep.releases.clip import Erratum, Survey
from data_prep.releases.protocols import Protocol
from dualatme_jax.errors import InputError


def _as_written(subject: str, clip: str) -> tuple[str, str]:
    return subject, clip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A database as it is released.

    Attributes:
      database: its name, also on the command line.
      citation: what to cite.
      survey: `survey(source, **options)` reads a folder; its keyword arguments are the options that it takes.
      protocols: the ways of using it, the default first.
      errata: the errors of its sheet that are known; its reader corrects them.
      spelt: (subject, clip) as a table from elsewhere writes them -> as the reader does.
      apex_choices: where its apexes come from by default, of `apex.CHOICES`; None: sheet or middle.
      challenge_emotions: (subject, clip) -> the emotion that the challenge took, of the clips that another
        version of the sheet has otherwise.
      challenge_version: the version of the sheet that the challenge took.
      frame_rate: frames a second of its pictures, as `citation` gives it; None where it does not, or its
        cameras differ. Videos say their own.
    """

    database: str
    citation: str
    survey: Callable[..., Survey]
    protocols: Sequence[Protocol]
    errata: Sequence[Erratum] = ()
    spelt: Callable[[str, str], tuple[str, str]] = _as_written
    apex_choices: tuple[str, ...] | None = None
    challenge_emotions: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    challenge_version: str = ''
    frame_rate: float | None = None

    def protocol(self, name: str | None) -> Protocol:
        """Returns the protocol of this name, the default for None; raises InputError if there is none."""
        for protocol in self.protocols:
            if name in (None, protocol.name):
                return protocol
        names = ', '.join(each.name for each in self.protocols)
        raise InputError(f'unknown protocol {name!r} of {self.database}: expected one of {names}')
