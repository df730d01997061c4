"""Parallel PettingZoo environments through the runners' interface: padding, masks, ends, seeds, names."""

from importlib.metadata import version

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="python -m pip install -r requirements-envs.txt")
pytest.importorskip("mpe2", reason="python -m pip install -r requirements-envs.txt")

from environment_contract import assert_contract, random_actions

from envs import REGISTRY, describe

SPREAD = "mpe2:simple_spread_v3"
WALK = "tiny_zoo:Walk"


def make(key=WALK, seed=3, **env_args):
    return REGISTRY["pettingzoo"](key=key, seed=seed, **env_args)


def episode(env, random=None):
    random = random or np.random.default_rng(1)
    frames, rewards, terminated = [np.concatenate(env.reset()[0])], [], False
    while not terminated:
        reward, terminated, info = env.step(random_actions(env, random))
        rewards.append(reward)
        frames.append(env.get_state())
    return np.array(frames), rewards, info


@pytest.mark.parametrize(
    ("key", "env_args"),
    [
        (SPREAD, {}),
        (SPREAD, {"continuous_actions": False, "state": "environment"}),
        ("mpe2:simple_speaker_listener_v4", {"continuous_actions": False}),  # unlike agents
        (WALK, {"kwargs": {"masks": "info", "leaves": 2}}),
        ("tiny_zoo:Push", {"episode_limit": 3}),
    ],
)
def test_an_environment_keeps_the_contract(key, env_args):
    env = make(key, **env_args)
    frames, rewards, _ = episode(env)
    assert frames.dtype == np.float32 and all(isinstance(reward, float) for reward in rewards)
    assert_contract(env, someone_can_act=False)


def test_simple_spread_is_the_game_that_mpe2_describes():
    env = make(SPREAD, kwargs={"N": 3, "local_ratio": 0.5, "max_cycles": 25})
    info = env.get_env_info()
    sizes = {"n_agents": 3, "n_actions": 5, "obs_shape": 18, "state_shape": 54, "episode_limit": 25}
    assert info == {**sizes, "continuous_actions": True}
    env.reset()
    obs = np.array(env.get_obs())
    reward, _, _ = env.step(-np.ones((3, 5)))  # nobody moves
    gaps = np.linalg.norm(obs[:, 4:10].reshape(3, 3, 2), axis=2).min(axis=0).sum()
    apart = np.linalg.norm(obs[:, 2:4][:, None] - obs[:, 2:4][None], axis=2)
    collisions = ((apart < 0.3).sum() - 3) / 2
    assert reward == pytest.approx(3 * 0.5 * -gaps - 0.5 * 2 * collisions, abs=1e-5)


def test_the_teams_reward_is_the_sum_or_the_mean_of_the_agents():
    for team_reward, expected in (("sum", 11.0), ("mean", 5.5)):
        env = make(team_reward=team_reward)
        env.reset()
        assert env.step([1, 1])[0] == expected


def test_unlike_agents_are_padded():
    env = make()
    obs, state = env.reset()
    assert obs[1][1] == 0
    assert state.tolist() == [*obs[0], *obs[1]]
    assert env.get_avail_actions() == [[1, 1, 1], [1, 1, 0]]
    with pytest.raises(ValueError, match="Agent 1 cannot take action 2"):
        env.step([0, 2])


@pytest.mark.parametrize("masks", ["info", "observation"])
def test_action_masks_are_obeyed(masks):
    env = make(kwargs={"masks": masks})
    env.reset()
    assert env.get_avail_actions() == [[0, 1, 1], [1, 0, 0]]
    assert env.get_obs_size() == 2


def test_who_has_left_sees_nothing_and_does_nothing():
    env = make(kwargs={"leaves": 1})
    env.reset()
    _, terminated, _ = env.step([1, 1])
    assert not terminated
    assert env.get_avail_actions() == [[1, 1, 1], [1, 0, 0]]
    reward, _, _ = env.step([1, 0])
    assert reward == 1.0
    assert env.get_obs()[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("kwargs", "limit", "steps", "cut_off"),
    [
        ({"ends": "truncated"}, None, 4, True),
        ({"ends": "terminated"}, None, 4, False),
        ({"ends": "truncated", "leaves": 4}, None, 4, True),  # one is cut off: the team would have gone on
        ({"ends": "terminated"}, 2, 2, True),
    ],
)
def test_a_cut_off_episode_is_no_termination(kwargs, limit, steps, cut_off):
    env = make(kwargs=kwargs, episode_limit=limit)
    _, rewards, info = episode(env)
    assert len(rewards) == steps
    assert info == {"steps": float(steps), "episode_limit": cut_off}


@pytest.mark.parametrize(
    ("kwargs", "limit", "closing"),
    [
        ({"ends": "truncated"}, None, [[1, 1, 1], [1, 1, 0]]),
        ({"ends": "terminated"}, 2, [[1, 1, 1], [1, 1, 0]]),
        ({"ends": "truncated", "leaves": 4}, None, [[1, 1, 1], [1, 0, 0]]),  # the second one has terminated
        ({"ends": "terminated"}, None, [[1, 0, 0], [1, 0, 0]]),
    ],
)
def test_who_was_cut_off_could_still_act(kwargs, limit, closing):
    """What the closing frame is worth is learned by bootstrapping from what its agents would do."""
    env = make(kwargs=kwargs, episode_limit=limit)
    episode(env)
    assert env.get_avail_actions() == closing


@pytest.mark.parametrize("limit", [None, 20])
def test_every_limit_leaves_simple_spread_the_same_choices(limit):
    env = make(SPREAD, episode_limit=limit)
    episode(env)
    assert env.get_avail_actions() == [[1] * 5] * 3


def test_continuous_actions_fill_each_agents_box():
    env = make("tiny_zoo:Push", episode_limit=1)
    obs, _ = env.reset()
    assert [o.tolist() for o in obs] == [[1, 0, 0], [0, 0, 1]]
    assert env.get_avail_actions() == [[1, 0], [1, 1]]
    _, terminated, info = env.step(np.array([[0.5, 0.9], [-0.25, 2.0]]))
    assert terminated
    assert not info["episode_limit"]
    assert env._env.pushed["a"].tolist() == [3.0]
    assert env._env.pushed["b"].tolist() == [-0.25, 1.0]  # no bounds: as they are, held in [-1, 1]


@pytest.mark.parametrize("key", [SPREAD, WALK])
def test_episodes_differ_and_a_seed_repeats_them(key):
    first, second = make(key), make(key)
    one, two = episode(first), episode(first)
    assert not np.array_equal(one[0], two[0])
    for expected in (one, two):
        frames, rewards, _ = episode(second)
        assert np.array_equal(frames, expected[0])
        assert rewards == expected[1]
    assert not np.array_equal(episode(make(key, seed=4))[0], one[0])


def test_a_restored_environment_plays_the_next_episode():
    env, other = make(SPREAD), make(SPREAD)
    episode(env)
    other.restore(env.snapshot())
    assert np.array_equal(episode(env)[0], episode(other)[0])


def test_the_environments_own_state_comes_where_it_has_one():
    env = make(state="environment")
    env.reset()
    assert env.get_state()[0] == 0
    assert env.get_state_size() == 3
    with pytest.raises(ValueError, match=r"use env_args\.state=observations"):
        make("tiny_zoo:Push", episode_limit=1, state="environment")


@pytest.mark.parametrize(
    ("env_args", "sentence"),
    [
        ({"key": "mpe2:simple_spraed_v3"}, 'Did you mean "simple_spread_v3"'),
        ({"key": "mpe:simple_spread_v3"}, 'no Python package "mpe".*Did you mean "mpe2"'),
        ({"key": "simple_spread"}, "of the form package:module"),
        ({"key": "tiny_zoo:Wlak"}, 'tiny_zoo has no parallel environment "Wlak"'),
        ({"key": "tiny_zoo:Mixed", "episode_limit": 1}, "Box, Discrete; learners take"),
        ({"key": "tiny_zoo:Push"}, "give env_args.episode_limit=STEPS"),
        ({"key": "mpe2.simple_spread_v3:env"}, "no parallel PettingZoo environment"),
        ({"key": SPREAD, "kwargs": {"n": 4}}, 'no argument "n". Did you mean "N"'),
        ({"key": SPREAD, "kwargs": {"local_ratio": 2.0}}, "does not take these arguments.*proportion"),
        ({"key": SPREAD, "N": 4}, "env_args.kwargs.N"),
        ({"key": SPREAD, "state": "observation"}, 'Did you mean "observations"'),
        ({"key": SPREAD, "team_reward": "max"}, "not one of sum, mean"),
        ({"key": SPREAD, "episode_limit": 0}, "must be at least 1"),
    ],
)
def test_mistakes_get_one_sentence(env_args, sentence):
    with pytest.raises(ValueError, match=sentence):
        describe("pettingzoo", env_args)


def test_a_run_records_what_plays():
    assert describe("pettingzoo", {"key": SPREAD}) == {"engine": "mpe2", "engine_version": version("mpe2")}
    assert describe("pettingzoo", {"key": WALK})["engine"] == "tiny_zoo"
