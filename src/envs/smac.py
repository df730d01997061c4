"""SMAC for runners: one battle as a `MultiAgentEnv`, many as `Battles` for the vector runner.

`env_args` are the arguments of SMAC's environment, `corrected_rules`, the embedded engine's own (profile, build,
enemy_medivac, threads), the real game's own (launch_timeout, request_timeout, launch_attempts), and `engine`:
`skirmish` plays on the embedded engine, `starcraft2` in the real game, `auto` there if it is installed. What belongs to
the engine that does not play has no effect.
Unlike SMAC's own size queries, `get_env_info` tells the lengths that the arrays really have (they differ with
`obs_timestep_number`), because batches are built from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import skirmish
from envs import sc2_install
from envs.multiagentenv import MultiAgentEnv
from skirmish.battles import Battles
from skirmish.env import StarCraft2Env
from skirmish.maps import load_map
from skirmish.options import EngineOptions, SettingError, split_arguments, suggest
from skirmish.rules import Rules

ENGINES = ("auto", "skirmish", "starcraft2")

_EMBEDDED = frozenset(field.name for field in fields(EngineOptions))
_GAME = frozenset({"launch_timeout", "request_timeout", "launch_attempts"})


def choose_engine(engine: str, env_args: Mapping[str, Any] | None = None) -> str:
    """The engine that `engine` means for such env_args; SettingError or InstallationError if it cannot be had."""
    return _choose(engine, env_args or {})[0]


def _choose(engine: str, env_args: Mapping[str, Any]) -> tuple[str, str]:
    """The engine, and, where `auto` passes over a game that is there, why."""
    if engine not in ENGINES:
        raise SettingError(
            f'There is no engine "{engine}".{suggest(str(engine), ENGINES)} Known: {", ".join(ENGINES)}.'
        )
    if engine == "skirmish":
        return engine, ""
    try:
        installation = sc2_install.find(env_args.get("game_version"))
        sc2_install.require_packages()
        installation.map_file(str(env_args.get("map_name", "8m")))
    except sc2_install.InstallationError as error:
        if engine == "starcraft2":
            raise
        # Where there is no game at all, nobody wonders why it does not play.
        return "skirmish", str(error) if any(sc2_install.builds(place) for place in sc2_install.places()) else ""
    return "starcraft2", ""


def describe(env_args: dict[str, Any]) -> dict[str, str]:
    """Check env_args and say what will play: `engine`, `engine_version`, `map_checksum`, `build`, `rules`.

    rules: `smac`, or `corrected` with `corrected_rules`. The embedded engine has a `profile`, too; `passed_over` says
    why `auto` did not choose a game that is installed.
    Raises MapError, SettingError or InstallationError, all ValueErrors of one sentence or two.
    """
    arguments = dict(env_args)
    engine, passed_over = _choose(arguments.pop("engine", "auto"), arguments)
    arguments.pop("seed", None)
    map_name = arguments.pop("map_name", "8m")
    spec = load_map(map_name)
    game = {name: arguments.pop(name) for name in _GAME if name in arguments}
    rules, embedded = split_arguments(arguments)
    if engine == "starcraft2":
        from envs.sc2_engine import GameOptions

        GameOptions(**game)
        installation = sc2_install.find(rules.game_version)
        told = {
            "engine": engine,
            "engine_version": installation.version,
            "map_checksum": installation.map_checksum(map_name),
            "build": f"Base{installation.build}",
        }
    else:
        told = {
            "engine": engine,
            "engine_version": skirmish.__version__,
            "map_checksum": spec.checksum,
            "profile": embedded.profile,
            "build": embedded.build,
        }
    told["rules"] = "corrected" if rules.corrected_rules else "smac"
    return told | ({"passed_over": f"({passed_over})"} if passed_over else {})


def make_env(map_name: str = "8m", seed: int | None = None, engine: str = "auto", **arguments: Any) -> SMACEnv:
    """One battle on the engine asked for; `seed=None` draws a seed."""
    if choose_engine(engine, {**arguments, "map_name": map_name}) == "starcraft2":
        from envs.starcraft2 import StarCraft2

        kept = {name: value for name, value in arguments.items() if name not in _EMBEDDED}
        return StarCraft2(map_name, seed, **kept)
    return SMACEnv(map_name, seed, **_without(arguments, _GAME))


def make_vector(
    n_battles: int, seed: int = 0, engine: str = "auto", map_name: str = "8m", **arguments: Any
) -> SMACBattles:
    """`n_battles` battles in one process; arguments as for SMAC's environment. Not for the real game: SettingError."""
    if choose_engine(engine, {**arguments, "map_name": map_name}) == "starcraft2":
        raise SettingError(
            "The vector runner plays on the embedded engine only: use runner=parallel for StarCraft II, "
            "or env_args.engine=skirmish."
        )
    return SMACBattles(map_name, n_battles=n_battles, seed=seed, **_without(arguments, _GAME))


def _without(arguments: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in names}


class SMACBattles(Battles):
    """Battles whose `get_env_info` gives the lengths of the arrays."""

    def get_env_info(self) -> dict[str, Any]:
        """SMAC's description with the lengths that observations and state really have."""
        return super().get_env_info() | _array_layout(self.rules)


class SMACEnv(StarCraft2Env, MultiAgentEnv):
    """One embedded battle for the runners that take environments one by one; `seed=None` draws a seed."""

    def __init__(self, map_name: str = "8m", seed: int | None = None, **arguments: Any) -> None:
        super().__init__(map_name=map_name, seed=seed, **arguments)

    def get_env_info(self) -> dict[str, Any]:
        """SMAC's description with the lengths that observations and state really have, and `n_enemies`."""
        return super().get_env_info() | _array_layout(self._rules) | {"n_enemies": self.n_enemies}


def _array_layout(rules: Rules) -> dict[str, Any]:
    """True lengths of the arrays; an observation's columns: before, a row per enemy, per other ally, after; and
    `healers`, the agents whose target actions name agents instead of enemies."""
    sizes = rules.sizes
    rows = sizes.enemy_feats[0] * sizes.enemy_feats[1] + sizes.ally_feats[0] * sizes.ally_feats[1]
    blocks = {
        "before": sizes.move_feats,
        "enemy_rows": sizes.enemy_feats,
        "ally_rows": sizes.ally_feats,
        "after": sizes.obs - sizes.move_feats - rows,
    }
    healers = [agent for agent, unit in enumerate(rules.spec.ally_types) if unit == "Medivac"]
    return {"obs_shape": sizes.obs, "state_shape": sizes.state, "obs_blocks": blocks, "healers": healers}
