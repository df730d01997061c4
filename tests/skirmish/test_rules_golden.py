"""The rules reproduce recordings of the official SMAC package to the last bit (see tests/golden/README.md)."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from skirmish.engine import Units
from skirmish.maps import MAP_NAMES, load_map
from skirmish.options import RuleOptions, sizes_of
from skirmish.rules import Rules
from skirmish.rules_kernels import EPISODES, GAMES, TIMEOUTS, WON
from skirmish.units import UNIT_NAMES

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDINGS = sorted(GOLDEN.glob("*.npz"))
ABILITY_OF_KIND = np.array([0, 4, 16, 23, 386])


class Recording:
    """One recorded episode and rules in the state in which it begins."""

    def __init__(self, path):
        self.arrays = dict(np.load(path))
        self.meta, self.kwargs, self.env_info, self.stats_before, self.stats, self.info = (
            json.loads(str(self.arrays[key]))
            for key in ("meta", "kwargs", "env_info", "stats_before", "get_stats", "info")
        )
        arguments = {key: value for key, value in self.kwargs.items() if key not in ("map_name", "seed")}
        self.rules = Rules(self._spec(), **arguments)
        self.length = len(self.arrays["reward"])
        self._start()

    def _spec(self):
        # The recordings hold the heights as SMAC keeps them, mirrored in y and divided by 255.
        height = np.rint(self.arrays["terrain_height"] * 255).astype(np.uint8)[:, ::-1]
        return dataclasses.replace(load_map(self.meta["map"]), pathing=self.arrays["pathing_grid"], height=height)

    def _start(self):
        rules, before = self.rules, self.stats_before
        if "raises" not in before:
            rules.counters[0, [GAMES, WON, TIMEOUTS]] = (
                before["battles_game"],
                before["battles_won"],
                before["timeouts"],
            )
        rules.counters[0, EPISODES] = self.meta["episode_in_process"]
        if self.meta["episode_in_process"]:
            rules.max_reward[:] = self.arrays["max_reward"]
        rules.start(self.units(0))
        if self.meta["double_reset"]:
            rules.start(self.units(0))
        if self.meta["partial_first_observations"]:
            rules.max_reward[:] = self.arrays["max_reward"]
        if self.meta["first_step_stored"]:
            rules.last_action[0] = self.arrays["prev_actions"]
            rules.steps[:] = self.arrays["episode_step"][0]
            rules.counted_dead[0] = ~self.arrays["listed"][0] | (self.arrays["health"][0] == 0)

    def units(self, t):
        types = tuple(self.meta["type_names"][index] for index in self.arrays["type_index"])
        units = Units.zeros(1, types)
        for field in ("x", "y", "health", "shield", "energy", "weapon_cooldown"):
            getattr(units, field)[0] = self.arrays[field][t]
        units.health_max[0], units.shield_max[0] = self.arrays["health_max"], self.arrays["shield_max"]
        units.alive[0] = self.arrays["listed"][t]
        return units


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem)
def recording(request):
    return Recording(request.param)


def assert_same(actual, recorded, what):
    recorded = np.asarray(recorded)
    assert actual.shape == recorded.shape, what
    np.testing.assert_array_equal(actual, recorded.astype(actual.dtype), err_msg=what, strict=True)


def compare_frame(recording, t):
    rules, arrays, units = recording.rules, recording.arrays, recording.units(t)
    obs, state, avail = rules.frame()
    rules.observe(units, obs, state, avail)
    assert_same(obs[0], arrays["obs"][t], f"obs {t}")
    assert_same(state[0], arrays["state"][t], f"state {t}")
    assert_same(avail[0], arrays["avail"][t], f"avail {t}")
    assert_same(rules.visibility(units)[0], arrays["visibility"][t], f"visibility {t}")


def compare_orders(recording, t):
    rules, arrays = recording.rules, recording.arrays
    orders = rules.orders(recording.units(t), arrays["actions"][t][None].astype(np.int64))
    assert_same(ABILITY_OF_KIND[orders.kind[0]], arrays["order_ability"][t], f"ability {t}")
    assert_same(orders.target[0], arrays["order_target"][t], f"target {t}")
    moving = ~np.isnan(arrays["order_point"][t, :, 0])
    points = np.stack([orders.x[0], orders.y[0]], axis=1)
    assert_same(points[moving], arrays["order_point"][t][moving], f"point {t}")
    assert not points[~moving].any()


def compare_step(recording, t):
    result, info = recording.rules.step(recording.units(t + 1)), recording.info[t]
    assert result.reward[0] == recording.arrays["reward"][t], f"reward {t}"
    assert result.terminated[0] == recording.arrays["terminated"][t], f"terminated {t}"
    assert result.battle_won[0] == info["battle_won"]
    assert result.dead_allies[0] == info["dead_allies"]
    assert result.dead_enemies[0] == info["dead_enemies"]
    assert (bool(result.timeout[0]) and recording.rules.options.continuing_episode) == info.get("episode_limit", False)


def test_the_rules_reproduce_the_recording(recording):
    assert recording.rules.max_reward[0] == recording.arrays["max_reward"]
    for t in range(recording.length):
        compare_frame(recording, t)
        compare_orders(recording, t)
        compare_step(recording, t)
    compare_frame(recording, recording.length)


def test_the_recorded_statistics_and_sizes_follow(recording):
    rules = recording.rules
    answered = rules.get_env_info()
    assert answered.pop("n_enemies") == rules.n_enemies
    assert answered == recording.env_info
    for t in range(recording.length):
        rules.step(recording.units(t + 1))
    if "raises" in recording.stats:
        with pytest.raises(ZeroDivisionError):
            rules.get_stats()
    else:
        assert rules.get_stats() == recording.stats


def test_all_flags_and_maps_are_recorded():
    assert len(RECORDINGS) >= 119
    assert {path.stem.split("__")[0].removeprefix("default_") for path in GOLDEN.glob("default_*")} <= set(MAP_NAMES)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_the_sizes_of_every_map_are_smacs(name):
    expected = json.loads((GOLDEN / "map_sizes.json").read_text())[name]
    spec = load_map(name)
    info = Rules(spec).get_env_info()
    sizes = sizes_of(spec, RuleOptions())
    without = sizes_of(spec, RuleOptions(state_last_action=False))
    assert {key: info[key] for key in ("obs_shape", "state_shape", "n_actions", "n_agents", "n_enemies")} == {
        key: expected[key] for key in ("obs_shape", "state_shape", "n_actions", "n_agents", "n_enemies")
    }
    assert info["episode_limit"] == expected["limit"]
    assert without.state == expected["state_shape_without_last_action"]
    assert [*sizes.enemy_feats, *sizes.ally_feats, sizes.own_feats] == expected["obs_blocks"]
    assert list(spec.ally_types) == expected["agent_types"]
    assert info["agent_features"] == expected["agent_features"]
    assert info["enemy_features"] == expected["enemy_features"]
    assert (spec.a_race, spec.b_race, spec.unit_type_bits, spec.map_type) == tuple(expected["kind"])


def test_every_map_of_smac_is_known():
    assert set(json.loads((GOLDEN / "map_sizes.json").read_text())) == set(MAP_NAMES)
    assert set(UNIT_NAMES) >= {unit for name in MAP_NAMES for unit in load_map(name).ally_types}
