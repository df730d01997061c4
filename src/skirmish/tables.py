"""SMAC's constants, put into the records that the rules' kernels read.

The divisors are the package's own; they are not the units' real maxima (a marine's cooldown can exceed 15 loops).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skirmish.kernel_layout import LAYOUT, TYPES
from skirmish.maps import MapSpec
from skirmish.options import RuleOptions
from skirmish.units import UNIT_NAMES

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
        "n_actions": 6 + spec.n_enemies,
        "type_bits": spec.unit_type_bits,
        "ally_shields": spec.a_race == "P",
        "enemy_shields": spec.b_race == "P",
        "episode_limit": spec.limit,
        "medics": spec.map_type == "MMM",
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


def types_of(map_type: str) -> NDArray[np.void]:
    """The kernels' constants by unit type [len(UNIT_NAMES)] on maps of one type."""
    table = np.zeros(len(UNIT_NAMES), dtype=TYPES)
    for index, name in enumerate(UNIT_NAMES):
        table[index]["medic"] = name == "Medivac"
        table[index]["max_shield"] = _MAX_SHIELD.get(name, np.nan)
        table[index]["max_cooldown"] = _MAX_COOLDOWN.get(name, 15.0)
    for bit, name in enumerate(_ALLY_TYPES.get(map_type, ())):
        table[UNIT_NAMES.index(name)]["ally_bit"] = bit
    for bit, name in enumerate(_ENEMY_TYPES.get(map_type, ())):
        table[UNIT_NAMES.index(name)]["enemy_bit"] = bit
    return table
