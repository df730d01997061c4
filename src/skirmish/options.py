"""The arguments of SMAC's environment: defaults, checks, and the sizes that follow from them.

`RuleOptions` holds every constructor argument of the official `StarCraft2Env` except the map's name and the seed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from skirmish.maps import MapSpec

DIFFICULTIES = (*"123456789", "A")
N_PATHING_POINTS, N_HEIGHT_POINTS = 8, 9


class SettingError(ValueError):
    """An environment argument that does not exist, or whose value cannot be; the message says what can."""


@dataclass(frozen=True)
class RuleOptions:
    """Arguments of SMAC's environment with SMAC's defaults.

    `difficulty`, `game_version`, the replay and window arguments and `debug` are accepted for compatibility and
    do not change an embedded battle. `obs_all_health` switches `obs_own_health` on, as in SMAC.
    """

    step_mul: int = 8
    move_amount: float = 2
    difficulty: str = "7"
    game_version: str | None = None
    continuing_episode: bool = False
    obs_all_health: bool = True
    obs_own_health: bool = True
    obs_last_action: bool = False
    obs_pathing_grid: bool = False
    obs_terrain_height: bool = False
    obs_instead_of_state: bool = False
    obs_timestep_number: bool = False
    state_last_action: bool = True
    state_timestep_number: bool = False
    reward_sparse: bool = False
    reward_only_positive: bool = True
    reward_death_value: float = 10
    reward_win: float = 200
    reward_defeat: float = 0
    reward_negative_scale: float = 0.5
    reward_scale: bool = True
    reward_scale_rate: float = 20
    replay_dir: str = ""
    replay_prefix: str = ""
    window_size_x: int = 1920
    window_size_y: int = 1200
    heuristic_ai: bool = False
    heuristic_rest: bool = False
    debug: bool = False

    @classmethod
    def parse(cls, arguments: dict[str, Any]) -> RuleOptions:
        """Check names, types and ranges; SettingError with one sentence otherwise."""
        declared = {field.name: str(field.type) for field in fields(cls)}
        for name, value in arguments.items():
            if name not in declared:
                raise SettingError(f'There is no environment argument "{name}".{suggest(name, declared)}')
            _check_type(name, value, declared[name])
        options = cls(**arguments)
        _check_ranges(options)
        return options

    @property
    def shows_own_health(self) -> bool:
        """Whether an agent observes its own health."""
        return self.obs_own_health or self.obs_all_health


def suggest(name: str, choices: Iterable[str]) -> str:
    """' Did you mean "x"?' for the nearest of the choices, or ''."""
    near = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""


_EXPECTED: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
    "str | None": ((str, type(None)), "a text or null"),
}


def _check_type(name: str, value: object, declared: str) -> None:
    types, words = _EXPECTED[declared]
    # True is an int to Python, but nobody means it as a number.
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise SettingError(f'The environment argument "{name}" must be {words}, not {value!r}.')


def _check_ranges(options: RuleOptions) -> None:
    if options.difficulty not in DIFFICULTIES:
        raise SettingError(
            f'The environment argument "difficulty" must be one of {", ".join(DIFFICULTIES)}, '
            f"not {options.difficulty!r}."
        )
    if options.step_mul < 1:
        raise SettingError(f'The environment argument "step_mul" must be at least 1, not {options.step_mul}.')
    if not 0 < options.move_amount <= 32:
        raise SettingError(
            f'The environment argument "move_amount" must be above 0 and at most 32, not {options.move_amount}.'
        )
    looks_around = options.obs_pathing_grid or options.obs_terrain_height
    if looks_around and options.move_amount != int(options.move_amount):
        raise SettingError(
            f'"move_amount" must be a whole number with "obs_pathing_grid" or "obs_terrain_height", '
            f"not {options.move_amount}."
        )
    if options.reward_scale and not options.reward_scale_rate > 0:
        raise SettingError(
            f'The environment argument "reward_scale_rate" must be above 0, not {options.reward_scale_rate}.'
        )


@dataclass(frozen=True)
class Sizes:
    """Lengths that follow from a map and options.

    obs_query, state_query are what SMAC's size queries answer; obs, state are the lengths that the arrays have.
    They differ with `obs_timestep_number`, which SMAC counts once and adds twice.
    """

    n_actions: int
    obs_query: int
    obs: int
    state_query: int
    state: int
    move_feats: int
    enemy_feats: tuple[int, int]
    ally_feats: tuple[int, int]
    own_feats: int


def sizes_of(spec: MapSpec, options: RuleOptions) -> Sizes:
    """Sizes of everything an environment returns."""
    n, m, bits = spec.n_agents, spec.n_enemies, spec.unit_type_bits
    ally_shield, enemy_shield = int(spec.a_race == "P"), int(spec.b_race == "P")
    n_actions = 6 + m
    move = 4 + N_PATHING_POINTS * options.obs_pathing_grid + N_HEIGHT_POINTS * options.obs_terrain_height
    enemy = 4 + bits + (1 + enemy_shield) * options.obs_all_health
    ally = 4 + bits + (1 + ally_shield) * options.obs_all_health + n_actions * options.obs_last_action
    own = bits + (1 + ally_shield) * options.shows_own_health + options.obs_timestep_number
    obs_query = move + m * enemy + (n - 1) * ally + own
    obs = obs_query + options.obs_timestep_number
    state = n * (4 + ally_shield + bits) + m * (3 + enemy_shield + bits)
    state += n * n_actions * options.state_last_action + options.state_timestep_number
    return Sizes(
        n_actions=n_actions,
        obs_query=obs_query,
        obs=obs,
        state_query=n * obs_query if options.obs_instead_of_state else state,
        state=n * obs if options.obs_instead_of_state else state,
        move_feats=move,
        enemy_feats=(m, enemy),
        ally_feats=(n - 1, ally),
        own_feats=own,
    )
