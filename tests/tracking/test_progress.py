"""The bar on a terminal, the plain lines elsewhere."""

import contextlib
import io
import json
import logging
import os
import pty

import pytest

from tracking import progress
from tracking.progress import ProgressFile, RunProgress
from utils.logging import get_logger


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_without_a_terminal_a_line_comes_every_so_often(clock, caplog):
    logger = logging.getLogger("plain")
    with caplog.at_level(logging.INFO, "plain"):
        shown = RunProgress(10_000, logger, stream=io.StringIO())
        for step in range(1, 41):
            clock.now += 1
            shown.update(step * 100, win_rate=0.5 if step == 5 else None)
        shown.close()
    assert len(caplog.messages) == 2
    assert caplog.messages[0] == "15 %  1,500/10,000 steps   test win rate  50 %   100 env steps/s   0:01:25 left"


def test_the_speed_is_that_of_the_last_half_minute(clock):
    shown = RunProgress(10**6, logging.getLogger("quiet"), stream=io.StringIO())
    for _ in range(100):
        clock.now += 1
        shown.update(int(10 * (clock.now - 100)))
    slow = shown.steps_per_second()
    for _ in range(100):
        clock.now += 1
        shown.update(int(1000 + 500 * (clock.now - 200)))
    assert slow == pytest.approx(10)
    assert shown.steps_per_second() == pytest.approx(500)


def test_a_resumed_run_does_not_count_earlier_steps_as_speed(clock):
    shown = RunProgress(10_000, logging.getLogger("quiet"), stream=io.StringIO(), start=5000)
    clock.now += 10
    shown.update(5100)
    assert shown.steps_per_second() == pytest.approx(10)


def test_on_a_terminal_a_bar_gives_way_to_log_lines(capsys):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        shown = RunProgress(100, get_logger(), stream=terminal)
        shown.update(50, 0.25)
        get_logger().info("a line")
        shown.update(60)
        shown.close()
        get_logger().info("after")
    text = b""
    with contextlib.suppress(OSError):  # how a terminal says that nothing more will come
        while chunk := os.read(ours, 100_000):
            text += chunk
    os.close(ours)
    text = text.decode()
    assert "50/100 steps   test win rate  25 %" in text
    assert "a line" not in text  # log lines go to the output, the bar to the terminal
    lines = capsys.readouterr().out.splitlines()
    assert [line[9:] for line in lines] == ["a line", "after"]


def test_the_file_tells_how_far_a_run_is_once_per_second_and_at_every_test(clock, tmp_path):
    path = tmp_path / "run" / "progress.json"
    shown = RunProgress(
        1000, logging.getLogger("quiet"), stream=io.StringIO(), file=ProgressFile(path, run="results/sacred/1")
    )
    steps = []
    for step in range(1, 5):
        clock.now += 0.5
        shown.update(step * 10, win_rate=0.25 if step == 4 else None)
        steps.append(json.loads(path.read_text())["t_env"])
    content = json.loads(path.read_text())
    assert steps == [10, 10, 30, 40]
    assert (content["t_max"], content["win_rate"], content["steps_per_second"]) == (1000, 0.25, 20.0)
    assert (content["run"], content["pid"]) == ("results/sacred/1", os.getpid())
    assert [file.name for file in path.parent.iterdir()] == ["progress.json"]
