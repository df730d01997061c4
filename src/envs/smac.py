"""SMAC for runners: one battle as a `MultiAgentEnv`, many as `Battles` for the vector runner.

`env_args` are the arguments of SMAC's environment, `corrected_rules`, the embedded engine's own (profile, build,
enemy_medivac, threads), and `engine`: `auto` or `skirmish` play on the embedded engine.
Unlike SMAC's own size queries, `get_env_info` tells the lengths that the arrays really have (they differ with
`obs_timestep_number`), because batches are built from them.
"""

from __future__ import annotations

from typing import Any

import skirmish
from envs.multiagentenv import MultiAgentEnv
from skirmish.battles import Battles
from skirmish.env import StarCraft2Env
from skirmish.maps import load_map
from skirmish.options import SettingError, split_arguments, suggest
from skirmish.rules import Rules

ENGINES = ("auto", "skirmish", "starcraft2")


def choose_engine(engine: str) -> str:
    """The engine that `engine` means; SettingError if there is none of that name or it cannot be had."""
    if engine not in ENGINES:
        raise SettingError(
            f'There is no engine "{engine}".{suggest(str(engine), ENGINES)} Known: {", ".join(ENGINES)}.'
        )
    if engine == "starcraft2":
        raise SettingError(
            'The engine "starcraft2" (the real game) is not part of this version; use engine=auto or engine=skirmish.'
        )
    return "skirmish"


def describe(env_args: dict[str, Any]) -> dict[str, str]:
    """Check env_args and say what will play: `engine`, `engine_version`, `map_checksum`, `profile`, `build`, `rules`.

    rules: `smac`, or `corrected` with `corrected_rules`.
    Raises MapError or SettingError, both ValueErrors of one sentence or two.
    """
    arguments = dict(env_args)
    engine = choose_engine(arguments.pop("engine", "auto"))
    arguments.pop("seed", None)
    spec = load_map(arguments.pop("map_name", "8m"))
    rules, embedded = split_arguments(arguments)
    return {
        "engine": engine,
        "engine_version": skirmish.__version__,
        "map_checksum": spec.checksum,
        "profile": embedded.profile,
        "build": embedded.build,
        "rules": "corrected" if rules.corrected_rules else "smac",
    }


def make_vector(
    n_battles: int, seed: int = 0, engine: str = "auto", map_name: str = "8m", **arguments: Any
) -> SMACBattles:
    """`n_battles` battles in one process; arguments as for SMAC's environment."""
    choose_engine(engine)
    return SMACBattles(map_name, n_battles=n_battles, seed=seed, **arguments)


class SMACBattles(Battles):
    """Battles whose `get_env_info` gives the lengths of the arrays."""

    def get_env_info(self) -> dict[str, Any]:
        """SMAC's description with the lengths that observations and state really have."""
        return super().get_env_info() | _array_layout(self.rules)


class SMACEnv(StarCraft2Env, MultiAgentEnv):
    """One battle for the runners that take environments one by one; `seed=None` draws a seed."""

    def __init__(self, map_name: str = "8m", seed: int | None = None, engine: str = "auto", **arguments: Any) -> None:
        choose_engine(engine)
        super().__init__(map_name=map_name, seed=seed, **arguments)

    def get_env_info(self) -> dict[str, Any]:
        """SMAC's description with the lengths that observations and state really have, and `n_enemies`."""
        return super().get_env_info() | _array_layout(self._rules) | {"n_enemies": self.n_enemies}


def _array_layout(rules: Rules) -> dict[str, Any]:
    """True lengths of the arrays, and an observation's columns: before, a row per enemy, per other ally, after."""
    sizes = rules.sizes
    rows = sizes.enemy_feats[0] * sizes.enemy_feats[1] + sizes.ally_feats[0] * sizes.ally_feats[1]
    blocks = {
        "before": sizes.move_feats,
        "enemy_rows": sizes.enemy_feats,
        "ally_rows": sizes.ally_feats,
        "after": sizes.obs - sizes.move_feats - rows,
    }
    return {"obs_shape": sizes.obs, "state_shape": sizes.state, "obs_blocks": blocks}
