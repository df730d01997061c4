"""Figures over a suite of maps: performance profiles, probability of improvement, the curve of all maps together."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from analysis import statistics
from analysis.pairs import improvements
from analysis.plot_style import (
    GREY,
    THIN,
    draw_legend,
    draw_threshold,
    figure_names,
    fitting,
    looks,
    panels,
    step_axis,
    style,
    value_axis,
)
from analysis.study import Study, metric_name

SUITE_GRID = 64  # points along the curve of a suite
MANY_RUNS = 500  # of an algorithm, from which on fewer resamples do: the interval is narrow
PAIRS = 15  # at most so many comparisons are drawn


def suite_curve(study: Study, statistic: str = "iqm") -> Figure | None:
    """Draw the interquartile mean over all runs of all common maps, with its stratified bootstrap band.

    As far as every run of every algorithm went; None with fewer than two common maps.
    """
    maps = study.common_maps()
    if len(maps) < 2:
        return None
    with style():
        figure, (panel,) = panels(1, 2.9)
        look = looks(study.algorithms)
        for algorithm in study.algorithms:
            tasks = {m: study.group(algorithm, m) for m in maps}
            end = min(study.common_end(m) for m in maps)
            start = max(run.steps[0] for runs in tasks.values() for run in runs)
            grid = np.linspace(start, max(start, end), SUITE_GRID)
            curves = {m: [run.curve for run in runs] for m, runs in tasks.items()}
            held = {m: [run.won for run in runs] for m, runs in tasks.items()}
            few = sum(map(len, tasks.values())) <= MANY_RUNS
            estimate = statistics.suite_band(curves, grid, statistic, held, repetitions=1_000 if few else 300)
            own = look[algorithm]
            panel.plot(grid, estimate.value, label=algorithm, **own.curve(SUITE_GRID // 8))
            panel.fill_between(grid, estimate.low, estimate.high, color=own.colour, alpha=0.18, linewidth=0)
        draw_threshold(panel, study, vertical=False)
        value_axis(panel, study, "y")
        step_axis(panel)
        panel.set_xlim(left=0)
        panel.set(xlabel="environment steps", ylabel=f"{metric_name(study.metric)}, IQM of {len(maps)} maps")
        draw_legend(figure, study, look)
        return figure


def performance_profiles(study: Study) -> Figure:
    """Draw the share of runs whose final value is above each level, over the common maps, with 95 % bands."""
    maps = study.common_maps() or study.maps
    scores = {a: study.finals(a, maps) for a in study.algorithms}
    largest = max((float(v.max()) for by_map in scores.values() for v in by_map.values()), default=1.0)
    levels = np.linspace(0, 1 if study.is_share else max(largest, 1e-9), 101)
    with style():
        figure, (panel,) = panels(1, 2.9)
        look = looks(study.algorithms)
        for algorithm, by_map in scores.items():
            if not by_map:
                continue
            profile = statistics.performance_profile(by_map, levels)
            own = look[algorithm]
            panel.step(levels, profile.fraction, where="post", color=own.colour, linestyle=own.line, label=algorithm)
            panel.plot(levels[::12], profile.fraction[::12], own.marker, color=own.colour, linestyle="")
            if profile.low is not None and profile.high is not None:
                band: dict[str, Any] = {"step": "post", "color": own.colour, "alpha": 0.18, "linewidth": 0}
                panel.fill_between(levels, profile.low, profile.high, **band)
        panel.set_ylim(-0.03, 1.03)
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        value_axis(panel, study, "x")
        panel.set_xlabel(f"final {metric_name(study.metric)} above this")
        panel.set_ylabel("share of runs")
        draw_legend(figure, study, look)
        return figure


def improvement(study: Study) -> Figure | None:
    """Draw, for every pair, the probability that a run of the first beats a run of the second on the same map.

    None with fewer than two algorithms that share a map; at most `PAIRS` of them.
    """
    pairs = improvements(study).head(PAIRS)
    if pairs.empty:
        return None
    with style():
        names, note = figure_names(study.algorithms)
        figure, (panel,) = panels(1, (0.4 if note else 0.3) * len(pairs), extra=0.6)
        look = looks(study.algorithms)
        for row, pair in enumerate(pairs.itertuples()):
            own = look[str(pair.a)]
            panel.plot([pair.low, pair.high], [row, row], color=own.colour, linewidth=1.6)
            panel.plot(pair.probability, row, own.marker, color=own.colour, markersize=6)
        panel.axvline(0.5, color=GREY, linewidth=THIN, linestyle=(0, (2, 2)), zorder=0.5)
        versus = "\n> " if note else " > "
        rows = [f"{names[str(pair.a)]}{versus}{names[str(pair.b)]}" for pair in pairs.itertuples()]
        panel.set_yticks(range(len(pairs)), rows)
        if note:
            figure.suptitle(fitting(figure, note), fontsize=8.5)
        panel.set_ylim(len(pairs) - 0.5, -0.5)
        panel.set_xlim(-0.03, 1.03)
        panel.xaxis.set_major_formatter(PercentFormatter(1.0))
        panel.grid(visible=False, axis="y")
        panel.set_xlabel("probability of improvement")
        return figure
