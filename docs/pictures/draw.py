"""Draws the pictures of the front page again: see README.md beside it.

python docs/pictures/draw.py leaderboard
python docs/pictures/draw.py clip RELEASE RUN SUBJECT CLIP
"""

import pathlib
import sys

import cv2
import numpy as np
import pandas as pd

from data_prep import releases
from data_prep.face import landmarks, overlay, regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files.cache import Cache
from data_prep.views import optical_flow
from dualatme_jax.report import attention as maps
from dualatme_jax.report.pictures import drawn, flow, leaderboard_plot
from dualatme_jax.run import attention

HERE = pathlib.Path(__file__).parent
TITLE = 'MEGC2019-CD, 442 public flow images, 68 subjects, each left out once'
DATABASE, PAIR, SIZE = 'casme2', 'EM', overlay.SIZE


def leaderboard(folder: str | pathlib.Path = HERE) -> None:
    """leaderboard.png of leaderboard.csv."""
    frame = pd.read_csv(HERE / 'leaderboard.csv')
    leaderboard_plot.draw(frame, pathlib.Path(folder) / 'leaderboard.png', title=TITLE)


def clip(release: str, run: str, subject: str, name: str, folder: str | pathlib.Path = HERE) -> None:
    """clip.png: a clip of a synthetic CASME II from its frames to where the networks of a run looked."""
    [found] = [
        each
        for each in releases.survey(DATABASE, release, frames='cropped').clips
        if (each.subject, each.clip) == (subject, name)
    ]
    aligned = AlignedClip(found, landmarks.source(f'{release}/truth/landmarks.csv'), Cache(None), PAIR)
    onset, apex = aligned.pair(SIZE)
    boxes = aligned.boxes(SIZE)
    grey = [cv2.cvtColor(face, cv2.COLOR_BGR2GRAY) for face in (onset, apex)]
    motion = optical_flow.compute(optical_flow.solver(), *grey)
    puzzled = regions.puzzled_motion(motion, PAIR, boxes)
    looked = attention.of_workdir(run, [(DATABASE, subject, name)])
    gate = next(view for view in looked.views if (view.method, view.branch) == (maps.CBAM, 'entire'))

    most = np.percentile(np.hypot(*np.moveaxis(motion, -1, 0)), 99)
    face = onset[..., ::-1]
    panels = {
        'onset': (face,),
        'apex': (apex[..., ::-1],),
        'optical flow': (flow.wheel(motion[..., 0], motion[..., 1], most=most),),
        'regions E, M': (face,),
        'puzzled flow (EM)': (flow.wheel(puzzled[..., 0], puzzled[..., 1], most=most),),
        'attention (CBAM)': (face, maps.upscaled(gate.maps[0], SIZE, SIZE)),
    }
    figure = drawn.figure(10, 1.95)
    for axes, (title, (picture, *looks)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(picture)
        for look in looks:
            axes.imshow(look, cmap='inferno', alpha=0.55)  # from its least to its largest value
        axes.set_title(title, fontsize='medium')
        axes.set_axis_off()
        if title.startswith('regions'):
            shares = {letter: np.divide(boxes[letter], SIZE) for letter in PAIR}
            flow.outline(axes, shares, picture.shape)
    (pathlib.Path(folder) / 'clip.png').write_bytes(drawn.png(figure))


if __name__ == '__main__':
    {'leaderboard': leaderboard, 'clip': clip}[sys.argv[1]](*sys.argv[2:])
