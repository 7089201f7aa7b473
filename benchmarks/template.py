"""Where the face lies in the public flow images of each database, by their mean strain.

    python -m benchmarks.template --source FOLDER

The strain is strongest at brows, lids, nostrils and lips, so the mean strain over a database's clips is a
picture of its aligned face. It is registered to that of SMIC, which the template of an aligned face fits: of
many scalings of rows and columns about the picture's middle, and shifts of the rows, the one with the highest
correlation is taken. The result is `data_prep.face.landmarks.template.PLACES`.
"""

import argparse
import itertools

import cv2
import numpy as np

from data_prep.face import regions
from data_prep.face.landmarks import ibug, template
from data_prep.face.landmarks.template import GRID, Place
from data_prep.pictures import flow_images

REFERENCE = 'smic'
BLUR = 0.7  # pixels of the flow image: of the sensor's and the flow's grain
DOWN = np.arange(0.9, 1.31, 0.02)
SHIFT = np.arange(-3, 2.01, 0.1)
ACROSS = np.arange(0.8, 1.11, 0.02)
RESAMPLES = 8  # of the subjects, for the standard deviation

Strains = dict[str, dict[str, list[np.ndarray]]]


def strains(source: str) -> Strains:
    """Returns database -> subject -> the strain of each clip, [28, 28] from 0 to 255."""
    found: Strains = {}
    survey = flow_images.survey(source)
    for row in survey.rows:
        subjects = found.setdefault(row.database, {})
        subjects.setdefault(row.subject, []).append(survey.images[row.stem][..., 2].astype(np.float32))
    return found


def mean(clips: list[np.ndarray]) -> np.ndarray:
    """Returns the mean strain of some clips, [28, 28]."""
    return cv2.GaussianBlur(np.mean(clips, axis=0), (0, 0), BLUR)


def fit(reference: np.ndarray, strain: np.ndarray) -> tuple[Place, float]:
    """Returns where the face of `reference` lies in `strain`, [28, 28] each, and the correlation there."""
    wanted = _standardised(reference)
    middle = (GRID - 1) / 2
    best = Place(), -1.0
    for down, shift, across in itertools.product(DOWN, SHIFT, ACROSS):
        matrix = np.array([[across, 0, middle - across * middle], [0, down, middle + shift - down * middle]])
        moved = cv2.warpAffine(
            strain,
            matrix,
            (GRID, GRID),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        correlation = float(wanted @ _standardised(moved))
        if correlation > best[1]:
            found = (round(float(number), 2) for number in (down, shift, across))
            best = Place(*found), correlation
    return best


def _standardised(picture: np.ndarray) -> np.ndarray:
    centred = (picture - picture.mean()).ravel()
    return centred / np.linalg.norm(centred)


def density(strain: np.ndarray, letter: str, database: str | None) -> float:
    """Returns the mean strain in a region over that of the whole picture."""
    top, bottom, left, right = regions.template_boxes((GRID, GRID), database)[letter]
    return float(strain[top:bottom, left:right].mean() / strain.mean())


def rows(place: Place) -> tuple[float, float]:
    """Returns the row of the eyes and that of the mouth, from 0 to `GRID`."""
    points = place.points(template.points())
    return tuple(float(points[list(ibug.PARTS[part]), 1].mean()) for part in ('eyes', 'mouth'))


def main() -> None:
    """Measures the place of each database and prints it, with its deviation over resampled subjects."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.template', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--source', required=True, metavar='FOLDER', help='the images and their list')
    found = strains(parser.parse_args().source)
    random = np.random.default_rng(0)
    whole = {name: mean(list(itertools.chain(*subjects.values()))) for name, subjects in found.items()}
    for name, subjects in found.items():
        place, correlation = fit(whole[REFERENCE], whole[name])
        others = []
        for _ in range(RESAMPLES):
            drawn = random.choice(list(subjects), len(subjects))
            clips = list(itertools.chain(*(subjects[subject] for subject in drawn)))
            others.append(rows(fit(whole[REFERENCE], mean(clips))[0]))
        print(f'{name}: {place}, correlation {correlation:.2f}')
        for part, row, deviation in zip(('eyes', 'mouth'), rows(place), np.std(others, axis=0), strict=True):
            print(f'  {part} in row {row:.1f} of {GRID}, standard deviation {deviation:.1f}')
        for letter in 'EM':
            common, own = (density(whole[name], letter, database) for database in (None, name))
            print(f'  strain in {letter} over the mean: {common:.2f}, at the own place {own:.2f}')


if __name__ == '__main__':
    main()
