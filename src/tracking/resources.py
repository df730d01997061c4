"""What a run costs: wall-clock and CPU seconds since the process started, peak memory, GPU memory."""

from __future__ import annotations

import resource
import sys
import time
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


class Resources:
    """Clocks that start with the process and go on where a resumed run's predecessor stopped."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._started = self._process.create_time()
        self._earlier_wall = 0.0
        self._earlier_cpu = 0.0

    def this_process_seconds(self) -> float:
        """Return the wall-clock seconds since this process started."""
        return time.time() - self._started

    def wall_seconds(self) -> float:
        """Return the wall-clock seconds, those of the runs this one resumed included."""
        return self._earlier_wall + self.this_process_seconds()

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of this process and its workers, those of the runs this one resumed included."""
        own = self._process.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in self._process.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.Error:  # ended meanwhile
                continue
            total += times.user + times.system
        return self._earlier_cpu + total

    def peak_memory_mib(self) -> float:
        """Return the largest resident size this process has had, plus that of its largest ended worker, in MiB."""
        unit = 1024 if sys.platform != "darwin" else 1024**2  # ru_maxrss: KiB on Linux, bytes on macOS
        scopes = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(resource.getrusage(scope).ru_maxrss for scope in scopes) / unit

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
