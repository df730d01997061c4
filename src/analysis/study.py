"""What is compared: the curves of one metric, run by run, grouped by algorithm and map, with what had to be left out.

`gather()` turns records into a `Study`, from which plots, tables and the report are drawn. Everything left out is a
sentence in `Study.problems`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import protocol, records, thresholds
from analysis.curves import curves_of
from analysis.records import Records
from analysis.variants import labels, natural
from utils.errors import UserError, nearest

HEADLINE = "test_battle_won_mean"
COST_METRICS = ("wall_seconds", "cpu_seconds", "episode")
MILESTONES = ("seconds_to_sustained_90", "cpu_seconds_to_sustained_90", "episodes_to_sustained_90")
NAMES = {
    "test_battle_won_mean": "test win rate",
    "battle_won_mean": "training win rate",
    "test_return_mean": "test return",
    "return_mean": "training return",
}
LAST = 3  # tests of which a run's final value is the mean

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Run:
    """One run: its curve `values` over `steps` [tests], and what follows from it.

    `seed`: -1 where none was recorded. `final`: mean of the last tests. `reach`: when the threshold was reached, or
    that it was not (censored). `won`: it ended because its tests had reached `stop_win_rate`; its curve is held beyond.
    Costs are NaN where not recorded.
    """

    run_id: str
    algorithm: str
    map: str
    seed: int
    status: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    final: float
    reach: thresholds.Reach
    won: bool
    seconds_to_reach: float
    cpu_seconds_to_reach: float
    episodes_to_reach: float
    wall_s: float
    cpu_s: float
    episodes: float
    peak_memory_mib: float
    gpu_memory_mib: float

    @property
    def curve(self) -> Curve:
        """Steps and values."""
        return self.steps, self.values


@dataclass(eq=False)
class Study:
    """Runs that may be compared, and the sentences about those that may not."""

    runs: list[Run]
    metric: str
    threshold: float
    sustained: int
    problems: list[str]
    frame: pd.DataFrame
    last: int = LAST
    groups: dict[tuple[str, str], list[Run]] = field(init=False)
    algorithms: list[str] = field(init=False)
    maps: list[str] = field(init=False)

    def __post_init__(self) -> None:
        grouped: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda run: (run.seed, run.run_id)):
            grouped[run.algorithm, run.map].append(run)
        self.groups = dict(grouped)
        self.algorithms = sorted({run.algorithm for run in self.runs}, key=natural)
        self.maps = sorted({run.map for run in self.runs}, key=natural)

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of episodes, shown in per cent."""
        return is_share(self.metric)

    def group(self, algorithm: str, map_name: str) -> list[Run]:
        """Return the runs of an algorithm on a map, by seed."""
        return self.groups.get((algorithm, map_name), [])

    def finals(self, algorithm: str, maps: Iterable[str] | None = None) -> dict[str, NDArray[np.float64]]:
        """Return the final values [runs] by map, maps without runs left out."""
        chosen = self.maps if maps is None else maps
        groups = {m: self.group(algorithm, m) for m in chosen}
        return {m: np.array([run.final for run in runs]) for m, runs in groups.items() if runs}

    def common_end(self, map_name: str) -> float:
        """Return the step up to which every run on a map has a value, those that won being held at their last."""
        runs = [run for algorithm in self.algorithms for run in self.group(algorithm, map_name)]
        longest = max(run.steps[-1] for run in runs)
        return float(min([longest, *(run.steps[-1] for run in runs if not run.won)]))

    def common_maps(self) -> list[str]:
        """Return the maps on which every algorithm has runs: the suite over which means are taken."""
        return [m for m in self.maps if all(self.group(algorithm, m) for algorithm in self.algorithms)]


def metric_name(metric: str) -> str:
    """Return a metric's name as figures and tables write it."""
    return NAMES.get(metric, metric.replace("_", " "))


def threshold_name(study: Study) -> str:
    """Return the threshold in words: "90 % in 3 tests in a row"."""
    value = f"{100 * study.threshold:g} %" if study.is_share else f"{study.threshold:g}"
    return f"{value} in {study.sustained} tests in a row" if study.sustained > 1 else f"a test at {value}"


def is_share(metric: str) -> bool:
    """Whether a metric is a share of episodes (0 to 1)."""
    return "battle_won" in metric or "timeout_mean" in metric


def metrics_needed(metric: str) -> list[str]:
    """Return the names of the metrics to load for a comparison of `metric`."""
    return list(dict.fromkeys([metric, HEADLINE, *COST_METRICS, *MILESTONES]))


def load(sources: Sequence[str], metric: str = HEADLINE, filters: Sequence[str] | None = None) -> Records:
    """Read from folders and databases what a study of `metric` needs, without asking for clocks that were not kept."""
    known = records.load(sources, filters=filters, metrics=[]).metric_names
    needed = [name for name in metrics_needed(metric) if name in known]
    return records.load(sources, filters=filters, metrics=needed)


def gather(
    found: Records,
    metric: str = HEADLINE,
    *,
    algorithms: Sequence[str] | None = None,
    maps: Sequence[str] | None = None,
    group_by: Sequence[str] = (),
    threshold: float | None = None,
    sustained: int = 3,
    last: int = LAST,
) -> Study:
    """Return what can be compared in the records `found`; raises a UserError where nothing is left.

    `group_by`: configuration keys whose values become part of the algorithm's name. `threshold` counts as reached with
    the last of `sustained` tests in a row at or above it; None: 0.9 for a share of episodes, else
    infinity, out of reach. `last`: tests of which a run's final value is the mean.
    """
    if threshold is None:
        threshold = 0.9 if is_share(metric) else float("inf")
    problems = list(found.problems)
    frame = found.runs.reset_index(drop=True)
    if frame.empty:
        raise UserError(_joined("There is no run to compare.", problems))
    frame = _chosen(_chosen(frame, "algorithm", algorithms), "map", maps)
    frame = frame.assign(label=labels(frame, group_by))
    curves = _curves(found.metrics, metric)
    frame = _with_metric(frame, curves, metric, found, problems)
    frame = _comparable(frame, problems)
    frame, doubled = protocol.without_duplicates(frame, by=("label", "map", "seed"))
    problems += doubled
    if frame.empty:
        raise UserError(_joined("No run is left to compare.", problems))
    costs = {name: _curves(found.metrics, name) for name in (HEADLINE, *COST_METRICS, *MILESTONES)}
    runs = [_run(row, curves[row.run_id], costs, threshold, sustained, last) for row in frame.itertuples()]
    return Study(runs, metric, threshold, sustained, problems, frame.reset_index(drop=True), last)


# --- choosing runs ---------------------------------------------------------------------------------------------------


def _chosen(frame: pd.DataFrame, column: str, names: Sequence[str] | None) -> pd.DataFrame:
    if not names:
        return frame
    present = set(frame[column])
    for name in names:
        if name not in present:
            known = ", ".join(sorted(present, key=natural))
            raise UserError(f'No run has the {column} "{name}".{nearest(name, present)} There are: {known}.')
    return frame[frame[column].isin(names)]


def _with_metric(
    frame: pd.DataFrame, curves: Mapping[str, Curve], metric: str, found: Records, problems: list[str]
) -> pd.DataFrame:
    """Return the runs that have the metric; a sentence about the others, an error where none has it."""
    has = frame["run_id"].isin(curves)
    if not has.any():
        names = sorted(set(found.metric_names) | set(found.metrics["metric"]))
        there = f" There are: {', '.join(names)}." if names else ""
        problems = [problem for problem in problems if f'"{metric}"' not in problem]
        raise UserError(_joined(f'No run has the metric "{metric}".{nearest(metric, names)}{there}', problems))
    missing = frame.loc[~has, "run_id"].tolist()
    if missing:
        problems.append(f'Without the metric "{metric}", so left out: {_some(missing)}.')
    return frame[has]


def _comparable(frame: pd.DataFrame, problems: list[str]) -> pd.DataFrame:
    """Return the runs that may be put side by side: all, else the largest part that may, with a sentence."""
    refusal = protocol.problem(frame)
    if refusal is None:
        return frame
    part = protocol.partition(frame)[0]
    left_out = len(frame) - len(part)
    problems.append(f"{refusal} Here: the {len(part):,} runs that belong together; {left_out:,} left out.")
    return part


# --- one run ---------------------------------------------------------------------------------------------------------


def _curves(metrics: pd.DataFrame, name: str) -> dict[str, Curve]:
    """Return {run_id: (steps, values)} of one metric, in order of steps."""
    return {run_id: (steps, values) for run_id, steps, values in curves_of(metrics, name)}


def _run(row: Any, curve: Curve, costs: Mapping[str, Any], threshold: float, sustained: int, last: int) -> Run:
    steps, values = curve
    reach = thresholds.first_reaching(steps, values, threshold, sustained)
    stop_rate, stop_tests = row.config.get("stop_win_rate") or 0, int(row.config.get("stop_evaluations") or 3)
    tests = costs[HEADLINE][row.run_id][1] if row.run_id in costs[HEADLINE] else np.empty(0)
    won = stop_rate > 0 and len(tests) >= stop_tests and bool(np.all(tests[-stop_tests:] >= stop_rate))
    wall_s, cpu_s = _number(row.wall_s), _number(row.cpu_s)
    spent = [np.nan] * 3
    if not reach.censored:
        standard = threshold == 0.9 and sustained == stop_tests
        for number, (name, milestone, total) in enumerate(
            zip(COST_METRICS, MILESTONES, (wall_s, cpu_s, np.nan), strict=True)
        ):
            if standard and row.run_id in costs[milestone]:
                spent[number] = float(costs[milestone][row.run_id][1][0])
            elif row.run_id in costs[name]:
                spent[number] = _spent_at(reach.step, costs[name][row.run_id], float(steps[-1]), total)
    return Run(
        run_id=row.run_id,
        algorithm=row.label,
        map=row.map,
        seed=-1 if pd.isna(row.seed) else int(row.seed),
        status=row.status,
        steps=steps,
        values=values,
        final=float(np.mean(values[-last:])),
        reach=reach,
        won=won,
        seconds_to_reach=spent[0],
        cpu_seconds_to_reach=spent[1],
        episodes_to_reach=spent[2],
        wall_s=wall_s,
        cpu_s=cpu_s,
        episodes=float(costs["episode"][row.run_id][1][-1]) if row.run_id in costs["episode"] else float("nan"),
        peak_memory_mib=_number(row.peak_memory_mib),
        gpu_memory_mib=_number(row.gpu_memory_mib),
    )


def _spent_at(step: float, clock: Curve, end: float, total: float) -> float:
    """Return what had been spent at a step: between two log entries in proportion, after the last towards the total."""
    steps, spent = clock
    if end > steps[-1] and np.isfinite(total):
        steps, spent = np.r_[0.0, steps, end], np.r_[0.0, spent, total]
    return float(np.interp(step, steps, spent)) if step <= steps[-1] else float("nan")


def _number(value: Any) -> float:
    return float("nan") if value is None or pd.isna(value) else float(value)


def _some(names: Sequence[str], limit: int = 5) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


def _joined(sentence: str, problems: Sequence[str]) -> str:
    return "\n".join([sentence, *problems[:20]])
