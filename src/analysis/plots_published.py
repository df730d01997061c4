"""Our final win rates beside published ones: same axes, different engines and statistics, so told apart by fill."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis import published, statistics
from analysis.plot_style import (
    GREY,
    INK,
    Look,
    draw_key,
    in_first_column,
    looks,
    panels,
    steps_text,
    style,
    value_axis,
)
from analysis.study import HEADLINE, Study

CAPTION = (
    "Filled, with the 95 % interval: ours, at the last step of the longest run. Hollow, in the same colour: published "
    "for the same method; grey: for others. Published figures were mostly played in StarCraft II, for other numbers of "
    "steps (the axis is logarithmic), and are medians or means as their sources say: put beside ours, not compared."
)


def maps_with_figures(study: Study) -> list[str]:
    """Return the maps of a study for which win rates with stated steps were published; none for another metric."""
    if study.metric != HEADLINE:
        return []
    return [m for m in study.maps if any(figure.steps for figure in published.lookup(m))]


def beside_published(study: Study) -> Figure | None:
    """A panel per map: win rate over steps, ours and published; None where nothing was published."""
    maps = maps_with_figures(study)
    if not maps:
        return None
    with style():
        figure, axes = panels(len(maps), 1.8 if len(maps) > 2 else 2.3, sharey=True, sharex=True)
        look = looks(study.algorithms)
        for panel, map_name in zip(axes, maps, strict=True):
            _published_points(panel, map_name, look)
            _own_points(panel, study, map_name, look)
            panel.set_title(map_name)
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(numticks=6))
            panel.xaxis.set_major_formatter(FuncFormatter(steps_text))
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.tick_params(labelbottom=True)
            if in_first_column(panel):
                panel.set_ylabel("test win rate")
        value_axis(axes[0], study, "y")
        figure.supxlabel("environment steps", fontsize=8.5)
        own = [Line2D([], [], color=s.colour, marker=s.marker, linestyle="", label=name) for name, s in look.items()]
        hollow: dict[str, Any] = {"marker": "o", "linestyle": "", "markerfacecolor": "none"}
        own.append(Line2D([], [], color=INK, label="published, same method", **hollow))
        own.append(Line2D([], [], color=GREY, marker=".", linestyle="", label="published, other methods"))
        draw_key(figure, own)
        return figure


def _own_points(panel: Axes, study: Study, map_name: str, look: dict[str, Look]) -> None:
    for algorithm in study.algorithms:
        runs = study.group(algorithm, map_name)
        if not runs:
            continue
        step = max(run.steps[-1] for run in runs)
        estimate = statistics.interval(np.array([run.final for run in runs]), "mean")
        own = look[algorithm]
        if estimate.low is not None and estimate.high is not None:
            panel.plot([step, step], [estimate.low, estimate.high], color=own.colour, linewidth=1.4, zorder=4)
        panel.plot(step, estimate.value, own.marker, color=own.colour, markersize=6, zorder=5)


def _published_points(panel: Axes, map_name: str, look: dict[str, Look]) -> None:
    for figure in published.lookup(map_name):
        if not figure.steps:
            continue
        own = look.get(figure.family)
        if own is None:
            panel.plot(figure.steps, figure.win_rate, ".", color=GREY, alpha=0.6, markersize=5, zorder=1)
        else:
            hollow: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": own.colour, "linestyle": ""}
            panel.plot(figure.steps, figure.win_rate, marker=own.marker, markersize=5.5, zorder=3, **hollow)
