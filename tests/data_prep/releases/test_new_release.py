"""A new database costs one file and one line, those of docs/adding_a_database.md."""

import json
import pathlib
import re
import sys
import types

import pytest
import tiny_release

from data_prep import __main__ as command
from data_prep import releases

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')

GUIDE = pathlib.Path(__file__).parents[3] / 'docs' / 'adding_a_database.md'
[MINE] = re.findall(r'```python\n(.*?)```', GUIDE.read_text(encoding='utf-8'), re.DOTALL)


@pytest.mark.slow
def test_a_new_release_is_one_file_and_one_line(tmp_path, monkeypatch, capsys):
    module = types.ModuleType('data_prep.releases.mine')
    monkeypatch.setitem(sys.modules, 'data_prep.releases.mine', module)
    exec(MINE, module.__dict__)
    monkeypatch.setitem(releases.FILES, 'mine', 'mine')
    rows = [
        ['anna', 'one', 3, 5, 8, 'happy'],
        ['anna', 'two', 1, 2, 4, 'sad'],
        ['bert', 'one', 1, 2, 4, 'fear'],
    ]
    tiny_release.xlsx(
        tmp_path / 'mine.xlsx', [['Person', 'Video', 'First', 'Peak', 'Last', 'Feeling'], *rows]
    )
    for subject, clip, first, _, last, _ in rows:
        tiny_release.frames(tmp_path / subject / clip, range(first, last + 1))
    arguments = ['--release', 'mine', '--source', str(tmp_path), '--json', str(tmp_path / 'found.json')]
    assert command.main(['check', *arguments]) == 1  # the tiny frames do not move
    found = json.loads((tmp_path / 'found.json').read_text())['databases']['mine']
    assert found['classes'] == {'negative': 1, 'positive': 1, 'surprise': 0}
    assert found['expected'] == {'clips': 3, 'subjects': 2, 'classes': dict.fromkeys(found['classes'], 1)}
    assert [(each['clip'], each['reason']) for each in found['excluded']] == [('one', 'too few show it')]
    said = capsys.readouterr().out
    assert 'mine: 0 surprise instead of 1, 1 subjects instead of 2' in said
    assert releases.citation(['mine']) == 'Me: My Database, 2030'
    assert 'Derived from mine:' in releases.licence(['mine'])
