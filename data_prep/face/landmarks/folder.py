"""A source of landmarks: a folder with a file for each clip, as other programs write them (`points`)."""

import collections
import hashlib
import os
import pathlib

import numpy as np

from data_prep.face.landmarks import points
from data_prep.files import folders
from data_prep.files.frames import Images
from data_prep.releases.clip import Clip
from dualatme_jax.errors import InputError
from dualatme_jax.files import sha256

SUFFIXES = frozenset({'.csv', '.txt', '.pts'})


class LandmarkFolder:
    """The source that a folder is.

    A clip's file is called like the clip, or `SUBJECT_CLIP`, and lies anywhere in the folder; where several
    are called so, in a folder called like the subject.

    Args:
      path: the folder.

    Raises:
      InputError: it holds no file of `SUFFIXES`.
    """

    whole_frame = False

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._files = collections.defaultdict(list)
        for file in sorted(path.rglob('*')):
            if file.suffix.lower() in SUFFIXES and not file.name.startswith('.'):
                self._files[folders.fold(file.stem)].append(file)
        if not self._files:
            raise InputError(
                f'{path} holds no landmarks: expected a file for each clip, called like it, with the CSV of '
                f'OpenFace or 68 points ({", ".join(sorted(SUFFIXES))})'
            )

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values: those of one clip, or of all in the folder."""
        if clip:
            return {'name': 'folder', 'sha256': sha256(self._of(clip), 'landmark file')}
        digest = hashlib.sha256()
        for files in self._files.values():
            for file in files:
                digest.update(os.fsencode(file.relative_to(self._path)))
                digest.update(f' {sha256(file, "landmark file")}\n'.encode())
        return {'name': 'folder', 'sha256': digest.hexdigest()}

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the landmarks that the folder has of a clip, [68, 2] float32 in pixels.

        Raises:
          InputError: it has none, or its file cannot be used.
        """
        del frame
        return points.read(self._of(clip), *_place(clip))

    def _of(self, clip: Clip) -> pathlib.Path:
        subject, name = folders.fold(clip.subject), folders.fold(clip.clip)
        found = self._files.get(f'{subject}_{name}') or self._files.get(name, [])
        if len(found) > 1:
            found = [file for file in found if subject in map(folders.fold, file.parts)] or found
        if len(found) != 1:
            places = f': {", ".join(map(str, found[:3]))}' if found else ''
            raise InputError(
                f'{self._path} has {len(found)} files of {clip.subject}/{clip.clip}{places}; expected one, '
                f'called {clip.clip} or {clip.subject}_{clip.clip}'
            )
        return found[0]


def _place(clip: Clip) -> tuple[int, int | None]:
    """Returns which frame of its folder or video the onset is, from 0, and of how many."""
    if not isinstance(clip.frames, Images):
        return clip.onset, clip.frames.count
    # OpenFace takes the images of a folder in the order of their names.
    onset = clip.frames.paths[clip.onset]
    names = sorted(file.name for file in onset.parent.iterdir() if file.suffix.lower()[1:] in folders.IMAGES)
    return names.index(onset.name), len(names)
