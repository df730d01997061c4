"""How far an interval from a few seeds can be trusted: its true coverage, by simulation.

    cd src && python3 -m analysis.coverage

prints the table below anew. The simulated world: a seed's true win rate is normal about 70 % (tasks of a suite: spread
evenly from 50 to 80 %) with a standard deviation of 10 points, its measured one comes from 32 battles, and an interval
covers if the interquartile mean of infinitely many seeds lies in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.bootstrap import Array, limits_by, statistic_called
from analysis.noise import t_interval

SEED_SD = 0.10
EPISODES = 32
RUNS = (2, 3, 4, 5, 6, 8, 10, 20)
TASKS = (1, 3, 8, 24)
ENOUGH_RUNS = 5
"""Below so many seeds a claim carries a warning."""
TABLE: dict[int, dict[int, tuple[float, float]]] = {
    2: {1: (0.487, 0.143), 3: (0.746, 0.144), 8: (0.795, 0.1), 24: (0.818, 0.059)},
    3: {1: (0.757, 0.219), 3: (0.817, 0.147), 8: (0.879, 0.098), 24: (0.881, 0.056)},
    4: {1: (0.879, 0.262), 3: (0.87, 0.143), 8: (0.905, 0.091), 24: (0.9, 0.052)},
    5: {1: (0.868, 0.215), 3: (0.893, 0.131), 8: (0.921, 0.083), 24: (0.919, 0.048)},
    6: {1: (0.897, 0.193), 3: (0.901, 0.124), 8: (0.916, 0.078), 24: (0.931, 0.045)},
    8: {1: (0.925, 0.184), 3: (0.918, 0.113), 8: (0.926, 0.069), 24: (0.928, 0.04)},
    10: {1: (0.924, 0.169), 3: (0.916, 0.101), 8: (0.931, 0.062), 24: (0.936, 0.036)},
    20: {1: (0.927, 0.119), 3: (0.933, 0.075), 8: (0.943, 0.046), 24: (0.943, 0.026)},
}
"""Runs per task, then tasks: true coverage and mean width of a nominal 95 % percentile interval of the IQM."""


@dataclass(frozen=True)
class Coverage:
    """What a nominal 95 % interval holds in truth (simulated), its mean width, and a sentence saying so."""

    nominal: float
    actual: float | None
    width: float | None
    runs: int
    tasks: int
    sentence: str


def coverage(n_runs: int, n_tasks: int = 1) -> Coverage:
    """True coverage of the 95 % percentile-bootstrap interval of the IQM from so few runs on so few tasks.

    Looked up in `TABLE` at the nearest smaller numbers, so rather too low than too high.
    """
    if n_runs < 1 or n_tasks < 1:
        raise ValueError(f"There is no interval from {n_runs} runs on {n_tasks} tasks.")
    if n_runs == 1:
        return Coverage(0.95, None, None, 1, n_tasks, "Rests on 1 seed: no interval can be given.")
    runs = max(n for n in RUNS if n <= n_runs)
    tasks = max(n for n in TASKS if n <= n_tasks)
    actual, width = TABLE[runs][tasks]
    sentence = (
        f"Rests on {n_runs} seeds{f' on each of {n_tasks} maps' if n_tasks > 1 else ''}: a nominal 95 % bootstrap"
        f" interval holds the truth in about {100 * actual:.0f} % of cases (simulation)."
    )
    if n_runs < ENOUGH_RUNS:
        sentence += f" Fewer than {ENOUGH_RUNS} seeds: take it as a hint."
    return Coverage(0.95, actual, width, n_runs, n_tasks, sentence)


def rests_on(runs: int | list[int], tasks: int = 1) -> str:
    """The sentence to print below a number: "Rests on n seeds", and the coverage that gives; several: the fewest."""
    return coverage(min(runs) if isinstance(runs, list) else runs, tasks).sentence


def simulate(
    n_runs: int,
    n_tasks: int = 1,
    method: str = "percentile",
    statistic: str = "iqm",
    experiments: int = 2_000,
    repetitions: int = 1_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Share of simulated experiments whose nominal 95 % interval holds the true value, and the mean width.

    `method`: percentile, bca, studentised, or, for the mean of one task, t (Student's).
    """
    generator = np.random.default_rng([seed, n_runs, n_tasks])
    means = np.array([0.7]) if n_tasks == 1 else np.linspace(0.5, 0.8, n_tasks)
    truth = float(statistic_called(statistic)(_measured(generator, means, 1_000_000 // n_tasks)))
    covered, width = 0, 0.0
    for number in range(experiments):
        tasks = _measured(generator, means, n_runs)
        low, high = _limits(tasks, method, statistic, repetitions, number)
        covered += low <= truth <= high
        width += high - low
    return covered / experiments, width / experiments


def _limits(tasks: list[Array], method: str, statistic: str, repetitions: int, seed: int) -> tuple[float, float]:
    if all(np.ptp(task) == 0 for task in tasks):
        value = float(statistic_called(statistic)(tasks))
        return value, value
    if method == "t":
        student = t_interval(tasks[0])
        return float(student.low or 0), float(student.high or 0)
    # The cached matrix of a single task may serve all experiments: they are independent of it.
    draws = 0 if len(tasks) == 1 and method == "percentile" else seed
    return limits_by(method, tasks, statistic, 0.95, repetitions, draws)[:2]


def _measured(generator: np.random.Generator, means: Array, n_runs: int) -> list[Array]:
    rates = np.clip(generator.normal(means[:, None], SEED_SD, (means.size, n_runs)), 0, 1)
    return list(generator.binomial(EPISODES, rates) / EPISODES)


def main() -> None:
    """Print coverage and width for every number of runs and tasks, as `TABLE` and as Markdown."""
    print("| seeds | " + " | ".join(f"{n} map{'s' if n > 1 else ''}" for n in TASKS) + " |\n" + "|---" * 5 + "|")
    for runs in RUNS:
        cells = [simulate(runs, tasks) for tasks in TASKS]
        print(f"| {runs} | " + " | ".join(f"{100 * hit:.0f} % ({100 * width:.0f})" for hit, width in cells) + " |")
        print(f"    {runs}: " + str({t: (round(h, 3), round(w, 3)) for t, (h, w) in zip(TASKS, cells, strict=True)}))


if __name__ == "__main__":
    main()
