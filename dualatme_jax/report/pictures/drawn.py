"""What all figures share: the canvas, the colours, and how they become PNG and SVG.

What is drawn in Matplotlib's black is ink: on a page it has the colour of the page's text, light or dark. So
does `MUTED`, paler. `BLACK` stays black, for text on coloured cells.
"""

import hashlib
import io
import os
import pathlib
import re
import textwrap
from collections.abc import Sequence
from xml.etree import ElementTree

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.text import Text

from dualatme_jax.files import replacing

# Okabe and Ito, "Color Universal Design" (2008), without black and with yellow last: it is pale on white.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#f0e442')
MUTED = '#666666'
BLACK = '#010101'

KINDS = ('png', 'svg')  # of the files of a figure

_DPI = 150
_CHARACTERS, _LINE = 14, 0.17  # of a title: how many in an inch, and inches
_MUTED_OPACITY = '0.7'
_SVG = 'http://www.w3.org/2000/svg'
_XLINK = '{http://www.w3.org/1999/xlink}href'
_NO_XML = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_FONT = re.compile(r'(?:(?P<style>italic|oblique) )?(?:(?P<weight>bold|\d+) )?(?P<size>[\d.]+px) .*')


def figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure without a background, laid out so that nothing overlaps; no window is ever opened."""
    found = Figure(figsize=(width_inches, height_inches), dpi=_DPI, layout='constrained', facecolor='none')
    FigureCanvasAgg(found)
    return found


def svg(figure: Figure) -> str:
    """A figure as an `<svg>` element to stand in a page; the same figure gives the same text.

    Text is text, in the font of the page. Style stands in attributes, since pages allow no other. Ids that
    are referred to begin with a checksum of the figure, the others are dropped.
    """
    behind = {axes: axes.get_facecolor() for axes in figure.axes}
    for axes in behind:
        axes.set_facecolor('none')
    root = ElementTree.fromstring(_rendered(figure, 'svg', facecolor='none'))
    for axes, colour in behind.items():
        axes.set_facecolor(colour)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f'{{{_SVG}}}metadata', f'{{{_SVG}}}style'):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f'{{{_SVG}}}')
        for name, value in _style(element.attrib.pop('style', '')):
            element.set(name, value)
        if _XLINK in element.attrib:
            element.set('href', element.attrib.pop(_XLINK))
        for name in ('fill', 'stroke'):
            if element.get(name) == '#000000':
                element.set(name, 'currentColor')
            elif element.get(name) == MUTED:
                element.set(name, 'currentColor')
                element.attrib.setdefault(f'{name}-opacity', _MUTED_OPACITY)  # of a grid it is less
    root.attrib.pop('version')
    root.set('xmlns', _SVG)
    root.set('stroke-linejoin', 'round')
    root.set('fill', 'currentColor')  # of text that names no colour, which would be black
    _name(root)
    return _text(root)


def save(figure: Figure, folder: str | os.PathLike, name: str) -> None:
    """Writes folder/name.png and folder/name.svg on white, each whole or not at all, for papers and slides.

    The same figure gives the same bytes.
    """
    for kind in KINDS:
        with replacing(pathlib.Path(folder) / f'{name}.{kind}') as temporary:
            temporary.write_bytes(_rendered(figure, kind, facecolor='white'))


def marked(figure: Figure, notices: Sequence[str]) -> Figure:
    """The figure with a line for each notice above it, and above the title that it has."""
    width = int(_CHARACTERS * figure.get_figwidth())
    lines = [textwrap.fill(notice, width) for notice in notices]
    if lines:
        above = '\n'.join([*lines, *filter(None, [figure.get_suptitle()])])
        figure.suptitle(above, fontsize='small', color='black')
        figure.set_figheight(figure.get_figheight() + _LINE * (1 + '\n'.join(lines).count('\n')))
    return figure


def png(figure: Figure) -> bytes:
    """A figure as PNG, on white; the same figure gives the same bytes."""
    return _rendered(figure, 'png', facecolor='white')


def _rendered(figure: Figure, kind: str, *, facecolor: str) -> bytes:
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a clip may be named `$`
    if not isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):
        figure.draw_without_rendering()  # lays it out once, alike for all formats
        figure.set_layout_engine('none')
    # Without the date and Matplotlib's version the bytes depend on the figure alone.
    metadata = {'png': {'Software': None}, 'svg': {'Date': None, 'Creator': None}}
    content = io.BytesIO()
    with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'dualatme_jax'}):
        figure.savefig(content, format=kind, metadata=metadata[kind], facecolor=facecolor)
    made = content.getvalue()
    if kind == 'svg':  # a subject may be named by what no XML may hold
        made = _NO_XML.sub(lambda found: repr(found[0])[1:-1], made.decode()).encode()
    return made


def _style(text: str) -> list[tuple[str, str]]:
    """The declarations of a style attribute as presentation attributes; the font family is the page's."""
    found = []
    for part in filter(str.strip, text.split(';')):
        name, _, value = (piece.strip() for piece in part.partition(':'))
        if name == 'font':  # a shorthand, which is no attribute
            font = _FONT.fullmatch(value)
            found += [(f'font-{key}', own) for key, own in font.groupdict().items() if own]
        elif name != 'font-family':
            found.append((name, value))
    return found


def _name(root: ElementTree.Element) -> None:
    """Keeps the ids that are referred to, and makes them those of this figure alone."""
    used = {*re.findall(r'(?:url\(|href=")#([^)"]+)', _text(root))}
    prefix = hashlib.sha256(_text(root).encode()).hexdigest()[:8]
    for element in root.iter():
        name = element.attrib.pop('id', None)
        if name in used:
            element.set('id', f'{prefix}-{name}')
        for key, value in element.attrib.items():
            if key == 'href' and value.startswith('#'):
                element.set(key, f'#{prefix}-{value[1:]}')
            elif value.startswith('url(#'):
                element.set(key, f'url(#{prefix}-{value[5:]}')


def _text(root: ElementTree.Element) -> str:
    return ElementTree.tostring(root, encoding='unicode')
