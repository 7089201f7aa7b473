"""Names of classes, databases, subjects and clips that every table and report can carry; standard library.

Other names are refused where data comes in (`data_prep`, `dataset`, `report.predictions`), not after hours of
training: tables of predictions are CSV files whose cells are stripped, whose databases are
in lower case, and in which a class is its word in any case, or its number.
"""

from collections.abc import Sequence

from dualatme_jax import schema

MOST_CLASSES = 20  # more are another column taken for the labels
LONGEST = 200  # characters
# Columns and rows of reports that would look like those of a database with such a name.
RESERVED = (schema.FULL, 'best_on_test', 'guesser', 'published')


def fault_of_classes(labels: Sequence[str]) -> str | None:
    """Says why these cannot be the classes of a dataset or a table, in their order; None if they can.

    A class's name may be a number if that is its own: `0`, `1`, ...
    """
    if not 2 <= len(labels) <= MOST_CLASSES:
        shown = ', '.join(labels[:5]) + ', ...' * (len(labels) > 5)
        return f'{len(labels)} classes ({shown}); expected 2 to {MOST_CLASSES}'
    words = [label.lower() for label in labels]
    for place, (label, word) in enumerate(zip(labels, words, strict=True)):
        if fault := fault_of_name(label):
            return f'the class {label!r} {fault}'
        if words.index(word) != place:
            return f'the classes {labels[words.index(word)]!r} and {label!r} have one name'
        if is_number(word) and word != str(place):
            return f'the class {label!r}, number {place}, is called like another number; expected a word'
    return None


def fault_of_clip(database: str, subject: str, clip: str) -> str | None:
    """Says which of the three names of a clip cannot be used, and why; None if all can."""
    for what, name in ((schema.DATABASE, database), (schema.SUBJECT, subject), (schema.CLIP, clip)):
        if fault := fault_of_name(name):
            return f'the {what} {name!r} {fault}'
    if database in RESERVED:
        return f'the database {database!r} has a name that reports use for something else'
    if database != database.lower():
        return f'the database {database!r} is not in lower case'
    if '/' in database:  # `database/subject` is one person
        return f'the database {database!r} has a slash'
    return None


def fault_of_name(name: str) -> str | None:
    """Says why no cell of a table can hold this name; None if it can."""
    if not name or name.isspace():
        return 'is empty'
    if not name.isprintable():  # control characters, line and paragraph separators, lone surrogates
        return 'has a character that cannot be printed'
    if name != name.strip():
        return 'has spaces around it'
    if len(name) > LONGEST:
        return f'has {len(name)} characters, more than {LONGEST}'
    return None


def known_first(databases: Sequence[str]) -> list[str]:
    """Distinct databases in the order in which tables show them: the schema's, then others by name."""
    present = set(databases)
    known = [name for name in schema.DATABASES if name in present]
    return known + sorted(present.difference(known))


def is_number(word: str) -> bool:
    """Whether a word reads as a number, such as `3`, `1.0`, `nan` or a superscript."""
    if word.isdigit():  # also digits of which `float` knows nothing, such as superscripts
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True
