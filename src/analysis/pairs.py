"""Pairs of algorithms over all the maps both were run on, the one more likely to win first."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from analysis import statistics
from analysis.study import Study


@lru_cache(maxsize=1)  # for the table and for the figure
def improvements(study: Study) -> pd.DataFrame:
    """Return a row per pair: a, b, probability that a run of a beats one of b, low, high, runs, tasks, p, p_holm.

    `a` is the one with a probability of at least a half; rows ordered by algorithm. Empty with a single algorithm.
    """
    frame = statistics.probability_matrix({a: study.finals(a) for a in study.algorithms})
    if frame.empty:
        return frame
    turned = frame["probability"] < 0.5
    other = frame.assign(
        a=frame["b"],
        b=frame["a"],
        probability=1 - frame["probability"],
        low=1 - frame["high"].astype(float),
        high=1 - frame["low"].astype(float),
    )
    frame = frame.where(~turned, other)
    rank = {name: number for number, name in enumerate(study.algorithms)}
    order = frame.assign(_a=frame["a"].map(rank), _b=frame["b"].map(rank)).sort_values(["_a", "_b"])
    return order.drop(columns=["_a", "_b"]).reset_index(drop=True)
