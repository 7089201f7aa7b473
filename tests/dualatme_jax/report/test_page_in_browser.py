"""Pages are opened from disk in headless Chromium; without it, or without playwright, these tests skip."""

import shutil
from unittest import mock

import pytest
import written_answer
import written_run

from dualatme_jax.report import answer_page, predictions, record, run_page
from dualatme_jax.report.page import page as page_lib
from dualatme_jax.report.page.blocks import Column, Section, Table
from dualatme_jax.report.sections import drawings

playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')

# Right edges of what reaches beyond the window, but for what scrolls in a box of its own.
BEYOND = """() => [...document.querySelectorAll('body *')]
  .filter((one) => !one.closest('.box, pre, svg') && !one.closest('.hidden, .skip'))
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
  .map((one) => one.outerHTML.slice(0, 99))"""

# What is opened, and the figures on it, which take longer than all else.
PAGES = {
    'run': ('confusion', 'subjects', 'seeds', 'reliability', 'risk_coverage'),
    'sweep': ('sweep',),
    'board': ('leaderboard',),
    'predictions': (),
}

CUT = """() => [...document.querySelectorAll('.box')]
  .filter((one) => one.scrollHeight > one.clientHeight + 1).length"""


# Boxes of which a part cannot be reached: none may be wider than it shows and not scroll.
HIDDEN = """() => [...document.querySelectorAll('.box, .drawing')]
  .filter((one) => one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX !== 'auto')
  .map((one) => one.outerHTML.slice(0, 99))"""


@pytest.fixture(scope='module')
def browser():
    path = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not path:
        pytest.skip('no Chromium is installed')
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield found
        found.close()


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """What is opened: name -> path."""
    folder = tmp_path_factory.mktemp('pages')
    written_run.write(folder / 'run', written_run.table(clip='<script>alert({})</script>' + 'x' * 300))
    written_run.sweep(folder / 'sweep')
    written_run.board(folder / 'board')
    (folder / 'predictions').mkdir()
    predictions.write(written_run.table(seeds=1), folder / 'predictions/predictions.csv')
    pictures = drawings.pictures
    for name, own in PAGES.items():

        def some(found, *names, own=own):
            return pictures(found, *({*names} & {*own}))

        with mock.patch.object(drawings, 'pictures', some):
            page_lib.write(run_page.html(record.read(folder / name)), folder / f'{name}.html')
    answer_page.write(folder / 'answer', written_answer.answered(folder / 'answer'))
    (folder / 'answer' / answer_page.FILE).rename(folder / 'answer.html')
    columns = [Column('Clip'), Column('Score', number=True)]
    rows = [[f'clip{place}', None if place % 9 == 4 else (place * 37) % 5000 / 7] for place in range(5000)]
    large = page_lib.html('Large', [Section('Rows', [Table('Many', columns, rows)])])
    page_lib.write(large, folder / 'large.html')
    return folder


def opened(browser, path, *, width=1280, scheme='light'):
    """The page, and a list that fills with all that goes wrong or leaves it."""
    page, faults = browser.new_page(viewport={'width': width, 'height': 900}, color_scheme=scheme), []
    page.on('console', lambda message: faults.append(f'{message.type}: {message.text}'))
    page.on('pageerror', lambda error: faults.append(f'error: {error}'))
    page.on('dialog', lambda dialog: faults.append(f'dialog: {dialog.message}'))
    known = (path.as_uri(), 'data:')
    page.on('request', lambda one: None if one.url.startswith(known) else faults.append(one.url[:99]))
    page.goto(path.as_uri())
    return page, faults


@pytest.mark.slow
@pytest.mark.parametrize('name', [*PAGES, 'answer'])
def test_it_asks_for_nothing_and_fits_every_screen(browser, pages, name):
    colours = set()
    for width, scheme in ((1280, 'light'), (390, 'light'), (390, 'dark')):
        page, faults = opened(browser, pages / f'{name}.html', width=width, scheme=scheme)
        assert page.evaluate(BEYOND) == []
        assert page.evaluate(HIDDEN) == []
        assert page.evaluate('document.documentElement.scrollWidth') == width
        assert faults == []
        colours.add(page.evaluate('getComputedStyle(document.body).backgroundColor'))
        page.close()
    assert len(colours) == 2, 'by day and by night'


def column(page, place):
    cells = page.locator(f'tbody td:nth-child({place})')
    return cells.all_text_contents()


@pytest.mark.slow
def test_tables_sort_by_click_and_by_key_and_show_what_is_missing_last(browser, pages):
    page, faults = opened(browser, pages / 'large.html')
    assert len(column(page, 1)) < 200, 'others are drawn as they are scrolled to'
    head = page.get_by_role('columnheader', name='Score')
    head.get_by_role('button').click()
    assert head.get_attribute('aria-sort') == 'ascending'
    up = [float(cell) for cell in column(page, 2)]
    assert up == sorted(up)
    assert up[0] == 0
    head.get_by_role('button').press('Enter')
    assert head.get_attribute('aria-sort') == 'descending'
    down = [float(cell) for cell in column(page, 2)]
    assert down == sorted(down, reverse=True)
    assert down[0] == pytest.approx(4999 / 7, abs=5e-4)
    name = page.get_by_role('columnheader', name='Clip')
    name.get_by_role('button').press('Space')
    assert (name.get_attribute('aria-sort'), head.get_attribute('aria-sort')) == ('ascending', 'none')
    assert column(page, 1)[:3] == ['clip0', 'clip1', 'clip2']
    assert column(page, 1)[10] == 'clip10'
    page.get_by_role('searchbox').fill('clip49 ')
    assert page.locator('.count').inner_text() == '111 of 5000 rows'
    head.get_by_role('button').click()
    page.evaluate("() => { const box = document.querySelector('.box'); box.scrollTop = box.scrollHeight }")
    # Waiting for a function would evaluate text in the page, which its policy forbids.
    page.locator('tbody tr').nth(110).wait_for(state='attached')
    shown = column(page, 2)
    assert shown[-15:] == [''] * 15
    assert '' not in shown[:-15]
    assert faults == []


@pytest.mark.slow
def test_in_print_what_is_folded_is_open_and_boxes_do_not_cut(browser, pages):
    page, faults = opened(browser, pages / 'run.html')
    page.emulate_media(media='print')
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator('details:not([open])').count() == 0
    assert page.evaluate(CUT) == 0
    assert not page.locator('nav').is_visible()
    assert faults == []
