"""The commands of videos: `video`, when a face does something; `annotate`, that drawn in; `spot`; `windows`.

python -m data_prep video VIDEO --out DIR
python -m data_prep annotate DIR
python -m data_prep spot --source VIDEOS --out DIR
python -m data_prep windows --source VIDEOS --out DIR
"""

import argparse
import contextlib
import functools

from dualatme_jax.errors import InputError, printable


def add(parser: argparse.ArgumentParser, *, of_views: bool) -> None:
    """Adds the options of the command; those `of_views` too if they are needed, which loads OpenCV."""
    parser.set_defaults(run=video)
    parser.add_argument('source', metavar='VIDEO', help='a video, or a folder of images')
    parser.add_argument('--out', required=True, metavar='DIR', help='the folder of what is found')
    parser.add_argument(
        '--landmarks',
        default='auto',
        metavar='NAME',
        help='what finds the face: mediapipe, dlib, haar, fan, or a file with the landmarks of every frame, '
        'as OpenFace writes it (default: auto, the first of mediapipe, dlib, haar that is installed)',
    )
    parser.add_argument(
        '--face',
        default='1',
        metavar='N',
        help='which face, 1 the largest (default: %(default)s); all: each in a folder of its own, face_1, '
        'face_2, ...',
    )
    parser.add_argument(
        '--fps', type=float, metavar='RATE', help='frames a second, of images or where the header is wrong'
    )
    parser.add_argument(
        '--view', nargs='+', default=[], metavar='VIEW', help='write what these views make of each expression'
    )
    parser.add_argument(
        '--face-size', type=int, default=224, metavar='N', help='pixels of the aligned face (default: 224)'
    )
    parser.add_argument('--size', type=int, metavar='N', help='pixels of the stored flow (default: 28)')
    parser.add_argument('--regions', default='EM', metavar='PAIR', help='of the puzzled face (default: EM)')
    parser.add_argument(
        '--magnify', type=float, default=1.0, metavar='FACTOR', help='of apex and frames (default: 1)'
    )
    parser.add_argument(
        '--like',
        metavar='FILE',
        help='make the views as those of a dataset: JSON with its metadata as `recipe` and the shapes of its '
        '`inputs`; what cannot be made so is refused',
    )
    _add_progress(parser)
    if of_views:
        from data_prep import views

        for name in views.FILES:
            views.of(name).add_options(parser.add_argument_group(f'--view {name}'))


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--progress-lines',
        action='store_true',
        help='say how far it is for a program: on stderr, once a second, a line of `progress: ` and JSON',
    )


def video(options: argparse.Namespace) -> int:
    """Finds when a face does something."""
    from rich.console import Console

    from data_prep import views
    from data_prep.files import progress
    from data_prep.video import detectors, events, faces, kept, like, recording
    from dualatme_jax.files import expanded

    every = options.face == 'all'
    if not every and not (options.face.isdecimal() and int(options.face)):
        raise InputError(f'--face {options.face}: expected 1 or more, or all')
    if options.like:
        path = expanded(options.like, '--like')
        options = like.options(path, options, options.view)
    asked = [views.of(name).of(options) for name in dict.fromkeys(options.view)]
    if options.like:
        like.check(path, asked)
    found = recording.find(expanded(options.source, 'VIDEO'), rate=options.fps)
    detector = detectors.detector(options.landmarks, found)
    out = expanded(options.out, '--out')
    keep = out / kept.FOLDER
    tracked = functools.partial(progress.tracked, for_a_program=options.progress_lines)
    console = Console(markup=False, highlight=False, emoji=False)

    try:
        if every:
            results = faces.find(found, detector, keep=keep, progress=tracked)
        else:
            results = [events.find(found, detector, face=int(options.face) - 1, keep=keep, progress=tracked)]
        for number, result in enumerate(results, start=1):
            folder = faces.folder(out, number) if every else out
            _leave(result, detector, asked, folder, tracked, console)
        if every:
            faces.remove(out, after=number)
    except InputError:  # there is nothing to go on with
        kept.remove(keep)
        with contextlib.suppress(OSError):  # which holds something
            out.rmdir()
        raise
    kept.remove(keep)
    if detector.coarse:
        console.print(f'  {detector.note}', soft_wrap=True)
    return 0


def _leave(result, detector, asked, out, tracked, console) -> None:
    """Writes what was found of one face, and says it."""
    from data_prep.video import clips, events

    clips.remove(out)
    events.write(result, detector, out)
    faults = clips.write(result, asked, out, detector=detector.name, progress=tracked) if asked else {}
    shown = events.table(result)
    expressions = shown[shown['expression']]
    seen = f'{len(expressions)} expressions in {len(result.frames)} frames, the face by {detector.name}'
    console.print(printable(f'{result.recording.path}: {seen}'), soft_wrap=True)
    for row in expressions.itertuples():
        console.print(f'  {row.kind} from {row.onset_s:.2f} to {row.offset_s:.2f} s, apex {row.apex_s:.2f} s')
    for number, fault in faults.items():
        console.print(printable(f'  left out: event {number}: {fault}'), soft_wrap=True)
    for flag in result.flags:
        console.print(f'  uncertain: {flag}')
    console.print(printable(f'the tables are in {out}'), soft_wrap=True)


SPOTTED = ('long_videos', 'casme_sq', 'samm_long')


def add_spot(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `spot`."""
    parser.set_defaults(run=spot, releases=SPOTTED)
    parser.add_argument(
        '--release',
        default='long_videos',
        type=str.lower,
        metavar='NAME',
        help='long_videos: a folder with videos/, truth.csv and videos.csv; casme_sq, samm_long: those '
        'databases as they are released, whose tables are written too (default: %(default)s)',
    )
    parser.add_argument('--source', required=True, metavar='DIR', help='the folder of the videos')
    parser.add_argument('--out', required=True, metavar='DIR', help='the folder of what is found')
    parser.add_argument(
        '--sheet', metavar='FILE', help='the label sheet of a release (default: the one below --source)'
    )
    parser.add_argument(
        '--landmarks',
        default='auto',
        choices=('auto', 'dlib', 'fan', 'haar', 'mediapipe'),
        help='what finds the face (default: auto, the first of mediapipe, dlib, haar that is installed)',
    )
    parser.add_argument('--workers', type=int, metavar='N', help='processes (default: one per core)')


def spot(options: argparse.Namespace) -> int:
    """Finds the expressions of many videos; returns 1 where a video of them could not be looked at."""
    from rich.console import Console

    from data_prep.dataset import assemble
    from data_prep.files import long_videos, progress
    from data_prep.video import long_releases, spot_all
    from dualatme_jax.files import expanded

    source, out = expanded(options.source, '--source'), expanded(options.out, '--out')
    workers, tables, notes = assemble.workers(options), source, []
    console = Console(markup=False, highlight=False, emoji=False)
    if options.release in long_releases.RELEASES:
        sheet = expanded(options.sheet, '--sheet') if options.sheet else None
        release = long_releases.read(options.release, source, chosen=sheet)
        long_releases.write(release, out)
        videos, notes, tables = release.videos, release.notes, out
    elif options.sheet:
        raise InputError(f'--sheet: not an option of --release {options.release}, whose truth is a table')
    else:
        videos = long_videos.read(source)
        out.mkdir(parents=True, exist_ok=True)
    for note in notes:
        console.print(printable(f'  {note}'), soft_wrap=True)
    done = spot_all.spot(videos, out, landmarks=options.landmarks, workers=workers)
    found = list(progress.tracked(done, 'videos', len(videos)))
    spot_all.write(found, out)
    for each in found:
        for text in filter(None, [each.fault, *each.remarks]):
            console.print(printable(f'  {each.video.subject}/{each.video.name}: {text}'), soft_wrap=True)
    faulty = sum(bool(each.fault) for each in found)
    if faulty == len(found):
        raise InputError('none of the videos could be looked at, see above')
    left = (
        f'; {faulty} videos could not be looked at, and what is true of them counts as missed'
        if faulty
        else ''
    )
    intervals = sum(len(each.intervals) for each in found)
    console.print(printable(f'{intervals} expressions in {len(found) - faulty} videos{left}'), soft_wrap=True)
    files = f'{tables / long_videos.TRUTH} {out / spot_all.PREDICTED} --videos {tables / long_videos.VIDEOS}'
    console.print(printable(f'python -m dualatme_jax.score --spotting {files}'), soft_wrap=True)
    return 1 if faulty else 0


def add_windows(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `windows`."""
    parser.set_defaults(run=_windows)
    parser.add_argument(
        '--source', required=True, metavar='DIR', help='a folder with videos/, truth.csv and videos.csv'
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='the folder that becomes the dataset')
    parser.add_argument('--overwrite', action='store_true', help='replace the dataset that --out holds')
    parser.add_argument(
        '--form',
        default='softnet',
        choices=('softnet', 'mean'),
        help='which system reads it (default: softnet)',
    )
    parser.add_argument(
        '--kind',
        choices=('micro', 'macro'),
        help='windows that meet an expression of this kind are of the class expression, all others neutral '
        '(default: both kinds are one class)',
    )
    parser.add_argument(
        '--step',
        type=float,
        metavar='SECONDS',
        help='from the first frame of a window to the last (default: 0.2 of softnet, 0.1 of mean)',
    )
    parser.add_argument(
        '--every',
        type=float,
        default=0.1,
        metavar='SECONDS',
        help='from one window to the next (default: %(default)s)',
    )
    parser.add_argument(
        '--flow', default='tvl1', choices=('tvl1', 'dis', 'farneback'), help='the algorithm (default: tvl1)'
    )
    parser.add_argument(
        '--landmarks',
        default='dlib',
        choices=('dlib', 'fan', 'haar', 'mediapipe'),
        help='what finds the face (default: %(default)s)',
    )
    parser.add_argument(
        '--database',
        default='long_videos',
        metavar='NAME',
        help='what the dataset calls it (default: %(default)s)',
    )
    parser.add_argument('--workers', type=int, metavar='N', help='processes (default: one per core)')


def _windows(options: argparse.Namespace) -> int:
    """Writes the dataset; returns 1 where a video of it has no window."""
    from rich.console import Console

    from data_prep.dataset import assemble, writer
    from data_prep.files import progress
    from data_prep.video import windows, windows_dataset
    from dualatme_jax.files import expanded

    out = expanded(options.out, '--out').resolve()
    writer.check_free(out, options.overwrite)
    step = windows.FORMS[options.form].seconds if options.step is None else options.step
    settings = windows_dataset.Settings(
        options.form, step, options.every, options.landmarks, options.flow, options.kind
    )
    skipped: list[str] = []
    found = windows_dataset.read(
        options.source,
        settings,
        database=options.database,
        workers=assemble.workers(options),
        skipped=skipped,
        progress=lambda videos, total: progress.tracked(videos, 'videos', total),
    )
    writer.write(found, out, overwrite=options.overwrite)
    console = Console(markup=False, highlight=False, emoji=False)
    made = f'wrote windows of {step:g} seconds, one every {options.every:g}, to {out}'
    console.print(printable(made), soft_wrap=True)
    if skipped:
        console.print(f'without {len(skipped)} videos:')
        for fault in skipped:
            console.print(printable(f'  {fault}'), soft_wrap=True)
    return 1 if skipped else 0


def add_annotate(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `annotate`."""
    parser.set_defaults(run=_annotate)
    parser.add_argument('folder', metavar='DIR', help='what `python -m data_prep video` has left')
    _add_progress(parser)


def _annotate(options: argparse.Namespace) -> int:
    from data_prep.files import progress
    from data_prep.video import drawing
    from dualatme_jax.files import expanded

    tracked = functools.partial(progress.tracked, for_a_program=options.progress_lines)
    print(printable(f'wrote {drawing.video(expanded(options.folder, "DIR"), tracked)}'))
    return 0
