"""What runners report: statistics of finished episodes, under PyMARL's names."""

from types import SimpleNamespace
from typing import Any

import numpy as np


class EpisodeStatistics:
    """Collects one row per finished episode and logs their means.

    A row holds `return`, `length` and every number of the environment's last `info`; each of the latter is logged as
    `<key>_mean`. Test episodes are logged, with the prefix `test_`, when `args.test_nepisode` of them are there;
    training episodes every `args.runner_log_interval` environment steps.
    """

    def __init__(self, args: SimpleNamespace, logger: Any) -> None:
        self.logger = logger
        self.test_nepisode: int = args.test_nepisode
        self.log_interval: int = args.runner_log_interval
        self.train_rows: list[dict[str, float]] = []
        self.test_rows: list[dict[str, float]] = []
        self.last_logged = -1_000_000

    @property
    def test_episodes_missing(self) -> int:
        """How many test episodes are still to be played before they are logged."""
        return self.test_nepisode - len(self.test_rows)

    def add(self, rows: list[dict[str, float]], t_env: int, test_mode: bool, epsilon: float | None = None) -> None:
        """Take in the rows of one run; log what is due. `epsilon` is logged beside training episodes."""
        if test_mode:
            self.test_rows += rows
            if self.test_episodes_missing <= 0:
                self._log(self.test_rows, "test_", t_env)
                self.test_rows = []
            return
        self.train_rows += rows
        if t_env - self.last_logged >= self.log_interval:
            self._log(self.train_rows, "", t_env)
            if epsilon is not None:
                self.logger.log_stat("epsilon", epsilon, t_env)
            self.train_rows = []
            self.last_logged = t_env

    def _log(self, rows: list[dict[str, float]], prefix: str, t_env: int) -> None:
        returns = [row["return"] for row in rows]
        self.logger.log_stat(prefix + "return_mean", float(np.mean(returns)), t_env)
        self.logger.log_stat(prefix + "return_std", float(np.std(returns)), t_env)
        self.logger.log_stat(prefix + "ep_length_mean", float(np.mean([row["length"] for row in rows])), t_env)
        # An environment may leave a key out of some episodes; PyMARL's mean is over all episodes.
        for key in dict.fromkeys(key for row in rows for key in row):
            if key not in ("return", "length"):
                total = sum(row.get(key, 0.0) for row in rows)
                self.logger.log_stat(f"{prefix}{key}_mean", float(total) / len(rows), t_env)

    def state_dict(self) -> dict[str, Any]:
        """The rows not logged yet."""
        return {
            "train_rows": [dict(row) for row in self.train_rows],
            "test_rows": [dict(row) for row in self.test_rows],
            "last_logged": self.last_logged,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.train_rows = [dict(row) for row in state["train_rows"]]
        self.test_rows = [dict(row) for row in state["test_rows"]]
        self.last_logged = int(state["last_logged"])


def numbers_of(info: dict[str, Any]) -> dict[str, float]:
    """The entries of an environment's `info` that are single numbers, as floats."""
    return {
        key: float(value)
        for key, value in info.items()
        if isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))
    }
