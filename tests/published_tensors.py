"""Tensors with the names and shapes of published state_dicts, counted by hand; of random numbers."""

import json

import numpy as np


# By hand, from the names of the published code: Inception<branch>_<block>, of each unit the convolution and
# the normalisation, and the shapes of the paper's figure.
def dual_atme_shapes(branches=(1, 2), attention=True):
    shapes = {}
    for branch in branches:
        for block, channels, width in ((1, 3, 6), (2, 24, 12)):
            units = {
                ('branch1x1', 0): (width, channels, 1),
                ('branch3x3', 0): (6, channels, 1),
                ('branch3x3', 3): (width, 6, 3),
                ('branch5x5', 0): (6, channels, 1),
                ('branch5x5', 3): (width, 6, 5),
                ('branch_pool', 1): (width, channels, 1),
            }
            for (unit, place), (after, before, size) in units.items():
                name = f'Inception{branch}_{block}.{unit}'
                shapes |= conv(f'{name}.{place}', after, before, size) | norm(f'{name}.{place + 1}', after)
    if attention:
        shapes |= dense('cbam.shared_MLP.0', 3, 48) | dense('cbam.shared_MLP.2', 48, 3)
        shapes |= conv('cbam.conv2d', 1, 2, 3)
    maps = len(branches) * 48 * 7 * 7
    return shapes | dense('fc.0', 1024, maps) | norm('fc.1', 1024) | dense('fc.4', 3, 1024)


def conv(name, after, before, size):
    return {f'{name}.weight': (after, before, size, size), f'{name}.bias': (after,)}


def dense(name, after, before):
    return {f'{name}.weight': (after, before), f'{name}.bias': (after,)}


def norm(name, channels):
    vectors = ('weight', 'bias', 'running_mean', 'running_var')
    return {f'{name}.{part}': (channels,) for part in vectors} | {f'{name}.num_batches_tracked': ()}


def filled(shapes, seed=0):
    random = np.random.default_rng(seed)
    return {
        name: np.array(seed + 9)
        if name.endswith('num_batches_tracked')
        else random.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def ststnet_shapes(classes=3):
    shapes = dense('fc', classes, 400)
    for k, features in enumerate((3, 5, 8), start=1):
        shapes |= conv(f'conv{k}', features, 3, 3) | norm(f'bn{k}', features)
    return shapes


def bits(state_dict):
    return [
        (name, np.asarray(tensor).dtype, np.asarray(tensor).tobytes()) for name, tensor in state_dict.items()
    ]


# By hand, from MeNets.py of the published code with 32 features and maps of 5x5; the stream's normalisation
# stands behind its ReLU.
def rcn_shapes(name):
    def unit(layer, after, before, size):
        return conv(f'{layer}.0', after, before, size) | norm(f'{layer}.1', after)

    shapes = {}
    if name in ('rcn_a', 'rcn_s'):
        shapes |= unit('conv1', 32, 3, 5)
    else:
        for number, width in ((1, 16), (2, 8), (3, 8)):
            shapes |= conv(f'stream{number}.0', width, 3, 3) | norm(f'stream{number}.2', width)
    units = {
        'rcn_a': {'rcls.0.ffconv': 1, 'rcls.0.rrconv': 3},
        'rcn_w': {'rcls.0.ffconv': 1, 'rcls.0.rrconv': 3},
        'rcn_s': {'dbl.0.conv1': 1, 'dbl.0.conv2': 3, 'dbl.0.conv3': 3},
        'rcn_c': {'dbl.0.conv1': 1, 'dbl.0.conv2': 3, 'dbl.0.conv3': 3, 'ebl.conv1': 1, 'ebl.conv2': 3},
        'rcn_f': {'ebl.conv1': 1, 'ebl.conv2': 3},
    }
    for layer, size in units[name].items():
        shapes |= unit(layer, 32, 32, size)
    return shapes | dense('classifier', 3, 800)


def safetensors_file(state_dict):
    """The bytes of one, by the format's description: the header's length, the header in JSON, all numbers."""
    kinds = {'float64': 'F64', 'float32': 'F32', 'float16': 'F16', 'bfloat16': 'BF16', 'int64': 'I64'}
    header, content = {}, b''
    for name, tensor in state_dict.items():
        start, content = len(content), content + tensor.tobytes()
        header[name] = {
            'dtype': kinds[str(tensor.dtype)],
            'shape': tensor.shape,
            'data_offsets': [start, len(content)],
        }
    told = json.dumps(header).encode()
    told += b' ' * (-len(told) % 8)
    return len(told).to_bytes(8, 'little') + told + content
