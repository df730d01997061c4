"""The loop that starts runs, takes their results, and leaves every state on the disk before it acts on it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from experiments import capacity
from experiments.plan import Plan, Run, run_folder
from experiments.processes import Child, command, progress_since, start
from experiments.state import LOCK, LOG, Attempt, Lock, Phase, RunState, is_locked, read_state, sacred_status
from experiments.state import write_state as write
from utils.errors import UserError

TICK = 0.5  # seconds between two looks at the runs
MEASURE_SECONDS = 2.0  # between two measurements of memory
KILL_RETRIES = 1  # times a run that a signal killed is started again by itself
LOG_LINES = 12  # of a failed run's log in the closing report
GIVE_UP_SECONDS = 60.0  # after the second Ctrl-C, before what still runs is killed


@dataclass
class Row:
    """One run as the table shows it."""

    run: Run
    phase: Phase
    t_env: int = 0
    t_max: int = 0
    win_rate: float | None = None
    speed: float = 0.0  # environment steps per second
    seconds: float = 0.0  # since the attempt began; of a finished run, what its attempts took together
    message: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Return what is left at the present speed; None where there is no speed yet."""
        return max(0, self.t_max - self.t_env) / self.speed if self.speed > 0 else None


class View(Protocol):
    """Whoever shows the runs to a person."""

    def event(self, text: str) -> None:
        """Tell of something that happened once."""

    def update(self, rows: Sequence[Row], jobs: int, note: str) -> None:
        """Show how the runs are."""


@dataclass
class Options:
    """How to run: at most `jobs` at a time, on these GPUs in turn (none: as each run's `device` says)."""

    jobs: int
    gpus: tuple[int, ...] = ()
    profile: bool = False


@dataclass
class Scheduler:
    """Runs a plan to its end, or until it is asked to stop."""

    plan: Plan
    options: Options
    view: View
    states: dict[str, RunState] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    stop_requests: int = 0
    note: str = ""
    _retries: dict[str, int] = field(default_factory=dict)
    _memory: capacity.MemoryBook = field(default_factory=capacity.MemoryBook)
    _next_measure: float = 0.0
    _asked: int = 0
    _kill_at: float = 0.0
    _ended_rows: dict[str, Row] = field(default_factory=dict)

    def run(self) -> None:
        """Bring every run to its end. Call `stop` (from a signal handler) to end early."""
        self._recover()
        while True:
            self._reap()
            if self.stop_requests:
                self._pass_on_the_stop()
            else:
                self._launch()
            self.view.update(self.rows(), self.options.jobs, self.note)
            if not self.children and (self.stop_requests or not self._waiting()):
                return
            time.sleep(TICK)

    def stop(self) -> None:
        """Ask for an end: once, runs write a checkpoint first; twice, they stop at once."""
        self.stop_requests += 1

    def interrupt_all(self) -> None:
        """Ask every run to write a checkpoint and end, and wait for none."""
        for child in self.children.values():
            child.interrupt()

    def _waiting(self) -> list[Run]:
        return [run for run in self.plan.runs if self.states[run.key].phase == "waiting"]

    # --- what an earlier scheduler left behind -----------------------------------------------------------------------

    def _recover(self) -> None:
        """Read all states; take over runs that still run, settle those that ended unwatched, queue the rest."""
        by_key = {run.key: run for run in self.plan.runs}
        for key, run in by_key.items():
            state = self.states[key] = read_state(self.plan.folder, key)
            if state.phase == "done":
                self._memory.finish(run.group, max(attempt.peak_memory_mib for attempt in state.attempts))
                continue
            if is_locked(run_folder(self.plan.folder, key) / LOCK):
                attempt = state.attempts[-1]
                self.children[key] = Child(run, self.plan.folder, attempt)
                self.view.event(f"{key}: still runs (process {attempt.pid or 'unknown'}), taken over")
                continue
            if state.phase == "running":
                self._settle(run, state, state.attempts[-1], unwatched=True)
            if state.phase != "done":
                self._set(state, "waiting", "")

    # --- starting ----------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        """Start waiting runs while there is room."""
        self.note = ""
        for run in self._waiting():
            if len(self.children) >= self.options.jobs:
                return
            total, available = capacity.memory_mib()
            running = [(child.run.group, child.memory_mib) for child in self.children.values()]
            if self.children and not self._memory.room_for(run.group, running, total, available):
                needed = self._memory.expect(run.group)
                self.note = f"waiting for memory: {available:,.0f} MiB free, the next run needs {needed:,.0f} MiB"
                return
            self._start(run)

    def _start(self, run: Run) -> None:
        state = self.states[run.key]
        place = run_folder(self.plan.folder, run.key)
        try:
            lock = Lock(place / LOCK, f"{run.key}\n")
        except BlockingIOError:  # a run that was killed has left a worker behind, which will end by itself
            self.note = f"waiting for what is left of an earlier process of {run.key}"
            return
        try:
            device = self._device()
            checkpoint = self._checkpoint(state)
            words = command(run, self._extra(run, device, checkpoint), self._profile_path(run))
            state.attempts.append(Attempt(started=time.time(), device=device))
            self._set(state, "running", "")
            threads = int(run.settings.get("torch_threads", 1))
            child = start(run, self.plan.folder, words, device, threads, lock)
        finally:
            lock.release()
        self.children[run.key] = child
        state.attempts[-1] = child.attempt
        write(self.plan.folder, state)
        self.view.event(f"{run.key}: {'continued from its checkpoint' if checkpoint else 'started'}")

    def _extra(self, run: Run, device: str, checkpoint: Path | None) -> dict[str, object]:
        extra: dict[str, object] = {"experiment": self.plan.name, "experiment_run": run.key}
        if device:
            extra["device"] = device
        if checkpoint:
            extra["resume"] = str(checkpoint)
        return extra

    def _profile_path(self, run: Run) -> Path | None:
        return run_folder(self.plan.folder, run.key) / "profile.pstats" if self.options.profile else None

    def _device(self) -> str:
        """Return the GPU with the fewest of our runs; '' where GPUs were not asked for."""
        used = [child.attempt.device for child in self.children.values()]
        names = [f"cuda:{number}" for number in self.options.gpus]
        chosen = min(names, key=used.count) if names else ""
        return "cpu" if chosen == "cuda:-1" else chosen

    def _checkpoint(self, state: RunState) -> Path | None:
        """Return the checkpoint of the run's latest attempt that has written one."""
        for attempt in reversed(state.attempts):
            path = Path(attempt.models) / "checkpoint.pt"
            if attempt.models and path.is_file() and path.with_suffix(".json").is_file():
                return path
        return None

    # --- ending ------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Measure what runs, and settle what has ended."""
        measure = time.monotonic() >= self._next_measure
        for key, child in list(self.children.items()):
            if child.has_ended():
                del self.children[key]
                self._settle(child.run, self.states[key], child.attempt)
            elif measure:
                child.measure()
                self._memory.see(child.run.group, child.memory_mib)
        if measure:
            self._next_measure = time.monotonic() + MEASURE_SECONDS

    def _settle(self, run: Run, state: RunState, attempt: Attempt, unwatched: bool = False) -> None:
        """Decide what has become of a run whose process has ended, and write it down."""
        progress = progress_since(self.plan.folder, run.key, attempt.started)
        attempt.run, attempt.models = str(progress.get("run", "")), str(progress.get("models", ""))
        attempt.ended = time.time()
        state.attempts[-1] = attempt
        end, how = verdict(attempt.exit_code, sacred_status(attempt.run)), _how(attempt.exit_code)
        if end == "done":
            self._memory.finish(run.group, attempt.peak_memory_mib)
            self._set(state, "done", "")
            self.view.event(f"{run.key}: done{_reached(progress)}")
        elif unwatched:
            self._set(state, "interrupted", "")
        elif end == "interrupted" or self.stop_requests:
            self._set(state, "interrupted", "interrupted; the same command continues it")
            self.view.event(f"{run.key}: interrupted")
        elif end == "killed" and self._retries.get(run.key, 0) < KILL_RETRIES:
            self._retries[run.key] = self._retries.get(run.key, 0) + 1
            self._set(state, "waiting", "")
            self.view.event(f"{run.key}: {how}, is started once more")
        else:
            self._set(state, "failed", f"{how}: {last_words(self.plan.folder, run.key)}")
            self.view.event(f"{run.key}: FAILED, {state.message}")

    def _set(self, state: RunState, phase: Phase, message: str) -> None:
        if (state.phase, state.message) == (phase, message) and phase == "waiting":
            return
        state.phase, state.message = phase, message
        write(self.plan.folder, state)

    def _pass_on_the_stop(self) -> None:
        """Hand each Ctrl-C on to the runs once; kill what has not ended a minute after the second."""
        if self._asked < self.stop_requests:
            self._asked = self.stop_requests
            if self._asked > 1 and not self._kill_at:
                self._kill_at = time.monotonic() + GIVE_UP_SECONDS
            for child in self.children.values():
                if self._asked < 3:
                    child.interrupt()
                else:
                    child.kill()
        if self._kill_at and time.monotonic() > self._kill_at:
            for child in self.children.values():
                child.kill()
        self.note = "stopping: runs write a checkpoint first; Ctrl-C again stops them at once"

    # --- what to show ------------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """Return all runs as the table shows them."""
        shown: list[Row] = []
        for run in self.plan.runs:
            found = self._ended_rows.get(run.key) or row(self.plan.folder, run, self.states[run.key])
            if found.phase in ("done", "failed"):  # these are read once: there may be thousands
                self._ended_rows[run.key] = found
            shown.append(found)
        return shown


def row(folder: Path, run: Run, state: RunState) -> Row:
    """Return a run as the table shows it, from its files."""
    shown = Row(run, state.phase, t_max=run.t_max, message=state.message)
    if not state.attempts:
        return shown
    now = time.time()
    shown.seconds = sum((attempt.ended or now) - attempt.started for attempt in state.attempts)
    progress: dict[str, Any] = progress_since(folder, run.key, state.attempts[0].started)
    if progress:
        shown.t_env, shown.t_max = int(progress["t_env"]), int(progress["t_max"])
        shown.win_rate = progress["win_rate"]
        shown.speed = float(progress["steps_per_second"])
    return shown


def stored_rows(plan: Plan) -> list[Row]:
    """Return all runs of an experiment from its files, whether or not a scheduler is at work on it."""
    rows = [row(plan.folder, run, read_state(plan.folder, run.key)) for run in plan.runs]
    for shown in rows:
        if shown.phase == "running" and not is_locked(run_folder(plan.folder, shown.run.key) / LOCK):
            shown.phase, shown.speed = "interrupted", 0.0  # it was killed, and its scheduler too
    return rows


def last_words(folder: Path, key: str) -> str:
    """Return the sentence a run ended with: its error line, else the last line of its log."""
    lines = log_tail(folder, key)
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else (lines[-1] if lines else "no output")


def log_tail(folder: Path, key: str, n_lines: int = LOG_LINES) -> list[str]:
    """Return the last lines that the latest attempt of a run has printed."""
    path = run_folder(folder, key) / LOG
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    own = text.rpartition("\n=== ")[2]  # the line that begins an attempt
    return [line for line in own.splitlines()[1:] if line.strip()][-n_lines:]


def verdict(code: int | None, status: str) -> str:
    """Return "done", "interrupted", "killed" or "failed" from an exit code (None: not known) and sacred's status."""
    if status == "COMPLETED" or code == 0:
        return "done"
    if code == 130 or (code is None and status == "INTERRUPTED"):
        return "interrupted"
    if code is None:
        return "failed" if status == "FAILED" else "killed"
    return "killed" if code < 0 else "failed"


def _how(code: int | None) -> str:
    if code is None:
        return "ended without a word"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _reached(progress: dict[str, Any]) -> str:
    if not progress:
        return ""
    win_rate = progress["win_rate"]
    won = "" if win_rate is None else f", win rate {100 * win_rate:.0f} %"
    return f" after {progress['t_env']:,} steps{won}"


def require_disk_space(folder: Path, needed_mib: float = 200.0) -> None:
    """Refuse to start where the disk is nearly full."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**20
    if free < needed_mib:
        raise UserError(f"The disk of {folder} has only {free:.0f} MiB left; an experiment needs at least 200 MiB.")
