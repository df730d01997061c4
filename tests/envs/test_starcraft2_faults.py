"""A game that crashes, hangs, refuses or does not start: what is broken is dropped, what is left behind is ended."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from envs import REGISTRY
from envs.faults import BrokenEpisodeError, EnvironmentDownError
from skirmish.rules import NotRunningError

ROOT = Path(__file__).resolve().parents[2]


def fault(do, at, number=1, launch=1):
    return {"launch": launch, "at": at, "number": number, "do": do}


@pytest.fixture
def game_env():
    """Make an environment over the stand-in, which is closed in the end; its messages are in `env.told`."""
    made = []

    def make(**arguments):
        told = []
        patience = {"launch_timeout": 20.0, "request_timeout": 2.0}
        env = REGISTRY["sc2"](
            map_name="3m", engine="starcraft2", seed=5, notify=told.append, **{**patience, **arguments}
        )
        env.told = told
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def stop(env):
    return env.step([1] * env.n_agents)


@pytest.mark.parametrize(
    ("do", "at", "said"),
    [
        ("crash", "step", "The process has ended with code 139.*the stand-in was told to crash at step 2"),
        ("crash", "action", "StarCraft II failed while giving orders"),
        ("hang", "observation", "failed while observing: .*timed out"),
        ("error", "step", "the stand-in refuses this step"),
        ("end", "observation", "the game has ended by itself"),
    ],
)
def test_a_battle_that_breaks_off_counts_for_nothing(standin, game_env, do, at, said):
    game = standin(game="still", faults=[fault(do, at, 2)])
    env = game_env()
    env.reset()
    if at != "observation":
        stop(env)
    with pytest.raises(BrokenEpisodeError, match=f"(?s){said}"):
        stop(env)
    assert game.running == []
    with pytest.raises(NotRunningError):
        stop(env)
    env.reset()
    assert stop(env) == (0.0, False, {"battle_won": False, "dead_allies": 0, "dead_enemies": 0})
    assert (env.battles_game, env.broken_episodes, env.max_reward) == (0, 1, 3 * 10 + 200 + 3 * 45)
    assert len(env.told) == 1
    seeds = [line.split()[3] for line in game.requests if line.startswith("create")]
    assert seeds[0] == "5"
    assert seeds[1] != "5"  # the same seed would play the same battles again


@pytest.mark.parametrize(
    "faults",
    [
        [fault("crash", "ping")],
        [fault("error", "create_game"), fault("crash", "join_game", launch=2)],
        [fault("hang", "game_info")],
        [fault("error", "debug", launch=1)],
    ],
)
def test_what_fails_between_battles_is_tried_again(standin, game_env, faults):
    game = standin(game="still", faults=faults)
    env = game_env()
    for _ in range(2):
        obs, _ = env.reset()
        assert np.any(obs[0])
    assert len(game.pids) == 1 + len(faults)
    assert env.broken_episodes == len(faults)


def test_a_slow_start_is_waited_for_and_a_too_slow_one_is_not(standin, game_env):
    game = standin(game="still", slow_start=1.5)
    env = game_env()
    env.reset()
    assert env.broken_episodes == 0
    env.close()
    game.configure(game="still", slow_start=60)
    env = game_env(launch_timeout=1.0, launch_attempts=1)
    with pytest.raises(EnvironmentDownError, match="not ready within 1 s"):
        env.reset()


def test_a_game_that_never_starts_ends_the_attempts(standin, game_env):
    game = standin(dies_at_start=True)
    env = game_env(launch_attempts=3)
    begun = time.monotonic()
    with pytest.raises(EnvironmentDownError, match=r"(?s)failed 3 times in a row.*libstandin.so.*doctor.py"):
        env.reset()
    assert 1 <= time.monotonic() - begun < 15  # it waits 0 and 1 seconds between the attempts
    assert len(game.pids) == 3
    assert [line.splitlines()[-1] for line in env.told] == [
        "Failure 1 of 3; starting it again in 0 s",
        "Failure 2 of 3; starting it again in 1 s",
    ]


def test_the_game_ends_with_a_process_that_is_killed(standin):
    game = standin(game="still")
    code = (
        "import sys, time; sys.path.insert(0, 'src')\n"
        "from envs import REGISTRY\n"
        "env = REGISTRY['sc2'](map_name='3m', engine='starcraft2', seed=1); env.reset(); print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as player:
        assert player.stdout.readline() == b"ready\n"
        assert len(game.running) == 1
        player.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while game.running and time.monotonic() < deadline:
        time.sleep(0.05)
    assert game.running == []


def train(game, results, *changes):
    """Train on the stand-in as a user does; returns the finished process."""
    keys = ("t_max=300", "test_interval=100000", "test_nepisode=2", "batch_size_run=2", "batch_size=2", *changes)
    command = [sys.executable, "src/main.py", "--config=qmix", "--env-config=sc2", "with", "env_args.map_name=3m"]
    return subprocess.run(
        [*command, f"local_results_path={results}", "seed=1", *keys],
        cwd=ROOT,
        env={**os.environ, "SC2PATH": str(game.folder)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def metrics(results):
    (path,) = results.glob("sacred/3m/qmix/1/metrics.json")
    return json.loads(path.read_text())


@pytest.mark.long
def test_training_goes_on_while_games_are_killed(standin, tmp_path):
    game = standin(
        game="still", faults=[fault("crash", "step", 40, launch=2), fault("hang", "observation", 9, launch=3)]
    )
    over = threading.Event()

    def kill_now_and_then():
        while not over.wait(4):
            for pid in game.running[-1:]:
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        done = train(
            game,
            tmp_path,
            "env_args.request_timeout=2.0",
            "env_args.launch_attempts=30",
            "batch_size_run=4",
            "t_max=9000",
        )
    finally:
        over.set()
        killer.join()
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = metrics(tmp_path)
    # Nobody moves in these battles, so that every sound episode lasts 60 steps and pays nothing.
    for key in ("ep_length_mean", "test_ep_length_mean"):
        assert set(recorded[key]["values"]) == {60.0}
    assert set(recorded["return_mean"]["values"]) == {0.0}
    assert recorded["broken_episodes"]["values"][-1] >= 2
    assert game.running == []


def test_a_run_whose_game_gives_up_stops_with_a_checkpoint(standin, tmp_path):
    game = standin(game="still", faults=[fault("crash", "step", 90, launch=0)])
    done = train(game, tmp_path, "env_args.launch_attempts=1", "test_nepisode=1", "t_max=100000")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "(starcraft2 4.10.0 Base75689 smac)" in done.stdout + done.stderr
    assert "error: StarCraft II has failed 1 times in a row" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("models/*/checkpoint*"))
    config = json.loads(next(tmp_path.glob("sacred/3m/qmix/1/config.json")).read_text())
    assert config["engine_info"]["engine"] == "starcraft2"
    assert game.running == []


@pytest.mark.long
def test_a_run_is_trained_continued_and_evaluated_with_replays(standin, tmp_path):
    game = standin()
    done = train(game, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = train(game, tmp_path, "t_max=600", "resume=auto")
    assert "Resumed from" in done.stdout + done.stderr
    models = max(tmp_path.glob("models/*"), key=lambda path: path.stat().st_mtime)
    done = train(game, tmp_path, "evaluate=True", f"checkpoint_path={models}", "save_replay=True", "replay_episodes=2")
    assert done.returncode == 0, done.stdout + done.stderr
    replays = sorted(tmp_path.glob("sacred/3m/qmix/*/replays/*.SC2Replay"))
    assert [path.name[:5] for path in replays] == ["3m_0_", "3m_1_"]
    assert game.running == []
