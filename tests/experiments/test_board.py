"""The table of runs on a terminal, and the lines elsewhere."""

import io

import pytest
from rich.console import Console

from experiments import board
from experiments.plan import Run
from experiments.schedule import Row


def row(key, phase, t_env=0, speed=0.0, win_rate=None, seconds=0.0):
    run = Run(key, "amal", "sc2", "3m", 0, {}, {}, 1000)
    return Row(run, phase, t_env, 1000, win_rate, speed, seconds)


ROWS = [
    row("a", "done", 1010, 50.0, 0.97, 20.0),
    row("b", "running", 400, 20.0, 0.5, 21.0),
    row("c", "running", 0, 0.0, None, 3.0),
    row("d", "waiting"),
    row("e", "failed", 10, 5.0, None, 2.0),
]


def test_time_left_counts_what_runs_and_what_waits():
    # b at its own 20 steps/s, c and d at the 1410 steps in 41 s that a and b have made together
    assert board.seconds_left(ROWS, jobs=2) == pytest.approx((600 / 20 + 2 * 1000 * 41 / 1410) / 2)
    assert board.seconds_left(ROWS, jobs=100) == pytest.approx(30)  # no sooner than the longest
    assert board.seconds_left([row("x", "waiting")], 1) is None


def test_totals():
    assert board.totals(ROWS, 2) == "1 of 5 done, 2 running, 1 waiting, 1 failed; about 0:00:44 left"
    assert board.totals([ROWS[0]], 2) == "1 of 1 done"


def test_what_does_not_fit_is_what_matters_least():
    assert [shown.run.key for shown in board.choose(ROWS, 3)] == ["b", "c", "e"]
    assert [shown.run.key for shown in board.choose(ROWS, 4)] == ["b", "c", "d", "e"]
    assert board.choose(ROWS, 5) == ROWS
    assert len(board.choose(ROWS, -3)) == 1


def test_cells():
    assert {key: str(cell).strip() for key, cell in board.cells(ROWS[1]).items()} == {
        **{"run": "b", "state": "running", "steps": "400", "of": "1k", "win rate": "50 %"},
        **{"steps/s": "20", "time": "0:00:21", "left": "0:00:30"},
    }
    assert str(board.cells(ROWS[2])["state"]).strip() == "starting"
    assert board.cells(ROWS[3])["steps"] == ""


@pytest.mark.parametrize(("steps", "text"), [(999, "999"), (50_000, "50k"), (2_050_000, "2.05M"), (1500, "1.5k")])
def test_compact_numbers(steps, text):
    assert board.compact(steps) == text


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_keeps_within_the_terminal(width):
    long = [row("mappo_27m_vs_30m_lambda_info=0.3_seed12", "running", 1_234_567, 1234.0, 1.0, 99.0)]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(board.table(ROWS + long, "title", width))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    text = "".join(lines)
    assert "1,234,567" in text
    assert "100 %" in text


def test_plain_lines_come_at_once_for_events_and_now_and_then_for_all(capsys, monkeypatch):
    now = 100.0
    monkeypatch.setattr(board.time, "monotonic", lambda: now)
    with board.board("x: 5 runs") as view:
        assert isinstance(view, board.PlainBoard)
        view.event("a: done")
        view.update(ROWS, 2, "waiting for memory")
        view.update(ROWS, 2, "waiting for memory")
        now += board.LINE_SECONDS
        view.update(ROWS, 2, "")
    lines = capsys.readouterr().out.splitlines()
    assert [line[9:] for line in lines[1:4]] == [
        "a: done",
        "waiting for memory",
        "1 of 5 done, 2 running, 1 waiting, 1 failed; about 0:00:44 left",
    ]
    assert lines[0] == "x: 5 runs"
    assert lines[4].strip() == "b: 400/1,000 steps, win rate 50 %, 20 steps/s, 0:00:30 left"
    assert lines[5].strip() == "c: starting"
    assert len(lines) == 6


def test_a_reader_who_left_does_not_end_the_runs(monkeypatch):
    def broken(*arguments, **options):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", broken)
    with board.PlainBoard("x") as view:
        view.event("a: done")


def test_on_a_terminal_the_table_is_redrawn_and_its_last_state_stays(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=12)
    monkeypatch.setattr(board, "Console", lambda: console)
    with board.LiveBoard("x: 5 runs") as view:
        view.update(ROWS, 2, "a note")
        view.event("e: FAILED, exit code 1")
        view.update(ROWS, 2, "")
    text = screen.getvalue()
    assert "a note" in text
    assert "e: FAILED, exit code 1" in text
    last = text.rpartition("x: 5 runs")[2]
    assert "about 0:00:44 left" in last
    assert all(word in last for word in ("97 %", "running", "failed", "waiting"))
