import pytest

from dualatme_jax.errors import InputError, printable


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('\x1b[31mred\x1b]0;title\x07', r'\x1b[31mred\x1b]0;title\x07'),
        ('a\rb\x00c\x7fd\x9be', r'a\rb\x00c\x7fd\x9be'),
        ('\N{RIGHT-TO-LEFT OVERRIDE}gpj', r'\u202egpj'),
        ('half \ud800', r'half \ud800'),
        ('two\nlines\tand 微表情 é', 'two\nlines\tand 微表情 é'),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == str(InputError(text)) == shown
