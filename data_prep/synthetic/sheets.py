"""Writes a release's tables, the same bytes for the same cells."""

import csv
import datetime
import io
import pathlib
import re
import zipfile
from collections.abc import Sequence

import openpyxl

# What a workbook would otherwise say of the moment at which it was written.
_TIME = datetime.datetime(2000, 1, 1)
_MODIFIED = re.compile(rb'(<dcterms:modified[^>]*>)[^<]*')


def write(path: pathlib.Path, rows: Sequence[Sequence[str | int | None]]) -> None:
    """Writes rows of cells as the kind of file that the suffix says, `.xlsx` or `.csv`.

    Raises:
      OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.csv':
        with path.open('w', newline='', encoding='utf-8') as file:
            csv.writer(file, lineterminator='\n').writerows(rows)
    else:
        path.write_bytes(_workbook(rows))


def _workbook(rows: Sequence[Sequence[str | int | None]]) -> bytes:
    workbook = openpyxl.Workbook()
    workbook.properties.created = _TIME
    for row in rows:
        workbook.active.append(row)
    written, timeless = io.BytesIO(), io.BytesIO()
    workbook.save(written)
    # openpyxl writes the time of day into every member's header, and into the properties.
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(timeless, 'w', zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = _MODIFIED.sub(rb'\g<1>2000-01-01T00:00:00Z', source.read(name))
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return timeless.getvalue()
