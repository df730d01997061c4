"""A plug-in of environments that misbehave, for the parallel runner's workers to import."""

import os
import time

from envs import REGISTRY
from envs.matrix_game import MatrixGame


class Failing(MatrixGame):
    """Fails in its third step."""

    steps = 0

    def step(self, actions):
        self.steps += 1
        if self.steps == 3:
            raise RuntimeError("the marines have mutinied")
        return super().step(actions)


class Hanging(MatrixGame):
    """Never finishes a step."""

    def step(self, actions):
        time.sleep(600)


class Dying(MatrixGame):
    """Takes its process with it."""

    def step(self, actions):
        os._exit(7)


class Seeded(MatrixGame):
    """Pays its own seed, modulo 1000, however it is played; truncates every second episode."""

    episodes = 0

    def step(self, actions):
        self.episodes += 1
        return float(self._seed % 1000), True, {"episode_limit": self.episodes % 2 == 0, "seed": self._seed}


REGISTRY.update({"failing": Failing, "hanging": Hanging, "dying": Dying, "seeded": Seeded})
