"""How all runs are: one table, live on a terminal; plain lines where the output goes elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from experiments.schedule import Row

LINE_SECONDS = 30.0  # between two plain lines
PIPE_WIDTH = 160  # columns of a table that goes into a file
FRAME = 7  # lines of the table that are not runs: heading, rules, totals, note
WIDE = 90  # columns from which on elapsed times are shown
COLUMNS = ("run", "state", "steps", "of", "win rate", "steps/s", "time", "left")
STYLES = {"running": "bold cyan", "done": "green", "failed": "bold red", "interrupted": "yellow", "waiting": "dim"}
ORDER = ("failed", "running", "interrupted", "waiting", "done")


def how_many(n_runs: int, jobs: int) -> str:
    """Return "1 run" or "12 runs, 4 at a time"."""
    return "1 run" if n_runs == 1 else f"{n_runs:,} runs, {min(jobs, n_runs)} at a time"


def duration(seconds: float | None) -> str:
    """Return h:mm:ss; "-" for None."""
    return "-" if seconds is None else str(timedelta(seconds=round(seconds)))


def seconds_left(rows: Sequence[Row], jobs: int) -> float | None:
    """Return about how long all runs will take (less, where some end before t_max); None before any has made a step.

    Running ones go on at their speed; the others are reckoned at the pace of those so far, their starts included.
    """
    begun = [row for row in rows if row.t_env > 0 and row.phase != "failed"]
    if not begun:
        return None
    pace = sum(row.t_env for row in begun) / max(1e-9, sum(row.seconds for row in begun))
    left = [
        max(0, row.t_max - row.t_env) / (row.speed if row.phase == "running" and row.speed > 0 else pace)
        for row in rows
        if row.phase in ("running", "waiting")
    ]
    return max(sum(left) / max(1, jobs), max(left, default=0.0))


def totals(rows: Sequence[Row], jobs: int) -> str:
    """Return the line under the table: how many runs are in which state, and the time left."""
    counts = Counter(row.phase for row in rows)
    parts = [f"{counts['done']} of {len(rows)} done"]
    parts += [f"{counts[phase]} {phase}" for phase in ("running", "waiting", "failed", "interrupted") if counts[phase]]
    left = seconds_left(rows, jobs) if counts["running"] else None
    return ", ".join(parts) + (f"; about {duration(left)} left" if left is not None else "")


def choose(rows: Sequence[Row], n_lines: int) -> list[Row]:
    """Return the rows that fit into `n_lines`, in the plan's order, those that matter most before others."""
    if len(rows) <= n_lines:
        return list(rows)
    by_weight = sorted(range(len(rows)), key=lambda index: (ORDER.index(rows[index].phase), index))
    return [rows[index] for index in sorted(by_weight[: max(1, n_lines)])]


def table(rows: Sequence[Row], title: str = "", width: int = PIPE_WIDTH) -> Table:
    """Return the table of runs, without the column of elapsed times where `width` is small."""
    columns = [name for name in COLUMNS if not (name == "time" and width < WIDE)]
    made = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        left = name in ("run", "state")
        made.add_column(name, justify="left" if left else "right", no_wrap=name != "run", overflow="fold")
    for row in rows:
        shown = cells(row)
        made.add_row(*(shown[name] for name in columns))
    return made


def cells(row: Row) -> dict[str, Text | str]:
    """Return one run's cells by column."""
    begun, running = row.seconds > 0, row.phase == "running"
    state = "starting" if running and row.t_env == 0 else row.phase
    return {
        "run": row.run.key,
        "state": Text(f"{state:<11}", style=STYLES[row.phase]),
        "steps": f"{row.t_env:,}" if begun else "",
        "of": compact(row.t_max),
        "win rate": "" if row.win_rate is None else f"{100 * row.win_rate:.0f} %",
        "steps/s": f"{row.speed:,.0f}" if begun and row.speed else "",
        "time": duration(row.seconds) if begun else "",
        "left": duration(row.seconds_left) if running and row.t_env else "",
    }


def compact(steps: int) -> str:
    """Return a number of steps as it would be typed: 10k, 2.05M."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if steps >= size:
            return f"{steps / size:.4g}{unit}"
    return str(steps)


def print_table(rows: Sequence[Row], title: str, jobs: int = 1) -> None:
    """Print the table once, whole."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(table(rows, title, console.width))
    console.print(totals(rows, jobs), highlight=False)


class LiveBoard:
    """The table, redrawn in place; events scroll by above it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=4, vertical_overflow="crop", auto_refresh=False)
        self._rows: Sequence[Row] = ()
        self._jobs = 1

    def __enter__(self) -> LiveBoard:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what stays on the screen is the whole table, however long
        self._live.vertical_overflow = "visible"
        whole = table(self._rows, self._title, self._console.width)
        self._live.update(Group(whole, Text(totals(self._rows, self._jobs))), refresh=True)
        self._live.stop()

    def event(self, text: str) -> None:
        """Print a line above the table."""
        style = "red" if "FAILED" in text else "dim"
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}", style=style))

    def update(self, rows: Sequence[Row], jobs: int, note: str) -> None:
        """Draw the table anew, as much of it as the screen holds."""
        self._rows, self._jobs = rows, jobs
        shown = choose(rows, self._console.height - FRAME)
        hidden = len(rows) - len(shown)
        lines = [Text(totals(rows, jobs) + (f"; {hidden} not shown" if hidden else ""))]
        if note:
            lines.append(Text(note, style="yellow"))
        self._live.update(Group(table(shown, self._title, self._console.width), *lines), refresh=True)


class PlainBoard:
    """A line for every event, and now and then one for all and one for each running run."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._next = time.monotonic() + LINE_SECONDS
        self._note = ""

    def __enter__(self) -> PlainBoard:
        say(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave what was printed."""

    def event(self, text: str) -> None:
        """Print a line."""
        say(f"{time.strftime('%H:%M:%S')} {text}")

    def update(self, rows: Sequence[Row], jobs: int, note: str) -> None:
        """Print how things are if it is time, and a note when it is new."""
        if note and note != self._note:
            self.event(note)
        self._note = note
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_SECONDS
        self.event(totals(rows, jobs))
        for row in rows:
            if row.phase == "running":
                say(f"           {_line(row)}")


def say(text: str) -> None:
    """Print a line; a reader who left (broken pipe) must not end the runs."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def _line(row: Row) -> str:
    if row.t_env == 0:
        return f"{row.run.key}: starting"
    won = "-" if row.win_rate is None else f"{100 * row.win_rate:.0f} %"
    steps = f"{row.t_env:,}/{row.t_max:,} steps"
    return f"{row.run.key}: {steps}, win rate {won}, {row.speed:,.0f} steps/s, {duration(row.seconds_left)} left"


def board(title: str) -> LiveBoard | PlainBoard:
    """Return the live table on a terminal, plain lines elsewhere."""
    return LiveBoard(title) if sys.stdout.isatty() else PlainBoard(title)
