"""Files of weights of any content: read, or refused by name, within limits."""

import contextlib
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_tensors import bits, filled, safetensors_file, ststnet_shapes

from dualatme_jax.errors import InputError
from dualatme_jax.weights import names, reader

WEIGHTS = filled(ststnet_shapes())


def read_all(paths, scratch):
    scratch.mkdir()
    found = reader.Reader(paths, (), scratch)
    return [found[place] for place in range(len(paths))]


def saved(torch, found):
    content = io.BytesIO()
    torch.save(found, content)
    return content.getvalue()


def test_files_are_read_by_a_process_of_its_own(tmp_path):
    pytest.importorskip('safetensors')
    paths = [tmp_path / f'{number}.safetensors' for number in (1, 2)]
    for path in paths:
        path.write_bytes(safetensors_file({f'module.{name}': tensor for name, tensor in WEIGHTS.items()}))
    found = read_all(paths, tmp_path / 'scratch')
    for read in found:
        assert sorted(bits(read.tensors)) == sorted(bits(WEIGHTS))
        assert read.notes == ['took wrappers off 23 names: module.bn1.bias is bn1.bias']


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r'cannot read the file of weights .*/1\.safetensors: No such file'):
        read_all([tmp_path / '1.safetensors'], tmp_path / 'scratch')


def test_a_file_larger_than_any_network_is_not_read(tmp_path):
    with (tmp_path / '1.pth').open('wb') as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match=r'1\.pth has 953674\.3 MiB; expected 256\.0 MiB at most'):
        reader.read(tmp_path / '1.pth', ())


class Rebuilt:
    """Unpickles as a call of a function that `weights_only` allows, with arguments of one's own."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_file_that_takes_memory_is_refused_by_name(tmp_path):
    torch = pytest.importorskip('torch', reason='.pth files need PyTorch')
    (tmp_path / '1.pth').write_bytes(saved(torch, {'a': torch.zeros(2)}))
    (tmp_path / '2.pth').write_bytes(saved(torch, {'a': Rebuilt(bytearray, 10**12)}))
    with pytest.raises(InputError, match=r'/2\.pth: asks for more memory than any network here takes'):
        read_all([tmp_path / '1.pth', tmp_path / '2.pth'], tmp_path / 'scratch')


def test_a_file_that_ends_the_process_is_named(tmp_path, monkeypatch):
    """As one does that takes too much time, which a test should not."""
    pytest.importorskip('safetensors')
    paths = [tmp_path / f'{number}.safetensors' for number in (1, 2)]
    for path in paths:
        path.write_bytes(safetensors_file(WEIGHTS))
    call = reader.guarded.call

    def ended(function, given, *rest, **limits):
        call(function, given[:1], *rest, **limits)
        raise InputError('reading it took more than 640 MiB or 10 s')

    monkeypatch.setattr(reader.guarded, 'call', ended)
    with pytest.raises(InputError, match=r'/2\.safetensors: reading it took more than 640 MiB or 10 s'):
        read_all(paths, tmp_path / 'scratch')


@st.composite
def damaged(draw, content):
    """Bytes of a file with some changed, cut off, or put in."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        # Most of a file are numbers; what is around them stands at its ends.
        near = draw(st.integers(0, min(len(content), 2000) - 1))
        place = near if draw(st.booleans()) else len(content) - 1 - near
        match draw(st.sampled_from(['change', 'cut', 'insert'])):
            case 'change':
                content[place] = draw(st.integers(0, 255))
            case 'cut':
                del content[place : place + draw(st.integers(1, 50))]
            case 'insert':
                content[place:place] = draw(st.binary(min_size=1, max_size=20))
        content = content or bytearray(b'\0')
    return bytes(content)


def read_or_refused(path, content):
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        names.from_torch('ststnet', 'paper', 3, reader.read(path, ()).tensors)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_pth_is_read_or_refused(tmp_path_factory, data):
    torch = pytest.importorskip('torch', reason='.pth files need PyTorch')
    content = saved(torch, {name: torch.as_tensor(tensor) for name, tensor in WEIGHTS.items()})
    read_or_refused(tmp_path_factory.getbasetemp() / '1.pth', data.draw(damaged(content)))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_safetensors_file_is_read_or_refused(tmp_path_factory, data):
    pytest.importorskip('safetensors')
    read_or_refused(
        tmp_path_factory.getbasetemp() / '1.safetensors', data.draw(damaged(safetensors_file(WEIGHTS)))
    )


@st.composite
def mistaken(draw):
    """A state_dict of which tensors are missing, surplus, misshapen, of another type or not finite."""
    found, wrong = dict(WEIGHTS), set()
    for name in draw(st.sets(st.sampled_from(sorted(WEIGHTS)), min_size=1, max_size=4)):
        tensor = found.pop(name)
        mistakes = ['missing', 'surplus', 'misshapen', 'type', *(['not finite'] if tensor.ndim else [])]
        mistake = draw(st.sampled_from(mistakes))
        optional = name.endswith('num_batches_tracked')
        match mistake:
            case 'missing' if optional:
                continue
            case 'surplus':
                found[name + '_'] = tensor
                wrong |= {f'surplus: {name}_,'} | (set() if optional else {f'missing: {name},'})
                continue
            case 'misshapen':
                found[name] = tensor[None]
            case 'type':
                found[name] = tensor.astype(draw(st.sampled_from(['i4', '?', 'c8', 'f8', 'u1'])))
            case 'not finite':
                found[name] = tensor.copy()
                found[name].flat[-1] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        says = {'type': 'misshapen'}.get(mistake, mistake)
        wrong.add(f'{says}: {name}')
    return found, wrong


@settings(derandomize=True, deadline=None, max_examples=60)
@given(case=mistaken())
def test_every_mistake_of_a_state_dict_is_named_and_nothing_else(case):
    found, wrong = case
    if not wrong:
        names.from_torch('ststnet', 'paper', 3, found)
        return
    with pytest.raises(InputError) as error:
        names.from_torch('ststnet', 'paper', 3, found)
    found = set()
    for line in str(error.value).splitlines()[1:]:
        count, kind, listed = re.fullmatch(r'  (\d+) ([a-z ]+): (.*)', line).groups()
        several = listed.split('; ')
        assert len(several) == int(count)
        found |= {f'{kind}: {one.split(" is ")[0].split(",")[0]}' for one in several}
    assert found == {says.rstrip(',') for says in wrong}
