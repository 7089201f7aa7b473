"""The commands `film` and `magnify`: a clip, as it is or with its motion multiplied, to look at.

python -m data_prep film FOLDER --out clip.gif
python -m data_prep magnify VIDEO --factor 8 --out frames
"""

import argparse

from dualatme_jax.errors import InputError, printable

_SOURCE_HELP = 'a video, or a folder of images with the frame number as the last digits of their names'
_OUT_HELP = 'a folder, which gets one PNG for each frame; or FILE.gif, or FILE.mp4'


def add_film(parser: argparse.ArgumentParser) -> None:
    """Adds the options of both commands."""
    parser.set_defaults(run=_film)
    parser.add_argument('source', metavar='SOURCE', help=_SOURCE_HELP)
    parser.add_argument('--out', required=True, metavar='OUT', help=_OUT_HELP)
    parser.add_argument(
        '--onset', type=int, metavar='N', help='the first frame that is taken (default: the first there is)'
    )
    parser.add_argument(
        '--offset', type=int, metavar='N', help='the last frame that is taken (default: the last there is)'
    )
    parser.add_argument(
        '--fps',
        type=float,
        metavar='N',
        help='frames a second of a GIF (50 at the most) or a video (default: as SOURCE has; 25 of images)',
    )
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='write as JSON: out, frames, rate (frames a second, null of images); - for stdout',
    )


def add_magnify(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `magnify`."""
    add_film(parser)
    parser.set_defaults(run=_magnify)
    parser.add_argument(
        '--factor', type=float, required=True, metavar='X', help='1 changes nothing, 0 takes all motion out'
    )
    parser.add_argument(
        '--flow',
        metavar='ALGORITHM',
        help='tvl1, dis or farneback (default: farneback, which shortens motion least)',
    )


def _film(options: argparse.Namespace) -> int:
    from data_prep.files import film

    _write(options, film.find(options.source, first=options.onset, last=options.offset))
    return 0


def _magnify(options: argparse.Namespace) -> int:
    from data_prep.files import film
    from data_prep.views import magnification, optical_flow

    magnification.check_factor(options.factor, '--factor')
    algorithm = options.flow or magnification.ALGORITHM
    if algorithm not in optical_flow.ALGORITHMS:
        raise InputError(f'--flow {algorithm}: expected one of {", ".join(optical_flow.ALGORITHMS)}')
    found = film.find(options.source, first=options.onset, last=options.offset)
    if len(found.numbers) < 2:
        raise InputError(
            f'{options.source}: one frame has no motion; expected the onset and at least one more'
        )
    _write(options, found, lambda frames: magnification.magnified(frames, options.factor, algorithm))
    return 0


def _write(options: argparse.Namespace, found, change=iter) -> None:
    from data_prep.files import film, json_file

    form = film.form_of(options.out)
    rate = found.rate if options.fps is None else options.fps
    film.write(change(found), options.out, rate=rate)
    if options.json:
        json_file.write({'out': options.out, 'frames': len(found.numbers), 'rate': found.rate}, options.json)
    if options.json == json_file.STDOUT:
        return
    own = f', which have {found.rate:g} a second' if found.rate else ''
    print(printable(f'wrote {form} of {len(found.numbers)} frames to {options.out}{own}'))
