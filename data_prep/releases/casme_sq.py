"""CAS(ME)^2 (Qu et al., IEEE TAC 2018): a sheet without a header; whole videos, and clips cut from them.

The sheet calls the participants 1 to 22 and the clips `anger1_1`. The workbook's worksheets `naming rule1`
and `naming rule2` say which participant is `s15`, and that `anger1` is the video 0401. Frames lie in
`cropped/15/anger1_1`, `selectedpic/s15/anger1_1` and, as whole videos, `rawpic/s15/15_0401girlcrashing`.
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from data_prep.files import cells, folders
from data_prep.files import sheet as sheets
from data_prep.files.folders import Folder, Tree
from data_prep.files.sheet import Row, Table
from data_prep.releases import annotations, find_frames
from data_prep.releases.annotations import Findings
from data_prep.releases.clip import Clip, Survey
from data_prep.releases.protocols import FOUR_CLASSES, THREE_CLASSES, Complete
from data_prep.releases.record import Release
from dualatme_jax.errors import InputError
from dualatme_jax.outside import workbook
from dualatme_jax.outside.workbook import Worksheet

DATABASE = 'casme_sq'
FIELDS = ('subject', 'clip', 'onset', 'apex', 'offset', 'action_units', 'emotion', 'type')

# The numbering that the release publishes, for copies of the sheet that lack its naming rules.
_SUBJECTS = (15, 16, *range(19, 28), *range(29, 39), 40)
_PARTICIPANTS = {place: f's{number}' for place, number in enumerate(_SUBJECTS, start=1)}
_VIDEOS = {
    'disgust1': '0101',
    'disgust2': '0102',
    'anger1': '0401',
    'anger2': '0402',
    'happy1': '0502',
    'happy2': '0503',
    'happy3': '0505',
    'happy4': '0507',
    'happy5': '0508',
}

EXAMPLE = '1 (which is s15)'  # a subject as the sheet writes it
_TYPE = FIELDS.index('type')
_EXPRESSION = re.compile(r'm[ai]croexpressions?')
_VIDEO_FOLDER = re.compile(r'(\d+)_(\d{4})')


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The sheet with its naming rules.

    Attributes:
      table: the rows that are expressions, micro and macro.
      participants: participant -> subject, such as `s15`.
      videos: what a video is called in the sheet, such as `anger1` -> its number, such as `0401`.
    """

    table: Table
    participants: Mapping[int, str]
    videos: Mapping[str, str]

    def subject(self, text: str) -> str | None:
        """The subject that a cell means, None if it means none."""
        if re.fullmatch(r'\d{1,4}', text):
            return self.participants.get(int(text))
        return text.lower() if text.lower() in self.participants.values() else None

    def video(self, clip: str) -> str:
        """The number of the video that a clip, such as `anger1_2`, is cut from; empty if not known."""
        return self.videos.get(folders.fold(clip.rsplit('_', 1)[0]), '')


def survey(source: pathlib.Path, *, sheet: pathlib.Path | None = None, frames: str | None = None) -> Survey:
    """Reads the micro-expressions of CAS(ME)^2; its macro-expressions are excluded.

    Args:
      source: the folder of the release.
      sheet: the sheet, where it lies elsewhere or there are several.
      frames: one of `find_frames.FORMS`, if they are there in both; `raw` are `selectedpic` and `rawpic`.

    Raises:
      InputError: no sheet, several sheets, or frames in both forms.
    """
    tree = folders.walk(source)
    findings = annotations.Findings()
    known = read_sheet(tree, sheet, findings)
    clips = annotations.clips(known.table, DATABASE, findings, subject=known.subject, example=EXAMPLE)
    sources, form = find_frames.choose_form(_all_forms(clips, tree, known), _form, frames)
    # The frames cut for a clip come before the whole video.
    sources = {
        key: [folder for folder in found if folder.name == folders.fold(key[2])] or found
        for key, found in sources.items()
    }
    clips = find_frames.add_frames(clips, sources, tree, findings, example='selectedpic/s15/anger1_1')
    return findings.survey(DATABASE, tree, known.table.variant, clips, aligned=form == 'cropped')


def read_sheet(tree: Tree, chosen: pathlib.Path | None, findings: Findings) -> Sheet:
    """Finds and reads the sheet.

    Raises:
      InputError: no sheet, or several sheets.
    """
    table = sheets.choose(
        tree, chosen, _recognise, official='CAS*code_final*', wanted='column H: micro- or macro-expression'
    )
    table = dataclasses.replace(table, rows=list(_expressions(table, findings)))
    return Sheet(table, *_naming_rules(table, findings))


def whole_videos(tree: Tree) -> Mapping[tuple[str, str], list[Folder]]:
    """(subject, number of the video) -> the folders that hold it whole."""
    found = collections.defaultdict(list)
    for folder in tree.folders:
        if folder.image and (match := _VIDEO_FOLDER.match(folder.name)):
            found[f's{match[1]}', match[2]].append(folder)
    return found


def _recognise(worksheet: Worksheet) -> Table:
    """Recognises the sheet by what stands in column H; raises InputError for others."""
    types = [line[_TYPE] for line in worksheet.rows if len(line) > _TYPE and cells.given(line[_TYPE])]
    fitting = [cell for cell in types if _is_expression(cell)]
    if 2 * len(fitting) <= len(types) or not fitting:
        name = f'{worksheet.path.name}, worksheet {worksheet.name}' if worksheet.name else worksheet.path.name
        raise InputError(f'{name}: column H does not say which rows are micro-expressions')
    return sheets.by_position(worksheet, FIELDS)


def _is_expression(cell: Any) -> bool:
    return _EXPRESSION.fullmatch(sheets.normalise(cell)) is not None


def _expressions(table: Table, findings: Findings) -> Iterator[Row]:
    """Yields the rows that are expressions; rows above the first of them without any number are a header."""
    first = next((n for n, row in enumerate(table.rows) if _is_expression(row.cells['type'])), 0)
    for number, row in enumerate(table.rows):
        if number < first and not annotations.has_frames(row):
            continue
        if _is_expression(row.cells['type']) or not cells.given(row.cells['onset']):
            yield row
        else:
            found = cells.text(row.cells['type'])
            findings.problem(row.place, f'column H is {found!r}, expected micro- or macro-expression')


def _naming_rules(table: Table, findings: Findings) -> tuple[Mapping[int, str], Mapping[str, str]]:
    """Returns participant -> subject, and video -> its number, where its workbook has them."""
    rules = {sheets.normalise(worksheet.name): worksheet.rows for worksheet in workbook.read(table.path)}
    participants, videos = {}, {}
    for line in rules.get('namingrule1', ()):
        _, name, participant = map(cells.text, [*line, None, None, None][:3])
        if re.fullmatch(r's\d{1,4}', name.lower()) and re.fullmatch(r'\d{1,4}', participant):
            participants[int(participant)] = name.lower()
    for line in rules.get('namingrule2', ()):
        number, name = map(cells.text, [*line, None, None][:2])
        if re.fullmatch(r'\d{1,4}', number) and name:
            videos[folders.fold(name)] = number.zfill(4)
    if not (participants and videos):
        text = 'no worksheets naming rule1 and naming rule2 with it: the published numbering is taken'
        findings.note(table.path.name, text)
    return participants or _PARTICIPANTS, videos or _VIDEOS


def _all_forms(clips: list[Clip], tree: Tree, sheet: Sheet) -> find_frames.FrameSources:
    """Returns the folders that hold each clip's frames, in whatever form."""
    whole, found = whole_videos(tree), {}
    for clip in clips:
        number = clip.subject.removeprefix('s')
        cut = [*tree.find(clip.subject, clip.clip), *tree.find(number, clip.clip)]
        of_video = whole.get((clip.subject, sheet.video(clip.clip)), [])
        found[clip.key] = [folder for folder in cut if folder.image] + of_video or cut
    return found


def _form(folder: Folder) -> str:
    """As `find_frames.form`; besides, only the cropped frames lie below the subject's bare number."""
    return 'cropped' if folder.parent.isdecimal() else find_frames.form(folder)


_CLIPS = {'negative': 21, 'positive': 8, 'surprise': 9, 'others': 19}

RELEASE = Release(
    database=DATABASE,
    citation='Qu et al.: CAS(ME)^2: A Database for Spontaneous Macro-Expression and Micro-Expression '
    'Spotting and Recognition, IEEE TAC 9(4), 2018',
    survey=survey,
    frame_rate=30,
    protocols=tuple(
        dataclasses.replace(
            protocol,
            complete=Complete(
                clips={label: clips for label, clips in _CLIPS.items() if label in protocol.labels}
            ),
        )
        for protocol in (THREE_CLASSES, FOUR_CLASSES)
    ),
)
