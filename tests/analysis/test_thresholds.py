"""Times to a threshold: the runs' own milestones, lifelines, and cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.thresholds import (
    Reach,
    _medians,
    first_reaching,
    kaplan_meier_median,
    log_rank,
    logged_reaches,
    ratio_of_steps,
)
from tracking.milestones import Milestones

reaches = st.lists(
    st.builds(Reach, st.integers(1, 12).map(lambda k: 1000.0 * k), st.booleans()), min_size=2, max_size=12
)


def there(*steps):
    return [Reach(float(step), False) for step in steps]


def not_by(*steps):
    return [Reach(float(step), True) for step in steps]


def test_first_and_sustained_crossing():
    steps, rates = [10, 20, 30, 40, 50, 60], [0.5, 0.9, 0.5, 1.0, 0.9, 1.0]
    assert first_reaching(steps, rates, 0.9) == Reach(20, False)
    assert first_reaching(steps, rates, 0.9, sustained=2) == Reach(50, False)
    assert first_reaching(steps, rates, 0.9, sustained=3) == Reach(60, False)
    assert first_reaching(steps, rates, 0.9, sustained=4) == Reach(60, True)
    assert first_reaching(steps[:1], rates[:1], 0.9) == Reach(10, True)


@given(st.lists(st.integers(0, 32).map(lambda wins: wins / 32), min_size=1, max_size=30), st.integers(1, 4))
def test_sustained_means_what_the_runs_themselves_log(rates, sustained):
    milestones = Milestones(sustained)
    for number, rate in enumerate(rates, 1):
        milestones.test(rate, 1000 * number, number, 0.0, 0.0)
    logged = milestones.reached.get("steps_to_sustained_90")
    expected = Reach(1000.0 * len(rates), True) if logged is None else Reach(logged, False)
    assert first_reaching(1000 * np.arange(1, len(rates) + 1), rates, 0.9, sustained) == expected


def test_senseless_questions_are_refused():
    with pytest.raises(ValueError, match="without tests"):
        first_reaching([], [], 0.9)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        first_reaching([1], [1.0], 0.9, sustained=0)
    with pytest.raises(ValueError, match="no run"):
        kaplan_meier_median([])


@given(reaches)
@settings(deadline=None, max_examples=40)
def test_kaplan_meier_median_is_lifelines(runs):
    lifelines = pytest.importorskip("lifelines")
    ours = kaplan_meier_median(runs)
    fitted = lifelines.KaplanMeierFitter().fit([r.step for r in runs], [not r.censored for r in runs])
    assert ours.value == fitted.median_survival_time_
    assert ours.censored == sum(r.censored for r in runs)
    assert ours.low <= ours.value <= ours.high


def test_without_censoring_the_median_is_the_median_run():
    assert kaplan_meier_median(there(1000, 9000, 3000)).value == 3000


def test_censored_runs_count_as_later_than_when_they_were_last_seen():
    """Half of 4 runs got there by 2000; leaving the censored ones out would say 1500."""
    assert kaplan_meier_median([*there(1000, 2000), *not_by(9000, 9000)]).value == 2000
    never = kaplan_meier_median([*there(1000), *not_by(9000, 9000)])
    assert (never.value, never.high, never.censored) == (math.inf, math.inf, 2)
    nobody = kaplan_meier_median(not_by(4000, 5000))
    assert (nobody.value, nobody.low, nobody.high) == (math.inf, 4000, math.inf)


def test_a_run_watched_for_a_short_time_only_leaves_the_set_at_risk():
    """By hand: S(2) = 3/4; the run last seen at 3 leaves 2 at risk, so S(4) = 3/8 and the median is 4."""
    assert kaplan_meier_median([*there(2), *not_by(3), *there(4, 5)]).value == 4


def test_one_run_has_no_interval():
    found = kaplan_meier_median(there(5000))
    assert (found.value, found.low, found.high) == (5000, None, None)


@given(reaches, st.integers(0, 100))
@settings(deadline=None, max_examples=30)
def test_medians_of_resamples_are_those_of_the_resampled_runs(runs, seed):
    times, got_there = np.array([r.step for r in runs]), np.array([not r.censored for r in runs])
    drawn = np.random.default_rng(seed).integers(len(runs), size=(5, len(runs)))
    counts = np.array([np.bincount(row, minlength=len(runs)) for row in drawn])
    direct = [kaplan_meier_median([runs[i] for i in row]).value for row in drawn]
    assert _medians(times, got_there, counts).tolist() == direct


def test_log_rank_is_lifelines_and_unknown_if_nobody_got_there():
    statistics = pytest.importorskip("lifelines.statistics")
    a, b = there(1000, 2000, 3000, 4000), [*there(5000, 6000), *not_by(8000, 8000)]
    expected = statistics.logrank_test(
        [r.step for r in a], [r.step for r in b], [not r.censored for r in a], [not r.censored for r in b]
    ).p_value
    assert log_rank(a, b) == pytest.approx(expected) == pytest.approx(log_rank(b, a))
    assert math.isnan(log_rank(not_by(1, 2), not_by(3)))


def test_ratio_of_means_is_that_of_the_plain_bootstrap():
    a, b = there(1000, 2000, 3000, 2500, 1500), there(8000, 7000, 9000, 6000, 10000)
    found = ratio_of_steps(a, b, "mean", names=("amal", "mappo"), repetitions=20_000)
    assert found.value == pytest.approx(2000 / 8000)
    generator = np.random.default_rng(7)
    means = [generator.choice([r.step for r in runs], (20_000, 5)).mean(axis=1) for runs in (a, b)]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means[0] / means[1], [2.5, 97.5])), rel=0.02)
    assert found.sentence.startswith("Mean of amal over mean of mappo: 0.25 (95 % bootstrap 0.")


def test_ratio_of_medians_and_its_reverse():
    a, b = there(1000, 2000, 3000), there(4000, 8000, 12000)
    forth, back = ratio_of_steps(a, b), ratio_of_steps(b, a)
    assert (forth.value, back.value) == (0.25, 4)
    assert forth.low <= forth.value <= forth.high < 1


def test_a_ratio_says_what_censoring_leaves_unknown():
    a, b = there(1000, 2000, 3000, 4000), not_by(9000, 9000, 9000, 9000)
    found = ratio_of_steps(a, b, names=("amal", "mappo"))
    assert (found.value, found.low, found.high) == (None, 0, 0)
    assert "unknown, too few runs got there (4 of 4 runs of mappo never got there)" in found.sentence
    half = ratio_of_steps(a, [*there(8000, 9000, 9500), *not_by(10000)])
    assert half.value == 2000 / 9000 and half.low == 0 and math.isfinite(half.high)
    assert "no lower bound" in half.sentence and "1 of 4 runs of b never got there" in half.sentence
    neither = ratio_of_steps(not_by(1, 2), not_by(3, 4))
    assert (neither.value, neither.low, neither.high) == (None, 0, math.inf)
    assert ratio_of_steps(a, [*there(1, 2, 3), *not_by(4)], "mean").value is None


def test_a_ratio_of_single_runs_has_no_interval():
    found = ratio_of_steps(there(1000), there(2000))
    assert (found.value, found.low, found.high) == (0.5, None, None)
    assert "no interval from one seed" in found.sentence


def test_logged_milestones_are_censored_at_what_the_run_took():
    runs = pd.DataFrame({"run_id": ["a", "b", "c"], "wall_s": [50.0, 80.0, None], "cpu_s": [60.0, 90.0, None]})
    metrics = pd.DataFrame(
        [
            ("a", "test_battle_won_mean", 900, 1.0),
            ("a", "steps_to_sustained_90", 900, 900.0),
            ("a", "seconds_to_sustained_90", 900, 40.0),
            ("a", "episodes_to_sustained_90", 900, 30.0),
            ("b", "test_battle_won_mean", 1000, 0.1),
            ("b", "episode", 990, 33.0),
        ],
        columns=["run_id", "metric", "step", "value"],
    )
    assert logged_reaches(runs, metrics, "steps") == {"a": Reach(900, False), "b": Reach(1000, True)}
    assert logged_reaches(runs, metrics, "seconds") == {"a": Reach(40, False), "b": Reach(80, True)}
    assert logged_reaches(runs, metrics, "episodes") == {"a": Reach(30, False), "b": Reach(33, True)}
    with pytest.raises(ValueError, match="no quantity 'joules'"):
        logged_reaches(runs, metrics, "joules")
