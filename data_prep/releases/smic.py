"""SMIC-HS (Li et al., FG 2013): no sheet; the folders name subject, class and clip.

A clip lies in `HS/s01/micro/negative/s01_ne_01` (some copies write `s1_ne_01`) and holds the frames from
onset to offset, `image559740.bmp`, or `reg_image559740.bmp` where they are aligned faces. There is no apex.
"""

import collections
import dataclasses
import pathlib
import re

from data_prep.files import folders
from data_prep.releases import annotations, find_frames
from data_prep.releases.clip import Clip, Survey
from data_prep.releases.protocols import THREE_CLASSES, Complete
from data_prep.releases.record import Release
from dualatme_jax.errors import InputError

DATABASE = 'smic'
EXAMPLE = 'HS/s01/micro/negative/s01_ne_01'

_CLIP = re.compile(r's0*(\d{1,9})_(ne|po|sur)_0*\d{1,9}')
_NAME = re.compile(r's?0*(\d{1,9})(?:_(ne|po|sur)_0*(\d{1,9}))?')
_CLASSES = {'ne': 'negative', 'po': 'positive', 'sur': 'surprise'}

# The database's other cameras, and clips without an expression.
_OTHERS = r'(\A|[\W_])(vis|nir|non_?micro)([\W_]|\Z)'


def spelt(name: str) -> str:
    """Returns the name of a subject or a clip as this reader writes it: `s1_ne_1` is `s01_ne_01`."""
    match = _NAME.fullmatch(folders.fold(name))
    if not match:
        return name
    return f's{int(match[1]):02}' + (f'_{match[2]}_{int(match[3]):02}' if match[2] else '')


def survey(source: pathlib.Path, *, frames: str | None = None) -> Survey:
    """Reads SMIC-HS; onset and offset are the first and the last frame in a clip's folder.

    Args:
      source: the folder of the release.
      frames: one of `find_frames.FORMS`, where the frames are there in both.

    Raises:
      InputError: no such folder below the source, or frames in both forms.
    """
    tree = folders.walk(source).without(_OTHERS)
    all_forms = collections.defaultdict(list)
    for folder in tree.folders:
        # Below no class lie the longer videos that are called the same.
        if (match := _CLIP.fullmatch(folder.name)) and folder.parent in _CLASSES.values():
            all_forms[DATABASE, spelt(f's{match[1]}'), spelt(folder.name)].append(folder)
    if not all_forms:
        raise InputError(f'no clips of SMIC-HS below {tree.source}: expected folders such as {EXAMPLE}')
    findings = annotations.Findings()
    sources, form = find_frames.choose_form(all_forms, find_frames.form, frames)
    clips = []
    for key, found in sorted(all_forms.items()):
        folder = (sources[key] or found)[0]
        _, subject, name = key
        clip = Clip(
            database=DATABASE,
            subject=subject,
            clip=name,
            emotion=folder.parent,
            row=tree.show(folder.path),
        )
        if clip.emotion != _CLASSES[name.split('_')[1]]:
            findings.problem(clip.row, f'{name} lies among the clips of class {clip.emotion}', clip)
        clips.append(clip)
    clips = find_frames.add_frames(clips, sources, tree, findings, example=EXAMPLE, whole=True)
    return findings.survey(DATABASE, tree, 'none', clips, aligned=form == 'cropped')


# Clips of each subject, by `schema.LABELS`: the challenge's list, See et al., MEGC 2019, FG 2019.
_SUBJECTS = {
    's01': (3, 2, 1), 's02': (0, 1, 5), 's03': (22, 11, 6), 's04': (10, 4, 5), 's05': (1, 0, 1),
    's06': (2, 0, 2), 's08': (9, 4, 0), 's09': (0, 1, 3), 's11': (3, 3, 1), 's12': (0, 8, 1),
    's13': (0, 10, 0), 's14': (3, 2, 5), 's15': (1, 1, 2), 's18': (2, 0, 5), 's19': (0, 1, 1),
    's20': (14, 3, 5),
}  # fmt: skip


def _names(subject: str, label: str, clips: int) -> set[str]:
    short = next(short for short, name in _CLASSES.items() if name == label)
    return {f'{subject}_{short}_{number:02}' for number in range(1, clips + 1)}


RELEASE = Release(
    database=DATABASE,
    citation='Li et al.: A Spontaneous Micro-Expression Database: Inducement, Collection and Baseline, '
    'FG 2013',
    survey=survey,
    frame_rate=100,
    protocols=(
        dataclasses.replace(
            THREE_CLASSES,
            complete=Complete(
                subjects=16,
                clips={'negative': 70, 'positive': 51, 'surprise': 43},
                by_subject=_SUBJECTS,
                names=_names,
            ),
        ),
    ),
    spelt=lambda subject, clip: (spelt(subject), spelt(clip)),
)
