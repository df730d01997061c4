"""Small parallel PettingZoo environments whose rewards and observations can be told beforehand."""

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Walk(ParallelEnv):
    """Two unlike walkers on a line: "long" has three moves and sees two numbers, "short" has two and sees one.

    A step pays long 1 if it stands and short 10 for its second action. `leaves`: the step after which short is gone
    (terminated); `ends`: how the episode ends after `length` steps. Where both start is random.
    """

    metadata = {"name": "walk", "render_modes": []}  # noqa: RUF012

    def __init__(self, length=4, leaves=0, ends="truncated", masks=""):
        self.possible_agents = ["long", "short"]
        self.length, self.leaves, self.ends, self.masks = length, leaves, ends, masks
        self.max_cycles = length
        self.random = np.random.default_rng(0)

    def observation_space(self, agent):
        inner = spaces.Box(-np.inf, np.inf, (2 if agent == "long" else 1,), np.float32)
        if self.masks != "observation":
            return inner
        return spaces.Dict({"observation": inner, "action_mask": spaces.MultiBinary(3 if agent == "long" else 2)})

    def action_space(self, agent):
        return spaces.Discrete(3, start=5) if agent == "long" else spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.agents, self.t = list(self.possible_agents), 0
        self.place = self.random.random(2)
        return self._see(), self._infos()

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.t += 1
        acting = list(self.agents)
        rewards = {"long": float(actions["long"] == 6)}
        if "short" in actions:
            rewards["short"] = 10.0 * actions["short"]
        over = self.t >= self.length
        gone = {agent: agent == "short" and self.t == self.leaves for agent in acting}
        terminations = {agent: gone[agent] or (over and self.ends == "terminated") for agent in acting}
        truncations = dict.fromkeys(acting, over and self.ends == "truncated")
        seen, infos = self._see(), self._infos()
        self.agents = [agent for agent in acting if not terminations[agent] and not truncations[agent]]
        return seen, rewards, terminations, truncations, infos

    def state(self):
        return np.array([self.t, *self.place], dtype=np.float32)

    def _see(self):
        seen = {"long": np.array([self.t, self.place[0]]), "short": np.array([self.place[1]])}
        seen = {agent: seen[agent].astype(np.float32) for agent in self.agents}
        if self.masks != "observation":
            return seen
        return {agent: {"observation": value, "action_mask": self._mask(agent)} for agent, value in seen.items()}

    def _infos(self):
        masks = {a: {"action_mask": self._mask(a)} if self.masks == "info" else {} for a in self.agents}
        return {agent: {"steps": self.t, **masks[agent]} for agent in self.agents}

    def _mask(self, agent):
        return np.array([0, 1, 1] if agent == "long" else [1, 0], dtype=np.int8)


class Push(ParallelEnv):
    """One step of two pushers with Boxes of one and two numbers; what they did is written down in `pushed`."""

    metadata = {"name": "push", "render_modes": []}  # noqa: RUF012
    possible_agents = ["a", "b"]  # noqa: RUF012

    def observation_space(self, agent):
        return spaces.Discrete(3)

    def action_space(self, agent):
        low, high = ([0.0], [4.0]) if agent == "a" else ([-2.0, -np.inf], [np.inf, np.inf])
        return spaces.Box(np.array(low, dtype=np.float32), np.array(high, dtype=np.float32))

    def reset(self, seed=None, options=None):
        self.agents = ["a", "b"]
        return {"a": 0, "b": 2}, {"a": {}, "b": {}}

    def step(self, actions):
        self.pushed = actions
        self.agents = []
        ends = {"a": True, "b": True}
        return {"a": 1, "b": 1}, {"a": 1.0, "b": 2.0}, ends, dict.fromkeys(ends, False), {"a": {}, "b": {}}


class Mixed(Push):
    """Agents with unlike kinds of actions, which no learner here takes."""

    def action_space(self, agent):
        return spaces.Discrete(2) if agent == "a" else spaces.Box(-1.0, 1.0, (1,))
