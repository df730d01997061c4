"""Maps from YAML files: units, positions, order, terrain. docs/maps.md describes the format.

Everything is checked when the file is read; a MapError names the file, the key and what would be right.
"""

import difflib
import hashlib
import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.formation import clearance, collide, fits, formation, ground_of
from skirmish.maps import MAX_CELLS, EnemyOrder, MapError, MapSpec, Spawn, height_bytes, official_terrain
from skirmish.optional import require
from skirmish.units import UNIT_NAMES, UnitType, load_units

MAX_UNITS = 200
"""Units of both armies together."""
MAX_LIMIT = 10_000
"""Steps of the longest episode."""
SMALLEST = 4
"""Least width and height of a map, in cells."""

CUSTOM = "custom"
"""`MapSpec.map_type` of every map file: type bits and ids follow `units.UNIT_NAMES`."""

GROUND, WALL, CLIFF, HIGH, RAMP = ".", "#", "~", "+", "/"
_HEIGHT = {GROUND: 8.0, WALL: 1.0, CLIFF: 9.0, HIGH: 10.0, RAMP: 9.0}

_POINTS_OF = {"attack_point": "point", "attack_random_point": "points", "attack_units": None, "none": None}
_TEAMS = {"agents": "ally", "enemies": "enemy"}
_RACES = {"terran": "T", "protoss": "P", "zerg": "Z"}


def load_map_file(path: str) -> MapSpec:
    """The map in a YAML file; MapError for whatever is wrong with it, ImportError without PyYAML."""
    return _Reader(path).read()


class _Reader:
    """One file while it is read. `where` in messages is the key's place, such as agents[0].unit."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.units = load_units()

    def fail(self, where: str, problem: str) -> MapError:
        """The error to raise, which names file and key."""
        return MapError(f'Map file "{self.path}", {where}: {problem}')

    def read(self) -> MapSpec:
        """The whole map."""
        raw = self.mapping("the file", self.parse(), ("limit", "agents", "enemies", "order", "terrain"), ("name",))
        name = raw.get("name", self.path.stem)
        if not isinstance(name, str) or not name or "/" in name:
            raise self.fail("name", f"a name without slashes is needed, not {name!r}.")
        pathing, cliff_pathing, height = self.terrain(raw["terrain"])
        spawns = tuple(spawn for key in _TEAMS for spawn in self.army(key, raw[key], pathing.shape))
        teams = {team: [s.unit for s in spawns if s.team == team for _ in range(s.count)] for team in _TEAMS.values()}
        allies = tuple(sorted(teams["ally"], key=UNIT_NAMES.index))
        enemies = tuple(teams["enemy"])
        spec = MapSpec(
            name=name,
            n_agents=len(allies),
            n_enemies=len(enemies),
            limit=self.whole("limit", raw["limit"], MAX_LIMIT),
            a_race=self.race(allies),
            b_race=self.race(enemies),
            unit_type_bits=type_bits(allies, enemies),
            map_type=CUSTOM,
            ally_types=allies,
            enemy_types=enemies,
            pathing=pathing,
            cliff_pathing=cliff_pathing,
            height=height,
            spawns=spawns,
            enemy_order=self.order(raw["order"], cliff_pathing),
            checksum=checksum(raw),
        )
        self.check(spec)
        return spec

    def parse(self) -> Any:
        """The file's content as YAML understands it; a key that comes twice is refused."""
        require("yaml", "map_file")
        import yaml

        class Loader(yaml.SafeLoader):
            """Refuses repeated keys, which YAML would overwrite silently."""

        def construct(loader: Any, node: Any) -> dict[Any, Any]:
            pairs = [(loader.construct_object(key, deep=True), value) for key, value in node.value]
            for index, (key, _) in enumerate(pairs):
                if key in [other for other, _ in pairs[:index]]:
                    raise self.fail(str(key), "this key comes twice.")
            return {key: loader.construct_object(value, deep=True) for key, value in pairs}

        Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, construct)
        try:
            return yaml.load(self.path.read_text(encoding="utf-8"), Loader)
        except (OSError, UnicodeDecodeError) as error:
            raise self.missing(error) from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f"line {mark.line + 1}" if mark else "the file"
            raise self.fail(line, f"this is no YAML ({getattr(error, 'problem', None) or error}).") from None

    def missing(self, error: Exception) -> MapError:
        """The error for a file that cannot be read, with the file of the nearest name."""
        if not isinstance(error, FileNotFoundError):
            return MapError(f'The map file "{self.path}" cannot be read: {error}.')
        folder = self.path.parent
        files = [file.name for file in folder.iterdir() if file.suffix in (".yaml", ".yml")] if folder.is_dir() else []
        near = difflib.get_close_matches(self.path.name, files, n=1, cutoff=0.6)
        advice = f' Did you mean "{folder / near[0]}"?' if near else ""
        return MapError(f'There is no map file "{self.path}".{advice}')

    def mapping(self, where: str, value: Any, needed: tuple[str, ...], possible: tuple[str, ...] = ()) -> Any:
        """A mapping that has all needed keys and none but these and the possible ones."""
        keys = (*needed, *possible)
        if not isinstance(value, dict):
            raise self.fail(where, f"keys are needed ({', '.join(keys)}), not {value!r}.")
        for key in value:
            if key not in keys:
                raise self.fail(where, f'there is no key "{key}".{_nearest(key, keys)}')
        for key in needed:
            if key not in value:
                raise self.fail(where, f'the key "{key}" is missing.')
        return value

    def whole(self, where: str, value: Any, most: int) -> int:
        """A whole number from 1 to `most`."""
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise self.fail(where, f"a whole number from 1 to {most} is needed, not {value!r}.")
        return value

    def point(self, where: str, value: Any, shape: tuple[int, ...]) -> tuple[float, float]:
        """A point [x, y] inside the map."""
        numbers = isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)
        if not numbers or not all(math.isfinite(v) for v in value):
            raise self.fail(where, f"a point [x, y] is needed, not {value!r}.")
        if not all(0 <= v < length for v, length in zip(value, shape)):
            raise self.fail(where, f"{value} lies outside the map of {shape[0]} x {shape[1]} cells.")
        return float(value[0]), float(value[1])

    def army(self, key: str, value: Any, shape: tuple[int, ...]) -> list[Spawn]:
        """The groups of one army."""
        if not isinstance(value, list) or not value:
            raise self.fail(key, "a list of at least one group of units is needed.")
        spawns = []
        for index, entry in enumerate(value):
            where = f"{key}[{index}]"
            group = self.mapping(where, entry, ("unit", "at"), ("count",))
            if group["unit"] not in UNIT_NAMES:
                near = _nearest(group["unit"], UNIT_NAMES)
                raise self.fail(
                    f"{where}.unit",
                    f"there is no unit {group['unit']!r}.{near} Units: {', '.join(UNIT_NAMES)}.",
                )
            count = self.whole(f"{where}.count", group.get("count", 1), MAX_UNITS)
            spawns.append(Spawn(_TEAMS[key], group["unit"], count, *self.point(f"{where}.at", group["at"], shape)))
        if all(spawn.unit == "Medivac" for spawn in spawns):
            raise self.fail(key, "an army needs at least one unit that fights; Medivacs do not.")
        return spawns

    def order(self, value: Any, ground: NDArray[np.bool_]) -> EnemyOrder:
        """What the enemies are told."""
        kind = value.get("kind") if isinstance(value, dict) else None
        if kind not in _POINTS_OF:
            raise self.fail(
                "order.kind", f"{', '.join(_POINTS_OF)} are possible, not {kind!r}.{_nearest(kind, _POINTS_OF)}"
            )
        key = _POINTS_OF[kind]
        self.mapping("order", value, ("kind", key) if key else ("kind",))
        if key is None:
            return EnemyOrder(kind, ())
        points = [value[key]] if key == "point" else value[key]
        if not isinstance(points, list) or len(points) != (1 if key == "point" else 2):
            raise self.fail(f"order.{key}", f"two points are needed, the ends of a line, not {points!r}.")
        checked = tuple(self.point(f"order.{key}", point, ground.shape) for point in points)
        for x, y in checked:
            if not ground[int(x), int(y)]:
                raise self.fail(f"order.{key}", f"nobody can walk to ({x:g}, {y:g}).")
        return EnemyOrder(kind, checked)

    def terrain(self, value: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]:
        """pathing, cliff_pathing and height of rows of text, north first, or of an official terrain's name."""
        if not isinstance(value, str) or not value.strip():
            raise self.fail("terrain", f"rows of text or the name of a terrain are needed, not {value!r}.")
        if "\n" not in value.strip():
            try:
                return official_terrain(value.strip())
            except MapError as error:
                raise self.fail("terrain", str(error)) from None
        rows = value.rstrip("\n").split("\n")
        width, height = len(rows[0]), len(rows)
        for number, row in enumerate(rows, 1):
            if len(row) != width:
                raise self.fail("terrain", f"row {number} has {len(row)} cells, the first has {width}.")
            for column, character in enumerate(row, 1):
                if character not in _HEIGHT:
                    known = " ".join(_HEIGHT)
                    raise self.fail("terrain", f"row {number}, column {column}: {character!r} is none of {known}.")
        if min(width, height) < SMALLEST or width * height > MAX_CELLS:
            raise self.fail(
                "terrain",
                f"{width} x {height} cells; a map has at least {SMALLEST} x {SMALLEST} and at most {MAX_CELLS} cells.",
            )
        cells = np.array([list(row) for row in reversed(rows)]).T
        pathing = np.isin(cells, (GROUND, HIGH, RAMP))
        levels = np.vectorize(_HEIGHT.__getitem__, otypes=[float])(cells)
        grids = pathing, pathing | (cells == CLIFF), height_bytes(levels)
        for grid in grids:
            grid.setflags(write=False)
        return grids

    def race(self, types: tuple[str, ...]) -> str:
        """P where any unit has a shield, so that observations show it; else the race of the first unit."""
        shielded = any(self.units[name].shield > 0 for name in types)
        return "P" if shielded else _RACES[self.units[types[0]].race]

    def check(self, spec: MapSpec) -> None:
        """Refuse spawns that stand on no ground or on one another, and crowds that find no room."""
        if len(spec.ally_types) + len(spec.enemy_types) > MAX_UNITS:
            total = len(spec.ally_types) + len(spec.enemy_types)
            raise self.fail("agents and enemies", f"{total} units are too many; at most {MAX_UNITS} are possible.")
        counters = dict.fromkeys(_TEAMS.values(), 0)
        keys = {team: key for key, team in _TEAMS.items()}
        named: list[tuple[str, Spawn, UnitType]] = []
        for spawn in spec.spawns:
            where = f"{keys[spawn.team]}[{counters[spawn.team]}].at"
            counters[spawn.team] += 1
            unit, point = self.units[spawn.unit], np.array([[spawn.x, spawn.y]])
            if not fits(ground_of(unit, spec), point, clearance(unit))[0]:
                raise self.fail(where, f"a {spawn.unit} cannot stand at ({spawn.x:g}, {spawn.y:g}).")
            for other_where, other, other_unit in named:
                distance = math.dist((spawn.x, spawn.y), (other.x, other.y))
                together = spawn.team == other.team and distance == 0
                touch = unit.separation_radius + other_unit.separation_radius
                if collide(unit, other_unit) and not together and distance < touch:
                    raise self.fail(where, f"this {spawn.unit} overlaps the {other.unit} of {other_where}.")
            named.append((where, spawn, unit))
        try:
            formation(spec, self.units)
        except MapError as error:
            raise self.fail("terrain", str(error)) from None


def type_bits(allies: Collection[str], enemies: Collection[str]) -> int:
    """Length of the type one-hots: 0 if each army has one type, as in SMAC, else the number of types on the map."""
    if len(set(allies)) == 1 and len(set(enemies)) == 1:
        return 0
    return len({*allies, *enemies})


def checksum(raw: dict[str, Any]) -> str:
    """Identifies a map file's content but for its name, comments and layout."""
    content = {key: value for key, value in raw.items() if key != "name"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _nearest(value: Any, choices: Collection[str]) -> str:
    near = difflib.get_close_matches(str(value), list(choices), n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""
