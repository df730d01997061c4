"""Unit statistics: what a marine is.

The numbers live in `data/units.json` (sources in the README beside it), in Normal seconds, cells and degrees.
Two profiles exist: `multiplayer`, what the real game shows at run time, and `liberty`, the literal reading of the maps'
only dependency. Within `multiplayer` the builds of the client, 4.6.2 and 4.10, differ in two units.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

LOOPS_PER_SECOND = 16
"""Game loops in a Normal second; the data files count in Normal seconds."""

UNIT_NAMES = (
    "Marine",
    "Marauder",
    "Medivac",
    "Stalker",
    "Zealot",
    "Colossus",
    "Zergling",
    "Baneling",
    "Hydralisk",
    "SpineCrawler",
)
"""All unit types; `Units.type` holds an index into this tuple."""

PROFILES = ("multiplayer", "liberty")

BUILDS = ("4.10", "4.6.2")


@dataclass(frozen=True)
class Weapon:
    """One weapon; ranges are edge to edge in cells, times in Normal seconds."""

    name: str
    damage: float
    bonus: dict[str, float]
    hits: int
    hit_delays_s: list[float]
    targets: list[str]
    range: float
    scan_range: float
    range_slop: float
    arc_deg: float
    arc_slop_deg: float
    period_s: float
    random_delay_s: list[float]
    damage_point_s: float
    backswing_s: float
    delivery: str
    missile_speed: float | None = None
    missile_acceleration: float = 0.0
    structure_damage: float | None = None
    splash: dict[str, Any] | None = None
    period_by_build: dict[str, float] | None = None


@dataclass(frozen=True)
class UnitType:
    """Body and weapons of one unit type; rates are per Normal second, `acceleration` None means instantaneous.

    `turret_rate_deg`: the weapon turns at this rate and the body needs no turning. `enemy_variant` overrides values for
    the enemy's copy of the unit (only the Medivac has one).
    """

    name: str
    race: str
    api_id: int
    health: float
    shield: float
    armor: float
    attributes: list[str]
    radius: float
    separation_radius: float
    inner_radius: float | None
    planes: list[str]
    mover: str
    flying: bool
    sight: float
    speed: float
    acceleration: float | None
    turn_rate_deg: float
    health_regen: float
    always_threatens: bool
    weapons: tuple[Weapon, ...]
    turret_rate_deg: float | None = None
    shield_regen: dict[str, float] | None = None
    energy: dict[str, float] | None = None
    heal: dict[str, float] | None = None
    enemy_variant: dict[str, float] | None = None

    def damage(self, target: "UnitType") -> float:
        """Points of one hit of the first weapon before armour; a shield takes them as they are."""
        weapon = self.weapons[0]
        if weapon.structure_damage is not None and "structure" in target.attributes:
            return weapon.structure_damage
        return weapon.damage + sum(extra for attribute, extra in weapon.bonus.items() if attribute in target.attributes)

    def hit(self, target: "UnitType") -> float:
        """Health points that one hit of the first weapon takes from an unshielded target."""
        return max(self.damage(target) - target.armor, constants()["damage_minimum"])

    def can_attack(self, target: "UnitType") -> bool:
        """Whether the first weapon can hit one of the planes that the target is on."""
        return bool(self.weapons) and any(plane in self.weapons[0].targets for plane in target.planes)

    def can_heal(self, target: "UnitType") -> bool:
        """Whether this unit heals such targets: living things that are no structures."""
        return self.heal is not None and "biological" in target.attributes and "structure" not in target.attributes

    def as_enemy(self) -> "UnitType":
        """The enemy's copy of the unit."""
        return replace(self, **(self.enemy_variant or {}))  # type: ignore[arg-type]


@cache
def _data() -> dict[str, Any]:
    text = resources.files("skirmish").joinpath("data/units.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def constants() -> dict[str, float]:
    """Game-wide constants: least damage of a hit, radius and period (s) of the call for help, leash radii."""
    values: dict[str, float] = _data()["constants"]
    return values


@cache
def load_units(profile: str = "multiplayer", build: str = "4.10") -> dict[str, UnitType]:
    """All unit types by name, in the order of `UNIT_NAMES`; ValueError for an unknown profile or build."""
    for what, value, known in (("unit profile", profile, PROFILES), ("build", build, BUILDS)):
        if value not in known:
            raise ValueError(f'There is no {what} "{value}"; there are {" and ".join(known)}.')
    table = _data()["profiles"][profile]
    return {name: _unit_type(name, table[name], build) for name in UNIT_NAMES}


def _unit_type(name: str, body: dict[str, Any], build: str) -> UnitType:
    weapons = tuple(_weapon(weapon, build) for weapon in body["weapons"])
    return UnitType(name=name, **{**body, "weapons": weapons})


def _weapon(values: dict[str, Any], build: str) -> Weapon:
    periods = values.get("period_by_build") or {}
    return Weapon(**{**values, "period_s": periods.get(build, values["period_s"])})
