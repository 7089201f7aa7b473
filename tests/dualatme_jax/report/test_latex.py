"""Tables for LaTeX. What LaTeX itself prints of them is read back from a PDF where there is a pdflatex."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualatme_jax.report import latex

NAUGHTY = (
    r'<script>_100%\& {x} $y$ #1 ^~ | "q" `b` --- Ørjan Müller Çağlar 片段 \end{table} \input{/etc/passwd}'
)

# What may stand in what `escaped` returns: plain characters, and the commands that the package writes.
_SAFE = re.compile(
    r"""(?: [A-Za-z0-9 !()*+,./:;=?@\[\]'`-]
    | \\[{}$&\#%_]
    | \\text(?:backslash|ascii(?:circum|tilde|grave)|less|greater|bar)\{\}
    | \\(?:ldots|ss|ae|AE|oe|OE|[oOlLiS])\{\}
    | \\[`'^~=u."rHvc]\{[A-Za-z]\}
    | \$(?:\\(?:pm|times|cdot|mu|lambda|leq|geq)|-|\^[23]|\^\\circ)\$
    | \{\}
    )*""",
    re.VERBOSE,
)


@given(st.text())
def test_no_text_is_a_command(text):
    assert _SAFE.fullmatch(latex.escaped(text))


@given(st.text(alphabet=st.characters(max_codepoint=127, exclude_categories=['Cc'], exclude_characters='"')))
def test_ascii_is_kept_to_the_character(text):
    kept = latex.escaped(text)
    for name, printed in {
        'backslash': '\\', 'asciicircum': '^', 'asciitilde': '~', 'asciigrave': '`',
        'less': '<', 'greater': '>', 'bar': '|',
    }.items():  # fmt: skip
        kept = kept.replace(f'\\text{name}{{}}', f'\\{ord(printed)};')
    kept = re.sub(r'(?<!\\)\{\}', '', kept)
    kept = re.sub(r'\\(\d+);|\\(.)', lambda found: chr(int(found[1])) if found[1] else found[2], kept)
    assert kept == ' '.join(text.split())


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('.680 ± .012', r'.680 $\pm$ .012'),
        ('Müller', r'M\"{u}ller'),
        ('Mu\u0308ller', r'M\"{u}ller'),
        ('片', 'U+7247'),
        ('a--b', 'a-{}-b'),
        ('\x00\ud800', 'U+0000U+D800'),
    ],
)
def test_characters(text, expected):
    assert latex.escaped(text) == expected


def test_a_table():
    made = latex.table(
        ['', 'UF1', 'UF1 - ref. of all'],
        [['a_b', '.680 ± .012 [.62, .73]', '-.055 [-.12, -.01]'], ['[c]', '-', '']],
        caption='Sweep',
        label='tab:sweep',
        notes=['One seed.'],
        notices=['LEAKS: 100%'],
    )
    assert (
        made
        == r"""% Needs \usepackage{booktabs,graphicx}.

\begin{table}[htbp]
  \centering
  \caption{Sweep. \textbf{LEAKS: 100\%}}
  \label{tab:sweep}
  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
  \begin{tabular}{lrr}
    \toprule
     & UF1 & \shortstack[r]{UF1 - ref. of\\all} \\
    \midrule
    a\_b & .680 $\pm$ .012 [.62, .73] & $-$.055 [$-$.12, $-$.01] \\
    {}[c] & -- &  \\
    \bottomrule
  \end{tabular}}

  \smallskip
  \parbox{\linewidth}{\footnotesize One seed.}
\end{table}
"""
    )


def test_a_long_table_goes_on_in_another_one():
    made = latex.table(['', 'n'], [[str(number), '1'] for number in range(81)], caption='Many', label='tab:x')
    assert made.count(r'\begin{table}') == 3
    assert made.count(r'\label') == 1
    assert [f'Many (part {number} of 3)' in made for number in (1, 2, 3)] == [True] * 3
    assert re.findall(r'^    (\d+) &', made, re.MULTILINE) == [str(number) for number in range(81)]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('pdflatex'), reason='no pdflatex: Debian has it in texlive-latex-base')
def test_latex_compiles_any_name(tmp_path):
    cells = [NAUGHTY, '[x]', '*', *(chr(code) for code in range(0x20, 0x180))]
    made = latex.table(
        ['', NAUGHTY], [[cell, cell] for cell in cells], caption=NAUGHTY, notes=[NAUGHTY], notices=[NAUGHTY]
    )
    compiled(made, tmp_path)


def compiled(text, folder):
    """Compiles the body of a document, and fails with LaTeX's message where it stops."""
    packages = r'\documentclass{article}\usepackage{booktabs,graphicx}'
    (folder / 'paper.tex').write_text(f'{packages}\\begin{{document}}\n{text}\n\\end{{document}}\n')
    command = ['pdflatex', '-halt-on-error', '-interaction=nonstopmode', '-no-shell-escape', 'paper.tex']
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors='replace', timeout=60)
    assert found.returncode == 0, found.stdout[-2000:]
    return found.stdout
