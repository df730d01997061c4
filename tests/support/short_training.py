"""A training in small, without records: for learning tests and benchmarks."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from configuration import compose
from run import assembly
from run.training import Label, Trainer
from utils.logging import Logger, get_logger
from utils.seeding import seed_everything


class Training:
    """An algorithm on a SMAC map, as its overlay says but for `keys`; `returns`: of every batch of episodes so far.

    Of another environment than SMAC's, `env` is the overlay and `env_args` what differs from it.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        seed: int = 1,
        map_name: str = "3m",
        env: str = "sc2",
        env_args: dict[str, Any] | None = None,
        **keys: Any,
    ) -> None:
        config = compose(name, env) | {"seed": seed, "device": "cpu"} | keys
        of_env = {"map_name": map_name} if env == "sc2" else env_args or {}
        config["env_args"] = config["env_args"] | of_env | {"seed": seed}
        args = SimpleNamespace(**config)
        seed_everything(seed)
        self.returns: list[float] = []
        self._parts = assembly.build(args, Logger(get_logger()), directory)
        self._trainer = Trainer(self._parts, args, directory, Label(name, map_name, seed, "", "", config))

    def until(self, steps: int) -> None:
        """Go on until so many environment steps have been played."""
        while self._parts.runner.t_env < steps:
            with torch.no_grad():
                batch = self._parts.runner.run(test_mode=False)
            self.returns.append(batch["reward"].sum().item() / batch.batch_size)
            self._trainer.learn(batch)

    def win_rate(self, episodes: int) -> float:
        """Share of at least so many greedy test episodes that are won now."""
        played: list[dict[str, float]] = []
        while len(played) < episodes:
            with torch.no_grad(), getattr(self._parts.learner, "testing", nullcontext)():
                self._parts.runner.run(test_mode=True)
            played += self._parts.runner.last_episodes
        return sum(row["battle_won"] for row in played) / len(played)

    def close(self) -> None:
        """Release the environments."""
        self._parts.runner.close_env()


def returns_of_training(
    name: str, directory: Path, steps: int, seed: int = 1, map_name: str = "3m", **keys: Any
) -> list[float]:
    """Train for so many environment steps; the mean return of every batch of episodes (20 is a win)."""
    training = Training(name, directory, seed, map_name, **keys)
    training.until(steps)
    training.close()
    return training.returns
