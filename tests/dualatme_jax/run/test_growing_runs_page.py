"""docs/growing_runs.md: its commands, one after the other, on a small network."""

import ast
import pathlib
import re
import shlex

import pytest
from small_run import run, small

PAGE = (pathlib.Path(__file__).parents[3] / 'docs' / 'growing_runs.md').read_text()
COMMANDS = re.findall(r'^python -m dualatme_jax\.main (.*)$', PAGE, re.MULTILINE)
EPOCHS = {100: 3}  # where the page has 100 after 60, here are 3 after 2


def config_and_folder(command, dataset_dir, folder):
    """What a command of the page asks for, of a small network that has seen few epochs."""
    given = dict(flag.removeprefix('--').split('=', 1) for flag in shlex.split(command))
    assert given.pop('config') == 'configs/cd.py'
    workdir = folder / given.pop('workdir')
    fields = {name.removeprefix('config.'): ast.literal_eval(value) for name, value in given.items()}
    if 'sweep' in fields:
        fields['sweep'] = tuple(fields['sweep'])
    if 'training.epochs' in fields:
        fields['training.epochs'] = EPOCHS[fields['training.epochs']]
    return small(dataset_dir, **fields), workdir


@pytest.mark.slow
def test_the_page_s_commands_train_what_is_new(small_dataset_dir, tmp_path):
    printed = []
    for command in COMMANDS:
        config, workdir = config_and_folder(command, small_dataset_dir, tmp_path)
        complete, _, text = run(config, workdir)
        assert complete
        printed.append(text)
    seeds, sweep, epochs = printed[1], printed[2], printed[4]
    assert '8 of 24 trials are there; training 16' in seeds
    there, every, new = map(int, re.search(r'(\d+) of (\d+) trials are there; training (\d+)', PAGE).groups())
    assert (there / 68, every / 68, new / 68) == (8 / 8, 24 / 8, 16 / 8), 'as the page has it of 68 subjects'
    assert '24 of 48 trials are there; training 24' in sweep
    assert '8 trials that are there are trained on, from epoch 2 to 3' in epochs
