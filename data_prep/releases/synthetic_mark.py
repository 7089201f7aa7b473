"""The mark of a release that `data_prep synthesize` has made: a file in its folder.

A dataset that is built from it says so, and no published score then stands beside one on it.
"""

import functools
import json
import pathlib
from typing import Any

from data_prep.releases.clip import Survey

NAME = 'synthetic.json'


def write(folder: pathlib.Path, **made: Any) -> None:
    """Marks a release; `made` is how it was made, as JSON values.

    Raises:
      OSError: the file cannot be written.
    """
    content = {'made_by': 'python -m data_prep synthesize', **made}
    (folder / NAME).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def of_survey(survey: Survey) -> bool:
    """Whether the source, or any clip's frames, lie in a marked folder."""
    frames = {clip.frames.place for clip in survey.clips if clip.frames}
    return above(survey.source) or any(map(above, sorted(frames)))


def above(path: pathlib.Path) -> bool:
    """Whether a path is a marked folder, or lies in one at any depth."""
    return _marked(path.resolve())


@functools.lru_cache(maxsize=2**16)
def _marked(path: pathlib.Path) -> bool:
    return (path / NAME).is_file() or (path != path.parent and _marked(path.parent))
