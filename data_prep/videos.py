"""The command `video`: when the face in a video does something.

python -m data_prep video VIDEO --out DIR
"""

import argparse

from dualatme_jax.errors import InputError, printable


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.set_defaults(run=_video)
    parser.add_argument('source', metavar='VIDEO', help='a video, or a folder of images')
    parser.add_argument('--out', required=True, metavar='DIR', help='the folder of what is found')
    parser.add_argument(
        '--landmarks', default='dlib', metavar='NAME', help='what finds the face (default: %(default)s)'
    )
    parser.add_argument(
        '--face', type=int, default=1, metavar='N', help='which face, 1 the largest (default: %(default)s)'
    )
    parser.add_argument(
        '--fps', type=float, metavar='RATE', help='frames a second, where the header is wrong'
    )


def _video(options: argparse.Namespace) -> int:
    from rich.console import Console

    from data_prep.video import detectors, events, recording
    from dualatme_jax.files import expanded

    if options.face < 1:
        raise InputError(f'--face {options.face}: expected 1 or more')
    found = recording.find(expanded(options.source, 'VIDEO'), rate=options.fps)
    detector = detectors.detector(options.landmarks)
    out = expanded(options.out, '--out')
    result = events.find(found, detector, face=options.face - 1)
    events.write(result, detector, out)
    shown = events.table(result)
    console = Console(markup=False, highlight=False, emoji=False)
    expressions = shown[shown['expression']]
    console.print(printable(f'{found.path}: {len(expressions)} expressions in {len(result.moved)} frames'))
    for row in expressions.itertuples():
        console.print(f'  {row.kind} from {row.onset_s:.2f} to {row.offset_s:.2f} s, apex {row.apex_s:.2f} s')
    for flag in result.flags:
        console.print(f'  uncertain: {flag}')
    console.print(printable(f'the tables are in {out}'), soft_wrap=True)
    return 0
