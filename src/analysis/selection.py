"""Which of the runs that were found are meant, and which of them count."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.filters import Condition, has_key, unknown_key
from analysis.run_record import Series
from analysis.sources import COLUMNS, FoundRun
from configuration import dotted


def distinct(runs: list[FoundRun], problems: list[str]) -> list[FoundRun]:
    """Count a run once that was found in two sources: in files and in a database, or in nested folders."""
    kept: dict[Any, FoundRun] = {}
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


def matching(runs: list[FoundRun], wanted: list[Condition], names: set[str]) -> list[FoundRun]:
    """Return the runs that meet all"""
    if not runs:
        return []
    if not wanted:
        return runs
    everywhere = runs
    for condition in wanted:
        kind = _kind(everywhere, condition, names)
        values = _reduced(runs, condition) if kind == "metric" else [run.value(condition.key) for run in runs]
        runs = [run for run, value in zip(runs, values) if condition.holds(value)]
    return runs


def _kind(runs: list[FoundRun], condition: Condition, names: set[str]) -> str:
    """Return whether a condition is on a "column", a configuration "key" or a "metric"; raise UserError if on none."""
    key = condition.key
    if condition.reduction is None:
        if key in COLUMNS:
            return "column"
        if any(has_key(run.record.config, key) for run in runs):
            return "key"
    if key in names:
        return "metric"
    if condition.reduction:
        raise unknown_key(key, names, "metric")
    keys = {known for run in runs for known, _ in dotted(run.record.config)}
    raise unknown_key(key, {*COLUMNS, *keys, *names}, "column, configuration key or metric")


def _reduced(runs: list[FoundRun], condition: Condition) -> list[float | None]:
    """Return the last, largest or smallest value of a metric in each run."""
    found = {index: index.series(condition.key) for index in {run.index for run in runs}}

    def reduce(series: Series | None) -> float | None:
        if series is None or not len(series[1]):
            return None
        if condition.reduction in (None, "last"):
            return float(series[1][-1])
        return float(np.nanmax(series[1]) if condition.reduction == "max" else np.nanmin(series[1]))

    return [reduce(found[run.index].get(run.number)) for run in runs]


def join_resumed(runs: list[FoundRun]) -> None:
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


def single_out_repeats(runs: list[FoundRun], problems: list[str]) -> None:
    """Mark, of runs equal in configuration and seed, all but the one that went furthest: they are not independent."""
    equal: dict[tuple[str, Any], list[FoundRun]] = defaultdict(list)
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


def _resumed_chains(runs: list[FoundRun]) -> list[list[FoundRun]]:
    """Return the groups of runs that are parts of one: each was resumed from a checkpoint of another of its group."""
    by_token = {run.fields["token"]: run for run in runs if run.fields["token"]}

    def first_part(run: FoundRun) -> str:
        seen = set()
        while run.fields["resumed_from"] in by_token and run.run_id not in seen:
            seen.add(run.run_id)
            run = by_token[run.fields["resumed_from"]]
        return run.run_id

    groups: dict[str, list[FoundRun]] = defaultdict(list)
    for run in runs:
        groups[first_part(run)].append(run)
    return [parts for parts in groups.values() if len(parts) > 1]
