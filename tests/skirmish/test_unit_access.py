"""What the environment tells of single units agrees with what it shows in arrays."""

import numpy as np
import pytest

from skirmish.env import StarCraft2Env
from skirmish.unit_access import Direction, Point

MAPS = [("3m", {}), ("8m", {"state_timestep_number": True}), ("3m", {"move_amount": 4, "state_last_action": False})]


def played(map_name, steps=6, **arguments):
    env = StarCraft2Env(map_name=map_name, seed=2, **arguments)
    env.reset()
    random = np.random.default_rng(0)
    for _ in range(steps):
        env.step([random.choice(np.flatnonzero(row)) for row in env.get_avail_actions()])
    return env


@pytest.mark.parametrize(("map_name", "arguments"), MAPS)
def test_the_state_by_name_is_the_state(map_name, arguments):
    env = played(map_name, **arguments)
    state = env.get_state_dict()
    assert state["allies"].dtype == state["enemies"].dtype == np.float64
    assert state["allies"].shape == (env.n_agents, env.get_ally_num_attributes())
    assert state["enemies"].shape == (env.n_enemies, env.get_enemy_num_attributes())
    flat = np.concatenate([np.ravel(block) for block in state.values()])
    np.testing.assert_array_equal(flat.astype(np.float32), env.get_state())
    assert (
        list(state)
        == ["allies", "enemies"]
        + ["last_action"] * env.options.state_last_action
        + ["timestep"] * env.options.state_timestep_number
    )


def test_units_carry_the_games_ids():
    env = played("3m")
    assert [unit.unit_type for unit in env.enemies.values()] == [48] * 3
    assert {unit.unit_type for unit in env.agents.values()} == {1970}
    assert [unit.owner for unit in (*env.agents.values(), *env.enemies.values())] == [1, 1, 1, 2, 2, 2]
    assert len({unit.tag for unit in (*env.agents.values(), *env.enemies.values())}) == 6
    assert env.get_unit_by_id(1) == env.agents[1]


def test_the_dead_have_no_health_and_are_tracked():
    env = StarCraft2Env(map_name="3m", seed=2)
    env.reset()
    terminated = False
    while not terminated:
        _, terminated, info = env.step([int(row[1] == 1) for row in env.get_avail_actions()])
    assert info["dead_allies"] == 3
    assert [unit.health for unit in env.agents.values()] == [0, 0, 0]
    assert env.death_tracker_ally.tolist() == [1, 1, 1]
    assert env.death_tracker_enemy.sum() == 0
    assert not env.get_state_dict()["allies"].any()
    assert not env.living.any()


def test_where_a_unit_can_move_is_what_is_available():
    env = played("8m", steps=12)
    for agent, row in enumerate(env.get_avail_actions()):
        unit = env.get_unit_by_id(agent)
        if unit.health:
            assert [env.can_move(unit, way) for way in Direction] == [bool(flag) for flag in row[2:6]]


def test_the_surroundings_are_what_is_observed():
    env = played("3m", obs_pathing_grid=True, obs_terrain_height=True)
    unit, obs = env.get_unit_by_id(0), env.get_obs_agent(0)
    assert env.get_surrounding_pathing(unit) == obs[4:12].tolist()
    np.testing.assert_array_equal(np.float32(env.get_surrounding_height(unit)), obs[12:21])
    assert len(env.get_surrounding_points(unit)) == 8
    assert env.get_surrounding_points(unit, include_self=True)[-1] == (int(unit.pos.x), int(unit.pos.y))


def test_ranges_distances_and_divisors_are_smacs():
    env = played("3m")
    marine = env.get_unit_by_id(0)
    assert (env.unit_shoot_range(0), env.unit_sight_range(0), env.unit_max_cooldown(marine)) == (6, 9, 15)
    assert env.unit_max_shield(marine) is None
    assert env.distance(0, 0, 3, 4) == 5
    assert [env.check_bounds(*p) for p in ((0, 0), (31, 31), (32, 0), (0, -1))] == [True, True, False, False]
    assert env.pathing_grid.shape == env.terrain_height.shape == (env.map_x, env.map_y) == (32, 32)
    assert not env.only_medivac_left(ally=True)
    assert env.max_reward == 365
    assert isinstance(marine.pos, Point)


def test_the_last_actions_are_one_hot():
    env = StarCraft2Env(map_name="3m", seed=1)
    env.reset()
    assert not env.last_action.any()
    env.step([1, 2, 3])
    assert env.last_action.argmax(axis=1).tolist() == [1, 2, 3]
    assert env.last_action.sum() == 3
