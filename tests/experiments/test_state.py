"""States on the disk, and locks that end with their process."""

import os
import subprocess
import sys

import pytest

from experiments import state
from experiments.state import (
    Attempt,
    Lock,
    RunState,
    is_locked,
    lock_experiment,
    read_state,
    sacred_status,
    write_state,
)
from utils.errors import UserError


def test_a_state_is_read_as_it_was_written(tmp_path):
    written = RunState("a", "failed", "why", [Attempt(1.5, 7, 1.0, "cpu", 2.5, -9, "run", "models", 3.5)])
    write_state(tmp_path, written)
    assert read_state(tmp_path, "a") == written
    assert [path.name for path in (tmp_path / "runs" / "a").iterdir()] == ["state.json"]


def test_a_run_without_a_state_is_waiting(tmp_path):
    assert read_state(tmp_path, "a") == RunState("a", "waiting")


def test_a_broken_state_is_a_sentence(tmp_path):
    write_state(tmp_path, RunState("a"))
    (tmp_path / "runs" / "a" / "state.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read; remove the folder"):
        read_state(tmp_path, "a")


def test_a_kill_while_writing_leaves_the_state_before(tmp_path, monkeypatch):
    write_state(tmp_path, RunState("a", "running"))

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_state(tmp_path, RunState("a", "done"))
    assert read_state(tmp_path, "a").phase == "running"


def test_the_record_is_that_of_the_latest_attempt_that_has_one():
    assert RunState("a", attempts=[Attempt(1, run="x"), Attempt(2, run="y"), Attempt(3)]).record == "y"
    assert RunState("a").record == ""


@pytest.mark.parametrize(
    ("content", "status"), [('{"status": "COMPLETED"}', "COMPLETED"), ("{", ""), ("{}", ""), ("[]", ""), (None, "")]
)
def test_sacreds_status_of_whole_and_broken_records(tmp_path, content, status):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    assert sacred_status(str(tmp_path)) == status


class TestLocks:
    def test_a_lock_excludes_and_is_released(self, tmp_path):
        lock = Lock(tmp_path / "lock", "note")
        assert is_locked(tmp_path / "lock")
        with pytest.raises(BlockingIOError):
            Lock(tmp_path / "lock")
        assert (tmp_path / "lock").read_text() == "note"
        lock.release()
        assert not is_locked(tmp_path / "lock")
        assert not is_locked(tmp_path / "nowhere")

    def test_a_child_keeps_it_until_it_has_ended(self, tmp_path):
        lock = Lock(tmp_path / "lock")
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock.file_descriptor,)
        )
        lock.release()
        assert is_locked(tmp_path / "lock")
        child.communicate(b"\n")
        assert not is_locked(tmp_path / "lock")

    def test_two_schedulers_on_one_experiment_are_refused_with_the_first_ones_number(self, tmp_path):
        lock = lock_experiment(tmp_path)
        with pytest.raises(UserError, match=f"is being run by process {os.getpid()} already"):
            lock_experiment(tmp_path)
        lock.release()
        lock_experiment(tmp_path).release()


def test_progress_that_is_not_there_or_broken_is_nothing(tmp_path):
    assert state.read_progress(tmp_path, "a") == {}
    (tmp_path / "runs" / "a").mkdir(parents=True)
    for content in ("{", "[]"):
        (tmp_path / "runs" / "a" / "progress.json").write_text(content)
        assert state.read_progress(tmp_path, "a") == {}
