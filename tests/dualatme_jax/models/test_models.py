"""All systems: their sizes counted by hand, their records in `SYSTEMS`, what they refuse."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from flax import traverse_util

from configs import cd
from dualatme_jax import models, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.models import rcn
from dualatme_jax.run import model_section, programs, sweep
from dualatme_jax.weights import names

# Parameters of each system and variant, by hand from its paper. A k x k convolution from c to o channels with
# bias has k*k*c*o + o, a normalisation 2*o, a dense layer i*o + o.
PARAMETERS = {
    ('dual_atme', 'paper'): 4_833_193,  # counted in test_dual_atme.py
    # Streams 84 + 6, 140 + 10, 224 + 16; dense layer of 5 * 5 * 16.
    ('ststnet', 'paper'): 90 + 150 + 240 + (400 * 3 + 3),
    # Two streams of 5x5 from 1 to 6 and to 16; dense layers of 7 * 7 * 32.
    ('off_apexnet', 'paper'): 2 * (156 + 2416) + (1568 * 1024 + 1024) + (1024 * 1024 + 1024) + 3075,
    # Inception 6 on 1: 1x1 24, reductions 24 and 24, 3x3 342, 5x5 918, pool 24. Inception 16 on 24: 1x1 432,
    # reductions 162 and 162, 3x3 912, 5x5 2448, pool 432. Dense layers of 7 * 7 * 128.
    ('dual_inception', 'paper'): 2 * (1356 + 4548) + (6272 * 1024 + 1024) + 3075,
    # Stem 2432 + 64, or streams 448 + 32, 224 + 16, 224 + 16; block 1x1 1056 + 64, 3x3 9248 + 64; dense layer
    # of 5 * 5 * 32.
    ('rcn_a', 'paper'): 2496 + 10432 + 2403,
    ('rcn_s', 'paper'): 2496 + 10432 + 2403,
    ('rcn_w', 'paper'): 960 + 10432 + 2403,
    ('rcn_c', 'paper'): 960 + 10432 + 2403,
    ('rcn_f', 'paper'): 960 + 10432 + 2403,
    ('rcn_f', 'code'): 960 - (224 + 16) + 10432 + 2403,  # without its third stream
    # Torchvision's 11,689,512, whose dense layer has 1000 classes, with one of 3.
    ('resnet18', 'paper'): 11_689_512 - (512 * 1000 + 1000) + (512 * 3 + 3),
    # A stem of 3x3 for one of 7x7, from 3 to 64, without bias.
    ('resnet18', 'small'): 11_689_512 - (512 * 1000 + 1000) + (512 * 3 + 3) - (49 - 9) * 3 * 64,
    # Three 3x3 convolutions to 16, 24 and 32; dense layer of 3 * 3 * 32.
    ('small_cnn', 'paper'): 448 + 3480 + 6944 + 867,
    # Patches 37,888; blocks 787,968, 3,146,752 and 12,576,768; merges 1,181,184 and 4,721,664; norm 2048;
    # one number of each place in a window, per level.
    ('htnet', 'published'): 139_582_982,
    ('htnet', 'windows'): 139_582_982 + 3 * (4 - 1),
    # Of the public scripts' networks, whose dense layers on 512 maps of 14x14 have 5 classes.
    ('mmnet', '5class'): 9_438_841 - 2 * (512 * 14 * 14 + 1),
    ('mmnet', '3class'): 9_442_425 - 2 * (512 * 14 * 14 + 1),
    # ResNet-18's first three stages, two convolutions of 9x9 from 256 to 256, 1152 capsules of 8 to 3 of 16.
    ('capsulenet', 'paper'): 2_782_784 + 2 * (81 * 256 * 256 + 256) + 3 * 1152 * 16 * 8,
    # Normalised picture 2; stem 7x7 of 1 with bias 3200 + 128; of stages from b to c channels two 3x3
    # convolutions, the attention's 3c * c, the normalisation between, and but for the first one a 1x1
    # convolution and a normalisation of b; the last normalisation; dense layer. With 5 classes 5,944,839.
    ('micro_attention', 'paper'): 2
    + (3200 + 128)
    + sum(9 * (b + c) * c + 3 * c * c + 2 * c for b, c in ((64, 64), (64, 128), (128, 256), (256, 512)))
    + sum(b * c + 2 * b for b, c in ((64, 128), (128, 256), (256, 512)))
    + 2 * 512
    + (512 * 3 + 3),
    # Counted in networks built from the published code; of four and of two classes there, with 65 a class.
    ('dual_branch_3dcnn', 'casme2'): 3_817_055,
    ('dual_branch_3dcnn', 'samm'): 3_817_055,
    ('dual_branch_3dcnn', 'smic'): 2_836_759,
    ('dual_branch_3dcnn', 'casme3'): 10_362_463,
    ('dual_branch_3dcnn', 'casme_sq'): 10_362_528 - 65,
    ('dual_branch_3dcnn', 'deception'): 7_103_190 + 65,
    # Two streams of 928,384; dense layers of 1024 * 14 * 14 to 256, and of these.
    ('kfc_mer', 'paper'): 53_238_019,
    # 3x3 from 256 to 512, three of 512 to 512, 1x1 from 256 to 512, five normalisations; two times 512 + 1;
    # with 5 classes 8,397,319.
    **{
        ('aman', variant): 1_179_648 + 3 * 2_359_296 + 131_072 + 5 * 1024 + 2 * 513 + 1539
        for variant in ('slices', 'joint')
    },
    # Streams 78, 130, 208; dense layer of 7 * 7 * 16. One output less than classes: 314,817 with two of them.
    ('softnet', 'paper'): 314_817 + 401,
    # Streams 78 + 6, 78 + 6, 208 + 16; 5x5 from 14 to 8; output of 7 * 7 * 8. 3,593 with two classes.
    ('mean', 'paper'): 3_593 + 393,
}


def inputs(name):
    """What a system reads, of two clips, at the usual size of its view."""
    return {
        key: np.zeros((*models.SYSTEMS[name].usual_shape(key), 2), np.float32)
        for key in models.SYSTEMS[name].reads
    }


# Systems of one or two small flow images.
READ_FLOWS = [
    name for name in models.NETWORKS if set(models.SYSTEMS[name].reads) <= schema.VIEWS['flow'].keys()
]


def flows(height, width):
    """Shapes of flows of this size."""
    return dict.fromkeys(schema.VIEWS['flow'], (3, height, width))


def build(name, **options):
    return models.build(name, **{'classes': 3} | options)


@functools.cache
def shapes(name, **options):
    """Of output and variables."""
    model, read = build(name, **options), inputs(name)
    return jax.eval_shape(
        lambda key: model.init_with_output(key, read, mask=np.ones(2), train=False), jax.random.key(0)
    )


@pytest.mark.parametrize(('name', 'variant'), PARAMETERS)
@pytest.mark.slow
def test_parameters_are_those_counted_by_hand(name, variant):
    given = {'variant': variant} if 'variant' in models.SYSTEMS[name].options else {}
    output, variables = shapes(name, **given)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables['params'])) == PARAMETERS[name, variant]
    assert output.logits.shape == (2, 3)
    assert shapes(name, **given, classes=7)[0].logits.shape == (2, 7)


@pytest.mark.parametrize(('name', 'number'), [('softnet', 314_817), ('mean', 3_593)])
def test_spotters_have_the_published_number_of_parameters_for_two_classes(name, number):
    _, variables = shapes(name, classes=2)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables['params'])) == number


def test_every_system_is_counted():
    assert {name for name, _ in PARAMETERS} == {*models.NETWORKS}


@pytest.mark.parametrize('name', models.NETWORKS)
def test_every_layer_has_one_name_in_pytorch(name):
    named = models.SYSTEMS[name].torch_names
    assert len(set(named.values())) == len(named)
    _, variables = shapes(name)
    tensors = names.tensors(name, models.SYSTEMS[name].variants[0], 3)
    leaves = traverse_util.flatten_dict({'params': variables['params']})
    assert leaves.keys() == {tensor.path for tensor in tensors.values() if tensor.path[0] == 'params'}


@pytest.mark.parametrize('name', [name for name, row in models.SYSTEMS.items() if 'variant' in row.options])
def test_the_record_lists_the_variants_that_there_are(name):
    row = models.SYSTEMS[name]
    with pytest.raises(InputError) as error:
        build(name, variant='none')
    assert str(error.value).endswith(f'takes {", ".join(map(repr, row.variants))}')
    for variant in row.variants:
        build(name, variant=variant)


@pytest.mark.parametrize('name', [name for name, row in models.SYSTEMS.items() if row.traced])
def test_a_traced_rate_of_dropout_is_read(name):
    """Whether any step of the traced network has the rate among its inputs."""
    _, variables = shapes(name)

    def train(variables, rate):
        network = build(name).clone(dropout=rate)
        rngs = {'dropout': jax.random.key(0)}
        return network.apply(variables, inputs(name), mask=np.ones(2), train=True, mutable=True, rngs=rngs)

    jaxpr = jax.make_jaxpr(train)(variables, np.float32(0.5))
    rate = jaxpr.jaxpr.invars[-1]
    assert models.SYSTEMS[name].traced == ('dropout',)
    assert any(rate in equation.invars for equation in jaxpr.jaxpr.eqns)


@pytest.mark.parametrize('name', models.NETWORKS)
def test_the_similarity_term_needs_two_branches(name):
    output, _ = shapes(name)
    both = {'entire', 'puzzled'} <= output.features.keys()
    assert both == (models.SYSTEMS[name].features == ('entire', 'puzzled'))


@pytest.mark.parametrize('name', READ_FLOWS)
def test_every_system_of_flows_reads_those_of_twice_the_size(name):
    usual, larger = (
        {'/'.join(path): leaf.shape for path, leaf in traverse_util.flatten_dict(shapes).items()}
        for shapes in (models.shapes(build(name), flows(size, size)) for size in (28, 56))
    )
    different = {path for path in usual if usual[path] != larger[path]}
    # Where the maps are not averaged to one size, the first dense layer has more inputs.
    first = {
        'dual_atme': 'fusion',
        'ststnet': 'classifier',
        'off_apexnet': 'dense1',
        'dual_inception': 'dense',
        'small_cnn': 'classifier',
    }
    assert different == ({f'params/{first[name]}/kernel'} if name in first else set())


@pytest.mark.parametrize(
    ('name', 'size', 'message'),
    [
        ('dual_atme', (3, 3), 'DualATME cannot read flow of 3x3x3, flow_puzzled of 3x3x3'),
        ('rcn_a', (7, 7), 'RCN cannot read flow of 3x7x7'),
        ('rcn_c', (56, 28), 'RCN cannot read flow of 3x56x28'),
    ],
)
def test_flows_of_a_size_that_no_layer_can_read_are_refused_by_name(name, size, message):
    with pytest.raises(InputError, match=f'{message}.*another --size'):
        models.shapes(build(name), flows(*size))


def of_size(size):
    flow = np.zeros((4, size, size, 3), np.uint8)
    names = np.array(list('abcd'))
    labels = np.arange(4, dtype=np.int32) % 3
    return Dataset({'flow': flow}, labels, names, names, names, schema.LABELS, {})


@pytest.mark.parametrize(('name', 'fits'), [('ststnet', False), ('rcn_w', True)])
def test_converted_weights_are_for_flows_of_28_pixels_where_layers_depend_on_it(name, fits):
    config = cd.get_config()
    config.model.name, config.evaluate_only = name, 'weights'
    if fits:
        programs.check_inputs(config, of_size(56))
    else:
        with pytest.raises(InputError, match=r'has 56x56: the layers of .ststnet. would have other sizes'):
            programs.check_inputs(config, of_size(56))
    config.evaluate_only = ''
    programs.check_inputs(config, of_size(56))


@pytest.mark.parametrize(
    'name', ['dual_atme', 'ststnet', 'off_apexnet', 'dual_inception', 'rcn_f', 'resnet18', 'htnet']
)
def test_systems_of_flows_read_four_times_their_edge(name):
    config = cd.get_config()
    config.model.name = name
    clips = of_size(112)
    flow = clips.inputs['flow']
    programs.check_inputs(
        config, dataclasses.replace(clips, inputs=dict.fromkeys(models.SYSTEMS[name].reads, flow))
    )


@pytest.mark.parametrize('name', models.NETWORKS)
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'variant': 'large'}, "variant 'large': config.model.variant takes '"),
        ({'init': 'he'}, "unknown initialisation 'he': config.model.init takes 'torch', 'lecun', 'kaiming'"),
        ({'dropout': 1.0}, r'config.model.dropout is 1.0; expected a fraction in \[0, 1\)'),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, message):
    if not options.keys() <= models.SYSTEMS[name].options.keys():
        message = f'{name!r} has no such option; it has '
    with pytest.raises(InputError, match=message):
        models.build(classes=3, **model_section.complete({'name': name} | options))


@pytest.mark.parametrize(('name', 'same'), [('ststnet', 2), ('rcn_a', 2), ('dual_atme', 0)])
def test_points_that_differ_in_what_a_network_does_not_read_are_told(name, same):
    config = cd.get_config()
    config.model.name = name
    config.sweep = ({'model.dropout': (0.3, 0.5), 'loss.cosine_weight': (0.0, 0.1)},)
    assert len(programs.without_difference(sweep.points(config), schema.LABELS)) == same


@pytest.mark.parametrize('name', ['mmnet', 'kfc_mer'])
@pytest.mark.parametrize('size', [(40, 40), (32, 48)])
def test_pictures_that_cannot_be_halved_four_times_are_refused(name, size):
    given = {key: (schema.usual_shape(key)[0], *size) for key in models.SYSTEMS[name].reads}
    with pytest.raises(InputError, match='expected squares, of a multiple of 16 pixels'):
        models.shapes(build(name), given)


@pytest.mark.parametrize('width', [0, 3])
def test_a_width_that_cannot_be_halved_is_refused(width):
    with pytest.raises(InputError, match=f'config.model.width is {width}; expected an even number'):
        build('kfc_mer', width=width)


def test_attention_that_is_the_same_at_all_places_is_finite():
    """As of a face that does not move: its bytes are the same all over."""
    weights = np.random.default_rng(0).normal(size=(3, 2, 5, 5)).astype(np.float32)
    still, flat_weights = np.zeros((2, 5, 5, 1), np.float32), np.ones_like(weights)
    found, gradient = jax.value_and_grad(lambda w: rcn.attention(still, w).sum())(weights)
    assert found == 0
    assert not gradient.any()
    assert not rcn.attention(still + 1, flat_weights).any()


@pytest.mark.parametrize('name', models.NETWORKS)
@pytest.mark.slow
def test_under_bfloat16_what_is_trained_and_what_comes_out_stays_float32(name, monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')  # a CPU keeps no maps in bfloat16
    model = build(name)
    _, variables = shapes(name)

    def loss(params, statistics):
        output, updated = model.apply(
            {'params': params, **statistics},
            inputs(name),
            mask=np.ones(2),
            train=True,
            mutable=['batch_stats'],
            rngs={'dropout': jax.random.key(0)},
        )
        return output.logits.sum(), (output.logits, updated)

    statistics = {'batch_stats': variables.get('batch_stats', {})}
    with jax.default_matmul_precision('bfloat16'):
        traced = jax.make_jaxpr(jax.value_and_grad(loss, has_aux=True), return_shape=True)
        program, found = traced(variables['params'], statistics)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float32)}
    assert 'bf16[' in str(program)


def test_a_pair_of_features_that_a_system_does_not_return_is_refused():
    config = cd.get_config()
    programs.make_training(config, schema.LABELS)
    config.loss.cosine_pair = ('entire', 'onset')
    message = r"cosine_pair is \('entire', 'onset'\); Dual-ATME returns 'entire', 'puzzled'"
    with pytest.raises(InputError, match=message):
        programs.make_training(config, schema.LABELS)
