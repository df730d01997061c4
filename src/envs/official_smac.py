"""The official `smac` package (oxwhirl/smac) as an environment of its own, where it is installed with StarCraft II.

Everything is the package's: rules, launching, restarting. Only what would spoil records is changed: a battle that the
package ends because the connection broke is not taken for a defeat but raises BrokenEpisodeError.
(On PyPI `smac` is another project, which tunes hyperparameters; `install_dependencies.sh --starcraft` gets this one.)
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import sc2_install, sc2_protobuf
from envs.faults import BrokenEpisodeError
from envs.multiagentenv import MultiAgentEnv
from skirmish.maps import load_map
from skirmish.options import RuleOptions, sizes_of

Array = NDArray[np.floating[Any]]


def package_version() -> str:
    """The package's version; InstallationError where it, or what it needs, is missing."""
    sc2_install.require_packages()
    if importlib.util.find_spec("smac") is None or importlib.util.find_spec("smac.env") is None:
        other = " (the package `smac` that is installed is another project)" if importlib.util.find_spec("smac") else ""
        raise sc2_install.InstallationError(
            f"The official smac package is not installed{other}: "
            "python3 -m pip install --no-deps git+https://github.com/oxwhirl/smac.git"
        )
    try:
        return importlib.metadata.version("smac")
    except importlib.metadata.PackageNotFoundError:  # on PYTHONPATH, but not installed
        return "unknown"


def describe(env_args: dict[str, Any]) -> dict[str, str]:
    """Check env_args and say what will play: engine, its version, the client's build, the map's checksum."""
    arguments = dict(env_args)
    map_name = arguments.pop("map_name", "8m")
    arguments.pop("seed", None)
    load_map(map_name)
    options = RuleOptions.parse(arguments)
    version = package_version()
    installation = sc2_install.find(options.game_version)
    return {
        "engine": "official_smac",
        "engine_version": f"{version} on {installation.version}",
        "map_checksum": installation.map_checksum(map_name),
        "build": f"Base{installation.build}",
        "rules": "smac",
    }


class OfficialSMAC(MultiAgentEnv):
    """One battle of the official package; arguments are those of its StarCraft2Env."""

    def __init__(self, map_name: str = "8m", seed: int | None = None, **arguments: Any) -> None:
        describe({"map_name": map_name, **arguments})
        sc2_protobuf.install()
        game = importlib.import_module("smac.env").StarCraft2Env
        self._env: Any = game(map_name=map_name, seed=seed, **arguments)
        self._sizes = sizes_of(load_map(map_name), RuleOptions.parse(arguments))
        self.n_agents, self.episode_limit = int(self._env.n_agents), int(self._env.episode_limit)
        self._seed = seed

    def reset(self) -> tuple[Sequence[Array], Array]:
        """Begin an episode."""
        obs, state = self._env.reset()
        return obs, state

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Play one step; BrokenEpisodeError where the package lost its connection (it has started the game again)."""
        reward, terminated, info = self._env.step(actions)
        if terminated and "battle_won" not in info:
            raise BrokenEpisodeError("The smac package lost its connection to StarCraft II and started it again.")
        return reward, terminated, info

    def get_obs(self) -> Sequence[Array]:
        """Observations of all agents."""
        obs: Sequence[Array] = self._env.get_obs()
        return obs

    def get_obs_agent(self, agent_id: int) -> Array:
        """Observation of one agent."""
        obs: Array = self._env.get_obs_agent(agent_id)
        return obs

    def get_obs_size(self) -> int:
        """Length that an observation really has."""
        return self._sizes.obs

    def get_state(self) -> Array:
        """The global state."""
        state: Array = self._env.get_state()
        return state

    def get_state_size(self) -> int:
        """Length that the state really has."""
        return self._sizes.state

    def get_avail_actions(self) -> list[list[int]]:
        """Available actions of all agents."""
        available: list[list[int]] = self._env.get_avail_actions()
        return available

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Available actions of one agent."""
        available: list[int] = self._env.get_avail_agent_actions(agent_id)
        return available

    def get_total_actions(self) -> int:
        """Number of actions of an agent."""
        return self._sizes.n_actions

    def seed(self) -> int | None:
        """The seed given."""
        return self._seed

    def save_replay(self) -> None:
        """Let the package write the game's replay."""
        self._env.save_replay()

    def get_stats(self) -> dict[str, float]:
        """The package's counts; {} before the first battle has ended, where it divides by zero."""
        try:
            stats: dict[str, float] = self._env.get_stats()
        except ZeroDivisionError:
            return {}
        return stats

    def close(self) -> None:
        """End the game."""
        self._env.close()
