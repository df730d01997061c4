"""Environments in this process, one after the other: the plainest runner, good for debugging."""

from collections.abc import Sequence
from typing import Any

from envs import REGISTRY as env_REGISTRY
from runners.lockstep_runner import EnvServer, LockstepRunner, Seat

SMALL_SEED = 2**31 - 1
"""Environments may take no more bits than a C int has."""


class LocalSeat:
    """An environment in this process."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self._server = EnvServer(env)
        self._result: Any = None

    def ask(self, command: str, argument: Any = None) -> None:
        """Make the call at once."""
        self._result = self._server.handle(command, argument)

    def answer(self) -> Any:
        """The result of the latest call."""
        return self._result

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


class EpisodeRunner(LockstepRunner):
    """Plays `batch_size_run` environments (PyMARL: one) without processes."""

    def _make_seats(self, test_mode: bool) -> Sequence[Seat]:
        make = env_REGISTRY[self.args.env]
        return [
            LocalSeat(make(**self._env_args(), seed=self._seed(test_mode, i) & SMALL_SEED))
            for i in range(self.batch_size)
        ]
