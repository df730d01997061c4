"""SMAC's environment class over the embedded engine: one battle behind the official package's methods.

    env = StarCraft2Env(map_name="3m", seed=1)
    obs, state = env.reset()
    reward, terminated, info = env.step(actions)

Names, shapes, types and quirks are those of `smac.env.StarCraft2Env`; see `skirmish.rules` for the quirks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.battles import Battles

Array = NDArray[np.floating[Any]]


class StarCraft2Env:
    """One battle; arguments as in the official package (`options.RuleOptions`), `seed=None` draws a seed.

    Raises MapError for a map that does not exist or cannot be played, SettingError for a wrong argument.
    """

    def __init__(
        self,
        map_name: str = "8m",
        *,
        seed: int | None = None,
        notify: Callable[[str], None] | None = print,
        **arguments: Any,
    ) -> None:
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._battles = Battles(map_name, n_battles=1, seed=self._seed, notify=notify, **arguments)
        self._rules = self._battles.rules
        self.map_name = map_name
        self.options = self._rules.options
        self.n_agents, self.n_enemies = self._battles.n_agents, self._battles.n_enemies
        self.n_actions, self.episode_limit = self._battles.n_actions, self._battles.episode_limit
        self._obs, self._state, self._avail = self._battles.frame()
        self._started = False

    def reset(self) -> tuple[list[Array], Array]:
        """Begin an episode; returns the observations of all agents and the state."""
        self._battles.reset()
        self._started = True
        self._observe()
        return self.get_obs(), self.get_state()

    def step(self, actions: Sequence[int] | NDArray[Any]) -> tuple[float, bool, dict[str, Any]]:
        """Play one step; returns reward, terminated, info.

        info holds `battle_won`, `dead_allies`, `dead_enemies`, and `episode_limit` on a time-out with
        `continuing_episode`. With `heuristic_ai` the caller's `actions` are overwritten by the script's.
        Raises IllegalActionError (an AssertionError) for an action that is not available.
        """
        self._require_start()
        chosen = np.array([[int(action) for action in actions]], dtype=np.int64)
        result = self._battles.step(chosen)
        if self.options.heuristic_ai:
            for agent in range(self.n_agents):
                actions[agent] = int(chosen[0, agent])  # type: ignore[index]
        self._observe()
        info: dict[str, Any] = {
            "battle_won": bool(result.battle_won[0]),
            "dead_allies": int(result.dead_allies[0]),
            "dead_enemies": int(result.dead_enemies[0]),
        }
        if result.timeout[0] and self.options.continuing_episode:
            info["episode_limit"] = True
        reward = float(result.reward[0])
        if self.options.reward_sparse and not self.options.reward_scale:
            reward = int(reward)
        return reward, bool(result.terminated[0]), info

    def get_obs(self) -> list[Array]:
        """Observations of all agents, a list of vectors."""
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int) -> Array:
        """Observation of one agent: float32, or float64 with `obs_timestep_number`."""
        self._require_start()
        obs: Array = self._obs[0, agent_id].copy()
        if self.options.obs_timestep_number:
            obs = obs.astype(np.float64)
            obs[-1] = int(self._rules.steps[0]) / self.episode_limit
        return obs

    def get_state(self) -> Array:
        """The global state, float32."""
        self._require_start()
        return self._state[0].copy()

    def get_avail_actions(self) -> list[list[int]]:
        """Available actions of all agents, lists of 0 and 1."""
        return [self.get_avail_agent_actions(agent) for agent in range(self.n_agents)]

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Available actions of one agent, a list of 0 and 1."""
        self._require_start()
        available: list[int] = self._avail[0, agent_id].tolist()
        return available

    def get_visibility_matrix(self) -> NDArray[np.bool_]:
        """Who sees whom, [n_agents, n_agents + n_enemies]."""
        self._require_start()
        return self._rules.visibility(self._battles.engine.units)[0]

    def get_obs_size(self) -> int:
        """Length of an observation as SMAC counts it: one too few with `obs_timestep_number`."""
        return self._rules.sizes.obs_query

    def get_state_size(self) -> int:
        """Length of the state as SMAC counts it."""
        return self._rules.sizes.state_query

    def get_total_actions(self) -> int:
        """Number of actions of every agent."""
        return self.n_actions

    def get_obs_move_feats_size(self) -> int:
        """Length of the movement features."""
        return self._rules.sizes.move_feats

    def get_obs_enemy_feats_size(self) -> tuple[int, int]:
        """Number of enemies and features of each."""
        return self._rules.sizes.enemy_feats

    def get_obs_ally_feats_size(self) -> tuple[int, int]:
        """Number of other allies and features of each."""
        return self._rules.sizes.ally_feats

    def get_obs_own_feats_size(self) -> int:
        """Length of an agent's own features."""
        return self._rules.sizes.own_feats

    def get_env_info(self) -> dict[str, Any]:
        """Sizes and feature names under SMAC's keys."""
        info = self._rules.get_env_info()
        del info["n_enemies"]
        return info

    def get_stats(self) -> dict[str, float]:
        """Counts of battles; ZeroDivisionError before the first has ended, as in SMAC."""
        return self._battles.get_stats()

    def seed(self) -> int:
        """The seed in use."""
        return self._seed

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of everything that changes, for `restore`."""
        return self._battles.snapshot() | {"started": np.array(self._started)}

    def restore(self, saved: dict[str, NDArray[Any]]) -> None:
        """Go back to a snapshot of equal map and arguments."""
        self._started = bool(saved["started"])
        self._battles.restore({name: array for name, array in saved.items() if name != "started"})
        if self._started:
            self._observe()

    def close(self) -> None:
        """Release the engine."""
        self._battles.close()

    def save_replay(self) -> None:
        """Not part of this version."""
        raise NotImplementedError("The embedded engine writes no replays yet; they come with a later version.")

    def render(self, mode: str = "human") -> None:
        """Not part of this version."""
        raise NotImplementedError("The embedded engine draws no pictures yet; they come with a later version.")

    def _observe(self) -> None:
        self._battles.observe(self._obs, self._state, self._avail)

    def _require_start(self) -> None:
        if not self._started:
            raise RuntimeError("The battle has not begun: call reset() first.")
