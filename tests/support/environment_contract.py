"""What every environment owes the runners, and actions to try it with."""

import numpy as np

from envs import MultiAgentEnv


def random_actions(env, random):
    """An available action of every agent, or numbers in [-1, 1] where actions are continuous."""
    if env.get_env_info().get("continuous_actions"):
        return random.uniform(-1, 1, (env.n_agents, env.get_total_actions()))
    return np.array([random.choice(np.flatnonzero(row)) for row in env.get_avail_actions()])


def assert_contract(env, someone_can_act=True):
    """Play two random episodes and hold every answer to `get_env_info`.

    someone_can_act: False for environments whose agents may have no action at all, once they have left.
    """
    assert isinstance(env, MultiAgentEnv)
    info = env.get_env_info()
    random = np.random.default_rng(0)
    for _ in range(2):
        obs, state = env.reset()
        terminated, steps = False, 0
        while not terminated:
            assert len(obs) == info["n_agents"]
            assert all(o.shape == (info["obs_shape"],) for o in obs)
            assert all(np.array_equal(o, env.get_obs_agent(i)) for i, o in enumerate(obs))
            assert state.shape == (info["state_shape"],)
            avail = env.get_avail_actions()
            assert avail == [env.get_avail_agent_actions(i) for i in range(info["n_agents"])]
            assert all(len(row) == info["n_actions"] for row in avail)
            assert not someone_can_act or all(any(row) for row in avail)
            reward, terminated, step_info = env.step(random_actions(env, random))
            assert isinstance(reward, (int, float))
            assert all(isinstance(value, (bool, int, float)) for value in step_info.values())
            obs, state = env.get_obs(), env.get_state()
            steps += 1
        assert 1 <= steps <= info["episode_limit"]
    assert env.get_total_actions() == info["n_actions"]
    assert isinstance(env.get_stats(), dict)
    env.close()
