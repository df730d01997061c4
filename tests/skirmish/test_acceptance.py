"""The battles behave as the game's data say: duels, hits to kill, walking, shields, healing, and untaught play."""

from dataclasses import replace

import numpy as np
import pytest

from skirmish.battles import Battles
from skirmish.engine import ATTACK, HEAL, MOVE, NONE, Engine, Orders
from skirmish.maps import EnemyOrder, Spawn, load_map
from skirmish.playing import Script, play
from skirmish.policies import Kite, Priority, UniformRandom, priorities
from skirmish.reference import references
from skirmish.units import LOOPS_PER_SECOND, load_units

CENTRE = 16.0
UNITS = load_units()


def arena(allies, enemies, n_battles=1, seed=0, far=20.0, order="none"):
    """Units of given types on the strip of 3m: allies in the west, enemies in the east who wait for whoever comes."""
    spec = load_map("3m")
    spawns = [Spawn("ally", unit, 1, 5.0, CENTRE) for unit in allies]
    spawns += [Spawn("enemy", unit, 1, 5.0 + far, CENTRE) for unit in enemies]
    spec = replace(
        spec,
        n_agents=len(allies),
        n_enemies=len(enemies),
        ally_types=tuple(allies),
        enemy_types=tuple(enemies),
        spawns=tuple(spawns),
        enemy_order=EnemyOrder(order, ()),
    )
    engine = Engine(spec, n_battles, seed)
    engine.reset(np.ones(n_battles, dtype=bool))
    return engine


def put(engine, *places):
    for unit, (x, y) in enumerate(places):
        engine.units.x[:, unit], engine.units.y[:, unit] = x, y


def orders(engine, kind=NONE, target=-1, x=0.0, y=0.0):
    given = Orders.zeros(engine.n_battles, engine.n_agents)
    given.kind[:], given.target[:], given.x[:], given.y[:] = kind, target, x, y
    return given


def preserve(engine):
    """The agents feel nothing."""
    n = engine.n_agents
    engine.units.health[:, :n] = engine.units.health_max[:, :n]


def test_marine_against_marine_is_a_coin_flip():
    fights = 10_000
    engine = arena(["Marine"], ["Marine"], fights)
    put(engine, (CENTRE - 2.5, CENTRE), (CENTRE + 2.5, CENTRE))
    attack = orders(engine, ATTACK, target=1)
    for _ in range(30):
        engine.advance(attack)
    won = engine.units.alive[:, 0]
    assert (won != engine.units.alive[:, 1]).all()
    assert abs(won.mean() - 0.5) < 0.03


def test_eight_shots_of_a_marine_take_a_hundred_loops():
    fights = 400
    engine = arena(["Marine"], ["Marine"], fights)
    put(engine, (CENTRE - 2.5, CENTRE), (CENTRE + 2.5, CENTRE))
    shots, first, last = np.zeros(fights, int), np.zeros(fights), np.zeros(fights)
    for loop in range(1, 160):
        engine.advance(orders(engine, ATTACK, target=1), loops=1)
        preserve(engine)
        hit = engine.units.hits[:, 0] > 0
        shots += hit
        first[(first == 0) & hit] = loop
        last[hit] = loop
    assert (shots == 8).all()
    assert not engine.units.alive[:, 1].any()
    assert (last - first).mean() == pytest.approx(7 * (13.77 + 0.5), rel=0.06)


# Attacks of which the last kills (combat data, no regrowth): attacker, target, attacks.
ATTACKS_TO_KILL = [
    ("Marine", "Marine", 8), ("Marine", "Marauder", 25), ("Marine", "Zealot", 29),
    ("Marauder", "Marine", 5), ("Marauder", "Marauder", 7),
    ("Stalker", "Zealot", 13), ("Stalker", "Stalker", 10), ("Stalker", "Colossus", 21), ("Stalker", "SpineCrawler", 19),
    ("Zealot", "Stalker", 11), ("Zealot", "Zealot", 11), ("Zealot", "Marine", 3), ("Zealot", "Zergling", 3),
    ("Zealot", "Hydralisk", 5), ("Zealot", "Colossus", 24),
    ("Hydralisk", "Zealot", 14),
    ("Zergling", "Zealot", 35), ("Zergling", "Zergling", 7), ("Zergling", "Colossus", 80),
    ("Colossus", "Zergling", 2), ("Colossus", "Zealot", 6), ("Colossus", "Stalker", 9), ("Colossus", "Colossus", 19),
    ("SpineCrawler", "Stalker", 6),
]  # fmt: skip


@pytest.mark.parametrize(("attacker", "target", "attacks"), ATTACKS_TO_KILL)
def test_attacks_to_kill(attacker, target, attacks):
    """The unharmed attacker stands at the target's side; what the target regrows is taken from it again."""
    engine = arena([attacker], [target])
    side_by_side = (CENTRE, CENTRE), (CENTRE + UNITS[attacker].radius + UNITS[target].radius, CENTRE)
    put(engine, *side_by_side)
    units, done, lowest = engine.units, 0, np.inf
    for _ in range(3000):
        engine.advance(orders(engine, ATTACK, target=1), loops=1)
        preserve(engine)
        done += int(units.hits[0, 0])
        lowest = min(lowest, float(units.health[0, 1]))
        if not units.alive[0, 1]:
            break
        regrowth = UNITS[target].health_regen / LOOPS_PER_SECOND
        units.health[0, 1] = lowest - (regrowth + 1e-4 if regrowth else 0)
        put(engine, *side_by_side)
    assert not units.alive[0, 1]
    assert done == attacks


@pytest.mark.parametrize(("bombs", "target", "dies"), [
    (4, "Zealot", False), (5, "Zealot", True), (1, "Zergling", True), (1, "Baneling", False), (2, "Baneling", True),
])  # fmt: skip
def test_banelings_to_kill(bombs, target, dies):
    """Banelings that die beside the target do what those do that attack it."""
    engine = arena(["Baneling"] * bombs, [target])
    put(engine, *[(CENTRE, CENTRE)] * bombs, (CENTRE + 1.0, CENTRE))
    engine.advance(orders(engine, ATTACK, target=bombs), loops=4)
    assert not engine.units.alive[0, :bombs].any()
    assert engine.units.alive[0, bombs] != dies


@pytest.mark.parametrize(
    ("unit", "way"), [("Marine", 9.0), ("Stalker", 11.8125), ("Zergling", 11.8125), ("Medivac", 9.45)]
)
def test_eight_steps_of_walking(unit, way):
    engine = arena([unit], ["Marine"], far=24.0)
    put(engine, (4.0, 10.0), (29.0, 22.0))
    for _ in range(8):
        engine.advance(orders(engine, MOVE, x=float(engine.units.x[0, 0]) + 2, y=10.0))
    assert engine.units.x[0, 0] - 4.0 == pytest.approx(way, abs=0.03)


@pytest.mark.parametrize(("stalkers", "least", "most"), [(1, 69, 76), (2, 35, 39)])
def test_stalkers_bring_down_a_spine_crawler(stalkers, least, most):
    engine = arena(["Stalker"] * stalkers, ["SpineCrawler"], n_battles=20)
    put(engine, *[(CENTRE - 5, CENTRE + 1.5 * s) for s in range(stalkers)], (CENTRE, CENTRE))
    lasted = np.zeros(20)
    for _ in range(90):
        lasted += engine.units.alive[:, -1]
        engine.advance(orders(engine, ATTACK, target=stalkers))
        preserve(engine)
    assert least <= lasted.mean() <= most


def test_a_zealots_shield_grows_back_after_twenty_steps_of_peace():
    engine = arena(["Stalker"], ["Zealot"])
    put(engine, (CENTRE - 5, CENTRE), (CENTRE, CENTRE))
    units = engine.units
    while units.shield[0, 1] == 50:
        engine.advance(orders(engine, ATTACK, target=1), loops=1)
    assert units.shield[0, 1] == 50 - 13
    units.alive[0, 0], units.health[0, 0] = False, 0
    shields = []
    for _ in range(24):
        engine.advance(orders(engine))
        shields.append(float(units.shield[0, 1]))
    assert shields[:19] == [37.0] * 19
    assert np.diff(shields[19:]) == pytest.approx(np.ones(4))
    assert shields[20] == pytest.approx(38.0, abs=0.2)


def test_a_medivac_heals_four_and_a_half_points_a_step_until_its_energy_ends():
    engine = arena(["Medivac", "Marauder"], ["Marine"], far=24.0)
    put(engine, (4.0, 10.0), (4.0, 11.0), (29.0, 22.0))
    healing = orders(engine)
    healing.kind[0, 0], healing.target[0, 0] = HEAL, 1
    engine.units.health[0, 1] = 50.0
    engine.advance(healing)  # it turns to its patient first
    steps, healed, spent = 0, 0.0, 50 - float(engine.units.energy[0, 0])
    for _ in range(60):
        engine.units.health[0, 1] = 50.0
        engine.advance(healing)
        gained = float(engine.units.health[0, 1]) - 50.0
        if gained < 4.4:
            break
        assert gained == pytest.approx(4.5, abs=0.01)
        steps += 1
        healed += gained
    assert 39 <= steps <= 42
    # 50 at the start and .28 a step, a third of a point of energy for a point of health
    assert healed == pytest.approx((50 - spent + 0.28125 * steps) / 0.33, rel=0.03)


# Allowed distance of a mean from the real band, as a share of the statistic's real mean: what random play of 192
# episodes may be off by itself, and what docs/fidelity.md says of the model.
LENGTH_SHARE, RETURN_SHARE = 0.12, 0.15


@pytest.mark.parametrize("name", sorted(references()))
def test_random_play_is_as_in_the_real_game(name):
    ours = play(Battles(name, 192, seed=3), UniformRandom(seed=3)).statistics()
    reference = references()[name]
    for statistic, share in (("length", LENGTH_SHARE), ("return", RETURN_SHARE), ("dead_allies", 0.05)):
        band = reference.band(statistic)
        if band is not None:
            low, high = band
            assert low * (1 - share) <= ours[statistic].mean() <= high * (1 + share), statistic
    if name == "bane_vs_bane":
        assert ours["win_rate"].mean() > 0.6
    else:
        assert ours["win_rate"].mean() < 0.01


@pytest.mark.parametrize("name", sorted(references()))
def test_untrained_play_of_the_real_game_lies_within_the_range_of_fixed_priorities(name):
    battles = Battles(name, 32, seed=4)
    means = {statistic: [] for statistic in ("length", "return", "dead_allies", "dead_enemies")}
    for order in priorities(battles.n_enemies).values():
        statistics = play(battles, Priority(order, battles.n_actions)).statistics()
        for statistic, values in means.items():
            values.append(statistics[statistic].mean())
    for statistic, values in means.items():
        real = [row[statistic] for row in references()[name].untrained if row[statistic] is not None]
        slack = 0.1 * (max(values) - min(values)) + 0.05
        inside = [min(values) - slack <= value <= max(values) + slack for value in real]
        assert np.mean(inside) >= 0.8 if real else True, statistic


@pytest.mark.parametrize("name", ["3m", "8m", "2s3z"])
def test_attacking_the_nearest_is_a_fight_on_the_easy_maps(name):
    """Reports of the real game's script, which could not be checked, say 76 to 95 %; see docs/fidelity.md."""
    won = play(Battles(name, 256, seed=5, heuristic_ai=True), Script()).won.mean()
    assert 0.25 <= won <= 0.97


@pytest.mark.parametrize(
    "name", ["5m_vs_6m", "3s_vs_5z", "corridor", "6h_vs_8z", "2c_vs_64zg", "MMM2", "27m_vs_30m", "3s5z_vs_3s6z"]
)
def test_attacking_the_nearest_loses_the_hard_maps(name):
    assert play(Battles(name, 64, seed=6, heuristic_ai=True), Script()).won.mean() <= 0.1


@pytest.mark.parametrize(("name", "moves", "least"), [("3s_vs_3z", 3, 0.4), ("3s_vs_3z", 5, 0.9), ("3s_vs_5z", 5, 0.1)])
def test_kiting_beats_what_standing_still_loses_to(name, moves, least):
    battles = Battles(name, 64, seed=7)
    assert play(battles, Kite(moves)).won.mean() >= least
    standing = priorities(battles.n_enemies)["attack first, stop"]
    assert play(battles, Priority(standing, battles.n_actions)).won.mean() <= 0.1
