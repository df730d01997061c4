"""How long the statistics of 10,000 runs of 100 tests take (40 algorithms, 25 maps, 10 seeds): seconds by part.

python3 tests/benchmarks/bench_statistics.py
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from analysis import protocol, statistics, thresholds

ALGORITHMS, MAPS, SEEDS, TESTS = 40, 25, 10, 100


def records():
    """Runs and metrics as the reader gives them, and the curves [runs, tests]."""
    keys = [(f"a{a}", f"m{m}", seed) for a in range(ALGORITHMS) for m in range(MAPS) for seed in range(SEEDS)]
    runs = pd.DataFrame(keys, columns=["algorithm", "map", "seed"])
    runs["run_id"] = runs["algorithm"] + "/" + runs["map"] + "/" + runs["seed"].astype(str)
    runs = runs.assign(engine="skirmish", engine_version="0.1.0", map_checksum=runs["map"], test_nepisode=32)
    values = np.clip(np.cumsum(np.random.default_rng(0).normal(0.01, 0.02, (len(runs), TESTS)), axis=1), 0, 1)
    ids, steps = np.repeat(runs["run_id"].to_numpy(), TESTS), np.tile(1000 * np.arange(TESTS), len(runs))
    columns = {"run_id": ids, "metric": "test_battle_won_mean", "step": steps, "value": values.ravel()}
    return runs, pd.DataFrame(columns), values


def main():
    runs, metrics, values = records()
    steps = 1000 * np.arange(TESTS)
    started = begun = time.process_time()

    def lap(name):
        nonlocal started
        print(f"{name:40s} {time.process_time() - started:6.1f} CPU-s")
        started = time.process_time()

    protocol.check(runs)
    runs, _ = protocol.without_duplicates(runs)
    lap("protocol, duplicates")
    numbers = statistics.per_run(runs, metrics)
    lap("numbers of each run")
    groups = {a: dict(list(rows.groupby("map"))) for a, rows in numbers.groupby("algorithm")}
    finals = {a: {m: rows["final"].to_numpy() for m, rows in maps.items()} for a, maps in groups.items()}
    for maps in finals.values():
        for statistic in ("iqm", "median", "mean"):
            statistics.interval(maps, statistic)
            for scores in maps.values():
                statistics.interval(scores, statistic)
    lap("3,120 intervals")
    print(f"  {len(statistics.compare_all(finals)):,} comparisons of two algorithms on a map")
    lap("tests and effect sizes")
    statistics.probability_matrix(finals)
    lap("780 probabilities of improvement")
    for maps in finals.values():
        statistics.performance_profile(maps, np.linspace(0, 1, 51))
    lap("40 performance profiles")
    curves = {
        a: {m: [(steps, values[i]) for i in rows.index] for m, rows in of_algorithm.groupby("map")}
        for a, of_algorithm in runs.groupby("algorithm")
    }
    for maps in curves.values():
        for of_map in maps.values():
            statistics.band(of_map, np.linspace(0, steps[-1], 60))
    lap("1,000 bands of 60 points")
    for maps in curves.values():
        statistics.suite_band(maps, np.linspace(0, steps[-1], 40))
    lap("40 bands over 25 maps of 40 points")
    for maps in groups.values():
        for rows in maps.values():
            reaches = zip(rows["step_to"], rows["reached"], strict=True)
            thresholds.kaplan_meier_median([thresholds.Reach(step, not reached) for step, reached in reaches])
    lap("1,000 Kaplan-Meier medians")
    print(f"{'all':40s} {time.process_time() - begun:6.1f} CPU-s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
