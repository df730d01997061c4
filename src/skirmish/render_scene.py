"""What there is to see in a replay: the part of the map, where everything is at any moment, and what happens when.

Films and page draw the same scene. Time is counted in game loops after the first sub-frame.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.replay import Replay
from skirmish.units import LOOPS_PER_SECOND

FASTER = 22.4
"""Game loops a second at the game's usual speed, "Faster"."""

SHOT_LOOPS, MELEE_LOOPS, BEAM_LOOPS, BLAST_LOOPS, DEATH_LOOPS = 4.0, 5.0, 10.0, 12.0, 16.0
"""How long things are shown; missiles as long as they fly."""

_MARGIN = 2.0
_SHAPE = 1.5
"""Width of the part shown over its height, at least, where the map allows."""
_LEAST = (16.0, 10.0)
"""Cells shown at least, across and up, where the map has them."""


@dataclass(frozen=True)
class Event:
    """Something that begins at `loop` and is shown for `loops`: `shot`, `melee`, `missile`, `beam`, `blast`, `death`.

    unit: who does it; target: whom it is meant for, -1 if nobody.
    """

    loop: float
    loops: float
    kind: str
    unit: int
    target: int

    def progress(self, time: float) -> float | None:
        """How far it is, 0 to 1, or None if it is not to be seen at that time."""
        passed = (time - self.loop) / self.loops
        return passed if 0 <= passed < 1 else None


@dataclass(frozen=True)
class Moment:
    """All units [U] at one time, between two sub-frames; frame: the latest sub-frame."""

    time: float
    frame: int
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    health: NDArray[np.float32]
    shield: NDArray[np.float32]
    energy: NDArray[np.float32]
    facing: NDArray[np.float32]
    alive: NDArray[np.bool_]


class Scene:
    """A replay made ready to be drawn."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.box = view_box(replay)
        self.kinds = [replay.types[unit["type"]] for unit in replay.units]
        self.events = sorted(_attacks(replay, self.kinds) + _deaths(replay, self.kinds), key=lambda event: event.loop)
        self.heals = _heals(replay, self.kinds)
        self.returns = np.concatenate([[0.0], np.cumsum(replay.reward)])

    @property
    def duration(self) -> float:
        """Time of the last sub-frame."""
        return float(self.replay.loops[-1])

    def step(self, time: float) -> int:
        """The latest step that has been finished at that time, 0 before the first has."""
        return int(min(time / self.replay.step_mul, self.replay.n_steps))

    def at(self, time: float) -> Moment:
        """All units at a time, by linear interpolation."""
        replay = self.replay
        frame = int(np.clip(np.searchsorted(replay.loops, time, side="right") - 1, 0, replay.n_frames - 1))
        after = min(frame + 1, replay.n_frames - 1)
        span = int(replay.loops[after] - replay.loops[frame])
        part = np.float32((time - replay.loops[frame]) / span if span else 0)

        def between(values: NDArray[np.float32]) -> NDArray[np.float32]:
            mixed: NDArray[np.float32] = values[frame] + (values[after] - values[frame]) * part
            return mixed

        turn = (replay.facing[after] - replay.facing[frame] + np.pi) % (2 * np.pi) - np.pi
        return Moment(
            time, frame, between(replay.x), between(replay.y), between(replay.health), between(replay.shield),
            between(replay.energy), replay.facing[frame] + turn * part, replay.alive[frame],
        )  # fmt: skip

    def strength(self, frame: int) -> tuple[float, float]:
        """What is left of both sides' health and shields, as shares of 1."""
        replay, n = self.replay, self.replay.n_agents
        full = np.array([unit["health_max"] + unit["shield_max"] for unit in replay.units])
        left = np.where(replay.alive[frame], replay.health[frame] + replay.shield[frame], 0)
        return tuple(float(left[side].sum() / full[side].sum()) for side in (slice(None, n), slice(n, None)))  # type: ignore[return-value]

    def headline(self) -> str:
        """The result in a word or two."""
        result = self.replay.result
        if not result["finished"]:
            return "Not finished"
        return "Victory" if result["won"] else "Time is up" if result["timeout"] else "Defeat"

    def summary(self) -> str:
        """The result in a line."""
        result, n, m = self.replay.result, self.replay.n_agents, self.replay.map["n_enemies"]
        return (
            f"{n - result['dead_allies']} of {n} agents and {m - result['dead_enemies']} of {m} enemies left, "
            f"{result['length']} steps, return {result['return']:.2f}"
        )

    def event_rows(self) -> list[list[Any]]:
        """The events as rows of plain values."""
        return [list(asdict(event).values()) for event in self.events]


def view_box(replay: Replay) -> tuple[int, int, int, int]:
    """The part of the map worth showing, in whole cells: left, bottom, right, top.

    All places where units have been lie in it, with `_MARGIN` cells round them as far as there is ground near by.
    """
    spans = []
    for axis, size, places in ((1, 0, replay.x), (0, 1, replay.y)):
        ground = np.flatnonzero(replay.pathing.any(axis=axis))
        first, last = (ground[0] - 1, ground[-1] + 2) if ground.size else (0, replay.pathing.shape[size])
        low, high = float(places.min()), float(places.max())
        margin = max(_MARGIN, (_LEAST[size] - (high - low)) / 2)
        begin = min(max(np.floor(low - margin), first), np.floor(low))
        end = max(min(np.ceil(high + margin), last), np.ceil(high))
        spans.append((max(int(begin), 0), min(int(end), replay.pathing.shape[size])))
    (left, right), (bottom, top) = spans
    missing = int(_SHAPE * (top - bottom)) - (right - left)
    if missing > 0:  # more of the map on both sides, as far as there is any
        left = max(min(left - missing // 2, replay.pathing.shape[0] - (right - left) - missing), 0)
        right = min(left + int(_SHAPE * (top - bottom)), replay.pathing.shape[0])
    return left, bottom, right, top


def _attacks(replay: Replay, kinds: list[dict[str, Any]]) -> list[Event]:
    """An event for every hit; a Baneling's is its end."""
    found = []
    for frame, unit in np.argwhere(replay.hits > 0):
        kind = kinds[unit]["weapon"]
        target = _whom(replay, int(frame), int(unit))
        if kind not in ("shot", "melee", "missile", "beam") or target < 0:
            continue
        begin = float(replay.loops[frame - 1] if frame else replay.loops[frame])
        loops = {"shot": SHOT_LOOPS, "melee": MELEE_LOOPS, "beam": BEAM_LOOPS}.get(kind, 0.0)
        if kind == "missile":
            way = np.hypot(
                replay.x[frame, target] - replay.x[frame, unit], replay.y[frame, target] - replay.y[frame, unit]
            )
            loops = max(2.0, float(way) / kinds[unit].get("missile_speed", 20.0) * LOOPS_PER_SECOND)
        found.append(Event(begin, round(loops, 2), kind, int(unit), target))
    return found


def _whom(replay: Replay, frame: int, unit: int) -> int:
    """Whom a hit of the sub-frame was meant for: a target that it killed is no target any more at its end."""
    now, before = int(replay.target[frame, unit]), int(replay.target[max(frame - 1, 0), unit])
    if now < 0 or (before >= 0 and not replay.alive[frame, before]):
        return before if before >= 0 else now
    return now


def _deaths(replay: Replay, kinds: list[dict[str, Any]]) -> list[Event]:
    found = []
    for frame, unit in np.argwhere(replay.alive[:-1] & ~replay.alive[1:]):
        bomb = kinds[unit]["weapon"] == "blast"
        kind, loops = ("blast", BLAST_LOOPS) if bomb else ("death", DEATH_LOOPS)
        found.append(Event(float(replay.loops[frame]), loops, kind, int(unit), -1))
    return found


def _heals(replay: Replay, kinds: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """Who heals whom: rows (sub-frame, healer, patient); healing is what makes energy fall."""
    healers = [unit for unit, kind in enumerate(kinds) if kind["weapon"] == "heal"]
    found = []
    for unit in healers:
        falls = np.diff(replay.energy[:, unit], prepend=replay.energy[0, unit]) < 0
        for frame in np.flatnonzero(falls & replay.alive[:, unit]):
            patient = _whom(replay, int(frame), unit)
            if patient >= 0:
                found.append((int(frame), unit, patient))
    return sorted(found)
