"""From any folder of labelled faces to a pre-trained network, and from there to the clips."""

import cv2
import numpy as np
import pytest
import small_run

from configs import micro_attention
from data_prep import __main__ as data_prep
from data_prep.synthetic import embedded

SIZE = 40  # pixels of the stored faces; the network reads 32
# Micro-Attention's config with another network, which is compiled in a second.
SMALL = {
    'model.name': 'small_systems.tiny_face',
    'data.build_options': '',  # the stored faces are smaller than the config asks for
    'input.size': 32,
    'training.epochs': 1,
    'training.batch_size': 64,
    'report.resamples': 20,
    'report.pictures': False,
    'engine.devices': 1,
}


@pytest.mark.slow
def test_a_network_pre_trained_on_a_folder_of_faces_is_fine_tuned_on_clips(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, 'CLIPS', ((2, 1, 1), (1, 1, 1)))  # of two subjects in each database
    random = np.random.default_rng(0)
    for label in ('anger', 'joy'):
        (tmp_path / 'ck' / label).mkdir(parents=True)
        for person in ('S1', 'S2'):
            for number in range(3):
                picture = random.integers(0, 256, (20 + number, 30, 3), np.uint8)
                assert cv2.imwrite(str(tmp_path / 'ck' / label / f'{person}_{number}.png'), picture)
    size = ['--face-size', str(SIZE)]
    folder = [
        '--release',
        'image_folder',
        '--source',
        str(tmp_path / 'ck'),
        '--subject-pattern',
        '{subject}_*',
    ]
    assert data_prep.main(['build', *folder, *size, '--out', str(tmp_path / 'faces')]) == 0
    clips = ['--release', 'synthetic', '--view', 'apex']
    assert data_prep.main(['build', *clips, *size, '--out', str(tmp_path / 'clips')]) == 0

    config = micro_attention.get_config()
    config.update_from_flattened_dict(
        SMALL | {'data.path': str(tmp_path / 'faces'), 'data.databases': (), 'folds': 'all'}
    )
    assert small_run.run(config, tmp_path / 'before')[0]
    config = micro_attention.get_config()
    config.update_from_flattened_dict(
        SMALL
        | {'data.path': str(tmp_path / 'clips'), 'folds': 'parts', 'fold_parts': 2}
        | {'init_from': str(tmp_path / 'before')}
    )
    complete, results, said = small_run.run(config, tmp_path / 'after')
    assert complete
    assert 'drawn anew: params/classifier/bias [3], in the weights: [2]; params/classifier/kernel' in said
    started = results['started_from']
    assert started['subjects'] == {'ck': ['S1', 'S2']}
    assert not started['leaks']
    assert 'LEAKS' not in results['notice']
    (program,) = started['programs']
    assert [line.partition(' ')[0] for line in program['not_copied']] == [
        'params/classifier/bias',
        'params/classifier/kernel',
    ]
    assert program['numbers']['all'] - program['numbers']['copied'] == 4 * 3 + 3
