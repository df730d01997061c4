"""Unit statistics: what a marine is.

The numbers live in `data/units.json` (sources in the README beside it), in Normal seconds, cells and degrees.
Two profiles exist: `multiplayer`, what the real game shows at run time, and `liberty`, the literal reading of the maps'
only dependency.
"""

import json
from dataclasses import dataclass
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
    splash: dict[str, Any] | None = None
    period_by_build: dict[str, float] | None = None


@dataclass(frozen=True)
class UnitType:
    """Body and weapons of one unit type; rates are per Normal second, `acceleration` None means instantaneous.

    `enemy_variant` overrides values for the enemy's copy of the unit (only the Medivac has one).
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
    shield_regen: dict[str, float] | None = None
    energy: dict[str, float] | None = None
    heal: dict[str, float] | None = None
    enemy_variant: dict[str, float] | None = None

    def hit(self, target: "UnitType") -> float:
        """Health points that one hit of the first weapon takes from an unshielded target."""
        weapon = self.weapons[0]
        bonus = sum(extra for attribute, extra in weapon.bonus.items() if attribute in target.attributes)
        return max(weapon.damage + bonus - target.armor, constants()["damage_minimum"])


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
def load_units(profile: str = "multiplayer") -> dict[str, UnitType]:
    """All unit types by name, in the order of `UNIT_NAMES`; ValueError for an unknown profile."""
    if profile not in PROFILES:
        raise ValueError(f'There is no unit profile "{profile}"; there are {" and ".join(PROFILES)}.')
    table = _data()["profiles"][profile]
    return {name: _unit_type(name, table[name]) for name in UNIT_NAMES}


def _unit_type(name: str, body: dict[str, Any]) -> UnitType:
    weapons = tuple(Weapon(**weapon) for weapon in body["weapons"])
    return UnitType(name=name, **{**body, "weapons": weapons})
