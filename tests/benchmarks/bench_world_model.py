"""What the world model of an AMAL run is worth: its battles beside real ones, and what a policy learns in it alone.

    python3 tests/benchmarks/bench_world_model.py results/models/<token> compare
    python3 tests/benchmarks/bench_world_model.py results/models/<token> learn --updates 60 imagination_horizon=70

`compare`: battles that the run's policy plays for real and in the model, from their beginnings, step by step.
`learn`: a fresh policy, trained by PPO on imagined battles alone and tested in real ones. Further words set keys of the
run's configuration.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import torch
import yaml
from torch import Tensor

from run import assembly, checkpoints
from utils.logging import Logger, get_logger
from utils.seeding import seed_everything

STEPS = (5, 10, 15, 20, 30, 40, 50)
EPISODES = 64
FRESH = {"imagination_initial_share": 1.0, "imagination_rollouts": 32, "imagined_epochs": 5, "imagined_mini_batches": 2}
"""Of the fresh policy's training: whole passes over battles that begin where battles begin."""


def main() -> None:
    """Load the run's parts and do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder with checkpoint.pt")
    parser.add_argument("what", choices=("compare", "learn"))
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--every", type=int, default=20, help="imagined updates between two tests")
    parser.add_argument("keys", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    state = checkpoints.load(options.models / "checkpoint.pt")
    keys = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in options.keys)}
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "compare":
            parts = build(state, keys, Path(folder))
            for name in ("learner", "mac"):
                getattr(parts, name).load_state_dict(state[name])
            compare(parts)
        else:
            fresh = {"aux_ratio": 0.0, "lambda_info": 0.0, "policy_average": 0.0}
            parts = build(state, FRESH | fresh | keys, Path(folder))
            parts.learner.world_model.load_state_dict(state["learner"]["world_model"])
            learn(parts, options.updates, options.every)
        parts.runner.close_env()


def build(state: dict[str, Any], keys: dict[str, Any], folder: Path) -> assembly.Parts:
    """The parts of the run with its real episodes, playing as many at a time as are compared; networks are fresh."""
    config = copy.deepcopy(state["label"]["config"]) | {"batch_size_run": EPISODES, "device": "cpu"} | keys
    seed_everything(config["seed"])
    parts = assembly.build(SimpleNamespace(**config), Logger(get_logger()), folder)
    real = {name: part for name, part in state["buffer"].items() if name != "auxiliaries"}
    parts.buffer.load_state_dict(real | {"auxiliaries": {"rings": [], "dtypes": {}}})
    return parts


@torch.no_grad()
def compare(parts: assembly.Parts) -> None:
    """Print units alive and return, real | imagined."""
    imagination = parts.learner.imagination
    batch = parts.runner.run(test_mode=False)
    real = progress(parts, batch["state"], batch["filled"][:, 1:, 0] != 0, batch["reward"][:, :-1, 0])
    starts = imagination.starts(parts.buffer, 2 * EPISODES, 1.0)
    rollout = imagination.rollout(starts, STEPS[-1])
    imagined = progress(parts, rollout.state, rollout.mask, rollout.reward)
    print("step      allies          enemies         return     (real | imagined)")
    for step in STEPS:
        pairs = (f"{r:6.2f} |{i:6.2f}" for r, i in zip(real(step), imagined(step), strict=True))
        print(f"{step:4d} ", "  ".join(pairs))


def progress(
    parts: assembly.Parts, state: Tensor, steps: Tensor, reward: Tensor
) -> Callable[[int], tuple[float, float, float]]:
    """Mean allies alive, enemies alive and return so far, of battles that stay as they ended."""
    layout = parts.learner.world_model.model.layout
    alive = layout.alive(layout.tokens(state)).float()
    lengths, returns = steps.sum(1), (reward * steps).cumsum(1)

    def at(step: int) -> tuple[float, float, float]:
        last = lengths.clamp_max(step)
        units = alive[torch.arange(len(last)), last]
        allies, enemies = units[:, : layout.n_agents].sum(1), units[:, layout.n_agents :].sum(1)
        return float(allies.mean()), float(enemies.mean()), float(returns[:, min(step, returns.shape[1]) - 1].mean())

    return at


def learn(parts: assembly.Parts, updates: int, every: int) -> None:
    """Train in the model, test in the real environment."""
    learner = parts.learner
    learner.evolution = None
    learner.args.imagination_updates = every
    print("updates  imagined return  entropy  real return: greedy, sampled")
    for done in range(every, updates + 1, every):
        logged = learner._imagine(learner.args.t_max)
        greedy, sampled = (real_return(parts, test_mode) for test_mode in (True, False))
        line = f"{done:7d} {logged['imagined_return_mean']:16.2f} {logged['imagined_entropy']:8.2f}"
        print(f"{line} {greedy:20.2f} {sampled:8.2f}", flush=True)


@torch.no_grad()
def real_return(parts: assembly.Parts, test_mode: bool) -> float:
    """Mean return of real episodes."""
    batch = parts.runner.run(test_mode=test_mode)
    return float(batch["reward"].sum(1).mean())


if __name__ == "__main__":
    main()
