"""How a run was made: command line, versions, commit and machine, as they were when it trained.

It is kept in `provenance.json`, one entry per command that trained some of the run. Nothing in it decides
whether a run is continued.
"""

import datetime
import json
import pathlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from dualatme_jax import files, models
from dualatme_jax.errors import InputError
from dualatme_jax.report import record
from dualatme_jax.run import config_file, fields, model_section, workdir

VERSIONS = ('dualatme-jax', 'jax', 'jaxlib', 'flax', 'optax', 'numpy', 'scikit-learn')
DEFAULT = 'configs/cd.py'  # of systems that have no config of their own

_CHECKOUT = pathlib.Path(__file__).parents[2]
_SECONDS = 10  # that git may take


def add(folder: pathlib.Path, config: ConfigDict) -> None:
    """Appends what is known of this process to a workdir's entries; damaged ones are begun anew."""
    path = folder / workdir.PROVENANCE
    try:
        entries = record.Record(folder).provenance
    except InputError:
        entries = []
    with files.replacing(path) as temporary:
        content = {'commands': [*entries, entry(config)]}
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def entry(config: ConfigDict) -> dict[str, Any]:
    """What is known of this process and its config.

    Returns:
      `command`, `started` (UTC), `python`, `versions` by package, `commit` (with -dirty behind it where files
      differ from it; empty outside of a git checkout), `device`, `platform`, `default`, a config, and
      `changed`: field -> its value there (None where it has none) and here.
    """
    default, changed = difference(config)
    return {
        'command': shlex.join(['python', *sys.orig_argv[1:]]),
        'started': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'python': platform.python_version(),
        'versions': files.installed(VERSIONS),
        'commit': commit(_CHECKOUT),
        'device': device(),
        'platform': platform.platform(),
        'default': default,
        'changed': changed,
    }


def difference(config: ConfigDict) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The config of a system's paper, by name; and each field that differs: its value there and here."""
    name = models.system(config.model.name).config or DEFAULT
    default = config_file.of_system(name)
    if default is None:  # of a package that was installed without configs/
        return name, {}
    before, here = (_plain(model_section.completed(each)) for each in (default, config))
    return name, {
        field: (before.get(field), here.get(field))
        for field in sorted(before.keys() | here.keys())
        if before.get(field) != here.get(field)
    }


def commit(folder: pathlib.Path) -> str:
    """The commit that a folder is a checkout of, with -dirty if files differ from it; empty if it is none."""
    if not (folder / '.git').exists():  # else git would look in the folders above
        return ''
    command = ['git', '-C', str(folder), 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ''
    return found.stdout.strip()


def device() -> str:
    """The devices of all processes in words, such as `1 x NVIDIA H200`; of a CPU its name."""
    found = jax.devices()
    kind = found[0].device_kind
    return f'{len(found)} x {(_processor() or kind) if found[0].platform == "cpu" else kind}'


def _processor() -> str:
    try:
        lines = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), '')


def _plain(config: ConfigDict) -> Mapping[str, Any]:
    """Every field as JSON has it."""
    return fields.flat(ConfigDict(json.loads(config.to_json())))
