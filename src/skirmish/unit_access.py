"""Single units of an environment and what SMAC's class tells of them.

Nothing here is fast or needed for training: it serves programs that look at `env.agents`, ask where a unit can go, or
read the state by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.battles import Battles
from skirmish.kernel_layout import REACH, SIGHT
from skirmish.units import UNIT_NAMES, load_units

ALLY_TYPE_ID = 1970
"""The game's type id of the first allied type; the allies' types are copies made by the map and numbered after all
others, in the order of their type bits."""


class Direction(IntEnum):
    """Directions of SMAC's move actions."""

    NORTH = 0
    SOUTH = 1
    EAST = 2
    WEST = 3


@dataclass(frozen=True)
class Point:
    """A place on the map, cells."""

    x: float
    y: float


@dataclass(frozen=True)
class Unit:
    """One unit of the current frame, under the names of the game's raw interface.

    owner: 1 ally, 2 enemy; weapon_cooldown: game loops; facing: radians from east; a dead unit has health 0.
    """

    tag: int
    unit_type: int
    name: str
    owner: int
    pos: Point
    facing: float
    health: float
    health_max: float
    shield: float
    shield_max: float
    energy: float
    weapon_cooldown: float


class UnitAccess:
    """Part of `env.StarCraft2Env`: its battle's units, one by one."""

    _battles: Battles
    n_agents: int
    n_enemies: int
    episode_limit: int

    @property
    def agents(self) -> dict[int, Unit]:
        """All agents' units by id, as they stand."""
        return {agent: self._unit(agent) for agent in range(self.n_agents)}

    @property
    def enemies(self) -> dict[int, Unit]:
        """All enemies by id, as they stand."""
        return {enemy: self._unit(self.n_agents + enemy) for enemy in range(self.n_enemies)}

    def get_unit_by_id(self, a_id: int) -> Unit:
        """The unit of agent `a_id`; IndexError if there is no such agent."""
        self._check_agent(a_id)
        return self._unit(a_id)

    @property
    def last_action(self) -> NDArray[np.float64]:
        """One-hots of the actions asked for last [n_agents, n_actions]; zeros after a reset."""
        rules = self._battles.rules
        out = np.zeros((self.n_agents, rules.n_actions))
        chosen = rules.last_action[0]
        out[chosen >= 0, chosen[chosen >= 0]] = 1.0
        return out

    @property
    def death_tracker_ally(self) -> NDArray[np.float64]:
        """1 for every agent that has died in this episode."""
        return self._battles.rules.counted_dead[0, : self.n_agents].astype(np.float64)

    @property
    def death_tracker_enemy(self) -> NDArray[np.float64]:
        """1 for every enemy that has died in this episode."""
        return self._battles.rules.counted_dead[0, self.n_agents :].astype(np.float64)

    @property
    def pathing_grid(self) -> NDArray[np.bool_]:
        """Where ground units can walk, [map_x, map_y]."""
        return self._battles.rules.pathing.copy()

    @property
    def terrain_height(self) -> NDArray[np.float64]:
        """Heights / 255 [map_x, map_y], mirrored in y as SMAC has them (unless the rules are corrected)."""
        return self._battles.rules.height.copy()

    @staticmethod
    def distance(x1: float, y1: float, x2: float, y2: float) -> float:
        """Distance between two points, cells."""
        return math.hypot(x2 - x1, y2 - y1)

    def unit_shoot_range(self, agent_id: int) -> float:
        """How far away, from centre to centre, targets are available: 6 for every unit."""
        return REACH

    def unit_sight_range(self, agent_id: int) -> float:
        """How far agents see, from centre to centre: 9 for every unit."""
        return SIGHT

    def unit_max_cooldown(self, unit: Unit) -> float:
        """Divisor of the state's cooldown feature (of the energy feature for Medivacs)."""
        return float(self._battles.rules.types[UNIT_NAMES.index(unit.name)]["max_cooldown"])

    def unit_max_shield(self, unit: Unit) -> float | None:
        """Divisor of the shield features; None for units without a shield."""
        divisor = float(self._battles.rules.types[UNIT_NAMES.index(unit.name)]["max_shield"])
        return divisor if math.isfinite(divisor) else None

    def get_unit_type_id(self, unit: Unit, ally: bool) -> int:
        """Which of the type bits stands for a unit."""
        return int(self._battles.rules.types[UNIT_NAMES.index(unit.name)]["ally_bit" if ally else "enemy_bit"])

    def check_bounds(self, x: float, y: float) -> bool:
        """Whether a point is on the map."""
        width, height = self._battles.map_spec.pathing.shape
        return 0 <= x < width and 0 <= y < height

    def can_move(self, unit: Unit, direction: int) -> bool:
        """Whether the cell half a move's length away is on the map and walkable."""
        reach = self._battles.rules.options.move_amount / 2
        dx, dy = ((0.0, reach), (0.0, -reach), (reach, 0.0), (-reach, 0.0))[direction]
        x, y = int(unit.pos.x + dx), int(unit.pos.y + dy)
        return self.check_bounds(x, y) and bool(self._battles.rules.pathing[x, y])

    def get_surrounding_points(self, unit: Unit, include_self: bool = False) -> list[tuple[int, int]]:
        """The cells whose walkability and height an agent may observe, in their order."""
        x, y, step = int(unit.pos.x), int(unit.pos.y), int(self._battles.rules.options.move_amount)
        straight = [(x, y + 2 * step), (x, y - 2 * step), (x + 2 * step, y), (x - 2 * step, y)]
        diagonal = [(x + step, y + step), (x - step, y - step), (x + step, y - step), (x - step, y + step)]
        return straight + diagonal + [(x, y)] * include_self

    def get_surrounding_pathing(self, unit: Unit) -> list[float]:
        """Walkability of the surrounding cells; 1 outside the map."""
        grid = self._battles.rules.pathing
        return [float(grid[p]) if self.check_bounds(*p) else 1.0 for p in self.get_surrounding_points(unit)]

    def get_surrounding_height(self, unit: Unit) -> list[float]:
        """Heights of the surrounding cells and the unit's own; 1 outside the map."""
        grid = self._battles.rules.height
        return [float(grid[p]) if self.check_bounds(*p) else 1.0 for p in self.get_surrounding_points(unit, True)]

    def only_medivac_left(self, ally: bool) -> bool:
        """SMAC's test: no living fighter of one's own; or a single living enemy, a Medivac. False without Medivacs."""
        spec = self._battles.map_spec
        if "Medivac" not in spec.ally_types + spec.enemy_types:
            return False
        living = [unit.name for unit in (self.agents if ally else self.enemies).values() if unit.health > 0]
        return set(living) <= {"Medivac"} if ally else living == ["Medivac"]

    def get_ally_num_attributes(self) -> int:
        """Columns of an ally's row in the state."""
        return len(self._battles.rules.get_env_info()["agent_features"])

    def get_enemy_num_attributes(self) -> int:
        """Columns of an enemy's row in the state."""
        return len(self._battles.rules.get_env_info()["enemy_features"])

    def get_state_dict(self) -> dict[str, Any]:
        """The state in parts: rows of `allies` and `enemies`, float64; `last_action`, `timestep` where it has them."""
        options = self._battles.rules.options
        state: dict[str, Any] = {
            "allies": np.array([self._state_row(unit, True) for unit in self.agents.values()]),
            "enemies": np.array([self._state_row(unit, False) for unit in self.enemies.values()]),
        }
        if options.state_last_action:
            state["last_action"] = self.last_action
        if options.state_timestep_number:
            state["timestep"] = int(self._battles.rules.steps[0]) / self.episode_limit
        return state

    def _state_row(self, unit: Unit, ally: bool) -> list[float]:
        spec = self._battles.map_spec
        width, height = spec.pathing.shape
        has_shield = (spec.a_race if ally else spec.b_race) == "P"
        if unit.health == 0:
            return [0.0] * (3 + ally + has_shield + spec.unit_type_bits)
        row = [unit.health / unit.health_max]
        if ally:
            charge = unit.energy if unit.name == "Medivac" else unit.weapon_cooldown
            row.append(charge / self.unit_max_cooldown(unit))
        row += [(unit.pos.x - width / 2) / width, (unit.pos.y - height / 2) / height]
        if has_shield:
            row.append(unit.shield / (self.unit_max_shield(unit) or math.inf))
        bit = self.get_unit_type_id(unit, ally)
        return row + [float(bit == k) for k in range(spec.unit_type_bits)]

    def _unit(self, column: int) -> Unit:
        units, ally = self._battles.engine.units, column < self.n_agents
        name = UNIT_NAMES[units.type[0, column]]
        alive = bool(units.alive[0, column])
        values = {
            field: float(getattr(units, field)[0, column])
            for field in ("facing", "health_max", "shield", "shield_max", "energy", "weapon_cooldown")
        }
        type_id = load_units()[name].api_id
        if ally:
            type_id = ALLY_TYPE_ID + int(self._battles.rules.types[UNIT_NAMES.index(name)]["ally_bit"])
        return Unit(
            tag=column + 1,
            unit_type=type_id,
            name=name,
            owner=1 if ally else 2,
            pos=Point(float(units.x[0, column]), float(units.y[0, column])),
            health=float(units.health[0, column]) if alive else 0.0,
            **values,
        )

    def _check_agent(self, agent_id: int) -> None:
        if not 0 <= agent_id < self.n_agents:
            raise IndexError(f"There is no agent {agent_id}; agents are numbered 0 to {self.n_agents - 1}.")
