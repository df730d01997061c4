"""The simulator of battles."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skirmish.units import UNIT_NAMES

STEP_LOOPS = 8
"""Game loops in an environment step."""

NONE, STOP, MOVE, ATTACK, HEAL = range(5)
"""Kinds of orders: `NONE` leaves the running order as it is."""


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
        return cls(np.tile(indices, (n_battles, 1)), *floats, alive=np.zeros(shape, dtype=np.bool_))


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
