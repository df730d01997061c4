"""Environments one by one, in this process and in workers."""

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch

from envs import REGISTRY
from runners import resolve
from runners.parallel_runner import WorkerError
from utils.errors import UserError

MATRIX = {"env": "matrix_game", "env_args": {"game": "two_step"}}


@pytest.fixture(autouse=True)
def broken_environments():
    """Register the environments of broken_envs.py for this file's tests alone."""
    before = dict(REGISTRY)
    sys.modules.pop("broken_envs", None)
    importlib.import_module("broken_envs")
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def in_workers(env, **changes):
    return {
        "runner": "parallel",
        "env": env,
        "env_args": {},
        "plugins": ["broken_envs"],
        "batch_size_run": 2,
        **changes,
    }


@pytest.mark.parametrize(
    ("env", "batch", "expected"), [("sc2", 8, "vector"), ("x", 8, "parallel"), ("x", 1, "episode")]
)
def test_auto_takes_the_fastest_runner_that_fits(env, batch, expected):
    assert resolve(SimpleNamespace(runner="auto", env=env, batch_size_run=batch)) == expected


def test_an_unknown_runner_gets_a_hint():
    with pytest.raises(UserError, match='mean "vector"'):
        resolve(SimpleNamespace(runner="vectr", env="sc2", batch_size_run=1))


def test_episode_runner_writes_what_the_game_says(make_runner):
    runner = make_runner(runner="episode", batch_size_run=1, **MATRIX)
    batch = runner.run()
    first = batch["actions"][0, 0, 0, 0].item()
    assert batch["state"][0, :, :].argmax(-1).tolist()[:2] == [0, 1 + first]
    assert batch["terminated"].flatten().tolist() == [0, 1, 0]
    assert batch["filled"].flatten().tolist() == [1, 1, 1]
    assert runner.last_episodes[0]["return"] == batch["reward"].sum().item()
    assert runner.t_env == 2


def test_episode_runner_plays_smac_like_the_vector_runner(make_runner):
    """Not the same battles, but the same fields: sizes, masks and lengths fit together."""
    runner = make_runner(runner="episode", batch_size_run=2)
    batch = runner.run()
    lengths = batch["filled"].sum((1, 2)) - 1
    assert lengths.tolist() == [row["length"] for row in runner.last_episodes]
    assert batch["terminated"].sum() == 2
    taken = batch["avail_actions"][:, :-1].gather(3, batch["actions"][:, :-1])
    assert (taken[batch["filled"][:, 1:, 0] == 1] == 1).all()


def test_workers_play_the_same_game(make_runner):
    near = make_runner(runner="episode", batch_size_run=2, **MATRIX)
    far = make_runner(runner="parallel", batch_size_run=2, **MATRIX)
    batches = [runner.run() for runner in (near, far)]
    for key in ("obs", "state", "actions", "reward", "terminated", "filled", "avail_actions"):
        assert torch.equal(batches[0][key], batches[1][key]), key


def test_each_worker_has_its_own_seed_and_truncations_are_no_ends(make_runner):
    runner = make_runner(**in_workers("seeded"))
    first, second = runner.run(), runner.run()
    seeds = [row["seed"] for row in runner.last_episodes]
    assert len(set(seeds)) == 2
    assert first["terminated"].sum() == 2
    assert second["terminated"].sum() == 0
    runner.run(test_mode=True)
    assert not set(seeds) & {row["seed"] for row in runner.last_episodes}


def test_an_exception_comes_back_with_its_traceback(make_runner):
    runner = make_runner(**in_workers("failing", **{"env_args": {"game": "two_step"}}))
    runner.run()
    with pytest.raises(WorkerError, match=r"(?s)worker 0.*broken_envs.py.*the marines have mutinied"):
        runner.run()


def test_a_hung_worker_is_ended_in_time(make_runner):
    runner = make_runner(**in_workers("hanging", worker_timeout=10.0, batch_size_run=1))
    runner._seats[False][0].timeout = 0.5  # the start alone may take seconds
    with pytest.raises(WorkerError, match=r"not answered for 0\.5 seconds"):
        runner.run()
    assert not runner._seats[False][0].process.is_alive()


def test_a_dead_worker_is_named(make_runner):
    runner = make_runner(**in_workers("dying", batch_size_run=1))
    with pytest.raises(WorkerError, match=r"worker 0 died \(exit code 7\)"):
        runner.run()


def test_workers_end_with_the_runner(make_runner):
    runner = make_runner(runner="parallel", batch_size_run=2, **MATRIX)
    processes = [seat.process for seat in runner._seats[False]]
    assert all(process.is_alive() for process in processes)
    runner.close_env()
    assert not any(process.is_alive() for process in processes)
    assert [process.exitcode for process in processes] == [0, 0]
