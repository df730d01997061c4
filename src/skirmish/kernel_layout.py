"""What the rules' compiled loops share: constants, the records they read, the types of their arrays.

Features are computed in double precision in the order of operations that SMAC uses and rounded once to float32, so
that the results equal the official package's bit for bit. Kernels allocate nothing; scratch space comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np

SIGHT = 9.0
REACH = 6.0
N_BASIC_ACTIONS = 6
NO_ORDER, STOP, MOVE, ATTACK, HEAL = range(5)

_FLAGS = (
    "n_agents", "n_enemies", "n_actions", "type_bits", "ally_shields", "enemy_shields", "episode_limit", "medics",
    "obs_all_health", "obs_own_health", "obs_last_action", "obs_pathing_grid", "obs_terrain_height", "obs_timestep",
    "obs_instead_of_state", "state_last_action", "state_timestep", "only_positive", "sparse", "scaled", "rest",
    "map_x", "map_y", "span_x", "span_y", "corrected", "fixed_scale",
)  # fmt: skip
_VALUES = ("move_amount", "death_value", "win_value", "defeat_value", "negative_scale", "scale_rate")

LAYOUT = np.dtype([(name, np.int64) for name in _FLAGS] + [(name, np.float64) for name in _VALUES], align=True)
"""What kernels must know of map and options: one record; flags are 0 or 1."""

TYPES = np.dtype(
    [(name, np.int64) for name in ("ally_bit", "enemy_bit", "medic", "flying", "hits_air")]
    + [(name, np.float64) for name in ("max_shield", "max_cooldown")],
    align=True,
)
"""Constants by unit type: places in the type one-hots, abilities, divisors of the shield and cooldown features."""

GAMES, WON, TIMEOUTS, EPISODES, DRAWS = range(5)  # columns of `counters`
X, Y, LIFE, WARD = range(4)  # rows of the scratch array `real`: position, health ratio, shield ratio
LIVING, BIT, MEDIC = range(3)  # rows of the scratch array `bits`

UNIT_KIND, UNIT_REAL, UNIT_FLAG = nb.int8[:, ::1], nb.float32[:, ::1], nb.boolean[:, ::1]
RECORDS = (nb.from_dtype(LAYOUT)[::1], nb.from_dtype(TYPES)[::1])
ROWS, PATHING, HEIGHT = nb.boolean[::1], nb.boolean[:, ::1], nb.float64[:, ::1]
ACTIONS, LAST_ACTIONS = nb.int64[:, ::1], nb.int16[:, ::1]
ORDERS = (nb.int8[:, ::1], nb.int16[:, ::1], UNIT_REAL, UNIT_REAL)
SCRATCH = (nb.float64[:, ::1], nb.int64[:, ::1], nb.float64[:, ::1])  # real, bits, distance

# Helpers are inlined by force: a call that hands over a dozen arrays costs more than most of these loops. `_nrt=False`
# drops the counting of references to arrays, which costs as much again; nothing here allocates, so nothing needs it.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
helper = nb.njit(forceinline=True, **_OPTIONS)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a loop over battles for compilation, kept in Numba's cache."""
    compiled: Callable[..., Any] = nb.njit(cache=True, **_OPTIONS)(function)
    return compiled


@helper
def can_enter(c: Any, pathing: Any, x: float, y: float) -> bool:
    """Whether the cell of a point is on the map and walkable."""
    # int() truncates toward zero: a probe in (-1, 0) lands in column 0 and is tested there, as SMAC does.
    column, row = int(x), int(y)
    return 0 <= column < c.map_x and 0 <= row < c.map_y and pathing[column, row]
