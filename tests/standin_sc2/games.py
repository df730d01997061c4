"""What the stand-in plays: battles of skirmish, units that stand still, or units from a recording.

A game has `spec` (pathing, height [x, y]), `appear()` (new armies), `play(orders, loops)` and `units()`: dicts with the
fields of the protocol's units in the order in which they are listed.
"""

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from skirmish.engine import ATTACK, HEAL, MOVE, STOP, Engine, Orders
from skirmish.maps import load_map
from skirmish.units import UNIT_NAMES, load_units

FIRST_ALLY_TYPE = 1935
KINDS = {4: STOP, 16: MOVE, 23: ATTACK, 386: HEAL}
FIELDS = ("x", "y", "health", "shield", "energy", "weapon_cooldown", "facing", "health_max", "shield_max")


class SkirmishGame:
    """Battles of the embedded engine; every army gets new tags, and allies are listed in an order of their own."""

    def __init__(self, map_name, seed):
        self.spec = load_map(map_name)
        self.engine = Engine(self.spec, 1, seed)
        self.first_tag = 1
        self._ally_types = {name: FIRST_ALLY_TYPE + i for i, name in enumerate(dict.fromkeys(self.spec.ally_types))}
        self._shuffled = random.Random(seed)

    def appear(self):
        self.first_tag += 1000
        self.engine.reset(np.ones(1, dtype=bool))
        self.columns = list(range(self.spec.n_agents))
        self._shuffled.shuffle(self.columns)
        self.columns += range(self.spec.n_agents, self.spec.n_agents + self.spec.n_enemies)

    def play(self, orders, loops):
        given = Orders.zeros(1, self.spec.n_agents)
        for tag, ability, target, point in orders:
            agent = tag - self.first_tag
            given.kind[0, agent] = KINDS[ability]
            if target:
                given.target[0, agent] = target - self.first_tag
            if point:
                given.x[0, agent], given.y[0, agent] = point
        self.engine.advance(given, loops)

    def units(self):
        units = self.engine.units
        for column in self.columns:
            if units.alive[0, column]:
                ours, name = column < self.spec.n_agents, UNIT_NAMES[units.type[0, column]]
                values = {field: float(getattr(units, field)[0, column]) for field in FIELDS}
                yield {
                    "tag": self.first_tag + column,
                    "owner": 1 if ours else 2,
                    "unit_type": self._ally_types[name] if ours else load_units()[name].api_id,
                    **values,
                }


class StillGame:
    """Nobody moves and nobody is hurt: protocol without play, and without Numba."""

    def __init__(self, map_name, seed):
        self.spec = load_map(map_name)
        self.first_tag = 1

    def appear(self):
        self.first_tag += 1000

    def play(self, orders, loops):
        pass

    def units(self):
        spec, table = self.spec, load_units()
        kinds = {name: FIRST_ALLY_TYPE + i for i, name in enumerate(dict.fromkeys(spec.ally_types))}
        for column, name in enumerate(spec.ally_types + spec.enemy_types):
            ours, unit = column < spec.n_agents, table[name]
            yield {
                "tag": self.first_tag + column,
                "owner": 1 if ours else 2,
                "unit_type": kinds[name] if ours else unit.api_id,
                "x": 9.0 if ours else 13.0,
                "y": 12.0 + 0.25 * column,
                "health": unit.health,
                "shield": unit.shield,
                "health_max": unit.health,
                "shield_max": unit.shield,
            }


class RecordedGame:
    """The unit lists of a recording of the official package (tests/golden), frame by frame."""

    def __init__(self, path, _seed):
        self.arrays = dict(np.load(Path(path)))
        height = np.rint(self.arrays["terrain_height"] * 255).astype(np.uint8)[:, ::-1]
        self.spec = SimpleNamespace(pathing=self.arrays["pathing_grid"], height=height)

    def appear(self):
        self.frame = 0

    def play(self, orders, loops):
        self.frame += 1

    def units(self):
        arrays, t = self.arrays, self.frame
        order = arrays["list_index"][t]
        for column in sorted(np.flatnonzero(order >= 0), key=lambda column: order[column]):
            unit = {field: float(arrays[field][t, column]) for field in FIELDS[:6]}
            for field in ("health_max", "shield_max"):
                unit[field] = float(arrays[field][column])
            unit |= {"tag": 500 + int(column), "owner": int(arrays["owner"][column])}
            yield unit | {"unit_type": int(arrays["unit_type_id"][column])}


GAMES = {"skirmish": SkirmishGame, "still": StillGame, "recording": RecordedGame}
