r"""Tables and text for LaTeX: any name compiles, with pdflatex as with its successors.

A table needs `\usepackage{booktabs,graphicx}`. Numbers stand as in our Markdown, without a leading zero.
"""

import os
import pathlib
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from dualatme_jax.files import replacing

SUFFIX = '.tex'

_HEAD_WIDTH = 14  # characters of a line of a column's head
_MOST_ROWS = 40  # on one page; a table of more goes on in another one

_SPECIAL = {
    '\\': r'\textbackslash{}',
    '{': r'\{',
    '}': r'\}',
    '$': r'\$',
    '&': r'\&',
    '#': r'\#',
    '%': r'\%',
    '_': r'\_',
    '^': r'\textasciicircum{}',
    '~': r'\textasciitilde{}',
    '<': r'\textless{}',
    '>': r'\textgreater{}',
    '|': r'\textbar{}',
    '"': r"''",
    '`': r'\textasciigrave{}',
    # What names and our own sentences have beyond ASCII, as far as all engines and fonts can print it.
    '±': r'$\pm$',
    '\N{MULTIPLICATION SIGN}': r'$\times$',
    '·': r'$\cdot$',
    'µ': r'$\mu$',
    'μ': r'$\mu$',
    'λ': r'$\lambda$',
    '≤': r'$\leq$',
    '≥': r'$\geq$',
    '\N{MINUS SIGN}': r'$-$',
    '²': r'$^2$',
    '³': r'$^3$',
    '°': r'$^\circ$',
    '\N{EN DASH}': '--',
    '\N{EM DASH}': '---',
    '…': r'\ldots{}',
    '\N{LEFT SINGLE QUOTATION MARK}': r'`',
    '\N{RIGHT SINGLE QUOTATION MARK}': r"'",
    '“': r'``',
    '”': r"''",
    'ß': r'\ss{}',
    'æ': r'\ae{}',
    'Æ': r'\AE{}',
    'œ': r'\oe{}',
    'Œ': r'\OE{}',
    'ø': r'\o{}',
    'Ø': r'\O{}',
    'ł': r'\l{}',
    'Ł': r'\L{}',
    '\N{LATIN SMALL LETTER DOTLESS I}': r'\i{}',
    '§': r'\S{}',
    '\u200b': '{}',  # a space of no width, which keeps apart what would be a ligature
}
# Combining marks behind a letter, as the commands that put them above or below it.
_ACCENTS = dict(
    zip(
        '\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327',
        '`\'^~=u."rHvc',
        strict=True,
    )
)
_LIGATURE = re.compile(r"(?<=[-',])(?=[-',])")  # two such characters would become another one
_MINUS = re.compile(r'(?<![\w.)])-(?=\.?\d)')


def escaped(text: str) -> str:
    """A text as LaTeX prints it, character by character: no part of it is a command.

    Letters with accents and usual signs are written by commands; any other character beyond ASCII, which
    pdflatex may refuse, stands as its number, such as U+7247. White space is one space.
    """
    words = ' '.join(unicodedata.normalize('NFC', text).split())
    return ''.join(map(_printed, _LIGATURE.sub('\u200b', words)))


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str,
    label: str = '',
    notes: Sequence[str] = (),
    notices: Sequence[str] = (),
) -> str:
    """A table; the first column is words, the others are numbers, as in `tables.markdown`.

    All text is escaped here. A table that is wider than the line is made smaller; one of more than 40 rows
    becomes several.

    Args:
      heads: of the columns.
      rows: their cells, such as `.680 ± .012 [.62, .73]`; `-` is unknown.
      caption: stands above.
      label: for `\\ref`, such as `tab:results`; of the first part.
      notes: sentences below it.
      notices: stand in the caption, in bold, such as that the scores leak.
    """
    rows = [list(row) for row in rows]
    parts = [rows[place : place + _MOST_ROWS] for place in range(0, len(rows), _MOST_ROWS)] or [[]]
    marks = ''.join(rf' \textbf{{{escaped(notice)}}}' for notice in notices if notice)
    below = ' '.join(map(escaped, notes))
    made = ['% Needs \\usepackage{booktabs,graphicx}.\n']
    for number, part in enumerate(parts, start=1):
        counted = f'{caption} (part {number} of {len(parts)})' if len(parts) > 1 else caption
        lines = [
            r'\begin{table}[htbp]',
            r'  \centering',
            rf'  \caption{{{escaped(counted)}.{marks}}}',
            *([rf'  \label{{{label}}}'] if label and number == 1 else []),
            r'  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%',
            rf'  \begin{{tabular}}{{l{"r" * (len(heads) - 1)}}}',
            r'    \toprule',
            _line([_head(head, number) for number, head in enumerate(heads)]),
            r'    \midrule',
            *(_line([_cell(cell, number) for number, cell in enumerate(row)]) for row in part),
            r'    \bottomrule',
            r'  \end{tabular}}',
            *(['', r'  \smallskip', rf'  \parbox{{\linewidth}}{{\footnotesize {below}}}'] if below else []),
            r'\end{table}',
        ]
        made.append('\n'.join(lines) + '\n')
    return '\n'.join(made)


def write(text: str, path: str | os.PathLike) -> None:
    """Writes LaTeX or BibTeX, whole or not at all."""
    with replacing(pathlib.Path(path)) as temporary:
        temporary.write_text(text, encoding='utf-8', newline='\n')


def _printed(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii() and character.isprintable():
        return character
    letter, *marks = unicodedata.normalize('NFD', character)
    if letter.isascii() and letter.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f'\\{_ACCENTS[marks[0]]}{{{letter}}}'
    return f'U+{ord(character):04X}'


def _head(text: str, number: int) -> str:
    lines = [escaped(line) for line in textwrap.wrap(text, _HEAD_WIDTH, break_long_words=False)]
    if len(lines) < 2:
        return ''.join(lines)
    return rf'\shortstack[{"r" if number else "l"}]{{' + r'\\'.join(map(_guarded, lines)) + '}'


def _cell(text: str, number: int) -> str:
    if not number:
        return escaped(text)
    return '--' if text == '-' else escaped(_MINUS.sub('\N{MINUS SIGN}', text))


def _line(cells: Sequence[str]) -> str:
    return f'    {_guarded(" & ".join(cells))} \\\\'


def _guarded(line: str) -> str:
    """A line that the command before it does not take for its argument."""
    return f'{{}}{line}' if line.startswith(('[', '*')) else line
