"""How figures look: one colour, marker and line style per algorithm, told apart in grey and by the colour-blind too.

The colours are those of Okabe and Ito (2008) that stand out from white and from dark paper.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from analysis.study import Study

VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY = "#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
COLOURS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (9, 2)))
FIXED = {"amal": 0, "mappo": 1, "qmix": 2, "vdn": 3, "iql": 4}  # the same look in every figure
GREY = "#808080"
INK = "#222222"  # of text and axes; the report replaces it by the page's own
WIDTH = 7.0  # inches: the text width of an A4 or letter page
THIN = 0.8
CHARACTER = 0.066  # inches that a character of a key takes at most
KEY_ROW = 0.19  # inches that a row of the key takes
LONG_NAME = 40  # characters of a variant's name from which on figures show its values alone
MANY_PANELS = 12

SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 9.5,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "path",
    "svg.hashsalt": "amal",  # the same file for the same data
    "figure.constrained_layout.use": True,
}

@dataclass(frozen=True)
class Look:
    """Colour, marker and line style of an algorithm."""

    colour: str
    marker: str
    line: Any

    def curve(self, every: int) -> dict[str, Any]:
        """Return how a curve is drawn, with a marker at every so many points."""
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker, "markevery": max(1, every)}


def looks(algorithms: Iterable[str]) -> dict[str, Look]:
    """Return a look for every algorithm: fixed for those we know, from what is left for the others, none twice."""
    algorithms = list(algorithms)
    taken = {name: FIXED[name] for name in algorithms if name in FIXED}
    free = (number for number in range(10_000) if number not in taken.values())
    numbers = {name: taken[name] if name in taken else next(free) for name in algorithms}
    return {
        name: Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], LINES[i % len(LINES)])
        for name, i in numbers.items()
    }


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn; needs no display."""
    mpl.use("Agg")
    return plt.rc_context(SETTINGS)  # type: ignore[arg-type]  # the stub lists every key


def steps_text(value: float, _position: float | None = None) -> str:
    """Return a number of steps as an axis shows it: 500, 20k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def step_axis(axes: Axes) -> None:
    """Write the x axis in thousands and millions of steps."""
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(steps_text))


def panels(
    count: int, height: float, columns: int = 3, width: float = WIDTH, extra: float = 0.6, **options: Any
) -> tuple[Any, list[Axes]]:
    """Return a figure with `count` panels in rows of at most `columns`, the surplus ones removed.

    `height` of a row and `extra` for the key and the axis' name, in inches.
    """
    if count > MANY_PANELS and columns == 3:
        columns, height = 4, 0.85 * height  # so that a figure of all maps fits on a page
    columns = 2 if count == 4 and columns == 3 else min(columns, count)
    rows = -(-count // columns)
    if count == 1:
        width = min(width, 4.6)
    figure, grid = plt.subplots(rows, columns, figsize=(width, height * rows + extra), squeeze=False, **options)
    flat: Sequence[Axes] = list(grid.flat)
    for axes in flat[count:]:
        axes.remove()
    return figure, list(flat[:count])


def in_first_column(panel: Axes) -> bool:
    """Whether a panel stands at the left edge of its figure."""
    place = panel.get_subplotspec()
    return place is not None and place.is_first_col()


def value_axis(panel: Axes, study: Study, axis: str) -> None:
    if study.is_share:
        getattr(panel, f"set_{axis}lim")(-0.03, 1.03)
        getattr(panel, f"{axis}axis").set_major_formatter(PercentFormatter(1.0))


def draw_threshold(panel: Axes, study: Study, *, vertical: bool) -> None:
    if np.isfinite(study.threshold):
        draw = panel.axvline if vertical else panel.axhline
        draw(study.threshold, color=GREY, linewidth=THIN, linestyle=(0, (2, 2)), zorder=0.5)


def figure_names(algorithms: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return {algorithm: its name in figures}, where long variants bear their values alone, and the note that names
    their keys ("" if no name is that long).
    """
    names, keys = {}, []
    for algorithm in algorithms:
        plain, *settings = re.split(r" (?=[\w.]+=)", algorithm)
        names[algorithm] = algorithm
        if settings and len(algorithm) >= LONG_NAME:
            names[algorithm] = f"{plain} {'/'.join(each.split('=', 1)[1] for each in settings)}"
            keys.append(f"{plain} {'/'.join(each.split('=', 1)[0] for each in settings)}")
    if len(set(names.values())) < len(names):  # different keys, the same values
        return {algorithm: algorithm for algorithm in algorithms}, ""
    return names, "; ".join(dict.fromkeys(keys))


def draw_legend(figure: Figure, study: Study, look: dict[str, Look]) -> None:
    """Put the algorithms, with their look and their number of runs, above the panels."""
    handles = []
    names, note = figure_names(study.algorithms)
    for algorithm in study.algorithms:
        counts = sorted({len(study.group(algorithm, m)) for m in study.maps} - {0})
        seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        style_ = look[algorithm]
        label = f"{names[algorithm]} ({seeds} seed{'s' if seeds != '1' else ''})"
        handles.append(Line2D([], [], color=style_.colour, marker=style_.marker, linestyle=style_.line, label=label))
    draw_key(figure, handles, note)


def draw_key(figure: Figure, handles: list[Any], note: str = "") -> None:
    """Put a key above the panels, in as many columns as fit, under a note."""
    entry = CHARACTER * max(len(str(handle.get_label())) for handle in handles) + 0.57  # inches
    columns = max(1, min(len(handles), int(figure.get_figwidth() / entry)))
    rows = -(-len(handles) // columns)  # the legend fills its columns first; people read along the rows
    places = [row * columns + column for column in range(columns) for row in range(rows)]
    handles = [handles[place] for place in places if place < len(handles)]
    title = fitting(figure, note)
    lines = rows + (title.count("\n") + 1 if title else 0)
    figure.set_figheight(figure.get_figheight() + KEY_ROW * max(lines - 2, 0))  # the panels keep their room
    options: dict[str, Any] = {"title": title or None, "title_fontsize": 8.5, "alignment": "left"}
    figure.legend(
        handles=handles, loc="outside upper center", ncols=columns, handlelength=2.8, columnspacing=1.3, **options
    )


def fitting(figure: Figure, text: str) -> str:
    """A text in as many lines as a figure's width asks for, with room around its slashes to break at."""
    return textwrap.fill(text.replace("/", " / "), int(figure.get_figwidth() / CHARACTER), break_on_hyphens=False)
