"""What `corrected_rules` mends of SMAC's rules, one test a subject of `options.CORRECTIONS`."""

import dataclasses

import numpy as np
import pytest

from skirmish.engine import ATTACK, NONE, STOP, Units
from skirmish.maps import load_map
from skirmish.options import CORRECTIONS
from skirmish.rules import Rules
from skirmish.units import load_units


def full_units(spec):
    """Both teams at full strength, five cells apart."""
    types = [load_units()[name] for name in spec.ally_types + spec.enemy_types]
    units = Units.zeros(1, tuple(unit.name for unit in types))
    units.alive[:] = True
    units.health_max[:] = units.health[:] = [unit.health for unit in types]
    units.shield_max[:] = units.shield[:] = [unit.shield for unit in types]
    units.x[:] = [13.0] * spec.n_agents + [18.0] * spec.n_enemies
    units.y[:] = 16.0
    return units


def begin(name, corrected, **arguments):
    spec = load_map(name)
    rules, units = Rules(spec, corrected_rules=corrected, **arguments), full_units(spec)
    rules.start(units)
    return rules, units


def frame_of(rules, units):
    obs, state, avail = rules.frame()
    rules.observe(units, obs, state, avail)
    return obs[0], state[0], avail[0]


def kill(units, columns):
    units.alive[0, columns] = False
    units.health[0, columns] = 0


def test_every_correction_has_its_test():
    tests = {name.removeprefix("test_corrected_") for name in globals() if name.startswith("test_corrected_")}
    assert tests == set(CORRECTIONS)


@pytest.mark.parametrize(("corrected", "paid"), [(False, 20.0), (True, 0.0)])
def test_corrected_reward(corrected, paid):
    rules, units = begin("2s3z", corrected, reward_scale=False)
    units.shield[0, -1] -= 30
    assert rules.step(units).reward[0] == 30
    units.shield[0, -1] += 20
    assert rules.step(units).reward[0] == paid


@pytest.mark.parametrize(("corrected", "paid"), [(False, 20 / 365), (True, 1.0)])
def test_corrected_reward_sparse(corrected, paid):
    rules, units = begin("3m", corrected, reward_sparse=True)
    kill(units, slice(3, 6))
    assert rules.step(units).reward[0] == pytest.approx(paid, abs=1e-12)


@pytest.mark.parametrize(("corrected", "scale"), [(False, 500), (True, 365)])
def test_corrected_reward_scale(corrected, scale):
    rules, units = begin("3m", corrected)
    rules.start(units)
    assert rules.max_reward[0] == scale


class TestEndings:
    """Who has won when Medivacs remain; (SMAC's answer, the corrected one): 1 won, -1 lost, 0 drawn."""

    @pytest.mark.parametrize(
        ("dead_types", "smac", "corrected"),
        [
            ({"ally": ("Marine", "Marauder"), "enemy": ("Marine", "Marauder", "Medivac")}, -1, 1),
            ({"ally": ("Marine", "Marauder", "Medivac"), "enemy": ("Marine", "Marauder", "Medivac")}, -1, 0),
            ({"ally": ("Marine", "Marauder", "Medivac"), "enemy": ("Marine", "Marauder")}, -1, -1),
            ({"ally": ("Marine", "Marauder"), "enemy": ()}, -1, -1),
            ({"ally": (), "enemy": ("Marine", "Marauder")}, 1, 1),
            ({"ally": ("Marine", "Marauder"), "enemy": ("Marine", "Marauder")}, -1, 0),
        ],
    )
    def test_medivac_endings(self, dead_types, smac, corrected):
        for mended, outcome in ((False, smac), (True, corrected)):
            rules, units = begin("MMM", mended)
            sides = ["ally"] * rules.n_agents + ["enemy"] * rules.n_enemies
            types = rules.spec.ally_types + rules.spec.enemy_types
            kill(units, [u for u, (side, name) in enumerate(zip(sides, types)) if name in dead_types[side]])
            result = rules.step(units)
            assert result.terminated[0]
            assert result.battle_won[0] == (outcome == 1)
            damage = units.health_max[0, rules.n_agents :][~units.alive[0, rules.n_agents :]]
            earned = damage.sum() + 10 * damage.size + 200 * (outcome == 1)
            assert result.reward[0] * rules.max_reward[0] / 20 == pytest.approx(earned)
            if mended:
                assert rules.get_stats()["battles_draw"] == (outcome == 0)


@pytest.mark.parametrize(("corrected", "ended"), [(False, False), (True, True)])
def test_corrected_ending(corrected, ended):
    rules, units = begin("3m", corrected)
    units.health[0, 3:] = 0  # listed still
    assert rules.step(units).terminated[0] == ended


@pytest.mark.parametrize(("corrected", "draws"), [(False, (1, 0)), (True, (0, 1))])
def test_corrected_stats(corrected, draws):
    spec = dataclasses.replace(load_map("3m"), limit=1)
    counts = []
    for end in ("time-out", "draw"):
        rules, units = Rules(spec, corrected_rules=corrected), full_units(spec)
        if corrected:
            assert rules.get_stats()["win_rate"] == 0.0
        else:
            with pytest.raises(ZeroDivisionError):
                rules.get_stats()
        rules.start(units)
        if end == "draw":
            kill(units, slice(None))
        rules.step(units)
        counts.append(rules.get_stats()["battles_draw"])
    assert tuple(counts) == draws


@pytest.mark.parametrize(("corrected", "bits"), [(False, [[1, 0], [0, 1]]), (True, [[0, 1], [1, 0]])])
def test_corrected_enemy_types(corrected, bits):
    rules, units = begin("2s3z", corrected)
    _, state, _ = frame_of(rules, units)
    enemies = state[5 * 7 : 5 * 7 + 5 * 6].reshape(5, 6)
    order = [rules.spec.enemy_types.index(name) for name in ("Zealot", "Stalker")]
    assert enemies[order, -2:].tolist() == [[float(b) for b in row] for row in bits]
    allies = state[: 5 * 7].reshape(5, 7)
    order = [rules.spec.ally_types.index(name) for name in ("Zealot", "Stalker")]
    assert allies[order, -2:].tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(("corrected", "flags"), [(False, 9), (True, 0)])
def test_corrected_medivac_flags(corrected, flags):
    rules, units = begin("MMM", corrected)
    obs, _, avail = frame_of(rules, units)
    medivac = rules.spec.ally_types.index("Medivac")
    count, width = rules.sizes.enemy_feats
    rows = obs[:, 4 : 4 + count * width].reshape(rules.n_agents, count, width)
    assert rows[medivac, :, 0].sum() == flags
    assert avail[medivac, 6:].sum() == 9
    assert rows[0, :, 0].sum() == rules.n_enemies


@pytest.mark.parametrize(("corrected", "tail"), [(False, [1.0, 0.0, 0.1]), (True, [1.0, 0.1])])
def test_corrected_obs_timestep_number(corrected, tail):
    spec = dataclasses.replace(load_map("3m"), limit=10)
    for extra in ({}, {"obs_instead_of_state": True}):
        rules, units = Rules(spec, corrected_rules=corrected, obs_timestep_number=True, **extra), full_units(spec)
        rules.start(units)
        rules.step(units)
        obs, state, _ = frame_of(rules, units)
        assert obs[0, -len(tail) :].tolist() == pytest.approx(tail)
        assert (rules.sizes.obs == rules.sizes.obs_query) == corrected
        if extra:
            assert (state.size == rules.sizes.state_query) == corrected


def test_corrected_terrain_height():
    spec = load_map("corridor")
    assert (spec.height != spec.height[:, ::-1]).any()
    for corrected, height in ((False, spec.height[:, ::-1]), (True, spec.height)):
        rules, units = begin("corridor", corrected, obs_terrain_height=True)
        for x, y in ((4.5, 5.5), (20.5, 9.5), (27.5, 24.5)):
            units.x[:], units.y[:] = x, y
            obs, _, _ = frame_of(rules, units)
            assert obs[0, 4 + 8] == np.float32(height[int(x), int(y)] / 255)


def test_corrected_heuristic_ai():
    for corrected in (False, True):
        rules, units = begin("MMM", corrected, heuristic_ai=True)
        types = rules.spec.ally_types
        marauder, marine, medivac = (types.index(name) for name in ("Marauder", "Marine", "Medivac"))
        enemy_medivac = rules.spec.enemy_types.index("Medivac")
        units.x[0, rules.n_agents + enemy_medivac] = 14  # the nearest enemy
        kill(units, [1])
        given = np.full((1, rules.n_agents), 2, dtype=np.int64)
        orders = rules.orders(units, given)
        at_medivac = orders.target[0] == rules.n_agents + enemy_medivac
        assert at_medivac[marine]
        assert at_medivac[marauder] != corrected
        assert orders.kind[0, marauder] == ATTACK
        assert orders.kind[0, medivac] == (STOP if corrected else NONE)
        assert (given == 2).all() == corrected
        assert (rules.last_action[0] == 2).all() != corrected
        assert orders.kind[0, 1] == NONE
        if corrected:
            assert rules.last_action[0, 1] == 0
            assert rules.last_action[0, marine] == 6 + enemy_medivac


def test_corrected_info():
    from skirmish.env import StarCraft2Env

    for corrected in (False, True):
        env = StarCraft2Env(map_name="3m", seed=1, step_mul=1, corrected_rules=corrected)
        env.reset()
        terminated = False
        while not terminated:
            _, terminated, info = env.step([1, 1, 1])
        assert ("episode_limit" in info) == corrected
