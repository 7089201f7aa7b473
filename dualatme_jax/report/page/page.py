"""Makes one HTML file of sections: style, script, tables and pictures lie in it, and it loads nothing.

The Content-Security-Policy that it carries allows its own style and script alone, by their hashes.
"""

import base64
import functools
import hashlib
import math
import os
import pathlib
import re
from collections.abc import Sequence

import jinja2

from dualatme_jax.files import replacing
from dualatme_jax.report.notice import NOTICE
from dualatme_jax.report.page import svg
from dualatme_jax.report.page.blocks import Block, Cell, Section

FIRST_ROWS = 60  # of a table: those in the document; the script draws the others as they are scrolled to
FILTER_FROM = 12  # rows: a shorter table has no field to filter it

_HERE = pathlib.Path(__file__).parent


def html(
    title: str, sections: Sequence[Section], *, lead: Sequence[Block] = (), notices: Sequence[str] = ()
) -> str:
    """The page.

    Args:
      title: its title.
      sections: its parts, each in the list of contents.
      lead: what stands above them all.
      notices: what must stand beside every number, such as a leak; shown first and marked.
    """
    style, script = ((_HERE / name).read_text(encoding='utf-8') for name in ('page.css', 'page.js'))
    names = _anchors(sections)
    return _template().render(
        title=title,
        sections=list(zip(names, sections, strict=True)),
        lead=lead,
        notices=notices,
        footer=NOTICE,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def write(text: str, path: str | os.PathLike) -> None:
    """Writes a page; a reader sees the old file or the new one, never a half of either."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8', newline='\n')


def shown(cell: Cell) -> str:
    """What a table shows of a cell: floats with three digits after the point, nothing for what is missing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ''
    if isinstance(cell, str):
        return cell
    return f'{cell:.3f}' if isinstance(cell, float) else str(cell)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        'shown': shown,
        'paragraphs': lambda text: [part for part in re.split(r'\n\s*\n', text.strip()) if part],
        'base64': lambda content: base64.b64encode(content).decode(),
        'drawing': svg.inline,
        'kind': lambda block: type(block).__name__,
    }
    environment.globals |= {'first_rows': FIRST_ROWS, 'filter_from': FILTER_FROM}
    return environment.get_template('page.html.jinja')


def _anchors(sections: Sequence[Section]) -> list[str]:
    found: list[str] = []
    for section in sections:
        name = re.sub(r'[^a-z0-9]+', '-', (section.name or section.title).lower()).strip('-') or 'section'
        found.append(name if name not in found else f'{name}-{len(found)}')
    return found


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
