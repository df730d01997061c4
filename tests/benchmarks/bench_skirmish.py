"""Speed of the embedded battles beside JAX SMAX: uniform random legal play, everything written every step.

    python tests/benchmarks/bench_skirmish.py [--maps 3m MMM2] [--battles 1 64] [--seconds 1] [--rounds 5]

Timed: Battles.step, reset of finished battles and observe (obs, state, avail; reward in the result). Drawing the
actions is not timed (SMAX draws inside its compiled loop). One environment step is one step of one battle. The median
of the rounds counts; the best round is shown because other processes on the machine slow a round down, never up.

SMAX is measured where `jaxmarl` can be imported, or with the Python that SKIRMISH_SMAX_PYTHON names; each map in a
process of its own. `--no-smax` leaves it out. Prints Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from skirmish.battles import Battles

SOURCE = Path(__file__).parents[2] / "src"
MAPS = ("3m", "2s3z", "MMM2", "27m_vs_30m", "corridor", "2c_vs_64zg")
COLUMNS = (
    *("map", "B", "steps/CPU s", "best", "steps/wall s", "2 threads: steps/wall s", "2 threads / 1", "KiB/battle"),
    *("SMAX steps/CPU s", "SMAX steps/wall s", "times SMAX (CPU)"),
)
WORKER = Path(__file__).with_name("smax_worker.py")
START = "from skirmish.battles import Battles; b = Battles({!r}, 64, notify=None); b.reset(); b.observe(*b.frame())"


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

    def __init__(self, map_name, n_battles, threads=1):
        self.battles = Battles(map_name, n_battles, seed=1, threads=threads)
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


class Speed:
    """Median and best rounds of one map, number of battles and number of threads."""

    def __init__(self, map_name, n_battles, threads, seconds, rounds):
        play = RandomPlay(map_name, n_battles, threads)
        measured = [play.play(seconds) for _ in range(rounds)]
        per_cpu = [steps / cpu for steps, cpu, _ in measured]
        per_wall = [steps / wall for steps, _, wall in measured]
        self.per_cpu, self.best_per_cpu = statistics.median(per_cpu), max(per_cpu)
        self.per_wall, self.best_per_wall = statistics.median(per_wall), max(per_wall)
        self.kib = memory_per_battle(play.battles) / 1024


def memory_per_battle(battles):
    """Bytes of everything that grows with the number of battles, one frame of obs, state and avail included."""
    return sum(array.nbytes for array in [*battles.snapshot().values(), *battles.frame()]) / battles.n_battles


def smax(map_name, n_battles, seconds):
    """SMAX's result from its worker, or {"missing": why}."""
    python = os.environ.get("SKIRMISH_SMAX_PYTHON", sys.executable)
    command = [python, str(WORKER), map_name, str(n_battles), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"missing": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def start_time(map_name, repetitions=3):
    """Seconds from the start of Python to the first observation of 64 battles with all kernels cached, best of some."""
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", START.format(map_name)], check=True, cwd=SOURCE)
        times.append(time.perf_counter() - begin)
    return min(times)


def print_row(cells):
    """One row of a Markdown table, at once."""
    print("| " + " | ".join(cells) + " |", flush=True)


def number(value):
    """A rate in a cell."""
    return "-" if value is None else f"{value:,.0f}"


def main():
    """Print a row for every map and number of battles, then start-up times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", nargs="+", default=MAPS)
    parser.add_argument("--battles", nargs="+", type=int, default=[1, 64, 512])
    parser.add_argument("--smax-battles", nargs="+", type=int, default=[64], help="numbers for which SMAX is measured")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-smax", action="store_true")
    options = parser.parse_args()
    notes = {}
    print_row(COLUMNS)
    print("|---" * len(COLUMNS) + "|")
    for name in options.maps:
        for battles in options.battles:
            one = Speed(name, battles, 1, options.seconds, options.rounds)
            two = Speed(name, battles, 2, options.seconds, options.rounds) if battles > 1 else None
            other = {}
            if not options.no_smax and battles in options.smax_battles:
                other = smax(name, battles, options.seconds * 3)
                if "missing" in other:
                    notes[name] = other["missing"]
            rate = other.get("per_cpu")
            print_row(
                [
                    *(name, str(battles), number(one.per_cpu), number(one.best_per_cpu), number(one.per_wall)),
                    number(two and two.per_wall),
                    f"{two.best_per_wall / one.best_per_wall:.2f}" if two else "-",
                    f"{one.kib:.2f}",
                    *(number(rate), number(other.get("per_wall")), f"{one.per_cpu / rate:.1f}" if rate else "-"),
                ]
            )
    for name, why in notes.items():
        print(f"\nno SMAX on {name}: {why}")
    print("\nstart with cached kernels, Python's own start and imports included:")
    for name in (options.maps[0], options.maps[-1]):
        print(f"{name}: {start_time(name):.2f} s")


if __name__ == "__main__":
    main()
