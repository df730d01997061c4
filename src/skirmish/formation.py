"""Where the units of a battle appear.

The map creates each group at one point; the game puts the first unit there and the others at the nearest free places.
The exact places are decided inside the game; here they are the places of a hexagonal lattice, nearest first.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skirmish.maps import MapSpec
from skirmish.units import UnitType

SPAWN_GAP = 0.25
"""Cells left between the bodies of units created at one point; 25 marines then stand about 6 cells wide."""


@dataclass(frozen=True)
class Formation:
    """Start of a battle, arrays [U]: position, facing (unit vector), and where the enemy's order leads each unit."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    face_x: NDArray[np.float32]
    face_y: NDArray[np.float32]
    goal_x: NDArray[np.float32]
    goal_y: NDArray[np.float32]


def formation(map_spec: MapSpec, table: dict[str, UnitType]) -> Formation:
    """The start of a battle: agents in SMAC's order (by x, then y), enemies in the order of creation.

    Each enemy marches to its own place in the same formation, centred on the order's point, as groups do in the game.
    """
    allies = np.array(sorted(_places(map_spec, "ally", table)))
    enemies = np.array(_places(map_spec, "enemy", table))
    ally_point, enemy_point = _point(map_spec, "ally"), _point(map_spec, "enemy")
    goals = enemies - enemies.mean(axis=0) + np.array(map_spec.enemy_order.points[0])
    ahead = (enemy_point - ally_point) / np.linalg.norm(enemy_point - ally_point)
    n, m = len(allies), len(enemies)
    start = np.concatenate([allies, enemies]).astype(np.float32)
    target = np.concatenate([allies, goals]).astype(np.float32)
    facing = np.concatenate([np.tile(ahead, (n, 1)), np.tile(-ahead, (m, 1))]).astype(np.float32)
    return Formation(start[:, 0], start[:, 1], facing[:, 0], facing[:, 1], target[:, 0], target[:, 1])


def _point(map_spec: MapSpec, team: str) -> NDArray[np.float64]:
    """Where a team is created: the mean of its spawn points."""
    mean: NDArray[np.float64] = np.mean([(spawn.x, spawn.y) for spawn in map_spec.spawns if spawn.team == team], axis=0)
    return mean


def _places(map_spec: MapSpec, team: str, table: dict[str, UnitType]) -> list[tuple[float, float]]:
    places: list[tuple[float, float]] = []
    for spawn in map_spec.spawns:
        if spawn.team == team:
            spacing = 2 * table[spawn.unit].separation_radius + SPAWN_GAP
            places += [(spawn.x + dx, spawn.y + dy) for dx, dy in lattice(spawn.count, spacing)]
    return places


def lattice(count: int, spacing: float) -> list[tuple[float, float]]:
    """The `count` points of a hexagonal lattice nearest to the origin, nearest first, then by angle."""
    reach = math.isqrt(count) + 2
    points = [
        (spacing * (column + row / 2), spacing * row * math.sqrt(0.75))
        for row in range(-reach, reach + 1)
        for column in range(-2 * reach, 2 * reach + 1)
    ]
    points.sort(key=lambda p: (round(math.hypot(*p), 9), math.atan2(p[1], p[0])))
    return points[:count]
