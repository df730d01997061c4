"""Speed of the embedded battles: uniform random legal play, everything written every step.

    python tests/benchmarks/bench_skirmish.py [--maps 3m 27m_vs_30m] [--battles 64] [--seconds 2] [--rounds 5]

Timed: Battles.step, reset of finished battles and observe (obs, state, avail; reward in the result). Drawing the
actions is not timed. One environment step is one step of one battle. The median of the rounds counts; the best round is
shown because other processes on the machine slow a round down, never up.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from skirmish.battles import Battles


@numba.njit
def draw_legal(avail, random, actions):
    """Draw one available action each, uniformly; random [1] uint64 is a linear congruential generator's state."""
    for b in range(avail.shape[0]):
        for i in range(avail.shape[1]):
            random[0] = random[0] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            left = np.int64(((random[0] >> np.uint64(33)) * np.uint64(avail[b, i].sum())) >> np.uint64(31))
            for a in range(avail.shape[2]):
                if avail[b, i, a]:
                    if left == 0:
                        actions[b, i] = a
                        break
                    left -= 1


class RandomPlay:
    """Random play on one map that counts what it costs."""

    def __init__(self, map_name, n_battles):
        self.battles = Battles(map_name, n_battles, seed=1)
        self.frame = self.battles.frame()
        self.actions = np.zeros((n_battles, self.battles.n_agents), dtype=np.int64)
        self.random = np.ones(1, dtype=np.uint64)
        self.battles.reset()
        self.battles.observe(*self.frame)
        self.play(0.2)

    def play(self, seconds):
        """Play about `seconds`; returns environment steps, CPU seconds and wall seconds."""
        battles, steps, cpu, wall = self.battles, 0, 0.0, 0.0
        while wall < seconds:
            draw_legal(self.frame[2], self.random, self.actions)
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            ended = battles.step(self.actions).terminated
            if ended.any():
                battles.reset(ended)
            battles.observe(*self.frame)
            cpu += time.process_time() - cpu_start
            wall += time.perf_counter() - wall_start
            steps += battles.n_battles
        return steps, cpu, wall


def memory_per_battle(battles):
    """Bytes of everything that grows with the number of battles, one frame of obs, state and avail included."""
    return sum(array.nbytes for array in [*battles.snapshot().values(), *battles.frame()]) / battles.n_battles


def main():
    """Print one line a map."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", nargs="+", default=["3m", "8m", "25m", "10m_vs_11m", "27m_vs_30m"])
    parser.add_argument("--battles", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{'map':<12} {'steps/CPU s':>12} {'best round':>12} {'steps/wall s':>12} {'KiB/battle':>11}")
    for name in options.maps:
        play = RandomPlay(name, options.battles)
        rounds = [play.play(options.seconds) for _ in range(options.rounds)]
        per_cpu = [steps / cpu for steps, cpu, _ in rounds]
        per_wall = statistics.median(steps / wall for steps, _, wall in rounds)
        memory = memory_per_battle(play.battles) / 1024
        print(
            f"{name:<12} {statistics.median(per_cpu):>12,.0f} {max(per_cpu):>12,.0f} {per_wall:>12,.0f} {memory:>11.2f}"
        )


if __name__ == "__main__":
    main()
