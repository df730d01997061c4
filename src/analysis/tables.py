"""Tables of a comparison: the win rates with the mean over the maps, every map's details, pairs of algorithms, runs.

Shares of episodes are written in per cent. An interval is a 95 % bootstrap interval over runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis import statistics, thresholds
from analysis.study import Run, Study, metric_name, threshold_name
from analysis.table_format import Table

DASH = "-"
SEEDS_SHOWN = 10  # up to so many seeds are written one by one


def summary(study: Study) -> Table:
    """Return the table of a paper: maps down, algorithms across, then mean and IQM over the maps common to all."""
    maps = study.common_maps()
    rows = [[m, *(_mean(study, study.group(a, m)) for a in study.algorithms)] for m in study.maps]
    rules = []
    if len(maps) > 1:
        rules = [len(rows)]
        for name, statistic in (("mean", "mean"), ("IQM", "iqm")):
            cells = [_estimate(study, study.finals(a, maps), statistic) for a in study.algorithms]
            rows.append([f"{name} of {len(maps)} maps", *cells])
    unit = ", %" if study.is_share else ""
    title = f"Final {metric_name(study.metric)}{unit}: mean of the runs [95 % interval]"
    return Table("summary", title, ["map", *study.algorithms], rows, 1, rules, caveats(study))


def caveats(study: Study) -> list[str]:
    """Return what a reader must know: what "final" means, how many seeds there are, what the intervals are worth."""
    tests = "the last test" if study.last == 1 else f"the mean of its last {study.last} tests"
    notes = [f"A run's final value is {tests}. Intervals: bootstrap over runs, stratified by map."]
    notes.append(seeds_sentence(study))
    fewest = min((len(runs) for runs in study.groups.values()), default=0)
    notes.append(statistics.coverage(fewest, 1).sentence)
    maps = study.common_maps()
    if len(maps) > 1:
        notes.append(f"Over the {len(maps)} maps together: {statistics.coverage(fewest, len(maps)).sentence}")
    if len(maps) < len(study.maps) and len(study.algorithms) > 1:
        left = ", ".join(m for m in study.maps if m not in maps)
        notes.append(f"Not every algorithm was run on {left}: no part of the mean over maps.")
    stopped = sum(run.won for run in study.runs)
    if stopped:
        notes.append(
            f"{stopped:,} of {len(study.runs):,} runs stopped because their tests had reached the win rate "
            "they were to stop at; that selects good last tests, so compare their steps rather than their final values."
        )
    return notes


def seeds_sentence(study: Study) -> str:
    """Return how many seeds every number rests on."""
    counts = {group: len(runs) for group, runs in study.groups.items()}
    few, many = min(counts.values()), max(counts.values())
    if few == many:
        return f"{many} {'seed' if many == 1 else 'seeds'} per algorithm and map."
    lacking = [f"{a} on {m} ({count})" for (a, m), count in sorted(counts.items()) if count < many]
    more = f" and {len(lacking) - 8} more" if len(lacking) > 8 else ""
    return f"{many} seeds per algorithm and map, fewer: {', '.join(lacking[:8])}{more}."


def details(study: Study) -> Table:
    """Return a row per map and algorithm: final values, area under the curve, steps to the threshold."""
    timed = bool(np.isfinite(study.threshold))
    columns = ["map", "algorithm", "seeds", "mean [95 %]", "median", "range", "area"]
    notes = ["area: mean height of the learning curve, as far as every run on the map went."]
    if timed:
        columns += ["reached", "steps [95 %]"]
        notes.append(
            f"reached: runs with {threshold_name(study)}; steps: Kaplan-Meier median until then, in which a run that "
            "did not get there counts as later than it ended; > and a number: the median was not reached by then; a "
            "question mark: these runs set no bound."
        )
    rows, rules = _grouped(study, lambda runs: _detail_cells(study, runs, timed))
    title = f"{metric_name(study.metric).capitalize()}, map by map"
    return Table("details", title, columns, rows, 2, rules, notes)


def _grouped(study: Study, cells: Callable[[Sequence[Run]], list[str]]) -> tuple[list[list[str]], list[int]]:
    """Return a row per map and algorithm that has runs, and the numbers of the rows that begin a map."""
    rows: list[list[str]] = []
    rules: list[int] = []
    for map_name in study.maps:
        if rows:
            rules.append(len(rows))
        for algorithm in study.algorithms:
            if runs := study.group(algorithm, map_name):
                rows.append([map_name, algorithm, *cells(runs)])
    return rows, rules


def _detail_cells(study: Study, runs: Sequence[Run], timed: bool) -> list[str]:
    finals = [run.final for run in runs]
    end = study.common_end(runs[0].map)
    areas = [statistics.area_under_curve(*run.curve, end, run.won) for run in runs]
    cells = [
        str(len(runs)),
        _mean(study, runs),
        value_text(study, float(np.median(finals))),
        f"{value_text(study, min(finals))} to {value_text(study, max(finals))}",
        value_text(study, float(np.mean(areas))),
    ]
    if timed:
        cells += [f"{sum(not run.reach.censored for run in runs)}/{len(runs)}", steps_median(runs)]
    return cells


def costs(study: Study) -> Table | None:
    """Return what the runs cost, to the threshold and in all; None where no cost was recorded."""
    if not any(np.isfinite(run.wall_s) or np.isfinite(run.peak_memory_mib) for run in study.runs):
        return None
    timed = bool(np.isfinite(study.threshold))
    columns = ["map", "algorithm", *(["seconds to it", "CPU-seconds to it", "episodes to it"] if timed else [])]
    columns += ["seconds", "CPU-seconds", "peak memory, MiB", "GPU memory, MiB"]
    notes = ["seconds, CPU-seconds: of the median run, from its start to its end; memory: the largest of all runs."]
    if timed:
        notes.insert(0, f"to it: Kaplan-Meier median to {threshold_name(study)}; {DASH}: not reached or not recorded.")
    rows, rules = _grouped(study, lambda runs: _cost_cells(runs, timed))
    kept = [number for number in range(len(columns)) if number < 2 or any(row[number] != DASH for row in rows)]
    rows = [[row[number] for number in kept] for row in rows]
    return Table("costs", "Cost", [columns[number] for number in kept], rows, 2, rules, notes)


def _cost_cells(runs: Sequence[Run], timed: bool) -> list[str]:
    cells = []
    if timed:
        cells.append(_cost_to_reach(runs, "seconds_to_reach", "wall_s"))
        cells.append(_cost_to_reach(runs, "cpu_seconds_to_reach", "cpu_s"))
        cells.append(_cost_to_reach(runs, "episodes_to_reach", "episodes"))
    cells += [_median([run.wall_s for run in runs]), _median([run.cpu_s for run in runs])]
    on_gpu = [run.gpu_memory_mib or math.nan for run in runs]
    return [*cells, _largest([run.peak_memory_mib for run in runs]), _largest(on_gpu)]


def steps_median(runs: Sequence[Run]) -> str:
    """Return the Kaplan-Meier median of the steps to the threshold with its interval, or that it was not reached."""
    median = thresholds.kaplan_meier_median([run.reach for run in runs])
    if not np.isfinite(median.value):
        return f"> {max(run.reach.step for run in runs):,.0f}"
    if median.low is None or median.high is None:
        return number_text(median.value)
    high = number_text(median.high) if np.isfinite(median.high) else "?"
    return f"{number_text(median.value)} [{number_text(median.low)}, {high}]"


def on_the_way(study: Study, at: Sequence[float] = ()) -> Table:
    """Return every seed's steps to the threshold and the mean value at some steps, `at` or round numbers."""
    longest = max(run.steps[-1] for run in study.runs)
    at = list(at) or round_steps(longest)
    timed = bool(np.isfinite(study.threshold))

    def cells(runs: Sequence[Run]) -> list[str]:
        return [*([_each_seed(runs)] if timed else []), *(_value_at(study, runs, step) for step in at)]

    rows, rules = _grouped(study, cells)
    columns = ["map", "algorithm", *(["steps, each seed"] if timed else []), *(f"at {step:,.0f}" for step in at)]
    notes = [
        f"Mean {metric_name(study.metric)} at a step, in proportion between two tests; a run that stopped because it "
        f"had won keeps its last one. (n): of so many runs, the others had ended before; {DASH}: all had."
    ]
    if timed:
        notes.insert(0, f"Steps to {threshold_name(study)}; > and a number: not reached when the run ended there.")
    title = "On the way: steps of each seed, and values at some steps"
    return Table("steps", title, columns, rows, 2, rules, notes, ["steps, each seed"])


def round_steps(longest: float, count: int = 4) -> list[float]:
    """Return up to `count` round numbers of steps, 1, 2 and 5 times powers of ten, the largest at most `longest`."""
    exponents = range(math.floor(math.log10(max(longest, 1))) + 1)
    found = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
    return [step for step in found if step <= longest][-count:]


def _each_seed(runs: Sequence[Run]) -> str:
    if len(runs) > SEEDS_SHOWN:
        return f"{len(runs)} seeds"
    return ", ".join(("> " if run.reach.censored else "") + number_text(run.reach.step) for run in runs)


def _value_at(study: Study, runs: Sequence[Run], step: float) -> str:
    values = np.array([statistics.at_steps(*run.curve, [step], run.won)[0] for run in runs])
    known = values[np.isfinite(values)]
    if not known.size:
        return DASH
    return value_text(study, float(known.mean())) + (f" (n = {known.size})" if known.size < values.size else "")


def per_run(study: Study, limit: int | None = None) -> Table:
    """Return a row per run; with a limit, only the first so many and a note of how many there are."""
    rows = [
        [
            run.map,
            run.algorithm,
            str(run.seed),
            run.status.lower(),
            number_text(run.steps[-1]),
            value_text(study, run.final),
            "not reached" if run.reach.censored else number_text(run.reach.step),
            number_text(run.wall_s),
            number_text(run.cpu_s),
            number_text(run.peak_memory_mib),
            run.run_id,
        ]
        for m in study.maps
        for a in study.algorithms
        for run in study.group(a, m)
    ]
    notes = []
    if limit is not None and len(rows) > limit:
        notes.append(f"The first {limit:,} of {len(rows):,} runs; runs.csv beside this page has all.")
        rows = rows[:limit]
    columns = ["map", "algorithm", "seed", "status", "steps", "final", "reached at", "s", "CPU-s", "peak MiB", "run"]
    return Table("runs", "Every run", columns, rows, 2, [], notes, ["run"])


# --- cells -----------------------------------------------------------------------------------------------------------


def value_text(study: Study, value: float, sign: bool = False) -> str:
    """Return a value of the metric: per cent with one decimal for a share, else four significant digits."""
    if not np.isfinite(value):
        return DASH
    plus = "+" if sign else ""
    return f"{100 * value:{plus}.1f}" if study.is_share else f"{value:{plus}.4g}"


def number_text(value: float) -> str:
    """Return a large number with thousands separated, a small one with a decimal, a dash for NaN."""
    if not np.isfinite(value):
        return DASH
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"


def _mean(study: Study, runs: Sequence[Run]) -> str:
    finals = np.array([run.final for run in runs])
    return _estimate(study, finals, "mean") if len(runs) else DASH


def _estimate(
    study: Study, scores: NDArray[np.float64] | dict[str, NDArray[np.float64]], statistic: str
) -> str:
    estimate = statistics.interval(scores, statistic=statistic)
    text = value_text(study, estimate.value)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{value_text(study, estimate.low)}, {value_text(study, estimate.high)}]"


def _cost_to_reach(runs: Sequence[Run], spent: str, total: str) -> str:
    """Return the Kaplan-Meier median of a cost until the threshold; a run without it is censored at all it cost."""
    reaches = [
        thresholds.Reach(getattr(run, total if run.reach.censored else spent), run.reach.censored) for run in runs
    ]
    if any(not np.isfinite(reach.step) for reach in reaches):
        return DASH
    return number_text(thresholds.kaplan_meier_median(reaches).value)


def _median(values: Sequence[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    return number_text(float(np.median(known))) if known else DASH


def _largest(values: Sequence[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    return number_text(max(known)) if known else DASH
