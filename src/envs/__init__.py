"""Environments by name.

REGISTRY: for runners that take environments one by one, `REGISTRY[name](**env_args) -> MultiAgentEnv`.
VECTOR_REGISTRY: for the vector runner, `VECTOR_REGISTRY[name](n_battles=..., seed=..., **env_args)`, with the methods
of `skirmish.battles.Battles`. A plug-in adds its own. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from envs.multiagentenv import MultiAgentEnv

if TYPE_CHECKING:
    from envs.vector_game import VectorGame
    from skirmish.battles import Battles

__all__ = ["REGISTRY", "VECTOR_REGISTRY", "MultiAgentEnv", "describe"]


def _sc2(**env_args: Any) -> MultiAgentEnv:
    from envs.smac import make_env

    return make_env(**env_args)


def _official_smac(**env_args: Any) -> MultiAgentEnv:
    from envs.official_smac import OfficialSMAC

    return OfficialSMAC(**env_args)


def _matrix_game(**env_args: Any) -> MultiAgentEnv:
    from envs.matrix_game import MatrixGame

    return MatrixGame(**env_args)


def _predator_prey(seed: int | None = None, **env_args: Any) -> MultiAgentEnv:
    from envs.predator_prey import PredatorPrey
    from envs.vector_game import SingleGame

    return SingleGame(PredatorPrey(1, seed or 0, **env_args), seed)


def _pettingzoo(**env_args: Any) -> MultiAgentEnv:
    from envs.pettingzoo_env import PettingZoo

    return PettingZoo(**env_args)


def _matrix_games(n_battles: int, seed: int = 0, **env_args: Any) -> VectorGame:
    from envs.matrix_game import MatrixGames

    return MatrixGames(n_battles, seed, **env_args)


def _predator_preys(n_battles: int, seed: int = 0, **env_args: Any) -> VectorGame:
    from envs.predator_prey import PredatorPrey

    return PredatorPrey(n_battles, seed, **env_args)


def _sc2_battles(n_battles: int, seed: int = 0, **env_args: Any) -> Battles:
    from envs.smac import make_vector

    return make_vector(n_battles, seed, **env_args)


REGISTRY: dict[str, Callable[..., MultiAgentEnv]] = {
    "sc2": _sc2,
    "official_smac": _official_smac,
    "matrix_game": _matrix_game,
    "predator_prey": _predator_prey,
    "pettingzoo": _pettingzoo,
}
VECTOR_REGISTRY: dict[str, Callable[..., Any]] = {
    "sc2": _sc2_battles,
    "matrix_game": _matrix_games,
    "predator_prey": _predator_preys,
}


def describe(env: str, env_args: dict[str, Any]) -> dict[str, str]:
    """Check env_args and tell what a run's record needs of its environment: engine, version, map checksum.

    {} for environments that have nothing to tell. Raises ValueError with one sentence for wrong arguments.
    """
    if env == "sc2":
        from envs.smac import describe as describe_smac

        return describe_smac(env_args)
    if env == "official_smac":
        from envs.official_smac import describe as describe_official

        return describe_official(env_args)
    if env == "pettingzoo":
        from envs.pettingzoo_key import describe as describe_pettingzoo

        return describe_pettingzoo(env_args)
    if env in ("matrix_game", "predator_prey"):
        REGISTRY[env](**env_args)
    return {}
