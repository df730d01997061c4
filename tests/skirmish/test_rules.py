"""What holds for SMAC's rules whatever the units do."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skirmish.engine import ATTACK, HEAL, MOVE, NONE, STOP, Units
from skirmish.maps import load_map
from skirmish.options import RuleOptions, SettingError
from skirmish.rules import IllegalActionError, Rules

MAPS = ("3m", "2s3z", "MMM", "bane_vs_bane", "2m_vs_1z")
HEALTH = {"Marine": 45, "Marauder": 125, "Medivac": 150, "Stalker": 80, "Zealot": 100, "Baneling": 30, "Zergling": 35}
SHIELD = {"Stalker": 80, "Zealot": 50}


def full_units(spec, n_battles=1):
    """Both teams at full strength, each at its own point, allies left, enemies right, five cells apart."""
    types = spec.ally_types + spec.enemy_types
    units = Units.zeros(n_battles, types)
    units.alive[:] = True
    units.health_max[:] = units.health[:] = [HEALTH[name] for name in types]
    units.shield_max[:] = units.shield[:] = [SHIELD.get(name, 0) for name in types]
    units.x[:] = [13.0] * spec.n_agents + [18.0] * spec.n_enemies
    units.y[:] = 16.0
    return units


def frame_of(rules, units):
    obs, state, avail = rules.frame()
    rules.observe(units, obs, state, avail)
    return obs, state, avail


def stop_or_nothing(units, n_agents):
    return (units.alive & (units.health > 0))[:, :n_agents].astype(np.int64)


@st.composite
def battles(draw):
    """Rules of a map and units scattered at random, some of them dead or hurt."""
    spec = load_map(draw(st.sampled_from(MAPS)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    units = full_units(spec)
    shape = units.x.shape
    units.x[:], units.y[:] = random.uniform(4, 28, shape), random.uniform(6, 26, shape)
    units.alive[:] = random.random(shape) < draw(st.sampled_from([0.3, 0.9, 1.0]))
    units.health[:] *= random.uniform(0.1, 1, shape).astype(np.float32) * units.alive
    units.shield[:] *= random.uniform(0, 1, shape).astype(np.float32) * units.alive
    return Rules(spec), units


@settings(max_examples=60, deadline=None)
@given(battles())
def test_the_dead_have_only_no_op_and_see_nothing(battle):
    rules, units = battle
    rules.start(units)
    obs, _, avail = frame_of(rules, units)
    dead = ~units.alive[0, : rules.n_agents]
    no_op = np.eye(rules.n_actions, dtype=np.int32)[0]
    assert (avail[0, dead] == no_op).all()
    assert not obs[0, dead].any()
    assert (avail[0, ~dead, 0] == 0).all()
    assert (avail[0, ~dead, 1] == 1).all()


@settings(max_examples=60, deadline=None)
@given(battles())
def test_living_allies_see_each_other_and_nobody_sees_the_dead(battle):
    rules, units = battle
    visible = rules.visibility(units)[0]
    among_allies = visible[:, : rules.n_agents]
    assert (among_allies == among_allies.T).all()
    assert not among_allies.diagonal().any()
    assert not visible[:, ~units.alive[0]].any()
    assert not visible[~units.alive[0, : rules.n_agents]].any()


@settings(max_examples=60, deadline=None)
@given(battles())
def test_features_stay_within_their_bounds(battle):
    rules, units = battle
    rules.start(units)
    obs, state, _ = frame_of(rules, units)
    assert np.isfinite(obs).all()
    assert (np.abs(obs) <= 1).all()
    assert (np.abs(state) <= 1).all()


@settings(max_examples=40, deadline=None)
@given(battles(), st.randoms(use_true_random=False))
def test_exactly_the_available_actions_are_accepted(battle, random):
    rules, units = battle
    rules.start(units)
    _, _, avail = frame_of(rules, units)
    agent = random.randrange(rules.n_agents)
    base = np.argmax(avail, axis=2).astype(np.int64)
    for action in range(-1, rules.n_actions + 1):
        actions = base.copy()
        actions[0, agent] = action
        if 0 <= action < rules.n_actions and avail[0, agent, action]:
            rules.orders(units, actions)
            assert rules.last_action[0, agent] == action
        else:
            with pytest.raises(IllegalActionError, match=rf"Agent {agent} of battle 0 cannot take action {action} "):
                rules.orders(units, actions)


@settings(max_examples=40, deadline=None)
@given(battles(), st.integers(0, 2**32 - 1))
def test_the_default_reward_is_never_negative(battle, seed):
    rules, units = battle
    rules.start(units)
    random = np.random.default_rng(seed)
    for _ in range(5):
        units.health *= random.uniform(0.5, 1.3, units.x.shape).astype(np.float32)
        units.alive &= random.random(units.x.shape) < 0.9
        assert rules.step(units).reward[0] >= 0


@pytest.mark.parametrize("name", MAPS)
def test_a_full_win_without_regeneration_returns_exactly_twenty(name):
    spec = load_map(name)
    rules, units = Rules(spec), full_units(spec)
    rules.start(units)
    total = 0.0
    for _ in range(10):
        units.shield[0, spec.n_agents :] /= 2
        units.health[0, spec.n_agents :] -= 2
        total += rules.step(units).reward[0]
    units.alive[0, spec.n_agents :] = False
    last = rules.step(units)
    assert last.battle_won[0]
    assert last.terminated[0]
    assert last.dead_enemies[0] == spec.n_enemies
    assert total + last.reward[0] == pytest.approx(20, abs=1e-12)


def test_a_regenerating_enemy_pays_the_agents():
    spec = load_map("2s3z")
    rules, units = Rules(spec), full_units(spec)
    units.shield[0, -1] = 10
    rules.start(units)
    units.shield[0, -1] = 30
    assert rules.step(units).reward[0] == 20 / (rules.max_reward[0] / 20)


def test_a_time_out_ends_the_episode_at_the_limit():
    spec = dataclasses.replace(load_map("3m"), limit=4)
    rules, units = Rules(spec), full_units(spec)
    rules.start(units)
    results = [rules.step(units) for _ in range(4)]
    assert [bool(result.terminated[0]) for result in results] == [False, False, False, True]
    assert [bool(result.timeout[0]) for result in results] == [False, False, False, True]
    assert rules.get_stats() == {
        "battles_won": 0,
        "battles_game": 1,
        "battles_draw": 1,
        "win_rate": 0.0,
        "timeouts": 1,
        "restarts": 0,
    }


def test_every_reset_before_the_first_end_raises_the_reward_scale_and_none_after():
    spec = load_map("3m")
    rules, units = Rules(spec), full_units(spec)
    rules.start(units)
    assert rules.max_reward[0] == 365
    rules.start(units)
    assert rules.max_reward[0] == 500
    units.alive[0, : spec.n_agents] = False
    assert rules.step(units).terminated[0]
    rules.start(full_units(spec))
    assert rules.max_reward[0] == 500


def test_rows_left_out_are_left_alone():
    spec = load_map("3m")
    rules, units = Rules(spec, 3), full_units(spec, 3)
    rules.start(units)
    rows = np.array([True, False, True])
    units.health[:, spec.n_agents] = 1
    orders = rules.orders(units, np.ones((3, 3), dtype=np.int64), rows)
    assert orders.kind.tolist() == [[STOP] * 3, [NONE] * 3, [STOP] * 3]
    result = rules.step(units, rows)
    assert result.reward[1] == 0
    assert result.reward[0] == result.reward[2] > 0
    assert rules.steps.tolist() == [1, 0, 1]
    obs, state, avail = rules.frame()
    obs[:] = state[:] = -7
    rules.observe(units, obs, state, avail, rows)
    assert (obs[1] == -7).all()
    assert (state[1] == -7).all()
    assert (obs[0] == obs[2]).all()


def test_strided_views_are_filled_as_contiguous_arrays_are():
    spec = load_map("3m")
    rules, units = Rules(spec, 2), full_units(spec, 2)
    rules.start(units)
    obs, state, avail = frame_of(rules, units)
    long_obs, long_state, long_avail = (np.stack([np.zeros_like(a)] * 5, axis=1) for a in (obs, state, avail))
    rules.observe(units, long_obs[:, 3], long_state[:, 3], long_avail[:, 3])
    assert (long_obs[:, 3] == obs).all()
    assert (long_state[:, 3] == state).all()
    assert (long_avail[:, 3] == avail).all()
    assert not long_obs[:, [0, 1, 2, 4]].any()


def test_arrays_of_the_wrong_shape_are_refused():
    spec = load_map("3m")
    rules, units = Rules(spec), full_units(spec)
    obs, state, avail = rules.frame()
    with pytest.raises(ValueError, match="obs must have the shape"):
        rules.observe(units, obs[:, :, 1:], state, avail)
    with pytest.raises(ValueError, match="Actions must have the shape"):
        rules.orders(units, np.ones((1, 2), dtype=np.int64))
    with pytest.raises(ValueError, match="Actions must have the shape"):
        Rules(spec, heuristic_ai=True).orders(units, np.ones((1, 2), dtype=np.int64))


def test_orders_move_two_cells_and_aim_at_columns():
    spec = load_map("3m")
    rules, units = Rules(spec), full_units(spec)
    rules.start(units)
    orders = rules.orders(units, np.array([[2, 5, 7]]))
    assert orders.kind.tolist() == [[MOVE, MOVE, ATTACK]]
    assert (orders.x[0, :2].tolist(), orders.y[0, :2].tolist()) == ([13.0, 11.0], [18.0, 16.0])
    assert orders.target.tolist() == [[-1, -1, 4]]


def test_a_snapshot_brings_everything_back():
    spec = load_map("3m")
    rules, units = Rules(spec), full_units(spec)
    rules.start(units)
    saved = rules.snapshot()
    hurt = full_units(spec)
    hurt.health[0, -1] = 0
    hurt.alive[0, -1] = False
    first = rules.step(hurt).reward[0]
    rules.restore(saved)
    assert rules.step(hurt).reward[0] == first > 0


class TestHeuristic:
    """SMAC's scripted allies."""

    def play(self, rules, units, requested=1):
        actions = np.full((1, rules.n_agents), requested, dtype=np.int64)
        return rules.orders(units, actions), actions

    def test_a_fighter_attacks_the_nearest_and_stays_with_it(self):
        spec = load_map("3m")
        rules, units = Rules(spec, heuristic_ai=True), full_units(spec)
        units.x[0, 3:] = [20, 17, 18]
        rules.start(units)
        orders, actions = self.play(rules, units)
        assert orders.target[0].tolist() == [4, 4, 4]
        assert actions[0].tolist() == [7, 7, 7]
        assert rules.last_action[0].tolist() == [1, 1, 1]
        units.x[0, 3:] = [16, 17, 18]
        assert self.play(rules, units)[0].target[0].tolist() == [4, 4, 4]
        units.alive[0, 4] = False
        assert self.play(rules, units)[0].target[0].tolist() == [3, 3, 3]

    def test_the_dead_order_nothing(self):
        spec = load_map("3m")
        rules, units = Rules(spec, heuristic_ai=True), full_units(spec)
        rules.start(units)
        units.alive[0, 1] = False
        assert self.play(rules, units)[0].kind[0].tolist() == [ATTACK, NONE, ATTACK]

    def test_it_attacks_beyond_its_reach_unless_told_to_walk(self):
        spec = load_map("3m")
        units = full_units(spec)
        units.x[0, 3:] = 25
        walking = Rules(spec, heuristic_ai=True, heuristic_rest=True)
        walking.start(units)
        orders, actions = self.play(walking, units)
        assert orders.kind[0].tolist() == [MOVE] * 3
        assert (orders.x[0].tolist(), actions[0].tolist()) == ([15.0] * 3, [4] * 3)
        plain = Rules(spec, heuristic_ai=True)
        plain.start(units)
        assert self.play(plain, units)[0].kind[0].tolist() == [ATTACK] * 3

    def test_a_medivac_heals_the_nearest_hurt_ally_until_it_is_whole(self):
        spec = load_map("MMM")
        rules, units = Rules(spec, heuristic_ai=True), full_units(spec)
        medivac = spec.ally_types.index("Medivac")
        rules.start(units)
        assert self.play(rules, units)[0].kind[0, medivac] == NONE
        units.health[0, [2, 5]] = 20
        units.x[0, 2] = 9
        orders, _ = self.play(rules, units)
        assert (orders.kind[0, medivac], orders.target[0, medivac]) == (HEAL, 5)
        units.health[0, 5] = 45
        assert self.play(rules, units)[0].target[0, medivac] == 2


class TestOptions:
    """Arguments are checked by name, type and range."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"obs_lst_action": True}, 'There is no environment argument "obs_lst_action". Did you mean "obs_last_act'),
            ({"corrected": True}, 'There is no environment argument "corrected"'),
            ({"reward_sparse": 1}, '"reward_sparse" must be true or false, not 1'),
            ({"step_mul": True}, '"step_mul" must be a whole number, not True'),
            ({"step_mul": 0}, '"step_mul" must be at least 1, not 0'),
            ({"difficulty": "10"}, '"difficulty" must be one of 1, 2'),
            ({"difficulty": 7}, '"difficulty" must be a text, not 7'),
            ({"move_amount": -1}, '"move_amount" must be above 0'),
            ({"move_amount": 1.5, "obs_pathing_grid": True}, '"move_amount" must be a whole number with'),
            ({"reward_scale_rate": 0}, '"reward_scale_rate" must be above 0'),
        ],
    )
    def test_what_is_wrong_is_said_in_a_sentence(self, arguments, message):
        with pytest.raises(SettingError) as caught:
            RuleOptions.parse(arguments)
        assert message in str(caught.value)

    def test_seeing_all_health_includes_ones_own(self):
        assert RuleOptions(obs_own_health=False).shows_own_health
        assert not RuleOptions(obs_own_health=False, obs_all_health=False).shows_own_health
