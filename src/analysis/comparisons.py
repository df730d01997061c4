"""Tests of a difference between two algorithms: Welch's t, Mann-Whitney, Cohen's d, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.bootstrap import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """Two samples compared: difference of means (a - b), effect sizes and p-values; NaN where not defined."""

    difference: float
    cohens_d: float
    welch_p: float
    mann_whitney_p: float
    runs_a: int
    runs_b: int


def welch(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p-value of Welch's t-test; NaN with a single run on a side, or where neither side varies."""
    return float(_welch(_rows(a), _rows(b))[0])


def mann_whitney(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p-value of the Mann-Whitney U test; exact up to 8 runs on a side without ties, else normal with ties
    corrected for (scipy's "auto"). 1 where all scores are the same."""
    return float(_mann_whitney(_rows(a), _rows(b))[0])


def cohens_d(a: ArrayLike, b: ArrayLike) -> float:
    """Difference of means over the pooled standard deviation; NaN where neither side varies or one has one run."""
    return float(_cohens_d(_rows(a), _rows(b))[0])


def hedges_g(a: ArrayLike, b: ArrayLike) -> float:
    """Cohen's d with the exact correction for small samples (Hedges 1981)."""
    freedom = np.size(a) + np.size(b) - 2
    if freedom < 2:
        return math.nan
    correction = math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    return cohens_d(a, b) * correction


def compare(a: ArrayLike, b: ArrayLike) -> Comparison:
    """Compare the runs of two algorithms on one task."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return Comparison(float(x.mean() - y.mean()), cohens_d(x, y), welch(x, y), mann_whitney(x, y), x.size, y.size)


def holm(p_values: ArrayLike) -> Array:
    """P-values adjusted for their number by Holm's step-down method (1979); NaN (no test was made) stays NaN.

    Sorted p_(1) <= ... <= p_(m): the adjusted p_(i) is the running maximum of (m - i + 1) p_(i), at most 1.
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted


def compare_all(algorithms: Mapping[str, Mapping[str, ArrayLike]], against: str | None = None) -> pd.DataFrame:
    """Every pair of algorithms (or every one with `against`) on every task both have, Holm over all rows.

    Columns: task, a, b, runs_a, runs_b, mean_a, mean_b, difference, cohens_d, welch_p, mann_whitney_p, welch_holm,
    mann_whitney_holm. Pairs of the same numbers of runs are tested together, so thousands take seconds.
    """
    import pandas as pd

    if against is not None and against not in algorithms:
        raise ValueError(f"There is no algorithm {against!r} to compare with; there are {', '.join(algorithms)}.")
    pairs = list(combinations(algorithms, 2)) if against is None else [(n, against) for n in algorithms if n != against]
    keys = [(task, a, b) for a, b in pairs for task in algorithms[a] if task in algorithms[b]]
    samples = [
        (np.asarray(algorithms[a][t], dtype=float), np.asarray(algorithms[b][t], dtype=float)) for t, a, b in keys
    ]
    frame = pd.DataFrame(keys, columns=["task", "a", "b"])
    for side, column in ((0, "a"), (1, "b")):
        frame[f"runs_{column}"] = [pair[side].size for pair in samples]
    for side, column in ((0, "a"), (1, "b")):
        frame[f"mean_{column}"] = [float(pair[side].mean()) for pair in samples]
    frame["difference"] = frame["mean_a"] - frame["mean_b"]
    for name in ("cohens_d", "welch_p", "mann_whitney_p"):
        frame[name] = np.nan
    for _, rows in frame.groupby(["runs_a", "runs_b"]).groups.items():
        x, y = (np.stack([samples[row][side] for row in rows]) for side in (0, 1))
        frame.loc[rows, "cohens_d"] = _cohens_d(x, y)
        frame.loc[rows, "welch_p"] = _welch(x, y)
        frame.loc[rows, "mann_whitney_p"] = _mann_whitney(x, y)
    frame["welch_holm"] = holm(frame["welch_p"].to_numpy(dtype=float))
    frame["mann_whitney_holm"] = holm(frame["mann_whitney_p"].to_numpy(dtype=float))
    return frame


def _rows(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=float).reshape(1, -1)


def _varies(x: Array, y: Array) -> Array:
    """Rows in which at least one side has any spread, and both have two runs."""
    if min(x.shape[1], y.shape[1]) < 2:
        return np.zeros(len(x), dtype=bool)
    return (np.ptp(x, axis=1) > 0) | (np.ptp(y, axis=1) > 0)


def _welch(x: Array, y: Array) -> Array:
    p, rows = np.full(len(x), np.nan), _varies(x, y)
    if rows.any():
        moments = [
            m for side in (x[rows], y[rows]) for m in (side.mean(axis=1), side.std(axis=1, ddof=1), side.shape[1])
        ]
        p[rows] = stats.ttest_ind_from_stats(*moments, equal_var=False).pvalue
    return p


def _cohens_d(x: Array, y: Array) -> Array:
    d, rows = np.full(len(x), np.nan), _varies(x, y)
    n, m = x.shape[1], y.shape[1]
    if rows.any():
        pooled = ((n - 1) * x[rows].var(axis=1, ddof=1) + (m - 1) * y[rows].var(axis=1, ddof=1)) / (n + m - 2)
        d[rows] = (x[rows].mean(axis=1) - y[rows].mean(axis=1)) / np.sqrt(pooled)
    return d


def _mann_whitney(x: Array, y: Array) -> Array:
    """scipy decides between exact and normal for all rows at once, so rows with and without ties go separately."""
    pooled = np.sort(np.concatenate([x, y], axis=1), axis=1)
    ties = (np.diff(pooled, axis=1) == 0).any(axis=1)
    p = np.ones(len(x))
    for rows in (~ties, ties & (np.ptp(pooled, axis=1) > 0)):
        if rows.any():
            p[rows] = stats.mannwhitneyu(x[rows], y[rows], axis=1).pvalue
    return p
