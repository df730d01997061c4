"""Every environment by name keeps the runners' contract."""

from pathlib import Path

import numpy as np
import pytest
from environment_contract import assert_contract, random_actions

from envs import REGISTRY, VECTOR_REGISTRY, describe
from envs.sc2_install import InstallationError
from envs.smac import choose_engine
from skirmish.maps import MapError
from skirmish.options import SettingError

GATE = str(Path(__file__).parents[2] / "src" / "skirmish" / "data" / "gate.yaml")

CASES = [
    ("sc2", {"map_name": "3m", "seed": 3}),
    ("sc2", {"map_name": "MMM", "corrected_rules": True, "threads": 2, "seed": 3}),
    ("sc2", {"map_name": GATE, "profile": "liberty", "seed": 3}),
    ("sc2", {"map_name": "2m_vs_1m", "engine": "skirmish", "seed": 3}),
    ("sc2", {"map_name": "3m", "obs_timestep_number": True, "obs_instead_of_state": True, "seed": 3}),
    ("predator_prey", {"seed": 3}),
    ("matrix_game", {}),
    ("matrix_game", {"game": "two_step"}),
    ("matrix_game", {"payoff": np.arange(8.0).reshape(2, 2, 2).tolist()}),
]


def test_every_environment_is_tried():
    elsewhere = {"official_smac", "pettingzoo"}  # have test files of their own
    assert {name for name, _ in CASES} == set(REGISTRY) - elsewhere


@pytest.mark.parametrize(("name", "env_args"), CASES)
def test_an_environment_keeps_the_contract(name, env_args):
    assert_contract(REGISTRY[name](**env_args))


@pytest.mark.parametrize(("name", "env_args"), CASES)
def test_the_same_seed_gives_the_same_episode(name, env_args):
    def episode():
        env, random = REGISTRY[name](**env_args), np.random.default_rng(1)
        env.reset()
        rewards, terminated = [], False
        while not terminated:
            reward, terminated, _ = env.step(random_actions(env, random))
            rewards.append(reward)
        return rewards, env.get_state().tolist()

    assert episode() == episode()


def test_the_vector_and_the_single_environment_play_the_same_battle():
    single = REGISTRY["sc2"](map_name="3m", seed=4)
    many = VECTOR_REGISTRY["sc2"](n_battles=1, seed=4, map_name="3m", engine="auto")
    assert many.get_env_info() == single.get_env_info()
    random = np.random.default_rng(2)
    obs, state, avail = many.frame()
    single.reset()
    many.reset()
    terminated = False
    while not terminated:
        many.observe(obs, state, avail)
        assert np.array_equal(obs[0], single.get_obs())
        assert np.array_equal(state[0], single.get_state())
        assert avail[0].tolist() == single.get_avail_actions()
        actions = random_actions(single, random)
        reward, terminated, _ = single.step(actions)
        result = many.step(actions[None])
        assert (result.reward[0], result.terminated[0]) == (reward, terminated)


def test_the_sizes_told_are_those_of_the_arrays():
    env_args = {"map_name": "3m", "obs_timestep_number": True}
    many = VECTOR_REGISTRY["sc2"](n_battles=2, **env_args)
    assert many.get_env_info()["obs_shape"] == many.frame()[0].shape[-1] == 32


def test_a_run_learns_what_plays():
    told = describe("sc2", {"map_name": "3m", "engine": "auto", "seed": None})
    assert set(told) == {"engine", "engine_version", "map_checksum", "profile", "build", "rules"}
    assert (told["engine"], told["profile"], told["build"], told["rules"]) == (
        "skirmish",
        "multiplayer",
        "4.10",
        "smac",
    )
    other = describe("sc2", {"map_name": "MMM2", "profile": "liberty", "build": "4.6.2", "corrected_rules": True})
    assert (other["profile"], other["build"], other["rules"]) == ("liberty", "4.6.2", "corrected")
    assert other["map_checksum"] != told["map_checksum"]
    assert describe("matrix_game", {}) == {}


@pytest.mark.parametrize(
    ("env_args", "error", "message"),
    [
        ({"map_name": "3mm"}, MapError, 'There is no map "3mm".'),
        ({"map_name": "maps/none.yaml"}, MapError, 'There is no map file "maps/none.yaml".'),
        ({"map_name": "3m", "reward_spars": True}, SettingError, 'Did you mean "reward_sparse"?'),
        ({"map_name": "3m", "engine": "skirmsh"}, SettingError, 'Did you mean "skirmish"?'),
        ({"map_name": "3m", "engine": "starcraft2"}, InstallationError, "was not found"),
        ({"map_name": "3m", "step_mul": "8"}, SettingError, "must be a whole number"),
        ({"map_name": "3m", "build": "4.1"}, SettingError, '"build" must be 4.10 or 4.6.2'),
        ({"map_name": "3m", "threads": 0}, SettingError, '"threads" must be at least 1'),
        ({"map_name": "nowhere/none.yaml"}, MapError, "nowhere/none.yaml"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(env_args, error, message):
    for attempt in (lambda: describe("sc2", env_args), lambda: REGISTRY["sc2"](**env_args)):
        with pytest.raises(error) as caught:
            attempt()
        assert message in str(caught.value)


def test_the_automatic_engine_is_the_embedded_one():
    assert choose_engine("auto") == "skirmish"
