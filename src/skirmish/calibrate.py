"""How close the battles are to the real game: the cheap statistics of policies that need no training.

    cd src && python -m skirmish.calibrate [episodes]

prints the table of docs/skirmish.md: uniform random legal play beside the real game's, and SMAC's script that attacks
the nearest enemy.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skirmish.battles import Battles

MAPS = ("3m", "8m", "25m", "5m_vs_6m", "8m_vs_9m", "10m_vs_11m", "27m_vs_30m", "2m_vs_1m")


@dataclass(frozen=True)
class Sample:
    """Mean, standard deviation and number of episodes of one statistic."""

    mean: float
    deviation: float
    episodes: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.deviation:.2f}"


REAL_LENGTH = {"3m": Sample(28.58, 10.20, 12), "8m": Sample(34.57, 16.52, 70), "25m": Sample(36.57, 1.99, 7)}
REAL_RETURN = {"3m": Sample(1.43, 0.57, 11), "8m": Sample(1.87, 0.47, 130)}
"""Single uniformly random episodes of the real game, from the logs of public runs. All of them were lost, with every
ally dead where the number is logged."""


@dataclass(frozen=True)
class Outcomes:
    """Episodes of one policy, arrays [episodes]."""

    length: NDArray[np.float64]
    episode_return: NDArray[np.float64]
    dead_allies: NDArray[np.float64]
    dead_enemies: NDArray[np.float64]
    won: NDArray[np.bool_]


def sample(values: NDArray[np.float64]) -> Sample:
    """Mean and deviation of an array."""
    return Sample(float(values.mean()), float(values.std()), values.size)


def play_random(map_name: str, episodes: int, seed: int = 0) -> Outcomes:
    """Play episodes in which every agent draws uniformly from its available actions."""
    battles = Battles(map_name, episodes, seed)
    obs, state, avail = battles.frame()
    random = np.random.default_rng(seed)

    def act() -> NDArray[np.int64]:
        battles.observe(obs, state, avail)
        chosen: NDArray[np.int64] = (random.random(avail.shape, dtype=np.float32) * avail).argmax(axis=-1)
        return chosen

    return _play(battles, act)


def play_nearest(map_name: str, episodes: int, seed: int = 0) -> Outcomes:
    """Play episodes with SMAC's script: attack the nearest enemy until it is dead."""
    battles = Battles(map_name, episodes, seed, heuristic_ai=True)
    return _play(battles, lambda: np.zeros((episodes, battles.n_agents), dtype=np.int64))


def _play(battles: Battles, act: Callable[[], NDArray[np.int64]]) -> Outcomes:
    live = np.ones(battles.n_battles, dtype=np.bool_)
    length, total, dead_allies, dead_enemies = np.zeros((4, battles.n_battles))
    won = np.zeros(battles.n_battles, dtype=np.bool_)
    battles.reset()
    while live.any():
        result = battles.step(act(), live)
        length += live
        total += result.reward
        won |= result.battle_won
        dead_allies[live] = result.dead_allies[live]
        dead_enemies[live] = result.dead_enemies[live]
        live &= ~result.terminated
    return Outcomes(length, total, dead_allies, dead_enemies, won)


def table(episodes: int) -> str:
    """The comparison as Markdown."""
    lines = [
        "| map | random: length | real | return | real | dead allies | dead enemies | won | nearest: won | return |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in MAPS:
        random, nearest = play_random(name, episodes), play_nearest(name, episodes)
        cells = [
            name,
            sample(random.length),
            _real(REAL_LENGTH.get(name)),
            sample(random.episode_return),
            _real(REAL_RETURN.get(name)),
            f"{random.dead_allies.mean():.2f}",
            f"{random.dead_enemies.mean():.2f}",
            f"{random.won.mean():.1%}",
            f"{nearest.won.mean():.0%}",
            f"{nearest.episode_return.mean():.1f}",
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _real(value: Sample | None) -> str:
    return f"{value} ({value.episodes})" if value else "-"


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
