"""The StarCraft2Env interface over the embedded engine."""

import numpy as np
import pytest

from skirmish.env import StarCraft2Env
from skirmish.maps import MAP_NAMES, MapError
from skirmish.options import SettingError
from skirmish.rules import IllegalActionError, NotRunningError


def play(env, seed, steps=None):
    """One episode of random available actions; a list of everything the environment returned."""
    random = np.random.default_rng(seed)
    trace, terminated = [env.reset()], False
    while not terminated and steps != 0:
        actions = [random.choice(np.flatnonzero(row)) for row in env.get_avail_actions()]
        reward, terminated, info = env.step(actions)
        trace.append((env.get_obs(), env.get_state(), env.get_avail_actions(), reward, terminated, info))
        steps = None if steps is None else steps - 1
    return trace


def same(a, b):
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("name", MAP_NAMES)
def test_shapes_and_types_are_those_of_smac(name):
    env = StarCraft2Env(map_name=name, seed=1)
    info = env.get_env_info()
    obs, state = env.reset()
    assert len(obs) == info["n_agents"] == env.n_agents
    assert all(o.shape == (info["obs_shape"],) and o.dtype == np.float32 for o in obs)
    assert state.shape == (info["state_shape"],)
    assert state.dtype == np.float32
    avail = env.get_avail_actions()
    assert [len(row) for row in avail] == [info["n_actions"]] * env.n_agents
    assert {type(value) for row in avail for value in row} == {int}
    reward, terminated, step_info = env.step([1] * env.n_agents)
    assert (type(reward), type(terminated)) == (float, bool)
    assert {key: type(value) for key, value in step_info.items()} == {
        "battle_won": bool,
        "dead_allies": int,
        "dead_enemies": int,
    }
    assert env.get_visibility_matrix().shape == (env.n_agents, env.n_agents + env.n_enemies)
    assert (env.get_obs_size(), env.get_state_size(), env.get_total_actions()) == (
        info["obs_shape"],
        info["state_shape"],
        info["n_actions"],
    )
    sizes = (env.get_obs_move_feats_size(), *env.get_obs_enemy_feats_size(), *env.get_obs_ally_feats_size())
    assert sizes[0] + sizes[1] * sizes[2] + sizes[3] * sizes[4] + env.get_obs_own_feats_size() == info["obs_shape"]
    env.close()


def test_the_same_seed_plays_the_same_battle_and_another_seed_another():
    traces = [play(StarCraft2Env(map_name="3m", seed=seed), 5) for seed in (3, 3, 4)]
    assert same(traces[0], traces[1])
    assert not same(traces[0], traces[2])


def test_without_a_seed_one_is_drawn():
    seeds = {StarCraft2Env(map_name="3m").seed() for _ in range(3)}
    assert len(seeds) == 3
    assert StarCraft2Env(map_name="3m", seed=11).seed() == 11


def test_agents_that_stand_still_lose():
    env = StarCraft2Env(map_name="3m", seed=2)
    env.reset()
    terminated = False
    while not terminated:
        _, terminated, info = env.step([int(row[1] == 1) for row in env.get_avail_actions()])
    assert info == {"battle_won": False, "dead_allies": 3, "dead_enemies": 0}
    stats = env.get_stats()
    assert (stats["battles_game"], stats["battles_won"], stats["win_rate"]) == (1, 0, 0.0)


@pytest.mark.parametrize("continuing", [False, True])
def test_a_time_out_is_told_only_where_it_continues(continuing):
    # One loop a step: the limit comes before the teams have met.
    env = StarCraft2Env(map_name="3m", seed=1, step_mul=1, continuing_episode=continuing)
    env.reset()
    for step in range(env.episode_limit):
        reward, terminated, info = env.step([1] * 3)
        assert terminated == (step == env.episode_limit - 1)
        assert reward == 0
    assert info.get("episode_limit", False) == continuing
    assert env.get_stats()["timeouts"] == 1


def test_an_illegal_action_is_named():
    env = StarCraft2Env(map_name="3m", seed=1)
    env.reset()
    with pytest.raises(IllegalActionError, match=r"Agent 1 of battle 0 cannot take action 6 \(attack enemy 0\)"):
        env.step([1, 6, 1])
    with pytest.raises(AssertionError, match="cannot take action 0"):
        env.step([1, 1, 0])


def test_the_time_step_is_exact_and_one_place_too_far():
    env = StarCraft2Env(map_name="3m", seed=1, obs_timestep_number=True)
    env.reset()
    for step in range(1, 4):
        env.step([1] * 3)
        obs = env.get_obs_agent(0)
        assert (len(obs), env.get_obs_size()) == (32, 31)
        assert obs.dtype == np.float64
        assert obs[-1] == step / 60
        assert obs[-2] == 0


def test_the_scripted_allies_fight_and_overwrite_the_actions():
    env = StarCraft2Env(map_name="3m", seed=1, heuristic_ai=True)
    env.reset()
    terminated, dead = False, 0
    while not terminated:
        actions = [1, 1, 1]
        _, terminated, info = env.step(actions)
        assert all(action == 0 or action >= 6 for action in actions)
        dead = info["dead_enemies"]
    assert dead > 0


def test_a_snapshot_continues_as_if_nothing_had_happened():
    env = StarCraft2Env(map_name="3m", seed=8)
    play(env, 1, steps=4)
    saved = env.snapshot()
    onward = [play(env, 2), play(env, 3)]
    other = StarCraft2Env(map_name="3m", seed=99)
    other.restore(saved)
    assert same([play(other, 2), play(other, 3)], onward)


def test_what_cannot_be_is_said():
    with pytest.raises(MapError, match="Maps: 3m"):
        StarCraft2Env(map_name="3n")
    with pytest.raises(SettingError, match='Did you mean "step_mul"'):
        StarCraft2Env(map_name="3m", step_mull=8)
    env = StarCraft2Env(map_name="3m", seed=1)
    for ask in (env.get_obs, env.get_state, env.get_avail_actions):
        with pytest.raises(NotRunningError, match=r"call reset\(\) first"):
            ask()
    with pytest.raises(ZeroDivisionError):
        env.get_stats()
    with pytest.raises(NotRunningError, match=r"call reset\(\) first"):
        env.save_replay()
    with pytest.raises(NotImplementedError, match="opens no window"):
        env.render()


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_a_seed_is_a_whole_number_from_0(seed):
    with pytest.raises(SettingError, match="seed must be a whole number of at least 0"):
        StarCraft2Env(map_name="3m", seed=seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "libery"}, "must be multiplayer or liberty, not 'libery'. Did you mean \"liberty\"?"),
        ({"build": "5.0"}, "must be 4.10 or 4.6.2"),
        ({"threads": 0}, "must be at least 1"),
        ({"enemy_medivac": "flee"}, "must be follow or "),
        ({"profil": "liberty"}, 'Did you mean "profile"?'),
    ],
)
def test_the_engines_arguments_are_checked(arguments, message):
    with pytest.raises(SettingError) as caught:
        StarCraft2Env(map_name="3m", **arguments)
    assert message in str(caught.value)


def snapshots_equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        ([1, 1], ValueError, "3m has 3 agents, but 2 actions were given"),
        ([1, 9, 1], IllegalActionError, r"Agent 1 of battle 0 cannot take action 9 \(no such action\)"),
        ([1, 1, -1], IllegalActionError, "Agent 2 of battle 0 cannot take action -1"),
        ([1, 0, 1], IllegalActionError, r"cannot take action 0 \(no-op\) in step 2; available: 1, 2"),
    ],
)
@pytest.mark.parametrize("scripted", [False, True])
def test_wrong_actions_leave_the_battle_as_it_was(actions, error, message, scripted):
    env = StarCraft2Env(map_name="3m", seed=1, heuristic_ai=scripted)
    play(env, 1, steps=2)
    before = env.snapshot()
    if scripted and error is IllegalActionError:
        env.step(actions)  # the script ignores them
        return
    with pytest.raises(error, match=message):
        env.step(actions)
    assert snapshots_equal(before, env.snapshot())
    env.step([1, 1, 1])


@pytest.mark.parametrize("arguments", [{}, {"heuristic_ai": True}])
def test_a_step_outside_an_episode_is_refused_and_changes_nothing(arguments):
    env = StarCraft2Env(map_name="3m", seed=1, **arguments)
    with pytest.raises(NotRunningError, match="has not begun: call reset"):
        env.step([1, 1, 1])
    play(env, 3)
    before = env.snapshot()
    with pytest.raises(NotRunningError, match="has ended: call reset"):
        env.step([0, 0, 0])
    assert snapshots_equal(before, env.snapshot())
    env.reset()
    env.step([1, 1, 1])
    assert env.get_stats()["battles_game"] == 1


def test_an_agent_that_does_not_exist_is_named():
    env = StarCraft2Env(map_name="3m", seed=1)
    env.reset()
    for ask in (env.get_obs_agent, env.get_avail_agent_actions, env.get_unit_by_id):
        for agent in (-1, 3):
            with pytest.raises(IndexError, match=rf"There is no agent {agent}; agents are numbered 0 to 2"):
                ask(agent)


def test_a_seed_given_later_plays_as_one_given_at_once():
    late = StarCraft2Env(map_name="3m", seed=8)
    play(late, 0)
    assert late.seed(3) == late.seed() == 3
    assert same(play(late, 5), play(StarCraft2Env(map_name="3m", seed=3), 5))


def test_a_full_restart_begins_the_random_stream_again_and_is_counted():
    env = StarCraft2Env(map_name="3m", seed=3)
    first = play(env, 5)
    env.full_restart()
    assert same(first, play(env, 5))
    assert env.get_stats()["restarts"] == 1


# The official class's methods that do not talk to the game.
METHODS = [
    *("reset", "step", "close", "seed", "render", "save_replay", "full_restart", "get_stats", "get_env_info"),
    *("get_obs", "get_obs_agent", "get_obs_size", "get_obs_move_feats_size", "get_obs_enemy_feats_size"),
    *("get_obs_ally_feats_size", "get_obs_own_feats_size", "get_state", "get_state_size", "get_state_dict"),
    *("get_ally_num_attributes", "get_enemy_num_attributes", "get_visibility_matrix", "get_total_actions"),
    *("get_avail_actions", "get_avail_agent_actions", "get_unit_by_id", "get_unit_type_id", "only_medivac_left"),
    *("distance", "unit_shoot_range", "unit_sight_range", "unit_max_cooldown", "unit_max_shield", "can_move"),
    *("get_surrounding_points", "get_surrounding_pathing", "get_surrounding_height", "check_bounds"),
]


def test_the_method_set_is_smacs():
    assert [name for name in METHODS if not callable(getattr(StarCraft2Env, name, None))] == []
