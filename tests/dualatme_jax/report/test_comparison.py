"""Systems side by side: scikit-learn's scores and kappa, SciPy's p, clips by hand, and names of any kind."""

import html.parser

import numpy as np
import pandas as pd
import people
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from scipy import stats
from sklearn import metrics

from dualatme_jax.errors import InputError
from dualatme_jax.report import comparison, comparison_view, latex, scores, tables
from dualatme_jax.report.systems import Systems

LABELS = ('negative', 'positive', 'surprise')


def system(wrong=(), seeds=(0,), *, subjects=6, by=1):
    """Predictions of some people's clips that are right but for the places `wrong`, of each seed the same."""
    clips = people.clips(subjects, 6).drop(columns='left_out')
    at = np.isin(np.arange(len(clips)), list(wrong))
    prediction = np.where(at, (clips['label'] + by) % 3, clips['label'])
    rows = [clips.assign(trial=0, seed=seed, prediction=prediction) for seed in seeds]
    return pd.concat(rows, ignore_index=True)


def systems(tables, **notices):
    return Systems(tables, LABELS, {name: notices.get(name, ()) for name in tables})


def compared(tables, **options):
    return comparison.compare(systems(tables), resamples=10, **options)


def uf1(table):
    return metrics.f1_score(table['label'], table['prediction'], average='macro')


def test_scores_tests_and_agreement_are_those_of_scikit_learn_and_scipy():
    tables = {'a': system(range(0, 36, 5)), 'b': system({1, 2, 8}), 'c': system(range(0, 36, 3), by=2)}
    found = compared(tables, reference='b')
    own = found.scores.set_index('system')
    assert own['reference'].tolist() == [False, True, False]
    for name, table in tables.items():
        recall = metrics.recall_score(table['label'], table['prediction'], average='macro')
        assert own.loc[name, 'uf1_mean'] == pytest.approx(uf1(table))
        assert own.loc[name, 'uar_mean'] == pytest.approx(recall)
        assert own.loc[name, 'acc_mean'] == pytest.approx((table['label'] == table['prediction']).mean())
        samm = table[table['database'] == 'samm']
        assert own.loc[name, 'samm_uf1_mean'] == pytest.approx(uf1(samm))
    pairs = found.pairs.set_index(['a', 'b'])
    assert pairs.index.tolist() == [('a', 'b'), ('a', 'c'), ('b', 'c')]
    for (a, b), row in pairs.iterrows():
        kappa = metrics.cohen_kappa_score(tables[a]['prediction'], tables[b]['prediction'])
        assert row['kappa'] == pytest.approx(kappa)
        assert row['difference_mean'] == pytest.approx(uf1(tables[a]) - uf1(tables[b]))
    assert pairs.loc[('a', 'b'), 'p'] == pytest.approx(every_way(tables['a'], tables['b']))
    assert 0 < pairs['p'].min() < pairs['p'].max() < 1
    # Holm by hand: two tests against the reference, three of all pairs.
    low, high = sorted([own.loc['a', 'p'], own.loc['c', 'p']])
    assert sorted(own['p_holm'].dropna()) == pytest.approx([2 * low, max(2 * low, high)])
    p = np.sort(pairs['p'])
    by_hand = np.minimum(1, np.maximum.accumulate(p * [3, 2, 1]))
    assert np.sort(pairs['p_holm']) == pytest.approx(by_hand)
    assert own.loc['c', 'difference_mean'] == -pairs.loc[('b', 'c'), 'difference_mean']
    assert own.loc['c', 'difference_low'] == -pairs.loc[('b', 'c'), 'difference_high']


def every_way(a, b):
    """SciPy's p of all ways to exchange two systems by subject."""
    of_a, of_b = ([rows for _, rows in table.groupby(['database', 'subject'])] for table in (a, b))
    every = [*of_a, *of_b]

    def difference(left, right):
        return uf1(pd.concat([every[int(place)] for place in left])) - uf1(
            pd.concat([every[int(place)] for place in right])
        )

    size = len(of_a)
    places = np.arange(size), size + np.arange(size)
    found = stats.permutation_test(places, difference, permutation_type='samples', vectorized=False)
    return found.pvalue


@pytest.mark.parametrize('seeds', [(0, 0), (1, 3)])
def test_kappa_over_seeds_is_the_mean_of_scikit_learns(seeds):
    random = np.random.default_rng(0)
    tables = {}
    for name, number in zip('ab', (2, 3), strict=True):
        rows = system(seeds=range(number))
        tables[name] = rows.assign(prediction=random.integers(3, size=len(rows)))
    by_seed = {
        name: [own['prediction'].to_numpy() for _, own in table.groupby('seed')]
        for name, table in tables.items()
    }
    expected = [metrics.cohen_kappa_score(a, b) for a in by_seed['a'] for b in by_seed['b']]
    [row] = compared(tables).pairs.to_dict('records')
    assert row['kappa'] == pytest.approx(np.mean(expected))
    assert row['paired_seeds'] == 2


def test_seeds_are_paired_where_both_have_them_and_else_in_their_order():
    a, b = system(seeds=(1, 2, 3)), system({0}, seeds=(3, 2, 9))
    of_a, of_b = comparison.paired_seeds(a, b)
    assert set(of_a['seed']) == set(of_b['seed']) == {0, 1}
    pd.testing.assert_frame_equal(
        of_b[of_b['seed'] == 1].drop(columns='seed'), b[b['seed'] == 3].drop(columns='seed')
    )
    of_a, of_b = comparison.paired_seeds(a, system(seeds=(7, 5)).assign(trial=lambda rows: rows['seed']))
    assert len(of_a) == len(of_b) == 2 * 36
    assert of_b[of_b['seed'] == 0]['trial'].unique().tolist() == [5]
    [row] = compared({'a': a, 'b': system({0}, seeds=(8,))}).pairs.to_dict('records')
    assert row['paired_seeds'] == 1
    assert row['difference_mean'] == pytest.approx(1 - uf1(system({0})))


def test_of_one_seed_each_nothing_is_said_of_several():
    for wrong in ({0, 1}, ()):  # clips on which they differ, and none
        lines = comparison_view.markdown(compared({'a': system(wrong), 'b': system()})).splitlines()
        told = [line for line in lines if 'seed' in line and not line.startswith('|')]
        assert told == ['- One seed; [low, high] is the 95% bootstrap over subjects.']


def test_the_clips_are_those_on_which_systems_differ_with_who_is_right():
    tables = {'a': system({0, 1}, seeds=(0, 1, 2)), 'b': system({0, 2}), 'c': system({0, 2, 3})}
    later = tables['a']['seed'] == 2
    tables['a'] = tables[
        'a'
    ].assign(  # its last seed is right of clip 1 and wrong of clip 5, which changes nothing
        prediction=tables['a']['prediction'].where(~later, system({0, 5})['prediction'].tolist() * 3)
    )
    found = compared(tables)
    clips = people.clips(6, 6)
    places = [
        clips.index[(clips[['database', 'subject', 'clip']] == row).all(axis=1)][0]
        for row in found.clips[['database', 'subject', 'clip']].to_numpy().tolist()
    ]
    assert sorted(places) == [1, 2, 3]
    row = found.clips.iloc[places.index(1)].to_dict()
    assert row['right_a'] == pytest.approx(1 / 3)
    assert comparison.is_right(row, 'abc') == [False, True, True]
    text = comparison_view.markdown(found)
    label, other = (LABELS[number] for number in (row['label'], row['predicted_a']))
    assert f'| {label} | {other} 1/3 | {label} | {label} | 2, 3 |' in text
    same = compared({'a': tables['b'], 'b': tables['b']})
    assert same.clips.empty
    assert 'All systems predict the same of each of the 36 clips' in comparison_view.markdown(same)


def test_one_system_and_a_reference_that_is_none_are_refused():
    with pytest.raises(InputError, match='a is the only system; expected two or more'):
        compared({'a': system()})
    with pytest.raises(InputError, match="--reference is 'x'; expected one of a, b"):
        compared({'a': system(), 'b': system({0})}, reference='x')


def test_of_many_systems_only_the_reference_is_paired_with_each(monkeypatch):
    monkeypatch.setattr(comparison, 'MOST_PAIRS', 2)
    found = compared({name: system({place}) for place, name in enumerate('abc')}, reference='b')
    assert found.pairs[['a', 'b']].to_numpy().tolist() == [['a', 'b'], ['b', 'c']]
    text = comparison_view.markdown(found)
    assert 'Of 3 systems only the pairs with the reference are tested' in text


def test_what_leaks_stands_beside_its_scores_in_every_output(tmp_path):
    notice = 'LEAKS: inputs are scaled by all clips.'
    own = systems({'a': system(), 'b': system({0, 7})}, b=(notice,))
    found = comparison.compare(own, resamples=10)
    comparison_view.write(found, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(comparison_view.FILES)
    rows = [line for line in (tmp_path / 'compare.md').read_text().splitlines() if line.startswith('| 2. b')]
    assert [line.endswith(f' {notice} |') for line in rows[:2]] == [True, True]  # whole and by database
    for name in ('compare.csv', 'compare.tex', 'compare.html'):
        assert notice in (tmp_path / name).read_text()
    assert 'LEAKS' in (tmp_path / 'compare.svg').read_text()
    again = tmp_path / 'again'
    again.mkdir()
    comparison_view.write(found, again)
    for name in comparison_view.FILES:
        assert (tmp_path / name).read_bytes() == (again / name).read_bytes(), name


class Cells(html.parser.HTMLParser):
    """The text of each cell of a table's body, and the tags that there are."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.tags, self._open = [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == 'td':
            self.cells.append('')
        self._open = self._open or tag == 'td'

    def handle_endtag(self, tag):
        self._open = self._open and tag != 'td'

    def handle_data(self, data):
        if self._open:
            self.cells[-1] += data


SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'
NASTY = [
    '<script>alert(1)</script>',
    '**bold** _it_ `code` ~~x~~ $x$',
    '[a](http://b) ![c](d) <http://e> &lt;',
    r'\input{/etc/passwd} & 100% #1 ~ ^ | \| $\alpha$',
    '</td></tr></table><img src=x onerror=y>',
]
NAMES = st.text(st.characters(codec='utf-8', exclude_categories=('C', 'Z')), min_size=1, max_size=12)
MARKS = st.text('<>&"\'*_`~$|\\[](){}#%^!:/ a1', min_size=1, max_size=12).map(str.strip).filter(bool)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.sampled_from(NASTY), NAMES, MARKS))
def test_markdown_shows_any_name_as_it_is(name):
    shown = ' '.join(name.split())
    table = tables.markdown(['System', 'x'], [[tables.literal(f'1. {name}'), '.5']])
    page = (
        MarkdownIt('commonmark', {'html': True})
        .enable(['table', 'strikethrough'])
        .render(f'- Of {tables.literal(name)}: x\n\n{table}')
    )
    found = Cells(page)
    assert found.cells[0] == f'1. {shown}'
    assert len(found.cells) == 2
    assert found.tags == {'ul', 'li', 'table', 'thead', 'tbody', 'tr', 'th', 'td'}


def test_names_are_names_in_every_format(tmp_path):
    plain = compared({'a': system(), 'b': system({0, 7})})
    renamed = {
        f'{name}{place}': table
        for place, (name, table) in enumerate((name, system({place})) for place, name in enumerate(NASTY))
    }
    nasty = compared(renamed)
    text = comparison_view.html(nasty, tex='x', svg=SVG)
    expected = Cells(comparison_view.html(plain, tex='x', svg=SVG))
    found = Cells(text)
    assert found.tags <= expected.tags
    assert {f'{place + 1}. {name}' for place, name in enumerate(renamed)} <= set(found.cells)
    tex = comparison_view.latex_text(nasty)
    for name in renamed:
        assert latex.escaped(name) in tex
        assert name not in tex
    comparison_view.write(nasty, tmp_path)  # the picture, too, takes any name
    assert pd.read_csv(tmp_path / 'compare.csv')['system'].tolist() == list(renamed)


def test_scores_without_scikit_learn_are_its_own():
    table = system(range(0, 36, 5), seeds=(0, 1))
    found = scores.score_run(table, resamples=5)
    assert found['per_seed'][1]['full'] == pytest.approx(scores.score(table[table['seed'] == 1]))
