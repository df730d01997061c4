"""What a run costs: wall-clock and CPU seconds since the program started, peak memory, GPU memory.

The clock starts when this module is imported, which `main.py` does before anything slow. The operating system's start
time of the process will not do: a shell that ends in our command line becomes our process, with all it did before.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil

# Metrics that depend on the machine and its load; all others repeat exactly with the same seed on the CPU.
MACHINE_METRICS = frozenset(
    {
        "wall_seconds",
        "cpu_seconds",
        "env_steps_per_second",
        "peak_memory_mib",
        "gpu_memory_mib",
        "seconds_to_90",
        "cpu_seconds_to_90",
        "seconds_to_sustained_90",
        "cpu_seconds_to_sustained_90",
    }
)


def _children() -> tuple[float, float]:
    """Return the CPU seconds and the largest resident size (in the system's unit) of ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _peak_of_this_program() -> float:
    """Return the largest resident size of this program, in the system's unit."""
    # Linux carries ru_maxrss over from the program that started ours; VmHWM begins with our own memory.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1])
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


_UNIT = 1024 if sys.platform != "darwin" else 1024**2  # ru_maxrss and VmHWM: KiB on Linux, ru_maxrss bytes on macOS


_START = time.monotonic()
_CHILDREN_BEFORE = _children()


class Resources:
    """Clocks that start with the program and go on where a resumed run's predecessor stopped."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._earlier_wall = 0.0
        self._earlier_cpu = 0.0

    def this_process_seconds(self) -> float:
        """Return the wall-clock seconds since this program started."""
        return time.monotonic() - _START

    def wall_seconds(self) -> float:
        """Return the wall-clock seconds, those of the runs this one resumed included."""
        return self._earlier_wall + self.this_process_seconds()

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of this process and its workers, those of the runs this one resumed included."""
        own = self._process.cpu_times()
        total = own.user + own.system + _children()[0] - _CHILDREN_BEFORE[0]
        for child in self._process.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.Error:  # ended meanwhile
                continue
            total += times.user + times.system
        return self._earlier_cpu + total

    def peak_memory_mib(self) -> float:
        """Return the largest resident size this process has had, plus that of its largest ended worker, in MiB."""
        worker = _children()[1]
        if worker <= _CHILDREN_BEFORE[1]:
            worker = 0.0
        return (_peak_of_this_program() + worker) / _UNIT

    def gpu_memory_mib(self) -> float:
        """Return the most GPU memory torch has had allocated, in MiB; 0 without a GPU."""
        import torch

        return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0

    def summary(self) -> dict[str, float]:
        """Return all of it by metric name."""
        return {
            "wall_seconds": self.wall_seconds(),
            "cpu_seconds": self.cpu_seconds(),
            "peak_memory_mib": self.peak_memory_mib(),
            "gpu_memory_mib": self.gpu_memory_mib(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds spent so far."""
        return {"wall": self.wall_seconds(), "cpu": self.cpu_seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Add the seconds of the run that is resumed."""
        self._earlier_wall, self._earlier_cpu = float(state["wall"]), float(state["cpu"])
