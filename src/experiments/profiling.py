"""Where the time of a run goes: `main.py` under cProfile, its phases and its slowest functions as text.

    python -m experiments.profiling OUT.pstats --config=... with ...      runs under the profiler, exits as main.py does

The profiler makes Python calls slower, not compiled code: parts made of many small calls look larger than they are. It
sees the main process only: not the workers of the parallel runner, not what a GPU does while Python goes on.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configuration import ROOT

N_FUNCTIONS = 20
N_PARTS = 15
BUILT_IN = "~"  # the file of functions without one

# phase -> (file, function) whose calls from (caller's file, function) it consists of; time is counted with all it calls
Function = tuple[str, str]
Entry = tuple[str, int, str]  # file, line, function: cProfile's own key
TRAINER = "run/training.py"
PHASES: tuple[tuple[str, Function, Function | None], ...] = (
    ("training: play", ("runners/", "run"), (TRAINER, "_iterate")),
    ("training: learn", (TRAINER, "learn"), (TRAINER, "_iterate")),
    ("tests", (TRAINER, "_test"), None),
    ("log", (TRAINER, "_log"), None),
    ("models and checkpoints", (TRAINER, "save_models"), None),
    ("models and checkpoints", (TRAINER, "save_checkpoint"), None),
)
TRAINING: Function = (TRAINER, "run")

@dataclass(frozen=True)
class Share:
    """Seconds of a run that went into something."""

    name: str
    seconds: float


def profile_main(output: Path, arguments: Sequence[str]) -> int:
    """Run `main.py`'s command line under the profiler, write what it saw, return the exit code."""
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        from main import main

        code = main(arguments)
    finally:
        profiler.disable()
        profiler.dump_stats(output)
    return code


def report(path: Path) -> str:
    """Return the readable account of a profile: phases, then functions by their own time."""
    stats = pstats.Stats(str(path))
    total = float(stats.total_tt)  # type: ignore[attr-defined]
    lines = [f"Where the {total:.1f} s of the run went (under the profiler, which slows Python down):", ""]
    lines += _table(phases(stats, total), total)
    lines += ["", "The same by the code that was at work, built-in functions counted to their callers:", ""]
    lines += _table(parts(stats)[:N_PARTS], total)
    lines += ["", f"The {N_FUNCTIONS} functions that took most time themselves:", ""]
    lines += [f"{'seconds':>9}  {'calls':>9}  function"]
    lines += [f"{seconds:9.2f}  {calls:9,}  {name}" for name, seconds, calls in slowest(stats)]
    return "\n".join(lines)


def phases(stats: pstats.Stats, total: float) -> list[Share]:
    """Return the phases of a run, which add up to `total`, and what is left of each level."""
    entries = stats.stats  # type: ignore[attr-defined]
    training = _cumulative(entries, TRAINING, None)
    inside: dict[str, float] = {}
    for name, function, caller in PHASES:
        inside[name] = inside.get(name, 0.0) + _cumulative(entries, function, caller)
    rest = max(0.0, training - sum(inside.values()))
    start = max(0.0, total - training)
    return [
        Share("start and end: imports, compiling, building the parts, records", start),
        *(Share(name, seconds) for name, seconds in inside.items()),
        Share("the rest of the loop", rest),
    ]


def _cumulative(entries: dict[Entry, Any], function: Function, caller: Function | None) -> float:
    """Return the seconds in a function and all it called, over all callers or the one given."""
    total = 0.0
    for key, (_, _, _, cumulative, callers) in entries.items():
        if not _matches(key, function):
            continue
        if caller is None:
            total += cumulative
        else:
            total += sum(times[3] for who, times in callers.items() if _matches(who, caller))
    return total


def _matches(key: Entry, function: Function) -> bool:
    path, name = function
    return key[2] == name and f"src/{path}" in key[0].replace("\\", "/")


def parts(stats: pstats.Stats) -> list[Share]:
    """Return the own time of every part of the program, the largest first: our folders, libraries, the language."""
    entries = stats.stats  # type: ignore[attr-defined]
    seconds: dict[str, float] = {}
    for key, (_, _, own, _, callers) in entries.items():
        if key[0] == BUILT_IN and callers:
            for who, times in callers.items():
                seconds[_part(who[0])] = seconds.get(_part(who[0]), 0.0) + times[2]
        else:
            seconds[_part(key[0])] = seconds.get(_part(key[0]), 0.0) + own
    return sorted((Share(name, spent) for name, spent in seconds.items()), key=lambda share: -share.seconds)


def _part(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(ROOT / "src"):
        folders = path.relative_to(ROOT / "src").parts
        return f"src/{folders[0]}"
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
    if file.startswith("<frozen importlib"):
        return "imports"
    return "built-in functions" if file == BUILT_IN else "Python's own library"


def slowest(stats: pstats.Stats) -> list[tuple[str, float, int]]:
    """Return (function, own seconds, calls) of the functions that took most time themselves."""
    entries = stats.stats  # type: ignore[attr-defined]
    rows = [(_shown(key), float(own), int(calls)) for key, (_, calls, own, _, _) in entries.items()]
    return sorted(rows, key=lambda row: -row[1])[:N_FUNCTIONS]


def _shown(key: Entry) -> str:
    file, line, name = key
    if file == BUILT_IN:
        return name  # built in
    path = Path(file)
    if path.is_relative_to(ROOT / "src"):
        return f"{path.relative_to(ROOT / 'src')}:{line} {name}"
    shortened = "/".join(path.parts[-3:])
    return f"{shortened}:{line} {name}"


def _table(shares: Sequence[Share], total: float) -> list[str]:
    width = max(len(share.name) for share in shares)
    return [
        f"  {share.name:<{width}}  {share.seconds:8.2f} s  {100 * share.seconds / total if total else 0:5.1f} %"
        for share in shares
    ]


if __name__ == "__main__":
    sys.exit(profile_main(Path(sys.argv[1]), sys.argv[2:]))
