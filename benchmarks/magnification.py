"""The weight-free magnifier against the true motion of rendered faces, times its factor.

    python -m benchmarks.magnification

The pairs are those of `benchmarks.flow`, as filmed. The motion of a magnified pair is measured by another
algorithm than the magnifier's, where the head is.
"""

import argparse

import cv2
import numpy as np
import pandas as pd

from benchmarks import flow as pairs_of
from data_prep.views import magnification, optical_flow

FACTORS = (2, 4, 8)
MAGNIFIERS = ('farneback', 'tvl1')
MEASURE = 'tvl1'


def measure() -> pd.DataFrame:
    """Returns one row per pair, magnifier and factor: how long the motion is, and how wrong."""
    rows = []
    for motion, onset, apex, true, known in pairs_of.pairs(still=False):
        clip = [cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) for frame in (onset, apex)]
        for algorithm in MAGNIFIERS:
            for factor in FACTORS:
                _, magnified = magnification.magnified(clip, factor, algorithm)
                solver = optical_flow.solver(MEASURE, **optical_flow.SETTINGS[MEASURE])
                found = optical_flow.compute(solver, onset, magnified[..., 0].copy())[known]
                wanted = factor * true[known]
                rows.append(
                    {
                        'motion, px': motion,
                        'flow': algorithm,
                        'factor': factor,
                        'length': float((found * wanted).sum() / (wanted**2).sum()),
                        'error': float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)),
                    }
                )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per magnifier, motion and factor: the means over faces, relative to what is wanted."""
    return table.groupby(['flow', 'motion, px', 'factor'], sort=False, as_index=False).mean()


def main() -> None:
    """Runs the benchmark and prints its table."""
    argparse.ArgumentParser(
        prog='python -m benchmarks.magnification', description=__doc__.splitlines()[0]
    ).parse_args()
    print(summary(measure()).round(3).to_string(index=False))


if __name__ == '__main__':
    main()
