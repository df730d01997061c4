"""The scheduler, with runs that are small scripts instead of trainings."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from experiments import capacity, plan, processes, schedule
from experiments.plan import Plan, Run, run_folder
from experiments.processes import Child
from experiments.schedule import Options, Scheduler, verdict
from experiments.setting import Setting
from experiments.state import LOCK, Attempt, Lock, RunState, is_locked, read_state, write_state
from utils.errors import UserError

# What every script begins with: it tells how far it is, as trainings do, and counts its processes
PRELUDE = """
import json, os, pathlib, signal, sys, time
place, key, resume = pathlib.Path(sys.argv[1]), sys.argv[2].removeprefix("experiment_run="), sys.argv[3]
with open(place / "starts", "a") as file:
    file.write(resume + "\\n")
number = len((place / "starts").read_text().splitlines())
record = place / f"sacred{number}"
models = place / f"models{number}"
record.mkdir(), models.mkdir()
def status(word):
    (record / "run.json").write_text(json.dumps({"status": word}))
def progress(t_env, win_rate=None):
    content = {"run": str(record), "models": str(models), "pid": os.getpid(), "t_env": t_env, "t_max": 100,
               "win_rate": win_rate, "steps_per_second": 10.0, "updated": time.time()}
    (place / ".p").write_text(json.dumps(content))
    os.replace(place / ".p", place / "progress.json")
def checkpoint():
    (models / "checkpoint.pt").write_text("x"), (models / "checkpoint.json").write_text("{}")
status("RUNNING")
progress(0)
"""
GOOD = "progress(100, 0.5); status('COMPLETED')"
CRASH = "print('Traceback'); print('ValueError: no'); status('FAILED'); sys.exit(1)"
REFUSED = "print('error: learner=\"x\" does not exist.'); sys.exit(2)"
WAITS = "checkpoint(); (place / 'ready').touch()\nwhile not (place.parent / 'go').exists(): time.sleep(0.01)\n" + GOOD
KILLED_ONCE = "checkpoint()\nif number == 1: os.kill(os.getpid(), 9)\n" + GOOD
KILLED = "os.kill(os.getpid(), 9)"
PATIENT = """
def stop(*_):
    checkpoint(); status('INTERRUPTED'); sys.exit(130)
signal.signal(signal.SIGINT, stop)
(place / 'ready').touch()
time.sleep(30)
"""


class Watcher:
    """A view that remembers; `at_update` is called with the rows, as often as they are shown."""

    def __init__(self, at_update=None):
        self.events, self.notes, self.most = [], [], 0
        self.at_update = at_update

    def event(self, text):
        self.events.append(text)

    def update(self, rows, jobs, note):
        self.most = max(self.most, sum(row.phase == "running" for row in rows))
        self.notes.append(note)
        if self.at_update:
            self.at_update(rows)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(schedule, "TICK", 0.01)
    monkeypatch.setattr(schedule, "MEASURE_SECONDS", 0.02)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Return `make(key=script, ...) -> Plan` whose runs are these scripts."""
    scripts = {}

    def command(run, settings, profile):
        place = run_folder(tmp_path, run.key)
        resume = settings.get("resume", "none")
        words = [sys.executable, "-S", "-c", PRELUDE + textwrap.dedent(scripts[run.key])]
        return [*words, str(place), f"experiment_run={run.key}", str(resume)]

    monkeypatch.setattr(schedule, "command", command)

    def make(**given):
        scripts.update(given)
        runs = tuple(Run(key, "a", "sc2", "3m", 0, {}, {}, 100) for key in given)
        return Plan("x", runs, tmp_path, Setting())

    return make


def phases(made):
    return {run.key: read_state(made.folder, run.key).phase for run in made.runs}


def starts(made, key):
    return (run_folder(made.folder, key) / "starts").read_text().splitlines()


def wait_for(path):
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.01)


class TestRunning:
    def test_runs_go_side_by_side_up_to_the_limit(self, experiment):
        made = experiment(**{f"r{number}": "time.sleep(0.1)\n" + GOOD for number in range(6)})
        view = Watcher()
        Scheduler(made, Options(jobs=3), view).run()
        assert set(phases(made).values()) == {"done"}
        assert view.most == 3
        assert all(len(starts(made, run.key)) == 1 for run in made.runs)

    def test_a_failed_run_does_not_stop_the_rest_and_says_what_it_died_of(self, experiment):
        made = experiment(crash=CRASH, refused=REFUSED, good=GOOD)
        Scheduler(made, Options(jobs=1), Watcher()).run()
        assert phases(made) == {"crash": "failed", "refused": "failed", "good": "done"}
        assert read_state(made.folder, "crash").message == "exit code 1: ValueError: no"
        assert read_state(made.folder, "refused").message == 'exit code 2: learner="x" does not exist.'
        assert len(starts(made, "crash")) == 1

    def test_a_killed_run_is_continued_once(self, experiment):
        made = experiment(once=KILLED_ONCE, always=KILLED)
        Scheduler(made, Options(jobs=2), Watcher()).run()
        assert phases(made) == {"once": "done", "always": "failed"}
        first, second = starts(made, "once")
        assert (first, second) == ("none", str(run_folder(made.folder, "once") / "models1" / "checkpoint.pt"))
        assert starts(made, "always") == ["none", "none"]  # it had no checkpoint to go on from
        assert read_state(made.folder, "always").message.startswith("killed by signal 9")

    def test_finished_runs_are_not_repeated_and_failed_ones_tried_again(self, experiment):
        made = experiment(good=GOOD, bad="if number == 1: sys.exit(1)\n" + GOOD)
        Scheduler(made, Options(jobs=2), Watcher()).run()
        assert phases(made) == {"good": "done", "bad": "failed"}
        Scheduler(made, Options(jobs=2), Watcher()).run()
        assert phases(made) == {"good": "done", "bad": "done"}
        assert (len(starts(made, "good")), len(starts(made, "bad"))) == (1, 2)

    def test_the_log_of_the_latest_attempt_is_told(self, experiment):
        made = experiment(bad="print('number', number); sys.exit(1)")
        for number in (1, 2):
            Scheduler(made, Options(jobs=1), Watcher()).run()
            assert schedule.log_tail(made.folder, "bad") == [f"number {number}"]

    def test_runs_have_no_part_in_our_terminal(self, experiment):
        made = experiment(good="assert os.getsid(0) == os.getpid() and sys.stdin.read() == ''\n" + GOOD)
        Scheduler(made, Options(jobs=1), Watcher()).run()
        assert phases(made) == {"good": "done"}

    def test_rows_show_what_runs_say_of_themselves(self, experiment):
        seen = []
        made = experiment(good="progress(40, 0.25); time.sleep(0.3)\n" + GOOD)
        scheduler = Scheduler(made, Options(jobs=1), Watcher(lambda rows: seen.append(rows[0])))
        scheduler.run()
        middle = [row for row in seen if row.t_env == 40]
        assert middle[0].win_rate == 0.25
        assert middle[0].seconds_left == pytest.approx(6.0)  # 60 steps at 10 per second
        assert (seen[-1].phase, seen[-1].t_env, seen[-1].win_rate) == ("done", 100, 0.5)


class TestMemory:
    def test_the_next_run_waits_until_there_is_room(self, experiment, monkeypatch):
        monkeypatch.setattr(capacity, "memory_mib", lambda: (10_000.0, 1200.0))  # of the 1000 assumed one has room
        made = experiment(a="time.sleep(0.1)\n" + GOOD, b=GOOD)
        view = Watcher()
        Scheduler(made, Options(jobs=2), view).run()
        assert view.most == 1
        assert any(note.startswith("waiting for memory: 1,200 MiB free") for note in view.notes)
        assert set(phases(made).values()) == {"done"}

    def test_one_run_always_goes_on(self, experiment, monkeypatch):
        monkeypatch.setattr(capacity, "memory_mib", lambda: (10_000.0, 1.0))
        made = experiment(a=GOOD)
        Scheduler(made, Options(jobs=2), Watcher()).run()
        assert phases(made) == {"a": "done"}

    def test_memory_is_measured_while_a_run_goes_on(self, experiment):
        made = experiment(a="block = bytearray(50 * 2**20); time.sleep(0.3)\n" + GOOD)
        Scheduler(made, Options(jobs=1), Watcher()).run()
        assert 50 < read_state(made.folder, "a").attempts[0].peak_memory_mib < 150


class TestStopping:
    def stop_when_ready(self, made, times=1):
        def at_update(rows):
            ready = [run_folder(made.folder, run.key) / "ready" for run in made.runs[:2]]
            if not self.scheduler.stop_requests and all(path.exists() for path in ready):
                for _ in range(times):
                    self.scheduler.stop()

        self.scheduler = Scheduler(made, Options(jobs=2), Watcher(at_update))
        self.scheduler.run()

    def test_runs_are_interrupted_and_can_be_continued(self, experiment):
        made = experiment(a=PATIENT, b=PATIENT, c=GOOD)
        self.stop_when_ready(made)
        assert phases(made) == {"a": "interrupted", "b": "interrupted", "c": "waiting"}
        made = experiment(a=GOOD, b=GOOD, c=GOOD)
        Scheduler(made, Options(jobs=2), Watcher()).run()
        assert set(phases(made).values()) == {"done"}
        assert starts(made, "a")[1].endswith("models1/checkpoint.pt")

    def test_a_run_that_does_not_listen_is_killed_by_the_third_request(self, experiment):
        deaf = "signal.signal(signal.SIGINT, signal.SIG_IGN); (place / 'ready').touch(); time.sleep(30)"
        made = experiment(a=deaf, b=deaf)
        begin = time.monotonic()
        self.stop_when_ready(made, times=3)
        assert time.monotonic() - begin < 15
        assert phases(made) == {"a": "interrupted", "b": "interrupted"}


class TestAfterAKill:
    """An earlier scheduler was killed; its runs go on, or were killed with it."""

    def leave_running(self, made, key, note_pid=True):
        """Start a run as a scheduler does, and forget it as one that is killed does."""
        run = next(run for run in made.runs if run.key == key)
        place = run_folder(made.folder, key)
        write_state(made.folder, RunState(key, "running", "", [Attempt(started=time.time())]))
        lock = Lock(place / LOCK)
        words = schedule.command(run, {}, None)
        child = processes.start(run, made.folder, words, "", 1, lock)
        lock.release()
        if note_pid:
            write_state(made.folder, RunState(key, "running", "", [child.attempt]))
        wait_for(place / "ready")
        threading.Thread(target=child.process.wait, daemon=True).start()  # as init does for an orphan
        return child.process

    @pytest.mark.parametrize("note_pid", [True, False])
    def test_runs_that_still_go_on_are_taken_over(self, experiment, note_pid):
        made = experiment(a=WAITS, b=GOOD)
        self.leave_running(made, "a", note_pid)
        view = Watcher(lambda rows: (made.folder / "runs" / "go").touch())
        Scheduler(made, Options(jobs=2), view).run()
        assert phases(made) == {"a": "done", "b": "done"}
        assert len(starts(made, "a")) == 1
        assert "taken over" in view.events[0]

    def test_a_run_that_was_killed_too_goes_on_from_its_checkpoint(self, experiment):
        made = experiment(a=WAITS)
        process = self.leave_running(made, "a")
        process.kill()
        while is_locked(run_folder(made.folder, "a") / LOCK):
            time.sleep(0.01)
        (made.folder / "runs" / "go").touch()
        Scheduler(made, Options(jobs=1), Watcher()).run()
        assert phases(made) == {"a": "done"}
        assert starts(made, "a") == ["none", str(run_folder(made.folder, "a") / "models1" / "checkpoint.pt")]

    def test_a_run_that_ended_well_while_nobody_watched_is_not_repeated(self, experiment):
        made = experiment(a=WAITS)
        self.leave_running(made, "a")
        (made.folder / "runs" / "go").touch()
        while is_locked(run_folder(made.folder, "a") / LOCK):
            time.sleep(0.01)
        Scheduler(made, Options(jobs=1), Watcher()).run()
        assert phases(made) == {"a": "done"}
        assert len(starts(made, "a")) == 1

    def test_a_run_noted_but_never_started_is_started(self, experiment):
        made = experiment(a=GOOD)
        write_state(made.folder, RunState("a", "running", "", [Attempt(started=time.time())]))
        Scheduler(made, Options(jobs=1), Watcher()).run()
        assert phases(made) == {"a": "done"}
        assert len(starts(made, "a")) == 1

    def test_however_often_the_scheduler_is_killed_every_run_is_started_once(self, experiment):
        made = experiment(**{f"r{number}": "time.sleep(0.1)\n" + GOOD for number in range(10)})
        generator = random.Random(0)
        kills = 0
        while True:
            scheduler = os.fork()
            if scheduler == 0:
                Scheduler(made, Options(jobs=3), Watcher()).run()
                os._exit(0)
            end = time.monotonic() + generator.uniform(0.0, 0.2) * (kills < 12)
            while kills < 12 and time.monotonic() < end:
                time.sleep(0.005)
            if kills < 12:
                os.kill(scheduler, signal.SIGKILL)
                kills += 1
            if os.waitstatus_to_exitcode(os.waitpid(scheduler, 0)[1]) == 0:
                break
        assert set(phases(made).values()) == {"done"}
        assert kills >= 3
        assert [len(starts(made, run.key)) for run in made.runs] == [1] * 10

    def test_the_status_tells_whether_a_run_still_goes_on(self, experiment):
        made = experiment(a=WAITS, b=GOOD)
        process = self.leave_running(made, "a")
        assert [row.phase for row in schedule.stored_rows(made)] == ["running", "waiting"]
        process.kill()
        while is_locked(run_folder(made.folder, "a") / LOCK):
            time.sleep(0.01)
        assert [row.phase for row in schedule.stored_rows(made)] == ["interrupted", "waiting"]

    def test_runs_taken_over_are_interrupted_by_ctrl_c_too(self, experiment):
        made = experiment(a=PATIENT)
        self.leave_running(made, "a")
        scheduler = Scheduler(made, Options(jobs=1), Watcher())
        scheduler.stop()
        scheduler.run()
        assert phases(made) == {"a": "interrupted"}

    def test_a_foreign_process_with_the_same_number_is_left_alone(self, experiment):
        made = experiment(a=GOOD)
        other = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(30)"])
        attempt = Attempt(time.time(), pid=other.pid, pid_started=psutil.Process(other.pid).create_time())
        child = Child(made.runs[0], made.folder, attempt)
        child.interrupt()
        child.kill()
        assert other.poll() is None
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    ("code", "status", "end"),
    [
        (0, "COMPLETED", "done"),
        (0, "", "done"),
        (None, "COMPLETED", "done"),
        (-9, "COMPLETED", "done"),
        (130, "INTERRUPTED", "interrupted"),
        (None, "INTERRUPTED", "interrupted"),
        (-9, "RUNNING", "killed"),
        (None, "RUNNING", "killed"),
        (None, "", "killed"),
        (1, "FAILED", "failed"),
        (None, "FAILED", "failed"),
        (2, "", "failed"),
    ],
)
def test_what_has_become_of_a_run(code, status, end):
    assert verdict(code, status) == end


def test_gpus_are_used_in_turn(experiment):
    made = experiment(a="time.sleep(0.2)\n" + GOOD, b="time.sleep(0.2)\n" + GOOD, c=GOOD)
    Scheduler(made, Options(jobs=3, gpus=(0, 1)), Watcher()).run()
    devices = [read_state(made.folder, key).attempts[0].device for key in "abc"]
    assert devices == ["cuda:0", "cuda:1", "cuda:0"]


def test_a_full_disk_is_refused(tmp_path):
    schedule.require_disk_space(tmp_path / "not" / "there" / "yet")
    with pytest.raises(UserError, match="MiB left"):
        schedule.require_disk_space(tmp_path, needed_mib=1e12)


def test_the_command_is_mains_with_the_experiments_keys():
    made = plan.make(Setting(algos=["mappo"], scenarios=["3m"], seeds=[3]))
    words = processes.command(made.runs[0], {"experiment": "x", "experiment_run": "k", "device": "cuda:1"}, None)
    assert Path(words[1]).name == "main.py"
    assert words[2:5] == ["--config=mappo", "--env-config=sc2", "with"]
    assert {"seed=3", "experiment=x", "experiment_run=k", "device=cuda:1"} <= set(words)
    profiled = processes.command(made.runs[0], {}, Path("p.pstats"))
    assert profiled[1:4] == ["-m", "experiments.profiling", "p.pstats"]
