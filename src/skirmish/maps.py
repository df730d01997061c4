"""The maps: who fights whom, where, on which ground.

`data/maps.json` holds the 23 SMAC maps and the made-up easy map `2m_vs_1m` (sources in the README beside it).
`load_map` also reads a map of your own from a YAML file (docs/maps.md). `python -m skirmish` prints them all.
"""

import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUPS: dict[str, tuple[str, ...]] = {
    "easy": ("3m", "2s3z"),
    "medium": ("8m", "5m_vs_6m", "2s_vs_1sc"),
    "hard": ("MMM", "3s5z", "27m_vs_30m"),
    "super_hard": ("corridor", "6h_vs_8z"),
}
"""Groups of maps for comparisons, by difficulty."""

_RAMP_LEVEL = 64
"""Raw cliff value of one level; ramp cells lie between two multiples of it."""


MAX_CELLS = 4096
"""Cells of the largest map: path finding keeps a table of all pairs of them."""

_BORDER = 2
"""Cells along each edge of the official maps on which nobody walks."""


class MapError(ValueError):
    """A map that does not exist, or a map file that is wrong; the message says what would be right."""


@dataclass(frozen=True)
class Spawn:
    """`count` units of one type created around one point (cells)."""

    team: str
    unit: str
    count: int
    x: float
    y: float


@dataclass(frozen=True)
class EnemyOrder:
    """What the enemies are told when they appear.

    kind: `attack_point`, an attack-move to the one point given; `attack_random_point`, an attack-move to a point drawn
    anew in every battle from the segment between the two points given; `attack_units`, an attack on the allied units
    themselves, wherever they are; `none`, which leaves them idle.
    """

    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class MapSpec:
    """One map.

    ally_types, enemy_types: unit names in SMAC's id order.
    pathing: [w, h] bool, indexed [x, y], True where ground units can walk.
    cliff_pathing: [w, h] bool, indexed [x, y], True where a Colossus can walk, which climbs cliffs.
    height: [w, h] uint8, indexed [x, y], as the game's API sends it (SMAC mirrors it in y when it reads it).
    checksum: identifies this map's data in records of runs.
    """

    name: str
    n_agents: int
    n_enemies: int
    limit: int
    a_race: str
    b_race: str
    unit_type_bits: int
    map_type: str
    ally_types: tuple[str, ...]
    enemy_types: tuple[str, ...]
    pathing: NDArray[np.bool_]
    cliff_pathing: NDArray[np.bool_]
    height: NDArray[np.uint8]
    spawns: tuple[Spawn, ...]
    enemy_order: EnemyOrder
    checksum: str


@cache
def _data() -> dict[str, Any]:
    text = resources.files("skirmish").joinpath("data/maps.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


MAP_NAMES: tuple[str, ...] = tuple(_data()["maps"])
"""All maps but those of files."""


def load_map(name: str) -> MapSpec:
    """The map called `name`, or the one in the YAML file of that path; MapError if there is none."""
    if is_map_file(name):
        from skirmish.map_file import load_map_file  # it builds on this module

        return load_map_file(name)
    if name not in MAP_NAMES:
        raise MapError(f'There is no map "{name}".{_nearest(name, MAP_NAMES)} Maps: {", ".join(MAP_NAMES)}.')
    return _official(name)


def is_map_file(name: str) -> bool:
    """Whether a map's name is the path of a YAML file."""
    return name.endswith((".yaml", ".yml"))


def resolve_maps(names: str | Iterable[str]) -> list[str]:
    """Map names, each once, from names, groups and paths of map files, separated by commas or listed.

    Raises MapError for what is none of these, with the nearest name.
    """
    parts = names.split(",") if isinstance(names, str) else list(names)
    found: dict[str, None] = {}
    for part in (part.strip() for part in parts):
        if part not in GROUPS and part not in MAP_NAMES and not is_map_file(part):
            raise MapError(f'There is no map or group "{part}".{_nearest(part, (*GROUPS, *MAP_NAMES))} {_choices()}')
        found |= dict.fromkeys(GROUPS.get(part, (part,)))
    return list(found)


def _choices() -> str:
    return f"Groups: {', '.join(GROUPS)}. Maps: {', '.join(MAP_NAMES)}."


@cache
def _official(name: str) -> MapSpec:
    entry = _data()["maps"][name]
    terrain = _data()["terrains"][entry["terrain"]]
    spawns = tuple(Spawn(**spawn) for spawn in entry["spawns"])
    pathing = _pathing(terrain)
    return MapSpec(
        name=name,
        n_agents=entry["n_agents"],
        n_enemies=entry["n_enemies"],
        limit=entry["limit"],
        a_race=entry["a_race"],
        b_race=entry["b_race"],
        unit_type_bits=entry["unit_type_bits"],
        map_type=entry["map_type"],
        ally_types=tuple(entry["ally_types"]),
        enemy_types=tuple(spawn.unit for spawn in spawns if spawn.team == "enemy" for _ in range(spawn.count)),
        pathing=pathing,
        cliff_pathing=_cliff_pathing(terrain, pathing),
        height=_height(terrain),
        spawns=spawns,
        enemy_order=_enemy_order(entry["enemy_order"]),
        checksum=_checksum(entry, terrain),
    )


def _nearest(name: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""


def official_terrain(name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]:
    """pathing, cliff_pathing and height of one of the official maps' terrains; MapError if there is none."""
    terrains = _data()["terrains"]
    if name not in terrains:
        raise MapError(f'there is no terrain "{name}".{_nearest(name, terrains)} Terrains: {", ".join(terrains)}.')
    pathing = _pathing(terrains[name])
    return pathing, _cliff_pathing(terrains[name], pathing), _height(terrains[name])


def _checksum(entry: dict[str, Any], terrain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([entry, terrain], sort_keys=True).encode()).hexdigest()[:16]


def _frozen(grid: NDArray[Any]) -> NDArray[Any]:
    grid.setflags(write=False)
    return grid


def _enemy_order(order: dict[str, Any]) -> EnemyOrder:
    points = tuple((x, y) for x, y in order["points"])
    kinds = {"attack_move": ("attack_point", "attack_random_point")[len(points) > 1]}
    return EnemyOrder(kinds.get(order["kind"], order["kind"]), points)


def _pathing(terrain: dict[str, Any]) -> NDArray[np.bool_]:
    rows = np.array([list(row) for row in terrain["walkable"]])
    return _frozen(np.ascontiguousarray((rows == ".").T))


def _cliff_pathing(terrain: dict[str, Any], pathing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Ground, and the cliffs between two levels of it: blocked cells off the border with no abyss (level 0) beside."""
    solid = np.array([[c != "0" for c in row] for row in terrain["level"]]).T
    cliffs = np.zeros_like(pathing)
    inner = slice(_BORDER, -_BORDER)
    windows = np.lib.stride_tricks.sliding_window_view(solid[1:-1, 1:-1], (3, 3))
    cliffs[inner, inner] = windows.all(axis=(2, 3))
    cliffs |= pathing
    return _frozen(cliffs)


def _height(terrain: dict[str, Any]) -> NDArray[np.uint8]:
    """Heights of levels and ramps."""
    levels = {int(level): z for level, z in terrain["level_height"].items()}
    z_xy = np.array([[levels.get(int(c), 0.0) if c.isdigit() else 0.0 for c in row] for row in terrain["level"]]).T
    for x, y, raw in terrain["ramps"]:
        low, part = divmod(raw, _RAMP_LEVEL)
        z_xy[x, y] = levels[low] + (levels[low + 1] - levels[low]) * part / _RAMP_LEVEL
    return _frozen(height_bytes(z_xy))


def height_bytes(z_xy: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Heights z (cells) [w, h] as the game's API tells them: the byte (z + 16) / 32 * 255, rounded."""
    return np.ascontiguousarray(np.rint((z_xy + 16) / 32 * 255).astype(np.uint8))


def table() -> str:
    """All maps as a Markdown table: agents and enemies by type, episode limit, group."""
    groups = {name: group for group, names in GROUPS.items() for name in names}
    lines = ["| map | agents | enemies | limit | group |", "|---|---|---|---|---|"]
    for name in MAP_NAMES:
        spec = _official(name)
        armies = (_army(spec.ally_types), _army(spec.enemy_types))
        lines.append(f"| {name} | {armies[0]} | {armies[1]} | {spec.limit} | {groups.get(name, '')} |")
    return "\n".join(lines)


def _army(types: tuple[str, ...]) -> str:
    return ", ".join(f"{types.count(name)} {name}" for name in dict.fromkeys(types))
