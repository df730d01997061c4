"""One process of StarCraft II and the connection to it, over pysc2.

pysc2's own launcher starts the program and its controller speaks with it. Added here: whatever goes wrong comes out as
`ClientError`, waiting has an end, what the game printed is kept for the error message, and the process does not outlive
this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from envs import sc2_protobuf
from envs.sc2_install import VARIABLE, Installation, require_packages

require_packages()
sc2_protobuf.install()

import websocket  # noqa: E402
from absl import flags, logging  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402
from pysc2 import run_configs  # noqa: E402
from pysc2.lib import protocol, remote_controller, sc_process  # noqa: E402
from s2clientprotocol import common_pb2, debug_pb2, raw_pb2, sc2api_pb2  # noqa: E402

_FAULTS = (
    *(protocol.ConnectionError, protocol.ProtocolError, remote_controller.ConnectError, remote_controller.RequestError),
    *(sc_process.SC2LaunchError, websocket.WebSocketException, DecodeError, OSError, ValueError, RuntimeError),
)
__all__ = ["Client", "ClientError", "common_pb2", "debug_pb2", "raw_pb2", "sc2api_pb2"]

_POLL_SECONDS = 0.05
_TAIL_BYTES = 2000

_Answer = TypeVar("_Answer")


class ClientError(RuntimeError):
    """The game did not start, died, did not answer in time or refused a request; holds the end of what it printed."""


class Client:
    """A running game, connected.

    launch_timeout, request_timeout: seconds until it must listen, and until it must have answered a request.
    Raises ClientError.
    """

    def __init__(self, installation: Installation, launch_timeout: float, request_timeout: float) -> None:
        self.installation = installation
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process: Any = None
        self._controller: Any = None
        if not flags.FLAGS.is_parsed():
            flags.FLAGS(["starcraft2"])
        logging.set_verbosity(logging.FATAL)  # its errors come out as ClientError
        try:
            self._start(launch_timeout, request_timeout)
        except BaseException:
            self.close(kill=True)
            raise

    def ask(self, what: str, request: Callable[[Any], _Answer]) -> _Answer:
        """The answer to a request, made by calling the given function with pysc2's controller."""
        try:
            return request(self._controller)
        except _FAULTS as error:
            raise self._failed(what, error) from error

    @property
    def pid(self) -> int:
        """Number of the game's process."""
        return int(self._process.pid)

    def close(self, kill: bool = False) -> None:
        """End the game: by asking for it, or, with `kill`, by force."""
        controller, self._controller = self._controller, None
        if controller is not None:
            with suppress(*_FAULTS):
                if kill:
                    controller.close()
                else:
                    controller.quit()
        process, self._process = self._process, None
        if process is not None:
            if kill and process.running:
                process._proc.kill()
            process.close()
        self._log.close()

    def _start(self, launch_timeout: float, request_timeout: float) -> None:
        with _variable(VARIABLE, str(self.installation.folder)):
            config = run_configs.get(version=self.installation.game_version)
        try:
            self._process = _Process(
                config, exec_path=str(self.installation.binary), version=config.version, connect=False, log=self._log
            )
            self._controller = _Controller(
                self._process.host, self._process.port, self._process, timeout_seconds=launch_timeout
            )
            self._controller._client._sock.settimeout(request_timeout)
        except _FAULTS as error:
            raise self._failed("starting", error) from error

    def _failed(self, what: str, error: BaseException) -> ClientError:
        code = self._exit_code()
        ended = "" if code is None else f" The process has ended with code {code}."
        printed = self.printed()
        shown = f" It printed last:\n{printed}" if printed else ""
        reason = str(error).rstrip(".") or type(error).__name__
        return ClientError(f"StarCraft II failed while {what}: {reason}.{ended}{shown}")

    def _exit_code(self) -> int | None:
        if self._process is None or self._process._proc is None:
            return None
        with suppress(subprocess.TimeoutExpired):  # a connection is closed a moment before its process has ended
            code: int = self._process._proc.wait(0.2)
            return code
        return None

    def printed(self) -> str:
        """The end of what the game wrote to its standard output and error."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - _TAIL_BYTES)
        return os.pread(self._log.fileno(), _TAIL_BYTES, start).decode(errors="replace").strip()


class _Controller(remote_controller.RemoteController):
    """pysc2's controller, which connects as soon as the game listens (pysc2 looks once a second)."""

    def _connect(self, host: str, port: int, proc: Any, timeout_seconds: float) -> Any:
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if not proc.running:
                raise remote_controller.ConnectError("the process ended before it listened")
            try:
                left = deadline - time.monotonic()
                return websocket.create_connection(f"ws://{host}:{port}/sc2api", timeout=max(left, 1.0))
            except websocket.WebSocketBadStatusException as error:
                if error.status_code != 404:  # it listens, but is not ready
                    raise
            except websocket.WebSocketTimeoutException:
                break
            except OSError:  # it does not listen yet
                pass
            time.sleep(_POLL_SECONDS)
        raise remote_controller.ConnectError(f"it was not ready within {timeout_seconds:g} s (env_args.launch_timeout)")


class _Process(sc_process.StarcraftProcess):
    """pysc2's launcher, with the output kept, apart from the terminal's signals, and ended with its parent."""

    def _launch(self, run_config: Any, args: list[str], log: Any = None, **_: Any) -> subprocess.Popen[bytes]:
        guard = str(Path(__file__).with_name("sc2_guard.py"))
        return subprocess.Popen(
            [sys.executable, "-I", "-S", guard, str(os.getpid()), *args],
            cwd=run_config.cwd,
            env=run_config.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


class _variable:
    """Sets an environment variable for the time of a `with` block."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def __enter__(self) -> None:
        self.before = os.environ.get(self.name)
        os.environ[self.name] = self.value

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            del os.environ[self.name]
        else:
            os.environ[self.name] = self.before
