"""The arguments of SMAC's environment: defaults, checks, and the sizes that follow from them.

`RuleOptions` holds every constructor argument of the official `StarCraft2Env` except the map's name and the seed, and
`corrected_rules`; `EngineOptions` holds what the embedded engine can be told.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from skirmish.maps import MapSpec

DIFFICULTIES = (*"123456789", "A")
N_PATHING_POINTS, N_HEIGHT_POINTS = 8, 9

CORRECTIONS = {
    "reward": "an enemy that regenerates or is healed costs the step's reward (down to 0) instead of paying the agents",
    "reward_sparse": "+1 and -1 are not divided by the reward scale",
    "reward_scale": "the scale does not grow with every reset before the first episode has ended",
    "ending": "a unit without health is dead in every clause; a side without fighters has lost, and if neither side "
    "has fighters, who still has a Medivac has won (SMAC calls a loss what only the own Medivac survived)",
    "stats": "`battles_draw` counts battles in which nobody was left, not time-outs; before the first battle has "
    "ended `win_rate` is 0.0 instead of a ZeroDivisionError",
    "info": 'a time-out always sets `info["episode_limit"]`, with or without `continuing_episode`',
    "enemy_types": "Stalkers and Zealots have the same type bits on both sides",
    "medivac_flags": "a Medivac sees 0 as attack flag of every enemy instead of its heal flags",
    "obs_timestep_number": "the observation has the length that is told, float32, without a 0 before the time step",
    "terrain_height": "heights are not mirrored in y against the map and the pathing values",
    "heuristic_ai": "the given list of actions is left alone and last actions are those played; units that cannot "
    "shoot up leave Medivacs alone; a living unit without a target stops; the dead choose nothing",
}
"""What `corrected_rules=True` mends of SMAC's rules, by subject."""


class SettingError(ValueError):
    """An environment argument that does not exist, or whose value cannot be; the message says what can."""


@dataclass(frozen=True)
class RuleOptions:
    """Arguments of SMAC's environment with SMAC's defaults.

    `replay_dir` and `replay_prefix` say where `save_replay` writes. `difficulty`, `game_version`, the window arguments
    and `debug` are accepted for compatibility and do not change an embedded battle. `obs_all_health` switches
    `obs_own_health` on, as in SMAC. `corrected_rules` mends what `CORRECTIONS` lists; every quirk of SMAC is kept
    without it.
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
    corrected_rules: bool = False

    @classmethod
    def parse(cls, arguments: dict[str, Any]) -> RuleOptions:
        """Check names, types and ranges; SettingError with one sentence otherwise."""
        options = _parse(cls, arguments)
        _check_ranges(options)
        return options

    @property
    def shows_own_health(self) -> bool:
        """Whether an agent observes its own health."""
        return self.obs_own_health or self.obs_all_health


@dataclass(frozen=True)
class EngineOptions:
    """What the embedded engine can be told.

    profile: `multiplayer` (what the real game shows) or `liberty` (what the map files say); build: the game client,
    `4.10` or `4.6.2`; enemy_medivac: it may `follow` its army or `stay` where it appeared; threads:
    threads that share the battles, the outcome does not depend on them.
    """

    profile: str = "multiplayer"
    build: str = "4.10"
    enemy_medivac: str = "follow"
    threads: int = 1

    @classmethod
    def parse(cls, arguments: dict[str, Any]) -> EngineOptions:
        """Check names, types and values; SettingError with one sentence otherwise."""
        options = _parse(cls, arguments)
        for name, choices in ENGINE_CHOICES.items():
            if getattr(options, name) not in choices:
                value = getattr(options, name)
                raise SettingError(
                    f'The environment argument "{name}" must be {" or ".join(choices)}, '
                    f"not {value!r}.{suggest(value, choices)}"
                )
        if not 1 <= options.threads <= 64:
            raise SettingError(
                f'The environment argument "threads" must be at least 1 and at most 64, not {options.threads}.'
            )
        return options


ENGINE_CHOICES = {
    "profile": ("multiplayer", "liberty"),
    "build": ("4.10", "4.6.2"),
    "enemy_medivac": ("follow", "stay"),
}
"""Legal values of the engine's arguments that are names."""


def split_arguments(arguments: dict[str, Any]) -> tuple[RuleOptions, EngineOptions]:
    """The rules' and the engine's arguments, checked; SettingError with one sentence otherwise."""
    declared = {field.name for field in fields(EngineOptions)}
    rest = {name: value for name, value in arguments.items() if name not in declared}
    engine = EngineOptions.parse({name: value for name, value in arguments.items() if name in declared})
    return RuleOptions.parse(rest), engine


_Options = TypeVar("_Options", RuleOptions, EngineOptions)


def _parse(cls: type[_Options], arguments: dict[str, Any]) -> _Options:
    declared = {field.name: str(field.type) for field in fields(cls)}
    for name, value in arguments.items():
        if name not in declared:
            known = (field.name for options in (RuleOptions, EngineOptions) for field in fields(options))
            raise SettingError(f'There is no environment argument "{name}".{suggest(name, known)}')
        _check_type(name, value, declared[name])
    return cls(**arguments)


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
    They differ with `obs_timestep_number`, which SMAC counts once and adds twice, unless the rules are corrected.
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


def n_actions_of(spec: MapSpec) -> int:
    """Actions of every agent: no-op, stop, four moves, and a target each.

    Targets are the enemies; on maps with Medivacs of one's own there are at least as many as agents, so that all can be
    healed. (SMAC's own maps never have fewer enemies than agents there.)
    """
    return 6 + max(spec.n_enemies, spec.n_agents if "Medivac" in spec.ally_types else 0)


def sizes_of(spec: MapSpec, options: RuleOptions) -> Sizes:
    """Sizes of everything an environment returns."""
    n, m, bits = spec.n_agents, spec.n_enemies, spec.unit_type_bits
    ally_shield, enemy_shield = int(spec.a_race == "P"), int(spec.b_race == "P")
    n_actions = n_actions_of(spec)
    move = 4 + N_PATHING_POINTS * options.obs_pathing_grid + N_HEIGHT_POINTS * options.obs_terrain_height
    enemy = 4 + bits + (1 + enemy_shield) * options.obs_all_health
    ally = 4 + bits + (1 + ally_shield) * options.obs_all_health + n_actions * options.obs_last_action
    own = bits + (1 + ally_shield) * options.shows_own_health + options.obs_timestep_number
    obs_query = move + m * enemy + (n - 1) * ally + own
    obs = obs_query + (options.obs_timestep_number and not options.corrected_rules)
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
