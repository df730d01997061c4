"""How far a run is: a bar on a terminal, plain lines elsewhere, and a small file for whoever watches many runs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from utils.logging import ScreenHandler

LINE_SECONDS = 15.0  # between two plain lines
SPEED_SECONDS = 30.0  # the window over which env steps/s is taken
FILE_SECONDS = 1.0  # between two writings of the progress file


class ProgressFile:
    """A JSON file that says how far a run is: who writes it (`pid`, `facts`), t_env, t_max, win rate, env steps/s."""

    def __init__(self, path: Path, **facts: Any) -> None:
        self.path = path
        self._facts = {**facts, "pid": os.getpid()}
        self._next = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, t_env: int, t_max: int, win_rate: float | None, speed: float, now: bool = False) -> None:
        """Replace the file as a whole, at most once per second unless `now`."""
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + FILE_SECONDS
        numbers = {"t_env": t_env, "t_max": t_max, "win_rate": win_rate, "steps_per_second": speed}
        content = {**self._facts, **numbers, "updated": time.time()}
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, self.path)


class RunProgress:
    """Shows steps, the latest test win rate, env steps/s and the time left.

    On a terminal a bar stays below the log lines; where `stream` is no terminal, a line goes to the log now and then.
    The same goes into `file`, if there is one.
    """

    def __init__(
        self,
        total: int,
        logger: logging.Logger,
        stream: TextIO | None = None,
        start: int = 0,
        file: ProgressFile | None = None,
    ) -> None:
        stream = stream or sys.__stderr__
        self._file = file
        self._logger = logger
        self._total = total
        self._points = [(time.monotonic(), start)]
        self._next_line = time.monotonic() + LINE_SECONDS
        self._win_rate: float | None = None
        self._bar: Progress | None = None
        if stream is not None and stream.isatty():
            self._bar = Progress(
                SpinnerColumn(),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %  {task.fields[text]}", markup=False),
                console=Console(file=stream),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                refresh_per_second=4,
            )
            self._task = self._bar.add_task("", total=total, completed=start, text=self._text(start))
            self._bar.start()
            for handler in logger.handlers:
                if isinstance(handler, ScreenHandler):
                    handler.around = self._hidden

    @contextlib.contextmanager
    def _hidden(self) -> Iterator[None]:
        """Take the bar off the screen while a log line is printed."""
        bar = self._bar
        if bar is None or not bar.live.is_started:
            yield
            return
        bar.stop()
        try:
            yield
        finally:
            bar.start()

    def steps_per_second(self) -> float:
        """Return env steps per second over the last half minute."""
        (t0, first), (t1, last) = self._points[0], self._points[-1]
        return (last - first) / (t1 - t0) if t1 > t0 else 0.0

    def update(self, t_env: int, win_rate: float | None = None) -> None:
        """Show the present step and, where a test has given one, a new win rate."""
        now = time.monotonic()
        self._points.append((now, t_env))
        while len(self._points) > 2 and now - self._points[1][0] > SPEED_SECONDS:
            self._points.pop(0)
        self._win_rate = self._win_rate if win_rate is None else win_rate
        if self._file is not None:
            self._file.write(t_env, self._total, self._win_rate, self.steps_per_second(), now=win_rate is not None)
        if self._bar is not None:
            self._bar.update(self._task, completed=min(t_env, self._total), text=self._text(t_env))
        elif now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            self._logger.info(f"{100 * min(1.0, t_env / self._total):.0f} %  {self._text(t_env)}")

    def _text(self, t_env: int) -> str:
        speed = self.steps_per_second()
        left = str(timedelta(seconds=round(max(0, self._total - t_env) / speed))) if speed else "-:--:--"
        win_rate = "  - %" if self._win_rate is None else f"{100 * self._win_rate:3.0f} %"
        return f"{t_env:,}/{self._total:,} steps   test win rate {win_rate}   {speed:,.0f} env steps/s   {left} left"

    def close(self) -> None:
        """Take the bar away for good."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        for handler in self._logger.handlers:
            if isinstance(handler, ScreenHandler):
                handler.around = contextlib.nullcontext
