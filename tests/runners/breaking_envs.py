"""A plug-in of environments whose engine fails now and then, for the parallel runner's workers to import."""

import numpy as np

from envs import REGISTRY
from envs.faults import BrokenEpisodeError, EnvironmentDownError
from envs.matrix_game import MatrixGame


class Breaking(MatrixGame):
    """Episodes of four steps that pay 1 each; every second one breaks off in its third step, having paid 100s."""

    begun = played = 0
    fails_for_good = False

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.episode_limit = 4

    def reset(self):
        self.begun, self.played = self.begun + 1, 0
        return super().reset()

    def step(self, actions):
        self.played += 1
        if self.begun % 2:
            if self.played == 3:
                raise BrokenEpisodeError("the game has crashed")
            return 100.0, False, {"won": 1}
        return 1.0, self.played == 4, {"won": 0}

    def get_state(self):
        return np.full_like(super().get_state(), self.begun)


class Down(Breaking):
    """Gives up in its second episode."""

    def reset(self):
        if self.begun == 1:
            raise EnvironmentDownError("the game does not start any more")
        return super().reset()


REGISTRY.update({"breaking": Breaking, "down": Down})
