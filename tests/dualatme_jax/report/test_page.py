import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from dualatme_jax.report.page import page, svg
from dualatme_jax.report.page.blocks import (
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

EVIL = '<script>alert(1)</script>'
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()" '
    'viewBox="0 0 9 9">'
    '<defs><style type="text/css">*{stroke: red}</style><path id="m1" d="M0 0"/></defs>'
    '<use xlink:href="#m1" fill="#0072b2" style="stroke: red"/>'
    '<use xlink:href="http://far.away/x.svg#a"/><script>alert(1)</script>'
    '<text font-size="10px">a &lt; b</text></svg>'
)


class Read(HTMLParser):
    """Elements, and the text in each kind of them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ('meta', 'link', 'img', 'input'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def every_block(word):
    """One of each kind of block, with a word in every place that has one."""
    blocks = [
        Text(f'{word} a\n\n{word} b'),
        Facts([(word, f'{word}\n{word}')]),
        Table(word, [Column(word, hint=word), Column('n', number=True)], [[word, 0.25]] * 70, note=word),
        Picture(word, word, svg=DRAWING),
        Gallery([Picture(word, word, png=b'\x89PNG')]),
        Listing(word, word),
    ]
    return page.html(
        word,
        [Section(word, [*blocks, Folded(word, blocks)], name=word), Section(word, [])],
        lead=blocks,
        notices=[word],
    )


def test_text_is_never_markup():
    read = Read(every_block(EVIL))
    assert read.open == []
    scripts = read.all('script')
    assert [script.get('type') for script in scripts] == ['application/json'] * 3 + [None]
    assert 'alert' not in read.texts['script'][-1]
    rows = [json.loads(text) for text in read.texts['script'][:-1]]
    assert rows == [[[EVIL, '0.250']] * 10] * 3
    assert EVIL in read.texts['h1']
    assert EVIL in read.texts['td']
    assert len(read.all('h2')) == 2


def test_the_policy_allows_what_lies_in_the_page_and_nothing_else():
    text = every_block('clip')
    read = Read(text)
    (policy,) = [meta['content'] for meta in read.all('meta') if meta.get('http-equiv')]
    for tag in ('style', 'script'):
        (found,) = re.findall(rf"{tag}-src '(sha256-[^']+)'", policy)
        digest = hashlib.sha256(read.texts[tag][-1].encode()).digest()
        assert found == f'sha256-{base64.b64encode(digest).decode()}'
    assert policy.startswith("default-src 'none'; ")
    assert not [name for _, attributes in read.elements for name in attributes if name.startswith('on')]
    assert not any('style' in attributes for _, attributes in read.elements)
    addresses = [v for _, each in read.elements for k, v in each.items() if k in ('href', 'src')]
    assert {address[:5] if address[0] != '#' else '#' for address in addresses} == {'#', 'data:'}
    assert text == every_block('clip')


def test_sections_have_anchors_of_their_own():
    text = page.html('A', [Section('Two words', []), Section('Two words!', []), Section('?', [], name='x')])
    anchors = [each['id'] for each in Read(text).all('section')]
    assert anchors == ['two-words', 'two-words-1', 'x']
    assert [each['href'] for each in Read(text).all('a')][1:4] == [f'#{name}' for name in anchors]


def test_a_drawing_loses_what_runs_or_loads():
    read = Read(svg.inline(DRAWING, 'two "marks"'))
    assert [tag for tag, _ in read.elements] == ['svg', 'defs', 'path', 'use', 'use', 'text']
    (outer,), (first, second) = read.all('svg'), read.all('use')
    assert outer == {'viewbox': '0 0 9 9', 'role': 'img', 'aria-label': 'two "marks"'}
    assert first == {'href': '#m1', 'fill': '#0072b2'}
    assert second == {}
    assert read.all('text') == [{'font-size': '10px'}]
    assert read.texts['text'] == ['a < b']


@pytest.mark.parametrize('text', ['', '<svg', '<html/>'])
def test_what_is_no_drawing_is_refused(text):
    with pytest.raises(ValueError, match='no SVG file'):
        svg.inline(text, 'a')


@pytest.mark.parametrize('content', [{}, {'svg': DRAWING, 'png': b'a'}])
def test_a_picture_is_one_of_both(content):
    with pytest.raises(ValueError, match="'A' needs either svg or png"):
        Picture('A', 'a', **content)


def test_cells():
    cells = [None, float('nan'), 'a', 3, 3.0, 0.12345, float('inf')]
    assert [page.shown(cell) for cell in cells] == ['', '', 'a', '3', '3.000', '0.123', 'inf']


def test_a_page_is_written_whole(tmp_path):
    page.write('ä\n', tmp_path / 'report.html')
    assert (tmp_path / 'report.html').read_bytes() == 'ä\n'.encode()
    assert [path.name for path in tmp_path.iterdir()] == ['report.html']
