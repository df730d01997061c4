"""Where the spread of win rates comes from: seeds or the few episodes of a test; intervals that say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.bootstrap import Estimate


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the win rate: between seeds (true rates), of one test's episodes, and both together."""

    seeds: float
    episodes: float
    total: float


def noise(win_rates: ArrayLike, episodes: int) -> Noise:
    """Split the variance of runs' win rates, each from `episodes` battles, into seeds' and episodes' (moments).

    The episodes' share is the mean of p (1 - p) / (episodes - 1), which is unbiased for the binomial variance of a
    rate; what is left of the variance between runs is the seeds', never less than nothing.
    """
    rates = np.asarray(win_rates, dtype=float)
    if rates.size < 2 or episodes < 2:
        raise ValueError("Two runs and two episodes are the least from which noise can be told apart.")
    total = float(rates.var(ddof=1))
    binomial = float(np.mean(rates * (1 - rates)) / (episodes - 1))
    return Noise(max(total - binomial, 0.0) ** 0.5, binomial**0.5, total**0.5)


def wilson(win_rate: float, episodes: int, confidence: float = 0.95) -> Estimate:
    """Win rate of one run with Wilson's score interval (1927): how far that one policy is known, not the algorithm."""
    wins = round(win_rate * episodes)
    if not np.isclose(wins, win_rate * episodes, atol=1e-3 * max(1, episodes)):
        raise ValueError(f"A win rate of {win_rate} is no number of wins in {episodes} episodes.")
    limits = stats.binomtest(wins, episodes).proportion_ci(confidence, method="wilson")
    return Estimate(wins / episodes, float(limits.low), float(limits.high), 1, 1, "Wilson", confidence)


def t_interval(scores: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean over runs with Student's t interval, which carries both kinds of noise; None as limits with one seed."""
    runs = np.asarray(scores, dtype=float).reshape(-1)
    value = float(runs.mean())
    if runs.size < 2:
        return Estimate(value, None, None, runs.size, 1, "one seed: no interval", confidence)
    half = float(stats.t.ppf((1 + confidence) / 2, runs.size - 1) * runs.std(ddof=1) / runs.size**0.5)
    return Estimate(value, value - half, value + half, runs.size, 1, "Student's t", confidence)
