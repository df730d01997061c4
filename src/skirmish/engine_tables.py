"""The tables that the engine's kernels read: statistics, who can do what to whom, terrain, starts.

U unit columns: agents by id, then enemies by id. Everything is turned into cells and game loops here.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skirmish import engine_layout as k
from skirmish.formation import Formation, clearance, collide, formation, ground_of
from skirmish.maps import MapSpec
from skirmish.navigation import navigation
from skirmish.units import LOOPS_PER_SECOND, UnitType, Weapon, load_units

MEDIVAC_HABITS = ("follow", "stay")
"""What an enemy healer does without a patient; the real game's answer is not known."""

MELEE = 1.0
"""Cells: weapons of less range are melee weapons, whose bearers keep at their target's heels while they reload."""

FOREVER = 1e9
"""Loops."""

_DELIVERY = {
    "instant": k.INSTANT,
    "missile": k.MISSILES_FLY,
    "line_splash": k.BEAM,
    "suicide_splash": k.SUICIDE,
}


@dataclass(frozen=True)
class Tables:
    """Everything about a map that does not change, as `engine_kernels.advance` wants it; see `engine_layout.Battle`.

    start [U, START_FIELDS]; enemy_order: the ORDER that enemies start with; drift: see `formation.Formation`.
    """

    types: list[UnitType]
    start: NDArray[np.float32]
    enemy_order: int
    drift: tuple[np.float32, np.float32]
    stats: NDArray[np.float32]
    traits: NDArray[np.int16]
    pairs: NDArray[np.float32]
    ground: NDArray[np.uint8]
    ways: NDArray[np.int16]
    features: int
    widest: np.float32
    n_beams: int


def build_tables(map_spec: MapSpec, profile: str, build: str, enemy_medivac: str) -> Tables:
    """The tables of a map; ValueError for an unknown profile, build or habit of the enemy's Medivac."""
    if enemy_medivac not in MEDIVAC_HABITS:
        raise ValueError(f'An enemy Medivac can {" or ".join(MEDIVAC_HABITS)}, not "{enemy_medivac}".')
    units = load_units(profile, build)
    types = [units[name] for name in map_spec.ally_types] + [units[name].as_enemy() for name in map_spec.enemy_types]
    places = formation(map_spec, units)
    n_beams = sum(_delivery(unit) == k.BEAM for unit in types)
    walkers = [clearance(unit) for unit in types if _ground(unit) == k.WALKS and unit.speed > 0]
    ways = navigation(map_spec.pathing, max(walkers)) if walkers else None
    maze = ways is not None and not ways.open
    pairs, traits = _pairs(types, map_spec.n_agents), _traits(types, enemy_medivac)
    touch = pairs[k.TOUCH][np.ix_(*[traits[:, k.APART] == 0] * 2)]
    return Tables(
        types=types,
        start=_start(places, types),
        enemy_order=k.HUNTING if places.order == "attack_units" else k.SCANNING,
        drift=(np.float32(places.drift[0]), np.float32(places.drift[1])),
        stats=np.array([_stats(unit) for unit in types], dtype=np.float32),
        traits=traits,
        pairs=pairs,
        ground=np.stack([_ground_cells(map_spec, types, kind) for kind in range(3)]),
        ways=ways.table if ways is not None and maze else _no_ways(),
        features=_features(types, pairs, traits, map_spec.n_agents) | (k.MAZE if maze else 0),
        widest=np.float32(touch.max(initial=0.0)),
        n_beams=n_beams,
    )


def _no_ways() -> NDArray[np.int16]:
    table = np.zeros((1, 1), dtype=np.int16)
    table.setflags(write=False)
    return table


def _ground(unit: UnitType) -> int:
    return k.FLIES if unit.flying else k.CLIMBS if unit.mover == "Colossus" else k.WALKS


def _delivery(unit: UnitType) -> int:
    if unit.weapons:
        return _DELIVERY[unit.weapons[0].delivery]
    return k.HEALER if unit.heal else k.UNARMED


def _features(types: list[UnitType], pairs: NDArray[np.float32], traits: NDArray[np.int16], n_agents: int) -> int:
    """Flags of what occurs on the map."""
    deliveries = {_delivery(unit) for unit in types}
    touching = pairs[k.TOUCH]
    opposed = np.concatenate([pairs[k.RANK, :n_agents, n_agents:].ravel(), pairs[k.RANK, n_agents:, :n_agents].ravel()])
    flags = {
        k.RECOVERY: any(unit.shield or unit.health_regen or unit.energy for unit in types),
        k.MISSILES: k.MISSILES_FLY in deliveries,
        k.BEAMS: k.BEAM in deliveries,
        k.BLASTS: k.SUICIDE in deliveries,
        k.HEALERS: k.HEALER in deliveries,
        k.SECOND_BLOWS: any(_second_blow(unit) for unit in types),
        k.PICKY: bool((opposed != k.THREAT).any()),
        k.LAYERS: bool(traits[:, k.APART].any()) or not (touching > 0).all(),
        k.MOTION: any(unit.speed == 0 or unit.acceleration or unit.turret_rate_deg for unit in types),
        k.SECOND_WEAPONS: any(len(unit.weapons) > 1 for unit in types),
    }
    return sum(flag for flag, occurs in flags.items() if occurs)


def _pairs(types: list[UnitType], n_agents: int) -> NDArray[np.float32]:
    """DAMAGE, TOUCH and RANK of every pair, [N_PAIRS, U, U]."""
    pairs = np.zeros((k.N_PAIRS, len(types), len(types)), dtype=np.float32)
    for u, unit in enumerate(types):
        for v, other in enumerate(types):
            if _bodies_meet(unit, other):
                pairs[k.TOUCH, u, v] = unit.separation_radius + other.separation_radius
            if (u < n_agents) == (v < n_agents):
                pairs[k.RANK, u, v] = k.THREAT if u != v and unit.can_heal(other) else 0
            elif unit.can_attack(other):
                pairs[k.DAMAGE, u, v] = unit.damage(other)
                pairs[k.RANK, u, v] = k.THREAT if other.can_attack(unit) or other.always_threatens else k.NO_THREAT
    return pairs


def _bodies_meet(unit: UnitType, other: UnitType) -> bool:
    structure = "structure" in unit.attributes or "structure" in other.attributes
    return collide(unit, other) or (structure and not (unit.flying or other.flying))


def _traits(types: list[UnitType], enemy_medivac: str) -> NDArray[np.int16]:
    """The kernels' table of traits, [U, N_TRAITS]."""
    traits = np.zeros((len(types), k.N_TRAITS), dtype=np.int16)
    slot = 0
    for u, unit in enumerate(types):
        delivery = _delivery(unit)
        traits[u, k.GROUND] = _ground(unit)
        traits[u, k.DELIVERY] = delivery
        traits[u, k.APART] = _ground(unit) != k.WALKS or "structure" in unit.attributes
        traits[u, k.TURRET] = unit.turret_rate_deg is not None
        traits[u, k.FOLLOWS] = enemy_medivac == "follow"
        traits[u, k.SLOT] = slot
        slot += delivery == k.BEAM
    return traits


def _ground_cells(map_spec: MapSpec, types: list[UnitType], kind: int) -> NDArray[np.uint8]:
    """Cells for one kind of unit, [w + 2 PAD, h + 2 PAD]; roomy ones need no test of walls near by."""
    sample = [unit for unit in types if _ground(unit) == kind]
    free = ground_of(sample[0], map_spec) if sample else map_spec.pathing
    cells = np.pad(free.astype(np.uint8), k.PAD)
    inner = np.lib.stride_tricks.sliding_window_view(cells > k.BLOCKED, (3, 3)).all(axis=(2, 3))
    cells[1:-1, 1:-1][inner] = k.ROOMY
    return cells


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
        k.SHIELD: np.array([unit.shield for unit in types]),
        k.ENERGY: np.array([unit.energy["start"] if unit.energy else 0.0 for unit in types]),
    }
    return np.stack([fields[field] for field in k.START_FIELDS], axis=1).astype(np.float32)


def _stats(unit: UnitType) -> list[float]:
    """The kernels' row of statistics."""
    turn = math.radians((unit.turret_rate_deg or unit.turn_rate_deg) / LOOPS_PER_SECOND)
    shield = unit.shield_regen or {"delay_s": 0.0, "rate": 0.0}
    row = dict.fromkeys(range(k.N_STATS), 0.0) | {
        k.SPEED: unit.speed / LOOPS_PER_SECOND,
        k.RADIUS: unit.radius,
        k.CLEARANCE: clearance(unit),
        k.ARMOR: unit.armor,
        k.TURN_COS: math.cos(turn),
        k.TURN_SIN: math.sin(turn),
        k.HEALTH_MAX: unit.health,
        k.SHIELD_MAX: unit.shield,
        k.REGROWTH: unit.health_regen / LOOPS_PER_SECOND,
        k.SHIELD_DELAY: shield["delay_s"] * LOOPS_PER_SECOND,
        k.SHIELD_GROWTH: shield["rate"] / LOOPS_PER_SECOND,
        k.ACCELERATION: (unit.acceleration or 0.0) / LOOPS_PER_SECOND**2,
    }
    if unit.weapons:
        row |= _weapon_stats(unit.weapons[0], _delivery(unit))
    if len(unit.weapons) > 1:
        second = unit.weapons[1]
        row |= {
            k.CLOSE_RANGE: second.range,
            k.CLOSE_SWING: second.damage_point_s * LOOPS_PER_SECOND,
            k.CLOSE_PERIOD: second.period_s * LOOPS_PER_SECOND,
        }
    if unit.heal and unit.energy:
        row |= {
            k.RANGE: unit.heal["range"],
            k.AIM_COS: _aim(unit.heal["arc_deg"]),
            k.HEAL_RATE: unit.heal["rate"] / LOOPS_PER_SECOND,
            k.HEAL_COST: unit.heal["energy_per_health"],
            k.HEAL_SCAN: unit.heal["acquire_range"],
            k.ENERGY_LEAST: unit.heal["min_energy"],
            k.ENERGY_MAX: unit.energy["max"],
            k.ENERGY_GROWTH: unit.energy["regen"] / LOOPS_PER_SECOND,
        }
    return [row[field] for field in range(k.N_STATS)]


def _weapon_stats(weapon: Weapon, delivery: int) -> dict[int, float]:
    splash = weapon.splash or {}
    period, swing = weapon.period_s * LOOPS_PER_SECOND, weapon.damage_point_s * LOOPS_PER_SECOND
    row = {
        k.RANGE: weapon.range,
        k.SCAN: weapon.scan_range,
        k.SLOP: 0.0 if delivery == k.SUICIDE else weapon.range_slop,
        k.PERIOD: period,
        k.SWING_TIME: swing,
        k.REST: FOREVER if weapon.range < MELEE else period - swing - weapon.backswing_s * LOOPS_PER_SECOND,
        k.AIM_COS: _aim(weapon.arc_deg, weapon.arc_slop_deg),
        k.EARLIEST: weapon.random_delay_s[0] * LOOPS_PER_SECOND,
        k.LATEST: weapon.random_delay_s[1] * LOOPS_PER_SECOND,
        k.MISSILE_SPEED: (weapon.missile_speed or 0.0) / LOOPS_PER_SECOND,
        k.MISSILE_GAIN: weapon.missile_acceleration / LOOPS_PER_SECOND**2,
        k.BLAST_RADIUS: splash.get("radius", 0.0),
    }
    if delivery == k.BEAM:
        row[k.BEAM_LIFE] = weapon.hit_delays_s[0] * LOOPS_PER_SECOND
        row[k.BEAM_STEP] = splash["sweep_point_period_s"] * LOOPS_PER_SECOND
        row[k.BEAM_DELAY] = round(splash["secondary_damage_delay_s"] * LOOPS_PER_SECOND)
    elif weapon.hits > 1:
        row[k.SECOND_BLOW] = weapon.hit_delays_s[1] * LOOPS_PER_SECOND
    return row


def _second_blow(unit: UnitType) -> bool:
    return bool(unit.weapons) and unit.weapons[0].hits > 1 and _delivery(unit) == k.INSTANT


def _aim(arc_deg: float, slop_deg: float = 0.0) -> float:
    return math.cos(math.radians(arc_deg / 2 + slop_deg))
