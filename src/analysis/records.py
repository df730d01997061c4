"""The one reader of recorded runs: from sacred's folders and from MongoDB into the same two tables.

    records = load(["results"], metrics=["test_battle_won_mean"])
    records.runs       one row per run        records.metrics    run_id, metric, step, value

A warm index (`analysis.index`) makes the second reading fast; `records.problems` says in a sentence each what was left
out or could not be read.
"""

from __future__ import annotations

import contextlib
import gc
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import filters as conditions
from analysis import run_folders, run_mongo
from analysis.filters import Condition
from analysis.index import FILE, Index, cache_folder
from analysis.run_record import RunRecord, Series
from configuration import dotted
from tracking.database import is_url
from utils.errors import UserError, nearest

# A run that says RUNNING but has not been heard of for so long was killed, or its machine was
DEAD_AFTER = timedelta(minutes=5)

COLUMNS = (
    *("run_id", "source", "algorithm", "map", "engine", "engine_version", "map_checksum", "seed", "status"),
    *("t_max", "t_env", "started", "finished", "wall_s", "cpu_s", "peak_memory_mib", "gpu_memory_mib", "host"),
    *("test_nepisode", "test_greedy", "experiment", "label", "commit", "evaluate", "superseded", "folder", "config"),
)
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


@dataclass
class _Run:
    """A run on its way into the frame: its record, and where its metrics are."""

    run_id: str
    source: str
    record: RunRecord
    index: Index
    number: int
    superseded: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        return self.record.fields


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
    wanted = [conditions.parse(text) if isinstance(text, str) else text for text in filters or ()]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_without_collection())
        runs: list[_Run] = []
        problems: list[str] = []
        names: set[str] = set()
        shown = _source_names(sources)
        for source in sources:
            place = _Place(source, shown[source], f"{shown[source]}:" if len(sources) > 1 else "")
            stack.enter_context(place.open(index, wanted))
            names |= place.metric_names
            runs += place.runs(problems)
        wanted_metrics = metrics(sorted(names)) if callable(metrics) else sorted(names) if metrics is None else metrics
        for name in wanted_metrics:
            if name not in names:
                problems.append(f'No run has a metric "{name}".{nearest(name, sorted(names))}')
        runs = _distinct(runs, problems)
        _join_resumed(runs)
        runs = _matching(runs, wanted, names)
        _single_out_repeats(runs, problems)
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


# --- sources ---------------------------------------------------------------------------------------------------------


def _source_names(sources: Sequence[str]) -> dict[str, str]:
    """Return how each source is shown: a database without its credentials, a folder as it was given."""
    return {source: run_mongo.shown(source) if is_url(source) else source.rstrip("/") or "/" for source in sources}


class _Place:
    """One source: a folder or a database, shown as `shown`; `prefix` comes before the ids of its runs."""

    def __init__(self, source: str, shown: str, prefix: str) -> None:
        self.shown, self.prefix = shown, prefix
        self.root: Path | None = None
        self.database: run_mongo.RunDatabase | None = None
        if is_url(source):
            self.database = run_mongo.RunDatabase(source)
        else:
            self.root = Path(source)
            if not self.root.is_dir():
                raise UserError(f'There is no folder "{source}".{_similar_folder(self.root)}')
        self.metric_names: set[str] = set()

    def open(self, index: bool, wanted: Sequence[Condition]) -> Index:
        """Open the index and make it agree with the source; a database is asked only for runs that may be `wanted`."""
        if self.database is not None:
            self._path = cache_folder() / f"{self.database.fingerprint()}.sqlite"
            self._present, self._complete = self.database.present(wanted), not wanted
            self._index = self._updated(index, self.database.read)
            self.metric_names.update(() if self._complete else self.database.metric_names())
        else:
            assert self.root is not None
            root, present = self.root, dict(run_folders.find(self.root))
            self._path, self._present, self._complete = root / FILE, present, True
            self._index = self._updated(index, lambda keys: [run_folders.read(root, key, present[key]) for key in keys])
        self.metric_names.update(self._index.metric_names())
        return self._index

    def _updated(self, index: bool, read: Callable[[Sequence[str]], list[RunRecord]]) -> Index:
        opened = Index(self._path if index else None)
        try:
            opened.update(self._present, read, self._complete)
        except sqlite3.Error:  # the disk is full, or another process keeps it locked: do without a file
            opened = Index(None)
            opened.update(self._present, read, self._complete)
        return opened

    def runs(self, problems: list[str]) -> list[_Run]:
        """Return the readable runs; what is wrong goes to `problems`."""
        found = [(number, record) for number, record in self._index.records() if record.key in self._present]
        if not found and self._complete:
            problems.append(f"{self.shown} holds no runs.")
        runs = []
        for number, record in found:
            name = self.shown if record.key == "." else f"{self.prefix}{record.key}"
            if record.fields:
                record.fields["folder"] = str(self.root / record.key) if self.root else None
                runs.append(_Run(name, self.shown, record, self._index, number))
            if record.problems:
                outcome = "" if record.fields else "; it is left out"
                problems.append(f"Run {name}: {', '.join(record.problems)}{outcome}.")
        return runs


def _similar_folder(path: Path) -> str:
    parent = path.parent
    return nearest(path.name, [other.name for other in parent.iterdir() if other.is_dir()]) if parent.is_dir() else ""


# --- which runs count ------------------------------------------------------------------------------------------------


def _distinct(runs: list[_Run], problems: list[str]) -> list[_Run]:
    """Count a run once that was found in two sources: in files and in a database, or in nested folders."""
    kept: dict[Any, _Run] = {}
    again: dict[tuple[str, str], int] = defaultdict(int)
    for run in runs:
        folder = run.fields.get("folder")
        identity = run.fields["token"] or (str(Path(folder).resolve()) if folder else (run.source, run.record.key))
        if identity in kept:
            again[kept[identity].source, run.source] += 1
        else:
            kept[identity] = run
    for (first, second), count in again.items():
        what = "1 run is" if count == 1 else f"{count} runs are"
        where = f"both in {first} and in {second}" if first != second else f"twice in {first}"
        problems.append(f"{what} {where} and counted once.")
    return list(kept.values())


def _matching(runs: list[_Run], wanted: list[Condition], names: set[str]) -> list[_Run]:
    """Return the runs that meet all conditions."""
    if not runs:
        return []
    if not wanted:
        return runs
    everywhere = runs
    for condition in wanted:
        kind = _kind(everywhere, condition, names)
        values = _reduced(runs, condition) if kind == "metric" else [_value(run, condition.key) for run in runs]
        runs = [run for run, value in zip(runs, values) if condition.holds(value)]
    return runs


def _kind(runs: list[_Run], condition: Condition, names: set[str]) -> str:
    """Return whether a condition is on a "column", a configuration "key" or a "metric"; raise UserError if on none."""
    key = condition.key
    if condition.reduction is None:
        if key in COLUMNS:
            return "column"
        if any(conditions.has_key(run.record.config, key) for run in runs):
            return "key"
    if key in names:
        return "metric"
    if condition.reduction:
        raise conditions.unknown_key(key, names, "metric")
    keys = {known for run in runs for known, _ in dotted(run.record.config)}
    raise conditions.unknown_key(key, {*COLUMNS, *keys, *names}, "column, configuration key or metric")


def _value(run: _Run, key: str) -> Any:
    """Return a column's or a configuration key's value."""
    direct = {"run_id": run.run_id, "source": run.source, "status": _status(run)}
    if key in direct:
        return direct[key]
    return run.fields[key] if key in run.fields else conditions.value_of(run.record.config, key)


def _reduced(runs: list[_Run], condition: Condition) -> list[float | None]:
    """Return the last, largest or smallest value of a metric in each run."""
    found = {index: index.series(condition.key) for index in {run.index for run in runs}}

    def reduce(series: Series | None) -> float | None:
        if series is None or not len(series[1]):
            return None
        if condition.reduction in (None, "last"):
            return float(series[1][-1])
        return float(np.nanmax(series[1]) if condition.reduction == "max" else np.nanmin(series[1]))

    return [reduce(found[run.index].get(run.number)) for run in runs]


def _join_resumed(runs: list[_Run]) -> None:
    """Mark evaluations, and of the parts of each resumed run all but the last, which holds the metrics of all."""
    for run in runs:
        if run.fields["evaluate"]:
            run.superseded = "an evaluation of saved models"
    training = [run for run in runs if run.superseded is None]
    for parts in _resumed_chains(training):
        last = max(parts, key=lambda run: (run.fields["t_env"] is not None, run.fields["started"] or ""))
        last.fields["started"] = min((run.fields["started"] for run in parts if run.fields["started"]), default=None)
        for run in parts:
            if run is not last:
                run.superseded = f"resumed as {last.run_id}"


def _single_out_repeats(runs: list[_Run], problems: list[str]) -> None:
    """Mark, of runs equal in configuration and seed, all but the one that went furthest: they are not independent."""
    equal: dict[tuple[str, Any], list[_Run]] = defaultdict(list)
    for run in runs:
        if run.superseded is None and run.fields["seed"] is not None:
            equal[run.fields["identity"], run.fields["seed"]].append(run)
    for (_, seed), same in equal.items():
        if len(same) > 1:
            best = max(same, key=lambda run: (run.fields["t_env"] or -1, run.fields["started"] or ""))
            others = [run for run in same if run is not best]
            for run in others:
                run.superseded = f"repeated as {best.run_id}"
            listed = ", ".join(run.run_id for run in others)
            problems.append(
                f"Runs of the same configuration with the same seed {seed}: {best.run_id} went furthest"
                f" and is the one that counts, not {listed}."
            )


def _resumed_chains(runs: list[_Run]) -> list[list[_Run]]:
    """Return the groups of runs that are parts of one: each was resumed from a checkpoint of another of its group."""
    by_token = {run.fields["token"]: run for run in runs if run.fields["token"]}

    def first_part(run: _Run) -> str:
        seen = set()
        while run.fields["resumed_from"] in by_token and run.run_id not in seen:
            seen.add(run.run_id)
            run = by_token[run.fields["resumed_from"]]
        return run.run_id

    groups: dict[str, list[_Run]] = defaultdict(list)
    for run in runs:
        groups[first_part(run)].append(run)
    return [parts for parts in groups.values() if len(parts) > 1]


def _status(run: _Run) -> str:
    """Return sacred's status; a run that claims to be running but is silent is PROBABLY_DEAD, as Omniboard names it."""
    status = str(run.fields["status"])
    heard = run.fields["heartbeat"] or run.fields["started"]
    if status == "RUNNING" and heard:
        silent = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(heard)
        return "PROBABLY_DEAD" if silent > DEAD_AFTER else status
    return status


# --- frames ----------------------------------------------------------------------------------------------------------


def _runs_frame(runs: list[_Run]) -> pd.DataFrame:
    rows: dict[str, list[Any]] = {column: [] for column in COLUMNS}
    for run in runs:
        own = {
            **{"run_id": run.run_id, "source": run.source, "status": _status(run)},
            **{"superseded": run.superseded, "config": run.record.config},
        }
        for column, values in rows.items():
            values.append(own[column] if column in own else run.fields.get(column))
    frame = pd.DataFrame({column: pd.Series(values, dtype=object) for column, values in rows.items()})
    for column in ("started", "finished"):
        frame[column] = pd.to_datetime(frame[column], format="ISO8601", errors="coerce")
    for column in _NUMBERS:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    frame["seed"] = pd.to_numeric(frame["seed"], errors="coerce").astype("Int64")
    return frame


def _metrics_frame(runs: list[_Run], names: Sequence[str]) -> pd.DataFrame:
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


def last_values(records: Records, metric: str) -> dict[str, float]:
    """Return the last value of a metric by run_id, of the runs that have one."""
    chosen = records.metrics[records.metrics["metric"] == metric]
    last = chosen.groupby("run_id", sort=False)["value"].last()
    return {str(run): float(value) for run, value in last.items() if not math.isnan(value)}
