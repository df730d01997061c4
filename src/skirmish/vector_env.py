"""Gymnasium's vector interface to many battles at once.

    envs = SkirmishVectorEnv("2s3z", num_envs=64)
    observations, infos = envs.reset(seed=1)
    observations, rewards, terminations, truncations, infos = envs.step(envs.action_space.sample())

A sub-environment is a whole battle, its action one number for every agent, its reward the team's. `gymnasium.make_vec`
knows it as "skirmish.vector_env:Skirmish-v0".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.battles import Battles
from skirmish.env import checked_seed
from skirmish.optional import require
from skirmish.rules import NotRunningError, StepResult

require("gymnasium", "vector_env")

import gymnasium  # noqa: E402
from gymnasium import spaces  # noqa: E402
from gymnasium.vector import AutoresetMode, VectorEnv  # noqa: E402
from gymnasium.vector.utils import batch_space  # noqa: E402

from skirmish.spaces import AvailableMultiDiscrete  # noqa: E402

Observations = dict[str, NDArray[Any]]


class SkirmishVectorEnv(VectorEnv[Observations, NDArray[np.int64], NDArray[Any]]):
    """`num_envs` battles; arguments as for `battles.Battles`, and `autoreset_mode`, Gymnasium's.

    An observation is `{"obs": float32 [B, n, obs_size], "state": float32 [B, state_size], "action_mask": int8
    [B, n, n_actions]}`, actions are int [B, n], numbered as in SMAC (0 is the dead agents' no-op). Time-outs are
    truncations. infos: `battle_won`, `dead_allies`, `dead_enemies` [B], with Gymnasium's masks `_battle_won`, ...
    `action_space.sample()` draws available actions. seed: for battles that are never given one by `reset`.
    """

    def __init__(
        self,
        map_name: str = "8m",
        num_envs: int = 1,
        seed: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **arguments: Any,
    ) -> None:
        self._battles = Battles(map_name, n_battles=num_envs, seed=checked_seed(seed), **arguments)
        self._battles.rules.fix_reward_scale()
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self._frame = self._battles.frame()
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._started = False
        obs, state, avail = self._frame
        self.single_observation_space = spaces.Dict(
            {
                "obs": spaces.Box(-1.0, 1.0, obs.shape[1:], np.float32),
                "state": spaces.Box(-np.inf, np.inf, state.shape[1:], np.float32),
                "action_mask": spaces.Box(0, 1, avail.shape[1:], np.int8),
            }
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = spaces.MultiDiscrete(np.full(avail.shape[1], avail.shape[2]))
        self._available = np.ones(avail.shape, dtype=np.int8)
        self.action_space = AvailableMultiDiscrete(self._available)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin new episodes everywhere, or where `options["reset_mask"]` (bool [B]) says.

        seed: a number gives battle i the stream of seed + i, a sequence every battle its own (None: continue).
        """
        mask = _reset_mask(options, self.num_envs)
        for battle, one in enumerate(_seeds(seed, self.num_envs)):
            if one is not None and mask[battle]:
                self._battles.engine.seed(battle, checked_seed(one))
        self._begin(mask)
        self._ended[mask] = False
        self._started = True
        return self._show(), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Play one step of every battle; what happens after an episode's end is the `autoreset_mode`.

        Raises, before anything changes, IllegalActionError naming battle, agent and action, NotRunningError before
        `reset`, or with autoreset disabled for a battle that has ended.
        """
        if not self._started:
            raise NotRunningError("The battles have not begun: call reset() first.")
        ended = self._ended.copy()
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._battles.rules.require_running()
        result = self._battles.step(np.asarray(actions), ~ended)
        if ended.any():  # only with next-step autoreset
            self._begin(ended)
        self._observe(~ended)
        infos = _infos(result, ~ended)
        over = result.terminated
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if over.any():
                infos = self._restart(over, infos)
        else:
            self._ended = over.copy()
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._ended[:] = False
        return self._show(), result.reward, over & ~result.timeout, result.timeout, infos

    def get_stats(self) -> dict[str, float]:
        """SMAC's counts over all battles; ZeroDivisionError before the first end (not with `corrected_rules`)."""
        return self._battles.get_stats()

    def record_replays(self, folder: str, episodes: int | None = 1) -> None:
        """Write replays of the next episodes to begin, as each of them ends, as `Battles.record_replays`."""
        self._battles.record_replays(folder, episodes)

    def close_extras(self, **kwargs: Any) -> None:
        """Release the engine."""
        self._battles.close()

    def _begin(self, rows: NDArray[np.bool_]) -> None:
        self._battles.reset(rows)
        self._observe(rows)

    def _observe(self, rows: NDArray[np.bool_]) -> None:
        self._battles.observe(*self._frame, rows)
        self._available[...] = self._frame[2]

    def _show(self) -> Observations:
        obs, state, avail = self._frame
        return {"obs": obs.copy(), "state": state.copy(), "action_mask": avail.astype(np.int8)}

    def _restart(self, over: NDArray[np.bool_], infos: dict[str, Any]) -> dict[str, Any]:
        """Begin the ended battles at once; their last frame and info go into the infos."""
        last = self._show()
        final = np.full(self.num_envs, None, dtype=object)
        for battle in np.flatnonzero(over):
            final[battle] = {key: array[battle] for key, array in last.items()}
        final_info = {key: array & over if key.startswith("_") else array for key, array in infos.items()}
        self._begin(over)
        goes_on = {key: array & ~over if key.startswith("_") else array for key, array in infos.items()}
        return {
            **goes_on, "final_obs": final, "_final_obs": over.copy(), "final_info": final_info,
            "_final_info": over.copy(),
        }  # fmt: skip


def _infos(result: StepResult, rows: NDArray[np.bool_]) -> dict[str, Any]:
    values = {"battle_won": result.battle_won, "dead_allies": result.dead_allies, "dead_enemies": result.dead_enemies}
    return values | {f"_{key}": rows.copy() for key in values}


def _seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    if seed is None:
        return [None] * count
    if isinstance(seed, (int, np.integer)):
        return [checked_seed(int(seed)) + battle for battle in range(count)]
    if len(seed) != count:
        raise ValueError(f"There are {count} battles, but {len(seed)} seeds.")
    return list(seed)


def _reset_mask(options: dict[str, Any] | None, count: int) -> NDArray[np.bool_]:
    mask = None if options is None else options.get("reset_mask")
    if mask is None:
        return np.ones(count, dtype=np.bool_)
    mask = np.asarray(mask)
    if mask.shape != (count,) or mask.dtype != np.bool_ or not mask.any():
        raise ValueError(f"reset_mask must be {count} booleans, at least one of them True, not {mask!r}.")
    chosen: NDArray[np.bool_] = mask.copy()
    return chosen


if "Skirmish-v0" not in gymnasium.registry:
    gymnasium.register(id="Skirmish-v0", vector_entry_point="skirmish.vector_env:SkirmishVectorEnv")
