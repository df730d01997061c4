"""Curves at common steps, bands, areas, and the numbers of a run."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import statistics
from analysis.curves import area_under_curve, at_steps, band, curves_of, per_run, suite_band


def test_curves_are_never_padded():
    values = at_steps([10, 20], [0.2, 0.6], [0, 10, 15, 20, 30])
    assert np.isnan(values[[0, 4]]).all() and values[1:4] == pytest.approx([0.2, 0.4, 0.6])
    assert at_steps([10, 20], [0.2, 0.6], [30], hold=True)[0] == 0.6
    assert np.isnan(at_steps([], [], [5])).all()


def test_area_by_hand():
    """A triangle and a step: (0.5 x 10 + 1 x 10) / 20."""
    assert area_under_curve([0, 10, 20], [0, 1, 1]) == pytest.approx(0.75)
    assert area_under_curve([0, 10, 20], [0, 1, 1], until=10) == pytest.approx(0.5)
    assert area_under_curve([0, 10], [0, 1], until=5) == pytest.approx(0.25)
    assert area_under_curve([0, 10], [0, 1], until=20, hold=True) == pytest.approx(0.75)
    assert np.isnan(area_under_curve([0, 10], [0, 1], until=20))
    assert area_under_curve([7], [0.3]) == 0.3 and np.isnan(area_under_curve([], []))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0.1, 1))
def test_an_area_lies_within_the_values(values, share):
    area = area_under_curve(np.arange(len(values)), values, until=share * (len(values) - 1))
    assert min(values) - 1e-12 <= area <= max(values) + 1e-12


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=8))
@settings(deadline=None, max_examples=25)
def test_a_band_is_the_interval_at_each_point(values):
    curves = [([0, 10, 20], row) for row in values]
    found = band(curves, [0, 10, 20], "iqm", repetitions=500)
    for point in range(3):
        alone = statistics.interval([row[point] for row in values], "iqm", repetitions=500)
        assert (found.value[point], found.low[point], found.high[point]) == pytest.approx(
            (alone.value, alone.low, alone.high)
        )


def test_a_band_uses_the_runs_that_are_there():
    found = band([([0, 10], [0, 1]), ([0, 20], [0, 1]), ([0, 20], [1, 1])], [0, 10, 20, 30], "mean")
    assert found.runs.tolist() == [3, 3, 2, 0]
    assert found.value[:3] == pytest.approx([1 / 3, 2.5 / 3, 1])
    assert np.isnan(found.value[3]) and np.isnan(found.low[3])
    held = band([([0, 10], [0, 1]), ([0, 20], [0, 1])], [20], hold=[True, False])
    assert held.runs.tolist() == [2]
    single = band([([0, 10], [0, 1])], [5])
    assert single.value[0] == 0.5 and np.isnan(single.low[0])


def test_many_runs_take_the_other_way_to_the_same_band():
    """Above 64 runs the resamples are drawn instead of being rows of a matrix."""
    rng = np.random.default_rng(0)
    curves = [([0, 1], rng.random(2)) for _ in range(80)]
    found = band(curves, [0, 1], "mean", repetitions=4_000)
    half = 1.96 * np.std([y for _, y in curves], axis=0) / np.sqrt(80)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.06)


def test_the_band_of_a_suite_is_the_suites_interval():
    rng = np.random.default_rng(0)
    tasks = {name: [([0, 10], rng.random(2)) for _ in range(5)] for name in ("3m", "8m")}
    found = suite_band(tasks, [0, 10, 11], repetitions=1_000)
    alone = statistics.interval({name: [y[1] for _, y in runs] for name, runs in tasks.items()}, repetitions=1_000)
    assert (found.value[1], found.low[1], found.high[1]) == pytest.approx((alone.value, alone.low, alone.high))
    assert found.runs.tolist() == [5, 5, 0] and np.isnan(found.value[2])


RUNS = pd.DataFrame(
    {"run_id": ["r1", "r2", "r3"], "algorithm": ["amal", "mappo", "amal"], "map": "3m", "seed": [1, 1, 2]}
)


def metrics_frame():
    rows = [("r1", "test_battle_won_mean", s, v) for s, v in ((20, 0.9), (10, 0.5), (30, 1.0), (40, 0.95))]
    rows += [("r2", "test_battle_won_mean", s, v) for s, v in ((10, 0.0), (40, 0.8), (50, 0.6))]
    rows += [("r1", "episode", s, s / 2) for s in (0, 40)] + [("r1", "absolute_win", 40, 0.97)]
    return pd.DataFrame(rows, columns=["run_id", "metric", "step", "value"]).sample(frac=1, random_state=0)


def test_numbers_of_each_run():
    frame = per_run(RUNS, metrics_frame(), until=40, absolute_metric="absolute_win")
    assert list(frame.index) == ["r1", "r2"]  # r3 has no tests
    first = frame.loc["r1"]
    assert (first["final"], first["best"], first["best_step"], first["absolute"]) == (0.95, 1.0, 30, 0.97)
    assert (first["step_to"], first["reached"], first["episode_to"], first["points"]) == (40, True, 20, 4)
    assert first["auc"] == pytest.approx((0.7 + 0.95 + 0.975) / 3)
    second = frame.loc["r2"]
    assert (second["step_to"], second["reached"], second["final"], second["best"]) == (50, False, 0.6, 0.8)
    assert second["auc"] == pytest.approx(0.4) and np.isnan(second["absolute"]) and np.isnan(second["episode_to"])


def test_curves_come_in_order_of_steps_and_without_gaps():
    frame = metrics_frame()
    frame.loc[len(frame) + 99] = ["r2", "test_battle_won_mean", 45, np.nan]
    curves = {run: (x.tolist(), y.tolist()) for run, x, y in curves_of(frame, "test_battle_won_mean")}
    assert curves == {"r1": ([10, 20, 30, 40], [0.5, 0.9, 1.0, 0.95]), "r2": ([10, 40, 50], [0.0, 0.8, 0.6])}
    assert list(curves_of(frame, "nothing")) == []
