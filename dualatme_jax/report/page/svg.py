"""Makes an SVG file a part of a page.

What could run or load something is left out, and so is style: the page's policy allows none here, and the
figures of `report.pictures` have none.
"""

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
        elif name == 'style' or name.startswith(('{', 'on')):
            del element.attrib[name]
    for child in list(element):
        if isinstance(child.tag, str) and child.tag.startswith(_SVG) and child.tag[len(_SVG) :] in _KEPT:
            _clean(child)
        else:
            element.remove(child)
