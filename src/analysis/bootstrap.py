"""Bootstrap over runs: interquartile mean, median, mean and optimality gap with their intervals.

Scores are the runs of one task, or a mapping from task to its runs (any number of runs each). Resampling draws runs
with replacement within each task (stratified), as in Agarwal et al. 2021, "Deep RL at the edge of the statistical
precipice". Written anew because rliable's resampling cannot be seeded, wants equal numbers of runs, and takes some
fifty times as long; the tests compare the results.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray[Any, np.dtype[Any]]
Scores = ArrayLike | Mapping[str, ArrayLike]
Statistic = Callable[[Sequence[Array]], Array]

REPETITIONS = 5_000
TRIM = 0.25
"""Share cut off at either end by the interquartile mean."""
BATCH = 4_000_000
"""Largest number of resampled values held at a time."""
CACHED_RUNS = 64
"""Up to so many runs of one task, a resample is a row of a cached matrix."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    `low` and `high` are None where no interval can be given (one seed); infinite where the data set no bound (times to
    a threshold that too few runs reached). `runs` is the number of runs of the task with the fewest, which is what a
    claim rests on. `censored` runs never got there (times only).
    """

    value: float
    low: float | None
    high: float | None
    runs: int
    tasks: int
    method: str
    confidence: float = 0.95
    censored: int = 0


def as_tasks(scores: Scores) -> list[Array]:
    """The scores as one float array [runs] per task; ValueError where a task has no run or a score is not finite."""
    named = scores if isinstance(scores, Mapping) else {"": scores}
    tasks = [np.asarray(runs, dtype=float).reshape(-1) for runs in named.values()]
    if not tasks:
        raise ValueError("There are no scores: the mapping from task to runs is empty.")
    for name, runs in zip(named, tasks, strict=True):
        where = f" of task {name!r}" if name else ""
        if not runs.size:
            raise ValueError(f"There is no run{where}: leave the task out.")
        if not np.isfinite(runs).all():
            raise ValueError(f"Run {int(np.argmin(np.isfinite(runs)))}{where} has no finite score: leave it out.")
    return tasks


def iqm(tasks: Sequence[Array]) -> Array:
    """Interquartile mean over the pooled runs of all tasks; arrays [..., runs] to [...].

    With the same number of runs everywhere this is the 25 % trimmed mean of rliable (scipy.stats.trim_mean). Else each
    task weighs the same, as though its runs were repeated up to a common number.
    """
    pooled = np.sort(np.concatenate(tasks, axis=-1), axis=-1) if _rectangular(tasks) else None
    if pooled is not None:
        cut = int(TRIM * pooled.shape[-1])
        middle: Array = pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)
        return middle
    values = np.concatenate(tasks, axis=-1)
    weights = np.concatenate([np.full(task.shape[-1], 1 / task.shape[-1] / len(tasks)) for task in tasks])
    order = np.argsort(values, axis=-1, kind="stable")
    upper = np.cumsum(weights[order], axis=-1)
    kept = np.clip(np.minimum(upper, 1 - TRIM) - np.maximum(upper - weights[order], TRIM), 0, None)
    weighted: Array = (np.take_along_axis(values, order, axis=-1) * kept).sum(axis=-1) / kept.sum(axis=-1)
    return weighted


def mean(tasks: Sequence[Array]) -> Array:
    """Mean over tasks of the mean over runs; arrays [..., runs] to [...]."""
    return np.mean([task.mean(axis=-1) for task in tasks], axis=0)


def median(tasks: Sequence[Array]) -> Array:
    """Median over the runs of the only task; of several tasks, the median of their means (as rliable has it)."""
    if len(tasks) == 1:
        return np.median(tasks[0], axis=-1)
    return np.median([task.mean(axis=-1) for task in tasks], axis=0)


def optimality_gap(tasks: Sequence[Array]) -> Array:
    """Mean distance below a score of 1; what lies above counts as 1. For win rates: one minus the mean."""
    return 1 - mean([np.minimum(task, 1) for task in tasks])


STATISTICS: dict[str, Statistic] = {"iqm": iqm, "median": median, "mean": mean, "optimality_gap": optimality_gap}


def statistic_called(name: str) -> Statistic:
    """The statistic of that name; ValueError with the names there are."""
    if name not in STATISTICS:
        raise ValueError(f"There is no statistic {name!r}; there are {', '.join(STATISTICS)}.")
    return STATISTICS[name]


def resample(tasks: Sequence[Array], statistic: str, repetitions: int = REPETITIONS, seed: int = 0) -> Array:
    """The statistic of `repetitions` resamples [repetitions], runs drawn with replacement within each task."""
    if len(tasks) == 1 and tasks[0].size <= CACHED_RUNS and statistic != "optimality_gap":
        return order_weights(tasks[0].size, statistic, repetitions, seed) @ np.sort(tasks[0])
    function = statistic_called(statistic)
    return np.concatenate([function(drawn) for drawn in draws(tasks, repetitions, seed)])


def draws(tasks: Sequence[Array], repetitions: int, seed: int) -> Iterator[list[Array]]:
    """Yield batches of resamples: per task an array [batch, runs]."""
    generator = np.random.default_rng(seed)
    batch = max(1, BATCH // sum(task.size for task in tasks))
    for start in range(0, repetitions, batch):
        size = min(batch, repetitions - start)
        yield [task[generator.integers(task.size, size=(size, task.size))] for task in tasks]


@lru_cache(maxsize=64)
def order_weights(n_runs: int, statistic: str, repetitions: int, seed: int) -> Array:
    """Matrix [repetitions, n_runs]: a resample's statistic as weights on the sorted runs.

    A resample of sorted values, with its indices sorted, is sorted already; so mean, median and interquartile mean of
    all resamples of any number of samples of that size are one matrix product.
    """
    cuts = {"mean": 0, "iqm": int(TRIM * n_runs), "median": (n_runs - 1) // 2}
    cut = cuts[statistic]
    drawn = np.random.default_rng(seed).integers(n_runs, size=(repetitions, n_runs))
    middle = np.sort(drawn, axis=1)[:, cut : n_runs - cut]
    flat = middle + n_runs * np.arange(repetitions)[:, None]
    counts = np.bincount(flat.ravel(), minlength=repetitions * n_runs).reshape(repetitions, n_runs)
    return counts / middle.shape[1]


def draw_counts(n_runs: int, repetitions: int, seed: int, stream: int) -> Array:
    """How often each run occurs in each resample [repetitions, n_runs]; rows sum to n_runs.

    Different streams are independent of each other. Small ones are kept, for they serve every pair of algorithms.
    """
    draw = _kept_counts if n_runs <= CACHED_RUNS else _draw_counts
    return draw(n_runs, repetitions, seed, stream)


def _draw_counts(n_runs: int, repetitions: int, seed: int, stream: int) -> Array:
    generator = np.random.default_rng([seed, stream, n_runs])
    drawn = generator.integers(n_runs, size=(repetitions, n_runs)) + n_runs * np.arange(repetitions)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=repetitions * n_runs).reshape(repetitions, n_runs)
    return counts.astype(np.float32)  # whole numbers: exact


_kept_counts = lru_cache(maxsize=128)(_draw_counts)


def percentile_limits(replicates: Array, confidence: float) -> tuple[Array, Array]:
    """Lower and upper percentile limits of replicates [repetitions, ...]."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def limits_by(
    method: str, tasks: Sequence[Array], statistic: str, confidence: float, repetitions: int, seed: int
) -> tuple[float, float, str]:
    """Limits by percentile, bca or studentised, and the method in words.

    BCa does not exist where leaving out any one run changes nothing (many equal scores): percentile then, and said.
    """
    if method == "studentised":
        return *studentised_limits(tasks, statistic, confidence, repetitions, seed), "studentised bootstrap"
    words = "percentile bootstrap"
    if method == "bca":
        low, high = bca_limits(tasks, statistic, confidence, repetitions, seed)
        if math.isfinite(low) and math.isfinite(high):
            return low, high, "bca bootstrap"
        words += " (BCa is not defined for these scores)"
    lower, upper = percentile_limits(resample(tasks, statistic, repetitions, seed), confidence)
    return float(lower), float(upper), words


def bca_limits(
    tasks: Sequence[Array], statistic: str, confidence: float, repetitions: int, seed: int
) -> tuple[float, float]:
    """Bias-corrected and accelerated limits (Efron 1987), from scipy; NaN where they do not exist."""
    from scipy import stats

    function = statistic_called(statistic)

    def of(*samples: Array, axis: int = -1) -> Array:
        return function([np.moveaxis(sample, axis, -1) for sample in samples])

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # answered by NaN
        found = stats.bootstrap(
            tuple(tasks),
            of,
            vectorized=True,
            n_resamples=repetitions,
            batch=max(1, BATCH // sum(task.size for task in tasks)),
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)


def studentised_limits(
    tasks: Sequence[Array], statistic: str, confidence: float, repetitions: int, seed: int
) -> tuple[float, float]:
    """Limits of the bootstrap-t (Efron and Tibshirani 1993, chapter 12); resamples without any spread are left out.

    ValueError for a statistic without a closed standard error, or with unequal numbers of runs.
    """
    if statistic not in ("mean", "iqm") or not _rectangular(tasks):
        raise ValueError(
            "Studentised intervals are there for mean and iqm, with the same number of runs on every task; use bca."
        )
    function = statistic_called(statistic)
    value = float(function(tasks))
    pieces = []
    for drawn in draws(tasks, repetitions, seed):
        spread = standard_error(drawn, statistic)
        usable = spread > 1e-12
        pieces.append((function(drawn)[usable] - value) / spread[usable])
    low, high = percentile_limits(np.concatenate(pieces), confidence)
    error = float(standard_error(tasks, statistic))
    return value - float(high) * error, value - float(low) * error


def standard_error(tasks: Sequence[Array], statistic: str) -> Array:
    """Standard error of mean or interquartile mean, runs independent within tasks; arrays [..., runs] to [...].

    For the trimmed mean from the winsorised variance (Tukey and McLaughlin 1963). Numbers of runs must be equal.
    """
    values = np.stack(list(tasks), axis=-2)  # [..., tasks, runs]
    n_tasks, n_runs = values.shape[-2:]
    if statistic == "iqm":
        pooled = np.sort(values.reshape(*values.shape[:-2], -1), axis=-1)
        cut = int(TRIM * pooled.shape[-1])
        low, high = pooled[..., cut, None, None], pooled[..., pooled.shape[-1] - cut - 1, None, None]
        values = np.clip(values, low, high) / (1 - 2 * cut / pooled.shape[-1])
    variance = values.var(axis=-1, ddof=1) / n_runs
    error: Array = np.sqrt(variance.sum(axis=-1)) / n_tasks
    return error


def clipped(limits: tuple[float, float], bounds: tuple[float, float] | None) -> tuple[float, float]:
    """The limits, kept within the bounds a score can have."""
    low, high = bounds or (-math.inf, math.inf)
    return min(max(limits[0], low), high), min(max(limits[1], low), high)


def _rectangular(tasks: Sequence[Array]) -> bool:
    return len({task.shape[-1] for task in tasks}) == 1
