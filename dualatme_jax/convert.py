"""Brings weights from PyTorch, one file for each left-out subject, and back.

    python -m dualatme_jax.convert --model ststnet --source STSTNet_Weights --out weights/ststnet
    python -m dualatme_jax.convert --model ststnet --to-torch --source weights/ststnet --out DIR
    python -m dualatme_jax.convert --model ststnet --to-torch --source runs/ststnet --out DIR

No code of a file is run. The libraries are imported late: they take seconds, and `--help` should not.
"""

import argparse
import sys

from dualatme_jax.errors import InputError, exit_status, printable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be converted."""
    options = _parser().parse_args(arguments)
    convert = _to_torch if options.to_torch else _from_torch
    return exit_status(lambda: print(printable(convert(options))))


def _from_torch(options: argparse.Namespace) -> str:
    _refuse(options, 'seed', 'point', reason='chooses from a trained run, with --to-torch')
    from dualatme_jax import scratch
    from dualatme_jax.files import expanded
    from dualatme_jax.weights import folds, source

    given, out = expanded(options.source, '--source'), expanded(options.out, '--out')
    with scratch.new_folder(out) as folder:
        tensors = folder.parent / 'tensors'
        tensors.mkdir()
        found, notes = source.read_folds(given, options.model, options.variant, tensors)
        folds.save(found, folder)
    notes.append(
        f'wrote {len(found.subjects)} folds of {found.model}, variant {found.variant}, with '
        f'{found.classes} classes to {out}'
    )
    return '\n'.join(notes)


def _to_torch(options: argparse.Namespace) -> str:
    _refuse(options, 'variant', reason='is known from --source, with --to-torch')
    import json

    from dualatme_jax import scratch
    from dualatme_jax.files import expanded
    from dualatme_jax.run import trained
    from dualatme_jax.weights import folds, names, pth

    source, out = expanded(options.source, '--source'), expanded(options.out, '--out')
    if folds.is_one(source):
        _refuse(options, 'seed', 'point', reason='chooses from a trained run, which --source is not')
        variant, networks = folds.networks(source, options.model)
        start = folds.start_of(source)
    else:
        variant, networks = trained.networks(source, options.model, seed=options.seed, point=options.point)
        start = trained.read(source)[1].get(folds.START)
    origin = {'variant': variant} | ({folds.START: json.dumps(start)} if start else {})
    written = []
    with scratch.new_folder(out) as folder:
        for subject, variables in networks:
            written.append(folds.file_name(subject))
            state_dict = names.to_torch(options.model, variables)
            pth.write(folder / written[-1], state_dict, origin)
    lines = [f'wrote {len(written)} files of {options.model} to {out}, such as {written[0]}']
    if lacking := names.left_out(options.model, variant):
        lines.append(
            f'the published PyTorch code also declares {", ".join(lacking)}, which it never reads: load '
            'these files there with strict=False'
        )
    return '\n'.join(lines)


def _refuse(options: argparse.Namespace, *given: str, reason: str) -> None:
    for option in given:
        if getattr(options, option) is not None:
            raise InputError(f'--{option} {reason}; leave it out')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.convert',
        description='PyTorch weights, one file per subject, to the weights of all folds in one; and back.',
    )
    parser.add_argument('--model', required=True, metavar='NAME', help='as config.model.name: ststnet, ...')
    parser.add_argument(
        '--variant',
        metavar='NAME',
        help='as config.model.variant (default: the one that has these tensors; of several the one that the '
        'published PyTorch code computes)',
    )
    parser.add_argument(
        '--source',
        required=True,
        metavar='DIR',
        help='the folder with the weights for each left-out subject, SUBJECT.pth, .pth.tar, .pt, .ckpt or '
        '.safetensors; with --to-torch a folder that this command wrote, or the workdir of a trained run',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='a folder that is new or empty')
    parser.add_argument('--to-torch', action='store_true', help='convert from this package to PyTorch')
    parser.add_argument('--seed', type=int, metavar='N', help='which seed of a trained run that has several')
    parser.add_argument(
        '--point', type=int, metavar='N', help='which point of a trained sweep, a number of its trials.csv'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
