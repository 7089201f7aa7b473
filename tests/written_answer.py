"""What the data stage leaves of a video of four seconds, by hand: two expressions and a blink."""

import io
import json

import numpy as np
import pandas as pd
from PIL import Image

FLAG = 'few frames a second'


def found(folder, *, name='v.mp4', left_out=None):
    """Writes what `python -m data_prep video` leaves, without the clips of `left_out`."""
    left_out = left_out or {}
    folder.mkdir(parents=True, exist_ok=True)
    times = np.arange(40) / 10
    signals = pd.DataFrame(
        {'frame': np.arange(40), 'seconds': times, 'strength_px': np.abs(np.sin(3 * times)), 'face': 1}
    )
    signals.loc[:2, 'strength_px'] = np.nan
    signals.to_csv(folder / 'signals.csv', index=False)
    pd.DataFrame(
        {
            'onset': [4, 15, 30],
            'apex': [5, 15, 32],
            'offset': [7, 15, 36],
            'onset_s': [0.4, 1.5, 3.0],
            'apex_s': [0.5, 1.5, 3.2],
            'offset_s': [0.7, 1.5, 3.6],
            'kind': ['micro', 'blink', 'macro'],
            'expression': [True, False, True],
            'strength_px': [0.9, 0.8, 1.0],
            'score': [40.0, 35.0, 50.0],
            'flags': ['', 'blink', ''],
        }
    ).to_csv(folder / 'events.csv', index=False)
    about = {'path': name, 'frame_rate': 10.0, 'threshold_px': 0.5, 'detector': 'dlib', 'flags': [FLAG]}
    about['middle'] = [20, 30]
    (folder / 'video.json').write_text(json.dumps(about))
    random = np.random.default_rng(0)
    ready = [number for number in (0, 2) if number not in left_out]
    flow = random.integers(0, 256, (len(ready), 28, 28, 3), np.uint8)
    np.savez(folder / 'inputs.npz', event=np.array(ready), flow=flow)
    recipe = {
        'release': 'video',
        'left_out': left_out,
        'flow': {'algorithm': 'DualTVL1OpticalFlow', 'encoding': 'minmax_uint8'},
    }
    (folder / 'inputs.json').write_text(json.dumps(recipe))
    for number in (0, 2):
        own = folder / 'frames' / str(number)
        own.mkdir(parents=True)
        for kind in ('onset', 'apex'):
            content = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (56, 56, 3), np.uint8)).save(content, 'png')
            (own / f'{kind}.png').write_bytes(content.getvalue())
        np.savez(own / 'motion.npz', motion=random.normal(size=(56, 56, 3)).astype(np.float32))


def answered(folder, *, known=True):
    """Writes a whole answer but for its page; returns what answer.json has."""
    found(folder)
    events = pd.read_csv(folder / 'events.csv', keep_default_na=False)
    gone = np.nan
    events = events.assign(
        prob_negative=[0.2, gone, 0.45],
        prob_positive=[0.8, gone, 0.55],
        **{'class': ['positive', '', 'positive'], 'answer': ['positive', '', 'cannot tell']},
        spread=[0.05, gone, 0.2],
    )
    events.to_csv(folder / 'events.csv', index=False)
    (folder / 'frames' / '0' / 'attention.png').write_bytes(
        (folder / 'frames' / '0' / 'apex.png').read_bytes()
    )
    rates = {'temperature': 2.0, 'fitted_on': ['smic'], 'counted_on': ['samm'], 'least': 0.5}
    return {
        'name': '<script>alert({})</script>.mp4',
        'path': '/a/v.mp4',
        'labels': ['negative', 'positive'],
        'networks': 'Small CNN, 5 networks',
        'weights': '0' * 64,
        'threshold_px': 0.5,
        'detector': 'dlib',
        'frame_rate': 10.0,
        'seconds_of_video': 3.9,
        'seconds': 12.0,
        'flags': [FLAG],
        'rates': rates | {'silent_right': 2, 'silent': [3, 4], 'confusion': [[5, 0], [1, 7]]}
        if known
        else None,
        'sentences': {'positive': 'of 52 such answers 67% were right'} if known else {},
        'differences': [['flow.algorithm', 'drawn', 'DualTVL1OpticalFlow']],
        'command': 'python -m dualatme_jax.predict v.mp4',
        'data_command': 'python -m data_prep video v.mp4',
        'versions': {'jax': '0'},
        'recipe': {'flow': 'tvl1'},
    }
