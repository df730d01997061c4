"""A run as a process of its own: started, found again after this program was killed, stopped.

Every run holds a lock on `runs/<key>/.lock`, taken before it starts and kept by the kernel for as long as it lives.
So a run is never started a second time beside itself, whatever happened to the program that started it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from configuration import ROOT
from experiments.plan import MAIN, Run, run_folder
from experiments.state import LOCK, LOG, Attempt, Lock, is_locked, read_progress

CLOCK_SLACK = 2.0  # seconds by which two readings of a process's start may differ


@dataclass
class Child:
    """A running run. `process` is None for one that an earlier scheduler started."""

    run: Run
    folder: Path
    attempt: Attempt
    process: subprocess.Popen[bytes] | None = None
    memory_mib: float = 0.0

    def has_ended(self) -> bool:
        """Tell whether the run has ended; its exit code is then in `attempt` if it can be known."""
        if self.process is None:
            return not is_locked(run_folder(self.folder, self.run.key) / LOCK)
        self.attempt.exit_code = self.process.poll()
        return self.attempt.exit_code is not None

    def measure(self) -> None:
        """Take the memory of the run and its workers, in MiB."""
        process = self._psutil()
        total = 0.0
        with contextlib.suppress(psutil.Error):
            for part in [process, *process.children(recursive=True)] if process else []:
                with contextlib.suppress(psutil.Error):
                    total += part.memory_info().rss / 2**20
        self.memory_mib = total
        self.attempt.peak_memory_mib = max(total, self.attempt.peak_memory_mib)

    def interrupt(self) -> None:
        """Ask the run to write a checkpoint and end, as Ctrl-C does."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the run and its workers at once."""
        process = self._psutil()
        with contextlib.suppress(psutil.Error):
            for part in [*process.children(recursive=True), process] if process else []:
                with contextlib.suppress(psutil.Error):
                    part.kill()

    def _signal(self, number: int) -> None:
        process = self._psutil()
        if process is not None:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _psutil(self) -> psutil.Process | None:
        """Return the process if it still is the one that was started; its number may have gone to another since."""
        if not self.attempt.pid:  # started, and its starter killed before it could note the number
            self.attempt.pid = int(progress_since(self.folder, self.run.key, self.attempt.started).get("pid", 0))
        try:
            process = psutil.Process(self.attempt.pid) if self.attempt.pid else None
            if process is None:
                return None
            if self.attempt.pid_started and abs(process.create_time() - self.attempt.pid_started) > CLOCK_SLACK:
                return None
            return process if f"experiment_run={self.run.key}" in process.cmdline() else None
        except psutil.Error:
            return None


def progress_since(folder: Path, key: str, started: float) -> dict[str, Any]:
    """Return what a run says of itself if its attempt that began at `started` has said it, else {}."""
    progress = read_progress(folder, key)
    return progress if float(progress.get("updated", 0.0)) >= started - CLOCK_SLACK else {}


def command(run: Run, settings: dict[str, object], profile: Path | None = None) -> list[str]:
    """Return the words that start a run; with `profile`, under the profiler that writes there."""
    arguments = run.arguments(settings)
    if profile is None:
        return [sys.executable, str(MAIN), *arguments]
    return [sys.executable, "-m", "experiments.profiling", str(profile), *arguments]


def start(run: Run, folder: Path, words: Sequence[str], device: str, threads: int, lock: Lock) -> Child:
    """Start a run in a session of its own, so that Ctrl-C reaches it only through us; it inherits `lock`."""
    environment = {**os.environ, "PYTHONPATH": _python_path()}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(name, str(threads))
    with open(run_folder(folder, run.key) / LOG, "ab") as log:
        head = " ".join(shlex.join(words).split())  # one line, by which readers know where an attempt begins
        log.write(f"\n=== {time.strftime('%Y-%m-%d %H:%M:%S')}  {head}\n".encode())
        log.flush()
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            pass_fds=(lock.file_descriptor,),
        )
    attempt = Attempt(started=time.time(), pid=process.pid, device=device)
    with contextlib.suppress(psutil.Error):
        attempt.pid_started = psutil.Process(process.pid).create_time()
    return Child(run, folder, attempt, process)


def _python_path() -> str:
    earlier = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(ROOT / "src"), *([earlier] if earlier else [])])
