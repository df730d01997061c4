"""Any parallel environment of PettingZoo's kind, by name: `env_args.key=mpe2:simple_spread_v3`.

What learners see: one reward for the team, observations and actions of equal width (padded with zeros), and
continuous actions as numbers in [-1, 1], which are scaled into each agent's Box. `avail_actions` says which actions an
agent may take or, where they are continuous, which of the numbers it has. An agent that has left sees zeros, and takes
action 0 (or none of the numbers), of which its environment hears nothing.

Every episode is seeded by itself, from the environment's seed and the episode's number: that number is all that a
resumed run needs. (An environment that keeps something random from one episode to the next resumes without it.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.multiagentenv import MultiAgentEnv
from envs.pettingzoo_key import OPTIONS, make, time_limit
from utils.errors import nearest
from utils.seeding import stream_seed

Floats = NDArray[np.float32]

SMALL_SEED = 2**31 - 1


class PettingZoo(MultiAgentEnv):
    """One environment of PettingZoo's parallel API.

    key: `package:module` with a `parallel_env` in it, or `module:attribute`; kwargs: what `parallel_env` is called
    with; continuous_actions: prefer continuous actions where the environment has the argument of that name;
    episode_limit: steps until an episode is cut off (None: the environment's own); state: `observations`, all of them
    in a row, or the `environment`'s own; team_reward: `sum` or `mean` of the agents' rewards.
    Raises ValueError for arguments that do not fit.
    """

    def __init__(
        self,
        key: str,
        kwargs: Mapping[str, Any] | None = None,
        continuous_actions: bool = True,
        episode_limit: int | None = None,
        state: str = "observations",
        team_reward: str = "sum",
        seed: int | None = None,
        **unknown: Any,
    ) -> None:
        _check(unknown, state, team_reward)
        self._env = make(key, dict(kwargs or {}), continuous_actions)
        self._names: list[str] = list(self._env.possible_agents)
        self.n_agents = len(self._names)
        self.episode_limit = time_limit(self._env, episode_limit, key)
        self._seed, self._episodes, self._t = seed, 0, 0
        self._own_state = state == "environment"
        self._mean = team_reward == "mean"
        self._actions = _Actions([self._env.action_space(name) for name in self._names], key)
        self._spaces = [_inner(self._env.observation_space(name)) for name in self._names]
        self._obs_size = max(spaces.flatdim(space) for space in self._spaces)
        self._obs: Floats = np.zeros((self.n_agents, self._obs_size), dtype=np.float32)
        self._avail = self._actions.available(range(self.n_agents))
        self._state_size = self.n_agents * self._obs_size
        if self._own_state:
            self.reset()
            self._state_size, self._episodes = len(self.get_state()), 0

    # --- playing ------------------------------------------------------------------------------------------------------

    def reset(self) -> tuple[list[Floats], Floats]:
        """Begin an episode."""
        seed = stream_seed(self._seed or 0, "episode", self._episodes) & SMALL_SEED
        observations, infos = self._env.reset(seed=seed)
        self._episodes += 1
        self._t = 0
        self._see(observations, infos)
        return self.get_obs(), self.get_state()

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Play the agents' actions: [n] whole numbers, or [n, n_actions] in [-1, 1].

        The last step's info has the agents' mean of every number that theirs have, and `episode_limit` where somebody
        was cut off and has not terminated.
        """
        self._check(actions)
        orders = {name: self._actions.of(i, actions[i]) for i, name in enumerate(self._names) if name in self._present}
        observations, rewards, terminations, truncations, infos = self._env.step(orders)
        self._t += 1
        reward = float(sum(rewards.values())) / (self.n_agents if self._mean else 1)
        over = not self._env.agents
        cut_off = {name for name in truncations if truncations[name] and not terminations[name]} if over else set()
        self._see(observations, infos, going_on=cut_off)
        at_limit = not over and self._t >= self.episode_limit
        if not (over or at_limit):
            return reward, False, {}
        return reward, True, {**_means(infos), "episode_limit": at_limit or bool(cut_off)}

    def _see(self, observations: Mapping[str, Any], infos: Mapping[str, Any], going_on: Collection[str] = ()) -> None:
        """Take in a frame. Learners ask what the last frame of a cut-off episode is worth, that is, what those
        `going_on` would do there: they keep their actions, although their environment has let them go.
        """
        self._present = {*self._env.agents, *going_on}
        self._obs = np.zeros_like(self._obs)
        for i, name in enumerate(self._names):
            if name in observations:
                seen = observations[name]
                row = _flat(self._spaces[i], seen["observation"] if _is_masked(seen) else seen)
                self._obs[i, : len(row)] = row
        self._avail = self._actions.available(i for i, name in enumerate(self._names) if name in self._present)
        for i, name in enumerate(self._names):
            mask = _mask(observations.get(name), infos.get(name))
            if mask is not None and name in self._present:
                self._avail[i, : len(mask)] = mask

    def _check(self, actions: Any) -> None:
        if len(actions) != self.n_agents:
            raise ValueError(f"There are {self.n_agents} agents, but {len(actions)} actions.")
        if self._actions.continuous:
            return
        for i, action in enumerate(actions):
            if not 0 <= int(action) < self._actions.size or not self._avail[i, int(action)]:
                raise ValueError(f"Agent {i} cannot take action {int(action)} now.")

    # --- what runners read --------------------------------------------------------------------------------------------

    def get_obs(self) -> list[Floats]:
        """Observations of all agents."""
        return list(self._obs)

    def get_obs_agent(self, agent_id: int) -> Floats:
        """Observation of one agent."""
        return self._obs[agent_id]

    def get_obs_size(self) -> int:
        """Length of the longest observation."""
        return self._obs_size

    def get_state(self) -> Floats:
        """All observations in a row, or the environment's own state."""
        if not self._own_state:
            return self._obs.ravel()
        try:
            return np.asarray(self._env.state(), dtype=np.float32).ravel()
        except NotImplementedError:
            raise ValueError("This environment has no state of its own: use env_args.state=observations.") from None

    def get_state_size(self) -> int:
        """Length of the state."""
        return self._state_size

    def get_avail_actions(self) -> list[list[int]]:
        """Available actions of all agents; of continuous ones, which numbers each agent has."""
        avail: list[list[int]] = self._avail.astype(int).tolist()
        return avail

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Available actions of one agent."""
        return self.get_avail_actions()[agent_id]

    def get_total_actions(self) -> int:
        """Number of actions of an agent; of continuous ones, how many numbers make one."""
        return self._actions.size

    def get_env_info(self) -> dict[str, Any]:
        """Sizes, and whether actions are continuous."""
        return {**super().get_env_info(), "continuous_actions": self._actions.continuous}

    def seed(self) -> int | None:
        """The seed given."""
        return self._seed

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """How many episodes have begun."""
        return {"episodes": np.array(self._episodes)}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on behind so many episodes; between two of them."""
        self._episodes = int(saved["episodes"])

    def render(self) -> None:
        """Show the environment, as its own `render_mode` (in kwargs) says."""
        self._env.render()

    def close(self) -> None:
        """Release the environment."""
        self._env.close()


class _Actions:
    """The agents' action spaces behind one of equal width: all Discrete, or all Box."""

    def __init__(self, of_agents: list[Any], key: str) -> None:
        self.continuous = all(isinstance(space, spaces.Box) for space in of_agents)
        if not self.continuous and not all(isinstance(space, spaces.Discrete) for space in of_agents):
            kinds = ", ".join(sorted({type(space).__name__ for space in of_agents}))
            raise ValueError(f"{key} has actions of the kind {kinds}; learners take Discrete, or Box for all agents.")
        self.spaces = of_agents
        self.sizes = [int(np.prod(space.shape)) if self.continuous else int(space.n) for space in self.spaces]
        self.size = max(self.sizes)
        if self.continuous:
            bounds = [_bounds(space) for space in self.spaces]
            self._low, self._half = [low for low, _ in bounds], [(high - low) / 2 for low, high in bounds]

    def available(self, present: Any) -> NDArray[np.bool_]:
        """What the agents have [n, size]: those `present` all of theirs, the others action 0 or nothing."""
        avail = np.zeros((len(self.spaces), self.size), dtype=np.bool_)
        avail[:, 0] = not self.continuous
        for i in present:
            avail[i, : self.sizes[i]] = True
        return avail

    def of(self, i: int, action: Any) -> Any:
        """The action of agent i in its own space."""
        if not self.continuous:
            return int(action) + int(self.spaces[i].start)
        inside = np.clip(np.asarray(action, dtype=np.float32)[: self.sizes[i]], -1.0, 1.0)
        scaled = self._low[i] + (inside + 1.0) * self._half[i]
        return scaled.reshape(self.spaces[i].shape).astype(self.spaces[i].dtype)


def _bounds(space: spaces.Box) -> tuple[Floats, Floats]:
    """Ends of a Box [d]; -1 and 1 where it has none."""
    low, high = space.low.ravel().astype(np.float32), space.high.ravel().astype(np.float32)
    bounded = np.isfinite(low) & np.isfinite(high)
    return np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)


def _inner(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The space of what is seen, where a Dict carries an action mask beside it."""
    if isinstance(space, spaces.Dict) and "observation" in space.spaces and "action_mask" in space.spaces:
        return space["observation"]
    return space


def _is_masked(observation: Any) -> bool:
    return isinstance(observation, Mapping) and "action_mask" in observation and "observation" in observation


def _mask(observation: Any, info: Any) -> Any:
    if _is_masked(observation):
        return observation["action_mask"]
    return info.get("action_mask") if isinstance(info, Mapping) else None


def _flat(space: spaces.Space[Any], seen: Any) -> NDArray[Any]:
    if isinstance(space, spaces.Box):
        return np.asarray(seen).ravel()
    return np.asarray(spaces.flatten(space, seen))


def _means(infos: Mapping[str, Any]) -> dict[str, float]:
    """The agents' mean of every number in their infos."""
    numbers: dict[str, list[float]] = {}
    for info in infos.values():
        for name, value in info.items():
            if isinstance(value, bool | int | float | np.number | np.bool_):
                numbers.setdefault(name, []).append(float(value))
    return {name: sum(values) / len(values) for name, values in numbers.items()}


def _check(unknown: Mapping[str, Any], state: str, team_reward: str) -> None:
    for name in unknown:
        hint = nearest(name, OPTIONS)
        raise ValueError(
            f'There is no environment argument "{name}".{hint} Those of the environment itself go into '
            f"env_args.kwargs.{name}."
        )
    for name, value, choices in (
        ("state", state, ("observations", "environment")),
        ("team_reward", team_reward, ("sum", "mean")),
    ):
        if value not in choices:
            raise ValueError(f'env_args.{name}="{value}" is not one of {", ".join(choices)}.{nearest(value, choices)}')
