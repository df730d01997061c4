"""Our final win rates with published ones below each: engine, steps, statistic and source beside every figure."""

from __future__ import annotations

import numpy as np

from analysis import published, statistics
from analysis.plots_published import maps_with_figures
from analysis.published import Published
from analysis.study import Study
from analysis.table_format import Table

NEAR = 4.0  # other methods' figures are listed up to so many times more or fewer steps than ours
OTHERS = 8  # and at most so many of them per map
COLUMNS = ["map", "method", "steps", "win rate, %", "interval or spread", "seeds", "engine", "source"]


def published_table(study: Study) -> Table | None:
    """Return our rows map by map, published ones of the same methods and, near in steps, of others below them.

    None where nothing was published for these maps and this metric.
    """
    rows: list[list[str]] = []
    rules: list[int] = []
    sources: dict[tuple[str, str], int] = {}
    for map_name in maps_with_figures(study):
        if rows:
            rules.append(len(rows))
        steps = [_own_row(study, map_name, a, rows) for a in study.algorithms if study.group(a, map_name)]
        for figure in _figures(map_name, {name.split()[0] for name in study.algorithms}, max(steps)):
            number = sources.setdefault((figure.source, figure.statistic), len(sources) + 1)
            rows.append(_published_row(figure, f"[{number}]"))
    if not rows:
        return None
    notes = [
        "Put beside ours, not compared with them: engines, steps, statistics and numbers of seeds differ. Of every "
        "source and method the figure nearest to our steps on a logarithmic scale; ablations are left out.",
        f"Ours: mean over runs of each run's last {study.last} tests.",
        *(f"[{number}] {source}: {statistic}." for (source, statistic), number in sources.items()),
    ]
    title = "Our final win rates and published ones"
    return Table("published", title, COLUMNS, rows, 2, rules, notes, ["engine", "source"])


def _own_row(study: Study, map_name: str, algorithm: str, rows: list[list[str]]) -> float:
    """Append our row of an algorithm; return its steps, those of its longest run."""
    runs = study.group(algorithm, map_name)
    estimate = statistics.interval(np.array([run.final for run in runs]), "mean")
    steps = max(run.steps[-1] for run in runs)
    own = study.frame[study.frame["run_id"] == runs[0].run_id].iloc[0]
    limits = "-"
    if estimate.low is not None and estimate.high is not None:
        limits = f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f} (95 %)"
    engine = f"{own['engine']} {own['engine_version'] or ''}".strip()
    numbers = [f"{steps:,.0f}", f"{100 * estimate.value:.1f}", limits, str(len(runs))]
    rows.append([map_name, f"{algorithm} (ours)", *numbers, engine, "these runs"])
    return float(steps)


def _figures(map_name: str, families: set[str], steps: float) -> list[Published]:
    """Return published figures: of the same methods, and of others near in steps, by method."""
    known = published.lookup(map_name, steps=steps)
    found = [figure for figure in known if figure.steps and "ablation" not in figure.source.lower()]
    same = [figure for figure in found if figure.family in families]
    near = [f for f in found if f.family not in families and f.steps and steps / NEAR <= f.steps <= steps * NEAR]
    return sorted(same, key=lambda figure: figure.family) + near[:OTHERS]


def _published_row(figure: Published, source: str) -> list[str]:
    spread = "-"
    if figure.spread is not None:
        kind = (figure.spread_kind or "kind not stated").removesuffix(" over seeds")
        spread = f"{100 * figure.spread:.1f} ({kind})"
    return [
        figure.map,
        figure.algorithm,
        f"{figure.steps:,}" if figure.steps else "-",
        f"{100 * figure.win_rate:.1f}",
        spread,
        str(figure.seeds or "-"),
        figure.engine,
        source,
    ]
