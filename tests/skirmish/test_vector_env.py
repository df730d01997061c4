"""Gymnasium's vector interface."""

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="python -m pip install -r requirements-envs.txt")

import gymnasium
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.utils.passive_env_checker import check_action_space, check_observation_space
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from skirmish.env import StarCraft2Env
from skirmish.options import SettingError
from skirmish.rules import IllegalActionError, NotRunningError
from skirmish.vector_env import SkirmishVectorEnv


def play(envs, steps, seed):
    """Random play; everything returned."""
    trace = [envs.reset(seed=seed)]
    envs.action_space.seed(seed)
    for _ in range(steps):
        trace.append(envs.step(envs.action_space.sample()))
    return trace


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("arguments", [{}, {"obs_timestep_number": True, "obs_terrain_height": True}])
def test_spaces_and_results_are_gymnasiums(mode, arguments):
    envs = gymnasium.make_vec(
        "skirmish.vector_env:Skirmish-v0", num_envs=3, map_name="3m", autoreset_mode=mode, **arguments
    )
    assert isinstance(envs.unwrapped, SkirmishVectorEnv)
    assert envs.metadata["autoreset_mode"] is mode
    check_observation_space(envs.single_observation_space)
    check_action_space(envs.single_action_space)
    observations, infos = envs.reset(seed=0)
    assert infos == {}
    for _ in range(60):
        assert envs.observation_space.contains(observations)
        assert all(
            envs.single_observation_space.contains({key: value[i] for key, value in observations.items()})
            for i in range(3)
        )
        actions = envs.action_space.sample()
        assert envs.action_space.contains(actions)
        assert envs.single_action_space.contains(actions[0])
        observations, rewards, terminations, truncations, infos = envs.step(actions)
        assert (rewards.shape, rewards.dtype) == ((3,), np.float64)
        assert terminations.dtype == truncations.dtype == np.bool_
        assert not (terminations & truncations).any()
        if mode is AutoresetMode.DISABLED and terminations.any():
            observations, _ = envs.reset(options={"reset_mask": terminations})
    assert envs.unwrapped.get_stats()["battles_game"] > 3
    envs.close()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_equal_seeds_give_equal_histories(mode):
    traces = [play(SkirmishVectorEnv("3m", num_envs=3, autoreset_mode=mode), 60, seed=7) for _ in range(2)]
    assert data_equivalence(traces[0], traces[1])
    again = SkirmishVectorEnv("3m", num_envs=3, autoreset_mode=mode)
    play(again, 25, seed=3)
    assert data_equivalence(play(again, 60, seed=7), traces[0])
    assert not data_equivalence(play(again, 60, seed=8), traces[0])


def test_battle_i_of_seed_s_is_the_battle_of_seed_s_plus_i():
    envs = SkirmishVectorEnv("3m", num_envs=3)
    observations, _ = envs.reset(seed=5)
    for i in range(3):
        single = StarCraft2Env(map_name="3m", seed=5 + i)
        obs, state = single.reset()
        np.testing.assert_array_equal(observations["obs"][i], obs)
        np.testing.assert_array_equal(observations["state"][i], state)
        assert observations["action_mask"][i].tolist() == single.get_avail_actions()
    listed, _ = envs.reset(seed=[5, 6, 7])
    assert data_equivalence(listed, observations)


def until_the_end(envs):
    """Step until a battle ends; the last results, and the living agents' actions along the way are to stand still."""
    observations, _ = envs.reset(seed=1)
    while True:
        actions = 1 - observations["action_mask"][:, :, 0].astype(np.int64)
        observations, rewards, terminations, truncations, infos = envs.step(actions)
        if terminations.any() or truncations.any():
            return observations, rewards, terminations, truncations, infos


def fresh(observations, battle):
    """Whether everybody is at full health and nobody has acted."""
    return bool(observations["action_mask"][battle, :, 0].sum() == 0) and bool(
        (observations["state"][battle][: 3 * 4].reshape(3, 4)[:, 0] == 1).all()
    )


def test_next_step_autoreset_shows_the_end_and_then_begins_anew():
    envs = SkirmishVectorEnv("3m", num_envs=2, autoreset_mode="NextStep")
    observations, _, terminations, _, infos = until_the_end(envs)
    ended = int(np.flatnonzero(terminations)[0])
    assert infos["dead_allies"][ended] == 3
    assert observations["action_mask"][ended, :, 0].all()
    actions = 1 - observations["action_mask"][:, :, 0].astype(np.int64)
    actions[ended] = 8  # ignored
    observations, rewards, terminations, _, infos = envs.step(actions)
    assert fresh(observations, ended)
    assert rewards[ended] == 0
    assert not terminations[ended]
    assert not infos["_battle_won"][ended]


def test_same_step_autoreset_keeps_the_last_frame():
    envs = SkirmishVectorEnv("3m", num_envs=2, autoreset_mode="SameStep")
    observations, _, terminations, _, infos = until_the_end(envs)
    ended = int(np.flatnonzero(terminations)[0])
    assert fresh(observations, ended)
    assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == terminations.tolist()
    assert infos["final_obs"][ended]["action_mask"][:, 0].all()
    assert envs.single_observation_space.contains(infos["final_obs"][ended])
    assert infos["final_info"]["dead_allies"][ended] == 3
    assert infos["final_info"]["_dead_allies"].tolist() == terminations.tolist()
    assert not infos["_dead_allies"][ended]


def test_without_autoreset_a_battle_that_has_ended_is_refused():
    envs = SkirmishVectorEnv("3m", num_envs=2, autoreset_mode="Disabled")
    observations, _, terminations, _, _ = until_the_end(envs)
    ended = int(np.flatnonzero(terminations)[0])
    actions = 1 - observations["action_mask"][:, :, 0].astype(np.int64)
    with pytest.raises(NotRunningError, match=f"battle {ended} has ended"):
        envs.step(actions)
    shown, _ = envs.reset(options={"reset_mask": terminations})
    assert fresh(shown, ended)
    for battle in np.flatnonzero(~terminations):
        np.testing.assert_array_equal(shown["obs"][battle], observations["obs"][battle])
    envs.step(1 - shown["action_mask"][:, :, 0].astype(np.int64))


def test_time_outs_truncate():
    envs = SkirmishVectorEnv("3m", num_envs=2, step_mul=1)
    _, _, terminations, truncations, _ = until_the_end(envs)
    assert truncations.all()
    assert not terminations.any()


def test_gymnasiums_wrappers_count_episodes():
    envs = RecordEpisodeStatistics(SkirmishVectorEnv("3m", num_envs=4))
    envs.reset(seed=1)
    envs.action_space.seed(1)
    for _ in range(80):
        envs.step(envs.action_space.sample())
    assert len(envs.length_queue) >= 4
    assert all(0 < length <= 61 for length in envs.length_queue)
    assert envs.unwrapped.get_stats()["battles_game"] >= len(envs.return_queue)


def test_what_is_wrong_is_said_and_changes_nothing():
    envs = SkirmishVectorEnv("3m", num_envs=2)
    with pytest.raises(NotRunningError, match="call reset"):
        envs.step(np.ones((2, 3), dtype=np.int64))
    observations, _ = envs.reset(seed=1)
    actions = np.ones((2, 3), dtype=np.int64)
    actions[1, 2] = 7
    with pytest.raises(IllegalActionError, match=r"Agent 2 of battle 1 cannot take action 7 \(attack enemy 1\)"):
        envs.step(actions)
    with pytest.raises(ValueError, match=r"Actions must have the shape \(2, 3\), not \(3,\)"):
        envs.step(np.ones(3, dtype=np.int64))
    assert data_equivalence(envs._show(), observations)
    with pytest.raises(ValueError, match="There are 2 battles, but 3 seeds"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(SettingError, match="seed must be"):
        envs.reset(seed=-1)
    with pytest.raises(ValueError, match="reset_mask must be 2 booleans"):
        envs.reset(options={"reset_mask": np.array([1, 0])})
    with pytest.raises(ValueError, match="Later"):
        SkirmishVectorEnv("3m", autoreset_mode="Later")
    with pytest.raises(SettingError, match="n_battles must be at least 1"):
        SkirmishVectorEnv("3m", num_envs=0)
