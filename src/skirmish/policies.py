"""Policies that need no training: uniform random, fixed priorities, untrained networks, scripts.

Each maps a `Frame` of B battles to actions [B, n]. They serve to compare the battles with the real game (`fidelity`)
and as opponents of learners. Agents that are dead take the only action left to them, 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skirmish.engine import Units

NO_OP, STOP, NORTH, SOUTH, EAST, WEST, FIRST_TARGET = range(7)
MOVES = (NORTH, SOUTH, EAST, WEST)

Actions = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """What a policy sees: obs [B, n, obs_size], avail [B, n, A], and the units of the battles."""

    obs: Floats
    avail: NDArray[np.int32]
    units: Units


class Policy(Protocol):
    """Chooses actions [B, n] step after step, from the beginning of B episodes."""

    def __call__(self, frame: Frame) -> Actions:
        """The actions of this step."""


class UniformRandom:
    """Every agent draws uniformly from its available actions."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, frame: Frame) -> Actions:
        chosen: Actions = (self._random.random(frame.avail.shape, dtype=np.float32) * frame.avail).argmax(axis=-1)
        return chosen


class Priority:
    """Every agent takes the first available action of a fixed list; actions that are not listed come last."""

    def __init__(self, order: Sequence[int], n_actions: int) -> None:
        rest = [action for action in range(n_actions) if action not in order]
        self._order = np.array([*order, *rest])

    def __call__(self, frame: Frame) -> Actions:
        chosen: Actions = self._order[frame.avail[:, :, self._order].argmax(axis=-1)]
        return chosen


def priorities(n_enemies: int) -> dict[str, tuple[int, ...]]:
    """Fixed priorities by name: go one way or stand, with or without attacking first; enemy ids up or down."""
    up = tuple(range(FIRST_TARGET, FIRST_TARGET + n_enemies))
    found: dict[str, tuple[int, ...]] = {}
    for name, move in zip(("stop", "north", "south", "east", "west"), (STOP, *MOVES)):
        found[name] = (move, STOP)
        found[f"attack first, {name}"] = (*up, move, STOP)
        found[f"attack last, {name}"] = (*up[::-1], move, STOP)
        found[f"{name}, attack"] = (move, *up)
    return found


class UntrainedNetworks:
    """Greedy actions of recurrent networks as PyMARL creates them (fully connected 64, GRU 64), before any training.

    The battles are split evenly over `n_networks`; every agent is fed its observation, its last action and its id.
    Weights and biases are uniform within 1/sqrt(fan in), PyTorch's default for these layers.
    """

    HIDDEN = 64

    def __init__(self, n_networks: int, n_agents: int, obs_size: int, n_actions: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        n_inputs = obs_size + n_actions + n_agents

        def uniform(fan_in: int, *shape: int) -> Floats:
            bound = fan_in**-0.5
            return random.uniform(-bound, bound, (n_networks, *shape)).astype(np.float32)

        hidden = self.HIDDEN
        self._input = uniform(n_inputs, n_inputs, hidden), uniform(n_inputs, 1, hidden)
        self._update = uniform(hidden, hidden, 3 * hidden), uniform(hidden, 1, 3 * hidden)
        self._recur = uniform(hidden, hidden, 3 * hidden), uniform(hidden, 1, 3 * hidden)
        self._output = uniform(hidden, hidden, n_actions), uniform(hidden, 1, n_actions)
        self._n_networks, self._n_agents, self._n_actions = n_networks, n_agents, n_actions
        self._memory: Floats | None = None
        self._last: Actions | None = None

    def values(self, frame: Frame) -> Floats:
        """Q values [B, n, A] of this step; the networks' memory moves on."""
        battles, agents = frame.avail.shape[:2]
        if battles % self._n_networks:
            raise ValueError(f"{battles} battles cannot be split evenly over {self._n_networks} networks.")
        last = np.zeros(frame.avail.shape, dtype=np.float32)
        if self._last is not None:
            np.put_along_axis(last, self._last[..., None], 1, axis=-1)
        ids = np.broadcast_to(np.eye(agents, dtype=np.float32), (battles, agents, agents))
        inputs = np.concatenate([frame.obs, last, ids], axis=-1).reshape(self._n_networks, -1, self._input[0].shape[1])
        features = np.maximum(inputs @ self._input[0] + self._input[1], 0)
        memory = np.zeros_like(features) if self._memory is None else self._memory
        new = np.split(features @ self._update[0] + self._update[1], 3, axis=-1)
        old = np.split(memory @ self._recur[0] + self._recur[1], 3, axis=-1)
        reset, keep = _sigmoid(new[0] + old[0]), _sigmoid(new[1] + old[1])
        self._memory = (1 - keep) * np.tanh(new[2] + reset * old[2]) + keep * memory
        values: Floats = (self._memory @ self._output[0] + self._output[1]).reshape(battles, agents, self._n_actions)
        return values

    def __call__(self, frame: Frame) -> Actions:
        greedy: Actions = np.where(frame.avail > 0, self.values(frame), -np.inf).argmax(axis=-1)
        self.took(greedy)
        return greedy

    def took(self, actions: Actions) -> None:
        """Tell which actions were taken, if others than the greedy ones."""
        self._last = actions


class EpsilonGreedy:
    """With probability epsilon [B] an agent acts at random, else as its network likes best."""

    def __init__(self, networks: UntrainedNetworks, epsilon: NDArray[np.float64], seed: int) -> None:
        self._networks, self._epsilon = networks, epsilon
        self._random, self._uniform = np.random.default_rng(seed), UniformRandom(seed + 1)

    def __call__(self, frame: Frame) -> Actions:
        greedy, random = self._networks(frame), self._uniform(frame)
        explores = self._random.random(greedy.shape) < self._epsilon[:, None]
        chosen: Actions = np.where(explores, random, greedy)
        self._networks.took(chosen)
        return chosen


class Kite:
    """Shoot at the nearest enemy, then walk away from the enemies for so many steps, then shoot again.

    Of the ways that are open the one is taken that leads furthest from the enemies near by. Who may shoot and has no
    enemy in reach waits.
    """

    STRIDE = 1.5

    def __init__(self, moves: int = 3) -> None:
        self._moves = moves
        self._left: Actions | None = None

    def __call__(self, frame: Frame) -> Actions:
        alive = frame.units.alive[:, : frame.avail.shape[1]]
        if self._left is None:
            self._left = np.zeros(alive.shape, dtype=np.int64)
        target = FIRST_TARGET + _nearest(frame.units, alive.shape[1])
        in_reach = np.take_along_axis(frame.avail, target[..., None], axis=-1)[..., 0] > 0
        attack = in_reach & (self._left <= 0)
        chosen: Actions = np.where(attack, target, np.where(self._left > 0, self._escape(frame), STOP))
        self._left = np.where(attack, self._moves, self._left - 1)
        return np.where(alive, chosen, NO_OP)

    def _escape(self, frame: Frame) -> Actions:
        """The open move after which the enemies are furthest, by a sum that counts near ones most."""
        units, n = frame.units, frame.avail.shape[1]
        alive = units.alive[:, None, n:]
        costs = np.full((*frame.avail.shape[:2], FIRST_TARGET), np.inf)
        for move, (dx, dy) in zip(MOVES, ((0, 1), (0, -1), (1, 0), (-1, 0))):
            far_x = units.x[:, :n, None] + dx * self.STRIDE - units.x[:, None, n:]
            far_y = units.y[:, :n, None] + dy * self.STRIDE - units.y[:, None, n:]
            costs[..., move] = (alive / (far_x**2 + far_y**2 + 0.1)).sum(axis=-1)
        costs[..., STOP] = 1e9
        costs = np.where(frame.avail[..., :FIRST_TARGET] > 0, costs, np.inf)
        chosen: Actions = costs.argmin(axis=-1)
        return chosen


def _distances(units: Units, n: int) -> Floats:
    """Distances [B, n, m] from agents to living enemies; dead ones are infinitely far."""
    dx = units.x[:, :n, None] - units.x[:, None, n:]
    dy = units.y[:, :n, None] - units.y[:, None, n:]
    far: Floats = np.where(units.alive[:, None, n:], np.hypot(dx, dy), np.float32(np.inf))
    return far


def _nearest(units: Units, n: int) -> Actions:
    chosen: Actions = _distances(units, n).argmin(axis=-1)
    return chosen


def _sigmoid(x: Floats) -> Floats:
    return (1 / (1 + np.exp(-x))).astype(np.float32)
