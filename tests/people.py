"""Clips of several people, without pictures."""

import pandas as pd

from dualatme_jax.report import predictions


def clips(subjects, clips_each):
    """Clips of subjects in two databases, two of which share a name."""
    rows = [
        (('casme2', 'samm')[subject % 2], f'{subject // 2:03d}', f'c{clip}', (subject + clip) % 3)
        for subject in range(subjects)
        for clip in range(clips_each)
    ]
    table = pd.DataFrame(rows, columns=[*predictions.CLIP_KEY, 'label'])
    return table.assign(left_out=table['database'] + '/' + table['subject'])
