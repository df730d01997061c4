"""What has become of each run: `runs/<key>/state.json`, whole at any moment, and locks that end with their process."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from experiments.plan import run_folder
from utils.errors import UserError
from utils.files import write_json

Phase = Literal["waiting", "running", "done", "failed", "interrupted"]
STATE, LOG, PROGRESS, LOCK = "state.json", "log.txt", "progress.json", ".lock"


@dataclass
class Attempt:
    """One process of a run. Times are seconds since 1970; `run` and `models` are the folders it writes."""

    started: float
    pid: int = 0
    pid_started: float = 0.0
    device: str = ""
    ended: float = 0.0
    exit_code: int | None = None
    run: str = ""
    models: str = ""
    peak_memory_mib: float = 0.0


@dataclass
class RunState:
    """A run's state with all its attempts; `message` says why it is not done."""

    key: str
    phase: Phase = "waiting"
    message: str = ""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def record(self) -> str:
        """Return the sacred folder of the latest attempt that has one."""
        return next((attempt.run for attempt in reversed(self.attempts) if attempt.run), "")


def read_state(folder: Path, key: str) -> RunState:
    """Read a run's state; a run that has none yet is waiting."""
    path = run_folder(folder, key) / STATE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        attempts = [Attempt(**attempt) for attempt in content["attempts"]]
        return RunState(content["key"], content["phase"], content["message"], attempts)
    except FileNotFoundError:
        return RunState(key)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} cannot be read; remove the folder {path.parent} to start this run anew.") from None


def write_state(folder: Path, state: RunState) -> None:
    """Write a run's state, onto the disk before it returns."""
    place = run_folder(folder, state.key)
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / STATE, asdict(state))


def read_progress(folder: Path, key: str) -> dict[str, Any]:
    """Return what a run says of itself (see tracking.progress.ProgressFile); {} where it has said nothing yet."""
    try:
        content = json.loads((run_folder(folder, key) / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def sacred_status(run: str) -> str:
    """Return the status in a sacred folder's run.json: RUNNING, COMPLETED, ...; '' where there is none."""
    try:
        return str(json.loads((Path(run) / "run.json").read_text(encoding="utf-8"))["status"]) if run else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class Lock:
    """An exclusive lock on a file, kept by the kernel until every process that has it open has ended.

    `note` is written into the file, for whoever finds it taken.
    """

    def __init__(self, path: Path, note: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file_descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self.file_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.file_descriptor)
            raise
        os.ftruncate(self.file_descriptor, 0)
        os.write(self.file_descriptor, note.encode())

    def release(self) -> None:
        """Close this process's hold on the file; a child that was given the descriptor keeps the lock."""
        os.close(self.file_descriptor)


def is_locked(path: Path) -> bool:
    """Tell whether some process holds the lock."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def lock_experiment(folder: Path) -> Lock:
    """Take the experiment for this process; a `UserError` names the process that has it."""
    path = folder / LOCK
    try:
        return Lock(path, f"{os.getpid()}\n")
    except BlockingIOError:
        owner = path.read_text(encoding="utf-8").strip() or "unknown"
        raise UserError(
            f'The experiment "{folder.name}" is being run by process {owner} already; '
            f"--status --name={folder.name} shows how far it is."
        ) from None
