"""Makes replays of running battles, without changing them.

    battles = Battles("3m", n_battles=8)
    battles.record_replays("replays", episodes=3)     # the next three episodes, a file each

A step is played in pieces of `replay.SPAN` game loops, the first with the orders, the others without: for the engine
that is the same battle, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skirmish import replay as replays
from skirmish.engine import Orders
from skirmish.replay import Replay
from skirmish.units import UNIT_NAMES, UnitType, load_units

if TYPE_CHECKING:
    from skirmish.battles import Battles
    from skirmish.rules import StepResult

Bools = NDArray[np.bool_]
_SHOWN = ("x", "y", "health", "shield", "energy", "facing", "alive", "target", "hits")


@dataclass
class _Tape:
    """What has been seen of one episode."""

    number: int
    start_step: int
    loops: list[int] = field(default_factory=list)
    frames: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: {name: [] for name in _SHOWN})
    orders: list[tuple[NDArray[Any], ...]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


class Recorder:
    """Records episodes of `battles` as they begin; `finish` gets each when it ends.

    episodes: how many, None means all. They are numbered first, first + stride, ... in the order in which they begin
    (of those that begin together, by row). An episode that is abandoned counts and is handed over unfinished.
    """

    def __init__(
        self,
        battles: Battles,
        finish: Callable[[Replay], Any],
        episodes: int | None = None,
        first: int = 0,
        stride: int = 1,
    ) -> None:
        self._battles, self._finish = battles, finish
        self._left = math.inf if episodes is None else episodes
        self._next, self._stride = first, stride
        self._tapes: dict[int, _Tape] = {}

    @property
    def busy(self) -> bool:
        """Whether an episode is being recorded or another one may be."""
        return bool(self._tapes) or self._left > 0

    def begin(self, rows: Bools) -> None:
        """Start recording where new episodes have begun, as far as there are any left to record."""
        for row in np.flatnonzero(rows).tolist():
            if row in self._tapes:
                self._hand_over(row, None)
            if self._left <= 0:
                continue
            tape = _Tape(self._next, int(self._battles.rules.steps[row]))
            self._tapes[row] = tape
            self._left -= 1
            self._next += self._stride
            self._look(row, 0)
            tape.frames["hits"][0][:] = 0

    def play(self, orders: Orders, loops: int) -> None:
        """Advance the engine by a step of `loops` game loops, looking on."""
        engine = self._battles.engine
        rows = [row for row in self._tapes if engine.active[row]]
        if not rows:
            engine.advance(orders, loops)
            return
        hits = np.zeros_like(engine.units.hits)
        silence = Orders.zeros(self._battles.n_battles, self._battles.n_agents)
        for begin in range(0, loops, replays.SPAN):
            piece = min(replays.SPAN, loops - begin)
            engine.advance(silence if begin else orders, piece)
            hits += engine.units.hits
            for row in rows:
                self._look(row, piece)
        engine.units.hits[engine.active] = hits[engine.active]

    def end_step(self, orders: Orders, result: StepResult) -> None:
        """Take down orders and rewards of the step that has been played; episodes that it ended are handed over."""
        active = self._battles.engine.active
        for row, tape in list(self._tapes.items()):
            if not active[row]:
                continue
            tape.orders.append(tuple(part[row].copy() for part in (orders.kind, orders.target, orders.x, orders.y)))
            tape.rewards.append(float(result.reward[row]))
            if result.terminated[row]:
                self._hand_over(row, result)

    def cut(self) -> None:
        """Hand over what is being recorded, unfinished; episodes to come may still be recorded."""
        for row in list(self._tapes):
            self._hand_over(row, None)

    def _look(self, row: int, passed: int) -> None:
        tape, units = self._tapes[row], self._battles.engine.units
        tape.loops.append(passed)
        for name, frames in tape.frames.items():
            frames.append(getattr(units, name)[row].copy())

    def _hand_over(self, row: int, result: StepResult | None) -> None:
        tape = self._tapes.pop(row)
        battles = self._battles
        spec, options, n = battles.map_spec, battles.engine_options, battles.n_agents
        types = load_units(options.profile, options.build)
        units = battles.engine.units
        names = [UNIT_NAMES[kind] for kind in units.type[row]]
        frames = {name: np.stack(values) for name, values in tape.frames.items()}
        dead = ~frames["alive"][-1]
        count = len(tape.orders)
        parts = [
            np.stack([step[part] for step in tape.orders]) if count else np.zeros((0, n), dtype=np.float32)
            for part in range(4)
        ]
        self._finish(
            Replay(
                map={
                    "name": spec.name, "checksum": spec.checksum, "limit": spec.limit,
                    "n_agents": n, "n_enemies": spec.n_enemies, **battles.provenance(),
                },
                units=[
                    {"type": name, "health_max": float(health), "shield_max": float(shield)}
                    for name, health, shield in zip(names, units.health_max[row], units.shield_max[row])
                ],
                types={name: type_facts(types[name]) for name in dict.fromkeys(names)},
                result={
                    "won": bool(result is not None and result.battle_won[row]),
                    "finished": result is not None,
                    "timeout": bool(result is not None and result.timeout[row]),
                    "length": count,
                    "return": float(sum(tape.rewards)),
                    "dead_allies": int(dead[:n].sum()),
                    "dead_enemies": int(dead[n:].sum()),
                },
                step_mul=battles.rules.options.step_mul,
                start_step=tape.start_step,
                episode=tape.number,
                pathing=spec.pathing.copy(),
                cliff_pathing=spec.cliff_pathing.copy(),
                height=spec.height.copy(),
                loops=np.cumsum(tape.loops, dtype=np.int32),
                order_kind=parts[0].astype(np.int32),
                order_target=parts[1].astype(np.int32),
                order_x=parts[2],
                order_y=parts[3],
                reward=np.array(tape.rewards, dtype=np.float64),
                **{**frames, "target": frames["target"].astype(np.int32), "hits": frames["hits"].astype(np.int32)},
            )
        )  # fmt: skip


class ReplayFolder:
    """Writes replays into a folder as `<map>_<number>.npz`; `files` are those written."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.files: list[Path] = []

    def __call__(self, replay: Replay) -> None:
        self.files.append(replay.save(self.folder / file_name(replay.map["name"], replay.episode)))


def file_name(map_name: str, episode: int) -> str:
    """The file of an episode: `3m_0007.npz`."""
    return f"{Path(map_name).stem}_{episode:04d}{replays.SUFFIX}"


def type_facts(unit: UnitType) -> dict[str, Any]:
    """What drawing a unit takes: body; kind, range (cells) and missile speed (cells a second) of its first weapon.

    weapon: `shot`, `melee`, `missile`, `beam`, `blast`, `heal` or `none`.
    """
    facts: dict[str, Any] = {"race": unit.race, "radius": unit.radius, "flying": unit.flying, "weapon": "none"}
    facts["energy_max"] = float(unit.energy["max"]) if unit.energy else 0.0
    if unit.heal:
        return facts | {"weapon": "heal", "range": unit.heal["range"]}
    if not unit.weapons:
        return facts
    weapon = unit.weapons[0]
    kinds = {"missile": "missile", "line_splash": "beam", "suicide_splash": "blast"}
    kind = kinds.get(weapon.delivery, "melee" if weapon.range < 1 else "shot")
    facts |= {"weapon": kind, "range": weapon.range, "damage": weapon.damage}
    if weapon.missile_speed:
        facts["missile_speed"] = weapon.missile_speed
    if kind == "blast" and weapon.splash:
        facts["blast_radius"] = weapon.splash["radius"]
    if kind == "beam" and weapon.splash:
        facts["beam_half"] = weapon.splash["half_length"]
    return facts
