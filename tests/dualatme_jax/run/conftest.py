"""What tests of runs share."""

import pytest


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    """Runs make no report.html here: it takes longer than they do. `test_main` has a run that makes it."""
    from dualatme_jax.run import finish

    monkeypatch.setattr(finish, 'write_page', lambda folder, console: None)
