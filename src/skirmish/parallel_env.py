"""PettingZoo's parallel interface to one battle.

    env = parallel_env(map_name="2s3z", seed=1)
    observations, infos = env.reset()
    while env.agents:
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        observations, rewards, terminations, truncations, infos = env.step(actions)

Agents' names, the observation's dictionary, the dropped no-op and `max_cycles` are those of the wrapper in SMAC's own
package. It was written for an older PettingZoo; here, as today's interface has it:

* a dead agent's `terminations` is True once, with its last reward, and then it is gone from `agents` and the results;
* a time-out or `max_cycles` truncates, the end of the battle terminates;
* `reset(seed=...)` restarts the random stream; there is no `seed` method and nothing is reset in the constructor;
* `action_space(agent).sample()` draws an available action, with or without a mask; other illegal actions are errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.dict_env import agent_names, order_actions
from skirmish.env import StarCraft2Env
from skirmish.optional import require
from skirmish.rules import IllegalActionError, NotRunningError

require("pettingzoo", "parallel_env")

from gymnasium import spaces  # noqa: E402
from pettingzoo import ParallelEnv  # noqa: E402

from skirmish.spaces import AvailableDiscrete  # noqa: E402

Results = dict[str, Any]


def parallel_env(map_name: str = "8m", **arguments: Any) -> SkirmishParallelEnv:
    """The parallel environment; arguments as for `SkirmishParallelEnv`."""
    return SkirmishParallelEnv(map_name, **arguments)


def env(map_name: str = "8m", **arguments: Any) -> Any:
    """The same battle with agents in turn (PettingZoo's AEC interface)."""
    from pettingzoo.utils.conversions import parallel_to_aec

    return parallel_to_aec(SkirmishParallelEnv(map_name, **arguments))


class SkirmishParallelEnv(ParallelEnv[str, dict[str, NDArray[Any]], int]):
    """One battle; arguments as for `env.StarCraft2Env`, and `max_cycles`, after which the episode is truncated.

    An observation is `{"observation": float32 [obs_size], "action_mask": int8 [n_actions - 1]}`; action a is SMAC's
    a + 1 (its no-op, for the dead alone, is no action here). Every living agent receives the team's reward.
    max_cycles: None means the map's limit.
    """

    def __init__(
        self, map_name: str = "8m", seed: int | None = None, max_cycles: int | None = None, **arguments: Any
    ) -> None:
        self._env = StarCraft2Env(map_name=map_name, seed=seed, **arguments)
        self._env.fix_reward_scale()
        self.max_cycles = self._env.episode_limit if max_cycles is None else max_cycles
        self.metadata = {"name": f"skirmish_{map_name}", "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self.possible_agents = list(agent_names(self._env.ally_types))
        self.agents: list[str] = []
        self._cycles = 0
        n_actions = self._env.n_actions - 1
        obs_size, state_size = self._env.array_sizes
        shown = spaces.Dict(
            {
                "observation": spaces.Box(-1.0, 1.0, (obs_size,), np.float32),
                "action_mask": spaces.Box(0, 1, (n_actions,), np.int8),
            }
        )
        self.observation_spaces = dict.fromkeys(self.possible_agents, shown)
        self.action_spaces = {agent: AvailableDiscrete(n_actions) for agent in self.possible_agents}
        self.state_space = spaces.Box(-np.inf, np.inf, (state_size,), np.float32)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Results, Results]:
        """Begin an episode, from a new seed if one is given; returns observations and infos by agent."""
        if seed is not None:
            self._env.seed(seed)
        self._env.reset()
        self.agents = list(self.possible_agents)
        self._cycles = 0
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Results, Results, Results, Results, Results]:
        """Play the living agents' actions; returns observations, rewards, terminations, truncations, infos by agent.

        Raises, before anything changes, IllegalActionError naming the agent, NotRunningError without living agents.
        """
        if not self.agents:
            raise NotRunningError("No episode is running: call reset() before the next step.")
        numbers = order_actions(actions, tuple(self.possible_agents), self._env.living, offset=1)
        self._check(numbers)
        reward, over, info = self._env.step(numbers)
        self._cycles += 1
        timeout = self._env.timed_out
        living = dict(zip(self.possible_agents, self._env.living.tolist()))
        ended = over and not timeout
        observations = self._observe()
        terminations = {agent: ended or not living[agent] for agent in self.agents}
        cut = timeout or (self._cycles >= self.max_cycles and not ended)
        truncations = {agent: cut and living[agent] for agent in self.agents}
        rewards = dict.fromkeys(self.agents, reward)
        infos = {agent: dict(info) for agent in self.agents}
        self.agents = [agent for agent in self.agents if not (terminations[agent] or truncations[agent])]
        return observations, rewards, terminations, truncations, infos

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The space of an agent's observations."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The space of an agent's actions; it draws available ones."""
        return self.action_spaces[agent]

    def state(self) -> NDArray[np.float32]:
        """The global state."""
        return self._env.get_state().astype(np.float32)

    def get_stats(self) -> dict[str, float]:
        """SMAC's counts of battles; ZeroDivisionError before the first has ended unless the rules are corrected."""
        return self._env.get_stats()

    def render(self) -> None:
        """There is no window; NotImplementedError says what there is instead."""
        self._env.render()

    def save_replay(self) -> Path:
        """Write the replay of what has been played, as `StarCraft2Env.save_replay`."""
        return self._env.save_replay()

    def record_replays(self, folder: str, episodes: int | None = 1) -> None:
        """Write replays of the next episodes to begin, as each of them ends, as `Battles.record_replays`."""
        self._env.record_replays(folder, episodes)

    def close(self) -> None:
        """Release the engine."""
        self._env.close()

    def _observe(self) -> Results:
        observations = {}
        for agent_id, agent in enumerate(self.possible_agents):
            if agent not in self.agents:
                continue
            mask = np.array(self._env.get_avail_agent_actions(agent_id)[1:], dtype=np.int8)
            self.action_spaces[agent].available[:] = mask
            vector = self._env.get_obs_agent(agent_id).astype(np.float32)
            observations[agent] = {"observation": vector, "action_mask": mask}
        return observations

    def _check(self, numbers: list[int]) -> None:
        """Refuse what is illegal, under the agents' names and the numbers that they know."""
        for agent_id, (agent, number) in enumerate(zip(self.possible_agents, numbers)):
            mask = self._env.get_avail_agent_actions(agent_id)
            if not 0 <= number < len(mask) or not mask[number]:
                available = ", ".join(str(a - 1) for a, open_now in enumerate(mask) if open_now)
                raise IllegalActionError(
                    f'Agent "{agent}" cannot take action {number - 1} ({self._env.action_name(number, agent_id)}); '
                    f"available: {available}."
                )
