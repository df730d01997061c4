"""One battle with agents by name: dictionaries in, dictionaries out.

    env = DictEnv(map_name="2s3z", seed=1)
    obs, state = env.reset()                                  # obs["stalker_0"] [obs_size], state [state_size]
    masks = env.get_avail_actions()                           # masks["stalker_0"] [n_actions]
    obs, state, rewards, dones, infos = env.step(actions)     # actions["stalker_0"] = 1, ...

All agents are in all dictionaries all the time; an agent that has died observes zeros. `dones["__all__"]` tells the end
of the episode. Actions are numbered as in SMAC (0 is the dead agents' no-op).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.env import Array, StarCraft2Env
from skirmish.options import suggest
from skirmish.rules import IllegalActionError

Observations = dict[str, Array]


def agent_names(ally_types: tuple[str, ...]) -> tuple[str, ...]:
    """Names of agents by id: the unit's type and its number among those of its type, as `marine_0`."""
    counts: dict[str, int] = {}
    names = []
    for unit in ally_types:
        counts[unit] = counts.get(unit, -1) + 1
        names.append(f"{unit.lower()}_{counts[unit]}")
    return tuple(names)


def order_actions(
    actions: Mapping[str, Any], agents: tuple[str, ...], living: NDArray[np.bool_], offset: int = 0
) -> list[int]:
    """Actions by agent id from actions by name, each plus `offset`; the dead get 0 whatever is given for them.

    Raises IllegalActionError for a name that is no agent's, a living agent without an action, and what is no number.
    """
    for name in actions:
        if name not in agents:
            raise IllegalActionError(f'There is no agent "{name}".{suggest(str(name), agents)}')
    chosen = []
    for name, lives in zip(agents, living):
        given = actions.get(name)
        if not lives:
            chosen.append(0)
            continue
        if given is None:
            raise IllegalActionError(f'The living agent "{name}" has no action; available actions are in its mask.')
        if not isinstance(given, (int, np.integer, np.ndarray)) or np.size(given) != 1:
            raise IllegalActionError(f'The action of agent "{name}" must be a whole number, not {given!r}.')
        chosen.append(int(given) + offset)
    return chosen


class DictEnv:
    """One battle by agents' names; arguments as for `env.StarCraft2Env`.

    Every agent receives the team's reward. Unlike SMAC's own class, calling `reset` often before the first episode has
    ended does not change the reward's scale.
    """

    def __init__(self, map_name: str = "8m", seed: int | None = None, **arguments: Any) -> None:
        self.env = StarCraft2Env(map_name=map_name, seed=seed, **arguments)
        self.env.fix_reward_scale()
        self.agents = agent_names(self.env.ally_types)
        self.n_agents, self.n_actions = self.env.n_agents, self.env.n_actions
        self.episode_limit = self.env.episode_limit

    def reset(self, seed: int | None = None) -> tuple[Observations, Array]:
        """Begin an episode, from a new seed if one is given; returns all observations and the state."""
        if seed is not None:
            self.env.seed(seed)
        obs, state = self.env.reset()
        return dict(zip(self.agents, obs)), state

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[Observations, Array, dict[str, float], dict[str, bool], dict[str, dict[str, Any]]]:
        """Play the living agents' actions; returns observations, state, rewards, dones and infos.

        dones: whether an agent is dead or the episode over, and `__all__`. infos: SMAC's info, to every agent; a
        time-out has `episode_limit` True there as in SMAC (with `continuing_episode` or `corrected_rules`).
        Raises IllegalActionError or NotRunningError before anything changes.
        """
        self.env.require_running()
        try:
            reward, terminated, info = self.env.step(order_actions(actions, self.agents, self.env.living))
        except IllegalActionError as error:
            raise name_agents(error, self.agents) from None
        dones = {name: terminated or not lives for name, lives in zip(self.agents, self.env.living.tolist())}
        dones["__all__"] = terminated
        rewards = dict.fromkeys(self.agents, reward)
        return self.get_obs(), self.env.get_state(), rewards, dones, {name: dict(info) for name in self.agents}

    def get_obs(self) -> Observations:
        """Observations by agent."""
        return dict(zip(self.agents, self.env.get_obs()))

    def get_state(self) -> Array:
        """The global state."""
        return self.env.get_state()

    def get_avail_actions(self) -> dict[str, NDArray[np.int64]]:
        """Available actions by agent, arrays of 0 and 1 [n_actions]."""
        return {name: np.array(row) for name, row in zip(self.agents, self.env.get_avail_actions())}

    def get_env_info(self) -> dict[str, Any]:
        """SMAC's description of sizes, and the agents' names under `agents`."""
        return self.env.get_env_info() | {"agents": self.agents}

    def get_stats(self) -> dict[str, float]:
        """Counts of battles; all 0 before the first has ended."""
        return self.env.get_stats() if self.env.battles_game else dict.fromkeys(_STATS, 0)

    def save_replay(self) -> Path:
        """Write the replay of what has been played, as `StarCraft2Env.save_replay`."""
        return self.env.save_replay()

    def record_replays(self, folder: str, episodes: int | None = 1) -> None:
        """Write replays of the next episodes to begin, as each of them ends, as `Battles.record_replays`."""
        self.env.record_replays(folder, episodes)

    def close(self) -> None:
        """Release the engine."""
        self.env.close()


_STATS = ("battles_won", "battles_game", "battles_draw", "win_rate", "timeouts", "restarts")


def name_agents(error: IllegalActionError, agents: tuple[str, ...]) -> IllegalActionError:
    """The error with the agent's name beside its number."""
    text = str(error)
    for agent, name in enumerate(agents):
        text = text.replace(f"Agent {agent} of battle 0 ", f"Agent {agent} ({name}) ")
    return IllegalActionError(text)
