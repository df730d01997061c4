"""Learning curves as numbers: values at given steps, bands over runs, area under the curve, one row per run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analysis.bootstrap import CACHED_RUNS, Array, order_weights, percentile_limits, resample, statistic_called
from analysis.thresholds import first_reaching

if TYPE_CHECKING:
    import pandas as pd

Curve = tuple[ArrayLike, ArrayLike]
"""Steps and values of one run, steps rising."""
WIN_RATE = "test_battle_won_mean"


@dataclass(frozen=True)
class Band:
    """A curve over runs at common steps; NaN where no run (limits: fewer than two runs) has a value. All [points]."""

    steps: Array
    value: Array
    low: Array
    high: Array
    runs: Array
    statistic: str


def at_steps(steps: ArrayLike, values: ArrayLike, grid: ArrayLike, hold: bool = False) -> Array:
    """A run's values at the steps of `grid`, in proportion between two tests; NaN before its first and after its last.

    `hold` keeps the last value after the end, right for a run that ended early because it had won; never zeros.
    """
    x, y, at = (np.asarray(data, dtype=float) for data in (steps, values, grid))
    if not x.size:
        return np.full(at.shape, np.nan)
    return np.interp(at, x, y, left=np.nan, right=float(y[-1]) if hold else np.nan)


def area_under_curve(steps: ArrayLike, values: ArrayLike, until: float | None = None, hold: bool = False) -> float:
    """Mean height of a curve from its first test to step `until` (its last test by default), by trapezoids.

    Divided by the steps covered, so that a win rate gives a win rate. NaN where the curve ends before `until`, unless
    `hold` keeps its last value; a curve of one test has that test's value.
    """
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    if not x.size:
        return float("nan")
    end = float(x[-1]) if until is None else float(until)
    if end < x[0] or (end > x[-1] and not hold):
        return float("nan")
    if end == x[0]:
        return float(y[0])
    inside = x < end
    x_cut, y_cut = np.append(x[inside], end), np.append(y[inside], at_steps(x, y, [end], hold=True))
    return float(np.trapezoid(y_cut, x_cut) / (end - x[0]))


def band(
    curves: Sequence[Curve],
    grid: ArrayLike,
    statistic: str = "iqm",
    hold: Sequence[bool] | bool = False,
    confidence: float = 0.95,
    repetitions: int = 2_000,
    seed: int = 0,
) -> Band:
    """Statistic over the runs of one task at the steps of `grid`, with a pointwise percentile-bootstrap band.

    Each point uses the runs that have a value there (`runs` says how many). Fast: one matrix product per number of
    runs, so a thousand bands take seconds.
    """
    at = np.asarray(grid, dtype=float)
    values = _matrix(curves, at, hold)
    count = (~np.isnan(values)).sum(axis=0)
    centre, low, high = (np.full(at.size, np.nan) for _ in range(3))
    for n in np.unique(count[count > 0]):
        points = np.flatnonzero(count == n)
        ordered = np.sort(values[:, points], axis=0)[:n]  # NaN sorts last
        centre[points] = statistic_called(statistic)([ordered.T])
        if n < 2:
            continue
        if n <= CACHED_RUNS and statistic != "optimality_gap":
            replicates = order_weights(int(n), statistic, repetitions, seed) @ ordered
            limits = percentile_limits(replicates, confidence)
        else:
            each = [percentile_limits(resample([c], statistic, repetitions, seed), confidence) for c in ordered.T]
            limits = np.array([pair[0] for pair in each]), np.array([pair[1] for pair in each])
        low[points], high[points] = limits
    return Band(at, centre, low, high, count, statistic)


def suite_band(
    tasks: Mapping[str, Sequence[Curve]],
    grid: ArrayLike,
    statistic: str = "iqm",
    hold: Mapping[str, Sequence[bool]] | bool = False,
    confidence: float = 0.95,
    repetitions: int = 1_000,
    seed: int = 0,
) -> Band:
    """Sample-efficiency curve of a suite: the statistic over all tasks' runs, resampled within tasks.

    Points where some task has no run have no value; `runs` is the number on the task with the fewest.
    """
    at = np.asarray(grid, dtype=float)
    held = {name: hold if isinstance(hold, bool) else hold[name] for name in tasks}
    matrices = [_matrix(curves, at, held[name]) for name, curves in tasks.items()]
    fewest = np.min([(~np.isnan(matrix)).sum(axis=0) for matrix in matrices], axis=0)
    centre, low, high = (np.full(at.size, np.nan) for _ in range(3))
    for point in np.flatnonzero(fewest > 0):
        columns = [matrix[~np.isnan(matrix[:, point]), point] for matrix in matrices]
        centre[point] = statistic_called(statistic)(columns)
        if fewest[point] > 1:
            replicates = resample(columns, statistic, repetitions, seed)
            low[point], high[point] = percentile_limits(replicates, confidence)
    return Band(at, centre, low, high, fewest, statistic)


def curves_of(metrics: pd.DataFrame, metric: str) -> Iterator[tuple[str, Array, Array]]:
    """Yield run_id, steps and values of a metric, in order of steps, from the tidy frame of all metrics."""
    rows = metrics.loc[metrics["metric"] == metric, ["run_id", "step", "value"]].dropna()
    rows = rows.sort_values(["run_id", "step"], kind="stable")
    ids, steps, values = rows["run_id"].to_numpy(), rows["step"].to_numpy(float), rows["value"].to_numpy(float)
    if not ids.size:
        return
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    for start, end in zip(starts, np.append(starts[1:], ids.size), strict=True):
        yield str(ids[start]), steps[start:end], values[start:end]


def per_run(
    runs: pd.DataFrame,
    metrics: pd.DataFrame,
    metric: str = WIN_RATE,
    threshold: float = 0.9,
    sustained: int = 3,
    until: float | None = None,
    absolute_metric: str | None = None,
) -> pd.DataFrame:
    """One row per run that has the metric, in the order of `runs`, indexed by run_id.

    Columns: algorithm, map, seed; final (last test), best, best_step, absolute (last value of `absolute_metric`, the
    re-test of the best parameters, NaN where not logged), auc (to `until`, else to the run's last test), last_step,
    points, step_to and reached (the threshold, `sustained` tests in a row; not reached: step_to is the last step
    seen), episode_to (NaN where the metric "episode" is not logged), held (ended early because it had won: the last
    value may stand for what follows).
    """
    import pandas as pd

    episodes = {run: (x, y) for run, x, y in curves_of(metrics, "episode")}
    absolute = {run: float(y[-1]) for run, _, y in curves_of(metrics, absolute_metric)} if absolute_metric else {}
    rows = {}
    for run, x, y in curves_of(metrics, metric):
        reach = first_reaching(x, y, threshold, sustained)
        best = int(np.argmax(y))
        rows[run] = {
            "final": float(y[-1]),
            "best": float(y[best]),
            "best_step": float(x[best]),
            "absolute": absolute.get(run, np.nan),
            "auc": area_under_curve(x, y, until, hold=not reach.censored),
            "last_step": float(x[-1]),
            "points": x.size,
            "step_to": reach.step,
            "reached": not reach.censored,
            "episode_to": float(np.interp(reach.step, *episodes[run])) if run in episodes else np.nan,
            "held": not reach.censored,
        }
    numbers = pd.DataFrame.from_dict(rows, orient="index")
    labels = runs.set_index("run_id")[["algorithm", "map", "seed"]]
    return labels.join(numbers, how="inner").rename_axis("run_id")


def _matrix(curves: Sequence[Curve], grid: Array, hold: Sequence[bool] | bool) -> Array:
    """Values of all runs at the steps of the grid [runs, points]."""
    held = [hold] * len(curves) if isinstance(hold, bool) else hold
    return np.array([at_steps(x, y, grid, h) for (x, y), h in zip(curves, held, strict=True)]).reshape(-1, grid.size)
