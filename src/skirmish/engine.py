"""The simulator of battles: many at once, a battle a row, 16 game loops a second.

    engine = Engine(load_map("3m"), n_battles=64, seed=1)
    engine.reset(np.ones(64, bool))
    engine.advance(orders)          # STEP_LOOPS loops; engine.units shows the outcome

Every battle draws from its own random stream, so what happens in it depends neither on the others nor on their number.
The model is described in docs/skirmish.md.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish import engine_kernels as k
from skirmish import kernel_cache
from skirmish.engine_layout import N_BODY, N_MIND
from skirmish.engine_tables import build_tables
from skirmish.maps import MapSpec
from skirmish.units import UNIT_NAMES

STEP_LOOPS = 8
"""Game loops in an environment step."""

NONE, STOP, MOVE, ATTACK, HEAL = range(5)
"""Kinds of orders: `NONE` leaves the running order as it is."""

COMPILE_SECONDS = 20
"""About what compiling all kernels costs on a slow machine."""


@dataclass
class Units:
    """What can be seen of all battles' units, one battle a row; arrays are [B, U], C-contiguous.

    Columns are agents by id, then enemies by id.
    type: index into `units.UNIT_NAMES`; x, y: cells; health, shield, energy: points; weapon_cooldown: game loops until
    the weapon is ready; facing: radians from east, counter-clockwise; alive: the game lists the unit; target: column
    that the unit attacks or heals at the moment, -1 if none; hits: attacks landed or launched in the latest `advance`.
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
    target: NDArray[np.int16]
    hits: NDArray[np.int16]

    @classmethod
    def zeros(cls, n_battles: int, types: tuple[str, ...]) -> "Units":
        """Dead units of the given types, one column each, at the origin."""
        shape = (n_battles, len(types))
        indices = np.array([UNIT_NAMES.index(name) for name in types], dtype=np.int8)
        floats = [np.zeros(shape, dtype=np.float32) for _ in range(9)]
        rest = np.zeros(shape, dtype=np.bool_), np.full(shape, -1, dtype=np.int16), np.zeros(shape, dtype=np.int16)
        return cls(np.tile(indices, (n_battles, 1)), *floats, *rest)  # type: ignore[call-arg, arg-type]


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

    units: the public view of the battles; pathing, height: the map's grids [w, h], indexed [x, y];
    active [B] bool: battles that `advance` plays, the others stand still.
    profile, build: see `units`; enemy_medivac: `follow` lets it stay with its army, `stay` where it appeared;
    threads: how many share the battles; what happens in them does not depend on it.
    Raises MapError if the map cannot be played, ValueError for any other argument that cannot be.
    """

    def __init__(
        self,
        map_spec: MapSpec,
        n_battles: int,
        seed: int = 0,
        profile: str = "multiplayer",
        build: str = "4.10",
        enemy_medivac: str = "follow",
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise ValueError(f"An engine needs one thread at least, not {threads}.")
        tables = build_tables(map_spec, profile, build, enemy_medivac)
        self.map_spec = map_spec
        self.n_battles = n_battles
        self.n_agents = map_spec.n_agents
        self.pathing = map_spec.pathing.copy()
        self.height = map_spec.height
        self.active = np.ones(n_battles, dtype=np.bool_)
        self.units = Units.zeros(n_battles, map_spec.ally_types + map_spec.enemy_types)
        self.units.health_max[:] = [unit.health for unit in tables.types]
        self.units.shield_max[:] = [unit.shield for unit in tables.types]
        n_units = len(tables.types)
        self._body = np.zeros((n_battles, n_units, N_BODY), dtype=np.float32)
        self._mind = np.zeros((n_battles, n_units, N_MIND), dtype=np.int16)
        self._burns = np.zeros((n_battles, max(tables.n_beams, 1), 2, n_units if tables.n_beams else 1), dtype=np.int8)
        self._rng = np.empty((n_battles, 4), dtype=np.uint64)
        for battle, child in enumerate(np.random.SeedSequence(seed).spawn(n_battles)):
            self._rng[battle] = child.generate_state(4, np.uint64)
        self._start = (tables.start, tables.enemy_order, *tables.drift)
        public = ("x", "y", "health", "shield", "energy", "weapon_cooldown", "facing", "target", "hits", "alive")
        self._world = (
            *[getattr(self.units, name) for name in public],
            self._body,
            self._mind,
            self._rng,
            self._burns,
            tables.stats,
            tables.traits,
            tables.pairs,
            tables.ground,
            tables.ways,
            self.n_agents,
            tables.features,
            tables.widest,
            *[np.zeros((threads, n_units + 1), dtype=np.uint32) for _ in range(3)],
            *[np.zeros((threads, n_units), dtype=np.float32) for _ in range(2)],
        )
        self._silence = Orders.zeros(n_battles, self.n_agents)
        self._crew = _Crew(threads)
        self._kernel = k.advance if tables.features else k.advance_plain
        k.compile_kernels()

    def seed(self, battle: int, seed: int) -> None:
        """Restart the random stream of one battle from `seed`, as battle 0 of an engine with that seed has it."""
        self._rng[battle] = np.random.SeedSequence(seed).spawn(1)[0].generate_state(4, np.uint64)

    def reset(self, mask: NDArray[np.bool_]) -> None:
        """Begin the battles of mask [B] anew and make them active; the enemy has marched for one or two loops."""
        self.active[mask] = True
        self._play(mask, True, self._silence, 0)

    def advance(self, orders: Orders, loops: int = STEP_LOOPS) -> None:
        """Give the orders and play `loops` game loops of every active battle; the orders act from the first loop.

        Playing k loops and then the rest with orders of kind NONE comes to the same, to the bit (but for `units.hits`,
        which counts from the latest call).
        """
        self._play(self.active, False, orders, loops)

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
        """End the threads."""
        self._crew.close()

    def _play(self, rows: NDArray[np.bool_], anew: bool, orders: Orders, loops: int) -> None:
        given = (rows, anew, *self._start, orders.kind, orders.target, orders.x, orders.y, loops)
        self._crew.run(lambda first, last, lane: self._kernel(first, last, lane, *given, *self._world), self.n_battles)

    def _changing(self) -> dict[str, NDArray[Any]]:
        names = ("x", "y", "health", "shield", "energy", "weapon_cooldown", "facing", "target", "hits", "alive")
        private = {"body": self._body, "mind": self._mind, "rng": self._rng, "burns": self._burns}
        return {name: getattr(self.units, name) for name in names} | private | {"active": self.active}


class _Crew:
    """Threads that share rows among them; the caller's own is one of them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0

    def run(self, play: Callable[[int, int, int], None], rows: int) -> None:
        """Call play(first, last, lane) for consecutive shares of the rows, in parallel."""
        if self.threads == 1 or rows == 1:
            play(0, rows, 0)
            return
        edges = [rows * lane // self.threads for lane in range(self.threads + 1)]
        shares = list(zip(edges[:-1], edges[1:], range(self.threads)))
        others = [self._workers().submit(play, *share) for share in shares[1:]]
        play(*shares[0])
        wait(others)
        for other in others:
            other.result()

    def _workers(self) -> ThreadPoolExecutor:
        """The pool; a forked process has none of its parent's threads and starts its own."""
        if self._pool is None or self._owner != os.getpid():
            self._pool = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="battles")
            self._owner = os.getpid()
        return self._pool

    def close(self) -> None:
        if self._pool is not None and self._owner == os.getpid():
            self._pool.shutdown()
        self._pool = None


def warm_up(notify: Callable[[str], None] | None = None) -> None:
    """Load the kernels of engine and rules, compiling those that no cache holds; a second call costs nothing.

    notify gets one line before a compilation.
    """
    from skirmish import rules_kernels  # the rules build on this module

    if notify is not None and not kernel_cache.is_ready(k.KERNELS, k.SOURCES):
        notify(f"compiling the battle kernels (once, about {COMPILE_SECONDS} s)...")
    k.compile_kernels()
    rules_kernels.compile_kernels()
