import json
import types

from data_prep.files import progress


def test_a_program_reads_how_far_it_is_once_a_second_and_at_the_end(monkeypatch, capsys):
    clock = iter([0.0, 0.4, 1.1, 1.5, 2.0, 2.2, 2.5])
    monkeypatch.setattr(progress, 'time', types.SimpleNamespace(monotonic=lambda: next(clock)))
    assert list(progress.tracked('abcde', 'letters', None, for_a_program=True)) == list('abcde')
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith(progress.FOR_A_PROGRAM) for line in lines)
    said = [json.loads(line.removeprefix(progress.FOR_A_PROGRAM)) for line in lines]
    assert [(each['done'], each['seconds']) for each in said] == [(2, 1.1), (5, 2.2), (5, 2.5)]
    assert said[0] == {'stage': 'letters', 'done': 2, 'total': None, 'seconds': 1.1}
