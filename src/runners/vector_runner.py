"""Many battles in one process: the engine steps them together and writes into the episode batch's memory itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from components.episode_buffer import EpisodeBatch
from envs import VECTOR_REGISTRY
from runners.base_runner import BaseRunner


class VectorRunner(BaseRunner):
    """Plays `batch_size_run` battles in lock-step; those that have ended stand still until the last one has.

    (Refilling their places would favour short episodes.) The controller's network runs on the living rows alone.
    """

    _battles: dict[bool, Any]

    def _open(self, test_mode: bool) -> dict[str, Any]:
        make: Callable[..., Any] = VECTOR_REGISTRY[self.args.env]
        battles = make(n_battles=self.batch_size, seed=self._seed(test_mode), **self._env_args())
        if not hasattr(self, "_battles"):
            self._battles = {}
        self._battles[test_mode] = battles
        return battles.get_env_info()

    def _of(self, test_mode: bool) -> Any:
        if test_mode not in self._battles:
            self._open(test_mode)
        return self._battles[test_mode]

    def _play(self, batch: EpisodeBatch, n_episodes: int, test_mode: bool) -> list[dict[str, float]]:
        battles = self._of(test_mode)
        fields = {key: value.numpy() for key, value in batch.data.transition_data.items()}
        n = self.batch_size
        live = np.arange(n) < n_episodes
        totals = _Totals(n)
        actions = np.zeros((n, battles.n_agents), dtype=np.int64)
        battles.reset(live.copy())
        t = 0
        self._observe(battles, batch, fields, t, live)
        while live.any():
            rows = np.flatnonzero(live)
            everyone = len(rows) == n
            chosen, probs = self._select(batch, t, slice(None) if everyone else torch.from_numpy(rows), test_mode)
            actions[rows] = chosen.numpy()
            result = battles.step(actions, live)
            fields["actions"][rows, t, :, 0] = actions[rows]
            fields["reward"][:, t, 0] = result.reward
            fields["terminated"][:, t, 0] = self._terminal(result)
            if probs is not None:
                batch.data.transition_data["probs"][rows, t] = probs.detach().cpu()
            totals.add(result, live)
            t += 1
            self._observe(battles, batch, fields, t, live)
            live &= ~result.terminated
        self.t = t
        return totals.rows(n_episodes)

    def _observe(
        self, battles: Any, batch: EpisodeBatch, fields: dict[str, NDArray[Any]], t: int, live: NDArray[np.bool_]
    ) -> None:
        battles.observe(fields["obs"][:, t], fields["state"][:, t], fields["avail_actions"][:, t], live)
        # By torch, not by the view: that tells the batch to compute derived fields anew.
        batch.data.transition_data["filled"][:, t, 0] = torch.from_numpy(live)

    def _terminal(self, result: Any) -> NDArray[np.bool_]:
        """Which steps end their episode for good: time-outs too, unless an environment's key makes them truncations."""
        env_args = self.args.env_args
        if env_args.get("continuing_episode", False) or env_args.get("corrected_rules", False):
            return result.terminated & ~result.timeout
        return result.terminated

    def record_replays(self, folder: Path, episodes: int) -> bool:
        """Let the test battles write replays of their next episodes into the folder; False if they cannot."""
        battles = self._of(True)
        if not hasattr(battles, "record_replays"):
            return False
        battles.record_replays(folder, episodes)
        return True

    def _environment_state(self) -> dict[str, Any]:
        return {
            "test" if test_mode else "train": {
                name: torch.from_numpy(np.array(value)) for name, value in battles.snapshot().items()
            }
            for test_mode, battles in self._battles.items()
        }

    def _load_environment_state(self, state: dict[str, Any]) -> None:
        for name, saved in state.items():
            self._of(name == "test").restore({key: value.numpy() for key, value in saved.items()})

    def close_env(self) -> None:
        """Release the engines."""
        for battles in self._battles.values():
            battles.close()


class _Totals:
    """Returns, lengths and results of the episodes being played."""

    def __init__(self, n: int) -> None:
        self.returns = np.zeros(n)
        self.lengths = np.zeros(n, dtype=np.int64)
        self.results: list[dict[str, float]] = [{} for _ in range(n)]

    def add(self, result: Any, live: NDArray[np.bool_]) -> None:
        self.returns += result.reward
        self.lengths += live
        for b in np.flatnonzero(result.terminated & live):
            self.results[b] = {
                "battle_won": float(result.battle_won[b]),
                "dead_allies": float(result.dead_allies[b]),
                "dead_enemies": float(result.dead_enemies[b]),
                "timeout": float(result.timeout[b]),
            }

    def rows(self, n_episodes: int) -> list[dict[str, float]]:
        return [
            {"return": float(self.returns[b]), "length": int(self.lengths[b]), **self.results[b]}
            for b in range(n_episodes)
        ]
