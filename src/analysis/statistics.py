"""Statistics of comparisons between algorithms, the public side: what tables, figures and reports call.

Everything here works on plain arrays: the scores of one task are its runs, those of a suite a mapping from task to
runs, of any number each. No file is read. What each number means, and where it comes from: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analysis.bootstrap import (
    CACHED_RUNS,
    REPETITIONS,
    STATISTICS,
    Array,
    Estimate,
    Scores,
    as_tasks,
    clipped,
    draw_counts,
    limits_by,
    percentile_limits,
    statistic_called,
)
from analysis.comparisons import Comparison, cohens_d, compare, compare_all, hedges_g, holm, mann_whitney, welch
from analysis.costs import costs
from analysis.coverage import coverage, rests_on
from analysis.curves import Band, area_under_curve, at_steps, band, per_run, suite_band
from analysis.noise import Noise, noise, t_interval, wilson

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "REPETITIONS",
    "STATISTICS",
    "Band",
    "Comparison",
    "Estimate",
    "Noise",
    "Profile",
    "area_under_curve",
    "at_steps",
    "band",
    "cohens_d",
    "compare",
    "compare_all",
    "costs",
    "coverage",
    "hedges_g",
    "holm",
    "interval",
    "mann_whitney",
    "noise",
    "per_run",
    "performance_profile",
    "permutation_p",
    "probability_matrix",
    "probability_of_improvement",
    "rank_distribution",
    "rests_on",
    "suite_band",
    "t_interval",
    "welch",
    "wilson",
]

METHODS = ("percentile", "bca", "studentised")
TIE = 1e-9
"""Means of runs closer than this share their rank."""


@dataclass(frozen=True)
class Profile:
    """Performance profile: at each threshold, the share of runs scoring more; limits None with a single seed."""

    thresholds: Array
    fraction: Array
    low: Array | None
    high: Array | None
    runs: int
    tasks: int


def interval(
    scores: Scores,
    statistic: str = "iqm",
    confidence: float = 0.95,
    repetitions: int = REPETITIONS,
    seed: int = 0,
    method: str = "percentile",
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Statistic of the runs of one task [runs], or of {task: [runs]}, with its stratified-bootstrap interval.

    `statistic`: iqm, median, mean, optimality_gap. `method`: percentile, bca or studentised (mean and iqm only).
    `bounds` keeps the limits within what a score can be. One seed on some task: the value without interval.
    """
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    tasks = as_tasks(scores)
    value = float(statistic_called(statistic)(tasks))
    fewest = min(task.size for task in tasks)
    if fewest < 2:
        return Estimate(value, None, None, fewest, len(tasks), "one seed: no interval", confidence)
    low, high, words = value, value, "percentile bootstrap"
    if any(np.ptp(task) > 0 for task in tasks):
        low, high, words = limits_by(method, tasks, statistic, confidence, repetitions, seed)
    low, high = clipped((low, high), bounds)
    return Estimate(value, low, high, fewest, len(tasks), words, confidence)


def probability_of_improvement(
    a: Scores, b: Scores, confidence: float = 0.95, repetitions: int = REPETITIONS, seed: int = 0
) -> Estimate:
    """Probability that a run of `a` beats one of `b` on the same task, a tie counting half; mean over shared tasks.

    Mann-Whitney's U / (n_a n_b), percentile bootstrap within tasks (Agarwal et al. 2021). ValueError without a task
    in common.
    """
    pairs = _paired(a, b)
    wins = [_wins(x, y) for x, y in pairs]
    value = float(np.mean([matrix.mean() for matrix in wins]))
    fewest = min(min(matrix.shape) for matrix in wins)
    if fewest < 2:
        return Estimate(value, None, None, fewest, len(wins), "one seed: no interval", confidence)
    total = np.zeros(repetitions)
    for task, matrix in enumerate(wins):
        of_a, of_b = (draw_counts(n, repetitions, seed, 2 * task + side) for side, n in enumerate(matrix.shape))
        total += ((of_a @ matrix) * of_b).sum(axis=1) / matrix.size
    low, high = percentile_limits(total / len(wins), confidence)
    return Estimate(value, float(low), float(high), fewest, len(wins), "percentile bootstrap", confidence)


def permutation_p(a: Scores, b: Scores, repetitions: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of "no difference" for the probability of improvement, labels permuted within each task.

    (1 + permutations at least as far from a half) / (1 + permutations): Phipson and Smyth 2010.
    """
    pairs = _paired(a, b)
    observed = float(np.mean([_wins(x, y).mean() for x, y in pairs]))
    total = np.zeros(repetitions)
    for task, (x, y) in enumerate(pairs):
        pooled = np.concatenate([x, y])
        ranks = (pooled[:, None] > pooled).sum(axis=1) + 0.5 * ((pooled[:, None] == pooled).sum(axis=1) + 1)
        rank_sums = _splits(x.size, y.size, repetitions, seed, task) @ ranks
        total += (rank_sums - x.size * (x.size + 1) / 2) / (x.size * y.size)
    extreme = np.abs(total / len(pairs) - 0.5) >= abs(observed - 0.5) - 1e-12
    return float((1 + extreme.sum()) / (1 + repetitions))


def probability_matrix(
    algorithms: Mapping[str, Scores], confidence: float = 0.95, repetitions: int = REPETITIONS, seed: int = 0
) -> pd.DataFrame:
    """Every pair of algorithms with a task in common: a, b, probability, low, high, runs, tasks, p, p_holm."""
    import pandas as pd

    rows = []
    names = list(algorithms)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            a, b = algorithms[first], algorithms[second]
            if isinstance(a, Mapping) and isinstance(b, Mapping) and not set(a) & set(b):
                continue
            found = probability_of_improvement(a, b, confidence, repetitions, seed)
            p = permutation_p(a, b, seed=seed)
            rows.append((first, second, found.value, found.low, found.high, found.runs, found.tasks, p))
    columns = ["a", "b", "probability", "low", "high", "runs", "tasks", "p"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["p_holm"] = holm(frame["p"].to_numpy(dtype=float))
    return frame


def performance_profile(
    scores: Scores,
    thresholds: ArrayLike,
    confidence: float = 0.95,
    repetitions: int = 2_000,
    seed: int = 0,
) -> Profile:
    """Share of runs scoring above each threshold, mean over tasks, with a pointwise percentile-bootstrap band."""
    tasks = as_tasks(scores)
    taus = np.asarray(thresholds, dtype=float)
    above = [(task[:, None] > taus).astype(float) for task in tasks]
    fraction: Array = np.mean([matrix.mean(axis=0) for matrix in above], axis=0)
    fewest = min(task.size for task in tasks)
    if fewest < 2:
        return Profile(taus, fraction, None, None, fewest, len(tasks))
    total = np.zeros((repetitions, taus.size))
    for task, matrix in enumerate(above):
        total += draw_counts(matrix.shape[0], repetitions, seed, task) @ matrix / matrix.shape[0]
    low, high = percentile_limits(total / len(tasks), confidence)
    return Profile(taus, fraction, low, high, fewest, len(tasks))


def rank_distribution(
    algorithms: Mapping[str, Mapping[str, ArrayLike]], repetitions: int = 2_000, seed: int = 0
) -> dict[str, Array]:
    """Per algorithm the probability of each rank [algorithms], by task mean over resampled runs; ties are shared.

    Only tasks that all algorithms have are counted; ValueError where there is none.
    """
    shared = [task for task in next(iter(algorithms.values())) if all(task in tasks for tasks in algorithms.values())]
    if not shared:
        raise ValueError("There is no task that all algorithms have runs on.")
    n = len(algorithms)
    probability = np.zeros((n, n))
    for task in shared:
        runs = [np.asarray(tasks[task], dtype=float) for tasks in algorithms.values()]
        # The same draws on every task do no harm: each rank's probability is a mean over tasks, not a joint one.
        means = np.stack([draw_counts(x.size, repetitions, seed, i) @ x / x.size for i, x in enumerate(runs)], axis=1)
        better = (means[:, None, :] > means[:, :, None] + TIE).sum(axis=2)
        equal = (np.abs(means[:, None, :] - means[:, :, None]) <= TIE).sum(axis=2)
        for rank in range(n):
            probability[:, rank] += (((better <= rank) & (rank < better + equal)) / equal).mean(axis=0)
    return dict(zip(algorithms, probability / len(shared), strict=True))


def _paired(a: Scores, b: Scores) -> list[tuple[Array, Array]]:
    """The runs of both on each task they share."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        shared = [task for task in a if task in b]
        if not shared:
            raise ValueError("The two have no task in common.")
        return list(zip(as_tasks({t: a[t] for t in shared}), as_tasks({t: b[t] for t in shared}), strict=True))
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        raise ValueError("Give both as runs of one task, or both as a mapping from task to runs.")
    return [(as_tasks(a)[0], as_tasks(b)[0])]


def _wins(x: Array, y: Array) -> Array:
    """Matrix [len(x), len(y)]: 1 where x is more, 1/2 where equal."""
    return (x[:, None] > y) + 0.5 * (x[:, None] == y)


def _splits(n_a: int, n_b: int, repetitions: int, seed: int, task: int) -> Array:
    """Matrix [repetitions, n_a + n_b]: 1 for the runs that a random split gives to the first side, else 0."""
    split = _kept_random_splits if n_a + n_b <= CACHED_RUNS else _random_splits
    return split(n_a, n_b, repetitions, seed, task)


def _random_splits(n_a: int, n_b: int, repetitions: int, seed: int, task: int) -> Array:
    order = np.argsort(np.random.default_rng([seed, task]).random((repetitions, n_a + n_b)), axis=1)
    split = np.zeros(order.shape, dtype=np.float32)
    np.put_along_axis(split, order[:, :n_a], 1, axis=1)
    return split


_kept_random_splits = lru_cache(maxsize=64)(_random_splits)
