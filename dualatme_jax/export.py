"""Puts the networks of a run that left nobody out into one file, with a model card beside it.

    python -m dualatme_jax.export --network runs/synthetic_motion --evaluated runs/zero_shot \
      --out small_cnn.safetensors

The card says on what they were trained, and how they score people whom they have not seen, as a run with
config.evaluate_only and config.report.ensemble has found. With --calibrate-on the file also says how often
their answers are right: the temperature is fitted on these databases, and answers are counted on the others.
"""

import argparse
import math
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dualatme_jax.errors import InputError, exit_status, printable

if TYPE_CHECKING:
    import pandas as pd

    from dualatme_jax.report.rates import Rates

LARGEST = 2 * 2**20  # bytes of a file that belongs into a repository


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be exported."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: print(printable(_export(options))))


def _export(options: argparse.Namespace) -> str:
    from dualatme_jax.files import expanded, replacing
    from dualatme_jax.report import marks
    from dualatme_jax.report import rates as rates_lib
    from dualatme_jax.run import network, trained

    source, out = expanded(options.network, '--network'), expanded(options.out, '--out')
    if out.suffix != network.SUFFIX:
        raise InputError(f'--out {out}: expected a file *{network.SUFFIX}; the card becomes *.md beside it')
    evaluated = expanded(options.evaluated, '--evaluated')
    about = network.about(source)
    results, table = _scores(evaluated, source)
    if options.calibrate_on and (found := marks.of_predictions(results)):
        raise InputError(
            f'--calibrate-on: the scores of {evaluated} are marked ({" ".join(found)}), so they do not say '
            'how often answers about people are right; leave it out, or evaluate them on clips of people'
        )
    rates = (
        rates_lib.measured(table, results['labels'], options.calibrate_on) if options.calibrate_on else None
    )
    reads = trained.read(evaluated)[1]['input']  # as `evaluate_only` has compared it with the training's
    size = network.write(source, out, reads=reads, rates=rates, most=LARGEST)
    card = out.with_suffix('.md')
    with replacing(card) as temporary:
        temporary.write_text(
            '\n'.join(_card(out.name, about, results, table, rates)) + '\n', encoding='utf-8'
        )
    return f'wrote {out} ({size / 1024:.0f} KiB) and {card}'


def _scores(evaluated: pathlib.Path, source: pathlib.Path) -> tuple[Mapping[str, Any], 'pd.DataFrame']:
    """The results of a run that has scored the networks as an ensemble, and the ensemble's predictions."""
    from dualatme_jax.files import expanded
    from dualatme_jax.report import ensemble, predictions, results
    from dualatme_jax.run import workdir

    found = results.read(evaluated / workdir.RESULTS)
    scored = (found.get('started_from') or {}).get('path')
    if not found.get('ensemble') or not scored or expanded(scored, '--evaluated') != source:
        raise InputError(
            f'--evaluated {evaluated}: no ensemble of the networks of {source}; expected the workdir of a '
            f'run with --config.evaluate_only={source} --config.report.ensemble=mean'
        )
    return found, predictions.read(evaluated / ensemble.CSV)[0]


def _card(
    file: str,
    about: Mapping[str, Any],
    results: Mapping[str, Any],
    table: 'pd.DataFrame',
    rates: 'Rates | None',
) -> Iterator[str]:
    """The lines of the model card."""
    from sklearn.metrics import confusion_matrix

    from dualatme_jax import models, schema
    from dualatme_jax.report import predictions

    config, dataset = about['config'], about['dataset']
    title = models.system(config['model']['name']).title
    people = sum(map(len, about['trained_on']['subjects'].values()))
    yield f'# {file}'
    yield ''
    yield f'{title}, {len(about["seeds"])} networks, one per seed, as an ensemble:'
    yield 'the probabilities of the classes ' + ', '.join(about['labels']) + ' are averaged.'
    yield ''
    drawn = dataset.get('synthetic') or dataset.get('release') == schema.SYNTHETIC
    yield f'- **Trained on** {about["trained_on"]["origin"]}: {people} {"drawn" if drawn else "real"} people.'
    yield f'- **Reads** {", ".join(about["inputs"])}, encoding {config["input"]["encoding"]}.'
    yield '- **Made by** `python -m dualatme_jax.export`; how: docs/synthetic_motion.md.'
    yield '- **Must not be used** to decide anything about anybody: it is research software and no lie'
    yield '  detector, is often wrong, and has been tried on nobody but the people below.'
    yield ''
    yield '## Scores on people whom it has not seen'
    yield ''
    yield f'Clips of {results["dataset"].get("release")}; [low, high]: 95 % bootstrap over subjects.'
    yield ''
    yield '| | UF1, mean ± sd of the seeds | UF1 of the ensemble | UAR of the ensemble |'
    yield '|---|---|---|---|'
    for name, single in results['scores'].items():
        both = results['ensemble']['scores'][name]
        deviation = f' ± {single["uf1"]["sd"]:.3f}' if single['uf1']['sd'] is not None else ''
        cells = [_named(name), f'{single["uf1"]["mean"]:.3f}{deviation}']
        yield f'| {" | ".join([*cells, _interval(both["uf1"]), _interval(both["uar"])])} |'
    if rates is not None:
        yield from _answers(rates)
    classes = range(len(results['labels']))
    for name, rows in predictions.subsets(table).items():
        matrix = confusion_matrix(rows['label'], rows['prediction'], labels=classes)
        yield ''
        yield f'{_named(name)}, clips of each class (rows) by prediction of the ensemble:'
        yield ''
        yield from _matrix(matrix, results['labels'])


def _answers(rates: 'Rates') -> Iterator[str]:
    """How often `python -m dualatme_jax.predict` would have been right."""
    from dualatme_jax.report.rates import CANNOT_TELL

    own, others = (', '.join(map(_named, names)) for names in (rates.fitted_on, rates.counted_on))
    clips = int(rates.given.sum() + rates.silent.sum())
    before, after = rates.likelihood
    yield ''
    yield f'## How often an answer is right: {others}'
    yield ''
    yield f'Logits are divided by {rates.temperature:.3f}, which was fitted on {own}. On the {clips} clips of'
    yield f'{others} that takes the negative log-likelihood from {before:.3f} to {after:.3f}. There is an'
    yield f'answer where the most probable class has {rates.least:g} or more. {int(rates.silent.sum())} clips'
    yield f'have none; of {rates.silent_right} of these the most probable class was right.'
    yield ''
    yield f'| class | {" | ".join(f"answer {label}" for label in rates.labels)} | {CANNOT_TELL} |'
    yield '|---' * (2 + len(rates.labels)) + '|'
    for label, row, none in zip(rates.labels, rates.confusion.tolist(), rates.silent.tolist(), strict=True):
        yield f'| {label} | {" | ".join(map(str, row))} | {none} |'
    shares = [
        'too few' if math.isnan(right) else f'{right:.0%} [{low:.0%}, {high:.0%}]'
        for right, (low, high) in zip(rates.right, rates.intervals, strict=True)
    ]
    yield f'| of these answers right | {" | ".join(shares)} | |'
    yield ''
    yield 'Of these clips people have marked onset and apex. In a video that a spotter cuts, most of what'
    yield 'happens may be no expression of these classes: there answers are right less often.'


def _named(clips: str) -> str:
    from dualatme_jax import schema

    return 'All' if clips == schema.FULL else schema.title(clips)


def _interval(found: Mapping[str, Any]) -> str:
    if found['interval'] is None:
        return f'{found["mean"]:.3f}'
    low, high = found['interval']
    return f'{found["mean"]:.3f} [{low:.2f}, {high:.2f}]'


def _matrix(matrix: Any, labels: Sequence[str]) -> Iterator[str]:
    yield f'| | {" | ".join(labels)} |'
    yield '|---' * (1 + len(labels)) + '|'
    for label, row in zip(labels, matrix.tolist(), strict=True):
        yield f'| {label} | {" | ".join(map(str, row))} |'


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.export',
        description='Networks that left nobody out, in one file with a model card beside it.',
    )
    parser.add_argument(
        '--network', required=True, metavar='DIR', help="the workdir of a run with config.folds='all'"
    )
    parser.add_argument(
        '--evaluated',
        required=True,
        metavar='DIR',
        help='the workdir of a run that has scored them (config.evaluate_only, config.report.ensemble=mean)',
    )
    parser.add_argument(
        '--calibrate-on',
        nargs='+',
        default=[],
        metavar='DATABASE',
        help='fit the temperature on the clips of these, and count on those of the others how often answers '
        'are right (default: neither is done, and `predict` says that nobody knows)',
    )
    parser.add_argument('--out', required=True, metavar='FILE', help='*.safetensors; the card becomes *.md')
    return parser


if __name__ == '__main__':
    sys.exit(main())
