"""Options of the flow on a synthetic release, as filmed, whose true motion is known.

    python -m data_prep synthesize --release megc2019_cd --subjects 6 --out SYNTHETIC
    python -m benchmarks.flow_options --source SYNTHETIC [--flow tvl1] [--tables NAME ...] [--clips N]

Four tables. Errors of flow and strain, from onset to apex, by option: against all that moved and against the
expression alone, where the head is, away from its border. How well clips are recognised, leaving one subject
out: kernel ridge on u, v and strain at 14x14, with nothing chosen. On rendered faces of their own (a release
keeps no truth of other frames): errors of each step of `--view flow_steps`, and errors by contrast where the
light changes more.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from benchmarks import flow as rendered
from data_prep import releases
from data_prep.dataset import plan, processes
from data_prep.face import apex, landmarks
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files.cache import Cache
from data_prep.releases.clip import Clip
from data_prep.synthetic import truth
from data_prep.synthetic.film import LIGHT_DRIFT
from data_prep.views import contrast, optical_flow
from data_prep.views.flow import FlowView
from data_prep.views.flow_steps import FlowStepsView
from dualatme_jax import schema
from dualatme_jax.files import replacing
from dualatme_jax.report import scores

OPTIONS: dict[str, dict[str, str]] = {
    'none': {},
    '--head-motion median': {'head_motion': 'median'},
    '--head-motion points': {'head_motion': 'points'},
    '--head-motion affine': {'head_motion': 'affine'},
    '--contrast local': {'contrast': 'local'},
    '--contrast clahe': {'contrast': 'clahe'},
    '--contrast local --head-motion affine': {'contrast': 'local', 'head_motion': 'affine'},
}
HEADS = ('none', 'affine')  # with which each choice of steps is recognised
LIGHT_DRIFTS = (LIGHT_DRIFT, 0.008, 0.015)  # until the apex, as a share of the light; the first is the usual
SIZE = 14  # of what is recognised
RIDGE = 0.6  # of the kernel; neither it nor the kernel's width was varied


@dataclasses.dataclass(frozen=True)
class Work:
    """What is done with each clip: its release, where its landmarks come from, and how flows are computed."""

    source: pathlib.Path
    landmarks: landmarks.Source
    cache: Cache
    algorithm: str

    def view(self, **options: str) -> FlowView:
        """The view `flow` with some options, unscaled."""
        settings = optical_flow.SETTINGS[self.algorithm]
        return FlowView(algorithm=self.algorithm, settings=settings, encoding='raw', **options)

    def errors(self, clip: Clip) -> list[dict[str, str | float]]:
        """One row per option: errors of the flow from onset to apex and of its strain."""
        aligned = AlignedClip(clip, self.landmarks, self.cache)
        return [
            {'option': name} | self._errors(aligned, self.view(**options).motion(aligned, self.cache))
            for name, options in OPTIONS.items()
        ]

    def features(self, clip: Clip) -> dict[str, np.ndarray]:
        """By what the clip is recognised: name -> [steps, SIZE, SIZE, 3]."""
        aligned = AlignedClip(clip, self.landmarks, self.cache)
        found = {
            name: optical_flow.resized(self.view(**options).motion(aligned, self.cache), SIZE)[None]
            for name, options in OPTIONS.items()
        }
        speed = self.view(units=schema.EYE_DISTANCES_PER_SECOND).units_of(aligned, (clip.onset, clip.apex))
        found[f'--flow-units {schema.EYE_DISTANCES_PER_SECOND}'] = found['none'] / speed
        for steps, head in itertools.product(schema.STEPS, HEADS):
            view = FlowStepsView(flow=self.view(head_motion=head), steps=steps, still='zero')
            name = f'--flow-steps {steps}' + f' --head-motion {head}' * (head != 'none')
            made = view.make(aligned, self.cache)[schema.FLOW_STEPS]
            found[name] = np.stack([optical_flow.resized(step, SIZE) for step in made])
        return found

    def _errors(self, aligned: AlignedClip, motion: np.ndarray) -> dict[str, float]:
        clip, size = aligned.clip, len(motion)
        true = truth.load(self.source / clip.database / 'truth/flow' / clip.subject / f'{clip.clip}.npz')
        matrix = aligned.alignment(size).matrix
        everything, known = true.aligned(matrix, size)
        expression, _ = dataclasses.replace(true, flow=true.expression).aligned(matrix, size)
        known = rendered.inner(known)
        wanted = optical_flow.strain(expression)[known]
        return _against(motion, expression, known, wanted) | {
            'all': float(np.linalg.norm((motion[..., :2] - everything)[known], axis=-1).mean()),
        }


def clips(source: pathlib.Path) -> list[tuple[Clip, str]]:
    """The clips of a synthetic composite with their labels, their apexes the true ones."""
    surveys = {name: releases.survey(name, source / name) for name in schema.COMPOSITE}
    rules = {
        name: apex.ApexRule(
            choices=('table',), table=apex.read_table(source / name / 'truth/apex.csv', releases.of(name))
        )
        for name in surveys
    }
    return plan.make(surveys, protocol=None, rules=rules).sound


def _some(found: Sequence[tuple[Clip, str]], database: str, number: int) -> list[tuple[Clip, str]]:
    """So many clips of a database, evenly spaced."""
    own = [each for each in found if each[0].database == database]
    return [own[place] for place in np.unique(np.linspace(0, len(own) - 1, number).round().astype(int))]


def steps(view: FlowView) -> pd.DataFrame:
    """Returns one row per rendered face, motion and step: errors of flow and strain."""
    rows = []
    for _, film in rendered.films(strength=(0.0, 0.5, 1.0, 0.0), apex=2, still=False):
        names = schema.ONSET, 'middle', schema.APEX, schema.OFFSET
        frames = dict(zip(names, enumerate(film.frames()), strict=True))
        for start, end in dict.fromkeys(itertools.chain(*schema.STEPS.values())):
            (first, before), (last, after) = frames[start], frames[end]
            found = view.channels(optical_flow.compute(view.solver(), before, after))
            true, known = rendered.truth_of(film, (first, last))
            wanted = optical_flow.strain(true)[known]
            length = float(np.linalg.norm(true[known], axis=-1).mean())
            row = {'step': f'{start} to {end}', 'length': length}
            rows.append(row | _against(found, true, known, wanted))
    return pd.DataFrame(rows)


def lights(view_of: Callable[..., FlowView]) -> pd.DataFrame:
    """Returns one row per rendered pair, change of light and contrast: errors of flow and strain."""
    rows = []
    for drift in LIGHT_DRIFTS:
        for _, film in rendered.films(strength=(0.0, 1.0), apex=1, still=False, light_drift=drift):
            pair = list(film.frames())
            true, known = rendered.truth_of(film)
            wanted = optical_flow.strain(true)[known]
            for kind in contrast.CONTRASTS:
                view = view_of(contrast=kind)
                frames = (contrast.normalised(frame, kind) for frame in pair)
                motion = view.channels(optical_flow.compute(view.solver(), *frames))
                rows.append({'light, contrast': f'{drift:g}, {kind}'} | _against(motion, true, known, wanted))
    return pd.DataFrame(rows)


def _against(motion: np.ndarray, true: np.ndarray, known: np.ndarray, strain: np.ndarray) -> dict[str, float]:
    """Errors of u, v and strain [S, S, 3] where the truth is known, of which the strain is given there."""
    return {
        'error': float(np.linalg.norm((motion[..., :2] - true)[known], axis=-1).mean()),
        'strain': float(np.sum(strain**2)),
        'strain_error': float(np.sum((motion[..., 2][known] - strain) ** 2)),
    }


def summary(table: pd.DataFrame, by: str, errors: Mapping[str, str]) -> pd.DataFrame:
    """Returns one row per option or step: mean errors, named as `errors` says, and that of the strain."""
    groups = table.groupby(by, sort=False)
    found = pd.DataFrame({title: groups[column].mean() for column, title in errors.items()})
    found['strain, relative L2'] = np.sqrt(groups['strain_error'].sum() / groups['strain'].sum())
    return found.reset_index()


def recognised(features: Mapping[str, np.ndarray], found: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per kind of features: UF1 and UAR over all clips, each subject left out once.

    Args:
      features: by name, [clips, steps, SIZE, SIZE, 3].
      found: the clips: database, subject, clip and label, the number of a class.

    Returns:
      Of each, as the numbers are (`raw`) and with each channel scaled by clip (`minmax`): UF1 and UAR, and
      how much more UF1 than the first kind has, with its 95% interval and p (`scores.paired`).
    """
    people = found[schema.DATABASE] + '/' + found[schema.SUBJECT]
    rows = []
    for encoding, encode in {'raw': np.asarray, 'minmax': _minmax}.items():
        tables = {
            name: found.assign(seed=0, prediction=_predicted(encode(own), found[schema.LABEL], people))
            for name, own in features.items()
        }
        first, *_ = tables.values()
        for name, table in tables.items():
            own, more = scores.score(table), scores.paired(table, first)['uf1']
            low, high = more['interval']
            row = {'option': name, 'encoding': encoding, 'UF1': own['uf1'], 'UAR': own['uar']}
            rows.append(row | {'more': more['difference'], '2.5%': low, '97.5%': high, 'p': more['p']})
    return pd.DataFrame(rows)


def _minmax(features: np.ndarray) -> np.ndarray:
    """Each channel between its extremes in all steps of a clip."""
    low, high = (end(features, axis=(1, 2, 3), keepdims=True) for end in (np.min, np.max))
    return (features - low) / np.where(high > low, high - low, 1)


def _predicted(features: np.ndarray, labels: pd.Series, subjects: pd.Series) -> np.ndarray:
    return cross_val_predict(
        _Ridge(), features.reshape(len(features), -1, 3), labels, groups=subjects, cv=LeaveOneGroupOut()
    )


class _Ridge(BaseEstimator, ClassifierMixin):
    """Kernel ridge on one target per class, with classes of equal weight."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> '_Ridge':
        self.classes_, numbers, counts = np.unique(y, return_inverse=True, return_counts=True)
        self._mean, self._width = x.mean((0, 1)), x.std((0, 1))
        weights = len(y) / (len(counts) * counts[numbers])
        self._ridge = KernelRidge(alpha=RIDGE, kernel='rbf', gamma=1 / np.prod(x.shape[1:]))
        self._ridge.fit(self._scaled(x), np.eye(len(counts))[numbers], sample_weight=weights)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[self._ridge.predict(self._scaled(x)).argmax(1)]

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return ((x - self._mean) / self._width).reshape(len(x), -1)


def _options(work: Work, found: Sequence[tuple[Clip, str]], workers: int) -> pd.DataFrame:
    rows = itertools.chain(*processes.in_order(work.errors, [(clip,) for clip, _ in found], workers))
    titles = {'all': 'from all motion, px', 'error': 'from the expression, px'}
    return summary(pd.DataFrame(list(rows)), 'option', titles)


def _recognised(work: Work, found: Sequence[tuple[Clip, str]], workers: int) -> pd.DataFrame:
    made = list(processes.in_order(work.features, [(clip,) for clip, _ in found], workers))
    features = {name: np.stack([own[name] for own in made]) for name in made[0]}
    columns = schema.DATABASE, schema.SUBJECT, schema.CLIP, schema.LABEL
    rows = [(*clip.key, schema.LABELS.index(label)) for clip, label in found]
    return recognised(features, pd.DataFrame(rows, columns=columns))


def _steps(work: Work, *_) -> pd.DataFrame:
    return summary(steps(work.view()), 'step', {'error': 'error, px', 'length': 'true motion, px'})


def _lights(work: Work, *_) -> pd.DataFrame:
    return summary(lights(work.view), 'light, contrast', {'error': 'error, px'})


TABLES = {'options': _options, 'recognised': _recognised, 'steps': _steps, 'lights': _lights}


def main() -> None:
    """Runs the benchmark, prints its tables and writes them as JSON on request."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.flow_options', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--source', required=True, metavar='DIR', help='a synthetic megc2019_cd')
    parser.add_argument('--flow', default='tvl1', choices=tuple(optical_flow.ALGORITHMS))
    parser.add_argument('--tables', nargs='+', default=[*TABLES], choices=tuple(TABLES))
    parser.add_argument(
        '--clips', type=int, metavar='N', help='only so many of each database, evenly spaced (default: all)'
    )
    parser.add_argument('--cache', metavar='DIR', help='where flows are kept (default: nowhere)')
    parser.add_argument('--workers', type=int, default=1, metavar='N')
    parser.add_argument('--json', metavar='FILE')
    options = parser.parse_args()
    source = pathlib.Path(options.source)
    work = Work(source, landmarks.source(source / 'landmarks.csv'), Cache(options.cache), options.flow)
    found = clips(source)
    if options.clips:
        found = [clip for name in schema.COMPOSITE for clip in _some(found, name, options.clips)]
    people = {clip.key[:2] for clip, _ in found}
    print(f'{len(found)} clips of {len(people)} subjects, {options.flow}')
    kept = {'cv2': cv2.__version__, 'clips': len(found)}
    for name in options.tables:
        table = TABLES[name](work, found, options.workers)
        kept[name] = table.to_dict('records')
        print('', table.round(3).to_string(index=False), sep='\n', flush=True)
    if options.json:
        with replacing(pathlib.Path(options.json)) as temporary:
            temporary.write_text(json.dumps(kept, indent=1) + '\n')


if __name__ == '__main__':
    main()
