"""Text from outside moves no terminal; what the system refuses is a sentence, and costs nothing kept."""

import contextlib
import resource

import jax.numpy as jnp
import numpy as np
import pytest

from dualatme_jax.errors import InputError, check_choice, of_system, printable
from dualatme_jax.training.checkpoint import Progress, WaveCheckpoints
from dualatme_jax.training.state import State


@contextlib.contextmanager
def files_of_at_most(size):
    """Lets no file grow beyond some bytes, as if the disk were full there."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


def test_a_checkpoint_that_finds_no_room_is_said_and_the_one_before_stays(tmp_path):
    def progress(epochs):
        states = State({'w': jnp.full((2, 3), epochs, jnp.float32)}, {}, ())
        return Progress(epochs, states, np.zeros((epochs, 2)), {}, 1.0)

    with contextlib.closing(WaveCheckpoints(tmp_path, {'seed': 1})) as checkpoints:
        checkpoints.save(progress(2))
        with files_of_at_most(100), pytest.raises(Exception) as met:  # noqa: PT011 - Orbax's or the system's
            checkpoints.save(progress(4))
    assert not isinstance(met.value, InputError)
    assert 'File too large; make room on its disk' in of_system(met.value)

    with contextlib.closing(WaveCheckpoints(tmp_path, {'seed': 1})) as checkpoints:
        found = checkpoints.restore(progress(0).states)
    assert found.epochs == 2
    assert (np.asarray(found.states.params['w']) == 2).all()


def test_errors_of_the_system_are_told_from_others(tmp_path):
    with pytest.raises(OSError) as met:  # noqa: PT011
        (tmp_path / 'absent').rename(tmp_path / 'there')
    assert of_system(met.value) == f'{tmp_path}/there: No such file or directory'
    assert of_system(OSError('odd')) == 'odd'
    quoted = ValueError(
        'RESOURCE_EXHAUSTED: Error writing local file "/run/_sharding": Failed writing: '
        '"/run/_sharding.__lock": '
        "Failed to write 12429 bytes to file 21: No space left on device [os_error_code='28']"
    )
    assert of_system(quoted) == '/run/_sharding: No space left on device; make room on its disk'
    assert of_system(ValueError('no space')) is None
    assert of_system(InputError('bad')) is None


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


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('stsnet', "; did you mean 'ststnet'?"),
        ('STSTNet', "; did you mean 'ststnet'?"),
        ('off-apexnet', "; did you mean 'off_apexnet'?"),
        ('rcn', "; did you mean 'rcn_w' or 'rcn_a'?"),
        ('vgg', ''),
    ],
)
def test_a_name_that_is_like_a_choice_is_answered_by_that_choice(name, meant):
    choices = ('ststnet', 'off_apexnet', 'rcn_w', 'rcn_a')
    with pytest.raises(InputError) as met:
        check_choice('model', name, 'config.model.name', choices, others=', or your own')
    known = "'ststnet', 'off_apexnet', 'rcn_w', 'rcn_a', or your own"
    assert str(met.value) == f'unknown model {name!r}: config.model.name takes {known}{meant}'
    assert all(check_choice('model', choice, 'config.model.name', choices) is None for choice in choices)
