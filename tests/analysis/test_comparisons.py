"""Tests of a difference against scipy and cases worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.comparisons import cohens_d, compare, compare_all, hedges_g, holm, mann_whitney, welch

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=15)
samples = st.lists(st.integers(0, 32).map(lambda wins: wins / 32), min_size=2, max_size=10)


@given(samples, samples)
@settings(deadline=None, max_examples=60)
def test_p_values_are_scipys(a, b):
    if np.ptp(a) > 0 and np.ptp(b) > 0:
        assert welch(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert mann_whitney(a, b) == pytest.approx(stats.mannwhitneyu(a, b).pvalue)


def test_welch_with_one_side_that_does_not_vary():
    """Then it is the one-sample test of the other side's mean."""
    assert welch([0.1, 0.4, 0.3], [1.0, 1.0]) == pytest.approx(stats.ttest_1samp([0.1, 0.4, 0.3], 1).pvalue)


def test_mann_whitney_is_exact_without_ties():
    """Three against three wholly apart: 2 of 20 orders."""
    assert mann_whitney([4, 5, 6], [1, 2, 3]) == pytest.approx(0.1)


def test_cohens_d_by_hand():
    """Means 2 and 5, variances 1 and 4, three runs each: pooled variance 2.5."""
    assert cohens_d([1, 2, 3], [3, 5, 7]) == pytest.approx(-3 / math.sqrt(2.5))
    assert cohens_d([3, 5, 7], [1, 2, 3]) == pytest.approx(3 / math.sqrt(2.5))


def test_hedges_correction_is_near_its_well_known_approximation():
    a, b = np.random.default_rng(0).random((2, 10))
    assert hedges_g(a, b) / cohens_d(a, b) == pytest.approx(1 - 3 / (4 * 18 - 1), abs=1e-3)


def test_what_cannot_be_tested_is_not_a_number():
    for a, b in (([0.5], [0.1, 0.2]), ([0.5, 0.5], [0.5, 0.5]), ([1.0, 1.0], [0.0, 0.0])):
        assert math.isnan(welch(a, b)) and math.isnan(cohens_d(a, b))
    assert mann_whitney([0.5, 0.5], [0.5, 0.5]) == 1
    assert math.isnan(hedges_g([1.0], [0.0]))


def test_holm_by_hand():
    """Of 0.01 0.04 0.03: 3 x 0.01, then 2 x 0.03, then the larger of 0.04 and what came before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_holm_is_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    generator = np.random.default_rng(0)
    for n in range(1, 15):
        p = np.round(generator.random(n) ** 3, 2)  # with ties
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


@given(probabilities)
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p):
    adjusted = holm(p)
    assert (adjusted >= np.asarray(p) - 1e-15).all() and (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_counts_only_the_tests_that_were_made():
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04]) and math.isnan(adjusted[1])
    assert holm([]).size == 0


def test_all_pairs_on_all_maps_are_what_each_comparison_alone_gives():
    rng = np.random.default_rng(1)
    sizes = {"a": 5, "b": 5, "c": 9}
    scores = {
        name: {task: rng.integers(0, 33, n) / 32 if task == "3m" else rng.random(n) for task in ("3m", "8m")}
        for name, n in sizes.items()
    }
    del scores["c"]["8m"]
    frame = compare_all(scores)
    assert sorted(zip(frame["task"], frame["a"], frame["b"], strict=True)) == [
        ("3m", "a", "b"), ("3m", "a", "c"), ("3m", "b", "c"), ("8m", "a", "b"),
    ]  # fmt: skip
    for row in frame.itertuples():
        alone = compare(scores[row.a][row.task], scores[row.b][row.task])
        assert (row.difference, row.cohens_d, row.welch_p, row.mann_whitney_p, row.runs_a, row.runs_b) == pytest.approx(
            (alone.difference, alone.cohens_d, alone.welch_p, alone.mann_whitney_p, alone.runs_a, alone.runs_b)
        )
    assert frame["welch_holm"].to_numpy() == pytest.approx(holm(frame["welch_p"]))


def test_comparisons_against_one_algorithm():
    scores = {name: {"3m": [0.1, 0.2, value]} for name, value in (("a", 0.3), ("b", 0.4), ("c", 0.5))}
    frame = compare_all(scores, against="b")
    assert list(zip(frame["a"], frame["b"], strict=True)) == [("a", "b"), ("c", "b")]
    with pytest.raises(ValueError, match="no algorithm 'd'"):
        compare_all(scores, against="d")
