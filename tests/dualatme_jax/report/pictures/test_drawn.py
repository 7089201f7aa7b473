import re
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from dualatme_jax.report.pictures import drawn

SVG = '{http://www.w3.org/2000/svg}'


def example():
    figure = drawn.figure(3, 2)
    axes = figure.subplots()
    axes.plot([1, 2, 3], [3, 1, 2], 'o-', color=drawn.COLOURS[1], label='<script> $a')
    axes.imshow([[0, 1]], extent=(1, 2, 1, 2), aspect='auto')
    axes.set_title('a $b$ & "c"', fontweight='bold')
    axes.set_xlabel('epoch', color=drawn.MUTED)
    axes.text(1, 1, 'on a cell', color=drawn.BLACK)
    axes.legend(frameon=False)
    return figure


def test_ink_has_the_colour_of_the_page_and_black_stays():
    root = ElementTree.fromstring(drawn.svg(example()))
    texts = {element.text: element for element in root.iter(f'{SVG}text')}
    assert root.get('fill') == 'currentColor'
    assert texts['a $b$ & "c"'].get('fill') is None  # so it has the root's
    assert texts['a $b$ & "c"'].get('font-weight') == '700'
    assert texts['epoch'].get('fill') == 'currentColor'
    assert 0.5 < float(texts['epoch'].get('fill-opacity')) < 1
    assert texts['on a cell'].get('fill') == drawn.BLACK
    assert '<script> $a' in texts  # as text, escaped
    strokes = [element.get('stroke') for element in root.iter() if element.get('stroke')]
    assert {*strokes} == {'currentColor', drawn.COLOURS[1]}


def test_it_needs_no_style_and_no_font_of_its_own_and_covers_no_background():
    text = drawn.svg(example())
    assert not re.search(r'style|font-family|xlink|#fff|white|<\?|<!', text)


def test_ids_are_the_figures_own_and_all_are_found():
    one, other = example(), drawn.figure(3, 2)
    other.subplots().plot([1, 2], marker='o')
    ids = []
    for text in (drawn.svg(one), drawn.svg(other)):
        own = re.findall(r'\bid="([^"]+)"', text)
        assert {*own} == {*re.findall(r'(?:url\(|href=")#([^)"]+)', text)}
        ids += own
    assert len(ids) == len({*ids})
    assert len(ids) > 4


def test_what_no_xml_may_hold_is_escaped_wherever_it_stands():
    figure = drawn.figure(3, 2)
    axes = figure.subplots()
    axes.set_title('s\x01 \uffff')
    axes.set_xticks([0, 1], ['sub\x02', 'sub3'])
    texts = [element.text for element in ElementTree.fromstring(drawn.svg(figure)).iter(f'{SVG}text')]
    assert {r's\x01 \uffff', r'sub\x02', 'sub3'} <= {*texts}


@pytest.mark.parametrize('draw', [drawn.svg, drawn.png])
def test_the_same_figure_gives_the_same_bytes(draw):
    assert draw(example()) == draw(example())


def test_files_stand_on_white_and_are_the_same_each_time(tmp_path):
    figure = example()
    drawn.svg(figure)  # a page before changes nothing
    for name in ('a', 'b'):
        drawn.save(figure if name == 'a' else example(), tmp_path, name)
    for kind in ('png', 'svg'):
        assert (tmp_path / f'a.{kind}').read_bytes() == (tmp_path / f'b.{kind}').read_bytes()
    assert len(list(tmp_path.iterdir())) == 4
    image = matplotlib.image.imread(tmp_path / 'a.png')
    np.testing.assert_array_equal(image[0, 0], 1)
    assert image.shape == (300, 450, 4)
    assert 'fill: #ffffff' in (tmp_path / 'a.svg').read_text()


def test_colours_differ_in_lightness_or_in_what_colour_blind_readers_see():
    # Viénot, Brettel and Mollon (1999): what a reader without long-wave cones sees, from linear RGB.
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    rgb = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in drawn.COLOURS])
    seen = np.clip(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ protan.T, 0, 1)
    seen = seen ** (1 / 2.2)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 9 * np.eye(len(seen))
    assert apart.min() > 0.1
