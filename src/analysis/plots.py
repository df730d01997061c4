"""Figures of a comparison, map by map: learning curves, steps to the threshold, final values, cost.

Each function takes a `Study` and returns a matplotlib figure; `draw_all` makes all that the data allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from analysis import statistics, thresholds
from analysis.plot_style import (
    GREY,
    WIDTH,
    Look,
    draw_key,
    draw_legend,
    draw_threshold,
    figure_names,
    in_first_column,
    looks,
    panels,
    step_axis,
    steps_text,
    style,
    value_axis,
)
from analysis.study import Run, Study, metric_name, threshold_name

GRID = 120  # points along a learning curve
MANY_RUNS = 64
SINGLE_RUNS = 300  # up to so many runs in all are drawn one by one, thin
CROWDED = 6  # curves of more algorithms than this have neither bands nor single runs: nothing could be told apart

# --- learning curves -------------------------------------------------------------------------------------------------


def learning_curves(study: Study, statistic: str = "mean") -> Figure:
    """A panel per map: the mean (or IQM, median) of the runs with its 95 % bootstrap band, single runs thin.

    Of many algorithms (`CROWDED`) the lines alone.
    """
    banded = len(study.algorithms) <= CROWDED
    singly = banded and len(study.runs) <= SINGLE_RUNS
    with style():
        figure, axes = panels(len(study.maps), 1.8 if len(study.maps) > 2 else 2.3, sharey=True)
        look = looks(study.algorithms)
        for panel, map_name in zip(axes, study.maps, strict=True):
            for algorithm in study.algorithms:
                runs = study.group(algorithm, map_name)
                if runs:
                    _curve(panel, runs, look[algorithm], statistic, singly=singly, banded=banded)
            draw_threshold(panel, study, vertical=False)
            panel.set_title(map_name)
            panel.set_xlim(left=0)
            step_axis(panel)
        value_axis(axes[0], study, "y")
        figure.supxlabel("environment steps", fontsize=8.5)
        for panel in axes:
            if in_first_column(panel):
                panel.set_ylabel(metric_name(study.metric))
        draw_legend(figure, study, look)
        return figure


def _curve(panel: Axes, runs: Sequence[Run], look: Look, statistic: str, *, singly: bool, banded: bool) -> None:
    """Draw one algorithm: solid with a band as far as every run went, dotted while at least half of them went on."""
    first, end = max(run.steps[0] for run in runs), max(run.steps[-1] for run in runs)
    grid = np.linspace(first, end, GRID) if end > first else np.array([first])
    resamples = 2_000 if len(runs) <= MANY_RUNS else 500  # many runs make a narrow band anyway
    held = [run.won for run in runs]
    band = statistics.band([run.curve for run in runs], grid, statistic, held, repetitions=resamples)
    if singly and len(runs) > 1:
        for run in runs:
            panel.plot(run.steps, run.values, color=look.colour, linewidth=0.5, alpha=0.35, zorder=1)
    whole = band.runs == len(runs)
    panel.plot(grid[whole], band.value[whole], label=runs[0].algorithm, zorder=3, **look.curve(GRID // 8))
    if len(runs) > 1:
        if banded:
            limits: dict[str, Any] = {"color": look.colour, "alpha": 0.18, "linewidth": 0, "zorder": 2}
            panel.fill_between(grid[whole], band.low[whole], band.high[whole], **limits)
        fewer = (band.runs >= max(2, len(runs) / 2)) & ~whole
        panel.plot(grid[fewer], band.value[fewer], color=look.colour, linestyle=":", linewidth=1.0, zorder=2)


# --- steps to the threshold ------------------------------------------------------------------------------------------


def sample_efficiency(study: Study) -> Figure:
    """A panel per map: bars are the Kaplan-Meier medians of the steps to the threshold, a symbol per run.

    A run that never got there is an arrow at its last step; a median that was not reached is a hatched bar to there.
    """
    with style():
        rows = len(study.algorithms)
        names, note = figure_names(study.algorithms)
        figure, axes = panels(len(study.maps), 0.55 + 0.25 * rows, sharey=True)
        look = looks(study.algorithms)
        for panel, map_name in zip(axes, study.maps, strict=True):
            for row, algorithm in enumerate(study.algorithms):
                runs = study.group(algorithm, map_name)
                if runs:
                    _efficiency_bar(panel, row, runs, look[algorithm])
            panel.set_title(map_name)
            panel.set_yticks(range(rows), [names[algorithm] for algorithm in study.algorithms])
            panel.set_ylim(rows - 0.4, -0.6)
            panel.grid(visible=False, axis="y")
            ends = [run.reach.step for a in study.algorithms for run in study.group(a, map_name)]
            panel.set_xlim(0, 1.07 * max(ends) or 1)
            step_axis(panel)
        text = f"environment steps to {threshold_name(study)}"
        figure.supxlabel(text, fontsize=8.5)
        open_arrow: dict[str, Any] = {"marker": ">", "linestyle": "", "markerfacecolor": "none"}
        key = [
            Line2D([], [], color=GREY, linewidth=6, alpha=0.5, label="median"),
            Line2D([], [], color=GREY, marker="o", linestyle="", label="a run"),
            Line2D([], [], color=GREY, label="a run that ended before", **open_arrow),
        ]
        draw_key(figure, key, note)
        return figure


def _efficiency_bar(panel: Axes, row: int, runs: Sequence[Run], look: Look) -> None:
    median = thresholds.kaplan_meier_median([run.reach for run in runs])
    reached = np.isfinite(median.value)
    length = median.value if reached else max(run.reach.step for run in runs)
    panel.barh(
        row,
        length,
        height=0.62,
        color=look.colour if reached else "none",
        edgecolor=look.colour,
        alpha=0.4 if reached else 0.7,
        hatch=None if reached else "////",
        linewidth=0.8,
        zorder=1,
    )
    places = row + _spread(len(runs), 0.42)
    for censored, marker, face in ((False, look.marker, look.colour), (True, ">", "none")):
        chosen = zip(runs, places, strict=True)
        points = [(run.reach.step, place) for run, place in chosen if run.reach.censored == censored]
        if points:
            steps, heights = zip(*points, strict=True)
            shape: dict[str, Any] = {"marker": marker, "markerfacecolor": face, "markeredgecolor": look.colour}
            panel.plot(steps, heights, linestyle="", markersize=4, zorder=3, **shape)


# --- final values and cost -------------------------------------------------------------------------------------------


def final_values(study: Study) -> Figure:
    """A row per map: mean of the runs' last tests with its 95 % interval, single runs small."""
    with style():
        figure, (panel,) = panels(1, _height(study))
        figure.set_size_inches(WIDTH * 0.8, _height(study))
        look = looks(study.algorithms)
        _dots(panel, study, look, attrgetter("final"), interval=True)
        value_axis(panel, study, "x")
        draw_threshold(panel, study, vertical=True)
        last = "the last test" if study.last == 1 else f"the last {study.last} tests"
        panel.set_xlabel(f"{metric_name(study.metric)}, mean of {last} of each run")
        draw_legend(figure, study, look)
        return figure


COSTS: tuple[tuple[str, str], ...] = (
    ("wall_s", "seconds"),
    ("cpu_s", "CPU-seconds"),
    ("peak_memory_mib", "peak memory, MiB"),
    ("gpu_memory_mib", "GPU memory, MiB"),
)


def cost(study: Study) -> Figure | None:
    """A column each for seconds, CPU-seconds, memory and, where used, GPU memory, of whole runs; None if unknown."""
    known = [(key, label) for key, label in COSTS if any(getattr(run, key) > 0 for run in study.runs)]
    if not known:
        return None
    with style():
        figure, axes = panels(len(known), _height(study), columns=4, sharey=True, width=WIDTH)
        figure.set_size_inches(WIDTH, _height(study))
        look = looks(study.algorithms)
        for panel, (key, label) in zip(axes, known, strict=True):
            _dots(panel, study, look, attrgetter(key), interval=False)
            if "seconds" in label:
                panel.set_xscale("log")
                panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
                panel.xaxis.set_minor_locator(NullLocator())
            else:
                panel.set_xlim(0, 1.07 * np.nanmax([getattr(run, key) for run in study.runs]))
                panel.xaxis.set_major_locator(MaxNLocator(4))
            panel.xaxis.set_major_formatter(steps_text)
            panel.set_xlabel(label)
        draw_legend(figure, study, look)
        return figure


def _dots(
    panel: Axes, study: Study, look: dict[str, Look], value: Callable[[Run], float], *, interval: bool
) -> None:
    """Draw a row per map and, in it, a line per algorithm: runs as small dots, their mean large."""
    lanes = _spread(len(study.algorithms), 0.6)
    for row, map_name in enumerate(study.maps):
        if row % 2:
            panel.axhspan(row - 0.5, row + 0.5, color=GREY, alpha=0.07, linewidth=0, zorder=0)
        for lane, algorithm in zip(lanes, study.algorithms, strict=True):
            numbers = np.array([value(run) for run in study.group(algorithm, map_name)])
            numbers = numbers[np.isfinite(numbers)]
            if not len(numbers):
                continue
            style_ = look[algorithm]
            height = np.full(len(numbers), row + lane)
            if len(numbers) > 1:
                panel.plot(numbers, height, ".", color=style_.colour, markersize=3, alpha=0.4, linestyle="", zorder=1)
            estimate = statistics.interval(numbers, "mean") if interval else None
            if estimate is not None and estimate.low is not None and estimate.high is not None:
                panel.plot([estimate.low, estimate.high], height[:2], color=style_.colour, linewidth=1.4, zorder=2)
            panel.plot(numbers.mean(), row + lane, style_.marker, color=style_.colour, label=algorithm, zorder=3)
    panel.set_yticks(range(len(study.maps)), study.maps)
    panel.set_ylim(len(study.maps) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)


# --- shared pieces ---------------------------------------------------------------------------------------------------


def _height(study: Study) -> float:
    return 1.0 + len(study.maps) * max(0.26, 0.085 * len(study.algorithms))


def _spread(count: int, width: float) -> NDArray[np.float64]:
    """Return `count` offsets across `width`, centred on 0."""
    return np.linspace(-width / 2, width / 2, count) if count > 1 else np.zeros(1)
