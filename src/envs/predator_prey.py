"""Predator-prey with a penalty for catching alone: the test of whether a learner can value what it must do together.

The game of Son et al. 2019 (QTRAN) in the form that Rashid et al. 2020 (WQMIX) and Boehmer et al. 2020 (DCG) use.
Agents and prey stand on a grid, a cell each. Two agents next to a prey that catch it at once earn `capture_reward` and
leave the grid with it; one that tries alone is fined `miscoordination_penalty` (0 or less). With a fine of 2 a
monotonic mixer learns never to try.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.vector_game import VectorGame
from utils.errors import nearest

MOVES = np.array([[0, 1], [0, -1], [1, 0], [-1, 0], [0, 0]])
"""North, south, east, west, stay: actions 0 to 4 of agents, and what prey choose from."""
CATCH, GONE = 5, 6
"""Actions of an agent next to a prey, and of one that has left the grid."""

DEFAULTS: dict[str, Any] = {
    "grid": 10, "n_agents": 8, "n_prey": 8, "sight": 2, "capture_reward": 10.0, "miscoordination_penalty": -2.0,
    "episode_limit": 200,
}  # fmt: skip


class PredatorPrey(VectorGame):
    """B games. Observations: for the cells within `sight` in both directions, whether there is an agent, a prey, or no
    ground (3 planes), and the own place divided by the grid's size. State: planes of agents and of prey.

    Arguments and defaults: `DEFAULTS`. A game is over when all prey are caught, or when fewer than two agents are left;
    it is won where as many prey are caught as there are pairs of agents to leave with them. Raises ValueError for
    unknown or impossible arguments.
    """

    def __init__(self, n_battles: int = 1, seed: int = 0, **arguments: Any) -> None:
        for name in arguments:
            if name not in DEFAULTS:
                known = ", ".join(DEFAULTS)
                raise ValueError(f'There is no environment argument "{name}".{nearest(name, DEFAULTS)} Known: {known}.')
        given = {**DEFAULTS, **arguments}
        self.grid, self.n_prey, self.sight = int(given["grid"]), int(given["n_prey"]), int(given["sight"])
        self.n_agents, self.episode_limit = int(given["n_agents"]), int(given["episode_limit"])
        self.capture_reward, self.penalty = float(given["capture_reward"]), float(given["miscoordination_penalty"])
        if min(self.n_agents - 1, self.n_prey, self.sight, self.episode_limit) < 1 or self.penalty > 0:
            raise ValueError("predator_prey needs 2 agents, 1 prey, a sight and a limit of 1 or more, and a fine <= 0.")
        if self.n_agents + self.n_prey > self.grid**2 // 2:
            raise ValueError(f"{self.n_agents + self.n_prey} agents and prey crowd a grid of {self.grid**2} cells.")
        self.n_actions = 7
        self.obs_size = 3 * (2 * self.sight + 1) ** 2 + 2
        self.state_size = 2 * self.grid**2
        super().__init__(n_battles, seed)
        n_bodies = self.n_agents + self.n_prey
        self._place = np.zeros((n_battles, n_bodies, 2), dtype=np.int64)
        self._there = np.zeros((n_battles, n_bodies), dtype=np.bool_)
        self.changing |= {"place": self._place, "there": self._there}

    def start(self, rows: NDArray[np.int64]) -> None:
        """Put everybody on cells of their own, at random."""
        n_bodies = self.n_agents + self.n_prey
        for row in rows:
            cells = self.random[row].choice(self.grid**2, n_bodies, replace=False)
            self._place[row] = np.stack(np.divmod(cells, self.grid), axis=1)
        self._there[rows] = True

    def play(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Catch, then move: agents in random order, then prey."""
        n, m = self.n_agents, self.n_prey
        chance = np.stack([self.random[row].random(n + m) for row in rows]) if len(rows) else np.zeros((0, n + m))
        rewards = self._catch(actions == CATCH, rows)
        order = np.concatenate((chance[:, :n].argsort(axis=1), np.tile(np.arange(n, n + m), (len(rows), 1))), axis=1)
        prey_moves = (chance[:, n:] * len(MOVES)).astype(np.int64)
        wishes = MOVES[np.concatenate((np.minimum(actions, 4), prey_moves), axis=1)]
        taken = self._taken(rows)
        each = np.arange(len(rows))
        for body in order.T:
            here = self._place[rows, body]
            there = here + wishes[each, body]
            inside = ((there >= 0) & (there < self.grid)).all(axis=1)
            there = np.where(inside[:, None], there, here)
            goes = inside & self._there[rows, body] & ~taken[each, there[:, 0], there[:, 1]]
            there = np.where(goes[:, None], there, here)
            taken[each[goes], here[goes, 0], here[goes, 1]] = False
            taken[each[goes], there[goes, 0], there[goes, 1]] = True
            self._place[rows, body] = there
        left = self._there[rows]
        return rewards, ~left[:, n:].any(axis=1) | (left[:, :n].sum(axis=1) < 2)

    def won(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which games ended with all prey caught, or as many as there are pairs of agents."""
        caught = (~self._there[rows, self.n_agents :]).sum(axis=1)
        return np.asarray(caught >= min(self.n_prey, self.n_agents // 2))

    def available(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Moves that stay on the grid, `CATCH` next to a prey; whoever has left the grid can do nothing."""
        n = self.n_agents
        there = self._there[rows, :n]
        goals = self._place[rows, :n, None] + MOVES
        result = np.zeros((len(rows), n, self.n_actions), dtype=np.bool_)
        result[..., : len(MOVES)] = ((goals >= 0) & (goals < self.grid)).all(axis=-1) & there[..., None]
        result[..., CATCH] = self._adjacent(rows).any(axis=2)
        result[..., GONE] = ~there
        return result

    def observations(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Observations [rows, n, obs_size]; zeros for agents that have left."""
        n, reach, side = self.n_agents, self.sight, 2 * self.sight + 1
        padded = np.zeros((len(rows), 3, self.grid + 2 * reach, self.grid + 2 * reach), dtype=np.float32)
        padded[:, 2] = 1.0
        inner = slice(reach, reach + self.grid)
        padded[:, :2, inner, inner] = self._planes(rows)
        padded[:, 2, inner, inner] = 0.0
        offsets = np.arange(side)
        x = self._place[rows, :n, 0][:, :, None, None] + offsets[:, None]
        y = self._place[rows, :n, 1][:, :, None, None] + offsets
        window = padded[np.arange(len(rows))[:, None, None, None], :, x, y]
        window[:, :, reach, reach, 0] = 0.0  # not oneself
        own = self._place[rows, :n] / self.grid
        seen = np.concatenate((window.reshape(len(rows), n, -1), own), axis=2)
        return (seen * self._there[rows, :n, None]).astype(np.float32)

    def states(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Planes of agents and of prey [rows, 2 * grid * grid]."""
        return self._planes(rows).reshape(len(rows), -1)

    def _planes(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        planes = np.zeros((len(rows), 2, self.grid, self.grid), dtype=np.float32)
        row, body = np.nonzero(self._there[rows])
        x, y = self._place[rows][row, body].T
        planes[row, (body >= self.n_agents).astype(np.int64), x, y] = 1.0
        return planes

    def _taken(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(self._planes(rows).any(axis=1))

    def _adjacent(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which agents stand next to which prey, both on the grid: [rows, n, m]."""
        n = self.n_agents
        places, there = self._place[rows], self._there[rows]
        distance = np.abs(places[:, :n, None] - places[:, None, n:]).sum(axis=-1)
        adjacent: NDArray[np.bool_] = (distance == 1) & there[:, :n, None] & there[:, None, n:]
        return adjacent

    def _catch(self, catching: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rewards [rows]; a caught prey takes the first two of its catchers along, a third one has tried alone."""
        adjacent = self._adjacent(rows) & catching[:, :, None]
        free = catching.copy()
        rewards = np.zeros(len(rows))
        for prey in range(self.n_prey):
            hands = adjacent[:, :, prey] & free
            caught = hands.sum(axis=1) >= 2
            pair = hands & (hands.cumsum(axis=1) <= 2) & caught[:, None]
            free &= ~pair
            rewards += self.capture_reward * caught
            its_column = (np.arange(self.n_prey) == prey) & caught[:, None]
            self._there[rows] &= ~np.concatenate((pair, its_column), axis=1)
        return rewards + self.penalty * free.sum(axis=1)
