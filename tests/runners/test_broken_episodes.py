"""Episodes that an engine breaks off are dropped, counted and played again; an engine that gives up ends the run."""

import importlib
import sys

import pytest

from envs import REGISTRY
from envs.faults import EnvironmentDownError


@pytest.fixture(autouse=True)
def breaking_environments():
    """Register the environments of breaking_envs.py for this file's tests alone."""
    before = dict(REGISTRY)
    sys.modules.pop("breaking_envs", None)
    importlib.import_module("breaking_envs")
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def with_env(env, runner):
    return {"env": env, "env_args": {"game": "two_step"}, "runner": runner, "plugins": ["breaking_envs"]}


@pytest.mark.parametrize(("runner", "size"), [("episode", 1), ("episode", 3), ("parallel", 2)])
def test_a_broken_episode_leaves_no_trace(make_runner, runner, size):
    runner = make_runner(batch_size_run=size, **with_env("breaking", runner))
    for run in (1, 2):
        batch = runner.run()
        assert runner.last_episodes == [{"return": 4.0, "length": 4, "won": 0.0}] * size
        assert batch["reward"][:, :4].unique().tolist() == [1.0]
        assert batch["filled"].sum(1).flatten().tolist() == [5] * size
        assert batch["state"].unique().tolist() == [2.0 * run]  # the second, and the fourth, that was begun
        assert batch["terminated"].sum().item() == size
        assert runner.t_env == 4 * size * run
        assert runner.broken_episodes == size * run
    assert runner.logger.stats["broken_episodes"] == [(0, size), (4 * size, 2 * size)]
    assert runner.logger.stats["return_mean"][-1] == (8 * size, 4.0)
    resumed = make_runner(batch_size_run=size, **with_env("breaking", "episode" if size > 1 else "parallel"))
    resumed.load_state_dict(runner.state_dict())
    assert resumed.broken_episodes == 2 * size


def test_only_the_rows_that_broke_are_played_again(make_runner):
    runner = make_runner(batch_size_run=2, **with_env("breaking", "episode"))
    runner._seats[False][0].env.begun = 1
    batch = runner.run()
    assert [row["return"] for row in runner.last_episodes] == [4.0, 4.0]
    assert runner.broken_episodes == 1
    assert batch["state"][:, 0, 0].tolist() == [2.0, 2.0]
    assert runner.t == 4


@pytest.mark.parametrize("runner", ["episode", "parallel"])
def test_an_engine_that_gives_up_is_told_in_a_sentence(make_runner, runner):
    runner = make_runner(batch_size_run=2, **with_env("down", runner))
    with pytest.raises(EnvironmentDownError, match=r"^the game does not start any more$"):
        runner.run()
    assert runner.t_env == 0
    assert runner.state_dict()["t_env"] == 0  # a checkpoint can still be written
