"""PettingZoo's interface, by PettingZoo's own tests and by what we promise beyond them."""

import warnings

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="python -m pip install -r requirements-envs.txt")

from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

from skirmish.env import StarCraft2Env
from skirmish.parallel_env import env as turn_based
from skirmish.parallel_env import parallel_env
from skirmish.rules import IllegalActionError, NotRunningError


@pytest.mark.parametrize("map_name", ["3m", "2s3z", "MMM", "corridor"])
@pytest.mark.parametrize("arguments", [{}, {"obs_timestep_number": True}, {"corrected_rules": True}])
def test_pettingzoos_own_tests_pass_without_a_warning(map_name, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(parallel_env(map_name=map_name, **arguments), num_cycles=1000)
        parallel_seed_test(lambda: parallel_env(map_name=map_name, **arguments))


@pytest.mark.filterwarnings("ignore::UserWarning")  # dictionaries as observations, zeros of the dead
def test_pettingzoos_tests_of_agents_in_turn_pass():
    api_test(turn_based("3m"), num_cycles=200)
    seed_test(lambda: turn_based("3m"))


def play(env, seed):
    """One random episode; everything returned."""
    trace = [env.reset(seed=seed)]
    for i, agent in enumerate(env.agents):
        env.action_space(agent).seed(i)
    while env.agents:
        trace.append(env.step({agent: env.action_space(agent).sample() for agent in env.agents}))
    return trace


def test_agents_die_once_and_the_end_terminates_the_rest():
    env = parallel_env(map_name="3m")
    trace = play(env, 3)
    assert env.possible_agents == ["marine_0", "marine_1", "marine_2"]
    assert env.agents == []
    gone = set()
    for observations, rewards, terminations, truncations, infos in trace[1:]:
        keys = set(env.possible_agents) - gone
        assert set(observations) == set(rewards) == set(terminations) == set(truncations) == set(infos) == keys
        assert not any(truncations.values())
        assert len(set(rewards.values())) == 1
        for agent, dead in terminations.items():
            if dead:
                gone.add(agent)
    assert gone == set(env.possible_agents)
    assert infos["marine_0" if "marine_0" in infos else next(iter(infos))]["battle_won"] is False


def test_it_shows_what_smac_shows():
    env, plain = parallel_env(map_name="3m"), StarCraft2Env(map_name="3m", seed=9)
    observations, _ = env.reset(seed=9)
    plain.reset()
    for agent_id, agent in enumerate(env.agents):
        shown = observations[agent]
        np.testing.assert_array_equal(shown["observation"], plain.get_obs_agent(agent_id))
        assert shown["action_mask"].tolist() == plain.get_avail_agent_actions(agent_id)[1:]
        assert env.observation_space(agent).contains(shown)
        assert env.action_space(agent).n == plain.n_actions - 1
    np.testing.assert_array_equal(env.state(), plain.get_state())
    assert env.state_space.contains(env.state())
    _, rewards, *_ = env.step(dict.fromkeys(env.agents, 3))  # east
    reward, _, _ = plain.step([4, 4, 4])
    assert set(rewards.values()) == {reward}
    np.testing.assert_array_equal(env.state(), plain.get_state())


@pytest.mark.parametrize("arguments", [{"max_cycles": 3}, {"step_mul": 1}])
def test_a_limit_truncates(arguments):
    env = parallel_env(map_name="3m", seed=1, **arguments)
    env.reset()
    for cycle in range(1, arguments.get("max_cycles", 60) + 1):
        _, _, terminations, truncations, _ = env.step(dict.fromkeys(env.agents, 0))
        assert not any(terminations.values())
        assert set(truncations.values()) == {cycle == arguments.get("max_cycles", 60)}
    assert env.agents == []


def test_samples_are_available_with_and_without_a_mask():
    env = parallel_env(map_name="3m", seed=2)
    observations, _ = env.reset()
    for _ in range(20):
        for agent in env.agents:
            mask = observations[agent]["action_mask"]
            assert all(mask[env.action_space(agent).sample()] for _ in range(20))
            assert mask[env.action_space(agent).sample(mask)]
        observations, *_ = env.step({agent: env.action_space(agent).sample() for agent in env.agents})


def test_what_is_wrong_is_told_by_name_and_changes_nothing():
    env = parallel_env(map_name="3m", seed=1)
    with pytest.raises(NotRunningError, match="call reset"):
        env.step({})
    env.reset()
    before = env.state()
    for actions, message in (
        ({"marine_0": 0, "marine_1": 0}, 'The living agent "marine_2" has no action'),
        ({"marine_0": 0, "marine_1": 0, "zealot_0": 0}, 'There is no agent "zealot_0"'),
        (
            {"marine_0": 0, "marine_1": 5, "marine_2": 0},
            r'Agent "marine_1" cannot take action 5 \(attack enemy 0\); available: 0, 1',
        ),
        ({"marine_0": 0, "marine_1": 0, "marine_2": -1}, r'Agent "marine_2" cannot take action -1 \(no-op\)'),
        ({"marine_0": 0, "marine_1": 0, "marine_2": 8}, r'Agent "marine_2" cannot take action 8 \(no such action\)'),
    ):
        with pytest.raises(IllegalActionError, match=message):
            env.step(actions)
    np.testing.assert_array_equal(env.state(), before)
    play(env, 1)
    with pytest.raises(NotRunningError, match="call reset"):
        env.step(dict.fromkeys(env.possible_agents, 0))
    assert env.get_stats()["battles_game"] == 1
