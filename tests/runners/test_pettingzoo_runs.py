"""PettingZoo's environments in real runs: both runners play the same, a resumed run goes on to the bit."""

from copy import deepcopy

import pytest
import torch

pytest.importorskip("pettingzoo", reason="python -m pip install -r requirements-envs.txt")
pytest.importorskip("mpe2", reason="python -m pip install -r requirements-envs.txt")

from short_training import Training

from configuration import compose, parse_updates
from utils.errors import UserError

SMALL = {"batch_size_run": 2, "batch_size": 8, "updates_per_batch": 2, "hidden_layers": [8], "critic_layers": [8]}
SPREAD = {"kwargs": {"max_cycles": 5}}
WALK = {"key": "tiny_zoo:Walk", "kwargs": {"masks": "info", "leaves": 2}}


@pytest.fixture
def start(tmp_path):
    """`start(name, env_args, ...)` -> a small `Training`, closed in the end."""
    made = []

    def make(name, env_args, **keys):
        made.append(Training(name, tmp_path, env="pettingzoo", env_args=env_args, **SMALL | keys))
        return made[-1]

    yield make
    for one in made:
        one.close()


def actor(training):
    return list(training._parts.mac.parameters())


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(actor(one), actor(two)))


@pytest.mark.parametrize("name", ["maddpg", "masac"])
@pytest.mark.parametrize("env_args", [SPREAD, WALK], ids=["continuous", "discrete"])
def test_a_resumed_run_goes_on_to_the_bit(name, env_args, start):
    whole = start(name, env_args)
    whole.until(30)
    state = deepcopy(whole._trainer.state_dict())  # it holds the networks themselves
    whole.until(60)
    resumed = start(name, env_args, seed=1)
    resumed._trainer.load_state_dict(state)
    resumed.until(60)
    assert resumed.returns == whole.returns[-len(resumed.returns) :]
    assert same(whole, resumed)
    assert not same(whole, start(name, env_args))


def test_workers_play_what_this_process_plays(start):
    runs = [start("maddpg", SPREAD, runner=runner) for runner in ("episode", "parallel")]
    for run in runs:
        run.until(20)
    assert runs[0].returns == runs[1].returns
    assert same(*runs)


def test_a_cut_off_episode_is_stored_as_going_on(start):
    batches = {}
    for ends in ("truncated", "terminated"):
        training = start("maddpg", {"key": "tiny_zoo:Walk", "kwargs": {"ends": ends}})
        batches[ends] = training._parts.runner.run()
    assert batches["truncated"]["terminated"].sum() == 0
    assert batches["terminated"]["terminated"][:, 3].flatten().tolist() == [1, 1]
    assert batches["truncated"].max_t_filled() == 5
    assert batches["truncated"]["actions"].dtype == torch.int64


def test_continuous_actions_are_stored_as_they_were_played(start):
    batch = start("masac", SPREAD)._parts.runner.run()
    assert batch["actions"].shape == (2, 6, 3, 5)
    assert batch["actions"].dtype == torch.float32
    assert 0 < batch["actions"][:, :5].abs().max() < 1
    assert "actions_onehot" not in batch


def test_an_algorithm_for_discrete_actions_plays_simple_spread_with_them(start):
    with pytest.raises(UserError, match=r"env_args\.continuous_actions=False"):
        start("qmix", SPREAD)
    start("qmix", {**SPREAD, "continuous_actions": False}, batch_size=2).until(20)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"agent": "rnn"}, "use agent=ff, or buffer=replay"),
        ({"obs_last_action": True}, "use obs_last_action=False"),
        ({"frame_stack": 3}, "use frame_stack=1"),
    ],
)
def test_agents_that_look_back_need_whole_episodes(keys, sentence, start):
    with pytest.raises(UserError, match=sentence):
        start("maddpg", SPREAD, **keys)
    start("maddpg", SPREAD, buffer="replay", batch_size=2, **keys).until(10)


def test_the_environments_own_arguments_come_from_the_command_line():
    config = compose("maddpg", "pettingzoo")
    updates = parse_updates(config, ["env_args.kwargs.N=5", "env_args.kwargs.local_ratio=0.1"])
    assert updates == {"env_args": {"kwargs": {"N": 5, "local_ratio": 0.1}}}
    with pytest.raises(UserError, match=r'Unknown key "env_args\.kwarg'):
        parse_updates(config, ["env_args.kwarg=5"])
