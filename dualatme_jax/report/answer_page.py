"""The page of one answer: what was found in a video, how sure that is, and how it was found.

It is made of a folder that `python -m dualatme_jax.predict` leaves, see `run.video`.
"""

import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError
from dualatme_jax.report.notice import NOTICE
from dualatme_jax.report.page import page
from dualatme_jax.report.page.blocks import (
    Block,
    Column,
    Facts,
    Folded,
    Gallery,
    Listing,
    Picture,
    Section,
    Table,
    Text,
)
from dualatme_jax.report.pictures import drawn, timeline
from dualatme_jax.report.rates import CANNOT_TELL, counts

FILE, EVENTS, SIGNALS, FRAMES = 'report.html', 'events.csv', 'signals.csv', 'frames'
NOBODY_KNOWS = 'How often answers of these networks are right, nobody knows: their file does not say so.'
LESS_IN_VIDEOS = (
    'Most of what a face does in a video is none of the classes: there answers are right less often.'
)

_MOST_BYTES = 2**30
_PICTURED = 50  # expressions with pictures on the page: each has 0.4 MB
_PICTURES = {  # of an expression, in this order
    'onset.png': 'onset',
    'apex.png': 'apex',
    'flow.png': 'motion: colour is direction',
    'strain.png': 'strain: bright is much',
    'attention.png': 'where the networks looked',
    'attention_2.png': 'where their second part looked',
    'attention_3.png': 'where their third part looked',
}
_IDENTITY = (schema.DATABASE, schema.SUBJECT, schema.CLIP)


def html(folder: pathlib.Path, about: Mapping[str, Any]) -> str:
    """The page.

    Args:
      folder: of the answer, with its tables and pictures.
      about: as answer.json has it, see `run.video.Answer.about`.

    Raises:
      InputError: a table is missing or damaged.
    """
    events = _table(folder / EVENTS)
    labels = about['labels']
    try:
        expressions = events[events['expression'].astype(bool)]
        parts = [
            _over_time(folder, events, about, labels),
            _what(events, expressions, about, labels),
            _expressions(folder, expressions, about),
            _trust(about),
            _recipe(about),
        ]
        lead = [_lead(events, expressions, about, labels)]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f'{folder}: {EVENTS} is not what `predict` writes ({error!r})') from error
    return page.html(
        about['name'], [part for part in parts if part], lead=lead, notices=[NOTICE, *_uncertain(about)]
    )


def write(folder: pathlib.Path, about: Mapping[str, Any]) -> pathlib.Path:
    """Makes the page and writes it into the folder; returns where; raises as `html` does."""
    path = folder / FILE
    page.write(html(folder, about), path)
    return path


def write_faces(
    folder: pathlib.Path, about: Mapping[str, Any], faces: Mapping[pathlib.Path, Mapping[str, Any]]
) -> pathlib.Path:
    """Makes the page of all faces of a video and writes it into the folder; returns where; raises as `html`.

    Args:
      folder: of the answer.
      about: what its answer.json says of all.
      faces: the folder of each, with its tables, and what its answer.json says.
    """
    labels = about['labels']
    sections = []
    for own, each in faces.items():
        events = _table(own / EVENTS)
        expressions = events[events['expression'].astype(bool)]
        blocks = [
            _lead(events, expressions, each, labels),
            Text(f'All of it is in {own.name}/{FILE}.'),
            *map(Text, _flags(each)),
            *_over_time(own, events, each, labels).blocks,
        ]
        sections.append(Section(f'Face {each["face"]}', blocks))
    said = [
        'Nobody is recognised: a face that leaves and comes back elsewhere counts as another.',
        *([] if about.get('sentences') else [NOBODY_KNOWS]),
    ]
    path = folder / FILE
    lead = [Facts([('Faces', str(len(faces)))])]
    page.write(
        page.html(about['name'], [*sections, _recipe(about)], lead=lead, notices=[NOTICE, *said]), path
    )
    return path


def answer_in_words(row: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """What the networks say of one expression, how sure they are, and what that is worth.

    Args:
      row: of events.csv.
      about: as answer.json has it.
    """
    if not row['class']:
        return CANNOT_TELL + (f' ({row["flags"]})' if row.get('flags') else '')
    chance, spread = row[schema.PROBABILITY + row['class']], row['spread']
    sure = f'{chance:.2f}' + ('' if np.isnan(spread) else f' ± {spread:.2f}')
    if row['answer'] == CANNOT_TELL:
        return f'{CANNOT_TELL} (most probable is {row["class"]}, {sure})'
    known = (about.get('sentences') or {}).get(row['answer'])
    if known and not counts(row.get('kind', ''), about['rates']['counted_on']):
        known = 'how often that is right of macro-expressions, nobody has counted'
    return f'{row["answer"]}, {sure}' + (f'; {known}' if known else '')


def _lead(
    events: pd.DataFrame, expressions: pd.DataFrame, about: Mapping[str, Any], labels: Sequence[str]
) -> Facts:
    given = expressions['answer'].value_counts()
    pairs = [(about.get('unit', 'Expressions').capitalize(), str(len(expressions)))]
    pairs += [(name, str(given[name])) for name in (*labels, CANNOT_TELL) if given.get(name)]
    if len(events) > len(expressions):
        pairs.append(('Explained otherwise', str(len(events) - len(expressions))))
    if about.get('seconds_of_video'):
        pairs.append(('Length', f'{about["seconds_of_video"]:.1f} s'))
    if 'face' in about:
        x, y = about['middle']
        pairs.append(('Seen for', f'{about["seconds_of_face"]:.1f} s'))
        pairs.append(('Where', f'{x}, {y}\npixels from left and top'))
    return Facts(pairs)


def _uncertain(about: Mapping[str, Any]) -> list[str]:
    return [*_flags(about), *([] if about.get('sentences') else [NOBODY_KNOWS])]


def _flags(about: Mapping[str, Any]) -> list[str]:
    flags = about.get('flags')
    return [f'This makes the answer uncertain: {"; ".join(flags)}.'] if flags else []


def _over_time(
    folder: pathlib.Path, events: pd.DataFrame, about: Mapping[str, Any], labels: Sequence[str]
) -> Section | None:
    if not (folder / SIGNALS).exists():
        return None
    least = float(about['threshold_px'])
    found = timeline.timeline(_table(folder / SIGNALS), events, least, labels)
    caption = (
        'How far the face moves away and back again within a third of a second, in pixels of a face of '
        f'224. What moves less than the dashed threshold, {least:.2g} px, is not found. '
        'Coloured: expressions, by answer. Grey: what a blink, a turn of the head or speech explains.'
    )
    return Section(
        'Over time', [Picture(caption, 'The signal over time with what was found', svg=drawn.svg(found))]
    )


def _what(
    events: pd.DataFrame, expressions: pd.DataFrame, about: Mapping[str, Any], labels: Sequence[str]
) -> Section:
    if events.empty:
        return Section(
            'What happened', [Text('Nothing was found: the face did nothing above the threshold.')]
        )
    identity = [name for name in _IDENTITY if name in events]
    times = [name for name in ('onset_s', 'apex_s', 'offset_s') if name in events]
    columns = [Column('Number', number=True, hint='its row in events.csv, from 0')]
    columns += [Column(name.capitalize()) for name in identity]
    columns += [Column(f'{name[:-2].capitalize()} (s)', number=True) for name in times]
    columns += [Column('Kind')] if 'kind' in events else []
    columns += [Column('Answer', hint='the class, where it is probable enough')]
    columns += [Column('Flags', hint='what makes it uncertain, or explains it')] if 'flags' in events else []
    columns += [Column(label, number=True, hint=f'probability of {label}') for label in labels]
    columns += [Column('Spread', number=True, hint='standard deviation over the networks')]
    rows = [
        [
            str(number),
            *(str(row[name]) for name in identity),
            *(f'{row[name]:.2f}' for name in times),
            *([row['kind']] if 'kind' in events else []),
            row['answer'],
            *([row['flags']] if 'flags' in events else []),
            *(_number(row[schema.PROBABILITY + label]) for label in labels),
            _number(row['spread']),
        ]
        for number, row in zip(events.index, events.to_dict('records'), strict=True)
    ]
    blocks: list[Block] = []
    if expressions.empty:
        blocks.append(Text('No expression was found: all above the threshold is explained otherwise.'))
    return Section('What happened', [*blocks, Table('All that was found', columns, rows)])


def _number(value: Any) -> float | None:
    found = pd.to_numeric(value, errors='coerce')
    return None if np.isnan(found) else float(found)


def _expressions(folder: pathlib.Path, expressions: pd.DataFrame, about: Mapping[str, Any]) -> Section | None:
    if not (folder / FRAMES).is_dir():  # clips of a dataset have no pictures
        return None
    blocks: list[Block] = []
    shown = expressions
    if len(expressions) > _PICTURED:
        shown = expressions.loc[expressions['strength_px'].nlargest(_PICTURED).index.sort_values()]
        blocks.append(Text(f'The strongest {_PICTURED} of {len(expressions)}; the others are in {FRAMES}/.'))
    for number, row in shown.iterrows():
        own = folder / FRAMES / str(number)
        pictures = [
            Picture(caption, f'{caption} of expression {number}', png=content)
            for name, caption in _PICTURES.items()
            if (content := _content(own / name))
        ]
        if pictures:
            when = f'{row["onset_s"]:.2f} to {row["offset_s"]:.2f} s, {row["kind"]}: '
            blocks += [Text(f'Number {number}, {when}{answer_in_words(row, about)}.'), Gallery(pictures)]
    if not any(isinstance(block, Gallery) for block in blocks):
        return None
    how = (
        'Motion and strain lead from onset to apex of the aligned face, by DIS flow without the motion of '
        'the head; the largest is fully coloured. To the right is red, down is yellow, to the left is '
        'turquoise, up is violet. Where the networks looked is Grad-CAM of the most probable class, the mean '
        'over the networks: it says what counted, not what is true.'
    )
    return Section('Each expression', [Text(how), *blocks])


def _content(path: pathlib.Path) -> bytes:
    return files.read_bytes(path, limit=_MOST_BYTES, what='picture') if path.exists() else b''


def _trust(about: Mapping[str, Any]) -> Section:
    blocks: list[Block] = []
    if sentences := about.get('sentences'):
        rates = about['rates']
        rows = [[name, sentence] for name, sentence in sentences.items()]
        blocks.append(Table('How often such an answer was right', [Column('Answer'), Column('Known')], rows))
        own, others = (', '.join(map(schema.title, rates[name])) for name in ('fitted_on', 'counted_on'))
        if own == others:  # each network left somebody out
            own = 'the same, and to count for each person on all others; each answer is that of one network'
        clips = np.sum(rates['confusion'], 1) + rates['silent']
        shares = zip(about['labels'], clips / clips.sum(), strict=True)
        there = ', '.join(f'{label} {share:.0%}' for label, share in shares)
        blocks.append(
            Text(
                f'Counted on {others}, clips whose onset and apex people have marked; the temperature of '
                f'{rates["temperature"]:.2f}, by which logits are divided, was fitted on {own}. Intervals '
                f'are 95 % bootstraps over subjects. The rates depend on how frequent classes are: {there}. '
                'In a video that a spotter cuts, where people talk, eat or look elsewhere, answers are right '
                f'less often. Below a probability of {rates["least"]:g} the answer is "{CANNOT_TELL}": '
                f'{rates["silent_right"]} of {sum(rates["silent"])} such clips would have been right.'
            )
        )
    else:
        blocks.append(Text(NOBODY_KNOWS))
    if 'threshold_px' in about:
        blocks.append(
            Text(
                'When the face does something is found by rules. On the few videos of real faces that were '
                'tried, most of what they found matched nothing that a person had marked, and they missed '
                'much of that.'
            )
        )
    blocks.append(
        Text(
            'The networks know the classes above and nothing else: whatever a face does is called one of '
            'them, or nothing. A movement of the face is no feeling, and no sign of a lie.'
        )
    )
    if differences := about.get('differences'):
        blocks.append(
            Folded(
                'What the networks read here is made otherwise than what they were trained on',
                [Table('Differences', [Column('What'), Column('In training'), Column('Here')], differences)],
            )
        )
    return Section('How far to trust it', blocks)


def _recipe(about: Mapping[str, Any]) -> Section:
    pairs = [
        ('Networks', about['networks']),
        ('SHA-256 of the networks', about['weights']),
        ('Source', about['path']),
        ('Face found by', about.get('detector')),
        ('Frames a second', about.get('frame_rate') and f'{about["frame_rate"]:g}'),
        ('Seconds', about.get('seconds') and f'{about["seconds"]:.1f}'),
        ('Versions', ', '.join(f'{name} {number}' for name, number in (about.get('versions') or {}).items())),
    ]
    blocks: list[Block] = [Facts([(name, str(value)) for name, value in pairs if value])]
    if lines := '\n'.join(filter(None, [about.get('command'), about.get('data_command')])):
        blocks.append(Listing('Commands: this one, and that of the data stage which it ran', lines))
    if recipe := about.get('recipe'):
        blocks.append(Folded('How the view was made', [Listing('Recipe', json.dumps(recipe, indent=1))]))
    return Section('Recipe', blocks)


def _table(path: pathlib.Path) -> pd.DataFrame:
    content = files.read_bytes(path, limit=_MOST_BYTES, what='table of the answer')
    words = {'class': str, 'answer': str, 'flags': str, 'kind': str, **dict.fromkeys(_IDENTITY, str)}
    try:
        return pd.read_csv(io.BytesIO(content), dtype=words).fillna(dict.fromkeys(words, ''))
    except ValueError as error:
        raise InputError(f'{path} is no table ({error}); run the command again') from error
