"""The dual-branch 3DCNN: what its published scripts differ in, its loss, how it starts."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from configs import dual_branch_3dcnn as dual_branch_config
from dualatme_jax import models, schema
from dualatme_jax.models import dual_branch_3dcnn
from dualatme_jax.report.as_published import LEAKS
from dualatme_jax.run import as_published, settings
from dualatme_jax.training import optimizers


@functools.cache
def started():
    """Parameters of a narrow network, as it starts, and what it adds to the loss of two clips."""
    form = dataclasses.replace(dual_branch_3dcnn.FORMS['casme2'], maps=8, l2=0.03)
    network = dual_branch_3dcnn.DualBranch3DCNN(
        form, 3, 0.0, 'he_normal', branch=16, dense=8, state=12, heads=2, widest=64
    )
    clips = dict.fromkeys(schema.VIEWS['frames'], np.ones((3, 4, 5, 5, 2), np.float32))

    @functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})
    def init():
        output, variables = network.init_with_output(jax.random.key(0), clips, mask=np.ones(2), train=False)
        return variables['params'], output.losses

    return jax.tree.map(np.asarray, init())


@pytest.mark.slow
def test_the_loss_has_the_squares_of_four_kernels_in_the_scripts_weights():
    params, losses = started()
    steps = sum(np.square(params[name]['kernel']).sum() for name in ('step1', 'step2'))
    mlps = sum(np.square(params['gate'][name]['kernel']).sum() for name in ('max_squeeze', 'mean_squeeze'))
    np.testing.assert_allclose(losses['l2'], [0.03 * steps + 0.01 * mlps] * 2, rtol=1e-5)


@pytest.mark.slow
def test_it_starts_as_keras_s_layers_do():
    params, _ = started()
    assert all(not np.any(leaf) for path, leaf in flat(params) if path.endswith('bias'))
    kernels = {path.removesuffix('/kernel'): leaf for path, leaf in flat(params) if path.endswith('kernel')}
    for path in ('whole/conv', 'local/conv', 'merge/conv', 'step1', 'dense1', 'dense2'):
        fan_in = np.prod(kernels[path].shape[:-1])
        assert kernels[path].std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.25), f'{path} is he_normal'
    for path in ('gate/max_squeeze', 'head0/query', 'head0/out', 'classifier'):
        bound = (6 / sum(kernels[path].shape)) ** 0.5
        assert 0.8 * bound < np.abs(kernels[path]).max() <= bound, f'{path} is glorot_uniform'
    recurrent = params['gru']['recurrent_kernel']
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(12), atol=1e-5)


def flat(params):
    return [
        ('/'.join(key.key for key in path), np.asarray(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]


@pytest.mark.parametrize('variant', ['casme2', 'smic', 'deception'])
def test_a_script_without_a_crop_reads_the_whole_frames_alone(variant):
    """Whether any step of the network has the crop among its inputs."""
    network = models.build('dual_branch_3dcnn', classes=3, variant=variant)
    clips = dict.fromkeys(schema.VIEWS['frames'], np.zeros((3, 3, 9, 9, 1), np.float32))
    variables = models.shapes(network, dict.fromkeys(clips, (3, 3, 9, 9)))

    def logits(crop):
        given = clips | {schema.CROP_FRAMES: crop}
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variables)
        return network.apply(zeros, given, mask=np.ones(1), train=False).logits

    program = jax.make_jaxpr(logits)(clips[schema.CROP_FRAMES]).jaxpr
    read = any(program.invars[0] in equation.invars for equation in program.eqns)
    assert read == (variant == 'casme2')


# Frames, dropout, class weights, epochs, and those between two steps of the rate.
PAPER = {
    'casme2': (30, 0.5, (0.3, 0.35, 0.35), 200, 40),
    'samm': (30, 0.3, (0.3, 0.35, 0.35), 200, 40),
    'smic': (10, 0.3, (0.3, 0.35, 0.35), 200, 40),
    'casme3': (30, 0.5, (0.3, 0.35, 0.35), 100, 20),
    'casme_sq': (8, 0.5, (0.2, 0.3, 0.3, 0.2), 100, 20),
    'deception': (16, 0.3, (0.5, 0.5), 100, None),
}


@pytest.mark.parametrize('variant', PAPER)
def test_each_database_is_trained_as_its_script_does(variant):
    config = dual_branch_config.get_config(variant)
    frames, dropout, weights, epochs, step = PAPER[variant]
    assert (config.model.variant, config.model.dropout) == (variant, dropout)
    assert config.data.databases == (variant,)
    assert f'--frame-count {frames}' in config.data.build_options
    assert (config.loss.name, config.loss.class_weights) == ('weighted_cross_entropy', weights)
    rates = optimizers.hyperparameters(config.optimizer)
    found = [float(optimizers.rate(rates, epoch)) for epoch in (0, 19, 20, 39, 40, epochs - 1)]
    steps = [0 if step is None else epoch // step for epoch in (0, 19, 20, 39, 40, epochs - 1)]
    assert found == pytest.approx([1e-3 * 0.9**number for number in steps])
    assert (config.training.epochs, config.training.batch_size) == (epochs, 8)
    assert config.input.channels == ('blue', 'green', 'red')


@pytest.mark.parametrize('variant', PAPER)
def test_what_is_published_leaks_and_the_default_does_not(variant):
    honest, published = (dual_branch_config.get_config(word) for word in (variant, f'{variant},as_published'))
    assert not honest.as_published
    assert (honest.input.scale, honest.selection.name, published.input.scale) == ('fold', 'last', 'fold')
    crops = variant not in ('smic', 'deception')
    assert '--frame-crop action_units' not in honest.data.build_options
    assert published.sweep == (
        ({'data.path': (f'data/{variant}', f'data/{variant}_action_units')},) if crops else ()
    )
    synthetic = dual_branch_config.get_config(f'{variant},synthetic,as_published')
    built = synthetic.sweep[0]['data.build_options'] if crops else []
    assert ['--frame-crop action_units' in options for options in built] == [False, True][: len(built)]
    assert published.as_published == tuple(LEAKS if crops else [*LEAKS][1:])
    settings.check(published)
    points = settings.check(as_published.applied(published)).points
    assert len(points) == (3 if crops else 2)
    assert [point.config.input.scale for point in points] == ['fold'] * (len(points) - 1) + ['whole_set']


def test_another_argument_is_refused():
    with pytest.raises(ValueError, match="'mmew'; expected"):
        dual_branch_config.get_config('mmew,synthetic')
