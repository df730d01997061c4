"""Experiments from the command line to the table of results: mistakes, and small real runs that are killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import run_experiment
from experiments import outcome
from experiments.state import Lock, read_state

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    *("batch_size_run=2", "epochs=1", "stop_win_rate=0", "test_nepisode=2", "test_interval=200"),
    *("log_interval=100", "runner_log_interval=100", "learner_log_interval=100"),
]


@pytest.fixture
def run(capsys, tmp_path):
    """Call the command line here; results go under tmp_path. `run(words) -> (exit code, stdout, stderr)`."""

    def call(*words, overrides=()):
        code = run_experiment.main([*words, "--", f"local_results_path={tmp_path}", *overrides])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Which algorithm? Add --algo NAME"),
        (["--algo", "mapo"], 'There is no algorithm "mapo" in src/config/algs/. Did you mean "mappo"?'),
        (["--algo", "mappo", "--scenario", "3n"], 'Did you mean "3m"?'),
        (["--algo", ""], "--algos names nothing."),
        (["--algo", "mappo", "--seeds", "0"], "--seeds=0 is neither a number of seeds (at least 1) nor a list"),
        (["--algo", "mappo", "--seeds", "2", "--seed", "1"], "Both --seed and --seeds are given"),
        (["--algo", "mappo", "--t-max", "soon"], "--t-max=soon is not a positive whole number"),
        (["--algo", "mappo", "--episodes", "0"], "--episodes=0 is not a positive whole number"),
        (["--algo", "mappo", "--jobs", "0"], "--jobs=0 is not a positive whole number"),
        (["--algo", "mappo", "--sweep", "lr"], '--sweep "lr" is not of the form'),
        (["--algo", "mappo", "--sweep", "lrr=1"], 'Unknown key "lrr". Did you mean "lr"?'),
        (["--algo", "mappo", "--sweep", "lr=1,2", "--sweep", "lr=3"], '"lr" is swept twice.'),
        (["--algo", "mappo", "--sweep", "lr=1e-4..1e-3"], "add --random N"),
        (["--algo", "mappo", "--random", "3"], "--random needs something to draw"),
        (["--algo", "mappo", "--name", "a/b"], 'The name "a/b" cannot be a folder\'s'),
        (["--algo", "mappo", "--setting", "nowhere.yaml"], '--setting="nowhere.yaml" is neither a file nor one of'),
        (["--algo", "mappo", "--gpu", "one"], '--gpu="one" is neither a number'),
        (["--algo", "mappo", "--seeds", "2", "--profile"], "--profile looks at one run; this command has 2."),
        (["--algoo", "mappo"], "Unknown option --algoo. Did you mean"),
        (["--algo"], "expected one argument"),
        (["--algo", "mappo", "lr=3"], '"lr=3" stands alone; settings for every run come after "--": -- lr=3'),
        (["--status", "--name", "nowhere", "--algo", "mappo"], 'There is no experiment "nowhere" in'),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(run, tmp_path, words, sentence):
    code, out, err = run(*words)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_refused(run, monkeypatch):
    for there, found in ((0, "none"), (1, "only GPU 0"), (2, "only GPUs 0 to 1")):
        monkeypatch.setattr("torch.cuda.device_count", lambda there=there: there)
        code, _, err = run("--algo", "mappo", "--gpu", "2")
        assert code == 2
        assert f"There is no GPU 2; torch finds {found} on this machine." in err
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert run_experiment.gpu_numbers("0,1") == (0, 1)
    assert run_experiment.gpu_numbers("none") == (-1,)


def test_a_disk_error_is_a_sentence(run, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device", "results/x")

    monkeypatch.setattr("experiments.plan.store", full)
    code, _, err = run("--algo", "mappo", "--name", "x")
    assert (code, err) == (2, "error: No space left on device (results/x)\n")


def test_runs_are_interrupted_when_their_states_cannot_be_written(run, monkeypatch):
    asked = []

    def full(scheduler):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.schedule.Scheduler.run", full)
    monkeypatch.setattr("experiments.schedule.Scheduler.interrupt_all", lambda scheduler: asked.append(scheduler))
    code, _, err = run("--algo", "mappo", "--name", "x")
    assert (code, err, len(asked)) == (2, "error: No space left on device\n", 1)


def test_a_password_is_not_written_into_a_plan(run, tmp_path):
    code, out, err = run("--algo", "mappo", overrides=["mongo_url=mongodb://me:secret@host"])
    assert code == 2
    assert "secret" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_commands_and_writes_nothing(run, tmp_path):
    code, out, _ = run("--compare", "--algos", "amal,mappo", "--scenarios", "3m,8m", "--t_max=100k", "--dry-run")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 2 * 2 * 5 + 1  # a comparison has five seeds
    assert lines[0].startswith("python3 src/main.py --config=amal --env-config=sc2 with env_args.map_name=3m seed=0 ")
    assert "t_max=100000" in lines[0]
    assert lines[-1].startswith("# 20 runs, ")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_goes_over_the_setting_file(run):
    code, out, _ = run("--setting", "small", "--algo", "vdn", "--seed", "7", "--dry-run", overrides=["test_interval=5"])
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 3)
    assert all("--config=vdn" in line and "seed=7" in line and "test_interval=5" in line for line in lines[:2])


def test_random_search_is_the_same_each_time(run):
    words = ["--algo", "mappo", "--random", "4", "--sweep", "lr=log:1e-4..1e-2", "--sweep", "epochs=3..15", "--dry-run"]
    first, second = run(*words)[1], run(*words)[1]
    assert first == second
    assert first != run(*words, "--random-seed", "1")[1]
    assert len(set(re.findall(r" lr=(\S+)", first))) == 4


def test_two_schedulers_on_one_experiment_are_refused(run, tmp_path):
    lock = Lock(tmp_path / "experiments" / "x" / ".lock", f"{os.getpid()}\n")
    code, _, err = run("--algo", "mappo", "--name", "x")
    lock.release()
    assert code == 2
    assert f'The experiment "x" is being run by process {os.getpid()} already' in err


def test_help_names_everything(capsys):
    with pytest.raises(SystemExit) as ended:
        run_experiment.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for word in ("--compare", "--sweep", "--random", "--profile", "--dry-run", "--status", "--report", "amal", "--gpu"):
        assert word in text


def test_without_the_analysis_libraries_the_pip_line_is_told(run, monkeypatch, capsys):
    from experiments import plan
    from experiments.setting import Setting

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome.print_results(plan.make(Setting(algos=["mappo"], seeds=[0])))
    assert "python3 -m pip install -r requirements-analysis.txt" in capsys.readouterr().out


# --- real runs -------------------------------------------------------------------------------------------------------


def records(results):
    """Return the sacred records of all runs: (key of the run, resumed or not, status)."""
    found = []
    for path in sorted(results.glob("sacred/*/*/*/config.json")):
        config = json.loads(path.read_text())
        status = json.loads(path.with_name("run.json").read_text())["status"]
        found.append((config["experiment_run"], bool(config["resume"]), status))
    return found


def test_killed_with_its_run_it_continues_and_no_run_is_done_twice_or_lost(run, tmp_path):
    words = ["--algo", "mappo", "--scenario", "2m_vs_1m", "--seeds", "2", "--t-max", "2500", "--name", "k"]
    script = str(ROOT / "src" / "run_experiment.py")
    settings = [f"local_results_path={tmp_path}", *TINY]
    command = [sys.executable, script, *words, "--jobs", "1", "--", *settings]
    scheduler = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 200
    while not list(tmp_path.glob("models/*/checkpoint.json")):
        assert time.monotonic() < end, "no checkpoint came"
        time.sleep(0.05)
    children = psutil.Process(scheduler.pid).children()
    scheduler.send_signal(signal.SIGKILL)
    scheduler.wait()
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=10)
    code, out, _ = run(*words, overrides=TINY)
    assert code == 0, out
    assert "mappo_2m_vs_1m_seed0: continued from its checkpoint" in out
    assert re.search(r"2m_vs_1m +mappo +2 ", out), out  # two runs in the table, not three

    keys = ["mappo_2m_vs_1m_seed0", "mappo_2m_vs_1m_seed1"]
    states = [read_state(tmp_path / "experiments" / "k", key) for key in keys]
    assert [(state.phase, len(state.attempts)) for state in states] == [("done", 2), ("done", 1)]
    finished = [(keys[0], False, "RUNNING"), (keys[0], True, "COMPLETED"), (keys[1], False, "COMPLETED")]
    assert sorted(records(tmp_path)) == finished

    code, out, _ = run(*words, overrides=TINY)
    assert (code, "started" in out, len(records(tmp_path))) == (0, False, 3)
    code, out, _ = run("--status", *words, overrides=TINY)
    assert code == 0
    assert "2 of 2 done" in out


def test_a_run_that_fails_is_told_and_the_other_one_compared_and_profiled(run, tmp_path):
    words = ["--algo", "mappo", "--scenario", "2m_vs_1m", "--t-max", "300", "--name", "f", "--sweep"]
    code, out, _ = run(*words, "agent=ppo_rnn,no_such_agent", overrides=TINY)
    assert code == 1
    assert 'mappo_2m_vs_1m_agent=no_such_agent_seed0 failed: exit code 2: agent="no_such_agent" does not exist' in out
    assert "mappo_2m_vs_1m_agent=ppo_rnn_seed0: done after " in out
    assert re.search(r"2m_vs_1m +mappo.* +1 ", out), out
    assert [record[0] for record in records(tmp_path)] == ["mappo_2m_vs_1m_agent=ppo_rnn_seed0"]


def test_a_profile_of_a_real_run(run, tmp_path):
    words = ["--algo", "mappo", "--scenario", "2m_vs_1m", "--t-max", "300", "--profile"]
    code, out, _ = run(*words, overrides=TINY)
    assert code == 0
    (path,) = tmp_path.glob("experiments/*_profile/runs/mappo_2m_vs_1m_seed0/profile.txt")
    text = path.read_text()
    assert text.strip() in out
    seconds = dict(re.findall(r"^  (\S.*?)  +([\d.]+) s ", text, re.MULTILINE))
    assert float(seconds["training: play"]) > 0
    assert float(seconds["training: learn"]) > 0
    assert float(seconds["tests"]) > 0
