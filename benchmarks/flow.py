"""Optical flow and strain against the true motion of rendered faces, with the time that each algorithm takes.

    python -m benchmarks.flow [--json FILE]

Faces of 224x224 pixels are rendered with one expression each, whose largest displacement is 0.5, 1, 2 and 3
pixels, once still (only the expression moves) and once as filmed (the head drifts, the light changes, the
sensor adds noise). Errors are measured where the head is, away from the border of the frame.
"""

import argparse
import itertools
import json
import pathlib
import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pandas as pd

from data_prep.face import alignment
from data_prep.synthetic import action_units, head
from data_prep.synthetic.face import GRID
from data_prep.synthetic.film import LIGHT_DRIFT, Camera, Expression, Film
from data_prep.synthetic.render_clip import stream
from data_prep.views import optical_flow
from dualatme_jax.files import replacing

SIZE = 224  # pixels
MOTIONS = (0.5, 1.0, 2.0, 3.0)  # largest displacement, pixels
FACES = 6  # of each motion
NOISE = 1.0  # grey levels, standard deviation
BORDER = 4  # pixels at the border of the head that are not measured

SOLVERS = {
    'TV-L1': ('tvl1', optical_flow.SETTINGS['tvl1']),
    "TV-L1, OpenCV's own settings": ('tvl1', {}),
    'DIS': ('dis', optical_flow.SETTINGS['dis']),
    'Farneback': ('farneback', optical_flow.SETTINGS['farneback']),
}


def pairs(*, still: bool) -> Iterator[tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yields motion, onset and apex [S, S] uint8, true flow [S, S, 2] in pixels and where it is measured."""
    for motion, film in films(strength=(0.0, 1.0), apex=1, still=still):
        onset, apex = film.frames()
        yield motion, onset, apex, *truth_of(film)


def films(
    *, strength: Sequence[float], apex: int, still: bool, light_drift: float = LIGHT_DRIFT
) -> Iterator[tuple[float, Film]]:
    """Yields motion and film of aligned faces, of which each frame shows a share of the expression."""
    camera = Camera(width=SIZE, height=SIZE, colour=False, unit=None, noise=0.0 if still else NOISE)
    combinations = [each for several in action_units.COMBINATIONS.values() for each in several]
    for number, motion in itertools.product(range(FACES), MOTIONS):
        random = stream('benchmark', number)
        person = head.draw(random)
        texture = head.texture(random, person, colour=False)
        units = dict.fromkeys(combinations[7 * number % len(combinations)], 1.0)
        bumps = action_units.scaled(action_units.bumps(random, units, 1.0), motion * GRID / SIZE)
        expression = Expression(bumps, np.array(strength))
        moves = {'still': still, 'light_drift': light_drift}
        yield motion, Film(random, camera, person, texture, [expression], apex, **moves)


def truth_of(film: Film, ends: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The true flow [S, S, 2] in pixels between two frames, by default to the apex, and where it counts."""
    identity = alignment.whole_frame((SIZE, SIZE), SIZE).matrix
    true, known = film.truth(step=1, ends=ends).aligned(identity, SIZE)
    return true, inner(known)


def inner(known: np.ndarray) -> np.ndarray:
    """What of the head, [S, S], is not at its border."""
    return cv2.erode(known.astype(np.uint8), np.ones((2 * BORDER + 1, 2 * BORDER + 1), np.uint8)) > 0


def measure(*, still: bool) -> pd.DataFrame:
    """Returns one row per pair and solver: errors of the flow and of the strain, and seconds."""
    rows = []
    for motion, onset, apex, true, known in pairs(still=still):
        wanted = optical_flow.strain(true)[known]
        for name, (algorithm, settings) in SOLVERS.items():
            solver = optical_flow.solver(algorithm, **settings)
            begun = time.process_time()
            found = optical_flow.compute(solver, onset, apex)
            seconds = time.process_time() - begun
            row = {
                'frames': 'still' if still else 'as filmed',
                'solver': name,
                'motion': motion,
                'endpoint_error': float(np.linalg.norm((found - true)[known], axis=-1).mean()),
                'strain': float(np.sum(wanted**2)),
                'seconds': seconds,
            }
            for column, smoothing in (('smoothed', optical_flow.SMOOTHING * SIZE), ('plain', 0.0)):
                error = optical_flow.strain(found, smoothing=smoothing)[known] - wanted
                row[f'error_{column}'] = float(np.sum(error**2))
            rows.append(row)
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per kind of frames and solver; strain errors are relative, over all pairs together."""
    rows = []
    for (frames, solver), own in table.groupby(['frames', 'solver'], sort=False):
        rows.append(
            {
                'frames': frames,
                'algorithm': solver,
                'endpoint error, px': own['endpoint_error'].mean(),
                'largest of a pair': own['endpoint_error'].max(),
                'strain, relative L2': np.sqrt(own['error_smoothed'].sum() / own['strain'].sum()),
                'without smoothing': np.sqrt(own['error_plain'].sum() / own['strain'].sum()),
                'seconds a pair': own['seconds'].mean(),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Runs the benchmark, prints its table and writes it as JSON on request."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.flow', description=__doc__.splitlines()[0])
    parser.add_argument(
        '--json', metavar='FILE', help='write one row per pair and algorithm, and the summary'
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)  # seconds of one core
    table = pd.concat([measure(still=True), measure(still=False)], ignore_index=True)
    short = summary(table)
    print(short.round(3).to_string(index=False))
    if options.json:
        found = {
            'cv2': cv2.__version__,
            'size': SIZE,
            'smoothing': optical_flow.SMOOTHING * SIZE,
            'summary': short.to_dict('records'),
            'pairs': table.to_dict('records'),
        }
        with replacing(pathlib.Path(options.json)) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
    main()
