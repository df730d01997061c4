"""Embedded StarCraft micro-battles with SMAC's rules; a library of its own that imports nothing else of this project.

    units    unit statistics of the ten unit types
    maps     the SMAC maps: sizes, spawn points, terrain
    engine   the simulator: Numba kernels over many battles at once
    rules    what SMAC defines: actions, observations, rewards, endings
    battles  engine and rules together

Importing this package is cheap: Numba is loaded with `skirmish.engine` or `skirmish.rules`.
"""

from skirmish.maps import GROUPS, MAP_NAMES, MapError, MapSpec, load_map, resolve_maps
from skirmish.units import UNIT_NAMES, UnitType, load_units

__version__ = "0.2.0"

__all__ = [
    "GROUPS", "MAP_NAMES", "UNIT_NAMES", "MapError", "MapSpec", "UnitType", "load_map", "load_units", "resolve_maps",
]  # fmt: skip
