"""Draws the picture of the front page again: `python docs/pictures/draw.py leaderboard`."""

import pathlib
import sys

import pandas as pd

from dualatme_jax.report.pictures import leaderboard_plot

HERE = pathlib.Path(__file__).parent
TITLE = 'MEGC2019-CD, 442 public flow images, 68 subjects, each left out once'


def leaderboard(folder: str | pathlib.Path = HERE) -> None:
    """leaderboard.png of leaderboard.csv."""
    frame = pd.read_csv(HERE / 'leaderboard.csv')
    leaderboard_plot.draw(frame, pathlib.Path(folder) / 'leaderboard.png', title=TITLE)


if __name__ == '__main__':
    {'leaderboard': leaderboard}[sys.argv[1]](*sys.argv[2:])
