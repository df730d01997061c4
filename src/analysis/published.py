"""Published win rates on SMAC maps, and our own figures beside them.

The figures were played in StarCraft II (or elsewhere: `engine` says where), ours mostly in the embedded engine, for
other numbers of steps and by other statistics. They are shown beside each other, never tested against each other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

DATA = Path(__file__).with_name("data") / "published.json"


@dataclass(frozen=True)
class Published:
    """One published win rate (a fraction). None: the source does not say; `family` joins the variants of a method."""

    source: str
    algorithm: str
    family: str
    map: str
    steps: int | None
    win_rate: float
    spread: float | None
    spread_kind: str | None
    statistic: str
    seeds: int | None
    episodes: int | None
    engine: str
    evidence: str
    note: str | None

    def words(self) -> str:
        """One line: figure, spread, steps, engine, statistic, source."""
        spread = f" (spread {100 * self.spread:.1f}, {self.spread_kind})" if self.spread is not None else ""
        steps = f"{self.steps:,} steps" if self.steps else "steps not stated"
        return (
            f"{self.algorithm} on {self.map}: {100 * self.win_rate:.1f} %{spread} after {steps}, {self.engine},"
            f" {self.statistic}; {self.source}"
        )


@lru_cache(maxsize=1)
def figures() -> tuple[Published, ...]:
    """All published figures, in the order of their sources."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    rows = []
    for values in data["rows"]:
        row = dict(zip(data["fields"], values, strict=True))
        row["source"] = data["sources"][row["source"]]
        row |= {key: None if row[key] is None else data["texts"][row[key]] for key in data["coded"]}
        rows.append(Published(**row))
    return tuple(rows)


def map_names() -> list[str]:
    """Maps with published figures, in order."""
    return list(dict.fromkeys(figure.map for figure in figures()))


def families() -> list[str]:
    """Methods with published figures, in order; what `lookup` takes besides the full names."""
    return list(dict.fromkeys(figure.family for figure in figures()))


def lookup(
    map_name: str | None = None,
    algorithm: str | None = None,
    steps: float | None = None,
    engine: str | None = None,
) -> list[Published]:
    """Figures of a map and an algorithm (a family such as "qmix", or a name as published; capitals do not matter).

    `steps`: only those of each source, method and map whose steps are nearest to it on a logarithmic scale. `engine`:
    a part of the engine's name ("4.10"). Empty where nothing was published.
    """
    wanted = None if algorithm is None else algorithm.lower()
    found = [
        figure
        for figure in figures()
        if (map_name is None or figure.map == map_name)
        and (wanted is None or wanted in (figure.family, figure.algorithm.lower()))
        and (engine is None or engine.lower() in figure.engine.lower())
    ]
    return found if steps is None else _nearest_steps(found, steps)


def require(map_name: str | None = None, algorithm: str | None = None) -> list[Published]:
    """As `lookup`, but UserError with the nearest name there is where nothing was published."""
    found = lookup(map_name, algorithm)
    if found:
        return found
    if map_name is not None and map_name not in map_names():
        raise UserError(f"No published figure of map {map_name!r}.{nearest(map_name, map_names())}")
    if algorithm is not None and not lookup(None, algorithm):
        raise UserError(f"No published figure of algorithm {algorithm!r}.{nearest(algorithm, families())}")
    raise UserError(f"No published figure of {algorithm} on {map_name}.")


def beside(ours: pd.DataFrame, algorithms: Sequence[str] | None = None) -> pd.DataFrame:
    """Our figures and, below each, what was published for the map; a row per figure.

    `ours`: algorithm, map, steps, win_rate, and, where known, low, high, seeds, episodes, engine, statistic. Published
    rows: of the same family, or of `algorithms` (families or names) for every map, nearest in steps per source and
    method. Columns: map, who ("ours" or the source), algorithm, steps, win_rate, low, high, spread, spread_kind, seeds,
    episodes, engine, statistic, caution (how the published figure differs from ours in engine and steps).
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    for _, own in ours.iterrows():
        known = {str(key): value for key, value in own.items() if value == value}  # NaN is not itself
        engine = known.get("engine")
        rows.append({key: known.get(key) for key in COLUMNS} | {"who": "ours", "caution": None})
        names = [str(own["algorithm"]).lower()] if algorithms is None else list(algorithms)
        for name in names:
            for figure in lookup(str(own["map"]), name, float(own["steps"])):
                row = {key: getattr(figure, key, None) for key in COLUMNS}
                rows.append(row | {"who": figure.source, "caution": caution(figure, engine, float(own["steps"]))})
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.drop_duplicates(["map", "who", "algorithm", "steps", "win_rate"]).reset_index(drop=True)


COLUMNS = (
    "map",
    "who",
    "algorithm",
    "steps",
    "win_rate",
    "low",
    "high",
    "spread",
    "spread_kind",
    "seeds",
    "episodes",
    "engine",
    "statistic",
    "caution",
)


def caution(figure: Published, engine: object, steps: float) -> str:
    """How a published figure differs in engine and steps from one of ours; '' where it does in neither."""
    differences = []
    if str(engine or "").lower() != figure.engine.lower():
        differences.append(f"played in {figure.engine}, ours in {engine or 'an engine not recorded'}")
    if figure.steps is None:
        differences.append("its steps are not stated")
    elif not math.isclose(figure.steps, steps, rel_tol=0.1):
        factor = figure.steps / steps
        more = f"{factor:.3g} times our steps" if factor >= 1 else f"1/{1 / factor:.3g} of our steps"
        differences.append(f"after {figure.steps:,} steps, {more}")
    return "; ".join(differences)


def _nearest_steps(found: Sequence[Published], steps: float) -> list[Published]:
    """Of each source, method and map the figure nearest in steps; those that state no steps come last."""

    def distance(figure: Published) -> float:
        return abs(math.log(figure.steps / max(steps, 1))) if figure.steps else math.inf

    best: dict[tuple[str, str, str], Published] = {}
    for figure in found:
        key = (figure.source, figure.algorithm, figure.map)
        if key not in best or distance(figure) < distance(best[key]):
            best[key] = figure
    return sorted(best.values(), key=distance)
