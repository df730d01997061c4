"""What is known of play on the real game, and whether ours is near enough to it.

`data/real_reference.json` holds, by map, statistics from the logs of public runs on StarCraft II (repositories named):
* `single`: episodes of uniformly random legal play (first episodes at epsilon 1);
* `window`: means of the first 10,000 steps of learning runs, epsilon falling from 1.0 to 0.81 while a QMIX-like learner
  already trains; standard deviations are over runs;
* `untrained`: means of 32 greedy episodes of networks before any training.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from skirmish.playing import STATISTICS

INSIDE, NEAR, OFF = "inside", "within 10 %", "off"
TOLERANCE = 0.1
"""How far a mean may be from the real band, relative to it, to count as near."""


@dataclass(frozen=True)
class Sample:
    """Mean, standard deviation and number of independent values (episodes or runs)."""

    mean: float
    deviation: float
    count: int

    @property
    def margin(self) -> float:
        """Two standard errors of the mean."""
        return 2 * self.deviation / math.sqrt(self.count)

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.deviation:.2f} ({self.count})"


@dataclass(frozen=True)
class Reference:
    """The real game on one map: by statistic (`playing.STATISTICS`) where known.

    untrained: statistics (None where not logged) of one network each; runs that printed equal numbers count once.
    """

    single: dict[str, Sample]
    window: dict[str, Sample]
    untrained: tuple[dict[str, float | None], ...]

    def band(self, statistic: str) -> tuple[float, float] | None:
        """From the smaller to the larger real mean, each widened by its margin; None if there is none."""
        known = [part[statistic] for part in (self.single, self.window) if statistic in part]
        if not known:
            return None
        if len(known) == 1 and known[0].deviation == 0:  # n equal values do not exclude others with chances up to 3 / n
            return known[0].mean - 3 / known[0].count, known[0].mean + 3 / known[0].count
        return min(s.mean - s.margin for s in known), max(s.mean + s.margin for s in known)

    def verdict(self, statistic: str, ours: Sample) -> str:
        """`INSIDE` the band, `NEAR` it (within `TOLERANCE`), or `OFF` with the distance in percent; "" if unknown.

        Our mean may be off by its own margin.
        """
        band = self.band(statistic)
        if band is None:
            return ""
        low, high = band[0] - ours.margin, band[1] + ours.margin
        if low <= ours.mean <= high:
            return INSIDE
        edge = low if ours.mean < low else high
        excess = (ours.mean - edge) / abs(edge) if edge else math.inf
        return NEAR if abs(excess) <= TOLERANCE else f"{OFF} {excess:+.0%}" if math.isfinite(excess) else OFF


@cache
def references() -> dict[str, Reference]:
    """The real game by map."""
    text = resources.files("skirmish").joinpath("data/real_reference.json").read_text(encoding="utf-8")
    return {name: _reference(entry) for name, entry in json.loads(text)["maps"].items()}


def _reference(entry: dict[str, Any]) -> Reference:
    untrained = []
    for *values, _ in entry["untrained"]:
        untrained.append(dict(zip(STATISTICS, values)))
    return Reference(_samples(entry["single"]), _samples(entry.get("window", {})), tuple(untrained))


def _samples(entry: dict[str, Any]) -> dict[str, Sample]:
    return {name: Sample(value["mean"], value["sd"], value["n"]) for name, value in entry.items()}
