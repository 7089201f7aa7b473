"""The command `python -m data_prep`: checks releases, builds datasets, makes synthetic ones, shows clips."""

import argparse
import functools
import os
import signal
import sys

from data_prep import films, releases, videos
from data_prep.files import progress
from dualatme_jax.errors import InputError, of_system, printable

# Everything else is imported by the command that needs it: `--help` answers at once.

_DESCRIPTION = """\
Turns a release of micro-expression clips into a dataset for dualatme_jax.

  check       say whether a build would be complete: counts, and every bad row or file by name
  build       write the dataset
  synthesize  make a synthetic release in the layout of a real one, to learn the tools with
  video       find when the face in a video does something
  spot        the same in many videos of a release, as a table that can be scored
  windows     write a dataset of windows of long videos, to train spotters on
  film        write the frames of a clip as PNG images, a GIF or a video
  magnify     the same, with its motion multiplied
"""

_RELEASE_HELP = """\
: the database as it is released; megc2019_cd: the composite of the first three; flow_images: the public 28x28
flow images of that composite; images: flow images or faces of your own, by --table; image_folder: labelled
faces, one folder per class; long_videos: each interval of truth.csv, or of the table --sheet, is a clip"""
SYNTHESIZED_VIDEOS = ('video', 'long_videos')
SYNTHESIZED = ('casme2', 'smic', 'samm', 'casme3', 'dfme', 'deception', 'megc2019_cd', *SYNTHESIZED_VIDEOS)
_SYNTHETIC_HELP = (
    '; synthetic: the embedded synthetic release, synthetic_motion: motions drawn from action units; neither '
    'needs a source'
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status.

    0 well, 1 a check found problems, 2 bad input, 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(of_views=arguments[:1] in (['build'], ['video'])).parse_args(arguments)
    try:
        if 'release' in options:
            _check_release(options)
        status = options.run(options)
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except OSError as error:
        print(
            f'error: {of_system(error)}; what is done is kept: see to it, and give the same command again',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        # The others move all to its place at the end.
        goes_on = options.run in (_build, _check, videos.spot, videos.video)
        kept = 'what is done is kept; the same command goes on from there' if goes_on else 'nothing is left'
        print(f'interrupted: {kept}', file=sys.stderr)
        return 130


def _check_release(options: argparse.Namespace) -> None:
    if options.release not in options.releases:  # argparse would print its usage of many lines before
        raise InputError(f'--release {options.release}: expected one of {", ".join(options.releases)}')


def _interrupt(number: int, frame) -> None:
    """SIGTERM ends a command as Ctrl-C does: nothing half written, no process left behind."""
    raise KeyboardInterrupt


def _say(text: str) -> None:
    """Prints text in which names and cells from outside may stand."""
    print(printable(text))


def _parser(*, of_views: bool = True) -> argparse.ArgumentParser:
    """The command line; the options of the views cost an import of what they compute with."""
    parser = argparse.ArgumentParser(
        prog='python -m data_prep',
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    check = commands.add_parser('check', help='check a release', description='Checks a release.')
    check.set_defaults(run=_check, parser=check)
    _add_release(check)
    check.add_argument(
        '--json', metavar='FILE', help='write everything that was found as JSON too; - for stdout'
    )
    _add_work(check)
    build = commands.add_parser(
        'build', help='write a dataset', description='Writes a release as a TFDS dataset.'
    )
    build.set_defaults(run=_build, parser=build)
    _add_release(build, 'synthetic', 'synthetic_motion')
    build.add_argument('--out', required=True, metavar='DIR', help='the folder that becomes the dataset')
    build.add_argument('--overwrite', action='store_true', help='replace the dataset that --out holds')
    build.add_argument(
        '--on-error',
        choices=('stop', 'skip'),
        default='stop',
        help='skip: build without the clips that have a problem, and list them at the end (default: stop)',
    )
    _add_work(build)
    if of_views:
        _add_views(build)
    synthesize = commands.add_parser(
        'synthesize',
        help='make a synthetic release',
        description='Renders a release in the layout of a real one, with its exact flow and landmarks.',
    )
    synthesize.set_defaults(run=_synthesize)
    _add_name(synthesize, SYNTHESIZED, ', '.join(SYNTHESIZED))
    synthesize.add_argument('--out', required=True, metavar='DIR', help='the folder that becomes the release')
    synthesize.add_argument('--seed', type=int, default=0, help='another seed, other faces (default: 0)')
    synthesize.add_argument('--subjects', type=int, metavar='N', help='only so many of each database')
    synthesize.add_argument('--dirty', action='store_true', help='with the faults that real releases have')
    synthesize.add_argument(
        '--list', metavar='FILE', help="take the rows of MEGC2019-CD from the challenge's list"
    )
    _add_workers(synthesize)
    for name, add, described in (
        (
            'video',
            functools.partial(videos.add, of_views=of_views),
            'Finds when the face in a video does something.',
        ),
        (
            'spot',
            videos.add_spot,
            'Finds expressions in many long videos, without any training. What is found can be scored; each '
            'video is kept when it is done.',
        ),
        (
            'windows',
            videos.add_windows,
            'Writes what brows and mouth do within a fixed time, all along long videos, as a TFDS dataset. '
            'Spotters of the package are trained on it.',
        ),
        ('annotate', videos.add_annotate, 'Draws what `video` has found into a copy of the video.'),
        ('film', films.add_film, 'Writes the frames of a clip as PNG images, a GIF or a video.'),
        (
            'magnify',
            films.add_magnify,
            'Writes the frames of a clip, each warped by a multiple of its own flow from the first one, the '
            'onset. It needs no weights.',
        ),
    ):
        add(commands.add_parser(name, help=described.partition('.')[0].lower(), description=described))
    return parser


def _add_name(parser: argparse.ArgumentParser, names: tuple[str, ...], described: str) -> None:
    parser.set_defaults(releases=names)
    parser.add_argument('--release', required=True, type=str.lower, metavar='NAME', help=described)


def _add_release(parser: argparse.ArgumentParser, *more: str) -> None:
    described = ', '.join(releases.FILES) + _RELEASE_HELP + (_SYNTHETIC_HELP if more else '')
    _add_name(
        parser, (*releases.FILES, 'megc2019_cd', 'flow_images', 'images', 'image_folder', *more), described
    )
    parser.add_argument(
        '--source',
        action='append',
        default=[],
        metavar='[DATABASE=]DIR',
        help='the folder of the release; of megc2019_cd: three of them, such as casme2=DIR, or the one that '
        'holds casme2, smic and samm',
    )
    parser.add_argument(
        '--list',
        metavar='FILE',
        help="the challenge's list: of flow_images (default: the only .csv below --source); megc2019_cd is "
        'compared with it, row by row',
    )
    parser.add_argument(
        '--table',
        metavar='FILE',
        help='of images: one row per clip with the columns database, subject, clip, label and path (and, '
        "with --view apex, onset_path); paths begin at --source (default: the table's folder); of "
        'image_folder: path and subject',
    )
    parser.add_argument(
        '--subject-pattern',
        metavar='PATTERN',
        help='of image_folder: where the names of its files have the subject, {subject}_*; with slashes that '
        'of paths below --source; {label} is the class, if the first folder is not',
    )
    group = parser.add_argument_group('what is in the release')
    group.add_argument(
        '--sheet',
        action='append',
        default=[],
        metavar='[DATABASE=]FILE',
        help='the label sheet (default: the one below --source)',
    )
    group.add_argument(
        '--column',
        action='append',
        default=[],
        metavar='[DATABASE:]FIELD=HEADER',
        help='the header of a column of the sheet that is not found by itself, such as emotion=Label',
    )
    group.add_argument('--frames', choices=('cropped', 'raw'), help='which frames, where a release has both')
    group.add_argument(
        '--part',
        choices=('a', 'c', 'train', 'test_a', 'test_b'),
        help='a, c: of CAS(ME)3 (default: a); the others: of DFME (default: all that are there)',
    )
    group.add_argument(
        '--kind',
        choices=('micro', 'macro'),
        help='of long_videos: only intervals of this kind (default: all)',
    )
    group.add_argument('--speakers', metavar='FILE', help='of deception: a table clip,speaker')
    group.add_argument(
        '--split-by-clip',
        action='store_true',
        help='of deception without --speakers, and of image_folder: every clip is its own subject, though '
        'people come back',
    )
    group.add_argument(
        '--protocol',
        metavar='NAME',
        help='3class, 3class-687 (of CAS(ME)3), 4class, 5class, 7class, 2class (default: the first it has)',
    )
    group.add_argument(
        '--labels',
        choices=('sheet', 'challenge'),
        default='sheet',
        help="challenge: the challenge's, where the sheet of CASME II has another emotion (default: sheet)",
    )
    group.add_argument(
        '--onset',
        choices=('sheet', 'first-there'),
        default='sheet',
        help='first-there: where the frame of the onset is missing, the first one after it (default: sheet)',
    )
    group.add_argument(
        '--apex',
        action='append',
        default=[],
        metavar='[DATABASE=]CHOICE[,CHOICE]',
        help='where the apex comes from: table, sheet, middle or spotted; a clip takes the first that gives '
        'one (default: --apex-table alone if given, else sheet,middle)',
    )
    group.add_argument(
        '--apex-table',
        action='append',
        default=[],
        metavar='[DATABASE=]FILE',
        help='a workbook or CSV with the columns subject, clip, onset, apex and offset',
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('views')
    group.add_argument(
        '--view',
        nargs='+',
        default=['flow'],
        metavar='VIEW',
        help='flow (onset to apex), flow_steps (and on to the offset), apex (both faces), frames (30 of each '
        'clip), parts (of the face), lbp_top and bi_woof (histograms); several: one dataset each, below '
        '--out (default: flow)',
    )
    group.add_argument(
        '--size',
        type=int,
        metavar='N',
        help='pixels of the stored flow, or of images (default: 28; of images: the size that they have)',
    )
    group = parser.add_argument_group('faces')
    group.add_argument(
        '--landmarks',
        action='append',
        default=[],
        metavar='[DATABASE=]WHAT',
        help='fan, dlib, mediapipe, template (the frames are aligned faces), a landmark file '
        'or a folder of them '
        '(default: template where the release is aligned)',
    )
    group.add_argument(
        '--regions',
        default='EM',
        metavar='PAIR',
        help='what the puzzled face shows, upper and lower: two of E (eyes), F (forehead), N (nose), '
        'M (mouth), or full (default: EM)',
    )
    group.add_argument(
        '--template',
        choices=('common', 'database'),
        default='common',
        help="where the template of aligned faces stands: the same for all, or at each database's place, as "
        'the public flow images show it (default: common)',
    )
    group.add_argument(
        '--overlays', metavar='DIR', help='draw each face with its landmarks and regions there'
    )
    group = parser.add_argument_group('work')
    _add_workers(group)
    group.add_argument(
        '--cache',
        metavar='DIR',
        help='where results that took long are kept (default: .cache beside --out; of check: nowhere)',
    )


def _add_workers(parser) -> None:
    parser.add_argument('--workers', type=int, metavar='N', help='processes (default: one per core)')


def _add_views(parser: argparse.ArgumentParser) -> None:
    from data_prep import views

    group = parser.add_argument_group('what is written')
    group.add_argument(
        '--face-size', type=int, default=224, metavar='N', help='pixels of the aligned face (default: 224)'
    )
    group.add_argument(
        '--magnify',
        type=float,
        default=1.0,
        metavar='FACTOR',
        help='of apex and frames: warp each frame by a multiple of its own flow from the onset (default: 1)',
    )
    for name in views.FILES:
        views.of(name).add_options(parser.add_argument_group(f'--view {name}'))
    group.add_argument(
        '--seed', type=int, help='of synthetic and synthetic_motion: another seed, other faces (default: 0)'
    )
    group.add_argument('--clips', type=int, metavar='N', help='of synthetic_motion: how many (default: 6000)')


# The options of a release that is no database, besides those of every command.
_OWN = {
    'flow_images': {'source', 'list', 'regions', 'template'},
    'images': {'source', 'table', 'regions', 'template', 'size', 'view', 'on_error'},
    'image_folder': {'source', 'table', 'subject_pattern', 'split_by_clip', 'face_size', 'view', 'on_error'},
    'synthetic': {'regions', 'flow', 'seed', 'view'},
    'synthetic_motion': {'regions', 'seed', 'clips'},
}
_COMMON = {'run', 'parser', 'release', 'out', 'overwrite', 'json'}


def _refuse_options(options: argparse.Namespace) -> None:
    """Raises InputError for an option that the release would not heed."""
    from data_prep import views

    given = {
        name
        for name, value in vars(options).items()
        if name not in _COMMON and value != options.parser.get_default(name)
    }
    if own := _OWN.get(options.release):
        if options.release == 'synthetic':
            own = own.union(*(views.heeded(view) for view in options.view if view != 'flow'))
            own -= {'part_maps', 'flow_units'}  # a rendered clip has no files and no seconds
        surplus = given - own
        if options.view != ['flow']:
            surplus |= given & {'regions', 'template'}  # of what is cut from a flow
    else:
        surplus = given & {'seed', 'clips', 'table', 'subject_pattern'}
        asked = set().union(*map(views.heeded, options.view))
        surplus |= (given & set().union(*map(views.heeded, views.FILES))) - asked
    surplus = sorted(surplus)
    if surplus:
        names = ', '.join('--' + name.replace('_', '-') for name in surplus)
        with_views = '' if own else f' with --view {" ".join(options.view)}'
        raise InputError(f'{names}: not an option of --release {options.release}{with_views}')


def _build(options: argparse.Namespace) -> int:
    import collections
    import dataclasses

    from data_prep.dataset import assemble, check_report, writer
    from dualatme_jax.files import expanded

    _refuse_options(options)
    if not options.out:
        raise InputError('--out is empty: expected the folder that becomes the dataset')
    out = expanded(options.out, '--out').resolve()
    writer.check_free(out, options.overwrite)
    skipped: list[str] = []
    release = _RELEASES.get(options.release, _raw_release)(options, skipped)
    apexes, shares = collections.Counter(), []

    def counted():
        for example in progress.tracked(release.examples, f'{release.name}: clips', release.size):
            apexes[example.apex_choice] += 1
            shares.append(example.padded)
            yield example

    writer.write(dataclasses.replace(release, examples=counted()), out, overwrite=options.overwrite)
    _say(f'wrote {apexes.total()} clips to {options.out}')
    _say('apex: ' + ', '.join(f'{choice} {count}' for choice, count in apexes.most_common()))
    if said := assemble.padding(shares):
        _say(said)
    if skipped:
        _say(f'{len(skipped)} problems; what has one is left out:')
        _say('\n'.join(check_report.collapsed(skipped)))
    return 0


def _synthetic(options: argparse.Namespace, skipped: list[str]):
    from data_prep.dataset import assemble
    from data_prep.synthetic import embedded

    return embedded.render(
        options.seed or 0,
        pair=options.regions,
        algorithm=options.flow or 'tvl1',
        show=[view for view in assemble.make_views(options) if view.name != 'flow'],
        flow='flow' in options.view,
    )


def _motions(options: argparse.Namespace, skipped: list[str]):
    from data_prep.synthetic import motions

    clips = motions.CLIPS if options.clips is None else options.clips
    return motions.draw(options.seed or 0, clips, pair=options.regions)


def _flow_images(options: argparse.Namespace, skipped: list[str]):
    from data_prep.pictures import flow_images

    by_database = options.template == 'database'
    return flow_images.read(_one_source(options), options.list, pair=options.regions, by_database=by_database)


def _pictures(options: argparse.Namespace, skipped: list[str]):
    from data_prep.dataset import assemble, check_report
    from data_prep.pictures import images

    found = _surveyed_pictures(options)
    if found.problems and options.on_error == 'stop':
        listing = '\n'.join(check_report.collapsed(found.problems))
        raise InputError(f'{len(found.problems)} problems:\n{listing}\n{assemble.SKIP_HINT}')
    skipped += map(str, found.problems)
    if found.notes:
        _say('\n'.join(check_report.notes(found.notes)))
    by_database = options.template == 'database'
    return images.read(found, pair=options.regions, by_database=by_database, skipped=skipped)


def _surveyed_pictures(options: argparse.Namespace):
    from data_prep.pictures import image_folder, images

    if options.release == 'image_folder':
        if options.view not in (options.parser.get_default('view'), ['apex']):
            raise InputError(f'--view {" ".join(options.view)}: the pictures of image_folder become apex')
        given = {'size': options.face_size} if hasattr(options, 'face_size') else {}  # which `check` has not
        return image_folder.survey(
            _one_source(options),
            pattern=options.subject_pattern,
            table=options.table,
            split_by_clip=options.split_by_clip,
            **given,
        )
    if not options.table:
        raise InputError(
            f'--release images needs --table FILE: a row per clip, columns {", ".join(images.COLUMNS)}'
        )
    if len(options.view) > 1:
        raise InputError(f'--view {" ".join(options.view)}: the images of one --table are one view')
    source = _one_source(options) if options.source else None
    return images.survey(options.table, source, view=options.view[0], size=options.size)


_RELEASES = {
    'synthetic': _synthetic,
    'synthetic_motion': _motions,
    'flow_images': _flow_images,
    'images': _pictures,
    'image_folder': _pictures,
}


def _raw_release(options: argparse.Namespace, skipped: list[str]):
    from data_prep.dataset import assemble, check_report, pipeline
    from data_prep.files.cache import Cache
    from dualatme_jax.files import expanded

    views = assemble.make_views(options)
    plan = assemble.make_plan(options, assemble.survey(options))
    out = expanded(options.out, '--out').resolve()
    cache = expanded(options.cache, '--cache') if options.cache else out.parent / '.cache'
    work = assemble.make_work(options, plan, views, Cache(cache))
    if options.on_error == 'stop' and (problems := [*plan.problems, *assemble.without_files(plan, work)]):
        listing = '\n'.join(check_report.collapsed(problems))
        raise InputError(f'{len(problems)} problems:\n{listing}\n{assemble.SKIP_HINT}')
    skipped += [str(problem) for problem in plan.problems]
    _say('\n'.join(assemble.remarks(plan, work)))
    results = pipeline.run(work, plan.sound, assemble.workers(options))
    return assemble.release(options, plan, work, results, skipped)


def _check(options: argparse.Namespace) -> int:
    import dataclasses

    from rich.console import Console

    from data_prep.dataset import assemble, check_report
    from data_prep.files import json_file
    from dualatme_jax.files import expanded

    _refuse_options(options)
    if options.json:
        expanded(options.json, '--json')  # before the faces are looked at
    if options.release == 'flow_images':
        from data_prep.pictures import flow_images

        plan = flow_images.plan(_one_source(options), options.list)
        plan = dataclasses.replace(plan, notes=plan.deviations())  # a list may have a part of the clips
        problems = plan.problems
    elif options.release in ('images', 'image_folder'):
        from data_prep.pictures import images

        plan = images.plan(_surveyed_pictures(options))
        problems = plan.problems
    else:
        plan = assemble.make_plan(options, assemble.survey(options))
        found, notes = _look_at_faces(options, plan)
        plan = dataclasses.replace(plan, notes=[*plan.notes, *notes])
        problems = [*plan.problems, *found, *plan.deviations()]
    if options.json != '-':
        Console().print(check_report.counts_table(plan))
        _say('\n'.join(check_report.lines(plan, problems)))
    if options.json:
        json_file.write(check_report.as_json(plan, problems), options.json)
    return 1 if problems else 0


def _look_at_faces(options: argparse.Namespace, plan):
    """Returns the problems that only the frames themselves show, and what else there is to note of them."""
    from data_prep.dataset import assemble, pipeline
    from data_prep.files.cache import Cache
    from data_prep.releases.clip import Problem
    from dualatme_jax.files import expanded

    if not plan.sound:
        return [], []
    try:
        cache = Cache(expanded(options.cache, '--cache') if options.cache else None)
        work = assemble.make_work(options, plan, [assemble.make_dry_run(options)], cache)
    except InputError as error:
        return [Problem(row='', text=f'the faces were not looked at: {error}')], []
    results = pipeline.run(work, plan.sound, assemble.workers(options))
    tracked = progress.tracked(results, f'{options.release}: faces', len(plan.sound))
    problems, shares = [], []
    for result in tracked:
        if isinstance(result, Problem):
            problems.append(result)
        else:
            shares.append(result.padded)
    said = assemble.padding(shares)
    return problems, [Problem(row='', text=said)] if said else []


def _one_source(options: argparse.Namespace) -> str:
    if len(options.source) != 1:
        raise InputError(f'--release {options.release} needs one --source: the folder that holds it')
    return options.source[0]


def _synthesize(options: argparse.Namespace) -> int:
    from data_prep.synthetic.release import synthesize

    if options.release in SYNTHESIZED_VIDEOS:
        return _synthesize_videos(options)
    synthesize(
        options.release,
        options.out,
        seed=options.seed,
        subjects=options.subjects,
        dirty=options.dirty,
        rows=options.list,
        workers=options.workers,
        progress=lambda clips, total: progress.tracked(clips, f'{options.release}: clips', total),
    )
    _say(f'wrote the synthetic release {options.release} to {options.out}; its truth is in truth/')
    return 0


def _synthesize_videos(options: argparse.Namespace) -> int:
    from data_prep.synthetic import long_videos

    for name in ('dirty', 'list'):
        if getattr(options, name):
            raise InputError(f'--{name} with --release {options.release}: videos have none of it')
    long_videos.write(
        options.release,
        options.out,
        seed=options.seed,
        subjects=options.subjects,
        workers=options.workers,
        progress=lambda videos, total: progress.tracked(videos, f'{options.release}: videos', total),
    )
    _say(f'wrote {options.release} to {options.out}; when what happens is in {long_videos.TRUTH}')
    return 0


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
