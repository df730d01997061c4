"""All figures of a study with their captions; written as PNG and PDF, and as SVG that fits into a page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from analysis import plots, plots_suite
from analysis.plot_style import INK, WIDTH, style
from analysis.study import Study, metric_name, threshold_name


@dataclass
class Picture:
    """A figure with the name of its files, its title and what a reader must know to read it."""

    name: str
    title: str
    caption: str
    figure: Figure

    def __post_init__(self) -> None:
        """Lay the figure out once, for all its formats."""
        with style():
            self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def save(self, folder: Path) -> list[Path]:
        """Write `<name>.png` and `<name>.pdf` into the folder; the same data give the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{self.name}.png", folder / f"{self.name}.pdf"]
        with style():
            self.figure.savefig(paths[0], metadata={"Software": None})
            self.figure.savefig(paths[1], metadata={"CreationDate": None})
        return paths

    def svg(self) -> str:
        """Return the figure as an SVG element: no background, text and axes in the page's colour, ids of its own."""
        text = io.StringIO()
        with style():
            self.figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        svg = text.getvalue()
        svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
        svg = re.sub(r'\bid="', f'id="{self.name}-', svg)
        svg = re.sub(r'(xlink:href="|url\()#', rf"\1#{self.name}-", svg)
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        share = 100 * self.figure.get_figwidth() / WIDTH
        svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
        label = f'role="img" aria-label="{html.escape(self.title)}" style="width: {share:.0f}%" '
        return svg.replace("<svg ", f"<svg {label}", 1)

    def close(self) -> None:
        """Free the figure."""
        plt.close(self.figure)


def draw(study: Study, statistic: str = "mean") -> Iterator[Picture]:
    """Yield every figure that the data allow; `statistic` is that of the learning curves on single maps."""
    name, share = metric_name(study.metric), threshold_name(study)
    reached = study.threshold < float("inf")
    whole = (
        "Solid: as far as every run went. Dotted: fewer, at least half of the runs. A run that stopped "
        "because it had won its tests keeps its last value."
    )
    crowded = len(study.algorithms) > plots.CROWDED
    around = "" if crowded else ", with the 95 % bootstrap interval; thin: single runs"
    yield Picture(
        "learning_curves",
        "Learning curves",
        f"{statistic.replace('iqm', 'Interquartile mean').capitalize()} of the {name} over runs{around}. {whole}",
        plots.learning_curves(study, statistic),
    )
    if (suite := plots_suite.suite_curve(study)) is not None:
        caption = f"Interquartile mean of the {name} over the runs of all maps, with its stratified bootstrap interval."
        yield Picture("suite_curve", "All maps together", caption, suite)
    if reached:
        yield Picture(
            "sample_efficiency",
            f"Environment steps to {share}",
            "Bars: Kaplan-Meier median. Symbols: runs; an open arrow is a run that had not got there when it ended. "
            "Hatched: the median was not reached; the bar ends where the longest run did.",
            plots.sample_efficiency(study),
        )
    last = "last test" if study.last == 1 else f"last {study.last} tests"
    yield Picture(
        "final",
        f"Final {name}, map by map",
        f"Large: mean over runs of each run's {last}; line: 95 % bootstrap interval; small: single runs.",
        plots.final_values(study),
    )
    yield Picture(
        "profiles",
        "Performance profiles",
        f"Share of runs whose final {name} is above a level, mean over the maps all were run on, with 95 % bands. "
        "Higher is better; a curve above another everywhere is better whatever the level.",
        plots_suite.performance_profiles(study),
    )
    if (improvement := plots_suite.improvement(study)) is not None:
        caption = (
            f"Probability that a run of the first algorithm has a higher final {name} than a run of the second on the "
            "same map, ties counting half: mean over the maps both were run on, 95 % interval. 50 %: no difference."
        )
        yield Picture("improvement", "Probability of improvement", caption, improvement)
    if (cost := plots.cost(study)) is not None:
        caption = "Whole runs. Large: mean over runs; small: single runs. Seconds depend on machine and load."
        yield Picture("cost", "What the runs cost", caption, cost)
