"""SMAC's environment class over the embedded engine: one battle behind the official package's methods.

    env = StarCraft2Env(map_name="3m", seed=1)
    obs, state = env.reset()
    reward, terminated, info = env.step(actions)

Names, shapes, types and quirks are those of `smac.env.StarCraft2Env`; see `skirmish.rules` for the quirks. What the
official class needs to talk to the game (`get_agent_action`, `init_units`, `update_units`, ...) is missing.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.battles import Battles
from skirmish.kernel_layout import GAMES, TIMEOUTS, WON
from skirmish.options import SettingError
from skirmish.recorder import Recorder
from skirmish.replay import SUFFIX, Replay
from skirmish.rules import NotRunningError
from skirmish.unit_access import UnitAccess

Array = NDArray[np.floating[Any]]


class StarCraft2Env(UnitAccess):
    """One battle; arguments as in the official package (`options.RuleOptions`), `corrected_rules`, and the engine's
    (`options.EngineOptions`: profile, build, enemy_medivac, threads). `seed=None` draws a seed.

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
        self._seed = checked_seed(seed)
        self._battles = self._make_battles(map_name, notify, arguments)
        self._rules = self._battles.rules
        spec = self._battles.map_spec
        self.map_name, self.map_type = map_name, spec.map_type
        self.map_x, self.map_y = self.max_distance_x, self.max_distance_y = spec.pathing.shape
        self.ally_types = spec.ally_types
        self.unit_type_bits = spec.unit_type_bits
        self.shield_bits_ally, self.shield_bits_enemy = int(spec.a_race == "P"), int(spec.b_race == "P")
        self.n_actions_no_attack, self.n_actions_move = 6, 4
        self.force_restarts = 0
        self.options = self._rules.options
        self.n_agents, self.n_enemies = self._battles.n_agents, self._battles.n_enemies
        self.n_actions, self.episode_limit = self._battles.n_actions, self._battles.episode_limit
        self._obs, self._state, self._avail = self._battles.frame()
        self._started = self._timed_out = False
        self._origin: dict[str, NDArray[Any]] = {}
        self._played: list[NDArray[np.int64]] = []

    def _make_battles(self, map_name: str, notify: Callable[[str], None] | None, arguments: dict[str, Any]) -> Battles:
        return Battles(map_name, n_battles=1, seed=self._seed, notify=notify, **arguments)

    def reset(self) -> tuple[list[Array], Array]:
        """Begin an episode; returns the observations of all agents and the state."""
        self._battles.reset()
        self._started, self._timed_out = True, False
        self._remember()
        self._observe()
        return self.get_obs(), self.get_state()

    def step(self, actions: Sequence[int] | NDArray[Any]) -> tuple[float, bool, dict[str, Any]]:
        """Play one step; returns reward, terminated, info.

        info holds `battle_won`, `dead_allies`, `dead_enemies`, and `episode_limit` on a time-out with
        `continuing_episode`. With `heuristic_ai` the caller's `actions` are overwritten by the script's.
        Raises, before anything changes, IllegalActionError (an AssertionError) for an action that is not available,
        ValueError for a wrong number of actions, NotRunningError before `reset` or after the end of an episode.
        """
        if len(actions) != self.n_agents:
            raise ValueError(f"{self.map_name} has {self.n_agents} agents, but {len(actions)} actions were given.")
        chosen = np.array([[int(action) for action in actions]], dtype=np.int64)
        result = self._battles.step(chosen)
        self._played.append(chosen)
        if self.options.heuristic_ai and not self.options.corrected_rules:
            for agent in range(self.n_agents):
                actions[agent] = int(chosen[0, agent])  # type: ignore[index]
        self._timed_out = bool(result.timeout[0])
        self._observe()
        info: dict[str, Any] = {
            "battle_won": bool(result.battle_won[0]),
            "dead_allies": int(result.dead_allies[0]),
            "dead_enemies": int(result.dead_enemies[0]),
        }
        if self._timed_out and (self.options.continuing_episode or self.options.corrected_rules):
            info["episode_limit"] = True
        reward = float(result.reward[0])
        if self.options.reward_sparse and not self.options.reward_scale:
            reward = int(reward)
        return reward, bool(result.terminated[0]), info

    def get_obs(self) -> list[Array]:
        """Observations of all agents, a list of vectors."""
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int) -> Array:
        """Observation of one agent; IndexError if there is no such agent.

        float32, or float64 with `obs_timestep_number` unless the rules are corrected.
        """
        self._require_start()
        self._check_agent(agent_id)
        obs: Array = self._obs[0, agent_id].copy()
        if self.options.obs_timestep_number and not self.options.corrected_rules:
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
        """Available actions of one agent, a list of 0 and 1; IndexError if there is no such agent."""
        self._require_start()
        self._check_agent(agent_id)
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
        return self._battles.get_stats() | {"restarts": self.force_restarts}

    @property
    def living(self) -> NDArray[np.bool_]:
        """Which agents are alive [n_agents]."""
        units = self._battles.engine.units
        alive: NDArray[np.bool_] = (units.alive & (units.health > 0))[0, : self.n_agents]
        return alive

    @property
    def array_sizes(self) -> tuple[int, int]:
        """True lengths of an observation and the state; the size queries tell SMAC's."""
        return self._rules.obs_size, self._rules.state_size

    @property
    def timed_out(self) -> bool:
        """Whether the latest step ended the episode by its length alone."""
        return self._timed_out

    def action_name(self, action: int, agent_id: int = 0) -> str:
        """An agent's action in words."""
        return self._rules.action_name(action, agent_id)

    @property
    def battles_won(self) -> int:
        """Battles won since the start."""
        return int(self._rules.counters[0, WON])

    @property
    def battles_game(self) -> int:
        """Battles that have ended since the start."""
        return int(self._rules.counters[0, GAMES])

    @property
    def timeouts(self) -> int:
        """Battles that were ended by the limit of their length."""
        return int(self._rules.counters[0, TIMEOUTS])

    @property
    def max_reward(self) -> float:
        """The return that `reward_scale` makes equal to `reward_scale_rate`."""
        return float(self._rules.max_reward[0])

    def fix_reward_scale(self) -> None:
        """Keep the reward's scale right however often `reset` is called before the first episode has ended."""
        self._rules.fix_reward_scale()

    def require_running(self) -> None:
        """NotRunningError unless an episode is running."""
        self._rules.require_running()

    def seed(self, seed: int | None = None) -> int:
        """The seed in use; with an argument the random stream first restarts from it, and the next `reset` with it."""
        if seed is not None:
            self._seed = checked_seed(seed)
            self._battles.engine.seed(0, self._seed)
            self._remember()
        return self._seed

    def full_restart(self) -> None:
        """Restart the random stream from the seed, as restarting the game would; counted in `get_stats`."""
        self._battles.engine.seed(0, self._seed)
        self._remember()
        self.force_restarts += 1

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of everything that changes, for `restore`."""
        return self._battles.snapshot() | {"started": np.array(self._started)}

    def restore(self, saved: dict[str, NDArray[Any]]) -> None:
        """Go back to a snapshot of equal map and arguments."""
        self._started = bool(saved["started"])
        self._battles.restore({name: array for name, array in saved.items() if name != "started"})
        self._remember()
        if self._started:
            self._observe()

    def close(self) -> None:
        """Release the engine."""
        self._battles.close()

    def save_replay(self) -> Path:
        """Write a replay of the episode as far as it has been played; returns the file.

        It goes to `replay_dir` (empty: the folder `replays`) as `<replay_prefix or map>_<time>_<number>.npz`.
        It begins with the latest `reset`, or with a later `restore`, `seed` or `full_restart`. Nothing has to be
        recorded beforehand: the battle is played a second time. Raises NotRunningError before the first `reset`.
        """
        self._require_start()
        options = self.options
        prefix = options.replay_prefix or Path(self.map_name).stem
        stamp = f"{datetime.datetime.now():%Y-%m-%d-%H-%M-%S}"
        folder = Path(options.replay_dir or "replays")
        names = (folder / f"{prefix}_{stamp}_{number}{SUFFIX}" for number in itertools.count())
        return self.replay().save(next(path for path in names if not path.exists()))

    def replay(self) -> Replay:
        """The episode as far as it has been played; see `save_replay`."""
        self._require_start()
        battles, found = self._battles, list[Replay]()
        outer, battles.recorder = battles.recorder, None
        present = battles.snapshot()
        battles.restore(self._origin)
        recorder = Recorder(battles, found.append, episodes=1)
        recorder.begin(np.ones(1, dtype=np.bool_))
        battles.recorder = recorder
        try:
            for actions in self._played:
                battles.step(actions.copy())
            recorder.cut()
        finally:
            battles.recorder = None
            battles.restore(present)
            battles.recorder = outer
        return found[0]

    def record_replays(self, folder: str | Path, episodes: int | None = 1, first: int = 0, stride: int = 1) -> None:
        """Write replays of the next episodes as each of them ends, as `Battles.record_replays`."""
        self._battles.record_replays(folder, episodes, first, stride)

    def render(self, mode: str = "human") -> None:
        """The embedded engine opens no window; NotImplementedError says what there is instead."""
        raise NotImplementedError(
            "The embedded engine opens no window; call save_replay() and look at that (docs/replays.md)."
        )

    def _remember(self) -> None:
        """Let replays begin here."""
        self._origin = self._battles.snapshot()
        self._played = []

    def _observe(self) -> None:
        self._battles.observe(self._obs, self._state, self._avail)

    def _require_start(self) -> None:
        if not self._started:
            raise NotRunningError("The battle has not begun: call reset() first.")


def checked_seed(seed: int | None) -> int:
    """The seed, or a fresh one for None; SettingError for anything but whole numbers from 0."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SettingError(f"seed must be a whole number of at least 0, not {seed!r}.")
    return int(seed)
