"""Packages of versions that this one was not made for are named before they are imported."""

import importlib.metadata

from dualatme_jax.machines import versions


def test_what_is_installed_here_is_supported():
    assert versions.unsupported() == []


def test_another_jax_is_named_with_the_range_and_the_way_to_mend_it(monkeypatch):
    found = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, 'version', lambda name: '0.13.0' if name == 'jax' else found(name)
    )
    (note,) = versions.unsupported()
    assert note.startswith('note: jax 0.13.0 is installed')
    assert 'made for jax<0.12,>=0.10.2' in note
    assert '`pip install "jax<0.12,>=0.10.2"`' in note


def test_a_package_that_is_missing_is_named(monkeypatch):
    found = importlib.metadata.version

    def version(name):
        if name == 'optax':
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, 'version', version)
    assert [note.partition(';')[0] for note in versions.unsupported()] == ['note: optax is not installed']
