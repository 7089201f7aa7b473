"""From the options of a command to what it works on: surveys, plan, work and release."""

import argparse
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import cv2

from data_prep import releases, views
from data_prep.dataset import check_report, pipeline, plan, processes
from data_prep.dataset.example import Example
from data_prep.dataset.plan import Plan
from data_prep.face import apex, landmarks, regions
from data_prep.face.alignment import LARGEST_FACE
from data_prep.face.apex import ApexRule
from data_prep.files import folders, images
from data_prep.files.cache import Cache
from data_prep.releases import synthetic_mark
from data_prep.releases.clip import Problem, Survey
from data_prep.views import View, magnification
from data_prep.views.dry_run import DryRun
from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded, open_regular

MEGC2019_CD = 'megc2019_cd'
LEAST_PADDED = 0.01  # of the aligned face: less is not worth a word
SKIP_HINT = 'To build without such clips: --on-error skip'


def databases_of(release: str) -> tuple[str, ...]:
    """The databases that a release is made of."""
    return schema.COMPOSITE if release == MEGC2019_CD else (release,)


def survey(options: argparse.Namespace) -> dict[str, Survey]:
    """Reads the sheets and folders of a release: database -> what was found."""
    try:
        return _survey(options)
    except InputError as error:
        below = [path for path in map(_plain, options.source) if _has_flow_images(path)]
        if not below:
            raise
        raise InputError(
            f'{error}; {below[0]} holds {schema.FLOW_SIZE}x{schema.FLOW_SIZE} images, as the public flow '
            'images are: if it is those, give --release flow_images'
        ) from error


def _survey(options: argparse.Namespace) -> dict[str, Survey]:
    names = databases_of(options.release)
    sources = _sources(options.source, names)
    sheets = by_database('--sheet', options.sheet, names)
    given = {
        'frames': options.frames,
        'part': options.part,
        'kind': options.kind,
        'speakers': expanded(options.speakers, '--speakers') if options.speakers else None,
        'split_by_clip': options.split_by_clip,
    }
    taken_by_some = {key for name in names for key in releases.options_of(name)}
    for key, value in given.items():
        if value and key not in taken_by_some:
            raise InputError(f'--{key.replace("_", "-")} does not apply to {options.release}')
    columns = _columns(options.column, names)
    found = {}
    for name in names:
        own = {key: value for key, value in given.items() if key in releases.options_of(name)}
        own |= {'column': columns[name]} if columns.get(name) else {}
        sheet = expanded(sheets[name], '--sheet') if name in sheets else None
        found[name] = releases.survey(name, sources[name], sheet=sheet, **own)
    return found


def _plain(source: str) -> str:
    """The folder in a value of --source."""
    name, equals, folder = source.partition('=')
    return folder if equals and name in releases.FILES else source


def _has_flow_images(source: str) -> bool:
    """Whether the first images below a folder have the size and the colours of the public flow images."""
    try:
        found = (folder.path / folder.image for folder in folders.walk(source).folders if folder.image)
        return any(map(_is_flow_image, itertools.islice(found, 10)))  # of a large release, a few
    except InputError:
        return False


def _is_flow_image(path: pathlib.Path) -> bool:
    try:
        with open_regular(path, 'image') as file:
            start = file.read(len(images.PNG) + 18)  # to the colour type
    except (InputError, OSError):
        return False
    size = schema.FLOW_SIZE.to_bytes(4, 'big')
    # After the header's length and name: width, height, 8 bits of red, green and blue.
    return start.startswith(images.PNG) and start[len(images.PNG) + 8 :] == size + size + bytes([8, 2])


def make_plan(options: argparse.Namespace, surveys: Mapping[str, Survey]) -> Plan:
    """Applies protocol and apex rules to what was found."""
    if options.labels == 'challenge' and not set(surveys) & set(schema.COMPOSITE):
        raise InputError(f'--labels challenge: {options.release} is no part of the challenge')
    return plan.make(
        surveys,
        protocol=options.protocol,
        rules=_apex_rules(options, surveys),
        reference=expanded(options.list, '--list') if options.list else None,
        labels_of=options.labels,
        onset=options.onset,
    )


def remarks(found: Plan, work: pipeline.Work) -> Iterator[str]:
    """Yields what a build says that is no problem: what is left out, and counts that are not as expected."""
    for name, excluded in found.excluded.items():
        used = sum(found.counts(name)[1].values())
        title = schema.title(name)
        if excluded:
            yield f'{title}: {used} clips; {len(excluded)} rows are left out on purpose (check says which)'
        if work.sources[name].whole_frame and not found.surveys[name].aligned:
            yield f'{title}: the release has not aligned its frames, but they are taken for aligned faces'
    yield from map(str, found.deviations())
    yield from check_report.notes(found.notes)


def without_files(found: Plan, work: pipeline.Work) -> list[Problem]:
    """Returns the clips that files of landmarks or of a view lack: all at once, before any is computed."""
    checks = [view.check for view in work.views if hasattr(view, 'check')]
    problems = []
    for clip, _ in found.sound:
        try:
            work.sources[clip.database].recipe(clip)
            for check in checks:
                check(clip)
        except InputError as error:
            problems.append(Problem.of(clip, error))
    return problems


def make_work(
    options: argparse.Namespace, found: Plan, views: Sequence[View | DryRun], cache: Cache
) -> pipeline.Work:
    """What is done with each clip; raises InputError where a source of landmarks cannot be had."""
    overlays = expanded(options.overlays, '--overlays') if options.overlays else None
    return pipeline.Work(
        sources=_landmark_sources(options, found.surveys),
        views=views,
        cache=cache,
        overlays=overlays,
        pair=options.regions,
    )


def make_dry_run(options: argparse.Namespace) -> DryRun:
    """What a check of the views that were asked for decodes."""
    return DryRun(span=any(views.of(name).span for name in options.view))


def make_views(options: argparse.Namespace) -> list[View]:
    """The views that were asked for."""
    asked = [views.of(name) for name in dict.fromkeys(options.view)]
    if not regions.GRID <= options.face_size <= LARGEST_FACE:
        raise InputError(f'--face-size {options.face_size}: expected {regions.GRID} to {LARGEST_FACE} pixels')
    magnification.check_factor(options.magnify, '--magnify')
    return [view.of(options) for view in asked]


def release(
    options: argparse.Namespace,
    found: Plan,
    work: pipeline.Work,
    results: Iterable[Example | Problem],
    skipped: list[str],
):
    """What a build writes.

    Args:
      options: of the command.
      found: what is built.
      work: how.
      results: of the clips, in the plan's order.
      skipped: the clips that were left out already, each with its problem; those of `results` are added.
    """
    from data_prep.dataset import writer  # TFDS loads as late as can be

    padded: dict[str, float] = {}
    names = databases_of(options.release)
    titles = ', '.join(map(schema.title, names))
    return writer.Contents(
        name=f'db_{options.release}' if options.release[0].isdigit() else options.release,  # TFDS's rule
        description=f'Micro-expression clips of {titles}, made from the release by data_prep.',
        citation=releases.citation(names),
        licence=releases.licence(names),
        labels=found.labels,
        recipe=_recipe(options, found, work) | {'skipped': skipped, 'padded': padded},
        views={
            view.name: writer.ViewFormat(features=view.features(), recipe=view.recipe())
            for view in work.views
        },
        examples=_examples(results, skipped, padded, skip=options.on_error == 'skip'),
        size=len(found.sound),
    )


def _recipe(options: argparse.Namespace, found: Plan, work: pipeline.Work) -> dict[str, Any]:
    """What the metadata of every view says, as JSON values."""
    return {
        'release': options.release,
        'synthetic': [name for name, survey in found.surveys.items() if synthetic_mark.of_survey(survey)],
        'sheets': {name: survey.sheet for name, survey in found.surveys.items()},
        'errata': [erratum.as_json() for survey in found.surveys.values() for erratum in survey.errata],
        'labels': options.labels,
        'onset': options.onset,
        'protocol': {
            'name': next(iter(found.protocols.values())).name,
            'sources': sorted({protocol.source for protocol in found.protocols.values()}),
        },
        'release_frames': {
            name: 'cropped by the release' if survey.aligned else 'raw'
            for name, survey in found.surveys.items()
        },
        'landmarks': {name: source.recipe() for name, source in work.sources.items()},
        'alignment': {
            name: 'the whole frame'
            if source.whole_frame
            else 'eyes of the onset frame to those of the template'
            for name, source in work.sources.items()
        },
        'apex': {name: list(rule.choices) for name, rule in found.rules.items()},
        'apex_tables': by_database('--apex-table', options.apex_table, databases_of(options.release)),
        'cv2': cv2.__version__,
        'exclusions': {
            name: [f'{each.subject}/{each.clip}: {each.reason}' for each in excluded]
            for name, excluded in found.excluded.items()
        },
    }


def padding(shares: Iterable[float]) -> str:
    """Returns what there is to say of the shares of faces that lay outside of their frames, if any did."""
    shares = [share for share in shares if share >= LEAST_PADDED]
    if not shares:
        return ''
    return (
        f'{len(shares)} clips: {min(shares):.0%} to {max(shares):.0%} of the aligned face lie outside of the '
        'frame; mirrored pixels stand there'
    )


def _examples(
    results: Iterable[Example | Problem], skipped: list[str], padded: dict[str, float], *, skip: bool
) -> Iterator[Example]:
    some = False
    for result in results:
        if isinstance(result, Example):
            some = True
            if result.padded >= LEAST_PADDED:
                padded[f'{result.database}/{result.subject}/{result.clip}'] = round(result.padded, 3)
            yield result
        elif skip:
            skipped.append(str(result))
        else:
            raise InputError(f'{result}\n{SKIP_HINT}')
    if not some:
        raise InputError('no clip is left to write:\n' + '\n'.join(check_report.collapsed(skipped)))


def _apex_rules(options: argparse.Namespace, surveys: Mapping[str, Survey]) -> dict[str, ApexRule]:
    """Where the apexes of each database come from: as the options say, or by what the release has."""
    choices = by_database('--apex', options.apex, tuple(surveys))
    tables = by_database('--apex-table', options.apex_table, tuple(surveys))
    rules = {}
    for name, found in surveys.items():
        table = (
            apex.read_table(expanded(tables[name], '--apex-table'), releases.of(name))
            if name in tables
            else {}
        )
        if name in choices:
            own = tuple(choice.strip() for choice in choices[name].split(','))
        elif table:
            own = ('table',)
        elif defaults := releases.of(name).apex_choices:
            own = defaults
        else:
            has_apex = any(clip.apex != schema.UNKNOWN_FRAME for clip in found.clips)
            own = ('sheet', 'middle') if has_apex else ('middle',)
        apex.check_choices(own, has_table=bool(table))
        rules[name] = ApexRule(choices=own, table=table)
    return rules


def _landmark_sources(
    options: argparse.Namespace, surveys: Mapping[str, Survey]
) -> dict[str, landmarks.Source]:
    chosen = by_database('--landmarks', options.landmarks, tuple(surveys))
    sources = {}
    for name, found in surveys.items():
        what = chosen.get(name) or ('template' if found.aligned else None)
        if what is None:
            raise InputError(
                f'the frames of {schema.title(name)} are not aligned: say by --landmarks where the '
                f'landmarks of the faces come from: {landmarks.CHOICES} (template only if you have cropped '
                'and aligned the faces yourself)'
            )
        sources[name] = landmarks.source(what, name if options.template == 'database' else None)
    if options.template == 'database' and not any(source.whole_frame for source in sources.values()):
        raise InputError('--template database: no landmarks come from the template')
    return sources


def _sources(given: Sequence[str], names: tuple[str, ...]) -> dict[str, pathlib.Path]:
    if not given:
        raise InputError('--source is missing: the folder that holds the release')
    folders = {
        name: expanded(path, '--source') for name, path in by_database('--source', given, names).items()
    }
    if len(names) > 1 and len(set(folders.values())) == 1 and len(given) == 1:
        above = next(iter(folders.values()))
        folders = {name: above / name for name in names}
    missing = [name for name in names if name not in folders]
    if missing:
        raise InputError(f'no --source for {", ".join(missing)}: give --source {missing[0]}=DIR')
    for name, folder in folders.items():
        if not folder.is_dir():
            hint = f'; or give --source {name}=DIR for each of {", ".join(names)}' if len(names) > 1 else ''
            raise InputError(f'--source: {folder} is not a folder: expected the release of {name}{hint}')
    return folders


def by_database(option: str, given: Sequence[str], names: tuple[str, ...]) -> dict[str, str]:
    """Sorts values of the form `[DATABASE=]VALUE` by database; a plain one is for all that have no own.

    Raises:
      InputError: a database that the release does not have, or two values for one.
    """
    own, plain = {}, []
    for value in given:
        name, equals, rest = value.partition('=')
        if not equals or name not in releases.FILES:
            plain.append(value)
            continue
        if name not in names:
            raise InputError(f'{option} {value}: the release has no {name}; it has {", ".join(names)}')
        if name in own:
            raise InputError(f'{option} is given twice for {name}: {own[name]} and {rest}')
        own[name] = rest
    if len(plain) > 1:
        raise InputError(f'{option} is given {len(plain)} times: {", ".join(plain)}; expected one')
    return {name: own.get(name, plain[0] if plain else None) for name in names if name in own or plain}


def _columns(given: Sequence[str], names: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Sorts the values of --column: database -> {field: header}."""
    takers = [name for name in names if 'column' in releases.options_of(name)]
    found: dict[str, dict[str, str]] = {}
    for value in given:
        place, equals, header = value.partition('=')
        database, colon, field = place.rpartition(':')
        if not (equals and field and header.strip()):
            raise InputError(f'--column {value}: expected [DATABASE:]FIELD=HEADER, such as emotion=Label')
        if colon and database not in names:
            raise InputError(f'--column {value}: the release has no {database}; it has {", ".join(names)}')
        own = [name for name in takers if database in ('', name)]
        if not own:
            raise InputError(
                f'--column {value}: the sheet of {database or ", ".join(names)} has no columns by name'
            )
        for name in own:
            if field in found.setdefault(name, {}):
                raise InputError(f'--column is given twice for {field} of {name}')
            found[name][field] = header
    return found


def workers(options: argparse.Namespace) -> int:
    """How many processes work."""
    if options.workers is not None and options.workers < 1:
        raise InputError(f'--workers {options.workers}: expected 1 or more')
    return options.workers or processes.available()
