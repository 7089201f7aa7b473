"""Says what the face in a video does: when something happens, which class it is, and how sure that is.

    python -m dualatme_jax.predict video.mp4
    python -m dualatme_jax.predict video.mp4 frames/ --weights runs/own --out answers

This is research software and no lie detector: it is often wrong. Everything heavy is imported late: `--help`
should answer at once.
"""

import argparse
import pathlib
import signal
import sys
import traceback

from dualatme_jax import files
from dualatme_jax.errors import InputError, exit_status, of_system, one_line, printable
from dualatme_jax.report.notice import NOTICE

WEIGHTS = pathlib.Path(__file__).parent / 'default_weights' / 'small_cnn.safetensors'


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 where a video cannot be answered, 130 if stopped."""
    options = _parser().parse_args(arguments)
    try:
        return exit_status(lambda: run(options))
    except KeyboardInterrupt:
        print('stopped; the same command goes on with the videos that have no answer yet', file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> None:
    """Answers every video; what cannot be answered does not cost the others theirs.

    Raises:
      InputError: weights or an option cannot be used; or, when all others are answered, a video cannot be.
    """
    from rich.console import Console

    from dualatme_jax.report import answer_page
    from dualatme_jax.run import predicting, video

    out = files.expanded(options.out, '--out')
    paths = [files.expanded(path, 'VIDEO').absolute() for path in options.videos]
    folders = _folders(paths, out)
    found = predicting.load(files.expanded(options.weights, '--weights'), seed=options.seed)
    given = ['--landmarks', options.landmarks, '--face', options.face]
    given += [] if options.fps is None else ['--fps', str(options.fps)]
    console = Console(markup=False, highlight=False, emoji=False)
    console.print(NOTICE, soft_wrap=True)
    faults = []
    for path, folder in zip(paths, folders, strict=True):
        try:
            answers = video.answer(path, folder, found, given, console, film=not options.no_video)
        except InputError as error:
            faults.append(_fault(path, one_line(error)))
            continue
        except OSError as error:  # such as a full disk
            faults.append(_fault(path, of_system(error)))
            continue
        except Exception as error:  # a bug of ours must not cost the others theirs
            traceback.print_exc()
            faults.append(_fault(path, type(error).__name__))
            continue
        console.print()
        for answer in answers:
            _show(answer, console)
        console.print(printable(f'  to look at: {folder / answer_page.FILE}'), soft_wrap=True)
    if faults:
        raise InputError('\n'.join(faults))


def _folders(paths: list[pathlib.Path], out: pathlib.Path) -> list[pathlib.Path]:
    """A folder for each video, by its name; raises InputError where two have one name."""
    names = [path.name if path.is_dir() else path.stem for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f'several videos are called {twice[0]!r}; give them one by one, each with its own --out'
        )
    return [out / name for name in names]


def _fault(path: pathlib.Path, text: str) -> str:
    """What is wrong with a video, which is named once."""
    return text if str(path) in text else f'{path}: {text}'


def _show(answer, console) -> None:
    from dualatme_jax.report import answer_page

    about = answer.about
    expressions = answer.events[answer.events['expression'].astype(bool)]
    number, unit = len(expressions), about.get('unit', 'expressions')
    known = ' (answered before)' if answer.before else ''
    face = ', face {face} at ({middle[0]}, {middle[1]})'.format(**about) if 'face' in about else ''
    what = f'{number} {unit.removesuffix("s") if number == 1 else unit}'
    if len(answer.events) > number:
        kinds = answer.events['kind'][~answer.events['expression'].astype(bool)].value_counts()
        what += f'; explained otherwise: {", ".join(f"{kind} {count}" for kind, count in kinds.items())}'
    console.print(printable(f'{answer.path}{face}: {what}{known}'), soft_wrap=True)
    for row in expressions.to_dict('records') if unit == 'expressions' else ():
        when = f'{row["onset_s"]:.2f} to {row["offset_s"]:.2f} s, apex {row["apex_s"]:.2f} s'
        said = answer_page.answer_in_words(row, about)
        console.print(f'  {when}: {row["kind"]}: {said}', soft_wrap=True)
    for flag in about.get('flags') or ():
        console.print(f'  uncertain: {flag}', soft_wrap=True)
    if not about['sentences']:
        console.print(f'  {answer_page.NOBODY_KNOWS}', soft_wrap=True)
    elif unit == 'expressions' and expressions['answer'].isin(about['sentences']).any():
        console.print(f'  {answer_page.LESS_IN_VIDEOS}', soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.predict',
        description='When the face in a video does something, what, and how sure that is. ' + NOTICE,
    )
    parser.add_argument(
        'videos', nargs='+', metavar='VIDEO', help='a video, a folder of images, or a dataset'
    )
    parser.add_argument(
        '--weights',
        default=str(WEIGHTS),
        metavar='PATH',
        help='a run (its networks are one ensemble; of one that scored converted weights these), or a file '
        'of networks (default: those of the package, which have seen drawn motions only)',
    )
    parser.add_argument(
        '--out',
        default='answers',
        metavar='DIR',
        help='one folder per video is made there (default: answers)',
    )
    parser.add_argument(
        '--landmarks',
        default='auto',
        metavar='WHAT',
        help='what finds the face: mediapipe, dlib, haar, fan, or a file with the landmarks of every frame '
        '(default: auto, the best of the first three that is installed)',
    )
    parser.add_argument(
        '--face',
        default='1',
        metavar='N',
        help='which face, 1 the largest (default: %(default)s); all: an answer for each',
    )
    parser.add_argument(
        '--fps', type=float, metavar='RATE', help='frames a second, of images or where the header is wrong'
    )
    parser.add_argument(
        '--no-video', action='store_true', help='do not draw what is found into a copy of the video'
    )
    parser.add_argument('--seed', type=int, metavar='N', help='of a run with several seeds: which')
    return parser


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C ends it, and the data stage with it
    sys.exit(main())
