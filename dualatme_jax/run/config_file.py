"""Config files: found from any folder, loaded, and explained field by field."""

import ast
import difflib
import importlib.util
import io
import pathlib
import re
import sys
import textwrap
import tokenize
import traceback
from collections.abc import Iterable, Iterator, Sequence

from absl import flags
from ml_collections import ConfigDict

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.kinds import TEXT, shown
from dualatme_jax.run import fields

FOLDER = 'configs'
ROOT = pathlib.Path(__file__).parents[2]  # of the checkout, which holds configs/

_LIMIT = 2**20  # bytes of a config file
_EXPECTED = 'a Python file whose get_config() returns a ConfigDict'
_WIDTH = 110


class Parser(flags.ArgumentParser):
    """Reads the flag `--config=FILE[:ARGUMENT]`, and the names of the fields that other flags set.

    It stands in for that of ml_collections, which says what is wrong with a file late and by a traceback.
    """

    def __init__(self, name: str):
        self.name = name

    def parse(self, argument: str) -> ConfigDict:
        """The locked config; raises InputError for a file that is not a config, and for flags of no field."""
        config = load(argument)
        for other in sys.argv[1:]:
            if found := re.match(rf'--?(?:no)?{self.name}\.([^=]*)=?(.*)', other, re.DOTALL):
                _check_field(found[1], found[2], config, f'--{self.name}.', argument)
        return opened(config.lock())


def opened(config: ConfigDict) -> ConfigDict:
    """The locked config, whose section `model` takes options that it does not list: its system knows them."""
    if isinstance(config.get(fields.MODEL), ConfigDict):
        config.model.unlock()
    return config


def load(argument: str) -> ConfigDict:
    """The config of `FILE` or `FILE:ARGUMENT`, what stands behind the colon being given to its `get_config`.

    Raises:
      InputError: there is no such file, it is not Python, it raises, or gives something else.
    """
    name, colon, given = argument.partition(':')
    path = find(name)
    files.read_bytes(path, limit=_LIMIT, what='config')
    _make_importable(path)
    spec = importlib.util.spec_from_file_location('config_of_this_run', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses of the file look for it there
    try:
        spec.loader.exec_module(module)
        config = module.get_config(*[given] if colon else [])
        if isinstance(config, ConfigDict):
            return config.copy_and_resolve_references()
    except (Exception, SystemExit) as error:
        if colon and isinstance(error, ValueError) and hasattr(module, 'get_config'):  # of the argument
            raise InputError(f'--config={argument}{_line(error, path)}: {error}') from error
        raise InputError(
            f'the config {path}{_line(error, path)}: {type(error).__name__}: {error}; expected {_EXPECTED}, '
            'as those of configs/'
        ) from error
    raise InputError(f'get_config() of the config {path} returns {shown(config)}; expected a ConfigDict')


def find(name: str) -> pathlib.Path:
    """The file of a config, which is sought in the current folder, then in the one that holds our configs/.

    Raises:
      InputError: there is none; it lists those there are.
    """
    path = files.expanded(name, '--config')
    for candidate in (path, ROOT / path):
        if candidate.is_file():
            return candidate.absolute()
    found = 'is not a file' if path.exists() else 'there is no such file'
    close = ' or '.join(_meant(path))
    hint = f'did you mean {close}?\nexpected' if close else 'expected'
    raise InputError(f'--config={name}: {found}; {hint} {listing()}')


def of_system(config: str) -> ConfigDict | None:
    """The config that a system's record names, if it names one and the file is there."""
    try:
        return load(config) if config else None
    except InputError:  # of a package that was installed without configs/
        return None


def _meant(path: pathlib.Path) -> list[str]:
    """The configs that the name of no file may stand for."""
    own = path.with_name(f'{path.name}.py') if path.name else path
    if own.is_file():
        return [str(own)]
    stems = [file.stem for file in (ROOT / FOLDER).glob('*.py')]
    close = difflib.get_close_matches(path.stem.lower(), stems, cutoff=0.75)
    return [f'{FOLDER}/{stem}.py' for stem in (close[:1] if path.stem.lower() in close else close)]


def listing() -> str:
    """The configs there are, each with the first line of its docstring."""
    lines = []
    for path in sorted((ROOT / FOLDER).glob('*.py')):
        head = (ast.get_docstring(ast.parse(path.read_bytes())) or '').split('\n')[0]
        lines.append(f'  {FOLDER}/{path.name:20} {head}')
    if not lines:
        return _EXPECTED
    return '\n'.join(['a file of your own, or one of', *lines])


def described(argument: str, config: ConfigDict) -> str:
    """Every field with its value, and below it what its config, or the one it was made from, says of it.

    Args:
      argument: as `load` takes it.
      config: that was loaded by it, perhaps with other values.

    Raises:
      InputError: no such system, or options that it does not have.
    """
    said = _said(argument)
    from dualatme_jax import models  # takes seconds, which --help need not wait for
    from dualatme_jax.run import model_section

    options = models.system(config.model.name).options
    said |= {f'{fields.MODEL}.{name}': option.about for name, option in options.items()}
    lines = []
    for field, value in fields.flat(model_section.completed(config)).items():
        lines.append(f'config.{field} = {value!r}')
        lines += textwrap.wrap(said.get(field, ''), _WIDTH, initial_indent='    ', subsequent_indent='    ')
    return '\n'.join(lines)


def _said(argument: str) -> dict[str, str]:
    """What a config, and those that it is made from, say of their fields."""
    path = find(argument.partition(':')[0])
    return {field: text for source in _lineage(path) for field, text in comments(source).items()}


def comments(path: pathlib.Path) -> dict[str, str]:
    """What a config file says of fields: the comments above and beside `config.section.field = value`.

    One above a section, `config.section = ConfigDict()`, is of no field.
    """
    source = _source(path)
    beside, above = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            where = above if token.line.lstrip().startswith('#') else beside
            where[token.start[0]] = token.string.lstrip('# ')
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            first = node.lineno
            while first - 1 in above:
                first -= 1
            words = [above[line] for line in range(first, node.lineno)]
            words += [beside[line] for line in range(node.lineno, node.end_lineno + 1) if line in beside]
            if words and ast.unparse(node.value) != 'ConfigDict()':
                found[ast.unparse(node.targets[0]).partition('.')[2]] = ' '.join(words)
    return found


def _line(error: BaseException, path: pathlib.Path) -> str:
    """Where in a config an error came up, in words; empty if that is not known."""
    trace = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in trace if frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    return f', line {lines[-1]}' if lines and lines[-1] else ''


def _check_field(name: str, value: str, config: ConfigDict, prefix: str, argument: str) -> None:
    """Raises InputError for a flag of no field; of a section it names the field that takes such a value."""
    known = list(fields.flat(config))
    if name in known or fields.is_option(name):  # of options the system knows, when all is loaded
        return
    known += [f'{fields.MODEL}.{option}' for option in _options(config)]
    hint = fields.hint(name, known, prefix)
    if within := [field for field in known if field.startswith(f'{name}.')]:
        said = _said(argument) if value else {}
        texts = [field for field in within if fields.FIELDS.get(field) is TEXT]
        if takes := [f'{prefix}{field}={value}' for field in texts if f"'{value}'" in said.get(field, '')]:
            hint = f'; did you mean {" or ".join(takes)}?'
        raise InputError(f'{prefix}{name} is a section, not a field{hint}; it has {", ".join(within)}')
    raise InputError(f'{prefix}{name}: the config has no such field{hint or "; list them by --fields"}')


def _options(config: ConfigDict) -> Iterable[str]:
    """The options of the config's system, for a hint; none if there is no such system."""
    from dualatme_jax import models  # takes seconds, and ends in an error

    try:
        return models.system(config.model.name).options
    except (AttributeError, InputError):
        return ()


def _make_importable(path: pathlib.Path) -> None:
    """Lets a config import others, as `from configs import cd`, whatever the current folder is."""
    own = path.parent.parent if path.parent.name == FOLDER else ROOT
    for folder in (str(ROOT), str(own)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)


def _lineage(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The config files that a loaded one is made from, the first ones first, then itself."""
    for node in ast.walk(ast.parse(_source(path))):
        for name in _imported(node):
            module = sys.modules.get(name)
            if hasattr(module, 'get_config'):
                yield from _lineage(pathlib.Path(module.__file__))
    yield path


def _source(path: pathlib.Path) -> str:
    with tokenize.open(path) as file:  # in the encoding that the file declares
        return file.read()


def _imported(node: ast.AST) -> Sequence[str]:
    """Names of the modules that a statement may import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f'{node.module}.{alias.name}' for alias in node.names)]
    return []
