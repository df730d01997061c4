"""Battles through pysc2's launcher and the game's protocol equal the same battles played directly on skirmish."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from envs import REGISTRY, describe
from envs.sc2_install import official_maps
from envs.smac import SMACEnv, make_vector
from skirmish.options import SettingError

GOLDEN = Path(__file__).parents[1] / "golden"


STARTED_MIDWAY = ("episode_in_process", "double_reset", "first_step_stored", "partial_first_observations")


def recordings():
    """The recordings that begin with a process, which is what a test can arrange."""
    for path in sorted(GOLDEN.glob("*.npz")):
        with np.load(path) as arrays:
            meta = json.loads(str(arrays["meta"]))
        if not any(meta[key] for key in STARTED_MIDWAY):
            yield path.stem


QUICK = ("default_2s3z__0", "flag_obs_terrain_height_MMM")
RECORDED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in recordings()]
PLAYED = ("3m", "MMM", "2c_vs_64zg")
MAPS = [pytest.param(name, marks=() if name in PLAYED else pytest.mark.long) for name in official_maps()]


def same(ours, expected):
    np.testing.assert_array_equal(ours, expected, strict=True)


def assert_same_frame(game, battle):
    for ours, expected in zip(game.get_obs(), battle.get_obs(), strict=True):
        same(ours, expected)
    same(game.get_state(), battle.get_state())
    same(game.get_visibility_matrix(), battle.get_visibility_matrix())
    assert game.get_avail_actions() == battle.get_avail_actions()


def play_both(game, battle, episodes, seed):
    """Play both with the same random actions; returns the steps that were compared."""
    rng, steps = np.random.default_rng(seed), 0
    for _ in range(episodes):
        game.reset()
        battle.reset()
        assert_same_frame(game, battle)
        terminated = False
        while not terminated:
            actions = [int(rng.choice(np.flatnonzero(row))) for row in battle.get_avail_actions()]
            answer = game.step(list(actions))
            assert answer == battle.step(list(actions))
            assert_same_frame(game, battle)
            terminated, steps = answer[1], steps + 1
    assert game.get_stats() == battle.get_stats()
    return steps


@pytest.mark.parametrize("map_name", MAPS)
def test_a_battle_through_the_game_is_the_battle(standin, map_name):
    standin()
    for arguments in ({}, {"heuristic_ai": True, "obs_pathing_grid": True, "obs_terrain_height": True}):
        game = REGISTRY["sc2"](map_name=map_name, engine="starcraft2", seed=7, **arguments)
        battle = SMACEnv(map_name, 7, **arguments)
        try:
            assert game.get_env_info() == battle.get_env_info()
            assert play_both(game, battle, 2 if not arguments else 1, seed=1) >= 5
        finally:
            game.close()


def test_the_requests_are_those_of_the_official_package(standin):
    game = standin(game="still")
    env = REGISTRY["sc2"](map_name="3m", engine="starcraft2", seed=7, difficulty="A")
    assert not game.pids
    for _ in range(2):
        env.reset()
    env.close()
    assert game.requests == ["create_game SMAC_Maps/3m.SC2Map seed 7 difficulty 10", "debug kill 6"]
    assert len(game.pids) == 1


@pytest.mark.parametrize("name", RECORDED)
def test_unit_lists_of_recordings_give_what_was_recorded(standin, name):
    standin(game="recording", recording=str(GOLDEN / f"{name}.npz"))
    arrays = dict(np.load(GOLDEN / f"{name}.npz"))
    kwargs, info = json.loads(str(arrays["kwargs"])), json.loads(str(arrays["info"]))
    kwargs.pop("seed", None)
    env = REGISTRY["sc2"](engine="starcraft2", seed=1, **kwargs)
    try:
        env.reset()
        for t, actions in enumerate(arrays["actions"]):
            for agent, obs in enumerate(env.get_obs()):
                same(obs, arrays["obs"][t, agent])
            same(env.get_state(), arrays["state"][t])
            same(np.array(env.get_avail_actions()), arrays["avail"][t].astype(int))
            same(env.get_visibility_matrix(), arrays["visibility"][t])
            assert env.max_reward == arrays["max_reward"]
            assert env.step(actions) == (arrays["reward"][t], bool(arrays["terminated"][t]), info[t])
    finally:
        env.close()


def test_old_clients_tell_the_ground_in_another_way(standin):
    standin(game="still", old_grids=True)
    env = REGISTRY["sc2"](map_name="corridor", engine="starcraft2", seed=1)
    expected = SMACEnv("corridor", 1).pathing_grid
    env.reset()
    same(env.pathing_grid, expected)
    env.close()


def test_units_may_appear_late(standin):
    standin(late_units=3)
    game = REGISTRY["sc2"](map_name="3m", engine="starcraft2", seed=3)
    battle = SMACEnv("3m", 3, corrected_rules=False)
    game.reset()
    battle.reset()
    assert_same_frame(game, battle)
    # Half the six units were listed in three observations; SMAC counts the enemies among them into its scale.
    assert game.max_reward == battle.max_reward + 3 * 45
    game.close()


def test_a_replay_is_written(standin, tmp_path):
    game = standin(game="still")
    env = REGISTRY["sc2"](map_name="3m", engine="starcraft2", seed=3, replay_prefix="mine")
    env.reset()
    first, second = env.save_replay(), env.save_replay()
    assert first != second
    assert first.parent == game.folder / "Replays"
    assert first.name.startswith("mine_20")
    assert first.read_bytes() == b"a replay of the stand-in"
    env.close()


def test_a_seed_starts_the_game_anew(standin):
    game = standin(game="still")
    env = REGISTRY["sc2"](map_name="3m", engine="starcraft2", seed=3)
    env.reset()
    assert env.seed(9) == 9
    env.reset()
    env.close()
    assert [line.split()[3] for line in game.requests] == ["3", "9"]


def test_the_automatic_engine_is_the_game_where_it_is_installed(standin):
    game = standin(maps=("3m", "8m"))
    told = describe("sc2", {"map_name": "3m", "engine": "auto"})
    assert told == {
        "engine": "starcraft2",
        "engine_version": "4.10.0",
        "build": "Base75689",
        "map_checksum": hashlib.md5(b"no real map: 3m").hexdigest(),
        "rules": "smac",
    }
    assert describe("sc2", {"map_name": "3m", "engine": "skirmish"})["engine"] == "skirmish"
    passed = describe("sc2", {"map_name": "2s3z"})
    assert passed["engine"] == "skirmish"
    assert "2s3z.SC2Map is missing" in passed["passed_over"]
    assert not game.pids


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"map_name": "2m_vs_1m"}, 'StarCraft II has no map "2m_vs_1m"'),
        ({"map_name": "3m", "game_version": "4.6.2"}, "is not installed in .* there is: 4.10.0"),
        ({"map_name": "3m", "game_version": "9.9"}, "not a known version"),
        ({"map_name": "3m", "launch_attempts": 0}, '"launch_attempts" must be a number of at least 1'),
        ({"map_name": "3m", "step_mull": 8}, "step_mul"),
    ],
)
def test_what_the_game_cannot_do_is_said_before_it_starts(standin, arguments, message):
    game = standin()
    for attempt in (describe, lambda name, given: REGISTRY[name](**given)):
        with pytest.raises(ValueError, match=message):
            attempt("sc2", {**arguments, "engine": "starcraft2"})
    assert not game.pids


def test_the_vector_runner_does_not_play_the_game(standin):
    standin()
    with pytest.raises(SettingError, match="runner=parallel"):
        make_vector(2, 1, map_name="3m")
