"""Small games played many at once in NumPy, with the methods that the vector runner calls; and one of them alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.multiagentenv import MultiAgentEnv
from skirmish.rules import StepResult

Bools = NDArray[np.bool_]
WORD = 2**64 - 1


class VectorGame:
    """B games; a subclass sets the sizes before it calls `__init__`, and implements the methods that raise.

    n_agents, n_actions, episode_limit, obs_size, state_size: sizes; t [B]: steps played; changing: the arrays that
    `snapshot` saves, by name. Every game draws from its own stream in `random`, so that its course depends neither on
    the others nor on their number.
    """

    n_agents: int
    n_actions: int
    episode_limit: int
    obs_size: int
    state_size: int

    def __init__(self, n_battles: int, seed: int) -> None:
        self.n_battles = n_battles
        self.t = np.zeros(n_battles, dtype=np.int64)
        self.random = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(n_battles)]
        self.changing: dict[str, NDArray[Any]] = {"t": self.t}

    def start(self, rows: NDArray[np.int64]) -> None:
        """Set up new games in these rows."""
        raise NotImplementedError

    def play(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Play actions [rows, n]; returns the rewards [rows] and which games are over [rows]."""
        raise NotImplementedError

    def observations(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Observations [rows, n, obs_size]."""
        raise NotImplementedError

    def states(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """States [rows, state_size]."""
        raise NotImplementedError

    def available(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Available actions [rows, n, A]; all of them unless a subclass says otherwise."""
        return np.ones((len(rows), self.n_agents, self.n_actions), dtype=np.bool_)

    def won(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the games [rows] that have just ended count as won."""
        raise NotImplementedError

    # --- what the vector runner calls ---------------------------------------------------------------------------------

    def reset(self, rows: Bools | None = None) -> None:
        """Begin new games in the rows [B] (None: all)."""
        chosen = self._rows(rows)
        self.t[chosen] = 0
        self.start(chosen)

    def observe(self, obs: NDArray[Any], state: NDArray[Any], avail: NDArray[Any], rows: Bools | None = None) -> None:
        """Write obs [B, n, obs_size], state [B, state_size] and avail [B, n, A] of the rows."""
        chosen = self._rows(rows)
        obs[chosen], state[chosen] = self.observations(chosen), self.states(chosen)
        avail[chosen] = self.available(chosen)

    def step(self, actions: NDArray[np.int64], rows: Bools | None = None) -> StepResult:
        """Play actions [B, n] in the rows; ValueError for one that is not available, before anything has changed."""
        chosen = self._rows(rows)
        self._check(actions, chosen)
        self.t[chosen] += 1
        rewards, over = self.play(actions[chosen], chosen)
        result = StepResult.zeros(self.n_battles)
        result.reward[chosen] = rewards
        result.timeout[chosen] = ~over & (self.t[chosen] >= self.episode_limit)
        result.terminated[chosen] = over | result.timeout[chosen]
        result.battle_won[chosen] = over & self.won(chosen)
        return result

    def get_env_info(self) -> dict[str, Any]:
        """Sizes that batches and networks are built from."""
        sizes = {"state_shape": self.state_size, "obs_shape": self.obs_size, "n_actions": self.n_actions}
        return {**sizes, "n_agents": self.n_agents, "episode_limit": self.episode_limit}

    def get_stats(self) -> dict[str, float]:
        """Nothing is counted."""
        return {}

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of everything that changes."""
        words = []
        for generator in self.random:
            state = generator.bit_generator.state
            numbers = [state["state"][key] >> shift & WORD for key in ("state", "inc") for shift in (0, 64)]
            words.append([*numbers, state["has_uint32"], state["uinteger"]])
        return {name: array.copy() for name, array in self.changing.items()} | {"random": np.array(words, np.uint64)}

    def restore(self, saved: dict[str, NDArray[Any]]) -> None:
        """Return to a snapshot of as many games."""
        for name, array in self.changing.items():
            array[...] = saved[name]
        for generator, words in zip(self.random, saved["random"].tolist()):
            numbers = {"state": words[0] | words[1] << 64, "inc": words[2] | words[3] << 64}
            rest = {"has_uint32": words[4], "uinteger": words[5]}
            generator.bit_generator.state = {"bit_generator": "PCG64", "state": numbers, **rest}

    def close(self) -> None:
        """Nothing to release."""

    def _rows(self, rows: Bools | None) -> NDArray[np.int64]:
        return np.arange(self.n_battles) if rows is None else np.flatnonzero(rows)

    def _check(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        chosen = actions[rows]
        legal = (chosen >= 0) & (chosen < self.n_actions)
        inside = np.where(legal, chosen, 0)
        legal &= np.take_along_axis(self.available(rows), inside[..., None], axis=2)[..., 0]
        if not legal.all():
            row, agent = np.argwhere(~legal)[0]
            raise ValueError(f"Agent {agent} cannot take action {chosen[row, agent]} now (game {rows[row]}).")


class SingleGame(MultiAgentEnv):
    """One game of a `VectorGame` made for one, for runners that take environments one by one."""

    def __init__(self, games: VectorGame, seed: int | None) -> None:
        self.games = games
        self._seed = seed
        self.n_agents, self.episode_limit = games.n_agents, games.episode_limit

    def reset(self) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Begin a game; returns the observations and the state."""
        self.games.reset()
        return self.get_obs(), self.get_state()

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Play the agents' actions [n_agents]."""
        chosen = np.array([int(action) for action in actions], dtype=np.int64)
        if len(chosen) != self.n_agents:
            raise ValueError(f"There are {self.n_agents} agents, but {len(chosen)} actions.")
        result = self.games.step(chosen[None])
        return float(result.reward[0]), bool(result.terminated[0]), {"battle_won": bool(result.battle_won[0])}

    def get_obs(self) -> list[NDArray[np.float32]]:
        """Observations of all agents."""
        return list(self.games.observations(np.arange(1))[0])

    def get_obs_agent(self, agent_id: int) -> NDArray[np.float32]:
        """Observation of one agent."""
        return self.get_obs()[agent_id]

    def get_obs_size(self) -> int:
        """Length of an observation."""
        return self.games.obs_size

    def get_state(self) -> NDArray[np.float32]:
        """The global state."""
        return self.games.states(np.arange(1))[0]

    def get_state_size(self) -> int:
        """Length of the state."""
        return self.games.state_size

    def get_avail_actions(self) -> list[list[int]]:
        """Available actions of all agents, lists of 0 and 1."""
        actions: list[list[int]] = self.games.available(np.arange(1))[0].astype(int).tolist()
        return actions

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Available actions of one agent, a list of 0 and 1."""
        return self.get_avail_actions()[agent_id]

    def get_total_actions(self) -> int:
        """Number of actions of an agent."""
        return self.games.n_actions

    def seed(self) -> int | None:
        """The seed given."""
        return self._seed
