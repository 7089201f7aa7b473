"""The whole recipe: data, settings, command lines, versions, machine and time."""

import json
from collections.abc import Mapping
from typing import Any

from dualatme_jax import models
from dualatme_jax.report.page.blocks import Block, Column, Facts, Folded, Listing, Section, Table, Text
from dualatme_jax.report.record import CONFIG, Record

UNRECORDED = 'not recorded: the run was made by an older version'


def section(record: Record) -> Section | None:
    """Everything that is known of how the run was made."""
    if record.config is None and record.results is None:
        return None
    return Section('Recipe', [_facts(record), *_commands(record), *_changed(record), *_whole(record)])


def system(config: Mapping[str, Any]) -> str:
    """The title of a config's system."""
    return models.title(_within(config, 'model', 'name') or '')


def _facts(record: Record) -> Facts:
    config, found = record.recipe or {}, record.results or {}
    made = record.made_with
    commits = [commit or 'none: not made in a git checkout' for commit in made.get('commit', ())]
    seeds = config.get('seeds') or []
    several = record.leaderboard is not None  # systems, each with its own
    pairs = [
        ('System', '' if several else system(config)),
        ('Protocol', found.get('protocol')),
        ('Selection', found.get('selection') or _within(config, 'selection', 'name')),
        ('Epochs', _within(config, 'training', 'epochs') if record.trained and not several else None),
        ('Seeds', ', '.join(map(str, seeds))),
        ('Classes', ', '.join(found.get('labels') or [])),
        ('Data', _within(config, 'trained_on', 'origin') or _within(found, 'dataset', 'release')),
        ('Clips', _within(config, 'dataset', 'clips')),
        ('SHA-256 of the data', _within(config, 'dataset', 'sha256')),
        ('Started from', _words(found.get('started_from'))),
        ('Frozen', ', '.join(found.get('frozen') or [])),
        ('Trials', found.get('trials') or (None if record.trials is None else len(record.trials))),
        ('Training time', _seconds(found.get('seconds'))),
        ('Device', '; '.join(made.get('device', ()))),
        ('Commit', '; '.join(commits) or UNRECORDED),
        ('Versions', ', '.join(f'{name} {" and ".join(own)}' for name, own in _packages(made).items())),
    ]
    return Facts([(name, str(value)) for name, value in pairs if value not in (None, '')])


def _packages(made: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: own for name, own in made.items() if name not in ('device', 'commit')}


def unlike(record: Record) -> str:
    """In which the commands that trained a run differ, in a sentence; empty where they are alike."""
    made = record.made_with
    found = [f'{name}s' for name in ('device', 'commit') if len(made.get(name, ())) > 1]
    if any(len(own) > 1 for own in _packages(made).values()):
        found.append('versions of packages')
    return f'It was trained by several commands, with different {" and ".join(found)}.' if found else ''


def _commands(record: Record) -> list[Block]:
    """The command lines, in order; a run may have been trained by several, one after the other."""
    if not record.provenance:
        return []
    lines = '\n'.join(f'# {entry.get("started")}\n{entry.get("command")}' for entry in record.provenance)
    return [Listing('Command' if len(record.provenance) == 1 else 'Commands, in order', lines)]


def _changed(record: Record) -> list[Block]:
    """How the config differs from the default of its system."""
    if not record.provenance:
        return []
    default, changed = record.provenance[-1].get('default'), record.differences
    if not changed:
        return [Text(f'All settings are those of {default}.')]
    rows = [[f'config.{field}', _short(before), _short(here)] for field, (before, here) in changed.items()]
    columns = [Column('Field'), Column(f'In {default}'), Column('Here')]
    return [Table('Settings that differ from the default', columns, rows)]


def _whole(record: Record) -> list[Block]:
    found: list[Block] = []
    if metadata := (record.results or {}).get('dataset'):
        text = json.dumps(metadata, indent=1, ensure_ascii=False)
        found.append(Folded('Metadata of the dataset', [Listing('As data_prep build wrote it', text)]))
    if record.config:
        text = json.dumps(record.config, indent=1, sort_keys=True, ensure_ascii=False)
        found.append(Folded('The whole config', [Listing(CONFIG, text)]))
    return found


def _within(found: Mapping[str, Any], *path: str) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _words(value: Any) -> str:
    return '' if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seconds(value: float | None) -> str:
    if value is None:
        return ''
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {seconds} s' if minutes else f'{value:.1f} s'


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) < 400 else f'{text[:400]} ...'
