"""Every unit type fights as its data say: closed-form numbers of weapons, shields, missiles, beams, blasts, healing."""

from dataclasses import replace

import numpy as np
import pytest

from skirmish import engine_layout as kernels
from skirmish import engine_tables
from skirmish.engine import ATTACK, HEAL, MOVE, STOP, Engine, Orders
from skirmish.maps import EnemyOrder, Spawn, load_map
from skirmish.units import load_units


def arena(allies, enemies, n_battles=1, seed=0, **options):
    """An engine on open ground; nobody does anything unless told."""
    spawns = [Spawn("ally", unit, 1, 6 + 2 * i, 6) for i, unit in enumerate(allies)]
    spawns += [Spawn("enemy", unit, 1, 6 + 2 * i, 26) for i, unit in enumerate(enemies)]
    spec = replace(
        load_map("3s_vs_3z"),
        n_agents=len(allies),
        n_enemies=len(enemies),
        ally_types=tuple(allies),
        enemy_types=tuple(enemies),
        spawns=tuple(spawns),
        enemy_order=EnemyOrder("none", ()),
    )
    engine = Engine(spec, n_battles, seed, **options)
    engine.reset(np.ones(n_battles, dtype=bool))
    engine._mind[:, len(allies) :, kernels.ORDER] = kernels.IDLE
    return engine


def put(engine, *places):
    """Put the units, in column order, at the places given."""
    for unit, (x, y) in enumerate(places):
        engine.units.x[:, unit], engine.units.y[:, unit] = x, y


def order(engine, kind=0, target=-1, x=0.0, y=0.0):
    orders = Orders.zeros(engine.n_battles, engine.n_agents)
    orders.kind[:], orders.target[:] = kind, target
    orders.x[:], orders.y[:] = x, y
    return orders


def wake(engine):
    """Let the enemies attack what comes near."""
    engine._mind[:, engine.n_agents :, kernels.ORDER] = kernels.SCANNING


@pytest.fixture
def no_regrowth(monkeypatch):
    """Zerg units that do not regenerate."""
    table = {name: replace(unit, health_regen=0.0) for name, unit in load_units().items()}
    monkeypatch.setattr(engine_tables, "load_units", lambda *_: table)


def attacks_to_kill(attacker, target, distance):
    """Attacks, and single losses of health and shield, until a target that does not defend itself is dead."""
    engine = arena([attacker], [target])
    units = engine.units
    put(engine, (16, 16), (16 + distance, 16))
    attacks = losses = 0
    total = units.health[0, 1] + units.shield[0, 1]
    for _ in range(1500):
        engine.advance(order(engine, ATTACK, target=1), loops=1)
        attacks += int(units.hits[0, 0])
        left = units.health[0, 1] + units.shield[0, 1]
        losses += int(left < total)
        total = left
        if not units.alive[0, 1]:
            return attacks, losses
    raise AssertionError("the target outlived 1500 loops")


@pytest.mark.parametrize(
    ("attacker", "target", "distance", "attacks"),
    [
        ("Marine", "Marine", 4, 8),
        ("Marine", "Marauder", 4, 25),
        ("Marine", "Zealot", 4, 29),
        ("Marauder", "Marine", 4, 5),
        ("Marauder", "Marauder", 4, 7),
        ("Stalker", "Zealot", 4, 13),
        ("Stalker", "Stalker", 4, 10),
        ("Stalker", "Colossus", 4, 21),
        ("Stalker", "SpineCrawler", 4, 19),
        ("Zealot", "Stalker", 1, 11),
        ("Zealot", "Zealot", 1, 11),
        ("Zealot", "Marine", 1, 3),
        ("Zealot", "Zergling", 1, 3),
        ("Zealot", "Hydralisk", 1, 5),
        ("Zealot", "Colossus", 1, 24),
        ("Hydralisk", "Zealot", 4, 14),
        ("Zergling", "Zealot", 0.8, 35),
        ("Zergling", "Zergling", 0.8, 7),
        ("Zergling", "Colossus", 1, 80),
        ("Colossus", "Zergling", 4, 2),
        ("Colossus", "Zealot", 4, 6),
        ("Colossus", "Stalker", 4, 9),
        ("Colossus", "Colossus", 4, 19),
        ("SpineCrawler", "Stalker", 4, 6),
    ],
)
def test_attacks_to_kill(no_regrowth, attacker, target, distance, attacks):
    assert attacks_to_kill(attacker, target, distance)[0] == attacks


@pytest.mark.parametrize(
    ("target", "hits"), [("Stalker", 22), ("Zealot", 21), ("Marine", 6), ("Zergling", 5), ("Hydralisk", 10)]
)
def test_the_blades_of_a_zealot_hit_one_after_the_other(no_regrowth, target, hits):
    assert attacks_to_kill("Zealot", target, 1)[1] == hits


@pytest.mark.parametrize(("target", "banelings"), [("Zealot", 5), ("Zergling", 1), ("Baneling", 2)])
def test_banelings_to_kill(no_regrowth, target, banelings):
    for count in (banelings - 1, banelings):
        engine = arena(["Baneling"] * max(count, 1), [target])
        put(engine, *[(14.7 + 0.1 * i, 16) for i in range(max(count, 1))], (16, 16))
        if count:
            engine.advance(order(engine, ATTACK, target=len(engine.units.x[0]) - 1))
        assert engine.units.alive[0, -1] == (count < banelings)


def test_a_stalker_of_the_liberty_profile_deals_less():
    assert load_units("liberty")["Stalker"].hit(load_units()["Zealot"]) == 9
    engine = arena(["Stalker"], ["Zealot"], profile="liberty")
    put(engine, (16, 16), (20, 16))
    for _ in range(3):
        engine.advance(order(engine, ATTACK, target=1))
    assert engine.units.shield[0, 1] == 40


@pytest.mark.parametrize(("build", "period"), [("4.10", 13.2), ("4.6.2", 12.0)])
def test_the_builds_differ_in_the_hydralisks_period(build, period):
    engine = arena(["Hydralisk"], ["Zealot"], 2000, build=build)
    put(engine, (16, 16), (20, 16))
    for _ in range(3):
        engine.advance(order(engine, ATTACK, target=1), loops=1)
    cooldown = engine.units.weapon_cooldown[:, 0]
    started = np.ceil(cooldown.max() - period - 2)  # loops since the attack began
    assert started <= 0
    assert cooldown.max() - cooldown.min() == pytest.approx(3, abs=0.02)
    assert cooldown.mean() == pytest.approx(period + 0.5, abs=2.05)


@pytest.mark.parametrize(
    ("unit", "cells"),
    [("Marine", 9.0), ("Stalker", 11.81), ("Zergling", 11.81), ("Baneling", 10), ("Medivac", 9.45), ("Colossus", 9.0)],
)
def test_how_far_a_unit_gets_in_64_loops(unit, cells):
    engine = arena([unit], ["Marine"])
    put(engine, (5, 16), (28, 28))
    engine._body[0, 0, [kernels.FACE_X, kernels.FACE_Y]] = (1, 0)
    for _ in range(8):
        engine.advance(order(engine, MOVE, x=engine.units.x[0, 0] + 2, y=16.0))
    assert engine.units.x[0, 0] - 5 == pytest.approx(cells, abs=0.01)


def test_the_enemys_medivac_is_slower():
    own, enemy = load_units()["Medivac"], load_units()["Medivac"].as_enemy()
    assert (own.speed, own.always_threatens, enemy.speed, enemy.always_threatens) == (2.75, True, 2.5, False)


def test_a_shield_grows_again_160_loops_after_the_last_damage_one_point_a_step():
    engine = arena(["Zealot"], ["Zealot"])
    engine.units.shield[0, 0] = 10
    engine._body[0, 0, kernels.WARD] = load_units()["Zealot"].shield_regen["delay_s"] * 16
    for _ in range(19):
        engine.advance(order(engine))
    assert engine.units.shield[0, 0] == 10
    engine.advance(order(engine))
    assert engine.units.shield[0, 0] == pytest.approx(10.125)
    engine.advance(order(engine))
    assert engine.units.shield[0, 0] == pytest.approx(11.125)
    for _ in range(60):
        engine.advance(order(engine))
    assert engine.units.shield[0, 0] == 50


def test_damage_stops_the_growth_of_a_shield():
    engine = arena(["Stalker"], ["Zealot"])
    put(engine, (16, 16), (20, 16))
    engine.advance(order(engine, ATTACK, target=1))
    engine.advance(order(engine, STOP))
    assert engine.units.shield[0, 1] == 37
    for _ in range(17):
        engine.advance(order(engine))
    assert engine.units.shield[0, 1] == 37
    for _ in range(6):
        engine.advance(order(engine))
    assert 40 < engine.units.shield[0, 1] < 43


def test_zerg_units_regenerate():
    engine = arena(["Zergling"], ["Hydralisk"])
    engine.units.health[:] = 10
    for _ in range(10):
        engine.advance(order(engine))
    np.testing.assert_allclose(engine.units.health[0], 10 + 80 * 0.2734 / 16, atol=1e-3)


def test_a_medivac_heals_4_5_a_step_until_its_energy_is_spent():
    engine = arena(["Medivac", "Marauder"], ["Marine"])
    put(engine, (16, 16), (18, 16), (28, 28))
    engine._body[0, 0, [kernels.FACE_X, kernels.FACE_Y]] = (1, 0)
    assert engine.units.energy[0, 0] == pytest.approx(50, abs=0.1)
    steps, healed = 0, 0.0
    while engine.units.energy[0, 0] > 0.2 and steps < 60:
        engine.units.health[0, 1] = 50
        energy = engine.units.energy[0, 0]
        orders = order(engine)
        orders.kind[0, 0], orders.target[0, 0] = HEAL, 1
        engine.advance(orders)
        gain = engine.units.health[0, 1] - 50
        if engine.units.energy[0, 0] > 0.2:
            assert gain == pytest.approx(4.5, abs=1e-3)
            assert engine.units.energy[0, 0] == pytest.approx(energy - 4.5 * 0.33 + 0.28125, abs=1e-3)
        healed += gain
        steps += 1
    assert 40 <= steps <= 43
    assert healed == pytest.approx((50 + steps * 0.28125) / 0.33, rel=0.02)


def test_healing_the_unhurt_is_refused_and_the_running_order_goes_on():
    engine = arena(["Medivac", "Marine"], ["Marine"])
    put(engine, (10, 16), (14, 16), (28, 28))
    engine.advance(order(engine, MOVE, x=16.0, y=16.0))
    x = engine.units.x[0, 0]
    orders = order(engine)
    orders.kind[0, 0], orders.target[0, 0] = HEAL, 1
    engine.advance(orders)
    assert engine.units.x[0, 0] > x
    assert engine.units.energy[0, 0] > 50


def test_one_healer_at_a_time_works_on_a_patient():
    engine = arena(["Medivac", "Medivac", "Marauder"], ["Marine"])
    put(engine, (14, 16), (18, 16), (16, 18), (28, 28))
    engine.units.health[0, 2] = 50
    orders = order(engine)
    orders.kind[0, :2], orders.target[0, :2] = HEAL, 2
    for _ in range(2):
        before = engine.units.health[0, 2]
        engine.advance(orders)
    assert engine.units.health[0, 2] - before == pytest.approx(4.5, abs=1e-3)


def test_an_enemy_medivac_heals_whom_it_finds_hurt_and_follows_or_stays():
    places = {}
    for habit in ("follow", "stay"):
        engine = arena(["Marine"], ["Medivac", "Marine", "Marine"], enemy_medivac=habit)
        put(engine, (4, 4), (16, 16), (18, 16), (20, 20))
        engine.units.health[0, 2:] = (20, 40)
        engine._body[0, 1:, kernels.GOAL_X] = engine.units.x[0, 1:]
        engine._body[0, 1:, kernels.GOAL_Y] = engine.units.y[0, 1:]
        wake(engine)
        engine.advance(order(engine))
        assert engine.units.target[0, 1] == 2
        assert engine.units.health[0, 2] > 20
        for _ in range(20):
            engine.advance(order(engine))
        np.testing.assert_allclose(engine.units.health[0, 2:], 45)
        engine._body[0, 2:, [kernels.GOAL_X, kernels.GOAL_Y]] = 27
        for _ in range(20):
            engine.advance(order(engine))
        places[habit] = engine.units.x[0, 1]
    assert places["stay"] < 21
    assert places["follow"] > 25


def test_a_missile_flies_hits_who_has_moved_and_overkills():
    engine = arena(["Stalker", "Stalker"], ["Marine"])
    put(engine, (10, 15.5), (10, 16.5), (15, 16))
    engine.units.health[0, 2] = 10
    for _ in range(5):
        engine.advance(order(engine, ATTACK, target=2), loops=1)
    assert (engine._mind[0, :2, kernels.MISSILE] == 2).all()
    assert engine.units.hits[0, :2].sum() <= 2
    engine.units.y[0, 2] = 18.0
    launched = 0
    for _ in range(6):
        engine.advance(order(engine), loops=1)
        launched += int(engine.units.hits.sum())
    assert not engine.units.alive[0, 2]
    assert (engine._mind[0, :2, kernels.MISSILE] == -1).all()  # the other one is lost
    assert launched == 0


def test_missiles_in_flight_are_part_of_a_snapshot():
    engine = arena(["Stalker"], ["Marine"])
    put(engine, (10, 16), (15, 16))
    engine.advance(order(engine, ATTACK, target=1), loops=6)
    saved = engine.snapshot()
    assert saved["mind"][0, 0, kernels.MISSILE] == 1
    engine.advance(order(engine), loops=5)
    assert engine.units.health[0, 1] == 32
    other = arena(["Stalker"], ["Marine"], seed=9)
    other.restore(saved)
    other.advance(order(other), loops=5)
    assert other.units.health[0, 1] == 32


def test_an_order_between_the_blows_of_a_zealot_cancels_the_second():
    engine = arena(["Zealot"], ["Stalker"])
    put(engine, (16, 16), (17, 16))
    engine._body[0, 0, [kernels.FACE_X, kernels.FACE_Y]] = (1, 0)
    engine.advance(order(engine, ATTACK, target=1), loops=1)
    assert engine.units.shield[0, 1] == 72
    saved = engine.snapshot()
    engine.advance(order(engine), loops=4)
    assert engine.units.shield[0, 1] == 72
    engine.advance(order(engine), loops=1)
    assert engine.units.shield[0, 1] == 64
    engine.restore(saved)
    engine.advance(order(engine, MOVE, x=10.0, y=16.0))
    assert engine.units.shield[0, 1] == 72


def test_a_beam_hurts_a_line_across_the_shot_and_no_friend():
    engine = arena(["Colossus", "Zergling"], ["Zergling"] * 5)
    # Beside the target at 1.2 and 1.7 cells on the line, at 2 beyond its end, behind the target beyond its width.
    put(engine, (10, 16), (15, 16.8), (15, 16), (15, 14.8), (15, 17.7), (15, 13.9), (15.9, 16))
    orders = order(engine)
    orders.kind[0, 0], orders.target[0, 0] = ATTACK, 2
    for _ in range(9):
        engine.advance(orders, loops=1)
    touched = 35 - engine.units.health[0]
    np.testing.assert_allclose(touched[3:], [30, 30, 0, 0], atol=0.2)
    assert touched[2] == 0
    for _ in range(7):
        engine.advance(order(engine), loops=1)
    assert 35 - engine.units.health[0, 2] == pytest.approx(30, abs=0.1)
    assert engine.units.health[0, 1] == 35


def test_another_order_ends_the_beam():
    engine = arena(["Colossus"], ["Zergling"])
    put(engine, (10, 16), (15, 16))
    engine.advance(order(engine, ATTACK, target=1))
    assert engine.units.hits[0, 0] == 1
    engine.advance(order(engine, MOVE, x=8.0, y=16.0))
    engine.advance(order(engine))
    assert engine.units.health[0, 1] == 35


def test_a_colossus_needs_no_turn_and_walks_over_walkers_and_cliffs():
    engine = Engine(load_map("2c_vs_64zg"), 1)
    engine.reset(np.ones(1, dtype=bool))
    units = engine.units
    units.alive[0, 1:] = False
    units.alive[0, 2] = True
    engine._mind[0, 2, kernels.ORDER] = kernels.IDLE
    units.x[0, [0, 2]], units.y[0, [0, 2]] = (16, 16), (15, 14.5)
    for _ in range(6):
        orders = order(engine, MOVE, x=units.x[0, 0], y=units.y[0, 0] - 2)
        engine.advance(orders)
    assert units.y[0, 0] == pytest.approx(15 - 6 * 1.125, abs=0.01)
    assert (units.x[0, 2], units.y[0, 2]) == (16, 14.5)


def test_walkers_find_their_way_round_the_cliff():
    engine = Engine(load_map("2c_vs_64zg"), 1)
    engine.reset(np.ones(1, dtype=bool))
    units = engine.units
    units.alive[0, 3:] = False
    for _ in range(30):
        units.health[0, :2] = 200
        engine.advance(order(engine))
        assert engine.pathing[int(units.x[0, 2]), int(units.y[0, 2])]
    assert units.hits[0, 2] > 0


def test_banelings_chain_and_spare_their_friends():
    engine = arena(["Baneling", "Baneling", "Zergling"], ["Baneling", "Zergling"])
    put(engine, (16, 16), (16.5, 17), (15, 15), (17, 16), (18, 16))
    engine.units.health[0, :2] = 15
    orders = order(engine)
    orders.kind[0, 0], orders.target[0, 0] = ATTACK, 3
    engine.units.health[0, 3] = 15
    engine.advance(orders)
    # The first goes off, kills the enemy's, whose blast kills the second baneling and the zergling, and so on.
    np.testing.assert_array_equal(engine.units.alive[0], [False, False, False, False, False])
    engine = arena(["Baneling", "Zergling"], ["Marine"])
    put(engine, (16, 16), (15, 16), (17, 16))
    orders = order(engine)
    orders.kind[0, 0], orders.target[0, 0] = ATTACK, 2
    engine.advance(orders)
    np.testing.assert_array_equal(engine.units.alive[0], [False, True, True])
    assert engine.units.health[0, 2] == 10


def test_the_blast_reaches_2_2_cells_from_centre_to_edge():
    engine = arena(["Baneling"], ["Marine"] * 3)
    put(engine, (16, 16), (16.8, 16), (16, 18.5), (16, 13.4))
    engine.advance(order(engine, ATTACK, target=1), loops=1)
    np.testing.assert_array_equal(engine.units.health[0, 1:], [10, 10, 45])


def test_marauders_cannot_attack_medivacs():
    engine = arena(["Medivac", "Marine"], ["Marauder"])
    put(engine, (14, 16), (18.5, 18), (16, 16))
    wake(engine)
    engine.advance(order(engine))
    assert engine.units.target[0, 2] == 1
    assert engine.units.health[0, 0] == 150
    engine = arena(["Marauder"], ["Medivac"])
    put(engine, (14, 16), (16, 16))
    engine.advance(order(engine, ATTACK, target=1))
    assert engine.units.target[0, 0] == -1
    assert engine.units.health[0, 1] == 150


def test_an_allied_medivac_is_as_good_a_target_as_a_marine():
    engine = arena(["Medivac", "Marine"], ["Marine"])
    put(engine, (14, 16), (19, 16), (16, 16))
    wake(engine)
    engine.advance(order(engine), loops=1)
    assert engine.units.target[0, 2] == 0  # the nearer one


def test_unarmed_units_are_attacked_last(monkeypatch):
    table = {name: replace(unit, always_threatens=False) for name, unit in load_units().items()}
    monkeypatch.setattr(engine_tables, "load_units", lambda *_: table)
    engine = arena(["Medivac", "Marine"], ["Marine"])
    put(engine, (14, 16), (19, 16), (16, 16))
    wake(engine)
    engine.advance(order(engine), loops=1)
    assert engine.units.target[0, 2] == 1
    engine.units.x[0, 1] = 28
    for _ in range(3):
        engine.advance(order(engine))
    assert engine.units.target[0, 2] == 0
    engine.units.x[0, 1] = engine.units.x[0, 2] + 4
    engine.advance(order(engine), loops=1)
    assert engine.units.target[0, 2] == 1


def test_a_spine_crawler_stands_and_turns_its_turret():
    engine = Engine(load_map("2s_vs_1sc"), 1)
    engine.reset(np.ones(1, dtype=bool))
    units = engine.units
    x, y = units.x[0, 2], units.y[0, 2]
    units.x[0, 0], units.y[0, 0] = x, y - 1.2  # into its body
    for _ in range(6):
        engine.advance(order(engine))
    assert (units.x[0, 2], units.y[0, 2]) == (x, y)
    assert np.hypot(units.x[0, 0] - x, units.y[0, 0] - y) == pytest.approx(0.875 + 0.625, abs=0.01)
    assert units.health[0, 0] + units.shield[0, 0] < 160


def test_a_chase_ends_where_the_terrain_ends():
    engine = Engine(load_map("corridor"), 8, seed=2)
    engine.reset(np.ones(8, dtype=bool))
    for _ in range(60):
        engine.advance(order(engine))
    cells = engine.pathing[engine.units.x.astype(int), engine.units.y.astype(int)]
    assert cells[engine.units.alive].all()
    assert not engine.units.alive[:, :6].any()  # all zealots that do nothing fall


def test_the_enemy_of_2m_vs_1z_marches_to_a_random_point_between_the_marines():
    engine = Engine(load_map("2m_vs_1z"), 300)
    engine.reset(np.ones(300, dtype=bool))
    goal = engine._body[:, 2, kernels.GOAL_X]
    assert goal.min() < 13.2
    assert goal.max() > 18.8
    assert goal.mean() == pytest.approx(16, abs=0.3)
    np.testing.assert_allclose(engine._body[:, 2, kernels.GOAL_Y], 12)
