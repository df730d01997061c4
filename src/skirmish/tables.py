"""SMAC's constants, put into the records that the rules' kernels read.

The divisors are the package's own; they are not the units' real maxima (a marine's cooldown can exceed 15 loops).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skirmish.kernel_layout import LAYOUT, TYPES
from skirmish.maps import MapSpec
from skirmish.options import RuleOptions, n_actions_of
from skirmish.units import UNIT_NAMES, load_units

_MAX_SHIELD = {"Stalker": 80.0, "Zealot": 50.0, "Colossus": 150.0}
_MAX_COOLDOWN = {
    "Marine": 15.0,
    "Marauder": 25.0,
    "Medivac": 200.0,  # of energy
    "Stalker": 35.0,
    "Zealot": 22.0,
    "Colossus": 24.0,
    "Hydralisk": 10.0,
    "Zergling": 11.0,
    "Baneling": 1.0,
}
_ALLY_TYPES = {
    "stalkers_and_zealots": ("Stalker", "Zealot"),
    "colossi_stalkers_zealots": ("Colossus", "Stalker", "Zealot"),
    "MMM": ("Marauder", "Marine", "Medivac"),
    "bane": ("Baneling", "Zergling"),
}
_ENEMY_TYPES = {**_ALLY_TYPES, "stalkers_and_zealots": ("Zealot", "Stalker")}


def layout_of(spec: MapSpec, options: RuleOptions) -> NDArray[np.void]:
    """The kernels' record [1] for a map and options."""
    layout = np.zeros(1, dtype=LAYOUT)
    values: dict[str, float] = {
        "n_agents": spec.n_agents,
        "n_enemies": spec.n_enemies,
        "n_actions": n_actions_of(spec),
        "type_bits": spec.unit_type_bits,
        "ally_shields": spec.a_race == "P",
        "enemy_shields": spec.b_race == "P",
        "episode_limit": spec.limit,
        "medics": "Medivac" in spec.ally_types + spec.enemy_types,
        "obs_all_health": options.obs_all_health,
        "obs_own_health": options.shows_own_health,
        "obs_last_action": options.obs_last_action,
        "obs_pathing_grid": options.obs_pathing_grid,
        "obs_terrain_height": options.obs_terrain_height,
        "obs_timestep": options.obs_timestep_number,
        "obs_instead_of_state": options.obs_instead_of_state,
        "state_last_action": options.state_last_action,
        "state_timestep": options.state_timestep_number,
        "only_positive": options.reward_only_positive,
        "sparse": options.reward_sparse,
        "scaled": options.reward_scale,
        "rest": options.heuristic_rest,
        "map_x": spec.pathing.shape[0],
        "map_y": spec.pathing.shape[1],
        "corrected": options.corrected_rules,
        "fixed_scale": options.corrected_rules,
        "move_amount": options.move_amount,
        "death_value": options.reward_death_value,
        "win_value": options.reward_win,
        "defeat_value": options.reward_defeat,
        "negative_scale": options.reward_negative_scale,
        "scale_rate": options.reward_scale_rate,
    }
    for name, value in values.items():
        layout[name] = value
    return layout


def types_of(spec: MapSpec, corrected: bool = False) -> NDArray[np.void]:
    """The kernels' constants by unit type [len(UNIT_NAMES)] on a map; `corrected` gives both sides the same bits."""
    table = np.zeros(len(UNIT_NAMES), dtype=TYPES)
    for index, unit in enumerate(load_units().values()):
        table[index]["medic"] = unit.name == "Medivac"
        table[index]["flying"] = unit.flying
        table[index]["hits_air"] = any("air" in weapon.targets for weapon in unit.weapons)
        # inf: on maps where only some types have shields, the others show 0.
        table[index]["max_shield"] = _MAX_SHIELD.get(unit.name, np.inf)
        table[index]["max_cooldown"] = _MAX_COOLDOWN.get(unit.name, 15.0)
    if spec.unit_type_bits:
        allies = _ALLY_TYPES.get(spec.map_type, _types_on(spec))
        enemies = allies if corrected else _ENEMY_TYPES.get(spec.map_type, allies)
        for field, names in (("ally_bit", allies), ("enemy_bit", enemies)):
            for bit, name in enumerate(names):
                table[UNIT_NAMES.index(name)][field] = bit
    return table


def _types_on(spec: MapSpec) -> tuple[str, ...]:
    """The unit types of a map that SMAC does not know, in the order of their type bits; ValueError for too few bits."""
    present = tuple(name for name in UNIT_NAMES if name in spec.ally_types + spec.enemy_types)
    if len(present) > spec.unit_type_bits:
        raise ValueError(f'The map "{spec.name}" has {len(present)} unit types, but {spec.unit_type_bits} type bits.')
    return present
