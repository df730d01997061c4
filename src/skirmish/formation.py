"""Where the units of a battle appear.

A map creates each group at one point; the game puts the first unit there and the others at the nearest free places.
The exact places are decided inside the game; here a place is free if the body stands on ground that it can walk on and
keeps a small gap to every body that it could bump into. Equal bodies then form a hexagonal lattice.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skirmish.maps import MapError, MapSpec
from skirmish.units import UnitType

SPAWN_GAP = 0.25
"""Cells left between the bodies of units created at one point; 25 marines then stand about 6 cells wide."""

_GRAIN = 4096
"""Places in a cell's length: the game's coordinates are whole multiples of this fraction."""
_RASTER = 4
"""Places tried in a cell's length beside walls, where bodies cannot only touch one another."""
_EPSILON = 1e-6

Points = NDArray[np.float64]
Grid = NDArray[np.bool_]


@dataclass(frozen=True)
class Formation:
    """Start of a battle, arrays [U]: position, facing (unit vector), and where the enemy's order leads each unit.

    order: kind of the enemy's order, as in `maps.EnemyOrder`; under `none` and `attack_units` goals are the places.
    drift: under `attack_random_point` every battle draws u from [0, 1) and adds u * drift to the goals of all enemies;
    (0, 0) otherwise.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    face_x: NDArray[np.float32]
    face_y: NDArray[np.float32]
    goal_x: NDArray[np.float32]
    goal_y: NDArray[np.float32]
    order: str
    drift: tuple[float, float]


def formation(map_spec: MapSpec, table: dict[str, UnitType]) -> Formation:
    """The start of a battle: agents in SMAC's order (by type, then x, then y), enemies in the order of creation.

    Each enemy marches to its own place in the same formation, centred on the order's point, as groups do in the game.
    Raises MapError if the ground has no room for all.
    """
    places = spawn_places(map_spec, table)
    ranks = list(dict.fromkeys(map_spec.ally_types))
    agents = sorted((ranks.index(unit), x, y) for team, unit, x, y in places if team == "ally")
    allies = np.array([(x, y) for _, x, y in agents])
    enemies = np.array([(x, y) for team, _, x, y in places if team == "enemy"])
    goals, drift = _goals(map_spec, table, enemies)
    ahead = _point(map_spec, "enemy") - _point(map_spec, "ally")
    distance = float(np.linalg.norm(ahead))
    ahead = ahead / distance if distance > 0 else np.array([1.0, 0.0])
    start = np.concatenate([allies, enemies]).astype(np.float32)
    target = np.concatenate([allies, goals]).astype(np.float32)
    facing = np.concatenate([np.tile(ahead, (len(allies), 1)), np.tile(-ahead, (len(enemies), 1))]).astype(np.float32)
    (x, y), (face_x, face_y), (goal_x, goal_y) = (np.ascontiguousarray(array.T) for array in (start, facing, target))
    return Formation(x, y, face_x, face_y, goal_x, goal_y, map_spec.enemy_order.kind, drift)


def spawn_places(map_spec: MapSpec, table: dict[str, UnitType]) -> list[tuple[str, str, float, float]]:
    """(team, unit, x, y) of every unit in the order of creation; MapError if the ground has no room."""
    crowd = _Crowd(map_spec)
    places = []
    for spawn in map_spec.spawns:
        for x, y in crowd.gather(table[spawn.unit], spawn.count, spawn.x, spawn.y):
            places.append((spawn.team, spawn.unit, x, y))
    return places


def clearance(unit: UnitType) -> float:
    """Half the width of the body as walls meet it, in cells."""
    return unit.separation_radius if unit.inner_radius is None else unit.inner_radius


def collide(a: UnitType, b: UnitType) -> bool:
    """Whether two units bump into each other: flyers meet flyers, walkers walkers, and a Colossus strides over both."""
    return _layer(a) == _layer(b)


def ground_of(unit: UnitType, map_spec: MapSpec) -> Grid:
    """The cells [w, h] that the unit can be on."""
    if unit.flying:
        return np.ones_like(map_spec.pathing)
    return map_spec.cliff_pathing if unit.mover == "Colossus" else map_spec.pathing


def fits(ground: Grid, points: Points, half_width: float) -> Grid:
    """Whether squares of the given half width round points [P, 2] lie on the ground, [P]."""
    width, height = ground.shape
    low, high = np.floor(points - half_width).astype(int), np.floor(points + half_width).astype(int)
    inside = (low >= 0).all(axis=1) & (high[:, 0] < width) & (high[:, 1] < height)
    walls = np.zeros((width + 1, height + 1), dtype=int)
    walls[1:, 1:] = np.cumsum(np.cumsum(~ground, axis=0), axis=1)
    (x0, y0), (x1, y1) = low[inside].T, high[inside].T + 1
    found = inside.copy()
    found[inside] = walls[x1, y1] - walls[x0, y1] - walls[x1, y0] + walls[x0, y0] == 0
    return found


def raster(width: int, height: int) -> Points:
    """Points of a grid finer than the cells, [P, 2]."""
    axes = [(np.arange(length * _RASTER) + 0.5) / _RASTER for length in (width, height)]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def _layer(unit: UnitType) -> str:
    return "air" if unit.flying else "cliff" if unit.mover == "Colossus" else "ground"


def _point(map_spec: MapSpec, team: str) -> Points:
    """Where a team is created: the mean of its spawn points."""
    mean: Points = np.mean([(spawn.x, spawn.y) for spawn in map_spec.spawns if spawn.team == team], axis=0)
    return mean


def _goals(map_spec: MapSpec, table: dict[str, UnitType], enemies: Points) -> tuple[Points, tuple[float, float]]:
    """Where the order leads each enemy [m, 2], on ground it can stand on, and the drift."""
    points = map_spec.enemy_order.points
    if not points:
        return enemies, (0.0, 0.0)
    goals = enemies - enemies.mean(axis=0) + np.array(points[0])
    units = [table[name] for name in map_spec.enemy_types]
    standing = [fits(ground_of(u, map_spec), goals[e : e + 1], clearance(u))[0] for e, u in enumerate(units)]
    for e in np.flatnonzero(~np.array(standing)):
        goals[e] = _free_goal(map_spec, units, goals, standing, int(e))
        standing[e] = True
    (x0, y0), (x1, y1) = points[0], points[-1]
    return goals, (x1 - x0, y1 - y0)


def _free_goal(map_spec: MapSpec, units: list[UnitType], goals: Points, taken: list[bool], e: int) -> Points:
    """The place nearest to goal e that enemy e can stand on, clear of the goals taken if there is any such place."""
    ground, unit = ground_of(units[e], map_spec), units[e]
    free = raster(*ground.shape)
    free = free[fits(ground, free, clearance(unit))]
    discs = [
        (*goal, unit.separation_radius + other.separation_radius)
        for goal, other, used in zip(goals.tolist(), units, taken)
        if used and collide(unit, other)
    ]
    apart = free[_apart(free, discs)]
    free = apart if len(apart) else free
    place: Points = free[np.argmin(((free - goals[e]) ** 2).sum(axis=1))]
    return place


class _Crowd:
    """Units placed so far."""

    def __init__(self, map_spec: MapSpec) -> None:
        self.map_spec = map_spec
        self.placed: list[tuple[UnitType, float, float]] = []

    def gather(self, unit: UnitType, count: int, x: float, y: float) -> list[tuple[float, float]]:
        """Place `count` units round a point, each at the free place that is nearest, and return their places."""
        centre = np.array([x, y])
        ground, half_width = ground_of(unit, self.map_spec), clearance(unit)
        discs = [(px, py, self._reach(unit, other)) for other, px, py in self.placed if collide(unit, other)]
        trials = np.concatenate([[centre], _contacts(np.array(discs).reshape(-1, 3))])
        trials = trials[_apart(trials, discs)]
        cramped = not fits(ground, centre + _square(self._spread(unit, count, discs)), half_width).all()
        if cramped:
            around = raster(*ground.shape)
            trials = np.concatenate([trials, around[_apart(around, discs)]])
        trials = trials[fits(ground, trials, half_width)]
        seen = _in_sight(centre, trials, ground)
        places = []
        for _ in range(count):
            place = _nearest(trials, seen, centre)
            if place is None:
                name = self.map_spec.name
                raise MapError(f'The map "{name}" has no room for {count} {unit.name} at ({x:g}, {y:g}).')
            px, py = (round(value * _GRAIN) / _GRAIN for value in place)
            places.append((px, py))
            self.placed.append((unit, px, py))
            disc = (float(place[0]), float(place[1]), self._reach(unit, unit))
            fresh = _touching(disc, np.array(discs).reshape(-1, 3))
            fresh = fresh[_apart(fresh, discs)]
            fresh = fresh[fits(ground, fresh, half_width)]
            discs.append(disc)
            trials, seen = np.concatenate([trials, fresh]), np.concatenate([seen, _in_sight(centre, fresh, ground)])
            free = _apart(trials, [disc])
            trials, seen = trials[free], seen[free]
        return places

    @staticmethod
    def _reach(a: UnitType, b: UnitType) -> float:
        """Least distance of two bodies' centres."""
        return a.separation_radius + b.separation_radius + SPAWN_GAP

    def _spread(self, unit: UnitType, count: int, discs: list[tuple[float, float, float]]) -> float:
        """Generous estimate of how far from its point the group spreads."""
        area = count * self._reach(unit, unit) ** 2 + sum(reach**2 for *_, reach in discs)
        return math.sqrt(area) + self._reach(unit, unit)


def _square(reach: float) -> Points:
    """Points that leave no gap wider than a cell in a square of half width `reach` round the origin, [P, 2]."""
    axis = np.linspace(-reach, reach, 2 * math.ceil(reach) + 1)
    return np.stack([values.ravel() for values in np.meshgrid(axis, axis)], axis=1)


def _apart(trials: Points, discs: list[tuple[float, float, float]]) -> Grid:
    """Which of the points [P, 2] lie in none of the discs (x, y, radius)."""
    free = np.ones(len(trials), dtype=np.bool_)
    for x, y, radius in discs:
        free &= (trials[:, 0] - x) ** 2 + (trials[:, 1] - y) ** 2 >= (radius - _EPSILON) ** 2
    return free


def _contacts(discs: Points) -> Points:
    """Where circles [D, 3] cross each other, and six points on each, [P, 2]."""
    found = [_touching(tuple(disc), discs[:index]) for index, disc in enumerate(discs)]
    return np.concatenate([np.empty((0, 2)), *found])


def _touching(disc: tuple[float, ...], others: Points) -> Points:
    """Where one circle crosses the others [D, 3], and six points on it, [P, 2]."""
    x, y, radius = disc
    angles = np.arange(6) * math.pi / 3
    on_it = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    dx, dy = others[:, 0] - x, others[:, 1] - y
    distance = np.hypot(dx, dy)
    crossing = (distance > abs(radius - others[:, 2])) & (distance < radius + others[:, 2])
    dx, dy, distance, reach = dx[crossing], dy[crossing], distance[crossing], others[crossing, 2]
    along = (distance**2 + radius**2 - reach**2) / (2 * distance)
    aside = np.sqrt(np.maximum(radius**2 - along**2, 0.0))
    ux, uy = dx / distance, dy / distance
    both = [
        np.stack([x + along * ux - side * aside * uy, y + along * uy + side * aside * ux], axis=1) for side in (1, -1)
    ]
    return np.concatenate([on_it, *both])


def _nearest(trials: Points, seen: Grid, centre: Points) -> Points | None:
    """The place nearest to the centre, then of the smallest angle; places in sight of the centre come first."""
    if not len(trials):
        return None
    choice = trials[seen] if seen.any() else trials
    offset = np.round(choice - centre, 9) + 0.0
    distance = np.round(np.hypot(offset[:, 0], offset[:, 1]), 6)
    nearest = np.flatnonzero(distance == distance.min())
    angles = np.round(np.arctan2(offset[nearest, 1], offset[nearest, 0]), 6)
    place: Points = choice[nearest[np.argmin(angles)]]
    return place


def _in_sight(centre: Points, trials: Points, ground: Grid) -> Grid:
    """Whether the straight line from the centre to each point [P, 2] stays on the ground, [P]."""
    free = np.ones(len(trials), dtype=np.bool_)
    steps = math.ceil(float(np.abs(trials - centre).max(initial=0.0)) * _RASTER)
    for step in range(1, steps):
        cells = (centre + (trials[free] - centre) * (step / steps)).astype(int)
        free[free] = ground[cells[:, 0], cells[:, 1]]
    return free
