import matplotlib.image
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dualatme_jax import schema
from dualatme_jax.report import predictions
from dualatme_jax.report.pictures import confusion


def table(databases=('casme2', 'smic', 'samm'), seeds=1):
    rows = [
        (seed, database, f's{clip % 2}', f'c{clip}', clip % 3, (clip + (clip + seed) % 4) % 3)
        for seed in range(seeds)
        for database in databases
        for clip in range(12)
    ]
    return pd.DataFrame(rows, columns=['seed', *predictions.CLIP_KEY, 'label', 'prediction'])


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws and returns (the figure, the PNG's path)."""
    figures = []
    save = Figure.savefig

    def keeping(figure, *arguments, **options):
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, 'savefig', keeping)

    def draw(predicted, labels=schema.LABELS, **options):
        path = tmp_path / 'confusion.png'
        confusion.confusion_matrices(predicted, labels, path, **options)
        return figures[-1], path

    return draw


def counts(axes):
    return [int(text.get_text()) for text in axes.texts if not text.get_text().endswith('%')]


def test_a_panel_a_set(drawn):
    figure, path = drawn(table())
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.splitlines()[0] for title in titles] == ['All databases', 'CASME II', 'SMIC', 'SAMM']
    assert all('UF1 0.' in title for title in titles)
    full, *databases = map(counts, figure.axes)
    assert full == [sum(cell) for cell in zip(*databases, strict=True)]
    assert sum(full) == 36
    height, width, _ = matplotlib.image.imread(path).shape
    assert width > 2 * height > 600


def test_one_database_is_one_panel_with_known_counts(drawn):
    predicted = pd.DataFrame(
        [(0, 'smic', '1', f'c{n}', *cell) for n, cell in enumerate([(0, 0), (0, 0), (0, 1), (1, 1), (2, 0)])],
        columns=['seed', *predictions.CLIP_KEY, 'label', 'prediction'],
    )
    figure, _ = drawn(predicted)
    [axes] = figure.axes
    assert counts(axes) == [2, 1, 0, 0, 1, 0, 1, 0, 0]
    # F1: 2*2/(2*2+1+1), 2*1/(2*1+1), 0
    assert axes.get_title() == f'SMIC\nUF1 {(2 / 3 + 2 / 3 + 0) / 3:.3f}'


@pytest.mark.parametrize('labels', [('truthful', 'deceptive'), tuple('abcde')])
def test_any_classes_are_named(drawn, labels):
    classes = range(len(labels))
    predicted = pd.DataFrame(
        [(0, 'casme3', '1', f'{k}{j}', k, j) for k in classes for j in classes if j <= k],
        columns=['seed', *predictions.CLIP_KEY, 'label', 'prediction'],
    )
    figure, _ = drawn(predicted, labels)
    [axes] = figure.axes
    assert counts(axes) == [int(j <= k) for k in classes for j in classes]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(labels)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(labels)


def test_seeds_are_summed_and_said_to_be(drawn):
    figure, _ = drawn(table(seeds=3))
    assert sum(counts(figure.axes[0])) == 3 * 36
    assert '3 seeds' in figure.get_suptitle()
    figure, _ = drawn(table())
    assert figure.get_suptitle() == ''


def test_a_class_without_clips_is_drawn_empty(drawn):
    figure, _ = drawn(table(databases=['samm']).query('label != 2'))
    assert counts(figure.axes[0])[6:] == [0, 0, 0]


def test_the_same_predictions_give_the_same_bytes(tmp_path):
    paths = tmp_path / 'a.png', tmp_path / 'b.png'
    for path in paths:
        confusion.confusion_matrices(table(seeds=2), schema.LABELS, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_notice_stands_above_the_picture(drawn):
    predicted = table(seeds=2)
    figure, _ = drawn(predicted)
    assert 'SMOKE' not in figure.get_suptitle()
    figure, _ = drawn(predicted, notice='SMOKE TEST')
    assert figure.get_suptitle() == 'SMOKE TEST\nCounts summed over 2 seeds, UF1 averaged'
