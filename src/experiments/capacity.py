"""How many runs the machine carries: by its cores beforehand, by its memory while they run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ASSUMED_MIB = 1000.0  # of a run of which nothing has been measured yet
RESERVE_SHARE = 0.05  # of all memory, kept free for everything else
CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return the cores this process may use: its affinity, and the quota of its container if there is one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


def memory_mib() -> tuple[float, float]:
    """Return total and available memory in MiB, of the container where it has less than the machine."""
    machine = psutil.virtual_memory()
    total, available = float(machine.total), float(machine.available)
    try:
        limit = float((CGROUP / "memory.max").read_text(encoding="ascii"))
        used = float((CGROUP / "memory.current").read_text(encoding="ascii"))
        cache = dict(line.split() for line in (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        used -= float(cache.get("inactive_file", 0))  # given back as soon as somebody asks
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return total / 2**20, available / 2**20
    return min(total, limit) / 2**20, min(available, limit - used) / 2**20


@dataclass
class MemoryBook:
    """What runs have been seen to need, in MiB, by group (runs that can be expected to need the same)."""

    seen: dict[str, float] = field(default_factory=dict)
    finished: dict[str, float] = field(default_factory=dict)

    def see(self, group: str, mib: float) -> None:
        """Note what a run needs at the moment."""
        self.seen[group] = max(mib, self.seen.get(group, 0.0))

    def finish(self, group: str, peak_mib: float) -> None:
        """Note what a run has needed from its start to its end."""
        if peak_mib > 0:
            self.finished[group] = max(peak_mib, self.finished.get(group, 0.0))

    def expect(self, group: str) -> float:
        """Return what a run of this group will need; until one has finished, not less than what is assumed."""
        if group in self.finished:
            return max(self.finished[group], self.seen.get(group, 0.0))
        return max(ASSUMED_MIB, self.seen.get(group, 0.0))

    def room_for(self, group: str, running: Iterable[tuple[str, float]], total: float, available: float) -> bool:
        """Tell whether a run of `group` still fits beside those `running`, given as (group, MiB now)."""
        to_come = sum(max(0.0, self.expect(other) - now) for other, now in running)
        return available - to_come - self.expect(group) >= RESERVE_SHARE * total
