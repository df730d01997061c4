"""Records made by formula, in the shape the reader gives them."""

import numpy as np
import pandas as pd
import pytest

from analysis.records import Records

SPEED = {"amal": 0.5, "mappo": 1.0, "qmix": 1.6, "vdn": 2.2, "iql": 4.0}
HARD = {"3m": 1.0, "8m": 2.0, "2s3z": 3.0, "5m_vs_6m": 9.0, "3s5z": 5.0, "MMM2": 16.0}


def curve(algorithm, map_name, seed, points, t_max, noise=0.05):
    """A logistic win rate whose middle depends on algorithm, map and seed, in 32nds as tests have it."""
    generator = np.random.default_rng([seed, *map(ord, algorithm + map_name)])
    middle = 8_000 * SPEED.get(algorithm, 1.3) * HARD.get(map_name, 1.0) * generator.uniform(0.7, 1.4)
    steps = np.linspace(0, t_max, points).astype(int)
    rates = 1 / (1 + np.exp(-(steps - middle) / (0.2 * middle))) + generator.normal(0, noise, points)
    return steps, np.round(32 * np.clip(rates, 0, 1)) / 32


def make(algorithms=("amal", "mappo"), maps=("3m", "8m"), seeds=5, points=40, t_max=50_000, **changes):
    """Records of all combinations; `changes` overrides columns of every run."""
    runs, metrics = [], []
    for algorithm in algorithms:
        for map_name in maps:
            for seed in range(1, seeds + 1):
                run_id = f"{map_name}/{algorithm}/{seed}"
                steps, values = curve(algorithm, map_name, seed, points, t_max)
                config = {
                    "name": algorithm,
                    "seed": seed,
                    "t_max": t_max,
                    "lr": 0.001 if algorithm == "mappo" else 0.0005,
                    "test_nepisode": 32,
                    "test_greedy": True,
                    "stop_win_rate": 0.0,
                    "stop_evaluations": 3,
                    "env_args": {"map_name": map_name, "seed": seed},
                }
                cpu = t_max / 1000 * SPEED.get(algorithm, 1.3) * (1 + 0.05 * seed)
                row = {
                    "run_id": run_id,
                    "source": "made",
                    "algorithm": algorithm,
                    "map": map_name,
                    "engine": "skirmish",
                    "engine_version": "0.1.0",
                    "map_checksum": f"sum-{map_name}",
                    "test_nepisode": 32,
                    "test_greedy": True,
                    "seed": seed,
                    "status": "COMPLETED",
                    "t_max": t_max,
                    "started": pd.Timestamp("2026-01-01") + pd.Timedelta(seconds=seed),
                    "finished": pd.Timestamp("2026-01-01 01:00") + pd.Timedelta(seconds=seed),
                    "wall_s": 1.7 * cpu,
                    "cpu_s": cpu,
                    "peak_memory_mib": 700.0 + 10 * seed,
                    "gpu_memory_mib": 0.0,
                    "host": "here",
                    "config": config,
                }
                runs.append({**row, **changes})
                columns = {"run_id": run_id, "metric": "test_battle_won_mean", "step": steps, "value": values}
                metrics.append(pd.DataFrame(columns))
                spent = {"run_id": run_id, "metric": "wall_seconds", "step": steps, "value": 1.7 * cpu * steps / t_max}
                metrics.append(pd.DataFrame(spent))
    return Records(runs=pd.DataFrame(runs), metrics=pd.concat(metrics, ignore_index=True), problems=[])


@pytest.fixture(scope="session")
def records_maker():
    """Return the function that makes records."""
    return make


@pytest.fixture
def make_records():
    """Return the function that makes records."""
    return make
