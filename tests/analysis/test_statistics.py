"""Aggregates, intervals, profiles and probabilities against rliable, scipy and cases worked by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import statistics
from analysis.bootstrap import bca_limits, order_weights, resample, standard_error, studentised_limits
from analysis.coverage import RUNS, TABLE, TASKS, simulate

rates = st.integers(0, 32).map(lambda wins: wins / 32)
samples = st.lists(rates, min_size=2, max_size=12)
suites = st.dictionaries(st.sampled_from("abcd"), samples, min_size=1, max_size=4)


def matrix(runs=10, tasks=4, seed=0):
    return np.random.default_rng(seed).integers(0, 33, (runs, tasks)) / 32


def suite(scores):
    return {f"map{i}": column for i, column in enumerate(scores.T)}


# Point estimates


def test_point_estimates_are_rliables():
    metrics = pytest.importorskip("rliable.metrics")
    scores = matrix()
    ours = {name: statistics.interval(suite(scores), name).value for name in statistics.STATISTICS}
    assert ours == pytest.approx(
        {
            "iqm": metrics.aggregate_iqm(scores),
            "median": metrics.aggregate_median(scores),
            "mean": metrics.aggregate_mean(scores),
            "optimality_gap": metrics.aggregate_optimality_gap(scores),
        }
    )


@pytest.mark.parametrize("runs", range(1, 13))
def test_interquartile_mean_of_one_map_is_scipys_trimmed_mean(runs):
    scores = matrix(runs, 1)[:, 0]
    assert statistics.interval(scores).value == pytest.approx(stats.trim_mean(scores, 0.25))


def test_median_of_one_map_is_the_median_run_not_the_mean():
    assert statistics.interval([0.0, 0.1, 0.9], "median").value == 0.1
    assert statistics.interval({"3m": [0.0, 0.1, 0.9]}, "median").value == 0.1


def test_maps_with_different_numbers_of_runs_weigh_the_same():
    """By hand: runs repeated to four each are 0 0 0 0 1 1 2 2; the middle half is 0 0 1 1."""
    assert statistics.interval({"a": [0, 0, 0, 0], "b": [1, 2]}).value == pytest.approx(0.5)
    assert statistics.interval({"a": [0, 0, 0, 0], "b": [1, 2]}, "mean").value == pytest.approx(0.75)


@given(st.lists(rates, min_size=4, max_size=4), st.integers(2, 4))
def test_repeating_all_runs_of_a_map_changes_no_ragged_estimate(runs, times):
    other = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]  # with 4 and 8 runs no fraction of a run is cut off
    once = statistics.interval({"a": other, "b": runs}, repetitions=10).value
    repeated = statistics.interval({"a": other * times, "b": runs * 2 * times}, repetitions=10).value
    assert once == pytest.approx(repeated)


# Intervals


@pytest.mark.parametrize("statistic", ["iqm", "median", "mean"])
def test_percentile_interval_of_one_map_agrees_with_scipy(statistic):
    scores = matrix(10, 1, seed=3)[:, 0]
    ours = statistics.interval(scores, statistic, repetitions=20_000)
    function = {"iqm": lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), "median": np.median, "mean": np.mean}
    found = stats.bootstrap(
        (scores,), function[statistic], n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((found.low, found.high), abs=0.012)


@pytest.mark.parametrize("statistic", ["iqm", "median", "mean"])
def test_percentile_interval_of_a_suite_agrees_with_rliable(statistic):
    library = pytest.importorskip("rliable.library")
    metrics = pytest.importorskip("rliable.metrics")
    scores = matrix()
    np.random.seed(1)  # rliable draws from the global stream, whatever it is given
    function = {"iqm": metrics.aggregate_iqm, "median": metrics.aggregate_median, "mean": metrics.aggregate_mean}
    _, found = library.get_interval_estimates({"x": scores}, lambda x: np.array([function[statistic](x)]), reps=3_000)
    ours = statistics.interval(suite(scores), statistic)
    assert (ours.low, ours.high) == pytest.approx(tuple(found["x"][:, 0]), abs=0.012)
    assert (ours.runs, ours.tasks, ours.method) == (10, 4, "percentile bootstrap")


def test_the_matrix_of_one_map_gives_what_drawing_runs_gives():
    """The same drawn indices, once through order statistics and once through the runs themselves."""
    scores = np.random.default_rng(2).random(7)
    drawn = np.random.default_rng(0).integers(7, size=(500, 7))
    for statistic, function in {"mean": np.mean, "median": np.median}.items():
        direct = function(np.sort(scores)[drawn], axis=1)
        assert resample([scores], statistic, 500, 0) == pytest.approx(direct)
    trimmed = stats.trim_mean(np.sort(scores)[drawn], 0.25, axis=1)
    assert resample([scores], "iqm", 500, 0) == pytest.approx(trimmed)
    assert order_weights(7, "iqm", 500, 0).sum(axis=1) == pytest.approx(1)


def test_bca_of_unequal_maps_agrees_with_scipy():
    rng = np.random.default_rng(4)
    tasks = [rng.random(6) ** 3, rng.random(9)]

    def mean_of_means(a, b, axis):
        return (a.mean(axis=axis) + b.mean(axis=axis)) / 2

    found = stats.bootstrap(
        tasks, mean_of_means, n_resamples=20_000, method="BCa", vectorized=True, rng=np.random.default_rng(9)
    ).confidence_interval
    assert bca_limits(tasks, "mean", 0.95, 20_000, 0) == pytest.approx((found.low, found.high), abs=0.01)


def test_studentised_interval_is_the_bootstrap_t_worked_out_in_a_loop():
    scores = np.array([0.1, 0.25, 0.3, 0.55, 0.6, 0.8])
    rng = np.random.default_rng(0)
    t_values = []
    for drawn in scores[rng.integers(6, size=(4_000, 6))]:
        if np.ptp(drawn) > 0:
            t_values.append((drawn.mean() - scores.mean()) / stats.sem(drawn))
    low, high = scores.mean() - np.quantile(t_values, [0.975, 0.025]) * stats.sem(scores)
    assert studentised_limits([scores], "mean", 0.95, 4_000, 0) == pytest.approx((low, high))


def test_standard_error_of_the_interquartile_mean_is_scipys():
    scores = np.random.default_rng(6).random(12)
    ours = float(standard_error([scores], "iqm"))
    assert ours == pytest.approx(float(stats.mstats.trimmed_stde(scores, limits=(0.25, 0.25))))


def test_studentised_intervals_are_refused_where_they_do_not_exist():
    with pytest.raises(ValueError, match="use bca"):
        statistics.interval([0.1, 0.5, 0.6], "median", method="studentised")
    with pytest.raises(ValueError, match="use bca"):
        statistics.interval({"a": [0.1, 0.5], "b": [0.1, 0.2, 0.3]}, method="studentised")


@settings(deadline=None, max_examples=60)
@given(suites, st.sampled_from(["iqm", "mean", "optimality_gap"]), st.sampled_from(["percentile", "bca"]))
def test_an_interval_contains_its_estimate_and_lies_within_the_scores(scores, statistic, method):
    found = statistics.interval(scores, statistic, repetitions=999, method=method)
    values = np.concatenate([np.asarray(runs) for runs in scores.values()])
    values = 1 - values if statistic == "optimality_gap" else values
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert values.min() - 1e-9 <= found.low <= found.high <= values.max() + 1e-9


@settings(deadline=None, max_examples=40)
@given(suites)
def test_more_confidence_never_makes_an_interval_narrower(scores):
    narrow, wide = (statistics.interval(scores, confidence=level, repetitions=500) for level in (0.8, 0.95))
    assert wide.low <= narrow.low + 1e-12 and narrow.high <= wide.high + 1e-12


def test_the_same_input_gives_the_same_interval_and_the_seed_matters():
    scores = suite(matrix())
    assert statistics.interval(scores) == statistics.interval(scores)
    assert statistics.interval(scores) != statistics.interval(scores, seed=1)


def test_one_seed_has_a_value_and_no_interval():
    for scores in ([0.75], {"3m": [0.75, 0.5], "8m": [0.75]}):
        found = statistics.interval(scores)
        assert (found.low, found.high, found.runs, found.method) == (None, None, 1, "one seed: no interval")


def test_runs_that_agree_have_an_interval_of_no_width():
    found = statistics.interval([1.0] * 5, method="bca")
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_where_bca_does_not_exist_the_percentile_interval_stands_in_and_says_so():
    """Without any one of these runs the interquartile mean stays what it is."""
    found = statistics.interval([0.0, 0.5, 0.5, 0.5, 1.0], method="bca")
    assert found.method == "percentile bootstrap (BCa is not defined for these scores)"
    plain = statistics.interval([0.0, 0.5, 0.5, 0.5, 1.0])
    assert (found.low, found.high) == (plain.low, plain.high)


def test_bounds_keep_a_studentised_interval_within_what_a_win_rate_can_be():
    scores = [0.9, 1.0, 1.0, 1.0, 0.5]
    assert statistics.interval(scores, "mean", method="studentised").high > 1
    assert statistics.interval(scores, "mean", method="studentised", bounds=(0, 1)).high == 1


def test_bad_scores_are_named():
    with pytest.raises(ValueError, match="no run of task '8m'"):
        statistics.interval({"3m": [0.5], "8m": []})
    with pytest.raises(ValueError, match="Run 1 of task '3m'"):
        statistics.interval({"3m": [0.5, float("nan")]})
    with pytest.raises(ValueError, match=r"no statistic 'avg'; there are iqm, median"):
        statistics.interval([0.5], "avg")


# Profiles, probabilities, ranks


def test_performance_profile_is_rliables():
    library = pytest.importorskip("rliable.library")
    scores, taus = matrix(), np.linspace(0, 1, 9)
    np.random.seed(1)
    curves, bands = library.create_performance_profile({"x": scores}, taus, reps=1_000)
    ours = statistics.performance_profile(suite(scores), taus)
    assert ours.fraction == pytest.approx(curves["x"])
    assert ours.low == pytest.approx(bands["x"][0], abs=0.03)
    assert ours.high == pytest.approx(bands["x"][1], abs=0.03)


@given(suites)
@settings(deadline=None, max_examples=30)
def test_a_performance_profile_falls(scores):
    profile = statistics.performance_profile(scores, np.linspace(-0.1, 1, 12), repetitions=100)
    assert profile.fraction[0] == 1 and profile.fraction[-1] == 0
    assert (np.diff(profile.fraction) <= 1e-12).all()
    assert (profile.low <= profile.high).all()


def test_probability_of_improvement_is_rliables():
    metrics = pytest.importorskip("rliable.metrics")
    library = pytest.importorskip("rliable.library")
    a, b = matrix(8, 3, 1), matrix(5, 3, 2)
    ours = statistics.probability_of_improvement(suite(a), suite(b))
    assert ours.value == pytest.approx(metrics.probability_of_improvement(a, b))
    np.random.seed(0)
    _, limits = library.get_interval_estimates(
        {"x": [a, b]}, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), reps=1_000
    )
    assert (ours.low, ours.high) == pytest.approx(tuple(limits["x"][:, 0]), abs=0.03)
    assert ours.runs == 5


@given(samples, samples)
@settings(deadline=None, max_examples=40)
def test_probability_of_improvement_turns_round(a, b):
    there, back = (statistics.probability_of_improvement(x, y, repetitions=200) for x, y in ((a, b), (b, a)))
    assert there.value + back.value == pytest.approx(1)
    u = stats.mannwhitneyu(a, b).statistic
    assert there.value == pytest.approx(u / (len(a) * len(b)))


def test_permutation_p_is_the_share_of_all_permutations():
    """2 of the 20 ways to split six runs in threes are as extreme as the split found: p = 0.1."""
    p = statistics.permutation_p([4, 5, 6], [1, 2, 3], repetitions=20_000)
    assert p == pytest.approx(0.1, abs=0.01)
    assert statistics.permutation_p([1, 1], [1, 1]) == 1


def test_tasks_in_common_are_what_two_suites_are_compared_on():
    a, b = {"3m": [1.0, 1.0], "8m": [0.0, 0.0]}, {"3m": [0.0, 0.0], "MMM": [1.0, 1.0]}
    found = statistics.probability_of_improvement(a, b)
    assert (found.value, found.tasks) == (1.0, 1)
    with pytest.raises(ValueError, match="no task in common"):
        statistics.probability_of_improvement({"3m": [1.0]}, {"8m": [1.0]})


def test_probability_matrix_has_a_row_per_pair_and_corrected_p_values():
    frame = statistics.probability_matrix(
        {"a": suite(matrix(seed=1)), "b": suite(matrix(seed=2)), "c": {"map0": [1.0]}}
    )
    assert list(zip(frame["a"], frame["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert list(frame["tasks"]) == [4, 1, 1]
    assert frame["p_holm"].to_numpy() == pytest.approx(statistics.holm(frame["p"]))
    assert frame["low"].notna().tolist() == [True, False, False]


def test_ranks_are_a_distribution_and_ties_are_shared():
    ranks = statistics.rank_distribution({"a": {"3m": [1.0, 1.0]}, "b": {"3m": [0.5, 0.5]}, "c": {"3m": [0.5, 0.5]}})
    assert ranks["a"].tolist() == [1, 0, 0]
    assert ranks["b"].tolist() == ranks["c"].tolist() == [0, 0.5, 0.5]
    mixed = statistics.rank_distribution({str(i): suite(matrix(5, 2, i)) for i in range(4)})
    assert np.sum(list(mixed.values()), axis=0) == pytest.approx(1)
    assert np.sum(list(mixed.values()), axis=1) == pytest.approx(1)


# Noise, coverage, cost


def test_wilson_interval_is_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    found = statistics.wilson(0.875, 32)
    assert (found.low, found.high) == pytest.approx(proportion.proportion_confint(28, 32, method="wilson"))
    with pytest.raises(ValueError, match="no number of wins"):
        statistics.wilson(0.33, 32)


def test_t_interval_is_scipys():
    scores = [0.2, 0.5, 0.9, 0.4]
    found = statistics.t_interval(scores)
    assert (found.low, found.high) == pytest.approx(stats.ttest_1samp(scores, 0).confidence_interval())


def test_noise_of_seeds_and_episodes_is_told_apart():
    rng = np.random.default_rng(0)
    measured = rng.binomial(32, np.clip(rng.normal(0.5, 0.1, 200_000), 0, 1)) / 32
    found = statistics.noise(measured, 32)
    assert (found.seeds, found.episodes) == pytest.approx((0.1, np.sqrt((0.25 - 0.01) / 32)), rel=0.01)
    assert found.total**2 == pytest.approx(found.seeds**2 + found.episodes**2)
    assert statistics.noise([0.5, 0.5, 0.5], 32).seeds == 0


def test_coverage_says_on_how_many_seeds_a_claim_rests():
    found = statistics.coverage(3)
    assert found.sentence.startswith(
        "Rests on 3 seeds: a nominal 95 % bootstrap interval holds the truth in about 76 %"
    )
    assert "Fewer than 5 seeds" in found.sentence and "Fewer" not in statistics.coverage(5).sentence
    assert statistics.coverage(7).actual == statistics.coverage(6).actual  # the next smaller one known
    assert "on each of 3 maps" in statistics.coverage(4, 3).sentence
    assert statistics.coverage(1).actual is None
    assert statistics.rests_on([5, 3]) == statistics.coverage(3).sentence


@pytest.mark.parametrize(("runs", "tasks"), [(3, 1), (5, 1), (10, 1), (3, 3)])
def test_the_simulation_gives_the_table_again(runs, tasks):
    """400 experiments know a coverage to about two standard errors of 0.04, 0.03, ... each."""
    actual, width = simulate(runs, tasks, experiments=400, repetitions=500, seed=1)
    assert actual == pytest.approx(TABLE[runs][tasks][0], abs=0.06)
    assert width == pytest.approx(TABLE[runs][tasks][1], rel=0.1)


def test_the_table_of_coverage_is_whole_and_more_seeds_cover_better():
    assert set(TABLE) == set(RUNS) and all(set(row) == set(TASKS) for row in TABLE.values())
    for tasks in TASKS:
        assert TABLE[3][tasks][0] < TABLE[5][tasks][0] < TABLE[20][tasks][0] < 0.96


def test_costs_are_summed_up_where_they_are_known():
    runs = pd.DataFrame(
        {
            "algorithm": ["a", "a", "b"],
            "map": ["3m"] * 3,
            "wall_s": [10.0, 30.0, 5.0],
            "cpu_s": [12.0, None, 6.0],
            "peak_memory_mib": [500.0, 700.0, 100.0],
            "gpu_memory_mib": [None, None, 64.0],
        }
    )
    frame = statistics.costs(runs).set_index(["algorithm", "cost"])
    assert frame.loc[("a", "wall_s"), ["median", "mean", "min", "max", "total"]].tolist() == [20, 20, 10, 30, 40]
    assert frame.loc[("a", "cpu_s"), ["runs", "known", "total"]].tolist() == [2, 1, 12]
    assert np.isnan(frame.loc[("a", "peak_memory_mib"), "total"])
    assert ("a", "gpu_memory_mib") not in frame.index and frame.loc[("b", "gpu_memory_mib"), "max"] == 64
