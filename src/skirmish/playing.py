"""Whole episodes of a policy, all battles at once, and what came of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skirmish.battles import Battles
from skirmish.policies import Frame, Policy

STATISTICS = ("length", "return", "dead_allies", "dead_enemies", "win_rate")


@dataclass(frozen=True)
class Outcomes:
    """One value per episode in each array."""

    length: NDArray[np.float64]
    episode_return: NDArray[np.float64]
    dead_allies: NDArray[np.float64]
    dead_enemies: NDArray[np.float64]
    won: NDArray[np.bool_]

    def statistics(self) -> dict[str, NDArray[np.float64]]:
        """The arrays under the names of `STATISTICS`."""
        arrays = (self.length, self.episode_return, self.dead_allies, self.dead_enemies, self.won.astype(np.float64))
        return dict(zip(STATISTICS, arrays))


def play(battles: Battles, policy: Policy) -> Outcomes:
    """Play one episode in every battle; those that have ended stand still until the last one ends."""
    live = np.ones(battles.n_battles, dtype=np.bool_)
    length, total, dead_allies, dead_enemies = np.zeros((4, battles.n_battles))
    won = np.zeros(battles.n_battles, dtype=np.bool_)
    obs, state, avail = battles.frame()
    battles.reset()
    while live.any():
        battles.observe(obs, state, avail)
        result = battles.step(policy(Frame(obs, avail, battles.engine.units)), live)
        length += live
        total += result.reward
        won |= result.battle_won
        dead_allies[live] = result.dead_allies[live]
        dead_enemies[live] = result.dead_enemies[live]
        live &= ~result.terminated
    return Outcomes(length, total, dead_allies, dead_enemies, won)


class Script:
    """SMAC's own script plays (`heuristic_ai=True`): the actions given to it do not matter."""

    def __call__(self, frame: Frame) -> NDArray[np.int64]:
        return np.zeros(frame.avail.shape[:2], dtype=np.int64)
