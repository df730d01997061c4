"""What runs cost: seconds, CPU-seconds, memory, memory of the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COSTS = ("wall_s", "cpu_s", "peak_memory_mib", "gpu_memory_mib")


def costs(runs: pd.DataFrame, by: Sequence[str] = ("algorithm", "map")) -> pd.DataFrame:
    """Per group the median, mean, least, most and sum of each cost, and of how many runs it is known.

    One row per group and cost: the columns of `by`, cost, runs, known, median, mean, min, max, total. Memory has no
    total (NaN): runs do not add up in it. A cost that no run of a group recorded (no GPU) has no row.
    """
    present = [cost for cost in COSTS if cost in runs.columns]
    long = runs.melt(id_vars=list(by), value_vars=present, var_name="cost", value_name="amount")
    long["amount"] = long["amount"].astype(float)
    grouped = long.groupby([*by, "cost"], sort=False, observed=True)["amount"]
    frame = grouped.agg(runs="size", known="count", median="median", mean="mean", min="min", max="max", total="sum")
    frame = frame[frame["known"] > 0].reset_index()
    frame.loc[frame["cost"].str.endswith("_mib"), "total"] = float("nan")
    return frame
