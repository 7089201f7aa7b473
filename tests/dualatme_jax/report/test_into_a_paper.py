"""docs/into_a_paper.md: its document, with everything that a run leaves, goes through LaTeX and BibTeX."""

import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from configs import cd
from dualatme_jax.report import (
    leaderboard,
    leaderboard_view,
    methods,
    paper,
    references,
    results_tex,
    scores,
    selection,
    sweep,
)
from dualatme_jax.run import model_section

GUIDE = (pathlib.Path(__file__).parents[3] / 'docs/into_a_paper.md').read_text(encoding='utf-8')
NAUGHTY = r'<script>_100%\&'


def predicted(seed, **values):
    """Predictions of 30 clips of 10 subjects with three classes, some of them right."""
    number = np.arange(30)
    table = pd.DataFrame({'database': np.where(number % 2, 'casme2', NAUGHTY), 'label': number % 3})
    table['subject'], table['clip'] = [f's{each % 10}' for each in number], [f'c{each}' for each in number]
    guess = np.random.default_rng(seed).integers(3, size=30)
    table['prediction'] = np.where(number % 4 == 0, guess, table['label'])
    return table.assign(trial=seed, seed=seed, left_out=table['database'] + '/' + table['subject'], **values)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """All files for a paper, of a run whose database, notice and systems have naughty names."""
    folder = tmp_path_factory.mktemp('run')
    single = pd.concat([predicted(0), predicted(1)])
    ways = {'last': single, 'best_on_test': single}
    result = scores.score_run(single, resamples=20) | {'selections': selection.beside(ways, resamples=5)}
    result['as_published'] = [
        {'step': step, 'leaks': leaks, 'acc': 0.5, 'uar': 0.5, 'uf1': 0.5, 'gap': 0.0}
        for step, leaks in (('honest', False), ('folds_averaged', True))
    ]
    about = {'heading': f'{NAUGHTY}\nInput: {NAUGHTY}', 'selected': 'last epoch', 'notice': NAUGHTY}
    results_tex.write(single, result, folder, **about)
    field = 'loss.cosine_weight'
    points = pd.concat([predicted(0, **{field: 0.0}), predicted(1, **{field: 0.01}).assign(seed=0)])
    points = points.drop(columns='left_out')
    sweep.write(sweep.compare(points, {field: 0.01}, resamples=5), folder, notice=NAUGHTY)
    board = {name: predicted(0, epoch=1) for name in ('ststnet', NAUGHTY)}
    frame = leaderboard.compare(board, {'rcn_f': NAUGHTY}, resamples=5)
    leaderboard_view.write(frame, folder, origin=NAUGHTY, notice=NAUGHTY)
    _, files = paper.beside(points, 'lambda', origin=NAUGHTY, notice=NAUGHTY)
    paper.write(files, folder)
    config = json.loads(model_section.completed(cd.get_config()).to_json())
    (folder / 'config.json').write_text(json.dumps(config | {'evaluate_only': NAUGHTY}))
    (folder / 'results.json').write_text(json.dumps(result | {'notice': NAUGHTY, 'labels': [NAUGHTY]}))
    methods.write(folder)
    return folder


@pytest.mark.slow
def test_every_table_has_its_caption_notice_and_label(folder):
    text = ''.join(
        (folder / f'{name}.tex').read_text() for name in ('results', 'sweep', 'leaderboard', 'paper')
    )
    tables = text.split(r'\begin{table}')[1:]
    assert len(tables) == 8
    escaped = r'\textless{}script\textgreater{}\_100\%\textbackslash{}\&'
    assert all(rf'\textbf{{{escaped}}}' in table for table in tables)
    labels = re.findall(r'\\label\{(.*)\}', text)
    assert len(labels) == len(set(labels)) == 8
    assert r'best\_on\_test, LEAKS & ' in text
    assert r'+ folds\_averaged, LEAKS & ' in text
    rows = text.split(r'\midrule')[1].split(r'\bottomrule')[0]
    assert re.search(r'& \.\d{3} \$\\pm\$ \.\d{3} \[\.\d\d, ', rows)  # without leading zeros


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('pdflatex'), reason='no pdflatex: Debian has it in texlive-latex-base')
def test_the_document_of_the_guide_compiles_with_all_tables_and_references(folder):
    (document,) = re.findall(r'```latex\n(.*?)```', GUIDE, re.DOTALL)
    others = ''.join(rf'\input{{{name}}}' for name in ('sweep', 'paper', 'leaderboard'))
    whole = document.replace(r'\input{results}', rf'\input{{results}}{others}\nocite{{*}}')
    (folder / 'article.tex').write_text(whole)
    (folder / 'references.bib').write_text('\n'.join(references.entries().values()))
    latex = ['pdflatex', '-halt-on-error', '-interaction=nonstopmode', '-no-shell-escape', 'article']
    for command in (latex, ['bibtex', 'article'], latex):
        options = {'capture_output': True, 'text': True, 'errors': 'replace', 'timeout': 120}
        found = subprocess.run(command, cwd=folder, **options)
        assert found.returncode == 0, found.stdout[-3000:]
        assert 'Repeated entry' not in found.stdout
    assert (folder / 'article.bbl').read_text().count(r'\bibitem{') == len(references.entries())
