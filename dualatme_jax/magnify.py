"""Magnifies the motion of a clip by the learned magnifier of Oh et al., to look at.

    python -m dualatme_jax.magnify FOLDER --weights learning_based_mag.pth.tar --factor 8 --out clip.gif
    python -m dualatme_jax.magnify ONSET.png APEX.png --weights FILE --factor 8 --out frames

The first frame is the reference. Pictures and videos are read and written by the data stage, in processes of
its own: this one does not import OpenCV. (`python -m data_prep magnify` needs no weights.)
"""

import argparse
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from dualatme_jax import files
from dualatme_jax.errors import InputError, exit_status, printable

FORMS = ('', '.gif', '.mp4')  # endings of what is written; without one a folder of PNG images
MOST = 50  # times as much motion; `data_prep magnify` takes as much


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be magnified."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Reads, magnifies and writes.

    Raises:
      InputError: frames or weights cannot be read, options cannot be, or --out cannot be written.
    """
    from dualatme_jax.models import magnifier
    from dualatme_jax.weights import parts

    out = files.expanded(options.out, '--out')
    if out.suffix.lower() not in FORMS:
        raise InputError(f'--out {out}: expected a folder, which gets PNG images, or FILE.gif or FILE.mp4')
    if not out.suffix and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f'--out {out} holds something already; expected a folder that is new or empty')
    if not 0 <= options.factor <= MOST:
        raise InputError(f'--factor {options.factor:g}: expected 0 to {MOST}; 1 changes next to nothing')
    if options.fps is not None and not 0 < options.fps < math.inf:
        raise InputError(f'--fps {options.fps:g}: expected a number above 0')
    weights = files.expanded(options.weights, '--weights')
    if not weights.is_file():
        raise InputError(f'--weights {weights}: no such file; --help says which one is published')
    if options.size is not None:
        magnifier.check_size(options.size, '--size')
    variables = parts.read(magnifier.PART, weights)
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        found, rate = read(options.source, scratch, _given(onset=options.onset, offset=options.offset))
        changed = scratch / 'changed'
        changed.mkdir()
        from PIL import Image

        for number, frame in enumerate(magnified(variables, found, options.factor, options.size), start=1):
            Image.fromarray(frame).save(changed / f'{number:05}.png')
        _film(changed, out, _given(fps=rate if options.fps is None else options.fps))
    print(printable(f'wrote {len(found)} frames to {out}, their motion magnified by {options.factor:g}'))


def read(
    source: Sequence[str], scratch: pathlib.Path, options: Sequence[str]
) -> tuple[list[pathlib.Path], float | None]:
    """The frames of a folder, of a video or of two pictures as PNG images, in order, and a video's rate.

    Args:
      source: one path, or two of pictures.
      scratch: an empty folder.
      options: of `data_prep film`.

    Raises:
      InputError: they cannot be read, or there is one only.
    """
    paths = [files.expanded(path, 'SOURCE') for path in source]
    if len(paths) > 2:
        raise InputError(
            f'{len(paths)} paths: expected a folder of frames, a video, or two pictures, the onset first'
        )
    if len(paths) == 2:
        if options:
            raise InputError(f'{options[0]}: two pictures have no frame numbers')
        both = zip(paths, ('onset', 'other'), strict=True)
        return [_picture(path, scratch / name) for path, name in both], None
    rate = _film(paths[0], scratch / 'frames', options)
    found = sorted((scratch / 'frames').iterdir())
    if len(found) < 2:
        raise InputError(f'{source[0]}: one frame has no motion; expected the onset and at least one more')
    return found, rate


def _picture(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A picture as a PNG image, by way of a new folder; the two of a pair may differ in size."""
    folder.mkdir()
    with files.open_regular(path, 'picture') as file, (folder / f'1{path.suffix}').open('wb') as own:
        shutil.copyfileobj(file, own)
    _film(folder, folder / 'frames', ())
    return folder / 'frames' / '00001.png'


def magnified(variables, paths: Sequence[pathlib.Path], factor: float, size: int | None) -> Iterator:
    """Frames [H, W, 3] uint8, the motion of each from the first one `factor` times as large.

    Frames are resized to `size` pixels, without keeping their aspect, or else padded by their last row and
    column to a multiple of 4, which is cut off again.

    Raises:
      InputError: they are too small, or of several sizes.
    """
    import jax
    import numpy as np
    from PIL import Image

    from dualatme_jax.models import magnifier

    reference, first = None, None
    for path in paths:
        with Image.open(path) as picture:
            frame = np.asarray(picture.convert('RGB'), np.float32).transpose(2, 0, 1) / 127.5 - 1
        if size:
            frame = np.asarray(magnifier.resized(frame[..., None], size, size)[..., 0])
        _, height, width = frame.shape
        first = first or (height, width)
        if first != (height, width):
            raise InputError(
                f'the first frame has {first[1]}x{first[0]} pixels, and another one {width}x{height}; '
                'expected frames of one size, or --size'
            )
        if min(height, width) < magnifier.LEAST:
            raise InputError(
                f'frames of {width}x{height} pixels are too small for the magnifier; expected '
                f'{magnifier.LEAST} or more, or --size'
            )
        frame = np.pad(
            frame, ((0, 0), *((0, -edge % magnifier.MULTIPLE) for edge in (height, width))), 'edge'
        )
        if reference is None:
            reference = magnifier.shape_of(variables, frame)
        found = jax.device_get(magnifier.by_factors(variables, reference, frame, np.float32([factor])))
        found = found[:, :height, :width, 0].transpose(1, 2, 0)
        yield np.round((found + 1) * 127.5).astype(np.uint8)


def _given(**options) -> list[str]:
    """Options of `data_prep film` that are not None."""
    return [
        part for name, value in options.items() if value is not None for part in (f'--{name}', str(value))
    ]


def _film(source: pathlib.Path, out: pathlib.Path, options: Sequence[str]) -> float | None:
    """Writes frames in the form that the ending of `out` asks for; returns the rate that a video has.

    Raises:
      InputError: that fails.
    """
    command = [sys.executable, '-m', 'data_prep', 'film', str(source), '--out', str(out), '--json', '-']
    command += options
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f'the data stage ended with {done.returncode}']
        raise InputError(said[-1].removeprefix('error: '))
    return json.loads(done.stdout)['rate']


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.magnify',
        description='Magnifies the motion of a clip by the learned magnifier of Oh et al. (ECCV 2018).',
    )
    parser.add_argument(
        'source',
        nargs='+',
        metavar='SOURCE',
        help='a folder of frames, with their numbers as the last digits of their names, a video, or two '
        'pictures, the onset first',
    )
    parser.add_argument(
        '--weights',
        required=True,
        metavar='FILE',
        help='of the magnifier: mag_imple/learning_based_mag.pth.tar of github.com/weimengting/AMAN',
    )
    parser.add_argument(
        '--factor', type=float, required=True, metavar='X', help='factor on the motion, 2 to 12'
    )
    parser.add_argument(
        '--out', required=True, metavar='OUT', help='a folder of PNG images, or FILE.gif, or FILE.mp4'
    )
    parser.add_argument(
        '--size',
        type=int,
        metavar='N',
        help='resize frames to NxN pixels, a multiple of 4; the published demonstration has 384 (default: as '
        'they are, padded to a multiple of 4)',
    )
    parser.add_argument(
        '--onset', type=int, metavar='N', help='the first frame (default: the first of SOURCE)'
    )
    parser.add_argument(
        '--offset', type=int, metavar='N', help='the last frame (default: the last of SOURCE)'
    )
    parser.add_argument(
        '--fps',
        type=float,
        metavar='N',
        help='frames a second of what is written (default: as a video has; 25 of images)',
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
