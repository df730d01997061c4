"""A worker process for every environment: for engines that are slow, or that do not share a process."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from envs.faults import EnvironmentDownError
from runners.episode_runner import SMALL_SEED
from runners.lockstep_runner import LockstepRunner, Seat
from utils.plugins import import_plugins

START_METHODS = ("forkserver", "spawn")
"""Never plain fork: torch's threads and CUDA do not survive it."""


class WorkerError(RuntimeError):
    """A worker process failed, died or did not answer in time; the message holds its traceback where there is one."""


class WorkerSeat:
    """An environment in a process of its own, with its own seed.

    Args:
        number: for error messages.
        timeout: seconds to wait for any answer; 0 waits for ever.
    """

    def __init__(self, number: int, env: str, env_args: dict[str, Any], plugins: Sequence[str], timeout: float) -> None:
        self.number = number
        self.timeout = timeout
        method = next(m for m in START_METHODS if m in multiprocessing.get_all_start_methods())
        context: Any = multiprocessing.get_context(method)
        self._connection, remote = context.Pipe()
        self.process = context.Process(
            target=serve, args=(remote, env, env_args, list(plugins)), daemon=True, name=f"environment {number}"
        )
        self.process.start()
        remote.close()

    def ask(self, command: str, argument: Any = None) -> None:
        """Send a call."""
        try:
            self._connection.send((command, argument))
        except OSError as error:
            raise WorkerError(self._death()) from error

    def answer(self) -> Any:
        """Wait for the result of the call sent last."""
        if not self._connection.poll(self.timeout or None):
            self._kill()
            raise WorkerError(
                f"environment worker {self.number} has not answered for {self.timeout:g} seconds and was ended; "
                "worker_timeout sets how long to wait"
            )
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(self._death()) from error
        if kind == "down":
            raise EnvironmentDownError(value)
        if kind == "error":
            raise WorkerError(f"environment worker {self.number} failed:\n{value}")
        return value

    def close(self) -> None:
        """Let the worker close its environment and end; after five seconds it is ended by force."""
        if self.process.is_alive():
            with suppress(OSError):
                self._connection.send(("close", None))
            self.process.join(5)
        self._kill()

    def _kill(self) -> None:
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self._connection.close()

    def _death(self) -> str:
        self.process.join(1)
        return f"environment worker {self.number} died (exit code {self.process.exitcode})"


class ParallelRunner(LockstepRunner):
    """Plays `batch_size_run` environments, each in a worker process. Reads `worker_timeout` (seconds, 300)."""

    def _make_seats(self, test_mode: bool) -> Sequence[Seat]:
        timeout = float(getattr(self.args, "worker_timeout", 300.0))
        return [
            WorkerSeat(
                i,
                self.args.env,
                {**self._env_args(), "seed": self._seed(test_mode, i) & SMALL_SEED},
                getattr(self.args, "plugins", []),
                timeout,
            )
            for i in range(self.batch_size)
        ]

    def _play(self, *args: Any, **kwargs: Any) -> list[dict[str, float]]:
        try:
            return super()._play(*args, **kwargs)
        except WorkerError:
            self.close_env()
            raise


def serve(connection: Connection, env: str, env_args: dict[str, Any], plugins: list[str]) -> None:
    """What a worker process does: make the environment, answer calls until told to close."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's to handle: it still wants our snapshot
        signal.signal(number, signal.SIG_IGN)
    try:
        from envs import REGISTRY as env_REGISTRY
        from runners.lockstep_runner import EnvServer

        import_plugins(plugins)
        environment = env_REGISTRY[env](**env_args)
        server = EnvServer(environment)
    except BaseException:
        _report(connection)
        return
    while True:
        try:
            command, argument = connection.recv()
        except EOFError:
            break
        if command == "close":
            break
        try:
            connection.send(("result", server.handle(command, argument)))
        except EnvironmentDownError as error:  # it can still be asked for what a checkpoint needs
            connection.send(("down", str(error)))
        except BaseException:
            _report(connection)
            break
    environment.close()


def _report(connection: Connection) -> None:
    with suppress(OSError):
        connection.send(("error", traceback.format_exc()))
