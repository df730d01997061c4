"""What on-policy algorithms learn in a short training, and what it costs: returns of sampled play, CPU seconds.

    python tests/benchmarks/bench_policy_gradient.py [--map 3m] [--steps 15000] [--seeds 1 2 3] [ALGORITHM ...]

`first` and `last`: mean return of the first and the last 10 batches (20 is a win). The clock includes building the run.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import torch
from short_training import returns_of_training

FAMILY = ["mappo", "mappo_8x10", "mappo_ns", "mappo_distil", "ippo", "maa2c", "ia2c", "coma", "happo", "hatrpo"]


def main() -> None:
    """Print a line per training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithms", nargs="*", default=FAMILY)
    parser.add_argument("--map", default="3m")
    parser.add_argument("--steps", type=int, default=15_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.algorithms:
        for seed in options.seeds:
            start = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                returns = returns_of_training(name, Path(folder), options.steps, seed, options.map)
            seconds = time.process_time() - start
            first, last = sum(returns[:10]) / 10, sum(returns[-10:]) / 10
            print(f"{name:10s} seed {seed}: first {first:5.2f}  last {last:5.2f}  {seconds:5.1f} CPU-s", flush=True)


if __name__ == "__main__":
    main()
