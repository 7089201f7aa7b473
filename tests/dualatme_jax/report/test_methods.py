"""The methods of a run in sentences: whole paragraphs of some kinds of run, and no kind leaves a gap."""

import itertools
import json
import re

import pandas as pd
import pytest

from configs import bi_woof, cd, kernel_ridge
from dualatme_jax.report import methods, record, references
from dualatme_jax.run import model_section

PEOPLE = {'casme2': ['sub01', 'sub02'], 'smic': ['s01']}
FLOWS = {
    'release': 'flow_images',
    'regions': {'pair': 'EM'},
    'flow_puzzled': 'cut from the flow image of the entire face',
    'flow': {'algorithm': 'unknown'},
}
SPREAD = {metric: {'mean': 0.5, 'sd': None, 'interval': [0.4, 0.6]} for metric in ('acc', 'uar', 'uf1')}
POINT = {'seeds': 1, 'uf1_mean': 0.5, 'uar_mean': 0.5, 'reference': True}


def run(folder, config, *, loss=0.5, people=PEOPLE, provenance=None, **found):
    """A workdir of three folds, without predictions: what it says is made from its other files."""
    whole = json.loads(model_section.completed(config).to_json())
    whole |= {'dataset': {'clips': 12}, 'trained_on': {'origin': 'flow', 'subjects': people}}
    (folder / 'config.json').write_text(json.dumps(whole))
    names = [f'{database}/{name}' for database, own in people.items() for name in own]
    trials = pd.DataFrame({'trial': range(len(names)), 'seed': 0, 'left_out': names, 'status': 'done'})
    trials.assign(loss=loss, seconds=1.0).to_csv(folder / 'trials.csv', index=False)
    scores = dict.fromkeys(('full', *people), SPREAD)
    results = {
        'notice': '', 'leaks': False, 'folds': config.folds, 'selection': config.selection.name, 'trials': 3,
        'failed': [], 'seconds': 64.2, 'dataset': FLOWS, 'labels': ['negative', 'positive', 'surprise'],
        'started_from': None, 'frozen': [], 'scores': scores,
        'per_seed': [{'seed': 0, 'full': {'uf1': 0.5, 'uar': 0.5, 'acc': 0.5}}],
    }  # fmt: skip
    (folder / 'results.json').write_text(json.dumps(results | found))
    if provenance:
        (folder / 'provenance.json').write_text(json.dumps({'commands': [provenance]}))
    return record.Record(folder)


def test_a_network(tmp_path):
    made = {'versions': {'dualatme-jax': '0.1.0', 'jax': '0.10.2'}, 'device': 'one CPU'}
    found = run(tmp_path, cd.get_config(), provenance=made)
    assert methods.paragraphs(found) == [
        'The data are 12 clips of 3 subjects from CASME II [@yan2014casme2] and SMIC [@li2013smic], with the '
        'classes negative, positive and surprise. The input is the optical flow of the face between '
        'onset and '
        'apex (u, v and strain) and the flow of two regions of the face, one stacked on the other. '
        'The regions '
        'are eyes and eyebrows and mouth (cut from the flow image of the entire face). The flow was not '
        'computed by us, and its method is not recorded with the data. Each channel of motion is '
        'min-max scaled '
        'for each clip. Inputs are scaled to -1..1.',
        'Dual-ATME [@zhou2023dualatme] is trained for 60 epochs on batches of 128 clips, shuffled in every '
        'epoch. Its options are dropout = 0.5, init = torch. The loss is the focal loss (gamma 2, alpha 1), '
        'plus 0.01 times the cosine distance between the features entire and puzzled. The '
        'optimizer is Adam with a learning rate of 0.001. Training clips are not augmented.',
        'Each of the 3 subjects is left out in turn, and predicted by a model trained without it. '
        'There is one '
        'seed (0). The weights of the last epoch are scored; nothing is chosen on the left-out subject.',
        'Accuracy (Acc), unweighted average recall (UAR) and unweighted F1 (UF1) are computed once, on the '
        'predictions of all folds together, on all clips and on those of each database. Intervals are 95% '
        'percentile intervals of 1000 bootstrap resamples of the subjects.',
        'All is computed with dualatme_jax 0.1.0 [@dualatmejax] on JAX 0.10.2 [@jax2018], Flax '
        '[@flax2020] and '
        'Optax [@deepmind2020jax]. Products are computed in float32. Training took 64 seconds on one CPU.',
    ]


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [(0.4, 'under a second'), (1.2, '1 second'), (1.6, '2 seconds'), (64.2, '64 seconds')],
)
def test_seconds_are_counted(tmp_path, seconds, words):
    found = run(tmp_path, cd.get_config(), seconds=seconds)
    assert methods.paragraphs(found)[-1].endswith(f' Training took {words}.')


def test_an_estimator_by_nested_selection(tmp_path):
    config = bi_woof.get_config()
    config.sweep = ({'model.C': (1.0, 100.0)},)
    config.selection.name, config.seeds = 'nested', (0, 1)
    points = [{'model.C': cost, **POINT} for cost in (1.0, 100.0)]
    chosen = [{'seed': 0, 'left_out': 'casme2/sub01', 'model.C': 1.0, 'uf1': 0.5}]
    found = run(tmp_path, config, loss=None, sweep=points, chosen=chosen)
    _, training, protocol, *_ = methods.paragraphs(found)
    assert training == (
        'Bi-WOOF [@liong2018biwoof] is fitted by scikit-learn [@pedregosa2011sklearn] once for each '
        'fold. Its '
        'options are C = 10000, class_weight = none. 2 settings are compared, which differ in '
        'model.C (1, 100).'
    )
    assert protocol == (
        'Each of the 3 subjects is left out in turn, and predicted by a model trained without it. Everything '
        'is repeated with 2 seeds (0, 1). For each left-out subject model.C is chosen by UF1 on the other '
        'subjects: these are cut into 5 parts, and each part is predicted by models trained without it and '
        'without the left-out subject.'
    )
    assert 'optax' not in methods.markdown(found).lower()


def test_a_leaderboard_that_leaks(tmp_path):
    config = cd.get_config()
    config.report.leaderboard = True
    rows = [
        {'system': name, 'title': title, 'status': status, 'epochs': epochs, 'shortened': ''}
        for name, title, status, epochs in (
            ('ststnet', 'STSTNet', 'scored', 800),
            ('lbp_top', 'LBP-TOP', 'scored', None),
            ('guesser', 'Guesser', 'floor', None),
        )
    ]
    found = run(tmp_path, config, notice='LEAKS: scaled by all clips\nFolds: all', leaderboard=rows)
    data, training, *_ = methods.paragraphs(found)
    assert data.endswith('with the classes negative, positive and surprise.')
    assert training == (
        'The systems compared are STSTNet [@liong2019ststnet] and LBP-TOP [@zhao2007lbptop], each with the '
        'settings of its own config. Epochs of training: STSTNet 800.'
    )
    methods.write(tmp_path)
    assert (
        (tmp_path / 'methods.md')
        .read_text()
        .startswith('# Methods\n\n**LEAKS: scaled by all clips**\n\nThe ')
    )
    tex = (tmp_path / 'methods.tex').read_text()
    assert tex.startswith('\\textbf{LEAKS: scaled by all clips}\n\n')
    assert r'STSTNet \cite{liong2019ststnet} and LBP-TOP \cite{zhao2007lbptop}, each' in tex
    entries = re.findall(r'^@\w+\{(\w+),', (tmp_path / 'references.bib').read_text(), re.MULTILINE)
    cited = [key for keys in re.findall(r'\\cite\{([^}]*)\}', tex) for key in keys.split(',')]
    assert entries == list(dict.fromkeys(cited))
    assert references.HOLM in entries


def test_the_composite_is_named_and_synthetic_clips_are_no_database(tmp_path):
    people = {'casme2': ['a'] * 24, 'smic': ['b'] * 16, 'samm': ['c'] * 28}
    found = run(tmp_path, cd.get_config(), people=people)
    found.config['dataset']['clips'] = 442
    assert 'composite database of the MEGC2019 challenge [@see2019megc]' in methods.paragraphs(found)[0]
    made = run(tmp_path, cd.get_config(), people=people, dataset={'release': 'synthetic'})
    assert methods.paragraphs(made)[0].startswith(
        'The data are 12 synthetic clips of 68 subjects, rendered in the form of CASME II'
    )
    assert '@yan' not in methods.markdown(made)


def test_names_are_no_markup(tmp_path):
    config = cd.get_config()
    config.evaluate_only = r'runs/<script>_100%\&'
    found = run(tmp_path, config, labels=['a*b*', '$x_1$', '{c}'])
    assert r'\<script>\_100%' in methods.markdown(found)
    assert r'\textless{}script\textgreater{}\_100\%\textbackslash{}\&' in methods.tex(found)


@pytest.mark.parametrize('kind', ['subject', 'database', 'parts', 'all'])
@pytest.mark.parametrize('selection', ['last', 'nested', 'best_on_test'])
def test_no_kind_of_run_leaves_a_gap(tmp_path, kind, selection):
    kinds = ((cd, 'raw'), (kernel_ridge, 'robust'))
    for (source, encoding), evaluate in itertools.product(kinds, ('', 'runs/a')):
        config = source.get_config()
        config.folds, config.selection.name = kind, selection
        config.evaluate_only, config.input.encoding = evaluate, encoding
        config.optimizer.name, config.optimizer.schedule, config.augment.shift = 'sgd', 'step', 0.1
        config.loss.name, config.loss.mixup, config.data.train_subjects = 'weighted_cross_entropy', 0.2, 3
        config.data.undersample = 0.5 if evaluate else 5.0
        started = {'path': '/x/weights', 'origin': None, 'all_subjects_known': False}
        failed = [{'trial': 0}]
        ensemble = {'how': 'vote', 'members': [1, 2]}
        found = run(tmp_path, config, started_from=started, failed=failed, ensemble=ensemble, frozen=['a/*'])
        if kind == 'all':
            found.results['scores'] = None
        complete(found)


def test_a_run_that_has_said_nothing_yet(tmp_path):
    complete(record.Record(tmp_path))


def complete(found):
    text = methods.markdown(found)
    assert not re.search(r'\bNone\b|\bnan\b|[{}]|  |\(\)| \.|, ,|\[@\]', text), text
    assert set(methods.cited(found)) <= references.entries().keys()
    assert all(paragraph.endswith('.') for paragraph in methods.paragraphs(found))
    tex = methods.tex(found)
    assert tex.count('{') == tex.count('}')


def test_values_that_are_tuples_are_words(tmp_path):
    points = [{'model.views': views, **POINT} for views in ("('uv14',)", "('uv14', 'hog5')", 'other (x)')]
    found = run(tmp_path, kernel_ridge.get_config(), loss=None, sweep=points)
    assert 'differ in model.views (uv14, uv14 hog5, other (x)).' in methods.paragraphs(found)[1]
