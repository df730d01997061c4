"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from utils.logging import ScreenHandler

LINE_SECONDS = 15.0  # between two plain lines
SPEED_SECONDS = 30.0  # the window over which env steps/s is taken


class RunProgress:
    """Shows steps, the latest test win rate, env steps/s and the time left.

    On a terminal a bar stays below the log lines; where `stream` is no terminal, a line goes to the log now and then.
    """

    def __init__(self, total: int, logger: logging.Logger, stream: TextIO | None = None, start: int = 0) -> None:
        stream = stream or sys.__stderr__
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
