"""The interface of environments, as PyMARL has it.

Agents act at once and share one reward. An environment for a runner implements every method below except
`save_replay`, which only those that can record need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # doctor.py must get this far where nothing is installed
    import numpy as np
    from numpy.typing import NDArray


class MultiAgentEnv:
    """What runners call. `n_agents` and `episode_limit` are attributes."""

    n_agents: int
    episode_limit: int

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Play the agents' actions [n_agents]; returns reward, terminated, info (numbers by name).

        `info["episode_limit"]` true marks an ending by length alone that learners shall bootstrap through.
        """
        raise NotImplementedError

    def get_obs(self) -> Sequence[NDArray[np.floating[Any]]]:
        """Observations of all agents."""
        raise NotImplementedError

    def get_obs_agent(self, agent_id: int) -> NDArray[np.floating[Any]]:
        """Observation of one agent."""
        raise NotImplementedError

    def get_obs_size(self) -> int:
        """Length of an observation."""
        raise NotImplementedError

    def get_state(self) -> NDArray[np.floating[Any]]:
        """The global state."""
        raise NotImplementedError

    def get_state_size(self) -> int:
        """Length of the state."""
        raise NotImplementedError

    def get_avail_actions(self) -> list[list[int]]:
        """Available actions of all agents, lists of 0 and 1."""
        raise NotImplementedError

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Available actions of one agent, a list of 0 and 1."""
        raise NotImplementedError

    def get_total_actions(self) -> int:
        """Number of actions of an agent."""
        raise NotImplementedError

    def reset(self) -> tuple[Sequence[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]:
        """Begin an episode; returns observations and state."""
        raise NotImplementedError

    def render(self) -> None:
        """Show the environment."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what the environment holds."""

    def seed(self) -> int | None:
        """The seed in use."""
        raise NotImplementedError

    def save_replay(self) -> Any:
        """Write a replay of what has been played; may return where."""
        raise NotImplementedError

    def get_stats(self) -> dict[str, float]:
        """Statistics over all episodes."""
        return {}

    def get_env_info(self) -> dict[str, Any]:
        """Sizes that batches and networks are built from."""
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": self.get_total_actions(),
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }
