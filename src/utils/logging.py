"""PyMARL's `Logger`: every metric to sacred, to copies such as TensorBoard where asked, and to the console.

Metrics go out through sacred's `log_scalar` as plain floats. PyMARL's `info` lists (`key` and its twin `key_T`) are
kept for old plot scripts, at most `INFO_POINTS` long: a longer series loses every second point, never its shape.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

INFO_POINTS = 1000


class ScreenHandler(logging.Handler):
    """Writes log lines to what `sys.stdout` is at that moment, so that sacred's capture sees them.

    `around` is entered for every line; a progress bar sets it to get out of the way meanwhile.
    """

    around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a reader who left (broken pipe) must not end a run."""
        try:
            with self.around():
                sys.stdout.write(self.format(record) + "\n")
                sys.stdout.flush()
        except (OSError, ValueError):
            pass


class _Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        text = f"{self.formatTime(record, '%H:%M:%S')} {mark}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def get_logger() -> logging.Logger:
    """Return the console logger; the first call gives it its one handler."""
    logger = logging.getLogger("amal")
    if not any(isinstance(handler, ScreenHandler) for handler in logger.handlers):
        handler = ScreenHandler()
        handler.setFormatter(_Format())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


class Copy(Protocol):
    """Another place that gets every value of every metric."""

    def scalar(self, name: str, value: float, step: int) -> None:
        """Take one value of a metric."""

    def close(self) -> None:
        """Take note that the run has ended."""


class Logger:
    """Collects metrics and sends them on.

    `stats[key]` is the list of `(t_env, value)` so far; `state_dict()` holds all of it, so that a resumed run can write
    the whole curve into its own records.
    """

    def __init__(self, console_logger: logging.Logger) -> None:
        self.console_logger = console_logger
        self.stats: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._run: Any = None
        self._copies: list[Copy] = []
        self._not_in_sacred: set[str] = set()
        self._info_stride: dict[str, int] = {}
        self._printed: dict[str, int] = defaultdict(int)  # how many values of a metric earlier summaries have shown

    def setup_tb(self, directory_name: str) -> None:
        """Write scalars for TensorBoard into this folder too."""
        from tracking.tensorboard import TensorBoard

        self.add_copy(TensorBoard(Path(directory_name)))

    def add_copy(self, copy: Copy) -> None:
        """Send every value from now on to `copy` too."""
        self._copies.append(copy)

    def setup_sacred(self, sacred_run: Any) -> None:
        """Write metrics into this sacred run (its `log_scalar` and its `info`)."""
        self._run = sacred_run

    def log_stat(self, key: str, value: Any, t: int, to_sacred: bool = True) -> None:
        """Record one value of a metric at environment step `t`; tensors and NumPy scalars become floats."""
        number, step = float(value.detach() if hasattr(value, "detach") else value), int(t)
        self.stats[key].append((step, number))
        if not to_sacred:
            self._not_in_sacred.add(key)
        for copy in self._copies:
            copy.scalar(key, number, step)
        if self._run is not None and to_sacred:
            self._run.log_scalar(key, number, step)
            self._to_info(key, number, step)

    def _to_info(self, key: str, number: float, step: int) -> None:
        stride = self._info_stride.setdefault(key, 1)
        if (len(self.stats[key]) - 1) % stride:
            return
        info = self._run.info
        if key not in info:
            info[key], info[f"{key}_T"] = [], []
        info[key].append(number)
        info[f"{key}_T"].append(step)
        if len(info[key]) >= INFO_POINTS:
            info[key], info[f"{key}_T"] = info[key][::2], info[f"{key}_T"][::2]
            self._info_stride[key] = 2 * stride

    def last(self, key: str) -> float | None:
        """Return the latest value of a metric, None where there is none."""
        return self.stats[key][-1][1] if self.stats.get(key) else None

    def print_recent_stats(self) -> None:
        """Print every metric, tests first: the mean of the values logged since the last call, else the latest one."""
        if not self.stats:
            return
        t_env = max(series[-1][0] for series in self.stats.values())
        episode = self.last("episode")
        head = f"Recent Stats | t_env: {t_env:>10,d}" + (f" | Episode: {int(episode):>8,d}" if episode else "")
        cells = []
        for key in sorted(self.stats, key=lambda key: (not key.startswith("test_"), key)):
            if key == "episode":
                continue
            new = self.stats[key][self._printed[key] :] or self.stats[key][-1:]
            self._printed[key] = len(self.stats[key])
            cells.append(f"{key + ':':<27}{_short(sum(value for _, value in new) / len(new)):>10}")
        rows = ["   ".join(cells[i : i + 3]) for i in range(0, len(cells), 3)]
        self.console_logger.info("\n".join([head, *rows]))

    def close(self) -> None:
        """Let the copies (TensorBoard and the like) write what they have not written yet."""
        for copy in self._copies:
            copy.close()

    def state_dict(self) -> dict[str, Any]:
        """Return all metrics so far."""
        return {
            "stats": {key: [list(point) for point in series] for key, series in self.stats.items()},
            "not_in_sacred": sorted(self._not_in_sacred),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Log all metrics of `state` again, into this run's records."""
        hidden = set(state["not_in_sacred"])
        for key, series in state["stats"].items():
            for step, value in series:
                self.log_stat(key, value, step, to_sacred=key not in hidden)


def _short(number: float) -> str:
    """Format a number into at most ten characters."""
    if number != 0 and (abs(number) < 1e-3 or abs(number) >= 1e6):
        return f"{number:.2e}"
    return f"{number:.4f}".rstrip("0").rstrip(".") if abs(number) < 1000 else f"{number:,.0f}"
