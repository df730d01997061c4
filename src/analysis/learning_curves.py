"""Compare runs: steps, seconds and CPU-seconds to a sustained 90 % test win rate, and the curves.

    python3 src/analysis/learning_curves.py results/sacred/3m --output results/reference/3m

reads every finished run below the folder (its summary.json and metrics.json) and writes `<output>.json`, the small
summary that can be kept, `<output>.md`, the table, and `<output>.png`, the figure (needs matplotlib).
Given `<name>.json` files instead of folders, it makes table and figure from them again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

METRIC = "test_battle_won_mean"
COLOURS = {"amal": "#D55E00", "mappo": "#0072B2"}
KEPT = ("steps_to_90", "steps_to_sustained_90", "seconds_to_sustained_90", "cpu_seconds_to_sustained_90")


def read_run(folder: Path) -> dict[str, Any] | None:
    """The run in a sacred folder as plain numbers; None unless it has finished."""
    summary_file, metrics_file = folder / "summary.json", folder / "metrics.json"
    if not summary_file.is_file() or not metrics_file.is_file():
        return None
    summary = json.loads(summary_file.read_text(encoding="utf-8"))
    curve = json.loads(metrics_file.read_text(encoding="utf-8")).get(METRIC)
    if curve is None:
        return None
    return {
        "algorithm": summary["name"],
        "map": summary["map"],
        "seed": summary["seed"],
        "engine": summary["engine_info"],
        "steps": curve["steps"],
        "win_rate": curve["values"],
        "t_env": summary["t_env"],
        "wall_seconds": summary["wall_seconds"],
        "cpu_seconds": summary["cpu_seconds"],
        "peak_memory_mib": summary["peak_memory_mib"],
        **{key: summary.get(key) for key in KEPT},
    }


def read_runs(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """All finished runs in or below the folders, and all in the .json files, ordered by algorithm and seed."""
    runs: list[dict[str, Any]] = []
    for path in paths:
        if path.suffix == ".json":
            runs += json.loads(path.read_text(encoding="utf-8"))
        else:
            runs += [run for file in sorted(path.rglob("summary.json")) if (run := read_run(file.parent))]
    engines = {json.dumps(run["engine"], sort_keys=True) for run in runs}
    if len(engines) > 1:
        raise ValueError(f"These runs were played on different engines or maps and must not be compared: {engines}")
    return sorted(runs, key=lambda run: (run["algorithm"], run["seed"]))


def censored_median(values: Sequence[float | None]) -> float | None:
    """Median in which a run that never got there counts as later than any other; None if the median run is one."""
    ordered = sorted(np.inf if value is None else value for value in values)
    middle = float(np.median(ordered)) if ordered else np.inf
    return middle if np.isfinite(middle) else None


def win_rate_at(run: dict[str, Any], step: int) -> float | None:
    """Test win rate at a step, between two tests in proportion. A run that ended because it had won keeps its last
    one; any other that ended before the step has none."""
    if step <= run["steps"][-1]:
        return float(np.interp(step, run["steps"], run["win_rate"]))
    return float(run["win_rate"][-1]) if _reached(run, "steps_to_sustained_90") is not None else None


def table(runs: Sequence[dict[str, Any]], at: Sequence[int] = (5_000, 10_000, 20_000, 30_000)) -> str:
    """Markdown: a row per algorithm; every seed's steps, medians, mean win rates at some steps, and cost."""
    headings = [
        "algorithm",
        "runs",
        "steps to a sustained 90 %, each seed",
        "median",
        "median seconds",
        "median CPU-seconds",
        "first test at 90 %, median steps",
        *(f"mean win rate at {step:,}" for step in at),
        "peak memory, MiB",
    ]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for algorithm in dict.fromkeys(run["algorithm"] for run in runs):
        group = [run for run in runs if run["algorithm"] == algorithm]
        steps = [_reached(run, "steps_to_sustained_90") for run in group]
        cells = [
            f"`{algorithm}`",
            str(len(group)),
            ", ".join(_number(s, f"not in {run['t_env']:,}") for s, run in zip(steps, group, strict=True)),
            *(_number(censored_median([_reached(run, key) for run in group]), "not reached") for key in KEPT[1:]),
            _number(censored_median([_reached(run, "steps_to_90") for run in group]), "not reached"),
            *(_mean_percent([win_rate_at(run, step) for run in group]) for step in at),
            f"{max(run['peak_memory_mib'] for run in group):,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratio(runs: Sequence[dict[str, Any]], first: str, second: str, draws: int = 10_000) -> str:
    """One sentence: ratio of mean steps to a sustained 90 %, its bootstrap interval, Welch's test on the logarithms."""
    samples = []
    for name in (first, second):
        steps = [_reached(run, "steps_to_sustained_90") for run in runs if run["algorithm"] == name]
        if len(steps) < 2 or any(value is None for value in steps):
            return f"No ratio of {first} to {second}: not every run got there (or there are fewer than two of each)."
        samples.append(np.array(steps, dtype=float))
    generator = np.random.default_rng(0)
    resampled = [generator.choice(sample, (draws, len(sample))).mean(axis=1) for sample in samples]
    low, high = np.percentile(resampled[0] / resampled[1], [2.5, 97.5])
    test = stats.ttest_ind(np.log(samples[0]), np.log(samples[1]), equal_var=False)
    point = samples[0].mean() / samples[1].mean()
    return (
        f"Mean steps of {first} / mean steps of {second}: {point:.2f} (95 % percentile bootstrap {low:.2f} to "
        f"{high:.2f}, n = {len(samples[0])} and {len(samples[1])}; with five runs such an interval is too narrow); "
        f"Welch's t on log steps: p = {test.pvalue:.2g}."
    )


def plot(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Test win rate over environment steps: every run thin, their mean thick."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, algorithm in enumerate(dict.fromkeys(run["algorithm"] for run in runs)):
        group = [run for run in runs if run["algorithm"] == algorithm]
        colour = COLOURS.get(algorithm, f"C{number}")
        for run in group:
            axes.plot(run["steps"], run["win_rate"], color=colour, alpha=0.25, linewidth=0.8)
        # A run that ended early, because it had won its tests, stays where it ended.
        grid = np.linspace(0, max(run["steps"][-1] for run in group), 200)
        curves = [np.interp(grid, run["steps"], run["win_rate"]) for run in group]
        axes.plot(grid, np.mean(curves, axis=0), color=colour, linewidth=2.2, label=f"{algorithm} (n = {len(group)})")
    axes.axhline(0.9, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="environment steps", ylabel="test win rate", ylim=(-0.02, 1.02), title=runs[0]["map"])
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read runs, write summary, table and figure; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of sacred runs, or summaries written before")
    parser.add_argument("--output", required=True, type=Path, help="path of what is written, without ending")
    options = parser.parse_args(arguments)
    try:
        runs = read_runs(options.runs)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if not runs:
        print(f"There is no finished run below {', '.join(map(str, options.runs))}.", file=sys.stderr)
        return 2
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(_compact(runs), encoding="utf-8")
    text = table(runs)
    names = list(dict.fromkeys(run["algorithm"] for run in runs))
    if {"amal", "mappo"} <= set(names):
        text += "\n\n" + ratio(runs, "amal", "mappo")
    options.output.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(text)
    plot(runs, options.output.with_suffix(".png"))
    return 0


def _reached(run: dict[str, Any], key: str) -> float | None:
    value = run.get(key)
    return None if value is None else float(value)


def _number(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.0f}"


def _mean_percent(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    missing = f" (n = {len(known)})" if len(known) < len(values) else ""
    return f"{100 * np.mean(known):.0f} %{missing}"


def _compact(runs: Sequence[dict[str, Any]]) -> str:
    """JSON with a run per line."""
    return "[\n" + ",\n".join(json.dumps(run, sort_keys=True) for run in runs) + "\n]\n"


if __name__ == "__main__":
    sys.exit(main())
