"""MADDPG and MASAC on simple_spread with continuous actions, beside play at random and by fixed assignment.

python3 tests/benchmarks/bench_simple_spread.py [--steps 12000] [--agents 3] [--seeds 1 2] [maddpg masac]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "support")]

import torch  # noqa: E402
from short_training import Training  # noqa: E402

from envs import REGISTRY  # noqa: E402


def scripted_return(n_agents: int, assigned: bool, episodes: int = 200) -> tuple[float, float]:
    """Mean return at random or of agent i steering to landmark i, and the standard error."""
    env = REGISTRY["pettingzoo"](key="mpe2:simple_spread_v3", kwargs={"N": n_agents}, seed=1)
    random, returns = np.random.default_rng(1), []
    for _ in range(episodes):
        env.reset()
        returns.append(0.0)
        over = False
        while not over:
            actions = random.uniform(-1, 1, (n_agents, 5))
            if assigned:
                obs = np.array(env.get_obs())
                way = obs[:, 4 : 4 + 2 * n_agents].reshape(n_agents, n_agents, 2)[range(n_agents), range(n_agents)]
                force = np.clip(8.0 * way - 1.5 * obs[:, :2], -1, 1)
                sides = np.stack((-force[:, 0], force[:, 0], -force[:, 1], force[:, 1]), axis=1)  # left right down up
                actions[:, 1:] = 2 * np.maximum(sides, 0) - 1
            reward, over, _ = env.step(actions)
            returns[-1] += reward
    return float(np.mean(returns)), float(np.std(returns) / len(returns) ** 0.5)


def main() -> None:
    """Print a line for each way to play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["maddpg", "masac"])
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    given = parser.parse_args()
    torch.set_num_threads(1)
    for what, assigned in (("random", False), ("agent i to landmark i", True)):
        mean, error = scripted_return(given.agents, assigned)
        print(f"{what:<24} return {mean:7.1f} +- {error:.1f}", flush=True)
    for name in given.names:
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as folder:
                training = Training(
                    name, Path(folder), seed, env="pettingzoo", env_args={"kwargs": {"N": given.agents}}
                )
                began = time.process_time()
                training.until(given.steps)
                seconds = time.process_time() - began
                tests: list[float] = []
                while len(tests) < 96:
                    training._parts.runner.run(test_mode=True)
                    tests += [row["return"] for row in training._parts.runner.last_episodes]
                training.close()
            first, last = np.mean(training.returns[:10]), np.mean(training.returns[-10:])
            error = np.std(tests) / len(tests) ** 0.5
            print(
                f"{name} seed {seed}: {given.steps} steps, {seconds:.0f} CPU-s ({given.steps / seconds:.0f} steps per "
                f"CPU-s); sampled play {first:.1f} -> {last:.1f}; tests {np.mean(tests):.1f} +- {error:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
