"""Steps (episodes, seconds) to a threshold, with runs that never got there treated as censored.

A run that never reached the threshold tells only that it would take longer than it was watched: leaving it out, or
counting its budget, makes an algorithm look faster than it is. Hence Kaplan-Meier medians and the log-rank test
(lifelines), and ratios that say when a bound is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analysis.bootstrap import REPETITIONS, Array, Estimate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Reach:
    """When a run reached the threshold; censored: it had not by `step`, the last at which it was tested."""

    step: float
    censored: bool


@dataclass(frozen=True)
class Ratio:
    """Time of `a` over time of `b`, below 1 where `a` is faster. 0 and infinite limits: no bound from these runs.

    `value` is None where one side has no median (mean): too few of its runs got there. `sentence` says it in words.
    """

    value: float | None
    low: float | None
    high: float | None
    statistic: str
    runs_a: int
    runs_b: int
    censored_a: int
    censored_b: int
    sentence: str


def first_reaching(steps: ArrayLike, values: ArrayLike, threshold: float, sustained: int = 1) -> Reach:
    """First test at or above the threshold, or, `sustained`, the last of so many in a row: as runs log it themselves.

    Not reached: censored at the last test. ValueError without any test.
    """
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    if not x.size:
        raise ValueError("A run without tests cannot have reached anything.")
    if sustained < 1:
        raise ValueError(f"`sustained` is a number of tests in a row, at least 1, not {sustained}.")
    in_a_row = np.convolve(y >= threshold, np.ones(sustained, dtype=int))[: y.size] >= sustained
    if not in_a_row.any():
        return Reach(float(x[-1]), True)
    return Reach(float(x[int(np.argmax(in_a_row))]), False)


def logged_reaches(
    runs: pd.DataFrame, metrics: pd.DataFrame, quantity: str, sustained: bool = True
) -> dict[str, Reach]:
    """By run_id the time to a (sustained) test win rate of 90 % as the runs logged it themselves.

    `quantity`: steps, episodes, seconds or cpu_seconds. A run that logged none is censored at what it took in all
    (its last step or episode, `wall_s`, `cpu_s`); one of which not even that is known is left out.
    """
    last = {"steps": None, "episodes": "episode", "seconds": "wall_s", "cpu_seconds": "cpu_s"}
    if quantity not in last:
        raise ValueError(f"There is no quantity {quantity!r}; there are {', '.join(last)}.")
    name = f"{quantity}_to_{'sustained_' if sustained else ''}90"
    logged = metrics[metrics["metric"] == name].groupby("run_id")["value"].first()
    if quantity == "steps":
        whole = metrics[metrics["metric"].str.startswith("test_")].groupby("run_id")["step"].max()
    elif quantity == "episodes":
        whole = metrics[metrics["metric"] == "episode"].groupby("run_id")["value"].max()
    else:
        whole = runs.set_index("run_id")[last[quantity]]
    reaches = {}
    for run in runs["run_id"]:
        if run in logged.index:
            reaches[run] = Reach(float(logged[run]), False)
        elif run in whole.index and np.isfinite(float(whole[run])):
            reaches[run] = Reach(float(whole[run]), True)
    return reaches


def kaplan_meier_median(reaches: Sequence[Reach], confidence: float = 0.95) -> Estimate:
    """Median time by Kaplan-Meier, with the Brookmeyer-Crowley interval on the log-log scale (lifelines).

    Infinite: not reached by half of the runs; an infinite upper limit: these runs set no bound. One run: no interval.
    """
    if not reaches:
        raise ValueError("There is no run to take a median of.")
    times, got_there = _arrays(reaches)
    censored = int((~got_there).sum())
    value = float(_medians(times, got_there, np.ones((1, times.size)))[0])
    if times.size < 2:
        return Estimate(value, None, None, 1, 1, "one seed: no interval", confidence, censored)
    if censored == times.size:
        return Estimate(value, float(times.min()), math.inf, times.size, 1, "Kaplan-Meier", confidence, censored)
    from lifelines import KaplanMeierFitter
    from lifelines.utils import median_survival_times

    fitted = KaplanMeierFitter(alpha=1 - confidence).fit(times, got_there)
    low, high = (float(limit) for limit in median_survival_times(fitted.confidence_interval_).to_numpy()[0])
    return Estimate(value, low, high, times.size, 1, "Kaplan-Meier", confidence, censored)


def log_rank(a: Sequence[Reach], b: Sequence[Reach]) -> float:
    """P-value of the log-rank test that both reach the threshold equally fast (lifelines); NaN if none of them did."""
    times_a, reached_a = _arrays(a)
    times_b, reached_b = _arrays(b)
    if not (reached_a.any() or reached_b.any()):
        return math.nan
    from lifelines.statistics import logrank_test

    return float(logrank_test(times_a, times_b, reached_a, reached_b).p_value)


def ratio_of_steps(
    a: Sequence[Reach],
    b: Sequence[Reach],
    statistic: str = "median",
    names: tuple[str, str] = ("a", "b"),
    confidence: float = 0.95,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> Ratio:
    """How many times the steps of `b` does `a` need: ratio of Kaplan-Meier medians ("median") or of means ("mean").

    Percentile bootstrap over the runs of each. A resample in which `a` has no median counts as infinite, one in which
    `b` has none as zero, one in which neither has as whichever widens the interval. Means exist only where every run
    got there.
    """
    if statistic not in ("median", "mean"):
        raise ValueError(f"There is no statistic {statistic!r} for a ratio; there are median, mean.")
    centre, replicates, censored = [], [], []
    generator = np.random.default_rng(seed)
    for reaches in (a, b):
        times, got_there = _arrays(reaches)
        n = times.size
        drawn = generator.integers(n, size=(repetitions, n)) + n * np.arange(repetitions)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=repetitions * n).reshape(repetitions, n)
        of = _medians if statistic == "median" else _means
        centre.append(float(of(times, got_there, np.ones((1, n)))[0]))
        replicates.append(of(times, got_there, counts))
        censored.append(int((~got_there).sum()))
    value = centre[0] / centre[1] if np.isfinite(centre).all() else None
    low, high = _ratio_limits(replicates[0], replicates[1], confidence)
    single = min(len(a), len(b)) < 2
    limits: tuple[float | None, float | None] = (None, None) if single else (low, high)
    sentence = _sentence(value, limits, statistic, names, (len(a), len(b)), (censored[0], censored[1]), confidence)
    return Ratio(value, limits[0], limits[1], statistic, len(a), len(b), censored[0], censored[1], sentence)


def _arrays(reaches: Sequence[Reach]) -> tuple[Array, Array]:
    if not reaches:
        raise ValueError("There is no run whose time could be compared.")
    return np.array([reach.step for reach in reaches], float), np.array([not reach.censored for reach in reaches])


def _medians(times: Array, reached: Array, counts: Array) -> Array:
    """Kaplan-Meier medians of resamples [repetitions] in which run j occurs counts[:, j] times; infinite: none."""
    grid = np.unique(times[reached])
    if not grid.size:
        return np.full(len(counts), np.inf)
    events = counts @ ((times[:, None] == grid) & reached[:, None])
    at_risk = counts @ (times[:, None] >= grid)
    survival = np.cumprod(1 - events / np.maximum(at_risk, 1), axis=1)
    half = survival <= 0.5 + 1e-12
    return np.where(half.any(axis=1), grid[half.argmax(axis=1)], np.inf)


def _means(times: Array, reached: Array, counts: Array) -> Array:
    """Means of resamples [repetitions]; infinite where a run in it never got there."""
    missing = counts @ ~reached > 0
    return np.where(missing, np.inf, counts @ times / counts.sum(axis=1))


def _ratio_limits(a: Array, b: Array, confidence: float) -> tuple[float, float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = a / b
    tail = (1 - confidence) / 2
    # Interpolating between finite and infinite replicates would make NaN: take the replicate on the outer side.
    low = np.quantile(np.where(np.isnan(ratios), 0, ratios), tail, method="lower")
    high = np.quantile(np.where(np.isnan(ratios), np.inf, ratios), 1 - tail, method="higher")
    return float(low), float(high)


def _sentence(
    value: float | None,
    limits: tuple[float | None, float | None],
    statistic: str,
    names: tuple[str, str],
    runs: tuple[int, int],
    censored: tuple[int, int],
    confidence: float,
) -> str:
    missed = [
        f"{count} of {total} runs of {name} never got there"
        for count, total, name in zip(censored, runs, names, strict=True)
        if count
    ]
    told = f" ({'; '.join(missed)})" if missed else ""
    head = f"{statistic.capitalize()} of {names[0]} over {statistic} of {names[1]}"
    low, high = limits
    if low is None or high is None:
        bounds = "no interval from one seed"
    else:
        lower = f"{low:.2f}" if low > 0 else "no lower bound"
        upper = f"{high:.2f}" if math.isfinite(high) else "no upper bound"
        bounds = f"{100 * confidence:g} % bootstrap {lower} to {upper}"
    if value is None:
        return f"{head}: unknown, too few runs got there{told}; {bounds}; n = {runs[0]} and {runs[1]}."
    return f"{head}: {value:.2f} ({bounds}; n = {runs[0]} and {runs[1]}){told}."
