"""What holds in every battle: on maps, with armies and under actions that Hypothesis makes up."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from skirmish.battles import Battles
from skirmish.formation import clearance, collide, fits, ground_of
from skirmish.maps import MapError, load_map
from skirmish.rules import Rules
from skirmish.units import UNIT_NAMES, load_units

UNITS = load_units()
STEP_SECONDS = 0.5
DEEP = 0.25
"""Two bodies are deep in one another below this share of their touching distance. A crowd that presses on may push two
together like that for a moment (one sweep of pushes a loop does not solve every jam), but not for long."""
LONGEST = 5
"""Steps that two bodies may stay deep in one another."""


@st.composite
def map_texts(draw):
    """A map file: a walled field with a few walls and cliffs in it, and two armies of up to three groups."""
    width, height = draw(st.integers(18, 26)), draw(st.integers(10, 20))
    cells = np.full((height, width), ".")
    for _ in range(draw(st.integers(0, 5))):
        x, y = draw(st.integers(1, width - 2)), draw(st.integers(1, height - 2))
        cells[y : y + draw(st.integers(1, 6)), x : x + draw(st.integers(1, 6))] = draw(st.sampled_from("#~+"))
    lines = ["limit: 60"]
    for army, column, direction in (("agents", 2, 3), ("enemies", width - 3, -3)):
        lines.append(f"{army}:")
        for group in range(draw(st.integers(1, 3))):
            unit, count = draw(st.sampled_from(UNIT_NAMES)), draw(st.integers(1, 8))
            x, y = column + direction * group, draw(st.integers(2, height - 3))
            cells[y - 1 : y + 2, x - 1 : x + 2] = "."
            lines.append(f"  - {{unit: {unit}, count: {count}, at: [{x + 0.5}, {y + 0.5}]}}")
    orders = f"{{kind: attack_point, point: [2.5, {y + 0.5}]}}", "{kind: attack_units}", "{kind: none}"
    lines.append(f"order: {draw(st.sampled_from(orders))}")
    cells[y, 2] = "."
    cells[[0, -1]] = cells[:, [0, -1]] = "#"
    return "\n".join([*lines, "terrain: |", *("  " + "".join(row) for row in cells[::-1]), ""])


class Fight:
    """Random legal play on a map, a step at a time; `running` [B] are the battles not over."""

    def __init__(self, path, n_battles, seed, **arguments):
        self.battles = Battles(path, n_battles=n_battles, seed=seed, notify=None, **arguments)
        self.frame = self.battles.frame()
        # Random numbers of a battle's own, whatever the number of battles.
        self.dice = [np.random.default_rng([seed, battle]) for battle in range(n_battles)]
        self.running = np.ones(n_battles, dtype=bool)
        self.battles.reset()

    @property
    def units(self):
        return self.battles.engine.units

    def step(self):
        self.battles.observe(*self.frame)
        avail = self.frame[2]
        chances = np.stack([dice.random(avail.shape[1:]) for dice in self.dice])
        actions = (chances * avail).argmax(-1)
        result = self.battles.step(actions, self.running.copy())
        self.running &= ~result.terminated
        return result


def seen(units):
    """Copies of everything that can be seen of the units."""
    return {field.name: getattr(units, field.name).copy() for field in dataclasses.fields(units)}


def fight_on(tmp_path_factory, text, n_battles, seed, **arguments):
    """A fight on the map of that text; examples whose map is refused are left out."""
    path = tmp_path_factory.mktemp("maps") / "random.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        return Fight(str(path), n_battles, seed, **arguments)
    except MapError:
        assume(False)


def check_points(now, before, running):
    """Health, shields and energy lie between nothing and their maximum; the dead have none and stay dead."""
    for name in ("x", "y", "health", "shield", "energy", "weapon_cooldown", "facing"):
        assert np.isfinite(now[name]).all(), name
    for name in ("health", "shield"):
        assert (now[name] >= 0).all() and (now[name] <= now[name + "_max"]).all(), name
    assert (now["energy"] >= 0).all() and (now["energy"] <= 200).all()
    assert ((now["health"] > 0) == now["alive"]).all()
    assert (now["weapon_cooldown"] >= 0).all()
    dead = ~before["alive"]
    assert not now["alive"][dead].any()
    assert (now["hits"][running][dead[running]] == 0).all()
    assert (now["target"][~now["alive"]] == -1).all()
    for name in ("x", "y"):
        assert (now[name][dead] == before[name][dead]).all(), "a dead unit moved"


def check_places(spec, now):
    """The living stand on their ground."""
    types = spec.ally_types + spec.enemy_types
    points = np.stack([now["x"], now["y"]], axis=-1).astype(float)
    for u, name in enumerate(types):
        standing = points[now["alive"][:, u], u]
        assert (standing >= 0).all() and (standing <= spec.pathing.shape).all(), f"{name} left the map"
        if not UNITS[name].flying:
            half_width = clearance(UNITS[name]) - 0.01
            assert fits(ground_of(UNITS[name], spec), standing, half_width).all(), f"{name} in a wall"


def closeness(spec, now):
    """Distance of the living of one layer as a share of their touching distance [B, U, U]; inf for all other pairs."""
    types = [UNITS[name] for name in spec.ally_types + spec.enemy_types]
    touch = np.array([[a.separation_radius + b.separation_radius for a in types] for b in types])
    meet = np.array([[collide(a, b) for a in types] for b in types]) & ~np.eye(len(types), dtype=bool)
    distance = np.hypot(now["x"][:, :, None] - now["x"][:, None], now["y"][:, :, None] - now["y"][:, None])
    living = now["alive"][:, :, None] & now["alive"][:, None]
    return np.where(living & meet, distance / touch, np.inf)


def check_energy(spec, now, before):
    """Nobody gains energy faster than it comes back, nor health without a Medivac's energy or its own regeneration."""
    medivac = UNITS["Medivac"]
    gained = now["energy"] - before["energy"]
    assert (gained <= medivac.energy["regen"] * STEP_SECONDS + 1e-3).all()
    spent = np.maximum(medivac.energy["regen"] * STEP_SECONDS - gained, 0) * before["alive"]
    types = spec.ally_types + spec.enemy_types
    regrown = np.array([UNITS[name].health_regen * STEP_SECONDS for name in types])
    healed = np.maximum(now["health"] - before["health"] - regrown, 0)
    healers = np.array([name == "Medivac" for name in types])
    for team in (slice(0, spec.n_agents), slice(spec.n_agents, None)):
        paid = (spent[:, team] * healers[team]).sum(axis=1) / medivac.heal["energy_per_health"]
        # At full energy some of what comes back is lost: `spent` is then too large, never too small.
        assert (healed[:, team].sum(axis=1) <= paid + 0.05).all()


def check_battles(fight, steps):
    """Play on and check everything; returns closeness [...] of all pairs that touched, over all steps."""
    spec = fight.battles.map_spec
    before = seen(fight.units)
    deep, touching = 0, []
    for _ in range(steps):
        if not fight.running.any():
            break
        running = fight.running.copy()
        fight.step()
        now = seen(fight.units)
        check_points(now, before, running)
        check_places(spec, now)
        check_energy(spec, now, before)
        for name, values in now.items():
            assert (values[~running] == before[name][~running]).all(), f"{name} changed in a battle that was over"
        share = closeness(spec, now)
        deep = (deep + 1) * (share < DEEP) * running[:, None, None]
        assert deep.max() <= LONGEST, "two bodies stay deep in one another"
        touching.append(share[share < 1])
        before = now
    return np.concatenate(touching)


@given(text=map_texts(), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_what_holds_in_every_battle(tmp_path_factory, text, seed):
    check_battles(fight_on(tmp_path_factory, text, 3, seed), 60)


@pytest.mark.parametrize("name", ["MMM2", "1c3s5z", "corridor", "so_many_baneling", "bane_vs_bane", "2c_vs_64zg"])
def test_what_holds_on_official_maps(name):
    touching = check_battles(Fight(name, 3, 0), 40)
    assert (touching < DEEP).mean() < 0.02


@given(text=map_texts(), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_a_seed_is_a_battle_whatever_the_number_of_battles_and_threads(tmp_path_factory, text, seed):
    few = fight_on(tmp_path_factory, text, 2, seed)
    many = fight_on(tmp_path_factory, text, 5, seed)
    shared = fight_on(tmp_path_factory, text, 5, seed, threads=2)
    for _ in range(25):
        rewards = [fight.step().reward for fight in (few, many, shared)]
        np.testing.assert_array_equal(rewards[0], rewards[1][:2])
        np.testing.assert_array_equal(rewards[1], rewards[2])
        for name, values in seen(few.units).items():
            np.testing.assert_array_equal(values, seen(many.units)[name][:2], err_msg=name)
            np.testing.assert_array_equal(seen(many.units)[name], seen(shared.units)[name], err_msg=name)


MIRRORS = {
    "as it is": lambda x, y: (x, y),
    "east and west": lambda x, y: (20 - x, y),
    "north and south": lambda x, y: (x, 20 - y),
    "diagonally": lambda x, y: (y, x),
}
TEAMS = {
    "agents": [("Stalker", 4, 8), ("Marine", 4, 11), ("Zealot", 5.5, 9.5)],
    "enemies": [("Stalker", 16, 11), ("Marine", 16, 8.5), ("Zealot", 14, 10)],
}


def mirrored(mirror):
    """A small fight with a wall in it, seen in a mirror; every unit has its own point."""
    lines = ["limit: 80"]
    for army, members in TEAMS.items():
        lines.append(f"{army}:")
        lines += [f"  - {{unit: {unit}, at: {list(mirror(x, y))}}}" for unit, x, y in members]
    lines += [f"order: {{kind: attack_point, point: {list(mirror(4, 10))}}}", "terrain: |"]
    walls = {tuple(int(v) for v in mirror(10.5, y + 0.5)) for y in range(12, 15)}
    edge = (0, 19)
    for y in reversed(range(20)):
        lines.append("  " + "".join("#" if x in edge or y in edge or (x, y) in walls else "." for x in range(20)))
    return "\n".join([*lines, ""])


def test_statistics_are_the_same_in_a_mirror(tmp_path):
    outcomes = {}
    for name, mirror in MIRRORS.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(mirrored(mirror), encoding="utf-8")
        fight = Fight(str(path), 600, 7, heuristic_ai=True)
        returns, lengths, won = np.zeros(600), np.zeros(600), np.zeros(600)
        while fight.running.any():
            lengths += fight.running
            result = fight.step()
            returns += result.reward
            won += result.battle_won
        outcomes[name] = np.stack([returns, lengths, won])
    assert 0.02 < outcomes["as it is"][2].mean() < 0.98, "a fight that always ends alike tells nothing"
    for name, values in outcomes.items():
        difference = values.mean(axis=1) - outcomes["as it is"].mean(axis=1)
        error = np.sqrt(values.var(axis=1) / 600 + outcomes["as it is"].var(axis=1) / 600)
        assert (np.abs(difference) <= 4 * error).all(), f"{name}: {difference / error} standard errors"


def test_random_maps_are_mostly_playable():
    """The strategy above would test nothing if its maps were refused."""
    kept = Counter()

    @given(text=map_texts())
    @settings(max_examples=40, deadline=None, database=None)
    def count(text):
        import tempfile

        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            try:
                Rules(load_map(file.name))
                kept[True] += 1
            except MapError:
                kept[False] += 1

    count()
    assert kept[True] >= 8
