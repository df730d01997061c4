"""marl-eval's JSON out and in (Gorsane et al. 2022; github.com/instadeepai/marl-eval).

The file is environment -> task -> algorithm -> run -> step_k -> {step_count, metric: [values]}, and at the end of each
run absolute_metrics -> {metric: [values]}. marl-eval reads it as one block: the same runs, steps and metrics for every
algorithm and task, names in lower case, no comma in an algorithm's name, absolute_metrics last. `export` refuses, or
cuts to the block that is there and says what it left out.

Between file and records stands a table with a row per value: environment, task, algorithm, run, step, step_count,
metric, episode, value. It holds everything a file holds: `to_table` and `from_table` undo each other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.published import map_names
from utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["environment", "task", "algorithm", "run", "step", "step_count", "metric", "episode", "value"]
ABSOLUTE = "absolute_metrics"
SCALAR = -1
"""In the column `episode`: a plain number, not a list of values (elapsed_time)."""
METRICS = {"test_battle_won_mean": "win_rate", "test_return_mean": "return"}
"""Our metrics and what they are called in the file."""

Document = dict[str, Any]


def to_table(document: Mapping[str, Any]) -> pd.DataFrame:
    """The table of a marl-eval document; UserError where it is none, saying where."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for environment, tasks in _items(document, "the file"):
        for task, algorithms in _items(tasks, environment):
            for algorithm, runs in _items(algorithms, f"{environment}/{task}"):
                for run, steps in _items(runs, f"{environment}/{task}/{algorithm}"):
                    for step, metrics in _items(steps, f"{environment}/{task}/{algorithm}/{run}"):
                        rows += _rows((environment, task, algorithm, run, step), metrics)
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)  # as object, whole numbers and None stay what they are


def from_table(table: pd.DataFrame) -> Document:
    """The marl-eval document of a table, in the table's order."""
    document: Document = {}
    for row in table.itertuples(index=False):
        at = document
        for name in (row.environment, row.task, row.algorithm, row.run, row.step):
            at = at.setdefault(str(name), {})
        if row.step_count is not None:
            at["step_count"] = row.step_count
        if row.metric is None:
            continue
        if row.episode == SCALAR:
            at[str(row.metric)] = row.value
        else:
            at.setdefault(str(row.metric), []).append(row.value)
    return document


def read(path: Path) -> pd.DataFrame:
    """The table of a marl-eval file; UserError where it cannot be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as marl-eval's JSON: {error}.") from error
    return to_table(document)


def export(
    runs: pd.DataFrame,
    metrics: pd.DataFrame,
    environment: str = "smac",
    names: Mapping[str, str] = METRICS,
    cut: bool = False,
    absolute: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[Document, list[str]]:
    """A document of these runs' tests, and a sentence for everything a reader must know about it.

    Where runs, tests or metrics are not the same everywhere: UserError, or with `cut` the largest block of what all
    share. `absolute`: run_id -> {our metric: value} of the best parameters' re-test; where it is not given, the last
    test stands in for it, and a sentence says so.
    """
    for algorithm in runs["algorithm"].unique():
        if "," in str(algorithm):
            raise UserError(f"marl-eval forbids commas in algorithm names: rename {algorithm!r}.")
    data, said = _collect(runs, metrics, names)
    if not data:
        raise UserError(f"None of these runs has one of the metrics {', '.join(names)}; there is nothing to export.")
    data, ragged = _rectangle(data)
    if ragged and not cut:
        raise UserError(
            "marl-eval needs the same runs, tests and metrics for every algorithm and task. "
            + " ".join(ragged)
            + " Ask for the part that all share (cut), or leave out what is incomplete."
        )
    said += ragged
    stood_in = False
    document: Document = {}
    for (task, algorithm, seed), (run_id, steps) in data.items():
        at = document.setdefault(environment.lower(), {}).setdefault(task.lower(), {}).setdefault(algorithm.lower(), {})
        run: Document = {
            f"step_{k}": {"step_count": int(step), **{names[m]: [float(v)] for m, v in row.items()}}
            for k, (step, row) in enumerate(steps, 1)
        }
        found = (absolute or {}).get(run_id)
        stood_in |= found is None
        last = dict(found) if found is not None else steps[-1][1]
        run[ABSOLUTE] = {names[m]: [float(last[m])] for m in steps[-1][1] if m in last}
        at[f"seed_{seed}"] = run
    if stood_in:
        said.append("absolute_metrics holds the last test of each run, not a re-test of its best parameters.")
    return document, said


def to_records(table: pd.DataFrame, names: Mapping[str, str] = METRICS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs (run_id, algorithm, map, seed, engine) and tidy metrics (run_id, metric, step, value) of a table.

    A metric's value is the mean over its episodes; the absolute ones are called absolute_<name>, at the run's last
    step. Map names get their capitals back where the map is known. The engine is the file's environment.
    """
    back = {short: ours for ours, short in names.items()}
    spelling = {name.lower(): name for name in map_names()}
    valued = table[table["metric"].notna()].copy()
    valued["map"] = [spelling.get(str(task).lower(), str(task)) for task in valued["task"]]
    valued["run_id"] = [
        f"{e}/{m}/{a}/{r}" for e, m, a, r in valued[["environment", "map", "algorithm", "run"]].itertuples(index=False)
    ]
    valued["step"] = valued["step_count"].astype(float)
    valued["step"] = valued["step"].fillna(valued.groupby("run_id")["step"].transform("max"))
    at_end = valued["step_count"].isna()
    ours = valued["metric"].map(lambda name: back.get(str(name).lower(), str(name)))
    valued["metric"] = ours.where(~at_end, "absolute_" + valued["metric"].astype(str))
    valued["value"] = valued["value"].astype(float)
    metrics = valued.groupby(["run_id", "metric", "step"], sort=False)["value"].mean().reset_index()
    runs = valued.drop_duplicates("run_id")[["run_id", "algorithm", "map", "run", "environment"]]
    runs = runs.rename(columns={"run": "seed", "environment": "engine"}).reset_index(drop=True)
    runs["seed"] = [_seed(str(name)) for name in runs["seed"]]
    return runs, metrics


Steps = list[tuple[float, dict[str, float]]]
Data = dict[tuple[str, str, Any], tuple[str, Steps]]


def _collect(runs: pd.DataFrame, metrics: pd.DataFrame, names: Mapping[str, str]) -> tuple[Data, list[str]]:
    """Tests of each run by (map, algorithm, seed); a sentence for every run without any or of a seed seen before."""
    data: Data = {}
    said = []
    wanted = metrics[metrics["metric"].isin(list(names))].dropna(subset=["value"]).sort_values("step", kind="stable")
    by_run: dict[str, dict[float, dict[str, float]]] = {}
    for row in wanted.itertuples(index=False):
        by_run.setdefault(str(row.run_id), {}).setdefault(float(row.step), {})[str(row.metric)] = float(row.value)
    for run in runs.itertuples(index=False):
        key = (str(run.map), str(run.algorithm), run.seed)
        if str(run.run_id) not in by_run:
            said.append(f"Run {run.run_id} has none of the metrics and is left out.")
        elif key in data:
            said.append(f"Run {run.run_id} has the same algorithm, map and seed as {data[key][0]} and is left out.")
        else:
            data[key] = (str(run.run_id), sorted(by_run[str(run.run_id)].items()))
    return data, said


def _rectangle(data: Data) -> tuple[Data, list[str]]:
    """The block of algorithms, seeds, tests and metrics shared by all maps; a sentence for whatever is left out."""
    said = []
    maps = list(dict.fromkeys(key[0] for key in data))
    algorithms = list(dict.fromkeys(key[1] for key in data))
    present = {(m, a) for m, a, _ in data}
    kept = [a for a in algorithms if all((m, a) in present for m in maps)]
    for name in algorithms:
        if name not in kept:
            missing = ", ".join(m for m in maps if (m, name) not in present)
            said.append(f"Algorithm {name} has no run on {missing}: left out.")
    if not kept:
        raise UserError("No algorithm has runs on every map, so there is no block for marl-eval: name fewer maps.")
    cells = [{seed for m, a, seed in data if (m, a) == (name, algorithm)} for name in maps for algorithm in kept]
    shared = set.intersection(*cells)
    odd = sorted({str(seed) for cell in cells for seed in cell - shared})
    if odd:
        said.append(f"Seeds {', '.join(odd)} were not run everywhere: left out.")
    if not shared:
        raise UserError("No seed was run by every algorithm on every map; marl-eval needs the same runs everywhere.")
    block = {key: run for key, run in data.items() if key[1] in kept and key[2] in shared}
    common = set.intersection(*(set(row) for _, steps in block.values() for _, row in steps))
    every = {name for _, steps in block.values() for _, row in steps for name in row}
    if every - common:
        said.append(f"The metrics {', '.join(sorted(every - common))} are not in every test: left out.")
    if not common:
        raise UserError("No metric is in every test of every run; there is nothing that marl-eval could read.")
    shortest = min(len(steps) for _, steps in block.values())
    longer = sorted(run for run, steps in block.values() if len(steps) > shortest)
    if longer:
        said.append(f"Only the first {shortest} tests are kept; {len(longer)} runs have more ({longer[0]} is one).")
    return {
        key: (run, [(step, {m: v for m, v in row.items() if m in common}) for step, row in steps[:shortest]])
        for key, (run, steps) in block.items()
    }, said


def _items(mapping: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(mapping, Mapping):
        raise UserError(
            f"This is not marl-eval's JSON: {where} should hold names with braces below them, not"
            f" {type(mapping).__name__}."
        )
    return [(str(name), value) for name, value in mapping.items()]


def _rows(key: tuple[str, ...], metrics: Any) -> list[tuple[Any, ...]]:
    where = "/".join(key)
    entries = dict(_items(metrics, where))
    step_count = entries.pop("step_count", None)
    rows: list[tuple[Any, ...]] = []
    for metric, values in entries.items():
        listed = values if isinstance(values, list) else [values]
        if not listed or not all(isinstance(v, int | float) and math.isfinite(v) for v in listed):
            raise UserError(f"This is not marl-eval's JSON: {where}/{metric} should be a list of numbers.")
        first = 0 if isinstance(values, list) else SCALAR
        rows += [(*key, step_count, metric, first + i, value) for i, value in enumerate(listed)]
    return rows or [(*key, step_count, None, SCALAR, None)]


def _seed(name: str) -> int | str:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdigit() else name
