"""What a GPU's kernels compute, told from a program's text; the profile itself needs a GPU."""

import dataclasses
import json

import pytest
from flax import linen as nn

from benchmarks import profile, workload
from dualatme_jax.models.output import Output

STEP = 'jit(epoch)/body/'
MODEL = f'{STEP}jvp(DualATME)/'
PROGRAM = f"""HloModule jit_epoch, is_scheduled=true

%fused_stack.3 (p: f32[2,3]) -> f32[2,3] {{
  %p = f32[2,3]{{1,0}} parameter(0)
  ROOT %stack.1 = f32[2,3]{{1,0}} copy(%p), metadata={{op_name="{MODEL}entire/branch3x3/conv/stack"}}
}}

%both (p.1: f32[2,3]) -> (f32[2], f32[2]) {{
  %p.1 = f32[2,3]{{1,0}} parameter(0)
  %a = f32[2]{{0}} reduce(%p.1), metadata={{op_name="{STEP}transpose(jvp(DualATME))/entire/norm/reduce_sum"}}
  ROOT %t = (f32[2]{{0}}, f32[2]{{0}}) tuple(%a, %a)
}}

ENTRY %main (x: f32[2,3]) -> f32[2,3] {{
  %x = f32[2,3]{{1,0}} parameter(0)
  %loop_concatenate_fusion.3 = f32[2,3]{{1,0}} fusion(%x), kind=kLoop, calls=%fused_stack.3
  %input_reduce_fusion = (f32[2]{{0}}, f32[2]{{0}}) fusion(%x), kind=kInput, calls=%both
  %gemm_fusion_dot.1 = f32[2,3]{{1,0}} fusion(%x), metadata={{op_name="{MODEL}fusion/dot_general"}}
  %loop_select_fusion = f32[2,3]{{1,0}} fusion(%x), metadata={{op_name="{STEP}jit(_where)/select_n"}}
  %loop_select_fusion.1 = f32[2]{{0}} fusion(%x), metadata={{op_name="{MODEL}entire/jit(_where)/select_n"}}
  ROOT %wrapped_max = f32[2,3]{{1,0}} fusion(%x), metadata={{op_name="{MODEL}puzzled/max"}}
}}
"""

KERNELS = {
    'loop_concatenate_fusion_3': 'patches of convolutions',
    'input_reduce_fusion': 'normalisation',
    'gemm_fusion_dot_1': 'dense layers, attention',
    'loop_select_fusion': 'optimizer',
    'loop_select_fusion_1': 'pooling, ReLU',
    'wrapped_max': 'pooling, ReLU',
    'sm90_xmma_gemm_f32f32_tf32f32_f32_nn_n': 'products by cuBLAS',
    'memcpy32_post': 'other',
}


def test_a_kernel_is_what_its_operation_is():
    known = profile.places(PROGRAM)
    assert {kernel: profile.kind(kernel, known) for kernel in KERNELS} == KERNELS


class Tiny(nn.Module):
    """Logits from the mean of the flows."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        return Output(nn.Dense(3)(sum(inputs.values()).mean((1, 2)).T))


@pytest.mark.slow
def test_a_row_is_what_an_epoch_has_of_a_kind(monkeypatch):
    original = workload.training
    tiny = dataclasses.replace(original(workload.random_clips()), model=lambda given: Tiny())
    monkeypatch.setattr(workload, 'training', lambda dataset, settings: tiny)
    monkeypatch.setattr(profile, 'places', lambda text: profile_of_program)
    profile_of_program = {'a': '/conv/stack', 'b': '/conv/dot_general'}
    monkeypatch.setattr(
        profile, 'kernels', lambda folder: iter([('a', 1.0), ('b', 6.0), ('a', 3.0), ('b', 2.0)])
    )
    *rows, busy, epoch = profile.measure(profile.parse(['--trials=2', '--epochs=2']))
    assert rows == [
        {'kind': 'products of convolutions', 'milliseconds': 4, 'kernels': 1},
        {'kind': 'patches of convolutions', 'milliseconds': 2, 'kernels': 1},
    ]
    assert busy == {'kind': 'busy', 'milliseconds': 6, 'kernels': 2}
    assert epoch['milliseconds'] > 0


def test_without_a_gpu_it_says_what_it_needs(capsys):
    assert profile.main([]) == 2
    assert 'JAX computes on cpu; expected a GPU' in capsys.readouterr().err


def test_the_files_hold_every_row(tmp_path, monkeypatch):
    rows = [
        {'kind': 'normalisation', 'milliseconds': 2.0, 'kernels': 3.0},
        {'kind': 'busy', 'milliseconds': 2.0, 'kernels': 3.0},
        {'kind': 'epoch', 'milliseconds': 4.0, 'kernels': None},
    ]
    found = {'rows': rows, 'trials': 68, 'machine': {'processor': 'some', 'cores': 2, 'device': 'gpu'}}
    monkeypatch.setattr(profile, 'run', lambda options: found)
    file, picture = tmp_path / 'found.json', tmp_path / 'found.png'
    assert profile.main([f'--json={file}', f'--plot={picture}']) == 0
    assert json.loads(file.read_text()) == found
    assert picture.read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('option', ['trials', 'epochs'])
def test_numbers_below_one_are_refused(option, capsys):
    assert profile.main([f'--{option}=0']) == 2
    assert f'--{option} is 0; expected 1 or more' in capsys.readouterr().err
