"""What README.md and the pages of docs/ show: commands that the programs take, code, links, figures.

Nothing is run here: the real parsers read the flags, and the real configs are loaded with what the command
line sets. A block that no parser can read has `<!-- not run: why -->` above it.
"""

import argparse
import ast
import copy
import importlib
import pathlib
import re
import shlex
import sys
import tomllib

import pandas as pd
import pytest
import yaml
from absl import flags
from ml_collections import config_flags

from dualatme_jax.run import config_file, fields

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / 'docs'
PAGES = [
    ROOT / 'README.md',
    *sorted(DOCS.rglob('*.md')),
    ROOT / 'data_prep/README.md',
    ROOT / 'benchmarks/README.md',
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding='utf-8') for path in PAGES}

BLOCK = re.compile(
    r'^(?:<!-- (?P<comment>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$', re.M | re.S
)
SPAN = re.compile(r'`(python -m [^`]*)`')
OPTIONAL = re.compile(r'\[(--[^\]]*)\]')  # an option that a benchmark has: its value is the default

SHELL = {'cd', 'do', 'done', 'export', 'for', 'wait'}
OTHERS = {'git', 'grep'}  # programs that are not ours
TOOLS = {'pip', 'pytest', 'venv'}  # modules and programs of Python that are not ours
PYTHON = re.compile(r'(?:\S*/)?python(?:3\.\d+)?')


def blocks(page, *languages):
    """The blocks of a page in these languages, but for those that say why they are not run."""
    for found in BLOCK.finditer(TEXTS[page]):
        if found['language'] in languages and not (found['comment'] or '').startswith('not run: '):
            yield found['text']


def simple_commands(text):
    """The words of each command of a piece of shell, without variables that are set for it."""
    lexer = shlex.shlex(re.sub(r'\$[a-z]\b', '0', text), posix=True, punctuation_chars=True)
    lexer.commenters = ''
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set('();<>|&'):
            yield words
            words = []
        elif words or not re.match(r'[A-Z_]+=', word):
            words.append(word)
    yield words


def commands(page):
    """Every command that a page shows, in blocks and within sentences, as lists of words."""
    for text in blocks(page, 'bash', ''):
        if text.startswith('python -m') or '```bash\n' + text in TEXTS[page]:
            for line in re.sub(r'\\\n', ' ', text).splitlines():
                yield from filter(None, simple_commands(re.sub(r'(^|\s)#.*', '', line)))
    for span in SPAN.findall(TEXTS[page]):
        if not span.endswith('...'):
            yield from simple_commands(OPTIONAL.sub(r'\1', ' '.join(span.split())))


class ParsedError(Exception):
    """Raised in the place of running a command; its argument are the options."""


@pytest.fixture
def only_parsed(monkeypatch):
    """Commands that use argparse end by `ParsedError` once they have read their options."""
    parse = argparse.ArgumentParser.parse_args

    def parse_args(parser, *arguments, **keywords):
        raise ParsedError(parse(parser, *arguments, **keywords))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)


def load_config(arguments, monkeypatch):
    """Reads flags as `dualatme_jax.main` does, among flags of its own."""
    main = importlib.import_module('dualatme_jax.main')
    monkeypatch.setattr(sys, 'argv', ['main', *arguments])
    values = flags.FlagValues()
    for flag in flags.FLAGS.get_flags_for_module('dualatme_jax.main'):
        if not flag.name.startswith('config'):
            values[flag.name] = copy.deepcopy(flag)
    config_flags.DEFINE_config_file(
        'config', flag_values=values, lock_config=False, accept_new_attributes=True
    )
    values['config'].parser = config_file.Parser('config')
    assert values(sys.argv) == ['main'], f'arguments that are no flags: {main.__doc__}'
    if values.config is not None:
        fields.check(values.config)
    return values.config


def parse(module, arguments, monkeypatch):
    """Fails if the program `python -m module` does not take the arguments."""
    if module == 'dualatme_jax.main':
        assert load_config(arguments, monkeypatch) is not None
        return
    program = importlib.import_module(module)
    if hasattr(program, '__path__'):
        program = importlib.import_module(f'{module}.__main__')
    if not arguments:
        assert callable(program.main)
        return
    monkeypatch.setattr(sys, 'argv', [module, *arguments])
    with pytest.raises(ParsedError) as parsed:
        program.main()
    [options] = parsed.value.args
    if hasattr(options, 'releases'):
        assert options.release in options.releases


@pytest.mark.parametrize('page', TEXTS)
def test_every_command_is_one_that_the_programs_take(page, monkeypatch, only_parsed):
    monkeypatch.chdir(ROOT)
    for words in commands(page):
        python = next((place for place, word in enumerate(words) if PYTHON.fullmatch(word)), None)
        if python is None:
            assert pathlib.Path(words[0]).name in SHELL | OTHERS | TOOLS, f'unknown program: {words}'
        elif words[python + 1] == '-c':
            compile(words[python + 2], page, 'exec')
        elif words[python + 1] != '-m':
            assert (ROOT / words[python + 1]).is_file(), words
        elif words[python + 2] not in TOOLS:
            try:
                parse(words[python + 2], words[python + 3 :], monkeypatch)
            except (Exception, SystemExit) as error:
                raise AssertionError(f'{" ".join(words)}: {type(error).__name__}: {error}') from error


def test_a_command_that_no_program_takes_is_found(monkeypatch, only_parsed):
    with pytest.raises(Exception, match=r'did you mean --config\.optimizer\.learning_rate'):
        parse('dualatme_jax.main', ['--config=configs/cd.py', '--config.lr=1'], monkeypatch)
    with pytest.raises(Exception, match=r'configs/ststnet\.py'):
        parse('dualatme_jax.main', ['--config=configs/stsnet.py'], monkeypatch)
    with pytest.raises(SystemExit):
        parse('data_prep', ['build', '--release', 'casme2', '--out', 'x', '--regoins', 'EM'], monkeypatch)
    with pytest.raises(AssertionError):
        parse('data_prep', ['check', '--release', 'casme9', '--source', 'x'], monkeypatch)


@pytest.mark.parametrize('page', TEXTS)
def test_every_installation_names_extras_that_there_are(page):
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    for names in re.findall(r"-e '\.\[([\w,]+)\]'", TEXTS[page]):
        assert set(names.split(',')) <= set(extras)


def imported(tree):
    """name -> the module, or what of it, that a piece of Python imports of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split('.')[0] in ('dualatme_jax', 'data_prep'):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f'{node.module}.{alias.name}')
                yield alias.asname or alias.name, getattr(module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == 'dualatme_jax':
                    yield alias.asname or alias.name, importlib.import_module(alias.name)


@pytest.mark.parametrize('page', TEXTS)
def test_python_on_the_pages_uses_names_that_there_are(page):
    for text in blocks(page, 'python'):
        tree = ast.parse(text)
        ours = dict(imported(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours:
                assert hasattr(ours[node.value.id], node.attr), ast.unparse(node)


def anchors(text):
    """The anchors that GitHub gives to the headings of a page."""
    outside = re.sub(r'^```.*?^```$', '', text, flags=re.M | re.S)
    headings = re.findall(r'^#+ (.*)$', outside, re.M)
    plain = (re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading).lower() for heading in headings)
    return {re.sub(r'[^\w\- ]', '', heading).replace(' ', '-') for heading in plain}


@pytest.mark.parametrize('page', TEXTS)
def test_links_lead_somewhere(page):
    outside = re.sub(r'^```.*?^```$', '', TEXTS[page], flags=re.M | re.S)
    outside = re.sub(r'`[^`]*`', '', outside)
    for target in re.findall(r'\]\(([^)\s]+)\)', outside):
        if target.startswith(('http://', 'https://')):
            continue
        name, _, anchor = target.partition('#')
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.exists(), f'{page}: {target}'
        assert path.is_relative_to(ROOT), f'{page}: {target} leads outside of the repository'
        if anchor:
            assert anchor in anchors(path.read_text(encoding='utf-8')), f'{page}: {target}'


@pytest.mark.parametrize('page', TEXTS)
def test_pictures_are_described(page):
    for description in re.findall(r'!\[([^\]]*)\]', TEXTS[page]):
        assert len(description) > 20


def test_the_index_lists_every_page():
    index = TEXTS['docs/README.md']
    pages = [path.relative_to(DOCS) for path in DOCS.rglob('*.md') if path != DOCS / 'README.md']
    assert [str(path) for path in pages if f']({path})' not in index] == []


def test_the_front_page_is_short_and_says_what_it_is_not():
    lines = TEXTS['README.md'].splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) < 400
    assert 'not a lie detector' in TEXTS['README.md']


def test_the_picture_shows_the_numbers_of_the_table():
    drawn = pd.read_csv(DOCS / 'pictures/leaderboard.csv').set_index('title')
    own = TEXTS['docs/leaderboard.md'].partition("## Each paper's own epochs")[2].partition('\n## ')[0]
    rows = [
        [cell.strip() for cell in row.strip('|').split('|')] for row in re.findall(r'^\|.*\|$', own, re.M)
    ]
    assert {row[0] for row in rows[2:]} == set(drawn.index) - {'Kernel ridge (ours), nested'}
    for title, _, uf1, _, _, best, guess, published, *_ in rows[2:]:
        found = [float(number) for number in re.findall(r'-?\.\d+', uf1)]
        row = drawn.loc[title]
        if title == 'Guesser':
            assert row['uf1_mean'] == found[0]
            continue
        assert found == [row['uf1_mean'], row['uf1_low'], row['uf1_high']]
        assert float(best.split()[0]) == row['best_on_test_uf1']
        assert float(guess) == row['guesser_uf1']
        assert published == '-' or float(published.split('/')[0]) == row['published_uf1']
    nested = drawn.loc['Kernel ridge (ours), nested']
    uf1, low, high = (f'{nested[name]:.3f}'[1:] for name in ('uf1_mean', 'uf1_low', 'uf1_high'))
    said = f'{uf1} ± .013 [{low[:-1]}, {high[:-1]}]'
    assert said in TEXTS['docs/best.md']
    assert f'**{uf1}** ± .013' in TEXTS['README.md']


def test_the_citation_can_be_read():
    """Required keys by the schema of the Citation File Format 1.2.0."""
    found = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    assert found['cff-version'] == '1.2.0'
    assert {'message', 'title', 'authors'} <= set(found)
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    assert (found['version'], found['license']) == (project['version'], project['license'])
    for reference in found['references']:
        assert {'type', 'title', 'authors'} <= set(reference)
        assert all({'family-names', 'given-names'} <= set(author) for author in reference['authors'])
    assert [reference['doi'] for reference in found['references']] == ['10.3390/e25030460']
    [entry] = blocks('README.md', 'bibtex')
    assert entry in (ROOT / 'dualatme_jax/report/references.bib').read_text(encoding='utf-8')
    assert f'Version {project["version"]}' in entry
