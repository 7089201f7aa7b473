"""How a run was made, in sentences for a paper: `methods.md`, `methods.tex` and their `references.bib`.

Every number comes from the run's own record. Sentences cite as Pandoc's Markdown does, `[@KEY]`.
"""

import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dualatme_jax import models, schema
from dualatme_jax.data import splits
from dualatme_jax.files import replacing
from dualatme_jax.models.system import GRADIENT, SKLEARN, System
from dualatme_jax.report import latex, references, tables
from dualatme_jax.report.record import Record
from dualatme_jax.report.selection import BEST_ON_TEST, NESTED

MARKDOWN, LATEX, BIBTEX = 'methods.md', 'methods.tex', 'references.bib'

_CITATION = re.compile(r'\[@([\w:-]+(?:; @[\w:-]+)*)\]')

# The inputs of systems, by key.
_INPUTS = {
    schema.FLOW: 'the optical flow of the face between onset and apex (u, v and strain)',
    schema.FLOW_PUZZLED: 'the flow of two regions of the face, one stacked on the other',
    schema.FLOW_STEPS: 'the flow of the face from onset to apex in several steps (u, v and strain)',
    schema.ONSET_FACE: 'the face at the onset',
    schema.APEX_FACE: 'the face at the apex',
    schema.ONSET_FACE_GREY: 'the grey face at the onset',
    schema.APEX_FACE_GREY: 'the grey face at the apex',
    schema.FACE_FRAMES: 'the frames of the face',
    schema.CROP_FRAMES: 'the frames of a crop of the face',
    schema.FACE_FLOW: 'the flow of the aligned face',
    schema.FACE_STRAIN: 'the strain of the aligned face',
    schema.FACE_PARTS: 'maps of the parts of the face',
    schema.LBP_TOP: 'histograms of local binary patterns on three orthogonal planes',
    schema.BI_WOOF: 'bi-weighted histograms of oriented optical flow',
}
_REGIONS = {'E': 'eyes and eyebrows', 'F': 'forehead', 'N': 'nose', 'M': 'mouth'}
_SCALES = {
    'signed': 'scaled to -1..1',
    'unit': 'scaled to 0..1',
    'imagenet': "scaled to 0..1 and normalised as ImageNet's pictures are",
    'byte': 'read as bytes, 0..255',
    'fold': 'scaled by the mean and the largest value of the clips that a fold trains on',
    'whole_set': 'scaled by the mean and the largest value of all clips, the left-out ones among them',
}
_AUGMENTATIONS = {
    'mirror': 'mirrored with probability {}',
    'shift': 'shifted by up to {} of the edge',
    'rotation': 'rotated by up to {} degrees',
    'scale': 'scaled by up to {}',
    'erase': 'partly erased, by a rectangle of {} of the edge',
    'noise': 'given noise with a standard deviation of {} of the range',
    'strength': 'changed in the strength of their motion by up to {}',
    'crop': 'cropped at random from a border of {} of the edge',
    'colour': 'changed in colour by up to {}',
}
_LOSSES = {
    'cross_entropy': 'the cross-entropy',
    'weighted_cross_entropy': 'the cross-entropy weighted by class',
    'margin': 'the margin loss of capsules',
    'squared_error': 'the squared error of the outputs',
}
_OPTIMIZERS = {'adam': 'Adam', 'sgd': 'stochastic gradient descent', 'rmsprop': 'RMSprop'}


def write(folder: str | os.PathLike) -> None:
    """Writes methods.md, methods.tex and references.bib of a workdir, each whole or not at all.

    Raises:
      InputError: a part of the workdir is damaged.
    """
    folder = pathlib.Path(folder)
    record = Record(folder)
    texts = {MARKDOWN: markdown(record), LATEX: tex(record), BIBTEX: references.used(cited(record))}
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding='utf-8', newline='\n')


def markdown(record: Record) -> str:
    """The paragraphs in Pandoc's Markdown; notices, such as that the scores leak, come first and in bold."""
    parts = ['# Methods', *(f'**{tables.literal(notice)}**' for notice in _notices(record))]
    return (
        '\n\n'.join([*parts, *(_each(text, tables.literal, '[@{}]', '; @') for text in paragraphs(record))])
        + '\n'
    )


def tex(record: Record) -> str:
    r"""The same for LaTeX, with `\cite`."""
    parts = [rf'\textbf{{{latex.escaped(notice)}}}' for notice in _notices(record)]
    parts += [_each(text, latex.escaped, r'\cite{{{}}}', ',') for text in paragraphs(record)]
    return '\n\n'.join(parts) + '\n'


def cited(record: Record) -> list[str]:
    """The keys that the paragraphs cite, in their order."""
    found = (keys for text in paragraphs(record) for keys in _CITATION.findall(text))
    return list(dict.fromkeys(key for keys in found for key in keys.split('; @')))


def paragraphs(record: Record) -> list[str]:
    """What was done: data and input, system and training, protocol and scores, software and hardware."""
    parts = (_data(record), _training(record), _protocol(record), _scores(record), _software(record))
    return [text for part in parts if (text := ' '.join(part))]


def _notices(record: Record) -> list[str]:
    return [line for line in record.notices if not line.startswith('Folds: ')]


def _data(record: Record) -> Iterator[str]:
    config, metadata = record.config or {}, (record.results or {}).get('dataset') or {}
    people = (config.get('trained_on') or {}).get('subjects') or {}
    clips, subjects = (config.get('dataset') or {}).get('clips'), sum(map(len, people.values()))
    databases = list(people)
    synthetic = metadata.get('release') == schema.SYNTHETIC or metadata.get('synthetic')
    names = [schema.title(name) + ('' if synthetic else _cite(_key(name))) for name in databases]
    classes = _and((record.results or {}).get('labels') or [])
    if clips and names:
        whose = ', rendered in the form of' if synthetic else ' from'
        whom = f' of {subjects} subjects' if subjects else ''
        made = f'{clips} {"synthetic " if synthetic else ""}clips{whom}{whose} {_and(names)}'
        yield f'The data are {made}' + (f', with the classes {classes}.' if classes else '.')
    if not synthetic and {*databases} == {*schema.COMPOSITE} and clips == schema.MEGC2019_CD[schema.FULL][0]:
        yield f'They are the composite database of the MEGC2019 challenge{_cite(references.MEGC2019)}.'
    if record.leaderboard is None:
        yield from _input(record, metadata)


def _input(record: Record, metadata: Mapping[str, Any]) -> Iterator[str]:
    config = record.config or {}
    system, own = _system(config), config.get('input') or {}
    if not system or 'model.name' in _swept(record):
        return
    reads = system.stored
    yield f'The input is {_and([_INPUTS.get(key, key) for key in reads])}.'
    if system.made:
        yield 'A frozen network with fixed weights computes features of each clip before the training.'
    pair = (metadata.get('regions') or {}).get('pair')
    if schema.FLOW_PUZZLED in reads and isinstance(pair, str):
        made = metadata.get(schema.FLOW_PUZZLED)
        how = f' ({made})' if isinstance(made, str) else ''
        yield f'The regions are {_and([_REGIONS.get(letter, letter) for letter in pair])}{how}.'
    motion = {schema.FLOW, schema.FLOW_PUZZLED, schema.FLOW_STEPS} & {*reads}
    if motion:
        yield from _motion(metadata, own)
    read = system.learner == GRADIENT or system.fitting.is_read('input.scale')
    if read and own.get('scale') in _SCALES and not (motion and own.get('encoding', 'minmax') != 'minmax'):
        yield f'Inputs are {_SCALES[own["scale"]]}.'


def _motion(metadata: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    flow = metadata.get('flow')
    algorithm = flow.get('algorithm') if isinstance(flow, Mapping) else None
    if algorithm == 'unknown':
        yield 'The flow was not computed by us, and its method is not recorded with the data.'
    elif isinstance(algorithm, str):
        version = f' of OpenCV {flow["cv2"]}' if flow.get('cv2') else ''
        yield f'The flow was computed with {algorithm}{version}.'
    if own.get('encoding') == 'robust':
        yield (
            'In each clip u and v are taken minus their median, and all channels are divided by the '
            f'{own["percentile"]:g}th percentile of their absolute values and clipped at {own["clip"]:g}.'
        )
    elif own.get('encoding') == 'raw':
        yield 'Motion is read in units of the face, without a scale for each clip.'
    elif own:
        yield 'Each channel of motion is min-max scaled for each clip.'


def _training(record: Record) -> Iterator[str]:
    config, found = record.recipe or {}, record.results or {}
    board = record.leaderboard
    if board is not None:
        yield from _board(board)
        return
    system, swept = _system(config), _swept(record)
    if 'model.name' in swept:
        names = dict.fromkeys(record.sweep['model.name'])
        titled = [f'{models.title(name)}{_cite(*_papers(name))}' for name in names]
        yield f'The systems compared are {_and(titled)}.'
    elif system:
        yield from _of_system(system, config, found)
    elif 'model' in config:  # a module of one's own, which is not imported
        yield f'The system is {config["model"]["name"]}.'
    if swept:
        varied = [f'{name} ({_values(record.sweep[name])})' for name in swept]
        yield f'{len(record.sweep)} settings are compared, which differ in {_and(varied)}.'


def _board(board: Any) -> Iterator[str]:
    scored = board[board['status'] == 'scored'].to_dict('records')
    names = [f'{row["title"]}{_cite(*_papers(row["system"]))}' for row in scored]
    if names:
        are = 'systems compared are' if len(names) > 1 else 'only system is'
        yield f'The {are} {_and(names)}, each with the settings of its own config.'
    epochs = [f'{row["title"]} {row["epochs"]:.0f}' for row in scored if row['epochs'] == row['epochs']]
    if epochs:
        yield f'Epochs of training: {", ".join(epochs)}.'
    if shortened := next((row['shortened'] for row in scored if row['shortened']), ''):
        yield f'This is a shortened run: {shortened}.'


def _of_system(system: System, config: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    section = config['model']
    variant = system.variant_of(section)
    title = system.title + _cite(*system.papers) + (f' (variant {variant})' if variant != 'paper' else '')
    options = [
        f'{name} = {_value(value)}' for name, value in section.items() if name not in ('name', 'variant')
    ]
    given = f' Its options are {", ".join(options)}.' if options else ''
    if config.get('evaluate_only'):
        name = pathlib.PurePath(config['evaluate_only']).name
        origin = (found.get('started_from') or {}).get('origin')
        whose = f'{name}, trained on {origin},' if origin else name
        yield f'{title} is not trained here: the weights of {whose} are evaluated.'
        return
    if system.learner == GRADIENT:
        yield from _trained(system, title, given, config)
    elif system.learner == SKLEARN:
        yield f'{title} is fitted by scikit-learn{_cite(references.SKLEARN)} once for each fold.{given}'
    else:
        yield f'{title} is solved in closed form for each fold.{given}'
    if start := found.get('started_from'):
        origin = f' on {start["origin"]}' if start.get('origin') else ''
        known = '' if start.get('all_subjects_known', True) else '; on whom it was trained is not known'
        yield f'Training starts from the weights of {pathlib.PurePath(start["path"]).name}{origin}{known}.'
    if frozen := found.get('frozen'):
        yield f'Parameters that match {", ".join(frozen)} are not trained.'


def _trained(system: System, title: str, given: str, config: Mapping[str, Any]) -> Iterator[str]:
    training, optimizer = config['training'], config['optimizer']
    epochs = f'{training["epochs"]} epoch{"s" if training["epochs"] > 1 else ""}'
    order = 'shuffled in every epoch' if training['shuffle'] else 'in a fixed order'
    order = 'drawn with the same chance for each class' if training['balanced'] else order
    yield f'{title} is trained for {epochs} on batches of {training["batch_size"]} clips, {order}.{given}'
    yield f'The loss is {_loss(config["loss"], system.features)}.'
    decay = f' and weight decay {optimizer["weight_decay"]:g}' if optimizer['weight_decay'] else ''
    momentum = f', momentum {optimizer["momentum"]:g}' if optimizer['name'] == 'sgd' else ''
    step = ''
    if optimizer['schedule'] == 'step':
        step = f', multiplied by {optimizer["step_factor"]:g} every {optimizer["step_epochs"]} epochs'
    name = _OPTIMIZERS.get(optimizer['name'], optimizer['name'])
    rate = f'a learning rate of {optimizer["learning_rate"]:g}{step}'
    yield f'The optimizer is {name} with {rate}{momentum}{decay}.'
    changed = [
        words.format(f'{config["augment"][name]:g}')
        for name, words in _AUGMENTATIONS.items()
        if (config.get('augment') or {}).get(name)
    ]
    if changed:
        yield f'Training clips are {_and(changed)} at random.'
    else:
        yield 'Training clips are not augmented.'
    if (config.get('input') or {}).get('mirror_at_test'):
        yield 'A prediction is the mean of those of a clip and its mirror image.'


def _loss(loss: Mapping[str, Any], features: Sequence[str]) -> str:
    words = _LOSSES.get(loss['name'], loss['name'])
    if loss['name'] == 'focal':
        words = f'the focal loss (gamma {loss["focal_gamma"]:g}, alpha {loss["focal_alpha"]:g})'
    elif loss['name'] == 'weighted_cross_entropy':
        words += f' ({", ".join(f"{weight:g}" for weight in loss["class_weights"])})'
    if loss.get('cosine_weight') and {*loss['cosine_pair']} <= {*features}:
        words += (
            f', plus {loss["cosine_weight"]:g} times the cosine distance between the features '
            f'{" and ".join(loss["cosine_pair"])}'
        )
    if loss.get('label_smoothing'):
        words += f', with label smoothing {loss["label_smoothing"]:g}'
    if loss.get('mixup'):
        words += f', on clips mixed by Beta({loss["mixup"]:g}, {loss["mixup"]:g})'
    if loss.get('class_balance'):
        words += f', classes weighted by their inverse frequency to the power of {loss["class_balance"]:g}'
    return words


def _protocol(record: Record) -> Iterator[str]:
    config, found, trials = record.recipe or {}, record.results or {}, record.trials
    kind = config.get('folds', splits.SUBJECT)
    folds = 0 if trials is None else trials[schema.LEFT_OUT].nunique()
    trained = not config.get('evaluate_only')
    by = 'a model trained' if trained else 'a network that was trained'
    if found.get('protocol') == splits.NEW:
        yield 'All clips are predicted by networks that were trained on other people.'
    elif kind == splits.ALL:
        yield 'Nobody is left out: a network is trained on all subjects, for new clips, and not scored.'
    elif kind in (splits.SUBJECT, splits.DATABASE) and folds:
        noun = splits.NOUNS[kind]
        yield f'Each of the {folds} {noun}s is left out in turn, and predicted by {by} without it.'
    elif kind == splits.PARTS and folds:
        yield (
            f'The subjects are cut into {folds} parts with classes spread evenly. Each part is left out in '
            f'turn, and predicted by {by} without it.'
        )
    few = (config.get('data') or {}).get('train_subjects')
    if few:
        yield f'Training uses {few} of the other subjects, drawn for each seed and fold.'
    if most := (config.get('data') or {}).get('undersample'):
        share = f'{most:.0%} of the clips' if most < 1 else f'{most:g} clips'
        per = '' if most < 1 else ' for each clip of the others'
        yield f'Of the most frequent class {share}{per} are trained on, drawn for each seed and fold.'
    seeds = config.get('seeds') or []
    if len(seeds) > 1:
        yield f'Everything is repeated with {len(seeds)} seeds ({", ".join(map(str, seeds))}).'
    elif seeds:
        yield f'There is one seed ({seeds[0]}).'
    if failed := found.get('failed'):
        yield f'{len(failed)} of {found["trials"]} trainings diverged; their seeds are not scored.'
    if kind != splits.ALL:
        yield from _selection(record, config, found)


def _selection(record: Record, config: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    own = config.get('selection') or {}
    noun = splits.NOUNS[config.get('folds', splits.SUBJECT)]
    metric = tables.HEADINGS.get(own.get('metric'), '')
    chosen = found.get('chosen') or []
    fields = [
        name for name in (chosen[0] if chosen else ()) if name not in ('seed', 'left_out', *tables.HEADINGS)
    ]
    be = 'are' if len(fields) > 1 else 'is'
    if own.get('name') == NESTED:
        what = _and(fields) or 'the setting'
        yield (
            f'For each left-out {noun} {what} {be} chosen by {metric} on the other subjects: these are cut '
            f'into {own["parts"]} parts, and each part is predicted by models trained without it and '
            f'without the left-out {noun}.'
        )
    elif own.get('name') == BEST_ON_TEST:
        yield (
            f'THIS LEAKS: for each left-out {noun} the epoch is taken that is most accurate on that very '
            f'{noun}. The scores say nothing of new people.'
        )
    elif fields:
        yield (
            f'For each fold {_and(fields)} {be} chosen by {metric} on inner parts of its training subjects; '
            f'nothing is chosen on the left-out {noun}.'
        )
    elif record.trained:
        yield f'The weights of the last epoch are scored; nothing is chosen on the left-out {noun}.'
    if record.sweep is not None and own.get('name') != NESTED:
        yield 'All settings are scored on the left-out subjects, so the best of them is not an honest score.'


def _scores(record: Record) -> Iterator[str]:
    config, found = record.config or {}, record.results or {}
    if found.get('scores') is None:
        return
    single = 'on all clips and on those of each database' if len(found['scores']) > 2 else 'on all clips'
    yield (
        'Accuracy (Acc), unweighted average recall (UAR) and unweighted F1 (UF1) are computed once, on the '
        f'predictions of all folds together, {single}.'
    )
    if len(found.get('per_seed') or ()) > 1:
        yield 'Scores are means over seeds, with their standard deviation.'
    if resamples := (config.get('report') or {}).get('resamples'):
        yield f'Intervals are 95% percentile intervals of {resamples} bootstrap resamples of the subjects.'
    if record.sweep is not None or record.leaderboard is not None:
        yield (
            'UF1 is compared with that of the reference by a paired randomisation test that swaps the two by '
            f'subject; p values are corrected by the method of Holm{_cite(references.HOLM)}.'
        )
    if (own := found.get('ensemble')) and own.get('how'):
        how = {'mean': 'the mean of their probabilities', 'vote': 'a vote'}.get(own['how'], own['how'])
        yield f'An ensemble combines the predictions of {len(own["members"])} members by {how}.'
    if selections := found.get('selections'):
        leaking = [name for name, row in selections.items() if row['leaks']]
        if leaking:
            yield 'Scores of the best epoch on the left-out clips are shown beside the others and LEAK.'


def _software(record: Record) -> Iterator[str]:
    made = record.made_with

    def named(title: str, package: str, key: str) -> str:
        numbers = _and(made.get(package, ()))
        return f'{title}{f" {numbers}" if numbers else ""}{_cite(key)}'

    others = [named('JAX', 'jax', references.JAX)]
    if record.trained:
        others += [named('Flax', 'flax', references.FLAX), named('Optax', 'optax', references.OPTAX)]
    yield f'All is computed with {named("dualatme_jax", "dualatme-jax", references.OURS)} on {_and(others)}.'
    precision = ((record.config or {}).get('engine') or {}).get('precision')
    if precision and record.trained:
        yield f'Products are computed in {precision}.'
    seconds = (record.results or {}).get('seconds')
    device = f' on {_and(made["device"])}' if made.get('device') else ''
    if seconds:
        took = 'under a second' if seconds < 1 else f'{seconds:.0f} second{"s" * (round(seconds) != 1)}'
        yield f'Training took {took}{device}.'


def _system(config: Mapping[str, Any]) -> System | None:
    """The record of a config's system; a module of one's own is not imported for it."""
    name = (config.get('model') or {}).get('name')
    return models.system(name) if models.is_known(name) else None


def _swept(record: Record) -> list[str]:
    """The fields that differ between the points of a sweep; they stand before its scores."""
    frame = record.sweep
    return [] if frame is None else list(frame.columns[: frame.columns.get_loc('seeds')])


def _papers(name: str) -> tuple[str, ...]:
    """Of a row of a leaderboard: `STSTNet, variant = code` has the papers of its system."""
    name = name.partition(',')[0]
    return models.system(name).papers if models.is_known(name) else ()


def _key(database: str) -> str:
    return references.DATABASES.get(database, '')


def _cite(*keys: str) -> str:
    keys = [key for key in keys if key]
    return f' [@{"; @".join(keys)}]' if keys else ''


def _and(words: Sequence[str]) -> str:
    """`a, b and c`."""
    words = list(map(str, words))
    return ' and '.join(filter(None, [', '.join(words[:-1]), *words[-1:]]))


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ' '.join(map(_value, value)) or 'none'
    if isinstance(value, str) and re.fullmatch(r"\(('[^']*'(, |,(?=\))|(?=\))))+\)", value):
        return ' '.join(re.findall(r"'([^']*)'", value))  # a tuple that went through a table
    return f'{value:g}' if isinstance(value, float) else str(value) or 'none'


def _values(column: Any) -> str:
    return ', '.join(dict.fromkeys(_value(value) for value in column.tolist()))


def _between(text: str, escape: Callable[[str], str]) -> str:
    """Escaped, with the spaces at its ends, beside which a citation may stand."""
    ends = [' ' if text[place : place + 1].isspace() else '' for place in (0, len(text) - 1)]
    return f'{ends[0]}{escape(text)}{ends[1]}' if text.strip() else text


def _each(text: str, escape: Callable[[str], str], form: str, between: str) -> str:
    """A paragraph with its words escaped, and its citations in another form."""
    parts = _CITATION.split(text)  # keys at odd places
    return ''.join(
        form.format(part.replace('; @', between)) if place % 2 else _between(part, escape)
        for place, part in enumerate(parts)
    )
