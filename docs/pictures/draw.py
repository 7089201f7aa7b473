"""Draws the pictures of README.md again.

python docs/pictures/draw.py leaderboard
python docs/pictures/draw.py clip RELEASE DATASET RUN

The second takes one clip of a synthetic release from its frames to what a network looked at, see README.md here.
"""

import pathlib
import sys

import pandas as pd

from dualatme_jax.report import leaderboard_plot

HERE = pathlib.Path(__file__).parent
TITLE = 'MEGC2019-CD, 442 public flow images, 68 subjects, each left out once'


def leaderboard(folder: pathlib.Path = HERE) -> None:
    """leaderboard.png of leaderboard.csv."""
    frame = pd.read_csv(HERE / 'leaderboard.csv')
    leaderboard_plot.draw(frame, folder / 'leaderboard.png', title=TITLE)


if __name__ == '__main__':
    leaderboard()
