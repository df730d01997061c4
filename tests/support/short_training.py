"""A training in small, without tests and records: for learning tests and benchmarks."""

from pathlib import Path
from types import SimpleNamespace

from configuration import compose
from run import assembly
from utils.logging import Logger, get_logger
from utils.seeding import seed_everything


def returns_of_training(name: str, directory: Path, steps: int, seed: int = 1, map_name: str = "3m") -> list[float]:
    """Train for so many environment steps; the mean return of every batch of episodes (20 is a win)."""
    config = compose(name, "sc2") | {"seed": seed, "device": "cpu"}
    config["env_args"] = config["env_args"] | {"map_name": map_name, "seed": seed}
    args = SimpleNamespace(**config)
    seed_everything(seed)
    parts = assembly.build(args, Logger(get_logger()), directory)
    returns: list[float] = []
    while parts.runner.t_env < steps:
        batch = parts.runner.run(test_mode=False)
        returns.append(batch["reward"].sum().item() / batch.batch_size)
        parts.learner.train(batch[:, : batch.max_t_filled()], parts.runner.t_env, len(returns))
    parts.runner.close_env()
    return returns
