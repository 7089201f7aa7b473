"""Lays out tiny releases on disk, as the official ones lie: a few frames of 8x8 pixels, and their sheets."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import openpyxl
import xlwt

_JPEG = cv2.imencode('.jpg', np.full((8, 8, 3), 128, np.uint8))[1].tobytes()

CASME2 = ['Subject', 'Filename', None, 'OnsetFrame', 'ApexFrame', 'OffsetFrame', None]
CASME2 += ['Action Units', 'Estimated Emotion']
SAMM = ['Subject', 'Filename', 'Inducement Code', 'Onset Frame', 'Apex Frame', 'Offset Frame', 'Duration']
SAMM += ['Micro', 'Action Units', 'Estimated Emotion', 'Objective Classes', 'Notes']
CASME3_A = ['Subject', 'Filename', 'Onset', 'Apex', 'Offset', 'AU', 'Objective class', 'emotion']
CASME3_C = ['sub', 'count', 'onset', 'offset', 'au', 'emotion', 'PHY']
MMEW = ['Subject', 'Filename', 'OnsetFrame', 'ApexFrame', 'OffsetFrame', 'Action Units', 'Estimated Emotion']
FOURDME = ["sub_ID'", 'fold_name', 'Onset', 'Apex', 'Offset', 'AUs', 'Emotion']
MEVIEW = ['Subject', 'Video', 'Onset', 'Offset', 'FACS', 'Emotion']


def frames(folder: pathlib.Path, numbers: Iterable[int], name: str = 'img{}.jpg') -> None:
    """Fills a folder with frames of these numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / name.format(number)).write_bytes(_JPEG)


def xlsx(
    path: pathlib.Path, rows: Sequence[Sequence[Any]], **others: Sequence[Sequence[Any]]
) -> pathlib.Path:
    """Writes a workbook: the rows as its first worksheet, the others by name."""
    book = openpyxl.Workbook()
    for name, lines in {'Sheet1': rows, **others}.items():
        worksheet = book.active if name == 'Sheet1' else book.create_sheet(name)
        for line in lines:
            worksheet.append(list(line))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def xls(path: pathlib.Path, worksheets: Mapping[str, Sequence[Sequence[Any]]]) -> pathlib.Path:
    """Writes a workbook of old Excel."""
    book = xlwt.Workbook()
    for name, lines in worksheets.items():
        worksheet = book.add_sheet(name)
        for row, line in enumerate(lines):
            for column, cell in enumerate(line):
                if cell is not None:
                    worksheet.write(row, column, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(str(path))
    return path


def video(path: pathlib.Path, count: int) -> None:
    """Writes a video of so many frames, 16x16 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 30, (16, 16))
    for _ in range(count):
        writer.write(np.full((16, 16, 3), 128, np.uint8))
    writer.release()


def casme2_row(subject: Any, clip: Any, onset: Any, apex: Any, offset: Any, emotion: str = 'disgust') -> list:
    """A row below `CASME2`."""
    return [subject, clip, None, onset, apex, offset, None, '4+7', emotion]


def samm_row(subject: Any, clip: Any, onset: Any, apex: Any, offset: Any, emotion: str = 'Anger') -> list:
    """A row below `SAMM`."""
    return [subject, clip, 1, onset, apex, offset, 10, 'Micro - 1/2', 'L4 or R4', emotion, 3, None]


def casme2(folder: pathlib.Path) -> pathlib.Path:
    """Three clips of two subjects in Cropped, and their sheet."""
    rows = [
        casme2_row(1, 'EP02_01f', 46, 59, 86, 'happiness'),
        casme2_row(1, 'EP19_05f', 3, 5, 9),
        casme2_row(26, 'EP18_51', 11, '/', 12, 'others'),
    ]
    xlsx(folder / 'CASME2-coding-20140508.xlsx', [CASME2, *rows])
    frames(folder / 'Cropped' / 'sub01' / 'EP02_01f', range(46, 87), 'reg_img{}.jpg')
    frames(folder / 'Cropped' / 'sub01' / 'EP19_05f', range(1, 20), 'reg_img{}.jpg')
    frames(folder / 'Cropped' / 'sub26' / 'EP18_51', range(11, 13), 'reg_img{}.jpg')
    return folder


def samm(folder: pathlib.Path) -> pathlib.Path:
    """Two clips of one subject, one with files of another prefix, and their sheet."""
    rows = [samm_row('006', '006_1_2', 5562, 5565, 5568), samm_row(6, '006_5_9', 10, 12, 14, 'Other')]
    above = [['SAMM: notes'], *([None] for _ in range(12))]
    xlsx(folder / 'SAMM_Micro_FACS_Codes_v2.xlsx', [*above, SAMM, *rows])
    frames(folder / 'SAMM' / '006' / '006_1_2', range(5562, 5569), '006_{:05}.jpg')
    frames(folder / 'SAMM' / '006' / '006_5_9', range(8, 15), '007_{:04}.jpg')
    return folder


def smic(folder: pathlib.Path, *, form: str = 'raw') -> pathlib.Path:
    """Three clips of two subjects in either form, and what lies beside them."""
    top = folder / f'SMIC_all_{form}' / 'HS'
    name = 'reg_image{:06}.bmp' if form == 'cropped' else 'image{:06}.bmp'
    one = 's1' if form == 'cropped' else 's01'
    frames(top / one / 'micro' / 'negative' / f'{one}_ne_01', range(559740, 559745), name)
    frames(top / one / 'micro' / 'positive' / f'{one}_po_02', range(7, 9), name)
    frames(top / 's20' / 'micro' / 'surprise' / 's20_sur_11', (1, 2, 4), name)
    frames(top / 's20' / 'non_micro' / 's20_n1', range(3), name)
    frames(folder / f'SMIC_all_{form}' / 'VIS' / 's20' / 'micro' / 'surprise' / 's20_sur_11', range(3), name)
    frames(folder / 'SMIC-NIR-E' / 's20' / 'micro' / 'surprise' / 's20_sur_11', range(3), name)
    return folder


def casme_sq_rows() -> list[list[Any]]:
    """A sheet of CAS(ME)^2: micro, macro, micro without an offset, micro by a name that is a number."""
    return [
        [1, 'anger1_1', 557, 572, 580, '4', 'negative', 'micro-expression', 'anger'],
        [1, 'anger1_2', 60, 70, 90, '4', 'negative', 'macro-expression', 'anger'],
        [2, 'happy3_10', 2, 4, 0, '12', 'positive', 'micro-expression', 'happiness'],
        [22, 'disgust2_3', 1, 2, 3, '4', 'negative', 'micro-expression', 'disgust'],
    ]


def casme_sq(folder: pathlib.Path) -> pathlib.Path:
    """Three micro-expressions in `selectedpic`, one of them without, and whole videos in `rawpic`."""
    xlsx(
        folder / 'CAS(ME)^2code_final.xlsx',
        casme_sq_rows(),
        **{
            'naming rule1': [[15, 's15', 1], [16, 's16', 2], [40, 's40', 22]],
            'naming rule2': [['0102', 'disgust2'], [401, 'anger1'], ['0505', 'happy3']],
        },
    )
    frames(folder / 'selectedpic' / 's15' / 'anger1_1', range(557, 581), 'img{}.jpg.jpg')
    frames(folder / 'selectedpic' / 's16' / 'happy3_10', range(2, 9))
    frames(folder / 'rawpic' / 's15' / '15_0401girlcrashing', (1, 2))
    frames(folder / 'rawpic' / 's40' / '40_0102eatingworms', range(1, 6), 'img{:03}.jpg')
    return folder
