"""How fast MAPPO collects and trains: environment steps per CPU-second and per second of wall-clock.

    python tests/benchmarks/bench_mappo.py [--map 3m] [--config mappo] [--episodes 16] [--updates 12] [--epochs 5 15]

Everything of a training run is in the figures but tests, records and start-up. CPU seconds are those of the process.
"""

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import torch

from components.transforms import OneHot
from configuration import compose
from controllers import REGISTRY as mac_REGISTRY
from learners import REGISTRY as learner_REGISTRY
from run.assembly import build_scheme
from runners import REGISTRY as runner_REGISTRY
from runners import resolve


class SilentLogger:
    def log_stat(self, key, value, t, to_sacred=True):
        pass


def make_args(config, map_name, **changes):
    keys = compose(config, "sc2")
    keys["env_args"]["map_name"] = map_name
    return SimpleNamespace(**{**keys, "seed": 1, **changes})


def build(args):
    """A runner and a learner as a run has them."""
    logger = SilentLogger()
    runner = runner_REGISTRY[resolve(args)](args, logger)
    info = runner.get_env_info()
    for key in ("n_agents", "n_actions", "state_shape", "obs_shape", "episode_limit"):
        setattr(args, key, info[key])
    scheme, groups = build_scheme(info, need_probs=False)
    torch.manual_seed(1)
    mac = mac_REGISTRY[args.mac](scheme, groups, args)
    runner.setup(scheme, groups, {"actions": ("actions_onehot", [OneHot(args.n_actions)])}, mac)
    return runner, learner_REGISTRY[args.learner](mac, scheme, logger, args)


def measure(args, updates):
    """Environment steps, and CPU and wall seconds of rollout and training, after a warm-up of two updates."""
    runner, learner = build(args)
    spent = {"rollout": [0.0, 0.0], "training": [0.0, 0.0]}
    start = 0
    for update in range(updates + 2):
        if update == 2:
            start = runner.t_env
            spent = {"rollout": [0.0, 0.0], "training": [0.0, 0.0]}
        for part in spent:
            cpu, wall = time.process_time(), time.perf_counter()
            if part == "rollout":
                batch = runner.run()
            else:
                learner.train(batch[:, : batch.max_t_filled()], runner.t_env, update)
            spent[part][0] += time.process_time() - cpu
            spent[part][1] += time.perf_counter() - wall
    runner.close_env()
    return runner.t_env - start, spent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="3m")
    parser.add_argument("--config", default="mappo")
    parser.add_argument("--episodes", type=int, help="episodes per batch; default: the configuration's")
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--epochs", type=int, nargs="+", default=[5, 15])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for epochs in options.epochs:
        changes = {"epochs": epochs}
        if options.episodes:
            changes["batch_size_run"] = options.episodes
        args = make_args(options.config, options.map, **changes)
        steps, spent = measure(args, options.updates)
        cpu, wall = (sum(seconds[i] for seconds in spent.values()) for i in (0, 1))
        shares = ", ".join(f"{part} {seconds[0] / steps * 1e6:.0f}" for part, seconds in spent.items())
        print(
            f"{options.config} on {options.map}, {args.batch_size_run} episodes a batch, {epochs} epochs: "
            f"{steps / cpu:,.0f} steps per CPU-second, {steps / wall:,.0f} per second "
            f"(microseconds of CPU per step: {shares})"
        )


if __name__ == "__main__":
    main()
