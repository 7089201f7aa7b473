"""A new database costs one file and one line."""

import json
import sys
import types

import pytest
import tiny_release

from data_prep import __main__ as command
from data_prep import releases

pytestmark = pytest.mark.usefixtures('workbooks_in_this_process')

MINE = """
import dataclasses

from data_prep.files import folders
from data_prep.files import sheet as sheets
from data_prep.releases import annotations, find_frames
from data_prep.releases.protocols import THREE_CLASSES, Complete
from data_prep.releases.record import Release

COLUMNS = {
    'subject': ('Person',),
    'clip': ('Video',),
    'onset': ('First',),
    'apex': ('Peak',),
    'offset': ('Last',),
    'emotion': ('Feeling',),
}

def survey(source, *, sheet=None):
    tree = folders.walk(source)
    table = sheets.find(tree, sheet, COLUMNS, official='mine*')
    findings = annotations.Findings()
    clips = annotations.clips(table, 'mine', findings, subject=str, example='anna')
    sources = find_frames.by_trail(clips, tree, lambda clip: [(clip.subject, clip.clip)])
    clips = find_frames.add_frames(clips, sources, tree, findings, example='anna/one')
    return findings.survey('mine', tree, table.variant, clips, aligned=True)

RELEASE = Release(
    database='mine',
    citation='Me: My Database, 2030',
    survey=survey,
    protocols=(dataclasses.replace(
        THREE_CLASSES,
        dropped={'fear': 'too few show it'},
        complete=Complete(subjects=2, clips={'negative': 1, 'positive': 1, 'surprise': 1}),
    ),),
)
"""


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
