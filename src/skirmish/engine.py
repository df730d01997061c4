"""The simulator of battles: many at once, a battle a row, 16 game loops a second.

    engine = Engine(load_map("3m"), n_battles=64, seed=1)
    engine.reset(np.ones(64, bool))
    engine.advance(orders)          # STEP_LOOPS loops; engine.units shows the outcome

Every battle draws from its own random stream, so what happens in it depends neither on the others nor on their number.
The model is described in docs/skirmish.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish import engine_kernels as k
from skirmish.formation import Formation, formation
from skirmish.maps import MapSpec, require_playable
from skirmish.units import LOOPS_PER_SECOND, UNIT_NAMES, UnitType, load_units

STEP_LOOPS = 8
"""Game loops in an environment step."""

NONE, STOP, MOVE, ATTACK, HEAL = range(5)
"""Kinds of orders: `NONE` leaves the running order as it is."""

COMPILE_SECONDS = 12
"""About what compiling all kernels costs on a slow machine."""


@dataclass
class Units:
    """What can be seen of all battles' units, one battle a row; arrays are [B, U], C-contiguous.

    Columns are agents by id, then enemies by id.
    type: index into `units.UNIT_NAMES`; x, y: cells; health, shield, energy: points; weapon_cooldown: game loops until
    the weapon is ready; facing: radians from east, counter-clockwise; alive: the game lists the unit.
    """

    type: NDArray[np.int8]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    health: NDArray[np.float32]
    health_max: NDArray[np.float32]
    shield: NDArray[np.float32]
    shield_max: NDArray[np.float32]
    energy: NDArray[np.float32]
    weapon_cooldown: NDArray[np.float32]
    facing: NDArray[np.float32]
    alive: NDArray[np.bool_]

    @classmethod
    def zeros(cls, n_battles: int, types: tuple[str, ...]) -> "Units":
        """Dead units of the given types, one column each, at the origin."""
        shape = (n_battles, len(types))
        indices = np.array([UNIT_NAMES.index(name) for name in types], dtype=np.int8)
        floats = [np.zeros(shape, dtype=np.float32) for _ in range(9)]
        return cls(np.tile(indices, (n_battles, 1)), *floats, np.zeros(shape, dtype=np.bool_))  # type: ignore[call-arg, arg-type]


@dataclass
class Orders:
    """One order for each agent; arrays are [B, n_agents].

    kind: NONE, STOP, MOVE, ATTACK or HEAL; target: unit column for ATTACK and HEAL; x, y: point for MOVE (cells).
    """

    kind: NDArray[np.int8]
    target: NDArray[np.int16]
    x: NDArray[np.float32]
    y: NDArray[np.float32]

    @classmethod
    def zeros(cls, n_battles: int, n_agents: int) -> "Orders":
        """Orders of kind NONE."""
        shape = (n_battles, n_agents)
        return cls(
            np.zeros(shape, dtype=np.int8),
            np.full(shape, -1, dtype=np.int16),
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.float32),
        )


class Engine:
    """B battles on one map.

    units: the public view of the battles; pathing, height: the map's grids [32, 32], indexed [x, y];
    active [B] bool: battles that `advance` plays, the others stand still.
    Raises MapError if the map cannot be played.
    """

    def __init__(self, map_spec: MapSpec, n_battles: int, seed: int = 0, profile: str = "multiplayer") -> None:
        require_playable(map_spec.name)
        self.map_spec = map_spec
        self.n_battles = n_battles
        self.n_agents = map_spec.n_agents
        self.pathing = map_spec.pathing.copy()
        self.height = map_spec.height
        self.active = np.ones(n_battles, dtype=np.bool_)
        types = map_spec.ally_types + map_spec.enemy_types
        table = load_units(profile)
        self._types = [table[name] for name in types]
        self.units = Units.zeros(n_battles, types)
        self.units.health_max[:] = [unit.health for unit in self._types]
        n_units = len(types)
        self._body = np.zeros((n_battles, n_units, k.N_BODY), dtype=np.float32)
        self._mind = np.zeros((n_battles, n_units, k.N_MIND), dtype=np.int16)
        self._rng = np.empty((n_battles, 4), dtype=np.uint64)
        for battle, child in enumerate(np.random.SeedSequence(seed).spawn(n_battles)):
            self._rng[battle] = child.generate_state(4, np.uint64)
        self._start = _start(formation(map_spec, table), self._types)
        self._world = (
            self.units.x,
            self.units.y,
            self.units.health,
            self.units.weapon_cooldown,
            self.units.facing,
            self.units.alive,
            self._body,
            self._mind,
            self._rng,
            np.array([_stats(unit) for unit in self._types], dtype=np.float32),
            np.array([[a.hit(b) for b in self._types] for a in self._types], dtype=np.float32),
            self.pathing,
            _roomy(self.pathing),
            self.n_agents,
            2 * max(unit.separation_radius for unit in self._types) + float(k.CLOSE),
            np.zeros(n_units, dtype=np.uint32),
            np.zeros(n_units, dtype=np.uint32),
            np.zeros(n_units, dtype=np.float32),
            np.zeros(n_units, dtype=np.float32),
        )
        self._silence = Orders.zeros(n_battles, self.n_agents)
        k.compile_kernels()

    def seed(self, battle: int, seed: int) -> None:
        """Restart the random stream of one battle from `seed`, as battle 0 of an engine with that seed has it."""
        self._rng[battle] = np.random.SeedSequence(seed).spawn(1)[0].generate_state(4, np.uint64)

    def reset(self, mask: NDArray[np.bool_]) -> None:
        """Begin the battles of mask [B] anew and make them active; the enemy has marched for one or two loops."""
        self.active[mask] = True
        silence = self._silence
        k.advance(mask, True, self._start, silence.kind, silence.target, silence.x, silence.y, 0, *self._world)

    def advance(self, orders: Orders, loops: int = STEP_LOOPS) -> None:
        """Give the orders and play `loops` game loops of every active battle; the orders act from the first loop."""
        k.advance(self.active, False, self._start, orders.kind, orders.target, orders.x, orders.y, loops, *self._world)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of everything that changes; `restore` brings the battles back to the bit."""
        return {name: array.copy() for name, array in self._changing().items()}

    def restore(self, snapshot: dict[str, NDArray[Any]]) -> None:
        """Return to a snapshot of an engine with the same map and number of battles; ValueError if they differ."""
        for name, array in self._changing().items():
            if name not in snapshot or snapshot[name].shape != array.shape:
                raise ValueError(f'The snapshot does not fit: its "{name}" should have the shape {array.shape}.')
        for name, array in self._changing().items():
            array[...] = snapshot[name]

    def close(self) -> None:
        """Nothing to release; every engine has this method."""

    def _changing(self) -> dict[str, NDArray[Any]]:
        units = {name: getattr(self.units, name) for name in ("x", "y", "health", "weapon_cooldown", "facing", "alive")}
        return units | {"body": self._body, "mind": self._mind, "rng": self._rng, "active": self.active}


def warm_up(notify: Callable[[str], None] | None = None) -> None:
    """Load the kernels of engine and rules, compiling those that no cache holds; a second call costs nothing.

    notify gets one line before a compilation.
    """
    from skirmish import rules_kernels  # the rules build on this module

    if notify is not None and not (k.advance.signatures or _cached()):
        notify(f"compiling the battle kernels (once, about {COMPILE_SECONDS} s)...")
    k.compile_kernels()
    rules_kernels.compile_kernels()


def _cached() -> bool:
    """Whether Numba's cache holds the engine's main kernel as it stands in the source."""
    source = Path(k.__file__)
    indices = Path(str(k.advance.stats.cache_path)).glob("engine_kernels.advance-*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in indices)


def _start(places: Formation, types: list[UnitType]) -> NDArray[np.float32]:
    """START_FIELDS of the kernels, [U, fields]."""
    fields = {
        k.X: places.x,
        k.Y: places.y,
        k.FACE_X: places.face_x,
        k.FACE_Y: places.face_y,
        k.GOAL_X: places.goal_x,
        k.GOAL_Y: places.goal_y,
        k.HEALTH: np.array([unit.health for unit in types]),
    }
    return np.stack([fields[field] for field in k.START_FIELDS], axis=1).astype(np.float32)


def _roomy(pathing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells whose eight neighbours are walkable like themselves: no terrain test is needed there."""
    roomy = np.zeros_like(pathing)
    windows = np.lib.stride_tricks.sliding_window_view(pathing, (3, 3))
    roomy[1:-1, 1:-1] = windows.all(axis=(2, 3))
    return roomy


def _stats(unit: UnitType) -> list[float]:
    """The row of `engine_kernels`' table of statistics, in cells and loops."""
    weapon = unit.weapons[0]
    turn = math.radians(unit.turn_rate_deg / LOOPS_PER_SECOND)
    row = {
        k.SPEED: unit.speed / LOOPS_PER_SECOND,
        k.RANGE: weapon.range,
        k.SCAN: weapon.scan_range,
        k.SLOP: weapon.range_slop,
        k.RADIUS: unit.radius,
        k.SEPARATION: unit.separation_radius,
        k.CLEARANCE: unit.inner_radius if unit.inner_radius is not None else unit.separation_radius,
        k.PERIOD: weapon.period_s * LOOPS_PER_SECOND,
        k.SWING_TIME: weapon.damage_point_s * LOOPS_PER_SECOND,
        k.TURN_COS: math.cos(turn),
        k.TURN_SIN: math.sin(turn),
        k.AIM_COS: math.cos(math.radians(weapon.arc_deg / 2 + weapon.arc_slop_deg)),
        k.EARLIEST: weapon.random_delay_s[0] * LOOPS_PER_SECOND,
        k.LATEST: weapon.random_delay_s[1] * LOOPS_PER_SECOND,
    }
    return [row[field] for field in range(k.N_STATS)]
