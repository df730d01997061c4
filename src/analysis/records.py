"""The one reader of recorded runs: from sacred's folders and from MongoDB into the same two tables.

    records = load(["results"], metrics=["test_battle_won_mean"])
    records.runs       one row per run        records.metrics    run_id, metric, step, value

A warm index (`analysis.index`) makes the second reading fast; `records.problems` says in a sentence each what was left
out or could not be read.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.filters import Condition, parse
from analysis.selection import distinct, join_resumed, matching, single_out_repeats
from analysis.sources import COLUMNS, FoundRun, Source
from utils.errors import nearest

_NUMBERS = ("t_max", "t_env", "wall_s", "cpu_s", "peak_memory_mib", "gpu_memory_mib", "test_nepisode")


@dataclass
class Records:
    """What `load` found.

    `runs`: one row per run, columns as in COLUMNS; times in UTC, `config` the run's whole configuration as a dict.
    `metrics`: tidy, one row per value: run_id, metric, step, value. `problems`: a sentence each. `metric_names`: every
    metric that some run of the sources has, loaded or not.
    """

    runs: pd.DataFrame
    metrics: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    metric_names: list[str] = field(default_factory=list)


def load(
    sources: Sequence[str],
    *,
    index: bool = True,
    filters: Sequence[str | Condition] | None = None,
    metrics: Sequence[str] | Callable[[list[str]], Sequence[str]] | None = None,
    everything: bool = False,
) -> Records:
    """Read the runs of folders and `mongodb://` addresses.

    `metrics` names those to read (None: all, [] none; a function is given all names and returns some). `filters` keeps
    runs that meet all conditions, such as "env_args.map_name=3m", "lr>0.0005" or "test_battle_won_mean>=0.9" (see
    `analysis.filters`). `index=False` reads everything anew and writes no index. Of the parts of a resumed run only the
    last is kept, which holds the whole curve, and of runs equal in configuration and seed the one that went furthest;
    evaluations are left out. `everything=True` keeps them, with the reason in the column `superseded`.

    Raises UserError for a source that is not there and for a condition that cannot be understood.
    """
    wanted = [parse(text) if isinstance(text, str) else text for text in filters or ()]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_without_collection())
        runs: list[FoundRun] = []
        problems: list[str] = []
        names: set[str] = set()
        for source in sources:
            opened = Source(source, only=len(sources) == 1)
            stack.enter_context(opened.open(index, wanted))
            names |= opened.metric_names
            runs += opened.runs(problems)
        wanted_metrics = metrics(sorted(names)) if callable(metrics) else sorted(names) if metrics is None else metrics
        for name in wanted_metrics:
            if name not in names:
                problems.append(f'No run has a metric "{name}".{nearest(name, sorted(names))}')
        runs = distinct(runs, problems)
        join_resumed(runs)
        runs = matching(runs, wanted, names)
        single_out_repeats(runs, problems)
        if not everything:
            runs = [run for run in runs if run.superseded is None]
        chosen = [name for name in dict.fromkeys(wanted_metrics) if name in names]
        return Records(_runs_frame(runs), _metrics_frame(runs, chosen), problems, sorted(names))


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the garbage collector: it would walk through all configurations again and again while they are read."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _runs_frame(runs: list[FoundRun]) -> pd.DataFrame:
    rows: dict[str, list[Any]] = {column: [] for column in COLUMNS}
    for run in runs:
        for column, values in rows.items():
            values.append(run.record.config if column == "config" else run.value(column))
    frame = pd.DataFrame({column: pd.Series(values, dtype=object) for column, values in rows.items()})
    for column in ("started", "finished"):
        frame[column] = pd.to_datetime(frame[column], format="ISO8601", errors="coerce")
    for column in _NUMBERS:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    frame["seed"] = pd.to_numeric(frame["seed"], errors="coerce").astype("Int64")
    return frame


def _metrics_frame(runs: list[FoundRun], names: Sequence[str]) -> pd.DataFrame:
    """Return the tidy frame, ordered by metric, then by run; steps within a run ascend as they were logged."""
    ids: list[str] = []
    metrics: list[str] = []
    lengths: list[int] = []
    steps: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for name in names:
        found = {index: index.series(name) for index in {run.index for run in runs}}
        for run in runs:
            series = found[run.index].get(run.number)
            if series is not None:
                ids.append(run.run_id)
                metrics.append(name)
                lengths.append(len(series[0]))
                steps.append(series[0])
                values.append(series[1])
    return pd.DataFrame(
        {
            "run_id": np.repeat(np.array(ids, dtype=object), lengths),
            "metric": np.repeat(np.array(metrics, dtype=object), lengths),
            "step": np.concatenate(steps) if steps else np.empty(0, np.int64),
            "value": np.concatenate(values) if values else np.empty(0),
        }
    )
