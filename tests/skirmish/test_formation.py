"""Start positions: tight, disjoint, on the ground, in the order SMAC sorts by."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skirmish.formation import SPAWN_GAP, clearance, collide, fits, formation, ground_of, spawn_places
from skirmish.maps import MAP_NAMES, MapError, Spawn, load_map
from skirmish.units import UNIT_NAMES, load_units

UNITS = load_units()


def hexagons(count, spacing):
    """The points of a hexagonal lattice nearest to the origin, nearest first, then by angle."""
    reach = range(-count, count + 1)
    points = [(spacing * (a + b / 2), spacing * b * math.sqrt(0.75)) for a in reach for b in reach]
    points.sort(key=lambda p: (round(math.hypot(*p), 9), math.atan2(p[1], p[0])))
    return np.array(points[:count])


def overlaps(places):
    """Pairs of units that could bump into each other and stand closer than their bodies and the gap allow."""
    return [
        (a, b)
        for i, a in enumerate(places)
        for b in places[:i]
        if collide(UNITS[a[1]], UNITS[b[1]])
        and math.dist(a[2:], b[2:]) < UNITS[a[1]].separation_radius + UNITS[b[1]].separation_radius + SPAWN_GAP - 1e-3
    ]


@pytest.mark.parametrize("name", MAP_NAMES)
def test_units_start_apart_and_on_their_ground(name):
    spec = load_map(name)
    places = spawn_places(spec, UNITS)
    assert not overlaps(places)
    for _, unit, x, y in places:
        assert fits(ground_of(UNITS[unit], spec), np.array([[x, y]]), clearance(UNITS[unit]) - 1e-3)[0]


@pytest.mark.parametrize("name", MAP_NAMES)
def test_agents_come_by_type_then_x_then_y_and_enemies_as_created(name):
    spec = load_map(name)
    start = formation(spec, UNITS)
    n = spec.n_agents
    ranks = [spec.ally_types.index(unit) for unit in spec.ally_types]
    keys = list(zip(ranks, start.x[:n].tolist(), start.y[:n].tolist()))
    assert keys == sorted(keys)
    created = [(x, y) for team, _, x, y in spawn_places(spec, UNITS) if team == "enemy"]
    np.testing.assert_allclose(np.stack([start.x[n:], start.y[n:]], axis=1), created, atol=1e-5)
    at = {(unit, x, y) for team, unit, x, y in spawn_places(spec, UNITS) if team == "ally"}
    assert at == set(zip(spec.ally_types, start.x[:n].astype(float).tolist(), start.y[:n].astype(float).tolist()))


@pytest.mark.parametrize("name", MAP_NAMES)
def test_the_first_of_a_group_stands_on_the_point(name):
    spec = load_map(name)
    places = iter(spawn_places(spec, UNITS))
    for index, spawn in enumerate(spec.spawns):
        _, unit, x, y = next(places)
        earlier = [s for s in spec.spawns[:index] if math.dist((s.x, s.y), (spawn.x, spawn.y)) < 3]
        if not any(collide(UNITS[unit], UNITS[s.unit]) for s in earlier):
            assert (x, y) == pytest.approx((spawn.x, spawn.y), abs=1e-3)
        for _ in range(spawn.count - 1):
            next(places)


@pytest.mark.parametrize("name", ["3m", "8m", "25m", "27m_vs_30m"])
def test_equal_bodies_form_a_hexagonal_lattice(name):
    spec = load_map(name)
    start = formation(spec, UNITS)
    marines = np.stack([start.x, start.y], axis=1)[spec.n_agents :]
    np.testing.assert_allclose(marines, hexagons(spec.n_enemies, 1.0) + np.array([23, 16]), atol=2e-4)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_armies_are_tight_and_face_each_other(name):
    spec = load_map(name)
    start = formation(spec, UNITS)
    n = spec.n_agents
    middle = [np.array([array[part].mean() for array in (start.x, start.y)]) for part in (slice(n), slice(n, None))]
    ahead = (middle[1] - middle[0]) / np.linalg.norm(middle[1] - middle[0])
    assert (start.face_x[:n] * ahead[0] + start.face_y[:n] * ahead[1] > 0.98).all()
    assert (start.face_x[n:] * ahead[0] + start.face_y[n:] * ahead[1] < -0.98).all()
    np.testing.assert_allclose(np.hypot(start.face_x, start.face_y), 1, atol=1e-6)
    for spawn in spec.spawns:
        group = [
            (x, y) for t, u, x, y in spawn_places(spec, UNITS) if (t, u) == (spawn.team, spawn.unit)
        ]  # all groups of one type have one point, or consist of one unit
        if spawn.count > 1:
            spacing = 2 * UNITS[spawn.unit].separation_radius + SPAWN_GAP
            reach = max(math.dist(place, (spawn.x, spawn.y)) for place in group)
            assert reach <= spacing * (1 + math.sqrt(spawn.count)) * 0.7 + 1.3


def test_goals_keep_the_formation_round_the_order_s_point():
    spec = load_map("8m")
    start = formation(spec, UNITS)
    enemies, goals = ([array[8:] for array in pair] for pair in ((start.x, start.y), (start.goal_x, start.goal_y)))
    np.testing.assert_allclose([goal.mean() for goal in goals], [9, 16], atol=1e-5)
    np.testing.assert_allclose(goals[0] - goals[0][0], enemies[0] - enemies[0][0], atol=1e-5)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_goals_lie_on_the_ground(name):
    spec = load_map(name)
    start = formation(spec, UNITS)
    for unit, x, y in zip(spec.enemy_types, start.goal_x[spec.n_agents :], start.goal_y[spec.n_agents :]):
        assert fits(ground_of(UNITS[unit], spec), np.array([[x, y]]), clearance(UNITS[unit]) - 1e-3)[0]


@pytest.mark.parametrize("name", MAP_NAMES)
def test_no_two_enemies_are_sent_to_one_place(name):
    spec = load_map(name)
    start = formation(spec, UNITS)
    goals = np.stack([start.goal_x, start.goal_y], axis=1)[spec.n_agents :]
    for a, first in enumerate(spec.enemy_types):
        for b, second in enumerate(spec.enemy_types[:a]):
            if collide(UNITS[first], UNITS[second]):
                touch = UNITS[first].separation_radius + UNITS[second].separation_radius
                assert math.dist(goals[a], goals[b]) >= touch - 1e-3


def test_only_2m_vs_1z_draws_its_goal():
    assert formation(load_map("2m_vs_1z"), UNITS).drift == (6.0, 0.0)
    assert all(formation(load_map(name), UNITS).drift == (0.0, 0.0) for name in MAP_NAMES if name != "2m_vs_1z")


def test_the_zerglings_of_2c_vs_64zg_stay_below_the_cliff():
    spec = load_map("2c_vs_64zg")
    assert formation(spec, UNITS).y[2:].max() < 12


def test_a_full_room_says_so():
    spec = load_map("3m")
    pathing = np.zeros_like(spec.pathing)
    pathing[22:24, 16] = True
    with pytest.raises(MapError, match=r'"3m" has no room for 3 Marine at \(23, 16\)'):
        spawn_places(dataclasses.replace(spec, pathing=pathing, spawns=(spec.spawns[1],)), UNITS)


@given(
    groups=st.lists(
        st.tuples(st.sampled_from(UNIT_NAMES), st.integers(1, 12), st.floats(3, 29), st.floats(8, 24)),
        min_size=1,
        max_size=4,
    ),
    walls=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_any_mixture_on_any_ground_is_free_or_refused(groups, walls):
    spec = load_map("3m")
    rough = spec.pathing & (np.random.default_rng(walls).random(spec.pathing.shape) > 0.05)
    spawns = tuple(Spawn("ally", unit, count, x, y) for unit, count, x, y in groups)
    spec = dataclasses.replace(spec, pathing=rough, cliff_pathing=rough, spawns=spawns)
    try:
        places = spawn_places(spec, UNITS)
    except MapError:
        return
    assert not overlaps(places)
    assert places == spawn_places(spec, UNITS)
    for _, unit, x, y in places:
        assert fits(ground_of(UNITS[unit], spec), np.array([[x, y]]), clearance(UNITS[unit]) - 1e-3)[0]
