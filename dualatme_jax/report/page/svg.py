"""Makes an SVG file a part of a page.

The page's policy allows no style in attributes, so each `style` becomes the attributes that it stands for.
What could run or load something is left out.
"""

import re
from xml.etree import ElementTree

from markupsafe import Markup

_SVG = '{http://www.w3.org/2000/svg}'
_LINK = '{http://www.w3.org/1999/xlink}href'
_KEPT = {'svg', 'g', 'defs', 'use', 'symbol', 'clipPath', 'linearGradient', 'stop', 'image', 'title', 'desc'}
_KEPT |= {'path', 'rect', 'circle', 'ellipse', 'line', 'polyline', 'polygon', 'text', 'tspan'}


def inline(drawing: str, alt: str) -> Markup:
    """The `<svg>` element of an SVG file, described by `alt`; raises ValueError for what is no such file."""
    try:
        root = ElementTree.fromstring(drawing)
    except ElementTree.ParseError as error:
        raise ValueError(f'this is no SVG file: {error}') from error
    if root.tag != f'{_SVG}svg':
        raise ValueError(f'this is no SVG file: it begins with {root.tag}')
    _clean(root)
    root.attrib |= {'role': 'img', 'aria-label': alt}
    return Markup(ElementTree.tostring(root, encoding='unicode'))


def _clean(element: ElementTree.Element) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    for name, value in list(element.attrib.items()):
        if name in (_LINK, 'href'):
            del element.attrib[name]
            if value.startswith(('#', 'data:image/png')):
                element.set('href', value)
        elif name == 'style':
            del element.attrib[name]
            for key, found in _declarations(value):
                element.set(key, found)
        elif name.startswith(('{', 'on')):
            del element.attrib[name]
    for child in list(element):
        if isinstance(child.tag, str) and child.tag.startswith(_SVG) and child.tag[len(_SVG) :] in _KEPT:
            _clean(child)
        else:
            element.remove(child)


def _declarations(style: str) -> list[tuple[str, str]]:
    found = []
    for declaration in filter(None, map(str.strip, re.split(r';(?=[^()]*(?:\(|$))', style))):
        name, _, value = (part.strip() for part in declaration.partition(':'))
        if name == 'font':  # the short form is no attribute
            found += _font(value)
        else:
            found.append((name, value))
    return found


def _font(value: str) -> list[tuple[str, str]]:
    size = re.search(r'([\d.]+px)\s+(.*)', value)
    if not size:
        return []
    before = value[: size.start()].split()
    found = [('font-size', size[1]), ('font-family', size[2])]
    found += [('font-weight', word) for word in before if word == 'bold' or word.isdigit()]
    return found + [('font-style', word) for word in before if word in ('italic', 'oblique')]
