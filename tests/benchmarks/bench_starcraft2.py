"""What a step in StarCraft II costs on our side: a stand-in answers at once, and only our processor time counts.

PYTHONPATH=src python3 tests/benchmarks/bench_starcraft2.py [map] [steps]
"""

import cProfile
import os
import pstats
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "standin_sc2"))

from installation import StandIn

from envs import REGISTRY


def play(env, steps):
    """Whole episodes of some actions, with everything read that a runner reads."""
    done = True
    for _ in range(steps):
        if done:
            env.reset()
        actions = [int(np.flatnonzero(row)[-1]) for row in env.get_avail_actions()]
        _, done, _ = env.step(actions)
        env.get_obs(), env.get_state()


def main(map_name="3m", steps="1200"):
    """Print processor and wall-clock time of a step, and where it goes."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SC2PATH"] = str(StandIn(f"{folder}/StarCraftII", game="still").folder)
        env = REGISTRY["sc2"](map_name=map_name, engine="starcraft2", seed=1)
        try:
            play(env, 100)
            wall, ours = time.perf_counter(), time.process_time()
            play(env, int(steps))
            wall, ours = time.perf_counter() - wall, time.process_time() - ours
            ours, wall = 1e3 * ours / int(steps), 1e3 * wall / int(steps)
            print(f"{map_name}: {ours:.2f} ms of processor time a step, {wall:.2f} ms in all")
            profile = cProfile.Profile()
            profile.runcall(play, env, 300)
            pstats.Stats(profile).sort_stats("tottime").print_stats(12)
        finally:
            env.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
